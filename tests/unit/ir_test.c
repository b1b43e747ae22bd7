/* Capture programs: what the verifier refuses, how they print, what their instructions mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "unit/ir_inject.h"
#include "unit/ir_interp.h"

static struct ir_slot two_slots[] = {{.name = "n", .kind = VALUE_INT}, {.name = "s", .kind = VALUE_STRING}};

static struct capture_program program(struct ir_insn *insns, size_t n, size_t nslots)
{
	return (struct capture_program){.insns = insns, .ninsns = n, .slots = two_slots, .nslots = nslots,
					.nregs = 8, .nlabels = 2};
}

#define PROGRAM(nslots, ...)                                                                       \
	({                                                                                         \
		static struct ir_insn insns_[] = {__VA_ARGS__};                                    \
		program(insns_, ARRAY_SIZE(insns_), nslots);                                       \
	})
#define I(o, ...) {.op = o, .size = 8, __VA_ARGS__}
#define K(d, v) I(IR_CONST, .dst = d, .imm = v)
#define REGION(s) I(IR_REGION, .slot = s)
#define END I(IR_END, )

static void refuse(struct capture_program p, const char *reason)
{
	struct err err = {0};

	assert_int_equal(capture_verify(&p, &err), -EINVAL);
	if (!strstr(err.text, reason))
		fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
}

static void test_refused(void **state)
{
	static struct map_layout layout;
	struct capture_program p;

	refuse(PROGRAM(0, REGION(0), END), "no such slot");
	refuse(PROGRAM(2, REGION(1), END), "out of order");
	refuse(PROGRAM(1, REGION(0), REGION(0)), "do not nest");
	refuse(PROGRAM(1, REGION(0), END, REGION(0), END), "out of order");
	refuse(PROGRAM(1, REGION(0), END, REGION(IR_SLOT_FILTER), END), "out of order");
	refuse(PROGRAM(2, REGION(0), END), "ends too early");
	refuse(PROGRAM(1, REGION(0)), "ends too early");
	refuse(PROGRAM(0, END), "no region is open");
	refuse(PROGRAM(1, REGION(0), END, K(0, 1)), "between regions");
	refuse(PROGRAM(0, I(77, )), "no such instruction");
	refuse(PROGRAM(1, REGION(0), I(IR_MOVE, .dst = 0, .a = 1), END), "not set on every path");
	refuse(PROGRAM(1, REGION(0), I(IR_NOT, .dst = 0, .a = 9), END), "does not exist");
	refuse(PROGRAM(1, REGION(0), K(8, 1), END), "does not exist");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_NOT, .dst = 0, .a = 0), END), "one of its operands");
	refuse(PROGRAM(1, K(0, 1), REGION(0), I(IR_EMIT, .a = 0), END), "not set on every path");
	refuse(PROGRAM(2, REGION(0), K(0, 1), I(IR_EMIT, .a = 0, .slot = 1), END), "outside its slot");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_EMIT_STR, .a = 0, .b = 0, .imm = 9), END), "another kind");
	refuse(PROGRAM(2, REGION(0), END, REGION(1), K(0, 1), I(IR_EMIT_STR, .a = 0, .b = 0, .slot = 1), END),
	       "copies no bytes");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_FILTER, .a = 0), END), "outside the filter");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_GOROUTINE, .a = 0, .b = IR_NO_REG), END), "before the first");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_REQUIRE, .a = 0, .imm = SLOT_OK), END), "no failure");
	refuse(PROGRAM(1, REGION(0), I(IR_LABEL, ), I(IR_JUMP, ), END), "jumps back");
	refuse(PROGRAM(1, REGION(0), I(IR_JUMP, .label = 2), END), "no such label");
	refuse(PROGRAM(1, REGION(0), I(IR_JUMP, ), END), "leads out of the region");
	refuse(PROGRAM(1, REGION(0), I(IR_LABEL, ), I(IR_LABEL, ), END), "placed already");
	refuse(PROGRAM(1, K(0, 1), I(IR_JUMP_IF0, .a = 0), REGION(0), I(IR_LABEL, ), END), "leads behind it");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_JUMP_IF0, .a = 0), K(1, 2), I(IR_LABEL, ),
		       I(IR_EMIT, .a = 1), END), "not set on every path");
	refuse(PROGRAM(1, REGION(0), {.op = IR_ARG_REG, .size = 3}, END), "1, 2, 4 or 8");
	refuse(PROGRAM(1, REGION(0), I(IR_ARG_REG, .reg = 16), END), "no such register");
	refuse(PROGRAM(1, REGION(0), I(IR_ARG_FLOAT, .reg = 15), END), "no such register");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_BIN, .dst = 1, .a = 0, .b = 0, .bin = 99), END),
	       "no such operator");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_STR_EQ, .dst = 1, .a = 0, .b = 0, .str = "ab", .imm = 3),
		       END), "another length");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_STR_EQ, .dst = 1, .a = 0, .b = 0, .str = ""), END),
	       "text is empty");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_MAP_STR, .dst = 1, .a = 0, .str = ""), END), "no layout");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_MAP_STR, .dst = 1, .a = 0, .map = &layout), END),
	       "another length");
	p = PROGRAM(0, K(0, 1));
	p.nregs = IR_MAX_REGS + 1;
	refuse(p, "too large");
}

static struct ir_slot image_slots[] = {{.name = "v", .kind = VALUE_IMAGE}, {.name = "st", .kind = VALUE_STACK}};

/* An image needs a table; its shapes are not looked into here. */
static struct capture_program image_program(struct ir_insn *insns, size_t n, size_t nslots)
{
	static struct shape shapes[2] = {{0}, {.size = 16}};
	static struct shape_table table = {.shapes = {.data = shapes, .len = 2}};
	struct capture_program p = program(insns, n, nslots);

