/* plant/ring: rings of several Ps in the order of time, and what a broken program may have left in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "plant/ring/drain.h"

#define CHUNKS 6

/* Nothing but rings: no planter stands behind them. */
struct rings {
	struct ring_reader p;
	struct ring d;
	struct ring_area layout;
	uint64_t beat;
};

static struct ring_area layout_of(uint32_t procs, uint32_t extra, uint32_t chunks)
{
	struct ring_area a = {.size = sizeof(a), .procs = procs, .extra = extra, .chunks = chunks, .table_len = 1};

	while (a.table_len < chunks)
		a.table_len *= 2;
	a.slot_bytes = (uint32_t)ALIGN_UP(RING_TABLE_OFF + sizeof(uint32_t) * a.table_len, 4096);
	a.links_off = ALIGN_UP(sizeof(a), 64);
	a.slots_off = ALIGN_UP(a.links_off + sizeof(uint32_t) * chunks, 4096);
	a.bytes = a.pool_off = a.slots_off + (uint64_t)(procs + extra) * a.slot_bytes;
	return a;
}

static void rings_init_of(struct rings *r, uint32_t chunks)
{
	struct err err = {0};

	memset(r, 0, sizeof(*r));
	if (tsc_clock_start("/proc", &r->p.clock, &err))
		fail_msg("%s", err.text);
	r->layout = layout_of(2, 1, chunks);
	r->d.layout = &r->layout;
	r->d.beat = &r->beat;
	r->d.area = calloc(1, r->layout.pool_off + (uint64_t)chunks * RING_CHUNK);
	*r->d.area = r->layout;
	pool_init(&r->d.pool, r->d.area, &r->layout, (uint8_t *)r->d.area + r->layout.pool_off, chunks);
	r->p.aggregates = aggregates_new(0);
	r->p.pairing = pairing_new(0);
	pairing_add(r->p.pairing, 1, PROGRAM_POINT, 0, 0);
}

static void rings_init(struct rings *r)
{
	rings_init_of(r, CHUNKS);
}

static void rings_done(struct rings *r)
{
	pairing_free(r->p.pairing);
	aggregates_free(r->p.aggregates);
	ring_reader_done(&r->p);
	pool_done(&r->d.pool);
	free(r->d.area);
}

static int drain_all(struct rings *r, plant_event_fn fn, void *arg)
{
	return ring_drain(&r->p, (struct ring *[]){&r->d}, 1, fn, arg);
}

static struct ring_slot *slot(struct rings *r, uint32_t i)
{
	return ring_slot_at(r->d.area, &r->layout, i);
}

/* As the program does; NULL: none is left. */
static uint8_t *take_chunk(struct rings *r, struct ring_slot *s)
{
	struct ring_area *a = r->d.area;
	uint32_t n = (uint32_t)a->free[0];

	if (!n)
		return NULL;
	a->free[0] = *(uint32_t *)(void *)((char *)a + a->links_off + 4 * (n - 1));
	*ring_slot_chunk(s, a, s->write) = n;
	return r->d.pool.memory + (n - 1) * RING_CHUNK;
}

static uint8_t *place_of(struct rings *r, struct ring_slot *s)
{
	uint8_t *chunk = s->write % RING_CHUNK
			     ? r->d.pool.memory + (*ring_slot_chunk(s, r->d.area, s->write) - 1) * RING_CHUNK
			     : take_chunk(r, s);

	assert_non_null(chunk);
	return chunk + s->write % RING_CHUNK;
}

/* An entry of `size` bytes with a record that says it has `record` bytes. */
static void write_entry(struct rings *r, uint32_t i, uint32_t size, uint32_t kind, uint32_t record, uint64_t tsc,
			uint64_t goid)
{
	struct ring_slot *s = slot(r, i);
	uint8_t *at = place_of(r, s);
	struct ring_entry e = {size, kind};
	struct event_header h = {
		.size = record, .version = EVENT_VERSION, .probe = 1, .time_ns = tsc, .goid = goid};

	memcpy(at, &e, sizeof(e));
	if (kind == RING_ENTRY_RECORD)
		memcpy(at + sizeof(e), &h, sizeof(h));
	s->write += size;
}

