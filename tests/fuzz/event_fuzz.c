/* Bytes as a sample: whatever decodes has all its strings and chunks within it. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "event/event.h"

static unsigned sum(const char *s, size_t n)
{
	unsigned ret = 0;

	while (n--)
		ret += (unsigned char)*s++;
	return ret;
}

static unsigned read_all(const struct event *e)
{
	struct event_context context;
	struct event_chain_link context_of;
	struct event_chain chain;
	struct event_link link;
	unsigned total = 0;

	for (size_t i = 0; i <= e->head->slots; i++) {
		size_t n = 0;
		const char *bytes = event_bytes(e, i, &n), *part;
		uint64_t addr;

		total += bytes ? sum(bytes, n) : 0;
		part = event_part(e, i, &n, &addr);
		total += sum(part, n) + (unsigned)addr;
		if (event_context(e, i, &context))
			total += sum((const char *)&context, sizeof(context));
		if (!event_chain(e, i, &chain))
			continue;
		for (n = 0; event_chain_link(&chain, n, &context_of); n++)
			if (!context_of.addr)
				abort();
		if (n != chain.n || n > EVENT_MAX_CHAIN || chain.end >= CHAIN_END_COUNT)
			abort();
	}
	if (event_link(e, &link) && (!link.goid || !link.parent || link.goid == link.parent))
		abort();
	for (const struct event_chunk *c = event_chunk_next(e, NULL); c; c = event_chunk_next(e, c))
		total += sum(event_chunk_bytes(c), c->len) + event_chunk_lost(c, 0, c->len + 1u);
	return total;
}

/*
 * Mutations seldom get the sizes right: one record has all, of two the first keeps its own if that can be. The version
 * is today's.
 */
static void mend(struct event_header *h, size_t size)
{
	bool two = h->kind == EVENT_RETURN || h->kind == EVENT_UNWOUND;

	h->version = EVENT_VERSION;
	if (!two) {
		h->size = (uint32_t)size;
	} else if (h->size % 8 == 0 && h->size >= sizeof(*h) && h->size + sizeof(*h) <= size) {
		struct event_header *call = (void *)((char *)h + h->size);

		call->size = (uint32_t)(size - h->size);
		call->goid = h->goid;
		call->version = EVENT_VERSION;
		call->kind = EVENT_CALL;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t *copy = malloc(size + 1); /* aligned, and of exactly that size for the sanitizer */
	volatile unsigned total = 0;
	struct event e[2];
	size_t n = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= sizeof(struct event_header))
		mend((void *)copy, size);
	if (event_decode_sample(copy, size, e, &n))
		for (size_t i = 0; i < n; i++)
			total += read_all(&e[i]);
	free(copy);
	return 0;
}
