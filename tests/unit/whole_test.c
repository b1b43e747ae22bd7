/*
 * Whole values: shapes of the types of tests/go/values, images that the compiler emits for them, and how they look when
 * not all could be captured. The memory is the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "call/value_slot.h"
#include "probe/shape_index.h"
#include "unit/ir_interp.h"

/* ---- a simulated process ---- */

#define BASE 0xc000000000ull

struct world {
	struct binary *b;
	struct shape_table *shapes;
	struct arena arena;
	uint8_t memory[1 << 14];
	uint64_t next;
	unsigned lost;             /* bits of its pages that cannot be read */
	struct interp_input in;
	struct interp_result out;
	struct param params[4];
	size_t nparams;
	struct capture_result result;
	struct err err;
	_Alignas(8) char record[EVENT_MAX_SIZE + EVENT_MAX_DATA];
	struct buf text;
};

static bool world_read(void *arg, uint64_t addr, void *out, size_t n)
{
	struct world *w = arg;

	if (addr < BASE || addr - BASE > sizeof(w->memory) || n > sizeof(w->memory) - (addr - BASE))
		return false;
	for (uint64_t page = (addr - BASE) / EVENT_PAGE; n && page <= (addr - BASE + n - 1) / EVENT_PAGE; page++)
		if (w->lost & 1u << page)
			return false;
	memcpy(out, w->memory + (addr - BASE), n);
	return true;
}

static uint64_t put(struct world *w, const void *p, size_t n)
{
	uint64_t at = BASE + w->next;

	w->next += ALIGN_UP(n, 16) + 16;
	assert_true(w->next < sizeof(w->memory));
	memcpy(w->memory + (at - BASE), p, n);
	return at;
}

/* The newest of the test programs; NULL where none is built. */
static struct world *world_new(struct shape_limits limits)
{
	const char *cache = getenv("EARSHOT_CACHE");
	char *pattern = xasprintf("%s/bin/values-go1.*-sw", cache ? cache : "/var/cache/earshot");
	struct world *w = NULL;
	struct err err = {0};
	glob_t g;

	if (glob(pattern, 0, NULL, &g)) {
		print_message("skipped: no %s (tests/lib/build.sh makes them)\n", pattern);
	} else {
		w = xcalloc(1, sizeof(*w));
		if (binary_open(g.gl_pathv[g.gl_pathc - 1], &w->b, &err) ||
		    shape_table_new(w->b, &limits, &w->shapes, &err))
			fail_msg("%s", err.text);
		w->in = (struct interp_input){.read = world_read, .arg = w};
		w->next = 16;
	}
	globfree(&g);
	free(pattern);
	return w;
}

static void world_free(struct world *w)
{
	shape_table_free(w->shapes);
	binary_free(w->b);
	arena_done(&w->arena);
	buf_done(&w->text);
	free(w);
}

static const struct type *type_in(struct world *w, const char *text)
{
	const struct type *t = binary_type_parse(w->b, "main", text, &w->err);

	if (!t)
		fail_msg("%s", w->err.text);
	return t;
}

static struct param *add_param(struct world *w, const char *name, const char *type, const struct piece *pieces,
			       size_t n)
{
	w->params[w->nparams] = (struct param){.name = name, .type = type_in(w, type), .pieces = pieces, .npieces = n};
	return &w->params[w->nparams++];
}

#define PIECES(...) ((const struct piece[]){__VA_ARGS__}), ARRAY_SIZE(((const struct piece[]){__VA_ARGS__}))
#define REG(r, o, n) {.where = IN_REG, .reg = r, .size = n, .offset = o}
#define XMM(r, o) {.where = IN_FLOAT_REG, .reg = XMM_0 + r, .size = 8, .offset = o}
#define STACK(at, o, n) {.where = ON_STACK, .stack = at, .offset = o, .bytes = n}

