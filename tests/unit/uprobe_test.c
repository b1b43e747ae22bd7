/*
 * The uprobe planter against the kernel: generated capture programs are loaded, planted on a function of
 * this program, and their records compared with an interpreter that reads the same memory.
 * Needs CAP_BPF and CAP_PERFMON; skips by name without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "binary/arch_x86_64.h"
#include "plant/uprobe/uprobe.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/compile.h"
#include "base/vec.h"
#include "unit/ir_gen.h"
#include "unit/self_offset.h"
#include "unit/uprobe_sites.h"

/* ---- the functions under probe ---- */

__asm__(".pushsection .text\n"
	".balign 64\n"
	"probed: push %rbp\n mov %rsp, %rbp\n nop\n pop %rbp\n"
	"probed_ret: ret\n"
	".popsection\n");
extern char probed[] __attribute__((visibility("hidden")));
extern char probed_ret[] __attribute__((visibility("hidden")));

/* Go 1.19's cheap site: the jbe of the stack check. */
__asm__(".pushsection .text\n"
	".balign 64\n"
	"checked: cmp %rbx, %rax\n"
	"checked_jbe: jbe 1f\n"
	" nop\n"
	"1: ret\n"
	".popsection\n");
extern char checked[] __attribute__((visibility("hidden")));
extern char checked_jbe[] __attribute__((visibility("hidden")));

