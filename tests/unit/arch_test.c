/*
 * binary/arch: what is written of x86-64 against the system's own headers, and that nothing else knows of x86-64: a
 * machine is made up that is the same but for the numbers and names of its registers and where the kernel saves them,
 * and all that is read of programs, and all code that is made for uprobes, must be the same but for these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/ptrace.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "binary/abi.h"
#include "binary/arch_x86_64.h"
#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "plant/patch/code.h"
#include "plant/uprobe/compile.h"
#include "unit/open.h"
#include "unit/uprobe_sites.h"

enum { GENERAL = 16, FLOATS = 16 };

/* ---- x86-64 ---- */

static void test_kernel(void **state)
{
	static const uint16_t want[] = {
		[GPR_RAX] = offsetof(struct pt_regs, rax), [GPR_RBX] = offsetof(struct pt_regs, rbx),
		[GPR_RCX] = offsetof(struct pt_regs, rcx), [GPR_RDI] = offsetof(struct pt_regs, rdi),
		[GPR_RSI] = offsetof(struct pt_regs, rsi), [GPR_R8] = offsetof(struct pt_regs, r8),
		[GPR_R9] = offsetof(struct pt_regs, r9),   [GPR_R10] = offsetof(struct pt_regs, r10),
		[GPR_R11] = offsetof(struct pt_regs, r11), [GPR_RDX] = offsetof(struct pt_regs, rdx),
		[GPR_R12] = offsetof(struct pt_regs, r12), [GPR_R13] = offsetof(struct pt_regs, r13),
		[GPR_R14] = offsetof(struct pt_regs, r14), [GPR_R15] = offsetof(struct pt_regs, r15),
		[GPR_RBP] = offsetof(struct pt_regs, rbp), [GPR_RSP] = offsetof(struct pt_regs, rsp),
	};

	assert_int_equal(arch_x86_64.nregisters, ARRAY_SIZE(want));
	assert_memory_equal(arch_x86_64.saved_registers, want, sizeof(want));
	assert_int_equal(arch_x86_64.saved_pc, offsetof(struct pt_regs, rip));
	assert_int_equal(arch_x86_64.saved_flags, offsetof(struct pt_regs, eflags));
}

static void test_found(void **state)
{
	char name[ARCH_REGISTER_TEXT];

	assert_ptr_equal(arch_of_machine(EM_X86_64), &arch_x86_64);
	assert_null(arch_of_machine(EM_SPARC));
	assert_ptr_equal(arch_host(), &arch_x86_64);
	assert_int_equal(arch_dwarf_register(&arch_x86_64, 7), GPR_RSP);
	assert_int_equal(arch_dwarf_register(&arch_x86_64, 32), XMM_0 + 15);
	assert_int_equal(arch_dwarf_register(&arch_x86_64, 16), REG_NONE);
	assert_int_equal(arch_dwarf_register(&arch_x86_64, 33), REG_NONE);
	assert_int_equal(arch_dwarf_register(&arch_x86_64, UINT64_MAX), REG_NONE);
	arch_register_text(&arch_x86_64, GPR_R14, name);
	assert_string_equal(name, "R14");
	arch_register_text(&arch_x86_64, XMM_0 + 3, name);
	assert_string_equal(name, "X3");
	arch_register_text(&arch_x86_64, GENERAL, name);
	assert_string_equal(name, "?");
	arch_register_text(&arch_x86_64, REG_NONE, name);
	assert_string_equal(name, "?");
}

/* ---- a machine that is made up ---- */

static uint8_t renumbered(uint8_t reg)
{
	return reg < GENERAL ? (uint8_t)(GENERAL - 1 - reg) : reg;
}

static bool other_effect(const struct disasm *c, const struct insn *i, struct insn_effect *ret)
{
	uint32_t written = 0;

	if (!arch_x86_64.effect(c, i, ret))
		return false;
	for (uint8_t r = 0; r < GENERAL; r++)
		if (ret->written & 1u << r)
			written |= 1u << renumbered(r);
	ret->written = written;
	ret->mem_base = renumbered(ret->mem_base);
	ret->reg = renumbered(ret->reg);
	ret->reg2 = renumbered(ret->reg2);
	return true;
}

static void other_prologue(const struct disasm *c, struct prologue *ret)
{
	arch_x86_64.prologue(c, ret);
	for (size_t i = 0; i < ret->nspills; i++)
		ret->spills[i].reg = renumbered(ret->spills[i].reg);
}

