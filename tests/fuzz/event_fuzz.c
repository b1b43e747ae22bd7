/* Bytes as a record: whatever decodes has all its strings within it. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t *copy = malloc(size + 1); /* aligned, and of exactly that size for the sanitizer */
	volatile unsigned total = 0;
	struct event e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= sizeof(struct event_header)) /* mutations seldom get these right */
		((struct event_header *)(void *)copy)->size = (uint32_t)size;
	if (event_decode(copy, size, &e))
		for (size_t i = 0; i <= e.head->slots; i++) {
			size_t n = 0;
			const char *bytes = event_bytes(&e, i, &n);

			total += bytes ? sum(bytes, n) : 0;
		}
	free(copy);
	return 0;
}
