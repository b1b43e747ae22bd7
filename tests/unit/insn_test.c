/* binary/insn, binary/argmeta: instruction bytes, prologues of every form, ArgInfo strings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "binary/arch_x86_64.h"
#include "binary/abi.h"
#include "binary/insn.h"

/* The three forms of the check; the morestack block saves RAX as 8 bytes, CL as 1, X0 as 8. */
#define SPILLS                                                                                     \
	0x48, 0x89, 0x44, 0x24, 0x08, 0x88, 0x4c, 0x24, 0x10, 0xf2, 0x0f, 0x11, 0x44, 0x24, 0x18
#define UNSPILLS                                                                                   \
	0x48, 0x8b, 0x44, 0x24, 0x08, 0x0f, 0xb6, 0x4c, 0x24, 0x10, 0xf2, 0x0f, 0x10, 0x44, 0x24,  \
	    0x18
#define CALL 0xe8, 0, 0, 0, 0

static void check_prologue(const unsigned char *p, size_t n, size_t check, bool abi0)
{
	struct prologue pro;
	struct disasm c;

	disasm_make(&arch_x86_64, p, n, 0x1000, &c);
	assert_int_equal(c.bad, 0);
	disasm_prologue(&c, &pro);
	assert_true(pro.checked);
	assert_int_equal(pro.check, check);
	assert_int_equal(pro.abi0, abi0);
	assert_int_equal(pro.nspills, 3);
	assert_int_equal(pro.spills[0].reg, GPR_RAX);
	assert_int_equal(pro.spills[0].size, 8);
	assert_int_equal(pro.spills[0].stack, 8);
	assert_int_equal(pro.spills[1].reg, GPR_RCX);
	assert_int_equal(pro.spills[1].size, 1);
	assert_int_equal(pro.spills[1].stack, 16);
	assert_int_equal(pro.spills[2].reg, XMM_0);
	assert_int_equal(pro.spills[2].size, 8);
	disasm_done(&c);
}

static void test_small_frame(void **state)
{
	const unsigned char p[] = {0x49,   0x3b, 0x66, 0x10, 0x76, 0x03,     0x55, 0x5d, 0xc3,
	                           SPILLS, 0x0f, 0x1f, 0x00, CALL, UNSPILLS, 0xeb, 0xce};

	check_prologue(p, sizeof(p), 1, false);
}

static void test_large_frame(void **state)
{
	const unsigned char p[] = {0x4c, 0x8d, 0x64,   0x24, 0xd8,     0x4d, 0x3b, 0x66,
	                           0x10, 0x0f, 0x86,   0x03, 0,        0,    0,    0x55,
	                           0x5d, 0xc3, SPILLS, CALL, UNSPILLS, 0xeb, 0xc8};

	check_prologue(p, sizeof(p), 2, false);
}

static void test_huge_frame(void **state)
{
	const unsigned char p[] = {0x49, 0x89, 0xe4, 0x49,   0x81, 0xec,     0,    0,    1,
	                           0,    0x72, 0x09, 0x4d,   0x3b, 0x66,     0x10, 0x76, 0x03,
	                           0x55, 0x5d, 0xc3, SPILLS, CALL, UNSPILLS, 0xeb, 0xc5};

	check_prologue(p, sizeof(p), 4, false);
}

static void test_abi0(void **state)
{
	const unsigned char p[] = {0x64, 0x48, 0x8b,   0x0c, 0x25,     0xf8, 0xff, 0xff,
	                           0xff, 0x48, 0x3b,   0x61, 0x10,     0x76, 0x03, 0x55,
	                           0x5d, 0xc3, SPILLS, CALL, UNSPILLS, 0xeb, 0xc8};

	check_prologue(p, sizeof(p), 2, true);
}

static void test_no_check(void **state)
{
	/* The same branch, but what it leads to is no morestack block: it returns. */
	const unsigned char p[] = {0x49, 0x3b, 0x66, 0x10, 0x76, 0x01, 0xc3,
	                           0x48, 0x89, 0x44, 0x24, 0x08, 0xc3};
	struct prologue pro;
	struct disasm c;

	disasm_make(&arch_x86_64, p, sizeof(p), 0x1000, &c);
	disasm_prologue(&c, &pro);
	assert_false(pro.checked);
	disasm_done(&c);
}

static void test_sweep(void **state)
{
	const unsigned char p[] = {0x74, 0x02, 0xff, 0xe0, 0xc3, 0xcc, 0xe8, 1, 0, 0, 0, 0x06};
	static const uint8_t kinds[] = {INSN_BRANCH, INSN_JUMP_INDIRECT, INSN_RET, INSN_TRAP,
	                                INSN_CALL};
	struct insn_effect e;
	struct disasm c;
	char text[48];

	disasm_make(&arch_x86_64, p, sizeof(p), 0x1000, &c);
	assert_int_equal(c.n, sizeof(kinds));
	for (size_t i = 0; i < c.n; i++)
		assert_int_equal(c.insns[i].kind, kinds[i]);
	assert_int_equal(c.insns[0].target, 0x1004);
	assert_int_equal(c.insns[4].target, 0x100c);
	assert_int_equal(c.bad, 0x100b);
	assert_null(disasm_at(&c, 0x1001));
	assert_ptr_equal(disasm_at(&c, 0x1004), &c.insns[2]);
	assert_false(disasm_contains(&c, 0x100c));
	assert_true(insn_effect(&c, &c.insns[4], &e));
	assert_true(e.written & 1u << GPR_RSP);
	insn_text(&c, &c.insns[2], text, sizeof(text));
	assert_string_equal(text, "ret");
	disasm_done(&c);
}

