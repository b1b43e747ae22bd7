/* Which programs copy values of a type, and who: real ones, since it is Go's compiler that is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/binary.h"

static const char *const beside[] = {"net/http.send", "net/http.rewindBody", "net/http.(*Transport).roundTrip", NULL};

/* NULL where the tests' programs are not built. */
static struct binary *open_program(const char *name)
{
	const char *cache = getenv("EARSHOT_CACHE");
	struct binary *b = NULL;
	struct err err = {0};
	char path[300];

	snprintf(path, sizeof(path), "%s/bin/%s", cache ? cache : "/var/cache/earshot", name);
	if (access(path, R_OK))
		skip();
	if (binary_open(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	return b;
}

static void expect(const char *program, const char *const *but, const char *who)
{
	struct binary *b = open_program(program);
	const struct type *t = binary_type(b, "net/http.Request");
	struct func by = {0};

	assert_non_null(t);
	assert_int_equal(binary_may_copy(b, t, but, &by), who != NULL);
	if (who)
		assert_string_equal(by.name, who);
	binary_free(b);
}

/* A copy that stays on its stack is none: nobody else sees it. What only reflection could call does not count. */
static void test_nobody(void **state)
{
	expect("plainmux-go1.27", beside, NULL);
	expect("fanout-go1.27", beside, NULL);
}

static void test_who(void **state)
{
	expect("plainmux-go1.27-copies", beside, "main.more.func1");
	expect("handover-go1.27", beside, "main.copied");
	expect("plainmux-go1.27-generic", beside, "main.more.func1"); /* it names the request's shape */
	expect("plainmux-go1.27", NULL, "net/http.send"); /* its own client's */
}

/* Elements of a slice, fields of a struct: memory of the type can be had without its name. */
static void test_parts(void **state)
{
	struct binary *b = open_program("plainmux-go1.27");
	struct func by = {0};

	assert_true(binary_may_copy(b, binary_type(b, "sync.Mutex"), NULL, &by));
	binary_free(b);
}

static void test_runs(void **state)
{
	struct binary *b = open_program("trio-go1.27-sw");
	struct func f;

	assert_int_equal(binary_func_find(b, "net/http.(*ServeMux).ServeHTTP", &f, 1), 1);
	assert_true(binary_may_run(b, &f)); /* by an itab */
	assert_int_equal(binary_func_find(b, "net/http.(*Request).WithContext", &f, 1), 1);
	assert_false(binary_may_run(b, &f)); /* nor does what has it from there by embedding */
	binary_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody), cmocka_unit_test(test_who), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
