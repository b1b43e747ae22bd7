/*
 * Capture programs as x86-64 code, run in this process: records compared with an interpreter's for generated
 * programs, and what must be preserved compared after each run.
 * EARSHOT_TEST_BENCH=1 prints what a run costs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <time.h>
#include <x86intrin.h>

#include "binary/arch_x86_64.h"
#include "unit/ir_gen.h"
#include "unit/patch_run.h"

struct last {
	size_t n;
	_Alignas(8) uint8_t record[EVENT_MAX_SIZE];
	size_t size;
};

static void keep_last(void *arg, const void *record, size_t size)
{
	struct last *l = arg;

	assert_true(size <= sizeof(l->record));
	memcpy(l->record, record, size);
	l->size = size;
	l->n++;
}

static void count_good(void *arg, const void *record, size_t size)
{
	struct event e;

	assert_true(event_decode(record, size, &e));
	++*(uint64_t *)arg;
}

/* All slots: how many records, the last one kept. */
static size_t drain_all(struct last *l)
{
	size_t n = 0;

	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		n += slot_drain(patch_area_slot(area, i), keep_last, l);
	return n;
}

static size_t drain_count(uint32_t slot)
{
	uint64_t n = 0;

	return slot_drain(patch_area_slot(area, slot), count_good, &n);
}

/* ---- generated programs ---- */

static void print_program(const struct capture_program *p, uint64_t start)
{
	struct buf text = {0};

	if (!getenv("EARSHOT_TEST_VERBOSE"))
		return;
	capture_print(p, &text);
	printf("# seed %llu\n%s", (unsigned long long)start, text.data ? text.data : "");
	fflush(stdout);
	buf_done(&text);
}

static void run_generated(const struct maker *k, const void *code, uint32_t id)
{
	static struct machine m;
	static struct last l;
	uint64_t unreadable = loss_count(LOSS_FILTER_UNREADABLE);
	struct regs r = some_regs();

	m = (struct machine){.p = &k->p, .regs = &r, .sp = (uintptr_t)test_stack + STACK_SP};
	interpret(&m);
	run_code(code, &r);
	l.n = 0;
	drain_all(&l);
	if (l.n != !m.dropped)
		fail_msg("program %u: a record is %s", id, m.dropped ? "too many" : "missing");
	if (l.n) {
		assert_int_equal(((struct event_header *)(void *)l.record)->size, l.size);
		check_record(&m, l.record, id);
	}
	assert_int_equal(loss_count(LOSS_FILTER_UNREADABLE), unreadable + m.unreadable);
	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		assert_int_equal(patch_area_slot(area, i)->ring.busy, 0);
}

static void test_generated(void **state)
{
	static struct maker k;
	unsigned programs = getenv("EARSHOT_TEST_PROGRAMS") ? (unsigned)atoi(getenv("EARSHOT_TEST_PROGRAMS")) : 4000;

	patch_setup(CHUNKS);
	for (uint32_t i = 0; i < programs; i++) {
		uint64_t start = seed;
		const void *code;

		make(&k, i % 7 == 6 ? rnd(EVENT_MAX_SLOTS + 1) : rnd(5), i % 2 ? IR_MAX_REGS : 6 + (unsigned)rnd(10));
		print_program(&k.p, start);
		if (code_used > CODE_SIZE / 2) {
			code_reset();
			install_handler();
		}
		code = compile_ok(&k.p, i);
		for (int call = 0; call < 6; call++)
			run_generated(&k, code, i);
		vec_done(&k.code);
	}
}

/* ---- rings, slots, ways out ---- */

static struct ir_slot one_slot = {.kind = VALUE_STRING}, number_slot = {.kind = VALUE_INT};
/* One string: from RAX (pointer) and RBX (length). */
static struct ir_insn string_insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = 4096},
	{.op = IR_END},
};

static struct capture_program program_of(struct ir_insn *insns, size_t n)
{
	return (struct capture_program){.insns = insns, .ninsns = n, .slots = &one_slot, .nslots = n ? 1 : 0,
					.nregs = IR_MAX_REGS, .nlabels = 8, .g = FAKE_LAYOUT};
}
#define PROGRAM(insns) program_of(insns, ARRAY_SIZE(insns))

static struct capture_program number_program(struct ir_insn *insns, size_t n)
{
	struct capture_program p = program_of(insns, n);

	p.slots = &number_slot;
	return p;
}
#define NUMBER_PROGRAM(insns) number_program(insns, ARRAY_SIZE(insns))

static struct regs text_regs(uint64_t len)
{
	return (struct regs){.r = {(uintptr_t)world.text, len}, .g = (uintptr_t)&fake_g};
}

