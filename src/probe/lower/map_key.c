/*
 * Keys of maps. What a key consists of, words and at most one text, is put into registers; the planters look for an
 * entry in which these are the same (IR_MAP_KEY). Keys that are constant texts have an instruction of their own, which
 * compares with what is in the code.
 */
#include "probe/lower/compiler.h"

#include <string.h>

struct key_builder {
	struct compiler *c;
	const struct value *key;
	struct ir_key *out;
	uint16_t regs[IR_MAX_KEY + 1];
	size_t nregs;
	bool text;
};

static int unfit(struct key_builder *b, const struct type *t)
{
	return fail(b->c, b->key->expr, "maps whose keys have %s in them cannot be looked into: what can are integers, "
					"bools, pointers, a text, and small arrays and structs of these",
					with_article(b->c->arena, t->name));
}

static int add_word(struct key_builder *b, const struct value *v, uint64_t offset, unsigned size)
{
	uint16_t word = 0;
	int r;

	if (b->out->n == IR_MAX_KEY)
		return fail(b->c, b->key->expr, "a key has at most %d parts here", IR_MAX_KEY);
	b->out->parts[b->out->n++] = (struct ir_key_part){.offset = (uint32_t)offset, .size = (uint8_t)size};
	r = value_word(b->c, v, 0, size, false, &word);
	if (!r && size < 8 && (v->place == PLACE_CONST || v->place == PLACE_REG)) /* it may be sign-extended */
		word = emit_bin(b->c, BIN_AND, word, emit_const(b->c, (int64_t)((1ull << 8 * size) - 1)));
	b->regs[b->nregs++] = word;
	return r;
}

static int add_text(struct key_builder *b, const struct value *v, uint64_t offset)
{
	int r;

	if (b->text)
		return fail(b->c, b->key->expr, "a key with more than one text cannot be looked for");
	if (v->place == PLACE_CONST)
		return fail(b->c, b->key->expr,
			    "a constant text within a key cannot be looked for; take a parameter or a field");
	if (b->out->n == IR_MAX_KEY)
		return fail(b->c, b->key->expr, "a key has at most %d parts here", IR_MAX_KEY);
	b->text = true;
	b->out->parts[b->out->n++] = (struct ir_key_part){.offset = (uint32_t)offset};
	r = value_word(b->c, v, 0, 8, false, &b->regs[b->nregs++]);
	return r ? r : value_word(b->c, v, 8, 8, true, &b->regs[b->nregs++]);
}

static int add_part(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset);

static int add_fields(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset)
{
	size_t n = type_field_count(b->c->binary, t);
	struct type_field f;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct value field;

		if (!type_field(b->c->binary, t, i, &f) || !f.type)
			return fail(b->c, b->key->expr, "the binary does not describe all fields of %s", t->name);
		if (f.name && !strcmp(f.name, "_"))
			continue;
		if (v->place == PLACE_LITERAL)
			r = literal_field(b->c, v, i, &f, &field);
		else
			field = value_part(v, f.offset, f.type, v->expr);
		if (!r)
			r = add_part(b, &field, f.type, offset + f.offset);
	}
	return r;
}

static int add_elements(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset)
{
	bool in_memory = v->place == PLACE_MEMORY && is_plain_memory(b->c, t);
	int r = 0;

	/* [16]byte of memory: by words, not by bytes */
	for (uint64_t at = 0, size; in_memory && !r && at < t->size; at += size) {
		struct value word;

		for (size = 8; size > t->size - at; size /= 2)
			;
		word = value_part(v, at, basic_type(KIND_UINT64), v->expr);
		r = add_word(b, &word, offset + at, (unsigned)size);
	}
	for (size_t i = 0; !in_memory && !r && i < t->len; i++) {
		struct value element = value_part(v, i * t->elem->size, t->elem, v->expr);

		if (v->place == PLACE_LITERAL)
			r = literal_element(b->c, v, i, &element);
		if (!r)
			r = add_part(b, &element, t->elem, offset + i * t->elem->size);
	}
	return r;
}

