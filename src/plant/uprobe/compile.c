/*
 * A capture program as BPF, the shape of it:
 *
 *   skip when the flags say that the stack is about to grow (sites on a jbe)
 *   on a RET that the program runs itself (returns.h): that at its end, whichever it is
 *   the goroutine part and the filter, on the BPF stack alone where they can be: what does not pass
 *     costs no more than the reads of its condition
 *   goid and stack.hi of the goroutine
 *   a scratch element (or, for records without strings, room on the BPF stack)
 *   header, empty slots, one region a slot
 *   what the images among them lead to (walk.c)
 *   aggregates (aggregate.c)
 *   bpf_ringbuf_output
 *
 * That is a point. The entry of a call (calls.c) keeps its record in a map instead of the last step; its return looks
 * for the call right after the goroutine part, before the filter, which may ask for the entry's values, and has the
 * entry's record behind its own in the ring. Unwinding has no record: it only takes calls away. Controlled programs
 * count their hits first of all, and limit what passes right behind the filter (control.c). Programs that ask for none
 * of this contain no instruction of it.
 *
 * Facts behind it:
 * - Programs on uprobes run in task context with migration disabled, but preemptible. A second task
 *   on the same CPU can thus run a program in the middle of another's, so per-CPU scratch memory is
 *   not exclusive. Each CPU has a few elements, taken by an atomic exchange and given back on every
 *   way out. A task cannot be killed in the middle of a program, so none is ever lost.
 * - For the same reason a program may not have a stack of its CPU. From Linux 6.13 on the kernel gives one to programs
 *   that use 64 bytes or more, and counts on that none runs within another on a CPU, which is not so of uprobes':
 *   values of one thread came out as another's (184 of 200,000 events in uprobe_test on a preemptible 7.3). It gives
 *   none to programs with a tail call in them, even one that is never reached: the verifier takes it out again.
 * - Per-CPU array values may not exceed 32 KiB, hence the plain array, indexed by CPU.
 * - The verifier walks every path, and merges paths whose states agree. What differs by path is kept
 *   in memory that it does not track (the running size lies in the record's own header, in the map
 *   value); so each region begins in one state however the former ones ended, and verification is
 *   linear in the program's length. It gives up at a million instructions walked, or 8192 branches on
 *   the way of which the other side is not walked yet (BPF_COMPLEXITY_LIMIT_JMP_SEQ). So loops do
 *   without branches but for their ends: they compute 0 or 1 instead.
 * - Loops of thousands of rounds (calls that a panic unwinds, the chunks of a large value) are callbacks of bpf_loop
 *   (Linux 5.17), which the verifier walks once, not once a round. A callback is a subprogram, which wants BTF
 *   (btf.c), and shares the 512 bytes of stack with the program: so ours use none, and keep what they have to remember
 *   in the scratch element. They are part of each program that needs them: tail calls would lose registers and stack,
 *   and the 500 instructions cost the verifier a millisecond.
 * - A wakeup of the consumer costs the observed program more than the rest of the record: there is
 *   one each time a quarter of the ring fills up, and the consumer also looks by a timer.
 *   Two CPUs that reserve at the same moment can miss one crossing; there are three before it is full.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>
#include <string.h>

#include "event/loss.h"
#include "plant/uprobe/returns.h"

_Static_assert(LOSS_RING_FULL < LOSS_KERNEL_COUNT && LOSS_BUSY < LOSS_KERNEL_COUNT &&
		       LOSS_NO_GOROUTINE < LOSS_KERNEL_COUNT &&
		       LOSS_FILTER_UNREADABLE < LOSS_KERNEL_COUNT,
	       "they index the losses map");

int cookie_pack(uint32_t target, uint64_t bias, uint64_t *ret, struct err *err)
{
	int64_t pages = (int64_t)bias >> 12;

	if (target >> COOKIE_TARGET_BITS)
		return err_set(err, -ERANGE, "more than %u processes in one run",
			       1u << COOKIE_TARGET_BITS);
	if (bias & 0xfff || pages >= INT64_C(1) << 35 || pages < -(INT64_C(1) << 35))
		return err_set(err, -ERANGE,
			       "load bias %#llx is not that of a mapped program (expected whole pages)",
			       (unsigned long long)bias);
	*ret = (uint64_t)pages << COOKIE_TARGET_BITS | target;
	return 0;
}

/* ---- failures ---- */

