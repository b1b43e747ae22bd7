/*
 * Stacks, images and the walk over what they lead to, as code in this process. What is expected is what the uprobe
 * planter gives for the same values (walk_test.c).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "binary/arch_x86_64.h"
#include "unit/patch_run.h"

#define SELF_BIAS BIAS

#include "unit/walk_shapes.h"

/* ---- running ---- */

static struct ir_insn code[16];
static struct ir_slot slots[] = {{.kind = VALUE_IMAGE}};

static uint64_t type_word_at; /* 0: the image is not given another type */
static unsigned depth_used;

/* The value at RBX, size bytes of a shape: in memory, or (a pointer) the register itself. */
static struct capture_program image_of(enum program_role role, uint32_t shape, uint64_t size, bool in_reg)
{
	const struct ir_insn in[] = {
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
					.shapes = &table, .g = FAKE_LAYOUT};
}

static const void *compile_image(const struct capture_program *p)
{
	struct patch_env env;
	struct buf out = {0};
	struct err err = {0};

	patch_shapes(&table, BIAS, &out);
	env = test_env();
	env.shapes = put_code(out.data, out.len);
	buf_done(&out);
	env.code = (uintptr_t)code_memory + code_used;
	if (patch_compile(p, 1, &env, &out, &err) < 0)
		fail_msg("%s", err.text);
	env.code = put_code(out.data, out.len);
	buf_done(&out);
	return (const void *)(uintptr_t)env.code;
}

static const struct event *run_once(const struct capture_program *p, const struct regs *r)
{
	static struct taken t;

	patch_setup(CHUNKS);
	run_code(compile_image(p), r);
	t.n = 0;
	slot_drain(patch_area_slot(area, 1), take, &t);
	assert_int_equal(t.n, 1);
	return &t.event;
}

/* The record as text: its chunks in order, what was missed. */
static char *walk(enum program_role role, uint32_t shape, uint64_t size, bool in_reg, const void *value)
{
	static char text[1 << 16];
	struct capture_program prog = image_of(role, shape, size, in_reg);
	struct regs r = {.r = {0, (uintptr_t)value}, .g = (uintptr_t)&fake_g};
	const struct event *e = run_once(&prog, &r);
	size_t at = 0;

	*text = '\0';
	if (e->head->chunks)
		assert_int_equal(e->slots[0].value, e->head->chunks);
	for (const struct event_chunk *c = event_chunk_next(e, NULL); c; c = event_chunk_next(e, c)) {
		show_chunk(e, c, text + at, sizeof(text) - at);
		at += strlen(text + at);
	}
	snprintf(text + at, sizeof(text) - at, "slot %u missed %u", e->slots[0].status, e->head->missed);
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
	static struct wide wide = {.words = {1}};
	static uint64_t words[8192] = {1};
	struct masked m = {4095, words};
	static struct node many[300];
	struct box box = {.nodes = many, .nnodes = 300};
	char *got;
	uint32_t before = edges[10].max;

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

static void holes(void **state)
{
	check_holes(walk, forbid);
}

/* ---- stacks ---- */

static const struct event *run_stack(int64_t frames, uint64_t rbp)
{
	static struct ir_slot slot = {.kind = VALUE_STACK};
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_EMIT_STACK, .slot = 0, .imm = frames},
		{.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = 3, .slots = &slot, .nslots = 1, .nregs = 1,
				    .shapes = &table, .g = FAKE_LAYOUT};
	struct regs r = {.g = (uintptr_t)&fake_g};
	static struct taken t;
	struct frame f;
	const void *at;

	patch_setup(CHUNKS);
	at = compile_image(&p);
	stack_fill(test_stack);
	frame_fill(&f, &r, test_stack);
	f.gpr[N_RBP] = rbp;
	call_code(&f, at);
	frame_check(&f, test_stack);
	t.n = 0;
	slot_drain(patch_area_slot(area, 1), take, &t);
	assert_int_equal(t.n, 1);
	return &t.event;
}

static void check_stack(int64_t frames, uint64_t rbp, const uint64_t *want, size_t n)
{
	const struct event *e = run_stack(frames, rbp);
	size_t len;

	assert_int_equal(e->slots[0].status, SLOT_OK);
	assert_int_equal(e->slots[0].len, n * 8);
	assert_memory_equal(event_bytes(e, 0, &len), want, n * 8);
	assert_int_equal(len, n * 8);
}

static void stacks(void **state)
{
	static uint64_t frames[][2] = {{0, 1000}, {0, 2000}, {0, 3000}, {0, 4000}};
	const uint64_t want[] = {world_pc_ret, 1000, 2000, 3000, 4000};
	uint64_t first = (uintptr_t)&frames[0];

	for (size_t i = 0; i < 3; i++)
		frames[i][0] = (uintptr_t)&frames[i + 1];
	check_stack(64, first, want, 5);
	check_stack(5, first, want, 5);
	check_stack(3, first, want, 3);
	check_stack(64, 0, want, 1);
	check_stack(64, 8, want, 1); /* no memory */
	frames[2][0] = first;        /* no chain */
	check_stack(64, first, want, 4);
}

/* ---- a call's latency, and a condition at its return on what its entry saw ---- */

static size_t calls_run(const void *at, uint64_t rax, struct taken *t)
{
	struct regs r = {.r = {rax}, .g = (uintptr_t)&fake_g};

	run_code(at, &r);
	t->n = 0;
	slot_drain(patch_area_slot(area, 1), take, t);
	return t->n;
}

static void latency(void **state)
{
	struct ir_insn in[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		{.op = IR_SAVE, .a = 0, .imm = 1},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_END},
	}, out[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_SAVED, .dst = 0, .imm = 1},
		{.op = IR_FILTER, .a = 0},
		{.op = IR_END},
		{.op = IR_REGION, .slot = 0},
		{.op = IR_LATENCY, .dst = 0},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_END},
	};
	struct ir_slot slot = {.kind = VALUE_UINT};
	struct capture_program entry = {.role = PROGRAM_ENTRY, .call_group = 3, .insns = in, .ninsns = ARRAY_SIZE(in),
					.slots = &slot, .nslots = 1, .nregs = 1, .g = FAKE_LAYOUT}, ret = entry;
	static struct taken begun, ended;
	const void *begins, *ends;

	ret.role = PROGRAM_RETURN;
	ret.insns = out;
	ret.ninsns = ARRAY_SIZE(out);
	patch_setup(CHUNKS);
	begins = compile_ok(&entry, 1);
	ends = compile_ok(&ret, 2);
	for (uint64_t saved = 0; saved < 4; saved++) {
		assert_int_equal(calls_run(begins, saved, &begun), 1);
		assert_int_equal(calls_run(ends, 0, &ended), 1);
		/* What does not pass is over all the same. */
		assert_int_equal(ended.event.head->kind, saved ? EVENT_RETURN : EVENT_UNWOUND);
		assert_int_equal(ended.event.head->slots, saved ? 1 : 0);
		if (saved) /* tsc_mult is 0.5 */
			assert_int_equal(ended.event.slots[0].value,
					 (ended.event.head->time_ns - begun.event.head->time_ns) / 2);
		assert_int_equal(calls_run(ends, 0, &ended), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers), cmocka_unit_test(typed), cmocka_unit_test(counts),
		cmocka_unit_test(interfaces), cmocka_unit_test(limits), cmocka_unit_test(holes),
		cmocka_unit_test(stacks), cmocka_unit_test(latency),
	};

	world_pc_ret = (uintptr_t)call_code_back;
	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