void call_probed(const struct regs *r, void *fn);
/* The return address and 64 bytes of stack arguments are at the callee's entry SP. */
__asm__(".pushsection .text\n"
	"call_probed:\n"
	" push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
	" sub $72, %rsp\n"
	" movq $1111, (%rsp)\n movq $-2, 8(%rsp)\n movq $3333, 16(%rsp)\n"
	" mov %rsi, %r15\n mov %rdi, %r12\n"
	" mov 0(%r12), %rax\n mov 8(%r12), %rbx\n mov 16(%r12), %rcx\n mov 24(%r12), %rdi\n"
	" mov 32(%r12), %rsi\n mov 40(%r12), %r8\n mov 48(%r12), %r9\n mov 56(%r12), %r10\n"
	" mov 64(%r12), %r11\n mov 72(%r12), %r14\n"
	" mov %rsp, call_probed_sp(%rip)\n"
	" call *%r15\n"
	" .globl call_probed_after\n"
	"call_probed_after:\n"
	" add $72, %rsp\n"
	" pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	".popsection\n");
extern char call_probed_after[];
uint64_t call_probed_sp; /* SP before the call: 8 more than at the entry */

/* ---- planting ---- */

static void skip_unprivileged(void)
{
	struct err err = {0};

	if (uprobe_check_caps(&err) == 0)
		return;
	printf("# skipped: %s\n", err.text);
	skip();
}

static struct planter *open_planter(size_t ring)
{
	struct planter_options o = {.ring_bytes = ring, .procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (planter_uprobe.open(&o, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static int plant_at(struct planter *p, const struct capture_program *prog, uint32_t id,
		    struct uprobe_site *sites, size_t nsites, struct plant **ret, struct err *err)
{
	struct plant_probe probe = {.id = id, .label = "test.(*T).probed", .sites = site_chain(sites, nsites),
				    .program = prog};
	struct plant_target t = {.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = BIAS,
				 .binary_key = 1};

	return p->ops->plant(p, &t, &probe, 1, ret, err);
}

static struct plant *plant_ok(struct planter *p, const struct capture_program *prog, uint32_t id)
{
	struct uprobe_site s = {.offset = self_offset(probed)};
	struct plant *ret = NULL;
	struct err err = {0};

	if (plant_at(p, prog, id, &s, 1, &ret, &err) != 1)
		fail_msg("%s", err.text);
	return ret;
}

struct taken {
	VEC(char *) records;
	size_t bad;
};

static void take_record(void *arg, const void *record, size_t size)
{
	struct taken *t = arg;
	struct event e;
	char *copy = xmalloc(size);

	memcpy(copy, record, size);
	if (!event_decode(copy, size, &e))
		t->bad++;
	vec_push(&t->records, copy);
}

static void taken_done(struct taken *t)
{
	for (size_t i = 0; i < t->records.len; i++)
		free(t->records.data[i]);
	vec_done(&t->records);
}

static uint64_t loss_of(struct planter *p, enum loss l)
{
	struct losses all = {0};

	p->source->ops->losses(p->source, &all);
	return all.count[l];
}

/* ---- generated programs ---- */

/* Programs planted together on the one function, for removing waits: each call gives a record of each. */
#define BATCH 25

static void print_program(const struct capture_program *p, uint32_t id, uint64_t start)
{
	struct buf text = {0};

	if (!getenv("EARSHOT_TEST_VERBOSE"))
		return;
	capture_print(p, &text);
	printf("# program %u seed %llu\n%s", id, (unsigned long long)start, text.data ? text.data : "");
	fflush(stdout);
	buf_done(&text);
}

static const void *record_of(const struct taken *t, uint32_t probe)
{
	for (size_t i = 0; i < t->records.len; i++)
		if (((const struct event_header *)(const void *)t->records.data[i])->probe == probe)
			return t->records.data[i];
	return NULL;
}

static bool as_entries; /* of calls: their records are asked for while they are open */

static bool has_goroutine(const struct maker *k)
{
	for (size_t i = 0; i < k->code.len; i++)
		if (k->code.data[i].op == IR_GOROUTINE)
			return true;
	return false;
}

/* All on one goroutine, or one's entry ends the calls of another; of few slots, so that they fit. */
static void make_entry(struct maker *k, uint32_t group)
{
	while (has_goroutine(k) || k->p.nslots > 3) {
		vec_done(&k->code);
		make(k, rnd(4), IR_MAX_REGS);
	}
	k->p.role = PROGRAM_ENTRY;
	k->p.call_group = group;
}

static void call_batch(struct planter *p, struct maker *k)
{
	uint64_t unreadable = loss_of(p, LOSS_FILTER_UNREADABLE), events = 0;
	struct regs r = some_regs();
	struct taken t = {0};
	static struct machine m;

	for (uint32_t i = 0; i < BATCH; i++) { /* for the pages it touches: programs cannot fault them in */
		m = (struct machine){.p = &k[i].p, .regs = &r, .sp = call_probed_sp - 8};
		interpret(&m);
	}
	call_probed(&r, probed);
	p->source->ops->drain(p->source, take_record, &t);
	if (as_entries)
		p->source->ops->open_calls(p->source, 42, true, take_record, &t);
	assert_int_equal(t.bad, 0);
	for (uint32_t i = 0; i < BATCH; i++) {
		const void *record = record_of(&t, i);

		m = (struct machine){.p = &k[i].p, .regs = &r, .sp = call_probed_sp - 8};
		interpret(&m);
		if (!record != m.dropped)
			fail_msg("program %u: a record is %s", i, m.dropped ? "too many" : "missing");
		if (record)
			check_record(&m, record, i);
		events += !m.dropped;
		unreadable += m.unreadable;
	}
	assert_int_equal(t.records.len, events);
	assert_int_equal(loss_of(p, LOSS_FILTER_UNREADABLE), unreadable);
	taken_done(&t);
}

static void run_batch(struct planter *p)
{
	static struct maker k[BATCH];
	struct plant *plants[BATCH];

	for (uint32_t i = 0; i < BATCH; i++) {
		uint64_t start = seed;

		make(&k[i], i % 7 == 6 ? rnd(EVENT_MAX_SLOTS + 1) : rnd(5),
		     i % 2 ? IR_MAX_REGS : 6 + (unsigned)rnd(10));
		if (as_entries)
			make_entry(&k[i], i + 1);
		print_program(&k[i].p, i, start);
		plants[i] = plant_ok(p, &k[i].p, i);
	}
	for (int call = 0; call < 6; call++)
		call_batch(p, k);
	p->ops->remove(p, plants, BATCH);
	for (uint32_t i = 0; i < BATCH; i++)
		vec_done(&k[i].code);
}

static bool links_many(void)
{
	struct uprobe_means means;

	return uprobe_means_detect(getenv("EARSHOT_NO_MULTI") ? MEANS_NO_MULTI : 0, &means, NULL) >= 0 && means.multi;
}

static void generated(unsigned batches)
{
	const char *given = getenv("EARSHOT_TEST_BATCHES");
	struct planter *p = open_planter(0);

	if (given)
		batches = (unsigned)atoi(given);
	else if (!links_many()) /* each site's removal takes 0.1 s then */
		batches = 1;
	for (unsigned i = 0; i < batches; i++)
		run_batch(p);
	planter_close(p);
}

static void test_generated_multi(void **state)
{
	skip_unprivileged();
	generated(40);
}

static void test_generated_entries(void **state)
{
	skip_unprivileged();
	as_entries = true;
	generated(8);
	as_entries = false;
}

static void test_generated_perf(void **state)
{
	skip_unprivileged();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	generated(1);
	unsetenv("EARSHOT_NO_MULTI");
}

/* ---- keys in maps that are not all there ---- */

static struct event_slot looked_up(const struct map_layout *layout, const void *map, const char *key)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		{.op = IR_MAP_STR, .a = 0, .dst = 1, .str = key, .imm = (int64_t)strlen(key), .map = layout},
		{.op = IR_LOAD, .a = 1, .dst = 2, .size = 8, .imm = 8},
		{.op = IR_EMIT, .slot = 0, .a = 2},
		{.op = IR_END},
	};
	struct ir_slot slot = {.kind = VALUE_UINT};
	struct capture_program prog = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &slot, .nslots = 1,
				       .nregs = 3, .g = FAKE_LAYOUT};
	struct regs r = {.r = {(uintptr_t)map}, .g = (uintptr_t)&fake_g};
	struct planter *p = open_planter(0);
	struct event_slot ret = {0};
	struct taken t = {0};
	struct event e;

	plant_ok(p, &prog, 1);
	call_probed(&r, probed);
	p->source->ops->drain(p->source, take_record, &t);
	assert_int_equal(t.records.len, 1);
	assert_true(event_decode(t.records.data[0], ((struct event_header *)(void *)t.records.data[0])->size, &e));
	ret = e.slots[0];
	taken_done(&t);
	planter_close(p);
	return ret;
}

static void expect_lookup(const struct map_layout *layout, const void *map, const char *key, enum slot_status status,
			  uint64_t value)
{
	struct event_slot s = looked_up(layout, map, key);

	assert_int_equal(s.status, status);
	if (status == SLOT_OK)
		assert_int_equal(s.value, value);
}

static void fill_slot(struct swiss_group *g, unsigned i, const char *key, uint64_t value)
{
	g->ctrl[i] = 1;
	g->slots[i] = (struct swiss_slot){pool_text(key), strlen(key), NULL, value};
}

static void swiss_holes(uint8_t *at)
{
	struct swiss_group *g = (void *)(at + EVENT_PAGE - 104);
	struct swiss_table table = {.mask = 1, .groups = (void *)(at + 2 * EVENT_PAGE - sizeof(*g))};
	struct swiss_table *directory = &table;
	struct swiss_map m = {.used = 3, .dir = g}, two = {.used = 1, .dir = &directory, .dir_len = 1};

	/* what lies beyond is empty: so the answer is certain */
	memset(g->ctrl, 0x80, sizeof(g->ctrl));
	fill_slot(g, 0, "first", 17);
	fill_slot(g, 1, "second", 18);
	expect_lookup(&swiss_layout, &m, "second", SLOT_OK, 18);
	expect_lookup(&swiss_layout, &m, "third", SLOT_NO_KEY, 0);
	/* it is not: an empty key must not be found in its zeros */
	g->ctrl[5] = 7;
	expect_lookup(&swiss_layout, &m, "second", SLOT_OK, 18);
	expect_lookup(&swiss_layout, &m, "third", SLOT_UNREADABLE, 0);
	expect_lookup(&swiss_layout, &m, "", SLOT_UNREADABLE, 0);
	m.dir = at + EVENT_PAGE + 104;
	expect_lookup(&swiss_layout, &m, "second", SLOT_UNREADABLE, 0);
	expect_lookup(&swiss_layout, &m, "", SLOT_UNREADABLE, 0);
	/* the group before is not there */
	g = (void *)(at + 2 * EVENT_PAGE);
	memset(g->ctrl, 0x80, sizeof(g->ctrl));
	fill_slot(g, 7, "behind", 19);
	expect_lookup(&swiss_layout, &two, "behind", SLOT_OK, 19);
	expect_lookup(&swiss_layout, &two, "third", SLOT_UNREADABLE, 0);
}

static void old_holes(uint8_t *at)
{
	struct old_bucket *b = (void *)(at + EVENT_PAGE - 104);
	struct old_map m = {.count = 2, .buckets = b}, two = {.count = 2, .b = 1};

	memset(b, 0, 104);
	b->tophash[1] = 9;
	b->keys[1].s = pool_text("first");
	b->keys[1].len = 5;
	expect_lookup(&old_layout, &m, "first", SLOT_UNREADABLE, 0); /* its element */
	expect_lookup(&old_layout, &m, "other", SLOT_UNREADABLE, 0); /* others may follow */
	b = (void *)(at + 2 * EVENT_PAGE);
	two.buckets = b - 1;
	memset(b, 0, sizeof(*b));
	b->tophash[6] = 9;
	b->keys[6].s = pool_text("behind");
	b->keys[6].len = 6;
	b->elems[6].len = 20;
	expect_lookup(&old_layout, &two, "behind", SLOT_OK, 20);
	expect_lookup(&old_layout, &two, "other", SLOT_UNREADABLE, 0);
	expect_lookup(&old_layout, &two, "", SLOT_UNREADABLE, 0);
}

/* A key that lies where nothing can be read is not said to be absent, and the others are found. */
static void test_lookup_holes(void **state)
{
	uint8_t *at;

	skip_unprivileged();
	at = mmap(NULL, 3 * EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(mprotect(at + EVENT_PAGE, EVENT_PAGE, PROT_NONE), 0);
	for (int faults = 0; faults < 2; faults++) {
		swiss_holes(at);
		old_holes(at);
		setenv("EARSHOT_NO_FAULTS", "1", 1);
	}
	unsetenv("EARSHOT_NO_FAULTS");
	munmap(at, 3 * EVENT_PAGE);
}

/*
 * Many keys of one length, in as many groups as are searched: each is found, and what is not there is known not to be.
 */
static void test_lookup_full(void **state)
{
	struct swiss_group groups[16];
	struct swiss_table table = {.mask = 15, .groups = (void *)groups};
	struct swiss_table *directory = &table;
	struct swiss_map m = {.used = 80, .dir = &directory, .dir_len = 1};
	char key[8];

	skip_unprivileged();
	memset(groups, 0x80, sizeof(groups));
	for (unsigned i = 0; i < 80; i++) {
		snprintf(key, sizeof(key), "k%03u", i);
		fill_slot(&groups[i / 5], i % 5, key, 1000 + i);
	}
	expect_lookup(&swiss_layout, &m, "k000", SLOT_OK, 1000);
	expect_lookup(&swiss_layout, &m, "k041", SLOT_OK, 1041);
	expect_lookup(&swiss_layout, &m, "k079", SLOT_OK, 1079);
	expect_lookup(&swiss_layout, &m, "k080", SLOT_NO_KEY, 0);
	table.mask = 31; /* more than are searched */
	expect_lookup(&swiss_layout, &m, "k079", SLOT_OK, 1079);
	expect_lookup(&swiss_layout, &m, "k080", SLOT_MAP_BUSY, 0);
}

/* The largest that the IR can express is still within the verifier's patience. */
static void largest_lookup(struct maker *k, const struct map_layout *map)
{
	struct ir_insn *i;

	arg(k, 1, GPR_R9);
	i = put(k, IR_MAP_STR);
	i->a = 1;
	i->dst = 2;
	i->str = "A-Key-Of-A-Header-That-Is-Rather-Long-To-Compare";
	i->imm = (int64_t)strlen(i->str);
	i->map = map;
	load_string(k, 2, 0);
}

static void largest_contains(struct maker *k)
{
	struct ir_insn *i;

	load_string(k, 0, 0);
	i = put(k, IR_STR_CONTAINS);
	i->a = 3;
	i->b = 4;
	i->dst = 5;
	i->str = "a needle in the haystack";
	i->imm = (int64_t)strlen(i->str);
}

static void make_largest(struct maker *k, int kind)
{
	for (uint16_t s = 0; s < EVENT_MAX_SLOTS; s++) {
		struct ir_insn *i;

		begin_region(k, s);
		if (kind < 2)
			largest_lookup(k, kind ? &swiss_layout : &old_layout);
		else if (kind == 2)
			largest_contains(k);
		else
			load_string(k, 0, 0);
		k->slots[s].kind = VALUE_STRING;
		i = put(k, IR_EMIT_STR);
		i->slot = s;
		i->a = 3;
		i->b = 4;
		i->imm = EVENT_MAX_STRING;
		put(k, IR_END);
	}
	k->p = (struct capture_program){.insns = k->code.data, .ninsns = k->code.len, .slots = k->slots,
		.nslots = EVENT_MAX_SLOTS, .nregs = IR_MAX_REGS, .g = FAKE_LAYOUT};
}

static void test_largest(void **state)
{
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int kind = 0; kind < 4; kind++) {
		struct maker k = {.nregs = IR_MAX_REGS};
		struct plant *pl;

		make_largest(&k, kind);
		pl = plant_ok(p, &k.p, (uint32_t)kind);
		p->ops->remove(p, &pl, 1);
		vec_done(&k.code);
	}
	planter_close(p);
}

/* ---- behaviour ---- */

static void count_record(void *arg, const void *record, size_t size)
{
	struct event e;

	assert_true(event_decode(record, size, &e));
	++*(uint64_t *)arg;
}

static uint64_t drain_count(struct planter *p)
{
	uint64_t n = 0;

	assert_true(p->source->ops->drain(p->source, count_record, &n) >= 0);
	return n;
}

static struct capture_program empty_program(void)
{
	return (struct capture_program){.g = FAKE_LAYOUT};
}

/* Two strings and a number: from RAX (pointer), RBX (length), RCX. */
static struct ir_slot string_slots[3] = {{.kind = VALUE_STRING}, {.kind = VALUE_STRING}, {.kind = VALUE_INT}};
static struct ir_insn string_insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = 4096},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 1},
	{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
	{.op = IR_ARG_REG, .reg = GPR_RBX, .size = 8, .dst = 1},
	{.op = IR_EMIT_STR, .slot = 1, .a = 0, .b = 1, .imm = 4096},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 2},
	{.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 0},
	{.op = IR_EMIT, .slot = 2, .a = 0},
	{.op = IR_END},
};

