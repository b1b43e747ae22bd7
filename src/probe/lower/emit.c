#include "probe/lower/lowerer.h"

struct emit_mark emit_mark(const struct lowerer *l)
{
	return (struct emit_mark){l->insns.len, l->slots.len, l->next_reg, l->nlabels};
}

void emit_rollback(struct lowerer *l, struct emit_mark m)
{
	l->insns.len = m.insns;
	l->slots.len = m.slots;
	l->next_reg = m.next_reg;
	l->nlabels = m.nlabels;
}

/* Numbers beyond IR_MAX_REGS are found when the region is complete (compile.c). */
uint16_t reg_new(struct lowerer *l)
{
	uint16_t r = l->next_reg++;

	l->nregs = MAX(l->nregs, l->next_reg);
	return r;
}

uint16_t label_new(struct lowerer *l)
{
	return l->nlabels++;
}

struct ir_insn *emit(struct lowerer *l, enum ir_op op)
{
	struct ir_insn *i = vec_add(&l->insns);

	i->op = op;
	i->size = 8;
	return i;
}

void emit_const_to(struct lowerer *l, uint16_t dst, int64_t number)
{
	struct ir_insn *i = emit(l, IR_CONST);

	i->dst = dst;
	i->imm = number;
}

uint16_t emit_const(struct lowerer *l, int64_t number)
{
	uint16_t dst = reg_new(l);

	emit_const_to(l, dst, number);
	return dst;
}

/* A new register gets `size` bytes of what the instruction reads. */
static struct ir_insn *emit_read(struct lowerer *l, enum ir_op op, int64_t imm, unsigned size, bool is_signed)
{
	uint16_t dst = reg_new(l);
	struct ir_insn *i = emit(l, op);

	i->dst = dst;
	i->imm = imm;
	i->size = (uint8_t)size;
	i->flags = is_signed ? IR_SIGNED : 0;
	return i;
}

uint16_t ir_emit_load(struct lowerer *l, uint16_t base, int64_t offset, unsigned size, bool is_signed)
{
	struct ir_insn *i = emit_read(l, IR_LOAD, offset, size, is_signed);

	i->a = base;
	return i->dst;
}

uint16_t emit_arg(struct lowerer *l, enum ir_op op, uint8_t reg, int64_t imm, unsigned size, bool is_signed)
{
	struct ir_insn *i = emit_read(l, op, imm, size, is_signed);

	i->reg = reg;
	return i->dst;
}

uint16_t emit_addr(struct lowerer *l, uint16_t base, uint64_t offset)
{
	uint16_t dst = reg_new(l);
	struct ir_insn *i = emit(l, IR_ADDR);

	i->dst = dst;
	i->a = base;
	i->imm = (int64_t)offset;
	return dst;
}

uint16_t emit_type(struct lowerer *l, uint64_t image_address)
{
	uint16_t dst = reg_new(l);
	struct ir_insn *i = emit(l, IR_TYPE);

	i->dst = dst;
	i->imm = (int64_t)image_address;
	return dst;
}

void emit_mem_order_to(struct lowerer *l, uint16_t dst, uint16_t a, uint16_t b, uint16_t n)
{
	struct ir_insn *i = emit(l, IR_MEM_ORDER);

	i->dst = dst;
	i->a = a;
	i->b = b;
	i->c = n;
}

uint16_t emit_mem_order(struct lowerer *l, uint16_t a, uint16_t b, uint16_t n)
{
	uint16_t dst = reg_new(l);

	emit_mem_order_to(l, dst, a, b, n);
	return dst;
}

void emit_bin_to(struct lowerer *l, uint16_t dst, enum ir_bin bin, uint16_t a, uint16_t b)
{
	struct ir_insn *i = emit(l, IR_BIN);

	i->dst = dst;
	i->bin = (uint8_t)bin;
	i->a = a;
	i->b = b;
}

uint16_t emit_bin(struct lowerer *l, enum ir_bin bin, uint16_t a, uint16_t b)
{
	uint16_t dst = reg_new(l);

	emit_bin_to(l, dst, bin, a, b);
	return dst;
}

static struct ir_insn *emit_unary(struct lowerer *l, enum ir_op op, uint16_t dst, uint16_t a)
{
	struct ir_insn *i = emit(l, op);

	i->dst = dst;
	i->a = a;
	return i;
}

void emit_not_to(struct lowerer *l, uint16_t dst, uint16_t a)
{
	emit_unary(l, IR_NOT, dst, a);
}

void emit_move(struct lowerer *l, uint16_t dst, uint16_t a)
{
	emit_unary(l, IR_MOVE, dst, a);
}

void emit_require(struct lowerer *l, uint16_t a, enum slot_status status)
{
	emit_unary(l, IR_REQUIRE, 0, a)->imm = status;
}

void ir_emit_jump(struct lowerer *l, uint16_t label)
{
	emit(l, IR_JUMP)->label = label;
}

void emit_jump_if0(struct lowerer *l, uint16_t a, uint16_t label)
{
	emit_unary(l, IR_JUMP_IF0, 0, a)->label = label;
}

void ir_emit_label(struct lowerer *l, uint16_t label)
{
	emit(l, IR_LABEL)->label = label;
}
