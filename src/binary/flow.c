/*
 * Dominators: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm". Loops: the natural ones; a function in
 * which control can come to a loop from more than one side is left alone.
 *
 * An indirect jump goes to another function, or through a jump table: absolute addresses in read-only data, whose start
 * the compiler loads with a LEA (cmd/compile/internal/amd64: BlockAMD64JUMPTABLE). How long a table is the code says
 * far away only; so words are taken as long as they lead into the function. If those of the next table are among them,
 * there are more ways than in truth, which can make nothing seem certain that is not.
 *
 * Behind a call that never returns (a panic) the compiler puts the next block, whatever that is. So it matters which
 * these are: functions in which no way leads to a RET or out, but for another such, and those few of the runtime of
 * which only the name tells. To take one for a function that returns is the safe side again.
 */
#include "binary/flow.h"

#include <string.h>

#include "base/vec.h"
#include "binary/internal.h"

enum { BLOCKS_MAX = 20000, TABLE_MAX = 4096, TABLE_LOOK_BACK = 8, ROUNDS_MAX = 64, ENDLESS_MAX = 4096, DEPTH_MAX = 4 };

typedef VEC(uint32_t) indexes;

static const char *const too_large = "it is too large";

static uint32_t insn_index(const struct disasm *c, uint64_t addr)
{
	const struct insn *i = disasm_at(c, addr);

	return i ? (uint32_t)(i - c->insns) : FLOW_NONE;
}

/* ---- jump tables ---- */

/*
 * The address that the register holds before instruction k, where a LEA on the straight line to it says so; 0 if not.
 * leader: where control may come from elsewhere, as far as it is known.
 */
static uint64_t loaded_address(const struct disasm *c, uint32_t k, uint8_t reg, const bool *leader)
{
	for (uint32_t back = 0; k > 0 && !leader[k] && back < TABLE_LOOK_BACK; back++) {
		const struct insn *i = &c->insns[--k];
		struct insn_effect e;

		if (i->kind != INSN_PLAIN || !insn_effect(c, i, &e))
			return 0;
		if (!(e.written & 1u << reg))
			continue;
		return e.what == EFFECT_LEA && e.has_mem && e.mem_base == REG_NONE && !e.mem_indexed
			       ? i->addr + i->len + (uint64_t)e.mem_disp
			       : 0;
	}
	return 0;
}

/* The targets of the indirect jump k; false when they are not known. */
static bool table_targets(const struct image *img, const struct disasm *c, uint32_t k, const bool *leader, indexes *ret)
{
	struct insn_effect e;
	uint64_t table, word;

	ret->len = 0;
	if (!insn_effect(c, &c->insns[k], &e) || !e.has_mem || e.mem_size != 8 || e.mem_disp)
		return false;
	table = e.mem_base < REG_FLOAT ? loaded_address(c, k, e.mem_base, leader) : 0;
	while (table && ret->len < TABLE_MAX && image_u64(img, table + ret->len * 8, &word)) {
		uint32_t to = insn_index(c, word);

		if (to == FLOW_NONE)
			break;
		vec_push(ret, to);
	}
	return ret->len > 0;
}

/* ---- calls that do not return ---- */

static bool never_returns(struct binary *b, uint64_t target, unsigned depth);

/* Whether control may leave the function at instruction i, other than for a function that never returns. */
static bool may_leave(struct binary *b, const struct disasm *c, const struct insn *i, unsigned depth)
{
	if (i->kind == INSN_RET || i->kind == INSN_JUMP_INDIRECT)
		return true;
	return (i->kind == INSN_JUMP || i->kind == INSN_BRANCH) && !disasm_contains(c, i->target) &&
	       !never_returns(b, i->target, depth + 1);
}

/* Whether no way from the first instruction leads out. */
static bool is_endless(struct binary *b, const struct disasm *c, unsigned depth)
{
	_cleanup_(cleanup_free) bool *seen = xcalloc(c->n + 1, sizeof(*seen));
	indexes work = {0};
	bool endless = true;

	vec_push(&work, 0);
	while (work.len && endless) {
		uint32_t k = work.data[--work.len];
		const struct insn *i = &c->insns[k];

		endless = k < c->n && !may_leave(b, c, i, depth);
		if (!endless || seen[k])
			continue;
		seen[k] = true;
		if ((i->kind == INSN_JUMP || i->kind == INSN_BRANCH) && insn_index(c, i->target) != FLOW_NONE)
			vec_push(&work, insn_index(c, i->target));
		if (i->kind == INSN_PLAIN || i->kind == INSN_BRANCH ||
		    (i->kind == INSN_CALL && !never_returns(b, i->target, depth + 1)))
			vec_push(&work, k + 1);
	}
	vec_done(&work);
	return endless;
}

