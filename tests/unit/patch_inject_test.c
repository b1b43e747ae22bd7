/* What writes into the program, as x86-64 code run in this process: compared with the interpreter, byte by byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/ir_inject.h"
#include "unit/ir_interp.h"
#include "unit/patch_run.h"

static struct inject_memory memory, before;

static bool read_here(void *arg, uint64_t addr, void *out, size_t n)
{
	memcpy(out, (const void *)(uintptr_t)addr, n);
	return true;
}

static bool write_here(void *arg, uint64_t addr, const void *bytes, size_t n)
{
	memcpy((void *)(uintptr_t)addr, bytes, n);
	return true;
}

static struct interp_result interpreted;

static void interpret(const struct capture_program *p, uint64_t rax)
{
	struct interp_input in = {.read = read_here, .write = write_here};

	in.regs[GPR_RAX] = rax;
	in.entry_sp = (uintptr_t)test_stack + STACK_SP;
	interp_run(p, &in, &interpreted);
}

/* The record of a run, which there is: its first slot. */
static const struct event_slot *run_one(const void *code, uint64_t rax)
{
	static struct taken t;
	struct regs r = {.r = {rax}, .g = (uintptr_t)&fake_g};

	run_code(code, &r);
	t.n = 0;
	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		slot_drain(patch_area_slot(area, i), take, &t);
	assert_int_equal(t.n, 1);
	return &t.event.slots[0];
}

static struct capture_program here(struct capture_program p)
{
	p.g = (struct goroutine_layout)FAKE_LAYOUT;
	return p;
}

static void compare(const char *name, const void *code, const struct capture_program *p)
{
	static struct inject_memory want;
	const struct event_slot *s;

	before = memory;
	interpret(p, (uintptr_t)&memory);
	want = memory;
	memory = before;
	s = run_one(code, (uintptr_t)&memory);
	if (s->status != interpreted.slots[0].status || s->value != interpreted.slots[0].value)
		fail_msg("%s: status %u, outcome %llu, and not %u, %llu", name, s->status,
			 (unsigned long long)s->value, interpreted.slots[0].status,
			 (unsigned long long)interpreted.slots[0].value);
	if (memcmp(&memory, &want, sizeof(memory)))
		fail_msg("%s: other bytes", name);
}

static void test_cases(void **state)
{
	patch_setup(CHUNKS);
	for (size_t i = 0; i < ARRAY_SIZE(inject_cases); i++) {
		const struct inject_case *c = &inject_cases[i];
		struct ir_insn insns[INJECT_PROGRAM];
		struct capture_program p = here(inject_program(insns, c->form));

		inject_fill(&memory, c->form, c->filled, c->capacity, c->block);
		if (c->spoil)
			c->spoil(&memory);
		compare(c->name, compile_ok(&p, 1), &p);
		assert_int_equal(interpreted.slots[0].value, c->outcome);
	}
}

/* Sizes, ids and lengths of all kinds; what spoils them is of the cases. */
static void test_random(void **state)
{
	/* Another observer's may be there, where it fits. */
	struct ir_insn insns[INJECT_FORMS][INJECT_PROGRAM];
	struct capture_program p[INJECT_FORMS];
	const void *code[INJECT_FORMS];
	unsigned seen[INJECT_OUTCOMES] = {0};

	patch_setup(CHUNKS);
	for (unsigned f = 0; f < INJECT_FORMS; f++) {
		p[f] = here(inject_program(insns[f], (enum inject_form)f));
		code[f] = compile_ok(&p[f], 1);
	}
	for (unsigned n = 0; n < 3000; n++) {
		enum inject_form form = (enum inject_form)rnd(INJECT_FORMS);
		uint64_t block = rnd(4) ? rnd(400) : rnd(17000), filled = block + 20 + rnd(200), capacity;
		const struct inject_case *c = &inject_cases[rnd(ARRAY_SIZE(inject_cases))];

		capacity = rnd(8) ? filled + rnd(2000) : filled - rnd(3) + rnd(90);
		inject_fill(&memory, form, filled, capacity, block);
		for (unsigned k = 0; k < 24; k++)
			((uint8_t *)&memory.words[INJECT_TRACE])[k] = (uint8_t)rnd(256);
		memory.words[INJECT_FLAGS] = rnd(256);
		if (!rnd(3) && c->spoil && (c->form == form || c->form == INJECT_LINE))
			c->spoil(&memory);
		compare("at random", code[form], &p[form]);
		seen[interpreted.slots[0].value]++;
	}
	for (unsigned o = 0; o <= INJECT_NO_ROOM; o++)
		if (o != INJECT_LIMITED)
			assert_true(seen[o]);
}

