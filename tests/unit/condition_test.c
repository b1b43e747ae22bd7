/* Conditions over attributes: what they mean, what made them true, and the sentences for what they cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "span/condition.h"

static struct attr_list attributes;
static struct arena arena;

static int setup(void **state)
{
	static const struct attr_value values[] = {
		{.key = "http.response.status_code", .kind = ATTR_INT, .i = 503},
		{.key = "zero", .kind = ATTR_INT, .i = 0},
		{.key = "minus", .kind = ATTR_INT, .i = -3},
		{.key = "big", .kind = ATTR_INT, .i = INT64_MAX},
		{.key = "ratio", .kind = ATTR_DOUBLE, .d = 0.5},
		{.key = "nan", .kind = ATTR_DOUBLE, .d = __builtin_nan("")},
		{.key = "ok", .kind = ATTR_BOOL, .b = true},
		{.key = "failed", .kind = ATTR_BOOL, .b = false},
		{.key = "cut", .kind = ATTR_STRING, .cut = true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct attr_value *v = attr_list_set(&attributes, values[i].key, values[i].kind);

		v->cut = values[i].cut;
		if (v->kind == ATTR_DOUBLE)
			v->d = values[i].d;
		else if (v->kind == ATTR_BOOL)
			v->b = values[i].b;
		else
			v->i = values[i].i;
	}
	attr_list_set_string(&attributes, "error.type", "timeout", 7);
	attr_list_set_string(&attributes, "state", "b", 1);
	attr_list_set_string(&attributes, "empty", "", 0);
	return 0;
}

static int teardown(void **state)
{
	attr_list_done(&attributes);
	arena_done(&arena);
	return 0;
}

static const struct condition *parse(const char *text)
{
	const struct condition *c = NULL;
	struct err err = {0};

	if (condition_parse(text, NULL, &arena, &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

/* cause: the attribute that made it true, "" where it is none, NULL where it does not hold. */
static void holds(void **state)
{
	static const struct {
		const char *text, *cause;
	} cases[] = {
		{"http.response.status_code >= 500", "http.response.status_code"},
		{"http.response.status_code >= 504", NULL},
		{"http.response.status_code > 503", NULL},
		{"http.response.status_code <= 503", "http.response.status_code"},
		{"http.response.status_code < 503", NULL},
		{"http.response.status_code == 503", "http.response.status_code"},
		{"http.response.status_code != 503", NULL},
		{"500 <= http.response.status_code", "http.response.status_code"},
		{"500 > http.response.status_code", NULL},
		{"minus == -3 && minus < 0", "minus"},
		{"big == 9223372036854775807", "big"},
		{"big == 9223372036854775806", NULL},
		{"big < 18446744073709551615", "big"},
		{"ratio < 1 && ratio > 0.25", "ratio"},
		{"ratio == -0.5", NULL},
		{"nan == nan || nan < 1 || nan >= 1 || nan != 1", NULL},
		{"error.type == \"timeout\"", "error.type"},
		{"error.type != \"timeout\"", NULL},
		{"state > \"a\" && state < \"ba\"", "state"},
		{"state < error.type", "state"},
		{"ok == true", "ok"},
		{"failed != true", "failed"},
		/* a name alone */
		{"error.type", "error.type"},
		{"zero || failed || empty || nobody", NULL},
		{"minus", "minus"},
		{"ratio", "ratio"},
		{"cut", "cut"},
		/* what is not there, or is of another kind, compares with nothing */
		{"nobody == 1 || nobody != 1 || nobody < 1 || nobody >= 1", NULL},
		{"state == 1 || state != 1 || ok != 1 || zero != \"x\"", NULL},
		{"!(nobody == 1)", ""},
		/* together */
		{"http.response.status_code >= 504 || error.type", "error.type"},
		{"http.response.status_code >= 500 || error.type", "http.response.status_code"},
		{"!failed && state == \"b\"", "state"},
		{"!ok && state == \"b\"", NULL},
		{"!failed", ""},
		{"!!ok", ""},
		{"ok || nobody && nobody", "ok"},
		{"(ok || nobody) && nobody", NULL},
		{"!ok || failed", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct attr_value *cause = NULL;
		bool yes = condition_holds(parse(cases[i].text), &attributes, &cause);

		if (yes != (cases[i].cause != NULL))
			fail_msg("%s: %d", cases[i].text, yes);
		if (yes && strcmp(cause ? cause->key : "", cases[i].cause))
			fail_msg("%s: because of %s", cases[i].text, cause ? cause->key : "nothing");
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *sentence;
		int column;
	} cases[] = {
		{"", "a value is expected here", 0},
		{"a >=", "a value is expected here", 4},
		{"a b", "", 2},
		{"500", "an attribute or a comparison is expected here", 0},
		{"a || true", "an attribute or a comparison is expected here", 5},
		{"a && \"x\"", "an attribute or a comparison is expected here", 5},
		{"1 < 2", "one side of a comparison is an attribute", 2},
		{"a + 1 > 2", "a comparison is one of an attribute with", 2},
		{"a & b", "a condition over attributes has no arithmetic", 2},
		{"a == nil", "a comparison is one of an attribute with", 5},
		{"a == !b", "a comparison is one of an attribute with", 5},
		{"(a < 1) == true", "a comparison is one of an attribute with", 3},
		{"a < true", "true and false are compared with == and != only", 2},
		{"false >= a", "true and false are compared with == and != only", 6},
		{"len(a) > 1", "a comparison is one of an attribute with", 0},
		{"a[0].b", "an attribute is written as a name with dots", 5},
		{"a[0] == 1", "a comparison is one of an attribute with", 1},
		{"-a", "an attribute or a comparison is expected here", 0},
		{"a == -b", "a comparison is one of an attribute with", 5},
		{"!(a", "the ) that closes this is missing", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct condition *c = NULL;
		struct err err = {0};
		const char *caret;

		assert_int_equal(condition_parse(cases[i].text, NULL, &arena, &c, &err), -EINVAL);
		caret = strrchr(err.text, '\n');
		if (strncmp(err.text, cases[i].sentence, strlen(cases[i].sentence)) || !caret ||
		    strcspn(caret, "^") != (size_t)cases[i].column + 3)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(condition_parse(cases[i].text, NULL, &arena, &c, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("condition", tests, setup, teardown);
}
