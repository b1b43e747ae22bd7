/* plant/verdict: what refusing a probe means for the others that are to be planted with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "plant/verdict.h"

enum { HOOK, A_ENTRY, B_ENTRY, A_RETURN, ALONE, A_NOTE, B_RETURN, NPROBES };

static const struct plant_probe probes[NPROBES] = {
	[HOOK] = {.auxiliary = true},
	[A_ENTRY] = {.group = 7, .begins = true},
	[B_ENTRY] = {.group = 9, .begins = true},
	[A_RETURN] = {.group = 7},
	[ALONE] = {0},
	[A_NOTE] = {.group = 7, .optional = true},
	[B_RETURN] = {.group = 9},
};
static struct err errs[NPROBES];

static struct verdicts begin(void)
{
	struct verdicts v;

	memset(errs, 0, sizeof(errs));
	verdicts_init(&v, probes, NPROBES, errs);
	return v;
}

static void refuse(struct verdicts *v, size_t probe, const char *text)
{
	struct err why = {0};

	err_set(&why, -ENOTSUP, "%s", text);
	verdict_refuse(v, probe, &why);
}

static void expect(const struct verdicts *v, const char *want)
{
	char got[NPROBES + 1] = "";

	for (size_t i = 0; i < NPROBES; i++) {
		got[i] = v->refused[i] ? 'x' : '.';
		assert_int_equal(v->refused[i], errs[i].code != 0);
	}
	assert_string_equal(got, want);
}

static void test_group(void **state)
{
	struct verdicts v = begin();

	expect(&v, ".......");
	refuse(&v, A_RETURN, "first");
	expect(&v, ".x.x.x.");
	assert_string_equal(errs[A_ENTRY].text, "first");
	assert_int_equal(v.nrefused, 3);
	refuse(&v, A_ENTRY, "second");
	assert_string_equal(errs[A_ENTRY].text, "first");
	assert_int_equal(v.nrefused, 3);
	verdicts_done(&v);
}

static void test_optional_and_alone(void **state)
{
	struct verdicts v = begin();

	refuse(&v, A_NOTE, "no");
	refuse(&v, ALONE, "no");
	expect(&v, "....xx.");
	refuse(&v, HOOK, "no");
	expect(&v, "x...xx.");
	assert_true(verdict_any_useful(&v));
	verdicts_done(&v);
}

/* A hook is nothing by itself. */
static void test_useless(void **state)
{
	struct verdicts v = begin();

	refuse(&v, A_ENTRY, "no");
	refuse(&v, ALONE, "no");
	assert_true(verdict_any_useful(&v));
	refuse(&v, B_RETURN, "no");
	assert_false(v.refused[HOOK]);
	assert_false(verdict_any_useful(&v));
	expect(&v, "xxxxxxx");
	verdicts_done(&v);
}

/* Its reason may be that of another probe of the group, in the caller's array. */
static void test_reason_of_errs(void **state)
{
	struct verdicts v;
	struct err why = {0};

	v = begin();
	err_set(&why, -EIO, "kept");
	errs[A_ENTRY] = why;
	verdict_refuse(&v, A_RETURN, &errs[A_ENTRY]);
	assert_string_equal(errs[A_RETURN].text, "kept");
	assert_string_equal(errs[A_ENTRY].text, "kept");
	verdicts_done(&v);
	verdicts_init(&v, probes, NPROBES, NULL);
	verdict_refuse_all(&v, &why);
	assert_int_equal(v.nrefused, NPROBES);
	verdicts_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_optional_and_alone),
		cmocka_unit_test(test_useless),
		cmocka_unit_test(test_reason_of_errs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
