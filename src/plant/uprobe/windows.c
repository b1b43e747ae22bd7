/*
 * Windows: the parts of structs that a capture program reads more than once, read ahead in one call each.
 *
 * A call of bpf_probe_read_user costs about as much as reading 200 bytes more, and a program that captures
 * ten things of a request would make thirty. So loads from one pointer that lie near each other are served
 * from a copy in the scratch element, made once before the first region. Pointers are told to be the same
 * by how they came about (an argument register, or a field at an offset of such a pointer), since virtual
 * registers do not live from one region into another. A window that could not be read marks itself invalid
 * and its loads are done one by one, so each fails, or not, as if there were no windows. The goroutine's id and stack
 * bound, which every record has, come out of a window of the g where there is one.
 */
#include "plant/uprobe/gen.h"

#include <string.h>

#define VALUES_MAX 64
#define NO_INSN UINT32_MAX
#define SPAN_MAX 320 /* an http.Request, and what is asked of a g */

/* Where a pointer comes from: an argument register (parent 0), or a field of another value. */
struct value {
	uint16_t parent;
	uint8_t reg;
	int64_t imm;
};

struct use {
	uint16_t base;   /* value */
	int64_t imm;
	uint8_t size;
	uint32_t insn;
	bool head;       /* the first of a run of loads: a call of its own without windows */
	bool reused;     /* done only where its slot is not what it was */
	bool sure;       /* nothing in its region decides whether it is done */
};

struct analysis {
	struct value values[VALUES_MAX];
	uint16_t nvalues;
	struct use *uses;
	size_t nuses;
};

/* Values are numbered from 1; 0: not one that we follow. */
static uint16_t intern(struct analysis *a, struct value v)
{
	for (uint16_t i = 0; i < a->nvalues; i++)
		if (a->values[i].parent == v.parent && a->values[i].reg == v.reg && a->values[i].imm == v.imm)
			return i + 1;
	if (a->nvalues == VALUES_MAX)
		return 0;
	a->values[a->nvalues++] = v;
	return a->nvalues;
}

static void note_load(struct analysis *a, const struct ir_insn *insns, uint32_t n, uint16_t *of_reg, bool sure,
		      bool reused)
{
	const struct ir_insn *i = &insns[n];
	uint16_t base = of_reg[i->a];
	const struct ir_insn *before = n ? &insns[n - 1] : i;

	if (base)
		a->uses[a->nuses++] = (struct use){.base = base, .imm = i->imm, .size = i->size, .insn = n,
						   .sure = sure, .reused = reused,
						   .head = before->op != IR_LOAD || before->a != i->a};
	of_reg[i->dst] = base && i->size == 8 ? intern(a, (struct value){.parent = base, .imm = i->imm}) : 0;
}

static void find_uses(struct analysis *a, const struct capture_program *p)
{
	uint16_t of_reg[IR_MAX_REGS] = {0};
	bool capture = false, sure = true, reused = false;

	for (uint32_t n = 0; n < p->ninsns; n++) {
		const struct ir_insn *i = &p->insns[n];

		if (i->op == IR_REGION) {
			memset(of_reg, 0, sizeof(of_reg));
			capture = i->slot != IR_SLOT_FILTER && i->slot != IR_SLOT_MARK; /* they are read behind those */
			sure = true;
			reused = false;
		}
		reused |= i->op == IR_REUSE;
		if (i->op == IR_REQUIRE)
			sure = false;
		if (!capture || !ir_has_result(i))
			continue;
		if (i->op == IR_LOAD && i->flags & IR_CONSTANT)
			of_reg[i->dst] = 0; /* remembered anyway */
		else if (i->op == IR_LOAD)
			note_load(a, p->insns, n, of_reg, sure, reused);
		else if (i->op == IR_ARG_REG && i->size == 8)
			of_reg[i->dst] = intern(a, (struct value){.reg = i->reg});
		else if (i->op == IR_G)
			of_reg[i->dst] = intern(a, (struct value){.reg = capture_arch(p)->g});
		else
			of_reg[i->dst] = 0;
	}
}

static const struct load_window *window_of(const struct windows *w, uint16_t base, int64_t imm, unsigned size)
{
	for (unsigned k = 0; k < w->n; k++) {
		const struct load_window *win = &w->list[k];

		if (win->base == base && imm >= win->low && imm + size <= win->low + win->size)
			return win;
	}
	return NULL;
}

/*
 * The widest span of uses of this base from `low` on, and how many calls it would replace. One that replaces two which
 * are often not done costs more than it saves.
 */
