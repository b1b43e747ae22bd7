/* plant/verdict: what refusing a probe means for the others that are to be planted with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/tiny_binary.h"
#include "plant/planters.h"
#include "plant/verdict.h"
#include "unit/open.h"

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

/* A planter that puts its probes at the third spot, and at no return. */
static int locate_third(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err)
{
	static struct site site;

	if (at->kind == JOIN_RETURN)
		return err_set(err, -ENOTSUP, "no returns here");
	site = (struct site){.addr = at->spots[2].offset, .kind = at->kind};
	*ret = &site;
	return 0;
}

/* What a planter cannot locate is refused, with all that has no value without it. */
static void test_unlocated(void **state)
{
	static const struct planter_ops third = {.name = "third", .locate = locate_third};
	static const struct spot spots[] = {{.offset = 1}, {.offset = 2}, {.offset = 3}};
	const struct join_point entry = {.kind = JOIN_ENTRY, .spots = spots, .nspots = 3};
	const struct join_point ret = {.kind = JOIN_RETURN, .spots = spots, .nspots = 3};
	struct tiny tiny;
	struct binary *b;
	struct plant_probe located[NPROBES];
	struct verdicts v;

	tiny_build(&tiny, (struct tiny_options){0});
	b = open_changed(&tiny);
	memcpy(located, probes, sizeof(probes));
	for (size_t i = 0; i < NPROBES; i++)
		plant_probe_locate(&located[i], &third, b, i == A_RETURN ? &ret : &entry);
	assert_int_equal(located[A_ENTRY].sites->addr, 3);
	assert_null(located[A_ENTRY].why);
	assert_null(located[A_RETURN].sites);
	assert_string_equal(located[A_RETURN].why, "no returns here");
	located[ALONE].sites = NULL; /* nobody asked */
	located[ALONE].label = "alone";
	memset(errs, 0, sizeof(errs));
	verdicts_init(&v, located, NPROBES, errs);
	verdicts_refuse_unlocated(&v);
	expect(&v, ".x.xxx.");
	assert_string_equal(errs[A_ENTRY].text, "no returns here");
	assert_string_equal(errs[ALONE].text, "alone has no site to put a probe at");
	verdicts_done(&v);
	binary_free(b);
}

static void test_table(void **state)
{
	size_t n = 0;

	for (; planters[n]; n++) {
		assert_ptr_equal(planter_named(planters[n]->name), planters[n]);
		assert_non_null(strstr(PLANTER_NAMES, planters[n]->name));
		assert_true(planters[n]->locate && planters[n]->check && planters[n]->prices);
	}
	assert_true(n >= 2);
	assert_null(planter_named("auto"));
	assert_false(planters[0]->caps.needs_ptrace); /* the default holds no process by it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_optional_and_alone),
		cmocka_unit_test(test_useless),
		cmocka_unit_test(test_reason_of_errs),
		cmocka_unit_test(test_unlocated),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
