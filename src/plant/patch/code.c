/*
 * A capture program as x86-64, the shape of it:
 *
 *   off when area.ring.on is 0 (but where lent memory comes back), or in a child that was forked: it shares the
 *   area, and two threads cannot use one slot
 *   the P's slot (g.m.p.id), or one of the extra slots
 *   the five registers that the code uses itself → slot
 *   the goroutine part and the filter: what does not pass has written nothing but its slot
 *   goid and depth, room in the ring, header, empty slots, one region a slot
 *   the ring's write position: the record is there
 *   the registers back, and back
 *
 * No stack: where Go's is, and how much is left, nobody knows at a function's entry (it may have only the few
 * bytes that a nosplit function is promised), and a goroutine's stack is read and moved by others. So everything
 * lies in the slot, whose address is R13, and there are no calls.
 *
 * Reads that fault. A pointer that typed, live Go memory holds can be read, by Go's own rules. But not all are
 * live (a result register after a panic, a stale word behind an expression), and unsafe, cgo and munmap know no
 * rules. To ask before each read (mincore, process_vm_readv: 200 ns and more) is too slow, and an answer that was
 * kept is wrong once another thread unmaps. So the read is simply done, as the kernel itself does with the memory
 * of processes: slot.fault says beforehand where to go on, and the handler of SIGSEGV and SIGBUS (handler.c) sends
 * a fault there. Nothing is assumed about mappings, and a read that succeeds costs what it costs. What it rests
 * on: that the handler stays ours. Go sets its own once, at start; C code in the program can replace it, and must
 * then forward faults that are not its own, as Go demands of it too (os/signal, "Go programs that use cgo").
 *
 * Order. x86 keeps stores in order: a consumer that sees `write` move sees the whole record.
 */
#include "plant/patch/gen.h"

#include <errno.h>
#include <string.h>

#include "event/loss.h"

_Static_assert(LOSS_RING_FULL < PATCH_LOSSES && LOSS_BUSY < PATCH_LOSSES && LOSS_NO_GOROUTINE < PATCH_LOSSES &&
		       LOSS_FILTER_UNREADABLE < PATCH_LOSSES && LOSS_CALLS_FULL < PATCH_LOSSES &&
		       LOSS_MARKS_FULL < PATCH_LOSSES,
	       "they index patch_counts");

static const uint8_t used_regs[KEPT_COUNT] = {[KEPT_RAX] = RAX, [KEPT_RCX] = RCX, [KEPT_RDX] = RDX,
					      [KEPT_RSI] = RSI, [KEPT_RDI] = RDI};
_Static_assert(KEPT_COUNT <= ARRAY_SIZE(((struct patch_slot *)NULL)->gpr), "all have their place");

#define AREA(field) MEM(R12, offsetof(struct patch_area, field))

/* ---- in and out ---- */

static uint64_t slot_addr(const struct code *g, uint32_t n)
{
	return g->env->area + g->env->layout->ring.slots_off + (uint64_t)n * g->env->layout->ring.slot_bytes;
}

static struct x86_mem counter(const struct code *g, size_t off)
{
	return MEM(R12, g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) + off);
}

/* reg, a goid, becomes the offset of its word in area.ring.lost. */
static void epoch_of(struct code *g, uint8_t reg)
{
	x86_alu_imm(&g->x, X_AND, reg, RING_EPOCHS - 1);
	x86_shift(&g->x, X_SHL, reg, 3);
}