	p.slots = image_slots;
	p.shapes = &table;
	return p;
}

#define IMAGE_PROGRAM(nslots, ...)                                                                 \
	({                                                                                         \
		static struct ir_insn insns_[] = {__VA_ARGS__};                                    \
		image_program(insns_, ARRAY_SIZE(insns_), nslots);                                 \
	})
#define IMAGE I(IR_IMAGE, .a = IR_NO_REG, .shape = 1, .imm = 16)

static void test_images(void **state)
{
	struct buf b = {0};
	struct capture_program p;

	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), I(IR_EMIT, .a = 0), END), "another kind");
	refuse(IMAGE_PROGRAM(1, REGION(0), I(IR_IMAGE, .a = IR_NO_REG, .shape = 2, .imm = 16), END), "no such shape");
	refuse(IMAGE_PROGRAM(1, REGION(0), I(IR_IMAGE, .a = IR_NO_REG, .shape = 1, .imm = IR_MAX_IMAGE + 1), END),
	       "too many");
	refuse(IMAGE_PROGRAM(1, REGION(0), I(IR_IMAGE, .a = 3, .shape = 1, .imm = 16), END), "not set on every path");
	refuse(IMAGE_PROGRAM(1, REGION(0), IMAGE, IMAGE, END), "an image already");
	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), I(IR_IMAGE_PUT, .a = 0), END), "there is no image");
	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), IMAGE, I(IR_IMAGE_PUT, .a = 0, .imm = 9), END),
	       "outside the image");
	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), IMAGE, I(IR_IMAGE_COPY, .a = 0, .imm = 9, .at = 8), END),
	       "outside the image");
	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), I(IR_IMAGE_TYPE, .a = 0), END), "there is no image");
	refuse(IMAGE_PROGRAM(1, REGION(0), K(0, 1), IMAGE, I(IR_IMAGE_TYPE, .a = 0, .imm = -8), END), "out of reach");
	refuse(IMAGE_PROGRAM(1, REGION(0), I(IR_IMAGE, .a = IR_NO_REG, .shape = 1, .imm = 16, .at = 17), END),
	       "deeper than is possible");
	refuse(IMAGE_PROGRAM(2, REGION(0), IMAGE, END, REGION(1), I(IR_EMIT_STACK, .slot = 1, .imm = 9), END),
	       "behind an image");
	p = IMAGE_PROGRAM(1, REGION(0), K(0, 1), IMAGE, I(IR_IMAGE_PUT, .a = 0, .imm = 8),
			  I(IR_IMAGE_COPY, .a = 0, .imm = 8), I(IR_IMAGE_TYPE, .a = 0, .imm = 24), END);
	assert_int_equal(capture_verify(&p, NULL), 0);
	capture_print(&p, &b);
	assert_string_equal(b.data, "slot 0 v {\n\tr0 = 1\n\timage 16 bytes shape 1\n\timage[8:] = r0 u64\n"
				    "\timage[0:] = [r0] 8 bytes\n\timage of type [r0 + 24]\n}\n");
	buf_done(&b);
}

