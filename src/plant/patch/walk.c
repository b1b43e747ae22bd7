/*
 * The walk over what images lead to (probe/shape.h says what is followed, and when it ends), with the bounds of
 * plant/uprobe/walk.c, so that both planters copy the same.
 *
 * It is one loop over tables that lie in the program (patch_shapes), since the types that an interface may hold are
 * too many for code of their own. It needs five registers more than the rest; they are saved for it. Each step adds
 * a chunk, counts one as missed, or adds nothing; the record's limit bounds the chunks, and chunks bound the steps.
 */
#include "plant/patch/gen.h"

/* ---- the tables, as they lie in the program ---- */

struct table_shape {
	uint32_t size, first_edge, nedges, reserved;
};
struct table_edge {
	uint8_t kind, count, costs, reserved;
	uint32_t offset, count_off, shape, max;
	uint32_t need;       /* bytes of the element that the edge's words take up to */
};
struct table_dynamic {
	uint64_t rtype;      /* run-time address */
	uint32_t shape, direct;
};
_Static_assert(sizeof(struct table_shape) == 16 && sizeof(struct table_edge) == 24 &&
		       sizeof(struct table_dynamic) == 16, "the walk computes with them");

static uint64_t edges_off(const struct shape_table *t)
{
	return t->shapes.len * sizeof(struct table_shape);
}

static uint64_t dynamic_off(const struct shape_table *t)
{
	return edges_off(t) + t->edges.len * sizeof(struct table_edge);
}

static uint32_t edge_need(const struct shape_edge *e)
{
	uint32_t pointer = e->offset + (e->kind == EDGE_POINTER ? 8u : 16u);
	uint32_t count = e->count == COUNT_ONE ? 0 : e->count_off + (e->count == COUNT_SHIFT ? 1u : 8u);

	return MAX(pointer, count);
}

void patch_shapes(const struct shape_table *t, uint64_t bias, struct buf *out)
{
	for (size_t i = 0; i < t->shapes.len; i++) {
		const struct shape *s = &t->shapes.data[i];

		buf_append(out, &(struct table_shape){s->size, s->first_edge, s->nedges, 0},
			   sizeof(struct table_shape));
	}
	for (size_t i = 0; i < t->edges.len; i++) {
		const struct shape_edge *e = &t->edges.data[i];
		struct table_edge to = {.kind = e->kind, .count = e->count, .costs = e->costs, .offset = e->offset,
					.count_off = e->count_off, .shape = e->shape, .max = e->max,
					.need = edge_need(e)};

		buf_append(out, &to, sizeof(to));
	}
	for (size_t i = 0; i < t->dynamic.len; i++) {
		const struct shape_dynamic *d = &t->dynamic.data[i];

		buf_append(out, &(struct table_dynamic){d->rtype + bias, d->shape, d->direct},
			   sizeof(struct table_dynamic));
	}
}

/* ---- the walk ---- */

enum { CHUNK_MAX = 8192, CHUNKS_MAX = 1024 }; /* bytes of a chunk, chunks of a walk: as plant/uprobe/walk.c */

/* Registers: where the walk is. RSI, RDI, RAX, RCX and RDX are the steps'. */
enum { TABLE = R8, AT = R9 /* the chunk, in the record */, ELEMENT = R10 /* its offset in the chunk */, EDGE = R11,
       SHAPE = RBX };
static const uint8_t walk_regs[] = {RBX, R8, R9, R10, R11};
_Static_assert(sizeof(walk_regs) * 8 == sizeof(((struct patch_slot *)NULL)->more_gpr), "all are saved");

enum { LEFT, DEPTH, TO_SHAPE, ADDR, STATUS, END, DATA, MADE }; /* words of the slot */

#define FIELD(reg, type, field) MEM(reg, offsetof(struct type, field))
#define AT_CHUNK(field) MEMX(REG_RECORD, AT, offsetof(struct event_chunk, field))

struct walk {
	struct code *g;
	struct x86 *x;
	const struct shape_table *t;
	int edge_next, copy, missed;
};

static void set(struct walk *w, unsigned word, uint8_t src)
{
	x86_store(w->x, 8, SLOT_AT(words, word), src);
}