/* Memory that is not there, or cannot be written to: the slot says so, and nothing else has changed. */
static void test_faults(void **state)
{
	static const enum inject_word words[] = {INJECT_BUFFER, INJECT_LENGTH_AT};
	static struct inject_memory *readable;

	readable = mmap(NULL, sizeof(*readable), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(readable, MAP_FAILED);
	patch_setup(CHUNKS);
	for (unsigned f = 0; f < INJECT_FORMS; f++)
		for (size_t k = 0; k < ARRAY_SIZE(words) + 2; k++) {
			struct ir_insn insns[INJECT_PROGRAM];
			struct capture_program p = here(inject_program(insns, (enum inject_form)f));

			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ | PROT_WRITE), 0);
			inject_fill(readable, (enum inject_form)f, 100, 400, 50);
			memory = *readable;
			if (k < ARRAY_SIZE(words))
				memory.words[words[k]] = (uintptr_t)world.hole + 8;
			else if (k == ARRAY_SIZE(words)) /* its length can be written, the bytes cannot */
				memory.words[INJECT_LENGTH_AT] = (uintptr_t)&memory.length;
			before = memory;
			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ), 0);
			assert_int_equal(run_one(compile_ok(&p, 1), (uintptr_t)&memory)->status, SLOT_UNREADABLE);
			assert_memory_equal(&memory, &before, sizeof(memory));
		}
	munmap(readable, sizeof(*readable));
}

/* ---- what is there already ---- */

static struct ir_slot one_slot = {.name = "found", .kind = VALUE_UINT};

/* Of what is at RAX: a map, or a list of three elements of 40 bytes. */
static struct capture_program find_program(struct ir_insn *insns, const struct map_layout *map)
{
	static const char key[] = "traceparent";
	size_t n = 0;

	insns[n++] = (struct ir_insn){.op = IR_REGION};
	insns[n++] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0};
	insns[n++] = (struct ir_insn){.op = IR_CONST, .dst = 1, .imm = 3};
	insns[n++] = map ? (struct ir_insn){.op = IR_ANY_KEY, .dst = 2, .a = 0, .map = map, .str = key,
					    .imm = sizeof(key) - 1}
			 : (struct ir_insn){.op = IR_ANY_STR, .dst = 2, .a = 0, .b = 1, .at = 40, .str = key,
					    .imm = sizeof(key) - 1};
	insns[n++] = (struct ir_insn){.op = IR_EMIT, .a = 2};
	insns[n++] = (struct ir_insn){.op = IR_END};
	return here((struct capture_program){.insns = insns, .ninsns = n, .slots = &one_slot, .nslots = 1, .nregs = 3});
}

static void check_found(const struct capture_program *p, const void *code, uint64_t rax)
{
	const struct event_slot *s = run_one(code, rax);

	interpret(p, rax);
	assert_int_equal(s->status, interpreted.slots[0].status);
	if (s->status == SLOT_OK)
		assert_int_equal(s->value, interpreted.slots[0].value);
}

