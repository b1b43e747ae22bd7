#include "span/finished.h"

#include <string.h>

#include "span/compose.h"
#include "span/condition.h"
#include "span/title.h"

void finished_init(struct finished *f, struct interner *interner, struct wall_clock *wall)
{
	*f = (struct finished){.interner = interner, .wall = wall, .error_type = intern(interner, "error.type")};
}

void finished_done(struct finished *f)
{
	vec_done(&f->attrs);
	vec_done(&f->events);
	vec_done(&f->event_attrs);
	buf_done(&f->event_names);
	buf_done(&f->name);
	buf_done(&f->status_text);
}

/* What error.type becomes where nothing captured says it: the value that made it an error. */
static void set_error_type(struct finished *f, struct open_span *s, const char *ended_by,
			   const struct attr_value *cause)
{
	buf_reset(&f->name);
	if (ended_by)
		buf_str(&f->name, ended_by);
	else if (cause && cause->kind != ATTR_BOOL)
		attr_list_print(&s->attrs, cause, &f->name);
	if (!f->name.len)
		buf_str(&f->name, "_OTHER"); /* the conventions' word for an error without a type */
	attr_list_set_string(&s->attrs, f->error_type, f->name.data, f->name.len);
}

static enum span_status set_error(struct finished *f, struct open_span *s, const struct ending *end)
{
	const struct condition *error = s->start->p.span->error;
	const struct attr_value *cause = NULL;

	if (!(error && condition_holds(error, &s->attrs, &cause)) && !end->error_type)
		return SPAN_STATUS_UNSET;
	if (!attr_list_find(&s->attrs, f->error_type, strlen(f->error_type)))
		set_error_type(f, s, end->error_type, cause);
	return SPAN_STATUS_ERROR;
}

static const struct attr_value *attribute_of(const struct open_span *s, const char *name)
{
	return name ? attr_list_find(&s->attrs, name, strlen(name)) : NULL;
}

static enum span_kind kind_of(const struct open_span *s)
{
	const struct pack_span *def = s->start->p.span;
	const struct attr_value *v = attribute_of(s, def->kind_from);

	return v && v->kind == ATTR_INT && v->i >= SPAN_INTERNAL && v->i <= SPAN_CONSUMER ? (enum span_kind)v->i
											  : def->kind;
}

/* What the program said of the error, unless it is known better. */
static void set_status_text(struct finished *f, const struct open_span *s)
{
	struct span *out = &f->out;
	const struct attr_value *v = attribute_of(s, s->start->p.span->status_text);

	if (out->status != SPAN_STATUS_ERROR || out->status_text || !v)
		return;
	buf_reset(&f->status_text);
	attr_list_print(&s->attrs, v, &f->status_text);
	out->status_text = f->status_text.data;
}

static void collect_attrs(struct finished *f, const struct open_span *s, bool whole)
{
	const size_t n = s->attrs.values.len;

	f->attrs.len = 0;
	vec_reserve(&f->attrs, n);
	for (size_t i = 0; i < n; i++)
		f->attrs.len += (whole || !s->attrs.values.data[i].summed) &&
				attr_list_get(&s->attrs, i, &f->attrs.data[f->attrs.len]);
}

static const struct attr_value *event_name(const struct open_span *s, const struct moment *m)
{
	const char *name = s->start->p.span->event_name;

	return attr_list_find(&m->attrs, name, strlen(name));
}

/* Those that the program has named. All they have is counted first, since what it lies in may move. */
static void collect_events(struct finished *f, const struct open_span *s, uint64_t end_ns)
{
	struct attr *next;
	size_t n = 0, bytes = 0;

	f->events.len = 0;
	for (size_t i = 0; i < s->moments.n; i++) {
		n += s->moments.of[i]->attrs.values.len;
		bytes += event_name(s, s->moments.of[i])->len + 1;
	}
	vec_reserve(&f->event_attrs, n);
	buf_reset(&f->event_names);
	buf_reserve(&f->event_names, bytes);
	next = f->event_attrs.data;
	for (size_t i = 0; i < s->moments.n; i++) {
		const struct moment *m = s->moments.of[i];
		const struct attr_value *name = event_name(s, m);
		struct span_event e = {.name = f->event_names.data + f->event_names.len,
				       .unix_ns = wall_clock_ns(f->wall, m->time_ns, end_ns), .attrs = next};

		buf_append(&f->event_names, attr_list_text(&m->attrs, name), name->len);
		buf_char(&f->event_names, 0);
		for (size_t k = 0; k < m->attrs.values.len; k++)
			e.nattrs += attr_list_get(&m->attrs, k, &next[e.nattrs]);
		next += e.nattrs;
		vec_push(&f->events, e);
	}
}

/* The span is one that is used again, all of it being set: what is zeroed for each costs more than what is set. */
const struct span *finished_span(struct finished *f, struct open_span *s, const struct ending *end, bool whole,
				 const struct resource *resource)
{
	const struct pack_span *def = s->start->p.span;
	struct span *out = &f->out;

	compose_attributes(&s->attrs, def, f->interner, &f->name);
	out->parent = s->parent;
	out->parent_source = s->parent_source;
	out->trace_state = s->trace_state.len ? s->trace_state.data : NULL;
	out->pack = s->start->p.pack->name;
	out->summary = def->summary;
	out->kind = kind_of(s);
	out->status = set_error(f, s, end);
	out->status_text = end->status_text;
	out->panicked = end->panicked;
	out->start_unix_ns = wall_clock_ns(f->wall, s->start_ns, end->time_ns);
	out->duration_ns = end->time_ns > s->start_ns ? end->time_ns - s->start_ns : 0;
	out->goid = s->goid;
	out->resource = resource;
	memcpy(out->trace_id, s->trace.trace_id, sizeof(out->trace_id));
	memcpy(out->span_id, s->trace.span_id, sizeof(out->span_id));
	memcpy(out->parent_id, s->parent_id, sizeof(out->parent_id));
	collect_attrs(f, s, whole);
	set_status_text(f, s);
	title_render(&s->attrs, def->titles, def->name, &f->name);
	out->name = f->name.data;
	out->attrs = f->attrs.data;
	out->nattrs = f->attrs.len;
	collect_events(f, s, end->time_ns);
	out->events = f->events.data;
	out->nevents = f->events.len;
	return out;
}