static struct capture_program string_program(void)
{
	return (struct capture_program){.insns = string_insns, .ninsns = ARRAY_SIZE(string_insns),
					.slots = string_slots, .nslots = 3, .nregs = 2, .g = FAKE_LAYOUT};
}

static void test_ring_full(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	struct planter *p;
	struct plant *pl;

	skip_unprivileged();
	p = open_planter(64 << 10);
	pl = plant_ok(p, &prog, 1);
	for (int i = 0; i < 3000; i++)
		call_probed(&r, probed);
	assert_true(loss_of(p, LOSS_RING_FULL) > 0);
	assert_int_equal(drain_count(p) + loss_of(p, LOSS_RING_FULL), 3000);
	p->ops->remove(p, &pl, 1);
	planter_close(p);
}

static void test_wakeup(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	struct pollfd fd = {.events = POLLIN};
	struct planter *p;
	struct plant *pl;
	int calls = 0;

	skip_unprivileged();
	p = open_planter(64 << 10);
	pl = plant_ok(p, &prog, 1);
	fd.fd = p->source->ops->fd(p->source);
	for (int round = 0; round < 3; round++) {
		call_probed(&r, probed);
		assert_int_equal(poll(&fd, 1, 20), 0);
		for (calls = 1; poll(&fd, 1, 0) == 0 && calls < 1000; calls++)
			call_probed(&r, probed);
		/* Records of 312 bytes and a header of 8: at the next quarter of the ring. */
		assert_in_range(calls, 1, 2 * 16384 / 320 + 1);
		assert_int_equal(drain_count(p), calls);
	}
	p->ops->remove(p, &pl, 1);
	assert_int_equal(poll(&fd, 1, 0), 0);
	planter_close(p);
}