static unsigned measure(const struct analysis *a, uint16_t base, int64_t low, int64_t *ret_high)
{
	unsigned heads = 0, sure = 0;

	*ret_high = low;
	for (size_t i = 0; i < a->nuses; i++) {
		const struct use *u = &a->uses[i];

		if (u->base != base || u->imm < low || u->imm + u->size > low + SPAN_MAX)
			continue;
		heads += u->head;
		sure += u->sure;
		*ret_high = MAX(*ret_high, u->imm + u->size);
	}
	return sure || heads > 2 ? heads : 0;
}

static bool next_low(const struct analysis *a, uint16_t base, int64_t from, int64_t *ret)
{
	bool found = false;

	for (size_t i = 0; i < a->nuses; i++)
		if (a->uses[i].base == base && a->uses[i].imm >= from && (!found || a->uses[i].imm < *ret)) {
			*ret = a->uses[i].imm;
			found = true;
		}
	return found;
}

static void choose_for(struct windows *w, const struct analysis *a, uint16_t base)
{
	const struct value *v = &a->values[base - 1];
	const struct load_window *parent = v->parent ? window_of(w, v->parent, v->imm, 8) : NULL;
	int64_t low = 0, high, from = INT64_MIN;

	if (v->parent && !parent)
		return;
	for (; next_low(a, base, from, &low); from = high) {
		unsigned calls = measure(a, base, low, &high);
		uint32_t size = (uint32_t)(high - low);

		if (calls < 2 || w->n == WINDOWS_MAX || w->used + ALIGN_UP(size, 8) > WINDOWS_SIZE)
			continue;
		w->list[w->n++] = (struct load_window){.base = base, .reg = v->reg, .low = low, .size = size,
						       .off = w->used, .field = v->imm, .parent = parent};
		w->used += ALIGN_UP(size, 8);
	}
}

/* What each record has of its goroutine is read with what else is asked of the g. */
static void goroutine_uses(struct analysis *a, const struct capture_program *p)
{
	uint16_t base = 0;

	for (uint16_t i = 0; i < a->nvalues; i++)
		if (!a->values[i].parent && a->values[i].reg == capture_arch(p)->g)
			base = i + 1;
	if (!base || p->threads || p->role != PROGRAM_POINT || capture_find(p, IR_GOROUTINE))
		return;
	a->uses[a->nuses++] = (struct use){.base = base, .imm = p->g.goid, .size = 8, .insn = NO_INSN, .head = true,
					   .sure = true};
	a->uses[a->nuses++] = (struct use){.base = base, .imm = p->g.stack_hi, .size = 8, .insn = NO_INSN,
					   .sure = true};
}

/* The window that has both. */
static const struct load_window *goroutine_window(const struct windows *w, const struct analysis *a,
						  const struct capture_program *p)
{
	const struct load_window *win;

	if (a->nuses < 2 || a->uses[a->nuses - 1].insn != NO_INSN)
		return NULL;
	win = window_of(w, a->uses[a->nuses - 1].base, p->g.goid, 8);
	return win && win == window_of(w, win->base, p->g.stack_hi, 8) ? win : NULL;
}

/* The window that has the word of this IR_REUSE, and where in it. */
static const struct load_window *key_window(const struct windows *w, const struct capture_program *p, size_t n,
					    int64_t *ret_at)
{
	uint16_t reg = p->insns[n].a;

	while (n && p->insns[n].op != IR_REGION && !(p->insns[n].op == IR_LOAD && p->insns[n].dst == reg))
		n--;
	*ret_at = p->insns[n].imm;
	return p->insns[n].op == IR_LOAD ? w->of_insn[n] : NULL;
}

/* Which windows need not be read where all slots that look at them are what they were: all, if one word tells that. */
static void choose_reused(struct windows *w, const struct analysis *a, const struct capture_program *p)
{
	bool first = true;

	for (size_t n = 0; n < p->ninsns; n++) {
		const struct load_window *key;
		int64_t at;

		if (p->insns[n].op != IR_REUSE)
			continue;
		key = key_window(w, p, n, &at);
		w->key = first || (key == w->key && at == w->key_at) ? key : NULL;
		w->key_at = at;
		first = false;
	}
	for (unsigned k = 0; w->key && k < w->n; k++)
		w->list[k].reused = true;
	for (size_t i = 0; i < a->nuses && w->key; i++)
		for (unsigned k = 0; k < w->n; k++)
			if (!a->uses[i].reused && &w->list[k] == window_of(w, a->uses[i].base, a->uses[i].imm,
									    a->uses[i].size))
				w->list[k].reused = false;
}

