/*
 * Instructions, through Zydis.
 *
 * Prologue (cmd/internal/obj/x86: stacksplit). g is in R14 in ABIInternal code; ABI0 code loads it
 *from thread-local storage first. Three forms by frame size: cmp rsp, [g+0x10] ; jbe M     small
 *	lea r12, [rsp-N]; cmp r12, [g+0x10]                        ; jbe M     large
 *	mov r12, rsp; sub r12, N; jb M; cmp r12, [g+0x10]          ; jbe M     huge
 * M, at the end of the function, stores every register argument to its place in the caller's frame
 *with a move of the argument's own width, calls morestack, loads them again and jumps to the entry.
 *The offset in g is not tested: the shape of M is the proof. The assembler may pad with nops before
 *any branch, so that it does not cross a 32-byte line.
 *
 * Price (Linux, arch/x86/kernel/uprobes.c): relative jumps, branches and calls, nops and pushes are
 * emulated in the breakpoint's handler; the rest is executed out of line under single-step. Not
 *probed at all: segment and LOCK prefixes, VEX and EVEX, three-byte opcodes, privileged and I/O
 *instructions. Kernels differ a little in that list; the one here is the strictest of them.
 */
#include <errno.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "binary/insn.h"
#include "binary/internal.h"

#define CODE_MAX (16u << 20)

static const ZydisDecoder *decoder(void)
{
	static ZydisDecoder d;
	static bool ready;

	if (!ready) {
		ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
		ready = true;
	}
	return &d;
}

/* ---- the sweep ---- */

static enum insn_kind branch_kind(const ZydisDecodedInstruction *z, bool relative)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return INSN_BRANCH;
	case ZYDIS_CATEGORY_UNCOND_BR:
		return relative ? INSN_JUMP : INSN_JUMP_INDIRECT;
	case ZYDIS_CATEGORY_CALL:
		return INSN_CALL;
	case ZYDIS_CATEGORY_RET:
		return INSN_RET;
	default:
		break;
	}
	if (z->mnemonic == ZYDIS_MNEMONIC_INT3 || z->mnemonic == ZYDIS_MNEMONIC_UD2 ||
	    z->mnemonic == ZYDIS_MNEMONIC_HLT)
		return INSN_TRAP;
	return INSN_PLAIN;
}

static bool decode_one(const struct code *c, uint64_t off, struct insn *ret)
{
	ZydisDecodedInstruction z;
	bool relative;

	if (ZYAN_FAILED(
	        ZydisDecoderDecodeInstruction(decoder(), NULL, c->bytes + off, c->size - off, &z)))
		return false;
	relative = z.raw.imm[0].is_relative;
	*ret = (struct insn){
	    .addr = c->addr + off,
	    .len = z.length,
	    .kind = branch_kind(&z, relative),
	    .cond = z.opcode & 0xf,
	};
	if (relative)
		ret->target = ret->addr + z.length + (uint64_t)z.raw.imm[0].value.s;
	return true;
}

void code_decode(const unsigned char *bytes, uint64_t size, uint64_t addr, struct code *ret)
{
	struct code c = {.bytes = bytes, .addr = addr, .size = size};
	VEC(struct insn) v = {0};
	struct insn i;

	for (uint64_t off = 0; off < size; off += i.len) {
		if (!decode_one(&c, off, &i)) {
			c.bad = addr + off;
			break;
		}
		vec_push(&v, i);
	}
	c.insns = v.data;
	c.n = v.len;
	*ret = c;
}

void code_done(struct code *c)
{
	if (!c->users || --*c->users == 0) {
		free(c->users);
		free(c->insns);
	}
	c->users = NULL;
	c->insns = NULL;
	c->n = 0;
}

const struct insn *code_at(const struct code *c, uint64_t addr)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->insns[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n && c->insns[lo].addr == addr ? &c->insns[lo] : NULL;
}

bool code_contains(const struct code *c, uint64_t addr)
{
	return addr >= c->addr && addr - c->addr < c->size;
}

/* The last one is kept: a function's entry, returns and signature are asked for one after the other. */
int func_code(struct binary *b, const struct func *f, struct code *ret, struct err *err)
{
	struct code *last = &b->last_code;
	const void *p;

	if (f->end <= f->entry || f->end - f->entry > CODE_MAX)
		return err_set(err, -EPROTO, "%s has no usable extent (%#llx to %#llx)", f->name,
		               (unsigned long long)f->entry, (unsigned long long)f->end);
	p = image_at(&b->img, f->entry, f->end - f->entry);
	if (!p)
		return err_set(err, -EPROTO, "the code of %s at %#llx is not in the file", f->name,
		               (unsigned long long)f->entry);
	if (!last->users || last->addr != f->entry || last->size != f->end - f->entry) {
		code_done(last);
		code_decode(p, f->end - f->entry, f->entry, last);
		last->users = xcalloc(1, sizeof(*last->users));
		*last->users = 1;
	}
	*ret = *last;
	++*ret->users;
	return 0;
}

