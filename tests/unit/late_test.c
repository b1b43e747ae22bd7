/* Conditions on the text of an error: what holds, what cannot be known, what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "call/late.h"
#include "unit/records.h"

/* In place of call/value.h's: an error that says what the slot holds; an empty text is one that nobody knows. */
void value_from_slot(const struct value_context *c, const struct event *e, size_t slot, const struct ir_slot *what,
		     const struct shown *shown, struct value_node *ret)
{
	size_t n = 0;
	const char *bytes = event_bytes(e, slot, &n);

	(void)c;
	(void)shown;
	*ret = (struct value_node){.form = FORM_ERROR, .text = n ? bytes : NULL, .len = n,
				   .full_len = e->slots[slot].len,
				   .cut = e->slots[slot].len > n};
	if (what->kind == VALUE_INT)
		ret->form = FORM_NIL;
}

enum { ERROR, BOOL, NOTHING };

static const struct ir_slot slots[] = {{.kind = VALUE_STRING}, {.kind = VALUE_BOOL}, {.kind = VALUE_INT}};
static const struct call_plan plan = {.ret = {.slots = (struct ir_slot *)slots, .nslots = 3}};

static struct late text_is(enum late_op op, const char *text)
{
	return (struct late){.op = op, .value = {.slot = ERROR}, .text = text, .len = strlen(text)};
}

/* The verdict over a return whose error says what, of `full` bytes in all, and whose bool is b. */
static enum late_verdict verdict(const struct late *l, const char *what, size_t full, uint64_t b)
{
	struct record r;
	struct event e;
	struct late_call c = {.plan = &plan, .ret = &e, .end = CALL_RETURNED};

	record_init(&r, 1, 1, 1, 1, 3);
	record_bytes(&r, ERROR, what, strlen(what), (uint32_t)full);
	record_int(&r, BOOL, b);
	record_int(&r, NOTHING, 0);
	assert_true(event_decode(r.bytes, r.size, &e));
	return late_test(&c, l);
}

static void test_texts(void **state)
{
	static const struct {
		enum late_op op;
		const char *text, *said;
		size_t full;
		enum late_verdict verdict;
	} cases[] = {
		{LATE_EQUAL, "not found", "not found", 9, LATE_TRUE},
		{LATE_EQUAL, "not found", "not fount", 9, LATE_FALSE},
		{LATE_EQUAL, "not found", "not found!", 10, LATE_FALSE},
		{LATE_EQUAL, "not found", "not", 9, LATE_UNREADABLE},   /* cut, the same so far */
		{LATE_EQUAL, "not found", "nox", 9, LATE_FALSE},
		{LATE_EQUAL, "not found", "not found", 300, LATE_FALSE},
		{LATE_PREFIX, "not", "not found", 9, LATE_TRUE},
		{LATE_PREFIX, "found", "not found", 9, LATE_FALSE},
		{LATE_PREFIX, "not found", "not", 3, LATE_FALSE},
		{LATE_PREFIX, "not found", "not", 300, LATE_UNREADABLE},
		{LATE_PREFIX, "not", "not", 300, LATE_TRUE},
		{LATE_SUFFIX, "found", "not found", 9, LATE_TRUE},
		{LATE_SUFFIX, "not", "not found", 9, LATE_FALSE},
		{LATE_SUFFIX, "found", "not found", 300, LATE_UNREADABLE},
		{LATE_CONTAINS, "t f", "not found", 9, LATE_TRUE},
		{LATE_CONTAINS, "t f", "not found", 300, LATE_TRUE},
		{LATE_CONTAINS, "tf", "not found", 9, LATE_FALSE},
		{LATE_CONTAINS, "tf", "not found", 300, LATE_UNREADABLE},
		{LATE_CONTAINS, "x", "", 0, LATE_UNREADABLE},           /* an error whose text is not known */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct late l = text_is(cases[i].op, cases[i].text);

		if (verdict(&l, cases[i].said, cases[i].full, 0) != cases[i].verdict)
			fail_msg("case %zu: %s in %s", i, cases[i].text, cases[i].said);
	}
}

static void test_logic(void **state)
{
	struct late is = text_is(LATE_EQUAL, "a"), flag = {.op = LATE_BOOL, .value = {.slot = BOOL}};
	struct late not = {.op = LATE_NOT, .a = &is}, either = {.op = LATE_OR, .a = &flag, .b = &is};
	struct late both = {.op = LATE_AND, .a = &flag, .b = &is}, other = {.op = LATE_OR, .a = &is, .b = &flag};

	assert_int_equal(verdict(&not, "a", 1, 0), LATE_FALSE);
	assert_int_equal(verdict(&not, "b", 1, 0), LATE_TRUE);
	assert_int_equal(verdict(&not, "", 0, 0), LATE_UNREADABLE);
	assert_int_equal(verdict(&either, "b", 1, 1), LATE_TRUE);
	assert_int_equal(verdict(&either, "a", 1, 0), LATE_TRUE);
	assert_int_equal(verdict(&either, "b", 1, 0), LATE_FALSE);
	assert_int_equal(verdict(&either, "", 0, 1), LATE_TRUE);       /* what is not reached does not fail */
	assert_int_equal(verdict(&other, "", 0, 1), LATE_UNREADABLE);
	assert_int_equal(verdict(&both, "", 0, 0), LATE_FALSE);
	assert_int_equal(verdict(&both, "a", 1, 1), LATE_TRUE);
}

static void test_missing(void **state)
{
	struct late is = text_is(LATE_EQUAL, "a"), nil = is, panicked = {.op = LATE_PANICKED};
	struct late flag = {.op = LATE_BOOL, .value = {.slot = BOOL}},
		    behind = {.op = LATE_OR, .a = &panicked, .b = &is};
	struct late_call unwound = {.plan = &plan, .end = CALL_PANICKED};
	struct record r;
	struct event e;
	struct late_call c = {.plan = &plan, .ret = &e};

	nil.value.slot = NOTHING;
	assert_int_equal(verdict(&nil, "a", 1, 0), LATE_FAILED);
	assert_int_equal(late_test(&unwound, &is), LATE_FAILED); /* there is no return */
	assert_int_equal(late_test(&unwound, &flag), LATE_FAILED);
	assert_int_equal(late_test(&unwound, &panicked), LATE_TRUE);
	assert_int_equal(late_test(&unwound, &behind), LATE_TRUE);
	record_init(&r, 1, 1, 1, 1, 3);
	record_status(&r, ERROR, SLOT_UNREADABLE, 0, 0);
	record_status(&r, BOOL, SLOT_NO_KEY, 0, 0);
	assert_true(event_decode(r.bytes, r.size, &e));
	assert_int_equal(late_test(&c, &is), LATE_UNREADABLE);
	assert_int_equal(late_test(&c, &flag), LATE_FAILED);
	record_status(&r, BOOL, SLOT_MAP_BUSY, 0, 0);
	assert_int_equal(late_test(&c, &flag), LATE_UNREADABLE);
	is.value.slot = 7;
	assert_int_equal(late_test(&c, &is), LATE_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_logic),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