static int label_once(struct gen *g, int *label)
{
	if (*label < 0)
		*label = emit_label_new(g->e);
	return *label;
}

int gen_drop(struct gen *g, unsigned drop)
{
	return label_once(g, &g->drop[g->holds_scratch][drop]);
}

int gen_fail(struct gen *g, enum slot_status s)
{
	if (!g->in_region)
		return gen_drop(g, LOSS_NO_GOROUTINE);
	if (g->in_mark)
		return gen_behind(g);
	if (!g->in_filter)
		return label_once(g, &g->fail[s]);
	if (s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY)
		return gen_drop(g, LOSS_FILTER_UNREADABLE);
	return gen_drop(g, DROP_SILENT);
}

int gen_behind(struct gen *g)
{
	return label_once(g, &g->behind);
}

void gen_release(struct gen *g)
{
	emit_store_imm(g->e, 8, REG_RECORD, SCRATCH_BUSY_OFF, 0);
}

uint32_t loss_key(uint32_t probe_id)
{
	return probe_id < LOSS_PROBES ? probe_id : 0;
}

void gen_count_loss(struct gen *g, unsigned loss)
{
	struct emit *e = g->e;
	int out = emit_label_new(e);

	emit_store_imm(e, 8, FP, BK_KEY, (int32_t)loss_key(g->probe_id));
	emit_map_fd(e, R1, g->env->losses);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, out);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD, R0, (int)(8 * loss), R1);
	emit_label(e, out);
}

void gen_loop(struct gen *g, int callback, int max, int word)
{
	struct emit *e = g->e;

	emit_store(e, 8, FP, word, REG_RECORD);
	emit_alu_imm(e, BPF_MOV, R1, max);
	emit_subprog_addr(e, R2, callback);
	emit_alu(e, BPF_MOV, R3, FP);
	emit_alu_imm(e, BPF_ADD, R3, word);
	emit_alu_imm(e, BPF_MOV, R4, 0);
	emit_call(e, BPF_FUNC_loop);
}

void gen_return(struct gen *g)
{
	emit_alu_imm(g->e, BPF_MOV, R0, 0);
	emit_exit(g->e);
}

/* Every way out of the program, but for those whose hit is none. */
static void leave(struct gen *g)
{
	if (g->shape.returns)
		emit_jump(g->e, label_once(g, &g->leave));
	else
		gen_return(g);
}

static void emit_leave(struct gen *g)
{
	if (!g->shape.returns)
		return;
	emit_label(g->e, label_once(g, &g->leave));
	returns_run(g->e, g->arch);
	gen_return(g);
}

/* The ways out that drop the event. */
static void emit_drops(struct gen *g)
{
	for (unsigned held = 0; held < 2; held++) {
		for (unsigned d = 0; d < DROP_COUNT; d++) {
			if (g->drop[held][d] < 0)
				continue;
			emit_label(g->e, g->drop[held][d]);
			if (held && d != DROP_NO_CALL && g->in_call)
				calls_end(g);
			if (held)
				gen_release(g);
			else if (d == LOSS_BUSY)
				calls_return_dropped(g);
			if (d < LOSS_KERNEL_COUNT)
				gen_count_loss(g, d);
			leave(g);
		}
	}
}

/* ---- the parts before the captures ---- */

static void refuse_private_stack(struct emit *e)
{
	int go = emit_label_new(e);

	emit_alu_imm(e, BPF_MOV, R0, 0);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, go);
	emit_call(e, BPF_FUNC_tail_call);
	emit_label(e, go);
}

static void emit_prologue(struct gen *g)
{
	struct emit *e = g->e;
	int go = emit_label_new(e);

	emit_alu(e, BPF_MOV, REG_CTX, R1);
	if (g->env->private_stack)
		refuse_private_stack(e);
	if (g->shape.flags_skip) {
		emit_load(e, 8, R0, REG_CTX, g->arch->saved_flags);
		emit_alu_imm(e, BPF_AND, R0, g->shape.flags_skip);
		emit_jump_if_imm(e, BPF_JEQ, R0, 0, go);
		gen_return(g);
	}
	emit_label(e, go);
	if (g->shape.returns)
		returns_undo(e, g->arch);
}

