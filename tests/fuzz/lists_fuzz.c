/*
 * Lists of attributes in a record's chunks, whatever these hold: a byte says where a chunk was and of which shape,
 * another how long it is, then come its bytes. No read outside of the record; no more attributes than a span may have.
 *
 * An interface lies where a name does: the address of its type is a name's, that of its array a name's length.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "lib/tiny_binary.h"
#include "probe/shape_index.h"
#include "span/lists.h"
#include "unit/records.h"

static const struct pack_list_value values[] = {{"1", LIST_BOOL, "X"}, {"2", LIST_INT, "X"}, {"3", LIST_FLOAT, "X"},
						{"4", LIST_TEXT, "label"}, {"5", LIST_ITEMS, "label"}};
static const char *const closures[] = {"main.main", "kind", NULL};
static const struct pack_lists lists = {.each = "main.Point", .name = "label", .type = "X", .values = values,
					.nvalues = ARRAY_SIZE(values), .closures = closures};
static const struct pack_capture list_capture = {.use = USE_LIST, .name = "attributes"};
static const struct pack_variant variant = {.captures = &list_capture, .ncaptures = 1};
static const int slot_zero[] = {0};

static struct tiny program;
static struct binary *binary;
static struct shape_table shapes;
static struct interner interner;
static const struct list_reader *reader;
static uint64_t addresses[8] = {0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 4};

static void set_up(void)
{
	struct capture_program p = {.shapes = &shapes};

	const struct type *texts;

	tiny_build(&program, (struct tiny_options){0});
	addresses[7] = tiny_array(&program, program.t_string, 16, 8, 10, "[10]string");
	binary = tiny_open(&program, NULL);
	shapes = (struct shape_table){.binary = binary, .index = xcalloc(1, sizeof(*shapes.index)),
				      .limits = {.depth = 2, .max_string = 16, .max_items = 8, .closure_words = 2}};
	vec_add(&shapes.shapes);
	vec_add(&shapes.index->states);
	shape_of(&shapes, binary_type(binary, "main.Point"));
	shape_of(&shapes, binary_type_at(binary, program.t_func));
	shape_table_finish(&shapes);
	texts = binary_type_at(binary, addresses[7]);
	vec_push(&shapes.dynamic, ((struct shape_dynamic){.rtype = texts->rtype, .shape = shape_of(&shapes, texts)}));
	reader = list_reader_new(&interner, &lists, &variant, slot_zero, &p, binary);
	if (!reader)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record r;

	if (!binary)
		set_up();
	struct arena arena = {0};
	const struct slot_source src = {.binary = binary, .max_text = 64, .arena = &arena};
	struct attr_list attrs = {0};
	struct losses losses = {0};
	struct event e;

	record_init(&r, 1, 1, 100, 1000, 1);
	record_head(&r)->chunks = (uint32_t)r.size;
	while (size >= 2 && r.size < EVENT_MAX_DATA) {
		size_t n = MIN((size_t)data[1], size - 2), padded = (n + 7) & ~(size_t)7;
		struct event_chunk c = {.addr = addresses[data[0] & 7u], .shape = (uint32_t)(data[0] >> 3 & 7u),
					.len = (uint16_t)n, .status = data[0] >> 6};

		memcpy(r.bytes + r.size, &c, sizeof(c));
		memset(r.bytes + r.size + sizeof(c), 0, padded);
		memcpy(r.bytes + r.size + sizeof(c), data + 2, n);
		r.size += sizeof(c) + padded;
		data += 2 + n;
		size -= 2 + n;
	}
	record_head(&r)->size = (uint32_t)r.size;
	if (event_decode(r.bytes, r.size, &e))
		lists_capture(reader, &interner, &e, &src, &attrs, &losses);
	if (attrs.values.len > LISTS_MAX_ATTRIBUTES + 1)
		abort();
	attr_list_done(&attrs);
	arena_done(&arena);
	return 0;
}
