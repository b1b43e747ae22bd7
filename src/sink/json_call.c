/* Calls and groups of aggregates as JSON. */
#include "base/clock.h"
#include "sink/call_buckets.h"
#include "sink/json_sink.h"
#include "sink/losses_json.h"

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

static void write_true(struct json *j, const char *key)
{
	json_key(j, key);
	json_bool(j, true);
}

/* ---- calls ---- */

static bool has_kind(const struct call_record *c, enum call_value_kind kind)
{
	for (size_t i = 0; i < c->nvalues; i++)
		if (c->values[i].kind == kind)
			return true;
	return false;
}

static void write_values(struct json *j, const char *key, const struct call_record *c, enum call_value_kind kind)
{
	json_key(j, key);
	json_open(j, '{');
	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];

		if (v->kind != kind || call_value_missing(v))
			continue;
		json_key(j, v->name);
		value_json(&v->value, j);
	}
	json_close(j, '}');
}

static void write_end(struct json *j, const struct call_record *c)
{
	if (c->end == CALL_RETURNED)
		write_values(j, "returns", c, CALL_RESULT);
	if (has_kind(c, CALL_EXPR))
		write_values(j, "values", c, CALL_EXPR);
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

void json_sink_call(struct sink *s, const struct call_record *c)
{
	struct json_sink *o = (struct json_sink *)s;
	struct json j = json_line_begin(o);

	write_number(&j, "ts_unix_ns", c->start_unix_ns);
	write_signed(&j, "pid", c->resource->pid);
	if (c->function->threads)
		write_number(&j, "tid", c->goid);
	else
		write_number(&j, "goid", c->goid);
	write_string(&j, "func", c->function->name);
	if (c->function->inlined_into)
		write_string(&j, "inlined_into", c->function->inlined_into);
	if (c->function->approximate)
		write_true(&j, "approximate");
	write_values(&j, "args", c, CALL_ARG);
	write_end(&j, c);
	if (c->stack)
		frame_names_json(&o->names, c, &j);
	if (c->stack && c->stack_cut)
		write_true(&j, "stack_truncated");
	json_line_end(o, &j);
}

/* ---- aggregates ---- */

static void write_keys(struct json *j, const struct call_group *g)
{
	json_key(j, "key");
	json_open(j, '{');
	for (size_t i = 0; i < g->nkeys; i++) {
		json_key(j, g->aggregate->keys[i].text);
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
		struct bucket_range r = bucket_range(g->aggregate, i, g->nbuckets);

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
	switch (g->aggregate->kind) {
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

void json_sink_groups(struct sink *s, const struct call_group *groups, size_t n, bool last)
{
	uint64_t now = clock_realtime_ns();
	struct json_sink *o = (struct json_sink *)s;

	for (size_t i = 0; i < n; i++) {
		const struct call_group *g = &groups[i];
		struct json j = json_line_begin(o);

		write_string(&j, "aggregate", g->aggregate->text);
		write_number(&j, "ts_unix_ns", now);
		write_signed(&j, "pid", g->resource->pid);
		write_string(&j, "func", g->function->name);
		write_keys(&j, g);
		write_result(&j, g);
		if (g->inexact)
			write_true(&j, "approximate");
		if (g->lost)
			losses_json(&j, "lost", g->lost, false);
		json_line_end(o, &j);
	}
}

void json_sink_lost(struct sink *s, const struct losses *l)
{
	struct json_sink *o = (struct json_sink *)s;
	struct json j = json_line_begin(o);

	losses_json(&j, "lost", l, false);
	write_number(&j, "ts_unix_ns", clock_realtime_ns());
	json_line_end(o, &j);
}
