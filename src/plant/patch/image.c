/* Copies of the program's memory: return addresses, and the images of values (what they lead to: walk.c). */
#include "plant/patch/gen.h"

/* ---- return addresses ---- */

/* RDX = how many fit, of at most n. */
static void frames_that_fit(struct code *g, int64_t n)
{
	struct x86 *x = &g->x;

	x86_imm(x, RDX, (uint64_t)n);
	if (!g->may_overflow)
		return;
	x86_imm(x, RAX, code_record_limit(g->p));
	x86_load(x, 4, false, RCX, SLOT(size));
	x86_alu(x, X_SUB, RAX, RCX);
	x86_shift(x, X_SHR, RAX, 3);
	x86_alu(x, X_CMP, RDX, RAX);
	x86_cmov(x, CC_A, RDX, RAX);
}

/* RSI: where the return address lies, RCX: the frame above, RDI: where it goes. */
static void emit_frames(struct code *g, int end)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), callers = x86_label_new(x);

	x86_lea(x, RSI, MEM(RSP, g->env->sp_delta));
	x86_mov(x, RCX, RBP);
	x86_lea(x, RAX, MEM(RSI, -8));
	x86_alu(x, X_CMP, RCX, RAX); /* the function's own frame, where it is set up */
	x86_jcc(x, CC_NE, callers);
	x86_load(x, 8, false, RCX, MEM(RCX, 0));
	x86_label(x, callers);
	x86_label(x, again);
	x86_alu_imm(x, X_SUB, RDX, 1);
	x86_jcc(x, CC_B, end);
	x86_load(x, 8, false, RAX, MEM(RSI, 0));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, end);
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_alu_imm(x, X_ADD, RDI, 8);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, end);
	x86_load(x, 8, false, RAX, MEM(RCX, 0));
	x86_lea(x, RSI, MEM(RCX, 8));
	x86_alu(x, X_CMP, RAX, RCX); /* the chain leads up the stack */
	x86_imm(x, RCX, 0);
	x86_cmov(x, CC_A, RCX, RAX);
	x86_jmp(x, again);
}

void code_put_words(struct code *g, uint16_t slot, int none)
{
	struct x86 *x = &g->x;

	g->known_size = 0;
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_alu(x, X_SUB, RDI, REG_RECORD); /* the record's new size */
	x86_mov(x, RCX, RDI);
	x86_alu(x, X_SUB, RCX, RAX);
	if (none >= 0)
		x86_jcc(x, CC_E, none);
	x86_store(x, 4, SLOT(size), RDI);
	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHL, RDX, 16);
	x86_shift(x, X_SHL, RCX, 32);
	x86_alu(x, X_OR, RCX, RDX);
	x86_alu_imm(x, X_OR, RCX, SLOT_OK);
	x86_store(x, 8, code_slot(slot, 0), RCX); /* status, copied, len: in one, as put_first does */
	x86_store(x, 8, code_slot(slot, offsetof(struct event_slot, value)), RAX);
}

void code_emit_stack(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int end = x86_label_new(x);

	code_fault(g, end);
	code_forget(g);
	x86_load(x, 4, false, RAX, SLOT(size));
	x86_lea(x, RDI, MEMX(REG_RECORD, RAX, 0));
	frames_that_fit(g, i->imm);
	emit_frames(g, end);
	code_join(g, end);
	code_put_words(g, i->slot, code_fail(g, SLOT_UNREADABLE));
}

/* ---- images ---- */

#define CLEAR_UNROLLED 128

/* Clears n bytes behind the chunk at RDI. Clobbers RCX. */
static void clear_chunk(struct code *g, int32_t n)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x);

	if (n <= CLEAR_UNROLLED) {
		for (int32_t at = 0; at < n; at += 8)
			x86_store_imm(x, 8, MEM(RDI, (int32_t)sizeof(struct event_chunk) + at), 0);
		return;
	}
	x86_imm(x, RCX, (uint64_t)n);
	x86_label(x, again);
	x86_store_imm(x, 8, MEMX(RDI, RCX, sizeof(struct event_chunk) - 8), 0);
	x86_alu_imm(x, X_SUB, RCX, 8);
	x86_jcc(x, CC_NE, again);
}

void code_image(struct code *g, const struct ir_insn *i)
{
	const struct shape_table *t = g->p->shapes;
	int32_t bytes = (int32_t)ALIGN_UP(i->imm, 8), all = (int32_t)sizeof(struct event_chunk) + bytes;
	uint32_t status = i->imm < t->shapes.data[i->shape].size ? SLOT_CUT : SLOT_OK;
	struct x86 *x = &g->x;
	int room = x86_label_new(x), later = x86_label_new(x);

	g->known_size = 0;
	x86_load(x, 4, false, RDX, SLOT(size));
	x86_alu_imm(x, X_CMP, RDX, (int32_t)code_record_limit(g->p) - all);
	x86_jcc(x, CC_BE, room);
	x86_alu_mem_imm(x, X_ADD, 4, HEAD(missed), 1);
	x86_jmp(x, code_fail(g, SLOT_CUT));
	x86_label(x, room);
	x86_alu_mem_imm(x, X_CMP, 4, HEAD(chunks), 0);
	x86_jcc(x, CC_NE, later);
	x86_store(x, 4, HEAD(chunks), RDX);
	x86_label(x, later);
	x86_lea(x, RDI, MEMX(REG_RECORD, RDX, 0));
	if (i->a == IR_NO_REG)
		x86_imm(x, RCX, 0);
	else
		code_get(g, RCX, i->a);
	x86_store(x, 8, CHUNK(RDI, addr), RCX);
	x86_store_imm(x, 4, CHUNK(RDI, shape), (int32_t)i->shape);
	x86_store_imm(x, 4, CHUNK(RDI, len), (int32_t)((uint32_t)i->imm | status << 16 | ir_image_depth(i, t) << 24));
	clear_chunk(g, bytes);
	x86_store_imm(x, 8, code_slot(i->slot, 0), SLOT_OK);
	x86_store(x, 8, code_slot(i->slot, 8), RDX);
	x86_alu_imm(x, X_ADD, RDX, all);
	x86_store(x, 4, SLOT(size), RDX);
}

