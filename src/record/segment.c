#include "record/segment.h"

#include <string.h>

#include "base/hash.h"
#include "record/segment_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "recordings are little-endian");

uint64_t segment_seed(uint64_t sequence, uint64_t recording)
{
	return hash_next(hash_next(FNV1A_BASIS, recording), sequence);
}

uint32_t segment_checksum(uint64_t seed, const uint8_t *bytes, size_t n)
{
	const uint64_t hash = hash_next(seed, hash_of_bytes(bytes, n));

	return (uint32_t)(hash ^ hash >> 32);
}

/* ---- the pen ---- */

/* Where bytes are put, to whose room somebody has seen before. */
static void put_bytes(uint8_t **p, const void *bytes, size_t n)
{
	if (n)
		memcpy(*p, bytes, n);
	*p += n;
}

static void put_number(uint8_t **p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*(*p)++ = (uint8_t)(v | 0x80);
	*(*p)++ = (uint8_t)v;
}

static void put_signed(uint8_t **p, int64_t v)
{
	put_number(p, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static void put_text(uint8_t **p, const char *s, size_t n)
{
	put_number(p, n);
	put_bytes(p, s, n);
	*(*p)++ = 0;
}

/* NULL is 0, a text its length + 1 and itself. */
static void put_optional(uint8_t **p, const char *s)
{
	const size_t n = s ? strlen(s) : 0;

	put_number(p, s ? n + 1 : 0);
	if (s)
		put_bytes(p, s, n + 1);
}

static size_t optional_room(const char *s)
{
	return NUMBER_MAX + (s ? strlen(s) + 1 : 0);
}

/* ---- records ---- */

/* Where a record of that kind and of at most `most` bytes can be put; NULL: there is no room for it. */
static uint8_t *record_begin(struct segment_writer *w, enum segment_record kind, size_t most)
{
	uint8_t *p = w->bytes + w->used;

	if (most > SEGMENT_BYTES || w->used + RECORD_HEADER + 1 + most > SEGMENT_BYTES)
		return NULL;
	p[RECORD_HEADER] = kind;
	return p + RECORD_HEADER + 1;
}

static void record_end(struct segment_writer *w, const uint8_t *end)
{
	uint8_t *p = w->bytes + w->used;
	const uint32_t size = (uint32_t)(end - p - RECORD_HEADER);
	const uint32_t sum = w->unchecked ? 0 : segment_checksum(w->seed, p + RECORD_HEADER, size);
	static const uint8_t none[4];

	w->used += RECORD_HEADER + size;
	memcpy(w->bytes + w->used, none, MIN(sizeof(none), SEGMENT_BYTES - w->used));
	memcpy(p, &size, sizeof(size));
	memcpy(p + 4, &sum, sizeof(sum));
}

/* The number of a name, which is told where it is new here. False: no room. */
static bool name_number(struct segment_writer *w, const char *s, uint32_t *ret)
{
	size_t len;
	uint8_t *p;

	*ret = (uint32_t)(uintptr_t)map_get(&w->names, (uint64_t)(uintptr_t)s);
	if (*ret)
		return true;
	len = strlen(s);
	p = record_begin(w, RECORD_NAME, NUMBER_MAX + len + 1);
	if (!p)
		return false;
	put_text(&p, s, len);
	record_end(w, p);
	*ret = (uint32_t)w->names.len + 1;
	map_set(&w->names, (uint64_t)(uintptr_t)s, (void *)(uintptr_t)*ret);
	return true;
}

static bool optional_name(struct segment_writer *w, const char *s, uint32_t *ret)
{
	*ret = 0;
	return !s || name_number(w, s, ret);
}

/* Spans of one kind have the same attributes in the same order, mostly. */
static bool key_number(struct segment_writer *w, const char *key, uint32_t *ret)
{
	const size_t i = w->keys.len;

	if (i < w->guesses.len && w->guesses.data[i] == key) {
		*ret = w->guessed.data[i];
		return true;
	}
	if (!name_number(w, key, ret))
		return false;
	if (i == w->guesses.len) {
		vec_push(&w->guesses, NULL);
		vec_push(&w->guessed, 0);
	}
	if (i < w->guesses.len) {
		w->guesses.data[i] = key;
		w->guessed.data[i] = *ret;
	}
	return true;
}

/* Numbers of the names of attributes, onto w->keys; adds the room that all of these take. */
static bool keys_of(struct segment_writer *w, const struct attr *attrs, size_t n, size_t *room)
{
	uint32_t number;

	for (size_t i = 0; i < n; i++) {
		if (!key_number(w, attrs[i].key, &number))
			return false;
		vec_push(&w->keys, number);
		*room += 2 * NUMBER_MAX + 2 + (attrs[i].kind == ATTR_STRING ? attrs[i].len : 0);
	}
	*room += NUMBER_MAX;
	return true;
}

static void put_attrs(uint8_t **p, const struct attr *attrs, size_t n, const uint32_t **key)
{
	put_number(p, n);
	for (size_t i = 0; i < n; i++) {
		const struct attr *a = &attrs[i];

		put_number(p, *(*key)++);
		*(*p)++ = a->kind;
		if (a->kind == ATTR_STRING)
			put_text(p, a->s, a->len);
		else if (a->kind == ATTR_INT)
			put_signed(p, a->i);
		else if (a->kind == ATTR_DOUBLE)
			put_bytes(p, &a->d, sizeof(a->d));
		else
			*(*p)++ = a->b;
	}
}

/* ---- what spans refer to ---- */

static bool tell_resource(struct segment_writer *w, const struct resource *r)
{
	size_t room = 3 * NUMBER_MAX + optional_room(r->name) + optional_room(r->service);
	const uint32_t *key;
	uint8_t *p;

	w->keys.len = 0;
	if (!keys_of(w, r->attrs, r->nattrs, &room) || !(p = record_begin(w, RECORD_RESOURCE, room)))
		return false;
	key = w->keys.data;
	put_number(&p, r->id);
	put_signed(&p, r->pid);
	put_optional(&p, r->name);
	put_optional(&p, r->service);
	put_attrs(&p, r->attrs, r->nattrs, &key);
	record_end(w, p);
	map_set(&w->resources, r->id, w);
	return true;
}

static size_t summary_room(const struct summary *s)
{
	size_t room = NUMBER_MAX + optional_room(s->status);

	for (size_t i = 0; i < s->n; i++) {
		room += NUMBER_MAX + 1;
		for (size_t j = 0; j < s->parts[i].n; j++)
			room += 3 + optional_room(s->parts[i].items[j].text);
	}
	return room;
}

static bool summary_number(struct segment_writer *w, const struct summary *s, uint32_t *ret)
{
	uint8_t *p;

	*ret = s ? (uint32_t)(uintptr_t)map_get(&w->summaries, (uint64_t)(uintptr_t)s) : 0;
	if (!s || *ret)
		return true;
	p = record_begin(w, RECORD_SUMMARY, summary_room(s));
	if (!p)
		return false;
	put_optional(&p, s->status);
	put_number(&p, s->n);
	for (size_t i = 0; i < s->n; i++) {
		*p++ = s->parts[i].is_error;
		put_number(&p, s->parts[i].n);
		for (size_t j = 0; j < s->parts[i].n; j++) {
			const struct summary_item *item = &s->parts[i].items[j];

			*p++ = item->op;
			*p++ = item->dim;
			*p++ = (uint8_t)item->group;
			put_optional(&p, item->text);
		}
	}
	record_end(w, p);
	*ret = (uint32_t)w->summaries.len + 1;
	map_set(&w->summaries, (uint64_t)(uintptr_t)s, (void *)(uintptr_t)*ret);
	return true;
}

/* ---- spans ---- */

static bool event_keys(struct segment_writer *w, const struct span *s, size_t *room)
{
	for (size_t i = 0; i < s->nevents; i++) {
		*room += 8 + optional_room(s->events[i].name);
		if (!keys_of(w, s->events[i].attrs, s->events[i].nattrs, room))
			return false;
	}
	return true;
}

bool segment_add_span(struct segment_writer *w, const struct span *s)
{
	size_t room = 128 + optional_room(s->name) + optional_room(s->status_text) + optional_room(s->trace_state);
	uint32_t pack, summary;
	const uint32_t *key;
	uint8_t *p;

	if (s->resource && !map_get(&w->resources, s->resource->id) && !tell_resource(w, s->resource))
		return false;
	w->keys.len = 0;
	if (!optional_name(w, s->pack, &pack) || !summary_number(w, s->summary, &summary) ||
	    !keys_of(w, s->attrs, s->nattrs, &room) || !event_keys(w, s, &room) ||
	    !(p = record_begin(w, RECORD_SPAN, room)))
		return false;
	key = w->keys.data;
	put_bytes(&p, s->trace_id, sizeof(s->trace_id));
	put_bytes(&p, s->span_id, sizeof(s->span_id));
	put_bytes(&p, s->parent_id, sizeof(s->parent_id));
	put_bytes(&p, &s->start_unix_ns, sizeof(s->start_unix_ns));
	put_number(&p, s->duration_ns);
	put_number(&p, s->goid);
	put_number(&p, s->resource ? (uint64_t)s->resource->id + 1 : 0);
	put_number(&p, pack);
	put_number(&p, summary);
	*p++ = s->parent;
	*p++ = s->parent_source;
	*p++ = s->kind;
	*p++ = s->status;
	*p++ = s->panicked;
	put_optional(&p, s->name);
	put_optional(&p, s->status_text);
	put_optional(&p, s->trace_state);
	put_attrs(&p, s->attrs, s->nattrs, &key);
	put_number(&p, s->nevents);
	for (size_t i = 0; i < s->nevents; i++) {
		put_optional(&p, s->events[i].name);
		put_bytes(&p, &s->events[i].unix_ns, 8);
		put_attrs(&p, s->events[i].attrs, s->events[i].nattrs, &key);
	}
	record_end(w, p);
	return true;
}

bool segment_add_losses(struct segment_writer *w, const struct recorded_losses *l)
{
	uint8_t *p = record_begin(w, RECORD_LOSSES, (LOSS_COUNT + 1) * 2 * NUMBER_MAX);
	size_t n = 0;

	if (!p)
		return false;
	for (size_t i = 0; i < LOSS_COUNT; i++)
		n += l->losses.count[i] != 0;
	put_number(&p, l->spans);
	put_number(&p, n);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		if (l->losses.count[i]) {
			put_number(&p, i);
			put_number(&p, l->losses.count[i]);
		}
	record_end(w, p);
	return true;
}

/* ---- beginning and end ---- */

static void forget(struct segment_writer *w)
{
	map_done(&w->names);
	map_done(&w->resources);
	map_done(&w->summaries);
	w->names = w->resources = w->summaries = (struct map){0};
	w->keys.len = w->guesses.len = w->guessed.len = 0;
}

void segment_begin(struct segment_writer *w, uint8_t *bytes, uint64_t sequence, uint64_t recording,
		   uint64_t now_unix_ns)
{
	const uint64_t head[3] = {sequence, now_unix_ns, recording};
	const uint32_t sum = segment_checksum(0, (const uint8_t *)head, sizeof(head));

	forget(w);
	w->bytes = bytes;
	w->used = SEGMENT_HEADER;
	w->seed = segment_seed(sequence, recording);
	memcpy(bytes, SEGMENT_MAGIC, 4);
	memcpy(bytes + 4, &sum, sizeof(sum));
	memcpy(bytes + 8, head, sizeof(head));
	memset(bytes + SEGMENT_HEADER, 0, 4);
}

void segment_writer_done(struct segment_writer *w)
{
	forget(w);
	vec_done(&w->keys);
	vec_done(&w->guesses);
	vec_done(&w->guessed);
}
