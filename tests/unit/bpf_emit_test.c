/* BPF code without a kernel: the assembler, and what the code generator makes of capture programs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "plant/uprobe/compile.h"
#include "event/loss.h"

static const struct uprobe_env env = {.ring = 11, .scratch = 12, .losses = 13, .saved = 14,
				      .scratch_per_cpu = 4, .ring_bytes = 4 << 20};
static const struct site_shape plain;
#define LAYOUT                                                                                     \
	{                                                                                          \
		.goid = 152, .stack_hi = 8                                                         \
	}

static void check_insn(const struct emit *e, size_t at, uint8_t code, unsigned dst, unsigned src, int off,
		       int32_t imm)
{
	const struct bpf_insn *i = &e->code.data[at];

	assert_true(at < e->code.len);
	assert_int_equal(i->code, code);
	assert_int_equal(i->dst_reg, dst);
	assert_int_equal(i->src_reg, src);
	assert_int_equal(i->off, off);
	assert_int_equal(i->imm, imm);
}

static void test_encodings(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};

	emit_alu(&e, BPF_ADD, R1, R2);
	emit_alu_imm(&e, BPF_AND, R3, -8);
	emit_load(&e, 2, R4, FP, -16);
	emit_store(&e, 4, R7, 12, R0);
	emit_store_imm(&e, 8, R7, 40, 3);
	emit_atomic(&e, BPF_XCHG, R0, 0, R1);
	emit_call(&e, BPF_FUNC_ktime_get_ns);
	emit_exit(&e);
	check_insn(&e, 0, 0x0f, 1, 2, 0, 0);
	check_insn(&e, 1, 0x57, 3, 0, 0, -8);
	check_insn(&e, 2, 0x69, 4, 10, -16, 0);
	check_insn(&e, 3, 0x63, 7, 0, 12, 0);
	check_insn(&e, 4, 0x7a, 7, 0, 40, 3);
	check_insn(&e, 5, 0xdb, 0, 1, 0, BPF_XCHG);
	check_insn(&e, 6, 0x85, 0, 0, 0, 5);
	check_insn(&e, 7, 0x95, 0, 0, 0, 0);
	assert_int_equal(e.code.len, 8);
}

/* The shortest form that gives the very 64 bits. */
static void test_constants(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};

	emit_imm(&e, R1, -1);
	emit_imm(&e, R2, UINT32_MAX);
	emit_imm(&e, R3, INT64_C(0x1122334455667788));
	emit_map_fd(&e, R4, 12);
	check_insn(&e, 0, 0xb7, 1, 0, 0, -1);
	check_insn(&e, 1, 0xb4, 2, 0, 0, -1);
	check_insn(&e, 2, 0x18, 3, 0, 0, 0x55667788);
	check_insn(&e, 3, 0, 0, 0, 0, 0x11223344);
	check_insn(&e, 4, 0x18, 4, BPF_PSEUDO_MAP_FD, 0, 12);
	check_insn(&e, 5, 0, 0, 0, 0, 0);
}

static void test_labels(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};
	int again = emit_label_new(&e), out = emit_label_new(&e);

	emit_label(&e, again);
	emit_jump_if_imm(&e, BPF_JEQ, R1, 7, out);
	emit_alu_imm(&e, BPF_ADD, R1, 1);
	emit_jump(&e, again);
	emit_label(&e, out);
	emit_exit(&e);
	assert_int_equal(emit_finish(&e, NULL), 0);
	check_insn(&e, 0, 0x15, 1, 0, 2, 7);
	check_insn(&e, 2, 0x05, 0, 0, -3, 0);
}

static void test_bad_labels(void **state)
{
	_cleanup_(emit_done) struct emit unplaced = {0}, far = {0};
	struct err err = {0};
	int l = emit_label_new(&unplaced), m = emit_label_new(&far);

	emit_jump(&unplaced, l);
	assert_int_equal(emit_finish(&unplaced, &err), -EINVAL);
	emit_jump(&far, m);
	for (int i = 0; i < 40000; i++)
		emit_exit(&far);
	emit_label(&far, m);
	assert_int_equal(emit_finish(&far, &err), -E2BIG);
	assert_non_null(strstr(err.text, "too large"));
}

