/* Room for a record in the slot's ring, and the next chunk where its segment has none (plant/ring/ring.h). */
#include "plant/patch/gen.h"

/* REG_RECORD = room for the largest record in the ring; to full when there is none. */
void code_reserve(struct code *g, int full)
{
	const int32_t most = (int32_t)(g->max_size + sizeof(struct ring_entry));
	const struct code_refill refill = {.label = x86_label_new(&g->x), .resume = x86_label_new(&g->x), .full = full};
	struct x86 *x = &g->x;

	x86_label(x, refill.resume);
	x86_load(x, 8, false, RAX, SLOT(ring.write));
	x86_lea(x, RCX, MEM(RAX, most));
	x86_alu_load(x, X_CMP, RCX, SLOT(ring.limit));
	x86_jcc(x, CC_A, refill.label);
	x86_alu_load(x, X_ADD, RAX, SLOT(ring.to_chunk));
	x86_lea(x, REG_RECORD, MEM(RAX, sizeof(struct ring_entry)));
	vec_push(&g->refills, refill);
}

/* RCX = the number of a chunk that is ours now, from that stack; to none where it is empty. R12 is the area. */
static void emit_take_chunk(struct code *g, size_t stack, int none)
{
	const struct x86_mem top = MEM(R12, offsetof(struct patch_area, ring.free) + 8 * stack);
	const struct patch_area *l = g->env->layout;
	int again = x86_label_new(&g->x);
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, top);
	x86_label(x, again);
	x86_mov(x, RCX, RAX);
	x86_extend(x, 4, false, RCX);
	x86_lea(x, RSI, MEM(RCX, -1));
	x86_alu_imm(x, X_CMP, RSI, (int32_t)l->ring.chunks);
	x86_jcc(x, CC_AE, none); /* 0 is empty; and nothing else may lead out of the pool */
	x86_mov(x, RDX, RAX);
	x86_shift(x, X_SHR, RDX, 32);
	x86_alu_imm(x, X_ADD, RDX, 1);
	x86_shift(x, X_SHL, RDX, 32);
	x86_load(x, 4, false, RSI, (struct x86_mem){R12, RSI, 4, (int32_t)l->ring.links_off});
	x86_alu(x, X_OR, RDX, RSI);
	x86_lock_cmpxchg(x, top, RDX);
	x86_jcc(x, CC_NE, again);
}

/*
 * The rest of the segment becomes padding. Also when there will be no other chunk: this one comes back only once it was
 * read to its end.
 */
static void emit_end_segment(struct code *g)
{
	int none = x86_label_new(&g->x);
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT(ring.write));
	x86_load(x, 8, false, RDX, SLOT(ring.limit));
	x86_mov(x, RCX, RDX);
	x86_alu(x, X_SUB, RDX, RAX);
	x86_jcc(x, CC_E, none);
	x86_alu_load(x, X_ADD, RAX, SLOT(ring.to_chunk));
	x86_store(x, 4, MEM(RAX, offsetof(struct ring_entry, size)), RDX);
	x86_store_imm(x, 4, MEM(RAX, offsetof(struct ring_entry, kind)), RING_ENTRY_PAD);
	x86_store(x, 8, SLOT(ring.write), RCX);
	x86_label(x, none);
}

/* In chunk number RCX. */
static void emit_begin_segment(struct code *g)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT(ring.write));
	x86_mov(x, RDX, RAX);
	x86_shift(x, X_SHR, RDX, RING_CHUNK_SHIFT);
	x86_alu_imm(x, X_AND, RDX, (int32_t)(l->ring.table_len - 1));
	x86_store(x, 4, (struct x86_mem){REG_SLOT, RDX, 4, RING_TABLE_OFF}, RCX);
	x86_lea(x, RDX, MEM(RAX, RING_CHUNK));
	x86_store(x, 8, SLOT(ring.limit), RDX);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_shift(x, X_SHL, RCX, RING_CHUNK_SHIFT);
	x86_alu(x, X_SUB, RCX, RAX);
	x86_imm(x, RDX, g->env->area + l->ring.pool_off);
	x86_alu(x, X_ADD, RCX, RDX);
	x86_store(x, 8, SLOT(ring.to_chunk), RCX);
}

/* Out of line, since it is rare. */
void code_refills(struct code *g)
{
	for (size_t i = 0; i < g->refills.len; i++) {
		int second = x86_label_new(&g->x), have = x86_label_new(&g->x);
		struct x86 *x = &g->x;

		x86_label(x, g->refills.data[i].label);
		emit_end_segment(g);
		x86_imm(x, R12, g->env->area);
		emit_take_chunk(g, 0, second);
		x86_jmp(x, have);
		x86_label(x, second);
		emit_take_chunk(g, 1, g->refills.data[i].full);
		x86_label(x, have);
		emit_begin_segment(g);
		x86_jmp(x, g->refills.data[i].resume);
	}
}
