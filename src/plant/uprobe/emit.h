/* A small assembler for BPF: appends instructions, resolves labels. Knows nothing of probes. */
#ifndef PLANT_UPROBE_EMIT_H
#define PLANT_UPROBE_EMIT_H

#include <stdbool.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/vec.h"

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };

struct emit_jump {
	uint32_t insn;
	int label;
};

struct emit {
	VEC(struct bpf_insn) code;
	VEC(int32_t) labels; /* position, or -1 while not placed */
	VEC(struct emit_jump) jumps;
	VEC(struct emit_jump) refs; /* loads of a subprogram's address */
	VEC(uint32_t) subprogs;     /* where those begin that emit_subprog placed */
};

void emit_done(struct emit *e);

int emit_label_new(struct emit *e);
void emit_label(struct emit *e, int label); /* places it here */

/* alu: BPF_ADD, BPF_MOV, …; 64-bit. */
void emit_alu(struct emit *e, uint8_t alu, uint8_t dst, uint8_t src);
void emit_alu_imm(struct emit *e, uint8_t alu, uint8_t dst, int32_t imm);
void emit_neg(struct emit *e, uint8_t dst);
void emit_swap(struct emit *e, uint8_t dst); /* its 8 bytes the other way round */
void emit_imm(struct emit *e, uint8_t dst, int64_t imm); /* the shortest form */
void emit_map_fd(struct emit *e, uint8_t dst, int fd);

/* size in bytes: 1, 2, 4, 8. Loads zero-extend. */
void emit_load(struct emit *e, unsigned size, uint8_t dst, uint8_t base, int off);
void emit_store(struct emit *e, unsigned size, uint8_t base, int off, uint8_t src);
void emit_store_imm(struct emit *e, unsigned size, uint8_t base, int off, int32_t imm);
/* atomic: BPF_XCHG, BPF_ADD | BPF_FETCH (src gets the old value), BPF_CMPXCHG (R0 does) or BPF_ADD; 64-bit. */
void emit_atomic(struct emit *e, int atomic, uint8_t base, int off, uint8_t src);

/* jump: BPF_JEQ, BPF_JGT, …; 64-bit, the 32-bit form compares the lower halves. */
void emit_jump(struct emit *e, int label);
void emit_jump_if(struct emit *e, uint8_t jump, uint8_t dst, uint8_t src, int label);
void emit_jump_if_imm(struct emit *e, uint8_t jump, uint8_t dst, int32_t imm, int label);
void emit_jump_if_imm32(struct emit *e, uint8_t jump, uint8_t dst, int32_t imm, int label);

/*
 * Makes the verifier remember its state here, so that paths that meet here are walked on once. It does so
 * 8 instructions and 2 jumps after the last time, at a jump's target; jumps to the next instruction count,
 * and are removed from the program afterwards (Linux 5.1 and later).
 */
void emit_checkpoint(struct emit *e);

void emit_call(struct emit *e, int helper);
void emit_exit(struct emit *e);

/* A subprogram begins here (behind an exit); dst = the address of one, for a helper that calls it back. */
void emit_subprog(struct emit *e, int label);
void emit_subprog_addr(struct emit *e, uint8_t dst, int label);

/* Resolves the labels. -E2BIG when a jump is too far for the instruction set. */
int emit_finish(struct emit *e, struct err *err);

#endif