/* R7 = the record in a scratch element that is ours until we release it. Keeps R8 and R9. */
void gen_take_scratch(struct gen *g)
{
	struct emit *e = g->e;
	int got = emit_label_new(e);

	emit_call(e, BPF_FUNC_get_smp_processor_id);
	emit_alu_imm(e, BPF_MUL, R0, (int32_t)g->env->scratch_per_cpu);
	emit_store(e, 8, FP, BK_KEY, R0);
	for (unsigned i = 0; i < g->env->scratch_per_cpu; i++) {
		if (i) {
			emit_load(e, 8, R0, FP, BK_KEY);
			emit_alu_imm(e, BPF_ADD, R0, 1);
			emit_store(e, 8, FP, BK_KEY, R0);
		}
		emit_map_fd(e, R1, g->env->scratch);
		emit_alu(e, BPF_MOV, R2, FP);
		emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
		emit_call(e, BPF_FUNC_map_lookup_elem);
		emit_jump_if_imm(e, BPF_JEQ, R0, 0, gen_drop(g, LOSS_BUSY));
		emit_alu_imm(e, BPF_MOV, R1, 1);
		emit_atomic(e, BPF_XCHG, R0, 0, R1);
		emit_jump_if_imm(e, BPF_JEQ, R1, 0, got);
	}
	emit_jump(e, gen_drop(g, LOSS_BUSY));
	emit_label(e, got);
	emit_checkpoint(e);
	emit_alu(e, BPF_MOV, REG_RECORD, R0);
	emit_alu_imm(e, BPF_ADD, REG_RECORD, offsetof(struct scratch, record));
	g->holds_scratch = true;
	map_begin(g);
}

/* R8 = goid, R9 = stack.hi; in one read where they lie near. No virtual register lives here. */
static void read_goroutine(struct gen *g)
{
	const struct goroutine_layout *l = &g->p->g;
	uint32_t low = MIN(l->goid, l->stack_hi), high = MAX(l->goid, l->stack_hi);
	bool near = high + 8 - low <= 256;
	struct emit *e = g->e;
	int no = gen_drop(g, LOSS_NO_GOROUTINE);

	if (capture_has(g->p, IR_GOROUTINE))
		emit_load(e, 8, R3, FP, BK_G);
	else
		gen_site_reg(g, R3, g->arch->g);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, no);
	if (!near)
		emit_alu(e, BPF_MOV, R8, R3);
	emit_alu_imm(e, BPF_ADD, R3, (int32_t)(near ? low : l->goid));
	gen_read_uncleared(g, g->stack_regs, near ? high + 8 - low : 8, no);
	if (!near) {
		emit_alu(e, BPF_MOV, R3, R8);
		emit_alu_imm(e, BPF_ADD, R3, (int32_t)l->stack_hi);
		gen_read_uncleared(g, g->stack_regs + 8, 8, no);
	}
	emit_load(e, 8, R8, FP, g->stack_regs + (near ? (int)(l->goid - low) : 0));
	emit_load(e, 8, R9, FP, g->stack_regs + (near ? (int)(l->stack_hi - low) : 8));
}

/* R8 = goid, R9 = depth, or what stands for them where there are threads only. */
static void emit_goroutine(struct gen *g)
{
	const struct ir_insn *given = capture_find(g->p, IR_GOROUTINE);
	struct emit *e = g->e;
	int alone, got;

	if (g->p->threads) {
		gen_thread(g, R8);
		gen_site_reg(g, R9, g->arch->sp);
		emit_neg(e, R9);
		return;
	}
	alone = emit_label_new(e);
	got = emit_label_new(e);

	if (g->holds_scratch && windows_goroutine(g, alone)) {
		emit_jump(e, got);
		emit_label(e, alone);
	}
	read_goroutine(g);
	emit_label(e, got);
	if (given && given->b == IR_NO_REG) {
		emit_alu(e, BPF_MOV, R1, R9);
	} else if (given) {
		emit_load(e, 8, R1, FP, BK_SP);
	} else {
		gen_entry_sp(g, R1, 0);
	}
	emit_alu(e, BPF_SUB, R9, R1);
}

