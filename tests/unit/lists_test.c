/* Attributes that a program names itself: lists of them in a record's chunks, as a pack says what they look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "probe/shape_index.h"
#include "span/lists.h"
#include "unit/open.h"
#include "unit/records.h"

/* The program's only struct with a number and a text, main.Point: {X int; label string}. */
static const struct pack_list_value values[] = {{"1", LIST_BOOL, "X"}, {"2", LIST_INT, "X"}, {"3", LIST_FLOAT, "X"},
						{"4", LIST_TEXT, "label"}, {"5", LIST_ITEMS, "label"},
						{"6", LIST_INT, "Y"}};
static const char *const closures[] = {"x.F", "other", "x/trace.WithK", "kind", NULL};
static const struct pack_lists lists = {.each = "main.Point", .name = "label", .type = "X", .values = values,
					.nvalues = ARRAY_SIZE(values), .closures = closures};
static const struct pack_capture list_capture = {.use = USE_LIST, .name = "attributes"};
static const struct pack_variant variant = {.captures = &list_capture, .ncaptures = 1};
static const int slot_zero[] = {0};
static const struct shape_limits limits = {.depth = 2, .max_string = 16, .max_items = 8, .any_plain = true,
					   .closure_words = 2};

#define BIAS 0x10000

struct element {
	uint64_t type, name, len;
};

static struct tiny program;
static struct binary *binary;
static struct shape_table *shapes;
static struct interner interner;
static struct attr_list attrs;
static struct losses losses;
static struct record r;
static const struct list_reader *reader;
enum { INTS, TEXTS, MAPS, NARRAYS };
static uint64_t arrays[NARRAYS]; /* their types */

/* Its function Move becomes a closure. */
static void rename_function(const char *to)
{
	static const char from[] = "main.(*Point).Move";
	char *at = memmem(program.data, sizeof(program.data), from, sizeof(from));

	assert_non_null(at);
	assert_in_range(strlen(to), 1, strlen(from));
	memcpy(at, to, strlen(to) + 1);
}

/* The program does not tell what an interface holds, so shape_table_new has none for it. */
static void make_shapes(void)
{
	shapes = xcalloc(1, sizeof(*shapes));
	shapes->index = xcalloc(1, sizeof(*shapes->index));
	shapes->binary = binary;
	shapes->limits = limits;
	vec_add(&shapes->shapes);
	vec_add(&shapes->index->states);
	assert_true(shape_of(shapes, binary_type(binary, "main.Point")));
	assert_true(shape_of(shapes, binary_type_at(binary, program.t_func)));
	shape_table_finish(shapes);
	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
		const struct type *t = binary_type_at(binary, arrays[i]);

		vec_push(&shapes->dynamic, ((struct shape_dynamic){.rtype = t->rtype, .shape = shape_of(shapes, t)}));
	}
}

static void set_up(const char *function)
{
	struct capture_program p = {0};

	tiny_build(&program, (struct tiny_options){0});
	rename_function(function);
	arrays[INTS] = tiny_array(&program, program.t_int, 8, 8, 10, "[10]int");
	arrays[TEXTS] = tiny_array(&program, program.t_string, 16, 8, 2, "[2]string");
	arrays[MAPS] = tiny_array(&program, program.t_map, 8, 8, 1, "[1]map[string]int");
	binary = open_changed(&program);
	make_shapes();
	p.shapes = shapes;
	reader = list_reader_new(&interner, &lists, &variant, slot_zero, &p, binary);
	assert_non_null(reader);
	record_init(&r, 1, 1, 100, 1000, 1);
	record_status(&r, 0, SLOT_ABSENT, 0, 0);
}

/* The closure is one of a function that was inlined. */
static int setup(void **state)
{
	set_up("main.F.WithK.func1");
	return 0;
}

static int setup_own(void **state)
{
	set_up("main.WithK.func1");
	return 0;
}

static int teardown(void **state)
{
	attr_list_done(&attrs);
	attrs = (struct attr_list){0};
	losses = (struct losses){0};
	interner_done(&interner);
	interner = (struct interner){0};
	shape_table_free(shapes);
	binary_free(TAKE(binary));
	return 0;
}