/* R13 = an extra slot that is ours now, or counted and out. R12 and R13 are all there is. */
static void emit_extra_slot(struct code *g, int have, int out)
{
	const struct patch_area *l = g->env->layout;
	int again = x86_label_new(&g->x);
	struct x86 *x = &g->x;

	x86_imm(x, R13, slot_addr(g, l->ring.procs));
	x86_label(x, again);
	x86_imm(x, R12, 1);
	x86_xchg32(x, SLOT(ring.busy), R12);
	x86_test(x, R12, R12);
	x86_jcc(x, CC_E, have);
	x86_alu_imm(x, X_ADD, R13, (int32_t)l->ring.slot_bytes);
	x86_imm(x, R12, slot_addr(g, l->ring.procs + l->ring.extra));
	x86_alu(x, X_CMP, R13, R12);
	x86_jcc(x, CC_B, again);
	x86_imm(x, R12, g->env->area);
	x86_lock_inc(x, counter(g, offsetof(struct patch_counts, loss) + 8 * LOSS_BUSY));
	if (g->p->controlled)
		x86_lock_inc(x, counter(g, offsetof(struct patch_counts, slotless_hits)));
	if (g->env->calls_apart) {
		x86_test(x, R14, R14);
		x86_jcc(x, CC_E, out);
		x86_load(x, 8, false, R13, MEM(R14, g->p->g.goid));
		epoch_of(g, R13);
		x86_lock_inc(x, MEMX(R12, R13, offsetof(struct patch_area, ring.lost)));
	}
	x86_jmp(x, out);
}

/* What begins the code: R13 = the slot of the P, which may be in use. */
static void emit_find_slot(struct code *g, int extra, int out)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	x86_imm(x, R12, g->env->area);
	if (g->env->fork_guard) {
		x86_alu_mem_imm(x, X_CMP, 4, MEM(R12, (int64_t)(g->env->fork_guard - g->env->area)), 0);
		x86_jcc(x, CC_E, out);
	}
	if (!capture_has(g->p, IR_RELEASE)) { /* what was lent comes back, whether somebody listens or not */
		x86_alu_mem_imm(x, X_CMP, 4, AREA(ring.on), 0);
		x86_jcc(x, CC_E, out);
	}
	x86_test(x, R14, R14);
	x86_jcc(x, CC_E, extra);
	x86_load(x, 8, false, R13, MEM(R14, g->p->g.m));
	x86_test(x, R13, R13);
	x86_jcc(x, CC_E, extra);
	x86_load(x, 8, false, R13, MEM(R13, g->env->m_p));
	x86_test(x, R13, R13);
	x86_jcc(x, CC_E, extra);
	x86_load(x, 4, false, R13, MEM(R13, g->env->p_id));
	x86_alu_imm(x, X_CMP, R13, (int32_t)l->ring.procs);
	x86_jcc(x, CC_AE, extra);
	x86_imul_imm(x, R13, R13, (int32_t)l->ring.slot_bytes);
	x86_lea(x, R13, MEMX(R13, R12, l->ring.slots_off));
}

/* The way to the extra slots comes later, out of line. */
static void emit_enter(struct code *g, int have, int extra, int out)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	emit_find_slot(g, extra, out);
	x86_alu_mem_imm(x, X_CMP, 4, SLOT(ring.busy), 0);
	x86_jcc(x, CC_NE, extra);
	x86_store_imm(x, 4, SLOT(ring.busy), 1);
	x86_label(x, have);
	for (size_t i = 0; i < ARRAY_SIZE(used_regs); i++)
		x86_store(x, 8, SLOT_AT(gpr, i), used_regs[i]);
	x86_store_imm(x, 8, SLOT(fault), 0);
	if (g->p->controlled)
		x86_alu_mem_imm(x, X_ADD, 8, MEM(REG_SLOT, patch_hits_off(l) + 8 * (uint64_t)g->env->counts), 1);
}

static void emit_leave(struct code *g, int out)
{
	struct x86 *x = &g->x;

	for (size_t i = 0; i < ARRAY_SIZE(used_regs); i++)
		x86_load(x, 8, false, used_regs[i], SLOT_AT(gpr, i));
	x86_store_imm(x, 4, SLOT(ring.busy), 0);
	x86_label(x, out);
	x86_imm(x, R13, 0);
	x86_jmp_to(x, g->env->back);
}

