/*
 * Chains of contexts by uprobes: each kind of type, each end, and 2,000 random ones, against what context_types.h says.
 * Needs CAP_BPF and CAP_PERFMON; skips by name without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "binary/arch_x86_64.h"
#include "unit/plant_self.h"
#include "unit/ir_chain.h"

SELF_SITE(site);

static struct self_g g1 = {.hi = SELF_HI, .goid = 7};
static struct chain_world world;
static char *holes; /* a page that is there, and one behind it that may not be read */

static uint64_t seed = 1;
static uint64_t rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

static bool read_self(void *arg, uint64_t addr, void *out, size_t n)
{
	bool there = addr - (uintptr_t)&world < sizeof(world) - n || addr - (uintptr_t)holes < EVENT_PAGE - n;

	if (there)
		memcpy(out, (void *)(uintptr_t)addr, n);
	return there;
}

static const struct chain_memory memory = {.read = read_self, .bias = SELF_BIAS};

static void setup(void)
{
	memset(&world, 0, sizeof(world));
	chain_itabs(&world, SELF_BIAS);
	if (holes)
		return;
	holes = mmap(NULL, 2 * EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_ptr_not_equal(holes, MAP_FAILED);
	assert_int_equal(mprotect(holes + EVENT_PAGE, EVENT_PAGE, PROT_NONE), 0);
}

/* Two chains of one context: of rbx its type word, of rcx its data word. */
static struct ir_insn insns[] = {
	{.op = IR_REGION, .slot = 0}, {.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 1},
	{.op = IR_EMIT_CHAIN, .slot = 0, .a = 0, .b = 1, .imm = EVENT_MAX_CHAIN}, {.op = IR_END},
	{.op = IR_REGION, .slot = 1}, {.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 1},
	{.op = IR_EMIT_CHAIN, .slot = 1, .a = 0, .b = 1, .imm = 1}, {.op = IR_END},
};
static struct ir_slot slots[] = {{.name = "parent", .kind = VALUE_CHAIN}, {.name = "own", .kind = VALUE_CHAIN}};
static const struct capture_program program = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = slots, .nslots = 2,
					       .nregs = 2, .g = SELF_G_LAYOUT, .contexts = &chain_table};

static void check_slot(const struct event *e, size_t slot, uint64_t type, uint64_t data, size_t max)
{
	uint64_t words[CHAIN_WORDS_MAX];
	size_t links = 0;
	size_t n = chain_words(&chain_table, &memory, type, data, max, words);
	struct event_chain c;

	assert_true(event_chain(e, slot, &c));
	while (words[links] > CHAIN_BITS)
		links++;
	assert_int_equal(c.n, links);
	/* the end of a chain that is full at its first link is not looked for */
	assert_memory_equal(c.words, words, 8 * (max == 1 && c.n ? c.n : n));
}

static void check(struct planter *p, uint64_t type, uint64_t data, struct event_chain *ret)
{
	static struct self_samples got;

	self_call(&(struct self_regs){.rbx = type, .rcx = data, .g = &g1}, site);
	assert_int_equal(self_drain(p, &got), 1);
	check_slot(&got.all.data[0].e[0], 0, type, data, EVENT_MAX_CHAIN);
	check_slot(&got.all.data[0].e[0], 1, type, data, 1);
	assert_true(event_chain(&got.all.data[0].e[0], 0, ret));
}

/* The words of an interface that holds context k, of that type. */
static void hold(size_t type, size_t k, uint64_t *ret_itab, uint64_t *ret_data)
{
	*ret_itab = (uintptr_t)world.itabs[type];
	*ret_data = (uintptr_t)world.nodes[k];
}

static void some_end(uint64_t *ret_itab, uint64_t *ret_data)
{
	const uint64_t odd[] = {0, 1, 7, (uintptr_t)holes + EVENT_PAGE, (uintptr_t)holes + EVENT_PAGE - 8,
				(uintptr_t)world.nodes[3] + 4, 0x10, UINT64_MAX - 3, UINT64_C(0xffff800000000000)};

	hold(rnd(CHAIN_TYPES + 1), CHAIN_NODES - 1, ret_itab, ret_data);
	if (rnd(4) == 0)
		*ret_data = odd[rnd(ARRAY_SIZE(odd))];
	else if (rnd(4) == 0)
		*ret_itab = odd[rnd(ARRAY_SIZE(odd))];
	else if (rnd(4) == 0) /* round in circles */
		hold(rnd(4), rnd(20), ret_itab, ret_data);
}

static void test_random(void **state)
{
	struct planter *p = self_open(NULL);
	unsigned ends[CHAIN_END_COUNT] = {0};
	uint64_t type, data, itab, last;
	struct event_chain c;

	setup();
	self_plant(p, &program, 1, site);
	for (int i = 0; i < 2000; i++) {
		some_end(&itab, &last);
		chain_make(&world, rnd(8) ? 1 + rnd(20) : 55 + rnd(20), rnd, itab, last, &type, &data);
		check(p, type, data, &c);
		ends[c.end]++;
	}
	for (size_t i = 0; i < CHAIN_END_COUNT; i++)
		assert_true(ends[i] > 20);
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

static void test_spans(void **state)
{
	struct planter *p = self_open(NULL);
	uint64_t type, data, itab, last;
	unsigned with = 0, scopes = 0;
	struct event_chain c;

	setup();
	self_plant(p, &program, 1, site);
	for (int i = 0; i < 1000; i++) {
		some_end(&itab, &last);
		chain_values(&world, 60, rnd, SELF_BIAS);
		chain_make(&world, 1 + rnd(60), rnd, itab, last, &type, &data);
		check(p, type, data, &c);
		with += c.has_span;
		scopes += c.has_span && c.span.scope;
	}
	assert_true(with > 100 && with < 900 && scopes > 50);
	planter_close(p);
}

/* Each type itself, and what is none. */
static void test_first(void **state)
{
	struct planter *p = self_open(NULL);
	struct event_chain c;

	setup();
	self_plant(p, &program, 1, site);
	for (size_t i = 0; i <= CHAIN_TYPES; i++) {
		uint64_t type = world.itabs[i][CHAIN_ITAB_TYPE / 8];

		check(p, type, (uintptr_t)world.nodes[2], &c);
		check(p, type, 0, &c);
		check(p, type, (uintptr_t)world.nodes[2] + 2, &c);
	}
	check(p, 0, (uintptr_t)world.nodes[2], &c);
	assert_true(c.n == 0 && c.end == CHAIN_ROOT);
	planter_close(p);
}

static uint64_t zero(uint64_t n)
{
	return 0 * n;
}

/* So many links of one type, and the root. */
static void expect_length(struct planter *p, size_t n, size_t links, enum event_chain_end end)
{
	uint64_t type, data, itab, last;
	struct event_chain c;

	hold(4, CHAIN_NODES - 1, &itab, &last);
	chain_make(&world, n, zero, itab, last, &type, &data);
	check(p, type, data, &c);
	assert_int_equal(c.n, links);
	assert_int_equal(c.end, end);
}

static void test_length(void **state)
{
	struct planter *p = self_open(NULL);

	setup();
	self_plant(p, &program, 1, site);
	expect_length(p, 1, 1, CHAIN_ROOT);
	expect_length(p, 63, 63, CHAIN_ROOT);
	expect_length(p, 64, 64, CHAIN_ROOT);
	expect_length(p, 65, 64, CHAIN_TOO_LONG);
	expect_length(p, 100, 64, CHAIN_TOO_LONG);
	planter_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_spans),
					  cmocka_unit_test(test_first), cmocka_unit_test(test_length)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
