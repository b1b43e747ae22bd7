/* Which of a program's own points are used: what belongs together, or nothing of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/own_points.h"

static const struct own_point own;

static void check(const struct plant_probe *probes, size_t n, size_t want)
{
	struct plant_probe copy[8];

	for (size_t i = 0; i < n; i++)
		copy[i] = probes[i];
	assert_int_equal(own_points_choose(copy, n, true), want);
}

static void test_groups_are_used_as_a_whole(void **state)
{
	const struct plant_probe whole[] = {{.group = 1, .begins = true, .own = &own},
					    {.group = 1, .ends = true, .own = &own},
					    {.group = 1, .optional = true},
					    {.own = &own}};
	const struct plant_probe without_start[] = {
		{.group = 1, .begins = true}, {.group = 1, .ends = true, .own = &own}, {.group = 2, .own = &own}};
	/* Another end is there, but where this one would have ended it, it never ends. */
	const struct plant_probe without_an_end[] = {{.group = 1, .begins = true, .own = &own},
						     {.group = 1, .ends = true, .own = &own},
						     {.group = 1, .ends = true, .optional = true}};

	(void)state;
	check(whole, 4, 3);
	check(without_start, 3, 1);
	check(without_an_end, 3, 0);
}

/* Without what a point lacks it is used where nothing can be planted, and that is told once. */
static void test_what_lacks_a_value_is_planted_if_that_can_be(void **state)
{
	const struct own_lack lacks[] = {{"sql", "status", "no reason"}, {"sql", "rows", "another"}};
	const struct own_point poor = {.lacks = lacks, .nlacks = 2}, other = {.next = &poor};
	const struct plant_probe all[] = {{.group = 1, .begins = true, .own = &own},
					  {.group = 1, .ends = true, .own = &other},
					  {.group = 2, .begins = true, .own = &own},
					  {.group = 2, .optional = true, .own = &poor},
					  {.own = &own}};
	struct plant_probe copy[ARRAY_SIZE(all)];
	_cleanup_(buf_done) struct buf out = {0};

	(void)state;
	check(all, 2, 0);
	check(all, 5, 2); /* a note is planted beside the others */
	memcpy(copy, all, sizeof(all));
	assert_int_equal(own_points_choose(copy, 5, true), 2);
	own_points_lacks(copy, 5, &out);
	assert_int_equal(out.len, 0);
	memcpy(copy, all, sizeof(all));
	assert_int_equal(own_points_choose(copy, 5, false), 5);
	own_points_lacks(copy, 5, &out);
	assert_string_equal(out.data, "status (sql: no reason), rows (sql: another)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups_are_used_as_a_whole),
					  cmocka_unit_test(test_what_lacks_a_value_is_planted_if_that_can_be)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
