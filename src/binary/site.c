/*
 * Where a probe goes.
 *
 * Entry: control comes from the function's first instruction in a straight line. The site is the
 * cheapest instruction on that line of which this holds: nothing before it writes an argument
 * register, stores anywhere but below SP at entry, or can fault; and no jump leads to it or between
 * the entry and it. (The jump with which a grown stack returns to the entry runs the check again,
 * then comes past the site once.) The usual winners are `push rbp` after the stack check, and,
 * where the compiler saves the frame pointer with a mov (before Go 1.21), the check's own branch:
 * when that is about to be taken the hit is ignored, for the function will be entered again.
 *
 * Return: every RET. A tail jump to another function returns for this one and is not seen; SP there
 * is what it was at entry.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/insn.h"
#include "binary/internal.h"

#define LINE_MAX_INSNS 24

/* General registers that carry arguments, the closure's context and the goroutine, and the return address. */
static uint32_t live_at_entry(const struct arch *a)
{
	uint32_t live = 1u << a->context | 1u << a->g;

	for (size_t i = 0; i < a->nint_args; i++)
		live |= 1u << a->int_args[i];
	return a->link == REG_NONE ? live : live | 1u << a->link;
}

struct line {
	const struct disasm *code;
	struct prologue prologue;
	uint32_t live, live_float; /* registers that must keep what they hold */
	uint64_t first_target; /* lowest address after the entry that a jump leads to */
	int32_t sp_delta;      /* at the instruction looked at */
	uint32_t rank;         /* of the best so far */
	size_t best;
	int32_t best_delta;
};

static int write_site(struct binary *b, const struct disasm *c, const struct insn *i,
                      enum site_kind kind, struct site *ret)
{
	struct site s = {.addr = i->addr, .kind = kind, .price = (enum site_price)i->price};

	if (!image_offset(&b->img, i->addr, &s.offset))
		return -EPROTO;
	insn_text(c, i, s.insn, sizeof(s.insn));
	*ret = s;
	return 0;
}

/* Where jumps lead to. False when one other than morestack's goes to the entry: it would fire
 * again. */
static bool scan_targets(struct line *l)
{
	const struct disasm *c = l->code;

	l->first_target = UINT64_MAX;
	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (!i->target || i->kind == INSN_CALL || !disasm_contains(c, i->target))
			continue;
		if (i->target == c->addr &&
		    !(l->prologue.checked && i->addr == l->prologue.restart))
			return false;
		if (i->target > c->addr && i->target < l->first_target)
			l->first_target = i->target;
	}
	return true;
}

/* Cheapest first; at one price, no flags to test, then the place next to the stack check. */
static void consider(struct line *l, size_t k)
{
	const struct insn *i = &l->code->insns[k];
	bool check = l->prologue.checked && k <= l->prologue.check;
	size_t after = l->prologue.checked ? l->prologue.check + 1 : 0;
	uint32_t rank = (uint32_t)i->price * 4;

	if (i->price == INSN_REFUSED || i->kind == INSN_TRAP)
		return;
	if (check && (k != l->prologue.check || !l->code->arch->taken_flags(i->cond)))
		return;
	if (check)
		rank += 1;
	else if (k != after)
		rank += 2;
	if (rank >= l->rank)
		return;
	l->rank = rank;
	l->best = k;
	l->best_delta = l->sp_delta;
}

/* Whether the site may lie after i. */
static bool passes(struct line *l, size_t k)
{
	const struct insn *i = &l->code->insns[k];
	struct insn_effect e;

	if (l->prologue.checked && k <= l->prologue.check && i->kind == INSN_BRANCH)
		return true;
	if (i->kind != INSN_PLAIN || !insn_effect(l->code, i, &e))
		return false;
	if ((e.written & l->live) || (e.written_float & l->live_float))
		return false;
	if (e.may_fault || !e.sp_known)
		return false;
	if (e.stores && e.what != EFFECT_PUSH &&
	    (!e.has_mem || e.mem_base != l->code->arch->sp || e.mem_indexed || e.mem_disp < 0 ||
	     e.mem_disp + e.mem_size > l->sp_delta))
		return false;
	l->sp_delta -= e.sp_change;
	return l->sp_delta >= 0;
}

/*
 * The check's own instructions precede the branch; a plain write of SP there is impossible, so the
 * delta stays 0 up to the first instruction after it.
 */
static void walk(struct line *l)
{
	const struct disasm *c = l->code;
	size_t end = MIN(c->n, (l->prologue.checked ? l->prologue.check + 1 : 0) + LINE_MAX_INSNS);

	for (size_t k = 0; k < end; k++) {
		if (c->insns[k].addr >= l->first_target)
			break;
		consider(l, k);
		if (!passes(l, k))
			break;
	}
}

static int refuse_code(const struct func *f, const struct disasm *c, struct err *err)
{
	char g[ARCH_REGISTER_TEXT];

	arch_register_text(c->arch, c->arch->g, g);
	if (f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA))
		return err_set(err, -ENOTSUP,
		               "%s is written in assembly or not in Go: %s need not hold "
		               "the goroutine there; probe a Go function that calls it",
		               f->name, g);
	if (c->bad)
		return err_set(err, -EPROTO,
		               "the code of %s does not decode at %#" PRIx64
		               ", so its jumps are not known",
		               f->name, c->bad);
	return 0;
}

static int find_entry(struct binary *b, const struct func *f, const struct disasm *c,
                      struct site *ret, struct err *err)
{
	struct line l = {.code = c, .rank = UINT32_MAX, .live = live_at_entry(c->arch),
			 .live_float = (1u << c->arch->nfloat_args) - 1};
	struct site s;
	int r = refuse_code(f, c, err);

