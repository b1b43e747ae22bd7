/*
 * x86-64: instructions through Zydis.
 *
 * Prologue (cmd/internal/obj/x86: stacksplit). g is in R14 in ABIInternal code; ABI0 code loads it from thread-local
 * storage first. Three forms by frame size:
 *	cmp rsp, [g+0x10]                                          ; jbe M     small
 *	lea r12, [rsp-N]; cmp r12, [g+0x10]                        ; jbe M     large
 *	mov r12, rsp; sub r12, N; jb M; cmp r12, [g+0x10]          ; jbe M     huge
 * M, at the end of the function, stores every register argument to its place in the caller's frame with a move of the
 * argument's own width, calls morestack, loads them again and jumps to the entry. The offset in g is not tested: the
 * shape of M is the proof. The assembler may pad with nops before any branch, so that it does not cross a 32-byte line.
 */
#include "binary/arch_x86_64.h"

#include <elf.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "base/macro.h"
#include "binary/insn.h"

/* ---- registers ---- */

static const char *const names[] = {"rax", "rbx", "rcx", "rdi", "rsi", "r8",  "r9",  "r10",
				    "r11", "rdx", "r12", "r13", "r14", "r15", "rbp", "rsp"};

static const uint8_t int_args[] = {GPR_RAX, GPR_RBX, GPR_RCX, GPR_RDI, GPR_RSI, GPR_R8, GPR_R9, GPR_R10, GPR_R11};

/* The psABI's numbers. 16 is the return address. */
static const uint8_t dwarf[] = {
	GPR_RAX, GPR_RDX, GPR_RCX, GPR_RBX, GPR_RSI, GPR_RDI, GPR_RBP, GPR_RSP,
	GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15,
	REG_NONE,
	XMM_0, XMM_0 + 1, XMM_0 + 2, XMM_0 + 3, XMM_0 + 4, XMM_0 + 5, XMM_0 + 6, XMM_0 + 7,
	XMM_0 + 8, XMM_0 + 9, XMM_0 + 10, XMM_0 + 11, XMM_0 + 12, XMM_0 + 13, XMM_0 + 14, XMM_0 + 15,
};

/* struct pt_regs of asm/ptrace.h, which only a compiler for x86-64 has: … rdi, orig_rax, rip, cs, eflags, rsp, ss. */
static const uint16_t saved[] = {
	[GPR_R15] = 0, [GPR_R14] = 8, [GPR_R13] = 16, [GPR_R12] = 24, [GPR_RBP] = 32, [GPR_RBX] = 40, [GPR_R11] = 48,
	[GPR_R10] = 56, [GPR_R9] = 64, [GPR_R8] = 72, [GPR_RAX] = 80, [GPR_RCX] = 88, [GPR_RDX] = 96, [GPR_RSI] = 104,
	[GPR_RDI] = 112, [GPR_RSP] = 152,
};
enum { SAVED_RIP = 128, SAVED_EFLAGS = 144 };
_Static_assert(ARRAY_SIZE(saved) == ARRAY_SIZE(names), "every register has a place");

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

/* ---- decoding ---- */

static const unsigned char *bytes_of(const struct disasm *c, const struct insn *i)
{
	return c->bytes + (i->addr - c->addr);
}

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

static bool decode(const struct disasm *c, uint64_t off, struct insn *ret)
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
		e->written_float |= 1u << (r - XMM_0);
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
		e->mem_tls = o->mem.segment == ZYDIS_REGISTER_FS;
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
	if (!rip && !e->mem_tls && (e->mem_indexed || (base != GPR_RSP && base != GPR_R14)))
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

