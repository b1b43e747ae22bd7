/* Encodings: Intel SDM volume 2; REX is 0100WRXB, ModRM mod.reg.rm, SIB scale.index.base. */
#include "plant/patch/x86.h"

#include <errno.h>
#include <string.h>

static void byte(struct x86 *x, unsigned b)
{
	buf_char(x->out, (char)b);
}

static void dword(struct x86 *x, int32_t v)
{
	buf_append(x->out, &v, 4);
}

void x86_begin(struct x86 *x, struct buf *out, uint64_t base)
{
	*x = (struct x86){.out = out, .start = out->len, .base = base};
}

void x86_done(struct x86 *x)
{
	vec_done(&x->labels);
	vec_done(&x->fixups);
}

/* Run-time address of the next byte. */
static uint64_t x86_here(const struct x86 *x)
{
	return x->base + (x->out->len - x->start);
}

int x86_label_new(struct x86 *x)
{
	vec_push(&x->labels, -1);
	return (int)x->labels.len - 1;
}

void x86_label(struct x86 *x, int label)
{
	x->labels.data[label] = (int64_t)(x->out->len - x->start);
}

int x86_finish(struct x86 *x)
{
	for (size_t i = 0; i < x->fixups.len; i++) {
		const struct x86_fixup *f = &x->fixups.data[i];
		int32_t rel = (int32_t)(x->labels.data[f->label] - (int64_t)(f->at + 4));

		memcpy(x->out->data + x->start + f->at, &rel, 4);
	}
	return x->too_far ? -ERANGE : 0;
}

static void fixup(struct x86 *x, int label)
{
	vec_push(&x->fixups, ((struct x86_fixup){.at = x->out->len - x->start, .label = label}));
	dword(x, 0);
}

/* A REX prefix where one is needed; byte_reg: a register number that would otherwise mean AH to BH. */
static void rex(struct x86 *x, bool wide, uint8_t reg, uint8_t index, uint8_t base, bool byte_reg)
{
	unsigned r = 0x40u | (unsigned)wide << 3 | (unsigned)(reg >> 3) << 2 | (unsigned)(index >> 3) << 1 | base >> 3;

	if (r != 0x40 || byte_reg)
		byte(x, r);
}

static void rex_mem(struct x86 *x, bool wide, uint8_t reg, struct x86_mem m, bool byte_reg)
{
	rex(x, wide, reg, m.scale ? m.index : 0, m.base, byte_reg);
}

static void modrm_regs(struct x86 *x, uint8_t reg, uint8_t rm)
{
	byte(x, 0xc0u | (unsigned)(reg & 7) << 3 | (rm & 7));
}

static void modrm_mem(struct x86 *x, uint8_t reg, struct x86_mem m)
{
	static const uint8_t scales[] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};
	bool small = m.disp >= -128 && m.disp <= 127;
	/* no displacement means something else with RBP and R13 */
	unsigned mod = !m.disp && (m.base & 7) != RBP ? 0 : small ? 1 : 2;
	bool sib = m.scale || (m.base & 7) == RSP;

	byte(x, mod << 6 | (unsigned)(reg & 7) << 3 | (sib ? 4u : m.base & 7u));
	if (sib)
		byte(x, (m.scale ? (unsigned)scales[m.scale] << 6 | (unsigned)(m.index & 7) << 3 : 4u << 3) |
				(m.base & 7));
	if (mod == 1)
		byte(x, (uint8_t)m.disp);
	if (mod == 2)
		dword(x, m.disp);
}

/* ---- moves ---- */

void x86_mov(struct x86 *x, uint8_t dst, uint8_t src)
{
	rex(x, true, src, 0, dst, false);
	byte(x, 0x89);
	modrm_regs(x, src, dst);
}

void x86_imm(struct x86 *x, uint8_t dst, uint64_t imm)
{
	if (imm <= UINT32_MAX) {
		rex(x, false, 0, 0, dst, false);
		byte(x, 0xb8u + (dst & 7));
		dword(x, (int32_t)imm);
	} else if ((int64_t)imm >= INT32_MIN && (int64_t)imm < 0) {
		rex(x, true, 0, 0, dst, false);
		byte(x, 0xc7);
		modrm_regs(x, 0, dst);
		dword(x, (int32_t)imm);
	} else {
		rex(x, true, 0, 0, dst, false);
		byte(x, 0xb8u + (dst & 7));
		buf_append(x->out, &imm, 8);
	}
}

void x86_load(struct x86 *x, unsigned size, bool sign, uint8_t dst, struct x86_mem m)
{
	rex_mem(x, size == 8 || sign, dst, m, false);
	if (size == 8 || (size == 4 && !sign)) {
		byte(x, 0x8b);
	} else if (size == 4) {
		byte(x, 0x63);
	} else {
		byte(x, 0x0f);
		byte(x, (sign ? 0xbeu : 0xb6u) + (size == 2));
	}
	modrm_mem(x, dst, m);
}

