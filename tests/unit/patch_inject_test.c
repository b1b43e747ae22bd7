/* What writes into the program, as x86-64 code run in this process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/inject_scenes.h"
#include "unit/patch_run.h"

static const void *codes[SCENE_PROGRAMS];

static void programs_fresh(void)
{
	patch_setup_marks(1024, 1024);
}

static void program_plant(unsigned k, struct capture_program *p)
{
	p->g = (struct goroutine_layout)FAKE_LAYOUT;
	codes[k] = compile_ok(p, 1);
}

static struct event_slot program_run(unsigned k, uint64_t rax)
{
	static struct taken t;
	struct regs r = {.r = {rax}, .g = (uintptr_t)&fake_g};

	run_code(codes[k], &r);
	t.n = 0;
	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		slot_drain(patch_area_slot(area, i), take, &t);
	assert_int_equal(t.n, 1);
	return t.event.slots[0];
}

static void programs_done(void)
{
}

/* A field appended to a slice that is a parameter on the stack: what lies there is what changes. */
static void test_on_stack(void **state)
{
	static struct ir_insn insns[] = {
	    {.op = IR_REGION},
	    {.op = IR_SP, .dst = 0, .imm = 8},
	    {.op = IR_LOAD, .size = 8, .dst = 1, .a = 0},
	    {.op = IR_EMIT, .a = 1},
	    {.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &one_slot, .nslots = 1,
				    .nregs = 3};

	programs_fresh();
	program_plant(0, &p);
	assert_int_equal(program_run(0, 0).value, 1111); /* as stack_fill has it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		INJECT_WRITING,
		INJECT_STATES_WRITING,
		INJECT_LOOKING,
		cmocka_unit_test(test_on_stack),
	};

	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
