/*
 * The chain from a context to its root (IR_EMIT_CHAIN, context_types.h).
 *
 * Many probes want it, and it is a loop over a table. So it lies in the program once: the code of a probe jumps there,
 * and it jumps back to an address that it finds in the slot, since there is no stack. A fault in it ends the chain.
 * Each round adds a link or ends, so the links bound it: a cycle ends, too.
 * The table is that of plant/contexts.h.
 */
#include "plant/contexts.h"
#include "plant/patch/gen.h"

/* ---- the walk ---- */

/*
 * RSI and RDX are a context's words, its type and its data; RDI is where the next link goes, RCX the end of their room.
 * On the way in RAX is the table, and RCX the room in bytes; on the way out RDI is behind the end's word.
 */
enum { TABLE = R8, PLACE = R9, POOLED = R10 };
static const uint8_t chain_regs[] = {TABLE, PLACE, POOLED};
_Static_assert(sizeof(chain_regs) * 8 <= sizeof(((struct patch_slot *)NULL)->more_gpr), "all are saved");

enum { BACK, SPAN, SPAN_TYPE, SPAN_AT, ROOM }; /* words of the slot */

#define FIELD(field) MEM(PLACE, offsetof(struct contexts_place, field))

struct chain_walk {
	struct x86 *x;
	int ends[CHAIN_END_COUNT];
};

/*
 * PLACE = that of the type. Clobbers RAX. Most links are of the type of the one before; where the processor guesses so,
 * the next link does not wait for the search.
 */
static void find_type(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int again = x86_label_new(x), found = x86_label_new(x);

	x86_alu_load(x, X_CMP, RSI, FIELD(rtype));
	x86_jcc(x, CC_E, found);
	x86_imul_imm(x, RAX, RSI, CONTEXTS_FACTOR);
	x86_shift(x, X_SHR, RAX, CONTEXTS_SHIFT);
	x86_alu_load(x, X_AND, RAX, MEM(TABLE, offsetof(struct contexts_head, mask)));
	x86_lea(x, PLACE, MEMX(TABLE, RAX, sizeof(struct contexts_head)));
	x86_label(x, again);
	x86_alu_load(x, X_CMP, RSI, FIELD(rtype));
	x86_jcc(x, CC_E, found);
	x86_alu_mem_imm(x, X_CMP, 8, FIELD(rtype), 0);
	x86_jcc(x, CC_E, w->ends[CHAIN_UNKNOWN_TYPE]);
	x86_alu_imm(x, X_ADD, PLACE, sizeof(struct contexts_place));
	x86_jmp(x, again);
	x86_label(x, found);
}

static void put_link(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int none = x86_label_new(x);

	x86_alu_mem_imm(x, X_CMP, 1, FIELD(is_link), 0);
	x86_jcc(x, CC_E, none);
	x86_test_imm8(x, RDX, CHAIN_BITS);
	x86_jcc(x, CC_NE, w->ends[CHAIN_UNREADABLE]);
	x86_alu(x, X_CMP, RDI, RCX);
	x86_jcc(x, CC_AE, w->ends[CHAIN_TOO_LONG]);
	x86_load(x, 1, false, RAX, FIELD(pooled));
	x86_alu(x, X_OR, POOLED, RAX);
	x86_lea(x, RAX, MEMX(RDX, POOLED, 0));
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_alu_imm(x, X_ADD, RDI, 8);
	x86_label(x, none);
}

/* ---- spans of an SDK ---- */

#define HEAD_FIELD(field) MEM(TABLE, offsetof(struct contexts_head, field))
#define ROW(field) MEM(RSI, offsetof(struct contexts_span, field))
#define OUT(field) MEM(RDI, offsetof(struct event_chain_span, field))

/*
 * Of a link that has a key and a value behind the parent, which is at RAX from it: slot.words say so if it is the
 * first with a span. Clobbers RAX and RSI.
 */
