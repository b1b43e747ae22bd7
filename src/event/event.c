#include "event/event.h"

#include <string.h>

#include "base/macro.h"

static bool slot_ok(const struct event_header *h, const struct event_slot *s, uint64_t data)
{
	if (s->status >= SLOT_STATUS_COUNT)
		return false;
	if (!s->copied)
		return true;
	if (s->status == SLOT_NOT_RESIDENT) /* the address comes first */
		data += sizeof(uint64_t);
	return (s->status == SLOT_OK || s->status == SLOT_CUT || s->status == SLOT_NOT_RESIDENT) &&
	       s->copied <= s->len && s->value >= data && s->value <= h->size && s->copied <= h->size - s->value;
}

static size_t chunk_size(const struct event_chunk *c)
{
	return sizeof(*c) + ALIGN_UP((size_t)c->len, 8);
}

/* Whether chunks fill the record from `chunks` to its end. */
static bool chunks_ok(const struct event_header *h, uint64_t body)
{
	uint64_t at = h->chunks;

	if (!at)
		return true;
	if (at & 7 || at < body)
		return false;
	while (at < h->size) {
		const struct event_chunk *c = (const void *)((const char *)h + at);

		if (h->size - at < sizeof(*c) || h->size - at < chunk_size(c) ||
		    event_chunk_status(c) >= SLOT_STATUS_COUNT)
			return false;
		at += chunk_size(c);
	}
	return at == h->size;
}

const struct event_chunk *event_chunk_next(const struct event *e, const struct event_chunk *c)
{
	const char *start = (const char *)e->head, *next = start + e->head->chunks;

	if (!e->head->chunks)
		return NULL;
	if (c)
		next = (const char *)c + chunk_size(c);
	return next < start + e->head->size ? (const void *)next : NULL;
}

/* Two numbers and nothing else: two goroutines of which one is the other's creator. */
static bool link_ok(const struct event_header *h, const struct event_slot *slots)
{
	if (h->slots != LINK_SLOTS || h->size != sizeof(*h) + LINK_SLOTS * sizeof(*slots) || h->chunks)
		return false;
	for (unsigned i = 0; i < LINK_SLOTS; i++)
		if (slots[i].status != SLOT_OK || slots[i].copied)
			return false;
	return h->goid && slots[LINK_PARENT].value && slots[LINK_PARENT].value != h->goid;
}

bool event_decode(const void *data, size_t size, struct event *ret)
{
	const struct event_header *h = data;
	const struct event_slot *slots;
	uint64_t body;

	if (!data || (uintptr_t)data & 7 || size < sizeof(*h))
		return false;
	body = sizeof(*h) + (uint64_t)h->slots * sizeof(*slots);
	if (h->version != EVENT_VERSION || h->kind >= EVENT_KIND_COUNT || h->slots > EVENT_MAX_SLOTS ||
	    h->size != size || size > EVENT_MAX_SIZE || size < body)
		return false;
	slots = (const struct event_slot *)(h + 1);
	for (unsigned i = 0; i < h->slots; i++)
		if (!slot_ok(h, &slots[i], body))
			return false;
	if (!chunks_ok(h, body) || (h->kind == EVENT_LINK && !link_ok(h, slots)))
		return false;
	*ret = (struct event){.head = h, .slots = slots};
	return true;
}

bool event_decode_sample(const void *data, size_t size, struct event ret[2], size_t *ret_n)
{
	const struct event_header *h = data;
	struct event e[2] = {0};
	size_t n = 1;

	if (!data || (uintptr_t)data & 7 || size < sizeof(*h) || h->size > size || h->size & 7)
		return false;
	if (!event_decode(data, h->size, &e[0]))
		return false;
	if (h->kind == EVENT_RETURN || h->kind == EVENT_UNWOUND) {
		n = 2;
		if (!event_decode((const char *)data + h->size, size - h->size, &e[1]) ||
		    e[1].head->kind != EVENT_CALL || e[1].head->goid != h->goid)
			return false;
	} else if (h->size != size) {
		return false;
	}
	memcpy(ret, e, sizeof(e));
	*ret_n = n;
	return true;
}

const char *event_bytes(const struct event *e, size_t slot, size_t *ret_len)
{
	const struct event_slot *s = slot < e->head->slots ? &e->slots[slot] : NULL;

	if (!s || (s->status != SLOT_OK && s->status != SLOT_CUT))
		return NULL;
	*ret_len = s->copied;
	return s->copied ? (const char *)e->head + s->value : "";
}

