/* Images in the kernel: what values lead to is copied as the shapes say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include "binary/arch_x86_64.h"
#include "unit/plant_self.h"

SELF_SITE(site_value);
SELF_SITE(site_leave);

static struct self_g g1 = {.hi = SELF_HI, .goid = 7};

#include "unit/walk_shapes.h"

/* ---- planting ---- */

static struct ir_insn code[16];
static struct ir_slot slots[] = {{.kind = VALUE_IMAGE}};

static uint64_t type_word_at; /* 0: the image is not given another type */
static unsigned depth_used;

/* The value at RBX, size bytes of a shape: in memory, or (a pointer) the register itself. */
static struct capture_program image_of(enum program_role role, uint32_t shape, uint64_t size, bool in_reg)
{
	const struct ir_insn in[] = {
		{.op = IR_G, .dst = 0}, {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 1},
		{.op = IR_GOROUTINE, .a = 0, .b = 1},
		{.op = IR_REGION, .slot = 0}, {.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 0},
		{.op = IR_IMAGE, .slot = 0, .a = in_reg ? IR_NO_REG : 0, .imm = (int64_t)size, .shape = shape,
		 .at = depth_used ? 1 + table.limits.depth - depth_used : 0},
		in_reg ? (struct ir_insn){.op = IR_IMAGE_PUT, .slot = 0, .a = 0, .size = 8}
		       : (struct ir_insn){.op = IR_IMAGE_COPY, .slot = 0, .a = 0, .imm = (int64_t)size},
		{.op = IR_CONST, .dst = 1, .imm = (int64_t)type_word_at - 8},
		type_word_at ? (struct ir_insn){.op = IR_IMAGE_TYPE, .slot = 0, .a = 1, .imm = 8}
			     : (struct ir_insn){.op = IR_CONST, .dst = 2},
		{.op = IR_END},
	};

	memcpy(code, in, sizeof(in));
	return (struct capture_program){.role = role, .call_group = role == PROGRAM_POINT ? 0 : 1, .insns = code,
					.ninsns = ARRAY_SIZE(in), .slots = slots, .nslots = 1, .nregs = 4,
					.shapes = &table, .g = SELF_G_LAYOUT};
}

/* The one record as text: its chunks in order, what was missed. */
static char *walk(enum program_role role, uint32_t shape, uint64_t size, bool in_reg, const void *value)
{
	static char text[1 << 16];
	struct capture_program prog = image_of(role, shape, size, in_reg), other;
	struct planter *p = self_open(NULL);
	struct self_samples t = {0};
	const struct event *e;
	size_t at = 0;

	self_plant(p, &prog, 1, role == PROGRAM_RETURN ? site_leave : site_value);
	if (role != PROGRAM_POINT) {
		other = (struct capture_program){.role = role == PROGRAM_ENTRY ? PROGRAM_RETURN : PROGRAM_ENTRY,
						 .call_group = 1, .insns = code, .ninsns = 3, .nregs = 4,
						 .g = SELF_G_LAYOUT};
		self_plant(p, &other, 2, role == PROGRAM_RETURN ? site_value : site_leave);
	}
	self_call(&(struct self_regs){.rax = SELF_HI - 100, .rbx = (uintptr_t)value, .g = &g1}, site_value);
	self_call(&(struct self_regs){.rax = SELF_HI - 100, .rbx = (uintptr_t)value, .g = &g1}, site_leave);
	assert_int_equal(self_drain(p, &t), 1);
	e = &t.all.data[0].e[role == PROGRAM_ENTRY];
	*text = '\0';
	if (e->head->chunks)
		assert_int_equal(e->slots[0].value, e->head->chunks);
	for (const struct event_chunk *c = event_chunk_next(e, NULL); c; c = event_chunk_next(e, c)) {
		show_chunk(e, c, text + at, sizeof(text) - at);
		at += strlen(text + at);
	}
	snprintf(text + at, sizeof(text) - at, "slot %u missed %u", e->slots[0].status, e->head->missed);
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	self_samples_done(&t);
	planter_close(p);
	return text;
}