static void test_detach(void **state)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int i = 0; i < 5; i++) {
		struct plant *pl = plant_ok(p, &prog, 1);

		call_probed(&r, probed);
		assert_int_equal(drain_count(p), 1);
		p->ops->remove(p, &pl, 1);
		call_probed(&r, probed);
		assert_int_equal(drain_count(p), 0);
	}
	plant_ok(p, &prog, 1); /* closing removes it */
	planter_close(p);
	call_probed(&r, probed);
}

static void test_flags_skip(void **state)
{
	struct capture_program prog = empty_program();
	struct uprobe_site s = {.offset = self_offset(checked_jbe), .flags_skip = 0x41};
	struct regs below = {.r = {1, 2}, .g = (uintptr_t)&fake_g}, equal = {.r = {2, 2}, .g = below.g},
		    above = {.r = {3, 2}, .g = below.g};
	struct err err = {0};
	struct planter *p;
	struct plant *pl;

	skip_unprivileged();
	p = open_planter(0);
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 1);
	call_probed(&below, checked);
	call_probed(&equal, checked);
	assert_int_equal(drain_count(p), 0);
	call_probed(&above, checked);
	assert_int_equal(drain_count(p), 1);
	planter_close(p);
}

/* Sites at different depths of the frame tell the same depth of the call. */
static void several_sites(void)
{
	struct capture_program prog = empty_program();
	struct uprobe_site s[] = {{.offset = self_offset(probed)},
			   {.offset = self_offset(probed) + 1, .sp_delta = 8},
			   {.offset = self_offset(probed) + 4, .sp_delta = 8},
			   {.offset = self_offset(probed_ret)}};
	struct regs r = some_regs();
	struct planter *p = open_planter(0);
	struct taken t = {0};
	struct err err = {0};
	struct plant *pl;

	if (plant_at(p, &prog, 1, s, ARRAY_SIZE(s), &pl, &err) != 1)
		fail_msg("%s", err.text);
	call_probed(&r, probed);
	p->source->ops->drain(p->source, take_record, &t);
	assert_int_equal(t.records.len, 4);
	for (size_t i = 0; i < t.records.len; i++)
		assert_int_equal(((struct event_header *)(void *)t.records.data[i])->depth,
				 ((struct event_header *)(void *)t.records.data[0])->depth);
	taken_done(&t);
	p->ops->remove(p, &pl, 1);
	call_probed(&r, probed);
	assert_int_equal(drain_count(p), 0);
	planter_close(p);
}

