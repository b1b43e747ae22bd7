/*
 * Chains of contexts, as code in this process: of made-up contexts, good ones and any others, with memory that is not
 * there or goes away meanwhile.
 * EARSHOT_TEST_BENCH=1 prints what a link costs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>

#include "binary/arch_x86_64.h"
#include "plant/contexts.h"
#include "unit/ir_chain.h"
#include "unit/patch_run.h"

/* A text, the chain of the context in RBX (type word) and RCX (data), a number. */
static struct ir_insn insns[] = {
	{.op = IR_REGION, .slot = 0}, {.op = IR_ARG_REG, .reg = GPR_RDI, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RSI, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = 64},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 1}, {.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 1},
	{.op = IR_EMIT_CHAIN, .slot = 1, .a = 0, .b = 1, .imm = EVENT_MAX_CHAIN},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 2}, {.op = IR_ARG_REG, .reg = GPR_R8, .size = 8, .dst = 0},
	{.op = IR_EMIT, .slot = 2, .a = 0}, {.op = IR_END},
};
enum { CHAIN_INSN = 8, CHAIN_SLOT = 1 };
static struct ir_slot slots[] = {{.kind = VALUE_STRING}, {.kind = VALUE_CHAIN}, {.kind = VALUE_UINT}};
static const struct capture_program program = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = slots,
					       .nslots = ARRAY_SIZE(slots), .nregs = 4, .contexts = &chain_table,
					       .g = FAKE_LAYOUT};

static uint64_t walk_addr, table_addr;

static struct patch_env chain_env(void)
{
	struct patch_env env = test_env();

	env.contexts = table_addr;
	env.chain = walk_addr;
	return env;
}

static const void *compile_chain(const struct capture_program *p)
{
	struct patch_env env = chain_env();
	struct buf out = {0};
	struct err err = {0};
	uint64_t at;

	if (patch_compile(p, 1, &env, &out, &err) < 0)
		fail_msg("%s", err.text);
	at = put_code(out.data, out.len);
	buf_done(&out);
	return (const void *)(uintptr_t)at;
}

static void chain_setup(const struct context_table *t)
{
	struct buf out = {0};

	patch_setup(CHUNKS);
	contexts_put(t, BIAS, &out);
	table_addr = put_code(out.data, out.len);
	out.len = 0;
	patch_chain_compile(t->itab_type_off, &out);
	walk_addr = put_code(out.data, out.len);
	buf_done(&out);
}

/* ---- contexts ---- */

enum { PARENT = 0, NAMED, VIA, POOLED_VIA, ROOT, POOLED_ROOT, UNKNOWN, POOLED_UNKNOWN, STRANGE }; /* chain_types */
_Static_assert((int)STRANGE == CHAIN_TYPES, "as they are in ir_chain.h");

/* Behind the contexts there is a page that is not there. */
static struct chain_world *contexts;
static char *hole;

static void contexts_init(void)
{
	size_t n = ALIGN_UP(sizeof(*contexts), EVENT_PAGE);
	char *at = mmap(NULL, n + EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || mprotect(at + n, EVENT_PAGE, PROT_NONE))
		abort();
	contexts = (void *)at;
	hole = at + n;
	chain_itabs(contexts, BIAS);
}