/* Compiles captures of the expressions, all of them whole. */
static int compile(struct world *w, const char *const *expressions, size_t n, bool xmm, bool shapes)
{
	static const struct func func = {.name = "main.f"};
	struct signature signature = {.params = w->params, .nparams = w->nparams};
	struct capture_scope scope = {.binary = w->b, .func = &func, .signature = &signature, .at = SITE_ENTRY};
	struct capture_item items[4] = {0};
	const char *alternatives[4][2] = {0};
	struct capture_request request = {.items = items, .nitems = n,
					  .caps = &(struct planter_caps){.reads_float_regs = xmm},
					  .shapes = shapes ? w->shapes : NULL};

	for (size_t i = 0; i < n; i++) {
		alternatives[i][0] = expressions[i];
		items[i] = (struct capture_item){.name = expressions[i], .alternatives = alternatives[i],
						 .whole = true};
	}
	return capture_compile(&scope, &request, &w->arena, &w->result, &w->err);
}

static void run(struct world *w, struct event *ret)
{
	size_t n;

	shape_table_finish(w->shapes);
	interp_run(&w->result.program, &w->in, &w->out);
	n = interp_record(&w->result.program, &w->out, w->record);
	assert_true(event_decode(w->record, n, ret));
}

/* The item's value as text, by a record. */
static const char *shown(struct world *w, const struct event *e, size_t item)
{
	struct value_context c = {.binary = w->b, .shapes = w->shapes, .bias = w->in.bias, .arena = &w->arena};
	const struct shown s = {.unread = w->result.unread[item]};
	int slot = w->result.slot_of_item[item];
	struct value_node v;

	assert_true(slot >= 0);
	value_from_slot(&c, e, (size_t)slot, &w->result.program.slots[slot], &s, &v);
	buf_reset(&w->text);
	value_print(&v, &w->text);
	return w->text.data;
}

/* main.Item{"pen", 1.5, ["red"], true} in registers: Name RAX RBX, Price X0, Tags RCX RDI RSI, ok R8. */
static void add_item(struct world *w)
{
	static const struct piece pieces[] = {REG(GPR_RAX, 0, 8),
					      REG(GPR_RBX, 8, 8),	XMM(0, 16),	      REG(GPR_RCX, 24, 8),
					      REG(GPR_RDI, 32, 8), REG(GPR_RSI, 40, 8), REG(GPR_R8, 48, 1)};
	uint64_t red = put(w, "red", 3), tags[] = {red, 3};
	double price = 1.5;

	add_param(w, "item", "Item", pieces, ARRAY_SIZE(pieces));
	w->in.regs[GPR_RAX] = put(w, "pen", 3);
	w->in.regs[GPR_RBX] = 3;
	memcpy(&w->in.xmm[0], &price, 8);
	w->in.regs[GPR_RCX] = put(w, tags, sizeof(tags));
	w->in.regs[GPR_RDI] = w->in.regs[GPR_RSI] = 1;
	w->in.regs[GPR_R8] = 0xff01;
}

static const struct shape_limits limits = {.depth = 2, .max_string = 8, .max_items = 4};

/* ---- images ---- */

static void test_registers(void **state)
{
	struct world *w = world_new(limits);
	struct event e;

	if (!w)
		return;
	add_item(w);
	add_param(w, "n", "int", PIECES(REG(GPR_R9, 0, 8)));
	w->in.regs[GPR_R9] = 7;
	assert_int_equal(compile(w, (const char *[]){"item", "n", "item.Tags", "item.Name"}, 4, true, true), 0);
	assert_int_equal(w->result.slot_of_item[0], 2); /* images come last */
	assert_int_equal(w->result.slot_of_item[1], 0);
	assert_int_equal(w->result.slot_of_item[2], 3);
	assert_int_equal(w->result.program.slots[1].kind, VALUE_STRING);
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "{Name:\"pen\" Price:1.5 Tags:[\"red\"] ok:true}");
	assert_string_equal(shown(w, &e, 1), "7");
	assert_string_equal(shown(w, &e, 2), "[\"red\"]");
	assert_string_equal(shown(w, &e, 3), "\"pen\"");
	world_free(w);
}