static void test_chains(void **state)
{
	static const struct context_table contexts;
	static struct ir_slot slot = {.name = "ctx", .kind = VALUE_CHAIN};
	struct capture_program p = PROGRAM(1, REGION(0), K(0, 1), K(1, 2),
					   I(IR_EMIT_CHAIN, .a = 0, .b = 1, .imm = EVENT_MAX_CHAIN), END);
	struct buf b = {0};

	refuse(p, "another kind");
	p.slots = &slot;
	refuse(p, "no table of contexts");
	p.contexts = &contexts;
	assert_int_equal(capture_verify(&p, NULL), 0);
	assert_int_equal(capture_chain_bytes(&p, 0), EVENT_CHAIN_BYTES - EVENT_CHAIN_SPAN_BYTES);
	assert_int_equal(capture_chain_bytes(&p, 1), 0);
	capture_print(&p, &b);
	assert_string_equal(b.data, "slot 0 ctx {\n\tr0 = 1\n\tr1 = 2\n\temit_chain of type r0 at r1 up to 64\n}\n");
	p.insns[3].imm = EVENT_MAX_CHAIN + 1;
	refuse(p, "too many");
	p.insns[3].imm = 0;
	refuse(p, "no links");
	buf_done(&b);
}

static void test_roles(void **state)
{
	static const struct ir_aggregate sum = {.kind = AGG_SUM, .value = {.slot = 0}};
	static const struct ir_aggregate text = {.kind = AGG_MAX, .value = {.slot = 1}};
	struct capture_program p = PROGRAM(1, REGION(0), I(IR_LATENCY, .dst = 0), I(IR_EMIT, .a = 0), END);
	struct buf b = {0};

	refuse(p, "no latency before the return");
	p.role = PROGRAM_RETURN;
	refuse(p, "call group");
	p.call_group = 4;
	assert_int_equal(capture_verify(&p, NULL), 0);
	capture_print(&p, &b);
	assert_string_equal(b.data, "return of group 4\nslot 0 n {\n\tr0 = latency\n\temit r0\n}\n");
	buf_done(&b);
	p.aggregates = &sum;
	p.naggregates = 1;
	assert_int_equal(capture_verify(&p, NULL), 0);
	p.aggregates = &text;
	refuse(p, "aggregate 0");
	p = PROGRAM(1, REGION(0), K(0, 1), I(IR_EMIT, .a = 0), END);
	p.role = PROGRAM_EXIT;
	refuse(p, "no slots");
	p = PROGRAM(0, REGION(IR_SLOT_FILTER), I(IR_SAVED, .dst = 0), I(IR_FILTER, .a = 0), END);
	refuse(p, "outside a capture");
	p.role = PROGRAM_RETURN;
	p.call_group = 1;
	assert_int_equal(capture_verify(&p, NULL), 0);
}

