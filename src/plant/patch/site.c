/*
 * Strict sites. A patch changes bytes of exactly one instruction, so that whatever program counter is saved
 * anywhere (a preempted goroutine, a signal frame, a jump table, a return address) stays valid: it points to
 * the beginning of the changed instruction, and then the jump is taken, or to an unchanged one. Neither the
 * goroutines nor the jumps of the function need to be looked at for safety, only for counting.
 *
 * A jump has five bytes. An instruction of five or more is simply overwritten. One of four is overwritten up
 * to its end, and the jump's fifth byte, the highest of its displacement, is the byte that lies there already:
 * the trampoline is put into the 16 MiB window that this value means (the pun):
 *	49 3b 66 10 | 76      cmp rsp, [r14+16]; jbe rel8     site + 0x76......
 *	49 3b 66 10 | 0f      … jbe rel32                     site + 0x0f......
 *	48 83 c4 xx | 5d      add rsp, imm8; pop rbp          site + 0x5d......
 *
 * Entry. The stack check is taken over whole, with its branch to the function's own morestack block; the
 * event is recorded when the check passed, so a grown stack is not counted twice. A function without a check
 * has its first instruction taken over, or the `sub rsp` behind `push rbp; mov rbp, rsp`.
 * Return. A straight line of movable instructions that ends in the ret and begins with one that can become a
 * jump: normally the epilogue. The trampoline returns by itself.
 *
 * Moved instructions run at another address, where the runtime knows no function: they must not refer to RIP
 * and must not fault (the runtime would take a nil dereference there for a crash).
 */
#include "plant/patch/site.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "binary/insn.h"

#define RETURN_LINE 4  /* instructions, with the ret, that are taken gladly … */
#define RETURN_MAX 16  /* … and at most, where those give no place, or none above the program */

struct analysis {
	struct binary *b;
	const struct func *f;
	struct disasm code;
	struct prologue prologue;
	bool indirect; /* has a jump table, or jumps through a register */
};

bool patch_reaches(const struct patch_site *s, uint64_t to)
{
	int64_t d = (int64_t)(to - (s->addr + PATCH_JUMP));

	if (d < INT32_MIN || d > INT32_MAX)
		return false;
	return !patch_punned(s) || (uint8_t)((uint32_t)d >> 24) == s->pun;
}

static const unsigned char *bytes_at(const struct analysis *a, uint64_t addr)
{
	return a->code.bytes + (addr - a->code.addr);
}

static int refuse(const struct analysis *a, struct err *err, const char *why)
{
	return err_set(err, -ENOTSUP, "%s cannot be patched in the process: %s", a->f->name, why);
}

/* div and idiv trap; nothing else that a register alone can do does. */
static bool divides(const struct analysis *a, const struct insn *i)
{
	const unsigned char *p = bytes_at(a, i->addr);
	size_t n = 0;

	while (n < i->len && (p[n] == 0x66 || (p[n] & 0xf0) == 0x40))
		n++;
	return n + 1 < i->len && (p[n] == 0xf6 || p[n] == 0xf7) && (p[n + 1] >> 3 & 7) >= 6;
}

static bool movable(const struct analysis *a, const struct insn *i)
{
	struct insn_effect e;

	if (i->kind != INSN_PLAIN || !insn_effect(&a->code, i, &e) || e.may_fault ||
	    divides(a, i))
		return false;
	return !e.mem_tls && !(e.has_mem && e.mem_base == 0xff);
}

/* Whether a direct jump of the function leads into (from, to], other than morestack's return. */
static bool jumped_to(const struct analysis *a, uint64_t from, uint64_t to)
{
	for (size_t k = 0; k < a->code.n; k++) {
		const struct insn *i = &a->code.insns[k];

		if (i->kind == INSN_CALL || !i->target || i->target <= from || i->target > to)
			continue;
		if (!(a->prologue.checked && i->addr == a->prologue.restart))
			return true;
	}
	return false;
}

/* The instruction at i becomes the jump. False when it is too short. */
static bool take_place(const struct analysis *a, const struct insn *i, struct patch_site *s)
{
	if (i->len + 1 < PATCH_JUMP || i->addr - a->code.addr + PATCH_JUMP > a->code.size)
		return false;
	s->addr = i->addr;
	s->len = i->len;
	memcpy(s->old, bytes_at(a, i->addr), PATCH_JUMP);
	s->pun = s->old[PATCH_JUMP - 1];
	return true;
}

