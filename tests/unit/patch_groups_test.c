/*
 * Aggregates that patched programs keep: generated code is run, its tables are read, and what comes out is compared
 * with what plant/aggregate.c makes of records of the same events.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <ucontext.h>

#include "binary/arch_x86_64.h"
#include "unit/patch_run.h"

#include "plant/patch/patch.h"

/* ---- programs: a number, a text, a word behind a pointer, the caller ---- */

enum { N_SLOT, TEXT_SLOT, WORD_SLOT, STACK_SLOT, NSLOTS };
#define REG(d, r) {.op = IR_ARG_REG, .reg = r, .size = 8, .dst = d}
static struct ir_insn insns[] = {
	{.op = IR_REGION, .slot = N_SLOT}, REG(0, GPR_RAX), {.op = IR_EMIT, .slot = N_SLOT, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = TEXT_SLOT}, REG(0, GPR_RBX), REG(1, GPR_RCX),
	{.op = IR_EMIT_STR, .slot = TEXT_SLOT, .a = 0, .b = 1, .imm = AGG_KEY_STR}, {.op = IR_END},
	{.op = IR_REGION, .slot = WORD_SLOT}, REG(0, GPR_RDI), {.op = IR_LOAD, .dst = 1, .a = 0, .size = 8},
	{.op = IR_EMIT, .slot = WORD_SLOT, .a = 1}, {.op = IR_END},
	{.op = IR_REGION, .slot = STACK_SLOT}, {.op = IR_EMIT_STACK, .slot = STACK_SLOT, .imm = 1}, {.op = IR_END},
};
/* R8 is not 0. */
static struct ir_insn filter_insns[] = {
	{.op = IR_REGION, .slot = IR_SLOT_FILTER}, REG(0, GPR_R8), {.op = IR_FILTER, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = N_SLOT}, REG(0, GPR_RAX), {.op = IR_EMIT, .slot = N_SLOT, .a = 0}, {.op = IR_END},
};
static struct ir_slot slots[] = {
	{.kind = VALUE_UINT}, {.kind = VALUE_STRING}, {.kind = VALUE_INT}, {.kind = VALUE_STACK}};

static struct capture_program program(enum program_role role, const struct ir_aggregate *a, size_t n)
{
	return (struct capture_program){.role = role, .call_group = role == PROGRAM_POINT ? 0 : 9, .aggregates = a,
					.naggregates = n, .no_record = true, .insns = insns,
					.ninsns = ARRAY_SIZE(insns), .slots = slots, .nslots = NSLOTS, .nregs = 4,
					.g = FAKE_LAYOUT, .controlled = role != PROGRAM_RETURN};
}

/* ---- what is planted: as planter and process, but in this process ---- */

static struct patch_planter planter;
static struct patched patched;
static const void *codes[4];
static struct plant_control control;

static const struct plant_control *the_control(void *arg, uint32_t probe)
{
	return &control;
}