static void test_accepted(void **state)
{
	struct err err = {0};
	struct capture_program p = PROGRAM(
		2, I(IR_G, .dst = 0), I(IR_GOROUTINE, .a = 0, .b = IR_NO_REG), REGION(IR_SLOT_FILTER),
		K(0, 1), I(IR_FILTER, .a = 0), END, REGION(0), K(0, 1), I(IR_JUMP_IF0, .a = 0, .label = 1),
		K(1, 5), I(IR_JUMP, .label = 0), I(IR_LABEL, .label = 1), K(1, 6), I(IR_LABEL, .label = 0),
		I(IR_EMIT, .a = 1), END, REGION(1), K(0, 1),
		I(IR_EMIT_STR, .a = 0, .b = 0, .slot = 1, .imm = 16), END);

	if (capture_verify(&p, &err) < 0)
		fail_msg("%s", err.text);
	p = program(NULL, 0, 0);
	assert_int_equal(capture_verify(&p, &err), 0);
}

static void test_print(void **state)
{
	struct buf b = {0};
	struct capture_program p = PROGRAM(
		2, REGION(IR_SLOT_FILTER), {.op = IR_ARG_REG, .dst = 0, .reg = GPR_RBX, .size = 4, .flags = IR_SIGNED},
		{.op = IR_LOAD, .dst = 1, .a = 0, .imm = -8, .size = 1},
		I(IR_BIN, .dst = 2, .a = 0, .b = 1, .bin = BIN_ULE), I(IR_FILTER, .a = 2), END, REGION(0),
		I(IR_STR_EQ, .dst = 3, .a = 1, .b = 2, .str = "GET", .imm = 3), I(IR_EMIT, .a = 3), END);

	capture_print(&p, &b);
	assert_string_equal(b.data, "filter {\n\tr0 = rbx i32\n\tr1 = [r0-8] u8\n\tr2 = r0 u<= r1\n"
				    "\tfilter r2\n}\nslot 0 n {\n\tr3 = str_eq(r1:r2, \"GET\")\n"
				    "\temit r3\n}\n");
	buf_done(&b);
}

static const char memory[] = "GET /index.html";

static bool read_memory(void *arg, uint64_t addr, void *out, size_t n)
{
	if (addr < 0x1000 || addr - 0x1000 > sizeof(memory) || n > sizeof(memory) - (addr - 0x1000))
		return false;
	memcpy(out, memory + (addr - 0x1000), n);
	return true;
}

static void test_meaning(void **state)
{
	static struct interp_result out;
	struct interp_input in = {.read = read_memory, .regs = {[GPR_RAX] = 0x1000, [GPR_RBX] = 15}};
	struct capture_program p = PROGRAM(
		2, REGION(0), I(IR_ARG_REG, .dst = 0, .reg = GPR_RAX), I(IR_ARG_REG, .dst = 1, .reg = GPR_RBX),
		I(IR_STR_PREFIX, .dst = 2, .a = 0, .b = 1, .str = "GET ", .imm = 4),
		I(IR_STR_SUFFIX, .dst = 3, .a = 0, .b = 1, .str = "html", .imm = 4),
		I(IR_BIN, .dst = 4, .a = 2, .b = 3, .bin = BIN_ADD), I(IR_EMIT, .a = 4), END, REGION(1),
		I(IR_ARG_REG, .dst = 0, .reg = GPR_RAX), I(IR_ARG_REG, .dst = 1, .reg = GPR_RBX),
		I(IR_EMIT_STR, .a = 0, .b = 1, .slot = 1, .imm = 3), END);

	assert_int_equal(capture_verify(&p, NULL), 0);
	interp_run(&p, &in, &out);
	assert_int_equal(out.slots[0].status, SLOT_OK);
	assert_int_equal(out.slots[0].value, 2);
	assert_int_equal(out.slots[1].status, SLOT_CUT);
	assert_string_equal(out.slots[1].bytes, "GET");
	assert_int_equal(out.slots[1].len, 15);
	in.regs[GPR_RAX] = 0x9000;
	interp_run(&p, &in, &out);
	assert_int_equal(out.slots[0].status, SLOT_UNREADABLE);
	assert_int_equal(out.slots[1].status, SLOT_NOT_RESIDENT);
	assert_int_equal(out.slots[1].value, 0x9000);
	assert_false(out.dropped);
}