static const char *const other_names[] = {"q0", "q1", "q2",  "q3",  "q4",  "q5",  "q6",  "q7",
					  "q8", "q9", "q10", "q11", "q12", "q13", "q14", "q15"};
static uint8_t other_args[GENERAL], other_dwarf[40];
static uint16_t other_saved[GENERAL];

static struct arch make_up(void)
{
	struct arch a = arch_x86_64;

	a.name = "other";
	a.registers = other_names;
	a.float_name = "f";
	a.go_float_name = "F";
	a.sp = renumbered(a.sp);
	a.fp = renumbered(a.fp);
	a.g = renumbered(a.g);
	a.context = renumbered(a.context);
	for (size_t i = 0; i < a.nint_args; i++)
		other_args[i] = renumbered(a.int_args[i]);
	for (size_t i = 0; i < a.ndwarf_registers; i++)
		other_dwarf[i] = renumbered(a.dwarf_registers[i]);
	for (uint8_t r = 0; r < GENERAL; r++)
		other_saved[renumbered(r)] = a.saved_registers[r] + 1000;
	a.int_args = other_args;
	a.dwarf_registers = other_dwarf;
	a.saved_registers = other_saved;
	a.saved_pc += 1000;
	a.saved_flags += 1000;
	a.effect = other_effect;
	a.prologue = other_prologue;
	return a;
}

/* ---- reading ---- */

static struct binary *open_as(const char *path, const struct arch *arch)
{
	struct binary *b = open_program(path);

	b->img.arch = arch; /* no instruction has been looked at so far */
	return b;
}

static const char *insn_of(struct binary *b, const struct site *s, char ret[48])
{
	return binary_insn_text(b, s->addr, ret, 48) ? ret : "";
}

static void same_sites(struct binary *a, struct binary *b, const struct func *f, const struct site *s,
		       const struct site *t)
{
	char s_insn[48], t_insn[48];

	for (; s && t; s = s->next, t = t->next) {
		const struct uprobe_site *x = uprobe_site_of(s), *y = uprobe_site_of(t);

		insn_of(a, s, s_insn);
		insn_of(b, t, t_insn);
		if (s->addr != t->addr || s->price != t->price || x->flags_skip != y->flags_skip ||
		    x->sp_delta != y->sp_delta || strcmp(s_insn, t_insn))
			fail_msg("%s: site %#llx (%s), then %#llx (%s)", f->name, (unsigned long long)s->addr, s_insn,
				 (unsigned long long)t->addr, t_insn);
	}
	assert_true(!s && !t);
}

static void same_params(const struct func *f, const struct param *x, const struct param *y, size_t n, size_t *ret_regs)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(x[i].npieces, y[i].npieces);
		assert_true(!x[i].why == !y[i].why);
		for (size_t k = 0; k < x[i].npieces; k++) {
			const struct piece *p = &x[i].pieces[k], *q = &y[i].pieces[k];

			if (p->where != q->where || (p->where != ON_STACK && q->reg != renumbered(p->reg)) ||
			    p->offset != q->offset || p->size != q->size || p->stack != q->stack)
				fail_msg("%s: piece %zu of parameter %zu: register %u, then %u", f->name, k, i, p->reg,
					 q->reg);
			*ret_regs += p->where == IN_REG;
		}
	}
}

static void same_signature(struct binary *a, struct binary *b, const struct func *f, size_t *ret_regs)
{
	struct err err_a = {0}, err_b = {0};
	struct signature x, y;
	int r = binary_signature(a, f, NULL, &x, &err_a);

	if (binary_signature(b, f, NULL, &y, &err_b) != r)
		fail_msg("%s: \"%s\", then \"%s\"", f->name, err_a.text, err_b.text);
	if (r)
		return;
	assert_int_equal(x.nparams, y.nparams);
	assert_int_equal(x.nresults, y.nresults);
	assert_int_equal(x.sources, y.sources);
	same_params(f, x.params, y.params, x.nparams, ret_regs);
	same_params(f, x.results, y.results, x.nresults, ret_regs);
}

