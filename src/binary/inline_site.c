/*
 * Where a probe stands for an inlined call.
 *
 * Go writes no entry address, and the lowest address of an inlined body is not its entry: blocks are laid out by how
 * likely they are, what does not change is computed before a loop (since Go 1.27), and cheap bodies are computed
 * whether they are called or not, the result then being chosen by a select (x86's CMOV; cmd/compile/internal/ssa:
 * layout, licm, branchelim). What cannot move is a branch, a call, a store, and the mark: where a body begins the
 * compiler puts an instruction that stands at the position of the call, which tracebacks need (ssagen: OpInlMark; the
 * tree's parentPc). It is a NOP of its own, or any other instruction of that line that there is anyway.
 *
 * So a site is proved when its basic block D
 *  - comes before everything that is left of the body, but for what was moved out of the loop that D lies in; and
 *  - runs once a call. Either D holds the mark, as a NOP. Or D holds something of the body that cannot move, and no
 *    loop around D is the body's own: each way round it passes a branch or a call that is not of the body. With a NOP
 *    for its mark a body may still be one that is computed without being called: then D must hold something of it
 *    that cannot move, or no select of anybody else. And where nothing of the body itself cannot move, a branch, a call
 *    or a store at the call's own line, in the same block, will do, if there is no such select and D does not lead into
 *    a loop, out of which the body might have been moved.
 *
 * All else is approximate, and is said to be. tests/e2e/inlined.py compares with what was really called.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/flow.h"
#include "binary/inline.h"

#define SPOTS_MAX 8 /* of a block: the first that can carry a probe is taken, so that is plenty */

/* The function that was looked at last: a question asks of all calls that were inlined into it, one after the other. */
struct inline_host {
	struct func func;
	struct disasm code;
	struct flow flow;
	struct inline_tree tree;
	int32_t *call_of;     /* of each instruction: the innermost call */
};

/* One call while it is looked at. */
struct inquest {
	struct binary *binary;
	const struct inline_host *host;
	const struct inlined *what;
	uint32_t mark;        /* the NOP, as an instruction's index; FLOW_NONE if the mark is another instruction */
	uint32_t lowest;      /* instruction of the body */
	VEC(uint32_t) blocks; /* that hold some of the body, in reverse postorder */
	uint8_t *seen;        /* of each block: for walks */
	uint32_t spots[SPOTS_MAX]; /* what was decided on */
	size_t nspots;
};

void inline_host_free(struct inline_host *h)
{
	if (!h)
		return;
	flow_done(&h->flow);
	disasm_done(&h->code);
	inline_tree_done(&h->tree);
	free(h->call_of);
	free(h);
}

static void assign_calls(struct inline_host *h)
{
	size_t r = 0;

	h->call_of = xcalloc(h->code.n + 1, sizeof(*h->call_of));
	for (size_t k = 0; k < h->code.n; k++) {
		while (r < h->tree.ranges.len && h->tree.ranges.data[r].end <= h->code.insns[k].addr)
			r++;
		h->call_of[k] = r < h->tree.ranges.len && h->tree.ranges.data[r].start <= h->code.insns[k].addr
					? h->tree.ranges.data[r].value
					: INLINE_NONE;
	}
}

static int host_get(struct binary *b, const struct func *f, const struct inline_host **ret, struct err *err)
{
	struct inline_host *h = b->inline_host;
	int r;

	if (h && h->func.index == f->index) {
		*ret = h;
		return 0;
	}
	inline_host_free(h);
	b->inline_host = h = xcalloc(1, sizeof(*h));
	h->func = *f;
	h->func.index = UINT32_MAX; /* until it is whole */
	r = func_disasm(b, f, &h->code, err);
	if (r)
		return r;
	inline_tree_read(b, f, &h->tree);
	assign_calls(h);
	flow_make(b, &h->code, &h->flow);
	h->func.index = f->index;
	*ret = h;
	return 0;
}

/* ---- single instructions ---- */

static bool is_body(const struct inquest *q, uint32_t k)
{
	return inline_tree_covers(&q->host->tree, q->host->call_of[k], q->what->index);
}