static bool is_for_panics(const char *name)
{
	return !strncmp(name, "runtime.panic", 13) || !strncmp(name, "runtime.goPanic", 15);
}

/* Nearly all functions have a RET: only those are looked at that have none, or are the runtime's for panics. */
static bool leaves_never(struct binary *b, const struct func *f, unsigned depth)
{
	const void *bytes = f->end - f->entry <= ENDLESS_MAX ? image_at(&b->img, f->entry, f->end - f->entry) : NULL;
	struct disasm c;
	bool never;

	if (!bytes || (!is_for_panics(f->name) && b->img.arch->may_return(bytes, f->end - f->entry)))
		return false;
	disasm_make(b->img.arch, bytes, f->end - f->entry, f->entry, &c);
	never = !c.bad && c.n && is_endless(b, &c, depth);
	disasm_done(&c);
	return never;
}

static bool never_returns(struct binary *b, uint64_t target, unsigned depth)
{
	static const char *const names[] = {"runtime.gopanic", "runtime.throw", "runtime.fatal", "runtime.fatalthrow",
					    "runtime.fatalpanic", "runtime.block"};
	uintptr_t known = target ? (uintptr_t)map_get(&b->never_returns, target) : 1;
	struct func f;
	bool never = false;

	if (known)
		return known == 2;
	if (depth > DEPTH_MAX || !binary_func_at(b, target, &f) || f.entry != target)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		never |= !strcmp(f.name, names[i]);
	never = never || leaves_never(b, &f, depth);
	map_set(&b->never_returns, target, (void *)(uintptr_t)(never ? 2 : 1));
	return never;
}

/* ---- blocks ---- */

struct builder {
	struct binary *binary;
	const struct disasm *c;
	struct flow *f;
	bool *leader;
	indexes edges;
	indexes table;
};

static bool ends_block(struct builder *b, const struct insn *i)
{
	return i->kind == INSN_CALL ? never_returns(b->binary, i->target, 0) : i->kind != INSN_PLAIN;
}

static const char *const no_table = "a jump table of it cannot be read";

/* Marks where blocks begin; why, when a jump cannot be followed. */
static void find_leaders(struct builder *b)
{
	const struct disasm *c = b->c;

	b->leader[0] = true;
	for (uint32_t k = 0; k < c->n; k++) {
		const struct insn *i = &c->insns[k];

		if (ends_block(b, i) && k + 1 < c->n)
			b->leader[k + 1] = true;
		b->table.len = 0;
		if (i->kind == INSN_JUMP_INDIRECT && !insn_is_tail(c, i) &&
		    !table_targets(&b->binary->img, c, k, b->leader, &b->table))
			b->f->why = no_table;
		for (size_t t = 0; t < b->table.len; t++)
			b->leader[b->table.data[t]] = true;
		if ((i->kind != INSN_JUMP && i->kind != INSN_BRANCH) || !disasm_contains(c, i->target))
			continue;
		if (insn_index(c, i->target) == FLOW_NONE)
			b->f->why = "a jump of it leads into an instruction";
		else
			b->leader[insn_index(c, i->target)] = true;
	}
}

static void add_edge(struct builder *b, struct flow_block *from, uint32_t to_insn)
{
	vec_push(&b->edges, b->f->block_of[to_insn]);
	from->nsucc++;
}

static void add_edges(struct builder *b, struct flow_block *x)
{
	const struct disasm *c = b->c;
	const struct insn *last = &c->insns[x->end - 1];
	bool jumps = last->kind == INSN_JUMP || last->kind == INSN_BRANCH;

	x->succ = (uint32_t)b->edges.len;
	x->leaves = last->kind == INSN_RET || insn_is_tail(c, last);
	b->table.len = 0;
	if (last->kind == INSN_JUMP_INDIRECT && !x->leaves &&
	    !table_targets(&b->binary->img, c, x->end - 1, b->leader, &b->table)) /* now that all leaders are known */
		b->f->why = no_table;
	for (size_t t = 0; t < b->table.len; t++)
		add_edge(b, x, b->table.data[t]);
	if (jumps && disasm_contains(c, last->target))
		add_edge(b, x, insn_index(c, last->target));
	if ((!ends_block(b, last) || last->kind == INSN_BRANCH) && x->end < c->n)
		add_edge(b, x, x->end);
}

