/*
 * Marks, as code in this process: the scenes that the reference interpreter plays, a table that is full, and many
 * goroutines at once.
 * EARSHOT_TEST_BENCH=1 prints what a request costs that is left out, and one that is kept.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sys/uio.h>

#include "plant/contexts.h"
#include "unit/ir_interp.h"
#include "unit/patch_run.h"
#include "unit/mark_shots.h"
#include "unit/mark_scenes.h"

static uint64_t walk_addr, table_addr;
static uint32_t nmarks = 1024, nstates = 1024;

static void marks_fresh(void)
{
	struct buf out = {0};

	patch_setup_marks(nmarks, nstates);
	contexts_put(&chain_table, BIAS, &out);
	table_addr = put_code(out.data, out.len);
	out.len = 0;
	patch_chain_compile(chain_table.itab_type_off, &out);
	walk_addr = put_code(out.data, out.len);
	buf_done(&out);
}

static uint64_t left_out(void)
{
	return patch_area_left_out(area, area, 3);
}

static uint64_t lost(void)
{
	uint64_t n = left_out();

	for (size_t l = 0; l < PATCH_LOSSES; l++)
		n += loss_count((enum loss)l);
	return n;
}

static const void *compile_shot(struct shot *s)
{
	struct capture_program p = shot_program(s, &chain_table, (struct goroutine_layout)FAKE_LAYOUT);
	struct patch_env env = test_env();
	struct buf out = {0};
	struct err err = {0};
	uint64_t at;

	env.contexts = table_addr;
	env.chain = walk_addr;
	if (patch_compile(&p, 1, &env, &out, &err) < 0)
		fail_msg("%s", err.text);
	at = put_code(out.data, out.len);
	buf_done(&out);
	return (const void *)(uintptr_t)at;
}

static void run_shot(const void *code, uint64_t goid, uint64_t depth, const struct shot_words *w)
{
	fake_g.goid = goid;
	fake_g.hi = (uintptr_t)test_stack + STACK_SP + depth;
	run_code(code, &(struct regs){.r = {(uintptr_t)w}, .g = (uintptr_t)&fake_g});
}

static struct fired fire(struct shot *s, uint64_t goid, uint64_t depth, const struct shot_words *w)
{
	static struct taken t;
	size_t before = code_used;
	struct fired f = {0};

	run_shot(compile_shot(s), goid, depth, w);
	code_used = before;
	t.n = 0;
	slot_drain(patch_area_slot(area, 1), take, &t);
	f.dropped = !t.n;
	if (f.dropped)
		return f;
	assert_int_equal(t.event.head->goid, goid);
	assert_int_equal(t.event.head->depth, depth);
	f.has = event_context(&t.event, 0, &f.ids);
	assert_int_equal(t.event.slots[0].status, f.has ? SLOT_OK : SLOT_ABSENT);
	assert_int_equal(t.event.slots[1].status, f.has ? SLOT_OK : SLOT_ABSENT);
	f.word = f.has ? t.event.slots[1].value : 0;
	f.state = f.has ? t.event.slots[2].value : 0;
	return f;
}

/* ---- the table ---- */

/* Who has to give way is forgotten, and counted; nobody is taken for another. */
static void test_full(void **state)
{
	static struct fired starts[64];

	nmarks = 16;
	marks_fresh();
	start_all(starts, ARRAY_SIZE(starts));
	assert_in_range(loss_count(LOSS_MARKS_FULL), ARRAY_SIZE(starts) - nmarks, 3 * ARRAY_SIZE(starts));
	assert_in_range(count_forgotten(starts, ARRAY_SIZE(starts), 1), ARRAY_SIZE(starts) - 16,
			ARRAY_SIZE(starts) - 1);
	nmarks = 1024;
}

/* Most of the table in use: all are found. */
static void test_many(void **state)
{
	static struct fired starts[700];

	marks_fresh();
	for (uint64_t k = 0; k < ARRAY_SIZE(starts); k++)
		starts[k] = START(1, 0, 100 + k, 100, .carrier = 0x10000 + 96 * k);
	for (uint64_t k = 0; k < ARRAY_SIZE(starts); k++) {
		assert_true(same_span(starts[k], FIRE(SHOT_INJECT, 0, 1, 100, .carrier = 0x10000 + 96 * k)));
		assert_true(same_span(starts[k], FIRE(SHOT_END, 1, 100 + k, 100)));
	}
	assert_int_equal(loss_count(LOSS_MARKS_FULL), 0);
}

/* What has ended makes room: nothing is forgotten, however many come one after the other. */
static void test_reuse(void **state)
{
	nmarks = 16;
	marks_fresh();
	start_and_end(300);
	assert_int_equal(loss_count(LOSS_MARKS_FULL), 0);
	nmarks = 1024;
}

