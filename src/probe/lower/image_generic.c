/*
 * Values of types that depend on type parameters. All instances of a function for pointer types share one body, in
 * which every such type is "go.shape.*uint8", and one for each other shape. The real type is a word of the dictionary
 * that each call is given: the image is of that type's shape, where the word tells it, and of the instance's shape
 * otherwise. For results the entry keeps the dictionary's address.
 */
#include <string.h>

#include "probe/lower/compiler.h"

static const struct expr dictionary = {.op = EXPR_NAME, .text = CAPTURE_DICTIONARY,
				       .len = sizeof(CAPTURE_DICTIONARY) - 1};

bool scope_has_dictionary(const struct signature *s, const struct closure_var *captured, size_t ncaptured)
{
	for (size_t i = 0; i < ncaptured; i++)
		if (!strcmp(captured[i].name, CAPTURE_DICTIONARY))
			return true;
	return s->dictionary && !s->dictionary->why;
}

/* Texts, bools and floats look the same by any name. */
static bool type_matters(const struct type *t)
{
	return t->size && t->kind != KIND_STRING && t->kind != KIND_BOOL && t->kind != KIND_FUNC && !type_is_float(t);
}

bool is_generic(const struct compiler *c, const struct value *v)
{
	const struct capture_scope *s = c->scope;

	if (!c->whole || !c->shapes || !v->dict_word || !type_matters(v->type))
		return false;
	if (v->type->kind == KIND_POINTER && !c->shapes->limits.depth) /* it is not followed */
		return false;
	return s->at == SITE_ENTRY ? scope_has_dictionary(s->signature, s->captured, s->ncaptured)
				   : is_kept(c, &dictionary);
}

int emit_generic(struct compiler *c, const struct value *v, uint16_t slot)
{
	struct value dict;
	struct ir_insn *i;
	uint16_t words;
	int r = emit_image(c, v, slot);

	if (!r)
		r = eval(c, &dictionary, &dict);
	if (!r)
		r = value_word(c, &dict, 0, 8, false, &words);
	if (r)
		return r;
	i = emit(c, IR_IMAGE_TYPE);
	i->slot = slot;
	i->a = words;
	i->imm = (int64_t)(v->dict_word - 1) * 8;
	shape_want_instances(c->shapes, v->type);
	return 0;
}
