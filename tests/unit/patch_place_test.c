/* plant/patch/place: every trampoline in free space that its site's jump, and the jump back, reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plant/patch/place.h"

#define TEXT 0x400000ull
#define TEXT_END 0x2c00000ull
#define REACH 0x7fffff00ll

struct world {
	range_vec occupied;
	size_t n;
	struct patch_site *sites;
	struct trampoline *t;
	region_vec regions;
};

/* n sites through the text, with the pun that is most frequent in real programs (add rsp; pop rbp), or without. */
static void world_init(struct world *w, size_t n, uint32_t bytes, bool punned)
{
	memset(w, 0, sizeof(*w));
	vec_push(&w->occupied, ((struct range){TEXT, TEXT_END}));
	vec_push(&w->occupied, ((struct range){0x7f0000000000, 0x7ffffffff000}));
	w->n = n;
	w->sites = calloc(n, sizeof(*w->sites));
	w->t = calloc(n, sizeof(*w->t));
	for (size_t i = 0; i < n; i++) {
		w->sites[i].addr = TEXT + i * ((TEXT_END - TEXT) / n);
		w->sites[i].len = punned ? PATCH_JUMP - 1 : PATCH_JUMP;
		w->sites[i].pun = 0x5d;
		w->t[i] = (struct trampoline){.site = &w->sites[i], .bytes = bytes, .entry = bytes / 2};
	}
}

static void world_done(struct world *w)
{
	vec_done(&w->occupied);
	vec_done(&w->regions);
	free(w->sites);
	free(w->t);
}

static bool within(uint64_t from, uint64_t to)
{
	int64_t d = (int64_t)(to - from);

	return d > -REACH && d < REACH;
}

static bool in_a_region(const struct world *w, uint64_t addr, uint64_t n)
{
	for (size_t i = 0; i < w->regions.len; i++)
		if (addr >= w->regions.data[i].addr && addr + n <= w->regions.data[i].addr + w->regions.data[i].used)
			return true;
	return false;
}

static int by_start(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void check_apart(range_vec *r)
{
	if (r->len) /* qsort may not be given NULL */
		qsort(r->data, r->len, sizeof(*r->data), by_start);
	for (size_t i = 1; i < r->len; i++)
		assert_true(r->data[i].start >= r->data[i - 1].end);
}

/* How many are placed; all that must hold of those is looked at. */
static size_t check(const struct world *w)
{
	range_vec used = {0}, regions = {0};
	size_t placed = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct trampoline *t = &w->t[i];

		if (!t->placed)
			continue;
		placed++;
		assert_true(patch_reaches(t->site, t->landing_pad));
		assert_true(in_a_region(w, t->addr, t->bytes));
		assert_true(within(t->addr, t->site->addr) && within(t->addr + t->bytes, t->site->addr));
		vec_push(&used, ((struct range){t->addr, t->addr + t->bytes}));
		if (t->landing_pad == t->addr + t->entry)
			continue;
		assert_true(in_a_region(w, t->landing_pad, PATCH_JUMP));
		assert_true(within(t->landing_pad, t->addr + t->entry));
		vec_push(&used, ((struct range){t->landing_pad, t->landing_pad + PATCH_JUMP}));
	}
	check_apart(&used);
	for (size_t i = 0; i < w->occupied.len; i++)
		vec_push(&regions, w->occupied.data[i]);
	for (size_t i = 0; i < w->regions.len; i++)
		vec_push(&regions, ((struct range){w->regions.data[i].addr,
						   w->regions.data[i].addr + w->regions.data[i].size}));
	check_apart(&regions);
	vec_done(&used);
	vec_done(&regions);
	return placed;
}

static bool any_landing_pad(const struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->t[i].placed && w->t[i].landing_pad != w->t[i].addr + w->t[i].entry)
			return true;
	return false;
}

static void place(struct world *w, size_t max)
{
	trampolines_place(&w->occupied, 0, w->t, w->n, max, &w->regions);
}

static void test_few(void **state)
{
	struct world w;

	for (int punned = 0; punned < 2; punned++) {
		world_init(&w, 100, 2000, punned);
		place(&w, 8);
		assert_int_equal(check(&w), 100);
		assert_false(any_landing_pad(&w));
		world_done(&w);
	}
}

/* 240 MB of code, for sites that reach 56. */
static void test_too_many_for_their_window(void **state)
{
	struct world w;

	world_init(&w, 120000, 2000, true);
	place(&w, 62);
	assert_int_equal(check(&w), 120000);
	assert_true(any_landing_pad(&w));
	world_done(&w);
}

/* The whole window is taken: there is no room for a landing pad either. */
static void test_no_room(void **state)
{
	struct world w;

	world_init(&w, 10, 2000, true);
	w.occupied.data[1].start = 0x50000000;
	place(&w, 62);
	assert_int_equal(check(&w), 0);
	world_done(&w);
	world_init(&w, 10, 2000, false);
	w.occupied.data[1].start = TEXT_END + 0x4000;
	place(&w, 62);
	assert_int_equal(check(&w), 10);
	world_done(&w);
}

/* With one region there is either code or landing pads: what places more is kept. */
static void test_limit(void **state)
{
	struct world w;

	world_init(&w, 120000, 2000, true);
	place(&w, 1);
	assert_in_range(check(&w), 1000, 120000);
	assert_int_equal(w.regions.len, 1);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_too_many_for_their_window),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