static void test_unread(void **state)
{
	struct world *w = world_new(limits);
	struct event e;

	if (!w)
		return;
	add_item(w);
	add_param(w, "c", "complex128", PIECES(XMM(1, 0), XMM(2, 8)));
	add_param(w, "f", "float64", PIECES(XMM(3, 0)));
	assert_int_equal(compile(w, (const char *[]){"item"}, 1, false, true), 0);
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "{Name:\"pen\" Price:<unreadable: in a floating-point register, which a "
					     "uprobe cannot read> Tags:[\"red\"] ok:true}");
	assert_int_equal(compile(w, (const char *[]){"c"}, 1, false, true), -ENODATA);
	assert_non_null(strstr(w->err.text, "c is passed in a floating-point register, which a uprobe cannot read"));
	assert_int_equal(compile(w, (const char *[]){"f"}, 1, false, true), -ENODATA);
	assert_non_null(strstr(w->err.text, "f is passed in a floating-point register, which a uprobe cannot read"));
	assert_int_equal(compile(w, (const char *[]){"item"}, 1, false, false), -EINVAL);
	assert_non_null(strstr(w->err.text, "item is a struct (main.Item): capture one of its fields"));
	world_free(w);
}

static void test_stack_and_memory(void **state)
{
	struct world *w = world_new(limits);
	uint64_t user[4] = {0, 3, 9, 0}, stack[8] = {0};
	struct event e;

	if (!w)
		return;
	user[0] = put(w, "bob", 3);
	user[3] = put(w, user, sizeof(user)); /* his boss has none */
	stack[1] = put(w, user, sizeof(user));
	memcpy(&stack[2], user, sizeof(user));
	w->in.entry_sp = put(w, stack, sizeof(stack));
	add_param(w, "u", "*User", PIECES(STACK(8, 0, 8)));
	add_param(w, "v", "User", PIECES(STACK(16, 0, 32)));
	assert_int_equal(compile(w, (const char *[]){"u", "v", "u.Boss"}, 3, false, true), 0);
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "&{Name:\"bob\" Age:9 Boss:&{Name:\"bob\" Age:9 Boss:<nil>}}");
	assert_string_equal(shown(w, &e, 1), "{Name:\"bob\" Age:9 Boss:&{Name:\"bob\" Age:9 Boss:<nil>}}");
	assert_string_equal(shown(w, &e, 2), "&{Name:\"bob\" Age:9 Boss:<nil>}");
	world_free(w);
}

/* ---- limits ---- */

static void test_depth(void **state)
{
	struct world *w = world_new(limits);
	uint64_t user[4] = {0, 3, 9, 0};
	char want[200];
	struct event e;

	if (!w)
		return;
	user[0] = put(w, "bob", 3);
	for (size_t i = 0; i < 3; i++)
		user[3] = put(w, user, sizeof(user));
	add_param(w, "u", "*User", PIECES(REG(GPR_RAX, 0, 8)));
	w->in.regs[GPR_RAX] = user[3];
	assert_int_equal(compile(w, (const char *[]){"u"}, 1, false, true), 0);
	run(w, &e);
	snprintf(want, sizeof(want), "&{Name:\"bob\" Age:9 Boss:&{Name:\"bob\" Age:9 Boss:0x%llx}}",
		 (unsigned long long)(user[3] - 2 * 48));
	assert_string_equal(shown(w, &e, 0), want);
	world_free(w);
}

static void test_cut(void **state)
{
	struct world *w = world_new(limits);
	uint64_t numbers[100] = {5, 6}, header[] = {0, 100, 100};
	struct event e;

	if (!w)
		return;
	header[0] = put(w, numbers, sizeof(numbers));
	add_param(w, "s", "[]int", PIECES(REG(GPR_RAX, 0, 8), REG(GPR_RBX, 8, 8), REG(GPR_RCX, 16, 8)));
	add_param(w, "t", "string", PIECES(REG(GPR_RDI, 0, 8), REG(GPR_RSI, 8, 8)));
	memcpy(w->in.regs, header, sizeof(header));
	w->in.regs[GPR_RDI] = put(w, "a long text", 11);
	w->in.regs[GPR_RSI] = 11;
	assert_int_equal(compile(w, (const char *[]){"s", "t"}, 2, false, true), 0);
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "[5 6 0 0 …+96]");
	assert_string_equal(shown(w, &e, 1), "\"a long t\"…+3");
	w->in.room = 16 + 24 + 16 + 16; /* for two elements */
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "[5 6 …+98 <unreadable: no room in the record>]");
	w->in.room = 16 + 24;
	run(w, &e);
	assert_int_equal(e.head->missed, 1);
	assert_string_equal(shown(w, &e, 0), "[…+100 <unreadable: the record was full>]");
	w->in.room = 0;
	w->in.regs[GPR_RAX] = 0x1000;
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "[…+100 <unreadable: unreadable memory>]");
	world_free(w);
}