static void put(struct rings *r, uint32_t i, uint64_t tsc, uint64_t goid)
{
	const uint32_t n = sizeof(struct event_header), all = n + (uint32_t)sizeof(struct ring_entry);
	const uint32_t left = RING_CHUNK - (uint32_t)(slot(r, i)->write % RING_CHUNK);

	if (left < all)
		write_entry(r, i, left, RING_ENTRY_PAD, 0, 0, 0);
	write_entry(r, i, all, RING_ENTRY_RECORD, n, tsc, goid);
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

	assert_int_equal(drain_all(r, on_event, &out), n);
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
	assert_int_equal(r.beat, 2); /* at each look */
	rings_done(&r);
}

/* A program can write any time: what is in disorder is sorted, too, and what has the same time stays as it was read. */
static void test_disorder(void **state)
{
	static const uint8_t times[] = {9, 3, 7, 7, 1, 8, 2, 2, 6, 5, 4, 4, 0};
	struct rings r;
	uint64_t t = tsc_now();

	rings_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		put(&r, i % 3, t + times[i], times[i] * 100 + i / 3 + 1);
	expect(&r, 13, "5 102 203 203 301 404 404 504 603 702 701 802 901 ");
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
	assert_int_equal(r.p.records.len, 2);
	while ((int64_t)(tsc_now() - later) < 0)
		;
	expect(&r, 2, "3 1 ");
	rings_done(&r);
}

/* An entry is never split: padding fills up the end. The chunks come back, and come again in another order. */
static void test_around_the_end(void **state)
{
	const uint32_t n = sizeof(struct event_header) + sizeof(struct ring_entry), whole = RING_CHUNK / n;
	struct rings r;

	rings_init(&r);
	for (int round = 0; round < 5; round++) {
		struct buf out = {0};
		uint64_t left;

		for (uint32_t i = 0; i < 2; i++) {
			for (uint32_t k = 0; k < whole; k++)
				put(&r, i, tsc_now(), 3);
			left = RING_CHUNK - slot(&r, i)->write % RING_CHUNK;
			if (left != RING_CHUNK)
				write_entry(&r, i, (uint32_t)left, RING_ENTRY_PAD, 0, 0, 0);
			put(&r, i, tsc_now(), 7);
			write_entry(&r, i, RING_CHUNK - n, RING_ENTRY_PAD, 0, 0, 0);
		}
		assert_int_equal(drain_all(&r, on_event, &out), 2 * (whole + 1));
		assert_int_equal(slot(&r, 0)->read, slot(&r, 0)->write);
		assert_int_equal(r.p.damaged, 0);
		buf_done(&out);
	}
	for (uint32_t k = 0; k < CHUNKS; k++) /* all of them are there again */
		assert_non_null(take_chunk(&r, slot(&r, 0)));
	assert_null(take_chunk(&r, slot(&r, 0)));
	rings_done(&r);
}

/* A chunk is one slot's at a time: two that say it is theirs do not get it both, and it comes back once. */
static void test_chunk_of_two(void **state)
{
	uint32_t n;
	struct rings r;

	rings_init(&r);
	put(&r, 0, tsc_now(), 1);
	expect(&r, 1, "1 ");
	n = *ring_slot_chunk(slot(&r, 0), r.d.area, 0);
	put(&r, 1, tsc_now(), 2);
	*ring_slot_chunk(slot(&r, 1), r.d.area, 0) = n;
	expect(&r, 0, "");
	assert_int_equal(r.p.damaged, 1);
	put(&r, 2, tsc_now(), 2);
	*ring_slot_chunk(slot(&r, 2), r.d.area, 0) = CHUNKS + 1;
	expect(&r, 0, "");
	assert_int_equal(r.p.damaged, 2);
	put(&r, 0, tsc_now(), 4);
	expect(&r, 1, "4 ");
	rings_done(&r);
}