const char *event_part(const struct event *e, size_t slot, size_t *ret_len, uint64_t *ret_addr)
{
	const struct event_slot *s = slot < e->head->slots ? &e->slots[slot] : NULL;
	const char *bytes;

	*ret_len = 0;
	*ret_addr = s ? s->value : 0;
	if (!s || s->status != SLOT_NOT_RESIDENT || !s->copied)
		return "";
	bytes = (const char *)e->head + s->value;
	*ret_len = s->copied;
	memcpy(ret_addr, bytes - sizeof(*ret_addr), sizeof(*ret_addr));
	return bytes;
}

bool event_context(const struct event *e, size_t slot, struct event_context *ret)
{
	const struct event_slot *s = slot < e->head->slots ? &e->slots[slot] : NULL;
	struct event_context c;
	uint64_t id[3];

	if (!s || s->status != SLOT_OK || s->copied != sizeof(c) || s->len != sizeof(c))
		return false;
	memcpy(&c, (const char *)e->head + s->value, sizeof(c));
	memcpy(id, &c, sizeof(id));
	if (!(id[0] | id[1]) || !id[2])
		return false;
	*ret = c;
	return true;
}

static uint64_t chain_word(const unsigned char *words, size_t i)
{
	uint64_t w;

	memcpy(&w, words + 8 * i, sizeof(w));
	return w;
}

/* False where the words are no span. */
static bool chain_span(const unsigned char *words, size_t n, struct event_chain *c)
{
	struct event_chain_span s;
	uint64_t id[3];

	if (8 * n != sizeof(s))
		return false;
	memcpy(&s, words, sizeof(s));
	if (!s.link || s.link > c->n)
		return false;
	s.flags &= 0xff;
	s.remote &= 0xff;
	memcpy(id, &s, sizeof(id));
	c->has_span = (id[0] | id[1]) && id[2];
	c->span = s;
	return true;
}

bool event_chain(const struct event *e, size_t slot, struct event_chain *ret)
{
	struct event_chain c;
	const struct event_slot *s = slot < e->head->slots ? &e->slots[slot] : NULL;
	const unsigned char *words;
	size_t n = 0, all;

	if (!s || s->status != SLOT_OK || !s->copied || s->copied % 8 || s->len != s->copied ||
	    s->copied > EVENT_CHAIN_BYTES)
		return false;
	words = (const unsigned char *)e->head + s->value;
	all = s->copied / 8u;
	while (n < all && chain_word(words, n) > CHAIN_BITS)
		n++;
	if (n == all || n > EVENT_MAX_CHAIN || chain_word(words, n) >= CHAIN_END_COUNT)
		return false;
	c = (struct event_chain){.words = words, .n = n, .end = (enum event_chain_end)chain_word(words, n)};
	if (all - n - 1 && !chain_span(words + 8 * (n + 1), all - n - 1, &c))
		return false;
	*ret = c;
	return true;
}

bool event_chain_link(const struct event_chain *c, size_t i, struct event_chain_link *ret)
{
	uint64_t w;

	if (i >= c->n)
		return false;
	w = chain_word(c->words, i);
	*ret = (struct event_chain_link){.addr = w & ~(uint64_t)CHAIN_BITS, .pooled = w & CHAIN_POOLED};
	return true;
}

bool event_link(const struct event *e, struct event_link *ret)
{
	if (e->head->kind != EVENT_LINK)
		return false;
	*ret = (struct event_link){.goid = e->head->goid,
				   .parent = e->slots[LINK_PARENT].value,
				   .epoch_ns = e->slots[LINK_EPOCH].value};
	return true;
}

bool slot_lost(enum slot_status s)
{
	return s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY;
}

const char *slot_status_text(enum slot_status s)
{
	static const char *const texts[SLOT_STATUS_COUNT] = {
		[SLOT_ABSENT] = "not applicable",   [SLOT_OK] = "read",
		[SLOT_CUT] = "cut",                 [SLOT_NIL] = "nil pointer",
		[SLOT_NOT_RESIDENT] = "not resident", [SLOT_UNREADABLE] = "unreadable memory",
		[SLOT_RANGE] = "index out of range", [SLOT_NO_KEY] = "no such key",
		[SLOT_OTHER_TYPE] = "another type", [SLOT_MAP_BUSY] = "map too large or being moved",
	};

	return (unsigned)s < SLOT_STATUS_COUNT ? texts[s] : "unknown";
}