static void same_function(struct binary *a, struct binary *b, const struct func *f, size_t *ret_regs)
{
	const struct site *x = NULL, *y = NULL;
	struct uprobe_site s = {0}, t = {0};
	size_t n = 0, m = 0;
	int r = entry_site(a, f, &s, NULL);

	assert_int_equal(entry_site(b, f, &t, NULL), r);
	if (!r)
		same_sites(a, b, f, &s.site, &t.site);
	assert_int_equal(return_sites(a, f, &x, &n, NULL), return_sites(b, f, &y, &m, NULL));
	assert_int_equal(n, m);
	same_sites(a, b, f, x, y);
	same_signature(a, b, f, ret_regs);
}

static void same_inlined(struct binary *a, struct binary *b, const char *name, size_t *ret_regs)
{
	static struct inlined in_a[64], in_b[64];
	size_t n = MIN(binary_inlined(a, name, in_a, ARRAY_SIZE(in_a)), ARRAY_SIZE(in_a));
	struct signature x, y;
	const char *p = NULL, *q = NULL;
	struct uprobe_site s, t;

	assert_int_equal(MIN(binary_inlined(b, name, in_b, ARRAY_SIZE(in_b)), ARRAY_SIZE(in_b)), n);
	for (size_t k = 0; k < n; k++) {
		int r = inlined_site(a, &in_a[k], &s, &p, NULL);

		assert_int_equal(inlined_site(b, &in_b[k], &t, &q, NULL), r);
		if (r)
			continue;
		same_sites(a, b, &in_a[k].host, &s.site, &t.site);
		if (!p != !q || (p && strcmp(p, q)))
			fail_msg("%s: \"%s\", then \"%s\"", name, p ? p : "", q ? q : "");
		r = binary_inlined_signature(a, &in_a[k], s.site.addr, &x, NULL);
		assert_int_equal(binary_inlined_signature(b, &in_b[k], s.site.addr, &y, NULL), r);
		if (!r)
			same_params(&in_a[k].host, x.params, y.params, x.nparams, ret_regs);
	}
}

static void same_program(const char *path)
{
	const struct arch other = make_up();
	struct binary *a = open_as(path, &arch_x86_64), *b = open_as(path, &other);
	size_t registers = 0, pos = 0, inlined = 0;
	const char *name;
	struct func f;

	for (size_t i = 0; i < binary_func_count(a); i++)
		if (binary_func(a, i, &f))
			same_function(a, b, &f, &registers);
	while (binary_inlined_next(a, &pos, &name))
		if (!strncmp(name, "main.", 5)) {
			same_inlined(a, b, name, &registers);
			inlined++;
		}
	print_message("%s: %zu words in registers, %zu inlined functions\n", path, registers, inlined);
	assert_true(registers > 1000);
	binary_free(a);
	binary_free(b);
}

static void test_programs(void **state)
{
	if (!go_binaries_each("bin/inlined-go1.27-plain", same_program) |
	    !go_binaries_each("bin/inlined-go1.23-sw", same_program) |
	    !go_binaries_each("bin/calls-go1.19-plain", same_program))
		skip();
}

/* A machine whose instructions have four bytes each: tables of pcs count these, and the header says so. */
static void test_pc_unit(void **state)
{
	struct arch other = make_up();
	static struct tiny tiny;
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	struct pclntab_header h;
	struct pc_walk w = {0};
	struct pc_range by_1, by_4;
	uint64_t pos = 0;
	struct func f;

	assert_true(binary_func(b, 0, &f));
	w.table = func_pcsp(b, &f);
	assert_true(pc_walk_next(b, &w, &by_1));
	b->pcln.pc_unit = 4;
	w = (struct pc_walk){.table = w.table};
	assert_true(pc_walk_next(b, &w, &by_4));
	assert_int_equal(by_4.end, 4 * by_1.end);
	assert_true(pclntab_next(&b->img, &pos, &h));
	other.pc_unit = 4;
	b->img.arch = &other;
	pos = 0;
	assert_false(pclntab_next(&b->img, &pos, &h));
	binary_free(b);
}

