/* len, cap, typeof, conversions, hasname. */
#include "probe/lower/lowerer.h"

#include <string.h>

/* The integer at header + offset, 0 when header is nil: len of maps and channels. */
static struct value count_behind(struct lowerer *l, const struct expr *e, uint16_t header,
				 uint64_t offset)
{
	uint16_t dst = reg_new(l), end = label_new(l);

	emit_const_to(l, dst, 0);
	emit_jump_if0(l, header, end);
	emit_move(l, dst, ir_emit_load(l, header, (int64_t)offset, 8, true));
	ir_emit_label(l, end);
	return value_reg(e, dst, basic_type(KIND_INT));
}

static int len_of_map(struct lowerer *l, const struct expr *e, const struct value *v,
		      struct value *ret)
{
	struct map_layout layout;
	struct err why = {0};
	uint16_t header;
	int r;

	if (!type_map_layout(l->binary, v->type, &layout, &why))
		return lower_fail(l, e, "the length of %s cannot be read: %s", expr_text(l, v->expr), why.text);
	r = value_word(l, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(l, e, header, layout.count_off);
	return r;
}

static int len_of_chan(struct lowerer *l, const struct expr *e, const struct value *v,
		       bool capacity, struct value *ret)
{
	const struct type *hchan = binary_type(l->binary, "runtime.hchan");
	struct field_path path;
	uint16_t header;
	int r;

	if (!hchan || !type_field_find(l->binary, hchan, capacity ? "dataqsiz" : "qcount", &path) || path.n != 1)
		return lower_fail(l, e, "the %s of a channel cannot be read: the binary does not describe "
				  "runtime.hchan", capacity ? "capacity" : "length");
	r = value_word(l, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(l, e, header, path.steps[0].offset);
	return r;
}

int lower_length(struct lowerer *l, const struct bound *n, struct value *ret)
{
	bool capacity = n->op == BOUND_CAP;
	struct value v;
	uint16_t reg;
	int r = lower(l, n->a, &v);

	if (r || n->constant)
		return r;
	if (v.type->kind == KIND_MAP)
		return len_of_map(l, n->expr, &v, ret);
	if (v.type->kind == KIND_CHAN)
		return len_of_chan(l, n->expr, &v, capacity, ret);
	r = value_word(l, &v, capacity ? 16 : 8, 8, true, &reg);
	if (!r)
		*ret = value_reg(n->expr, reg, n->type);
	return r;
}

int lower_convert(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v;
	uint16_t reg;
	int r = lower(l, n->a, &v);

	if (r)
		return r;
	if (n->type->kind == KIND_STRING) {
		*ret = v;
		ret->type = n->type;
		return 0;
	}
	if (type_is_float(n->type) || type_is_float(v.type))
		return convert_float(l, n->expr, &v, n->type, ret);
	if (v.type->kind == KIND_STRING || v.type->kind == KIND_SLICE) /* where its bytes or elements are */
		r = value_word(l, &v, 0, 8, false, &reg);
	else if (v.type->kind == KIND_INTERFACE) /* where what it holds is */
		r = value_word(l, &v, 8, 8, false, &reg);
	else
		r = value_scalar(l, &v, &reg);
	if (!r)
		*ret = value_reg(n->expr, emit_narrow(l, reg, n->type), n->type);
	return r;
}

int lower_typeof(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v;
	uint16_t word;
	int r = lower(l, n->a, &v);

	if (!r)
		r = value_type_word(l, &v, n->expr, &word);
	if (r)
		return r;
	emit_require(l, word, SLOT_NIL);
	*ret = value_reg(n->expr, word, n->type);
	return 0;
}

/* ---- hasname ---- */

static int ask_map(struct lowerer *l, const struct value *v, const struct constant *text, uint16_t *ret)
{
	struct map_layout *layout = arena_new(l->arena, struct map_layout);
	struct err why = {0};
	struct ir_insn *i;
	uint16_t map;
	int r;

	if (!type_map_layout(l->binary, v->type, layout, &why))
		return lower_fail(l, v->expr, "%s cannot be looked into: %s", expr_text(l, v->expr), why.text);
	r = value_word(l, v, 0, 8, false, &map);
	if (r)
		return r;
	*ret = reg_new(l);
	i = emit(l, IR_ANY_KEY);
	i->dst = *ret;
	i->a = map;
	i->map = layout;
	i->str = text->text;
	i->imm = (int64_t)text->len;
	return 0;
}

static int ask_list(struct lowerer *l, const struct value *v, const struct constant *text, uint16_t *ret)
{
	struct type_field name;
	struct ir_insn *i;
	uint16_t at, n;
	int r;

	if (!type_field(l->binary, v->type->elem, 0, &name) || !name.type || name.type->kind != KIND_STRING ||
	    name.offset)
		return lower_fail(l, v->expr, "the elements of %s do not begin with a name", expr_text(l, v->expr));
	r = value_word(l, v, 0, 8, false, &at);
	if (!r)
		r = value_word(l, v, 8, 8, true, &n);
	if (r)
		return r;
	*ret = reg_new(l);
	i = emit(l, IR_ANY_STR);
	i->dst = *ret;
	i->a = at;
	i->b = n;
	i->at = (uint32_t)v->type->elem->size;
	i->str = text->text;
	i->imm = (int64_t)text->len;
	return 0;
}

int lower_has_name(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v;
	uint16_t found;
	int r = lower(l, n->a, &v);

	if (!r)
		r = (v.type->kind == KIND_MAP ? ask_map : ask_list)(l, &v, n->b->constant, &found);
	if (!r)
		*ret = value_reg(n->expr, found, n->type);
	return r;
}