static bool read_self(void *arg, uint64_t addr, void *out, size_t n)
{
	struct iovec local = {out, n}, remote = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

static const struct chain_memory memory = {.read = read_self, .bias = BIAS};

static uint64_t zero(uint64_t n)
{
	return 0 * n;
}

static uint64_t itab(size_t type)
{
	return (uintptr_t)contexts->itabs[type];
}

static uint64_t node(size_t k)
{
	return (uintptr_t)contexts->nodes[k];
}

/* ---- what comes out ---- */

static const struct event *run_regs(const void *code, const struct regs *r)
{
	static struct taken t;

	t.n = 0;
	run_code(code, r);
	slot_drain(patch_area_slot(area, 1), take, &t);
	assert_int_equal(t.n, 1);
	return &t.event;
}

static struct event_chain run_chain(const void *code, uint64_t type, uint64_t data)
{
	const struct event *e = run_regs(code, &(struct regs){.r = {0, type, data, (uintptr_t)world.text, 5, 4711},
							      .g = (uintptr_t)&fake_g});
	struct event_chain c;
	size_t len;

	assert_true(event_chain(e, CHAIN_SLOT, &c));
	assert_memory_equal(event_bytes(e, 0, &len), world.text, 5);
	assert_int_equal(e->slots[2].status, SLOT_OK);
	assert_int_equal(e->slots[2].value, 4711);
	return c;
}

/* It is what it is to be. */
static struct event_chain check_chain(const void *code, const struct context_table *t, uint64_t type, uint64_t data,
				      size_t max)
{
	struct event_chain c = run_chain(code, type, data);
	uint64_t words[CHAIN_WORDS_MAX];
	size_t links = 0;
	size_t n = chain_words(t, &memory, type, data, max, words);

	while (words[links] > CHAIN_BITS)
		links++;
	assert_int_equal(c.n, links);
	assert_memory_equal(c.words, words, 8 * n);
	return c;
}

/* So many links end so, above n contexts of one type that have this parent. */
static void ends(const void *code, size_t n, uint64_t parent_itab, uint64_t parent_data, size_t links,
		 enum event_chain_end end)
{
	uint64_t type, data;
	struct event_chain c;

	chain_make(contexts, n, zero, parent_itab, parent_data, &type, &data);
	c = check_chain(code, &chain_table, type, data, (size_t)insns[CHAIN_INSN].imm);
	assert_int_equal(c.n, links);
	assert_int_equal(c.end, end);
}

/* ---- tests ---- */

static void test_first(void **state)
{
	const void *code;

	chain_setup(&chain_table);
	code = compile_chain(&program);
	for (size_t i = 0; i <= CHAIN_TYPES; i++) {
		const uint64_t data[] = {0, 1, node(2), node(2) + 4, (uintptr_t)hole, UINT64_C(0xdead000000000000)};
		uint64_t type = contexts->itabs[i][CHAIN_ITAB_TYPE / 8];

		for (size_t k = 0; k < ARRAY_SIZE(data); k++)
			check_chain(code, &chain_table, type, data[k], EVENT_MAX_CHAIN);
		assert_int_equal(check_chain(code, &chain_table, type, 0, EVENT_MAX_CHAIN).end, CHAIN_ROOT);
	}
	assert_int_equal(check_chain(code, &chain_table, 0, node(2), EVENT_MAX_CHAIN).end, CHAIN_ROOT);
}

static void test_ends(void **state)
{
	const void *code;

	chain_setup(&chain_table);
	code = compile_chain(&program);
	ends(code, 1, itab(ROOT), node(9), 1, CHAIN_ROOT);
	ends(code, 5, itab(ROOT), node(9), 5, CHAIN_ROOT);
	ends(code, 5, itab(ROOT), 1, 5, CHAIN_ROOT); /* nobody looks at its data */
	ends(code, 5, itab(POOLED_ROOT), node(9), 6, CHAIN_ROOT);
	ends(code, 5, itab(UNKNOWN), node(9), 5, CHAIN_UNKNOWN_TYPE);
	ends(code, 5, itab(POOLED_UNKNOWN), node(9), 6, CHAIN_UNKNOWN_TYPE);
	ends(code, 5, itab(STRANGE), node(9), 5, CHAIN_UNKNOWN_TYPE);
	ends(code, 5, itab(PARENT), 0, 5, CHAIN_ROOT);
	ends(code, 5, 0, node(9), 5, CHAIN_ROOT);
	ends(code, 5, itab(PARENT), node(9) + 4, 5, CHAIN_UNREADABLE);
	ends(code, 5, itab(PARENT), (uintptr_t)hole, 6, CHAIN_UNREADABLE);
	ends(code, 5, (uintptr_t)hole, node(9), 5, CHAIN_UNREADABLE);
	ends(code, 5, UINT64_C(0xdead000000000000), node(9), 5, CHAIN_UNREADABLE); /* no address at all */
	ends(code, 5, itab(PARENT), (uintptr_t)hole - 8, 6, CHAIN_UNREADABLE); /* its parent's data word is not there */
	ends(code, 5, itab(VIA), (uintptr_t)hole, 6, CHAIN_UNREADABLE);
	contexts->nodes[9][1] = 0;
	ends(code, 5, itab(VIA), node(9), 6, CHAIN_ROOT);
	contexts->nodes[9][1] = (uintptr_t)hole;
	ends(code, 5, itab(VIA), node(9), 6, CHAIN_UNREADABLE);
}

static void test_pooled(void **state)
{
	struct event_chain_link link;
	struct event_chain c;
	uint64_t type, data;

	chain_setup(&chain_table);
	chain_node(contexts, 8, PARENT, itab(ROOT), node(9));
	chain_node(contexts, 7, POOLED_VIA, itab(PARENT), node(8));
	chain_make(contexts, 3, zero, itab(POOLED_VIA), node(7), &type, &data);
	c = check_chain(compile_chain(&program), &chain_table, type, data, EVENT_MAX_CHAIN);
	assert_int_equal(c.n, 5);
	for (size_t i = 0; i < c.n; i++) {
		assert_true(event_chain_link(&c, i, &link));
		assert_int_equal(link.pooled, i >= 3);
	}
}

static void test_length(void **state)
{
	static const size_t lengths[] = {1, 2, 31, 32, 33, 63, 64, 65, 66, 300};

	chain_setup(&chain_table);
	for (size_t max = 1; max <= EVENT_MAX_CHAIN; max += max == 1 ? 31 : 32) {
		const void *code;

		insns[CHAIN_INSN].imm = (int64_t)max;
		code = compile_chain(&program);
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
			ends(code, lengths[i], itab(ROOT), node(9), MIN(lengths[i], max),
			     lengths[i] > max ? CHAIN_TOO_LONG : CHAIN_ROOT);
	}
	assert_int_equal(insns[CHAIN_INSN].imm, EVENT_MAX_CHAIN);
	ends(compile_chain(&program), 7, itab(PARENT), node(0), EVENT_MAX_CHAIN, CHAIN_TOO_LONG); /* a cycle */
}

/* A record that is full already gets no chain, and the rest of it is right. */
static void test_no_room(void **state)
{
	enum { TEXTS = 8, SLOTS = TEXTS + 2 };
	static struct ir_insn many[TEXTS * 5 + 9];
	static struct ir_slot many_slots[SLOTS];
	struct capture_program p = program;
	struct regs r = {.r = {0, contexts->itabs[PARENT][CHAIN_ITAB_TYPE / 8], node(0),
			       (uintptr_t)world.text, 4096, 4711}, .g = (uintptr_t)&fake_g};
	const struct event *e;
	const void *code;
	uint64_t type, data;

	for (uint16_t s = 0; s < TEXTS; s++) {
		memcpy(many + s * 5, insns, 5 * sizeof(*insns));
		many[s * 5].slot = many[s * 5 + 3].slot = s;
		many[s * 5 + 3].imm = EVENT_MAX_STRING;
	}
	memcpy(many + TEXTS * 5, insns + 5, 9 * sizeof(*insns));
	for (size_t i = TEXTS * 5; i < ARRAY_SIZE(many); i++)
		if (many[i].op != IR_ARG_REG && many[i].op != IR_END)
			many[i].slot = (uint16_t)(many[i].slot - 1 + TEXTS);
	for (size_t s = 0; s < SLOTS; s++)
		many_slots[s].kind = s < TEXTS ? VALUE_STRING : s == TEXTS ? VALUE_CHAIN : VALUE_UINT;
	p.insns = many;
	p.ninsns = ARRAY_SIZE(many);
	p.slots = many_slots;
	p.nslots = SLOTS;
	chain_setup(&chain_table);
	chain_make(contexts, 3, zero, itab(ROOT), node(9), &type, &data);
	code = compile_chain(&p);
	for (uint64_t len = 4096; len >= 4008; len -= 8) { /* 8 words less each */
		uint64_t room = TEXTS * (EVENT_MAX_STRING - len);

		r.r[4] = len;
		e = run_regs(code, &r);
		assert_int_equal(e->slots[TEXTS].status, room < EVENT_CHAIN_BYTES ? SLOT_CUT : SLOT_OK);
		assert_int_equal(e->slots[TEXTS].copied, room < EVENT_CHAIN_BYTES ? 0 : 4 * 8);
		assert_int_equal(e->slots[TEXTS + 1].value, 4711);
	}
}

/* ---- anything ---- */

enum { RANDOM_TYPES = 40 };
static struct context_type random_types[RANDOM_TYPES];
static struct context_table random_table = {.types = {.data = random_types}};
static uint64_t random_itabs[RANDOM_TYPES + 1][4];

static void random_table_make(void)
{
	uint64_t rtype = 0x400000, ending = rnd(2) ? 3 : 400; /* one of so many types, or so */

	random_table.types.len = rnd(RANDOM_TYPES + 1);
	random_table.itab_type_off = 8 * (uint32_t)rnd(4);
	for (size_t i = 0; i < random_table.types.len; i++) {
		struct context_type *t = &random_types[i];

		rtype += 8 + 8 * rnd(rnd(3) ? 20 : 4096);
		*t = (struct context_type){.rtype = rtype, .parent = (enum context_parent)(CONTEXT_ROOT + rnd(4)),
					   .offset = 16 * (uint32_t)rnd(8), .via = 8 + 16 * (uint32_t)rnd(8),
					   .is_pooled = rnd(8) == 0};
		if (rnd(ending))
			t->parent = CONTEXT_FIELD;
		t->is_link = t->parent >= CONTEXT_FIELD || rnd(2);
		random_itabs[i][random_table.itab_type_off / 8] = rtype + BIAS;
	}
	random_itabs[RANDOM_TYPES][random_table.itab_type_off / 8] = rtype + BIAS + 8; /* of no type */
}

static uint64_t random_data(void)
{
	uint64_t words = sizeof(contexts->nodes) / 8;

	switch (rnd(200)) {
	case 0: return 0;
	case 1: return (uintptr_t)hole - 8 * rnd(20);
	case 2: return (uintptr_t)hole + 8 * rnd(EVENT_PAGE / 8);
	case 3: return rnd(UINT32_MAX) << rnd(33);
	case 4: return node(0) + rnd(8 * words);
	default: return node(0) + 8 * rnd(words);
	}
}

static uint64_t random_itab(void)
{
	size_t kind = random_table.types.len ? rnd(random_table.types.len) : RANDOM_TYPES;

	switch (rnd(200)) {
	case 0: return 0;
	case 1: return (uintptr_t)hole;
	case 2: return (uintptr_t)random_itabs[RANDOM_TYPES];
	default: return (uintptr_t)random_itabs[kind];
	}
}

/* Each two words are an interface, but for some. */
static void random_memory(void)
{
	uint64_t *words = contexts->nodes[0];
	size_t n = sizeof(contexts->nodes) / 8;

	for (size_t i = 0; i < n; i += 2) {
		words[i] = random_itab();
		words[i + 1] = random_data() & ~UINT64_C(15);
	}
	for (size_t i = 0; i < 200; i++)
		words[rnd(n)] = rnd(2) ? random_itab() : random_data();
}

static void test_random(void **state)
{
	size_t seen[CHAIN_END_COUNT] = {0};
	size_t links = 0;

	for (size_t round = 0; round < 60; round++) {
		const void *code;

		random_table_make();
		random_memory();
		chain_setup(&random_table);
		insns[CHAIN_INSN].imm = (int64_t)(1 + rnd(EVENT_MAX_CHAIN));
		code = compile_chain(&program);
		for (size_t i = 0; i < 200; i++) {
			size_t kind = random_table.types.len ? rnd(random_table.types.len) : 0;
			uint64_t type = rnd(30) ? random_types[kind].rtype + BIAS : rnd(UINT32_MAX);
			size_t max = (size_t)insns[CHAIN_INSN].imm;
			struct event_chain c = check_chain(code, &random_table, type, random_data(), max);

			seen[c.end]++;
			links += c.n;
		}
	}
	for (size_t i = 0; i < CHAIN_END_COUNT; i++)
		assert_true(seen[i] > 100);
	assert_true(links > 10000);
	insns[CHAIN_INSN].imm = EVENT_MAX_CHAIN;
}

/* The nearest SDK's span is behind the end. */
static void test_spans(void **state)
{
	const void *code;
	size_t with = 0, scopes = 0;

	chain_setup(&chain_table);
	code = compile_chain(&program);
	for (size_t i = 0; i < 4000; i++) {
		uint64_t type, data;
		struct event_chain c;

		chain_values(contexts, 60, rnd, BIAS);
		chain_make(contexts, 1 + rnd(60), rnd, itab(rnd(CHAIN_TYPES)), node(9 + rnd(80)), &type, &data);
		c = check_chain(code, &chain_table, type, data, EVENT_MAX_CHAIN);
		with += c.has_span;
		scopes += c.has_span && c.span.scope;
	}
	assert_true(with > 400 && with < 3600 && scopes > 200);
}

/* Every type is found, and no other, however many there are and wherever they lie. */
static void test_table(void **state)
{
	static struct context_type types[700];
	struct context_table t = {.types = {.data = types}};

	for (size_t stride = 8; stride <= 8192; stride *= 4) {
		for (t.types.len = 0; t.types.len < ARRAY_SIZE(types); t.types.len += t.types.len < 4 ? 1 : 173) {
			const void *code;

			for (size_t i = 0; i < t.types.len; i++)
				types[i] = (struct context_type){.rtype = 0x10000 + i * stride};
			chain_setup(&t);
			code = compile_chain(&program);
			for (size_t i = 0; i <= t.types.len; i++) {
				enum event_chain_end end = i < t.types.len ? CHAIN_ROOT : CHAIN_UNKNOWN_TYPE;
				uint64_t rtype = BIAS + 0x10000 + i * stride;

				assert_int_equal(run_chain(code, rtype, 8).end, end);
				assert_int_equal(run_chain(code, rtype - 1, 8).end, CHAIN_UNKNOWN_TYPE);
			}
		}
	}
}

/* A table that says so cannot make the walk go round without an end. */
static void test_never_ending(void **state)
{
	struct context_type type = {.rtype = CHAIN_RTYPES, .parent = CONTEXT_FIELD};
	struct context_table t = {.types = {.data = &type, .len = 1}, .itab_type_off = CHAIN_ITAB_TYPE};
	struct event_chain c;

	chain_setup(&t);
	chain_node(contexts, 0, PARENT, itab(PARENT), node(0)); /* its own */
	c = run_chain(compile_chain(&program), BIAS + type.rtype, node(0));
	assert_int_equal(c.n, 0);
	assert_int_equal(c.end, CHAIN_UNKNOWN_TYPE);
}

/* ---- memory that goes away ---- */

static volatile bool vanishing;

static void *vanish(void *arg)
{
	for (int i = 0; i < 100000 && vanishing; i++) {
		mprotect(arg, EVENT_PAGE, PROT_NONE);
		mprotect(arg, EVENT_PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

static void test_vanishing(void **state)
{
	uint64_t type, data, last = (uintptr_t)hole - EVENT_PAGE; /* of the page before */
	size_t whole = 0, cut = 0;
	pthread_t thread;
	const void *code;

	chain_setup(&chain_table);
	code = compile_chain(&program);
	chain_make(contexts, 20, zero, itab(PARENT), last, &type, &data);
	memcpy((void *)(uintptr_t)last, (uint64_t[]){itab(ROOT), node(9)}, 16);
	vanishing = true;
	assert_int_equal(pthread_create(&thread, NULL, vanish, (void *)(uintptr_t)last), 0);
	for (size_t i = 0; i < 200000 && (i < 2000 || !whole || !cut); i++) {
		struct event_chain c = run_chain(code, type, data);

		assert_int_equal(c.n, 21);
		assert_true(c.end == CHAIN_ROOT || c.end == CHAIN_UNREADABLE);
		whole += c.end == CHAIN_ROOT;
		cut += c.end == CHAIN_UNREADABLE;
	}
	vanishing = false;
	pthread_join(thread, NULL);
	assert_true(whole && cut);
	assert_int_equal(patch_area_slot(area, 1)->ring.busy, 0);
}

static void test_refused(void **state)
{
	struct patch_env env;
	struct buf out = {0};
	struct err err = {0};

	chain_setup(&chain_table);
	env = chain_env();
	env.contexts = 0;
	assert_int_equal(patch_compile(&program, 1, &env, &out, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no table"));
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

/* ---- figures ---- */

static double ns_per_run(const void *code, const struct regs *r)
{
	double best = 1e9;
	struct frame f;

	stack_fill(test_stack);
	frame_fill(&f, r, test_stack);
	for (int round = 0; round < 200; round++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < 500; i++) {
			call_code(&f, code);
			ring_pass_over(patch_area_slot(area, 1));
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		best = MIN(best, ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 500);
	}
	return best;
}

static void test_bench(void **state)
{
	static const size_t lengths[] = {0, 1, 2, 4, 8, 16, 32, 64};
	struct capture_program without = program;
	struct regs r = {.r = {0, 0, 0, (uintptr_t)world.text, 5, 4711}, .g = (uintptr_t)&fake_g};
	double base, none;

	chain_setup(&chain_table);
	area->ring.stale_tsc = INT64_MAX;
	without.ninsns = 5;
	without.nslots = 1;
	none = ns_per_run(code_memory, &r);
	base = ns_per_run(compile_chain(&without), &r);
	print_message("# a record with a text of 5 bytes: %.1f ns (the harness, %.1f ns, not in it)\n", base - none,
		      none);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		double ns;

		for (int mixed = 0; mixed < 2; mixed++) {
			r.r[1] = contexts->itabs[ROOT][CHAIN_ITAB_TYPE / 8];
			r.r[2] = node(9);
			if (lengths[i])
				chain_make(contexts, lengths[i], mixed ? rnd : zero, itab(ROOT), node(9), &r.r[1],
					   &r.r[2]);
			ns = ns_per_run(compile_chain(&program), &r);
			print_message("# with a number, and a chain of %2zu links%s: %.1f ns more\n", lengths[i],
				      mixed ? " of four types" : "", ns - base);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),   cmocka_unit_test(test_first),      cmocka_unit_test(test_pooled),
		cmocka_unit_test(test_length),   cmocka_unit_test(test_no_room),   cmocka_unit_test(test_random),
		cmocka_unit_test(test_table),  cmocka_unit_test(test_never_ending), cmocka_unit_test(test_spans),
		cmocka_unit_test(test_vanishing), cmocka_unit_test(test_refused),
	};
	const struct CMUnitTest benches[] = {cmocka_unit_test(test_bench)}; /* figures, on request */

	world_pc_ret = (uintptr_t)call_code_back;
	world_init();
	contexts_init();
	if (getenv("EARSHOT_TEST_BENCH"))
		return cmocka_run_group_tests(benches, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