/* Strings of all lengths, also to the last byte before a hole, and over it. */
static void test_strings(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	const void *code;
	struct last l;
	struct event e;
	size_t n;

	patch_setup(CHUNKS);
	code = compile_ok(&p, 7);
	for (uint64_t len = 0; len < 1200; len++) {
		for (int over = 0; over < 2; over++) {
			struct regs r = {.r = {(uintptr_t)world.hole - len + (uint64_t)over, len},
					 .g = (uintptr_t)&fake_g};

			memset(world.hole - len - 1, (int)len | 1, len + 1);
			run_code(code, &r);
			assert_int_equal(drain_all(&l), 1);
			assert_true(event_decode(l.record, l.size, &e));
			assert_int_equal(e.slots[0].len, len);
			if (over && len) {
				const char *part;
				uint64_t addr;

				assert_int_equal(e.slots[0].status, SLOT_NOT_RESIDENT);
				part = event_part(&e, 0, &n, &addr);
				assert_int_equal(addr, r.r[0]);
				assert_int_equal(n, len - 1);
				assert_memory_equal(part, world.hole - len + 1, n);
				continue;
			}
			assert_int_equal(e.slots[0].status, SLOT_OK);
			assert_memory_equal(event_bytes(&e, 0, &n), world.hole - len, len);
			assert_int_equal(n, len);
		}
	}
}

static void test_ring_full(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(100);
	const void *code;
	uint64_t n = 0;

	patch_setup(1);
	area->ring.stale_tsc = INT64_MAX;
	code = compile_ok(&p, 1);
	for (int round = 0; round < 20; round++) { /* at other positions of the ring each */
		for (int i = 0; i < 900; i++)
			run_code(code, &r);
		n += drain_count(1);
	}
	assert_true(loss_count(LOSS_RING_FULL) > 0);
	assert_int_equal(n + loss_count(LOSS_RING_FULL), 18000);
	assert_int_equal(area->ring.on, 1);
	area->ring.stale_tsc = 1000; /* and nobody listens */
	for (int i = 0; i < 900; i++)
		run_code(code, &r);
	assert_int_equal(area->ring.on, 0);
	drain_count(1);
	run_code(code, &r);
	assert_int_equal(drain_count(1), 0);
}

/* A ring takes what it needs of the pool, also all of it; nothing that is there is lost, and all comes back. */
static void test_pool(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(4000);
	const void *code;

	patch_setup(CHUNKS);
	area->ring.stale_tsc = INT64_MAX;
	code = compile_ok(&p, 1);
	for (int round = 0; round < 100; round++) {
		uint64_t n = 0;

		for (uint32_t slot = 0; slot < PROCS; slot++) {
			fake_p.id = (int32_t)slot;
			for (uint32_t bytes = 0; bytes < (CHUNKS / 2 - 1) * RING_CHUNK - 5000; bytes += 4200, n++)
				run_code(code, &r);
		}
		assert_int_equal(loss_count(LOSS_RING_FULL), 0);
		for (uint32_t slot = 0; slot < PROCS; slot++)
			n -= drain_count(slot);
		assert_int_equal(n, 0);
	}
	assert_int_equal(area->ring.on, 1);
}

/* What is on a stack leads nowhere else, whoever wrote there. */
static void test_pool_damaged(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(100);
	const void *code;

	patch_setup(CHUNKS);
	area->ring.stale_tsc = INT64_MAX;
	code = compile_ok(&p, 1);
	area->ring.free[0] = CHUNKS + 1;
	run_code(code, &r);
	area->ring.free[0] = UINT32_MAX;
	run_code(code, &r);
	assert_int_equal(loss_count(LOSS_RING_FULL), 2);
	assert_int_equal(drain_count(1), 0);
	area->ring.free[1] = UINT64_C(7) << 32 | CHUNKS; /* the second stack is as good */
	run_code(code, &r);
	assert_int_equal(area->ring.free[1],
			 UINT64_C(8) << 32 |
				 *(uint32_t *)(void *)((char *)area + area->ring.links_off + 4 * (CHUNKS - 1)));
	assert_int_equal(drain_count(1), 1);
}

/* Full, but somebody is there. */
static void test_heartbeat(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(4000);
	const void *code;

	patch_setup(1);
	area->ring.heartbeat_tsc = __rdtsc() + (1 << 20);
	area->ring.stale_tsc = UINT64_C(1) << 40;
	code = compile_ok(&p, 1);
	for (int i = 0; i < 100; i++)
		run_code(code, &r);
	assert_in_range(loss_count(LOSS_RING_FULL), 1, 99);
	assert_int_equal(area->ring.on, 1);
	assert_int_equal(drain_count(1) + loss_count(LOSS_RING_FULL), 100);
	run_code(code, &r);
	assert_int_equal(drain_count(1), 1);
}