void x86_store(struct x86 *x, unsigned size, struct x86_mem m, uint8_t src)
{
	if (size == 2)
		byte(x, 0x66);
	rex_mem(x, size == 8, src, m, size == 1 && src >= RSP);
	byte(x, size == 1 ? 0x88 : 0x89);
	modrm_mem(x, src, m);
}

void x86_store_imm(struct x86 *x, unsigned size, struct x86_mem m, int32_t imm)
{
	if (size == 2)
		byte(x, 0x66);
	rex_mem(x, size == 8, 0, m, false);
	byte(x, size == 1 ? 0xc6 : 0xc7);
	modrm_mem(x, 0, m);
	if (size == 1)
		byte(x, (uint8_t)imm);
	else if (size == 2)
		buf_append(x->out, &imm, 2);
	else
		dword(x, imm);
}

void x86_lea(struct x86 *x, uint8_t dst, struct x86_mem m)
{
	rex_mem(x, true, dst, m, false);
	byte(x, 0x8d);
	modrm_mem(x, dst, m);
}

void x86_lea_label(struct x86 *x, uint8_t dst, int label)
{
	rex(x, true, dst, 0, 0, false);
	byte(x, 0x8d);
	byte(x, (unsigned)(dst & 7) << 3 | 5); /* RIP-relative */
	fixup(x, label);
}

/* ---- arithmetic ---- */

void x86_alu(struct x86 *x, enum x86_alu op, uint8_t dst, uint8_t src)
{
	rex(x, true, src, 0, dst, false);
	byte(x, (unsigned)op << 3 | 1);
	modrm_regs(x, src, dst);
}

void x86_alu_imm(struct x86 *x, enum x86_alu op, uint8_t dst, int32_t imm)
{
	bool small = imm >= -128 && imm <= 127;

	rex(x, true, 0, 0, dst, false);
	byte(x, small ? 0x83 : 0x81);
	modrm_regs(x, (uint8_t)op, dst);
	if (small)
		byte(x, (uint8_t)imm);
	else
		dword(x, imm);
}

void x86_alu_load(struct x86 *x, enum x86_alu op, uint8_t dst, struct x86_mem m)
{
	rex_mem(x, true, dst, m, false);
	byte(x, (unsigned)op << 3 | 3);
	modrm_mem(x, dst, m);
}

void x86_alu_store(struct x86 *x, enum x86_alu op, struct x86_mem m, uint8_t src)
{
	rex_mem(x, true, src, m, false);
	byte(x, (unsigned)op << 3 | 1);
	modrm_mem(x, src, m);
}

void x86_alu_mem_imm(struct x86 *x, enum x86_alu op, unsigned size, struct x86_mem m, int32_t imm)
{
	bool small = size == 1 || (imm >= -128 && imm <= 127);

	rex_mem(x, size == 8, 0, m, false);
	byte(x, size == 1 ? 0x80 : small ? 0x83 : 0x81);
	modrm_mem(x, (uint8_t)op, m);
	if (small)
		byte(x, (uint8_t)imm);
	else
		dword(x, imm);
}

void x86_test(struct x86 *x, uint8_t a, uint8_t b)
{
	rex(x, true, b, 0, a, false);
	byte(x, 0x85);
	modrm_regs(x, b, a);
}

void x86_test_mem8(struct x86 *x, struct x86_mem m, uint8_t imm)
{
	rex_mem(x, false, 0, m, false);
	byte(x, 0xf6);
	modrm_mem(x, 0, m);
	byte(x, imm);
}

void x86_test_imm8(struct x86 *x, uint8_t reg, uint8_t imm)
{
	rex(x, false, 0, 0, reg, reg >= RSP);
	byte(x, 0xf6);
	modrm_regs(x, 0, reg);
	byte(x, imm);
}

void x86_imul(struct x86 *x, uint8_t dst, uint8_t src)
{
	rex(x, true, dst, 0, src, false);
	byte(x, 0x0f);
	byte(x, 0xaf);
	modrm_regs(x, dst, src);
}

void x86_imul_imm(struct x86 *x, uint8_t dst, uint8_t src, int32_t imm)
{
	rex(x, true, dst, 0, src, false);
	byte(x, 0x69);
	modrm_regs(x, dst, src);
	dword(x, imm);
}

void x86_mul(struct x86 *x, uint8_t src)
{
	rex(x, true, 0, 0, src, false);
	byte(x, 0xf7);
	modrm_regs(x, 4, src);
}

void x86_div(struct x86 *x, uint8_t src)
{
	rex(x, true, 0, 0, src, false);
	byte(x, 0xf7);
	modrm_regs(x, 6, src);
}

void x86_crc32(struct x86 *x, uint8_t dst, struct x86_mem m)
{
	byte(x, 0xf2);
	rex_mem(x, true, dst, m, false);
	byte(x, 0x0f);
	byte(x, 0x38);
	byte(x, 0xf1);
	modrm_mem(x, dst, m);
}

