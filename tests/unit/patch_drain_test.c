/* plant/patch/drain: rings of several Ps in the order of time, and what a broken program may have left in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "plant/patch/patch.h"

#define OWN hand_own(0) /* before the area: the sign of life lies there */

struct rings {
	struct planter p;
	struct patched d;
};

static void rings_init(struct rings *r)
{
	struct err err = {0};

	memset(r, 0, sizeof(*r));
	if (patch_area_layout(2, 1, PATCH_MIN_RING, 1, 1024, &r->d.layout, &err) || tsc_clock_start("/proc", &r->p.clock, &err))
		fail_msg("%s", err.text);
	r->d.memory = calloc(1, OWN + r->d.layout.bytes);
	r->d.area = (struct patch_area *)(void *)(r->d.memory + OWN);
	*r->d.area = r->d.layout;
	r->p.patched = &r->d;
	r->d.nprobes = 1;
	r->p.aggregates = aggregates_new(0);
	r->p.join = patch_join_new(0);
	patch_join_add(r->p.join, 1, PROGRAM_POINT, 0, 0);
}

static void rings_done(struct rings *r)
{
	patch_join_free(r->p.join);
	aggregates_free(r->p.aggregates);
	drain_done(&r->p.drain);
	free(r->d.memory);
}

static struct patch_slot *slot(struct rings *r, uint32_t i)
{
	return patch_area_slot(r->d.area, i);
}

/* An entry of `size` bytes with a record that says it has `record` bytes. */
static void write_entry(struct rings *r, uint32_t i, uint32_t size, uint32_t kind, uint32_t record, uint64_t tsc, uint64_t goid)
{
	struct patch_slot *s = slot(r, i);
	uint8_t *at = patch_slot_ring(s) + (s->write & (r->d.layout.ring_bytes - 1));
	struct patch_entry e = {size, kind};
	struct event_header h = {
		.size = record, .version = EVENT_VERSION, .probe = 1, .time_ns = tsc, .goid = goid};

	memcpy(at, &e, sizeof(e));
	if (kind == PATCH_ENTRY_RECORD)
		memcpy(at + sizeof(e), &h, sizeof(h));
	s->write += size;
}

static void put(struct rings *r, uint32_t i, uint64_t tsc, uint64_t goid)
{
	const uint32_t n = sizeof(struct event_header);

	write_entry(r, i, n + (uint32_t)sizeof(struct patch_entry), PATCH_ENTRY_RECORD, n, tsc, goid);
}

static void on_event(void *arg, const void *sample, size_t size)
{
	struct event e;

	assert_true(event_decode(sample, size, &e));
	buf_printf(arg, "%llu ", (unsigned long long)e.head->goid);
}

static void expect(struct rings *r, int n, const char *want)
{
	struct buf out = {0};

	assert_int_equal(drain_all(&r->p, on_event, &out), n);
	assert_string_equal(out.data ? out.data : "", want);
	buf_done(&out);
}

static void test_order(void **state)
{
	struct rings r;
	uint64_t t = tsc_now();

	rings_init(&r);
	put(&r, 0, t + 1, 1);
	put(&r, 0, t + 5, 5);
	put(&r, 1, t + 2, 2);
	put(&r, 1, t + 4, 4);
	put(&r, 2, t + 3, 3);
	expect(&r, 5, "1 2 3 4 5 ");
	expect(&r, 0, "");
	assert_int_equal(slot(&r, 0)->read, slot(&r, 0)->write);
	assert_true(r.d.area->heartbeat_tsc >= t);
	assert_int_equal(r.d.area->on, 1);
	rings_done(&r);
}

/* What was written after we began to look waits, with its place in the order. */
static void test_later(void **state)
{
	struct rings r;
	uint64_t later = tsc_now() + 2000000000;

	rings_init(&r);
	put(&r, 0, later, 1);
	put(&r, 1, tsc_now(), 2);
	expect(&r, 1, "2 ");
	put(&r, 1, later - 1, 3);
	expect(&r, 0, "");
	assert_int_equal(r.p.drain.records.len, 2);
	while ((int64_t)(tsc_now() - later) < 0)
		;
	expect(&r, 2, "3 1 ");
	rings_done(&r);
}

/* An entry is never split: padding fills up the end. */
static void test_around_the_end(void **state)
{
	struct rings r;
	uint64_t start;

	rings_init(&r);
	start = r.d.layout.ring_bytes - 64;
	slot(&r, 0)->write = slot(&r, 0)->read = start;
	write_entry(&r, 0, 64, PATCH_ENTRY_PAD, 0, 0, 0);
	put(&r, 0, tsc_now(), 7);
	expect(&r, 1, "7 ");
	assert_int_equal(r.p.drain.damaged, 0);
	rings_done(&r);
}

static void test_damaged(void **state)
{
	static const struct {
		uint32_t size, kind, record;
	} bad[] = {
		{0, PATCH_ENTRY_RECORD, 48}, {4, PATCH_ENTRY_RECORD, 48},    {57, PATCH_ENTRY_RECORD, 48},
		{16, PATCH_ENTRY_RECORD, 48}, {1u << 30, PATCH_ENTRY_PAD, 0}, {56, PATCH_ENTRY_RECORD, 56},
		{56, PATCH_ENTRY_RECORD, 0}, {64, PATCH_ENTRY_RECORD, 49},
	};
	struct rings r;

	rings_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t before = slot(&r, 0)->write;

		write_entry(&r, 0, bad[i].size, bad[i].kind, bad[i].record, tsc_now(), 1);
		slot(&r, 0)->write = before + 64;
		expect(&r, 0, "");
		assert_true(r.p.drain.damaged >= i + 1);
		slot(&r, 0)->write = slot(&r, 0)->read = ALIGN_UP(slot(&r, 0)->write, 64);
	}
	slot(&r, 1)->write = 1ull << 40; /* more than a ring */
	expect(&r, 0, "");
	put(&r, 1, tsc_now(), 9); /* and on */
	expect(&r, 1, "9 ");
	rings_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_around_the_end),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