static void map_area(size_t max_groups)
{
	struct patch_area layout;
	struct err err = {0};

	if (patch_area_layout(PROCS, EXTRA, CHUNKS, 64, area_nsaved, &layout, &err))
		fail_msg("%s", err.text);
	patch_forms_layout(&patched.forms, max_groups, &layout);
	munmap(area, area_size(area));
	area = mmap(NULL, area_size(&layout), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	*area = patched.layout = layout;
	area->ring.on = 1;
	area->ring.target = 42;
	area->ring.stale_tsc = INT64_MAX;
	area->ncode = 1;
	area->code[0].low = (uintptr_t)code_memory;
	area->code[0].high = (uintptr_t)code_memory + CODE_SIZE;
	pool_done(&chunk_pool);
	pool_init(&chunk_pool, &area->ring, &layout.ring, (uint8_t *)area + layout.ring.pool_off, CHUNKS);
	patch_forms_begin(&patched.forms, area, &patched.layout, (uintptr_t)area);
	install_handler();
}

static void plant(const struct capture_program *const *programs, size_t n, size_t max_groups)
{
	static uint32_t ids[] = {1, 2, 3, 4};
	struct plant_probe probes[4] = {0};
	struct err err = {0};

	for (size_t i = 0; i < n; i++)
		probes[i] = (struct plant_probe){.id = (uint32_t)i + 1, .program = programs[i]};
	patch_setup(CHUNKS);
	patched = (struct patched){.target = 42, .probes = ids, .nprobes = (uint32_t)n};
	patched.counted = xcalloc(n, sizeof(*patched.counted));
	assert_int_equal(patch_forms_make(probes, n, the_control, NULL, &patched.forms, &err), 0);
	map_area(max_groups);
	patched.area = area;
	patched.memory = (char *)area;
	planter = (struct patch_planter){.patched = &patched, .reader.aggregates = aggregates_new(0)};
	for (size_t i = 0; i < n; i++) {
		struct patch_env env = test_env();
		struct buf out = {0};

		env.counts = (uint32_t)i;
		env.layout = &patched.layout;
		env.sums = patched.forms.of[i];
		if ((patched.forms.of[i] ? aggregates_add_kept
					 : aggregates_add)(planter.reader.aggregates, (uint32_t)i + 1, programs[i],
							   &err) ||
		    patch_compile(programs[i], (uint32_t)i + 1, &env, &out, &err))
			fail_msg("%s", err.text);
		codes[i] = (const void *)(uintptr_t)put_code(out.data, out.len);
		buf_done(&out);
	}
}

static void unplant(void)
{
	patch_forms_done(&patched.forms);
	free(patched.counted);
	aggregates_free(planter.reader.aggregates);
}

static uint64_t lost(size_t probe, enum loss l)
{
	return patch_area_counts(area, (uint32_t)probe)->loss[l];
}

/* ---- groups as text, in an order that does not depend on tables ---- */

struct lines {
	VEC(char *) all;
};

static void add_line(void *arg, const struct plant_group *g)
{
	struct lines *l = arg;
	struct buf b = {0};

	buf_printf(&b, "%u.%zu", g->probe, g->aggregate);
	for (size_t i = 0; i < AGG_MAX_KEYS; i++) {
		buf_printf(&b, " %u:%" PRIu64 ":", g->keys[i].status, g->keys[i].word);
		for (size_t k = 0; k < g->keys[i].len; k++)
			buf_printf(&b, "%02x", ((const uint8_t *)g->keys[i].bytes)[k]);
	}
	buf_printf(&b, " = %" PRIu64 " %s", g->count, wide_text(g->sum, (char[WIDE_TEXT]){0}));
	if (g->nbuckets)
		buf_printf(&b, " %s..%s", wide_text(g->min, (char[WIDE_TEXT]){0}),
			   wide_text(g->max, (char[WIDE_TEXT]){0}));
	for (size_t i = 0; i < g->nbuckets; i++)
		if (g->buckets[i])
			buf_printf(&b, " %zu=%" PRIu64, i, g->buckets[i]);
	vec_push(&l->all, buf_take(&b));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *groups_of(struct aggregates *a)
{
	struct lines l = {0};
	struct buf all = {0};

	aggregates_read(a, true, add_line, &l);
	if (l.all.len)
		qsort(l.all.data, l.all.len, sizeof(*l.all.data), by_text);
	for (size_t i = 0; i < l.all.len; i++) {
		buf_printf(&all, "%s\n", l.all.data[i]);
		free(l.all.data[i]);
	}
	vec_done(&l.all);
	return buf_take(&all);
}

/* ---- events, and the records they would have made ---- */

struct input {
	uint64_t n, text, len, word;  /* text: an address; word: an address, nil or unmapped */
};

static const char many_texts[] =
	"alicebobcarolalicealicealicealicealicealicealicealicealicealicealicealicealicealicealiceend";

static struct input random_input(void)
{
	static const uint64_t numbers[] = {0, 1, 5, UINT64_C(1) << 63, UINT64_MAX, INT64_MAX, 100, 7, (uint64_t)-9};
	static uint64_t words[] = {3, UINT64_C(1) << 63, UINT64_MAX, 12};
	const uint64_t lens[] = {0, 5, 3, 64, 65, 80, 8, (uint64_t)(rand() % 66)};
	const uint64_t addresses[] = {0, 8 /* not mapped */, (uintptr_t)&words[rand() % 4],
				      (uintptr_t)&words[rand() % 4]};

	return (struct input){numbers[rand() % ARRAY_SIZE(numbers)], (uintptr_t)many_texts + (uint64_t)(rand() % 3) * 5,
			      lens[rand() % ARRAY_SIZE(lens)], addresses[rand() % ARRAY_SIZE(addresses)]};
}

static struct regs regs_of(const struct input *in)
{
	return (struct regs){.r = {in->n, in->text, in->len, in->word, 0, 1}, .g = (uintptr_t)&fake_g};
}

struct record {
	struct event_header head;
	struct event_slot slots[NSLOTS];
	_Alignas(8) uint64_t stack;
	char bytes[80];
};

static struct record record_of(uint32_t probe, enum event_kind kind, const struct input *in)
{
	uint64_t n = MIN(in->len, AGG_KEY_STR);
	struct record r = {.head = {.size = sizeof(r), .version = EVENT_VERSION, .kind = (uint8_t)kind, .slots = NSLOTS,
				    .probe = probe, .target = 42, .goid = 4711, .depth = 1},
			   .slots = {{.status = SLOT_OK, .value = in->n},
				     {.status = n < in->len ? SLOT_CUT : SLOT_OK, .copied = (uint16_t)n,
				      .len = (uint32_t)in->len, .value = offsetof(struct record, bytes)},
				     {.status = in->word == 0 ? SLOT_NIL : in->word == 8 ? SLOT_UNREADABLE : SLOT_OK,
				      .value = in->word > 8 ? *(const uint64_t *)(uintptr_t)in->word : 0},
				     {.status = SLOT_OK, .copied = 8, .len = 8,
				      .value = offsetof(struct record, stack)}},
			   .stack = world_pc_ret};

	memcpy(r.bytes, (const void *)(uintptr_t)in->text, n);
	return r;
}

static struct ir_aggregate random_aggregate(bool at_return)
{
	static const struct {
		int64_t low, high, step;
	} bounds[] = {{0, 20, 10}, {-10, 110, 7}, {INT64_MIN, INT64_MIN + 10, 3}};
	struct ir_aggregate a = {.kind = (enum aggregate_kind)(rand() % (AGG_LINEAR + 1)), .is_unsigned = rand() % 2,
				 .value = {at_return && rand() % 2, rand() % 2 ? N_SLOT : WORD_SLOT},
				 .nkeys = (size_t)(rand() % 4)};
	size_t b = (size_t)rand() % ARRAY_SIZE(bounds);

	for (size_t i = 0; i < a.nkeys; i++)
		a.keys[i] = (struct ir_slot_ref){at_return && rand() % 2, (uint16_t)(rand() % NSLOTS)};
	a.low = bounds[b].low;
	a.high = bounds[b].high;
	a.step = bounds[b].step;
	return a;
}

static void compare(struct aggregates *reference)
{
	char *want = groups_of(reference), *got;

	tally_all(&planter);
	got = groups_of(planter.reader.aggregates);
	assert_string_equal(got, want);
	free(want);
	free(got);
}

static void random_points(bool no_record)
{
	const struct ir_aggregate all[] = {random_aggregate(false), random_aggregate(false), random_aggregate(false)};
	struct capture_program p = program(PROGRAM_POINT, all, ARRAY_SIZE(all));
	struct aggregates *reference = aggregates_new(0);
	struct err err = {0};
	uint64_t records = 0;

	p.no_record = no_record;
	plant((const struct capture_program *[]){&p}, 1, 0);
	assert_int_equal(aggregates_add(reference, 1, &p, &err), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			const struct input in = random_input();
			const struct record r = record_of(1, EVENT_POINT, &in);
			const struct regs regs = regs_of(&in);

			run_code(codes[0], &regs);
			aggregates_take(reference, &r, sizeof(r));
		}
		compare(reference);
	}
	for (uint32_t i = 0; i < PROCS + EXTRA; i++)
		records += patch_area_slot(area, i)->ring.write;
	assert_int_equal(records > 0, !no_record);
	assert_int_equal(planter.reader.damaged, 0);
	aggregates_free(reference);
	unplant();
}

static void points(void **state)
{
	srand(7);
	for (int i = 0; i < 60; i++)
		random_points(i % 2);
}

static void check_record(void *arg, const void *record, size_t size)
{
	struct event e;

	assert_true(event_decode(record, size, &e));
}

/* Keys and values of the entry and of the return, calls within calls. */
static void calls(void **state)
{
	srand(11);
	for (int i = 0; i < 60; i++) {
		const struct ir_aggregate all[] = {random_aggregate(true), random_aggregate(true)};
		struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0), ret = program(PROGRAM_RETURN, all, 2);
		struct aggregates *reference = aggregates_new(0);
		struct err err = {0};

		entry.no_record = ret.no_record = i % 3;
		plant((const struct capture_program *[]){&entry, &ret}, 2, 0);
		aggregates_add(reference, 1, &entry, &err);
		aggregates_add(reference, 2, &ret, &err);
		for (int k = 0; k < 100; k++) {
			struct input in[3];

			for (uint64_t depth = 0; depth < 3; depth++) {
				const struct input at = in[depth] = random_input();
				const struct regs regs = regs_of(&at);

				fake_g.hi = UINT64_C(0x7fffffffff00) + 64 * depth;
				run_code(codes[0], &regs);
			}
			for (uint64_t depth = 3; depth-- > 0;) {
				const struct input out = random_input();
				const struct regs regs = regs_of(&out);
				const struct record both[] = {record_of(2, EVENT_RETURN, &out),
							      record_of(1, EVENT_CALL, &in[depth])};

				fake_g.hi = UINT64_C(0x7fffffffff00) + 64 * depth;
				run_code(codes[1], &regs);
				run_code(codes[1], &regs); /* a return without a call */
				aggregates_take(reference, both, sizeof(both));
			}
			for (uint32_t s = 0; s < PROCS + EXTRA; s++)
				slot_drain(patch_area_slot(area, s), check_record, NULL);
		}
		compare(reference);
		aggregates_free(reference);
		unplant();
	}
}

