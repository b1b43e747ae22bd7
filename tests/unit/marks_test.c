/* Marks: what their instructions mean, in the reference interpreter, and what the verifier refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define BIAS UINT64_C(0x555555554000)
#include "unit/ir_interp.h"
#include "unit/mark_shots.h"
#include "unit/mark_scenes.h"

static struct fake_g {
	uint64_t hi, goid;
} fake_g = {.hi = UINT64_C(0x7fffffffff00)};
static const struct goroutine_layout layout = {.stack_hi = 0, .goid = 8};
static struct interp_marks marks;

static uint64_t next_random(void)
{
	static uint64_t seed = 1;

	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed ^ seed >> 29;
}

static bool read_self(void *arg, uint64_t addr, void *out, size_t n)
{
	struct iovec local = {out, n}, remote = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

static void marks_fresh(void)
{
	marks = (struct interp_marks){.random = next_random};
}

static uint64_t left_out(void)
{
	return marks.left_out;
}

static uint64_t lost(void)
{
	return marks.left_out + marks.full;
}

static struct fired fire(struct shot *s, uint64_t goid, uint64_t depth, const struct shot_words *w)
{
	static struct interp_result out;
	struct capture_program p = shot_program(s, &chain_table, layout);
	struct interp_input in = {.read = read_self, .g = (uintptr_t)&fake_g, .entry_sp = fake_g.hi - depth,
				  .bias = BIAS, .marks = &marks, .regs = {[GPR_RAX] = (uintptr_t)w}};
	struct fired f = {0};
	struct err err = {0};

	fake_g.goid = goid;
	if (capture_verify(&p, &err) < 0)
		fail_msg("%s", err.text);
	interp_run(&p, &in, &out);
	f.dropped = out.dropped;
	if (f.dropped)
		return f;
	f.has = out.slots[0].status == SLOT_OK;
	memcpy(&f.ids, out.slots[0].bytes, sizeof(f.ids));
	f.word = out.slots[1].status == SLOT_OK ? out.slots[1].value : 0;
	f.state = out.slots[2].status == SLOT_OK ? out.slots[2].value : 0;
	return f;
}

/* ---- the verifier ---- */

static void refuse(struct ir_insn insn, uint16_t region, const char *reason)
{
	struct ir_insn insns[] = {{.op = IR_REGION, .slot = region}, {.op = IR_CONST, .dst = 0, .imm = 1}, insn,
				  {.op = IR_END}};
	struct ir_slot slot = {.kind = VALUE_UINT};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .nregs = 2, .slots = &slot,
				    .nslots = region == 0};
	struct err err = {0};

	assert_int_equal(capture_verify(&p, &err), -EINVAL);
	if (!strstr(err.text, reason))
		fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static void test_refused(void **state)
{
	refuse((struct ir_insn){.op = IR_MARK_ADMIT}, 0, "outside a region of marks");
	refuse((struct ir_insn){.op = IR_MARK_ADMIT}, IR_SLOT_FILTER, "outside a region of marks");
	refuse((struct ir_insn){.op = IR_EMIT_MARK}, 0, "has no marks");
	refuse((struct ir_insn){.op = IR_EMIT_MARK}, IR_SLOT_MARK, "outside its slot");
	refuse((struct ir_insn){.op = IR_EMIT, .slot = IR_SLOT_MARK}, IR_SLOT_MARK, "outside its slot");
	refuse((struct ir_insn){.op = IR_SAVE}, IR_SLOT_MARK, "outside a capture");
	refuse((struct ir_insn){.op = IR_MARK_WORD, .dst = 1}, 0, "has no mark here");
	refuse((struct ir_insn){.op = IR_MARK_WORD, .dst = 1, .imm = MARK_WORD_COUNT}, IR_SLOT_MARK, "no such word");
	refuse((struct ir_insn){.op = IR_MARK_FIND, .imm = MARK_KIND_COUNT}, IR_SLOT_MARK, "no such kind");
	refuse((struct ir_insn){.op = IR_MARK_PUT, .imm = -1}, IR_SLOT_MARK, "no such kind");
	refuse((struct ir_insn){.op = IR_MARK_GOROUTINE, .imm = MARK_OF_CALL + 1}, IR_SLOT_MARK, "no such mark");
	refuse((struct ir_insn){.op = IR_MARK_CHAIN, .b = 1, .imm = 1}, IR_SLOT_MARK, "not set on every path");
	refuse((struct ir_insn){.op = IR_MARK_CHAIN, .a = 0, .b = 0, .imm = 1}, IR_SLOT_MARK, "no table of contexts");
	refuse((struct ir_insn){.op = IR_MARK_CHAIN, .a = 0, .b = 0}, IR_SLOT_MARK, "no links");
	refuse((struct ir_insn){.op = IR_MARK_BEGIN, .a = IR_NO_REG, .imm = MARK_KEEP_NONE + 1}, IR_SLOT_MARK,
	       "threshold");
	refuse((struct ir_insn){.op = IR_MARK_BEGIN, .a = 0, .b = 0, .c = 1}, IR_SLOT_MARK, "not set on every path");
}

