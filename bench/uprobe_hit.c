/*
 * ns per hit of a uprobe, by what its program does and by the class of its site, and as ratios against an
 * empty program on the first byte of a usual Go function (a compare with memory: single-stepped). Root.
 *
 *   make && gcc -O2 -Isrc -D_GNU_SOURCE -o build/uprobe_hit bench/uprobe_hit.c build/libearshot.a -lbpf -ldw -lelf -lZydis &&
 *   build/uprobe_hit
 *
 * Our own functions are probed, so the records are those of a real hit without a Go program around it. Rounds
 * of the arms alternate; the least of each arm counts, since others disturb and nothing speeds up.
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
	"site_first: cmp 0x10(%r14), %rsp\n ret\n"
	".balign 64\n"
	"site_push: push %rbp\n pop %rbp\n ret\n"
	".balign 64\n"
	"site_nop5: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n ret\n"
	".balign 64\n"
	"hit_calls: push %rbx\n push %rbp\n push %r12\n push %r14\n push %r15\n"
	" mov %rdi, %r12\n mov %rsi, %rbx\n mov %rdx, %r15\n mov %rcx, %r14\n"
	"1: mov %r15, %rax\n call *%r12\n dec %rbx\n jne 1b\n"
	" pop %r15\n pop %r14\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
	".popsection\n");
extern char site_first[] __attribute__((visibility("hidden")));
extern char site_push[] __attribute__((visibility("hidden")));
extern char site_nop5[] __attribute__((visibility("hidden")));
/* Calls fn n times with arg in RAX and g in R14. */
void hit_calls(const void *fn, long n, const void *arg, const void *g);

static struct {
	uint64_t lo, hi, pad[17], goid;
} fake_g = {.hi = UINT64_C(0x7fffffffff00), .goid = 1};
static struct {
	const char *s;
	uint64_t len;
} strings[10];

enum { CALLS = 4000, ROUNDS = 12, SITES = 3, ARMS = 5 };
static const char *const site_names[SITES] = {"first byte (stepped)", "push (emulated)", "nop5"};
static const char *const arm_names[ARMS] = {"empty program", "filter that drops", "header only", "1 string",
					    "10 strings"};

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

/* ---- the programs ---- */

static struct ir_insn code[10 * 6 + 8];
static struct ir_slot slots[10];

static void add_string(struct capture_program *p, uint16_t slot)
{
	const struct ir_insn in[] = {
		{.op = IR_REGION, .slot = slot},
		{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		{.op = IR_LOAD, .a = 0, .imm = 16 * slot, .size = 8, .dst = 1},
		{.op = IR_LOAD, .a = 0, .imm = 16 * slot + 8, .size = 8, .dst = 2},
		{.op = IR_EMIT_STR, .slot = slot, .a = 1, .b = 2, .imm = 4096},
		{.op = IR_END},
	};

	memcpy(&code[p->ninsns], in, sizeof(in));
	p->ninsns += ARRAY_SIZE(in);
	slots[slot].kind = VALUE_STRING;
	p->nslots++;
}

static void add_filter(struct capture_program *p)
{
	const struct ir_insn in[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = 0},
		{.op = IR_LOAD, .a = 0, .imm = 0, .size = 8, .dst = 1},
		{.op = IR_LOAD, .a = 0, .imm = 8, .size = 8, .dst = 2},
		{.op = IR_STR_EQ, .a = 1, .b = 2, .dst = 3, .str = "/another/path", .imm = 13},
		{.op = IR_FILTER, .a = 3},
		{.op = IR_END},
	};

	memcpy(&code[p->ninsns], in, sizeof(in));
	p->ninsns += ARRAY_SIZE(in);
}

static struct capture_program program_of(int arm)
{
	struct capture_program p = {.insns = code, .slots = slots, .nregs = 4,
				    .g = {.goid = 152, .stack_hi = 8}};

	if (arm == 1)
		add_filter(&p);
	for (uint16_t i = 0; i < (arm == 3 ? 1 : arm == 4 ? 10 : 0); i++)
		add_string(&p, i);
	return p;
}

/* ---- measuring ---- */

static void ignore(void *arg, const void *record, size_t size)
{
}

