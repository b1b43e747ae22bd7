/*
 * What writes into the program, by uprobes on functions of this one: compared with the interpreter, byte by byte. What
 * only looks needs CAP_BPF and CAP_PERFMON, and skips by name without. Few kernels let programs write, and all that do
 * tell the administrator: what writes is asked for ("write"), as in the tests' virtual machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "plant/uprobe/writes.h"
#include "unit/ir_inject.h"
#include "unit/ir_interp.h"
#include "unit/ir_world.h"
#include "unit/plant_self.h"

SELF_SITE(site_line);
SELF_SITE(site_field);
SELF_SITE(site_frame);
static const void *const sites[INJECT_FORMS] = {[INJECT_LINE] = site_line, [INJECT_FIELD] = site_field,
						[INJECT_FRAME] = site_frame};

static struct inject_memory memory, before;
static struct self_g self = {.hi = SELF_HI, .goid = 7};
static char *hole; /* a page that may not be read, behind one that may */

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
	struct interp_input in = {.read = read_here, .write = write_here, .entry_sp = (uintptr_t)&world_pc_ret};

	in.regs[GPR_RAX] = rax;
	interp_run(p, &in, &interpreted);
}

/* The first slot of the one record of a run. */
static struct event_slot run_one(struct planter *p, const void *site, uint64_t rax)
{
	static struct self_samples got;

	self_call(&(struct self_regs){.rax = rax, .g = &self}, site);
	assert_int_equal(self_drain(p, &got), 1);
	return got.all.data[0].e[0].slots[0];
}

static struct capture_program here(struct capture_program p)
{
	p.g = (struct goroutine_layout)SELF_G_LAYOUT;
	return p;
}

/* ---- writing ---- */

struct writers {
	struct planter *planter;
	struct ir_insn insns[INJECT_FORMS][INJECT_PROGRAM];
	struct capture_program programs[INJECT_FORMS];
};

static void open_writers(struct writers *w)
{
	w->planter = self_open(NULL);
	for (unsigned f = 0; f < INJECT_FORMS; f++) {
		w->programs[f] = here(inject_program(w->insns[f], (enum inject_form)f));
		self_plant(w->planter, &w->programs[f], f + 1, sites[f]);
	}
}

static void compare(const char *name, struct writers *w, enum inject_form form)
{
	static struct inject_memory want;
	struct event_slot s;

	before = memory;
	interpret(&w->programs[form], (uintptr_t)&memory);
	want = memory;
	memory = before;
	s = run_one(w->planter, sites[form], (uintptr_t)&memory);
	if (s.status != interpreted.slots[0].status || s.value != interpreted.slots[0].value)
		fail_msg("%s: status %u, outcome %llu, and not %u, %llu", name, s.status, (unsigned long long)s.value,
			 interpreted.slots[0].status, (unsigned long long)interpreted.slots[0].value);
	if (memcmp(&memory, &want, sizeof(memory)))
		fail_msg("%s: other bytes", name);
}

static void test_cases(void **state)
{
	static struct writers w;

	open_writers(&w);
	for (size_t i = 0; i < ARRAY_SIZE(inject_cases); i++) {
		const struct inject_case *c = &inject_cases[i];

		inject_fill(&memory, c->form, c->filled, c->capacity, c->block);
		if (c->spoil)
			c->spoil(&memory);
		compare(c->name, &w, c->form);
		assert_int_equal(interpreted.slots[0].value, c->outcome);
	}
	planter_close(w.planter);
}

static void test_random(void **state)
{
	static struct writers w;
	unsigned seen[INJECT_OUTCOMES] = {0};

	open_writers(&w);
	for (unsigned n = 0; n < 1000; n++) {
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
		compare("at random", &w, form);
		seen[interpreted.slots[0].value]++;
	}
	for (unsigned o = 0; o <= INJECT_NO_ROOM; o++)
		if (o != INJECT_PRESENT && o != INJECT_LIMITED)
			assert_true(seen[o]);
	planter_close(w.planter);
}

