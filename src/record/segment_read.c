/* Any bytes may come here. All that is taken of them goes through a struct view, which knows where they end. */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "record/segment.h"
#include "record/segment_format.h"

/* A record's bytes that are still to be taken. What is not there makes it bad, and is 0 or NULL. */
struct view {
	const uint8_t *p, *end;
	bool bad;
};

struct reader {
	const struct segment_reading *to;
	VEC(const char *) names;
	VEC(const struct summary *) summaries;
	VEC(struct attr) attrs;
	VEC(struct span_event) events;
};

static uint64_t take_number(struct view *v)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64 && v->p < v->end; shift += 7) {
		const uint8_t b = *v->p++;

		n |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return n;
	}
	v->bad = true;
	return 0;
}

static int64_t take_signed(struct view *v)
{
	const uint64_t n = take_number(v);

	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static const void *take_bytes(struct view *v, size_t n)
{
	const void *p = v->p;

	if (v->bad || n > (size_t)(v->end - v->p)) {
		v->bad = true;
		return NULL;
	}
	v->p += n;
	return p;
}

static void copy_bytes(struct view *v, void *ret, size_t n)
{
	const void *p = take_bytes(v, n);

	if (p)
		memcpy(ret, p, n);
	else
		memset(ret, 0, n);
}

static unsigned take_byte(struct view *v, unsigned most)
{
	const uint8_t *p = take_bytes(v, 1);

	v->bad |= p && *p > most;
	return p && *p <= most ? *p : 0;
}

/* n bytes and the 0 behind them. */
static const char *text_of(struct view *v, uint64_t n)
{
	const char *s = n < SIZE_MAX ? take_bytes(v, (size_t)n + 1) : NULL;

	v->bad |= !s || s[n];
	return v->bad ? NULL : s;
}

static const char *take_optional(struct view *v)
{
	const uint64_t n = take_number(v);
	const char *s = n ? text_of(v, n - 1) : NULL;

	v->bad |= s && strlen(s) != n - 1; /* what is read by its 0 alone has no other */
	return v->bad ? NULL : s;
}

/* How many of something: each takes `least` bytes, so there cannot be more than fit. */
static size_t take_count(struct view *v, size_t least)
{
	const uint64_t n = take_number(v);

	v->bad |= n > (size_t)(v->end - v->p) / least;
	return v->bad ? 0 : (size_t)n;
}

static const char *take_name(const struct reader *r, struct view *v)
{
	const uint64_t n = take_number(v);

	v->bad |= !n || n > r->names.len;
	return v->bad ? NULL : r->names.data[n - 1];
}

/* ---- attributes: onto r->attrs ---- */

static void take_attr(struct reader *r, struct view *v)
{
	struct attr a = {.key = take_name(r, v), .kind = (enum attr_kind)take_byte(v, ATTR_BOOL)};

	if (a.kind == ATTR_STRING) {
		a.len = take_number(v);
		a.s = v->bad ? NULL : text_of(v, a.len);
	} else if (a.kind == ATTR_INT) {
		a.i = take_signed(v);
	} else if (a.kind == ATTR_DOUBLE) {
		copy_bytes(v, &a.d, sizeof(a.d));
	} else {
		a.b = take_byte(v, 1);
	}
	if (!v->bad)
		vec_push(&r->attrs, a);
}

static size_t take_attrs(struct reader *r, struct view *v)
{
	const size_t n = take_count(v, 3);

	for (size_t i = 0; i < n && !v->bad; i++)
		take_attr(r, v);
	return n;
}

/* ---- what is remembered ---- */

static struct attr *copy_attrs(struct segment_memory *m, const struct attr *from, size_t n)
{
	struct attr *to = arena_array(&m->arena, struct attr, n + m->nextra + 1);

	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		to[i].key = arena_strdup(&m->arena, from[i].key);
		if (from[i].kind == ATTR_STRING)
			to[i].s = arena_strndup(&m->arena, from[i].s, from[i].len);
	}
	for (size_t i = 0; i < m->nextra; i++)
		to[n + i] = m->extra[i];
	return to;
}

static const char *copy_text(struct segment_memory *m, const char *s)
{
	return arena_strdup(&m->arena, s ? s : "");
}

