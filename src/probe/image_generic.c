/*
 * Pointers in generic functions. All instances of a function for pointer types share one body, in which every such type
 * is "go.shape.*uint8"; the real one is a word of the dictionary that each call is given. That word and the pointer are
 * what an interface consists of: captured as an `any`, the value is followed and shown by its real type. For results the
 * entry keeps the dictionary's address.
 */
#include "probe/compiler.h"

static const struct expr dictionary = {.op = EXPR_NAME, .text = CAPTURE_DICTIONARY, .len = sizeof(CAPTURE_DICTIONARY) - 1};

bool is_generic_pointer(const struct compiler *c, const struct value *v)
{
	return c->whole && c->shapes && v->place == PLACE_PARAM && !v->offset && v->param->dict_word &&
	       v->type->kind == KIND_POINTER && c->scope->signature->dictionary &&
	       (c->scope->at == SITE_ENTRY || is_kept(c, &dictionary));
}

static void emit_put(struct compiler *c, uint16_t slot, uint16_t reg, int64_t at)
{
	struct ir_insn *i = emit(c, IR_IMAGE_PUT);

	i->slot = slot;
	i->a = reg;
	i->imm = at;
}

int emit_generic_pointer(struct compiler *c, const struct value *v, uint16_t slot)
{
	const struct type *any = binary_type_parse(c->binary, "", "interface {}", NULL);
	uint32_t shape = any ? shape_of(c->shapes, any) : 0;
	uint16_t words, type, pointer;
	struct ir_insn *i;
	struct value dict;
	int r = eval(c, &dictionary, &dict);

	if (!r)
		r = value_word(c, &dict, 0, 8, false, &words);
	if (!r)
		r = value_word(c, v, 0, 8, false, &pointer);
	if (r)
		return r;
	if (!shape)
		return fail_unreadable(c, v->expr, "the real type of %s cannot be followed", expr_text(c, v->expr));
	type = ir_emit_load(c, words, (int64_t)(v->param->dict_word - 1) * 8, 8, false);
	i = emit(c, IR_IMAGE);
	i->slot = slot;
	i->a = IR_NO_REG;
	i->shape = shape;
	i->at = c->depth;
	i->imm = 16;
	emit_put(c, slot, type, 0);
	emit_put(c, slot, pointer, 8);
	c->slots.data[slot].kind = VALUE_IMAGE;
	c->slots.data[slot].type = any;
	c->captured = any;
	c->has_images = true;
	return 0;
}