static struct node c3 = {"three", 5, NULL, 3}, c2 = {"two", 3, &c3, 2}, c1 = {"one, which is long and cut", 26, &c2, 1};

static void pointers(void **state)
{
	struct node cycle = {"round", 5, &cycle, 1}, bad = {(const char *)8, 5, (struct node *)16, 0};

	assert_string_equal(walk(PROGRAM_POINT, NODE, sizeof(c1), false, &c1),
			    "node 32 d2; 'one, which is long a' cut; node 32 d1; 'two'; node 32 d0; 'three'; slot 1 "
			    "missed 0");
	assert_string_equal(walk(PROGRAM_ENTRY, NODE_PTR, 8, true, &c1),
			    "*node 8 d2; node 32 d1; 'one, which is long a' cut; node 32 d0; 'two'; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_RETURN, NODE_PTR, 8, true, &c2),
			    "*node 8 d2; node 32 d1; 'two'; node 32 d0; 'three'; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, NODE_PTR, 8, true, NULL), "*node 8 d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, NODE, sizeof(cycle), false, &cycle),
			    "node 32 d2; 'round'; node 32 d1; 'round'; node 32 d0; 'round'; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, NODE, sizeof(bad), false, &bad),
			    "node 32 d2; '' unreadable; node 0 unreadable d1; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, NODE, sizeof(bad), false, (void *)8), "node 32 -1 d2; slot 5 missed 0");
}

/* Of an image whose type only a word in memory tells. */
static void typed(void **state)
{
	uint64_t word = TYPE_NODE + SELF_BIAS, pointer = TYPE_NODE_PTR + SELF_BIAS, other = TYPE_NODE;

	type_word_at = (uintptr_t)&word;
	assert_string_equal(walk(PROGRAM_POINT, WORDS, sizeof(c2), false, &c2),
			    "node 32 d2; 'two'; node 32 d1; 'three'; slot 1 missed 0");
	type_word_at = (uintptr_t)&pointer;
	depth_used = 1;
	assert_string_equal(walk(PROGRAM_ENTRY, INT, 8, true, &c2),
			    "*node 8 d1; node 32 d0; 'two'; slot 1 missed 0");
	depth_used = 0;
	type_word_at = (uintptr_t)&other;
	assert_string_equal(walk(PROGRAM_POINT, INT, 8, true, &c2), "int 8 d2; slot 1 missed 0");
	type_word_at = 64; /* no memory is there */
	assert_string_equal(walk(PROGRAM_POINT, STRING, 16, false, &c2), "string 16 d2; 'two'; slot 1 missed 0");
	type_word_at = 0;
}

static void counts(void **state)
{
	static uint64_t words[64] = {1, 2, 3, 4};
	struct node nodes[6] = {{"a", 1, &c3, 0}, {"b", 1, NULL, 0}, {"", 0, NULL, 0}, {NULL, 5, NULL, 0},
				{"e", (uint64_t)-1, NULL, 0}, {"f", 1, NULL, 0}};
	struct box box = {.nodes = nodes, .nnodes = 2, .words = words, .shift = 3, .zero = 1, .one_if_zero = words};
	struct masked m = {7, words};

	assert_string_equal(walk(PROGRAM_POINT, BOX, sizeof(box), false, &box),
			    "box 56 d2; node 64 d2; words 64 d2; 'a'; node 32 d1; 'b'; 'three'; slot 1 missed 0");
	box.nnodes = 6;
	box.shift = 5;
	box.zero = 0;
	assert_string_equal(walk(PROGRAM_ENTRY, BOX, sizeof(box), false, &box),
			    "box 56 d2; node 160 cut d2; words 128 cut d2; words 8 d2; 'a'; node 32 d1; 'b'; 'three'; "
			    "slot 1 missed 0");
	box.nnodes = -1;
	box.shift = 200;
	assert_string_equal(walk(PROGRAM_POINT, BOX, sizeof(box), false, &box),
			    "box 56 d2; words 128 cut d2; words 8 d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m),
			    "masked 16 d2; words 64 d2; slot 1 missed 0");
	m.mask = UINT64_MAX;
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m), "masked 16 d2; slot 1 missed 0");
}