static void test_damaged(void **state)
{
	static const struct {
		uint32_t size, kind, record;
	} bad[] = {
		{0, RING_ENTRY_RECORD, 48}, {4, RING_ENTRY_RECORD, 48},    {57, RING_ENTRY_RECORD, 48},
		{16, RING_ENTRY_RECORD, 48}, {1u << 30, RING_ENTRY_PAD, 0}, {56, RING_ENTRY_RECORD, 56},
		{56, RING_ENTRY_RECORD, 0}, {64, RING_ENTRY_RECORD, 49},
	};
	struct rings r;

	rings_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t before = slot(&r, 0)->write;

		write_entry(&r, 0, bad[i].size, bad[i].kind, bad[i].record, tsc_now(), 1);
		slot(&r, 0)->write = before + 64;
		expect(&r, 0, "");
		assert_true(r.p.damaged >= i + 1);
		slot(&r, 0)->write = slot(&r, 0)->read = ALIGN_UP(slot(&r, 0)->write, 64);
	}
	slot(&r, 1)->write = 1ull << 40; /* more than a ring */
	expect(&r, 0, "");
	put(&r, 1, tsc_now(), 9); /* and on */
	expect(&r, 1, "9 ");
	rings_done(&r);
}

/* Whoever takes the records writes more meanwhile: what is read then waits its turn, and nothing is in disorder. */
struct slow {
	struct rings *r;
	uint64_t next, last, seen;
};

static void put_next(struct slow *s)
{
	s->next++;
	put(s->r, (uint32_t)s->next % 2, tsc_now(), s->next);
}

static void on_slow(void *arg, const void *sample, size_t size)
{
	struct slow *s = arg;
	uint64_t began = clock_monotonic_ns();
	struct event e;

	assert_true(event_decode(sample, size, &e));
	assert_true(e.head->goid == s->last + 1);
	s->last = e.head->goid;
	if (s->seen++ % 1024)
		return;
	while (clock_monotonic_ns() - began < 3000000)
		;
	for (int i = 0; i < 1500 && s->next < 20000; i++)
		put_next(s);
}

static void test_slow_taker(void **state)
{
	struct rings r;
	struct slow s = {.r = &r};

	rings_init(&r);
	for (int i = 0; i < 2000; i++)
		put_next(&s);
	for (int i = 0; i < 100 && s.last < 20000; i++)
		drain_all(&r, on_slow, &s);
	assert_int_equal(s.last, 20000);
	assert_int_equal(r.p.damaged, 0);
	rings_done(&r);
}

/* Where much waits, or a ring is small, the next look should be soon. */
static void test_busy(void **state)
{
	struct rings r;

	rings_init(&r);
	expect(&r, 0, "");
	assert_true(r.p.busy);
	r.d.pool.first = 128; /* as if it had 16 MiB */
	expect(&r, 0, "");
	assert_false(r.p.busy);
	put(&r, 0, tsc_now(), 1);
	expect(&r, 1, "1 ");
	assert_false(r.p.busy);
	write_entry(&r, 0, RING_CHUNK - (uint32_t)slot(&r, 0)->write, RING_ENTRY_PAD, 0, 0, 0);
	write_entry(&r, 0, RING_CHUNK, RING_ENTRY_PAD, 0, 0, 0);
	write_entry(&r, 0, RING_CHUNK, RING_ENTRY_PAD, 0, 0, 0);
	put(&r, 0, tsc_now(), 2);
	expect(&r, 1, "2 ");
	assert_true(r.p.busy);
	expect(&r, 0, "");
	assert_false(r.p.busy);
	rings_done(&r);
}

/* ---- chunks that come and go ---- */

static uint64_t blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static uint32_t on_second(const struct ring_area *a)
{
	const uint32_t *links = (const void *)((const char *)a + a->links_off);
	uint32_t n = 0;

	for (uint32_t at = (uint32_t)a->free[1]; at; at = links[at - 1])
		n++;
	return n;
}

