/* A span as JSON (docs: the span as JSON). */
#include "sink/json_sink.h"

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
	write_string(j, PARENT_SOURCE_KEY, parent_source_text(s->parent_source));
	json_close(j, '}');
}

static void write_span(struct json *j, const struct span *s)
{
	write_hex(j, "trace_id", s->trace_id, sizeof(s->trace_id));
	write_hex(j, "span_id", s->span_id, sizeof(s->span_id));
	write_hex(j, "parent_span_id", s->parent_id, span_has_parent(s) ? sizeof(s->parent_id) : 0);
	if (s->trace_state)
		write_string(j, "trace_state", s->trace_state);
	write_string(j, "name", s->name);
	write_string(j, "kind", span_kind_text(s->kind));
	write_string(j, "service", s->resource ? s->resource->service : NULL);
	write_number(j, "start_unix_ns", s->start_unix_ns);
	write_number(j, "duration_ns", s->duration_ns);
	write_string(j, "status", span_status_text(s->status));
	if (s->status_text)
		write_string(j, "status_text", s->status_text);
	write_attrs(j, s);
	write_number(j, "pid", s->resource ? (uint64_t)s->resource->pid : 0);
	write_number(j, "goid", s->goid);
	write_string(j, "pack", s->pack);
}

void json_sink_span(struct sink *s, const struct span *span)
{
	struct json_sink *o = (struct json_sink *)s;
	struct json j = json_line_begin(o);

	write_span(&j, span);
	json_line_end(o, &j);
}
