/* Aggregates and controls in the kernel: exact under threads, and while they are read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "binary/arch_x86_64.h"
#include "base/clock.h"
#include "unit/plant_self.h"

SELF_SITE(site_point);
SELF_SITE(site_leave);

static struct self_g g1 = {.hi = SELF_HI, .goid = 7};

static void hit(const void *site, const struct self_g *g, int64_t value, const char *text)
{
	self_call(&(struct self_regs){.rax = SELF_HI - 100, .rbx = (uint64_t)value, .rcx = (uintptr_t)text,
				      .rdi = text ? strlen(text) : 0, .g = g}, site);
}

/* ---- programs: slot 0 is RBX, slot 1 the text ---- */

#define ARG(d, r) {.op = IR_ARG_REG, .reg = r, .size = 8, .dst = d}
static struct ir_insn code[] = {
	{.op = IR_G, .dst = 0}, ARG(1, GPR_RAX), {.op = IR_GOROUTINE, .a = 0, .b = 1},
	{.op = IR_REGION, .slot = 0}, ARG(0, GPR_RBX), {.op = IR_EMIT, .slot = 0, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 1}, ARG(0, GPR_RCX), ARG(1, GPR_RDI),
	{.op = IR_EMIT_STR, .slot = 1, .a = 0, .b = 1, .imm = 80}, {.op = IR_END},
};
static struct ir_slot slots[] = {{.kind = VALUE_INT}, {.kind = VALUE_STRING}};

static struct capture_program program(enum program_role role, const struct ir_aggregate *a, size_t n, bool no_record)
{
	return (struct capture_program){.role = role, .call_group = role == PROGRAM_POINT ? 0 : 9, .aggregates = a,
					.naggregates = n, .no_record = no_record, .insns = code,
					.ninsns = ARRAY_SIZE(code), .slots = slots, .nslots = 2, .nregs = 4,
					.g = SELF_G_LAYOUT};
}

/* ---- what is read ---- */

struct seen {
	char text[8192];
	uint64_t count;
	int128 sum, min, max;
	uint64_t buckets[AGG_BUCKETS];
};

static void see(void *arg, const struct plant_group *g)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	s->count += g->count;
	s->sum += g->sum;
	s->min = g->min;
	s->max = g->max;
	for (size_t i = 0; i < g->nbuckets && i < AGG_BUCKETS; i++)
		s->buckets[i] += g->buckets[i];
	assert_int_equal(g->target, 42);
	for (size_t i = 0; i < AGG_MAX_KEYS; i++)
		if (g->keys[i].len)
			at += (size_t)snprintf(s->text + at, sizeof(s->text) - at, "%.*s/%d ", g->keys[i].len,
					       (const char *)g->keys[i].bytes, (int)g->keys[i].word);
		else if (g->keys[i].status)
			at += (size_t)snprintf(s->text + at, sizeof(s->text) - at, "%u:%d ", g->keys[i].status,
					       (int)g->keys[i].word);
	snprintf(s->text + at, sizeof(s->text) - at, "#%zu n%d s%d; ", g->aggregate, (int)g->count, (int)g->sum);
}

static const char *read_all(struct planter *p, bool clear)
{
	static struct seen s;

	s = (struct seen){0};
	assert_int_equal(p->source->ops->aggregates(p->source, clear, see, &s), 0);
	return s.text;
}

static void kinds(void **state)
{
	const struct ir_aggregate all[] = {
		{.kind = AGG_COUNT}, {.kind = AGG_SUM}, {.kind = AGG_MIN}, {.kind = AGG_MAX}, {.kind = AGG_AVG},
		{.kind = AGG_HIST}, {.kind = AGG_LINEAR, .low = -10, .high = 20, .step = 10},
	};
	static const int64_t values[] = {0, 1, 2, 3, 4, -1, INT64_MIN, INT64_MAX, 19, 20, -10, -11, 9, 10};
	static const uint64_t linear[] = {2, 2, 6, 2, 2};
	uint64_t hist[AGG_BUCKETS] = {[0] = 4, [1] = 1, [2] = 1, [3] = 2, [4] = 1, [5] = 2, [6] = 2, [64] = 1};

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		struct capture_program prog = program(PROGRAM_POINT, &all[k], 1, true);
		struct planter *p = self_open(NULL);
		struct self_samples t = {0};
		struct seen s = {0};
		int128 sum = 0;

		self_plant(p, &prog, 1, site_point);
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			hit(site_point, &g1, values[i], "x");
			sum += values[i];
		}
		p->source->ops->aggregates(p->source, false, see, &s);
		assert_int_equal(s.count, ARRAY_SIZE(values));
		assert_true(s.sum == (k ? sum : 0));
		if (all[k].kind == AGG_MIN || k > 4)
			assert_true(s.min == INT64_MIN);
		if (all[k].kind == AGG_MAX || k > 4)
			assert_true(s.max == INT64_MAX);
		if (all[k].kind == AGG_HIST)
			assert_memory_equal(s.buckets, hist, sizeof(hist));
		if (all[k].kind == AGG_LINEAR)
			assert_memory_equal(s.buckets, linear, sizeof(linear));
		assert_int_equal(self_drain(p, &t), 0);
		assert_int_equal(self_losses(p, LOSS_COUNT), 0);
		planter_close(p);
	}
}