/* Read-only bytes of the file stand in for those that were not resident. */
static void test_literal(void **state)
{
	struct world *w = world_new(limits);
	const struct type *t;
	uint64_t n = 0, at;
	struct event e;

	if (!w)
		return;
	t = type_in(w, "Item");
	at = t->rtype + 24;
	assert_non_null(image_constant(binary_image(w->b), at, 4, &n));
	add_param(w, "t", "string", PIECES(REG(GPR_RAX, 0, 8), REG(GPR_RBX, 8, 8)));
	w->in.bias = 0x7000000;
	w->in.regs[GPR_RAX] = at + w->in.bias;
	w->in.regs[GPR_RBX] = 4;
	assert_int_equal(compile(w, (const char *[]){"t"}, 1, false, true), 0);
	run(w, &e);
	assert_int_equal(w->out.slots[0].status, SLOT_NOT_RESIDENT);
	assert_null(strstr(shown(w, &e, 0), "unreadable"));
	w->in.regs[GPR_RAX] = 0x10;
	run(w, &e);
	assert_string_equal(shown(w, &e, 0), "…+4 <unreadable: unreadable memory>");
	world_free(w);
}

/* ---- memory that is not all there: pages 1 and 3 of four ---- */

#define UNREAD "<unreadable: unreadable memory>"

static struct world *holes_new(void)
{
	struct world *w = world_new(limits);

	if (w)
		w->lost = 2 | 8;
	return w;
}

/* Puts n bytes where `before` of them lie before the end of the page. */
static uint64_t put_at_end(struct world *w, unsigned page, size_t before, const void *p, size_t n)
{
	w->next = (page + 1) * EVENT_PAGE - before;
	return put(w, p, n);
}

/* The value as text; and that as many losses are counted as are told. */
static void expect_shown(struct world *w, const struct event *e, size_t item, const char *want)
{
	struct value_context c = {.binary = w->b, .shapes = w->shapes, .bias = w->in.bias, .arena = &w->arena};
	int slot = w->result.slot_of_item[item];
	struct buf json = {0};
	struct json j = {.out = &json};
	struct value_node v;
	uint64_t told[2] = {0};

	assert_string_equal(shown(w, e, item), want);
	value_from_slot(&c, e, (size_t)slot, &w->result.program.slots[slot], NULL, &v);
	value_json(&v, &j);
	for (const char *at = want; (at = strstr(at, UNREAD)); at++)
		told[0]++;
	for (const char *at = json.data; (at = strstr(at, "\"unreadable\":\"unreadable memory\"")); at++)
		told[1]++;
	assert_int_equal(value_lost(&v), told[0]);
	assert_int_equal(value_lost(&v), told[1]);
	buf_done(&json);
}

static void expect_list(struct world *w, uint64_t addr, uint64_t len, const char *want)
{
	struct event e;

	w->in.regs[GPR_RAX] = addr;
	w->in.regs[GPR_RBX] = w->in.regs[GPR_RCX] = len;
	run(w, &e);
	expect_shown(w, &e, 0, want);
}

static void test_holes_in_lists(void **state)
{
	struct world *w = holes_new();
	uint64_t numbers[] = {5, 6, 7, 8};

	if (!w)
		return;
	add_param(w, "s", "[]int", PIECES(REG(GPR_RAX, 0, 8), REG(GPR_RBX, 8, 8), REG(GPR_RCX, 16, 8)));
	assert_int_equal(compile(w, (const char *[]){"s"}, 1, false, true), 0);
	expect_list(w, put_at_end(w, 0, 16, numbers, 32), 100, "[5 6 …+98 " UNREAD "]");
	expect_list(w, put_at_end(w, 0, 16, numbers, 32), 3, "[5 6 …+1 " UNREAD "]");
	expect_list(w, put_at_end(w, 0, 16, numbers, 32), 2, "[5 6]");
	expect_list(w, put_at_end(w, 1, 16, numbers, 32), 4, "[" UNREAD " " UNREAD " 7 8]");
	expect_list(w, put_at_end(w, 1, 12, numbers, 32), 4, "[" UNREAD " " UNREAD " 7 8]"); /* half of the second */
	expect_list(w, put_at_end(w, 1, 100, numbers, 32), 100, "[…+100 " UNREAD "]");
	world_free(w);
}