/* A register that is saved where the declaration says something else: the machine's own name is in the sentence. */
static void test_sentence(void **state)
{
	/* cmp rsp, [r14+16]; jbe M; push rbp; pop rbp; ret; M: mov [rsp+8], rax; call; mov rax, [rsp+8]; jmp entry */
	static const unsigned char code[] = {0x49, 0x3b, 0x66, 0x10, 0x76, 0x03, 0x55, 0x5d, 0xc3, 0x48, 0x89, 0x44,
					     0x24, 0x08, 0xe8, 0, 0, 0, 0, 0x48, 0x8b, 0x44, 0x24, 0x08, 0xeb, 0xe6};
	const struct arch other = make_up();
	const struct declared_param params[] = {{"a", "int"}, {"b", "int"}};
	const struct declared_signature decl = {.params = params, .nparams = 2, .has_results = true};
	static struct tiny tiny;
	struct signature sig;
	struct err err = {0};
	struct binary *b;
	struct func f;

	tiny_build(&tiny, (struct tiny_options){0});
	memset(tiny.data + TINY_TEXT, 0x90, 0x38);
	memcpy(tiny.data + TINY_TEXT, code, sizeof(code));
	b = open_changed(&tiny);
	b->img.arch = &other;
	assert_true(binary_func(b, 0, &f));
	f.flags = 0;
	assert_int_equal(binary_signature(b, &f, &decl, &sig, &err), -EPROTO);
	if (!strstr(err.text, "Q14") || !strstr(err.text, "Q15:8") || strstr(err.text, "RAX"))
		fail_msg("%s", err.text);
	binary_free(b);
}

/* ---- capture programs ---- */

static const struct ir_insn all_kinds[] = {
	{.op = IR_REGION, .slot = IR_SLOT_FILTER},
	{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RBX, .size = 4, .flags = IR_SIGNED}, {.op = IR_FILTER, .a = 0},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RAX, .size = 8},
	{.op = IR_LOAD, .dst = 1, .a = 0, .imm = 16, .size = 8},
	{.op = IR_LOAD, .dst = 2, .a = 0, .imm = 200, .size = 8},
	{.op = IR_EMIT_STR, .slot = 0, .a = 1, .b = 2, .imm = 64}, {.op = IR_END},
	{.op = IR_REGION, .slot = 1}, {.op = IR_ARG_STACK, .dst = 0, .imm = 24, .size = 8},
	{.op = IR_SAVE, .a = 0, .imm = 1}, {.op = IR_EMIT, .slot = 1, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 2}, {.op = IR_G, .dst = 0}, {.op = IR_EMIT, .slot = 2, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 3}, {.op = IR_PC_RET, .dst = 0}, {.op = IR_EMIT, .slot = 3, .a = 0}, {.op = IR_END},
	{.op = IR_REGION, .slot = 4}, {.op = IR_EMIT_STACK, .slot = 4, .imm = 8}, {.op = IR_END},
};
enum { NINSNS = ARRAY_SIZE(all_kinds) };

static struct capture_program program_for(const struct arch *arch, struct ir_insn *insns)
{
	static struct ir_slot slots[] = {{.kind = VALUE_STRING}, {.kind = VALUE_INT}, {.kind = VALUE_POINTER},
					 {.kind = VALUE_PC}, {.kind = VALUE_STACK}};

	memcpy(insns, all_kinds, sizeof(all_kinds));
	for (size_t i = 0; arch != &arch_x86_64 && i < NINSNS; i++)
		if (insns[i].op == IR_ARG_REG)
			insns[i].reg = renumbered(insns[i].reg);
	return (struct capture_program){.arch = arch, .insns = insns, .ninsns = NINSNS, .slots = slots, .nslots = 5,
					.nregs = 3, .save_group = 1, .call_group = 1,
					.g = {.goid = 152, .stack_hi = 8}};
}

static void compile(const struct capture_program *p, struct emit *ret)
{
	const struct uprobe_env env = {.ring = 11, .scratch = 12, .losses = 13, .saved = 14, .calls = 15,
				       .big_calls = 16, .scratch_per_cpu = 4, .ring_bytes = 4 << 20};
	const struct site_shape shape = {.sp_delta = 32, .flags_skip = 0x41};
	struct err err = {0};

	if (uprobe_compile(p, 77, &shape, &env, ret, &err))
		fail_msg("%s", err.text);
}

/* The same instructions; what is read of the site's registers (R6) lies 1000 bytes behind. */
static size_t same_code(const struct emit *x, const struct emit *y)
{
	size_t site = 0;

	assert_int_equal(x->code.len, y->code.len);
	for (size_t i = 0; i < x->code.len; i++) {
		struct bpf_insn a = x->code.data[i], b = y->code.data[i];

		if ((a.code & 7) == BPF_LDX && a.src_reg == R6) {
			a.off += 1000;
			site++;
		}
		assert_memory_equal(&a, &b, sizeof(a));
	}
	return site;
}