static void get(struct walk *w, uint8_t dst, unsigned word)
{
	x86_load(w->x, 8, false, dst, SLOT_AT(words, word));
}

/* RAX = how many elements the pointer leads to, from the element at RSI; to edge_next when none. */
static void edge_count(struct walk *w)
{
	int one = x86_label_new(w->x), shift = x86_label_new(w->x), word = x86_label_new(w->x);
	int mask = x86_label_new(w->x), end = x86_label_new(w->x);
	struct x86 *x = w->x;

	x86_load(x, 1, false, RCX, FIELD(EDGE, table_edge, count));
	x86_alu_imm(x, X_CMP, RCX, COUNT_ONE);
	x86_jcc(x, CC_E, one);
	x86_load(x, 4, false, RAX, FIELD(EDGE, table_edge, count_off));
	x86_alu_imm(x, X_CMP, RCX, COUNT_SHIFT);
	x86_jcc(x, CC_E, shift);
	x86_load(x, 8, false, RAX, MEMX(RSI, RAX, 0));
	x86_alu_imm(x, X_CMP, RCX, COUNT_WORD);
	x86_jcc(x, CC_E, word);
	x86_alu_imm(x, X_CMP, RCX, COUNT_MASK);
	x86_jcc(x, CC_E, mask);
	x86_test(x, RAX, RAX); /* COUNT_ONE_IF_ZERO */
	x86_jcc(x, CC_NE, w->edge_next);
	x86_label(x, one);
	x86_imm(x, RAX, 1);
	x86_jmp(x, end);
	x86_label(x, shift);
	x86_load(x, 1, false, RCX, MEMX(RSI, RAX, 0));
	x86_imm(x, RAX, 20);
	x86_alu(x, X_CMP, RCX, RAX);
	x86_cmov(x, CC_A, RCX, RAX);
	x86_imm(x, RAX, 1);
	x86_shift_cl(x, X_SHL, RAX);
	x86_jmp(x, end);
	x86_label(x, mask);
	x86_alu_imm(x, X_ADD, RAX, 1);
	x86_label(x, word);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_LE, w->edge_next);
	x86_label(x, end);
}

static void is_cut(struct walk *w)
{
	x86_store_imm(w->x, 8, SLOT_AT(words, STATUS), SLOT_CUT);
}

/* RDX = at most RCX bytes of RDX, in whole elements of RSI bytes; to none when it is less than one. */
static void whole_elements(struct walk *w, int none)
{
	struct x86 *x = w->x;

	is_cut(w);
	x86_mov(x, RAX, RCX);
	x86_imm(x, RDX, 0);
	x86_div(x, RSI);
	x86_mov(x, RDX, RAX);
	x86_imul(x, RDX, RSI);
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, none);
}

/* RDX = bytes to copy: of RAX elements of RSI bytes each, as many as one chunk may have. */
static void wanted_size(struct walk *w)
{
	struct x86 *x = w->x;
	int all = x86_label_new(x), fits = x86_label_new(x), partly = x86_label_new(x);

	x86_store_imm(x, 8, SLOT_AT(words, STATUS), SLOT_OK);
	x86_load(x, 4, false, RDX, FIELD(EDGE, table_edge, max));
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_BE, all);
	is_cut(w);
	x86_mov(x, RAX, RDX);
	x86_label(x, all);
	x86_mov(x, RDX, RAX);
	x86_imul(x, RDX, RSI);
	x86_alu_imm(x, X_CMP, RDX, CHUNK_MAX);
	x86_jcc(x, CC_BE, fits);
	x86_imm(x, RCX, CHUNK_MAX);
	whole_elements(w, partly);
	x86_jmp(x, fits);
	x86_label(x, partly);
	x86_imm(x, RDX, CHUNK_MAX);
	x86_label(x, fits);
}