static void effect_of(const unsigned char *p, size_t n, struct insn_effect *ret)
{
	struct disasm c;

	disasm_make(&arch_x86_64, p, n, 0x1000, &c);
	assert_int_equal(c.n, 1);
	assert_true(insn_effect(&c, &c.insns[0], ret));
	disasm_done(&c);
}

static void test_effects(void **state)
{
	struct insn_effect e;

	effect_of((const unsigned char[]){0x48, 0x83, 0xec, 0x20}, 4, &e); /* sub rsp, 0x20 */
	assert_true(e.sp_known);
	assert_int_equal(e.sp_change, -32);
	effect_of((const unsigned char[]){0x55}, 1, &e);
	assert_int_equal(e.sp_change, -8);
	assert_true(e.stores);
	effect_of((const unsigned char[]){0x48, 0x8b, 0x48, 0x08}, 4, &e); /* mov rcx, [rax+8] */
	assert_true(e.may_fault);
	assert_int_equal(e.written, 1u << GPR_RCX);
	effect_of((const unsigned char[]){0x88, 0xc3}, 2, &e); /* mov bl, al */
	assert_int_equal(e.written, 1u << GPR_RBX);
	effect_of((const unsigned char[]){0x48, 0x8d, 0x05, 1, 0, 0, 0}, 7,
	          &e); /* lea rax, [rip+1] */
	assert_false(e.loads);
	assert_false(e.may_fault);
	effect_of((const unsigned char[]){0x0f, 0x57, 0xc0}, 3, &e); /* xorps xmm0, xmm0 */
	assert_int_equal(e.written_float, 1);
	effect_of((const unsigned char[]){0x48, 0x83, 0xe4, 0xf0}, 4, &e); /* and rsp, -16 */
	assert_false(e.sp_known);
}

static void test_arginfo(void **state)
{
	const unsigned char p[] = {0x00, 8, 0xfe, 0x08, 8, 0x10, 8,    0xfd, 0xfe, 0xfd, 0xfe,
	                           0x18, 1, 0xfe, 0x20, 4, 0xfc, 0xfd, 0xfd, 0xfb, 0xfc, 0xff};
	struct arginfo a;

	assert_true(arginfo_parse(p, sizeof(p), &a));
	assert_int_equal(a.nitems, 5);
	assert_false(a.items[0].aggregate);
	assert_int_equal(a.items[0].n, 1);
	assert_true(a.items[1].aggregate);
	assert_int_equal(a.items[1].n, 2);
	assert_int_equal(a.components[a.items[1].first + 1].offset, 0x10);
	assert_int_equal(a.items[2].n, 0);
	assert_int_equal(a.items[3].n, 2);
	assert_true(a.items[3].cut);
	assert_true(a.items[4].cut);
	assert_true(a.cut);
}

static void test_bad_arginfo(void **state)
{
	static const struct {
		unsigned char p[40];
		size_t n;
	} bad[] = {
	    {{0}, 0},          {{0}, 1},          {{0xfe, 0xff}, 2},   {{0xfd, 0xff}, 2},
	    {{0xf5, 0xff}, 2}, {{0, 8, 8, 8}, 4}, {{[39] = 0xff}, 40}, {{0, 8, 0xff}, 2},
	};
	struct arginfo a = {.nitems = 77};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(arginfo_parse(bad[i].p, bad[i].n, &a));
	assert_int_equal(a.nitems, 77);
}

/* What does not fit goes to the stack whole, and what comes after it may still take registers. */
static void test_assignment(void **state)
{
	struct assign a = {.arch = &arch_x86_64};
	struct abi_shape word, slice = {.nwords = 3, .size = 24, .align = 8}, real, pair = {.size = 16};
	struct abi_place p;

	shape_word(&word, 8, WORD_INT);
	shape_word(&real, 8, WORD_FLOAT);
	for (uint32_t i = 0; i < 3; i++)
		slice.words[i] = (struct word){i * 8, 8, i ? WORD_INT : WORD_POINTER};
	pair.memory = true;
	pair.align = 8;
	abi_assign(&a, &slice, false, &p);
	assert_int_equal(p.regs[2], GPR_RCX);
	abi_assign(&a, &slice, false, &p);
	abi_assign(&a, &word, false, &p);
	assert_int_equal(p.regs[0], GPR_R9);
	abi_assign(&a, &slice, false, &p);
	assert_false(p.registers);
	assert_int_equal(p.offset, 0);
	abi_assign(&a, &word, false, &p);
	assert_true(p.registers);
	assert_int_equal(p.regs[0], GPR_R10);
	assert_int_equal(p.offset, 56);
	abi_assign(&a, &real, false, &p);
	assert_int_equal(p.regs[0], XMM_0);
	abi_assign(&a, &pair, false, &p);
	assert_int_equal(p.offset, 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		    cmocka_unit_test(test_small_frame), cmocka_unit_test(test_large_frame),
	    cmocka_unit_test(test_huge_frame),  cmocka_unit_test(test_abi0),
	    cmocka_unit_test(test_no_check),    cmocka_unit_test(test_sweep),
	    cmocka_unit_test(test_effects),     cmocka_unit_test(test_arginfo),
	    cmocka_unit_test(test_bad_arginfo), cmocka_unit_test(test_assignment),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