void x86_crc32_reg(struct x86 *x, uint8_t dst, uint8_t src)
{
	byte(x, 0xf2);
	rex(x, true, dst, 0, src, false);
	byte(x, 0x0f);
	byte(x, 0x38);
	byte(x, 0xf1);
	modrm_regs(x, dst, src);
}

void x86_lzcnt(struct x86 *x, uint8_t dst, uint8_t src)
{
	byte(x, 0xf3);
	rex(x, true, dst, 0, src, false);
	byte(x, 0x0f);
	byte(x, 0xbd);
	modrm_regs(x, dst, src);
}

void x86_bsr(struct x86 *x, uint8_t dst, uint8_t src)
{
	rex(x, true, dst, 0, src, false);
	byte(x, 0x0f);
	byte(x, 0xbd);
	modrm_regs(x, dst, src);
}

void x86_shift(struct x86 *x, enum x86_shift op, uint8_t reg, uint8_t n)
{
	rex(x, true, 0, 0, reg, false);
	byte(x, 0xc1);
	modrm_regs(x, (uint8_t)op, reg);
	byte(x, n);
}

void x86_shift_cl(struct x86 *x, enum x86_shift op, uint8_t reg)
{
	rex(x, true, 0, 0, reg, false);
	byte(x, 0xd3);
	modrm_regs(x, (uint8_t)op, reg);
}

void x86_extend(struct x86 *x, unsigned size, bool sign, uint8_t reg)
{
	if (size == 8)
		return;
	rex(x, sign, reg, 0, reg, size == 1);
	if (size == 4) {
		byte(x, sign ? 0x63 : 0x8b);
	} else {
		byte(x, 0x0f);
		byte(x, (sign ? 0xbeu : 0xb6u) + (size == 2));
	}
	modrm_regs(x, reg, reg);
}

void x86_swap(struct x86 *x, uint8_t reg)
{
	rex(x, true, 0, 0, reg, false);
	byte(x, 0x0f);
	byte(x, 0xc8u + (reg & 7));
}

void x86_cmov(struct x86 *x, enum x86_cc cc, uint8_t dst, uint8_t src)
{
	rex(x, true, dst, 0, src, false);
	byte(x, 0x0f);
	byte(x, 0x40u + (unsigned)cc);
	modrm_regs(x, dst, src);
}

void x86_set(struct x86 *x, enum x86_cc cc, uint8_t reg)
{
	rex(x, false, 0, 0, reg, reg >= RSP);
	byte(x, 0x0f);
	byte(x, 0x90u + (unsigned)cc);
	modrm_regs(x, 0, reg);
	x86_extend(x, 1, false, reg);
}

void x86_from_xmm(struct x86 *x, unsigned size, uint8_t dst, uint8_t xmm)
{
	byte(x, 0x66);
	rex(x, size == 8, xmm, 0, dst, false);
	byte(x, 0x0f);
	byte(x, 0x7e);
	modrm_regs(x, xmm, dst);
}

/* ---- control ---- */

void x86_jmp(struct x86 *x, int label)
{
	byte(x, 0xe9);
	fixup(x, label);
}

void x86_jcc(struct x86 *x, enum x86_cc cc, int label)
{
	byte(x, 0x0f);
	byte(x, 0x80u + (unsigned)cc);
	fixup(x, label);
}

void x86_jmp_to(struct x86 *x, uint64_t addr)
{
	int64_t rel = (int64_t)(addr - (x86_here(x) + 5));

	x->too_far |= rel != (int32_t)rel;
	byte(x, 0xe9);
	dword(x, (int32_t)rel);
}

void x86_jmp_reg(struct x86 *x, uint8_t reg)
{
	rex(x, false, 0, 0, reg, false);
	byte(x, 0xff);
	modrm_regs(x, 4, reg);
}

void x86_ret(struct x86 *x)
{
	byte(x, 0xc3);
}

void x86_rdtsc(struct x86 *x)
{
	byte(x, 0x0f);
	byte(x, 0x31);
}

void x86_rep_movsb(struct x86 *x)
{
	byte(x, 0xf3);
	byte(x, 0xa4);
}

void x86_lock_inc(struct x86 *x, struct x86_mem m)
{
	byte(x, 0xf0);
	rex_mem(x, true, 0, m, false);
	byte(x, 0xff);
	modrm_mem(x, 0, m);
}

void x86_xchg32(struct x86 *x, struct x86_mem m, uint8_t reg)
{
	rex_mem(x, false, reg, m, false);
	byte(x, 0x87);
	modrm_mem(x, reg, m);
}

void x86_lock_cmpxchg(struct x86 *x, struct x86_mem m, uint8_t reg)
{
	byte(x, 0xf0);
	rex_mem(x, true, reg, m, false);
	byte(x, 0x0f);
	byte(x, 0xb1);
	modrm_mem(x, reg, m);
}
