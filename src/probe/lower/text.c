/*
 * Texts against texts that are not constants: lengths first, then the bytes of both, where they lie. A comparison of
 * more than IR_MAX_ORDER bytes that are the same so far gives no answer rather than a wrong one.
 */
#include "probe/lower/lowerer.h"

#include <string.h>

struct text_words {
	uint16_t address, len;
};

static int words_of(struct lowerer *l, const struct value *v, struct text_words *ret)
{
	int r = value_word(l, v, 0, 8, false, &ret->address);

	return r ? r : value_word(l, v, 8, 8, true, &ret->len);
}

/* dst = whether n bytes are the same; a register of 0 or 1 says whether it is worth looking. */
static void emit_same(struct lowerer *l, uint16_t worth, uint16_t a, uint16_t b, uint16_t n, uint16_t dst)
{
	uint16_t end = label_new(l);

	emit_move(l, dst, worth);
	emit_jump_if0(l, worth, end);
	emit_bin_to(l, dst, BIN_EQ, emit_mem_order(l, a, b, n), emit_const(l, 0));
	ir_emit_label(l, end);
}

/* Negative, 0, positive: the common part, then the lengths. */
static uint16_t emit_text_order(struct lowerer *l, const struct text_words *a, const struct text_words *b)
{
	uint16_t n = reg_new(l), shorter = label_new(l), end = label_new(l), order, dst = reg_new(l);

	emit_move(l, n, b->len);
	emit_jump_if0(l, emit_bin(l, BIN_LT, a->len, b->len), shorter);
	emit_move(l, n, a->len);
	ir_emit_label(l, shorter);
	order = emit_mem_order(l, a->address, b->address, n);
	emit_bin_to(l, dst, BIN_SUB, a->len, b->len);
	emit_jump_if0(l, order, end);
	emit_move(l, dst, order);
	ir_emit_label(l, end);
	return dst;
}

static uint16_t order_to_constant(struct lowerer *l, const struct text_words *a, const struct value *constant)
{
	uint16_t dst;
	struct ir_insn *i;

	if (!constant->constant.len)
		return a->len;
	dst = reg_new(l);
	i = emit(l, IR_STR_ORDER);
	i->dst = dst;
	i->a = a->address;
	i->b = a->len;
	i->str = constant->constant.text;
	i->imm = (int64_t)constant->constant.len;
	return dst;
}

/* < and so on; == and != of a constant have instructions of their own (compare.c). */
int compare_texts(struct lowerer *l, const char *sign, const struct value *a, const struct value *b, uint16_t dst)
{
	bool turned = is_value_const(a, EXPR_STRING);
	const struct value *constant = turned ? a : is_value_const(b, EXPR_STRING) ? b : NULL;
	enum ir_bin bin = comparison_bin(sign, true);
	struct text_words x, y;
	uint16_t equal, zero;
	int r = words_of(l, turned ? b : a, &x);

	if (!r && !constant)
		r = words_of(l, b, &y);
	if (r)
		return r;
	if (!constant && is_equality_sign(sign)) {
		equal = is_equal_sign(sign) ? dst : reg_new(l);
		emit_same(l, emit_bin(l, BIN_EQ, x.len, y.len), x.address, y.address, x.len, equal);
		if (equal != dst)
			emit_not_to(l, dst, equal);
		return 0;
	}
	equal = constant ? order_to_constant(l, &x, constant) : emit_text_order(l, &x, &y);
	zero = emit_const(l, 0);
	emit_bin_to(l, dst, bin, turned ? zero : equal, turned ? equal : zero);
	return 0;
}

int text_affix(struct lowerer *l, const struct value *v, const struct value *part, bool suffix, uint16_t dst)
{
	struct text_words x, y;
	int r = words_of(l, v, &x);

	if (!r)
		r = words_of(l, part, &y);
	if (r)
		return r;
	if (suffix)
		x.address = emit_bin(l, BIN_ADD, x.address, emit_bin(l, BIN_SUB, x.len, y.len));
	emit_same(l, emit_bin(l, BIN_GE, x.len, y.len), x.address, y.address, y.len, dst);
	return 0;
}