static void test_uprobe_code(void **state)
{
	const struct arch other = make_up();
	struct ir_insn in_x[NINSNS], in_y[NINSNS];

	for (int role = PROGRAM_POINT; role <= PROGRAM_EXIT; role++) {
		struct capture_program p = program_for(&arch_x86_64, in_x), q = program_for(&other, in_y);
		_cleanup_(emit_done) struct emit x = {0}, y = {0};

		p.role = q.role = (enum program_role)role;
		if (role >= PROGRAM_UNWIND)
			p.ninsns = q.ninsns = p.nslots = q.nslots = 0;
		compile(&p, &x);
		compile(&q, &y);
		/* flags, g and SP of each; … of a point, and the pc of an entry, that too */
		assert_true(same_code(&x, &y) >= (role >= PROGRAM_UNWIND ? 3 : 8));
	}
}

/* Where calls leave the return address in a register. */
static void test_link_register(void **state)
{
	static struct ir_insn pc[] = {{.op = IR_REGION}, {.op = IR_PC_RET}, {.op = IR_EMIT}, {.op = IR_END}};
	static struct ir_insn stack[] = {{.op = IR_REGION}, {.op = IR_EMIT_STACK, .imm = 8}, {.op = IR_END}};
	struct arch other = make_up();
	struct ir_slot slot = {.kind = VALUE_PC};
	struct capture_program p = {.arch = &other, .insns = pc, .ninsns = ARRAY_SIZE(pc), .slots = &slot,
				    .nslots = 1, .nregs = 1, .g = {.goid = 152, .stack_hi = 8}};
	_cleanup_(emit_done) struct emit with = {0}, without = {0};
	const struct uprobe_env env = {.scratch_per_cpu = 1};
	struct err err = {0};
	size_t loads = 0;

	compile(&p, &without);
	other.link = 5;
	compile(&p, &with);
	for (size_t i = 0; i < with.code.len; i++)
		loads += (with.code.data[i].code & 7) == BPF_LDX && with.code.data[i].src_reg == R6 &&
			 with.code.data[i].off == other_saved[5];
	assert_int_equal(loads, 1);
	assert_true(with.code.len < without.code.len);
	slot.kind = VALUE_STACK;
	p.insns = stack;
	p.ninsns = ARRAY_SIZE(stack);
	assert_int_equal(uprobe_compile(&p, 1, &(struct site_shape){0}, &env, &without, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "stacks of other programs are not read");
}

/* Patching makes code for one machine. */
static void test_not_patched(void **state)
{
	const struct arch other = make_up();
	const struct capture_program p = {.arch = &other};
	const struct patch_area area = {0};
	struct buf out = {0};
	struct err err = {0};

	assert_int_equal(patch_compile(&p, 1, &(struct patch_env){.layout = &area}, &out, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "patching makes code for x86-64 alone, and the program is other");
	assert_int_equal(out.len, 0);
}

static void test_printed_and_refused(void **state)
{
	const struct arch other = make_up();
	struct arch small = other;
	static struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = 0}, {.op = IR_ARG_REG, .dst = 0, .reg = 3, .size = 8},
		{.op = IR_ARG_FLOAT, .dst = 1, .reg = 2, .size = 8}, {.op = IR_EMIT, .a = 0}, {.op = IR_END},
	};
	static struct ir_slot slot = {.kind = VALUE_INT, .name = "n"};
	struct capture_program p = {.arch = &other, .insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &slot,
				    .nslots = 1, .nregs = 2};
	struct buf out = {0};

	capture_print(&p, &out);
	assert_string_equal(out.data, "slot 0 n {\n\tr0 = q3 u64\n\tr1 = f2 u64\n\temit r0\n}\n");
	buf_done(&out);
	assert_int_equal(capture_verify(&p, NULL), 0);
	small.nfloat_args = 2;
	p.arch = &small;
	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
	small.nfloat_args = 3;
	assert_int_equal(capture_verify(&p, NULL), 0);
	small.nregisters = 3;
	assert_int_equal(capture_verify(&p, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),	    cmocka_unit_test(test_found),
		cmocka_unit_test(test_programs),    cmocka_unit_test(test_sentence),
		cmocka_unit_test(test_pc_unit),
		cmocka_unit_test(test_uprobe_code), cmocka_unit_test(test_link_register),
		cmocka_unit_test(test_not_patched), cmocka_unit_test(test_printed_and_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