/* A full ring and an old heartbeat: nobody listens. Signed: the consumer's CPU may be a little ahead. */
static void emit_switch_off(struct code *g)
{
	struct x86 *x = &g->x;
	int alive = x86_label_new(x);

	x86_rdtsc(x);
	x86_shift(x, X_SHL, RDX, 32);
	x86_alu(x, X_OR, RAX, RDX);
	x86_alu_load(x, X_SUB, RAX, AREA(ring.heartbeat_tsc));
	x86_alu_load(x, X_CMP, RAX, AREA(ring.stale_tsc));
	x86_jcc(x, CC_LE, alive);
	x86_store_imm(x, 4, AREA(ring.on), 0);
	x86_label(x, alive);
}

/* R12 is the area. */
static void emit_full(struct code *g)
{
	struct x86 *x = &g->x;

	x86_lock_inc(x, AREA(ring.ring_full));
	if (g->env->calls_apart) {
		x86_load(x, 8, false, RCX, SLOT(goid));
		epoch_of(g, RCX);
		x86_lock_inc(x, MEMX(R12, RCX, offsetof(struct patch_area, ring.lost)));
	}
	emit_switch_off(g);
}

/*
 * Aggregates fill no ring that would show that nobody reads. So the time is looked at now and then, and after a good
 * while (a reader that was only stopped comes back sooner) all falls silent. That something was missed is counted.
 */
static void emit_impatient(struct code *g)
{
	struct x86 *x = &g->x;

	if (g->impatient < 0)
		return;
	x86_label(x, g->impatient);
	x86_store_imm(x, 4, SLOT(patience), PATCH_PATIENCE);
	x86_imm(x, RDI, g->env->area);
	x86_rdtsc(x);
	x86_shift(x, X_SHL, RDX, 32);
	x86_alu(x, X_OR, RAX, RDX);
	x86_alu_load(x, X_SUB, RAX, MEM(RDI, offsetof(struct patch_area, ring.heartbeat_tsc)));
	x86_shift(x, X_SAR, RAX, 5);
	x86_alu_load(x, X_CMP, RAX, MEM(RDI, offsetof(struct patch_area, ring.stale_tsc)));
	x86_jcc(x, CC_LE, g->patient);
	x86_store_imm(x, 4, MEM(RDI, offsetof(struct patch_area, ring.on)), 0);
	x86_lock_inc(x, MEM(RDI, g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) +
					 offsetof(struct patch_counts, loss) + 8 * LOSS_RING_FULL));
	x86_jmp(x, g->patient);
}

/* What the ring has no room for still counts. */
static void emit_spill(struct code *g)
{
	struct x86 *x = &g->x;

	if (g->spill < 0)
		return;
	x86_label(x, g->spill);
	x86_imm(x, R12, g->env->area);
	x86_lock_inc(x, counter(g, offsetof(struct patch_counts, loss) + 8 * LOSS_RING_FULL));
	emit_full(g);
	x86_store_imm(x, 4, SLOT(spilled), 1);
	code_scratch_record(g);
	x86_jmp(x, g->spilled);
}

static bool ends_the_same(unsigned drop)
{
	return drop == LOSS_FILTER_UNREADABLE || drop == LOSS_EVERY || drop == LOSS_RATE_LIMITED;
}

static void emit_drops(struct code *g, int leave)
{
	struct x86 *x = &g->x;

	for (unsigned d = 0; d < DROP_ENDED; d++) {
		if (g->drop[d] < 0)
			continue;
		x86_label(x, g->drop[d]);
		if (d < PATCH_LOSSES) {
			x86_imm(x, R12, g->env->area);
			x86_lock_inc(x, counter(g, offsetof(struct patch_counts, loss) + 8 * d));
		}
		if (d == LOSS_RING_FULL)
			emit_full(g);
		x86_jmp(x, ends_the_same(d) && g->ended >= 0 ? g->ended : leave);
	}
}

static void emit_fails(struct code *g)
{
	for (size_t i = 0; i < g->fails.len; i++) {
		const struct code_fail *f = &g->fails.data[i];

		x86_label(&g->x, f->label);
		x86_store_imm(&g->x, 8, code_slot(f->slot, 0), (int32_t)f->status);
		x86_jmp(&g->x, f->resume);
	}
}

