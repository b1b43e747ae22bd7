/*
 * Texts against texts that are not constants: lengths first, then the bytes of both, where they lie. A comparison of
 * more than IR_MAX_ORDER bytes that are the same so far gives no answer rather than a wrong one.
 */
#include "probe/lower/compiler.h"

#include <string.h>

struct text_words {
	uint16_t address, len;
};

static int words_of(struct compiler *c, const struct value *v, struct text_words *ret)
{
	int r = value_word(c, v, 0, 8, false, &ret->address);

	return r ? r : value_word(c, v, 8, 8, true, &ret->len);
}

static uint16_t emit_order(struct compiler *c, uint16_t a, uint16_t b, uint16_t n)
{
	uint16_t dst = reg_new(c);
	struct ir_insn *i = emit(c, IR_MEM_ORDER);

	i->dst = dst;
	i->a = a;
	i->b = b;
	i->c = n;
	return dst;
}

/* dst = whether n bytes are the same; a register of 0 or 1 says whether it is worth looking. */
static void emit_same(struct compiler *c, uint16_t worth, uint16_t a, uint16_t b, uint16_t n, uint16_t dst)
{
	uint16_t end = label_new(c);

	emit_move(c, dst, worth);
	emit_jump_if0(c, worth, end);
	emit_bin_to(c, dst, BIN_EQ, emit_order(c, a, b, n), emit_const(c, 0));
	ir_emit_label(c, end);
}

/* Negative, 0, positive: the common part, then the lengths. */
static uint16_t emit_text_order(struct compiler *c, const struct text_words *a, const struct text_words *b)
{
	uint16_t n = reg_new(c), shorter = label_new(c), end = label_new(c), order, dst = reg_new(c);

	emit_move(c, n, b->len);
	emit_jump_if0(c, emit_bin(c, BIN_LT, a->len, b->len), shorter);
	emit_move(c, n, a->len);
	ir_emit_label(c, shorter);
	order = emit_order(c, a->address, b->address, n);
	emit_bin_to(c, dst, BIN_SUB, a->len, b->len);
	emit_jump_if0(c, order, end);
	emit_move(c, dst, order);
	ir_emit_label(c, end);
	return dst;
}

static uint16_t order_to_constant(struct compiler *c, const struct text_words *a, const struct value *constant)
{
	uint16_t dst;
	struct ir_insn *i;

	if (!constant->len)
		return a->len;
	dst = reg_new(c);
	i = emit(c, IR_STR_ORDER);
	i->dst = dst;
	i->a = a->address;
	i->b = a->len;
	i->str = constant->text;
	i->imm = (int64_t)constant->len;
	return dst;
}

/* < and so on; == and != of a constant have instructions of their own (compare.c). */
int compare_texts(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b, uint16_t dst)
{
	bool turned = is_const(a, EXPR_STRING);
	const struct value *constant = turned ? a : is_const(b, EXPR_STRING) ? b : NULL;
	enum ir_bin bin = comparison_bin(e, true);
	struct text_words x, y;
	uint16_t equal, zero;
	int r = words_of(c, turned ? b : a, &x);

	if (!r && !constant)
		r = words_of(c, b, &y);
	if (r)
		return r;
	if (!constant && is_equality(e)) {
		equal = is_equal(e) ? dst : reg_new(c);
		emit_same(c, emit_bin(c, BIN_EQ, x.len, y.len), x.address, y.address, x.len, equal);
		if (equal != dst)
			emit_not_to(c, dst, equal);
		return 0;
	}
	equal = constant ? order_to_constant(c, &x, constant) : emit_text_order(c, &x, &y);
	zero = emit_const(c, 0);
	emit_bin_to(c, dst, bin, turned ? zero : equal, turned ? equal : zero);
	return 0;
}

int text_affix(struct compiler *c, const struct value *v, const struct value *part, bool suffix, uint16_t dst)
{
	struct text_words x, y;
	int r = words_of(c, v, &x);

	if (!r)
		r = words_of(c, part, &y);
	if (r)
		return r;
	if (suffix)
		x.address = emit_bin(c, BIN_ADD, x.address, emit_bin(c, BIN_SUB, x.len, y.len));
	emit_same(c, emit_bin(c, BIN_GE, x.len, y.len), x.address, y.address, y.len, dst);
	return 0;
}