	if (r)
		return r;
	disasm_prologue(c, &l.prologue);
	if (l.prologue.abi0)
		return err_set(err, -ENOTSUP,
		               "%s at %#" PRIx64 " is %s", f->name, f->entry, binary_abi0_text(b, f));
	if (!scan_targets(&l))
		return err_set(err, -ENOTSUP,
		               "%s jumps back to its own entry, so a probe there would "
		               "fire more than once a call",
		               f->name);
	walk(&l);
	if (l.rank == UINT32_MAX)
		return err_set(err, -ENOTSUP,
		               "no instruction at the entry of %s can carry a probe with "
		               "the arguments still in place",
		               f->name);
	r = write_site(b, c, &c->insns[l.best], SITE_ENTRY, &s);
	if (r)
		return err_set(err, r, "the entry of %s is not in the file", f->name);
	if (l.prologue.checked && l.best == l.prologue.check)
		s.flags_skip = c->arch->taken_flags(c->insns[l.best].cond);
	s.sp_delta = l.best_delta;
	*ret = s;
	return 0;
}

int binary_entry_site(struct binary *b, const struct func *f, struct site *ret, struct err *err)
{
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	if (r)
		return r;
	r = find_entry(b, f, &c, ret, err);
	disasm_done(&c);
	return r;
}

int binary_site_at(struct binary *b, const struct func *f, uint64_t pc, struct site *ret,
                   struct err *err)
{
	const struct insn *i;
	struct disasm c;
	struct site s;
	int r = func_disasm(b, f, &c, err);

	if (r)
		return r;
	r = refuse_code(f, &c, err);
	i = r ? NULL : disasm_at(&c, pc);
	if (!r && !i)
		r = err_set(err, -EINVAL, "no instruction of %s begins at %#" PRIx64, f->name, pc);
	else if (!r && i->price == INSN_REFUSED)
		r = err_set(err, -ENOTSUP,
		            "the instruction at %#" PRIx64 " in %s cannot carry a probe", pc,
		            f->name);
	else if (!r && write_site(b, &c, i, SITE_ENTRY, &s))
		r = err_set(err, -EPROTO, "%#" PRIx64 " in %s is not in the file", pc, f->name);
	disasm_done(&c);
	if (r)
		return r;
	if (!func_sp_delta(b, f, pc, &s.sp_delta))
		return err_set(err, -EPROTO, "the binary does not say where SP is at %#" PRIx64
		               " in %s", pc, f->name);
	*ret = s;
	return 0;
}

/* ---- ways out ---- */

struct exits {
	size_t rets, tails, refused;
	uint64_t target; /* of a direct jump out, 0 if all are indirect */
};

static struct exits count_exits(const struct disasm *c)
{
	struct exits x = {0};

	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_RET)
			x.rets++;
		if (i->kind == INSN_RET && i->price == INSN_REFUSED)
			x.refused++;
		if (!insn_is_tail(c, i))
			continue;
		x.tails++;
		if (i->target)
			x.target = i->target;
	}
	return x;
}

static int refuse_tails(const struct binary *b, const struct func *f, const struct exits *x,
                        struct err *err)
{
	struct func to;

	if (x->target && binary_func_at(b, x->target, &to))
		return err_set(err, -ENOTSUP,
		               "%s %sleaves by a jump to %s, so its return cannot be seen; probe "
		               "%s",
		               f->name, x->rets ? "sometimes " : "", to.name, to.name);
	return err_set(err, -ENOTSUP,
	               "%s %sleaves by a jump to another function, so its return cannot be seen; "
	               "probe the function it jumps to",
	               f->name, x->rets ? "sometimes " : "");
}

static int refuse_exits(const struct binary *b, const struct func *f, const struct exits *x,
                        struct err *err)
{
	if (x->rets && !x->refused)
		return 0;
	if (x->refused)
		return err_set(err, -ENOTSUP,
		               "%s returns with an instruction that cannot carry a probe", f->name);
	if (x->tails)
		return refuse_tails(b, f, x, err);
	return err_set(err, -ENOENT, "%s never returns", f->name);
}

int binary_returns_complete(struct binary *b, const struct func *f, struct err *err)
{
	struct exits x = {0};
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	if (r)
		return r;
	r = refuse_code(f, &c, err);
	if (!r)
		x = count_exits(&c);
	disasm_done(&c);
	return x.tails ? refuse_tails(b, f, &x, err) : r;
}

static int find_returns(struct binary *b, const struct func *f, const struct disasm *c,
                        const struct site **ret, size_t *ret_n, struct err *err)
{
	struct exits x = count_exits(c);
	struct site *sites;
	size_t n = 0;
	int r = refuse_code(f, c, err);

	if (!r)
		r = refuse_exits(b, f, &x, err);
	if (r)
		return r;
	sites = arena_array(&b->arena, struct site, x.rets);
	for (size_t k = 0; k < c->n; k++)
		if (c->insns[k].kind == INSN_RET &&
		    write_site(b, c, &c->insns[k], SITE_RETURN, &sites[n++]))
			return err_set(err, -EPROTO, "a return of %s is not in the file", f->name);
	*ret = sites;
	*ret_n = n;
	return 0;
}

int binary_return_sites(struct binary *b, const struct func *f, const struct site **ret,
                        size_t *ret_n, struct err *err)
{
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	if (r)
		return r;
	r = find_returns(b, f, &c, ret, ret_n, err);
	disasm_done(&c);
	return r;
}