static unsigned kind_of(const struct capture_program *p)
{
	return p->role == PROGRAM_ENTRY ? EVENT_CALL : p->role == PROGRAM_RETURN ? EVENT_RETURN : EVENT_POINT;
}

void gen_target(struct gen *g)
{
	emit_alu(g->e, BPF_MOV, R1, REG_CTX);
	emit_call(g->e, BPF_FUNC_get_attach_cookie);
	emit_alu_imm(g->e, BPF_AND, R0, (1 << COOKIE_TARGET_BITS) - 1);
}

/* gen_target, of a record that has begun: the cookie is at hand from here on. */
static void gen_own_target(struct gen *g)
{
	if (g->p->threads) {
		emit_call(g->e, BPF_FUNC_get_current_pid_tgid);
		emit_alu_imm(g->e, BPF_RSH, R0, 32);
		return;
	}
	emit_alu(g->e, BPF_MOV, R1, REG_CTX);
	emit_call(g->e, BPF_FUNC_get_attach_cookie);
	if (g->holds_scratch)
		state_store(g, SCRATCH_COOKIE_OFF, R0);
	g->knows_cookie = g->holds_scratch;
	emit_alu_imm(g->e, BPF_AND, R0, (1 << COOKIE_TARGET_BITS) - 1);
}

/* R0 = the number of the process, R0 and time_ns: of a return, they are known by now. */
static void emit_target_and_time(struct gen *g)
{
	struct emit *e = g->e;

	if (calls_used(g->p))
		emit_load(e, 4, R0, REG_RECORD, SCRATCH_STATE(key.target));
	else
		gen_own_target(g);
	emit_store(e, 4, REG_RECORD, HEAD(target), R0);
	if (g->in_call)
		emit_load(e, 8, R0, REG_RECORD, SCRATCH_STATE(now));
	else
		emit_call(e, BPF_FUNC_ktime_get_ns);
	emit_store(e, 8, REG_RECORD, HEAD(time_ns), R0);
}

int gen_record_limit(const struct gen *g)
{
	return g->p->role == PROGRAM_ENTRY ? EVENT_MAX_CALL : (int)(capture_head_bytes(g->p) + EVENT_MAX_DATA);
}

/* goid in R8, depth in R9, or in the state of a program with calls. */
static void emit_header(struct gen *g)
{
	struct emit *e = g->e;

	emit_store_imm(e, 4, REG_RECORD, HEAD(size), (int32_t)capture_head_bytes(g->p));
	emit_store_imm(e, 4, REG_RECORD, HEAD(version),
		       (int32_t)(EVENT_VERSION | kind_of(g->p) << 8 | g->p->nslots << 16));
	emit_store_imm(e, 4, REG_RECORD, HEAD(probe), (int32_t)g->probe_id);
	emit_store_imm(e, 8, REG_RECORD, HEAD(chunks), 0);
	if (calls_used(g->p)) {
		int number = emit_label_new(e);

		emit_load(e, 8, R8, REG_RECORD, SCRATCH_STATE(key.goid));
		emit_jump_if_imm(e, BPF_JSGE, R8, 0, number);
		emit_alu_imm(e, BPF_MOV, R8, 0); /* a thread's: see calls.c */
		emit_label(e, number);
		emit_load(e, 8, R9, REG_RECORD, SCRATCH_STATE(depth));
	}
	emit_store(e, 8, REG_RECORD, HEAD(goid), R8);
	emit_store(e, 8, REG_RECORD, HEAD(depth), R9);
	emit_target_and_time(g);
	for (uint16_t i = 0; i < g->p->nslots; i++) {
		emit_store_imm(e, 8, REG_RECORD, gen_slot_off(g, i), SLOT_ABSENT);
		emit_store_imm(e, 8, REG_RECORD, gen_slot_off(g, i) + 8, 0);
	}
}