/* RCX = room for the bytes of one more chunk; to missed when there is none. Clobbers RAX. */
static void chunk_room(struct walk *w)
{
	struct x86 *x = w->x;

	x86_alu_mem_imm(x, X_CMP, 8, SLOT_AT(words, MADE), CHUNKS_MAX);
	x86_jcc(x, CC_AE, w->missed);
	x86_alu_mem_imm(x, X_ADD, 8, SLOT_AT(words, MADE), 1);
	x86_imm(x, RCX, code_record_limit(w->g->p) - sizeof(struct event_chunk));
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_alu(x, X_SUB, RCX, RAX);
	x86_alu_imm(x, X_CMP, RCX, 8);
	x86_jcc(x, CC_L, w->missed);
}

/* RDI = a new chunk with RDX bytes at the record's end, its header written. Clobbers RAX and RCX. */
static void chunk_begin(struct walk *w)
{
	struct x86 *x = w->x;

	x86_lea(x, RCX, MEM(RDX, 7));
	x86_alu_imm(x, X_AND, RCX, -8);
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_lea(x, RDI, MEMX(REG_RECORD, RAX, 0));
	x86_lea(x, RAX, MEMX(RAX, RCX, sizeof(struct event_chunk)));
	set(w, END, RAX);
	x86_store_imm(x, 8, MEMX(RDI, RCX, sizeof(struct event_chunk) - 8), 0); /* the padding */
	get(w, RAX, ADDR);
	x86_store(x, 8, CHUNK(RDI, addr), RAX);
	get(w, RAX, TO_SHAPE);
	x86_store(x, 4, CHUNK(RDI, shape), RAX);
	x86_store(x, 2, CHUNK(RDI, len), RDX);
	get(w, RAX, STATUS);
	x86_store(x, 1, CHUNK(RDI, status), RAX);
	get(w, RAX, DEPTH);
	x86_store(x, 1, CHUNK(RDI, depth), RAX);
}

static void chunk_end(struct walk *w)
{
	get(w, RAX, END);
	x86_store(w->x, 4, SLOT(size), RAX);
	x86_jmp(w->x, w->edge_next);
}

/* A chunk of RAX elements of shape RCX at address RDI. */
static void emit_copy(struct walk *w)
{
	struct x86 *x = w->x;
	int fits = x86_label_new(x), unreadable = x86_label_new(x), none = x86_label_new(x);

	x86_label(x, w->copy);
	set(w, TO_SHAPE, RCX);
	set(w, ADDR, RDI);
	x86_shift(x, X_SHL, RCX, 4);
	x86_load(x, 4, false, RSI, MEMX(TABLE, RCX, offsetof(struct table_shape, size)));
	wanted_size(w);
	chunk_room(w);
	x86_alu(x, X_CMP, RDX, RCX);
	x86_jcc(x, CC_BE, fits);
	whole_elements(w, w->missed);
	x86_label(x, fits);
	chunk_begin(w);
	x86_lea_label(x, RAX, unreadable);
	x86_store(x, 8, SLOT(fault), RAX);
	get(w, RSI, ADDR);
	x86_alu_imm(x, X_ADD, RDI, sizeof(struct event_chunk));
	code_copy(w->g, CHUNK_MAX);
	chunk_end(w);
	code_join(w->g, unreadable);
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_lea(x, RDI, MEMX(REG_RECORD, RAX, 0));
	get(w, RSI, ADDR);
	code_copy_pages(w->g, none);
	chunk_end(w);
	code_join(w->g, none);
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_store_imm(x, 2, MEMX(REG_RECORD, RAX, offsetof(struct event_chunk, len)), 0);
	x86_store_imm(x, 1, MEMX(REG_RECORD, RAX, offsetof(struct event_chunk, status)), SLOT_UNREADABLE);
	x86_alu_imm(x, X_ADD, RAX, sizeof(struct event_chunk));
	x86_store(x, 4, SLOT(size), RAX);
	x86_jmp(x, w->edge_next);
	x86_label(x, w->missed);
	x86_alu_mem_imm(x, X_ADD, 4, HEAD(missed), 1);
	x86_jmp(x, w->edge_next);
}