static void test_several_sites(void **state)
{
	skip_unprivileged();
	several_sites();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	several_sites();
	unsetenv("EARSHOT_NO_MULTI");
}

static void test_no_goroutine(void **state)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	plant_ok(p, &prog, 1);
	r.g = 0;
	call_probed(&r, probed);
	r.g = (uintptr_t)world.hole;
	call_probed(&r, probed);
	assert_int_equal(drain_count(p), 0);
	assert_int_equal(loss_of(p, LOSS_NO_GOROUTINE), 2);
	planter_close(p);
}

/* A process of its own that calls the function when told to. */
static pid_t start_caller(int *ret_fd)
{
	struct regs r = some_regs();
	int to[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(to), 0);
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &c, 1) == 1)
			call_probed(&r, probed);
		_exit(0);
	}
	close(to[0]);
	*ret_fd = to[1];
	return pid;
}

static void one_process(void)
{
	struct capture_program prog = empty_program();
	struct regs r = some_regs();
	struct planter *p = open_planter(0);
	struct plant_target t = {.id = 5, .path = "/proc/self/exe", .binary_key = 1};
	struct uprobe_site s = {.offset = self_offset(probed)};
	struct plant_probe probe = {.id = 1, .label = "f", .sites = &s.site, .program = &prog};
	struct err err = {0};
	struct plant *pl = NULL;
	uint64_t n = 0;
	int fd;
	char c = 0;

	t.pid = start_caller(&fd);
	if (p->ops->plant(p, &t, &probe, 1, &pl, &err) != 1)
		fail_msg("%s", err.text);
	call_probed(&r, probed);
	assert_int_equal(write(fd, &c, 1), 1);
	for (int i = 0; i < 200 && !n; i++, usleep(5000))
		n += drain_count(p);
	call_probed(&r, probed);
	assert_int_equal(n + drain_count(p), 1);
	close(fd);
	waitpid(t.pid, NULL, 0);
	p->ops->remove(p, &pl, 1);
	assert_int_equal(p->ops->plant(p, &t, &probe, 1, &pl, &err), 0);
	assert_non_null(strstr(err.text, "gone"));
	planter_close(p);
}

