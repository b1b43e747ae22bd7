#include "cmd/summary.h"

const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static bool losses_list(const struct losses *l, struct buf *out)
{
	bool any = false;

	for (int i = 0; i < LOSS_COUNT; i++) {
		if (!l->count[i] || !loss_name(i))
			continue;
		buf_printf(out, "%s%llu %s", any ? ", " : "", (unsigned long long)l->count[i], loss_name(i));
		any = true;
	}
	return any;
}

static void print_counts(const struct run_summary *sum, const struct summary_text *text, struct buf *out)
{
	if (text->spans)
		buf_printf(out, "%llu %s", (unsigned long long)sum->spans, plural(sum->spans, "span", "spans"));
	if (text->calls && (sum->calls || !text->groups))
		buf_printf(out, "%s%llu %s", out->len ? ", " : "", (unsigned long long)sum->calls,
			   plural(sum->calls, "call", "calls"));
	if (text->groups)
		buf_printf(out, "%s%llu %s", out->len ? ", " : "", (unsigned long long)text->groups,
			   plural(text->groups, "group", "groups"));
}

void losses_print(const struct run_summary *sum, const struct summary_text *text, struct buf *out)
{
	_cleanup_(buf_done) struct buf losses = {0};
	bool any = losses_list(&sum->losses, &losses);
	uint64_t not_taken = sum->losses.count[LOSS_SINK_QUEUE] + sum->losses.count[LOSS_SINK_REFUSED];

	if (text->spans && sum->spans_lost)
		buf_printf(out, "%llu lost", (unsigned long long)sum->spans_lost);
	else if (text->spans && not_taken)
		buf_printf(out, "%llu not taken by an output", (unsigned long long)not_taken);
	else if (text->spans || !any)
		buf_str(out, "none lost");
	if (any)
		buf_printf(out, text->spans ? " (%s)" : "%s", losses.data);
	if (sum->open)
		buf_printf(out, ", %llu still open", (unsigned long long)sum->open);
}

/* "; 12 a tracestate, too (3 without room for it)": of those that one had come in for. */
static void print_states(const struct run_summary *sum, struct buf *out)
{
	const char *before = " (";
	bool any = false;

	for (unsigned s = INJECT_STATE_WRITTEN; s < INJECT_STATES; s++)
		any |= sum->states[s] > 0;
	if (!any)
		return;
	buf_printf(out, "; %llu a tracestate, too", (unsigned long long)sum->states[INJECT_STATE_WRITTEN]);
	for (unsigned s = INJECT_STATE_WRITTEN + 1; s < INJECT_STATES; s++) {
		if (!sum->states[s])
			continue;
		buf_printf(out, "%s%llu %s", before, (unsigned long long)sum->states[s],
			   inject_state_text((enum inject_state)s));
		before = ", ";
	}
	buf_str(out, *before == ',' ? ")" : "");
}

/* "; 1560 requests got a traceparent (400 had one already, 39 without room in the buffer)" */
static void print_requests(const struct run_summary *sum, struct buf *out)
{
	bool any = false;

	if (!sum->propagates)
		return;
	buf_printf(out, "; %llu %s", (unsigned long long)sum->requests[INJECT_WRITTEN],
		   plural(sum->requests[INJECT_WRITTEN], "request got a traceparent", "requests got a traceparent"));
	for (unsigned o = INJECT_WRITTEN + 1; o < INJECT_OUTCOMES; o++) {
		if (!sum->requests[o])
			continue;
		buf_printf(out, "%s%llu %s", any ? ", " : " (", (unsigned long long)sum->requests[o],
			   inject_text((enum inject_outcome)o));
		any = true;
	}
	buf_str(out, any ? ")" : "");
	print_states(sum, out);
}

void summary_print(const struct run_summary *sum, const struct summary_text *text, struct buf *out)
{
	print_counts(sum, text, out);
	buf_printf(out, " from %u %s in %.1f s", sum->processes, plural(sum->processes, "process", "processes"),
		   text->seconds);
	if (text->spans)
		buf_printf(out, " (%llu events)", (unsigned long long)sum->events);
	buf_str(out, "; ");
	losses_print(sum, text, out);
	print_requests(sum, out);
	buf_printf(out, "; %u %s planted", sum->planted, plural(sum->planted, "probe", "probes"));
	if (sum->refused)
		buf_printf(out, ", %u refused", sum->refused);
	if (text->more.len)
		buf_append(out, text->more.data, text->more.len);
}