static int add_part(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset)
{
	if (type_is_integer(t) || t->kind == KIND_BOOL || is_pointer_shaped(t))
		return add_word(b, v, offset, (unsigned)t->size);
	if (t->kind == KIND_STRING)
		return add_text(b, v, offset);
	if (t->kind == KIND_STRUCT)
		return add_fields(b, v, t, offset);
	if (t->kind == KIND_ARRAY && t->elem)
		return add_elements(b, v, t, offset);
	return unfit(b, t);
}

/* The words lie in registers that follow each other. */
static int emit_key(struct key_builder *b, const struct value *v, uint16_t header, const struct map_layout *layout,
		    uint16_t dst)
{
	uint16_t first;
	struct ir_insn *i;
	int r = add_part(b, b->key, v->type->key, 0);

	if (r)
		return r;
	if (!b->out->n)
		return fail(b->c, b->key->expr, "a key without a part cannot be looked for");
	first = reg_new(b->c);
	for (size_t k = 1; k < b->nregs; k++)
		reg_new(b->c);
	for (size_t k = 0; k < b->nregs; k++)
		emit_move(b->c, (uint16_t)(first + k), b->regs[k]);
	i = emit(b->c, IR_MAP_KEY);
	i->dst = dst;
	i->a = header;
	i->b = first;
	i->key = b->out;
	i->map = layout;
	return 0;
}

/* The key as a value of the map's key type. */
static int convert_key(struct compiler *c, const struct value *v, const struct value *key, struct value *ret)
{
	const struct type *t = v->type->key;

	*ret = *key;
	if (key->place == PLACE_CONST && !key->type)
		return const_convert(c, key, t, ret);
	if (!key->type || (key->type->kind != t->kind || key->type->size != t->size))
		return fail(c, key->expr, "%s is %s; the map's keys are of type %s", expr_text(c, key->expr),
			    type_with_article(c, key), t->name);
	return 0;
}

static int constant_text(struct compiler *c, const struct value *key, uint16_t header, const struct map_layout *layout,
			 uint16_t dst)
{
	struct ir_insn *i;

	if (strlen(key->text) != key->len || key->len > IR_MAX_STR)
		return fail(c, key->expr, "a key has at most %d bytes and none is 0", IR_MAX_STR);
	i = emit(c, IR_MAP_STR);
	i->dst = dst;
	i->a = header;
	i->str = key->text;
	i->imm = (int64_t)key->len;
	i->map = layout;
	return 0;
}

int index_map(struct compiler *c, const struct value *v, const struct value *key, const struct expr *e,
	      struct value *ret)
{
	struct map_layout *layout = arena_new(c->arena, struct map_layout);
	struct key_builder b = {.c = c, .out = arena_new(c->arena, struct ir_key)};
	struct value converted;
	struct err why = {0};
	uint16_t header, dst;
	int r;

	if (!v->type->key || !v->type->elem)
		return fail(c, e, "the binary does not describe the keys of %s", expr_text(c, v->expr));
	r = convert_key(c, v, key, &converted);
	if (r)
		return r;
	if (!type_map_layout(c->binary, v->type, layout, &why))
		return fail(c, e, "%s cannot be looked into: %s", expr_text(c, v->expr), why.text);
	if (layout->key_indirect)
		return fail(c, e, "%s cannot be looked into: keys of %llu bytes are kept apart from the map",
			    expr_text(c, v->expr), (unsigned long long)v->type->key->size);
	r = value_word(c, v, 0, 8, false, &header);
	if (r)
		return r;
	dst = reg_new(c);
	b.key = &converted;
	r = is_const(&converted, EXPR_STRING) ? constant_text(c, &converted, header, layout, dst)
					      : emit_key(&b, v, header, layout, dst);
	if (!r)
		*ret = value_memory(dst, v->type->elem, e);
	return r;
}
