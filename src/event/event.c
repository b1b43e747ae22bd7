#include "event/event.h"

#include <string.h>

static bool slot_ok(const struct event_header *h, const struct event_slot *s, uint64_t data)
{
	if (s->status >= SLOT_STATUS_COUNT)
		return false;
	if (!s->copied)
		return true;
	return (s->status == SLOT_OK || s->status == SLOT_CUT) && s->copied <= s->len &&
	       s->value >= data && s->value <= h->size && s->copied <= h->size - s->value;
}

bool event_decode(const void *data, size_t size, struct event *ret)
{
	const struct event_header *h = data;
	const struct event_slot *slots;
	uint64_t body;

	if (!data || (uintptr_t)data & 7 || size < sizeof(*h))
		return false;
	body = sizeof(*h) + (uint64_t)h->slots * sizeof(*slots);
	if (h->version != EVENT_VERSION || h->slots > EVENT_MAX_SLOTS || h->size != size ||
	    size > EVENT_MAX_SIZE || size < body)
		return false;
	slots = (const struct event_slot *)(h + 1);
	for (unsigned i = 0; i < h->slots; i++)
		if (!slot_ok(h, &slots[i], body))
			return false;
	*ret = (struct event){.head = h, .slots = slots};
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
