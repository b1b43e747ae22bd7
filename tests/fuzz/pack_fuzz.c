/*
 * The pack loader: any bytes; a refusal names a place. The bytes are a condition over attributes and a rule of --keep,
 * too, and what is one holds or does not.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "probe/pack/pack.h"
#include "span/condition.h"
#include "span/keep.h"

static void evaluate(const struct condition *c)
{
	struct attr_list none = {0}, some = {0};
	struct condition opposite = {.op = CONDITION_NOT, .a = c};
	const struct attr_value *cause = NULL;

	vec_push(&some.values, ((struct attr_value){.key = "b", .kind = ATTR_INT, .i = 500}));
	attr_list_set_string(&some, "m", "A", 1);
	if (condition_holds(c, &none, &cause) && cause)
		abort(); /* an attribute that is not there */
	if (condition_holds(c, &some, &cause) == condition_holds(&opposite, &some, &cause))
		abort();
	attr_list_done(&some);
}

static void read_condition(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	const struct condition *c;

	if (condition_parse(arena_strndup(&arena, (const char *)data, size), NULL, &arena, &c, NULL) == 0)
		evaluate(c);
	if (span_rule_parse(arena_strndup(&arena, (const char *)data, size), &arena, &c, NULL) == 0)
		evaluate(c);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct pack *p = NULL;

	if (pack_parse("fuzz.yaml", (const char *)data, size, &p, &err) < 0 &&
	    strncmp(err.text, "fuzz.yaml:", 10))
		abort();
	if (p) /* to itself at best */
		packs_resolve(&p, 1, &err);
	for (size_t i = 0; p && i < p->nspans; i++)
		if (p->spans[i].error)
			evaluate(p->spans[i].error);
	pack_free(p);
	read_condition(data, size);
	return 0;
}