static void test_one_process(void **state)
{
	skip_unprivileged();
	one_process();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	one_process();
	unsetenv("EARSHOT_NO_MULTI");
}

/* Every element of scratch memory in use: counted, not waited for; one free is found. */
static void test_scratch_busy(void **state)
{
	struct capture_program prog = string_program();
	struct regs r = {.r = {(uintptr_t)world.text, 100}, .g = (uintptr_t)&fake_g};
	const struct site_shape shape = {0};
	uint64_t offset = self_offset(probed), counts[LOSS_KERNEL_COUNT] = {0};
	const struct uprobe_places at = {.path = "/proc/self/exe", .offsets = &offset, .n = 1, .pid = getpid()};
	static struct scratch busy;
	struct uprobe_env env = {.scratch_per_cpu = 3, .ring_bytes = 1 << 20};
	struct uprobe_means means;
	struct uprobe_links links;
	struct emit code = {0};
	struct err err = {0};
	uint32_t key, cpus = (uint32_t)libbpf_num_possible_cpus();
	int fd;

	skip_unprivileged();
	assert_int_equal(uprobe_means_detect(0, &means, &err), 0);
	env.ring = uprobe_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, 1 << 20, &err);
	env.scratch = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(busy), cpus * 3, &err);
	env.losses = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(counts), LOSS_PROBES, &err);
	assert_int_equal(uprobe_compile(&prog, 1, &shape, &env, &code, &err), 0);
	fd = uprobe_prog_load(&means, "test", code.code.data, code.code.len, &err);
	assert_int_equal(uprobe_link(&means, fd, &at, &links, &err), 0);
	busy.busy = 1;
	for (key = 0; key < cpus * 3; key++)
		assert_int_equal(bpf_map_update_elem(env.scratch, &key, &busy, 0), 0);
	call_probed(&r, probed);
	call_probed(&r, probed);
	busy.busy = 0; /* the last one of each CPU */
	for (key = 2; key < cpus * 3; key += 3)
		assert_int_equal(bpf_map_update_elem(env.scratch, &key, &busy, 0), 0);
	for (int i = 0; i < 10; i++)
		call_probed(&r, probed);
	key = 1; /* the probe */
	assert_int_equal(bpf_map_lookup_elem(env.losses, &key, counts), 0);
	assert_int_equal(counts[LOSS_BUSY], 2);
	uprobe_links_done(&links);
	emit_done(&code);
	close(fd);
	close(env.ring);
	close(env.scratch);
	close(env.losses);
}

/* ---- several threads at once: no record holds anything of another thread's ---- */

#define THREADS 6
struct caller {
	pthread_t thread;
	struct regs regs;
	struct {
		uint64_t lo, hi, pad[17], goid;
	} g;
	char text[700];
	uint64_t calls;
};
static atomic_bool calling;

static void *call_much(void *arg)
{
	struct caller *c = arg;

	while (atomic_load(&calling)) {
		call_probed(&c->regs, probed);
		c->calls++;
	}
	return NULL;
}

struct tally {
	struct caller *callers;
	uint64_t events, wrong;
};

static void check_own(void *arg, const void *record, size_t size)
{
	struct tally *t = arg;
	struct event e;
	const struct caller *c;

	t->events++;
	if (!event_decode(record, size, &e) || e.head->goid - 1 >= THREADS) {
		t->wrong++;
		return;
	}
	c = &t->callers[e.head->goid - 1];
	for (size_t i = 0; i < 2; i++) {
		size_t n = 0;
		const char *bytes = event_bytes(&e, i, &n);

		t->wrong += !bytes || n != c->regs.r[1] || memcmp(bytes, c->text, n);
	}
	t->wrong += e.slots[2].value != c->regs.r[2];
}

