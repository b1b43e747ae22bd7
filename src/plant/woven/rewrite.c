#include "plant/woven/rewrite.h"

void rewriting_append(const struct rewriting *to, const struct event *from, struct buf *out)
{
	struct event_header head = *from->head;
	const size_t body = sizeof(head) + head.slots * sizeof(struct event_slot), bytes = head.size - body;
	const size_t start = sizeof(head) + to->n * sizeof(struct event_slot);

	if (head.kind != EVENT_POINT || head.chunks || start + bytes > EVENT_MAX_SIZE)
		return;
	head.kind = (uint8_t)to->kind;
	head.probe = to->probe;
	head.slots = (uint16_t)to->n;
	head.size = (uint32_t)(start + bytes);
	buf_append(out, &head, sizeof(head));
	for (size_t i = 0; i < to->n; i++) {
		struct event_slot s = {0};

		const int slot = to->slots ? to->slots[i] : (int)i;

		if (slot >= 0 && slot < from->head->slots)
			s = from->slots[slot];
		if (s.copied)
			s.value += start - body;
		buf_append(out, &s, sizeof(s));
	}
	buf_append(out, (const char *)from->head + body, bytes);
}