static void test_holes_in_texts(void **state)
{
	struct world *w = holes_new();
	uint64_t user[4] = {0, 11, 9, 0};
	char pointer[80];
	struct event e;

	if (!w)
		return;
	add_param(w, "t", "string", PIECES(REG(GPR_RAX, 0, 8), REG(GPR_RBX, 8, 8)));
	add_param(w, "u", "*User", PIECES(REG(GPR_RCX, 0, 8)));
	assert_int_equal(compile(w, (const char *[]){"t", "u"}, 2, false, true), 0);
	w->in.regs[GPR_RAX] = user[0] = put_at_end(w, 0, 4, "a long text", 11);
	w->in.regs[GPR_RBX] = 11;
	w->in.regs[GPR_RCX] = put_at_end(w, 2, 64, user, sizeof(user));
	run(w, &e);
	expect_shown(w, &e, 0, "\"a lo\"…+7 " UNREAD);
	expect_shown(w, &e, 1, "&{Name:\"a lo\"…+7 " UNREAD " Age:9 Boss:<nil>}");
	w->in.regs[GPR_RAX] = user[0] = put_at_end(w, 1, 4, "a long text", 11);
	w->in.regs[GPR_RCX] = put_at_end(w, 2, 64, user, sizeof(user));
	run(w, &e);
	expect_shown(w, &e, 0, "…+11 " UNREAD);
	expect_shown(w, &e, 1, "&{Name:…+11 " UNREAD " Age:9 Boss:<nil>}");
	w->in.regs[GPR_RCX] = put_at_end(w, 2, 20, user, sizeof(user)); /* the struct itself */
	run(w, &e);
	expect_shown(w, &e, 1, "&{Name:…+11 " UNREAD " Age:9 Boss:" UNREAD "}");
	w->in.regs[GPR_RCX] = put_at_end(w, 3, 200, user, sizeof(user));
	run(w, &e);
	snprintf(pointer, sizeof(pointer), "0x%" PRIx64 " " UNREAD, w->in.regs[GPR_RCX]);
	expect_shown(w, &e, 1, pointer);
	world_free(w);
}

/* A time of which the clock is not there must not be shown as another. */
static void test_holes_in_times(void **state)
{
	struct world *w = holes_new();
	uint64_t time[3] = {0, 63000000000, 0};
	struct event e;

	if (!w)
		return;
	add_param(w, "t", "*time.Time", PIECES(REG(GPR_RAX, 0, 8)));
	assert_int_equal(compile(w, (const char *[]){"t"}, 1, false, true), 0);
	w->in.regs[GPR_RAX] = put_at_end(w, 0, 100, time, sizeof(time));
	run(w, &e);
	expect_shown(w, &e, 0, "&1997-05-23T16:00:00Z");
	w->in.regs[GPR_RAX] = put_at_end(w, 0, 8, time, sizeof(time));
	run(w, &e);
	expect_shown(w, &e, 0, "&{wall:0 ext:" UNREAD " loc:" UNREAD "}");
	world_free(w);
}

/* ---- maps ---- */

/* A Swiss map of one group, of which `before` bytes lie before the page's end; slots that the mask has are full. */
static uint64_t put_map(struct world *w, const struct map_layout *l, unsigned page, size_t before, unsigned full,
			uint64_t count)
{
	uint8_t group[512] = {0}, header[128] = {0};
	uint64_t at;

	assert_true(l->swiss && l->group_size <= sizeof(group));
	for (unsigned i = 0; i < 8; i++) {
		uint64_t key[2] = {put(w, &"abcdefgh"[i], 1), 1}, elem = i;

		group[i] = full & 1u << i ? 1 : 0x80;
		memcpy(group + l->group_slots_off + l->key_off + i * l->key_stride, key, 16);
		memcpy(group + l->group_slots_off + l->elem_off + i * l->elem_stride, &elem, 8);
	}
	at = put_at_end(w, page, before, group, l->group_size);
	memcpy(header + l->count_off, &count, 8);
	memcpy(header + l->dir_ptr_off, &at, 8);
	w->next = 2 * EVENT_PAGE + 512;
	return put(w, header, sizeof(header));
}