static void test_threads(void **state)
{
	uint64_t want = getenv("EARSHOT_TEST_HITS") ? strtoull(getenv("EARSHOT_TEST_HITS"), NULL, 0) : 200000;
	static struct caller callers[THREADS];
	struct capture_program prog = string_program();
	struct tally t = {.callers = callers};
	struct losses lost = {0};
	struct planter *p;
	uint64_t calls = 0;

	skip_unprivileged();
	p = open_planter(1 << 20);
	plant_ok(p, &prog, 1);
	atomic_store(&calling, true);
	for (size_t i = 0; i < THREADS; i++) {
		struct caller *c = &callers[i];

		memset(c->text, 'a' + (int)i, sizeof(c->text));
		c->g.goid = i + 1;
		c->regs = (struct regs){.r = {(uintptr_t)c->text, 100 * i + 7, 1000 + i}, .g = (uintptr_t)&c->g};
		assert_int_equal(pthread_create(&c->thread, NULL, call_much, c), 0);
	}
	while (t.events < want)
		assert_true(p->source->ops->drain(p->source, check_own, &t) >= 0);
	atomic_store(&calling, false);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		calls += callers[i].calls;
	}
	p->source->ops->drain(p->source, check_own, &t);
	p->source->ops->losses(p->source, &lost);
	assert_int_equal(t.wrong, 0);
	assert_int_equal(t.events + lost.count[LOSS_RING_FULL] + lost.count[LOSS_BUSY], calls);
	planter_close(p);
}

/* ---- what cannot be ---- */

static void test_refusals(void **state)
{
	struct ir_insn xmm[] = {{.op = IR_REGION}, {.op = IR_ARG_FLOAT, .size = 8}, {.op = IR_EMIT}, {.op = IR_END}};
	struct ir_slot slot = {.kind = VALUE_FLOAT64};
	struct capture_program prog = {.insns = xmm, .ninsns = 4, .slots = &slot, .nslots = 1, .nregs = 1,
				       .g = FAKE_LAYOUT};
	struct planter_options odd = {.ring_bytes = 100000};
	struct uprobe_site s = {.offset = self_offset(probed)};
	struct err err = {0};
	struct planter *p = NULL;
	struct plant *pl = NULL;

	skip_unprivileged();
	assert_int_equal(planter_uprobe.open(&odd, &p, &err), -EINVAL);
	p = open_planter(0);
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 0);
	assert_null(pl);
	assert_non_null(strstr(err.text, "XMM"));
	prog = empty_program();
	assert_int_equal(plant_at(p, &prog, 1, &s, 0, &pl, &err), 0);
	s.offset = 1 << 30;
	assert_int_equal(plant_at(p, &prog, 1, &s, 1, &pl, &err), 0);
	assert_true(strlen(err.text) > 0);
	planter_close(p);
}