static void test_grows(void **state)
{
	const uint32_t chunks = 64, first = 4;
	uint64_t budget = 50 * RING_CHUNK, now = 1000000000;
	int fd = memfd_create("grows", MFD_CLOEXEC);
	struct ring_area layout, *area;
	struct chunk_pool pool;

	layout = layout_of(1, 1, chunks);
	area = calloc(1, layout.bytes);
	*area = layout;
	assert_int_equal(ftruncate(fd, (off_t)chunks * RING_CHUNK), 0);
	pool_init(&pool, area, &layout, NULL, first);
	pool_adjust(&pool, chunks * RING_CHUNK, now);
	assert_int_equal(on_second(area), 0); /* nobody said where from */
	pool_may_grow(&pool, fd, 0, &budget);
	pool_adjust(&pool, RING_CHUNK, now);
	assert_int_equal(on_second(area), 0); /* it is enough */
	pool_adjust(&pool, 2 * RING_CHUNK, now);
	assert_int_equal(on_second(area), 4);
	assert_int_equal(blocks_of(fd), 4 * RING_CHUNK);
	pool_adjust(&pool, 40 * RING_CHUNK, now);
	assert_int_equal(on_second(area), 50); /* the budget */
	assert_int_equal(budget, 0);
	pool_adjust(&pool, 0, now + 500000000);
	assert_int_equal(on_second(area), 50);
	for (int i = 0; i < 10; i++)
		pool_adjust(&pool, 0, now + 2000000000);
	assert_int_equal(on_second(area), 0);
	assert_int_equal(blocks_of(fd), 0);
	assert_int_equal(budget, 50 * RING_CHUNK);
	pool_adjust(&pool, 40 * RING_CHUNK, now + 3000000000); /* again, in another order */
	assert_int_equal(on_second(area), 50);
	pool_done(&pool);
	assert_int_equal(budget, 50 * RING_CHUNK);
	close(fd);
	free(area);
}

#define LARGE 16384u
#define PER_RING 2400u /* of large ones: more than a drain takes */

struct ordered {
	uint64_t last, n;
};

static void on_ordered(void *arg, const void *sample, size_t size)
{
	struct ordered *o = arg;
	struct event e;

	assert_true(event_decode(sample, size, &e));
	assert_true(e.head->goid > o->last);
	o->last = e.head->goid;
	o->n++;
}

/* More than a drain takes: what is left in one ring may be older than what was read of another. */
static void test_order_of_what_is_left(void **state)
{
	struct ordered o = {0};
	struct rings r;
	uint64_t now;

	(void)state;
	rings_init_of(&r, 2 * PER_RING * LARGE / RING_CHUNK);
	now = tsc_now();
	for (uint32_t i = 0; i < 2 * PER_RING; i++)
		write_entry(&r, i % 2, LARGE, RING_ENTRY_RECORD, LARGE - sizeof(struct ring_entry), now - 10000 + i,
			    i + 1);
	for (int i = 0; i < 100 && o.n < 2 * PER_RING; i++)
		drain_all(&r, on_ordered, &o);
	assert_int_equal(o.n, 2 * PER_RING);
	assert_true(r.p.bytes.cap + r.p.spare.cap < 4u << 20); /* it was not all read before any was handed over */
	rings_done(&r);
}

/* No event of the slot that is behind is handed over after much was read of what is newer. */
static void look_at_both(void *arg, const void *sample, size_t size)
{
	struct rings *r = arg;

	(void)sample, (void)size;
	if (slot(r, 1)->read != slot(r, 1)->write)
		assert_true(slot(r, 0)->read <= 4 * RING_CHUNK);
}

/* Else all of it would be kept, and copied at each round. */
static void test_slot_that_is_behind(void **state)
{
	const uint32_t n = 40 * (RING_CHUNK / (sizeof(struct event_header) + sizeof(struct ring_entry)));
	uint64_t t = tsc_now() - 4 * n;
	struct rings r;

	rings_init_of(&r, 128);
	for (uint32_t i = 0; i < n; i++)
		put(&r, 0, t + 2 * n + i, 1);
	for (uint32_t i = 0; i < n; i++)
		put(&r, 1, t + i, 2);
	assert_int_equal(drain_all(&r, look_at_both, &r), 2 * n);
	assert_int_equal(r.p.damaged, 0);
	rings_done(&r);
}

/* The counter may have begun before the other clock: what is older than that is not of the far future. */
static void test_clock(void **state)
{
	const struct tsc_clock c = {.mult = UINT64_C(1) << 32, .tsc = 1000, .ns = 600};

	(void)state;
	assert_int_equal(tsc_clock_ns(&c, 1005), 605);
	assert_int_equal(tsc_clock_ns(&c, 401), 1);
	assert_int_equal(tsc_clock_ns(&c, 399), 0);
	assert_int_equal(tsc_clock_ns(&c, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_around_the_end),
		cmocka_unit_test(test_chunk_of_two),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_slow_taker),
		cmocka_unit_test(test_order_of_what_is_left),
		cmocka_unit_test(test_disorder),
		cmocka_unit_test(test_slot_that_is_behind),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