static void test_extra_slots(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(10);
	const void *code;

	patch_setup(CHUNKS);
	code = compile_ok(&p, 1);
	run_code(code, &r);
	assert_int_equal(drain_count(1), 1);
	fake_p.id = 0;
	run_code(code, &r);
	assert_int_equal(drain_count(0), 1);
	fake_p.id = PROCS; /* beyond */
	run_code(code, &r);
	fake_p.id = -1;
	run_code(code, &r);
	fake_p.id = 1;
	fake_m.p = NULL; /* in a system call */
	run_code(code, &r);
	fake_m.p = &fake_p;
	fake_g.m = 0;
	run_code(code, &r);
	fake_g.m = (uintptr_t)&fake_m;
	patch_area_slot(area, 1)->ring.busy = 1; /* in the middle of our code */
	run_code(code, &r);
	assert_int_equal(drain_count(PROCS), 5);
	patch_area_slot(area, PROCS)->ring.busy = 1;
	run_code(code, &r);
	assert_int_equal(drain_count(PROCS + 1), 1);
	patch_area_slot(area, PROCS + 1)->ring.busy = 1;
	run_code(code, &r);
	assert_int_equal(loss_count(LOSS_BUSY), 1);
	r.g = 0;
	patch_area_slot(area, PROCS)->ring.busy = 0;
	run_code(code, &r);
	assert_int_equal(loss_count(LOSS_NO_GOROUTINE), 1);
	assert_int_equal(patch_area_slot(area, PROCS)->ring.busy, 0);
}

static struct event run_and_take(const void *code, const struct regs *r)
{
	static struct last l;
	struct event e = {0};

	run_code(code, r);
	if (drain_all(&l))
		assert_true(event_decode(l.record, l.size, &e));
	return e;
}

static void word_is(const struct event *e, size_t slot, enum slot_status status, uint64_t value)
{
	assert_int_equal(e->slots[slot].status, status);
	if (status == SLOT_OK)
		assert_int_equal(e->slots[slot].value, value);
}

/*
 * Words of the runtime are there wherever the code runs: of the goroutine, of its M's P, of a variable of the program.
 * On a system stack it is that g's; in a system call there is no P.
 */
static void test_runtime_words(void **state)
{
	static uint64_t sched = 77;
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0}, {.op = IR_G, .dst = 0}, {.op = IR_LOAD, .size = 8, .dst = 1, .imm = 152},
		{.op = IR_EMIT, .slot = 0, .a = 1}, {.op = IR_END},
		{.op = IR_REGION, .slot = 1}, {.op = IR_G, .dst = 0}, {.op = IR_LOAD, .size = 8, .dst = 1, .imm = 48},
		{.op = IR_LOAD, .size = 8, .dst = 2, .a = 1, .imm = offsetof(struct fake_m, p)},
		{.op = IR_LOAD, .size = 4, .dst = 3, .a = 2, .imm = offsetof(struct fake_p, id)},
		{.op = IR_EMIT, .slot = 1, .a = 3}, {.op = IR_END},
		{.op = IR_REGION, .slot = 2}, {.op = IR_TYPE, .dst = 0, .imm = (int64_t)((uintptr_t)&sched - BIAS)},
		{.op = IR_LOAD, .size = 8, .dst = 1}, {.op = IR_EMIT, .slot = 2, .a = 1}, {.op = IR_END},
	};
	struct ir_slot slots[] = {number_slot, number_slot, number_slot};
	__typeof__(fake_g) *g0 = test_malloc(sizeof(*g0));
	struct capture_program p = NUMBER_PROGRAM(insns);
	struct regs r = text_regs(10);
	const void *code;
	struct event e;

	p.slots = slots;
	p.nslots = ARRAY_SIZE(slots);
	patch_setup(CHUNKS);
	code = compile_ok(&p, 1);
	e = run_and_take(code, &r);
	word_is(&e, 0, SLOT_OK, fake_g.goid);
	word_is(&e, 1, SLOT_OK, 1);
	word_is(&e, 2, SLOT_OK, 77);
	fake_m.p = NULL;
	e = run_and_take(code, &r);
	word_is(&e, 0, SLOT_OK, fake_g.goid);
	word_is(&e, 1, SLOT_NIL, 0);
	word_is(&e, 2, SLOT_OK, 77);
	fake_m.p = &fake_p;
	*g0 = fake_g;
	g0->goid = 0;
	r.g = (uintptr_t)g0;
	e = run_and_take(code, &r);
	assert_int_equal(e.head->goid, 0);
	word_is(&e, 0, SLOT_OK, 0);
	word_is(&e, 1, SLOT_OK, 1);
	g0->m = 0;
	e = run_and_take(code, &r);
	word_is(&e, 1, SLOT_NIL, 0);
	word_is(&e, 2, SLOT_OK, 77);
	test_free(g0);
}

static void test_off(void **state)
{
	struct capture_program p = PROGRAM(string_insns);
	struct regs r = text_regs(10);
	const void *code;

	patch_setup(CHUNKS);
	p.controlled = true;
	code = compile_ok(&p, 1);
	area->ring.on = 0;
	run_code(code, &r);
	area->ring.on = 1;
	run_code(code, &r);
	assert_int_equal(drain_count(1), 1);
	assert_int_equal(patch_area_hits(area, area, 3), 1);
}

