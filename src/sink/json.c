/* `-o json`, `--json`: objects, one a line, the summary last. Keys may be added; none may go or change its meaning. */
#include "sink/json_sink.h"

#include "sink/losses_json.h"

struct json json_line_begin(struct json_sink *o)
{
	struct json j = {.out = output_begin(&o->file.out)};

	json_open(&j, '{');
	return j;
}

void json_line_end(struct json_sink *o, struct json *j)
{
	json_close(j, '}');
	buf_char(j->out, '\n');
	output_end(&o->file.out);
}

void write_number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

void write_string(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_str(j, value ? value : "");
}

static void json_sink_summary(struct sink *s, const struct run_summary *sum)
{
	struct json_sink *o = (struct json_sink *)s;
	struct json j;

	o->file.out.limit = SIZE_MAX; /* the last line is always let in */
	j = json_line_begin(o);
	json_key(&j, "summary");
	json_open(&j, '{');
	write_number(&j, "events", sum->events);
	if (o->gives & SINK_SPANS) {
		write_number(&j, "spans", sum->spans);
		write_number(&j, "open", sum->open);
		write_number(&j, "spans_lost", sum->spans_lost);
	}
	if (o->gives & SINK_CALLS)
		write_number(&j, "calls", sum->calls);
	write_number(&j, "processes", sum->processes);
	write_number(&j, "planted", sum->planted);
	write_number(&j, "refused", sum->refused);
	if (sum->propagates) {
		json_key(&j, "propagated");
		json_open(&j, '{');
		for (unsigned i = 0; i < INJECT_OUTCOMES; i++)
			write_number(&j, inject_name((enum inject_outcome)i), sum->requests[i]);
		json_close(&j, '}');
		json_key(&j, "propagated_tracestate");
		json_open(&j, '{');
		for (unsigned i = INJECT_STATE_WRITTEN; i < INJECT_STATES; i++)
			write_number(&j, inject_state_name((enum inject_state)i), sum->states[i]);
		json_close(&j, '}');
	}
	losses_json(&j, "losses", &sum->losses, true);
	json_close(&j, '}');
	json_line_end(o, &j);
}

/* The first line of a dump. What was lost is in the summary, the last. */
static void json_sink_dump(struct sink *s, const struct dump_note *n)
{
	struct json_sink *o = (struct json_sink *)s;
	struct json j = json_line_begin(o);

	json_key(&j, "dump");
	json_open(&j, '{');
	write_string(&j, "reason", n->reason);
	write_number(&j, "at_unix_ns", n->at_unix_ns);
	write_number(&j, "from_unix_ns", n->from_unix_ns);
	json_key(&j, "from_start");
	json_bool(&j, n->from_start);
	write_number(&j, "spans", n->spans);
	json_close(&j, '}');
	json_line_end(o, &j);
}

static void json_sink_close(struct sink *s, unsigned timeout_ms)
{
	struct json_sink *o = (struct json_sink *)s;

	file_sink_done(&o->file, timeout_ms);
	frame_names_done(&o->names);
	free(o);
}

static const struct sink_ops json_ops = {
	.name = "json",
	.dump = json_sink_dump,
	.span = json_sink_span,
	.call = json_sink_call,
	.groups = json_sink_groups,
	.lost = json_sink_lost,
	.tick = file_sink_tick,
	.gone = file_sink_gone,
	.full = file_sink_full,
	.trouble = file_sink_trouble,
	.losses = file_sink_losses,
	.summary = json_sink_summary,
	.close = json_sink_close,
};

static int json_sink_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct json_sink *o = xcalloc(1, sizeof(*o));

	o->gives = setup->gives;
	o->names.with_line = true;
	file_sink_open(&o->file, &json_ops, setup);
	*ret = &o->file.sink;
	return 0;
}

static const struct option_def rows[] = {
	{0, "json", NULL, "print calls, aggregates and the summary as JSON lines", OPT_FLAG, 0},
	{0},
};
static const char *const manual[] = {
	"calls, aggregates and the summary as JSON lines. A value that is cut is\n"
	".BR {\\(dqvalue\\(dq:...,\\(dqtruncated\\(dq:true,\\(dqlen\\(dq:N}\n"
	"(without len where that is not known), one that cannot be read\n"
	".B {\\(dqunreadable\\(dq:\\(dqreason\\(dq}\n"
	"(with \\(dqat\\(dq where it is known where it should lie); a text, a list or a map "
	"of which a part cannot be read has all of\n"
	"these keys (without\n"
	".B value\n"
	"and\n"
	".B truncated\n"
	"where it is none). What was not followed is\n"
	".BR {\\(dqat\\(dq:\\(dq0x...\\(dq} ,\n"
	"in an interface\n"
	".BR {\\(dqtype\\(dq:\\(dqint\\(dq,\\(dqat\\(dq:\\(dq0x...\\(dq} .\n"
	"An aggregate from whose function something was lost has these losses by name under\n"
	".BR lost ;\n"
	"what concerns no aggregate that is shown is a line of its own.",
};

const struct sink_kind sink_json = {
	.name = "json",
	.form = "one object a line",
	.takes = SINK_SPANS | SINK_CALLS,
	.prints = true,
	.options = rows,
	.options_size = sizeof(bool),
	.manual = manual,
	.open = json_sink_open,
};
