#include "probe/lower/compiler.h"

struct emit_mark emit_mark(const struct compiler *c)
{
	return (struct emit_mark){c->insns.len, c->slots.len, c->next_reg, c->nlabels};
}

void emit_rollback(struct compiler *c, struct emit_mark m)
{
	c->insns.len = m.insns;
	c->slots.len = m.slots;
	c->next_reg = m.next_reg;
	c->nlabels = m.nlabels;
}

/* Numbers beyond IR_MAX_REGS are found when the region is complete (compile.c). */
uint16_t reg_new(struct compiler *c)
{
	uint16_t r = c->next_reg++;

	c->nregs = MAX(c->nregs, c->next_reg);
	return r;
}

uint16_t label_new(struct compiler *c)
{
	return c->nlabels++;
}

struct ir_insn *emit(struct compiler *c, enum ir_op op)
{
	struct ir_insn *i = vec_add(&c->insns);

	i->op = op;
	i->size = 8;
	return i;
}

void emit_const_to(struct compiler *c, uint16_t dst, int64_t number)
{
	struct ir_insn *i = emit(c, IR_CONST);

	i->dst = dst;
	i->imm = number;
}

uint16_t emit_const(struct compiler *c, int64_t number)
{
	uint16_t dst = reg_new(c);

	emit_const_to(c, dst, number);
	return dst;
}

uint16_t ir_emit_load(struct compiler *c, uint16_t base, int64_t offset, unsigned size, bool is_signed)
{
	uint16_t dst = reg_new(c);
	struct ir_insn *i = emit(c, IR_LOAD);

	i->dst = dst;
	i->a = base;
	i->imm = offset;
	i->size = (uint8_t)size;
	i->flags = is_signed ? IR_SIGNED : 0;
	return dst;
}

void emit_bin_to(struct compiler *c, uint16_t dst, enum ir_bin bin, uint16_t a, uint16_t b)
{
	struct ir_insn *i = emit(c, IR_BIN);

	i->dst = dst;
	i->bin = (uint8_t)bin;
	i->a = a;
	i->b = b;
}

uint16_t emit_bin(struct compiler *c, enum ir_bin bin, uint16_t a, uint16_t b)
{
	uint16_t dst = reg_new(c);

	emit_bin_to(c, dst, bin, a, b);
	return dst;
}

static struct ir_insn *emit_unary(struct compiler *c, enum ir_op op, uint16_t dst, uint16_t a)
{
	struct ir_insn *i = emit(c, op);

	i->dst = dst;
	i->a = a;
	return i;
}

void emit_not_to(struct compiler *c, uint16_t dst, uint16_t a)
{
	emit_unary(c, IR_NOT, dst, a);
}

void emit_move(struct compiler *c, uint16_t dst, uint16_t a)
{
	emit_unary(c, IR_MOVE, dst, a);
}

void emit_require(struct compiler *c, uint16_t a, enum slot_status status)
{
	emit_unary(c, IR_REQUIRE, 0, a)->imm = status;
}

void ir_emit_jump(struct compiler *c, uint16_t label)
{
	emit(c, IR_JUMP)->label = label;
}

void emit_jump_if0(struct compiler *c, uint16_t a, uint16_t label)
{
	emit_unary(c, IR_JUMP_IF0, 0, a)->label = label;
}

void ir_emit_label(struct compiler *c, uint16_t label)
{
	emit(c, IR_LABEL)->label = label;
}