void gen_output(struct gen *g, int full)
{
	struct emit *e = g->e;
	int sleep = emit_label_new(e);

	emit_map_fd(e, R1, g->env->ring);
	emit_alu_imm(e, BPF_MOV, R2, BPF_RB_AVAIL_DATA);
	emit_call(e, BPF_FUNC_ringbuf_query);
	emit_alu(e, BPF_MOV, R1, R0);
	emit_alu(e, BPF_ADD, R1, R9);
	emit_alu_imm(e, BPF_ADD, R1, BPF_RINGBUF_HDR_SZ);
	emit_alu(e, BPF_XOR, R1, R0);
	emit_alu_imm(e, BPF_MOV, R4, BPF_RB_NO_WAKEUP);
	emit_jump_if_imm(e, BPF_JLT, R1, (int32_t)(g->env->ring_bytes / 4), sleep);
	emit_alu_imm(e, BPF_MOV, R4, BPF_RB_FORCE_WAKEUP);
	emit_label(e, sleep);
	emit_map_fd(e, R1, g->env->ring);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu(e, BPF_MOV, R3, R9);
	emit_call(e, BPF_FUNC_ringbuf_output);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, full);
}

/* The record into the ring, in a return with the entry's behind it. */
static void emit_sample(struct gen *g)
{
	struct emit *e = g->e;
	int full = gen_drop(g, LOSS_RING_FULL);

	if (g->on_stack) {
		emit_alu_imm(e, BPF_MOV, R9, (int32_t)capture_head_bytes(g->p));
	} else if (g->in_call) {
		emit_load(e, 8, R9, REG_RECORD, SCRATCH_STATE(size));
		emit_jump_if_imm(e, BPF_JGT, R9, EVENT_MAX_SIZE + EVENT_MAX_CALL, full);
	} else {
		emit_load(e, 4, R9, REG_RECORD, HEAD(size));
		emit_jump_if_imm(e, BPF_JGT, R9, EVENT_MAX_SIZE, full);
	}
	gen_output(g, full);
}

/* ---- regions ---- */

static void region_begin(struct gen *g, const struct ir_insn *i)
{
	g->in_region = true;
	g->in_filter = i->slot == IR_SLOT_FILTER;
	g->in_mark = i->slot == IR_SLOT_MARK;
	g->slot = i->slot;
	for (unsigned s = 0; s < SLOT_STATUS_COUNT; s++)
		g->fail[s] = -1;
	g->behind = -1;
	emit_checkpoint(g->e);
}

/* The statuses that the region's failures set, out of its straight line. */
static void region_end(struct gen *g)
{
	bool any = g->behind >= 0;
	int behind = gen_behind(g);

	for (unsigned s = 0; s < SLOT_STATUS_COUNT; s++) {
		if (g->in_filter || g->in_mark || g->fail[s] < 0)
			continue;
		if (!g->dead) /* of the success path, or of the former status */
			emit_jump(g->e, behind);
		g->dead = false;
		any = true;
		emit_label(g->e, g->fail[s]);
		emit_store_imm(g->e, 8, REG_RECORD, gen_slot_off(g, g->slot), (int32_t)s);
	}
	if (any)
		emit_label(g->e, behind);
	g->in_region = g->in_filter = g->in_mark = g->dead = false;
}

static bool needs_scratch(const struct capture_program *p, bool filter)
{
	bool in_filter = false;

	for (size_t i = 0; i < p->ninsns; i++) {
		if (p->insns[i].op == IR_REGION)
			in_filter = p->insns[i].slot == IR_SLOT_FILTER;
		if (in_filter == filter && ir_needs_scratch(&p->insns[i]))
			return true;
	}
	return false;
}

static bool fits_stack(const struct capture_program *p)
{
	return !calls_used(p) && !p->naggregates && !needs_scratch(p, true) && !needs_scratch(p, false) &&
	       8 * p->nregs + capture_head_bytes(p) <= (uint32_t)(STACK_BUF - STACK_REGS);
}

static bool is_capture(const struct ir_insn *i)
{
	return i->op == IR_REGION && i->slot != IR_SLOT_FILTER && i->slot != IR_SLOT_MARK;
}

static bool is_marks(const struct ir_insn *i)
{
	return i->op == IR_REGION && i->slot == IR_SLOT_MARK;
}