/* ---- what is written ---- */

static struct inject_memory buffer;

static uint64_t inject(enum inject_form form)
{
	static struct interp_result out;
	struct interp_input in = {.read = inject_read, .write = inject_write, .regs = {[GPR_RAX] = (uintptr_t)&buffer}};
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = inject_program(insns, form);

	assert_int_equal(capture_verify(&p, NULL), 0);
	interp_run(&p, &in, &out);
	assert_int_equal(out.slots[0].status, SLOT_OK);
	return out.slots[0].value;
}

static void test_inject(void **state)
{
	static const char line[] = "\r\nTraceparent: " INJECT_HEX "\r\n\xee";
	static const char field[] = "\0\x0btraceparent\x37" INJECT_HEX "\xee";

	for (size_t i = 0; i < ARRAY_SIZE(inject_cases); i++) {
		const struct inject_case *c = &inject_cases[i];
		static struct inject_memory before;

		inject_fill(&buffer, c->form, c->filled, c->capacity, c->block);
		if (c->spoil)
			c->spoil(&buffer);
		before = buffer;
		if (inject(c->form) != c->outcome)
			fail_msg("%s: another outcome", c->name);
		if (c->outcome != INJECT_WRITTEN && memcmp(&buffer, &before, sizeof(before)))
			fail_msg("%s: something is changed", c->name);
	}
	inject_fill(&buffer, INJECT_LINE, 64, 4096, 0);
	inject(INJECT_LINE);
	assert_memory_equal(buffer.buffer + 62, line, sizeof(line) - 1);
	assert_int_equal(buffer.length, 64 + INJECT_LINE_BYTES);
	inject_fill(&buffer, INJECT_FIELD, 40, 128, 0);
	inject(INJECT_FIELD);
	assert_memory_equal(buffer.buffer + 40, field, sizeof(field) - 1);
	assert_int_equal(buffer.length, 40 + INJECT_FIELD_BYTES);
	inject_fill(&buffer, INJECT_FRAME, 300, 4096, 200);
	inject(INJECT_FRAME);
	assert_memory_equal(buffer.buffer + 300, field, sizeof(field) - 1);
	assert_memory_equal(buffer.buffer + 91, "\0\x01\x0d\x01\x05\x7f\x01\x02\x03", INJECT_FRAME_HEAD);
	assert_int_equal(buffer.length, 300 + INJECT_FIELD_BYTES);
}

static void test_inject_refused(void **state)
{
	static struct map_layout layout;
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = inject_program(insns, INJECT_FORMS);

	refuse(p, "no such form");
	p = inject_program(insns, INJECT_LINE);
	insns[INJECT_PROGRAM - 3].dst = 3;
	refuse(p, "one of its operands");
	insns[INJECT_PROGRAM - 3].dst = INJECT_WORDS;
	insns[INJECT_PROGRAM - 4].op = IR_LABEL;
	p.nlabels = 1;
	refuse(p, "not set on every path");
	refuse(PROGRAM(0, REGION(IR_SLOT_FILTER), I(IR_INJECT, .dst = 1), END), "outside a capture");
	refuse(PROGRAM(0, REGION(IR_SLOT_MARK), I(IR_INJECT, .dst = 1), END), "outside a capture");
	refuse(PROGRAM(1, REGION(0), K(0, 1),
		       I(IR_ANY_KEY, .dst = 1, .a = 0, .map = &layout, .str = "A", .imm = 1), END),
	       "more than letters");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_ANY_STR, .dst = 1, .a = 0, .b = 0, .at = 16, .str = "a-b", .imm = 3),
		       END), "more than letters");
	refuse(PROGRAM(1, REGION(0), K(0, 1), I(IR_ANY_STR, .dst = 1, .a = 0, .b = 0, .at = 8, .str = "ab", .imm = 2),
		       END), "have no text");
}

