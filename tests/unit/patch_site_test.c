/* plant/patch: which instruction becomes a jump, what moves, and where the code may lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/insn.h"
#include "lib/go_binaries.h"
#include "plant/patch/facts.h"
#include "plant/patch/place.h"
#include "plant/uprobe/site.h"
#include "unit/open.h"

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

#define CODE(...)                                                                                  \
	((const unsigned char[]){__VA_ARGS__}), sizeof((const unsigned char[]){__VA_ARGS__})

struct want {
	size_t at, len, before, after;
	bool checked;
	size_t morestack, resume; /* offsets; resume 0: ret */
	int32_t sp_delta;
};

static void compare(const struct func *f, const struct patch_site *s, const struct want *w)
{
	assert_int_equal(s->addr, f->entry + w->at);
	assert_int_equal(s->len, w->len);
	assert_int_equal(s->nbefore, w->before);
	assert_int_equal(s->nafter, w->after);
	assert_int_equal(s->checked, w->checked);
	assert_int_equal(s->morestack, w->checked ? f->entry + w->morestack : 0);
	assert_int_equal(s->resume, w->resume ? f->entry + w->resume : 0);
	assert_int_equal(s->sp_delta, w->sp_delta);
	assert_memory_equal(s->old, tiny.data + TINY_TEXT + w->at, PATCH_JUMP);
}

static void check_entry(const unsigned char *p, size_t n, struct want w)
{
	struct patch_site s;
	struct err err = {0};
	struct func f;
	struct binary *b = open_code(p, n, &f);

	if (patch_entry_site(b, NULL, &f, &s, &err))
		fail_msg("%s", err.text);
	compare(&f, &s, &w);
	binary_free(b);
}

static void check_return(const unsigned char *p, size_t n, size_t ret_at, struct want w)
{
	struct patch_site s;
	struct err err = {0};
	struct func f;
	struct binary *b = open_code(p, n, &f);

	if (patch_return_site(b, NULL, &f, f.entry + ret_at, &s, &err))
		fail_msg("%s", err.text);
	compare(&f, &s, &w);
	binary_free(b);
}

/* ret_at 0: the entry. */
static void refuse(const unsigned char *p, size_t n, size_t ret_at, uint32_t flags, const char *words)
{
	struct patch_site s;
	struct err err = {0};
	struct func f;
	struct binary *b = open_code(p, n, &f);
	int r;

	f.flags = flags;
	r = ret_at ? patch_return_site(b, NULL, &f, f.entry + ret_at, &s, &err)
		   : patch_entry_site(b, NULL, &f, &s, &err);
	assert_int_equal(r, -ENOTSUP);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	binary_free(b);
}

/* cmp rsp, [r14+16]; jbe M; sub rsp, 24; add rsp, 24; ret; M: call; jmp entry */
#define SMALL CODE(0x49, 0x3b, 0x66, 0x10, 0x76, 0x09, 0x48, 0x83, 0xec, 0x18, 0x48, 0x83, 0xc4, 0x18, 0xc3, 0xe8, 0, \
		   0, 0, 0, 0xeb, 0xea)

static void test_small_frame(void **state)
{
	check_entry(SMALL, (struct want){.at = 0, .len = 4, .before = 4, .checked = true, .morestack = 15,
					 .resume = 6});
}

/* lea r12, [rsp-32]; cmp r12, [r14+16]; jbe M; ret; M: call; jmp entry */
static void test_large_frame(void **state)
{
	check_entry(CODE(0x4c, 0x8d, 0x64, 0x24, 0xe0, 0x4d, 0x3b, 0x66, 0x10, 0x76, 0x01, 0xc3, 0xe8, 0, 0, 0, 0, 0xeb,
			 0xed),
		    (struct want){.at = 0, .len = 5, .before = 9, .checked = true, .morestack = 12, .resume = 11});
}

static void test_no_check(void **state)
{
	/* push rbp; mov rbp, rsp; sub rsp, 16; …: recorded when SP is 8 below the entry's */
	check_entry(CODE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3),
		    (struct want){.at = 4, .len = 4, .after = 4, .resume = 8, .sp_delta = 8});
	/* mov [rsp+8], rax; ret */
	check_entry(CODE(0x48, 0x89, 0x44, 0x24, 0x08, 0xc3), (struct want){.len = 5, .after = 5, .resume = 5});
}