static bool move(const struct analysis *a, uint64_t from, uint64_t to, unsigned char *bytes, uint8_t *n)
{
	if (to - from > PATCH_MOVED_MAX)
		return false;
	*n = (uint8_t)(to - from);
	memcpy(bytes, bytes_at(a, from), to - from);
	return true;
}

/* ---- entry ---- */

static int checked_entry(const struct analysis *a, struct patch_site *s, struct err *err)
{
	const struct insn *branch = &a->code.insns[a->prologue.check], *first = a->code.insns;

	for (const struct insn *i = first; i < branch; i++)
		if (i->kind != INSN_PLAIN)
			return refuse(a, err, "its frame is so large that its stack check has two branches");
	if (!take_place(a, first, s))
		return refuse(a, err, "its stack check begins with an instruction that is too short for a jump");
	if (jumped_to(a, a->code.addr - 1, branch->addr))
		return refuse(a, err, "it jumps back to its own entry, which would count more than once a call");
	if (!move(a, first->addr, branch->addr, s->before, &s->nbefore))
		return refuse(a, err, "its stack check is too long");
	s->checked = true;
	s->cond = branch->cond;
	s->morestack = a->prologue.morestack;
	s->resume = branch->addr + branch->len;
	return 0;
}

/* push rbp; mov rbp, rsp (48 89 e5) in front of what follows. */
static const struct insn *behind_frame_pointer(const struct analysis *a)
{
	const struct insn *i = a->code.insns;
	static const unsigned char mov[] = {0x48, 0x89, 0xe5};

	if (a->code.n < 4 || i[0].len != 1 || *bytes_at(a, i[0].addr) != 0x55 || i[1].len != sizeof(mov) ||
	    memcmp(bytes_at(a, i[1].addr), mov, sizeof(mov)))
		return NULL;
	return &i[2];
}

static bool is_sub_rsp(const struct analysis *a, const struct insn *i)
{
	struct insn_effect e;

	return i->kind == INSN_PLAIN && insn_effect(&a->code, i, &e) && e.what == EFFECT_SUB &&
	       e.reg == GPR_RSP && e.sp_known;
}

/* What the first instruction needs nothing of: R12, R13 and the flags are the trampoline's own. */
static int unchecked_entry(const struct analysis *a, struct patch_site *s, struct err *err)
{
	const struct insn *i = behind_frame_pointer(a);

	if (i && is_sub_rsp(a, i))
		s->sp_delta = 8;
	else
		i = a->code.insns;
	if (!a->code.n || !movable(a, i))
		return refuse(a, err,
			      "it has no stack check, and its first instruction cannot run elsewhere (it may fault, "
			      "jumps or refers to its own address)");
	if (!take_place(a, i, s))
		return refuse(a, err,
			      "it has no stack check, and its first instruction is too short for a jump");
	if (jumped_to(a, a->code.addr - 1, i->addr))
		return refuse(a, err, "it jumps back to its own entry, which would count more than once a call");
	move(a, i->addr, i->addr + i->len, s->after, &s->nafter);
	s->resume = i->addr + i->len;
	return 0;
}

/* ---- return ---- */

static bool is_epilogue(const struct analysis *a, const struct insn *i)
{
	struct insn_effect e;

	if (!insn_effect(&a->code, i, &e))
		return false;
	if (e.what == EFFECT_MOVE && e.loads && e.reg == GPR_RBP && e.mem_base == GPR_RSP)
		return true;
	return !e.has_mem && e.reg == GPR_RSP && e.sp_known && e.sp_change > 0;
}

/* 0 is best. A pun with the highest bit set means a window below the program, where there often is no room. */
static int rank_of(const struct patch_site *s)
{
	return !patch_punned(s) ? 0 : s->pun < 0x80 ? 1 : 2;
}

/* What stands in the way when nothing was found. */
static const char *no_return_site(bool joined, bool indirect)
{
	if (joined)
		return "a jump leads into the instructions before one of its returns";
	if (indirect)
		return "it has a jump table, which may lead into the instructions before one of its returns";
	return "no instruction before one of its returns is long enough for a jump and can run elsewhere";
}

/*
 * The second instruction of a function cannot become a jump beside the first, when that one's jump ends in its first
 * byte: then the first is the place of both.
 */
