/* A span as JSON (docs: the span as JSON). */
#include "sink/attr_json.h"
#include "sink/json_sink.h"

static void write_attrs(struct json *j, const struct span *s)
{
	json_key(j, "attributes");
	json_open(j, '{');
	for (size_t i = 0; i < s->nattrs; i++)
		json_attr(j, &s->attrs[i]);
	write_string(j, PARENT_SOURCE_KEY, parent_source_text(s->parent_source));
	json_close(j, '}');
}

/* Only where there are some: few spans have any. */
static void write_events(struct json *j, const struct span *s)
{
	if (!s->nevents)
		return;
	json_key(j, "events");
	json_open(j, '[');
	for (size_t i = 0; i < s->nevents; i++) {
		const struct span_event *e = &s->events[i];

		json_open(j, '{');
		write_string(j, "name", e->name);
		write_number(j, "unix_ns", e->unix_ns);
		json_key(j, "attributes");
		json_open(j, '{');
		for (size_t k = 0; k < e->nattrs; k++)
			json_attr(j, &e->attrs[k]);
		json_close(j, '}');
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_span(struct json *j, const struct span *s)
{
	json_hex(j, "trace_id", s->trace_id, sizeof(s->trace_id));
	json_hex(j, "span_id", s->span_id, sizeof(s->span_id));
	json_hex(j, "parent_span_id", s->parent_id, span_has_parent(s) ? sizeof(s->parent_id) : 0);
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
	write_events(j, s);
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