/* What faults elsewhere, or is sent, reaches the handler that was there. */
static void test_foreign_fault(void **state)
{
	volatile char *hole = world.hole;

	patch_setup(CHUNKS);
	foreign_faults = 0;
	if (!sigsetjmp(foreign_return, 1))
		hole[0] = 1;
	assert_int_equal(foreign_faults, 1);
	if (!sigsetjmp(foreign_return, 1))
		raise(SIGSEGV);
	assert_int_equal(foreign_faults, 2);
	area->ncode = 0;
	if (!sigsetjmp(foreign_return, 1))
		hole[1] = 1;
	assert_int_equal(foreign_faults, 3);
}

static void test_xmm(void **state)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_FLOAT, .size = 8, .dst = 0},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_END},
	};
	struct capture_program p = NUMBER_PROGRAM(insns);
	struct regs r = text_regs(10);
	struct event e;
	struct last l;

	for (uint8_t reg = 0; reg < 15; reg++) {
		for (uint8_t size = 4; size <= 8; size += 4) {
			uint64_t want = UINT64_C(0x0123456789abcdef) * (reg + 1);

			insns[1].reg = reg;
			insns[1].size = size;
			patch_setup(CHUNKS);
			run_code(compile_ok(&p, 1), &r);
			assert_int_equal(drain_all(&l), 1);
			assert_true(event_decode(l.record, l.size, &e));
			assert_int_equal(e.slots[0].value, size == 8 ? want : (uint32_t)want);
		}
	}
}

/* ---- what programs keep for each other ---- */

static struct ir_insn save_insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_SAVE, .a = 0, .imm = 2},
	{.op = IR_EMIT, .slot = 0, .a = 0},
	{.op = IR_END},
};
static struct ir_insn saved_insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_SAVED, .dst = 0, .imm = 2},
	{.op = IR_EMIT, .slot = 0, .a = 0},
	{.op = IR_END},
};

static void test_saved(void **state)
{
	struct capture_program save = NUMBER_PROGRAM(save_insns), saved = NUMBER_PROGRAM(saved_insns), other = saved;
	struct regs r = text_regs(0);
	const void *saves, *takes, *others;

	patch_setup(CHUNKS);
	save.save_group = saved.save_group = 5;
	other.save_group = 6;
	saves = compile_ok(&save, 1);
	takes = compile_ok(&saved, 2);
	others = compile_ok(&other, 3);
	assert_int_equal(run_and_take(takes, &r).slots[0].status, SLOT_ABSENT);
	for (uint64_t goid = 1; goid <= 200; goid++) { /* more than there is room for */
		fake_g.goid = goid;
		r.r[0] = goid * 1000;
		assert_int_equal(run_and_take(saves, &r).slots[0].value, goid * 1000);
		assert_int_equal(run_and_take(takes, &r).slots[0].value, goid * 1000);
		assert_int_equal(run_and_take(others, &r).slots[0].status, SLOT_ABSENT);
		r.r[0] = (uintptr_t)test_stack + STACK_SP + 64; /* into its own stack */
		fake_g.hi = (uintptr_t)test_stack + STACK_SIZE;
		run_and_take(saves, &r);
		assert_int_equal(run_and_take(takes, &r).slots[0].status, SLOT_ABSENT);
		r.r[0] = goid * 1000 + 1;
		run_and_take(saves, &r);
	}
	for (uint64_t goid = 1, found = 0; goid <= 200; goid++) {
		struct event e;

		fake_g.goid = goid;
		e = run_and_take(takes, &r);
		found += e.slots[0].status == SLOT_OK;
		if (e.slots[0].status == SLOT_OK)
			assert_int_equal(e.slots[0].value, goid * 1000 + 1);
		if (goid == 200)
			assert_in_range(found, 16, area->nsaved);
	}
	fake_g.goid = 4711;
	fake_g.hi = UINT64_C(0x7fffffffff00);
}

/* One program uses what is kept and keeps something else: what it does not keep is gone. */
static void test_saved_anew(void **state)
{
	static struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_SAVED, .dst = 0, .imm = 2},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
		{.op = IR_JUMP_IF0, .a = 1},
		{.op = IR_SAVE, .a = 1, .imm = 2},
		{.op = IR_LABEL},
		{.op = IR_END},
	};
	struct capture_program save = NUMBER_PROGRAM(save_insns), saved = NUMBER_PROGRAM(saved_insns),
			       anew = NUMBER_PROGRAM(insns);
	const void *saves, *takes, *anews;
	struct regs r = {.r = {111, 222}, .g = (uintptr_t)&fake_g};

	patch_setup(CHUNKS);
	saves = compile_ok(&save, 1);
	takes = compile_ok(&saved, 2);
	anews = compile_ok(&anew, 3);
	run_and_take(saves, &r);
	assert_int_equal(run_and_take(anews, &r).slots[0].value, 111);
	assert_int_equal(run_and_take(takes, &r).slots[0].value, 222);
	r.r[1] = 0;
	assert_int_equal(run_and_take(anews, &r).slots[0].value, 222);
	assert_int_equal(run_and_take(takes, &r).slots[0].status, SLOT_ABSENT);
}