static void test_holes_in_maps(void **state)
{
	struct world *w = holes_new();
	struct map_layout l;
	struct event e;
	size_t two;

	if (!w)
		return;
	assert_true(type_map_layout(w->b, type_in(w, "map[string]int"), &l, NULL));
	add_param(w, "m", "map[string]int", PIECES(REG(GPR_RAX, 0, 8)));
	assert_int_equal(compile(w, (const char *[]){"m"}, 1, false, true), 0);
	two = l.group_slots_off + 2 * l.key_stride;
	w->in.regs[GPR_RAX] = put_map(w, &l, 0, two, 0x03, 2); /* what is not there is empty */
	run(w, &e);
	expect_shown(w, &e, 0, "map[\"a\":0 \"b\":1]");
	w->next = 16;
	w->in.regs[GPR_RAX] = put_map(w, &l, 0, two, 0x0f, 4);
	run(w, &e);
	expect_shown(w, &e, 0, "map[\"a\":0 \"b\":1 …+2 " UNREAD "]");
	w->next = 16;
	w->in.regs[GPR_RAX] = put_map(w, &l, 0, two - 8, 0x03, 2); /* the second element */
	run(w, &e);
	expect_shown(w, &e, 0, "map[\"a\":0 \"b\":" UNREAD "]");
	w->next = 16;
	w->in.regs[GPR_RAX] = put_map(w, &l, 1, two, 0xff, 8); /* zeros for the control bytes: they would say full */
	run(w, &e);
	expect_shown(w, &e, 0, "map[…+8 " UNREAD "]");
	w->next = 16;
	w->in.regs[GPR_RAX] = put_map(w, &l, 1, 500, 0xff, 8);
	run(w, &e);
	expect_shown(w, &e, 0, "map[…+8 " UNREAD "]");
	world_free(w);
}

/* ---- shapes ---- */

static const struct shape *shape_by(struct world *w, const char *type, unsigned variant)
{
	uint32_t id = shape_find(w->shapes, type_in(w, type), variant);

	return id ? &w->shapes->shapes.data[id] : NULL;
}

static void test_shapes(void **state)
{
	struct world *w = world_new(limits);
	const struct shape *s;
	const struct shape_edge *e;
	const struct shape_dynamic *d;

	if (!w)
		return;
	assert_int_equal(shape_of(w->shapes, type_in(w, "empty")), 0);
	assert_true(shape_of(w->shapes, type_in(w, "*User")) != 0);
	assert_true(shape_of(w->shapes, type_in(w, "Shape")) != 0);
	shape_table_finish(w->shapes);
	s = shape_by(w, "User", SHAPE_VALUE);
	assert_int_equal(s->size, 32);
	assert_int_equal(s->nedges, 2);
	e = &w->shapes->edges.data[s->first_edge];
	assert_int_equal(e[0].count, COUNT_WORD);
	assert_int_equal(e[0].max, 8);
	assert_int_equal(e[0].costs, 0);
	assert_int_equal(e[1].costs, 1);
	assert_int_equal(e[1].offset, 24);
	assert_ptr_equal(&w->shapes->shapes.data[e[1].shape], s); /* a User leads to a User */
	d = shape_dynamic_find(w->shapes, type_in(w, "Square")->rtype);
	assert_non_null(d);
	assert_false(d->direct);
	d = shape_dynamic_find(w->shapes, type_in(w, "*Square")->rtype);
	assert_non_null(d);
	assert_true(d->direct);
	s = &w->shapes->shapes.data[d->shape];
	assert_int_equal(s->nedges, 1);
	assert_int_equal(w->shapes->edges.data[s->first_edge].costs, 0);
	assert_null(shape_dynamic_find(w->shapes, type_in(w, "Color")->rtype));
	assert_true(w->shapes->dynamic.len < 10);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_unread),
		cmocka_unit_test(test_stack_and_memory),
		cmocka_unit_test(test_depth),	  cmocka_unit_test(test_cut),	 cmocka_unit_test(test_literal),
		cmocka_unit_test(test_shapes),	  cmocka_unit_test(test_holes_in_lists),
		cmocka_unit_test(test_holes_in_texts), cmocka_unit_test(test_holes_in_times),
		cmocka_unit_test(test_holes_in_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