static void make_way_for_entry(const struct analysis *a, const struct insn *ret, struct patch_site *s)
{
	const struct insn *first = a->code.insns;
	struct patch_site here = *s;

	if (a->prologue.checked || first->len >= PATCH_JUMP || s->addr != first->addr + first->len ||
	    !movable(a, first) || jumped_to(a, first->addr, ret->addr))
		return;
	if (take_place(a, first, &here) && move(a, first->addr, ret->addr, here.before, &here.nbefore))
		*s = here;
}

static int return_of(const struct analysis *a, const struct insn *ret, struct patch_site *s, struct err *err)
{
	bool joined = false, indirect = false;
	int best = 3;

	if (ret->len != 1)
		return refuse(a, err, "it does not return with a plain ret");
	for (const struct insn *i = ret; i > a->code.insns && best > (ret - i < RETURN_LINE ? 0 : 1) &&
					 ret - i < RETURN_MAX;) {
		struct patch_site here = *s;

		i--;
		joined = jumped_to(a, i->addr, ret->addr);
		if (joined || !movable(a, i))
			break;
		if (!take_place(a, i, &here) || !move(a, i->addr, ret->addr, here.before, &here.nbefore))
			continue;
		indirect = a->indirect && !is_epilogue(a, i);
		if (indirect || rank_of(&here) >= best)
			continue;
		best = rank_of(&here);
		*s = here;
	}
	if (best < 3)
		make_way_for_entry(a, ret, s);
	return best < 3 ? 0 : refuse(a, err, no_return_site(joined, indirect));
}

/* ---- both ---- */

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool runtime_package(const char *name)
{
	return has_prefix(name, "runtime.") || has_prefix(name, "runtime/internal/") ||
	       has_prefix(name, "internal/runtime/");
}

static int check_function(struct analysis *a, const struct patch_exclusion *x, struct err *err)
{
	const char *why = x ? patch_excluded(x, a->f) : NULL;

	if (a->f->flags & FUNC_NO_FUNCDATA)
		return refuse(a, err, "it is not Go code (cgo or the like): R14 is not the goroutine there");
	if (a->f->flags & FUNC_ASM)
		return refuse(a, err, "it is written in assembly: R14 need not be the goroutine there");
	if (why)
		return refuse(a, err, why);
	if (a->code.bad)
		return err_set(err, -EPROTO, "the code of %s does not decode at %#" PRIx64, a->f->name, a->code.bad);
	disasm_prologue(&a->code, &a->prologue);
	if (a->prologue.abi0)
		return err_set(err, -ENOTSUP, "%s cannot be patched in the process: it is %s", a->f->name,
			       binary_abi0_text(a->b, a->f));
	if (runtime_package(a->f->name) && !a->prologue.checked)
		return refuse(a, err, "it is part of the runtime that runs without a stack check");
	for (size_t k = 0; k < a->code.n; k++)
		a->indirect |= a->code.insns[k].kind == INSN_JUMP_INDIRECT;
	return 0;
}

static int analysis_begin(struct binary *b, const struct patch_exclusion *x, const struct func *f,
			  struct analysis *a, struct err *err)
{
	int r;

	*a = (struct analysis){.b = b, .f = f};
	r = func_disasm(b, f, &a->code, err);
	return r ? r : check_function(a, x, err);
}

int patch_entry_site(struct binary *b, const struct patch_exclusion *x, const struct func *f,
		     struct patch_site *ret, struct err *err)
{
	struct patch_site s = {.kind = SITE_ENTRY};
	struct analysis a;
	int r = analysis_begin(b, x, f, &a, err);

	if (!r)
		r = a.prologue.checked ? checked_entry(&a, &s, err) : unchecked_entry(&a, &s, err);
	disasm_done(&a.code);
	if (!r)
		*ret = s;
	return r;
}

int patch_return_site(struct binary *b, const struct patch_exclusion *x, const struct func *f,
		      uint64_t ret_addr, struct patch_site *ret, struct err *err)
{
	struct patch_site s = {.kind = SITE_RETURN};
	const struct insn *i;
	struct analysis a;
	int r = analysis_begin(b, x, f, &a, err);

	i = r ? NULL : disasm_at(&a.code, ret_addr);
	if (!r && (!i || i->kind != INSN_RET))
		r = err_set(err, -EINVAL, "there is no return of %s at %#" PRIx64, f->name, ret_addr);
	if (!r)
		r = return_of(&a, i, &s, err);
	disasm_done(&a.code);
	if (!r)
		*ret = s;
	return r;
}