/* The compiler computes neither earlier nor later than the program says: a branch, a call, a store that is no spill. */
static bool cannot_move(const struct disasm *c, uint32_t k)
{
	const struct insn *i = &c->insns[k];
	struct insn_effect e;

	if (i->kind == INSN_BRANCH || i->kind == INSN_CALL)
		return true;
	return i->kind == INSN_PLAIN && insn_effect(c, i, &e) && e.stores && e.has_mem &&
	       (e.mem_base != c->arch->sp || e.mem_indexed);
}

/* The compiler puts a NOP before this call, too. */
static bool calls_deferreturn(struct binary *b, const struct insn *i)
{
	struct func f;

	return i->kind == INSN_CALL && i->target && binary_func_at(b, i->target, &f) &&
	       !strcmp(f.name, "runtime.deferreturn");
}

/* The mark, where it is a NOP of its own. */
static uint32_t find_mark(struct binary *b, const struct inline_host *h, const struct inlined *i)
{
	const struct insn *at = i->call ? disasm_at(&h->code, i->call) : NULL;
	uint32_t k = at ? (uint32_t)(at - h->code.insns) : FLOW_NONE;

	if (!at || !h->code.arch->is_mark(&h->code, at) || (k + 1 < h->code.n && calls_deferreturn(b, at + 1)))
		return FLOW_NONE;
	return k;
}

/* ---- blocks ---- */

static bool block_has(const struct inquest *q, uint32_t block, bool (*is)(const struct inquest *q, uint32_t k))
{
	const struct flow_block *b = &q->host->flow.blocks[block];

	for (uint32_t k = b->first; k < b->end; k++)
		if (is(q, k))
			return true;
	return false;
}

static bool is_anchor(const struct inquest *q, uint32_t k)
{
	return is_body(q, k) && cannot_move(&q->host->code, k);
}

static bool is_foreign_select(const struct inquest *q, uint32_t k)
{
	const struct disasm *c = &q->host->code;

	return !is_body(q, k) && c->arch->is_select(c, &c->insns[k]);
}

/* Shows that a loop is not the body's own. */
static bool is_witness(const struct inquest *q, uint32_t k)
{
	uint8_t kind = q->host->code.insns[k].kind;

	return (kind == INSN_BRANCH || kind == INSN_CALL || kind == INSN_JUMP_INDIRECT) && !is_body(q, k);
}

/* Something of the function that makes the call, at the line of the call, that cannot move. */
static bool is_line_anchor(const struct inquest *q, uint32_t k)
{
	const struct inline_host *h = q->host;
	const char *file, *call_file;
	int line, call_line;

	return q->what->call && h->call_of[k] == h->tree.calls.data[q->what->index].parent &&
	       cannot_move(&h->code, k) && binary_pc_line(q->binary, h->code.insns[k].addr, &file, &line) &&
	       binary_pc_line(q->binary, q->what->call, &call_file, &call_line) && line == call_line &&
	       file == call_file;
}

/* Whether control can come from block d back to it without passing a witness: then the loop may be the body's own. */
static bool may_repeat(const struct inquest *q, uint32_t d)
{
	const struct flow *f = &q->host->flow;
	VEC(uint32_t) work = {0};
	bool found = false;

	if (f->blocks[d].loop == FLOW_NONE || block_has(q, d, is_witness))
		return false;
	memset(q->seen, 0, f->nblocks);
	vec_push(&work, d);
	while (work.len && !found) {
		const struct flow_block *x = &f->blocks[work.data[--work.len]];

		for (uint32_t e = 0; e < x->nsucc && !found; e++) {
			uint32_t to = f->edges[x->succ + e];

			found = to == d;
			if (q->seen[to])
				continue;
			q->seen[to] = true;
			if (!block_has(q, to, is_witness))
				vec_push(&work, to);
		}
	}
	vec_done(&work);
	return found;
}

/* Whether nothing but the body decides how often the loop goes round: it is the body's own, and not the caller's. */
static bool is_own_loop(const struct inquest *q, uint32_t header)
{
	const struct flow *f = &q->host->flow;
	const struct insn *call = q->what->call ? disasm_at(&q->host->code, q->what->call) : NULL;

	if (!call || flow_in_loop(f, f->block_of[call - q->host->code.insns], header))
		return false;
	for (size_t i = 0; i < f->nrpo; i++)
		if (flow_in_loop(f, f->rpo[i], header) && block_has(q, f->rpo[i], is_witness))
			return false;
	return true;
}

