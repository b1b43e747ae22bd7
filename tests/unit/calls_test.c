/* Calls from entry to return in the kernel: pairs, recursion, unwinding, conditions at the return. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "binary/arch_x86_64.h"
#include "unit/plant_self.h"

SELF_SITE(site_enter);
SELF_SITE(site_leave);
SELF_SITE(site_enter2);
SELF_SITE(site_leave2);
SELF_SITE(site_unwind);
SELF_SITE(site_exit);

static struct self_g g1 = {.hi = SELF_HI, .goid = 7}, g2 = {.hi = SELF_HI, .goid = 8};

static void hit(const void *site, struct self_g *g, uint64_t depth, uint64_t value, const char *text)
{
	self_call(&(struct self_regs){.rax = SELF_HI - depth, .rbx = value, .rcx = (uintptr_t)text,
				      .rdi = text ? strlen(text) : 0, .g = g}, site);
}

/* ---- programs ---- */

#define BEGIN {.op = IR_G, .dst = 0}, {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 1}, \
	{.op = IR_GOROUTINE, .a = 0, .b = 1}
#define ARG(d, r) {.op = IR_ARG_REG, .reg = r, .size = 8, .dst = d}

static struct ir_insn entry_code[] = {
	BEGIN,
	{.op = IR_REGION, .slot = 0}, ARG(0, GPR_RBX), {.op = IR_SAVE, .a = 0, .imm = 1},
	{.op = IR_EMIT, .slot = 0, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 1}, ARG(0, GPR_RCX), ARG(1, GPR_RDI),
	{.op = IR_EMIT_STR, .slot = 1, .a = 0, .b = 1, .imm = 4096}, {.op = IR_END},
};
static struct ir_slot entry_slots[] = {{.name = "n", .kind = VALUE_INT}, {.name = "s", .kind = VALUE_STRING}};
static struct ir_insn return_code[] = {
	BEGIN,
	{.op = IR_REGION, .slot = 0}, ARG(0, GPR_RBX), {.op = IR_EMIT, .slot = 0, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 1}, {.op = IR_SAVED, .dst = 0, .imm = 1}, {.op = IR_EMIT, .slot = 1, .a = 0},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 2}, {.op = IR_SAVED, .dst = 0, .imm = 0}, {.op = IR_EMIT, .slot = 2, .a = 0},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 3}, {.op = IR_LATENCY, .dst = 0}, {.op = IR_EMIT, .slot = 3, .a = 0},
	{.op = IR_END},
};
static struct ir_slot return_slots[] = {{.kind = VALUE_INT}, {.kind = VALUE_INT}, {.kind = VALUE_INT},
					{.kind = VALUE_INT}};
static struct ir_insn begin_code[] = {BEGIN};

#define PROGRAM(r, group, code, s)                                                                 \
	{.role = r, .call_group = group, .insns = code, .ninsns = ARRAY_SIZE(code), .slots = s,    \
	 .nslots = ARRAY_SIZE(s), .nregs = 6, .g = SELF_G_LAYOUT}
#define BARE(r) {.role = r, .insns = begin_code, .ninsns = ARRAY_SIZE(begin_code), .nregs = 6, .g = SELF_G_LAYOUT}
static const struct capture_program entry1 = PROGRAM(PROGRAM_ENTRY, 1, entry_code, entry_slots);
static const struct capture_program return1 = PROGRAM(PROGRAM_RETURN, 1, return_code, return_slots);
static const struct capture_program entry2 = PROGRAM(PROGRAM_ENTRY, 2, entry_code, entry_slots);
static const struct capture_program return2 = PROGRAM(PROGRAM_RETURN, 2, return_code, return_slots);
static const struct capture_program unwinds = BARE(PROGRAM_UNWIND), exits = BARE(PROGRAM_EXIT);

static struct planter *plant_all(const struct planter_options *o)
{
	struct planter *p = self_open(o);