/* What is unsigned has no negative values; sums go beyond 64 bits. */
static void unsigned_kinds(void **state)
{
	const struct ir_aggregate all[] = {
		{.kind = AGG_SUM, .is_unsigned = true},	 {.kind = AGG_MIN, .is_unsigned = true},
		{.kind = AGG_MAX, .is_unsigned = true},	 {.kind = AGG_AVG, .is_unsigned = true},
		{.kind = AGG_HIST, .is_unsigned = true},
		{.kind = AGG_LINEAR, .low = 0, .high = 20, .step = 10, .is_unsigned = true},
	};
	static const uint64_t values[] = {UINT64_C(1) << 63, 5, UINT64_MAX, UINT64_MAX, 12};
	static const uint64_t linear[] = {0, 1, 1, 3};
	uint64_t hist[AGG_BUCKETS] = {[4] = 1, [5] = 1, [65] = 3};

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		struct capture_program prog = program(PROGRAM_POINT, &all[k], 1, true);
		struct planter *p = self_open(NULL);
		struct seen s = {0};
		int128 sum = 0;

		self_plant(p, &prog, 1, site_point);
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			hit(site_point, &g1, (int64_t)values[i], "x");
			sum += values[i];
		}
		p->source->ops->aggregates(p->source, false, see, &s);
		assert_int_equal(s.count, ARRAY_SIZE(values));
		assert_true(s.sum == sum && sum > (int128)UINT64_MAX);
		if (all[k].kind == AGG_MIN || k > 3)
			assert_true(s.min == 5);
		if (all[k].kind == AGG_MAX || k > 3)
			assert_true(s.max == (int128)UINT64_MAX);
		if (all[k].kind == AGG_HIST)
			assert_memory_equal(s.buckets, hist, sizeof(hist));
		if (all[k].kind == AGG_LINEAR)
			assert_memory_equal(s.buckets, linear, sizeof(linear));
		planter_close(p);
	}
}

/* A sum that carries from one word of it into the other, and back. */
static void sums_carry(void **state)
{
	const struct ir_aggregate a = {.kind = AGG_SUM};
	struct capture_program prog = program(PROGRAM_POINT, &a, 1, true);
	static const int64_t values[] = {INT64_MAX, INT64_MAX, INT64_MAX, -1, INT64_MIN, INT64_MIN, INT64_MIN,
					 INT64_MIN, -7};
	struct planter *p = self_open(NULL);
	int128 sum = 0;

	self_plant(p, &prog, 1, site_point);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct seen s = {0};

		hit(site_point, &g1, values[i], "x");
		sum += values[i];
		p->source->ops->aggregates(p->source, false, see, &s);
		assert_true(s.sum == sum);
	}
	planter_close(p);
}