/* Of the entry's slots the first `nslots`, which are all kept, so that they are captured there. */
static void take_slots(struct capture_program *p, uint16_t nslots)
{
	for (p->ninsns = 0, p->nslots = 0; p->nslots < nslots; p->ninsns++)
		p->nslots += insns[p->ninsns].op == IR_END;
}

static void call_once(const struct input *in, const struct input *out)
{
	const struct regs at_entry = regs_of(in), at_return = regs_of(out);

	run_code(codes[0], &at_entry);
	run_code(codes[1], &at_return);
}

static void all_is_kept(void **state)
{
	srand(13);
	for (int i = 0; i < 60; i++) {
		const uint16_t n = (uint16_t)(1 + i % 3);
		struct ir_aggregate all[] = {random_aggregate(true), {.nkeys = n}};
		struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0), ret = program(PROGRAM_RETURN, all, 2);
		struct aggregates *reference = aggregates_new(0);
		struct err err = {0};

		for (uint16_t k = 0; k < n; k++)
			all[1].keys[k] = (struct ir_slot_ref){true, k};
		for (size_t k = 0; k < all[0].nkeys; k++)
			all[0].keys[k].slot %= n;
		all[0].value.slot = all[0].value.at_entry ? N_SLOT : all[0].value.slot;
		take_slots(&entry, n);
		plant((const struct capture_program *[]){&entry, &ret}, 2, 0);
		aggregates_add(reference, 1, &entry, &err);
		aggregates_add(reference, 2, &ret, &err);
		for (int k = 0; k < 200; k++) {
			const struct input in = random_input(), out = random_input();
			const struct record both[] = {record_of(2, EVENT_RETURN, &out), record_of(1, EVENT_CALL, &in)};

			call_once(&in, &out);
			aggregates_take(reference, both, sizeof(both));
		}
		compare(reference);
		aggregates_free(reference);
		unplant();
	}
}