/* Memory that is not there, or cannot be written to: the slot says so, and nothing else has changed. */
static void test_faults(void **state)
{
	static const enum inject_word words[] = {INJECT_BUFFER, INJECT_LENGTH_AT};
	static struct inject_memory *readable;
	static struct writers w;

	open_writers(&w);
	readable = mmap(NULL, sizeof(*readable), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(readable, MAP_FAILED);
	for (unsigned f = 0; f < INJECT_FORMS; f++)
		for (size_t k = 0; k < ARRAY_SIZE(words) + 2; k++) {
			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ | PROT_WRITE), 0);
			inject_fill(readable, (enum inject_form)f, 100, 400, 50);
			memory = *readable;
			if (k < ARRAY_SIZE(words))
				memory.words[words[k]] = (uintptr_t)hole + 8;
			else if (k == ARRAY_SIZE(words)) /* its length can be written, the bytes cannot */
				memory.words[INJECT_LENGTH_AT] = (uintptr_t)&memory.length;
			before = memory;
			assert_int_equal(mprotect(readable, sizeof(*readable), PROT_READ), 0);
			assert_int_equal(run_one(w.planter, sites[f], (uintptr_t)&memory).status, SLOT_UNREADABLE);
			assert_memory_equal(&memory, &before, sizeof(memory));
		}
	munmap(readable, sizeof(*readable));
	planter_close(w.planter);
}

/* A kernel that refuses says which of the reasons it is, and the probe is refused with it. */
static void test_refused(void **state)
{
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program program = here(inject_program(insns, INJECT_LINE));
	struct uprobe_site s = {.offset = self_offset(site_line)};
	struct plant_probe probe = {.id = 1, .label = "self", .sites = &s.site, .program = &program};
	struct plant_target t = {.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = SELF_BIAS,
				 .binary_key = 1};
	struct err err = {0}, why = {0};
	struct plant *ret = NULL;
	struct planter *p = self_open(NULL);
	int r = uprobe_writes_check(&why);

	assert_int_equal(p->ops->plant(p, &t, &probe, 1, &ret, &err), r == 0);
	assert_string_equal(err.text, why.text);
	planter_close(p);
}

/* ---- what is there already ---- */

static struct ir_slot one_slot = {.name = "found", .kind = VALUE_UINT};

/* Of what is at RAX: a map, or a list of n elements of 40 bytes. */
static struct capture_program find_program(struct ir_insn *insns, const struct map_layout *map, int64_t n)
{
	static const char key[] = "traceparent";
	size_t k = 0;

	insns[k++] = (struct ir_insn){.op = IR_REGION};
	insns[k++] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0};
	insns[k++] = (struct ir_insn){.op = IR_CONST, .dst = 1, .imm = n};
	insns[k++] = map ? (struct ir_insn){.op = IR_ANY_KEY, .dst = 2, .a = 0, .map = map, .str = key,
					    .imm = sizeof(key) - 1}
			 : (struct ir_insn){.op = IR_ANY_STR, .dst = 2, .a = 0, .b = 1, .at = 40, .str = key,
					    .imm = sizeof(key) - 1};
	insns[k++] = (struct ir_insn){.op = IR_EMIT, .a = 2};
	insns[k++] = (struct ir_insn){.op = IR_END};
	return here((struct capture_program){.insns = insns, .ninsns = k, .slots = &one_slot, .nslots = 1, .nregs = 3});
}
#define FIND_PROGRAM 6

static void check_found(struct planter *planter, const struct capture_program *p, const void *site, const void *at)
{
	struct event_slot s = run_one(planter, site, (uintptr_t)at);

	interpret(p, (uintptr_t)at);
	assert_int_equal(s.status, interpreted.slots[0].status);
	if (s.status == SLOT_OK)
		assert_int_equal(s.value, interpreted.slots[0].value);
}

static void test_maps(void **state)
{
	static const char *const spellings[] = {"traceparent", "TRACEPARENT", "tRaCePaReNt", "Traceparenu",
						"traceparen",  "traceparents", "Traceparen\x34", "Trace@arent"};
	struct ir_insn insns[2][FIND_PROGRAM];
	const struct capture_program p[] = {find_program(insns[0], &swiss_layout, 0),
					    find_program(insns[1], &old_layout, 0)};
	struct swiss_map *swiss = swiss_maps[4];
	struct swiss_group *groups = (*(struct swiss_table **)swiss->dir)->groups;
	struct planter *planter = self_open(NULL);

	for (unsigned k = 0; k < 2; k++)
		self_plant(planter, &p[k], k + 1, sites[k]);
	for (unsigned k = 0; k < 5; k++) {
		check_found(planter, &p[0], sites[0], swiss_maps[k]);
		check_found(planter, &p[1], sites[1], old_maps[k]);
	}
	assert_int_equal(run_one(planter, sites[0], (uintptr_t)swiss_maps[5]).value, 1);
	for (unsigned g = 0; g < 4; g++)
		for (unsigned s = 0; s < 8; s++)
			for (size_t k = 0; k < ARRAY_SIZE(spellings); k++) {
				struct swiss_slot *slot = &groups[g].slots[s];

				if (groups[g].ctrl[s] & 0x80 || slot->key_len != strlen("Traceparent"))
					continue;
				slot->key = spellings[k];
				slot->key_len = strlen(spellings[k]);
				check_found(planter, &p[0], sites[0], swiss);
				assert_int_equal(interpreted.slots[0].value, !strcasecmp(spellings[k], "traceparent"));
				slot->key_len = strlen("Traceparent");
			}
	assert_int_equal(run_one(planter, sites[0], 0).value, 0);
	planter_close(planter);
}