/* ---- records ---- */

/* A copy of n bytes of memory at addr. */
static void chunk(uint64_t addr, uint32_t shape, const void *bytes, size_t n, enum slot_status status)
{
	struct event_chunk c = {.addr = addr, .shape = shape, .len = (uint16_t)n, .status = (uint8_t)status};
	size_t padded = (n + 7) & ~(size_t)7;

	if (!record_head(&r)->chunks)
		record_head(&r)->chunks = (uint32_t)r.size;
	memcpy(r.bytes + r.size, &c, sizeof(c));
	memset(r.bytes + r.size + sizeof(c), 0, padded);
	memcpy(r.bytes + r.size + sizeof(c), bytes, n);
	r.size += sizeof(c) + padded;
	record_head(&r)->size = (uint32_t)r.size;
}

static void text(uint64_t addr, const char *s, size_t n)
{
	chunk(addr, shape_find(shapes, NULL, SHAPE_BYTES), s, n, SLOT_OK);
}

static void list(const struct element *e, size_t n, enum slot_status status)
{
	chunk(0x1000, shape_find(shapes, binary_type(binary, "main.Point"), SHAPE_VALUE), e, n * sizeof(*e), status);
}

/* Reads the record; the attributes, each as key=value. */
static const char *read_lists(void)
{
	_cleanup_(arena_done) struct arena arena = {0};
	const struct slot_source src = {.binary = binary, .bias = BIAS, .max_text = 64, .arena = &arena};
	static char told[1000];
	struct buf out = {0};
	struct attr a;
	struct event e;

	assert_true(event_decode(r.bytes, r.size, &e));
	lists_capture(reader, &interner, &e, &src, &attrs, &losses);
	for (size_t i = 0; i < attrs.values.len; i++) {
		if (!attr_list_get(&attrs, i, &a))
			continue;
		buf_printf(&out, "%s%s=", out.len ? " " : "", a.key);
		attr_list_print(&attrs, &attrs.values.data[i], &out);
	}
	snprintf(told, sizeof(told), "%s", out.data ? out.data : "");
	buf_done(&out);
	return told;
}

/* ---- lists ---- */

/* Names and values; the later of two with one name counts. No name is none; a type without a rule is counted. */
static void test_values(void **state)
{
	const struct element e[] = {{1, 0x2000, 2}, {2, 0x2010, 3}, {4, 0x2020, 4}, {4, 0x2000, 2}, {9, 0x2010, 3},
				    {4, 0, 0},      {6, 0x2010, 3}};

	list(e, ARRAY_SIZE(e), SLOT_OK);
	text(0x2000, "ok", 2);
	text(0x2010, "sum", 3);
	text(0x2020, "text", 4);
	assert_string_equal(read_lists(), "ok=ok sum=2 text=text");
	assert_int_equal(losses.count[LOSS_ATTRIBUTE], 2);
	losses.count[LOSS_ATTRIBUTE] = 0;
	assert_false(losses_any(&losses));
}

/* A name or a text of which not all is there. */
static void test_missing(void **state)
{
	static const char name[] = "a text longer than sixteen bytes";
	const struct element e[] = {{2, 0x2000, 3}, {2, 0x2010, strlen(name)}, {2, 0x2030, UINT64_MAX}};

	list(e, ARRAY_SIZE(e), SLOT_OK);
	text(0x2010, name, limits.max_string);
	assert_string_equal(read_lists(), "");
	assert_int_equal(losses.count[LOSS_VALUE_UNREADABLE], 3);
}

/* An interface that holds nothing known is no list; a list of which no part, or the first only, was copied. */
static void test_odd_lists(void **state)
{
	const struct element e[] = {{5, 0x2000, 2}, {2, 0x2000, 2}};

	list(e, ARRAY_SIZE(e), SLOT_CUT);
	text(0x2000, "ok", 2);
	chunk(0x3000, shape_find(shapes, binary_type(binary, "main.Point"), SHAPE_VALUE), e, sizeof(*e) / 2, SLOT_OK);
	chunk(0x3000, shape_find(shapes, binary_type(binary, "main.Point"), SHAPE_VALUE), e, 0, SLOT_UNREADABLE);
	assert_string_equal(read_lists(), "ok=2");
	assert_int_equal(losses.count[LOSS_VALUE_UNREADABLE], 2);
	assert_int_equal(losses.count[LOSS_ATTRIBUTE], 1);
}