/* ---- the parts before the captures ---- */

/* Only the table of calls wants them, once: they need not be in the slot. */
static bool knows_goroutine(const struct code *g)
{
	return (g->p->role == PROGRAM_ENTRY || g->p->role == PROGRAM_RETURN) && !code_writes_record(g) &&
	       !capture_has(g->p, IR_GOROUTINE);
}

void code_goid(struct code *g, uint8_t reg)
{
	x86_load(&g->x, 8, false, reg, knows_goroutine(g) ? MEM(R14, g->p->g.goid) : SLOT(goid));
}

/* reg = the depth of the stack pointer at the function's entry. */
static void depth_below(struct code *g, struct x86_mem stack_hi, uint8_t reg)
{
	x86_load(&g->x, 8, false, reg, stack_hi);
	x86_alu(&g->x, X_SUB, reg, RSP);
	if (g->env->sp_delta)
		x86_alu_imm(&g->x, X_SUB, reg, g->env->sp_delta);
}

void code_depth(struct code *g, uint8_t reg)
{
	if (knows_goroutine(g))
		depth_below(g, MEM(R14, g->p->g.stack_hi), reg);
	else
		x86_load(&g->x, 8, false, reg, SLOT(depth));
}

/* slot.goid, slot.depth. */
void code_know_goroutine(struct code *g)
{
	const struct ir_insn *given = capture_find(g->p, IR_GOROUTINE);
	const struct goroutine_layout *l = &g->p->g;
	int no = code_drop(g, LOSS_NO_GOROUTINE);
	struct x86 *x = &g->x;

	code_fault(g, no);
	code_forget(g);
	if (knows_goroutine(g)) {
		x86_test(x, R14, R14);
		x86_jcc(x, CC_E, no);
		return;
	}
	if (given)
		x86_load(x, 8, false, RCX, SLOT(given_g));
	else
		x86_mov(x, RCX, R14);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, no);
	x86_load(x, 8, false, RAX, MEM(RCX, l->goid));
	x86_store(x, 8, SLOT(goid), RAX);
	if (g->p->role == PROGRAM_EXIT || (given && given->b == IR_NO_REG)) {
		x86_store_imm(x, 8, SLOT(depth), 0);
		return;
	}
	if (given) {
		x86_load(x, 8, false, RAX, MEM(RCX, l->stack_hi));
		x86_alu_load(x, X_SUB, RAX, SLOT(given_sp));
	} else {
		depth_below(g, MEM(RCX, l->stack_hi), RAX);
	}
	x86_store(x, 8, SLOT(depth), RAX);
}

void code_size(struct code *g, uint8_t reg)
{
	if (g->known_size)
		x86_imm(&g->x, reg, g->known_size);
	else
		x86_load(&g->x, 4, false, reg, SLOT(size));
}

uint32_t code_record_limit(const struct capture_program *p)
{
	return p->role == PROGRAM_ENTRY ? EVENT_MAX_CALL : capture_head_bytes(p) + EVENT_MAX_DATA;
}

void code_now(struct code *g)
{
	x86_rdtsc(&g->x);
	x86_shift(&g->x, X_SHL, RDX, 32);
	x86_alu(&g->x, X_OR, RAX, RDX);
}

/* RAX = slot.now: the time of this event. */
static void emit_now(struct code *g)
{
	code_now(g);
	x86_store(&g->x, 8, SLOT(now), RAX);
}

static enum event_kind record_kind(const struct capture_program *p)
{
	static const enum event_kind kinds[] = {
		[PROGRAM_POINT] = EVENT_POINT,    [PROGRAM_ENTRY] = EVENT_CALL,
		[PROGRAM_RETURN] = EVENT_RETURN,  [PROGRAM_UNWIND] = EVENT_UNWOUND,
		[PROGRAM_EXIT] = EVENT_UNWOUND,
	};

