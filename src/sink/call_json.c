/* `trace --json`: one object a line. Keys may be added; none may go or change its meaning. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/call_buckets.h"
#include "sink/call_code.h"
#include "sink/call_sinks.h"
#include "sink/call_stream.h"
#include "sink/losses_json.h"

struct json_output {
	struct sink sink;
	struct call_stream stream;
	struct code_names names;
};

static struct json_output *self(struct sink *s)
{
	return (struct json_output *)s;
}

static struct json line_begin(struct json_output *o)
{
	struct json j = {.out = output_begin(&o->stream.out)};

	json_open(&j, '{');
	return j;
}

static void line_finish(struct json_output *o, struct json *j)
{
	json_close(j, '}');
	buf_char(j->out, '\n');
	output_end(&o->stream.out);
}

static void write_number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static void write_signed(struct json *j, const char *key, int64_t value)
{
	json_key(j, key);
	json_int(j, value);
}

static void write_wide(struct json *j, const char *key, int128 value)
{
	json_key(j, key);
	json_number(j, wide_text(value, (char[WIDE_TEXT]){0}));
}

static void write_string(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_str(j, value);
}

static void write_true(struct json *j, const char *key)
{
	json_key(j, key);
	json_bool(j, true);
}

/* ---- calls ---- */

static bool has_kind(const struct call_record *c, enum shown_kind kind)
{
	for (size_t i = 0; i < c->nvalues; i++)
		if (c->values[i].shown->kind == kind)
			return true;
	return false;
}

static void write_values(struct json *j, const char *key, const struct call_record *c, enum shown_kind kind)
{
	json_key(j, key);
	json_open(j, '{');
	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];

		if (v->shown->kind != kind || call_value_missing(v))
			continue;
		json_key(j, v->shown->name);
		value_json(&v->value, j);
	}
	json_close(j, '}');
}

static void write_stack(struct json_output *o, struct json *j, const struct call_record *c)
{
	json_key(j, "stack");
	json_open(j, '[');
	for (size_t i = 0; i < c->nstack; i++) {
		const struct frame_names *f = frame_names(&o->names, c->process, c->stack[i]);

		for (size_t k = 0; k < f->n; k++)
			json_str(j, f->names[k]);
	}
	json_close(j, ']');
	if (c->stack_cut)
		write_true(j, "stack_truncated");
}

static void write_end(struct json *j, const struct call_record *c)
{
	if (c->end == CALL_RETURNED)
		write_values(j, "returns", c, SHOWN_RESULT);
	if (has_kind(c, SHOWN_EXPR))
		write_values(j, "values", c, SHOWN_EXPR);
	if (c->end == CALL_POINT)
		return;
	write_number(j, "duration_ns", c->duration_ns);
	if (c->end == CALL_PANICKED)
		write_true(j, "panicked");
	else if (c->end == CALL_OPEN)
		write_true(j, "open");
	else if (c->end == CALL_EXITED)
		write_true(j, "exited");
}

static void json_call(struct sink *s, const struct call_record *c)
{
	struct json_output *o = self(s);
	struct json j = line_begin(o);

	write_number(&j, "ts_unix_ns", c->start_unix_ns);
	write_signed(&j, "pid", c->process->resource->pid);
	write_number(&j, "goid", c->goid);
	write_string(&j, "func", c->plan->name);
	if (c->plan->inlined)
		write_string(&j, "inlined_into", c->plan->func.name);
	if (c->plan->approximate)
		write_true(&j, "approximate");
	write_values(&j, "args", c, SHOWN_ARG);
	write_end(&j, c);
	if (c->stack)
		write_stack(o, &j, c);
	line_finish(o, &j);
}

/* ---- aggregates ---- */

static void write_keys(struct json *j, const struct call_group *g)
{
	json_key(j, "key");
	json_open(j, '{');
	for (size_t i = 0; i < g->nkeys; i++) {
		json_key(j, g->aggregate->action->by_texts[i]);
		value_json(&g->keys[i], j);
	}
	json_close(j, '}');
}

static void write_bound(struct json *j, const char *key, int128 bound)
{
	if (bound != WIDE_MIN && bound != WIDE_MAX) /* else open on that side */
		write_wide(j, key, bound);
}