	self_plant(p, &entry1, 1, site_enter);
	self_plant(p, &return1, 2, site_leave);
	self_plant(p, &entry2, 3, site_enter2);
	self_plant(p, &return2, 4, site_leave2);
	self_plant(p, &unwinds, 5, site_unwind);
	self_plant(p, &exits, 6, site_exit);
	return p;
}

/* Each sample: R (returned) or U, the value of the entry, and what the return saw. */
static void expect(struct planter *p, const char *want)
{
	struct self_samples t = {0};
	static char got[1 << 16];
	size_t at = 0;

	*got = '\0';
	self_drain(p, &t);
	for (size_t i = 0; i < t.all.len; i++) {
		const struct self_sample *s = &t.all.data[i];
		const struct event *end = &s->e[0], *call = &s->e[1];

		assert_int_equal(s->n, 2);
		assert_int_equal(end->head->goid, call->head->goid);
		assert_int_equal(end->head->depth, call->head->depth);
		assert_int_equal(end->head->target, 42);
		assert_int_equal(call->head->target, 42);
		assert_true(end->head->time_ns >= call->head->time_ns);
		assert_int_equal(call->head->slots, 2);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%c%d", i ? " " : "",
				       end->head->kind == EVENT_RETURN ? 'R' : 'U', (int)call->slots[0].value);
		if (end->head->kind != EVENT_RETURN)
			continue;
		assert_int_equal(end->head->slots, 4);
		assert_int_equal(end->slots[1].status, SLOT_OK);
		assert_int_equal(end->slots[1].value, call->slots[0].value);
		assert_int_equal(end->slots[2].status, SLOT_ABSENT);
		assert_int_equal(end->slots[3].value, end->head->time_ns - call->head->time_ns);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "=%d", (int)end->slots[0].value);
	}
	assert_string_equal(got, want);
	self_samples_done(&t);
}

