#include "probe/lower/compiler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe/lang/nearest.h"

/* ---- types that need no binary ---- */

#define BASIC(k, text, bytes)                                                                      \
	[k] = {.name = text, .kind = k, .source = TYPE_COMPOSED, .align = bytes, .size = bytes}

static const struct type basics[] = {
	BASIC(KIND_BOOL, "bool", 1),     BASIC(KIND_INT, "int", 8),
	BASIC(KIND_INT8, "int8", 1),     BASIC(KIND_INT16, "int16", 2),
	BASIC(KIND_INT32, "int32", 4),   BASIC(KIND_INT64, "int64", 8),
	BASIC(KIND_UINT, "uint", 8),     BASIC(KIND_UINT8, "uint8", 1),
	BASIC(KIND_UINT16, "uint16", 2), BASIC(KIND_UINT32, "uint32", 4),
	BASIC(KIND_UINT64, "uint64", 8), BASIC(KIND_UINTPTR, "uintptr", 8),
	BASIC(KIND_FLOAT32, "float32", 4), BASIC(KIND_FLOAT64, "float64", 8),
	BASIC(KIND_STRING, "string", 16),
	BASIC(KIND_UNSAFE_POINTER, "unsafe.Pointer", 8),
};
const struct type type_word_type = {.name = "type", .kind = KIND_UNSAFE_POINTER, .size = 8};

const struct type *basic_type(enum type_kind kind)
{
	return &basics[kind];
}

bool is_made_here(const struct type *t)
{
	return t == &type_word_type || t == &code_address_type || t == &stack_type ||
	       (t >= basics && t < basics + ARRAY_SIZE(basics));
}

bool is_pointer_shaped(const struct type *t)
{
	return t->kind == KIND_POINTER || t->kind == KIND_UNSAFE_POINTER || t->kind == KIND_MAP ||
	       t->kind == KIND_CHAN || t->kind == KIND_FUNC;
}

/* ---- words ---- */

static uint16_t emit_arg(struct compiler *c, enum ir_op op, uint8_t reg, int64_t imm, unsigned size,
			 bool is_signed)
{
	uint16_t dst = reg_new(c);
	struct ir_insn *i = emit(c, op);

	i->dst = dst;
	i->reg = reg;
	i->imm = imm;
	i->size = (uint8_t)size;
	i->flags = is_signed ? IR_SIGNED : 0;
	return dst;
}

static int piece_word(struct compiler *c, const struct value *v, const struct piece *p,
		      uint64_t offset, unsigned size, bool is_signed, uint16_t *ret)
{
	if (p->where == ON_STACK) {
		*ret = emit_arg(c, IR_ARG_STACK, 0, p->stack + (int64_t)(offset - p->offset), size,
				is_signed);
		return 0;
	}
	if (offset != p->offset)
		return fail_unreadable(c, v->expr, "%s is a part of a register, which is not supported",
				       expr_text(c, v->expr));
	if (p->where == IN_REG) {
		*ret = emit_arg(c, IR_ARG_REG, p->reg, 0, size, is_signed);
		return 0;
	}
	if (!c->xmm_readable)
		return fail_unreadable(c, v->expr, "%s is passed in a floating-point register, which a uprobe "
				       "cannot read", expr_text(c, v->expr));
	*ret = emit_arg(c, IR_ARG_XMM, p->reg - REG_FLOAT, 0, size, false);
	return 0;
}

static int param_word(struct compiler *c, const struct value *v, uint64_t offset, unsigned size,
		      bool is_signed, uint16_t *ret)
{
	const struct param *p = v->param;

	for (size_t i = 0; i < p->npieces; i++) {
		const struct piece *piece = &p->pieces[i];
		uint64_t bytes = piece->where == ON_STACK ? piece->bytes : piece->size;

		if (offset >= piece->offset && offset + size <= piece->offset + bytes)
			return piece_word(c, v, piece, offset, size, is_signed, ret);
	}
	return fail_unreadable(c, v->expr, "where %s lies is not known", expr_text(c, v->expr));
}