static void test_maps(void **state)
{
	static const char *const spellings[] = {"traceparent", "TRACEPARENT", "tRaCePaReNt", "Traceparenu",
						"traceparen",  "traceparents", "Traceparen\x34", "Trace@arent"};
	struct ir_insn insns[2][6];
	const struct capture_program p[] = {find_program(insns[0], &swiss_layout), find_program(insns[1], &old_layout)};
	struct swiss_map *swiss = swiss_maps[4];
	struct swiss_group *groups = (*(struct swiss_table **)swiss->dir)->groups;
	const void *code[2];

	patch_setup(CHUNKS);
	for (unsigned k = 0; k < 2; k++)
		code[k] = compile_ok(&p[k], 1);
	for (unsigned k = 0; k < 5; k++) { /* the sixth have more than is searched */
		check_found(&p[0], code[0], (uintptr_t)swiss_maps[k]);
		check_found(&p[1], code[1], (uintptr_t)old_maps[k]);
	}
	assert_int_equal(interpreted.slots[0].value, 1); /* the longest lists have it */
	assert_int_equal(run_one(code[0], (uintptr_t)swiss_maps[5])->value, 1);
	for (unsigned g = 0; g < 4; g++)
		for (unsigned s = 0; s < 8; s++)
			for (size_t w = 0; w < ARRAY_SIZE(spellings); w++) {
				struct swiss_slot *slot = &groups[g].slots[s];

				if (groups[g].ctrl[s] & 0x80 || slot->key_len != strlen("Traceparent"))
					continue;
				slot->key = spellings[w];
				slot->key_len = strlen(spellings[w]);
				check_found(&p[0], code[0], (uintptr_t)swiss);
				assert_int_equal(interpreted.slots[0].value,
						 !strcasecmp(spellings[w], "traceparent"));
				slot->key_len = strlen("Traceparent");
			}
	assert_int_equal(run_one(code[0], 0)->value, 0);
}

static void test_lists(void **state)
{
	static struct {
		const char *name;
		uint64_t len, rest[3];
	} list[3] = {{.name = ":method", .len = 7}, {.name = "Traceparent", .len = 11}, {.name = "x", .len = 1}};
	struct ir_insn insns[6];
	struct capture_program p = find_program(insns, NULL);
	const void *code;

	patch_setup(CHUNKS);
	code = compile_ok(&p, 1);
	check_found(&p, code, (uintptr_t)list);
	assert_int_equal(interpreted.slots[0].value, 1);
	list[1].name = "tracexarent";
	check_found(&p, code, (uintptr_t)list);
	assert_int_equal(interpreted.slots[0].value, 0);
	list[2].name = "TRACEPARENT";
	list[2].len = 11;
	check_found(&p, code, (uintptr_t)list);
	assert_int_equal(interpreted.slots[0].value, 1);
	list[2].name = world.hole;
	assert_int_equal(run_one(code, (uintptr_t)list)->status, SLOT_UNREADABLE);
	insns[2].imm = 0;
	assert_int_equal(run_one(compile_ok(&p, 1), (uintptr_t)list)->value, 0);
	insns[2].imm = IR_MAX_ELEMENTS + 1;
	assert_int_equal(run_one(compile_ok(&p, 1), (uintptr_t)list)->status, SLOT_MAP_BUSY);
}

/* A field appended to a slice that is a parameter on the stack: what lies there is what changes. */
static void test_on_stack(void **state)
{
	static struct ir_insn insns[] = {
	    {.op = IR_REGION},
	    {.op = IR_SP, .dst = 0, .imm = 8},
	    {.op = IR_LOAD, .size = 8, .dst = 1, .a = 0},
	    {.op = IR_EMIT, .a = 1},
	    {.op = IR_END},
	};
	struct capture_program p =
	    here((struct capture_program){.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &one_slot, .nslots = 1,
					  .nregs = 3});

	patch_setup(CHUNKS);
	assert_int_equal(run_one(compile_ok(&p, 1), 0)->value, 1111); /* as stack_fill has it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_random), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_maps), cmocka_unit_test(test_lists), cmocka_unit_test(test_on_stack),
	};

	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