static void test_cookie(void **state)
{
	struct err err = {0};
	uint64_t c = 7;

	assert_int_equal(cookie_pack(5, 0x555555554000, &c, &err), 0);
	assert_int_equal(c & ((1 << COOKIE_TARGET_BITS) - 1), 5);
	assert_int_equal(((int64_t)c >> COOKIE_TARGET_BITS) * 4096, 0x555555554000);
	assert_int_equal(cookie_pack(5, (uint64_t)-0x3000, &c, &err), 0);
	assert_int_equal(((int64_t)c >> COOKIE_TARGET_BITS) * 4096, -0x3000);
	c = 7;
	assert_int_equal(cookie_pack(1u << COOKIE_TARGET_BITS, 0, &c, &err), -ERANGE);
	assert_int_equal(cookie_pack(1, 0x123, &c, &err), -ERANGE);
	assert_int_equal(cookie_pack(1, UINT64_C(1) << 60, &c, &err), -ERANGE);
	assert_int_equal(c, 7);
}

static void test_subprograms(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};
	struct err err = {0};
	int sub = emit_label_new(&e);

	emit_subprog_addr(&e, R2, sub);
	emit_exit(&e);
	emit_subprog(&e, sub);
	emit_exit(&e);
	assert_int_equal(emit_finish(&e, &err), 0);
	check_insn(&e, 0, BPF_LD | BPF_DW | BPF_IMM, R2, BPF_PSEUDO_FUNC, 0, 2);
	assert_int_equal(e.subprogs.len, 1);
	assert_int_equal(e.subprogs.data[0], 3);
}

/* ---- programs ---- */

static size_t count(const struct emit *e, uint8_t code, int32_t imm)
{
	size_t n = 0;

	for (size_t i = 0; i < e->code.len; i++)
		n += e->code.data[i].code == code && e->code.data[i].imm == imm;
	return n;
}

static size_t calls(const struct emit *e, int helper)
{
	return count(e, BPF_JMP | BPF_CALL, helper);
}

static void compile(const struct capture_program *p, const struct site_shape *shape, struct emit *e)
{
	struct err err = {0};

	if (uprobe_compile(p, 77, shape, &env, e, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < e->code.len; i++) { /* every jump lands in the program */
		uint8_t class = e->code.data[i].code & 7;

		if ((class == BPF_JMP || class == BPF_JMP32) && (e->code.data[i].code & 0xf0) < BPF_CALL)
			assert_in_range(i + 1 + (size_t)e->code.data[i].off, 0, e->code.len - 1);
	}
}

/* A record without strings costs no map lookup and no atomic: it lies on the BPF stack. */
static void test_header_only(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};
	struct capture_program p = {.g = LAYOUT};

	compile(&p, &plain, &e);
	assert_int_equal(calls(&e, BPF_FUNC_probe_read_user), 1); /* goid and stack.hi at once */
	assert_int_equal(calls(&e, BPF_FUNC_ringbuf_output), 1);
	assert_int_equal(count(&e, BPF_STX | BPF_ATOMIC | BPF_DW, BPF_XCHG), 0);
	/* One lookup for each loss that can be: no goroutine, ring full. */
	assert_int_equal(calls(&e, BPF_FUNC_map_lookup_elem), 2);
}

/* Older kernels give each subprogram 32 of the 512 bytes of stack: ours use none of it, and programs leave those. */
static void test_shared_stack(void **state)
{
	static const struct ir_insn image[] = {
		{.op = IR_REGION, .slot = 0}, {.op = IR_ARG_REG, .reg = GPR_RAX, .size = 8, .dst = IR_MAX_REGS - 1},
		{.op = IR_IMAGE, .slot = 0, .a = IR_NO_REG, .imm = 8, .shape = 1},
		{.op = IR_IMAGE_PUT, .slot = 0, .a = IR_MAX_REGS - 1, .size = 8}, {.op = IR_END},
	};
	static struct shape list[] = {{.size = 1}, {.size = 8}};
	const struct shape_table shapes = {.limits = SHAPE_LIMITS_DEFAULT, .shapes = {list, 2, 2}};
	static struct ir_slot slot = {.kind = VALUE_IMAGE};

	for (int role = PROGRAM_POINT; role <= PROGRAM_EXIT; role++) {
		bool slots = role <= PROGRAM_RETURN;
		const struct capture_program p = {
			.role = (enum program_role)role, .call_group = 1, .insns = (struct ir_insn *)image,
			.ninsns = slots ? ARRAY_SIZE(image) : 0, .slots = &slot, .nslots = slots, .nregs = IR_MAX_REGS,
			.shapes = &shapes, .g = LAYOUT,
		};
		_cleanup_(emit_done) struct emit e = {0};

		compile(&p, &plain, &e);
		assert_int_equal(e.subprogs.len, role == PROGRAM_ENTRY || role == PROGRAM_RETURN ? 2 : 1);
		for (size_t i = 0; i < e.code.len; i++) {
			const struct bpf_insn *in = &e.code.data[i];
			bool stack = in->dst_reg == FP || in->src_reg == FP;

			assert_false(stack && i >= e.subprogs.data[0]);
			assert_false(stack && in->off < -480);
		}
	}
}

