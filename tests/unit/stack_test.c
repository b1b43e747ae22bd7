/* The frames of a goroutine in the kernel: functions with frame pointers call each other, as Go's do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/plant_self.h"

/*
 * chain calls itself RBX times, then the function in RCX; the bottom's RBP is 0, as a goroutine's. chain_push and
 * chain_body are sites before and in the frame; leaf has none.
 */
__asm__(".pushsection .text\n"
	".balign 64\n"
	"chain_start: push %rbp\n xor %ebp, %ebp\n call chain_push\n"
	"chain_bottom: pop %rbp\n ret\n"
	".balign 64\n"
	"chain_push: push %rbp\n mov %rsp, %rbp\n sub $24, %rsp\n"
	"chain_body: nop\n"
	" test %rbx, %rbx\n je 1f\n dec %rbx\n call chain_push\n"
	"chain_again: jmp 2f\n"
	"1: call *%rcx\n"
	"chain_last: nop\n"
	"2: add $24, %rsp\n pop %rbp\n ret\n"
	".balign 64\n"
	"leaf: nop\n ret\n"
	".popsection\n");
extern char chain_start[] __attribute__((visibility("hidden"))), chain_bottom[] __attribute__((visibility("hidden"))),
	chain_push[] __attribute__((visibility("hidden"))), chain_body[] __attribute__((visibility("hidden"))),
	chain_again[] __attribute__((visibility("hidden"))), chain_last[] __attribute__((visibility("hidden"))),
	leaf[] __attribute__((visibility("hidden")));

static struct self_g g1 = {.hi = SELF_HI, .goid = 7};

static void stack_at(const void *site, int32_t sp_delta, unsigned max, unsigned calls, size_t sample,
		     const void *const *want, size_t n)
{
	const struct ir_insn in[] = {
		{.op = IR_REGION, .slot = 0}, {.op = IR_EMIT_STACK, .slot = 0, .imm = max}, {.op = IR_END},
	};
	struct ir_slot slot = {.kind = VALUE_STACK};
	struct capture_program prog = {.insns = (struct ir_insn *)in, .ninsns = ARRAY_SIZE(in), .slots = &slot,
				       .nslots = 1, .g = SELF_G_LAYOUT};
	struct planter *p = self_open(NULL);
	struct self_samples got = {0};
	const char *bytes;
	size_t len;

	self_plant_at(p, &prog, 1, site, sp_delta);
	self_call(&(struct self_regs){.rbx = calls, .rcx = (uintptr_t)leaf, .g = &g1}, chain_start);
	assert_true(self_drain(p, &got) > sample);
	bytes = event_bytes(&got.all.data[sample].e[0], 0, &len);
	assert_int_equal(len, 8 * n);
	assert_memory_equal(bytes, want, len);
	self_samples_done(&got);
	planter_close(p);
}

static void frames(void **state)
{
	const void *bottom[] = {chain_bottom}, *two[] = {chain_again, chain_again, chain_bottom};
	const void *in_leaf[] = {chain_last, chain_again, chain_again, chain_bottom};

	stack_at(chain_push, 0, 64, 2, 0, bottom, 1);
	stack_at(chain_body, 32, 64, 2, 0, bottom, 1);
	stack_at(chain_push, 0, 64, 2, 2, two, 3);
	stack_at(chain_body, 32, 64, 2, 2, two, 3);
	stack_at(chain_body, 32, 2, 2, 2, two, 2);
	stack_at(chain_body, 32, 1, 2, 2, two, 1);
	stack_at(leaf, 0, 64, 2, 0, in_leaf, 4);
}

static void deep(void **state)
{
	const void *all[IR_MAX_STACK];

	for (size_t i = 0; i < IR_MAX_STACK; i++)
		all[i] = chain_again;
	stack_at(chain_push, 0, IR_MAX_STACK, 200, 200, all, IR_MAX_STACK);
	stack_at(chain_push, 0, IR_MAX_STACK, 63, 63, (all[63] = chain_bottom, all), IR_MAX_STACK);
}

/* ---- stacks as keys ---- */

struct stacks {
	uint64_t total, deepest;
	size_t groups;
};

static void see(void *arg, const struct plant_group *g)
{
	struct stacks *s = arg;
	const uint64_t *frames = g->keys[0].bytes;

	s->groups++;
	s->total += g->count;
	assert_int_equal(g->keys[0].word, g->keys[0].len);
	assert_int_equal(g->keys[0].len % 8, 0);
	for (size_t i = 0; i + 1 < g->keys[0].len / 8; i++)
		assert_true(frames[i] == (uintptr_t)chain_again);
	if (g->keys[0].len == 8)
		assert_true(frames[0] == (uintptr_t)chain_bottom);
	s->deepest = MAX(s->deepest, g->keys[0].len / 8u);
}

static void by_stack(void **state)
{
	const struct ir_insn in[] = {
		{.op = IR_REGION, .slot = 0}, {.op = IR_EMIT_STACK, .slot = 0, .imm = 16}, {.op = IR_END},
	};
	struct ir_slot slot = {.kind = VALUE_STACK};
	const struct ir_aggregate count = {.kind = AGG_COUNT, .keys = {{.slot = 0}}, .nkeys = 1};
	struct capture_program prog = {.insns = (struct ir_insn *)in, .ninsns = ARRAY_SIZE(in), .slots = &slot,
				       .nslots = 1, .aggregates = &count, .naggregates = 1, .no_record = true,
				       .g = SELF_G_LAYOUT};
	struct planter *p = self_open(NULL);
	struct stacks s = {0};

	self_plant(p, &prog, 1, chain_push);
	for (int i = 0; i < 10; i++)
		self_call(&(struct self_regs){.rbx = 20, .rcx = (uintptr_t)leaf, .g = &g1}, chain_start);
	assert_int_equal(p->source->ops->aggregates(p->source, false, see, &s), 0);
	assert_int_equal(s.total, 210);
	assert_int_equal(s.groups, 17); /* 1 to 16 frames, and 16 without the bottom */
	assert_int_equal(s.deepest, 16);
	planter_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(frames), cmocka_unit_test(deep),
					   cmocka_unit_test(by_stack)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
