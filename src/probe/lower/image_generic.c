/*
 * Values of types that depend on type parameters. All instances of a function for pointer types share one body, in
 * which every such type is "go.shape.*uint8", and one for each other shape. The real type is a word of the dictionary
 * that each call is given: the image is of that type's shape, where the word tells it, and of the instance's shape
 * otherwise. For results the entry keeps the dictionary's address.
 */
#include <string.h>

#include "probe/lower/lowerer.h"

/* Texts, bools and floats look the same by any name. */
static bool type_matters(const struct type *t)
{
	return t->size && t->kind != KIND_STRING && t->kind != KIND_BOOL && t->kind != KIND_FUNC && !type_is_float(t);
}

bool is_generic(const struct lowerer *l, const struct value *v)
{
	if (!l->capture->whole || !l->shapes || !v->dict_word || !type_matters(v->type))
		return false;
	if (v->type->kind == KIND_POINTER && !l->shapes->limits.depth) /* it is not followed */
		return false;
	return l->program->dictionary != NULL;
}

int emit_generic(struct lowerer *l, const struct value *v, uint16_t slot)
{
	struct value dict;
	struct ir_insn *i;
	uint16_t words;
	int r = emit_image(l, v, slot);

	if (!r)
		r = lower(l, l->program->dictionary, &dict);
	if (!r)
		r = value_word(l, &dict, 0, 8, false, &words);
	if (r)
		return r;
	i = emit(l, IR_IMAGE_TYPE);
	i->slot = slot;
	i->a = words;
	i->imm = (int64_t)(v->dict_word - 1) * 8;
	shape_want_instances(l->shapes, v->type);
	return 0;
}