static void on_resource(struct reader *r, struct view *v)
{
	struct segment_memory *m = r->to->memory;
	const uint64_t id = take_number(v);
	const int64_t pid = take_signed(v);
	const char *name = take_optional(v), *service = take_optional(v);
	struct resource *res;
	size_t n;

	r->attrs.len = 0;
	n = take_attrs(r, v);
	v->bad |= id > UINT32_MAX || pid < 0 || pid > INT32_MAX;
	if (v->bad || map_get(&m->resources, id))
		return;
	res = arena_new(&m->arena, struct resource);
	*res = (struct resource){.id = (uint32_t)id, .pid = (int)pid, .name = copy_text(m, name),
				 .service = copy_text(m, service), .attrs = copy_attrs(m, r->attrs.data, n),
				 .nattrs = n + m->nextra};
	map_set(&m->resources, id, res);
}

static void take_part(struct arena *a, struct view *v, struct summary_part *ret)
{
	struct summary_item *items;

	ret->is_error = take_byte(v, 1);
	ret->n = take_count(v, 4);
	ret->items = items = arena_array(a, struct summary_item, ret->n);
	for (size_t i = 0; i < ret->n && !v->bad; i++) {
		items[i].op = (enum summary_op)take_byte(v, SUMMARY_SIZE);
		items[i].dim = take_byte(v, 1);
		items[i].group = take_byte(v, SUMMARY_GROUPS);
		items[i].text = take_optional(v);
		v->bad |= !items[i].text;
		if (!v->bad)
			items[i].text = arena_strdup(a, items[i].text);
	}
}

static const struct summary *take_summary(struct arena *a, struct view *v)
{
	struct summary *s = arena_new(a, struct summary);
	struct summary_part *parts;
	const char *status = take_optional(v);

	s->status = status ? arena_strdup(a, status) : NULL;
	s->n = take_count(v, 2);
	s->parts = parts = arena_array(a, struct summary_part, s->n);
	for (size_t i = 0; i < s->n && !v->bad; i++)
		take_part(a, v, &parts[i]);
	return s;
}

/* Each summary is there once, however many segments tell it. */
static void on_summary(struct reader *r, struct view *v)
{
	struct segment_memory *m = r->to->memory;
	const char *bytes = (const char *)v->p;
	const size_t len = (size_t)(v->end - v->p);
	const struct summary *s = strmap_get(&m->summaries, bytes, len);

	if (!s) {
		s = take_summary(&m->arena, v);
		if (!v->bad)
			strmap_set(&m->summaries, arena_memdup(&m->arena, bytes, len), len, (void *)(uintptr_t)s);
	}
	vec_push(&r->summaries, s);
}

static const char *pack_name(struct segment_memory *m, const char *name)
{
	const size_t len = strlen(name);
	char *known = strmap_get(&m->packs, name, len);

	if (!known) {
		known = arena_strdup(&m->arena, name);
		strmap_set(&m->packs, known, len, known);
	}
	return known;
}

/* ---- records ---- */

static void on_name(struct reader *r, struct view *v)
{
	const uint64_t n = take_number(v);
	const char *s = v->bad ? NULL : text_of(v, n);

	v->bad |= s && strlen(s) != n;
	if (!v->bad)
		vec_push(&r->names, s);
}

static void take_references(struct reader *r, struct view *v, struct span *s)
{
	struct segment_memory *m = r->to->memory;
	const uint64_t resource = take_number(v), pack = take_number(v), summary = take_number(v);

	s->resource = resource ? map_get(&m->resources, resource - 1) : NULL;
	v->bad |= !s->resource || pack > r->names.len || summary > r->summaries.len;
	if (v->bad)
		return;
	s->pack = pack ? pack_name(m, r->names.data[pack - 1]) : NULL;
	s->summary = summary ? r->summaries.data[summary - 1] : NULL;
}

static void take_events(struct reader *r, struct view *v, struct span *s)
{
	r->events.len = 0;
	s->nevents = take_count(v, 10);
	for (size_t i = 0; i < s->nevents && !v->bad; i++) {
		struct span_event e = {.name = take_optional(v)};

		copy_bytes(v, &e.unix_ns, sizeof(e.unix_ns));
		e.nattrs = take_attrs(r, v);
		v->bad |= !e.name;
		vec_push(&r->events, e);
	}
}

/* All attributes lie in one place, which is known when the last of them is there. */
static void place_attrs(struct reader *r, struct span *s)
{
	const struct attr *next = r->attrs.data;

	s->attrs = next;
	next += s->nattrs;
	for (size_t i = 0; i < s->nevents; i++) {
		r->events.data[i].attrs = next;
		next += r->events.data[i].nattrs;
	}
	s->events = r->events.data;
}

