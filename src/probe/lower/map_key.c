/*
 * Keys of maps. What a key consists of, words and at most one text, is put into registers; the planters look for an
 * entry in which these are the same (IR_MAP_KEY). Keys that are constant texts have an instruction of their own, which
 * compares with what is in the code.
 */
#include "probe/lower/lowerer.h"

#include <string.h>

struct key_builder {
	struct lowerer *l;
	const struct value *key;
	struct ir_key *out;
	uint16_t regs[IR_MAX_KEY + 1];
	size_t nregs;
	bool text;
};

static int unfit(struct key_builder *b, const struct type *t)
{
	return lower_fail(b->l, b->key->expr,
			  "maps whose keys have %s in them cannot be looked into: what can are integers, "
			  "bools, pointers, a text, and small arrays and structs of these",
			  with_article(b->l->arena, t->name));
}

static int add_word(struct key_builder *b, const struct value *v, uint64_t offset, unsigned size)
{
	uint16_t word = 0;
	int r;

	if (b->out->n == IR_MAX_KEY)
		return lower_fail(b->l, b->key->expr, "a key has at most %d parts here", IR_MAX_KEY);
	b->out->parts[b->out->n++] = (struct ir_key_part){.offset = (uint32_t)offset, .size = (uint8_t)size};
	r = value_word(b->l, v, 0, size, false, &word);
	if (!r && size < 8 && (v->place == PLACE_CONST || v->place == PLACE_REG)) /* it may be sign-extended */
		word = emit_bin(b->l, BIN_AND, word, emit_const(b->l, (int64_t)((1ull << 8 * size) - 1)));
	b->regs[b->nregs++] = word;
	return r;
}

static int add_text(struct key_builder *b, const struct value *v, uint64_t offset)
{
	int r;

	if (b->text)
		return lower_fail(b->l, b->key->expr, "a key with more than one text cannot be looked for");
	if (v->place == PLACE_CONST)
		return lower_fail(b->l, b->key->expr,
			    "a constant text within a key cannot be looked for; take a parameter or a field");
	if (b->out->n == IR_MAX_KEY)
		return lower_fail(b->l, b->key->expr, "a key has at most %d parts here", IR_MAX_KEY);
	b->text = true;
	b->out->parts[b->out->n++] = (struct ir_key_part){.offset = (uint32_t)offset};
	r = value_word(b->l, v, 0, 8, false, &b->regs[b->nregs++]);
	return r ? r : value_word(b->l, v, 8, 8, true, &b->regs[b->nregs++]);
}

static int add_part(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset);

static int add_fields(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset)
{
	size_t n = type_field_count(b->l->binary, t);
	struct type_field f;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct value field;

		if (!type_field(b->l->binary, t, i, &f) || !f.type)
			return lower_fail(b->l, b->key->expr, "the binary does not describe all fields of %s", t->name);
		if (f.name && !strcmp(f.name, "_"))
			continue;
		if (v->place == PLACE_LITERAL)
			r = literal_part(b->l, v, i, f.type, &field);
		else
			field = value_part(v, f.offset, f.type, v->expr);
		if (!r)
			r = add_part(b, &field, f.type, offset + f.offset);
	}
	return r;
}

static int add_elements(struct key_builder *b, const struct value *v, const struct type *t, uint64_t offset)
{
	bool in_memory = v->place == PLACE_MEMORY && is_plain_memory(b->l, t);
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
			r = literal_part(b->l, v, i, t->elem, &element);
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
		return lower_fail(b->l, b->key->expr, "a key without a part cannot be looked for");
	first = reg_new(b->l);
	for (size_t k = 1; k < b->nregs; k++)
		reg_new(b->l);
	for (size_t k = 0; k < b->nregs; k++)
		emit_move(b->l, (uint16_t)(first + k), b->regs[k]);
	i = emit(b->l, IR_MAP_KEY);
	i->dst = dst;
	i->a = header;
	i->b = first;
	i->key = b->out;
	i->map = layout;
	return 0;
}

static int constant_text(struct lowerer *l, const struct value *key, uint16_t header, const struct map_layout *layout,
			 uint16_t dst)
{
	struct ir_insn *i;

	if (strlen(key->constant.text) != key->constant.len || key->constant.len > IR_MAX_STR)
		return lower_fail(l, key->expr, "a key has at most %d bytes and none is 0", IR_MAX_STR);
	i = emit(l, IR_MAP_STR);
	i->dst = dst;
	i->a = header;
	i->str = key->constant.text;
	i->imm = (int64_t)key->constant.len;
	i->map = layout;
	return 0;
}

static int index_map(struct lowerer *l, const struct bound *n, const struct value *v, const struct value *key,
		     struct value *ret)
{
	struct map_layout *layout = arena_new(l->arena, struct map_layout);
	struct key_builder b = {.l = l, .out = arena_new(l->arena, struct ir_key), .key = key};
	struct err why = {0};
	uint16_t header, dst;
	int r;

	if (!type_map_layout(l->binary, v->type, layout, &why))
		return lower_fail(l, n->expr, "%s cannot be looked into: %s", expr_text(l, v->expr), why.text);
	if (layout->key_indirect)
		return lower_fail(l, n->expr,
				  "%s cannot be looked into: keys of %llu bytes are kept apart from the map",
				  expr_text(l, v->expr), (unsigned long long)v->type->key->size);
	r = value_word(l, v, 0, 8, false, &header);
	if (r)
		return r;
	dst = reg_new(l);
	r = is_value_const(key, EXPR_STRING) ? constant_text(l, key, header, layout, dst)
					     : emit_key(&b, v, header, layout, dst);
	if (!r)
		*ret = value_memory(dst, n->type, n->expr);
	return r;
}

int lower_key(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v, key;
	int r = lower(l, n->a, &v);

	if (!r)
		r = lower(l, n->b, &key);
	return r ? r : index_map(l, n, &v, &key, ret);
}