static void make_blocks(struct builder *b)
{
	VEC(struct flow_block) blocks = {0};
	struct flow *f = b->f;

	f->block_of = xcalloc(b->c->n, sizeof(*f->block_of));
	for (uint32_t k = 0; k < b->c->n; k++) {
		if (b->leader[k])
			vec_push(&blocks, ((struct flow_block){.first = k, .order = FLOW_NONE, .idom = FLOW_NONE,
							       .loop = FLOW_NONE, .outer = FLOW_NONE}));
		blocks.data[blocks.len - 1].end = k + 1;
		f->block_of[k] = (uint32_t)blocks.len - 1;
	}
	f->blocks = blocks.data;
	f->nblocks = blocks.len;
	for (size_t i = 0; i < f->nblocks; i++)
		add_edges(b, &f->blocks[i]);
	f->edges = b->edges.data;
	b->edges.data = NULL;
}

/* ---- orders ---- */

/* A depth-first walk without recursion: each frame is a block and the number of its edges that were followed. */
struct step {
	uint32_t block, next;
};

static void order_blocks(struct flow *f)
{
	_cleanup_(cleanup_free) struct step *stack = xcalloc(f->nblocks + 1, sizeof(*stack));
	_cleanup_(cleanup_free) bool *seen = xcalloc(f->nblocks + 1, sizeof(*seen));
	size_t depth = 1, left = f->nblocks;

	f->rpo = xcalloc(f->nblocks + 1, sizeof(*f->rpo));
	seen[0] = true;
	while (depth) {
		struct step *s = &stack[depth - 1];
		const struct flow_block *x = &f->blocks[s->block];

		if (s->next < x->nsucc) {
			uint32_t to = f->edges[x->succ + s->next++];

			if (!seen[to])
				stack[depth++] = (struct step){to, 0};
			seen[to] = true;
			continue;
		}
		f->rpo[--left] = s->block;
		depth--;
	}
	f->nrpo = f->nblocks - left;
	memmove(f->rpo, f->rpo + left, f->nrpo * sizeof(*f->rpo));
	for (uint32_t i = 0; i < f->nrpo; i++)
		f->blocks[f->rpo[i]].order = i;
}

/* ---- dominators ---- */

/* Predecessors, as lists: of the edges that lead to block b, those from first[b] on. */
struct predecessors {
	uint32_t *first, *from;
};

static struct predecessors find_predecessors(struct flow *f)
{
	struct predecessors p = {.first = xcalloc(f->nblocks + 2, sizeof(uint32_t))};

	for (size_t i = 0; i < f->nrpo; i++)
		for (uint32_t e = 0; e < f->blocks[f->rpo[i]].nsucc; e++)
			f->blocks[f->edges[f->blocks[f->rpo[i]].succ + e]].npred++;
	for (size_t i = 0; i < f->nblocks; i++)
		p.first[i + 1] = p.first[i] + f->blocks[i].npred;
	p.from = xcalloc(p.first[f->nblocks] + 1, sizeof(uint32_t));
	for (size_t i = f->nrpo; i-- > 0;)
		for (uint32_t e = 0; e < f->blocks[f->rpo[i]].nsucc; e++) {
			uint32_t to = f->edges[f->blocks[f->rpo[i]].succ + e];

			p.from[p.first[to + 1] - f->blocks[to].npred--] = f->rpo[i];
		}
	for (size_t i = 0; i < f->nblocks; i++)
		f->blocks[i].npred = p.first[i + 1] - p.first[i];
	return p;
}

static uint32_t common_dominator(const struct flow *f, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (f->blocks[a].order > f->blocks[b].order)
			a = f->blocks[a].idom;
		while (f->blocks[b].order > f->blocks[a].order)
			b = f->blocks[b].idom;
	}
	return a;
}

static bool dominators_round(struct flow *f, const struct predecessors *p)
{
	bool changed = false;

	for (size_t i = 1; i < f->nrpo; i++) {
		struct flow_block *x = &f->blocks[f->rpo[i]];
		uint32_t idom = FLOW_NONE;

		for (uint32_t e = p->first[f->rpo[i]]; e < p->first[f->rpo[i] + 1]; e++)
			if (f->blocks[p->from[e]].idom != FLOW_NONE)
				idom = idom == FLOW_NONE ? p->from[e] : common_dominator(f, idom, p->from[e]);
		changed |= idom != x->idom;
		x->idom = idom;
	}
	return changed;
}