static void keys(void **state)
{
	const struct ir_aggregate by_text[] = {
		{.kind = AGG_SUM, .value = {.slot = 0}, .keys = {{.slot = 1}}, .nkeys = 1},
		{.kind = AGG_COUNT, .keys = {{.slot = 1}, {.slot = 0}}, .nkeys = 2},
	};
	struct capture_program prog = program(PROGRAM_POINT, by_text, 2, false);
	struct planter *p = self_open(NULL);
	struct self_samples t = {0};
	static const char long_text[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
	const char *got;

	self_plant(p, &prog, 1, site_point);
	hit(site_point, &g1, 5, "alice");
	hit(site_point, &g1, 6, "bob");
	hit(site_point, &g1, 7, "alice");
	hit(site_point, &g1, 7, "alice");
	hit(site_point, &g1, 8, long_text);
	hit(site_point, &g1, 9, "");
	assert_int_equal(self_drain(p, &t), 6);
	got = read_all(p, false);
	assert_non_null(strstr(got, "alice/5 #0 n3 s19; "));
	assert_non_null(strstr(got, "bob/3 #0 n1 s6; "));
	assert_non_null(strstr(got, "1:0 #0 n1 s9; "));
	assert_non_null(strstr(got, "0123456789012345678901234567890123456789012345678901234567890123/70 #0 n1 s8; "));
	assert_non_null(strstr(got, "alice/5 1:5 #1 n1 s0; "));
	assert_non_null(strstr(got, "alice/5 1:7 #1 n2 s0; "));
	read_all(p, true);
	assert_string_equal(read_all(p, true), "");
	hit(site_point, &g1, 1, "alice");
	assert_non_null(strstr(read_all(p, false), "alice/5 #0 n1 s1; "));
	self_samples_done(&t);
	planter_close(p);
}

static void at_entry(void **state)
{
	const struct ir_aggregate a = {.kind = AGG_SUM, .value = {.slot = 0},
				       .keys = {{.at_entry = true, .slot = 1}, {.at_entry = true, .slot = 0}},
				       .nkeys = 2};

	for (int quiet = 0; quiet < 2; quiet++) {
		struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0, quiet);
		struct capture_program ret = program(PROGRAM_RETURN, &a, 1, quiet);
		struct planter *p = self_open(NULL);
		struct self_samples t = {0};
		const char *got;

		self_plant(p, &entry, 1, site_point);
		self_plant(p, &ret, 2, site_leave);
		for (int i = 0; i < 10; i++) {
			hit(site_point, &g1, i % 3, i & 1 ? "bob" : "alice");
			hit(site_leave, &g1, 100 + i, NULL);
			hit(site_leave, &g1, 100 + i, NULL);
		}
		got = read_all(p, false);
		assert_non_null(strstr(got, "alice/5 1:0 #0 n2 s206; "));
		assert_non_null(strstr(got, "bob/3 1:0 #0 n2 s212; "));
		assert_non_null(strstr(got, "alice/5 1:2 #0 n2 s210; "));
		assert_int_equal(self_drain(p, &t), quiet ? 0 : 10);
		/* what is unwound counts in none, and is not told of if nobody wants records */
		hit(site_point, &g1, 50, "x");
		hit(site_point, &g1, 51, "x");
		assert_int_equal(self_drain(p, &t), !quiet);
		assert_null(strstr(read_all(p, false), "x/1"));
		self_samples_done(&t);
		planter_close(p);
	}
}

static void many_groups(void **state)
{
	const struct ir_aggregate a = {.kind = AGG_COUNT, .keys = {{.slot = 0}}, .nkeys = 1};
	struct capture_program prog = program(PROGRAM_POINT, &a, 1, true);
	struct planter *p = self_open(&(struct planter_options){.max_groups = 10});
	struct seen s = {0};

	self_plant(p, &prog, 1, site_point);
	for (int i = 0; i < 30; i++)
		hit(site_point, &g1, i % 15, "x");
	p->source->ops->aggregates(p->source, false, see, &s);
	assert_int_equal(s.count, 20);
	assert_int_equal(self_losses(p, LOSS_GROUPS_FULL), 10);
	planter_close(p);
}

/* ---- threads ---- */

enum { THREADS = 4, HITS = 5000 };
static atomic_int running;