static void test_entries_refused(void **state)
{
	refuse(CODE(0x48, 0x8b, 0x40, 0x08, 0xc3), 0, 0, "may fault");            /* mov rax, [rax+8] */
	refuse(CODE(0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xc3), 0, 0, "its own address"); /* lea rax, [rip] */
	refuse(CODE(0x48, 0x01, 0xd8, 0xc3), 0, 0, "too short");                  /* add rax, rbx */
	refuse(CODE(0x48, 0xf7, 0xbc, 0x24, 8, 0, 0, 0, 0xc3), 0, 0, "may fault");/* idiv [rsp+8] */
	refuse(CODE(0x48, 0x83, 0xc0, 0x01, 0xeb, 0xfa, 0xc3), 0, 0, "back to its own entry");
	refuse(SMALL, 0, FUNC_ASM, "assembly");
	refuse(SMALL, 0, FUNC_NO_FUNCDATA, "not Go code");
}

static void test_returns(void **state)
{
	/* …; add rsp, 24; pop rbp; ret: the pun is the pop */
	check_return(CODE(0x90, 0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3), 6, (struct want){.at = 1, .len = 4, .before = 5});
	/* mov rbp, [rsp+16]; add rsp, 24; ret: needs no pun */
	check_return(CODE(0x48, 0x8b, 0x6c, 0x24, 0x10, 0x48, 0x83, 0xc4, 0x18, 0xc3), 9,
		     (struct want){.at = 0, .len = 5, .before = 9});
	/* add rsp, 0x118; pop rbp; ret */
	check_return(CODE(0x48, 0x81, 0xc4, 0x18, 1, 0, 0, 0x5d, 0xc3), 8,
		     (struct want){.at = 0, .len = 7, .before = 8});
}

static void test_returns_refused(void **state)
{
	/* je to the pop: test rax, rax; je +4; add rsp, 24; pop rbp; ret */
	refuse(CODE(0x48, 0x85, 0xc0, 0x74, 0x04, 0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3), 10, 0, "a jump leads into");
	/* call; pop rbp; ret */
	refuse(CODE(0xe8, 0, 0, 0, 0, 0x5d, 0xc3), 6, 0, "long enough");
	/* jmp rax; mov eax, 1; ret: the table may lead to the ret itself */
	refuse(CODE(0xff, 0xe0, 0xb8, 1, 0, 0, 0, 0xc3), 7, 0, "jump table");
	/* … but not into an epilogue */
	check_return(CODE(0xff, 0xe0, 0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3), 7,
		     (struct want){.at = 2, .len = 4, .before = 5});
}

/* ---- where it goes ---- */

static void test_places(void **state)
{
	struct patch_site sites[3] = {{.addr = 0x401000, .len = 4, .pun = 0x76},
				      {.addr = 0x402000, .len = 4, .pun = 0x5d},
				      {.addr = 0x403000, .len = 7}};
	struct trampoline t[3];
	range_vec occupied = {0};
	region_vec regions = {0};

	vec_push(&occupied, ((struct range){0x400000, 0x800000}));
	vec_push(&occupied, ((struct range){0x76800000, 0x77400000})); /* in the way */
	for (int i = 0; i < 3; i++)
		t[i] = (struct trampoline){.site = &sites[i], .bytes = 200, .entry = 32};
	trampolines_place(&occupied, 0, t, 3, 8, &regions);
	for (int i = 0; i < 3; i++) {
		assert_true(t[i].placed);
		assert_true(patch_reaches(&sites[i], t[i].addr + t[i].entry));
		for (size_t k = 0; k < occupied.len; k++)
			assert_true(t[i].addr + 200 <= occupied.data[k].start || t[i].addr >= occupied.data[k].end);
	}
	assert_int_equal(regions.len, 2);
	vec_done(&occupied);
	vec_done(&regions);
}

static void test_no_place(void **state)
{
	struct patch_site site = {.addr = 0x401000, .len = 4, .pun = 0xc3}; /* would lie below zero */
	struct trampoline t = {.site = &site, .bytes = 100};
	range_vec occupied = {0};
	region_vec regions = {0};

	trampolines_place(&occupied, 0, &t, 1, 8, &regions);
	assert_false(t.placed);
	vec_push(&occupied, ((struct range){0x5d000000, 0x5f000000}));
	site.pun = 0x5d;
	trampolines_place(&occupied, 0, &t, 1, 8, &regions);
	assert_false(t.placed);
	trampolines_place(&occupied, 0x10000000, &t, 1, 0, &regions); /* no region allowed */
	assert_false(t.placed);
	vec_done(&occupied);
	vec_done(&regions);
}