static void pairs(void **state)
{
	struct planter *p = plant_all(NULL);

	hit(site_leave, &g1, 100, 5, NULL);
	expect(p, ""); /* before us */
	hit(site_enter, &g1, 100, 1, "alice");
	expect(p, "");
	hit(site_enter, &g2, 100, 2, "bob");
	hit(site_leave, &g1, 100, 5, NULL);
	hit(site_leave, &g1, 100, 5, NULL);
	hit(site_leave, &g2, 100, 6, NULL);
	expect(p, "R1=5 R2=6");
	hit(site_enter, &g1, 100, 0, ""); /* a saved 0 is a value */
	hit(site_leave, &g1, 108, 5, NULL); /* deeper: another's */
	hit(site_leave2, &g1, 100, 5, NULL);
	hit(site_leave, &g1, 100, 9, NULL);
	expect(p, "R0=9");
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

static void recursion(void **state)
{
	struct planter *p = plant_all(NULL);

	for (uint64_t i = 0; i < 100; i++)
		hit(i & 1 ? site_enter2 : site_enter, &g1, 100 + 16 * i, i, "x");
	for (uint64_t i = 100; i-- > 3;)
		hit(i & 1 ? site_leave2 : site_leave, &g1, 100 + 16 * i, i, "x");
	struct self_samples t = {0};
	assert_int_equal(self_drain(p, &t), 97);
	for (size_t i = 0; i < 97; i++) {
		assert_int_equal(t.all.data[i].e[0].head->kind, EVENT_RETURN);
		assert_int_equal(t.all.data[i].e[1].slots[0].value, 99 - i);
		assert_int_equal(t.all.data[i].e[0].slots[0].value, 99 - i);
	}
	self_samples_done(&t);
	hit(site_leave, &g1, 100 + 16 * 2, 2, NULL);
	hit(site_leave2, &g1, 100 + 16, 1, NULL);
	hit(site_leave, &g1, 100, 0, NULL);
	expect(p, "R2=2 R1=1 R0=0");
	planter_close(p);
}

static void unwinding(void **state)
{
	struct planter *p = plant_all(NULL);

	/* by an entry at the same depth, and at a lesser one */
	hit(site_enter, &g1, 100, 1, "a");
	hit(site_enter, &g1, 100, 2, "a");
	expect(p, "U1");
	hit(site_enter2, &g1, 120, 3, "a");
	hit(site_enter2, &g1, 140, 4, "a");
	hit(site_enter2, &g1, 110, 5, "a");
	expect(p, "U4 U3");
	/* by another function at the same depth */
	hit(site_enter, &g1, 110, 6, "a");
	expect(p, "U5");
	/* by a return: deeper ones only */
	hit(site_leave, &g1, 100, 7, NULL);
	expect(p, "U6 R2=7");
	/* a return that is nobody's still ends what is deeper */
	hit(site_enter, &g1, 100, 1, "a");
	hit(site_enter, &g1, 200, 2, "a");
	hit(site_leave, &g1, 150, 7, NULL);
	expect(p, "U2");
	/* by hooks */
	hit(site_enter, &g1, 200, 3, "a");
	hit(site_enter, &g1, 300, 4, "a");
	hit(site_unwind, &g1, 200, 0, NULL);
	expect(p, "U4");
	hit(site_unwind, &g2, 0, 0, NULL);
	hit(site_leave, &g1, 200, 7, NULL);
	expect(p, "R3=7");
	hit(site_enter, &g1, 200, 5, "a");
	hit(site_exit, &g1, 500, 0, NULL);
	expect(p, "U5 U1");
	hit(site_exit, &g1, 500, 0, NULL);
	hit(site_leave, &g1, 100, 7, NULL);
	expect(p, "");
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

static void deep_unwind(void **state)
{
	struct planter *p = plant_all(&(struct planter_options){.ring_bytes = 16 << 20});
	struct self_samples t = {0};

	for (uint64_t i = 0; i < 5000; i++)
		hit(site_enter, &g1, 100 + 16 * i, i, "recursion");
	hit(site_unwind, &g1, 100, 0, NULL);
	assert_int_equal(self_drain(p, &t), 4999);
	for (size_t i = 0; i < 4999; i++) {
		assert_int_equal(t.all.data[i].e[0].head->kind, EVENT_UNWOUND);
		assert_int_equal(t.all.data[i].e[1].slots[0].value, 4999 - i);
	}
	self_samples_done(&t);
	hit(site_leave, &g1, 100, 1, NULL);
	expect(p, "R0=1");
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

/* Two questions for one function: two programs at one site, whose calls lie at one depth. */
static void two_questions(void **state)
{
	struct planter *p = self_open(NULL);

	self_plant(p, &entry1, 1, site_enter);
	self_plant(p, &entry2, 3, site_enter);
	self_plant(p, &return1, 2, site_leave);
	self_plant(p, &return2, 4, site_leave2);
	for (uint64_t i = 0; i < 3; i++) {
		bool first = i & 1;

		hit(site_enter, &g1, 100, 10 * i, "a");
		hit(site_enter, &g1, 200, 10 * i + 1, "a");
		hit(first ? site_leave : site_leave2, &g1, 200, 1, NULL);
		hit(first ? site_leave2 : site_leave, &g1, 200, 2, NULL);
		hit(first ? site_leave2 : site_leave, &g1, 100, 3, NULL);
		hit(first ? site_leave : site_leave2, &g1, 100, 4, NULL);
	}
	expect(p, "R1=1 R1=2 R0=3 R0=4 R11=1 R11=2 R10=3 R10=4 R21=1 R21=2 R20=3 R20=4");
	/* one of them returns, the other is unwound with what is deeper */
	hit(site_enter, &g1, 100, 1, "a");
	hit(site_enter, &g1, 200, 2, "a");
	hit(site_leave, &g1, 200, 3, NULL);
	hit(site_leave2, &g1, 100, 4, NULL);
	expect(p, "R2=3 U2 R1=4");
	hit(site_enter, &g1, 300, 5, "a");
	hit(site_leave, &g1, 300, 6, NULL);
	hit(site_leave2, &g1, 300, 6, NULL);
	hit(site_leave, &g1, 100, 7, NULL);
	expect(p, "R5=6 R5=6 R1=7");
	hit(site_leave, &g1, 100, 7, NULL);
	hit(site_leave2, &g1, 100, 7, NULL);
	expect(p, "");
	assert_int_equal(p->source->ops->open_calls(p->source, 42, false, self_take, &(struct self_samples){0}), 0);
	planter_close(p);
}

static void long_records(void **state)
{
	static char text[4096];
	struct planter *p = plant_all(NULL);
	struct self_samples t = {0};
	static const size_t sizes[] = {0, 1, 600, 648, 680, 681, 700, 2000, 4000};

	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		text[sizes[i]] = '\0';
		hit(site_enter, &g1, 100 + i, i, text);
		text[sizes[i]] = 'x';
	}
	for (size_t i = ARRAY_SIZE(sizes); i-- > 0;)
		hit(i % 3 ? site_leave : site_unwind, &g1, 100 + i - !(i % 3), i, NULL);
	assert_int_equal(self_drain(p, &t), ARRAY_SIZE(sizes));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t k = ARRAY_SIZE(sizes) - 1 - i, len = 0;
		const char *s = event_bytes(&t.all.data[i].e[1], 1, &len);

		assert_int_equal(t.all.data[i].e[1].slots[0].value, k);
		assert_int_equal(len, sizes[k]);
		assert_memory_equal(s, text, len);
	}
	self_samples_done(&t);
	planter_close(p);
}

/* Only what both the entry's value and the return's say passes; the rest ends silently. */
static void filter_at_return(void **state)
{
	struct ir_insn code[] = {
		BEGIN,
		{.op = IR_REGION, .slot = IR_SLOT_FILTER}, {.op = IR_SAVED, .dst = 0, .imm = 1}, ARG(1, GPR_RBX),
		{.op = IR_BIN, .bin = BIN_LT, .dst = 2, .a = 0, .b = 1}, {.op = IR_FILTER, .a = 2},
		{.op = IR_LATENCY, .dst = 3}, {.op = IR_CONST, .dst = 4, .imm = 1000000000},
		{.op = IR_BIN, .bin = BIN_LT, .dst = 5, .a = 3, .b = 4}, {.op = IR_FILTER, .a = 5}, {.op = IR_END},
		{.op = IR_REGION, .slot = 0}, ARG(0, GPR_RBX), {.op = IR_EMIT, .slot = 0, .a = 0}, {.op = IR_END},
	};
	struct capture_program filtered = PROGRAM(PROGRAM_RETURN, 1, code, ((struct ir_slot[1]){{.kind = VALUE_INT}}));
	struct planter *p = self_open(NULL);
	struct self_samples t = {0};

	filtered.slots = return_slots;
	self_plant(p, &entry1, 1, site_enter);
	self_plant(p, &filtered, 2, site_leave);
	for (uint64_t i = 0; i < 10; i++) {
		hit(site_enter, &g1, 100, 5, "a");
		hit(site_enter, &g1, 200, 5, "a");
		hit(site_leave, &g1, 200, i, NULL);
		hit(site_leave, &g1, 100, i, NULL);
	}
	assert_int_equal(self_drain(p, &t), 8);
	for (size_t i = 0; i < t.all.len; i++)
		assert_int_equal(t.all.data[i].e[0].slots[0].value, 6 + i / 2);
	assert_int_equal(p->source->ops->open_calls(p->source, 42, false, self_take, &t), 0);
	self_samples_done(&t);
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

static void few_calls(void **state)
{
	struct planter *p = plant_all(&(struct planter_options){.max_calls = 4});
	struct self_samples t = {0};

	for (uint64_t i = 0; i < 6; i++)
		hit(site_enter, &g1, 100 + i, i, "a");
	assert_int_equal(self_losses(p, LOSS_CALLS_FULL), 2);
	for (uint64_t i = 6; i-- > 0;)
		hit(site_leave, &g1, 100 + i, i, NULL);
	expect(p, "R3=3 R2=2 R1=1 R0=0");
	/* what is open, oldest first */
	hit(site_enter, &g2, 100, 7, "b");
	hit(site_enter, &g1, 100, 8, "a");
	hit(site_enter, &g1, 200, 9, "a");
	assert_int_equal(p->source->ops->open_calls(p->source, 41, true, self_take, &t), 0);
	assert_int_equal(p->source->ops->open_calls(p->source, 42, false, self_take, &t), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(t.all.data[i].n, 1);
		assert_int_equal(t.all.data[i].e[0].head->kind, EVENT_CALL);
		assert_int_equal(t.all.data[i].e[0].slots[0].value, 7 + i);
	}
	hit(site_leave, &g1, 200, 1, NULL);
	expect(p, "R9=1");
	assert_int_equal(p->source->ops->open_calls(p->source, 42, true, self_take, &t), 2);
	hit(site_leave, &g1, 100, 1, NULL);
	hit(site_leave, &g2, 100, 1, NULL);
	expect(p, "");
	self_samples_done(&t);
	planter_close(p);
}

/* ---- random calls against a model ---- */

struct model_call {
	uint64_t depth, value;
	unsigned group, site;
};
struct model {
	struct model_call calls[64];
	size_t n;
};
static char wanted[1 << 16];
static size_t wanted_len;
static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

static void want(char kind, const struct model_call *c, uint64_t value)
{
	wanted_len += (size_t)snprintf(wanted + wanted_len, sizeof(wanted) - wanted_len, "%s%c%d",
				       wanted_len ? " " : "", kind, (int)c->value);
	if (kind == 'R')
		wanted_len += (size_t)snprintf(wanted + wanted_len, sizeof(wanted) - wanted_len, "=%d", (int)value);
}

static void model_unwind(struct model *m, uint64_t depth)
{
	while (m->n && m->calls[m->n - 1].depth > depth)
		want('U', &m->calls[--m->n], 0);
}

static void model_end(struct model *m, char kind, unsigned group, uint64_t depth, uint64_t value)
{
	for (size_t i = m->n; i-- > 0 && m->calls[i].depth == depth;) {
		if (m->calls[i].group != group)
			continue;
		want(kind, &m->calls[i], value);
		memmove(&m->calls[i], &m->calls[i + 1], (m->n - i - 1) * sizeof(m->calls[0]));
		m->n--;
		return;
	}
}

static void model_enter(struct model *m, unsigned group, unsigned site, uint64_t depth, uint64_t value)
{
	model_unwind(m, depth);
	if (m->n && m->calls[m->n - 1].depth == depth && m->calls[m->n - 1].site != site)
		model_unwind(m, depth - 1);
	model_end(m, 'U', group, depth, value);
	m->calls[m->n++] = (struct model_call){depth, value, group, site};
}

static void model_leave(struct model *m, unsigned group, uint64_t depth, uint64_t value)
{
	model_unwind(m, depth);
	model_end(m, 'R', group, depth, value);
}

/* site_enter has entries of groups 1 and 2, in whatever order the kernel runs them; site_enter2 of group 2. */
static void some_event(struct model *m, struct self_g *g, uint64_t value)
{
	uint64_t depth = 1 + rnd(6);

	switch (rnd(8)) {
	case 0: case 1:
		hit(site_enter, g, depth, value, "x");
		model_enter(m, 1, 1, depth, value);
		model_enter(m, 2, 1, depth, value);
		break;
	case 2:
		hit(site_enter2, g, depth, value, "x");
		model_enter(m, 2, 2, depth, value);
		break;
	case 3: case 4:
		hit(site_leave, g, depth, value, NULL);
		model_leave(m, 1, depth, value);
		break;
	case 5: case 6:
		hit(site_leave2, g, depth, value, NULL);
		model_leave(m, 2, depth, value);
		break;
	default:
		if (rnd(8) == 0) {
			hit(site_exit, g, depth, 0, NULL);
			model_unwind(m, 0);
		} else {
			hit(site_unwind, g, depth, 0, NULL);
			model_unwind(m, depth);
		}
	}
}

static void random_calls(void **state)
{
	static struct model models[2];
	struct planter *p = self_open(NULL);

	self_plant(p, &entry1, 1, site_enter);
	self_plant(p, &entry2, 3, site_enter);
	self_plant(p, &entry2, 7, site_enter2);
	self_plant(p, &return1, 2, site_leave);
	self_plant(p, &return2, 4, site_leave2);
	self_plant(p, &unwinds, 5, site_unwind);
	self_plant(p, &exits, 6, site_exit);
	for (uint64_t i = 0; i < 20000; i++) {
		some_event(&models[i & 1], i & 1 ? &g1 : &g2, i);
		if (i % 100)
			continue;
		expect(p, wanted);
		*wanted = '\0';
		wanted_len = 0;
	}
	assert_int_equal(self_losses(p, LOSS_COUNT), 0);
	planter_close(p);
}

/* System stacks have no number; they are told apart by their threads. */
static void *system_stack(void *arg)
{
	struct self_g g0 = {.hi = SELF_HI};
	uint64_t n = (uintptr_t)arg;

	for (uint64_t i = 0; i < 500; i++) {
		hit(site_enter, &g0, 100, n, "x");
		hit(site_enter2, &g0, 200, n, "x");
		hit(site_leave2, &g0, 200, n, NULL);
		hit(site_leave, &g0, 100, n, NULL);
	}
	return NULL;
}

static void *goroutine(void *arg)
{
	struct self_g g = {.hi = SELF_HI, .goid = 100 + (uintptr_t)arg};
	uint64_t n = (uintptr_t)arg;

	for (uint64_t i = 0; i < 200; i++) {
		for (uint64_t k = 0; k < 5; k++)
			hit(k & 1 ? site_enter2 : site_enter, &g, 100 + 10 * k, n, "x");
		for (uint64_t k = 5; k-- > 0;)
			hit(k & 1 ? site_leave2 : site_leave, &g, 100 + 10 * k, n, NULL);
	}
	return NULL;
}

static void run_threads(struct planter *p, void *(*fn)(void *), uint64_t goid, size_t want)
{
	struct self_samples t = {0};
	pthread_t ids[4];

	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, fn, (void *)(i + 1)), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
	assert_int_equal(self_drain(p, &t) + self_losses(p, LOSS_BUSY), want);
	for (size_t i = 0; i < t.all.len; i++) {
		const struct event *e = t.all.data[i].e;

		assert_int_equal(e[0].head->kind, EVENT_RETURN);
		assert_int_equal(e[0].head->goid, goid ? goid + e[0].slots[0].value : 0);
		assert_int_equal(e[0].slots[0].value, e[1].slots[0].value);
	}
	self_samples_done(&t);
}

static void threads(void **state)
{
	struct planter *p = plant_all(&(struct planter_options){.ring_bytes = 16 << 20});

	run_threads(p, system_stack, 0, 4 * 500 * 2);
	run_threads(p, goroutine, 100, 4 * 200 * 5);
	assert_int_equal(p->source->ops->open_calls(p->source, 42, false, self_take, &(struct self_samples){0}), 0);
	planter_close(p);
}

/* ---- all of a group, or nothing ---- */

static const struct ir_aggregate counted = {.kind = AGG_COUNT};
static struct capture_program counts = {
	.role = PROGRAM_POINT, .insns = begin_code, .ninsns = ARRAY_SIZE(begin_code), .nregs = 6, .g = SELF_G_LAYOUT,
	.aggregates = &counted, .naggregates = 1, .controlled = true};

enum { RETURN, ENTRY, COUNT, GROUP };

static int plant_group(struct planter *p, struct uprobe_site sites[GROUP][2], const size_t n[GROUP],
		       struct plant **ret, struct err *errs)
{
	const struct capture_program *programs[GROUP] = {&return1, &entry1, &counts};
	const struct plant_target t = {
		.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = SELF_BIAS, .binary_key = 1};
	struct plant_probe probes[GROUP];

	for (uint32_t i = 0; i < GROUP; i++)
		probes[i] = (struct plant_probe){.id = i + 1, .label = "self", .sites = site_chain(sites[i], n[i]),
						 .program = programs[i], .group = 1, .begins = i != RETURN};
	return p->ops->plant(p, &t, probes, GROUP, ret, errs);
}

static void expect_refused(struct plant *const *plants, const struct err *errs)
{
	for (size_t i = 0; i < GROUP; i++) {
		assert_null(plants[i]);
		assert_int_not_equal(errs[i].code, 0);
	}
}

/* The return cannot be planted: the entry is never live. */
static void refused_return(void **state)
{
	struct uprobe_site sites[GROUP][2] = {{{.offset = 1u << 30}}, {{.offset = self_offset(site_enter)}},
				       {{.offset = self_offset(site_enter)}}};
	struct planter *p = self_open(NULL);
	struct plant *plants[GROUP];
	struct err errs[GROUP] = {0};

	assert_int_equal(plant_group(p, sites, (size_t[]){1, 1, 1}, plants, errs), 0);
	expect_refused(plants, errs);
	hit(site_enter, &g1, 100, 1, "x");
	expect(p, "");
	assert_int_equal(p->source->ops->open_calls(p->source, 42, true, self_take, &(struct self_samples){0}), 0);
	planter_close(p);
}

static volatile bool hitting;

static void *hit_on(void *arg)
{
	while (__atomic_load_n(&hitting, __ATOMIC_RELAXED))
		hit(site_enter, &g1, 100, 1, "x");
	return NULL;
}

static void count_group(void *arg, const struct plant_group *g)
{
	++*(int *)arg;
}

/* A second site of the entry fails while the first one is hit: what that wrote reaches nobody. */
static void late_refusal(void **state)
{
	struct uprobe_site sites[GROUP][2] = {{{.offset = self_offset(site_leave)}},
				       {{.offset = self_offset(site_enter)}, {.offset = 1u << 30, .sp_delta = 8}},
				       {{.offset = self_offset(site_enter)}, {.offset = 1u << 30, .sp_delta = 8}}};
	struct planter *p = self_open(NULL);
	struct self_samples none = {0};
	struct plant *plants[GROUP];
	struct err errs[GROUP] = {0};
	pthread_t thread;
	int groups = 0;

	hitting = true;
	assert_int_equal(pthread_create(&thread, NULL, hit_on, NULL), 0);
	for (int i = 0; i < 100 && p->source->ops->hits(p->source, COUNT + 1) < 100; i++)
		assert_int_equal(plant_group(p, sites, (size_t[]){1, 2, 2}, plants, errs), 0);
	__atomic_store_n(&hitting, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	expect_refused(plants, errs);
	assert_true(p->source->ops->hits(p->source, COUNT + 1) >= 100); /* else this tests nothing */
	assert_int_equal(self_drain(p, &none), 0);
	assert_int_equal(p->source->ops->open_calls(p->source, 42, true, self_take, &none), 0);
	assert_int_equal(p->source->ops->aggregates(p->source, false, count_group, &groups), 0);
	assert_int_equal(groups, 0);
	self_samples_done(&none);
	sites[ENTRY][1] = sites[ENTRY][0]; /* what is planted later is told */
	assert_int_equal(plant_group(p, sites, (size_t[]){1, 1, 1}, plants, errs), GROUP);
	hit(site_enter, &g1, 100, 3, "x");
	hit(site_leave, &g1, 100, 4, NULL);
	assert_true(self_drain(p, &none) >= 2);
	assert_int_equal(p->source->ops->aggregates(p->source, false, count_group, &groups), 0);
	assert_int_equal(groups, 1);
	self_samples_done(&none);
	planter_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),         cmocka_unit_test(recursion),
		cmocka_unit_test(unwinding),     cmocka_unit_test(deep_unwind),
		cmocka_unit_test(two_questions), cmocka_unit_test(long_records),
		cmocka_unit_test(filter_at_return), cmocka_unit_test(few_calls),
		cmocka_unit_test(threads), cmocka_unit_test(random_calls),
		cmocka_unit_test(refused_return), cmocka_unit_test(late_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