static double calls_ns(const void *site)
{
	uint64_t begin = clock_monotonic_ns();

	hit_calls(site, CALLS, strings, &fake_g);
	return (double)(clock_monotonic_ns() - begin) / CALLS;
}

static int measure_empty(const void *site, double *best, struct err *err)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	uint64_t offset = self_offset(site);
	const struct uprobe_places at = {.path = "/proc/self/exe", .offsets = &offset, .n = 1, .pid = getpid()};
	struct uprobe_links links;
	struct uprobe_means means;
	int prog, r = uprobe_means_detect(0, &means, err);

	if (r < 0)
		return r;
	prog = uprobe_prog_load(&means, "empty", nothing, ARRAY_SIZE(nothing), err);
	if (prog < 0)
		return prog;
	r = uprobe_link(&means, prog, &at, &links, err);
	if (r == 0) {
		double ns = calls_ns(site);

		*best = MIN(*best, ns);
		uprobe_links_done(&links);
	}
	close(prog);
	return r;
}

static int measure_arm(struct planter *p, const void *site, int arm, double *best, struct err *err)
{
	struct capture_program prog = program_of(arm);
	struct uprobe_site s = {.offset = self_offset(site)};
	struct plant_probe probe = {.id = 1, .label = "bench", .sites = &s.site, .program = &prog};
	struct plant_target t = {.id = 1, .pid = getpid(), .path = "/proc/self/exe", .binary_key = 1};
	struct plant *pl;
	double ns;

	if (p->ops->plant(p, &t, &probe, 1, &pl, err) != 1)
		return err->code;
	ns = calls_ns(site);
	*best = MIN(*best, ns);
	p->ops->remove(p, &pl, 1);
	p->source->ops->drain(p->source, ignore, NULL);
	return 0;
}

static int measure(struct planter *p, double best[SITES][ARMS], double *without, struct err *err)
{
	const void *const sites[SITES] = {site_first, site_push, site_nop5};
	int r = 0;

	for (int s = 0; s < SITES && r == 0; s++) {
		double ns = calls_ns(sites[s]);

		without[s] = MIN(without[s], ns);
		r = measure_empty(sites[s], &best[s][0], err);
		for (int a = 1; a < ARMS && r == 0; a++)
			r = measure_arm(p, sites[s], a, &best[s][a], err);
	}
	return r;
}

static void print(double best[SITES][ARMS], const double *without)
{
	double unit = best[0][0] - without[0];

	printf("%-22s", "ns per hit (ratio)");
	for (int a = 0; a < ARMS; a++)
		printf("%20s", arm_names[a]);
	putchar('\n');
	for (int s = 0; s < SITES; s++) {
		printf("%-22s", site_names[s]);
		for (int a = 0; a < ARMS; a++)
			printf("%12.0f (%.3f)", best[s][a] - without[s], (best[s][a] - without[s]) / unit);
		putchar('\n');
	}
}

int main(void)
{
	struct planter_options o = {.ring_bytes = 16 << 20};
	double best[SITES][ARMS], without[SITES];
	struct planter *p = NULL;
	struct losses lost = {0};
	struct err err = {0};
	int r = planter_uprobe.open(&o, &p, &err);

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		strings[i].s = "/some/path/12345678";
		strings[i].len = strlen(strings[i].s);
	}
	for (int s = 0; s < SITES; s++) {
		without[s] = 1e9;
		for (int a = 0; a < ARMS; a++)
			best[s][a] = 1e9;
	}
	for (int i = 0; i < ROUNDS && r == 0; i++)
		r = measure(p, best, without, &err);
	if (r < 0) {
		fprintf(stderr, "uprobe_hit: %s\n", err.text);
		return 1;
	}
	print(best, without);
	p->source->ops->losses(p->source, &lost);
	if (lost.count[LOSS_RING_FULL] || lost.count[LOSS_NO_GOROUTINE])
		printf("invalid: %llu hits were lost, which is cheap\n",
		       (unsigned long long)(lost.count[LOSS_RING_FULL] + lost.count[LOSS_NO_GOROUTINE]));
	planter_close(p);
	return 0;
}
