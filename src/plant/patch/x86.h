/*
 * An assembler for the part of x86-64 that the code generator uses: 64-bit operations on general registers,
 * labels, near jumps. Position dependent: the address of the first byte is given.
 */
#ifndef PLANT_PATCH_X86_H
#define PLANT_PATCH_X86_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/vec.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum x86_cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
enum x86_alu { X_ADD, X_OR, X_ADC, X_SBB, X_AND, X_SUB, X_XOR, X_CMP };
enum x86_shift { X_SHL = 4, X_SHR = 5, X_SAR = 7 };

struct x86_fixup {
	size_t at;   /* of the 4 displacement bytes, from the start; relative to the byte behind them */
	int label;
};
struct x86 {
	struct buf *out;
	size_t start;          /* in out */
	uint64_t base;         /* run-time address of start */
	VEC(int64_t) labels;   /* offset from start, -1: not placed */
	VEC(struct x86_fixup) fixups;
	bool too_far;
};

/* [base + index * scale + disp]; index may not be RSP. */
struct x86_mem {
	uint8_t base, index, scale; /* scale 0: no index */
	int32_t disp;
};
#define MEM(b, d) ((struct x86_mem){.base = (b), .disp = (int32_t)(d)})
#define MEMX(b, i, d) ((struct x86_mem){.base = (b), .index = (i), .scale = 1, .disp = (int32_t)(d)})

void x86_begin(struct x86 *x, struct buf *out, uint64_t base);
/* Resolves the labels: 0, or -ERANGE when an absolute jump was too far. */
int x86_finish(struct x86 *x);
void x86_done(struct x86 *x);

int x86_label_new(struct x86 *x);
void x86_label(struct x86 *x, int label);

void x86_mov(struct x86 *x, uint8_t dst, uint8_t src);
void x86_imm(struct x86 *x, uint8_t dst, uint64_t imm);  /* keeps the flags */
/* size 1, 2, 4, 8 bytes, zero- or sign-extended to 64 bits. */
void x86_load(struct x86 *x, unsigned size, bool sign, uint8_t dst, struct x86_mem m);
void x86_store(struct x86 *x, unsigned size, struct x86_mem m, uint8_t src);
void x86_store_imm(struct x86 *x, unsigned size, struct x86_mem m, int32_t imm); /* sign-extended for size 8 */
void x86_lea(struct x86 *x, uint8_t dst, struct x86_mem m);
void x86_lea_label(struct x86 *x, uint8_t dst, int label);

void x86_alu(struct x86 *x, enum x86_alu op, uint8_t dst, uint8_t src);
void x86_alu_imm(struct x86 *x, enum x86_alu op, uint8_t dst, int32_t imm);
void x86_alu_load(struct x86 *x, enum x86_alu op, uint8_t dst, struct x86_mem m);
void x86_alu_store(struct x86 *x, enum x86_alu op, struct x86_mem m, uint8_t src);
/* op [m], imm with size 1, 4 or 8. */
void x86_alu_mem_imm(struct x86 *x, enum x86_alu op, unsigned size, struct x86_mem m, int32_t imm);
void x86_test(struct x86 *x, uint8_t a, uint8_t b);
void x86_test_mem8(struct x86 *x, struct x86_mem m, uint8_t imm);
void x86_test_imm8(struct x86 *x, uint8_t reg, uint8_t imm);
void x86_imul(struct x86 *x, uint8_t dst, uint8_t src);
void x86_imul_imm(struct x86 *x, uint8_t dst, uint8_t src, int32_t imm);
void x86_mul(struct x86 *x, uint8_t src);  /* RDX:RAX = RAX * src */
void x86_div(struct x86 *x, uint8_t src);  /* RAX, RDX = RDX:RAX / src */
void x86_crc32(struct x86 *x, uint8_t dst, struct x86_mem m); /* of 64 bits, into 32; needs SSE 4.2 */
void x86_crc32_reg(struct x86 *x, uint8_t dst, uint8_t src);  /* of a register's 64 bits */
void x86_bsr(struct x86 *x, uint8_t dst, uint8_t src); /* the highest bit's number; src is not 0 */
void x86_lzcnt(struct x86 *x, uint8_t dst, uint8_t src); /* zeros above; needs LZCNT, else it is BSR */
void x86_shift(struct x86 *x, enum x86_shift op, uint8_t reg, uint8_t n);
void x86_shift_cl(struct x86 *x, enum x86_shift op, uint8_t reg);
void x86_extend(struct x86 *x, unsigned size, bool sign, uint8_t reg);
void x86_swap(struct x86 *x, uint8_t reg); /* its 8 bytes the other way round */
void x86_cmov(struct x86 *x, enum x86_cc cc, uint8_t dst, uint8_t src);
void x86_set(struct x86 *x, enum x86_cc cc, uint8_t reg); /* 0 or 1, all 64 bits */
void x86_from_xmm(struct x86 *x, unsigned size, uint8_t dst, uint8_t xmm); /* size 4, 8 */

void x86_jmp(struct x86 *x, int label);
void x86_jcc(struct x86 *x, enum x86_cc cc, int label);
void x86_jmp_to(struct x86 *x, uint64_t addr);
void x86_jmp_reg(struct x86 *x, uint8_t reg);
void x86_ret(struct x86 *x);
void x86_rdtsc(struct x86 *x);
void x86_rep_movsb(struct x86 *x);
void x86_lock_inc(struct x86 *x, struct x86_mem m);             /* 64 bits */
void x86_xchg32(struct x86 *x, struct x86_mem m, uint8_t reg);  /* implies lock */
void x86_lock_cmpxchg(struct x86 *x, struct x86_mem m, uint8_t reg); /* with RAX, 64 bits */

#endif