static void on_span(struct reader *r, struct view *v)
{
	struct span s = {0};

	copy_bytes(v, s.trace_id, sizeof(s.trace_id));
	copy_bytes(v, s.span_id, sizeof(s.span_id));
	copy_bytes(v, s.parent_id, sizeof(s.parent_id));
	copy_bytes(v, &s.start_unix_ns, sizeof(s.start_unix_ns));
	s.duration_ns = take_number(v);
	s.goid = take_number(v);
	take_references(r, v, &s);
	s.parent = (enum span_parent)take_byte(v, SPAN_PARENT_UNKNOWN);
	s.parent_source = (enum parent_source)take_byte(v, PARENT_THREAD);
	s.kind = (enum span_kind)take_byte(v, SPAN_CONSUMER);
	s.status = (enum span_status)take_byte(v, SPAN_STATUS_ERROR);
	s.panicked = take_byte(v, 1);
	s.name = take_optional(v);
	s.status_text = take_optional(v);
	s.trace_state = take_optional(v);
	r->attrs.len = 0;
	s.nattrs = take_attrs(r, v);
	take_events(r, v, &s);
	v->bad |= s.kind < SPAN_INTERNAL || !s.name || (s.status != SPAN_STATUS_UNSET && s.status != SPAN_STATUS_ERROR);
	if (v->bad)
		return;
	place_attrs(r, &s);
	if (r->to->span)
		r->to->span(r->to->arg, &s);
}

static void on_losses(struct reader *r, struct view *v)
{
	struct recorded_losses l = {.spans = take_number(v)};
	const size_t n = take_count(v, 2);

	for (size_t i = 0; i < n && !v->bad; i++) {
		const uint64_t which = take_number(v), count = take_number(v);

		if (which < LOSS_COUNT) /* a loss of a later version is none that has a name here */
			l.losses.count[which] = count;
	}
	if (!v->bad && r->to->losses)
		r->to->losses(r->to->arg, &l);
}

/* A kind of a later version is passed over. */
static void on_record(struct reader *r, struct view *v)
{
	static void (*const of_kind[])(struct reader *, struct view *) = {
		[RECORD_NAME] = on_name,	[RECORD_RESOURCE] = on_resource, [RECORD_SUMMARY] = on_summary,
		[RECORD_SPAN] = on_span,	[RECORD_LOSSES] = on_losses,
	};
	const unsigned kind = take_byte(v, UINT8_MAX);

	if (!v->bad && kind < ARRAY_SIZE(of_kind) && of_kind[kind])
		of_kind[kind](r, v);
}

static int read_records(struct reader *r, const uint8_t *bytes, size_t size, uint64_t seed)
{
	size_t at = SEGMENT_HEADER;

	while (at + 4 <= size) {
		struct view v = {0};
		uint32_t n, sum;

		memcpy(&n, bytes + at, sizeof(n));
		if (!n)
			return 0;
		if (size - at < RECORD_HEADER || n > size - at - RECORD_HEADER)
			return -EBADMSG;
		memcpy(&sum, bytes + at + 4, sizeof(sum));
		if (!r->to->unchecked && sum != segment_checksum(seed, bytes + at + RECORD_HEADER, n))
			return -EBADMSG;
		v.p = bytes + at + RECORD_HEADER;
		v.end = v.p + n;
		on_record(r, &v);
		if (v.bad)
			return -EBADMSG;
		at += RECORD_HEADER + n;
	}
	return size >= SEGMENT_BYTES ? 0 : -EBADMSG;
}

bool segment_head_read(const uint8_t *bytes, size_t size, struct segment_head *ret)
{
	uint64_t head[3];
	uint32_t sum;

	if (size < SEGMENT_HEADER || memcmp(bytes, SEGMENT_MAGIC, 4))
		return false;
	memcpy(&sum, bytes + 4, sizeof(sum));
	memcpy(head, bytes + 8, sizeof(head));
	if (sum != segment_checksum(0, (const uint8_t *)head, sizeof(head)))
		return false;
	*ret = (struct segment_head){.sequence = head[0], .begun_unix_ns = head[1], .recording = head[2]};
	return true;
}

int segment_read(const uint8_t *bytes, size_t size, const struct segment_reading *to)
{
	struct reader r = {.to = to};
	struct segment_head head;
	int ret;

	if (!segment_head_read(bytes, size, &head))
		return -EBADMSG;
	ret = read_records(&r, bytes, MIN(size, (size_t)SEGMENT_BYTES), segment_seed(head.sequence, head.recording));
	vec_done(&r.names);
	vec_done(&r.summaries);
	vec_done(&r.attrs);
	vec_done(&r.events);
	return ret;
}

void segment_memory_done(struct segment_memory *m)
{
	arena_done(&m->arena);
	map_done(&m->resources);
	strmap_done(&m->summaries);
	strmap_done(&m->packs);
}