static void test_lend(void **state)
{
	static const char want[] = HDR "A: b\r\nTraceparent: " INJECT_HEX "\r\n\r\n", first[] = HDR "Traceparent: ";
	static char loan[IR_LOAN_BYTES];
	static struct interp_result out;
	struct interp_input in = {.read = inject_read, .write = inject_write, .loan = (uintptr_t)loan,
				  .regs = {[GPR_RAX] = (uintptr_t)&buffer}};
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = lend_program(insns);

	assert_int_equal(capture_verify(&p, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lend_cases); i++) {
		lend_fill(&buffer, lend_cases[i].headers, strlen(lend_cases[i].headers));
		interp_run(&p, &in, &out);
		if (out.slots[0].status != SLOT_OK || out.slots[0].value != lend_cases[i].outcome)
			fail_msg("%s: outcome %llu", lend_cases[i].headers, (unsigned long long)out.slots[0].value);
		assert_int_equal(out.lent, lend_cases[i].outcome == INJECT_WRITTEN);
	}
	lend_fill(&buffer, HDR "A: b\r\n\r\n", 18);
	interp_run(&p, &in, &out);
	assert_int_equal(out.lent_bytes, sizeof(want) - 1);
	assert_memory_equal(loan, want, sizeof(want) - 1);
	lend_fill(&buffer, "", 0);
	interp_run(&p, &in, &out);
	assert_int_equal(out.lent_bytes, 82);
	assert_memory_equal(loan, first, sizeof(first) - 1);
}

static void test_lend_refused(void **state)
{
	struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = lend_program(insns);

	insns[INJECT_PROGRAM - 3].imm = INJECT_LINE;
	refuse(p, "no such form");
	insns[INJECT_PROGRAM - 3].imm = INJECT_ALL_FORMS;
	refuse(p, "no such form");
	p = lend_program(insns);
	insns[INJECT_PROGRAM - 3].op = IR_INJECT;
	refuse(p, "no such form");
	p = lend_program(insns);
	insns[INJECT_PROGRAM - 3].given = NULL;
	refuse(p, "no parameter");
	insns[INJECT_PROGRAM - 3].given = &(struct ir_given){.nwords = 1};
	refuse(p, "no parameter");
	p = lend_record_program(insns);
	assert_int_equal(capture_verify(&p, NULL), 0);
	insns[INJECT_PROGRAM - 3].given = &(struct ir_given){.nwords = 1, .bytes = 40, .list = 24};
	refuse(p, "no part of the record");
	insns[INJECT_PROGRAM - 3].given = &(struct ir_given){.nwords = 1, .bytes = IR_LOAN_BYTES, .list = 24};
	refuse(p, "no part of the record");
	p = lend_program(insns);
	p.role = PROGRAM_RETURN;
	p.call_group = 1;
	refuse(p, "belongs to a point");
	p = release_program(insns);
	assert_int_equal(capture_verify(&p, NULL), 0);
	insns[0].slot = IR_SLOT_MARK;
	refuse(p, "outside the filter");
	refuse(PROGRAM(1, REGION(IR_SLOT_FILTER), K(0, 1), I(IR_RELEASE), END), "not stand alone");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lend), cmocka_unit_test(test_lend_refused),
		cmocka_unit_test(test_inject), cmocka_unit_test(test_inject_refused),
		cmocka_unit_test(test_images), cmocka_unit_test(test_chains), cmocka_unit_test(test_roles),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_meaning),
	};

	return cmocka_run_group_tests_name("ir", tests, NULL, NULL);
}