/* A return needs no entry then. What is dropped shows in the epoch of all that the goroutine does later. */
static void test_calls_apart(void **state)
{
	struct capture_program entry = program_of(NULL, 0), ret = entry;
	struct patch_slot *slot;
	struct regs r = text_regs(0);
	const void *begins, *ends;
	uint64_t free_chunks;

	patch_setup(2);
	area->ring.stale_tsc = INT64_MAX;
	calls_apart = true;
	entry.role = PROGRAM_ENTRY;
	ret.role = PROGRAM_RETURN;
	entry.call_group = ret.call_group = 9;
	entry.controlled = true;
	begins = compile_ok(&entry, 1);
	ends = compile_ok(&ret, 2);
	calls_apart = false;
	assert_int_equal(run_and_take(ends, &r).head->kind, EVENT_RETURN);
	assert_int_equal(last_epoch, 0);
	slot = patch_area_slot(area, 1);
	free_chunks = area->ring.free[0];
	area->ring.free[0] = 0;
	while (slot->ring.write + sizeof(struct event_header) + sizeof(struct ring_entry) <= slot->ring.limit)
		run_code(ends, &r);
	run_code(begins, &r);
	assert_int_equal(loss_count(LOSS_RING_FULL), 1);
	area->ring.free[0] = free_chunks;
	drain_count(1);
	assert_int_equal(run_and_take(ends, &r).head->kind, EVENT_RETURN);
	assert_int_equal(last_epoch, 1);
	for (uint32_t i = 0; i < PROCS + EXTRA; i++)
		patch_area_slot(area, i)->ring.busy = 1;
	run_code(begins, &r);
	for (uint32_t i = 0; i < PROCS + EXTRA; i++)
		patch_area_slot(area, i)->ring.busy = 0;
	assert_int_equal(loss_count(LOSS_BUSY), 1);
	assert_int_equal(patch_area_hits(area, area, 3), 2);
	assert_int_equal(run_and_take(begins, &r).head->kind, EVENT_CALL);
	assert_int_equal(last_epoch, 2);
	fake_g.goid++; /* another goroutine lost nothing */
	assert_int_equal(run_and_take(begins, &r).head->kind, EVENT_CALL);
	assert_int_equal(last_epoch, 0);
	fake_g.goid--;
}

static void test_calls(void **state)
{
	struct capture_program entry = NUMBER_PROGRAM(save_insns), ret = NUMBER_PROGRAM(saved_insns);
	struct regs r = text_regs(0);
	const void *begins, *ends;
	struct event e;

	patch_setup(CHUNKS);
	entry.role = PROGRAM_ENTRY;
	ret.role = PROGRAM_RETURN;
	entry.call_group = ret.call_group = 9;
	begins = compile_ok(&entry, 1);
	ends = compile_ok(&ret, 2);
	assert_null(run_and_take(ends, &r).head); /* began before us */
	for (uint64_t depth = 0; depth < 5; depth++) { /* recursion: the word 0 is a word too */
		fake_g.hi = UINT64_C(0x7fffffffff00) + depth * 16;
		r.r[0] = depth;
		e = run_and_take(begins, &r);
		assert_int_equal(e.head->kind, EVENT_CALL);
	}
	for (uint64_t depth = 4; depth < 5; depth--) {
		fake_g.hi = UINT64_C(0x7fffffffff00) + depth * 16;
		e = run_and_take(ends, &r);
		assert_int_equal(e.head->kind, EVENT_RETURN);
		assert_int_equal(e.slots[0].status, SLOT_OK);
		assert_int_equal(e.slots[0].value, depth);
		assert_null(run_and_take(ends, &r).head); /* once */
	}
	fake_g.hi = UINT64_C(0x7fffffffff00);
	ret.role = PROGRAM_EXIT;
	ret.call_group = 0;
	ret.insns = NULL;
	ret.ninsns = ret.nslots = 0;
	e = run_and_take(compile_ok(&ret, 3), &r);
	assert_int_equal(e.head->kind, EVENT_UNWOUND);
	assert_int_equal(e.head->depth, 0);
	for (uint64_t goid = 0; goid < 100; goid++) { /* none of them ends */
		fake_g.goid = goid;
		run_and_take(begins, &r);
	}
	assert_in_range(loss_count(LOSS_CALLS_FULL) + patch_area_counts(area, 3)->loss[LOSS_CALLS_FULL], 1, 200);
	fake_g.goid = 4711;
}