static bool effect(const struct disasm *c, const struct insn *i, struct insn_effect *ret)
{
	struct insn_effect e = {.reg = 0xff, .reg2 = 0xff, .mem_base = 0xff};
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;

	if (ZYAN_FAILED(
	        ZydisDecoderDecodeFull(decoder(), bytes_of(c, i), i->len, &z, ops)))
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

static void text(const struct disasm *c, const struct insn *i, char *buf, size_t size)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisFormatter f;

	snprintf(buf, size, "?");
	if (ZYAN_FAILED(
	        ZydisDecoderDecodeFull(decoder(), bytes_of(c, i), i->len, &z, ops)))
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
static bool check_step(const struct disasm *c, const struct insn *i, struct check_state *s,
                       bool *ret_abi0)
{
	struct insn_effect e;

	if (i->kind != INSN_PLAIN || !effect(c, i, &e))
		return false;
	if (e.what == EFFECT_NOP)
		return true;
	if (e.what == EFFECT_MOVE && e.has_mem && !e.stores && e.reg < XMM_0 &&
	    (e.mem_tls || (e.mem_base == 0xff && !e.mem_indexed))) {
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

static bool is_spill(const struct disasm *c, const struct insn *i, struct spill *ret)
{
	struct insn_effect e;

	if (i->kind != INSN_PLAIN || !effect(c, i, &e))
		return false;
	if (e.what != EFFECT_MOVE || !e.stores || e.mem_base != GPR_RSP || e.mem_indexed ||
	    e.reg == 0xff || e.mem_disp < 8 || e.mem_disp > INT32_MAX || e.mem_size > 16)
		return false;
	*ret = (struct spill){e.reg, (uint8_t)e.mem_size, (int32_t)e.mem_disp};
	return true;
}

static bool is_nop(const struct disasm *c, const struct insn *i)
{
	struct insn_effect e;

	return i->kind == INSN_PLAIN && effect(c, i, &e) && e.what == EFFECT_NOP;
}

/* Stores, a call, as many loads, a jump to the entry. */
static bool morestack_block(const struct disasm *c, uint64_t addr, struct prologue *p)
{
	const struct insn *i = disasm_at(c, addr), *end = c->insns + c->n;
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
static bool loads_goroutine(const struct disasm *c)
{
	struct insn_effect e;

	for (size_t k = 0; k < c->n && k < 16; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_CALL || i->kind == INSN_RET)
			return false;
		if (i->kind == INSN_PLAIN && effect(c, i, &e) && e.written & 1u << GPR_R14)
			return true;
	}
	return false;
}

static void prologue(const struct disasm *c, struct prologue *ret)
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

/* ---- single questions ---- */

static uint8_t taken_flags(uint8_t cond)
{
	switch (cond) {
	case 2:
		return 0x01; /* below: CF */
	case 4:
		return 0x40; /* equal: ZF */
	case 6:
		return 0x41; /* below or equal */
	case 8:
		return 0x80; /* negative: SF */
	default:
		return 0;
	}
}

static bool may_return(const unsigned char *code, size_t size)
{
	return memchr(code, 0xc3, size);
}

/* CMOVcc */
static bool is_select(const struct disasm *c, const struct insn *i)
{
	const unsigned char *p = bytes_of(c, i), *end = p + i->len;

	while (p < end && (*p == 0x66 || (*p & 0xf0) == 0x40))
		p++;
	return end - p >= 2 && p[0] == 0x0f && (p[1] & 0xf0) == 0x40;
}

static bool is_mark(const struct disasm *c, const struct insn *i)
{
	return i->len == 1 && *bytes_of(c, i) == 0x90;
}

const struct arch arch_x86_64 = {
	.name = "x86-64",
	.elf_machine = EM_X86_64,
	.elf_relative = R_X86_64_RELATIVE,
	.refers_by_distance = true,
	.pc_unit = 1,
	.registers = names,
	.nregisters = ARRAY_SIZE(names),
	.float_name = "xmm",
	.go_float_name = "X",
	.sp = GPR_RSP,
	.fp = GPR_RBP,
	.g = GPR_R14,
	.context = GPR_RDX,
	.link = REG_NONE,
	.int_args = int_args,
	.nint_args = ARRAY_SIZE(int_args),
	.nfloat_args = 15,
	.stack_args = 8,
	.dwarf_registers = dwarf,
	.ndwarf_registers = ARRAY_SIZE(dwarf),
	.frame_address = 8,
	.saved_registers = saved,
	.saved_pc = SAVED_RIP,
	.saved_flags = SAVED_EFLAGS,
	.decode = decode,
	.effect = effect,
	.text = text,
	.prologue = prologue,
	.taken_flags = taken_flags,
	.may_return = may_return,
	.is_select = is_select,
	.is_mark = is_mark,
};
