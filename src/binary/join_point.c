/*
 * Which instructions stand for an entry or a return; which of them a probe is put on is the planter's to say.
 *
 * Entry: control comes from the function's first instruction in a straight line. The spots are the
 * instructions on that line of which this holds: nothing before it writes an argument
 * register, stores anywhere but below SP at entry, or can fault; and no jump leads to it or between
 * the entry and it. (The jump with which a grown stack returns to the entry runs the check again,
 * then comes past the spot once.) `push rbp` after the stack check is one as a rule, and so is
 * the check's own branch: when that is about to be taken, the function will be entered again.
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
	struct spot spots[LINE_MAX_INSNS + 1];
	size_t n;
};

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

/* Liked best: no flags to test, next to the stack check. */
static void consider(struct line *l, size_t k)
{
	const struct insn *i = &l->code->insns[k];
	bool check = l->prologue.checked && k <= l->prologue.check;
	size_t after = l->prologue.checked ? l->prologue.check + 1 : 0;

	if (i->kind == INSN_TRAP || (check && (k != l->prologue.check || !l->code->arch->taken_flags(i->cond))))
		return;
	l->spots[l->n++] = (struct spot){.offset = (uint32_t)(i->addr - l->code->addr),
					 .sp_delta = l->sp_delta,
					 .len = i->len,
					 .flags_skip = check ? l->code->arch->taken_flags(i->cond) : 0,
					 .rank = check ? 1 : k == after ? 0 : 2};
}

/* Whether there may be spots after i. */
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

int disasm_refused(const struct func *f, const struct disasm *c, struct err *err)
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

static int find_entry(struct binary *b, const struct func *f, const struct disasm *c, struct join_point *ret,
		      struct err *err)
{
	struct line l = {.code = c, .live = live_at_entry(c->arch), .live_float = (1u << c->arch->nfloat_args) - 1};
	int r = disasm_refused(f, c, err);

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
	if (!l.n)
		return err_set(err, -ENOTSUP,
			       "no instruction at the entry of %s can carry a probe with the arguments still in place",
			       f->name);
	ret->spots = arena_memdup(&b->arena, l.spots, l.n * sizeof(*l.spots));
	ret->nspots = (uint32_t)l.n;
	return 0;
}

int join_point_entry(struct binary *b, const struct func *f, struct join_point *ret, struct err *err)
{
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	*ret = (struct join_point){.kind = JOIN_ENTRY, .func = f->index};
	if (r)
		return r;
	r = find_entry(b, f, &c, ret, err);
	disasm_done(&c);
	return r;
}

/* ---- ways out ---- */

struct exits {
	size_t rets, tails;
	uint64_t target; /* of a direct jump out, 0 if all are indirect */
};

static struct exits count_exits(const struct disasm *c)
{
	struct exits x = {0};

	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_RET)
			x.rets++;
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
	if (x->rets)
		return 0;
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
	r = disasm_refused(f, &c, err);
	if (!r)
		x = count_exits(&c);
	disasm_done(&c);
	return x.tails ? refuse_tails(b, f, &x, err) : r;
}

static int find_returns(struct binary *b, const struct func *f, const struct disasm *c, struct join_point *ret,
			struct err *err)
{
	struct exits x = count_exits(c);
	struct spot *spots;
	uint32_t n = 0;
	int r = disasm_refused(f, c, err);

	if (!r)
		r = refuse_exits(b, f, &x, err);
	if (r)
		return r;
	spots = arena_array(&b->arena, struct spot, x.rets);
	for (size_t k = 0; k < c->n; k++)
		if (c->insns[k].kind == INSN_RET)
			spots[n++] = (struct spot){.offset = (uint32_t)(c->insns[k].addr - c->addr),
						   .len = c->insns[k].len};
	ret->spots = spots;
	ret->nspots = n;
	return 0;
}

int join_point_returns(struct binary *b, const struct func *f, struct join_point *ret, struct err *err)
{
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	*ret = (struct join_point){.kind = JOIN_RETURN, .func = f->index};
	if (r)
		return r;
	r = find_returns(b, f, &c, ret, err);
	disasm_done(&c);
	return r;
}

/* ---- text ---- */

bool binary_insn_text(struct binary *b, uint64_t addr, char *buf, size_t size)
{
	const struct insn *i;
	struct func f;
	struct disasm c;

	if (!binary_func_at(b, addr, &f) || func_disasm(b, &f, &c, NULL))
		return false;
	i = disasm_at(&c, addr);
	if (i)
		insn_text(&c, i, buf, size);
	disasm_done(&c);
	return i;
}