static struct ir_insn positive_insns[] = {
	{.op = IR_REGION, .slot = IR_SLOT_FILTER},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_FILTER, .a = 0},
	{.op = IR_LOAD, .size = 8, .a = 0, .dst = 1},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_EMIT, .slot = 0, .a = 0},
	{.op = IR_END},
};

/* A return whose condition is false, or cannot be tested, is told without its values. */
static void test_filtered_returns(void **state)
{
	struct capture_program ret = NUMBER_PROGRAM(positive_insns), entry = NUMBER_PROGRAM(save_insns);
	static const uint64_t word = 5;
	struct regs r = text_regs(0);
	const void *begins, *ends;
	struct event e;

	patch_setup(CHUNKS);
	ret.role = PROGRAM_RETURN;
	entry.role = PROGRAM_ENTRY;
	entry.call_group = ret.call_group = 9;
	begins = compile_ok(&entry, 1);
	ends = compile_ok(&ret, 2);
	for (int i = 0; i < 3; i++) {
		const uint64_t arg[] = {0, (uintptr_t)&word, 8 /* not mapped */};

		r.r[0] = 1;
		run_and_take(begins, &r);
		r.r[0] = arg[i];
		e = run_and_take(ends, &r);
		assert_non_null(e.head);
		assert_int_equal(e.head->kind, i == 1 ? EVENT_RETURN : EVENT_UNWOUND);
		assert_int_equal(e.head->slots, i == 1);
		assert_int_equal(e.head->probe, 2);
	}
	assert_int_equal(loss_count(LOSS_FILTER_UNREADABLE), 1);
	r.r[0] = 0;
	assert_null(run_and_take(ends, &r).head); /* no call, no word of it */
	assert_false(patch_calls_apart(&entry, &ret)); /* it keeps a word */
	entry.insns = ret.insns;
	entry.ninsns = ret.ninsns;
	assert_false(patch_calls_apart(&entry, &ret)); /* it has a condition */
	entry.insns += 5;
	entry.ninsns -= 5;
	assert_true(patch_calls_apart(&entry, &ret));
}

/* ---- several threads ---- */

#define THREADS 6
#define THREAD_CALLS 20000
struct caller {
	pthread_t thread;
	struct {
		uint64_t lo, hi, pad[4], m, pad2[12], goid;
	} g;
	struct fake_p p;
	struct fake_m m;
	const void *code;
	char text[600];
};

static void *call_much(void *arg)
{
	static __thread uint8_t stack[STACK_SIZE];
	struct caller *c = arg;
	struct regs r = {.r = {(uintptr_t)c->text, sizeof(c->text)}, .g = (uintptr_t)&c->g};
	struct frame f;

	stack_fill(stack);
	frame_fill(&f, &r, stack);
	for (int i = 0; i < THREAD_CALLS; i++)
		call_code(&f, c->code);
	return NULL;
}

static void check_own(void *arg, const void *record, size_t size)
{
	struct event e;
	const char *bytes;
	size_t n = 0;

	assert_true(event_decode(record, size, &e));
	assert_in_range(e.head->goid, 1, THREADS);
	bytes = event_bytes(&e, 0, &n);
	assert_int_equal(n, 600);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], 'a' + (char)e.head->goid);
	++*(uint64_t *)arg;
}

/* Two have a P of their own, the others share the extra slots: what is not lost is whole. */
static void test_threads(void **state)
{
	static struct caller callers[THREADS];
	struct capture_program p = PROGRAM(string_insns);
	uint64_t n = 0;
	const void *code;

	patch_setup(CHUNKS);
	area->ring.stale_tsc = INT64_MAX;
	code = compile_ok(&p, 1);
	for (uint64_t i = 0; i < THREADS; i++) {
		struct caller *c = &callers[i];

		*c = (struct caller){.g = {.m = (uintptr_t)&c->m, .goid = i + 1}, .p = {.id = (int)i},
				     .m = {.p = &c->p}, .code = code};
		memset(c->text, 'a' + (int)i + 1, sizeof(c->text));
		assert_int_equal(pthread_create(&c->thread, NULL, call_much, c), 0);
	}
	while (n + loss_count(LOSS_RING_FULL) + loss_count(LOSS_BUSY) < THREADS * THREAD_CALLS)
		for (uint32_t i = 0; i < PROCS + EXTRA; i++)
			slot_drain(patch_area_slot(area, i), check_own, &n);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	assert_true(n > THREADS * 100);
	assert_int_equal(n + loss_count(LOSS_RING_FULL) + loss_count(LOSS_BUSY), THREADS * THREAD_CALLS);
}

/* ---- calls of two threads that fight for one set of the table: a return finds its own words, or nothing ---- */