/* The block behind d that runs just as often: that has no other way to it, or begins a loop of the body's own. */
static uint32_t block_behind(const struct inquest *q, uint32_t d)
{
	const struct flow *f = &q->host->flow;
	const struct flow_block *x = &f->blocks[d];
	uint32_t next = x->nsucc == 1 && !x->leaves ? f->edges[x->succ] : FLOW_NONE;

	if (next == FLOW_NONE || f->blocks[next].npred == 1)
		return next;
	if (f->blocks[next].loop != next || flow_in_loop(f, d, next) || !flow_dominates(f, d, next))
		return FLOW_NONE;
	return is_own_loop(q, next) ? next : FLOW_NONE;
}

/*
 * Whether the body has something that cannot move in block d, or in one that runs just as often (a loop: at least
 * once).
 */
static bool has_anchor(const struct inquest *q, uint32_t d)
{
	for (size_t steps = 0; d != FLOW_NONE && steps < q->host->flow.nblocks; steps++) {
		if (block_has(q, d, is_anchor))
			return true;
		d = block_behind(q, d);
	}
	return false;
}

static bool leads_into_loop(const struct inquest *q, uint32_t d)
{
	const struct flow *f = &q->host->flow;
	const struct flow_block *x = &f->blocks[d];

	for (uint32_t e = 0; e < x->nsucc; e++) {
		uint32_t to = f->edges[x->succ + e];

		if (f->blocks[to].loop == to && !flow_in_loop(f, d, to))
			return true;
	}
	return false;
}

/* Whether all that is left of the body comes behind the beginning of d, but for what was moved out of d's loop. */
static bool comes_first(const struct inquest *q, uint32_t d)
{
	const struct flow *f = &q->host->flow;
	uint32_t loop = f->blocks[d].loop;

	for (size_t i = 0; i < q->blocks.len; i++) {
		uint32_t x = q->blocks.data[i];

		if (flow_in_loop(f, x, loop) ? !flow_dominates(f, d, x) : !flow_dominates(f, x, loop))
			return false;
	}
	return true;
}

static uint32_t block_of_mark(const struct inquest *q)
{
	return q->mark == FLOW_NONE ? FLOW_NONE : q->host->flow.block_of[q->mark];
}

static bool runs_once(const struct inquest *q, uint32_t d)
{
	if (d == block_of_mark(q))
		return has_anchor(q, d) || !block_has(q, d, is_foreign_select);
	return has_anchor(q, d) ||
	       (block_has(q, d, is_line_anchor) && !block_has(q, d, is_foreign_select) && !leads_into_loop(q, d));
}

/* ---- the decision ---- */

static void find_blocks(struct inquest *q)
{
	const struct flow *f = &q->host->flow;

	for (size_t i = 0; i < f->nrpo; i++)
		if (block_has(q, f->rpo[i], is_body))
			vec_push(&q->blocks, f->rpo[i]);
}

/* The compiler ends a function whose last instruction is a call with one. */
static bool does_nothing(const struct disasm *c, uint32_t k)
{
	struct insn_effect e;

	return c->insns[k].kind == INSN_PLAIN && insn_effect(c, &c->insns[k], &e) && e.what == EFFECT_NOP;
}

/* False when something of the body is in code that is reached on no known way: by the runtime, after a panic. */
static bool all_reached(const struct inquest *q)
{
	const struct inline_host *h = q->host;

	for (uint32_t k = 0; k < h->code.n; k++)
		if (h->flow.blocks[h->flow.block_of[k]].order == FLOW_NONE && is_body(q, k) &&
		    !does_nothing(&h->code, k))
			return false;
	return true;
}

/* Where in block d: the body's instructions, since DWARF knows the arguments at the first, or the mark. */
static bool add_spots(struct inquest *q, uint32_t d)
{
	const struct flow_block *b = &q->host->flow.blocks[d];

	q->nspots = 0;
	for (uint32_t k = b->first; k < b->end && q->nspots < SPOTS_MAX; k++)
		if (is_body(q, k))
			q->spots[q->nspots++] = k;
	if (d == block_of_mark(q) && q->nspots < SPOTS_MAX)
		q->spots[q->nspots++] = q->mark;
	return q->nspots;
}