int value_word(struct compiler *c, const struct value *v, uint64_t offset, unsigned size,
	       bool is_signed, uint16_t *ret)
{
	switch (v->place) {
	case PLACE_CONST:
		*ret = emit_const(c, v->number);
		return 0;
	case PLACE_REG:
		*ret = v->reg;
		return 0;
	case PLACE_MEMORY:
		*ret = ir_emit_load(c, v->reg, (int64_t)(v->offset + offset), size, is_signed);
		return 0;
	case PLACE_PARAM:
		return param_word(c, v, v->offset + offset, size, is_signed, ret);
	case PLACE_WORDS:
		*ret = v->words[MIN(offset / 8, ARRAY_SIZE(v->words) - 1)];
		return 0;
	case PLACE_LITERAL:
		return fail(c, v->expr, "a literal can be compared with == and !=, or be a map's key");
	}
	return -EINVAL;
}

int value_scalar(struct compiler *c, const struct value *v, uint16_t *ret)
{
	if (v->type->size > 8 || !v->type->size)
		return fail(c, v->expr, "%s is %s: a single value is expected here",
			    expr_text(c, v->expr), type_with_article(c, v));
	return value_word(c, v, 0, (unsigned)v->type->size, type_is_signed(v->type), ret);
}

struct value value_part(const struct value *v, uint64_t offset, const struct type *t, const struct expr *e)
{
	struct value p = *v;

	p.offset += offset;
	p.dict_word = 0;
	p.type = t;
	p.expr = e;
	return p;
}

struct value value_memory(uint16_t base, const struct type *t, const struct expr *e)
{
	return (struct value){.place = PLACE_MEMORY, .type = t, .expr = e, .reg = base};
}

int value_deref(struct compiler *c, const struct value *v, const struct expr *e, struct value *ret)
{
	uint16_t base;
	int r;

	if (!v->type || v->type->kind != KIND_POINTER)
		return fail(c, e, "%s is %s, not a pointer", expr_text(c, v->expr), type_with_article(c, v));
	if (!v->type->elem || v->type->elem->kind == KIND_INVALID)
		return fail(c, e, "the binary does not say what %s (%s) points to%s", expr_text(c, v->expr),
			    type_text(c, v),
			    strncmp(v->type->name, "go.shape.", 9) ? "" : ": its type is a type argument of the call");
	r = value_word(c, v, 0, 8, false, &base);
	if (!r)
		*ret = value_memory(base, v->type->elem, e);
	return r;
}

/* ---- fields ---- */

enum { SHOWN_FIELDS = 12, COMPARED_FIELDS = 256 };