#define FIGHT_DEPTH 3
#define FIGHT_ROUNDS 100000
struct fighter {
	struct caller caller;
	const void *ends;
	uint64_t values[FIGHT_DEPTH]; /* of the open calls, as the drain sees them */
	uint64_t returned;
};

static void *fight(void *arg)
{
	static __thread uint8_t stack[STACK_SIZE];
	struct fighter *t = arg;
	struct regs r = {.g = (uintptr_t)&t->caller.g};
	struct frame f;

	frame_fill(&f, &r, stack);
	for (uint64_t i = 0; i < FIGHT_ROUNDS; i++) {
		for (uint64_t d = 0; d < FIGHT_DEPTH; d++) {
			t->caller.g.hi = UINT64_C(0x7fffffffff00) + 16 * d;
			f.gpr[N_RAX] = i * 16 + d + 1;
			call_code(&f, t->caller.code);
		}
		for (uint64_t d = FIGHT_DEPTH; d-- > 0;) {
			t->caller.g.hi = UINT64_C(0x7fffffffff00) + 16 * d;
			call_code(&f, t->ends);
		}
	}
	return NULL;
}

static void check_fight(void *arg, const void *record, size_t size)
{
	struct fighter *all = arg;
	struct event e;
	struct fighter *t;
	uint64_t value;

	assert_true(event_decode(record, size, &e));
	t = &all[e.head->goid - 1];
	assert_int_equal(e.slots[0].status, SLOT_OK);
	value = e.slots[0].value;
	if (e.head->kind == EVENT_CALL) {
		t->values[value % 16 - 1] = value;
	} else {
		assert_int_equal(value, t->values[value % 16 - 1]);
		t->returned++;
	}
}

static void test_fight(void **state)
{
	static struct fighter fighters[PROCS];
	struct capture_program entry = NUMBER_PROGRAM(save_insns), ret = NUMBER_PROGRAM(saved_insns);
	const void *begins, *ends;
	bool joined = false;

	area_nsaved = PATCH_SAVED_WAYS;
	patch_setup(1024);
	area_nsaved = 64;
	area->ring.stale_tsc = INT64_MAX;
	entry.role = PROGRAM_ENTRY;
	ret.role = PROGRAM_RETURN;
	entry.call_group = ret.call_group = 1;
	begins = compile_ok(&entry, 1);
	ends = compile_ok(&ret, 2);
	for (uint64_t i = 0; i < PROCS; i++) {
		struct fighter *t = &fighters[i];

		*t = (struct fighter){.caller = {.g = {.m = (uintptr_t)&t->caller.m, .goid = i + 1},
						 .p = {.id = (int)i},
						 .m = {.p = &t->caller.p},
						 .code = begins},
				      .ends = ends};
		assert_int_equal(pthread_create(&t->caller.thread, NULL, fight, t), 0);
	}
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < PROCS; i++)
			while (!joined && pthread_tryjoin_np(fighters[i].caller.thread, NULL) == EBUSY)
				for (uint32_t k = 0; k < PROCS; k++)
					slot_drain(patch_area_slot(area, k), check_fight, fighters);
		joined = true;
		for (uint32_t k = 0; k < PROCS; k++)
			slot_drain(patch_area_slot(area, k), check_fight, fighters);
	}
	for (uint32_t i = 0; i < PROCS; i++)
		assert_in_range(fighters[i].returned, 1, FIGHT_ROUNDS * FIGHT_DEPTH);
}

/* ---- what cannot be ---- */

static void test_refusals(void **state)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_REG, .size = 8, .dst = 0, .reg = GPR_R12},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_END},
	};
	struct capture_program p = NUMBER_PROGRAM(insns);
	struct patch_area layout;
	struct patch_env env;
	struct buf out = {0};
	struct err err = {0};

	patch_setup(CHUNKS);
	env = test_env();
	buf_str(&out, "before");
	assert_int_equal(patch_compile(&p, 1, &env, &out, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "R12"));
	assert_int_equal(out.len, 6);
	p = program_of(NULL, 0);
	env.back = env.code + (UINT64_C(3) << 30);
	assert_int_equal(patch_compile(&p, 1, &env, &out, &err), -ERANGE);
	env = test_env();
	env.counts = 64;
	assert_int_equal(patch_compile(&p, 1, &env, &out, &err), -EINVAL);
	assert_int_equal(patch_handler_compile(1, area, 0, &out, &err), -EOPNOTSUPP);
	assert_int_equal(patch_area_layout(1, 1, 0, 1, 64, &layout, &err), -EINVAL);
	assert_int_equal(patch_area_layout(1, 1, RING_MAX_CHUNKS + 1, 1, 64, &layout, &err), -EINVAL);
	assert_int_equal(patch_area_layout(1, 1, 1, 1, 63, &layout, &err), -EINVAL);
	buf_done(&out);
}

/* ---- what it costs ---- */

static atomic_bool draining;
static uint64_t drained;