static void emit_record_begin(struct gen *g)
{
	control_pass(g);
	if (g->windows.goroutine && !g->holds_scratch)
		gen_take_scratch(g);
	if (!g->in_call)
		emit_goroutine(g);
	if (g->on_stack) {
		emit_alu(g->e, BPF_MOV, REG_RECORD, FP);
		emit_alu_imm(g->e, BPF_ADD, REG_RECORD,
			     STACK_BUF - (int32_t)capture_head_bytes(g->p));
	} else if (!g->holds_scratch) {
		gen_take_scratch(g);
	}
	if (g->p->role == PROGRAM_ENTRY)
		calls_enter(g);
	emit_header(g);
	if (!g->on_stack)
		ahead_begin(g);
	saved_begin(g);
}

/* A return first looks for its call: the condition may ask for its values. */
static void emit_call_begin(struct gen *g)
{
	emit_goroutine(g);
	calls_find(g);
}

/* What happens with an event that passed. */
static int emit_end(struct gen *g)
{
	int r = 0;

	saved_end(g);
	walk_chunks(g);
	if (g->in_call && (!g->p->no_record || aggregate_wants_entry(g->p)))
		calls_append(g);
	if (g->p->role == PROGRAM_ENTRY)
		calls_push(g);
	else
		r = aggregate_update(g);
	if (g->p->role != PROGRAM_ENTRY && !g->p->no_record)
		emit_sample(g);
	if (g->in_call)
		calls_end(g);
	if (g->holds_scratch)
		gen_release(g);
	return r;
}

static int emit_body(struct gen *g)
{
	const struct capture_program *p = g->p;
	int r = 0;
	bool begun = false, captures = false, unwinds = p->role == PROGRAM_UNWIND || p->role == PROGRAM_EXIT;

	if (needs_scratch(p, true) && p->role != PROGRAM_RETURN)
		gen_take_scratch(g);
	for (size_t i = 0; i < p->ninsns;) {
		const struct ir_insn *in = &p->insns[i];
		int n = 1;

		if (in->op == IR_REGION && p->role == PROGRAM_RETURN && !g->in_call)
			emit_call_begin(g);
		if ((is_capture(in) || is_marks(in)) && !begun) {
			emit_record_begin(g);
			marks_begin(g);
			begun = true;
		}
		if (is_capture(in) && !captures) {
			windows_read(g);
			captures = true;
		}
		if (in->op == IR_LABEL && g->labels[in->label].used)
			g->dead = false;
		if (in->op == IR_REGION)
			region_begin(g, in);
		else if (in->op == IR_END)
			region_end(g);
		else if (!g->dead)
			n = gen_insn(g, in, p->ninsns - i);
		if (n < 0)
			return n;
		i += (size_t)n;
	}
	if (p->role == PROGRAM_RETURN && !g->in_call)
		emit_call_begin(g);
	if (unwinds) {
		emit_goroutine(g);
		calls_unwind(g);
	} else {
		if (!begun)
			emit_record_begin(g);
		r = emit_end(g);
	}
	leave(g);
	emit_drops(g);
	emit_leave(g);
	calls_callbacks(g);
	walk_callback(g);
	return r;
}

int uprobe_compile(const struct capture_program *p, uint32_t probe_id, const struct site_shape *shape,
		   const struct uprobe_env *env, struct emit *out, struct err *err)
{
	_cleanup_(cleanup_free) struct gen_label *labels = xcalloc(p->nlabels + 1u, sizeof(*labels));
	struct gen g = {.e = out, .p = p, .arch = capture_arch(p), .env = env, .shape = *shape, .probe_id = probe_id,
			.labels = labels, .on_stack = fits_stack(p), .unwind = -1, .leave = -1, .err = err};
	int r = capture_verify(p, err);

	if (r < 0)
		return r;
	memset(g.drop, -1, sizeof(g.drop));
	g.stack_regs = calls_used(p) || walk_used(p) ? STACK_REGS_SHARED : STACK_REGS;
	for (unsigned i = 0; i < p->nlabels; i++)
		labels[i].label = emit_label_new(out);
	if (!g.on_stack)
		windows_choose(&g.windows, p);
	map_choose(&g);
	emit_prologue(&g);
	control_hit(&g);
	r = emit_body(&g);
	windows_done(&g.windows);
	return r < 0 ? r : emit_finish(out, err);
}
