/* binary/join_point, plant/uprobe/site: which instruction a uprobe gets, on written code and on the functions of real
 * programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/insn.h"
#include "lib/go_binaries.h"
#include "unit/open.h"
#include "unit/uprobe_sites.h"

#define SLOT 0x38 /* bytes of a function in the tiny program */

static struct tiny tiny;

static struct binary *open_code(const unsigned char *p, size_t n, struct func *ret)
{
	struct binary *b;

	tiny_build(&tiny, (struct tiny_options){0});
	assert_true(n <= SLOT);
	memset(tiny.data + TINY_TEXT, 0x90, SLOT);
	memcpy(tiny.data + TINY_TEXT, p, n);
	tiny.data[TINY_TEXT + SLOT - 1] = 0xcc;
	b = open_changed(&tiny);
	assert_true(binary_func(b, 0, ret));
	ret->flags = 0;
	return b;
}

/* ---- prices ---- */

#define PRICE(want, ...)                                                                           \
	do {                                                                                       \
		const unsigned char bytes_[] = {__VA_ARGS__};                                      \
		assert_int_equal(uprobe_price(bytes_, sizeof(bytes_)), want);                        \
	} while (0)

static void test_prices(void **state)
{
	PRICE(PRICE_NOP5, 0x0f, 0x1f, 0x44, 0x00, 0x00);
	PRICE(PRICE_EMULATED, 0x55);       /* push rbp */
	PRICE(PRICE_EMULATED, 0x41, 0x57); /* push r15 */
	PRICE(PRICE_EMULATED, 0x90);
	PRICE(PRICE_EMULATED, 0x66, 0x90);
	PRICE(PRICE_EMULATED, 0x76, 0x10);                         /* jbe rel8 */
	PRICE(PRICE_EMULATED, 0x0f, 0x86, 0x00, 0x01, 0x00, 0x00); /* jbe rel32 */
	PRICE(PRICE_EMULATED, 0xe8, 0x00, 0x00, 0x00, 0x00);
	PRICE(PRICE_EMULATED, 0xe9, 0x00, 0x00, 0x00, 0x00);
	PRICE(PRICE_EMULATED, 0xeb, 0x00);
	PRICE(PRICE_STEPPED, 0x48, 0x55);             /* a prefix the kernel does not emulate */
	PRICE(PRICE_STEPPED, 0x49, 0x3b, 0x66, 0x10); /* cmp rsp, [r14+0x10] */
	PRICE(PRICE_RETURN, 0xc3);
	PRICE(PRICE_STEPPED, 0xf3, 0xc3);       /* with a prefix */
	PRICE(PRICE_STEPPED, 0xc2, 0x08, 0x00); /* ret 8 */
	PRICE(PRICE_STEPPED, 0x0f, 0x1f, 0x40, 0x00);
	PRICE(PRICE_STEPPED, 0x0f, 0xb6, 0xc0);
	PRICE(PRICE_STEPPED, 0xff, 0xd0); /* call rax */
	PRICE(PRICE_REFUSED, 0xcc);
	PRICE(PRICE_REFUSED, 0x0f, 0x0b); /* ud2 */
	PRICE(PRICE_REFUSED, 0xf4);
	PRICE(PRICE_REFUSED, 0xf0, 0x0f, 0xc1, 0x07); /* lock xadd */
	PRICE(PRICE_REFUSED, 0x2e, 0x0f, 0x1f, 0x00); /* cs nop */
	PRICE(PRICE_REFUSED, 0xc5, 0xf8, 0x77);       /* vzeroupper */
	PRICE(PRICE_REFUSED, 0x66, 0xe8, 0x00, 0x00);
	PRICE(PRICE_REFUSED, 0x0f, 0x05); /* syscall */
	PRICE(PRICE_REFUSED, 0x66);
	PRICE(PRICE_REFUSED, 0x48);
}

static void test_prices_of_nothing(void **state)
{
	assert_int_equal(uprobe_price((const unsigned char *)"", 0), PRICE_REFUSED);
}

/* ---- written code ---- */

struct want {
	size_t offset;
	enum uprobe_price price;
	uint8_t flags_skip;
	int32_t sp_delta;
};