/* Calls by their text, which ends in a page that is not there; as groups. */
static char *cut_texts(bool no_record)
{
	const struct ir_aggregate a = {.keys = {{true, TEXT_SLOT}, {true, N_SLOT}}, .nkeys = 2};
	struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0), ret = program(PROGRAM_RETURN, &a, 1);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *got;

	assert_ptr_not_equal(pages, MAP_FAILED);
	for (int i = 0; i < 4096; i++)
		pages[i] = (char)('a' + i % 23);
	assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	entry.no_record = ret.no_record = no_record;
	take_slots(&entry, 2);
	plant((const struct capture_program *[]){&entry, &ret}, 2, 0);
	for (uint64_t more = 0; more <= 20; more++) {
		for (uint64_t there = 0; there <= 70; there++) { /* so that a place has had another text before */
			const struct input in = {there, (uintptr_t)pages + 4096 - there, there + more, 0};

			call_once(&in, &in);
			for (uint32_t s = 0; s < PROCS + EXTRA; s++)
				slot_drain(patch_area_slot(area, s), check_record, NULL);
		}
	}
	tally_all(&planter);
	got = groups_of(planter.reader.aggregates);
	unplant();
	munmap(pages, 8192);
	return got;
}

static void cut_texts_are_kept(void **state)
{
	char *direct = cut_texts(true), *copied = cut_texts(false);

	assert_string_equal(direct, copied);
	assert_non_null(strstr(direct, ":62 ")); /* the page's last byte, of longer texts */
	free(direct);
	free(copied);
}