/* The first block that is proved, or the likeliest. False when there is none. */
static bool choose(struct inquest *q, bool *ret_proved)
{
	uint32_t likely = FLOW_NONE, mark = block_of_mark(q);

	*ret_proved = false;
	for (size_t i = 0; i <= q->blocks.len; i++) {
		uint32_t d = i ? q->blocks.data[i - 1] : mark;

		if (d == FLOW_NONE || !comes_first(q, d) || (d != mark && may_repeat(q, d)))
			continue;
		if (runs_once(q, d)) {
			*ret_proved = true;
			return add_spots(q, d);
		}
		if (likely == FLOW_NONE)
			likely = d;
	}
	return likely != FLOW_NONE && add_spots(q, likely);
}

/* A loop of the inlined function that begins at its lowest instruction. */
static bool loops_to_lowest(const struct inquest *q)
{
	const struct disasm *c = &q->host->code;

	for (uint32_t k = 0; k < c->n; k++)
		if (c->insns[k].target == c->insns[q->lowest].addr && c->insns[k].kind != INSN_CALL && is_body(q, k))
			return true;
	return false;
}

static const char *call_text(struct binary *b, const struct inlined *i)
{
	struct pc_frame at[2] = {0};
	size_t n = i->call ? binary_pc_frames(b, i->call, at, 1) : 0;

	if (n && at[0].line)
		return arena_printf(&b->arena, "inlined into %s at %s:%d", at[0].function, at[0].file, at[0].line);
	return arena_printf(&b->arena, "inlined into %s at %#" PRIx64, i->host.name, i->entry);
}

static int decide(struct inquest *q, const char **ret_approximate, struct err *err)
{
	const struct flow *f = &q->host->flow;
	struct binary *b = q->binary;
	bool proved = false, chosen = false;

	*ret_approximate = NULL;
	if (!f->why && q->what->index != INLINE_NONE) {
		find_blocks(q);
		if (all_reached(q))
			chosen = choose(q, &proved);
	}
	if (!chosen && loops_to_lowest(q))
		return err_set(err, -ENOTSUP, "%s, begins with a loop: a probe would fire more than once a call",
			       call_text(b, q->what));
	if (!chosen)
		q->spots[q->nspots++] = q->lowest;
	if (!proved && f->why)
		*ret_approximate =
			arena_printf(&b->arena, "%s: %s, so that no instruction is proved to run once a call",
				     call_text(b, q->what), f->why);
	else if (!proved)
		*ret_approximate = arena_printf(&b->arena, "%s: the compiler moved its code, so that no instruction is "
						"proved to run once a call", call_text(b, q->what));
	return 0;
}

static void write_spots(const struct inquest *q, struct join_point *ret)
{
	struct spot *spots = arena_array(&q->binary->arena, struct spot, q->nspots);

	for (size_t i = 0; i < q->nspots; i++) {
		const struct insn *insn = &q->host->code.insns[q->spots[i]];

		spots[i] = (struct spot){.offset = (uint32_t)(insn->addr - q->what->host.entry), .len = insn->len};
	}
	ret->spots = spots;
	ret->nspots = (uint32_t)q->nspots;
}

int join_point_inlined(struct binary *b, const struct inlined *i, struct join_point *ret, struct err *err)
{
	const struct inline_host *h;
	struct inquest q = {.binary = b, .what = i};
	const struct insn *lowest;
	int r = host_get(b, &i->host, &h, err);

	*ret = (struct join_point){.kind = JOIN_INLINED, .func = i->host.index};
	if (r)
		return r;
	lowest = disasm_at(&h->code, i->entry);
	if (!lowest || (i->index != INLINE_NONE && (size_t)i->index >= h->tree.calls.len))
		return err_set(err, -EINVAL, "no instruction of %s begins at %#" PRIx64, i->host.name, i->entry);
	q.host = h;
	q.lowest = (uint32_t)(lowest - h->code.insns);
	q.mark = find_mark(b, h, i);
	q.seen = xcalloc(h->flow.nblocks + 1, 1);
	r = decide(&q, &ret->approximate, err);
	if (!r)
		r = disasm_refused(&i->host, &h->code, err);
	if (!r)
		write_spots(&q, ret);
	vec_done(&q.blocks);
	free(q.seen);
	return r;
}
