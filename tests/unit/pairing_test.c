/* Calls from records of entries and returns: as text, so that a case is a line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "plant/pairing.h"
#include "base/buf.h"

static struct buf got;
static uint64_t now;

/* Each sample: kind, the call's number (its slot), goroutine. */
static void note(void *arg, const void *sample, size_t size)
{
	static const char kinds[] = {[EVENT_POINT] = 'p', [EVENT_CALL] = 'c', [EVENT_RETURN] = 'r',
				     [EVENT_UNWOUND] = 'u'};
	struct event e[2];
	size_t n;

	assert_true(event_decode_sample(sample, size, e, &n));
	buf_printf(&got, "%c%u ", kinds[e[0].head->kind], (unsigned)e[n - 1].slots[0].value);
}

static uint32_t epoch;

/* kind, goroutine, depth, group; the number is its slot. */
static void take(struct pairing *j, enum event_kind kind, uint64_t goid, uint64_t depth, uint32_t group,
		 uint64_t number)
{
	static const enum program_role roles[] = {[EVENT_POINT] = PROGRAM_POINT, [EVENT_CALL] = PROGRAM_ENTRY,
						  [EVENT_RETURN] = PROGRAM_RETURN, [EVENT_UNWOUND] = PROGRAM_UNWIND};
	uint32_t probe = 10 * group + kind;
	struct {
		struct event_header head;
		struct event_slot slot;
	} r = {.head = {.size = kind == EVENT_UNWOUND ? sizeof(r.head) : sizeof(r), .version = EVENT_VERSION,
			.kind = (uint8_t)kind, .slots = kind != EVENT_UNWOUND, .target = 3, .time_ns = ++now,
			.goid = goid, .depth = depth, .probe = probe},
	       .slot = {.status = SLOT_OK, .value = number}};

	pairing_add(j, probe, roles[kind], group, group / 10);
	pairing_take(j, &r, epoch, note, NULL);
}

static void expect(const char *want)
{
	assert_string_equal(got.data ? got.data : "", want);
	buf_reset(&got);
}

static uint64_t loss(const struct pairing *j, enum loss l)
{
	struct losses all = {0};

	pairing_losses(j, 0, &all);
	return all.count[l];
}

static void nested(void **state)
{
	struct pairing *j = pairing_new(100);

	take(j, EVENT_CALL, 1, 100, 10, 1);
	take(j, EVENT_CALL, 1, 200, 10, 2); /* recursion */
	take(j, EVENT_CALL, 2, 200, 10, 3); /* another goroutine */
	take(j, EVENT_POINT, 1, 300, 70, 9);
	expect("p9 ");
	take(j, EVENT_RETURN, 1, 200, 10, 0);
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	take(j, EVENT_RETURN, 2, 200, 10, 0);
	expect("r2 r1 r3 ");
	take(j, EVENT_RETURN, 2, 200, 10, 0);
	expect("");
	assert_int_equal(loss(j, LOSS_UNPAIRED_END), 0); /* its entry was before us */
	pairing_free(j);
}

/* Two questions about one function return in any order; another function at that depth is another call. */
static void groups(void **state)
{
	struct pairing *j = pairing_new(100);

	take(j, EVENT_CALL, 1, 100, 10, 1);
	take(j, EVENT_CALL, 1, 100, 11, 2);
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	take(j, EVENT_RETURN, 1, 100, 11, 0);
	expect("r1 r2 ");
	take(j, EVENT_CALL, 1, 100, 10, 1);
	take(j, EVENT_CALL, 1, 100, 11, 2);
	take(j, EVENT_CALL, 1, 100, 20, 3);
	expect("u2 u1 ");
	take(j, EVENT_CALL, 1, 100, 20, 4);
	expect("u3 ");
	take(j, EVENT_RETURN, 1, 100, 20, 0);
	expect("r4 ");
	pairing_free(j);
}

static void unwound(void **state)
{
	struct pairing *j = pairing_new(100);

	for (uint64_t d = 1; d <= 4; d++)
		take(j, EVENT_CALL, 1, d * 100, 10, d);
	take(j, EVENT_UNWOUND, 1, 200, 90, 0); /* recovered there */
	expect("u4 u3 ");
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	expect("u2 r1 ");
	take(j, EVENT_CALL, 1, 100, 10, 5);
	take(j, EVENT_UNWOUND, 1, 0, 90, 0); /* Goexit */
	expect("u5 ");
	take(j, EVENT_UNWOUND, 7, 0, 90, 0);
	expect("");
	pairing_free(j);
}