/* ---- what is left out ---- */

static uint64_t sum_of_counts; /* of all groups read */
static int128 sum_of_sums;
static void add_counts(void *arg, const struct plant_group *g)
{
	sum_of_counts += g->count;
	sum_of_sums += g->sum;
}

static uint64_t counted(void)
{
	sum_of_counts = 0;
	sum_of_sums = 0;
	tally_all(&planter);
	aggregates_read(planter.reader.aggregates, true, add_counts, NULL);
	return sum_of_counts;
}

static void hit(size_t code, uint64_t n, uint64_t passes)
{
	const struct regs r = {.r = {n, 0, 0, 0, 0, passes}, .g = (uintptr_t)&fake_g};

	run_code(codes[code], &r);
}
static const size_t r8 = 5; /* of struct regs */

/* A call that a panic unwound, and one that did not pass at the same depth: that one's return finds nothing. */
static void filtered_entries(void **state)
{
	const struct ir_aggregate sum = {.kind = AGG_SUM, .value = {.at_entry = true, .slot = N_SLOT}};
	struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0), ret = program(PROGRAM_RETURN, &sum, 1);

	assert_int_equal(r8, 5);
	entry.insns = filter_insns;
	entry.ninsns = ARRAY_SIZE(filter_insns);
	entry.nslots = 1;
	plant((const struct capture_program *[]){&entry, &ret}, 2, 0);
	hit(0, 100, 1);
	hit(1, 0, 1);
	assert_int_equal(counted(), 1);
	hit(0, 100, 1);
	hit(0, 200, 0);
	hit(1, 0, 1);
	assert_int_equal(counted(), 0);
	hit(0, 100, 1);
	hit(0, 300, 1);
	hit(1, 0, 1);
	hit(1, 0, 1);
	assert_int_equal(counted(), 1);
	assert_true(sum_of_sums == 300);
	unplant();
}

static void full_tables(void **state)
{
	const struct ir_aggregate by_n = {.kind = AGG_COUNT, .keys = {{.slot = N_SLOT}}, .nkeys = 1};
	const struct capture_program p = program(PROGRAM_POINT, &by_n, 1);

	plant((const struct capture_program *[]){&p}, 1, 10);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 30; i++)
			hit(0, i % 15, 1);
		assert_int_equal(counted(), 20);
		assert_int_equal(lost(0, LOSS_GROUPS_FULL), 10 * (round + 1));
	}
	unplant();
}

/* Records that find no room are lost, the aggregates are not. */
static void full_ring(void **state)
{
	const struct ir_aggregate sum = {.kind = AGG_SUM, .value = {.slot = N_SLOT}};
	struct capture_program p = program(PROGRAM_POINT, &sum, 1);
	enum { HITS = 50000 }; /* more than all chunks hold */

	p.no_record = false;
	plant((const struct capture_program *[]){&p}, 1, 0);
	for (uint64_t i = 0; i < HITS; i++)
		hit(0, 2, 1);
	assert_int_equal(counted(), HITS);
	assert_true(sum_of_sums == 2 * HITS);
	assert_in_range(lost(0, LOSS_RING_FULL), 1, HITS - 1);
	unplant();
}

/* ---- counting hits, all of them ---- */

