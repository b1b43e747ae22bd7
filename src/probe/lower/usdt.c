/* Arguments of USDT probes: where a note says that they lie. */
#include "probe/lower/lowerer.h"

static uint16_t emit_address(struct lowerer *l, const struct usdt_site *s, const struct usdt_arg *a)
{
	uint16_t base, index;
	struct ir_insn *i;

	if (a->base < 0 && a->index < 0) {
		uint16_t at = reg_new(l);

		i = emit(l, IR_SITE);
		i->dst = at;
		i->imm = a->constant - (int64_t)s->address;
		return at;
	}
	if (a->index < 0)
		return emit_arg(l, IR_ARG_REG, (uint8_t)a->base, 0, 8, false);
	index = emit_arg(l, IR_ARG_REG, (uint8_t)a->index, 0, 8, false);
	if (a->scale > 1)
		index = emit_bin(l, BIN_MUL, index, emit_const(l, a->scale));
	if (a->base < 0)
		return index;
	base = emit_arg(l, IR_ARG_REG, (uint8_t)a->base, 0, 8, false);
	return emit_bin(l, BIN_ADD, base, index);
}

/* As many bytes of it as the note has, extended as it says. */
static int64_t narrowed(int64_t value, int size)
{
	unsigned bits = 64 - 8 * (unsigned)(size < 0 ? -size : size);
	uint64_t up = (uint64_t)value << bits;

	return size < 0 ? (int64_t)up >> bits : (int64_t)(up >> bits);
}

/* Binding has refused what cannot be read. */
struct value usdt_argument(struct lowerer *l, const struct bound *n)
{
	const struct usdt_site *s = l->places->usdt;
	const struct usdt_arg *a = &s->args[n->index];
	unsigned size = (unsigned)(a->size < 0 ? -a->size : a->size);
	bool is_signed = a->size < 0;
	uint16_t reg;

	if (a->place == USDT_CONSTANT)
		reg = emit_const(l, narrowed(a->constant, a->size));
	else if (a->place == USDT_REGISTER)
		reg = emit_arg(l, IR_ARG_REG, (uint8_t)a->base, 0, size, is_signed);
	else
		reg = ir_emit_load(l, emit_address(l, s, a), a->base < 0 && a->index < 0 ? 0 : a->constant, size,
				   is_signed);
	return value_reg(n->expr, reg, n->type);
}

int lower_c_text(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v, length;
	uint16_t at, len = 0;
	struct ir_insn *i;
	int r = lower(l, n->a, &v);

	if (!r)
		r = value_word(l, &v, 0, 8, false, &at);
	if (!r && n->b)
		r = lower(l, n->b, &length);
	if (!r && n->b)
		r = value_word(l, &length, 0, 8, false, &len);
	if (r)
		return r;
	if (!n->b) {
		len = reg_new(l);
		i = emit(l, IR_STR_LEN);
		i->dst = len;
		i->a = at;
	}
	*ret = (struct value){.place = PLACE_WORDS, .type = n->type, .expr = n->expr, .words = {at, len, len}};
	return 0;
}