/* RSI = the entry of the type RDI; to none when there is none. Clobbers RAX, RCX and RDX. */
static void find_dynamic(struct code *g, int none)
{
	const struct shape_table *t = g->p->shapes;
	struct x86 *x = &g->x;
	int again = x86_label_new(x), left = x86_label_new(x), hit = x86_label_new(x);

	x86_imm(x, RAX, g->env->shapes + dynamic_off(t));
	x86_imm(x, RCX, t->dynamic.len);
	x86_label(x, again);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, none);
	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHR, RDX, 1);
	x86_mov(x, RSI, RDX);
	x86_shift(x, X_SHL, RSI, 4);
	x86_alu(x, X_ADD, RSI, RAX);
	x86_alu_load(x, X_CMP, RDI, FIELD(RSI, table_dynamic, rtype));
	x86_jcc(x, CC_E, hit);
	x86_jcc(x, CC_B, left);
	x86_lea(x, RAX, MEM(RSI, sizeof(struct table_dynamic)));
	x86_alu(x, X_SUB, RCX, RDX);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_jmp(x, again);
	x86_label(x, left);
	x86_mov(x, RCX, RDX);
	x86_jmp(x, again);
	x86_label(x, hit);
}

void code_image_type(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int stays = x86_label_new(x);

	code_fault(g, stays);
	code_get(g, RDI, i->a);
	code_forget(g);
	x86_load(x, 8, false, RDI, MEM(RDI, i->imm));
	find_dynamic(g, stays);
	x86_load(x, 4, false, RCX, FIELD(RSI, table_dynamic, shape));
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, stays);
	x86_load(x, 8, false, RDX, code_slot(i->slot, 8));
	x86_store(x, 4, MEMX(REG_RECORD, RDX, offsetof(struct event_chunk, shape)), RCX);
	code_join(g, stays);
}

/* An interface: RDI its first word, RAX its offset in the element at RSI, RCX the kind of edge. */
static void emit_interface(struct walk *w)
{
	struct x86 *x = w->x;
	int type = x86_label_new(x), direct = x86_label_new(x);

	x86_load(x, 8, false, RAX, MEMX(RSI, RAX, 8));
	set(w, DATA, RAX);
	x86_alu_imm(x, X_CMP, RCX, EDGE_EFACE);
	x86_jcc(x, CC_E, type);
	x86_lea_label(x, RAX, w->edge_next);
	x86_store(x, 8, SLOT(fault), RAX);
	x86_load(x, 8, false, RDI, MEM(RDI, w->t->itab_type_off));
	x86_label(x, type);
	find_dynamic(w->g, w->edge_next);
	x86_load(x, 4, false, RCX, FIELD(RSI, table_dynamic, shape));
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, w->edge_next);
	get(w, RDI, DATA);
	x86_alu_mem_imm(x, X_CMP, 4, FIELD(RSI, table_dynamic, direct), 0);
	x86_jcc(x, CC_NE, direct);
	x86_test(x, RDI, RDI);
	x86_jcc(x, CC_E, w->edge_next);
	x86_imm(x, RAX, 1);
	x86_jmp(x, w->copy);
	x86_label(x, direct); /* the word is the value */
	set(w, TO_SHAPE, RCX);
	x86_store_imm(x, 8, SLOT_AT(words, ADDR), 0);
	x86_store_imm(x, 8, SLOT_AT(words, STATUS), SLOT_OK);
	chunk_room(w);
	x86_imm(x, RDX, 8);
	chunk_begin(w);
	get(w, RAX, DATA);
	x86_store(x, 8, MEM(RDI, sizeof(struct event_chunk)), RAX);
	chunk_end(w);
}

/* One edge of one element: adds a chunk, or none. Ends at edge_next. */
static void emit_edge(struct walk *w)
{
	struct x86 *x = w->x;
	int interface = x86_label_new(x);

	x86_load(x, 2, false, RDX, AT_CHUNK(len));
	x86_alu(x, X_SUB, RDX, ELEMENT);
	x86_load(x, 4, false, RAX, FIELD(EDGE, table_edge, need));
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_A, w->edge_next);
	x86_load(x, 1, false, RCX, AT_CHUNK(depth));
	x86_load(x, 1, false, RAX, FIELD(EDGE, table_edge, costs));
	x86_alu(x, X_SUB, RCX, RAX);
	x86_jcc(x, CC_B, w->edge_next);
	set(w, DEPTH, RCX);
	x86_lea(x, RSI, MEMX(REG_RECORD, AT, sizeof(struct event_chunk)));
	x86_alu(x, X_ADD, RSI, ELEMENT);
	x86_load(x, 4, false, RAX, FIELD(EDGE, table_edge, offset));
	x86_load(x, 8, false, RDI, MEMX(RSI, RAX, 0));
	x86_test(x, RDI, RDI);
	x86_jcc(x, CC_E, w->edge_next);
	x86_load(x, 1, false, RCX, FIELD(EDGE, table_edge, kind));
	x86_alu_imm(x, X_CMP, RCX, EDGE_POINTER);
	x86_jcc(x, CC_NE, interface);
	edge_count(w);
	x86_load(x, 4, false, RCX, FIELD(EDGE, table_edge, shape));
	emit_copy(w);
	x86_label(x, interface);
	emit_interface(w);
}