/* enter and leave: a dominates b when b's lie within a's. */
static void number_tree(struct flow *f)
{
	_cleanup_(cleanup_free) uint32_t *size = xcalloc(f->nblocks + 1, sizeof(*size));
	_cleanup_(cleanup_free) uint32_t *used = xcalloc(f->nblocks + 1, sizeof(*used));

	for (size_t i = f->nrpo; i-- > 0;) {
		uint32_t x = f->rpo[i];

		size[x]++;
		if (i)
			size[f->blocks[x].idom] += size[x];
	}
	for (size_t i = 0; i < f->nrpo; i++) { /* a dominator comes before what it dominates */
		struct flow_block *x = &f->blocks[f->rpo[i]];

		if (i) {
			x->enter = f->blocks[x->idom].enter + 1 + used[x->idom];
			used[x->idom] += size[f->rpo[i]];
		}
		x->leave = x->enter + size[f->rpo[i]];
	}
}

static void find_dominators(struct flow *f, const struct predecessors *p)
{
	unsigned rounds = 0;

	f->blocks[0].idom = 0;
	while (dominators_round(f, p))
		if (++rounds == ROUNDS_MAX) {
			f->why = too_large;
			return;
		}
	number_tree(f);
}

bool flow_dominates(const struct flow *f, uint32_t a, uint32_t b)
{
	const struct flow_block *x = &f->blocks[a], *y = &f->blocks[b];

	return x->order != FLOW_NONE && y->order != FLOW_NONE && y->enter >= x->enter && y->enter < x->leave;
}

/* ---- loops ---- */

/* The outermost loop around block b that was found so far, as its header; b itself if there is none. */
static uint32_t outermost(const struct flow *f, uint32_t b)
{
	uint32_t at = f->blocks[b].loop;

	if (at == FLOW_NONE)
		return b;
	while (f->blocks[at].outer != FLOW_NONE)
		at = f->blocks[at].outer;
	return at;
}

/* The loop with header h. Inner ones were found before it, and are taken as a whole. */
static void collect_loop(struct flow *f, const struct predecessors *p, uint32_t h, indexes *work)
{
	work->len = 0;
	for (uint32_t e = p->first[h]; e < p->first[h + 1]; e++)
		if (flow_dominates(f, h, p->from[e]))
			vec_push(work, p->from[e]);
	if (!work->len)
		return;
	f->blocks[h].loop = h;
	while (work->len) {
		uint32_t x = outermost(f, work->data[--work->len]);

		if (x == h)
			continue;
		if (f->blocks[x].loop == x)
			f->blocks[x].outer = h;
		else
			f->blocks[x].loop = h;
		for (uint32_t e = p->first[x]; e < p->first[x + 1]; e++)
			if (outermost(f, p->from[e]) != h)
				vec_push(work, p->from[e]);
	}
}

static bool is_reducible(const struct flow *f)
{
	for (size_t i = 0; i < f->nrpo; i++) {
		const struct flow_block *x = &f->blocks[f->rpo[i]];

		for (uint32_t e = 0; e < x->nsucc; e++) {
			uint32_t to = f->edges[x->succ + e];

			if (f->blocks[to].order <= x->order && !flow_dominates(f, to, f->rpo[i]))
				return false;
		}
	}
	return true;
}

static void find_loops(struct flow *f, const struct predecessors *p)
{
	indexes work = {0};

	if (!is_reducible(f))
		f->why = "one of its loops can be entered at several places";
	for (size_t i = f->nrpo; !f->why && i-- > 0;)
		collect_loop(f, p, f->rpo[i], &work);
	vec_done(&work);
}

bool flow_in_loop(const struct flow *f, uint32_t b, uint32_t header)
{
	uint32_t at = f->blocks[b].loop;

	if (header == FLOW_NONE)
		return true;
	while (at != FLOW_NONE && at != header)
		at = f->blocks[at].outer;
	return at == header;
}

/* ---- all ---- */

static void analyse(struct flow *f)
{
	struct predecessors p;

	order_blocks(f);
	p = find_predecessors(f);
	find_dominators(f, &p);
	if (!f->why)
		find_loops(f, &p);
	free(p.first);
	free(p.from);
}

void flow_make(struct binary *b, const struct disasm *code, struct flow *ret)
{
	struct flow f = {.code = code};
	struct builder bu = {.binary = b, .c = code, .f = &f};

	if (code->bad || !code->n)
		f.why = "its code cannot be read";
	bu.leader = xcalloc(code->n + 1, sizeof(*bu.leader));
	if (!f.why)
		find_leaders(&bu);
	if (!f.why)
		make_blocks(&bu);
	if (f.nblocks > BLOCKS_MAX)
		f.why = too_large;
	if (!f.why)
		analyse(&f);
	free(bu.leader);
	vec_done(&bu.edges);
	vec_done(&bu.table);
	*ret = f;
}

void flow_done(struct flow *f)
{
	free(f->blocks);
	free(f->edges);
	free(f->block_of);
	free(f->rpo);
	*f = (struct flow){0};
}