static void hits(void **state)
{
	const struct ir_aggregate counts[] = {{.kind = AGG_COUNT}, {.kind = AGG_COUNT}};
	const struct capture_program p = program(PROGRAM_POINT, counts, 2);

	plant((const struct capture_program *[]){&p}, 1, 0);
	assert_true(patched.forms.of[0]->hits);
	for (int i = 0; i < 1000; i++) {
		fake_p.id = i % 3; /* the last has no slot of its own */
		hit(0, 0, 1);
	}
	fake_m.p = NULL;
	for (int i = 0; i < 100; i++)
		hit(0, 0, 1);
	fake_m.p = &fake_p;
	fake_p.id = 1;
	patch_area_slot(area, 1)->ring.busy = 1; /* a signal handler in the middle of other code */
	for (int i = 0; i < 1000; i++)
		hit(0, 0, 1);
	patch_area_slot(area, 1)->ring.busy = 0;
	assert_int_equal(counted(), 2 * 2100);
	hit(0, 0, 1);
	assert_int_equal(counted(), 2);
	assert_int_equal(patch_area_hits(area, &patched.layout, 0), 2101);
	unplant();
}

/* Nobody reads any more: the code falls silent, and the loss is counted. */
static void nobody_reads(void **state)
{
	const struct ir_aggregate count = {.kind = AGG_COUNT}, sum = {.kind = AGG_SUM, .value = {.slot = N_SLOT}};
	const struct capture_program both[] = {program(PROGRAM_POINT, &count, 1), program(PROGRAM_POINT, &sum, 1)};

	for (size_t k = 0; k < 2; k++) {
		int n = 0;

		plant((const struct capture_program *[]){&both[k]}, 1, 0);
		assert_int_equal(patched.forms.of[0]->hits, k == 0);
		area->ring.stale_tsc = 1;
		area->ring.heartbeat_tsc = 0;
		for (; n <= PATCH_PATIENCE && area->ring.on; n++)
			hit(0, 1, 1);
		assert_int_equal(area->ring.on, 0);
		assert_in_range(counted(), 1, n);
		assert_int_equal(lost(0, LOSS_RING_FULL), 1);
		hit(0, 1, 1);
		assert_int_equal(counted(), 0);
		unplant();
	}
}

/* ---- limits ---- */

static void limits(void **state)
{
	const struct ir_aggregate count = {.kind = AGG_COUNT}, sum = {.kind = AGG_SUM, .value = {.slot = N_SLOT}};
	const struct capture_program p = program(PROGRAM_POINT, &count, 1);
	struct capture_program entry = program(PROGRAM_ENTRY, NULL, 0), ret = program(PROGRAM_RETURN, &sum, 1);
	uint64_t n;

	control = (struct plant_control){.every = 3};
	plant((const struct capture_program *[]){&p}, 1, 0);
	for (int i = 0; i < 30; i++)
		hit(0, 0, 1);
	assert_int_equal(counted(), 10);
	assert_int_equal(lost(0, LOSS_EVERY), 20);
	unplant();
	plant((const struct capture_program *[]){&entry, &ret}, 2, 0);
	for (uint64_t i = 0; i < 30; i++) {
		hit(0, 0, 1);
		hit(1, i, 1);
	}
	assert_int_equal(counted(), 10);
	assert_true(sum_of_sums == (0 + 27) * 10 / 2);
	unplant();
	control = (struct plant_control){.per_second = 5};
	plant((const struct capture_program *[]){&p}, 1, 0);
	for (int i = 0; i < 200; i++)
		hit(0, 0, 1);
	n = counted();
	assert_true(n >= 5 && n % 5 == 0);
	assert_int_equal(lost(0, LOSS_RATE_LIMITED), 200 - n);
	unplant();
	control = (struct plant_control){0};
}

/* ---- the reader, between any two instructions ---- */

static struct {
	uint64_t steps, at; /* instructions of the code so far; after how many the reader comes */
} stepping;

/* What tally_all does, but that it waits for nothing: all happens on this thread. */
static void turn_over(void)
{
	patched.turn ^= 1;
	area->turn = patched.turn;
	for (uint32_t i = 0; i < PROCS + EXTRA; i++)
		if (!patch_area_slot(area, i)->ring.busy)
			patch_table_take(&patched.forms, area, &patched.layout, i, !patched.turn, patched.probes,
					 patched.target, planter.reader.aggregates, &planter.reader.damaged);
}

/* The first one is sent; from there on one comes after each instruction. */
static void on_step(int sig, siginfo_t *info, void *context)
{
	enum { TRAP_FLAG = 0x100 };
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint64_t pc = (uint64_t)regs[REG_RIP] - (uintptr_t)code_memory;

	if (info->si_code <= 0)
		regs[REG_EFL] |= TRAP_FLAG;
	else if (regs[REG_RIP] == (greg_t)(uintptr_t)call_code_back)
		regs[REG_EFL] &= ~TRAP_FLAG;
	else if (pc < CODE_SIZE && stepping.steps++ == stepping.at)
		turn_over();
}

