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

	for (uint32_t i = 0; i < area->procs + area->extra; i++)
		n += ring_drain(patch_area_slot(area, i), keep_last, l);
	return n;
}

static size_t drain_count(uint32_t slot)
{
	uint64_t n = 0;

	return ring_drain(patch_area_slot(area, slot), count_good, &n);
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
	for (uint32_t i = 0; i < area->procs + area->extra; i++)
		assert_int_equal(patch_area_slot(area, i)->busy, 0);
}

static void test_generated(void **state)
{
	static struct maker k;
	unsigned programs = getenv("EARSHOT_TEST_PROGRAMS") ? (unsigned)atoi(getenv("EARSHOT_TEST_PROGRAMS")) : 4000;

	patch_setup(PATCH_MIN_RING);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generated),
	};

	if (getenv("EARSHOT_TEST_SEED"))
		seed = strtoull(getenv("EARSHOT_TEST_SEED"), NULL, 0);
	world_pc_ret = (uintptr_t)call_code_back;
	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