static void note_span(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int none = x86_label_new(x), again = x86_label_new(x), found = x86_label_new(x), behind = x86_label_new(x);

	x86_lea(x, RSI, MEMX(RDX, RAX, 0));
	x86_load(x, 8, false, RAX, MEM(RSI, 16));
	x86_alu_load(x, X_CMP, RAX, HEAD_FIELD(span_key));
	x86_jcc(x, CC_NE, none);
	x86_alu_mem_imm(x, X_CMP, 8, SLOT_AT(words, SPAN), 0);
	x86_jcc(x, CC_NE, none);
	x86_store(x, 8, SLOT_AT(words, ROOM), RCX);
	x86_load(x, 8, false, RAX, MEM(RSI, 32));
	x86_load(x, 8, false, RCX, MEM(RSI, 40));
	x86_load(x, 8, false, RSI, HEAD_FIELD(spans));
	x86_alu(x, X_ADD, RSI, TABLE);
	x86_label(x, again);
	x86_alu_mem_imm(x, X_CMP, 8, ROW(rtype), 0);
	x86_jcc(x, CC_E, behind);
	x86_alu_load(x, X_CMP, RAX, ROW(rtype));
	x86_jcc(x, CC_E, found);
	x86_alu_imm(x, X_ADD, RSI, sizeof(struct contexts_span));
	x86_jmp(x, again);
	x86_label(x, found);
	x86_store(x, 8, SLOT_AT(words, SPAN), RCX);
	x86_store(x, 8, SLOT_AT(words, SPAN_TYPE), RSI);
	x86_store(x, 8, SLOT_AT(words, SPAN_AT), RDI);
	x86_label(x, behind);
	x86_load(x, 8, false, RCX, SLOT_AT(words, ROOM));
	x86_label(x, none);
}

static void fault_to(struct chain_walk *w, int label)
{
	x86_lea_label(w->x, RAX, label);
	x86_store(w->x, 8, SLOT(fault), RAX);
}

/* Who made the span at RDX, of the type at RSI: zeros where that is not there. */
static void put_scope(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int none = x86_label_new(x);

	x86_store_imm(x, 8, OUT(scope), 0);
	x86_store_imm(x, 8, OUT(scope_len), 0);
	fault_to(w, none);
	x86_load(x, 4, false, RAX, ROW(tracer));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, none);
	x86_load(x, 8, false, RCX, MEMX(RDX, RAX, 0));
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, none);
	x86_load(x, 4, false, RAX, ROW(scope));
	x86_alu(x, X_ADD, RCX, RAX);
	x86_load(x, 8, false, RAX, MEM(RCX, 8));
	x86_load(x, 8, false, RCX, MEM(RCX, 0));
	x86_store(x, 8, OUT(scope), RCX);
	x86_store(x, 8, OUT(scope_len), RAX);
	x86_label(x, none);
}

/* Behind the end's word, at RDI; nothing where there is none, or its ids cannot be read. */
static void put_span(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int none = x86_label_new(x), no_kind = x86_label_new(x);

	x86_load(x, 8, false, RDX, SLOT_AT(words, SPAN));
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, none);
	fault_to(w, none);
	x86_load(x, 8, false, RSI, SLOT_AT(words, SPAN_TYPE));
	x86_load(x, 4, false, RAX, ROW(ids));
	for (int at = 0; at < 32; at += 8) {
		x86_load(x, 8, false, RCX, MEMX(RDX, RAX, at));
		x86_store(x, 8, MEM(RDI, at), RCX);
	}
	x86_load(x, 4, false, RAX, ROW(remote));
	x86_load(x, 1, false, RCX, MEMX(RDX, RAX, 0));
	x86_store(x, 8, OUT(remote), RCX);
	x86_store_imm(x, 8, OUT(kind), 0);
	x86_load(x, 4, false, RAX, ROW(kind));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, no_kind);
	x86_load(x, 8, false, RCX, MEMX(RDX, RAX, 0));
	x86_store(x, 8, OUT(kind), RCX);
	x86_label(x, no_kind);
	x86_store(x, 8, OUT(object), RDX);
	put_scope(w);
	x86_load(x, 8, false, RAX, SLOT_AT(words, SPAN_AT));
	x86_load(x, 4, false, RCX, SLOT(size));
	x86_alu(x, X_ADD, RCX, REG_RECORD);
	x86_alu(x, X_SUB, RAX, RCX);
	x86_shift(x, X_SHR, RAX, 3);
	x86_store(x, 8, OUT(link), RAX);
	x86_alu_imm(x, X_ADD, RDI, sizeof(struct event_chain_span));
	x86_label(x, none);
}

/* ---- from link to link ---- */