/*
 * Here an interface lies where the name does: its type is the name's address, and where its array is the name's length.
 * What is beyond the limit is told, and what could not be read, or is nothing that an attribute has, is null.
 */
static void test_items(void **state)
{
	static const char *const names[] = {"ints", "texts", "objects"};
	const int64_t ints[8] = {1, -2, 3, INT64_MIN};
	const uint64_t texts[4] = {0x2000, 3, 0x2010, 3}, map = 0x2020;
	const void *const bytes[] = {ints, texts, &map};
	const size_t sizes[] = {sizeof(ints), sizeof(texts), sizeof(map)};
	struct element e[NARRAYS];

	for (size_t i = 0; i < NARRAYS; i++) {
		e[i] = (struct element){5, arrays[i] + BIAS, strlen(names[i])};
		text(e[i].name, names[i], e[i].len);
		chunk(e[i].len, shapes->dynamic.data[i].shape, bytes[i], sizes[i], SLOT_OK);
	}
	text(0x2000, "tea", 3);
	list(e, NARRAYS, SLOT_OK);
	assert_string_equal(read_lists(), "ints=[1,-2,3,-9223372036854775808,0,0,0,0] earshot.truncated.ints=10 "
					  "texts=[\"tea\",null] objects=[null]");
	assert_int_equal(losses.count[LOSS_VALUE_UNREADABLE], 2);
}

static void test_too_many(void **state)
{
	for (unsigned i = 0; i < 2 * LISTS_MAX_ATTRIBUTES; i++) {
		char name[16];
		const struct element e = {2, 0x2000, (uint64_t)snprintf(name, sizeof(name), "k%u", i)};

		record_init(&r, 1, 1, 100, 1000, 1);
		list(&e, 1, SLOT_OK);
		text(0x2000, name, e.len);
		read_lists();
	}
	assert_int_equal(attrs.values.len, LISTS_MAX_ATTRIBUTES);
	assert_int_equal(losses.count[LOSS_ATTRIBUTE], LISTS_MAX_ATTRIBUTES);
}

/* The variable of a closure whose code is a function's: by that one's name. */
static void test_closures(void **state)
{
	uint32_t shape = shape_find(shapes, binary_type_at(binary, program.t_func), SHAPE_FUNC);
	const uint64_t object[2] = {program.base + TINY_TEXT + 0x40 + BIAS, 3}, others[2] = {object[0] - 0x40, 4};

	assert_true(shape);
	chunk(0x4000, shape, object, sizeof(object), SLOT_OK);
	chunk(0x5000, shape, others, sizeof(others), SLOT_OK);
	chunk(0x6000, shape, object, 8, SLOT_OK);
	assert_string_equal(read_lists(), "");
	assert_int_equal(attrs.values.len, 1);
	assert_string_equal(attrs.values.data[0].key, "kind");
	assert_true(attrs.values.data[0].hidden && attrs.values.data[0].i == 3);
}

/* One of the program's own that is called like what a pack names, and was inlined nowhere. */
static void test_own_closure(void **state)
{
	uint32_t shape = shape_find(shapes, binary_type_at(binary, program.t_func), SHAPE_FUNC);
	const uint64_t object[2] = {program.base + TINY_TEXT + 0x40 + BIAS, 3};

	chunk(0x4000, shape, object, sizeof(object), SLOT_OK);
	chunk(0x5000, shape, object, 0, SLOT_UNREADABLE);
	read_lists();
	assert_int_equal(attrs.values.len, 0);
	assert_int_equal(losses.count[LOSS_VALUE_UNREADABLE], 1);
}

int main(void)
{
#define LISTS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {LISTS(test_values), LISTS(test_missing), LISTS(test_odd_lists),
					   LISTS(test_items), LISTS(test_too_many), LISTS(test_closures),
					   cmocka_unit_test_setup_teardown(test_own_closure, setup_own, teardown)};

	return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