/* Those that are not empty: [from, to). */
static void write_buckets(struct json *j, const struct call_group *g)
{
	json_key(j, "buckets");
	json_open(j, '[');
	for (size_t i = 0; i < g->nbuckets; i++) {
		struct bucket_range r = bucket_range(g->aggregate->action, i, g->nbuckets);

		if (!g->buckets[i])
			continue;
		json_open(j, '{');
		write_bound(j, "from", r.from);
		write_bound(j, "to", r.to);
		write_number(j, "count", g->buckets[i]);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_result(struct json *j, const struct call_group *g)
{
	write_number(j, "count", g->count);
	switch (g->aggregate->action->aggregate) {
	case AGG_COUNT:
		break;
	case AGG_MIN:
		write_wide(j, "min", g->min);
		break;
	case AGG_MAX:
		write_wide(j, "max", g->max);
		break;
	case AGG_AVG:
		write_wide(j, "sum", g->sum);
		json_key(j, "avg");
		json_double(j, g->count ? (double)g->sum / (double)g->count : 0);
		break;
	case AGG_SUM:
		write_wide(j, "sum", g->sum);
		break;
	case AGG_HIST:
	case AGG_LINEAR:
		write_wide(j, "sum", g->sum);
		write_buckets(j, g);
		break;
	}
}

static void json_groups(struct sink *s, const struct call_group *groups, size_t n, bool last)
{
	uint64_t now = clock_realtime_ns();
	struct json_output *o = self(s);

	for (size_t i = 0; i < n; i++) {
		const struct call_group *g = &groups[i];
		struct json j = line_begin(o);

		write_string(&j, "aggregate", g->aggregate->action->text);
		write_number(&j, "ts_unix_ns", now);
		write_signed(&j, "pid", g->process->resource->pid);
		write_string(&j, "func", g->plan->name);
		write_keys(&j, g);
		write_result(&j, g);
		if (g->inexact)
			write_true(&j, "approximate");
		if (g->lost)
			losses_json(&j, "lost", g->lost, false);
		line_finish(o, &j);
	}
}

static void json_lost(struct sink *s, const struct losses *l)
{
	struct json_output *o = self(s);
	struct json j = line_begin(o);

	losses_json(&j, "lost", l, false);
	write_number(&j, "ts_unix_ns", clock_realtime_ns());
	line_finish(o, &j);
}

/* ---- the summary ---- */

static void json_summary(struct sink *s, const struct run_summary *sum)
{
	struct json_output *o = self(s);
	struct json j;

	o->stream.out.limit = SIZE_MAX; /* the last line is always let in */
	j = line_begin(o);
	json_key(&j, "summary");
	json_open(&j, '{');
	write_number(&j, "events", sum->events);
	write_number(&j, "calls", sum->calls);
	write_number(&j, "processes", sum->processes);
	write_number(&j, "planted", sum->planted);
	write_number(&j, "refused", sum->refused);
	losses_json(&j, "losses", &sum->losses, true);
	json_close(&j, '}');
	line_finish(o, &j);
}

/* ---- the sink ---- */

static void json_tick(struct sink *s)
{
	output_flush(&self(s)->stream.out, 0);
}

static bool json_gone(struct sink *s)
{
	return self(s)->stream.out.gone;
}

static const char *json_trouble(struct sink *s)
{
	return call_stream_trouble(&self(s)->stream);
}

static void json_losses(struct sink *s, struct losses *ret)
{
	output_losses(&self(s)->stream.out, ret);
}

static void json_close_sink(struct sink *s, unsigned timeout_ms)
{
	struct json_output *o = self(s);

	if (!o)
		return;
	call_stream_close(&o->stream, timeout_ms);
	code_names_done(&o->names);
	free(o);
}

static const struct sink_ops json_ops = {
	.name = "json",
	.call = json_call,
	.groups = json_groups,
	.lost = json_lost,
	.tick = json_tick,
	.summary = json_summary,
	.gone = json_gone,
	.trouble = json_trouble,
	.losses = json_losses,
	.close = json_close_sink,
};

int call_json_new(int fd, struct sink **ret, struct err *err)
{
	struct json_output *o = xcalloc(1, sizeof(*o));
	int r = call_stream_open(fd, &o->stream, err);

	if (r < 0) {
		free(o);
		return r;
	}
	o->sink.ops = &json_ops;
	o->names.with_line = true;
	*ret = &o->sink;
	return 0;
}