	return kinds[p->role];
}

static void emit_header(struct code *g, enum event_kind kind, uint16_t nslots)
{
	struct x86 *x = &g->x;

	g->known_size = (uint32_t)(sizeof(struct event_header) + nslots * sizeof(struct event_slot));
	x86_store_imm(x, 8, SLOT(size), (int32_t)g->known_size);
	x86_store_imm(x, 4, HEAD(version), (int32_t)(EVENT_VERSION | (uint32_t)kind << 8 | (uint32_t)nslots << 16));
	x86_store_imm(x, 4, HEAD(probe), (int32_t)g->probe_id);
	x86_store_imm(x, 4, HEAD(target), (int32_t)g->env->layout->ring.target);
	x86_load(x, 8, false, RAX, SLOT(goid));
	x86_store(x, 8, HEAD(goid), RAX);
	x86_load(x, 8, false, RAX, SLOT(depth));
	x86_store(x, 8, HEAD(depth), RAX);
	x86_store_imm(x, 8, HEAD(chunks), 0);
	if (code_saved_early(g->p))
		x86_load(x, 8, false, RAX, SLOT(now));
	else
		emit_now(g);
	x86_store(x, 8, HEAD(time_ns), RAX);
	for (uint16_t i = 0; i < nslots; i++) {
		x86_store_imm(x, 8, code_slot(i, 0), SLOT_ABSENT);
		x86_store_imm(x, 8, code_slot(i, 8), 0);
	}
}

/* A record that only the aggregates see: its slots. */
static void emit_scratch(struct code *g)
{
	struct x86 *x = &g->x;

	if (code_keeps_directly(g)) {
		code_saved_claim(g);
		code_kept_record(g);
	} else if (g->p->nslots) {
		code_scratch_record(g);
		g->known_size = capture_head_bytes(g->p);
		x86_store_imm(x, 8, SLOT(size), (int32_t)g->known_size);
	}
	for (uint16_t i = 0; i < g->p->nslots; i++) {
		x86_store_imm(x, 8, code_slot(i, 0), SLOT_ABSENT);
		x86_store_imm(x, 8, code_slot(i, 8), 0);
	}
}

static void emit_early(struct code *g)
{
	code_know_goroutine(g);
	code_saved_begin(g);
	if (code_writes_record(g) || capture_has(g->p, IR_LATENCY))
		emit_now(g);
	code_forget(g);
	g->fault = -1;
}

/* Behind the filter: marks are of the record's goroutine. */
static void emit_marks_begin(struct code *g)
{
	code_know_goroutine(g);
	code_saved_begin(g);
	code_mark_begin(g);
	code_forget(g);
	g->fault = -1;
	g->goroutine_known = true;
}

static void emit_record_begin(struct code *g)
{
	g->in_region = g->in_filter = false;
	code_admit(g);
	if (!code_saved_early(g->p) && !g->goroutine_known &&
	    (code_writes_record(g) || g->p->role == PROGRAM_ENTRY || capture_has(g->p, IR_SAVED) ||
	     capture_has(g->p, IR_SAVE))) {
		code_know_goroutine(g);
		code_saved_begin(g);
	}
	if (!code_writes_record(g)) {
		emit_scratch(g);
	} else if (g->env->sums) {
		g->spill = x86_label_new(&g->x);
		g->spilled = x86_label_new(&g->x);
		x86_store_imm(&g->x, 4, SLOT(spilled), 0);
		code_reserve(g, g->spill);
		x86_label(&g->x, g->spilled);
		emit_header(g, record_kind(g->p), g->p->nslots);
	} else {
		code_reserve(g, code_drop(g, LOSS_RING_FULL));
		emit_header(g, record_kind(g->p), g->p->nslots);
	}
	code_forget(g);
}