/* ---- real programs ---- */

static void each_function(struct binary *b, const struct patch_exclusion *x, const struct func *f, size_t *ok)
{
	struct patch_site s;
	struct err err = {0};
	struct disasm c;
	const struct insn *i;

	if (patch_entry_site(b, x, f, &s, &err)) {
		assert_true(err.text[0]);
		return;
	}
	(*ok)++;
	assert_int_equal(func_disasm(b, f, &c, &err), 0);
	i = disasm_at(&c, s.addr);
	assert_non_null(i);
	assert_int_equal(i->len, s.len);
	assert_true(s.len >= PATCH_JUMP - 1);
	assert_non_null(disasm_at(&c, s.resume));
	disasm_done(&c);
}

/* A thread in one of these can make system calls for us, whatever becomes of them. */
static void check_calls(struct binary *b)
{
	const struct facts *facts = facts_of(b, NULL);

	assert_non_null(facts);
	assert_true(facts->calls.futex && facts->calls.any == facts->calls.futex);
	for (size_t i = 0; i < SYSCALLS_UNREAD; i++)
		assert_true(facts->calls.unread[i] && facts->calls.unread[i] != facts->calls.futex);
}

static void each_program(const char *path)
{
	struct binary *b = open_program(path);
	struct patch_exclusion *x = patch_exclusion_new(b);
	size_t n = binary_func_count(b), ok = 0;
	struct func f;

	for (size_t i = 0; i < n; i++)
		if (binary_func(b, i, &f))
			each_function(b, x, &f, &ok);
	if (ok < n / 2 && !strstr(path, "-race")) /* there calls of the race detector stand before the stack check */
		fail_msg("%s: only %zu of %zu functions can be patched", path, ok, n);
	/* The hooks of the packs run in no signal handler; what surely does is left alone. */
	assert_true(binary_func_find(b, "runtime.gopanic", &f, 1));
	assert_null(patch_excluded(x, &f));
	assert_true(binary_func_find(b, "runtime.sighandler", &f, 1));
	assert_non_null(patch_excluded(x, &f));
	patch_exclusion_free(x);
	check_calls(b);
	binary_free(b);
}

/* The planter's sites are its own: of those of another planter nothing is asked. */
static void locate_all(const char *path)
{
	struct binary *b = open_program(path);
	const struct facts *facts = facts_of(b, NULL);
	size_t other = 0, located = 0;
	struct func f;

	assert_non_null(facts);
	for (size_t i = 0; i < binary_func_count(b); i++) {
		const struct site *s = NULL, *uprobe = NULL;
		struct join_point at;
		struct patch_site want;
		size_t n = 0;

		if (!binary_func(b, i, &f))
			continue;
		join_point_entry(b, &f, &at, NULL);
		assert_int_equal(patch_locate(b, &at, &s, NULL),
				 patch_entry_site(b, facts->exclusion, &f, &want, NULL));
		if (!s)
			continue;
		located++;
		assert_int_equal(patch_site_of(s)->addr, want.addr);
		assert_int_equal(s->addr, want.addr);
		if (!uprobe_locate(b, &at, &uprobe, NULL))
			other += uprobe->addr != s->addr;
		if (join_point_returns(b, &f, &at, NULL) || patch_locate(b, &at, &s, NULL))
			continue;
		for (; s; s = s->next, n++)
			assert_int_equal(patch_site_of(s)->kind, SITE_RETURN);
		assert_int_equal(n, at.nspots);
	}
	assert_true(located > 500 && other > 100);
	binary_free(b);
}

static void test_locate(void **state)
{
	if (!go_binaries_each("bin/seq-go1.2[57]-sw", locate_all))
		skip();
}