/* RSI and RDX = the words of the parent. */
static void go_to_parent(struct chain_walk *w, uint32_t itab_type_off)
{
	struct x86 *x = w->x;
	int field = x86_label_new(x), via = x86_label_new(x), plain = x86_label_new(x);

	x86_load(x, 1, false, RAX, FIELD(parent));
	x86_alu_imm(x, X_CMP, RAX, CONTEXT_FIELD);
	x86_jcc(x, CC_E, field);
	x86_jcc(x, CC_A, via);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_NE, w->ends[CHAIN_UNKNOWN_TYPE]);
	x86_jmp(x, w->ends[CHAIN_ROOT]);
	x86_label(x, via);
	x86_load(x, 4, false, RAX, FIELD(via));
	x86_load(x, 8, false, RDX, MEMX(RDX, RAX, 0));
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, w->ends[CHAIN_ROOT]);
	x86_label(x, field);
	x86_load(x, 4, false, RAX, FIELD(offset));
	x86_alu_mem_imm(x, X_CMP, 1, FIELD(is_value), 0);
	x86_jcc(x, CC_E, plain);
	note_span(w);
	x86_load(x, 4, false, RAX, FIELD(offset));
	x86_label(x, plain);
	x86_load(x, 8, false, RSI, MEMX(RDX, RAX, 0));
	x86_load(x, 8, false, RDX, MEMX(RDX, RAX, 8));
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, w->ends[CHAIN_ROOT]);
	x86_load(x, 8, false, RSI, MEM(RSI, itab_type_off));
}
_Static_assert(!CONTEXT_ROOT && CONTEXT_UNKNOWN < CONTEXT_FIELD && CONTEXT_FIELD < CONTEXT_VIA, "it compares");

static void begin(struct chain_walk *w)
{
	struct x86 *x = w->x;

	for (size_t i = 0; i < ARRAY_SIZE(chain_regs); i++)
		x86_store(x, 8, SLOT_AT(more_gpr, i), chain_regs[i]);
	x86_mov(x, TABLE, RAX);
	x86_lea(x, PLACE, MEM(TABLE, sizeof(struct contexts_head)));
	x86_imm(x, POOLED, 0);
	x86_store_imm(x, 8, SLOT_AT(words, SPAN), 0);
	x86_load(x, 4, false, RDI, SLOT(size));
	x86_alu(x, X_ADD, RDI, REG_RECORD);
	x86_alu(x, X_ADD, RCX, RDI);
	x86_lea_label(x, RAX, w->ends[CHAIN_UNREADABLE]);
	x86_store(x, 8, SLOT(fault), RAX);
}

static void end(struct chain_walk *w)
{
	struct x86 *x = w->x;
	int done = x86_label_new(x);

	for (unsigned e = 0; e < CHAIN_END_COUNT; e++) {
		x86_label(x, w->ends[e]);
		x86_store_imm(x, 8, MEM(RDI, 0), (int32_t)e);
		x86_jmp(x, done);
	}
	x86_label(x, done);
	x86_alu_imm(x, X_ADD, RDI, 8);
	put_span(w);
	for (size_t i = 0; i < ARRAY_SIZE(chain_regs); i++)
		x86_load(x, 8, false, chain_regs[i], SLOT_AT(more_gpr, i));
	x86_load(x, 8, false, RAX, SLOT_AT(words, BACK));
	x86_jmp_reg(x, RAX);
}

void patch_chain_compile(uint32_t itab_type_off, struct buf *out)
{
	struct x86 x;
	struct chain_walk w = {.x = &x};
	int again;

	x86_begin(&x, out, 0);
	for (unsigned e = 0; e < CHAIN_END_COUNT; e++)
		w.ends[e] = x86_label_new(&x);
	again = x86_label_new(&x);
	begin(&w);
	x86_label(&x, again);
	x86_test(&x, RSI, RSI);
	x86_jcc(&x, CC_E, w.ends[CHAIN_ROOT]);
	x86_test(&x, RDX, RDX);
	x86_jcc(&x, CC_E, w.ends[CHAIN_ROOT]);
	find_type(&w);
	put_link(&w);
	go_to_parent(&w, itab_type_off);
	x86_jmp(&x, again);
	end(&w);
	x86_finish(&x);
	x86_done(&x);
}

/* ---- at a probe ---- */

void code_chain(struct code *g, uint16_t type, uint16_t data, int64_t max)
{
	struct x86 *x = &g->x;
	int back = x86_label_new(x);

	code_get(g, RSI, type);
	code_get(g, RDX, data);
	x86_lea_label(x, RAX, back);
	x86_store(x, 8, SLOT_AT(words, BACK), RAX);
	x86_imm(x, RCX, 8 * (uint64_t)max);
	x86_imm(x, RAX, g->env->contexts);
	x86_imm(x, RDI, g->env->chain);
	x86_jmp_reg(x, RDI);
	code_join(g, back);
}

void code_emit_chain(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	if (g->may_overflow) {
		code_size(g, RAX);
		x86_alu_imm(x, X_CMP, RAX, (int32_t)(code_record_limit(g->p) - capture_chain_bytes(g->p, i->slot)));
		x86_jcc(x, CC_A, code_fail(g, SLOT_CUT));
		code_forget(g);
	}
	code_chain(g, i->a, i->b, i->imm);
	code_put_words(g, i->slot, -1);
}
