/*
 * Instructions: the sweep over a function's code. What single ones are and do is the architecture's (arch.h).
 *
 * Price (Linux, arch/x86/kernel/uprobes.c): relative jumps, branches and calls, nops and pushes are
 * emulated in the breakpoint's handler; the rest is executed out of line under single-step. Not
 * probed at all: segment and LOCK prefixes, VEX and EVEX, three-byte opcodes, privileged and I/O
 * instructions. Kernels differ a little in that list; the one here is the strictest of them.
 */
#include <errno.h>
#include <string.h>

#include "binary/insn.h"
#include "binary/internal.h"

#define CODE_MAX (16u << 20)

/* ---- the price of a probe ---- */

static bool is_prefix(uint8_t c)
{
	return c == 0x66 || c == 0x67 || c == 0x64 || c == 0x65 || c == 0xf2 || c == 0xf3;
}

static bool in_ranges(uint8_t c, const uint8_t (*r)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i][0] && c <= r[i][1])
			return true;
	return false;
}

static bool one_byte_refused(uint8_t c)
{
	static const uint8_t bad[][2] = {
	    {0x06, 0x07}, {0x0e, 0x0e}, {0x16, 0x17}, {0x1e, 0x1f}, {0x26, 0x27}, {0x2e, 0x2f},
	    {0x36, 0x37}, {0x3e, 0x3f}, {0x60, 0x62}, {0x6c, 0x6f}, {0x82, 0x82}, {0x8e, 0x8e},
	    {0x9a, 0x9a}, {0xc4, 0xc5}, {0xcc, 0xcf}, {0xd4, 0xd6}, {0xe0, 0xe7}, {0xea, 0xea},
	    {0xec, 0xf1}, {0xf4, 0xf4}, {0xfa, 0xfb},
	};
	return in_ranges(c, bad, ARRAY_SIZE(bad));
}

static bool two_byte_refused(uint8_t c)
{
	static const uint8_t bad[][2] = {
	    {0x00, 0x0e}, {0x18, 0x18}, {0x24, 0x27}, {0x30, 0x30}, {0x34, 0x3f}, {0x78, 0x7d},
	    {0xa6, 0xa7}, {0xae, 0xae}, {0xb8, 0xb8}, {0xd0, 0xd0}, {0xf0, 0xf0}, {0xff, 0xff},
	};
	return in_ranges(c, bad, ARRAY_SIZE(bad));
}

static bool emulated(const unsigned char *p, size_t len, size_t prefixes, uint8_t rex)
{
	const unsigned char *o = p + prefixes;

	if (o[0] == 0x90 && !rex)
		return true;
	if (o[0] >= 0x50 && o[0] <= 0x57)
		return len == 1 || (len == 2 && rex == 0x41);
	if (prefixes)
		return false;
	if (o[0] == 0xeb || o[0] == 0xe9 || o[0] == 0xe8 || (o[0] & 0xf0) == 0x70)
		return true;
	return o[0] == 0x0f && len > 1 && (o[1] & 0xf0) == 0x80;
}

uint8_t insn_price(const unsigned char *p, size_t len)
{
	static const unsigned char nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
	bool wide = false;
	uint8_t rex = 0;
	size_t n = 0;

	while (n < len && is_prefix(p[n]))
		wide |= p[n++] == 0x66;
	if (n < len && (p[n] & 0xf0) == 0x40)
		rex = p[n++];
	if (n == len)
		return INSN_REFUSED;
	if (p[n] == 0x0f ? n + 1 == len || two_byte_refused(p[n + 1]) : one_byte_refused(p[n]))
		return INSN_REFUSED;
	if (wide && (p[n] == 0xe8 || p[n] == 0xe9))
		return INSN_REFUSED;
	if (len == sizeof(nop5) && !memcmp(p, nop5, len))
		return PRICE_NOP5;
	return emulated(p, len, n, rex) ? PRICE_EMULATED : PRICE_STEPPED;
}

/* ---- the sweep ---- */

void disasm_make(const struct arch *arch, const unsigned char *bytes, uint64_t size, uint64_t addr, struct disasm *ret)
{
	struct disasm c = {.arch = arch, .bytes = bytes, .addr = addr, .size = size};
	VEC(struct insn) v = {0};
	struct insn i;

	for (uint64_t off = 0; off < size; off += i.len) {
		if (!arch->decode(&c, off, &i)) {
			c.bad = addr + off;
			break;
		}
		i.price = insn_price(bytes + off, i.len);
		vec_push(&v, i);
	}
	c.insns = v.data;
	c.n = v.len;
	*ret = c;
}

void disasm_done(struct disasm *c)
{
	if (!c->users || --*c->users == 0) {
		free(c->users);
		free(c->insns);
	}
	c->users = NULL;
	c->insns = NULL;
	c->n = 0;
}

const struct insn *disasm_at(const struct disasm *c, uint64_t addr)
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

bool disasm_contains(const struct disasm *c, uint64_t addr)
{
	return addr >= c->addr && addr - c->addr < c->size;
}

/* The last one is kept: a function's entry, returns and signature are asked for one after the other. */
int func_disasm(struct binary *b, const struct func *f, struct disasm *ret, struct err *err)
{
	struct disasm *last = &b->last_code;
	const void *p;

	if (f->end <= f->entry || f->end - f->entry > CODE_MAX)
		return err_set(err, -EPROTO, "%s has no usable extent (%#llx to %#llx)", f->name,
		               (unsigned long long)f->entry, (unsigned long long)f->end);
	p = image_at(&b->img, f->entry, f->end - f->entry);
	if (!p)
		return err_set(err, -EPROTO, "the code of %s at %#llx is not in the file", f->name,
		               (unsigned long long)f->entry);
	if (!last->users || last->addr != f->entry || last->size != f->end - f->entry) {
		disasm_done(last);
		disasm_make(b->img.arch, p, f->end - f->entry, f->entry, last);
		last->users = xcalloc(1, sizeof(*last->users));
		*last->users = 1;
	}
	*ret = *last;
	++*ret->users;
	return 0;
}

/* ---- what the architecture says ---- */

bool insn_effect(const struct disasm *c, const struct insn *i, struct insn_effect *ret)
{
	return c->arch->effect(c, i, ret);
}

bool insn_is_tail(const struct disasm *c, const struct insn *i)
{
	struct insn_effect e;

	if (i->kind == INSN_JUMP || i->kind == INSN_BRANCH)
		return !disasm_contains(c, i->target);
	return i->kind == INSN_JUMP_INDIRECT && insn_effect(c, i, &e) && !(e.has_mem && e.mem_indexed);
}

void insn_text(const struct disasm *c, const struct insn *i, char *buf, size_t size)
{
	c->arch->text(c, i, buf, size);
}

void disasm_prologue(const struct disasm *c, struct prologue *ret)
{
	c->arch->prologue(c, ret);
}
