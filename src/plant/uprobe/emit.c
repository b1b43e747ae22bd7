#include "plant/uprobe/emit.h"

#include <errno.h>

void emit_done(struct emit *e)
{
	vec_done(&e->code);
	vec_done(&e->labels);
	vec_done(&e->jumps);
	vec_done(&e->refs);
	vec_done(&e->subprogs);
}

static void add(struct emit *e, uint8_t code, uint8_t dst, uint8_t src, int off, int32_t imm)
{
	struct bpf_insn *i = vec_add(&e->code);

	i->code = code;
	i->dst_reg = dst & 15;
	i->src_reg = src & 15;
	i->off = (int16_t)off;
	i->imm = imm;
}

static void add_jump(struct emit *e, uint8_t code, uint8_t dst, uint8_t src, int32_t imm, int label)
{
	vec_push(&e->jumps, ((struct emit_jump){(uint32_t)e->code.len, label}));
	add(e, code, dst, src, 0, imm);
}

int emit_label_new(struct emit *e)
{
	vec_push(&e->labels, -1);
	return (int)e->labels.len - 1;
}

void emit_label(struct emit *e, int label)
{
	e->labels.data[label] = (int32_t)e->code.len;
}

void emit_alu(struct emit *e, uint8_t alu, uint8_t dst, uint8_t src)
{
	add(e, BPF_ALU64 | alu | BPF_X, dst, src, 0, 0);
}

void emit_alu_imm(struct emit *e, uint8_t alu, uint8_t dst, int32_t imm)
{
	add(e, BPF_ALU64 | alu | BPF_K, dst, 0, 0, imm);
}

void emit_neg(struct emit *e, uint8_t dst)
{
	add(e, BPF_ALU64 | BPF_NEG, dst, 0, 0, 0);
}

void emit_swap(struct emit *e, uint8_t dst)
{
	add(e, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 64);
}

static void imm64(struct emit *e, uint8_t dst, uint8_t pseudo, uint64_t v)
{
	add(e, BPF_LD | BPF_DW | BPF_IMM, dst, pseudo, 0, (int32_t)v);
	add(e, 0, 0, 0, 0, (int32_t)(v >> 32));
}

void emit_imm(struct emit *e, uint8_t dst, int64_t imm)
{
	if (imm >= INT32_MIN && imm <= INT32_MAX)
		emit_alu_imm(e, BPF_MOV, dst, (int32_t)imm);
	else if (imm > 0 && imm <= UINT32_MAX) /* 32-bit moves zero-extend */
		add(e, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)imm);
	else
		imm64(e, dst, 0, (uint64_t)imm);
}

void emit_map_fd(struct emit *e, uint8_t dst, int fd)
{
	imm64(e, dst, BPF_PSEUDO_MAP_FD, (uint32_t)fd);
}

static uint8_t size_code(unsigned size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

void emit_load(struct emit *e, unsigned size, uint8_t dst, uint8_t base, int off)
{
	add(e, BPF_LDX | BPF_MEM | size_code(size), dst, base, off, 0);
}

void emit_store(struct emit *e, unsigned size, uint8_t base, int off, uint8_t src)
{
	add(e, BPF_STX | BPF_MEM | size_code(size), base, src, off, 0);
}

void emit_store_imm(struct emit *e, unsigned size, uint8_t base, int off, int32_t imm)
{
	add(e, BPF_ST | BPF_MEM | size_code(size), base, 0, off, imm);
}

void emit_atomic(struct emit *e, int atomic, uint8_t base, int off, uint8_t src)
{
	add(e, BPF_STX | BPF_ATOMIC | BPF_DW, base, src, off, atomic);
}

void emit_jump(struct emit *e, int label)
{
	add_jump(e, BPF_JMP | BPF_JA, 0, 0, 0, label);
}

void emit_jump_if(struct emit *e, uint8_t jump, uint8_t dst, uint8_t src, int label)
{
	add_jump(e, BPF_JMP | jump | BPF_X, dst, src, 0, label);
}

void emit_jump_if_imm(struct emit *e, uint8_t jump, uint8_t dst, int32_t imm, int label)
{
	add_jump(e, BPF_JMP | jump | BPF_K, dst, 0, imm, label);
}

void emit_jump_if_imm32(struct emit *e, uint8_t jump, uint8_t dst, int32_t imm, int label)
{
	add_jump(e, BPF_JMP32 | jump | BPF_K, dst, 0, imm, label);
}

void emit_checkpoint(struct emit *e)
{
	for (int i = 0; i < 9; i++)
		add(e, BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

void emit_call(struct emit *e, int helper)
{
	add(e, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

void emit_exit(struct emit *e)
{
	add(e, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void emit_subprog(struct emit *e, int label)
{
	vec_push(&e->subprogs, (uint32_t)e->code.len);
	emit_label(e, label);
}

void emit_subprog_addr(struct emit *e, uint8_t dst, int label)
{
	vec_push(&e->refs, ((struct emit_jump){(uint32_t)e->code.len, label}));
	imm64(e, dst, BPF_PSEUDO_FUNC, 0);
}

int emit_finish(struct emit *e, struct err *err)
{
	for (size_t i = 0; i < e->refs.len; i++) {
		const struct emit_jump *ref = &e->refs.data[i];

		e->code.data[ref->insn].imm = e->labels.data[ref->label] - (int32_t)ref->insn - 1;
	}
	for (size_t i = 0; i < e->jumps.len; i++) {
		const struct emit_jump *j = &e->jumps.data[i];
		int32_t to = e->labels.data[j->label];
		int64_t off = (int64_t)to - j->insn - 1;

		if (to < 0)
			return err_set(err, -EINVAL, "BPF label %d is jumped to but not placed",
				       j->label);
		if (off < INT16_MIN || off > INT16_MAX)
			return err_set(err, -E2BIG,
				       "the probe is too large: a jump over %lld BPF instructions "
				       "(at most 32,767); capture less or shorten the condition",
				       (long long)off);
		e->code.data[j->insn].off = (int16_t)off;
	}
	return 0;
}