static int no_such_field(struct compiler *c, const struct type *t, const struct expr *e)
{
	const char *names[COMPARED_FIELDS], *near;
	struct buf all = {0};
	size_t n = 0, count = type_field_count(c->binary, t);
	int r;

	for (size_t i = 0; i < count && n < COMPARED_FIELDS; i++) {
		struct type_field f;

		if (type_field(c->binary, t, i, &f) && f.name && strcmp(f.name, "_"))
			names[n++] = f.name;
	}
	near = nearest_name(e->text, names, n);
	for (size_t i = 0; i < n && i < SHOWN_FIELDS; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
	if (n > SHOWN_FIELDS)
		buf_printf(&all, " and %zu more", n - SHOWN_FIELDS);
	if (!n)
		r = fail(c, e, "%s has no field %s: the binary describes no fields of it", t->name, e->text);
	else if (near)
		r = fail(c, e, "%s has no field %s; did you mean %s? It has %s", t->name, e->text, near,
			 all.data);
	else
		r = fail(c, e, "%s has no field %s; it has %s", t->name, e->text, all.data);
	buf_done(&all);
	return r;
}

static int not_a_struct(struct compiler *c, const struct value *v, const struct expr *e)
{
	const char *what = expr_text(c, v->expr);

	if (v->type && v->type->kind == KIND_INTERFACE)
		return fail(c, e, "%s is an interface (%s); say which type it holds: %s.(*T).%s", what,
			    type_text(c, v), what, e->text);
	if (v->type && v->type->kind == KIND_POINTER)
		return fail(c, e, "%s is %s; only one pointer is followed by itself: (*%s).%s", what,
			    type_with_article(c, v), what, e->text);
	return fail(c, e, "%s is %s, which has no fields", what, type_with_article(c, v));
}

int value_field(struct compiler *c, const struct value *v, const struct expr *e, struct value *ret)
{
	struct value at = *v;
	struct field_path path;
	int r = 0;

	if (v->type && v->type->kind == KIND_POINTER &&
	    (!v->type->elem || v->type->elem->kind == KIND_STRUCT || v->type->elem->kind == KIND_INVALID))
		r = value_deref(c, v, e, &at);
	if (r)
		return r;
	if (!at.type || at.type->kind != KIND_STRUCT)
		return not_a_struct(c, v, e);
	if (!type_field_find(c->binary, at.type, e->text, &path))
		return no_such_field(c, at.type, e);
	for (size_t i = 0; i < path.n && !r; i++) {
		struct value pointer = at;

		if (at.type->kind == KIND_POINTER)
			r = value_deref(c, &pointer, e, &at);
		at = value_part(&at, path.steps[i].offset, path.steps[i].type, e);
	}
	if (!r && !at.type)
		r = fail(c, e, "the binary does not describe the type of field %s", e->text);
	if (!r)
		*ret = at;
	return r;
}

/* ---- elements ---- */

static int index_reg(struct compiler *c, const struct value *index, uint16_t *ret)
{
	struct value as_int;
	int r;

	if (index->place != PLACE_CONST) {
		if (!type_is_integer(index->type))
			return fail(c, index->expr, "an index is an integer; this is %s",
				    type_with_article(c, index));
		return value_scalar(c, index, ret);
	}
	r = const_convert(c, index, basic_type(KIND_INT), &as_int);
	if (!r && as_int.number < 0)
		r = fail(c, index->expr, "an index cannot be negative");
	if (!r)
		*ret = emit_const(c, as_int.number);
	return r;
}

static void emit_index(struct compiler *c, uint16_t base, uint16_t index, uint16_t length,
		       const struct type *elem, const struct expr *e, struct value *ret)
{
	uint16_t dst = reg_new(c);
	struct ir_insn *i = emit(c, IR_INDEX);

	i->dst = dst;
	i->a = base;
	i->b = index;
	i->c = length;
	i->imm = (int64_t)elem->size;
	*ret = value_memory(dst, elem, e);
}

/* Slices and strings: pointer, length. */
static int index_header(struct compiler *c, const struct value *v, const struct value *index,
			const struct type *elem, const struct expr *e, struct value *ret)
{
	uint16_t base, length, at;
	int r;

	if (!elem)
		return fail(c, e, "the binary does not describe the elements of %s", expr_text(c, v->expr));
	r = index_reg(c, index, &at);
	if (!r)
		r = value_word(c, v, 0, 8, false, &base);
	if (!r)
		r = value_word(c, v, 8, 8, true, &length);
	if (!r)
		emit_index(c, base, at, length, elem, e, ret);
	return r;
}

static int index_array(struct compiler *c, const struct value *v, const struct value *index,
		       const struct expr *e, struct value *ret)
{
	const struct type *t = v->type;
	struct ir_insn *i;
	uint16_t at, base;
	int r;

	if (index->place == PLACE_CONST && index->constant == EXPR_INT) {
		if (index->big || index->number < 0 || (uint64_t)index->number >= t->len)
			return fail(c, index->expr, "the array has %llu elements: this index is out of range",
				    (unsigned long long)t->len);
		*ret = value_part(v, (uint64_t)index->number * t->elem->size, t->elem, e);
		return 0;
	}
	if (v->place != PLACE_MEMORY)
		return fail(c, e, "an array that is passed by value can be indexed by a constant only");
	r = index_reg(c, index, &at);
	if (r)
		return r;
	base = reg_new(c);
	i = emit(c, IR_ADDR);
	i->dst = base;
	i->a = v->reg;
	i->imm = (int64_t)v->offset;
	emit_index(c, base, at, emit_const(c, (int64_t)t->len), t->elem, e, ret);
	return 0;
}

/* ---- parts of strings and slices ---- */

/* A bound in a register; none: the default. */
static int bound(struct compiler *c, const struct expr *e, uint16_t none, uint16_t *ret)
{
	struct value v;
	int r;

	*ret = none;
	if (!e)
		return 0;
	r = eval(c, e, &v);
	return r ? r : index_reg(c, &v, ret);
}

/* Of a string or slice, or of an array in memory: address, length, capacity. */
static int slice_words(struct compiler *c, struct value *v, const struct expr *e, uint16_t words[3],
		       const struct type **ret_elem)
{
	const struct type *t = v->type;
	struct value array;
	struct ir_insn *i;
	int r = 0;

	if (t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY) {
		r = value_deref(c, v, e, &array);
		*v = array;
		t = v->type;
	}
	if (r)
		return r;
	if (t && t->kind == KIND_ARRAY && t->elem && v->place == PLACE_MEMORY) {
		words[0] = reg_new(c);
		i = emit(c, IR_ADDR);
		i->dst = words[0];
		i->a = v->reg;
		i->imm = (int64_t)v->offset;
		words[1] = words[2] = emit_const(c, (int64_t)t->len);
		*ret_elem = t->elem;
		return 0;
	}
	if (!t || (t->kind != KIND_STRING && (t->kind != KIND_SLICE || !t->elem)))
		return fail(c, e, "%s is %s, of which no part can be taken: that is for strings and slices",
			    expr_text(c, v->expr), type_with_article(c, v));
	*ret_elem = t->kind == KIND_STRING ? basic_type(KIND_UINT8) : t->elem;
	r = value_word(c, v, 0, 8, false, &words[0]);
	if (!r)
		r = value_word(c, v, 8, 8, true, &words[1]);
	words[2] = words[1];
	if (!r && t->kind == KIND_SLICE)
		r = value_word(c, v, 16, 8, true, &words[2]);
	return r;
}

static int slice_constant(struct compiler *c, const struct expr *e, const struct value *v, struct value *ret)
{
	struct value bounds[2] = {const_value(e, EXPR_INT, 0), const_value(e, EXPR_INT, (int64_t)v->len)};

	for (int i = 0; i < 2; i++) {
		int r = e->args[i] ? eval(c, e->args[i], &bounds[i]) : 0;

		if (r)
			return r;
		if (bounds[i].place != PLACE_CONST || bounds[i].constant != EXPR_INT || bounds[i].number < 0 ||
		    (uint64_t)bounds[i].number > v->len)
			return fail(c, e, "of a constant text, constant bounds within it are expected");
	}
	if (bounds[0].number > bounds[1].number)
		return fail(c, e, "the part ends before it begins");
	*ret = *v;
	ret->expr = e;
	ret->len = (size_t)(bounds[1].number - bounds[0].number);
	ret->text = arena_strndup(c->arena, v->text + bounds[0].number, ret->len);
	return 0;
}

/*
 * Bounds as Go checks them; what is out of range is no part. The address of an empty part is of no use, and not moved.
 */
int eval_slice(struct compiler *c, const struct expr *e, struct value *ret)
{
	const struct type *elem = NULL;
	uint16_t words[3], zero, low, high, moved;
	struct value v;
	int r = eval(c, e->a, &v);

	if (!r && v.place == PLACE_CONST && v.constant == EXPR_STRING)
		return slice_constant(c, e, &v, ret);
	if (!r)
		r = slice_words(c, &v, e, words, &elem);
	if (r)
		return r;
	zero = emit_const(c, 0);
	r = bound(c, e->args[0], zero, &low);
	if (!r)
		r = bound(c, e->args[1], words[1], &high);
	if (r)
		return r;
	emit_require(c, emit_bin(c, BIN_ULE, high, words[2]), SLOT_RANGE);
	emit_require(c, emit_bin(c, BIN_ULE, low, high), SLOT_RANGE);
	moved = emit_bin(c, BIN_MUL, low, emit_const(c, (int64_t)elem->size));
	*ret = (struct value){.place = PLACE_WORDS, .type = v.type, .expr = e,
			      .words = {emit_bin(c, BIN_ADD, words[0], moved), emit_bin(c, BIN_SUB, high, low),
					emit_bin(c, BIN_SUB, words[2], low)}};
	if (v.type->kind == KIND_ARRAY)
		ret->type = binary_type_parse(c->binary, "", arena_printf(c->arena, "[]%s", elem->name), NULL);
	return ret->type ? 0 : fail(c, e, "the binary does not describe the slices of %s", elem->name);
}

int value_index(struct compiler *c, const struct value *v, const struct value *index,
		const struct expr *e, struct value *ret)
{
	const struct type *t = v->type;
	struct value array;
	int r;

	if (t && t->kind == KIND_MAP)
		return index_map(c, v, index, e, ret);
	if (t && t->kind == KIND_SLICE)
		return index_header(c, v, index, t->elem, e, ret);
	if (t && t->kind == KIND_STRING)
		return index_header(c, v, index, basic_type(KIND_UINT8), e, ret);
	if (t && t->kind == KIND_ARRAY && t->elem)
		return index_array(c, v, index, e, ret);
	if (t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY && t->elem->elem) {
		r = value_deref(c, v, e, &array);
		return r ? r : index_array(c, &array, index, e, ret);
	}
	return fail(c, e, "%s is %s, which cannot be indexed", expr_text(c, v->expr), type_with_article(c, v));
}

/* ---- interfaces ---- */

/*
 * An interface is two words: `any` and its kin hold a type descriptor first, others an itab whose Type
 * field is the descriptor (internal/abi.ITab; runtime.itab before Go 1.22).
 */
int value_type_word(struct compiler *c, const struct value *v, const struct expr *e, uint16_t *ret)
{
	uint16_t word, dst, end;
	struct err why = {0};
	uint32_t offset;
	int r;

	if (!v->type || v->type->kind != KIND_INTERFACE)
		return fail(c, e, "%s is %s, not an interface", expr_text(c, v->expr), type_with_article(c, v));
	r = value_word(c, v, 0, 8, false, &word);
	if (r)
		return r;
	*ret = word;
	if (!type_method_count(c->binary, v->type))
		return 0;
	if (binary_itab_type_offset(c->binary, &offset, &why))
		return fail(c, e, "%s", why.text);
	dst = reg_new(c);
	end = label_new(c);
	emit_move(c, dst, word);
	emit_jump_if0(c, word, end);
	emit_move(c, dst, ir_emit_load(c, word, offset, 8, false));
	ir_emit_label(c, end);
	*ret = dst;
	return 0;
}

int emit_type(struct compiler *c, const struct expr *e, const char *go_type, uint16_t *ret,
	      const struct type **ret_type)
{
	struct err why = {0};
	const struct type *t = binary_type_parse(c->binary, func_package(c), go_type, &why);
	struct ir_insn *i;
	uint16_t dst;

	if (!t)
		return fail(c, e, "%s", why.text);
	if (t->kind == KIND_INTERFACE)
		return fail(c, e, "%s is an interface; only a concrete type can be asked for", go_type);
	if (!t->rtype)
		return fail(c, e, "no interface holds %s: the binary has no descriptor of it",
			    with_article(c->arena, go_type));
	dst = reg_new(c);
	i = emit(c, IR_TYPE);
	i->dst = dst;
	i->imm = (int64_t)t->rtype;
	*ret = dst;
	*ret_type = t;
	return 0;
}

int value_assert(struct compiler *c, const struct value *v, const struct expr *e, uint16_t *ret_word,
		 uint16_t *ret_matches, struct value *ret)
{
	const struct type *t = NULL;
	uint16_t word, wanted, data;
	int r = value_type_word(c, v, e, &word);

	if (!r)
		r = emit_type(c, e, e->text, &wanted, &t);
	if (!r)
		r = value_word(c, v, 8, 8, false, &data);
	if (r)
		return r;
	*ret_word = word;
	*ret_matches = emit_bin(c, BIN_EQ, word, wanted);
	*ret = value_memory(data, t, e);
	if (t->direct_iface)
		ret->place = PLACE_REG;
	return 0;
}