static void interfaces(void **state)
{
	struct itab itab = {NULL, TYPE_NODE + SELF_BIAS};
	struct faces f = {&itab, &c3, TYPE_NODE_PTR + SELF_BIAS, &c3};

	assert_string_equal(walk(PROGRAM_POINT, FACES, sizeof(f), false, &f),
			    "faces 32 d2; itab 16 d2; node 32 d1; *node 8 d1; 'three'; node 32 d0; 'three'; "
			    "slot 1 missed 0");
	f.type = 0x1234; /* a type that is not known */
	f.itab = NULL;
	assert_string_equal(walk(PROGRAM_POINT, FACES, sizeof(f), false, &f), "faces 32 d2; slot 1 missed 0");
	f.type = TYPE_NODE + SELF_BIAS;
	f.any = NULL;
	itab.type = 0;
	f.itab = &itab;
	assert_string_equal(walk(PROGRAM_POINT, FACES, sizeof(f), false, &f),
			    "faces 32 d2; itab 16 d2; slot 1 missed 0");
}

static void limits(void **state)
{
	static struct wide wide;
	static uint64_t words[8192];
	struct masked m = {4095, words};
	static struct node many[300];
	struct box box = {.nodes = many, .nnodes = 300};
	char *got;
	uint32_t before = edges[10].max;

	memset(&wide, 1, sizeof(wide)); /* what was never touched cannot be read where a probe fires */
	memset(words, 1, sizeof(words));
	/* an image cut, a chunk larger than any may be, a record that is full */
	edges[10].max = 5000;
	assert_string_equal(walk(PROGRAM_POINT, WIDE, 4096, false, &wide), "wide 4096 cut d2; slot 1 missed 0");
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m),
			    "masked 16 d2; words 8192 cut d2; slot 1 missed 0");
	edges[10].max = before;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct node){"0123456789abcdefghij", 20, NULL, i};
	edges[4].max = 300;
	got = walk(PROGRAM_POINT, BOX, sizeof(box), false, &box);
	assert_memory_equal(got, "box 56 d2; node 8192 cut d2; '0123", 32);
	assert_non_null(strstr(got, "slot 1 missed 0"));
	got = walk(PROGRAM_ENTRY, BOX, sizeof(box), false, &box);
	assert_non_null(strstr(got, "node 8192 cut d2;"));
	/* 256 strings of 40 bytes each, and 8344 of the 16 KiB are taken */
	assert_non_null(strstr(got, "slot 1 missed 55"));
	edges[4].max = 5;
}

/* As memory is that the program got and has not touched: it has no page. */
static void untouch(uint8_t *page)
{
	assert_int_equal(madvise(page, EVENT_PAGE, MADV_DONTNEED), 0);
}

/* What nobody may read, and what nobody has touched, where programs cannot bring it in. */
static void holes(void **state)
{
	check_holes(walk, forbid);
	setenv("EARSHOT_NO_FAULTS", "1", 1);
	check_holes(walk, forbid);
	check_holes(walk, untouch);
	unsetenv("EARSHOT_NO_FAULTS");
}

static void pages_brought_in(void **state)
{
	struct uprobe_means means;
	struct masked m = {999, NULL};
	uint8_t *at;

	self_skip_unprivileged();
	assert_int_equal(uprobe_means_detect(0, &means, NULL), 0);
	if (!means.faults_in)
		skip();
	at = pages_new(untouch);
	m.words = (uint64_t *)(void *)(at + 2 * EVENT_PAGE - 8);
	assert_string_equal(walk(PROGRAM_POINT, MASKED, sizeof(m), false, &m),
			    "masked 16 d2; words 8000 d2; slot 1 missed 0");
	munmap(at, 5 * EVENT_PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers), cmocka_unit_test(typed), cmocka_unit_test(counts),
		cmocka_unit_test(interfaces), cmocka_unit_test(limits), cmocka_unit_test(holes),
		cmocka_unit_test(pages_brought_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
