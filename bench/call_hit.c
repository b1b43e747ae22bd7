/*
 * ns per traced call (entry and return), by what is asked of it. Both sites are `push rbp` (emulated): the figures are
 * those of the programs and one trap each. A return on RET is single-stepped on top (see uprobe_hit). Root.
 *
 *   make && gcc -O2 -Isrc -D_GNU_SOURCE -o build/call_hit bench/call_hit.c build/libearshot.a -lbpf -ldw -lelf -lZydis &&
 *   build/call_hit
 *
 * Rounds of the arms alternate; the least of each counts.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "binary/arch_x86_64.h"
#include "plant/uprobe/uprobe.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/site.h"

__asm__(".pushsection .text\n"
	".balign 64\n"
	"site_enter: push %rbp\n pop %rbp\n ret\n"
	".balign 64\n"
	"site_leave: push %rbp\n pop %rbp\n ret\n"
	".balign 64\n"
	"pair_calls: push %rbx\n push %rbp\n push %r12\n push %r14\n push %r15\n"
	" mov %rdi, %rbx\n mov %rsi, %r15\n mov %rdx, %r14\n"
	"1: mov %r15, %rax\n call site_enter\n mov %r15, %rax\n call site_leave\n dec %rbx\n jne 1b\n"
	" pop %r15\n pop %r14\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
	".popsection\n");
extern char site_enter[] __attribute__((visibility("hidden")));
extern char site_leave[] __attribute__((visibility("hidden")));
void pair_calls(long n, const void *arg, const void *g); /* arg in RAX, g in R14 */

static struct {
	uint64_t lo, hi, pad[4];
	uint64_t *m;
	uint64_t pad2[12], goid, behind[20];
} fake_g = {.hi = UINT64_C(0x7fffffffff00), .goid = 1};
static uint64_t m[32], p_of_m[64];
struct text {
	const char *s;
	uint64_t len;
};
static struct {
	struct text texts[3];
	uint64_t n;
	uint64_t contexts[5][2]; /* type word, data word: the first of a chain */
} object;

/* Chains of contexts: of one type, or of two in turns (so each one's type is read and looked up). */
enum { LINKS_MAX = 64, ROOT_TYPE = 2 };
static const size_t links[ARRAY_SIZE(object.contexts)] = {0, 1, 20, 60, 20};
static uint64_t itabs[3][2] = {{0, 0x100}, {0, 0x200}, {0, 0x300}}; /* the load bias is 0 */
static uint64_t contexts[ARRAY_SIZE(links)][LINKS_MAX + 1][2];
static struct context_type context_types[] = {
	{.rtype = 0x100, .parent = CONTEXT_FIELD, .is_link = true},
	{.rtype = 0x200, .parent = CONTEXT_FIELD, .is_link = true},
	{.rtype = 0x300, .parent = CONTEXT_ROOT},
};
static const struct context_table context_table = {.types = {.data = context_types, .len = 3}, .itab_type_off = 8};

static void make_chains(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		size_t type = ROOT_TYPE;

		for (size_t k = links[i]; k-- > 0;) {
			contexts[i][k][0] = (uintptr_t)itabs[type];
			contexts[i][k][1] = (uintptr_t)contexts[i][k + 1];
			type = i == 4 ? k % 2 : 0;
		}
		object.contexts[i][0] = itabs[type][1];
		object.contexts[i][1] = (uintptr_t)contexts[i][0];
	}
}

static struct shape shapes[] = {
	{.size = 1}, {.size = 1}, {.size = sizeof(object), .first_edge = 0, .nedges = 3},
	{.size = 8, .first_edge = 3, .nedges = 1},
};
static struct shape_edge edges[] = {
	{EDGE_POINTER, COUNT_WORD, 0, 0, 8, 1, 256}, {EDGE_POINTER, COUNT_WORD, 0, 16, 24, 1, 256},
	{EDGE_POINTER, COUNT_WORD, 0, 32, 40, 1, 256}, {EDGE_POINTER, COUNT_ONE, 1, 0, 0, 2, 1},
};
static struct shape_table table = {
	.limits = SHAPE_LIMITS_DEFAULT, .shapes = {.data = shapes, .len = 4}, .edges = {.data = edges, .len = 4},
};

/* ---- the programs ---- */

#define ARG(d) {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = d}
#define REGION(s) {.op = IR_REGION, .slot = s}
#define END {.op = IR_END}
#define LOAD(d, off) {.op = IR_LOAD, .a = 0, .imm = off, .size = 8, .dst = d}
static struct ir_insn text_code[] = {REGION(0), ARG(0), LOAD(1, 0), LOAD(2, 8),
				     {.op = IR_EMIT_STR, .slot = 0, .a = 1, .b = 2, .imm = 256}, END};
static struct ir_insn other_code[] = {REGION(IR_SLOT_FILTER), ARG(0), LOAD(1, 0), LOAD(2, 8),
				      {.op = IR_STR_EQ, .a = 1, .b = 2, .dst = 3, .str = "/another/path", .imm = 13},
				      {.op = IR_FILTER, .a = 3}, END};