static void test_unprivileged(void **state)
{
	int status = 0;
	pid_t pid;

	skip_unprivileged();
	pid = fork();
	if (pid == 0) {
		struct planter *p = NULL;
		struct err err = {0};

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(planter_uprobe.open(NULL, &p, &err) == -EPERM && strstr(err.text, "CAP_BPF") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* ---- slots that are not read again ---- */

struct connection {
	uint64_t key, number;
	const char *text;
	uint64_t len;
	const uint64_t *far;
};

static uint64_t other_goid; /* not 0: of whom connections are read */

/* What the probe says of the connection now. */
static void read_connection(struct planter *p, const struct connection *c, struct event *ret, struct taken *t)
{
	__typeof__(fake_g) g = fake_g;
	struct regs r = {.r = {(uintptr_t)c}, .g = (uintptr_t)&g};

	g.goid = other_goid ? other_goid : g.goid;
	taken_done(t);
	*t = (struct taken){0};
	call_probed(&r, probed);
	p->source->ops->drain(p->source, take_record, t);
	assert_int_equal(t->records.len, 1);
	assert_true(event_decode(t->records.data[0], ((struct event_header *)(void *)t->records.data[0])->size, ret));
}

static void expect_connection(struct planter *p, const struct connection *c, uint64_t number, const char *text,
			      uint64_t far)
{
	const struct event_slot *s;
	struct taken t = {0};
	struct event e;

	read_connection(p, c, &e, &t);
	s = e.slots;
	assert_int_equal(s[0].value, number);
	assert_int_equal(s[1].status, SLOT_OK);
	assert_int_equal(s[1].copied, strlen(text));
	assert_memory_equal((const char *)e.head + s[1].value, text, strlen(text));
	assert_int_equal(s[2].status, far ? SLOT_OK : SLOT_NIL);
	assert_true(!far || s[2].value == far);
	assert_int_equal(s[3].status, SLOT_OK); /* what comes behind has its place */
	assert_memory_equal((const char *)e.head + s[3].value, c->text, c->len);
	taken_done(&t);
}

#define REUSE_OF(n) {.op = IR_REGION, .slot = n}, {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},      \
		    {.op = IR_LOAD, .a = 0, .dst = 1, .size = 8}, {.op = IR_REUSE, .slot = n, .a = 1}
#define WORD_AT(r, from, off) {.op = IR_LOAD, .a = from, .dst = r, .size = 8, .imm = off}

/* As long as the word is the same, on one goroutine, slots are what they were; else what is there. */
static void test_reused(void **state)
{
	struct ir_insn insns[] = {
		REUSE_OF(0), WORD_AT(2, 0, 8), {.op = IR_EMIT, .slot = 0, .a = 2}, {.op = IR_END},
		REUSE_OF(1), WORD_AT(2, 0, 16), WORD_AT(3, 0, 24),
		{.op = IR_EMIT_STR, .slot = 1, .a = 2, .b = 3, .imm = 64}, {.op = IR_END},
		REUSE_OF(2), WORD_AT(2, 0, 32), WORD_AT(3, 2, 0), WORD_AT(4, 2, 8), WORD_AT(5, 2, 16),
		{.op = IR_EMIT, .slot = 2, .a = 5}, {.op = IR_END},
		{.op = IR_REGION, .slot = 3}, {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		WORD_AT(2, 0, 16), WORD_AT(3, 0, 24), {.op = IR_EMIT_STR, .slot = 3, .a = 2, .b = 3, .imm = 64},
		{.op = IR_END},
	};
	struct ir_slot slots[] = {{.kind = VALUE_UINT}, {.kind = VALUE_STRING}, {.kind = VALUE_UINT},
				  {.kind = VALUE_STRING}};
	struct capture_program prog = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = slots,
				       .nslots = ARRAY_SIZE(slots), .nregs = 6, .save_group = 3, .g = FAKE_LAYOUT};
	const uint64_t far[] = {1, 2, 77}, farther[] = {1, 2, 78};
	struct connection one = {41, 17, "10.0.0.1", 8, far}, two = {42, 18, "10.0.0.200", 10, NULL},
			  longest = {43, 19, "longer than is kept", 19, far}, none = {0, 20, "none", 4, far};
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	plant_ok(p, &prog, 9);
	expect_connection(p, &one, 17, "10.0.0.1", 77);
	one = (struct connection){41, 27, "another", 7, farther};
	expect_connection(p, &one, 17, "10.0.0.1", 77);
	one.far = NULL; /* not looked at */
	expect_connection(p, &one, 17, "10.0.0.1", 77);
	expect_connection(p, &two, 18, "10.0.0.200", 0);
	two.far = far;
	expect_connection(p, &two, 18, "10.0.0.200", 0);
	expect_connection(p, &one, 27, "another", 0);
	other_goid = fake_g.goid + 1;
	one.number = 28;
	expect_connection(p, &one, 28, "another", 0);
	expect_connection(p, &longest, 19, "longer than is kept", 77);
	longest.text = "longer than that was";
	longest.len = 20;
	expect_connection(p, &longest, 19, "longer than that was", 77);
	expect_connection(p, &none, 20, "none", 77);
	none.number = 21;
	expect_connection(p, &none, 21, "none", 77);
	other_goid = 0;
	planter_close(p);
}

static void test_price(void **state)
{
	struct planter *p;

	skip_unprivileged();
	p = open_planter(0);
	for (int i = 0; i < PRICES; i++) {
		double ns = p->ops->price_ns(p, (unsigned)i);

		print_message("# price of class %d: %.0f ns\n", i, ns);
		assert_true(ns > 0 && ns < 1e6);
		assert_true(ns == p->ops->price_ns(p, (unsigned)i));
	}
	planter_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generated_multi),
		cmocka_unit_test(test_generated_perf), cmocka_unit_test(test_generated_entries),
		cmocka_unit_test(test_lookup_full), cmocka_unit_test(test_lookup_holes), cmocka_unit_test(test_largest),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_wakeup),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_flags_skip),
		cmocka_unit_test(test_several_sites),
		cmocka_unit_test(test_no_goroutine),
		cmocka_unit_test(test_one_process),
		cmocka_unit_test(test_scratch_busy),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_unprivileged),
		cmocka_unit_test(test_reused),
		cmocka_unit_test(test_price),
	};

	if (getenv("EARSHOT_TEST_SEED"))
		seed = strtoull(getenv("EARSHOT_TEST_SEED"), NULL, 0);
	world_pc_ret = (uintptr_t)call_probed_after;
	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