static void lost(void **state)
{
	struct pairing *j = pairing_new(100);

	take(j, EVENT_CALL, 1, 100, 10, 1);
	take(j, EVENT_CALL, 2, 100, 10, 2);
	take(j, EVENT_CALL, 3, 100, 10, 3);
	pairing_lost(j, 8);
	pairing_lost(j, 3);
	take(j, EVENT_CALL, 1, 100, 10, 4); /* the first one may have returned */
	expect("");
	assert_int_equal(loss(j, LOSS_UNPAIRED_START), 1);
	take(j, EVENT_RETURN, 2, 100, 10, 0);
	take(j, EVENT_UNWOUND, 3, 0, 90, 0);
	expect("r2 u3 ");
	take(j, EVENT_CALL, 1, 100, 10, 5);
	expect("u4 ");
	pairing_free(j);
}

static void open_calls(void **state)
{
	struct pairing *j = pairing_new(3);

	take(j, EVENT_CALL, 5, 100, 10, 1);
	take(j, EVENT_CALL, 1, 100, 10, 2);
	take(j, EVENT_CALL, 5, 200, 10, 3);
	take(j, EVENT_CALL, 9, 200, 10, 4);
	assert_int_equal(loss(j, LOSS_CALLS_FULL), 1);
	assert_int_equal(pairing_open_calls(j, 8, true, note, NULL), 0);
	assert_int_equal(pairing_open_calls(j, 3, false, note, NULL), 3);
	expect("c1 c2 c3 ");
	assert_int_equal(pairing_open_calls(j, 3, true, note, NULL), 3);
	assert_int_equal(pairing_open_calls(j, 3, false, note, NULL), 0);
	expect("c1 c2 c3 ");
	take(j, EVENT_CALL, 9, 200, 10, 4);
	take(j, EVENT_RETURN, 9, 200, 10, 0);
	expect("r4 ");
	pairing_free(j);
	pairing_free(NULL);
}

/* What the control leaves out has no return either. */
static void control(void **state)
{
	struct pairing *j = pairing_new(0);
	const struct plant_control second = {.every = 2}, few = {.per_second = 2};

	pairing_control(j, 101, &second);
	pairing_control(j, 700, &few);
	for (uint64_t i = 1; i <= 5; i++) {
		take(j, EVENT_CALL, 1, 100, 10, i);
		take(j, EVENT_RETURN, 1, 100, 10, 0);
	}
	expect("r1 r3 r5 ");
	assert_int_equal(loss(j, LOSS_EVERY), 2);
	now = 5000000000;
	for (uint64_t i = 1; i <= 5; i++) {
		take(j, EVENT_POINT, 1, 100, 70, i);
		now += i == 4 ? 1000000000 : 0;
	}
	expect("p1 p2 p5 ");
	assert_int_equal(loss(j, LOSS_RATE_LIMITED), 2);
	pairing_free(j);
}

/* Between two drains a ring was full: calls that began and ended there may be without a return. */
static void losing(void **state)
{
	struct pairing *j = pairing_new(0);

	pairing_losing(j, true);
	take(j, EVENT_CALL, 1, 100, 10, 1);
	take(j, EVENT_CALL, 1, 100, 10, 2);
	pairing_losing(j, false);
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	take(j, EVENT_CALL, 1, 100, 10, 3);
	take(j, EVENT_CALL, 1, 100, 10, 4);
	expect("r2 u3 ");
	assert_int_equal(loss(j, LOSS_UNPAIRED_START), 1);
	pairing_free(j);
}

/* Between an entry and a return of the same depth a return and an entry were lost: not one call, but halves of two. */
static void epochs(void **state)
{
	struct pairing *j = pairing_new(0);

	take(j, EVENT_CALL, 1, 100, 10, 1);
	epoch = 2;
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	expect("");
	assert_int_equal(loss(j, LOSS_UNPAIRED_START), 1);
	take(j, EVENT_CALL, 1, 100, 10, 2);
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	take(j, EVENT_RETURN, 1, 100, 10, 0);
	expect("r2 ");
	epoch = 0;
	pairing_free(j);
}

/* Of a probe that nobody knows, or of another kind than the probe's. */
static void strange(void **state)
{
	struct pairing *j = pairing_new(0);
	struct event_header h = {.size = sizeof(h), .version = EVENT_VERSION, .kind = EVENT_POINT, .probe = 5};

	pairing_take(j, &h, 0, note, NULL);
	pairing_add(j, 5, PROGRAM_ENTRY, 1, 1);
	pairing_take(j, &h, 0, note, NULL);
	expect("");
	pairing_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested), cmocka_unit_test(groups), cmocka_unit_test(unwound), cmocka_unit_test(lost),
		cmocka_unit_test(open_calls), cmocka_unit_test(control), cmocka_unit_test(losing),
		cmocka_unit_test(strange), cmocka_unit_test(epochs),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	buf_done(&got);
	return r;
}