static void *hit_often(void *arg)
{
	const struct self_g g = {.hi = SELF_HI, .goid = (uintptr_t)arg};

	for (int64_t i = 0; i < HITS; i++)
		hit(site_point, &g, i * (int64_t)(uintptr_t)arg, i & 1 ? "a" : "b");
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* While groups are read and cleared all the time, nothing is lost or counted twice. */
static void threads(void **state)
{
	const struct ir_aggregate a[] = {
		{.kind = AGG_HIST, .value = {.slot = 0}, .keys = {{.slot = 1}}, .nkeys = 1},
	};
	struct capture_program prog = program(PROGRAM_POINT, a, 1, true);
	struct planter *p = self_open(NULL);
	pthread_t ids[THREADS];
	struct seen s = {0};
	uint64_t in_buckets = 0;
	int128 max = 0;

	prog.controlled = true;
	self_plant(p, &prog, 1, site_point);
	atomic_store(&running, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, hit_often, (void *)(i + 1)), 0);
	do {
		*s.text = '\0';
		p->source->ops->aggregates(p->source, true, see, &s);
		max = MAX(max, s.max);
	} while (atomic_load(&running));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
	*s.text = '\0';
	p->source->ops->aggregates(p->source, true, see, &s);
	for (size_t i = 0; i < AGG_BUCKETS; i++)
		in_buckets += s.buckets[i];
	assert_int_equal(s.count + self_losses(p, LOSS_BUSY), THREADS * HITS);
	assert_int_equal(in_buckets, s.count);
	assert_int_equal(p->source->ops->hits(p->source, 1), THREADS * HITS);
	if (!self_losses(p, LOSS_BUSY))
		assert_int_equal(s.sum, (int64_t)HITS * (HITS - 1) / 2 * (1 + 2 + 3 + 4));
	assert_int_equal(self_losses(p, LOSS_GROUPS_FULL), 0);
	planter_close(p);
}

/* ---- controls ---- */

static void controls(void **state)
{
	struct capture_program prog = program(PROGRAM_POINT, NULL, 0, false);
	struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0, false),
			       ret = program(PROGRAM_RETURN, NULL, 0, false);
	struct planter *p = self_open(NULL);
	struct self_samples t = {0};
	uint64_t begin;
	size_t n;

	prog.controlled = entry.controlled = true;
	assert_int_equal(p->source->ops->control(p->source, 1u << 20, &(struct plant_control){.every = 3}), -ENOENT);
	/* before it is there */
	assert_int_equal(p->source->ops->control(p->source, 1, &(struct plant_control){.every = 30}), 0);
	self_plant(p, &prog, 1, site_point);
	for (int i = 0; i < 30; i++)
		hit(site_point, &g1, i, "x");
	assert_int_equal(self_drain(p, &t), 1);
	p->source->ops->control(p->source, 1, &(struct plant_control){0});
	for (int i = 0; i < 30; i++)
		hit(site_point, &g1, i, "x");
	assert_int_equal(self_drain(p, &t), 30);
	p->source->ops->control(p->source, 1, &(struct plant_control){.every = 3});
	for (int i = 0; i < 30; i++)
		hit(site_point, &g1, i, "x");
	assert_int_equal(self_drain(p, &t), 10);
	assert_int_equal(self_losses(p, LOSS_EVERY), 29 + 20);
	p->source->ops->control(p->source, 1, &(struct plant_control){.per_second = 5});
	begin = clock_monotonic_ns() / 1000000000;
	for (int i = 0; i < 200; i++)
		hit(site_point, &g1, i, "x");
	n = self_drain(p, &t);
	assert_in_range(n, 5, 5 * (1 + clock_monotonic_ns() / 1000000000 - begin));
	assert_int_equal(self_losses(p, LOSS_RATE_LIMITED), 200 - n);
	p->source->ops->control(p->source, 1, &(struct plant_control){0});
	hit(site_point, &g1, 1, "x");
	assert_int_equal(self_drain(p, &t), 1);
	assert_int_equal(p->source->ops->hits(p->source, 1), 291);
	assert_int_equal(p->source->ops->hits(p->source, 2), 0);
	planter_close(p);

	/* an entry that is left out has no return */
	p = self_open(NULL);
	self_plant(p, &entry, 1, site_point);
	self_plant(p, &ret, 2, site_leave);
	p->source->ops->control(p->source, 1, &(struct plant_control){.every = 4});
	for (int i = 0; i < 20; i++) {
		hit(site_point, &g1, i, "x");
		hit(site_leave, &g1, i, "x");
	}
	assert_int_equal(self_drain(p, &t), 5);
	assert_int_equal(t.all.data[1].e[1].slots[0].value, 4);
	self_samples_done(&t);
	planter_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),       cmocka_unit_test(keys),    cmocka_unit_test(at_entry),
		cmocka_unit_test(unsigned_kinds), cmocka_unit_test(sums_carry),
		cmocka_unit_test(many_groups), cmocka_unit_test(threads), cmocka_unit_test(controls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
