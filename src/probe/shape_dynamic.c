/* Which types the interfaces among the shapes may hold. */
#include <string.h>

#include "probe/shape_index.h"

void shape_want_dynamic(struct shape_table *t, const struct type *interface, unsigned level)
{
	struct shape_index *x = t->index;

	for (size_t i = 0; i < x->wanted.len; i++)
		if (x->wanted.data[i].type == interface && x->wanted.data[i].level <= level &&
		    !x->wanted.data[i].instances)
			return;
	vec_push(&x->wanted, ((struct shape_wanted){interface, level, false}));
}

/* A pointer's descriptor stands for the pointer itself (SHAPE_IN_INTERFACE): its target is a level on. */
void shape_want_instances(struct shape_table *t, const struct type *shape)
{
	struct shape_index *x = t->index;

	for (size_t i = 0; i < x->wanted.len; i++)
		if (x->wanted.data[i].instances && x->wanted.data[i].type->kind == shape->kind &&
		    x->wanted.data[i].type->size == shape->size)
			return;
	vec_push(&x->wanted, ((struct shape_wanted){shape, shape->kind == KIND_POINTER, true}));
}

static void add_instances(struct shape_table *t, const struct shape_wanted *w)
{
	const struct type *type;
	size_t pos = 0;

	while (binary_type_next(t->binary, &pos, &type))
		if (type->kind == w->type->kind && type->size == w->type->size)
			shape_add_dynamic(t, type, w->level);
}

static bool is_plain(const struct type *t)
{
	return t->kind == KIND_BOOL || type_is_integer(t) || type_is_float(t) || t->kind == KIND_STRING;
}

static void add_all(struct shape_table *t, const struct shape_wanted *w)
{
	bool plain = t->limits.any_plain && !type_method_count(t->binary, w->type);
	const struct type *type;
	size_t pos = 0;

	while (binary_type_holdable_next(t->binary, w->type, &pos, &type))
		if (!plain || is_plain(type) || (type->kind == KIND_ARRAY && type->elem && is_plain(type->elem)))
			shape_add_dynamic(t, type, w->level);
}

void shape_add_wanted(struct shape_table *t, unsigned level)
{
	struct shape_index *x = t->index;

	for (size_t i = 0; i < x->wanted.len; i++) {
		struct shape_wanted w = x->wanted.data[i];

		if (w.level == level && w.instances)
			add_instances(t, &w);
		if (w.level != level || w.instances || x->all_dynamic)
			continue;
		add_all(t, &w);
		x->all_dynamic = !t->limits.any_plain && !type_method_count(t->binary, w.type);
	}
}