/* The entry's size, then the position: the consumer may look from then on. */
static void emit_commit(struct code *g)
{
	struct x86 *x = &g->x;

	code_size(g, RAX);
	x86_store(x, 4, HEAD(size), RAX);
	x86_alu_imm(x, X_ADD, RAX, sizeof(struct ring_entry));
	x86_store(x, 4, MEM(REG_RECORD, -8), RAX);
	if (g->env->calls_apart) {
		x86_load(x, 8, false, RCX, SLOT(goid));
		epoch_of(g, RCX);
		x86_imm(x, RDX, g->env->area);
		x86_load(x, 8, false, RCX, MEMX(RDX, RCX, offsetof(struct patch_area, ring.lost)));
		x86_shift(x, X_SHL, RCX, 1);
		x86_store(x, 4, MEM(REG_RECORD, -4), RCX);
	} else {
		x86_store_imm(x, 4, MEM(REG_RECORD, -4), RING_ENTRY_RECORD);
	}
	x86_alu_load(x, X_ADD, RAX, SLOT(ring.write));
	x86_store(x, 8, SLOT(ring.write), RAX);
}

static void emit_end(struct code *g)
{
	int end = x86_label_new(&g->x);

	if (!code_writes_record(g))
		return;
	if (g->spill >= 0) {
		x86_alu_mem_imm(&g->x, X_CMP, 4, SLOT(spilled), 0);
		x86_jcc(&g->x, CC_NE, end);
	}
	emit_commit(g);
	x86_label(&g->x, end);
}

static bool may_end(const struct code *g)
{
	bool any = g->drop[DROP_ENDED] >= 0;

	for (unsigned d = 0; d < PATCH_LOSSES; d++)
		any |= ends_the_same(d) && g->drop[d] >= 0;
	return code_not_passed(g) == DROP_ENDED && any;
}

/* A record without slots says that the call is over. An entry that goes no further only leaves no call behind. */
static void emit_ended(struct code *g, int leave)
{
	if (!may_end(g))
		return;
	g->ended = code_drop(g, DROP_ENDED);
	x86_label(&g->x, g->ended);
	if (g->p->role == PROGRAM_ENTRY) {
		g->in_region = g->in_filter = false;
		g->fault = -1;
		code_know_goroutine(g);
		code_saved_erase(g);
	} else {
		code_reserve(g, code_drop(g, LOSS_RING_FULL));
		emit_header(g, EVENT_UNWOUND, 0);
		emit_commit(g);
	}
	x86_jmp(&g->x, leave);
}

/* ---- regions ---- */

static void region_begin(struct code *g, const struct ir_insn *i)
{
	g->in_region = true;
	g->in_filter = i->slot == IR_SLOT_FILTER;
	g->in_mark = i->slot == IR_SLOT_MARK;
	g->slot = i->slot;
	g->fault = -1;
	code_forget(g);
	for (unsigned s = 0; s < SLOT_STATUS_COUNT; s++)
		g->fail[s] = -1;
}

static void region_end(struct code *g)
{
	int resume = x86_label_new(&g->x);

	for (unsigned s = 0; s < SLOT_STATUS_COUNT; s++) {
		if (g->in_filter || g->fail[s] < 0)
			continue;
		if (g->in_mark)
			x86_label(&g->x, g->fail[s]);
		else
			vec_push(&g->fails, ((struct code_fail){.label = g->fail[s], .resume = resume,
							       .slot = g->slot, .status = (enum slot_status)s}));
	}
	code_join(g, resume);
	g->in_region = g->in_filter = g->in_mark = false;
}

static bool is_capture(const struct ir_insn *i)
{
	return i->op == IR_REGION && i->slot != IR_SLOT_FILTER && i->slot != IR_SLOT_MARK;
}

static bool is_mark(const struct ir_insn *i)
{
	return i->op == IR_REGION && i->slot == IR_SLOT_MARK;
}