static void run_stepped(const void *code, const struct regs *r, uint64_t at)
{
	struct frame f;

	stack_fill(test_stack);
	frame_fill(&f, r, test_stack);
	stepping.steps = 0;
	stepping.at = at;
	raise(SIGTRAP);
	call_code(&f, code);
	frame_check(&f, test_stack);
}

/* n and n ^ same_checksum(): their keys differ, and have the same checksum (CRC-32C). */
static uint64_t same_checksum(void)
{
	uint32_t crc = 1;

	for (int i = 0; i < 32; i++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	return UINT64_C(1) | (uint64_t)crc << 32;
}

/* In the program and in the reference. at: when the reader comes; NULL: not meanwhile. */
static void count_both(uint64_t n, const uint64_t *at, struct aggregates *reference)
{
	const struct input in = {n, (uintptr_t)many_texts, 5, 0};
	const struct record r = record_of(1, EVENT_POINT, &in);
	const struct regs regs = regs_of(&in);

	if (at)
		run_stepped(codes[0], &regs, *at);
	else
		run_code(codes[0], &regs);
	aggregates_take(reference, &r, sizeof(r));
}

/* An event of a key that is new, or is there; a later one of it. Whether the reader came before the code's end. */
static bool step_through(uint64_t at, bool is_new, struct aggregates *reference)
{
	const uint64_t n = is_new ? at : 0;

	count_both(n ^ same_checksum(), NULL, reference); /* lies where n is looked for first */
	if (!is_new)
		count_both(n, NULL, reference);
	count_both(n, &at, reference);
	count_both(n, NULL, reference);
	for (int i = 0; i < 2; i++)
		turn_over();
	if (planter.reader.damaged)
		fail_msg("the reader came after %" PRIu64 " instructions and found what makes no sense", at);
	return stepping.steps > at;
}

/* A thread that is in the code stays with the table that it found, whenever the other one becomes the one to use. */
static void turned_over_anywhere(void **state)
{
	const struct ir_aggregate all[] = {
		{.kind = AGG_HIST, .value = {.slot = N_SLOT}, .keys = {{.slot = TEXT_SLOT}, {.slot = N_SLOT}},
		 .nkeys = 2},
		{.kind = AGG_SUM, .value = {.slot = N_SLOT}, .keys = {{.slot = TEXT_SLOT}}, .nkeys = 1},
		{.kind = AGG_COUNT},
	};
	const struct capture_program p = program(PROGRAM_POINT, all, ARRAY_SIZE(all));
	const struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction before;

	assert_int_equal(sigaction(SIGTRAP, &step, &before), 0);
	for (int way = 0; way < 4; way++) {
		struct aggregates *reference = aggregates_new(0);
		uint64_t at = 0;
		struct err err;

		plant((const struct capture_program *[]){&p}, 1, 0);
		aggregates_add(reference, 1, &p, &err);
		fake_m.p = way & 1 ? &fake_p : NULL; /* else an extra slot */
		while (step_through(at, way & 2, reference))
			at++;
		assert_true(at > 100);
		compare(reference);
		aggregates_free(reference);
		unplant();
	}
	sigaction(SIGTRAP, &before, NULL);
}

/* ---- threads, read all the while ---- */

enum { THREADS = 4, CALLS = 40000 };
struct caller {
	pthread_t thread;
	struct {
		uint64_t lo, hi, pad[4], m, pad2[12], goid;
	} g;
	struct fake_p p;
	struct fake_m m;
};
static atomic_int running;

static void *call_often(void *arg)
{
	static __thread uint8_t stack[STACK_SIZE];
	struct caller *c = arg;
	struct regs r = {.r = {0, (uintptr_t)many_texts, 5}, .g = (uintptr_t)&c->g};
	struct frame f;

	stack_fill(stack);
	frame_fill(&f, &r, stack);
	for (uint64_t i = 0; i < CALLS; i++) {
		f.gpr[N_RAX] = i;
		f.gpr[N_RCX] = i % 7;
		call_code(&f, codes[0]);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

struct whole {
	uint64_t counts[2];
	int128 sum, min, max;
};

/* What is read at once belongs together. */
static void check_whole(void *arg, const struct plant_group *g)
{
	struct whole *w = arg;
	uint64_t in_buckets = 0;

	w->counts[g->aggregate] += g->count;
	if (g->aggregate)
		return;
	for (size_t i = 0; i < g->nbuckets; i++)
		in_buckets += g->buckets[i];
	assert_int_equal(in_buckets, g->count);
	assert_true(g->min * g->count <= g->sum && g->sum <= g->max * g->count);
	w->sum += g->sum;
	w->min = MIN(w->min, g->min);
	w->max = MAX(w->max, g->max);
}

/* Two with a P, the others share the extra slots. */
static void threads(void **state)
{
	static struct caller callers[THREADS];
	const struct ir_aggregate all[] = {
		{.kind = AGG_HIST, .is_unsigned = true, .value = {.slot = N_SLOT}, .keys = {{.slot = TEXT_SLOT}},
		 .nkeys = 1},
		{.kind = AGG_COUNT},
	};
	const struct capture_program p = program(PROGRAM_POINT, all, 2);
	struct whole w = {.min = WIDE_MAX, .max = WIDE_MIN};

	plant((const struct capture_program *[]){&p}, 1, 0);
	atomic_store(&running, THREADS);
	for (uint64_t i = 0; i < THREADS; i++) {
		struct caller *c = &callers[i];

		*c = (struct caller){.g = {.m = (uintptr_t)&c->m, .goid = i + 1}, .p = {.id = (int)i},
				     .m = {.p = &c->p}};
		assert_int_equal(pthread_create(&c->thread, NULL, call_often, c), 0);
	}
	do {
		tally_all(&planter);
		aggregates_read(planter.reader.aggregates, true, check_whole, &w);
	} while (atomic_load(&running));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	tally_gone(&planter, &patched);
	aggregates_read(planter.reader.aggregates, true, check_whole, &w);
	assert_int_equal(w.counts[0], w.counts[1]);
	assert_int_equal(w.counts[0] + lost(0, LOSS_BUSY), THREADS * CALLS);
	if (!lost(0, LOSS_BUSY))
		assert_true(w.sum == (int128)THREADS * CALLS * (CALLS - 1) / 2);
	assert_true(w.min == 0 && w.max == CALLS - 1);
	assert_int_equal(planter.reader.damaged, 0);
	unplant();
}

/* ---- what a broken program may have written ---- */

static void damaged(void **state)
{
	const struct ir_aggregate by_text = {.kind = AGG_COUNT, .keys = {{.slot = TEXT_SLOT}}, .nkeys = 1};
	const struct capture_program p = program(PROGRAM_POINT, &by_text, 1);
	const struct input in = {1, (uintptr_t)many_texts, 5, 0};
	const struct regs r = regs_of(&in);

	for (int k = 0; k < 6; k++) {
		struct patch_table *t;
		struct patch_group *g;

		plant((const struct capture_program *[]){&p}, 1, 0);
		run_code(codes[0], &r);
		t = (void *)(uintptr_t)patch_area_slot(area, 1)->table[0];
		g = (void *)((char *)t + patched.layout.entries_off);
		switch (k) {
		case 0: g->size = 0; break;
		case 1: g->size = 0xfffffff8; break;
		case 2: g->form = 77; break;
		case 3: t->used = UINT64_MAX; break;
		case 4: t->used = 8; break;
		default: memset((char *)g + PATCH_COUNT_BYTES, 0xff, 8); break; /* a text of 65535 bytes */
		}
		counted();
		if (k != 4)
			assert_int_equal(planter.reader.damaged > 0, k != 5 || !sum_of_counts);
		run_code(codes[0], &r); /* and all is well again */
		assert_int_equal(counted(), 1);
		unplant();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points),      cmocka_unit_test(calls), cmocka_unit_test(filtered_entries),
		cmocka_unit_test(full_tables), cmocka_unit_test(full_ring), cmocka_unit_test(hits),
		cmocka_unit_test(nobody_reads), cmocka_unit_test(limits), cmocka_unit_test(turned_over_anywhere),
		cmocka_unit_test(threads),
		cmocka_unit_test(damaged),     cmocka_unit_test(all_is_kept), cmocka_unit_test(cut_texts_are_kept),
	};

	world_init();
	world_pc_ret = 0x401234;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