static void *drain_on(void *arg)
{
	while (atomic_load(&draining)) {
		slot_drain(patch_area_slot(area, 1), count_good, &drained);
		usleep(500);
	}
	return NULL;
}

static double ns_per_run(const void *code, const struct regs *r)
{
	static uint8_t stack[STACK_SIZE];
	struct patch_slot *s = patch_area_slot(area, 1);
	struct timespec a, b;
	struct frame f;
	double best = 1e9;

	frame_fill(&f, r, stack);
	for (int round = 0; round < 50; round++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < 2000; i++) {
			call_code(&f, code);
			if (!draining)
				ring_pass_over(s);
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		best = MIN(best, ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 2000);
	}
	return best;
}

static void bench(const char *what, const struct capture_program *p, uint64_t len, double harness)
{
	struct regs r = text_regs(len);
	size_t before = code_used;
	const void *code = compile_ok(p, 1);

	before = code_used - before;
	print_message("# %-44s %6.1f ns, %zu bytes\n", what, ns_per_run(code, &r) - harness, before);
}

/* A call and its return, in turn. */
static void bench_pair(const char *what, const struct capture_program *entry, const struct capture_program *ret)
{
	const void *begins = compile_ok(entry, 1), *ends = compile_ok(ret, 2);
	struct patch_slot *s = patch_area_slot(area, 1);
	struct regs r = text_regs(32);
	struct timespec a, b;
	struct frame f;
	double best = 1e9;

	frame_fill(&f, &r, test_stack);
	for (int round = 0; round < 100; round++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (int i = 0; i < 1000; i++) {
			call_code(&f, begins);
			call_code(&f, ends);
			ring_pass_over(s);
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		best = MIN(best, ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1000);
	}
	print_message("# %-44s %6.1f ns\n", what, best);
}

static void test_bench(void **state)
{
	struct ir_insn drop[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
		{.op = IR_STR_EQ, .a = 0, .b = 1, .dst = 2, .str = "alice", .imm = 5},
		{.op = IR_FILTER, .a = 2},
		{.op = IR_END},
	};
	struct capture_program none = program_of(NULL, 0), text = PROGRAM(string_insns), never = PROGRAM(drop);
	struct capture_program entry = none, ret = none;
	struct regs r = text_regs(32);
	pthread_t drainer;
	double harness;

	patch_setup(CHUNKS);
	area->ring.stale_tsc = INT64_MAX;
	never.nslots = 0;
	harness = ns_per_run(code_memory, &r);
	print_message("# %-44s %6.1f ns (not in the others)\n", "the harness", harness);
	bench("empty program", &none, 0, harness);
	bench("string of 32 bytes", &text, 32, harness);
	bench("string of 256 bytes", &text, 256, harness);
	bench("string of 0 bytes", &text, 0, harness);
	bench("string of 8 bytes", &text, 8, harness);
	bench("string of 16 bytes", &text, 16, harness);
	bench("text that is not equal (other length)", &never, 32, harness);
	bench("text that is not equal (same length)", &never, 5, harness);
	entry.role = PROGRAM_ENTRY;
	ret.role = PROGRAM_RETURN;
	entry.call_group = ret.call_group = 1;
	bench("entry of a call", &entry, 0, harness);
	bench("return without its entry", &ret, 0, harness);
	bench_pair("entry and return, the harness twice included", &entry, &ret);
	patch_setup(256); /* never full in that time, whatever the other thread's share of the CPU */
	memset((char *)area + area->ring.pool_off, 0, (size_t)area->ring.chunks * RING_CHUNK);
	draining = true;
	pthread_create(&drainer, NULL, drain_on, NULL);
	bench("empty program, drained by another thread", &none, 0, harness);
	bench("string of 32 bytes, likewise", &text, 32, harness);
	draining = false;
	pthread_join(drainer, NULL);
	print_message("# drained %llu, lost %llu\n", (unsigned long long)drained,
		      (unsigned long long)loss_count(LOSS_RING_FULL));
	area->ring.on = 0;
	bench("switched off", &none, 0, harness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_damaged),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_extra_slots),
		cmocka_unit_test(test_runtime_words),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_foreign_fault),
		cmocka_unit_test(test_xmm),
		cmocka_unit_test(test_saved), cmocka_unit_test(test_saved_anew),
		cmocka_unit_test(test_calls), cmocka_unit_test(test_calls_apart),
		cmocka_unit_test(test_filtered_returns), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fight),
		cmocka_unit_test(test_refusals),
	};
	const struct CMUnitTest benches[] = {cmocka_unit_test(test_bench)}; /* figures, on request */

	if (getenv("EARSHOT_TEST_SEED"))
		seed = strtoull(getenv("EARSHOT_TEST_SEED"), NULL, 0);
	world_pc_ret = (uintptr_t)call_code_back;
	world_init();
	if (getenv("EARSHOT_TEST_BENCH"))
		return cmocka_run_group_tests(benches, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
