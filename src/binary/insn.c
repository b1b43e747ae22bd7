/*
 * Instructions: the sweep over a function's code. What single ones are and do is the architecture's (arch.h).
 */
#include <errno.h>
#include <string.h>

#include "binary/insn.h"
#include "binary/internal.h"

#define CODE_MAX (16u << 20)

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