static void check_entry(const unsigned char *p, size_t n, struct want want)
{
	struct err err = {0};
	struct uprobe_site s;
	struct func f;
	struct binary *b = open_code(p, n, &f);

	if (entry_site(b, &f, &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(s.site.addr, f.entry + want.offset);
	assert_int_equal(s.offset, TINY_TEXT + want.offset);
	assert_int_equal(s.site.price, want.price);
	assert_int_equal(s.flags_skip, want.flags_skip);
	assert_int_equal(s.sp_delta, want.sp_delta);
	assert_int_equal(s.site.kind, JOIN_ENTRY);
	binary_free(b);
}

static void refuse_entry(const unsigned char *p, size_t n, uint32_t flags, int code,
                         const char *words)
{
	struct uprobe_site s = {.site.addr = 1};
	struct err err = {0};
	struct func f;
	struct binary *b = open_code(p, n, &f);

	f.flags = flags;
	assert_int_equal(entry_site(b, &f, &s, &err), code);
	assert_int_equal(s.site.addr, 1);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	binary_free(b);
}

#define CODE(...)                                                                                  \
	((const unsigned char[]){__VA_ARGS__}), sizeof((const unsigned char[]){__VA_ARGS__})

static void test_push_after_check(void **state)
{
	/* cmp; jbe M; push rbp; mov rbp, rsp; pop rbp; ret; M: call; jmp entry */
	check_entry(CODE(0x49, 0x3b, 0x66, 0x10, 0x76, 0x06, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3,
	                 0xe8, 0, 0, 0, 0, 0xeb, 0xed),
	            (struct want){6, PRICE_EMULATED, 0, 0});
}

static void test_branch_of_check(void **state)
{
	/* cmp; jbe M; sub rsp, 24; add rsp, 24; ret; M: call; jmp entry */
	check_entry(CODE(0x49, 0x3b, 0x66, 0x10, 0x76, 0x09, 0x48, 0x83, 0xec, 0x18, 0x48, 0x83,
	                 0xc4, 0x18, 0xc3, 0xe8, 0, 0, 0, 0, 0xeb, 0xea),
	            (struct want){4, PRICE_EMULATED, 0x41, 0});
}

static void test_push_first(void **state)
{
	check_entry(CODE(0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3),
	            (struct want){0, PRICE_EMULATED, 0, 0});
}

static void test_first_instruction(void **state)
{
	check_entry(CODE(0x48, 0x8b, 0x00, 0xc3), (struct want){0, PRICE_STEPPED, 0, 0});
}

/* A leaf that begins with test; jne: the branch is emulated and nothing has happened yet. */
static void test_later_on_the_line(void **state)
{
	check_entry(CODE(0x48, 0x85, 0xc0, 0x75, 0x01, 0xc3, 0xc3),
	            (struct want){3, PRICE_EMULATED, 0, 0});
	/* sub rsp, 24; test rax, rax; jne */
	check_entry(CODE(0x48, 0x83, 0xec, 0x18, 0x48, 0x85, 0xc0, 0x75, 0x01, 0xc3, 0xc3),
	            (struct want){7, PRICE_EMULATED, 0, 24});
}

/* … but not after a write to an argument register, a store, or what may fault. */
static void test_line_ends(void **state)
{
	check_entry(CODE(0x31, 0xc0, 0x75, 0x00, 0xc3), (struct want){0, PRICE_STEPPED, 0, 0});
	check_entry(CODE(0x30, 0xe4, 0x75, 0x00, 0xc3), (struct want){0, PRICE_STEPPED, 0, 0});
	check_entry(CODE(0x48, 0x83, 0x3a, 0x00, 0x75, 0x00, 0xc3),
	            (struct want){0, PRICE_STEPPED, 0, 0});
	check_entry(CODE(0x48, 0x89, 0x44, 0x24, 0x08, 0x75, 0x00, 0xc3),
	            (struct want){0, PRICE_STEPPED, 0, 0});
	check_entry(CODE(0x0f, 0x57, 0xc0, 0x75, 0x00, 0xc3),
	            (struct want){0, PRICE_STEPPED, 0, 0});
}

/* test; L: jne +0; jmp L: the branch would fire at each turn. */
static void test_loop_header(void **state)
{
	check_entry(CODE(0x48, 0x85, 0xc0, 0x75, 0x02, 0xeb, 0xfc, 0xc3),
	            (struct want){0, PRICE_STEPPED, 0, 0});
	refuse_entry(CODE(0x55, 0x5d, 0x75, 0xfc, 0xc3), 0, -ENOTSUP, "back to its own entry");
}

static void test_refusals(void **state)
{
	refuse_entry(CODE(0xc3), FUNC_ASM, -ENOTSUP, "written in assembly");
	refuse_entry(CODE(0xc3), FUNC_NO_FUNCDATA, -ENOTSUP, "or not in Go");
	refuse_entry(CODE(0x55, 0x06, 0xc3), 0, -EPROTO, "does not decode");
	refuse_entry(CODE(0xc5, 0xf8, 0x10, 0xc1, 0xc3), 0, -ENOTSUP,
	             "no instruction at the entry");
	/* mov r14, fs:[-8] */
	refuse_entry(CODE(0x64, 0x4c, 0x8b, 0x34, 0x25, 0xf8, 0xff, 0xff, 0xff, 0xc3), 0, -ENOTSUP,
	             "a stub with its arguments in memory (ABI0)");
}

static void check_returns(const unsigned char *p, size_t n, int code, size_t count,
                          const char *words)
{
	const struct site *s = NULL;
	struct err err = {0};
	struct func f;
	struct binary *b = open_code(p, n, &f);
	size_t got = 0;

	assert_int_equal(return_sites(b, &f, &s, &got, &err), code);
	assert_int_equal(got, count);
	for (; s; s = s->next, count--) {
		char text[48];

		assert_int_equal(s->kind, JOIN_RETURN);
		assert_int_equal(uprobe_site_of(s)->sp_delta, 0);
		assert_true(binary_insn_text(b, s->addr, text, sizeof(text)));
		assert_string_equal(text, "ret");
	}
	assert_int_equal(count, 0);
	if (words && !strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	binary_free(b);
}

static void test_returns(void **state)
{
	check_returns(CODE(0x75, 0x01, 0xc3, 0x90, 0xc3), 0, 2, NULL);
	check_returns(CODE(0xe9, 0x00, 0x10, 0, 0), -ENOTSUP, 0, "leaves by a jump");
	check_returns(CODE(0xff, 0xe0), -ENOTSUP, 0, "leaves by a jump");
	check_returns(CODE(0xe8, 0, 0, 0, 0, 0x0f, 0x0b), -ENOENT, 0, "never returns");
	check_returns(CODE(0xc3, 0x06), -EPROTO, 0, "does not decode");
}

/* ---- real programs ---- */

struct tally {
	size_t funcs, push, branch, emulated, stepped, refused, returns, stack;
};

/* What a site promises, tested by means of its own: it is an instruction, and SP is where it says.
 */
static void check_promise(struct binary *b, const struct func *f, const struct uprobe_site *s)
{
	struct prologue p;
	struct disasm c;
	uint64_t off;

	assert_int_equal(func_disasm(b, f, &c, NULL), 0);
	disasm_prologue(&c, &p);
	if (!disasm_at(&c, s->site.addr) || (s->flags_skip && !p.checked))
		fail_msg("%s: no instruction at %#" PRIx64, f->name, s->site.addr);
	assert_true(image_offset(binary_image(b), s->site.addr, &off));
	assert_int_equal(off, s->offset);
	if (s->sp_delta < 0 || s->sp_delta > f->frame_size)
		fail_msg("%s: SP %d below entry in a frame of %d", f->name, s->sp_delta,
		         f->frame_size);
	disasm_done(&c);
}

static void tally_func(struct binary *b, const struct func *f, struct tally *t)
{
	const struct site *sites;
	struct uprobe_site s;
	char text[48];
	size_t n;

	t->funcs++;
	t->returns += return_sites(b, f, &sites, &n, NULL) == 0;
	if (entry_site(b, f, &s, NULL)) {
		t->refused++;
		return;
	}
	check_promise(b, f, &s);
	t->stack += s.sp_delta != 0;
	if (s.flags_skip)
		t->branch++;
	else if (binary_insn_text(b, s.site.addr, text, sizeof(text)) && !strcmp(text, "push rbp"))
		t->push++;
	else if (s.site.price == PRICE_STEPPED)
		t->stepped++;
	else
		t->emulated++;
}

static void tally_binary(const char *path)
{
	struct tally t = {0};
	struct binary *b;
	struct err err = {0};
	struct func f;

	if (binary_open(path, &b, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < binary_func_count(b); i++)
		if (binary_func(b, i, &f) && !(f.flags & (FUNC_ASM | FUNC_NO_FUNCDATA)))
			tally_func(b, &f, &t);
	printf(
	    "%s: %zu functions, push %.1f%%, check's branch %.1f%%, other emulated %.1f%%, stepped "
	    "%.1f%%, refused %zu, with returns %.1f%%\n",
	    strrchr(path, '/') + 1, t.funcs, 100. * t.push / t.funcs, 100. * t.branch / t.funcs,
	    100. * t.emulated / t.funcs, 100. * t.stepped / t.funcs, t.refused,
	    100. * t.returns / t.funcs);
	assert_true(t.funcs > 1000);
	assert_true(t.refused * 100 < t.funcs);
	assert_true((t.push + t.branch + t.emulated) * 100 > t.funcs * 80);
	assert_true(t.returns * 100 > t.funcs * 90);
	binary_free(b);
}

static void test_programs(void **state)
{
	glob_t g;
	size_t n = go_binaries("bin/httpd-go1.*-sw", &g);

	if (!n) {
		globfree(&g);
		skip();
	}
	for (size_t i = 0; i < n; i++)
		tally_binary(g.gl_pathv[i]);
	globfree(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_prices),            cmocka_unit_test(test_prices_of_nothing),
	    cmocka_unit_test(test_push_after_check),  cmocka_unit_test(test_branch_of_check),
	    cmocka_unit_test(test_push_first),        cmocka_unit_test(test_first_instruction),
	    cmocka_unit_test(test_later_on_the_line), cmocka_unit_test(test_line_ends),
	    cmocka_unit_test(test_loop_header),       cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_returns),           cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