static struct ir_insn number_code[] = {REGION(0), ARG(0), {.op = IR_EMIT, .slot = 0, .a = 0}, END};
static struct ir_insn image_code[] = {REGION(0), ARG(0),
				      {.op = IR_IMAGE, .slot = 0, .a = IR_NO_REG, .shape = 3, .imm = 8},
				      {.op = IR_IMAGE_PUT, .slot = 0, .a = 0, .size = 8}, END};
static struct ir_insn stack_code[] = {REGION(0), {.op = IR_EMIT_STACK, .slot = 0, .imm = 32}, END};
static struct ir_insn slow_code[] = {REGION(IR_SLOT_FILTER), {.op = IR_LATENCY, .dst = 0},
				     {.op = IR_CONST, .dst = 1, .imm = 1000000000},
				     {.op = IR_BIN, .bin = BIN_GT, .dst = 2, .a = 0, .b = 1},
				     {.op = IR_FILTER, .a = 2}, END};
#define CHAIN(i)                                                                                                   \
	{REGION(0), ARG(0), LOAD(1, (int)offsetof(typeof(object), contexts[i][0])),                                \
	 LOAD(2, (int)offsetof(typeof(object), contexts[i][1])),                                                   \
	 {.op = IR_EMIT_CHAIN, .slot = 0, .a = 1, .b = 2, .imm = EVENT_MAX_CHAIN}, END}
static struct ir_insn chain_code[][6] = {CHAIN(0), CHAIN(1), CHAIN(2), CHAIN(3), CHAIN(4)};
#define OF_G(s, ...)                                                                                               \
	REGION(s), {.op = IR_G, .dst = 0}, __VA_ARGS__ {.op = IR_EMIT, .slot = s, .a = 1}, END
static struct ir_insn lineage_code[] = {
	REGION(0), ARG(0), LOAD(1, 0), LOAD(2, 8), {.op = IR_EMIT_STR, .slot = 0, .a = 1, .b = 2, .imm = 256}, END,
	OF_G(1, LOAD(1, 280),), OF_G(2, LOAD(1, 304),),
	OF_G(3, LOAD(2, 48), {.op = IR_LOAD, .a = 2, .imm = 208, .size = 8, .dst = 3},
	     {.op = IR_LOAD, .a = 3, .imm = 384, .size = 8, .dst = 1},),
	OF_G(4, LOAD(2, 48), {.op = IR_LOAD, .a = 2, .imm = 208, .size = 8, .dst = 3},
	     {.op = IR_LOAD, .a = 3, .imm = 392, .size = 8, .dst = 1},),
	REGION(5), ARG(0), LOAD(1, 48), {.op = IR_EMIT, .slot = 5, .a = 1}, END};
static struct ir_slot lineage_slots[] = {{.kind = VALUE_STRING}, {.kind = VALUE_UINT}, {.kind = VALUE_PC},
					 {.kind = VALUE_UINT}, {.kind = VALUE_UINT}, {.kind = VALUE_UINT}};
static struct ir_slot chain_slot = {.kind = VALUE_CHAIN};
static struct ir_slot text_slot = {.kind = VALUE_STRING}, number_slot = {.kind = VALUE_INT},
		      image_slot = {.kind = VALUE_IMAGE}, stack_slot = {.kind = VALUE_STACK};
static const struct ir_aggregate count = {.kind = AGG_COUNT},
				 hist = {.kind = AGG_HIST, .value = {.slot = 0}},
				 by_text = {.kind = AGG_COUNT, .keys = {{.slot = 0}}, .nkeys = 1};

#define CODE(r, c, s) {.role = r, .call_group = r == PROGRAM_POINT ? 0 : 1, .insns = c, .ninsns = ARRAY_SIZE(c), \
		       .slots = &s, .nslots = 1, .nregs = 4, .shapes = &table, .g = {.goid = 152, .stack_hi = 8}}
#define CHAINED(i) {.insns = chain_code[i], .ninsns = 6, .slots = &chain_slot, .nslots = 1, .nregs = 4, \
		    .contexts = &context_table, .g = {.goid = 152, .stack_hi = 8}}
#define FILTER(r, c) {.role = r, .call_group = r == PROGRAM_POINT ? 0 : 1, .insns = c, .ninsns = ARRAY_SIZE(c), \
		      .nregs = 4, .g = {.goid = 152, .stack_hi = 8}}
#define COUNTED(c, s, a) {.insns = c, .ninsns = ARRAY_SIZE(c), .slots = &s, .nslots = 1, .nregs = 4, \
			  .no_record = true, .aggregates = &a, .naggregates = 1, .g = {.goid = 152, .stack_hi = 8}}