static void test_far_goroutine_fields(void **state)
{
	_cleanup_(emit_done) struct emit e = {0};
	struct capture_program p = {.g = {.goid = 4000, .stack_hi = 8}};

	compile(&p, &plain, &e);
	assert_int_equal(calls(&e, BPF_FUNC_probe_read_user), 2);
}

static void test_flags_skip(void **state)
{
	const struct site_shape jbe = {.flags_skip = 0x41};
	_cleanup_(emit_done) struct emit e = {0};
	struct capture_program p = {.g = LAYOUT};

	compile(&p, &jbe, &e);
	check_insn(&e, 0, 0xbf, R6, R1, 0, 0);
	check_insn(&e, 1, 0x79, R0, R6, 144, 0); /* pt_regs.eflags */
	check_insn(&e, 2, 0x57, R0, 0, 0, 0x41);
	check_insn(&e, 3, 0x15, R0, 0, 2, 0);
	check_insn(&e, 5, 0x95, 0, 0, 0, 0);
}

static struct ir_slot string_slot[] = {{.kind = VALUE_STRING}};

/* What the filter drops has not cost a scratch element. */
static void test_filter_first(void **state)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RAX, .size = 8},
		{.op = IR_ARG_REG, .dst = 1, .reg = GPR_RBX, .size = 8},
		{.op = IR_STR_EQ, .dst = 2, .a = 0, .b = 1, .str = "alice", .imm = 5},
		{.op = IR_FILTER, .a = 2},
		{.op = IR_END},
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RAX, .size = 8},
		{.op = IR_ARG_REG, .dst = 1, .reg = GPR_RBX, .size = 8},
		{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = 4096},
		{.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = string_slot,
				    .nslots = 1, .nregs = 3, .g = LAYOUT};
	_cleanup_(emit_done) struct emit e = {0};
	size_t take = 0, read = 0;

	compile(&p, &plain, &e);
	for (size_t i = e.code.len; i-- > 0;) {
		if (e.code.data[i].code == (BPF_STX | BPF_ATOMIC | BPF_DW) && e.code.data[i].imm == BPF_XCHG)
			take = i;
		if (e.code.data[i].code == (BPF_JMP | BPF_CALL) &&
		    e.code.data[i].imm == BPF_FUNC_probe_read_user)
			read = i;
	}
	assert_true(read < take);
	/* "alic" and "e" are in the code. */
	assert_int_equal(count(&e, 0xb7, 0x63696c61), 1);
	assert_int_equal(count(&e, 0xb7, 'e'), 1);
}

/*
 * Pointer and length of a string, and its bytes: two calls; the goroutine is the third. The fourth reads the bytes'
 * first page where all of them could not be read; and where pages can be brought in, each of the first two is done
 * again so.
 */