static int emit_body(struct code *g)
{
	const struct capture_program *p = g->p;
	bool early = !code_saved_early(p), begun = false;

	for (size_t i = 0; i < p->ninsns; i++) {
		const struct ir_insn *in = &p->insns[i];
		int r = 0;

		if (!early && in->op == IR_REGION) {
			emit_early(g);
			early = true;
		}
		if (!g->goroutine_known && is_mark(in))
			emit_marks_begin(g);
		if (!begun && is_capture(in)) {
			emit_record_begin(g);
			begun = true;
		}
		if (in->op == IR_REGION)
			region_begin(g, in);
		else if (in->op == IR_END)
			region_end(g);
		else
			r = code_insn(g, in);
		if (r < 0)
			return r;
	}
	if (!early)
		emit_early(g);
	if (!begun)
		emit_record_begin(g);
	code_walk(g);
	code_sums(g);
	code_saved_end(g);
	emit_end(g);
	return 0;
}

/* ---- all of it ---- */

/* How many bytes of the record an instruction may add. */
static uint64_t data_of(const struct ir_insn *i)
{
	switch (i->op) {
	case IR_EMIT_STR: /* its address too, where only a part can be read */
		return ALIGN_UP((uint64_t)MIN(MAX(i->imm, 0), EVENT_MAX_STRING), 8) + 8;
	case IR_EMIT_STACK:
		return 8 * (uint64_t)i->imm;
	case IR_EMIT_CHAIN: /* and the end */
		return 8 * ((uint64_t)i->imm + 1);
	case IR_EMIT_MARK:
		return ALIGN_UP(sizeof(struct event_context), 8);
	case IR_IMAGE: /* and what it leads to */
		return EVENT_MAX_DATA;
	default:
		return 0;
	}
}

static uint64_t wanted_bytes(const struct capture_program *p)
{
	uint64_t data = capture_head_bytes(p);

	for (size_t i = 0; i < p->ninsns; i++)
		data += data_of(&p->insns[i]);
	return data;
}

uint32_t patch_record_bytes(const struct capture_program *p)
{
	return (uint32_t)MIN(wanted_bytes(p), code_record_limit(p));
}

static void measure(struct code *g)
{
	g->may_overflow = wanted_bytes(g->p) > code_record_limit(g->p);
	g->max_size = patch_record_bytes(g->p);
}

static int check_env(const struct code *g)
{
	const struct patch_area *l = g->env->layout;

	if (capture_arch(g->p) != &arch_x86_64)
		return err_set(g->err, -EOPNOTSUPP, "patching makes code for %s alone, and the program is %s",
			       arch_x86_64.name, capture_arch(g->p)->name);
	if (!l->ring.chunks || l->ring.table_len < l->ring.chunks || l->ring.table_len & (l->ring.table_len - 1) ||
	    !l->ring.extra || g->env->counts >= l->ncounts)
		return err_set(g->err, -EINVAL, "the area's layout is not one of patch_area_layout");
	if (capture_has(g->p, IR_IMAGE) && (!g->p->shapes || !g->env->shapes))
		return err_set(g->err, -EINVAL, "values are to be copied, but the program has no table of shapes");
	if (capture_follows(g->p) && (!g->env->contexts || !g->env->chain))
		return err_set(g->err, -EINVAL, "contexts are to be followed, but the program has no table of them");
	if (capture_has_marks(g->p) && !l->nmarks)
		return err_set(g->err, -EINVAL, "the program has marks, but the area has no room for them");
	if ((capture_has(g->p, IR_LEND) || capture_has(g->p, IR_RELEASE)) && !g->env->loans)
		return err_set(g->err, -EINVAL, "memory is to be lent to the program, but there is none");
	if (capture_has(g->p, IR_MARK_STATE) && !l->nstates)
		return err_set(g->err, -EINVAL, "a tracestate is to be kept, but the area has no room for it");
	if (g->p->nregs > IR_MAX_REGS)
		return err_set(g->err, -EOPNOTSUPP, "%u values at once (at most %d)", g->p->nregs, IR_MAX_REGS);
	return 0;
}

/*
 * A program that counts its hits, all of them, needs no slot to itself: one instruction counts. Threads without a slot
 * count together. Now and then it is looked whether somebody listens, as above; that takes a slot.
 */