/* ---- what one instruction does ---- */

static uint8_t general_register(ZydisRegister r)
{
	static const uint8_t numbers[16] = {
	    GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI,
	    GPR_R8,  GPR_R9,  GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	};

	r = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return numbers[r - ZYDIS_REGISTER_RAX];
	return 0xff;
}

static uint8_t any_register(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM15)
		return (uint8_t)(XMM_0 + (r - ZYDIS_REGISTER_XMM0));
	if (r >= ZYDIS_REGISTER_YMM0 && r <= ZYDIS_REGISTER_YMM15)
		return (uint8_t)(XMM_0 + (r - ZYDIS_REGISTER_YMM0));
	return general_register(r);
}

static void effect_register(const ZydisDecodedOperand *o, struct insn_effect *e)
{
	uint8_t r = any_register(o->reg.value);

	if (r == 0xff)
		return;
	if (o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
		if (e->reg == 0xff)
			e->reg = r;
		else if (e->reg2 == 0xff)
			e->reg2 = r;
	}
	if (!(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return;
	if (r >= XMM_0)
		e->written_xmm |= 1u << (r - XMM_0);
	else
		e->written |= 1u << r;
}

static void effect_memory(const ZydisDecodedOperand *o, struct insn_effect *e)
{
	bool rip = o->mem.base == ZYDIS_REGISTER_RIP;
	uint8_t base = general_register(o->mem.base);

	if (o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
		e->has_mem = true;
		e->mem_base = base;
		e->mem_fs = o->mem.segment == ZYDIS_REGISTER_FS;
		e->mem_indexed = o->mem.index != ZYDIS_REGISTER_NONE;
		e->mem_disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;
		e->mem_size = o->size / 8;
	}
	if (o->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
		return;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		e->loads = true;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		e->stores = true;
	if (!rip && !e->mem_fs && (e->mem_indexed || (base != GPR_RSP && base != GPR_R14)))
		e->may_fault = true;
}

static int effect_what(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVD:
		return EFFECT_MOVE;
	case ZYDIS_MNEMONIC_LEA:
		return EFFECT_LEA;
	case ZYDIS_MNEMONIC_CMP:
		return EFFECT_CMP;
	case ZYDIS_MNEMONIC_SUB:
		return EFFECT_SUB;
	case ZYDIS_MNEMONIC_PUSH:
		return EFFECT_PUSH;
	case ZYDIS_MNEMONIC_NOP:
		return EFFECT_NOP;
	default:
		return EFFECT_OTHER;
	}
}

static void effect_sp(const ZydisDecodedInstruction *z, struct insn_effect *e)
{
	if (!(e->written & 1u << GPR_RSP)) {
		e->sp_known = true;
	} else if (z->mnemonic == ZYDIS_MNEMONIC_PUSH && z->operand_width == 64) {
		e->sp_known = true;
		e->sp_change = -8;
	} else if ((z->mnemonic == ZYDIS_MNEMONIC_SUB || z->mnemonic == ZYDIS_MNEMONIC_ADD) &&
	           e->reg == GPR_RSP && e->reg2 == 0xff && !e->has_mem && e->imm >= INT32_MIN / 2 &&
	           e->imm <= INT32_MAX / 2) {
		e->sp_known = true;
		e->sp_change = (int32_t)(z->mnemonic == ZYDIS_MNEMONIC_SUB ? -e->imm : e->imm);
	}
}

bool insn_effect(const struct code *c, const struct insn *i, struct insn_effect *ret)
{
	struct insn_effect e = {.reg = 0xff, .reg2 = 0xff, .mem_base = 0xff};
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;

	if (ZYAN_FAILED(
	        ZydisDecoderDecodeFull(decoder(), c->bytes + (i->addr - c->addr), i->len, &z, ops)))
		return false;
	e.what = effect_what(z.mnemonic);
	for (unsigned k = 0; k < z.operand_count && e.what != EFFECT_NOP; k++) {
		if (ops[k].type == ZYDIS_OPERAND_TYPE_REGISTER)
			effect_register(&ops[k], &e);
		else if (ops[k].type == ZYDIS_OPERAND_TYPE_MEMORY)
			effect_memory(&ops[k], &e);
		else if (ops[k].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			e.imm = ops[k].imm.value.s;
	}
	effect_sp(&z, &e);
	*ret = e;
	return true;
}

void insn_text(const struct code *c, const struct insn *i, char *buf, size_t size)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisFormatter f;

	snprintf(buf, size, "?");
	if (ZYAN_FAILED(
	        ZydisDecoderDecodeFull(decoder(), c->bytes + (i->addr - c->addr), i->len, &z, ops)))
		return;
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
	                          ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
	if (ZYAN_FAILED(ZydisFormatterFormatInstruction(&f, &z, ops, z.operand_count_visible, buf,
	                                                size, i->addr, NULL)))
		snprintf(buf, size, "?");
}

/* ---- the prologue ---- */

/* The value compared with the stack guard is SP or a temporary computed from it alone. */
struct check_state {
	uint32_t from_sp;  /* registers that hold SP - N */
	uint32_t from_tls; /* registers that hold g or the way to it */
	bool compared;
};

/* Takes one instruction before the branch; false when it cannot belong to a stack check. */
static bool check_step(const struct code *c, const struct insn *i, struct check_state *s,
                       bool *ret_abi0)
{
	struct insn_effect e;

	if (i->kind != INSN_PLAIN || !insn_effect(c, i, &e))
		return false;
	if (e.what == EFFECT_NOP)
		return true;
	if (e.what == EFFECT_MOVE && e.has_mem && !e.stores && e.reg < XMM_0 &&
	    (e.mem_fs || (e.mem_base == 0xff && !e.mem_indexed))) {
		s->from_tls |= 1u << e.reg;
		*ret_abi0 = true;
		return true;
	}
	if ((e.what == EFFECT_LEA && e.has_mem && e.mem_base == GPR_RSP && !e.mem_indexed) ||
	    (e.what == EFFECT_MOVE && !e.has_mem && e.reg2 == GPR_RSP)) {
		s->from_sp |= 1u << e.reg;
		return e.reg < XMM_0 && e.reg != GPR_RSP;
	}
	if (e.what == EFFECT_SUB && !e.has_mem && e.reg < XMM_0 && e.reg2 == 0xff)
		return e.reg != GPR_RSP && (s->from_sp & 1u << e.reg);
	if (e.what == EFFECT_CMP && e.has_mem && !e.mem_indexed && e.mem_size == 8 &&
	    e.mem_base != 0xff && e.reg < XMM_0 && (s->from_sp & 1u << e.reg) &&
	    ((s->from_tls | 1u << GPR_R14) & 1u << e.mem_base)) {
		s->compared = true;
		return true;
	}
	return false;
}

static bool is_spill(const struct code *c, const struct insn *i, struct spill *ret)
{
	struct insn_effect e;

	if (i->kind != INSN_PLAIN || !insn_effect(c, i, &e))
		return false;
	if (e.what != EFFECT_MOVE || !e.stores || e.mem_base != GPR_RSP || e.mem_indexed ||
	    e.reg == 0xff || e.mem_disp < 8 || e.mem_disp > INT32_MAX || e.mem_size > 16)
		return false;
	*ret = (struct spill){e.reg, (uint8_t)e.mem_size, (int32_t)e.mem_disp};
	return true;
}

static bool is_nop(const struct code *c, const struct insn *i)
{
	struct insn_effect e;

	return i->kind == INSN_PLAIN && insn_effect(c, i, &e) && e.what == EFFECT_NOP;
}

/* Stores, a call, as many loads, a jump to the entry. */
static bool morestack_block(const struct code *c, uint64_t addr, struct prologue *p)
{
	const struct insn *i = code_at(c, addr), *end = c->insns + c->n;
	struct spill s;
	size_t n = 0;

	for (; i && i < end && (is_spill(c, i, &s) || is_nop(c, i)); i++) {
		if (is_nop(c, i))
			continue;
		if (n == ARRAY_SIZE(p->spills))
			return false;
		p->spills[n++] = s;
	}
	if (!i || i >= end || i->kind != INSN_CALL)
		return false;
	for (size_t k = 0; k < 2 * ARRAY_SIZE(p->spills) && ++i < end; k++)
		if (i->kind != INSN_PLAIN)
			break;
	if (i >= end || i->kind != INSN_JUMP || i->target != c->addr)
		return false;
	p->morestack = addr;
	p->restart = i->addr;
	p->nspills = n;
	return true;
}

/* ABI0 wrappers without a check load g before they call; look a little further for it. */
static bool loads_goroutine(const struct code *c)
{
	struct insn_effect e;

	for (size_t k = 0; k < c->n && k < 16; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_CALL || i->kind == INSN_RET)
			return false;
		if (i->kind == INSN_PLAIN && insn_effect(c, i, &e) && e.written & 1u << GPR_R14)
			return true;
	}
	return false;
}

void code_prologue(const struct code *c, struct prologue *ret)
{
	struct check_state s = {.from_sp = 1u << GPR_RSP};
	struct prologue p = {0};
	bool tls = false;

	*ret = p;
	for (size_t k = 0; k < c->n && k < 8; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_BRANCH && s.compared) {
			if (!morestack_block(c, i->target, &p))
				break;
			p.checked = true;
			p.check = k;
			p.abi0 = tls;
			*ret = p;
			return;
		}
		if (i->kind == INSN_BRANCH && i->cond == 2 && s.from_sp != 1u << GPR_RSP)
			continue;
		if ((s.compared && !is_nop(c, i)) || !check_step(c, i, &s, &tls))
			break;
	}
	ret->abi0 = loads_goroutine(c);
}
