/*
 * Records of any content rendered against the shapes of a real program. The input is the type of the slot (a byte),
 * then chunks: shape (2 bytes), address (a byte), status (a byte), bytes that follow (a byte, in words). Words that are
 * below 256 are addresses by themselves; words whose low byte is 0xee become type words, so that interfaces hold
 * something.
 */
#include "fuzz/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/value_slot.h"
#include "probe/shape_index.h"

static const char *const roots[] = {"any", "error", "[]error", "map[string]int", "*main.Cart", "main.User", "[]any",
				    "map[any]string", "time.Time", "main.Shape", "[3]main.Color", "chan int"};

static struct binary *binary;
static struct shape_table *table;
static const struct type *types[sizeof(roots) / sizeof(*roots)];

/* False when the test programs were not built: then there is nothing to run against. */
static bool prepare(void)
{
	static bool tried;
	const char *cache = getenv("EARSHOT_CACHE");
	struct shape_limits limits = SHAPE_LIMITS_DEFAULT;
	char path[4096];

	if (tried)
		return table;
	tried = true;
	snprintf(path, sizeof(path), "%s/bin/values-go1.%s-sw", cache ? cache : "/var/cache/earshot",
		 getenv("VALUES_GO") ? getenv("VALUES_GO") : "26");
	if (binary_open(path, &binary, NULL) || shape_table_new(binary, &limits, &table, NULL)) {
		printf("skipped: no %s (tests/lib/build.sh makes it)\n", path);
		return false;
	}
	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
		types[i] = binary_type_parse(binary, "", roots[i], NULL);
		if (types[i])
			shape_of(table, types[i]);
	}
	shape_table_finish(table);
	return true;
}

static uint64_t translate(uint64_t word)
{
	if ((word & 0xff) == 0xee && table->dynamic.len)
		return table->dynamic.data[(word >> 8) % table->dynamic.len].rtype;
	return word;
}

/* One chunk from the input; returns the input's bytes that it took. */
static size_t add_chunk(const uint8_t *data, size_t size, struct buf *record)
{
	size_t room = EVENT_MAX_SIZE - record->len, n;
	struct event_chunk c = {0};

	if (size < 5 || room < sizeof(c) + 256 * 8)
		return 0;
	n = data[4] * 8u;
	if (n > size - 5)
		n = (size - 5) & ~(size_t)7;
	c = (struct event_chunk){.addr = data[2], .shape = (uint32_t)((data[0] | data[1] << 8) % table->shapes.len),
				 .status = data[3] % 16 < SLOT_STATUS_COUNT ? data[3] % 16 : SLOT_OK,
				 .len = (uint16_t)n, .depth = data[3] >> 4};
	c.status |= (uint8_t)((data[3] >> 6 & 1u) << EVENT_PAGES_SHIFT); /* its page could not be read */
	buf_append(record, &c, sizeof(c));
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word;

		memcpy(&word, data + 5 + i, 8);
		word = translate(word);
		buf_append(record, &word, 8);
	}
	return 5 + n;
}

static void render(const struct event *e, const struct type *type)
{
	struct arena arena = {0};
	struct value_context c = {.binary = binary, .shapes = table, .arena = &arena};
	struct ir_slot what = {.kind = VALUE_IMAGE, .type = type};
	struct buf text = {0};
	struct json json = {.out = &text};
	struct value_node v;

	value_from_slot(&c, e, 0, &what, NULL, &v);
	value_print(&v, &text);
	value_json(&v, &json);
	buf_done(&text);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_header head = {.version = EVENT_VERSION, .slots = 1};
	struct event_slot slot = {.status = SLOT_OK};
	struct buf record = {0};
	struct event e;
	size_t at = 1, n;

	if (!size || !prepare() || !types[data[0] % (sizeof(roots) / sizeof(*roots))])
		return 0;
	head.chunks = sizeof(head) + sizeof(slot);
	slot.value = head.chunks;
	buf_append(&record, &head, sizeof(head));
	buf_append(&record, &slot, sizeof(slot));
	while ((n = add_chunk(data + at, size - at, &record)))
		at += n;
	((struct event_header *)(void *)record.data)->size = (uint32_t)record.len;
	if (event_decode(record.data, record.len, &e))
		render(&e, types[data[0] % (sizeof(roots) / sizeof(*roots))]);
	buf_done(&record);
	return 0;
}
