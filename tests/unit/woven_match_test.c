/* What the recorder of a woven program is told to follow: only what it was built with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"
#include "cmd/woven_match.h"
#include "plant/woven_plan.h"
#include "probe/inject_form.h"

static const struct pack pack = {.name = "p", .packages = (const char *const[]){"main", NULL}};
static const struct pack_span span = {.npoints = 1};

/* One capture, which is what its mark is found by. Which slots of what kind its plan follows. */
static const struct woven_plan *plan_for(struct woven_set *s, const char *kind, enum mark_use use)
{
	static struct pack_capture capture = {.name = "it"};
	static struct pack_variant variant = {.captures = &capture, .ncaptures = 1};
	static struct pack_point start = {.role = POINT_START};
	struct lower_mark_word word = {.capture = 0, .use = use};
	struct lower_marks marks = {.action = MARKS_START, .words = &word, .nwords = 1};
	struct woven_field slot = {0, kind, "it"};
	struct woven_point p = {.slots = &slot, .nslots = 1};
	struct join j = {.pack = &pack, .part = &span, .point = &start, .variant = &variant, .marks = &marks};

	return woven_plan_of(s, &p, &j);
}

/* The pack may be another one than the program was built with: a number that is one there is no text. */
static void a_slot_is_followed_as_what_it_is(void **state)
{
	static const struct {
		const char *kind;
		enum mark_use use;
		unsigned words;
	} cases[] = {
		{"string", MARK_HEADER, 1},     {"int", MARK_HEADER, 0},   {"chain", MARK_HEADER, 0},
		{"string", MARK_TRACESTATE, 1}, {"uint", MARK_TRACESTATE, 0},
		{"chain", MARK_PARENT, 1},      {"pointer", MARK_PARENT, 0}, {"string", MARK_PARENT, 0},
		{"chain", MARK_OWN, 1},         {"uint", MARK_OWN, 0},
		{"pointer", MARK_CARRIED, 1},   {"string", MARK_CARRIED, 0}, {"int", MARK_KEYED, 1},
	};
	struct woven_set s = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct woven_plan *plan = plan_for(&s, cases[i].kind, cases[i].use);

		assert_non_null(plan);
		if (plan->nwords != cases[i].words)
			fail_msg("%s as %d: %u words", cases[i].kind, (int)cases[i].use, plan->nwords);
	}
	woven_set_done(&s);
}

static const struct woven_plan *inject_plan(struct woven_set *s, const struct woven_field *slots, size_t n)
{
	static struct pack_capture capture = {.name = "propagated", .use = USE_INJECT};
	static struct pack_variant variant = {.captures = &capture, .ncaptures = 1};
	static struct pack_point inject = {.role = POINT_INJECT};
	struct woven_point p = {.slots = slots, .nslots = n};
	struct join j = {.pack = &pack, .part = &span, .point = &inject, .variant = &variant};

	return woven_plan_of(s, &p, &j);
}

static void an_inject_has_all_of_its_slots(void **state)
{
	struct woven_field slots[INJECT_WOVEN_SLOTS];
	struct woven_set s = {0};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		slots[i] = (struct woven_field){0, "uint", "propagated"};
	assert_non_null(inject_plan(&s, slots, ARRAY_SIZE(slots)));
	assert_null(inject_plan(&s, slots, ARRAY_SIZE(slots) - 1));
	slots[ARRAY_SIZE(slots) - 1].name = "another";
	assert_null(inject_plan(&s, slots, ARRAY_SIZE(slots)));
	woven_set_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_followed_as_what_it_is),
		cmocka_unit_test(an_inject_has_all_of_its_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
