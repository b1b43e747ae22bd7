/*
 * Marks by uprobes on functions of this program: the scenes that every planter must pass, what comes when the table is
 * full, and chance against the reference interpreter. Needs CAP_BPF and CAP_PERFMON; skips by name without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "plant/uprobe/compile.h"
#include "unit/plant_self.h"

#define BIAS SELF_BIAS
#include "unit/ir_interp.h"
#include "unit/mark_shots.h"
#include "unit/mark_scenes.h"

/* A site for each shot that a scene fires: planted once. */
#define SITES 96
#define SITE_BYTES 64
__asm__(".pushsection .text\n.balign 64\n"
	"mark_sites: .rept 96\n.balign 64\n push %rbp\n pop %rbp\n ret\n.endr\n.popsection\n");
extern char mark_sites[] __attribute__((visibility("hidden")));

/* Calls fn at a depth: its stack pointer decides where the goroutine's stack ends. */
void mark_call(const struct shot_words *rax, struct self_g *g, const void *fn, uint64_t depth);
__asm__(".pushsection .text\n"
	"mark_call:\n"
	" push %r14\n mov %rdi, %rax\n mov %rsi, %r14\n"
	" lea -8(%rsp,%rcx), %rcx\n mov %rcx, 8(%r14)\n" /* self_g.hi */
	" call *%rdx\n"
	" pop %r14\n ret\n"
	".popsection\n");
_Static_assert(offsetof(struct self_g, hi) == 8, "mark_call writes it");

static struct planted {
	struct shot shot;
	struct capture_program program;
} shots[SITES];
static size_t nshots;
static struct planter *planter;
static struct self_g self;

static void close_planter(void)
{
	planter_close(planter);
	planter = NULL;
	nshots = 0;
}

static void marks_fresh(void)
{
	close_planter();
	planter = self_open(NULL);
}

static uint64_t left_out(void)
{
	return self_losses(planter, LOSS_SAMPLED_OUT);
}

static uint64_t lost(void)
{
	return self_losses(planter, LOSS_COUNT);
}

static const void *site_of(const struct shot *s)
{
	size_t k = 0;

	while (k < nshots && (shots[k].shot.kind != s->kind || shots[k].shot.group != s->group ||
			      shots[k].shot.call != s->call || shots[k].shot.threshold != s->threshold ||
			      shots[k].shot.flags != s->flags))
		k++;
	assert_true(k < SITES);
	if (k == nshots) {
		shots[k].shot = *s;
		shots[k].program = shot_program(&shots[k].shot, &chain_table,
						(struct goroutine_layout)SELF_G_LAYOUT);
		self_plant(planter, &shots[k].program, (uint32_t)(k + 1), mark_sites + k * SITE_BYTES);
		nshots++;
	}
	return mark_sites + k * SITE_BYTES;
}

static struct fired fire(struct shot *s, uint64_t goid, uint64_t depth, const struct shot_words *w)
{
	static struct self_samples got;
	const void *site = site_of(s);
	struct fired f = {0};
	const struct event *e;

	self.goid = goid;
	mark_call(w, &self, site, depth);
	f.dropped = !self_drain(planter, &got);
	if (f.dropped)
		return f;
	assert_int_equal(got.all.len, 1);
	e = &got.all.data[0].e[0];
	assert_int_equal(e->head->goid, goid);
	assert_int_equal(e->head->depth, depth);
	f.has = event_context(e, 0, &f.ids);
	assert_int_equal(e->slots[0].status, f.has ? SLOT_OK : SLOT_ABSENT);
	assert_int_equal(e->slots[1].status, f.has ? SLOT_OK : SLOT_ABSENT);
	f.word = f.has ? e->slots[1].value : 0;
	f.state = f.has ? e->slots[2].value : 0;
	return f;
}

static int teardown(void **state)
{
	close_planter();
	return 0;
}

/* Who has to give way is forgotten, and counted; nobody is taken for another. */
static void test_full(void **state)
{
	enum { STARTS = 30000, LOOKED_AT = 2000 };
	static struct fired starts[STARTS];

	marks_fresh();
	start_all(starts, STARTS);
	/* a start takes three entries, and who gives way may take two others along, which count no more */
	assert_in_range(self_losses(planter, LOSS_MARKS_FULL), (3 * STARTS - MARK_WAYS * MARK_SETS) / 3, 3 * STARTS);
	assert_in_range(count_forgotten(starts, STARTS, STARTS / LOOKED_AT), LOOKED_AT / 5, LOOKED_AT - 1);
}

/* What has ended makes room: nothing is forgotten, however many come one after the other. */
static void test_reuse(void **state)
{
	marks_fresh();
	start_and_end(25000);
	assert_int_equal(self_losses(planter, LOSS_MARKS_FULL), 0);
}

/* ---- chance ---- */

static struct interp_marks reference;

static uint64_t seed = 1;
static uint64_t rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

static uint64_t next_random(void)
{
	return rnd(UINT64_C(1) << 31) << 33 | rnd(UINT64_C(1) << 31) << 2 | 1;
}

static bool read_here(void *arg, uint64_t addr, void *out, size_t n)
{
	if (addr)
		memcpy(out, (const void *)(uintptr_t)addr, n);
	return addr;
}