static void walk_loop(struct walk *w, int done)
{
	struct x86 *x = w->x;
	int chunk = x86_label_new(x), element = x86_label_new(x), edge = x86_label_new(x), next = x86_label_new(x);

	x86_label(x, chunk);
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_alu(x, X_CMP, AT, RAX);
	x86_jcc(x, CC_AE, done);
	x86_load(x, 4, false, SHAPE, AT_CHUNK(shape));
	x86_shift(x, X_SHL, SHAPE, 4);
	x86_alu(x, X_ADD, SHAPE, TABLE);
	x86_imm(x, ELEMENT, 0);
	x86_label(x, element);
	x86_load(x, 2, false, RCX, AT_CHUNK(len));
	x86_alu(x, X_CMP, ELEMENT, RCX);
	x86_jcc(x, CC_AE, next);
	x86_load(x, 4, false, RAX, FIELD(SHAPE, table_shape, nedges));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, next);
	set(w, LEFT, RAX);
	x86_load(x, 4, false, EDGE, FIELD(SHAPE, table_shape, first_edge));
	x86_imul_imm(x, EDGE, EDGE, sizeof(struct table_edge));
	x86_imm(x, RAX, w->g->env->shapes + edges_off(w->t));
	x86_alu(x, X_ADD, EDGE, RAX);
	x86_label(x, edge);
	emit_edge(w);
	x86_label(x, w->edge_next);
	x86_alu_imm(x, X_ADD, EDGE, sizeof(struct table_edge));
	x86_alu_mem_imm(x, X_SUB, 8, SLOT_AT(words, LEFT), 1);
	x86_jcc(x, CC_NE, edge);
	x86_load(x, 4, false, RAX, FIELD(SHAPE, table_shape, size));
	x86_alu(x, X_ADD, ELEMENT, RAX);
	x86_jmp(x, element);
	x86_label(x, next);
	x86_load(x, 2, false, RCX, AT_CHUNK(len));
	x86_alu_imm(x, X_ADD, RCX, 7 + sizeof(struct event_chunk));
	x86_alu_imm(x, X_AND, RCX, -8);
	x86_alu(x, X_ADD, AT, RCX);
	x86_jmp(x, chunk);
}

void code_walk(struct code *g)
{
	struct walk w = {.g = g, .x = &g->x, .t = g->p->shapes};
	struct x86 *x = &g->x;
	int skip, done;

	if (!capture_has(g->p, IR_IMAGE))
		return;
	skip = x86_label_new(x);
	done = x86_label_new(x);
	w.edge_next = x86_label_new(x);
	w.copy = x86_label_new(x);
	w.missed = x86_label_new(x);
	x86_load(x, 4, false, RAX, HEAD(chunks));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, skip);
	for (size_t i = 0; i < ARRAY_SIZE(walk_regs); i++)
		x86_store(x, 8, SLOT_AT(more_gpr, i), walk_regs[i]);
	x86_mov(x, AT, RAX);
	x86_imm(x, TABLE, g->env->shapes);
	x86_store_imm(x, 8, SLOT_AT(words, MADE), 0);
	walk_loop(&w, done);
	x86_label(x, done);
	for (size_t i = 0; i < ARRAY_SIZE(walk_regs); i++)
		x86_load(x, 8, false, walk_regs[i], SLOT_AT(more_gpr, i));
	code_join(g, skip);
}