struct element {
	const char *name;
	uint64_t len, rest[3];
};

static void test_lists(void **state)
{
	static struct element list[IR_MAX_ELEMENTS];
	static const int64_t sizes[INJECT_FORMS] = {3, IR_MAX_ELEMENTS, IR_MAX_ELEMENTS + 1};
	struct ir_insn insns[INJECT_FORMS][FIND_PROGRAM];
	struct capture_program p[INJECT_FORMS];
	struct planter *planter = self_open(NULL);

	for (unsigned k = 0; k < INJECT_FORMS; k++) {
		p[k] = find_program(insns[k], NULL, sizes[k]);
		self_plant(planter, &p[k], k + 1, sites[k]);
	}
	for (unsigned k = 0; k < IR_MAX_ELEMENTS; k++)
		list[k] = (struct element){.name = k % 2 ? "tracexarent" : ":method", .len = k % 2 ? 11 : 7};
	check_found(planter, &p[0], sites[0], list);
	check_found(planter, &p[1], sites[1], list);
	assert_int_equal(interpreted.slots[0].value, 0);
	list[IR_MAX_ELEMENTS - 1] = (struct element){.name = "TraceParent", .len = 11};
	check_found(planter, &p[1], sites[1], list);
	assert_int_equal(interpreted.slots[0].value, 1);
	check_found(planter, &p[0], sites[0], list);
	assert_int_equal(interpreted.slots[0].value, 0);
	list[0] = (struct element){.name = hole, .len = 11};
	assert_int_equal(run_one(planter, sites[0], (uintptr_t)list).status, SLOT_UNREADABLE);
	list[0].len = 12;
	assert_int_equal(run_one(planter, sites[0], (uintptr_t)list).status, SLOT_OK);
	assert_int_equal(run_one(planter, sites[0], (uintptr_t)hole - 80).status, SLOT_UNREADABLE);
	assert_int_equal(run_one(planter, sites[2], (uintptr_t)list).status, SLOT_MAP_BUSY);
	planter_close(planter);
}

/* What lies at the entry's stack pointer is the return address. */
static void test_stack_pointer(void **state)
{
	static struct ir_insn insns[] = {
	    {.op = IR_REGION},
	    {.op = IR_SP, .dst = 0, .imm = -16},
	    {.op = IR_LOAD, .size = 8, .dst = 1, .a = 0, .imm = 16},
	    {.op = IR_PC_RET, .dst = 0},
	    {.op = IR_BIN, .bin = BIN_SUB, .dst = 2, .a = 1, .b = 0},
	    {.op = IR_EMIT, .a = 2},
	    {.op = IR_END},
	};
	struct capture_program p =
	    here((struct capture_program){.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &one_slot, .nslots = 1,
					  .nregs = 3});
	struct planter *planter = self_open(NULL);
	struct event_slot s;

	self_plant(planter, &p, 1, site_line);
	s = run_one(planter, site_line, 0);
	assert_int_equal(s.status, SLOT_OK);
	assert_int_equal(s.value, 0);
	planter_close(planter);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest looking[] = {
		cmocka_unit_test(test_maps), cmocka_unit_test(test_lists), cmocka_unit_test(test_stack_pointer),
		cmocka_unit_test(test_refused),
	};
	const struct CMUnitTest writing[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_random), cmocka_unit_test(test_faults),
	};

	world_init();
	hole = mmap(NULL, 2 * EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_ptr_not_equal(hole, MAP_FAILED);
	hole += EVENT_PAGE;
	assert_int_equal(mprotect(hole, EVENT_PAGE, PROT_NONE), 0);
	return cmocka_run_group_tests(looking, NULL, NULL) +
	       (argc > 1 && !strcmp(argv[1], "write") ? cmocka_run_group_tests(writing, NULL, NULL) : 0);
}