static void emit_counter(struct code *g)
{
	const struct x86_mem hits = MEM(REG_SLOT, patch_hits_off(g->env->layout) + 8 * (uint64_t)g->env->counts);
	struct x86 *x = &g->x;
	int extra = x86_label_new(x), out = x86_label_new(x), look = x86_label_new(x);

	emit_find_slot(g, extra, out);
	x86_alu_mem_imm(x, X_ADD, 8, hits, 1);
	x86_test_mem8(x, hits, 0xff);
	x86_jcc(x, CC_E, look);
	x86_label(x, out);
	x86_imm(x, R13, 0);
	x86_jmp_to(x, g->env->back);
	x86_label(x, extra);
	x86_lock_inc(x, counter(g, offsetof(struct patch_counts, slotless_hits)));
	x86_jmp(x, out);
	x86_label(x, look);
	x86_alu_mem_imm(x, X_CMP, 4, SLOT(ring.busy), 0);
	x86_jcc(x, CC_NE, out);
	x86_store_imm(x, 4, SLOT(ring.busy), 1);
	for (size_t i = 0; i < ARRAY_SIZE(used_regs); i++)
		x86_store(x, 8, SLOT_AT(gpr, i), used_regs[i]);
	g->impatient = x86_label_new(x);
	g->patient = x86_label_new(x);
	emit_impatient(g);
	x86_label(x, g->patient);
	for (size_t i = 0; i < ARRAY_SIZE(used_regs); i++)
		x86_load(x, 8, false, used_regs[i], SLOT_AT(gpr, i));
	x86_store_imm(x, 4, SLOT(ring.busy), 0);
	x86_jmp(x, out);
}

static int finish(struct code *g)
{
	if (x86_finish(&g->x) < 0)
		return err_set(g->err, -ERANGE, "the code at %#llx is more than 2 GB from the function at %#llx",
			       (unsigned long long)g->env->code, (unsigned long long)g->env->back);
	return 0;
}

static int generate(struct code *g)
{
	int have = x86_label_new(&g->x), extra = x86_label_new(&g->x), out = x86_label_new(&g->x);
	int leave = x86_label_new(&g->x);
	int r;

	if (g->env->sums && g->env->sums->hits) {
		emit_counter(g);
		return finish(g);
	}
	emit_enter(g, have, extra, out);
	if (code_holds_call(g))
		x86_store_imm(&g->x, 8, SLOT(held), 0);
	r = emit_body(g);
	if (r < 0)
		return r;
	x86_label(&g->x, leave);
	code_saved_release(g);
	emit_leave(g, out);
	emit_fails(g);
	emit_ended(g, leave);
	code_refills(g);
	emit_impatient(g);
	emit_spill(g);
	emit_drops(g, leave);
	x86_label(&g->x, extra);
	emit_extra_slot(g, have, out);
	return finish(g);
}

int patch_compile(const struct capture_program *p, uint32_t probe_id, const struct patch_env *env, struct buf *out,
		  struct err *err)
{
	_cleanup_(cleanup_free) int *labels = xcalloc(p->nlabels + 1u, sizeof(*labels));
	struct code g = {.p = p, .env = env, .probe_id = probe_id, .labels = labels, .fault = -1,
			.cached = IR_NO_REG, .ended = -1, .impatient = -1, .spill = -1, .err = err};
	size_t start = out->len;
	int r = capture_verify(p, err);

	if (r == 0)
		r = check_env(&g);
	if (r < 0)
		return r;
	memset(g.drop, -1, sizeof(g.drop));
	x86_begin(&g.x, out, env->code);
	for (unsigned i = 0; i < p->nlabels; i++)
		labels[i] = x86_label_new(&g.x);
	measure(&g);
	r = generate(&g);
	if (r < 0)
		out->len = start;
	vec_done(&g.fails);
	vec_done(&g.refills);
	x86_done(&g.x);
	return r;
}