static void test_loads_batched(void **state)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RAX, .size = 8},
		{.op = IR_LOAD, .dst = 1, .a = 0, .imm = 16, .size = 8},
		{.op = IR_LOAD, .dst = 2, .a = 0, .imm = 24, .size = 8},
		{.op = IR_EMIT_STR, .slot = 0, .a = 1, .b = 2, .imm = 100},
		{.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = string_slot,
				    .nslots = 1, .nregs = 3, .g = LAYOUT};
	_cleanup_(emit_done) struct emit e = {0}, sleeping = {0};
	struct uprobe_env faults_in = env;
	struct err err = {0};

	compile(&p, &plain, &e);
	assert_int_equal(calls(&e, BPF_FUNC_probe_read_user), 4);
	assert_int_equal(calls(&e, BPF_FUNC_copy_from_user), 0);
	faults_in.faults_in = true;
	if (uprobe_compile(&p, 1, &plain, &faults_in, &sleeping, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(calls(&sleeping, BPF_FUNC_probe_read_user), 4);
	assert_int_equal(calls(&sleeping, BPF_FUNC_copy_from_user), 2);
}

/* Code that nothing reaches is left out: the verifier refuses it. */
static void test_dead_code(void **state)
{
	struct ir_slot slot = {.kind = VALUE_INT};
	struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0},
		{.op = IR_CONST, .dst = 0, .imm = 1},
		{.op = IR_JUMP, .label = 0},
		{.op = IR_CONST, .dst = 0, .imm = 0x77777777},
		{.op = IR_LABEL, .label = 1},
		{.op = IR_CONST, .dst = 0, .imm = 0x66666666},
		{.op = IR_LABEL, .label = 0},
		{.op = IR_EMIT, .slot = 0, .a = 0},
		{.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &slot, .nslots = 1,
				    .nregs = 1, .nlabels = 2, .g = LAYOUT};
	_cleanup_(emit_done) struct emit e = {0};

	compile(&p, &plain, &e);
	assert_int_equal(count(&e, 0xb7, 0x77777777), 0);
	assert_int_equal(count(&e, 0xb7, 0x66666666), 0);
}

static void refused(struct ir_insn insn, int code, const char *word)
{
	struct ir_slot slot = {.kind = VALUE_INT};
	struct ir_insn insns[] = {
		{.op = IR_REGION}, {.op = IR_CONST, .dst = 0}, {.op = IR_CONST, .dst = 1}, insn,
		{.op = IR_EMIT, .a = 0}, {.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &slot, .nslots = 1,
				    .nregs = 3, .g = LAYOUT};
	_cleanup_(emit_done) struct emit e = {0};
	struct err err = {0};

	assert_int_equal(uprobe_compile(&p, 1, &plain, &env, &e, &err), code);
	assert_non_null(strstr(err.text, word));
}

static void test_refusals(void **state)
{
	const struct map_layout ints = {.swiss = true, .slots = 8, .key_size = 8, .key_stride = 16,
					.elem_stride = 16, .elem_off = 8, .group_size = 136};
	struct map_layout huge = ints;

	refused((struct ir_insn){.op = IR_ARG_FLOAT, .dst = 2, .size = 8}, -EOPNOTSUPP, "XMM");
	refused((struct ir_insn){.op = 200}, -EINVAL, "damaged");
	refused((struct ir_insn){.op = IR_MAP_STR, .dst = 2, .a = 0, .str = "k", .imm = 1, .map = &ints},
		-EOPNOTSUPP, "keys have 8 bytes (expected 16)");
	huge.key_size = 16;
	huge.key_stride = huge.elem_stride = 4096;
	huge.group_size = 8 * 4096 + 8;
	refused((struct ir_insn){.op = IR_MAP_STR, .dst = 2, .a = 0, .str = "k", .imm = 1, .map = &huge},
		-EOPNOTSUPP, "layout");
	huge.key_stride = huge.elem_stride = 16; /* slots that overlap the end of the group */
	huge.group_size = 120;
	refused((struct ir_insn){.op = IR_MAP_STR, .dst = 2, .a = 0, .str = "k", .imm = 1, .map = &huge},
		-EOPNOTSUPP, "layout");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encodings),    cmocka_unit_test(test_constants),
		cmocka_unit_test(test_labels),       cmocka_unit_test(test_bad_labels),
		cmocka_unit_test(test_cookie),       cmocka_unit_test(test_header_only),
		cmocka_unit_test(test_subprograms), cmocka_unit_test(test_shared_stack),
		cmocka_unit_test(test_far_goroutine_fields), cmocka_unit_test(test_flags_skip),
		cmocka_unit_test(test_filter_first), cmocka_unit_test(test_loads_batched),
		cmocka_unit_test(test_dead_code),    cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
