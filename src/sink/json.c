/* `-o json`: one object a line. Keys may be added; none may go or change its meaning (docs: the span as JSON). */
#include "base/json.h"

#include <stdbool.h>

#include "sink/losses_json.h"
#include "sink/output.h"
#include "sink/sinks.h"

struct json_sink {
	struct sink sink;
	struct output out;
};

static void write_hex(struct json *j, const char *key, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char text[32];

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	json_key(j, key);
	json_strn(j, text, 2 * n);
}

static void write_text(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_str(j, value ? value : "");
}

static void write_number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static void write_attr(struct json *j, const struct attr *a)
{
	json_key(j, a->key);
	if (a->kind == ATTR_STRING)
		json_strn(j, a->s, a->len);
	else if (a->kind == ATTR_INT)
		json_int(j, a->i);
	else if (a->kind == ATTR_DOUBLE)
		json_double(j, a->d);
	else
		json_bool(j, a->b);
}

static void write_attrs(struct json *j, const struct span *s)
{
	json_key(j, "attributes");
	json_open(j, '{');
	for (size_t i = 0; i < s->nattrs; i++)
		write_attr(j, &s->attrs[i]);
	json_close(j, '}');
}

static void write_span(struct json *j, const struct span *s)
{
	write_hex(j, "trace_id", s->trace_id, sizeof(s->trace_id));
	write_hex(j, "span_id", s->span_id, sizeof(s->span_id));
	write_hex(j, "parent_span_id", s->parent_id, span_has_parent(s) ? sizeof(s->parent_id) : 0);
	if (s->trace_state)
		write_text(j, "trace_state", s->trace_state);
	write_text(j, "name", s->name);
	write_text(j, "kind", span_kind_text(s->kind));
	write_text(j, "service", s->resource ? s->resource->service : NULL);
	write_number(j, "start_unix_ns", s->start_unix_ns);
	write_number(j, "duration_ns", s->duration_ns);
	write_text(j, "status", span_status_text(s->status));
	if (s->status_text)
		write_text(j, "status_text", s->status_text);
	write_attrs(j, s);
	write_number(j, "pid", s->resource ? (uint64_t)s->resource->pid : 0);
	write_number(j, "goid", s->goid);
	write_text(j, "pack", s->pack);
}

static void json_sink_span(struct sink *s, const struct span *span)
{
	struct json_sink *js = (struct json_sink *)s;
	struct json j = {.out = output_begin(&js->out)};

	json_open(&j, '{');
	write_span(&j, span);
	json_close(&j, '}');
	buf_char(j.out, '\n');
	output_end(&js->out);
}

static void json_sink_summary(struct sink *s, const struct run_summary *sum)
{
	struct json_sink *js = (struct json_sink *)s;
	struct json j = {.out = output_begin(&js->out)};

	js->out.limit = SIZE_MAX; /* the last line is always let in */
	json_open(&j, '{');
	json_key(&j, "summary");
	json_open(&j, '{');
	write_number(&j, "events", sum->events);
	write_number(&j, "spans", sum->spans);
	write_number(&j, "open", sum->open);
	write_number(&j, "spans_lost", sum->spans_lost);
	write_number(&j, "processes", sum->processes);
	write_number(&j, "planted", sum->planted);
	write_number(&j, "refused", sum->refused);
	losses_json(&j, "losses", &sum->losses, true);
	json_close(&j, '}');
	json_close(&j, '}');
	buf_char(j.out, '\n');
	output_end(&js->out);
}

static void json_sink_tick(struct sink *s)
{
	output_flush(&((struct json_sink *)s)->out, 0);
}

static bool json_sink_gone(struct sink *s)
{
	return ((struct json_sink *)s)->out.gone;
}

static const char *json_sink_trouble(struct sink *s)
{
	return output_trouble(&((struct json_sink *)s)->out);
}

static void json_sink_losses(struct sink *s, struct losses *ret)
{
	output_losses(&((struct json_sink *)s)->out, ret);
}

static void json_sink_close(struct sink *s, unsigned timeout_ms)
{
	struct json_sink *js = (struct json_sink *)s;

	if (!js)
		return;
	output_flush(&js->out, timeout_ms);
	output_done(&js->out);
	free(js);
}

static const struct sink_ops json_ops = {
	.name = "json",
	.span = json_sink_span,
	.tick = json_sink_tick,
	.gone = json_sink_gone,
	.trouble = json_sink_trouble,
	.losses = json_sink_losses,
	.summary = json_sink_summary,
	.close = json_sink_close,
};

struct sink *sink_json_new(FILE *out)
{
	struct json_sink *js = xcalloc(1, sizeof(*js));

	js->sink.ops = &json_ops;
	output_init(&js->out, out);
	return &js->sink;
}
