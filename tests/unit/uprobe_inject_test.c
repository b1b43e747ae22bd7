/*
 * What writes into the program, by uprobes on functions of this one. What only looks needs CAP_BPF and CAP_PERFMON, and
 * skips by name without. Few kernels let programs write, and all that do tell the administrator: what writes is asked
 * for ("write"), as in the tests' virtual machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "plant/uprobe/writes.h"
#include "unit/inject_scenes.h"
#include "unit/plant_self.h"

SELF_SITE(site_0);
SELF_SITE(site_1);
SELF_SITE(site_2);
SELF_SITE(site_3);
static const void *const sites[SCENE_PROGRAMS] = {site_0, site_1, site_2, site_3};

static struct self_g self = {.hi = SELF_HI, .goid = 7};
static struct planter *planter;

static void programs_fresh(void)
{
	planter = self_open(NULL);
}

static void program_plant(unsigned k, struct capture_program *p)
{
	p->g = (struct goroutine_layout)SELF_G_LAYOUT;
	self_plant(planter, p, k + 1, sites[k]);
}

static struct event_slot program_run(unsigned k, uint64_t rax)
{
	static struct self_samples got;

	self_call(&(struct self_regs){.rax = rax, .g = &self}, sites[k]);
	assert_int_equal(self_drain(planter, &got), 1);
	return got.all.data[0].e[0].slots[0];
}

static void programs_done(void)
{
	planter_close(planter);
}

/* A kernel that refuses says which of the reasons it is, and the probe is refused with it. */
static void test_refused(void **state)
{
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program program = inject_program(insns, INJECT_LINE);
	struct uprobe_site s = {.offset = self_offset(sites[0])};
	struct plant_probe probe = {.id = 1, .label = "self", .sites = &s.site, .program = &program};
	struct plant_target t = {.id = 42, .pid = getpid(), .path = "/proc/self/exe", .bias = SELF_BIAS,
				 .binary_key = 1};
	struct err err = {0}, why = {0};
	struct plant *ret = NULL;
	struct planter *p = self_open(NULL);
	int r = uprobe_writes_check(&why);

	program.g = (struct goroutine_layout)SELF_G_LAYOUT;
	assert_int_equal(p->ops->plant(p, &t, &probe, 1, &ret, &err), r == 0);
	assert_string_equal(err.text, why.text);
	planter_close(p);
}

/* What lies at the entry's stack pointer is the return address. */
static void test_stack_pointer(void **state)
{
	static struct ir_insn insns[] = {
	    {.op = IR_REGION},
	    {.op = IR_SP, .dst = 0, .imm = -16},
	    {.op = IR_LOAD, .size = 8, .dst = 1, .a = 0, .imm = 16},
	    {.op = IR_PC_RET, .dst = 0},
	    {.op = IR_BIN, .bin = BIN_SUB, .dst = 2, .a = 1, .b = 0},
	    {.op = IR_EMIT, .a = 2},
	    {.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &one_slot, .nslots = 1,
				    .nregs = 3};
	struct event_slot s;

	programs_fresh();
	program_plant(0, &p);
	s = program_run(0, 0);
	assert_int_equal(s.status, SLOT_OK);
	assert_int_equal(s.value, 0);
	programs_done();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest looking[] = {
		INJECT_LOOKING, cmocka_unit_test(test_stack_pointer), cmocka_unit_test(test_refused),
	};
	const struct CMUnitTest writing[] = {INJECT_WRITING, INJECT_STATES_WRITING};

	world_init();
	return cmocka_run_group_tests(looking, NULL, NULL) +
	       (argc > 1 && !strcmp(argv[1], "write") ? cmocka_run_group_tests(writing, NULL, NULL) : 0);
}