/* An entry that is being written by another thread is nobody's for now. */
static void test_busy(void **state)
{
	struct patch_mark *marks;
	struct patch_mark_stack *stacks;

	nmarks = 4;
	marks_fresh();
	marks = (void *)((char *)area + area->marks_off);
	stacks = (void *)((char *)area + area->stacks_off);
	for (size_t k = 0; k < 4; k++)
		marks[k].key = stacks[k].key = 0x1001 + 16 * k;
	assert_unmarked(START(1, 0, 7, 100));
	assert_int_equal(loss_count(LOSS_MARKS_FULL), 1);
	marks[2].key = 0;
	assert_kept(START(1, 0, 7, 100)); /* but nothing leads to it */
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 100));
	assert_int_equal(loss_count(LOSS_MARKS_FULL), 2);
	stacks[1].key = marks[1].key = 0;
	assert_kept(START(1, 0, 7, 100));
	assert_kept(FIRE(SHOT_NOTE, 1, 7, 100));
	nmarks = 1024;
}

/* Without room for marks a program that has some is refused. */
static void test_no_room(void **state)
{
	struct shot s = {.kind = SHOT_NOTE};
	struct capture_program p = shot_program(&s, &chain_table, (struct goroutine_layout)FAKE_LAYOUT);
	struct patch_env env;
	struct buf out = {0};
	struct err err = {0};

	patch_setup(CHUNKS);
	env = test_env();
	assert_int_equal(patch_compile(&p, 1, &env, &out, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no room for them"));
	buf_done(&out);
}

/* ---- beside the reference interpreter ---- */

static uint64_t reference_random[2]; /* as slot 1 has it */

static uint64_t next_random(void)
{
	uint64_t a = reference_random[0], b = reference_random[1];

	a ^= a << 23;
	reference_random[0] = b;
	reference_random[1] = a ^ b ^ a >> 18 ^ b >> 5;
	return reference_random[1] + b;
}

static bool read_self(void *arg, uint64_t addr, void *out, size_t n)
{
	struct iovec local = {out, n}, remote = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

static struct fired fire_reference(struct shot *s, struct interp_marks *marks, const struct shot_words *w)
{
	static struct interp_result out;
	struct capture_program p = shot_program(s, &chain_table, (struct goroutine_layout)FAKE_LAYOUT);
	struct interp_input in = {.read = read_self, .g = (uintptr_t)&fake_g, .bias = BIAS, .marks = marks,
				  .entry_sp = (uintptr_t)test_stack + STACK_SP,
				  .regs = {[GPR_RAX] = (uintptr_t)w}};
	struct fired f = {0};

	interp_run(&p, &in, &out);
	f.dropped = out.dropped;
	if (f.dropped)
		return f;
	f.has = out.slots[0].status == SLOT_OK;
	if (f.has)
		memcpy(&f.ids, out.slots[0].bytes, sizeof(f.ids));
	f.word = f.has ? out.slots[1].value : 0;
	f.state = f.has ? out.slots[2].value : 0;
	return f;
}

/* A header, mostly a good one; its bytes lie anywhere. */
static void random_header(struct shot_words *w)
{
	static char text[64];

	memcpy(text, rnd(2) ? "00-" TRACE "-00f067aa0ba902b7-01-tail" : "00-" LOW_TRACE "-00f067aa0ba902b7-00-tail",
	       60);
	if (!rnd(3))
		text[rnd(56)] = "0fgA/:@`-\xff"[rnd(10)];
	if (!rnd(4))
		text[1] = 'c';
	w->header_len = rnd(3) ? MARK_TRACEPARENT : rnd(61);
	w->header = (uintptr_t)scene_text(text, w->header_len);
}

static void random_state(struct shot_words *w)
{
	static const char *const texts[] = {"rojo=1", "a=b,c=d", ",k=v\t, x=y", "no list", "a=\r\nb"};
	static char text[64];

	strcpy(text, texts[rnd(5)]);
	w->state = (uintptr_t)text;
	w->state_len = rnd(4) ? strlen(text) : rnd(700);
	if (w->state_len > sizeof(text) && w->state_len <= MARK_STATE_MAX)
		w->state = (uintptr_t)scene_text("", 0); /* unreadable */
}

static struct shot_words random_words(struct chain_world *c)
{
	struct shot_words w = {0};

	if (!rnd(4))
		random_header(&w);
	if (rnd(2))
		random_state(&w);
	if (!rnd(3))
		w.parent_type = BIAS + chain_types[0].rtype, w.parent = (uintptr_t)c->nodes[rnd(6)];
	if (!rnd(4))
		w.own_type = BIAS + chain_types[0].rtype, w.own = (uintptr_t)c->nodes[rnd(6)];
	if (!rnd(6))
		w.parent_type = w.own_type = BIAS + 0x9000; /* of no context */
	if (!rnd(3))
		w.creator = 1 + rnd(4);
	if (rnd(3))
		w.epoch[0] = rnd(6), w.epoch[1] = rnd(6), w.epoch[2] = rnd(24);
	if (!rnd(3))
		w.key = 0x4000 + 64 * rnd(6);
	if (!rnd(3))
		w.carrier = 0x4000 + 64 * rnd(6);
	if (rnd(3))
		w.needed = 0x4000 + 64 * rnd(6);
	return w;
}

static struct shot random_shot(void)
{
	static const unsigned flags[] = {0, 0, IR_MARK_CHILD, IR_MARK_BY_RATIO, IR_MARK_CHILD | IR_MARK_BY_RATIO};
	static const uint64_t thresholds[] = {0, THRESHOLD_HALF, THRESHOLD_HALF, MARK_KEEP_NONE};
	struct shot s = {.kind = rnd(3) ? SHOT_START + rnd(2) : rnd(SHOT_KINDS), .group = 1 + (uint32_t)rnd(3),
			 .threshold = thresholds[rnd(4)], .flags = flags[rnd(5)]};

	s.call = s.group; /* of two spans of one call either may be found */
	return s;
}

/* Any programs one after the other, with all that they leave behind: ids and decisions are the same to the bit. */
static void test_random(void **state)
{
	static struct interp_marks marks;
	struct chain_world *c = scene_contexts();
	const struct patch_slot *s;

	for (size_t k = 6; k-- > 0;)
		chain_node(c, k, 0, k < 5 ? (uintptr_t)c->itabs[0] : 0, k < 5 ? (uintptr_t)c->nodes[k + 1] : 0);
	for (unsigned round = 0; round < 40; round++) {
		marks_fresh();
		marks = (struct interp_marks){.random = next_random};
		s = patch_area_slot(area, 1);
		memcpy(reference_random, s->random, sizeof(reference_random));
		for (unsigned k = 0; k < 300; k++) {
			struct shot shot = random_shot();
			struct shot_words w = random_words(c);
			struct fired f = fire(&shot, 1 + rnd(5), 100 + 8 * rnd(6), &w);
			struct fired wanted = fire_reference(&shot, &marks, &w);

			if (memcmp(&f, &wanted, sizeof(f)))
				fail_msg("round %u, shot %u of kind %d differs: dropped %d, %d; ids %d, %d", round, k,
					 shot.kind, f.dropped, wanted.dropped, f.has, wanted.has);
			assert_memory_equal(reference_random, s->random, sizeof(reference_random));
		}
		assert_int_equal(left_out(), marks.left_out);
		assert_int_equal(loss_count(LOSS_MARKS_FULL), 0);
	}
}

/* More tracestates than there is room for: a mark has its own one or none, which is counted. */
static void test_states_full(void **state)
{
	static char text[] = "k=vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
	enum { ROOTS = 12 };
	unsigned without = 0;

	nstates = 4;
	marks_fresh();
	for (uint64_t k = 0; k < ROOTS; k++) {
		struct fired f = start_with_state(1, 10 + k, text, 4 + k);

		assert_true(f.state == 4 + k || !f.state);
		without += !f.state;
	}
	assert_in_range(without, ROOTS - nstates, ROOTS - 1);
	assert_int_equal(loss_count(LOSS_MARKS_FULL), without);
	for (uint64_t k = 0; k < ROOTS; k++) {
		struct fired f = START(2, 0, 10 + k, 200);

		assert_true(f.state == 4 + k || !f.state);
		without -= !f.state;
		FIRE(SHOT_END, 1, 10 + k, 100);
	}
	assert_int_equal(without, 0);
	nstates = 1024;
	assert_int_equal(start_with_state(1, 10, text, 5).state, 5);
}

/* ---- many at once ---- */

enum { ROUNDS = 40000, OPEN_AT_ONCE = 24 };

/* A P with a goroutine, of which each span that begins is left out: so no ring fills up. */
struct worker {
	pthread_t thread;
	struct fake_p p;
	struct fake_m m;
	struct {
		uint64_t lo, hi, pad[4], m, pad2[12], goid;
	} g;
	const void *start, *inject, *end;
	uint8_t stack[STACK_SIZE];
	uint64_t found, wrong;
};

static void worker_run(struct worker *w, const void *code, uint64_t goid, const struct shot_words *words)
{
	struct frame f;

	w->g.goid = goid;
	frame_fill(&f, &(struct regs){.r = {(uintptr_t)words}, .g = (uintptr_t)&w->g}, w->stack);
	call_code(&f, code);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct patch_slot *s = patch_area_slot(area, (uint32_t)w->p.id);
	struct {
		uint64_t ids[3], goid, word;
	} open[OPEN_AT_ONCE] = {0};

	for (uint64_t k = 0; k < ROUNDS; k++) {
		size_t at = k % OPEN_AT_ONCE;
		struct shot_words words = {.carrier = open[at].word};

		if (open[at].word) {
			worker_run(w, w->inject, 1, &words);
			w->found += s->mark_state & 1;
			w->wrong += s->mark_state & 1 && memcmp(s->mark_ids, open[at].ids, sizeof(open[at].ids));
			worker_run(w, w->end, open[at].goid, &words);
			w->wrong += s->mark_state & 1 && memcmp(s->mark_ids, open[at].ids, sizeof(open[at].ids));
		}
		open[at].word = words.carrier = 0x10000 + 32 * (2 * (k % 512) + (uint64_t)w->p.id);
		open[at].goid = 100 + 2 * k + (uint64_t)w->p.id;
		worker_run(w, w->start, open[at].goid, &words);
		memcpy(open[at].ids, s->mark_ids, sizeof(open[at].ids));
	}
	return NULL;
}

/* Two Ps, with room for what is open and with too little: a mark is found or not, but never another one. */
static void test_at_once(void **state)
{
	static struct worker workers[PROCS];
	struct shot start = {.kind = SHOT_START, .group = 1, .call = 10, .threshold = MARK_KEEP_NONE};
	struct shot inject = {.kind = SHOT_INJECT}, end = {.kind = SHOT_END, .group = 1};

	for (unsigned little = 0; little < 2; little++) {
		nmarks = little ? 16 : 1024;
		marks_fresh();
		for (int i = 0; i < PROCS; i++) {
			struct worker *w = &workers[i];

			*w = (struct worker){.p = {.id = i}, .start = compile_shot(&start),
					     .inject = compile_shot(&inject), .end = compile_shot(&end)};
			w->m.p = &w->p;
			w->g.m = (uintptr_t)&w->m;
			w->g.hi = (uintptr_t)w->stack + STACK_SP + 100;
			stack_fill(w->stack);
		}
		for (int i = 0; i < PROCS; i++)
			assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
		for (int i = 0; i < PROCS; i++) {
			pthread_join(workers[i].thread, NULL);
			assert_int_equal(workers[i].wrong, 0);
			assert_true(workers[i].found > (little ? 0 : ROUNDS - OPEN_AT_ONCE - 100));
		}
		assert_int_equal(loss_count(LOSS_MARKS_FULL) > 0, little);
		assert_true(little || left_out() == PROCS * ROUNDS);
	}
	nmarks = 1024;
}

/* ---- what it costs ---- */

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The least of some rounds: ns a run. */
static double cost_of(const void *code, const struct shot_words *w)
{
	double best = 1e9;
	struct frame f;

	stack_fill(test_stack);
	frame_fill(&f, &(struct regs){.r = {(uintptr_t)w}, .g = (uintptr_t)&fake_g}, test_stack);
	for (int round = 0; round < 20; round++) {
		double from = now_ns();

		for (int i = 0; i < 1000; i++)
			call_code(&f, code);
		best = MIN(best, (now_ns() - from) / 1000);
		ring_pass_over(patch_area_slot(area, 1));
	}
	return best;
}

static void test_cost(void **state)
{
	struct shot kept = {.kind = SHOT_START, .group = 1, .call = 10}, out = kept;
	struct shot note = {.kind = SHOT_NOTE, .group = 1};
	struct shot_words w = {0};
	double empty;

	if (!getenv("EARSHOT_TEST_BENCH"))
		return;
	marks_fresh();
	out.threshold = MARK_KEEP_NONE;
	fake_g.goid = 7;
	fake_g.hi = (uintptr_t)test_stack + STACK_SP + 100;
	empty = cost_of((const void *)(uintptr_t)code_memory, &w);
	printf("a start that is kept: %.1f ns; ", cost_of(compile_shot(&kept), &w) - empty);
	printf("its note: %.1f ns\n", cost_of(compile_shot(&note), &w) - empty);
	printf("a start that is left out: %.1f ns; ", cost_of(compile_shot(&out), &w) - empty);
	printf("its note: %.1f ns\n", cost_of(compile_shot(&note), &w) - empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MARK_SCENES,
		STATE_SCENES,
		cmocka_unit_test(test_states_full),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_cost),
	};

	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