static void test_inlined(void **state)
{
	static const struct spot spot = {0};
	const struct join_point at = {.kind = JOIN_INLINED, .spots = &spot, .nspots = 1};
	const struct site *s = NULL;
	struct err err = {0};
	struct binary *b;
	glob_t g;

	if (!go_binaries("bin/seq-go1.27-sw", &g)) {
		globfree(&g);
		skip();
	}
	b = open_program(g.gl_pathv[0]);
	assert_int_equal(patch_locate(b, &at, &s, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "an inlined call"));
	binary_free(b);
	globfree(&g);
}

static void test_programs(void **state)
{
	if (!go_binaries_each("bin/seq-go1.*-*", each_program))
		skip();
}

static void check_unread(const unsigned char *p, size_t n, uint64_t at)
{
	struct func f;
	struct binary *b = open_code(p, n, &f);

	f.flags = FUNC_ASM;
	assert_int_equal(facts_unread_syscall(b, &f), at ? f.entry + at : 0);
	f.flags = 0;
	assert_int_equal(facts_unread_syscall(b, &f), 0);
	binary_free(b);
}

static void test_unread_syscalls(void **state)
{
	/* The ends of runtime.osyield, of runtime.usleep, and of that until Go 1.20. */
	check_unread(CODE(0xb8, 0x18, 0, 0, 0, 0x0f, 0x05, 0xc3), 5);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3), 1);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x8b, 0x6c, 0x24, 0x10, 0x48, 0x83, 0xc4, 0x18, 0xc3), 1);
	/* runtime.futex: mov [rsp+0x30], eax; test eax, eax; mov rbp, rax; mov rbp, [rsp+rax]; mov rbp, [rax]; cdq. */
	check_unread(CODE(0x90, 0x0f, 0x05, 0x89, 0x44, 0x24, 0x30, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x85, 0xc0, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x89, 0xc5, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x8b, 0x2c, 0x04, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x8b, 0x28, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x99, 0xc3), 0);
	/* push rax; add rsp, rax; a jump to the ret; nothing behind. */
	check_unread(CODE(0x90, 0x0f, 0x05, 0x50, 0x58, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0x48, 0x01, 0xc4, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0xeb, 0x00, 0xc3), 0);
	check_unread(CODE(0x90, 0x0f, 0x05, 0xcc), 0);
	check_unread(CODE(0x90, 0xc3), 0);
}

/*
 * movsx rdx, al; movsx rbx, bx; add rdx, rbx; movsxd rcx, ecx; add rcx, rdx; add rcx, rdi; lea rax, [rsi+rcx]; ret:
 * a jump at the lea would lead below the program, one at the second instruction would share a byte with the entry's.
 */
static void test_straight_leaf(void **state)
{
	static const unsigned char code[] = {0x48, 0x0f, 0xbe, 0xd0, 0x48, 0x0f, 0xbf, 0xdb, 0x48, 0x01, 0xda, 0x48,
					     0x63,
					     0xc9, 0x48, 0x01, 0xd1, 0x48, 0x01, 0xf9, 0x48, 0x8d, 0x04, 0x0e, 0xc3};

	check_entry(code, sizeof(code), (struct want){.at = 0, .len = 4, .after = 4, .resume = 4});
	check_return(code, sizeof(code), 24, (struct want){.at = 0, .len = 4, .before = 24});
	/* Without the first: the second is the entry then. */
	check_return(code + 4, sizeof(code) - 4, 20, (struct want){.at = 0, .len = 4, .before = 20});
}

/* mov eax, 1; xor ebx, ebx; xor ecx, ecx; ret: one place for both. */
static void test_entry_and_return(void **state)
{
	static const unsigned char code[] = {0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0x31, 0xc9, 0xc3};

	check_entry(code, sizeof(code), (struct want){.at = 0, .len = 5, .after = 5, .resume = 5});
	check_return(code, sizeof(code), 9, (struct want){.at = 0, .len = 5, .before = 9});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_straight_leaf),  cmocka_unit_test(test_unread_syscalls),
		cmocka_unit_test(test_entry_and_return),
		cmocka_unit_test(test_small_frame),    cmocka_unit_test(test_large_frame),
		cmocka_unit_test(test_no_check),       cmocka_unit_test(test_entries_refused),
		cmocka_unit_test(test_returns),        cmocka_unit_test(test_returns_refused),
		cmocka_unit_test(test_places),         cmocka_unit_test(test_no_place),
		cmocka_unit_test(test_programs),       cmocka_unit_test(test_locate),
		cmocka_unit_test(test_inlined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