void code_image_put(struct code *g, const struct ir_insn *i)
{
	code_get(g, RAX, i->a);
	x86_load(&g->x, 8, false, RCX, code_slot(g->slot, 8));
	x86_store(&g->x, i->size, MEMX(REG_RECORD, RCX, (int64_t)sizeof(struct event_chunk) + i->imm), RAX);
}

/* Where a copy by pages is: words of the work area, which nothing else uses then. */
enum { CHUNK_AT, FROM, DONE, TAKEN, BIT, GOT };

static void keep(struct code *g, unsigned word, uint8_t src)
{
	x86_store(&g->x, 8, SLOT_AT(work, word), src);
}

static void kept(struct code *g, uint8_t dst, unsigned word)
{
	x86_load(&g->x, 8, false, dst, SLOT_AT(work, word));
}

/* RDI and RSI: what is copied next, RDX bytes, in one page; to end when all is done. */
static void next_page(struct code *g, int end)
{
	struct x86 *x = &g->x;

	kept(g, RDI, CHUNK_AT);
	kept(g, RCX, DONE);
	x86_load(x, 2, false, RDX, CHUNK(RDI, len));
	x86_alu(x, X_SUB, RDX, RCX);
	x86_jcc(x, CC_BE, end);
	kept(g, RSI, FROM);
	x86_alu(x, X_ADD, RSI, RCX);
	x86_lea(x, RDI, MEMX(RDI, RCX, sizeof(struct event_chunk)));
	x86_mov(x, RCX, RSI);
	x86_alu_imm(x, X_AND, RCX, EVENT_PAGE - 1);
	x86_imm(x, RAX, EVENT_PAGE);
	x86_alu(x, X_SUB, RAX, RCX);
	x86_alu(x, X_CMP, RDX, RAX);
	x86_cmov(x, CC_A, RDX, RAX);
	keep(g, TAKEN, RDX);
}

/* What was copied of this page gives way to zeros, and the status says so. */
static void lose_page(struct code *g)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x);

	kept(g, RDI, CHUNK_AT);
	kept(g, RAX, BIT);
	x86_load(x, 1, false, RCX, CHUNK(RDI, status));
	x86_alu(x, X_OR, RCX, RAX);
	x86_store(x, 1, CHUNK(RDI, status), RCX);
	kept(g, RCX, DONE);
	x86_lea(x, RDI, MEMX(RDI, RCX, sizeof(struct event_chunk)));
	kept(g, RCX, TAKEN);
	x86_label(x, again);
	x86_store_imm(x, 1, MEMX(RDI, RCX, -1), 0);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_jcc(x, CC_NE, again);
}

void code_copy_pages(struct code *g, int none)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), lost = x86_label_new(x), next = x86_label_new(x), end = x86_label_new(x);

	keep(g, CHUNK_AT, RDI);
	keep(g, FROM, RSI);
	x86_store_imm(x, 8, SLOT_AT(work, DONE), 0);
	x86_store_imm(x, 8, SLOT_AT(work, GOT), 0);
	x86_store_imm(x, 8, SLOT_AT(work, BIT), 1 << EVENT_PAGES_SHIFT);
	code_fault(g, lost);
	x86_label(x, again);
	next_page(g, end);
	code_copy(g, EVENT_PAGE);
	x86_store_imm(x, 8, SLOT_AT(work, GOT), 1);
	x86_jmp(x, next);
	x86_label(x, lost);
	lose_page(g);
	x86_label(x, next);
	kept(g, RAX, BIT);
	x86_alu(x, X_ADD, RAX, RAX);
	keep(g, BIT, RAX);
	kept(g, RAX, DONE);
	kept(g, RCX, TAKEN);
	x86_alu(x, X_ADD, RAX, RCX);
	keep(g, DONE, RAX);
	x86_jmp(x, again);
	x86_label(x, end);
	x86_alu_mem_imm(x, X_CMP, 8, SLOT_AT(work, GOT), 0);
	x86_jcc(x, CC_E, none);
}

void code_image_copy(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int unread = x86_label_new(x), done = x86_label_new(x), none = code_fail(g, SLOT_UNREADABLE);

	code_fault(g, i->at ? none : unread);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_load(x, 8, false, RCX, code_slot(g->slot, 8));
	x86_lea(x, RDI, MEMX(REG_RECORD, RCX, sizeof(struct event_chunk) + i->at));
	x86_imm(x, RDX, (uint64_t)i->imm);
	code_copy(g, i->imm);
	if (i->at)
		return;
	x86_jmp(x, done);
	code_join(g, unread);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_load(x, 8, false, RCX, code_slot(g->slot, 8));
	x86_lea(x, RDI, MEMX(REG_RECORD, RCX, 0));
	code_copy_pages(g, none);
	code_join(g, done);
}
