/* Which of a program's own points are used: what belongs together, or nothing of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/own_points.h"

static const struct own_point own;

static void check(const struct plant_probe *probes, size_t n, size_t want)
{
	struct plant_probe copy[8];

	for (size_t i = 0; i < n; i++)
		copy[i] = probes[i];
	assert_int_equal(own_points_choose(copy, n), want);
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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups_are_used_as_a_whole)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
