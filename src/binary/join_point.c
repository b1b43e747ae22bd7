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

/* Registers that carry arguments, the closure's context (RDX) and the goroutine. */
#define LIVE_AT_ENTRY                                                                              \
	(1u << GPR_RAX | 1u << GPR_RBX | 1u << GPR_RCX | 1u << GPR_RDI | 1u << GPR_RSI |           \
	 1u << GPR_R8 | 1u << GPR_R9 | 1u << GPR_R10 | 1u << GPR_R11 | 1u << GPR_RDX |             \
	 1u << GPR_R14)
#define LIVE_XMM 0x7fffu

struct line {
	const struct code *code;
	struct prologue prologue;
	uint64_t first_target; /* lowest address after the entry that a jump leads to */
	int32_t sp_delta;      /* at the instruction looked at */
	struct spot spots[LINE_MAX_INSNS + 1];
	size_t n;
};

/* Bits of the low flags byte of which any set makes the branch taken; 0 for other conditions. */
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

/* Where jumps lead to. False when one other than morestack's goes to the entry: it would fire
 * again. */
static bool scan_targets(struct line *l)
{
	const struct code *c = l->code;

	l->first_target = UINT64_MAX;
	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (!i->target || i->kind == INSN_CALL || !code_contains(c, i->target))
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

	if (i->kind == INSN_TRAP || (check && (k != l->prologue.check || !taken_flags(i->cond))))
		return;
	l->spots[l->n++] = (struct spot){.offset = (uint32_t)(i->addr - l->code->addr),
					 .sp_delta = l->sp_delta,
					 .len = i->len,
					 .flags_skip = check ? taken_flags(i->cond) : 0,
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
	if ((e.written & LIVE_AT_ENTRY) || (e.written_xmm & LIVE_XMM))
		return false;
	if (e.may_fault || !e.sp_known)
		return false;
	if (e.stores && e.what != EFFECT_PUSH &&
	    (!e.has_mem || e.mem_base != GPR_RSP || e.mem_indexed || e.mem_disp < 0 ||
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
	const struct code *c = l->code;
	size_t end = MIN(c->n, (l->prologue.checked ? l->prologue.check + 1 : 0) + LINE_MAX_INSNS);

	for (size_t k = 0; k < end; k++) {
		if (c->insns[k].addr >= l->first_target)
			break;
		consider(l, k);
		if (!passes(l, k))
			break;
	}
}

int code_refused(const struct func *f, const struct code *c, struct err *err)
{
	if (f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA))
		return err_set(err, -ENOTSUP,
		               "%s is written in assembly or not in Go: R14 need not hold "
		               "the goroutine there; probe a Go function that calls it",
		               f->name);
	if (c->bad)
		return err_set(err, -EPROTO,
		               "the code of %s does not decode at %#" PRIx64
		               ", so its jumps are not known",
		               f->name, c->bad);
	return 0;
}

static int find_entry(struct binary *b, const struct func *f, const struct code *c, struct join_point *ret,
		      struct err *err)
{
	struct line l = {.code = c};
	int r = code_refused(f, c, err);

	if (r)
		return r;
	code_prologue(c, &l.prologue);
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
	struct code c;
	int r = func_code(b, f, &c, err);

	*ret = (struct join_point){.kind = JOIN_ENTRY, .func = f->index};
	if (r)
		return r;
	r = find_entry(b, f, &c, ret, err);
	code_done(&c);
	return r;
}

/* ---- ways out ---- */

struct exits {
	size_t rets, tails;
	uint64_t target; /* of a direct jump out, 0 if all are indirect */
};

/*
 * An indirect jump goes through a jump table, which the compiler reads with an index, or to the
 * function whose address a register or a field holds.
 */
static bool is_tail(const struct code *c, const struct insn *i)
{
	struct insn_effect e;

	if (i->kind == INSN_JUMP || i->kind == INSN_BRANCH)
		return !code_contains(c, i->target);
	return i->kind == INSN_JUMP_INDIRECT &&
	       (!insn_effect(c, i, &e) || !(e.has_mem && e.mem_indexed));
}

static struct exits count_exits(const struct code *c)
{
	struct exits x = {0};

	for (size_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (i->kind == INSN_RET)
			x.rets++;
		if (!is_tail(c, i))
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
	struct code c;
	int r = func_code(b, f, &c, err);

	if (r)
		return r;
	r = code_refused(f, &c, err);
	if (!r)
		x = count_exits(&c);
	code_done(&c);
	return x.tails ? refuse_tails(b, f, &x, err) : r;
}

static int find_returns(struct binary *b, const struct func *f, const struct code *c, struct join_point *ret,
			struct err *err)
{
	struct exits x = count_exits(c);
	struct spot *spots;
	uint32_t n = 0;
	int r = code_refused(f, c, err);

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
	struct code c;
	int r = func_code(b, f, &c, err);

	*ret = (struct join_point){.kind = JOIN_RETURN, .func = f->index};
	if (r)
		return r;
	r = find_returns(b, f, &c, ret, err);
	code_done(&c);
	return r;
}

/* ---- text ---- */

bool binary_insn_text(struct binary *b, uint64_t addr, char *buf, size_t size)
{
	const struct insn *i;
	struct func f;
	struct code c;

	if (!binary_func_at(b, addr, &f) || func_code(b, &f, &c, NULL))
		return false;
	i = code_at(&c, addr);
	if (i)
		insn_text(&c, i, buf, size);
	code_done(&c);
	return i;
}