static const struct arm {
	const char *name;
	bool alone;                  /* no program on the return */
	struct capture_program enter, leave;
} arms[] = {
	{"point, 1 string", true, CODE(PROGRAM_POINT, text_code, text_slot), {0}},
	{"condition at the entry, false", false, FILTER(PROGRAM_ENTRY, other_code),
	 CODE(PROGRAM_RETURN, number_code, number_slot)},
	{"entry with a string, return with a word", false, CODE(PROGRAM_ENTRY, text_code, text_slot),
	 CODE(PROGRAM_RETURN, number_code, number_slot)},
	{"likewise, latency > 1s: false", false, CODE(PROGRAM_ENTRY, text_code, text_slot), FILTER(PROGRAM_RETURN, slow_code)},
	{"entry with a struct of 3 strings", false, CODE(PROGRAM_ENTRY, image_code, image_slot),
	 CODE(PROGRAM_RETURN, number_code, number_slot)},
	{"point, struct of 3 strings", true, CODE(PROGRAM_POINT, image_code, image_slot), {0}},
	{"point, stack of few frames", true, CODE(PROGRAM_POINT, stack_code, stack_slot), {0}},
	{"point, chain of no context", true, CHAINED(0), {0}},
	{"point, chain of 1", true, CHAINED(1), {0}},
	{"point, chain of 20, one type", true, CHAINED(2), {0}},
	{"point, chain of 60, one type", true, CHAINED(3), {0}},
	{"point, chain of 20, types in turns", true, CHAINED(4), {0}},
	{"point, 1 string and lineage", true,
	 {.insns = lineage_code, .ninsns = ARRAY_SIZE(lineage_code), .slots = lineage_slots, .nslots = 6, .nregs = 4,
	  .g = {.goid = 152, .stack_hi = 8}}, {0}},
	{"count only", true, COUNTED(number_code, number_slot, count), {0}},
	{"count by string", true, COUNTED(text_code, text_slot, by_text), {0}},
	{"histogram", true, COUNTED(number_code, number_slot, hist), {0}},
};
enum { ARMS = ARRAY_SIZE(arms), CALLS = 150, ROUNDS = 300 };

/* ---- measuring ---- */

static uint64_t self_offset(const void *addr)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t at = (uintptr_t)addr, ret = 0;
	unsigned long long from, to, off;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %*s %llx", &from, &to, &off) == 3 && at >= from && at < to)
			ret = at - from + off;
	if (f)
		fclose(f);
	return ret;
}

static void ignore(void *arg, const void *sample, size_t size)
{
}

static double pair_ns(void)
{
	uint64_t begin = clock_monotonic_ns();

	pair_calls(CALLS, &object, &fake_g);
	return (double)(clock_monotonic_ns() - begin) / CALLS;
}

/* A planter of its own: probe numbers stand for programs. */
static int measure(const struct arm *a, double *best, struct err *err)
{
	struct planter_options o = {.ring_bytes = 16 << 20};
	struct uprobe_site sites[2] = {{.offset = self_offset(site_enter)}, {.offset = self_offset(site_leave)}};
	struct plant_probe probes[2] = {
		{.id = 1, .label = "enter", .sites = &sites[0].site, .program = &a->enter},
		{.id = 2, .label = "leave", .sites = &sites[1].site, .program = &a->leave},
	};
	struct plant_target t = {.id = 1, .pid = getpid(), .path = "/proc/self/exe", .binary_key = 1};
	struct planter *p = NULL;
	struct losses lost = {0};
	struct plant *plants[2];
	struct err errs[2] = {0};
	int r = planter_uprobe.open(&o, &p, err), n = a->alone ? 1 : 2;

	if (r < 0)
		return r;
	if (p->ops->plant(p, &t, probes, (size_t)n, plants, errs) != n) {
		*err = errs[errs[0].code ? 0 : 1];
		planter_close(p);
		return err->code;
	}
	for (int i = 0; i < ROUNDS; i++) {
		double ns = pair_ns();

		*best = MIN(*best, ns);
		p->source->ops->drain(p->source, ignore, NULL);
	}
	p->source->ops->losses(p->source, &lost);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		if (lost.count[i])
			printf("invalid: %llu %s\n", (unsigned long long)lost.count[i], loss_name((enum loss)i));
	planter_close(p);
	return 0;
}

int main(void)
{
	double best[ARMS], without = 1e9;
	struct err err = {0};

	object.n = 1;
	make_chains();
	fake_g.m = m;
	m[26] = (uintptr_t)p_of_m;
	for (size_t i = 0; i < 3; i++)
		object.texts[i] = (struct text){"/some/path/12345678", 19};
	for (int i = 0; i < ROUNDS; i++) {
		double ns = pair_ns();

		without = MIN(without, ns);
	}
	for (size_t i = 0; i < ARMS; i++) {
		best[i] = 1e9;
		if (measure(&arms[i], &best[i], &err) < 0) {
			fprintf(stderr, "call_hit: %s: %s\n", arms[i].name, err.text);
			return 1;
		}
		printf("%-42s %6.0f ns\n", arms[i].name, best[i] - without);
	}
	return 0;
}