/* Marks come before the captures, in the programs of points alone. */
static void test_regions(void **state)
{
	struct ir_insn insns[] = {{.op = IR_REGION}, {.op = IR_END}, {.op = IR_REGION, .slot = IR_SLOT_MARK},
				  {.op = IR_END}, {.op = IR_REGION, .slot = IR_SLOT_FILTER}, {.op = IR_END}};
	struct ir_slot slot = {.kind = VALUE_UINT};
	struct capture_program p = {.insns = insns, .ninsns = 4, .slots = &slot, .nslots = 1};

	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
	p.insns += 2;
	p.nslots = 0;
	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
	p.ninsns = 2;
	assert_int_equal(capture_verify(&p, NULL), 0);
	assert_true(capture_has_marks(&p));
	insns[3] = (struct ir_insn){.op = IR_MARK_UNWIND};
	insns[4] = (struct ir_insn){.op = IR_END};
	p.ninsns = 3;
	assert_int_equal(capture_verify(&p, NULL), 0);
	p.role = PROGRAM_UNWIND;
	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
}

static void test_print(void **state)
{
	static const char start[] =
		"mark {\n\tr7 = rax u64\n\tr0 = [r7] u64\n\tr7 = rax u64\n\tr1 = [r7+8] u64\n\tmark_header r0 r1\n}\n";
	static const char *const lines[] = {
		"\tmark_chain r0 r1 64\n", "\tmark_goroutine around group 3 call 4\n", "\tmark_creator r0\n",
		"\tmark_begin r0 r1 r2 36028797018963968 group 3 call 4, child\n", "\tmark_put_chain r0 r1\n",
		"\tmark_put r0 carrier\n", "\tmark_put r0 key group 3\n", "\tmark_push\n", "\tmark_admit, count\n",
		"\temit_mark\n", "\tr0 = mark word 2\n",
	};
	struct shot s = {.group = 3, .call = 4, .threshold = THRESHOLD_HALF, .flags = IR_MARK_CHILD};
	struct capture_program p = shot_program(&s, &chain_table, layout);
	struct buf b = {0};

	capture_print(&p, &b);
	assert_memory_equal(b.data, start, sizeof(start) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!strstr(b.data, lines[i]))
			fail_msg("no \"%s\" in\n%s", lines[i], b.data);
	buf_done(&b);
}

static void test_threshold(void **state)
{
	uint8_t id[16] = {0};

	assert_true(mark_kept(id, mark_threshold(1)));
	assert_false(mark_kept(id, mark_threshold(0.5)));
	id[9] = 0x80;
	assert_true(mark_kept(id, mark_threshold(0.5)));
	memset(id, 0xff, sizeof(id));
	assert_false(mark_kept(id, mark_threshold(0)));
	assert_false(mark_kept(id, mark_threshold(-1)));
	assert_true(mark_kept(id, mark_threshold(1e-9)));
	for (unsigned i = 0; i < 1000; i++) {
		double ratio = (double)(next_random() >> 11) / (double)(1ull << 53);
		uint64_t words[2] = {next_random(), next_random()};

		memcpy(id, words, sizeof(id));
		assert_int_equal(mark_kept(id, mark_threshold(ratio)), trace_sampled(id, ratio));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MARK_SCENES,
		STATE_SCENES,
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_threshold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