void windows_choose(struct windows *w, const struct capture_program *p)
{
	struct analysis a = {.uses = xcalloc(p->ninsns + 2, sizeof(struct use))};

	w->of_insn = xcalloc(p->ninsns, sizeof(*w->of_insn));
	find_uses(&a, p);
	goroutine_uses(&a, p);
	for (uint16_t base = 1; base <= a.nvalues; base++) /* parents have lower numbers */
		choose_for(w, &a, base);
	for (size_t i = 0; i < a.nuses; i++)
		if (a.uses[i].insn != NO_INSN)
			w->of_insn[a.uses[i].insn] = window_of(w, a.uses[i].base, a.uses[i].imm, a.uses[i].size);
	w->goroutine = goroutine_window(w, &a, p);
	choose_reused(w, &a, p);
	free(a.uses);
}

void windows_done(struct windows *w)
{
	free(w->of_insn);
}

static int valid_off(const struct windows *w, const struct load_window *win)
{
	return SCRATCH_VALID_OFF + (int)(8 * (win - w->list));
}

static int field_off(const struct load_window *win, int64_t imm)
{
	return SCRATCH_WINDOW_OFF + (int)(win->off + (imm - win->low));
}

static void jump_unless_valid(struct gen *g, const struct load_window *win, int label)
{
	emit_load(g->e, 8, R1, REG_RECORD, valid_off(&g->windows, win));
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, label);
}

static void read_window(struct gen *g, const struct load_window *win)
{
	struct emit *e = g->e;
	int skip = emit_label_new(e);

	emit_store_imm(e, 8, REG_RECORD, valid_off(&g->windows, win), 0);
	if (win->parent) {
		jump_unless_valid(g, win->parent, skip);
		emit_load(e, 8, R3, REG_RECORD, field_off(win->parent, win->field));
	} else {
		gen_site_reg(g, R3, win->reg);
	}
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, skip);
	if (win->low)
		emit_alu_imm(e, BPF_ADD, R3, (int32_t)win->low);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WINDOW_OFF + (int)win->off);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)win->size);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, skip);
	emit_store_imm(e, 8, REG_RECORD, valid_off(&g->windows, win), 1);
	emit_label(e, skip);
}

/* To read unless what only reused slots look at need not be. */
static void unless_reused(struct gen *g, int read)
{
	const struct windows *w = &g->windows;

	for (unsigned k = 0; k < w->n; k++)
		if (w->list[k].reused)
			emit_store_imm(g->e, 8, REG_RECORD, valid_off(w, &w->list[k]), 0);
	jump_unless_valid(g, w->key, read);
	emit_load(g->e, 8, R1, REG_RECORD, field_off(w->key, w->key_at));
	reuse_unless_all(g, read);
}

void windows_read(struct gen *g)
{
	int read = emit_label_new(g->e), done = emit_label_new(g->e);
	bool reused = false;

	for (unsigned k = 0; k < g->windows.n; k++) {
		reused |= g->windows.list[k].reused;
		if (!g->windows.list[k].reused && &g->windows.list[k] != g->windows.goroutine)
			read_window(g, &g->windows.list[k]);
	}
	if (!reused)
		return;
	unless_reused(g, read);
	emit_jump(g->e, done);
	emit_label(g->e, read);
	for (unsigned k = 0; k < g->windows.n; k++)
		if (g->windows.list[k].reused)
			read_window(g, &g->windows.list[k]);
	emit_label(g->e, done);
	emit_checkpoint(g->e);
}

bool windows_goroutine(struct gen *g, int unread)
{
	const struct load_window *win = g->windows.goroutine;

	if (!win)
		return false;
	read_window(g, win);
	jump_unless_valid(g, win, unread);
	emit_load(g->e, 8, R8, REG_RECORD, field_off(win, g->p->g.goid));
	emit_load(g->e, 8, R9, REG_RECORD, field_off(win, g->p->g.stack_hi));
	return true;
}

bool windows_load(struct gen *g, const struct ir_insn *i, int slow)
{
	const struct load_window *win = g->windows.of_insn ? g->windows.of_insn[i - g->p->insns] : NULL;

	if (!win)
		return false;
	jump_unless_valid(g, win, slow);
	emit_load(g->e, i->size, R0, REG_RECORD, field_off(win, i->imm));
	return true;
}