static struct fired fire_reference(struct shot *s, uint64_t goid, uint64_t depth, const struct shot_words *w)
{
	static struct interp_result out;
	static struct self_g g = {.hi = SELF_HI};
	struct capture_program p = shot_program(s, &chain_table, (struct goroutine_layout)SELF_G_LAYOUT);
	struct interp_input in = {.read = read_here, .g = (uintptr_t)&g, .entry_sp = g.hi - depth, .bias = BIAS,
				  .marks = &reference, .regs = {[GPR_RAX] = (uintptr_t)w}};
	struct fired f = {0};

	g.goid = goid;
	interp_run(&p, &in, &out);
	f.dropped = out.dropped;
	if (f.dropped)
		return f;
	f.has = out.slots[0].status == SLOT_OK;
	memcpy(&f.ids, out.slots[0].bytes, sizeof(f.ids));
	return f;
}

/* Ids are random on both sides: each of one stands for one of the other. */
static struct {
	uint8_t reference[24], probe[24];
} pairs[4096];
static size_t npairs;

static void check_ids(const struct event_context *want, const struct event_context *have, unsigned n)
{
	assert_int_equal(want->flags, have->flags);
	for (size_t k = 0; k < npairs; k++) {
		bool trace = !memcmp(pairs[k].reference, want->trace_id, 16);
		bool span = !memcmp(pairs[k].reference + 16, want->span_id, 8);

		if (trace != !memcmp(pairs[k].probe, have->trace_id, 16) ||
		    span != !memcmp(pairs[k].probe + 16, have->span_id, 8))
			fail_msg("shot %u: another %s than that of the reference", n, trace ? "span" : "trace");
		if (span)
			return;
	}
	assert_true(npairs < ARRAY_SIZE(pairs));
	memcpy(pairs[npairs].reference, want, 24);
	memcpy(pairs[npairs++].probe, have, 24);
}

static uint64_t some(uint64_t base, uint64_t n)
{
	return rnd(3) ? base + 16 * rnd(n) : 0;
}

static struct shot_words some_words(void)
{
	const uint64_t type = BIAS + chain_types[0].rtype;
	struct shot_words w = {.parent_type = type, .own_type = type, .key = some(0x4000, 2),
			       .carrier = some(0x8000, 3), .creator = rnd(2) ? 7 + rnd(3) : 0};

	w.parent = rnd(3) ? 0 : (uintptr_t)contexts.nodes[rnd(4)];
	w.own = rnd(3) ? 0 : (uintptr_t)contexts.nodes[rnd(4)];
	if (rnd(2))
		w = (struct shot_words){w.header, w.header_len, w.parent_type, w.parent, w.own_type, w.own, w.creator,
					{7 + rnd(3), 5 + rnd(3), 8 + rnd(3)}, w.key, w.carrier, some(0x8000, 3),
					w.state, w.state_len, w.other, w.other_len};
	return w;
}

static void random_round(unsigned shots_fired)
{
	for (unsigned n = 0; n < shots_fired; n++) {
		struct shot s = {.kind = (enum shot_kind)rnd(SHOT_KINDS), .group = 1 + (uint32_t)rnd(3)};
		uint64_t goid = 7 + rnd(3), depth = 100 + 10 * rnd(5);
		struct shot_words w = some_words();
		struct fired want, have;

		if (s.kind >= SHOT_INJECT || s.kind == SHOT_UNWIND || s.kind == SHOT_EXIT)
			s.group = 0;
		if (s.kind <= SHOT_START_DETACHED)
			s.threshold = rnd(4) ? 0 : MARK_KEEP_NONE;
		if (s.kind == SHOT_EXIT && rnd(4))
			continue;
		s.call = s.group * 10;
		want = fire_reference(&s, goid, depth, &w);
		have = fire(&s, goid, depth, &w);
		if (want.dropped != have.dropped || want.has != have.has)
			fail_msg("shot %u of kind %u: it is %s, and has %s ids", n, s.kind,
				 have.dropped ? "dropped" : "written", have.has ? "some" : "no");
		if (want.has)
			check_ids(&want.ids, &have.ids, n);
	}
}

static void test_random(void **state)
{
	for (unsigned round = 0; round < 8; round++) {
		struct chain_world *c = scene_contexts();

		chain_node(c, 3, 0, 0, 0);
		for (size_t k = 3; k-- > 0;)
			chain_node(c, k, 0, (uintptr_t)c->itabs[0], (uintptr_t)c->nodes[k + 1]);
		marks_fresh();
		reference = (struct interp_marks){.random = next_random};
		npairs = 0;
		random_round(250);
		assert_int_equal(left_out(), reference.left_out);
	}
}

/* "few": one of each kind, for the tests' virtual machine, which is slow to load programs. */
int main(int argc, char **argv)
{
	const struct CMUnitTest few[] = {
		cmocka_unit_test(scene_header), cmocka_unit_test(scene_context), cmocka_unit_test(scene_creator),
		cmocka_unit_test(scene_key), cmocka_unit_test(scene_state),
	};
	const struct CMUnitTest tests[] = {
		MARK_SCENES,
		STATE_SCENES,
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_random),
	};

	if (argc > 1 && !strcmp(argv[1], "few"))
		return cmocka_run_group_tests(few, NULL, teardown);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
