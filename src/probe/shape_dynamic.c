/*
 * Which types an interface may hold: those that have its methods. Method names of a descriptor and of an interface are
 * both sorted, so one pass over both decides. The linker may have dropped a method's type; its name stays.
 */
#include <string.h>

#include "probe/shape_index.h"

static bool implements(struct binary *b, const struct type *type, const struct type *interface)
{
	struct type_method want, have;
	size_t k = 0;

	for (size_t i = 0; type_method(b, interface, i, &want); i++) {
		bool found = false;

		while (!found && type_method(b, type, k, &have)) {
			found = !strcmp(have.name, want.name);
			k++;
		}
		if (!found || (have.type && want.type && have.type != want.type))
			return false;
	}
	return true;
}

void shape_want_dynamic(struct shape_table *t, const struct type *interface, unsigned level)
{
	struct shape_index *x = t->index;

	for (size_t i = 0; i < x->wanted.len; i++)
		if (x->wanted.data[i].type == interface && x->wanted.data[i].level <= level)
			return;
	vec_push(&x->wanted, ((struct shape_wanted){interface, level}));
}

static bool is_wanted(struct shape_table *t, const struct type *type, unsigned level, bool any)
{
	const struct shape_index *x = t->index;

	if (any)
		return true;
	for (size_t i = 0; i < x->wanted.len; i++)
		if (x->wanted.data[i].level == level && implements(t->binary, type, x->wanted.data[i].type))
			return true;
	return false;
}

/* Whether an interface wants types at the level, and whether one of them is without methods. */
static bool wants(struct shape_table *t, unsigned level, bool *ret_any)
{
	const struct shape_index *x = t->index;
	bool some = false;

	*ret_any = false;
	for (size_t i = 0; i < x->wanted.len; i++) {
		if (x->wanted.data[i].level != level)
			continue;
		some = true;
		*ret_any |= !type_method_count(t->binary, x->wanted.data[i].type);
	}
	return some;
}

void shape_add_wanted(struct shape_table *t, unsigned level)
{
	const struct type *type;
	size_t pos = 0;
	bool any;

	if (!wants(t, level, &any) || t->index->all_dynamic)
		return;
	t->index->all_dynamic = any;
	while (binary_type_next(t->binary, &pos, &type))
		if (type->kind != KIND_INTERFACE && is_wanted(t, type, level, any))
			shape_add_dynamic(t, type, level);
}
