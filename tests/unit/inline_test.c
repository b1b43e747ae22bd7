/*
 * binary/flow, binary/inline_site: where control goes, and which site stands for an inlined call, on code made by
 * hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "binary/flow.h"
#include "lib/tiny_inline.h"
#include "unit/uprobe_sites.h"
#include "unit/uprobe_sites.h"

#define AT 0x7000000 /* of code that lies in no file */

struct flowing {
	struct binary *binary;
	struct disasm code;
	struct flow flow;
};

static void flow_of(struct flowing *f, struct binary *b, const unsigned char *bytes, size_t n)
{
	f->binary = b;
	disasm_make(&arch_x86_64, bytes, n, AT, &f->code);
	assert_int_equal(f->code.bad, 0);
	flow_make(b, &f->code, &f->flow);
}

static void flow_end(struct flowing *f)
{
	flow_done(&f->flow);
	disasm_done(&f->code); /* nobody else uses it */
}

static struct binary *tiny_program(void)
{
	struct binary *b = tiny_open_inlined(NULL, 0, NULL, 0, NULL, 0);

	assert_non_null(b);
	return b;
}

/* The block that begins at an offset of the code. */
static uint32_t block_at(const struct flowing *f, uint64_t offset)
{
	const struct insn *i = disasm_at(&f->code, AT + offset);

	assert_non_null(i);
	return f->flow.block_of[i - f->code.insns];
}

#define FLOW(f, b, ...)                                                                                                \
	static const unsigned char f##_bytes[] = {__VA_ARGS__};                                                        \
	struct flowing f;                                                                                              \
	flow_of(&f, b, f##_bytes, sizeof(f##_bytes))

static void test_branches(void **state)
{
	struct binary *b = tiny_program();
	/* 0: je 4 ; 2: jmp 5 ; 4: nop ; 5: ret */
	FLOW(f, b, 0x74, 0x02, 0xeb, 0x01, 0x90, 0xc3);

	assert_null(f.flow.why);
	assert_int_equal(f.flow.nblocks, 4);
	assert_true(flow_dominates(&f.flow, block_at(&f, 0), block_at(&f, 5)));
	assert_false(flow_dominates(&f.flow, block_at(&f, 2), block_at(&f, 5)));
	assert_false(flow_dominates(&f.flow, block_at(&f, 4), block_at(&f, 5)));
	assert_int_equal(f.flow.blocks[block_at(&f, 5)].idom, block_at(&f, 0));
	assert_true(f.flow.blocks[block_at(&f, 5)].leaves);
	assert_int_equal(f.flow.blocks[block_at(&f, 5)].loop, FLOW_NONE);
	flow_end(&f);
	binary_free(b);
}

static void test_loops(void **state)
{
	struct binary *b = tiny_program();
	/* 0: nop ; 1: nop ; 2: nop ; 3: jne 2 ; 5: jne 1 ; 7: ret: a loop in a loop */
	FLOW(f, b, 0x90, 0x90, 0x90, 0x75, 0xfd, 0x75, 0xfa, 0xc3);

	assert_null(f.flow.why);
	assert_int_equal(f.flow.blocks[block_at(&f, 2)].loop, block_at(&f, 2));
	assert_int_equal(f.flow.blocks[block_at(&f, 2)].outer, block_at(&f, 1));
	assert_int_equal(f.flow.blocks[block_at(&f, 5)].loop, block_at(&f, 1));
	assert_true(flow_in_loop(&f.flow, block_at(&f, 2), block_at(&f, 1)));
	assert_false(flow_in_loop(&f.flow, block_at(&f, 5), block_at(&f, 2)));
	assert_false(flow_in_loop(&f.flow, block_at(&f, 7), block_at(&f, 1)));
	assert_true(flow_in_loop(&f.flow, block_at(&f, 7), FLOW_NONE));
	flow_end(&f);
	binary_free(b);
}

static void test_unclear(void **state)
{
	struct binary *b = tiny_program();
	/* 0: je 3 ; 2: nop ; 3: nop ; 4: jne 2 ; 6: ret: a loop with two ways into it */
	FLOW(f, b, 0x74, 0x01, 0x90, 0x90, 0x75, 0xfc, 0xc3);
	/* jmp [rcx+rdx*8], and nothing says what RCX is */
	FLOW(g, b, 0xff, 0x24, 0xd1, 0xc3);
	/* a jump into an instruction */
	FLOW(h, b, 0xeb, 0x01, 0x48, 0x89, 0xc8, 0xc3);

	assert_non_null(strstr(f.flow.why, "at several places"));
	assert_non_null(strstr(g.flow.why, "jump table"));
	assert_non_null(strstr(h.flow.why, "into an instruction"));
	flow_end(&f);
	flow_end(&g);
	flow_end(&h);
	binary_free(b);
}

/* A jump table in the tiny program's read-only data. */
static void test_table(void **state)
{
	static const uint64_t table[] = {AT + 11, AT + 12, 0};
	static struct tiny t;
	unsigned char code[] = {0x48, 0x8d, 0x0d, 0, 0, 0, 0, /* lea rcx, [rip+table] */
				0xff, 0x24, 0xd1, 0xcc,       /* jmp [rcx+rdx*8] */
				0x90, 0xc3};
	struct binary *b;
	struct flowing f;
	uint32_t to;

	tiny_build(&t, (struct tiny_options){0});
	memcpy(t.data + TINY_GOFUNC + 0x40, table, sizeof(table));
	to = (uint32_t)(t.base + TINY_GOFUNC + 0x40 - (AT + 7));
	memcpy(code + 3, &to, 4);
	b = tiny_open(&t, NULL);
	assert_non_null(b);
	flow_of(&f, b, code, sizeof(code));
	assert_null(f.flow.why);
	assert_int_equal(f.flow.blocks[0].nsucc, 2);
	assert_true(flow_dominates(&f.flow, 0, block_at(&f, 12)));
	assert_false(flow_dominates(&f.flow, block_at(&f, 11), block_at(&f, 12)));
	flow_end(&f);
	binary_free(b);
}

/* Behind the call of a function that never returns comes a block that it has nothing to do with. */
static void test_endless_call(void **state)
{
	static struct tiny t;
	unsigned char code[] = {0x74, 0x05, 0xe8, 0, 0, 0, 0, 0xc3}; /* je 7 ; call F ; 7: ret */
	uint32_t to;

	for (int endless = 0; endless < 2; endless++) {
		struct binary *b;
		struct flowing f;

		tiny_build(&t, (struct tiny_options){0});
		memset(t.data + TINY_TEXT + 0x40, 0x90, 0x38);
		memcpy(t.data + TINY_TEXT + 0x40, endless ? "\xeb\xfe" : "\x90\xc3", 2); /* jmp to itself, or a RET */
		to = (uint32_t)(t.base + TINY_TEXT + 0x40 - (AT + 7));
		memcpy(code + 3, &to, 4);
		b = tiny_open(&t, NULL);
		assert_non_null(b);
		flow_of(&f, b, code, sizeof(code));
		assert_int_equal(f.flow.blocks[block_at(&f, 2)].nsucc, !endless);
		flow_end(&f);
		binary_free(b);
	}
}

/* ---- sites ---- */

/* The one inlined call's body is [from, to) of the code; parent is where its mark stands. */
static int site_of(const unsigned char *code, size_t n, unsigned from, unsigned to, uint32_t parent,
		   uint64_t *ret_offset, bool *ret_proved)
{
	const uint32_t tree[] = {0, TINY_INLINED_NAME, parent, 7};
	/* the index of the call: -1 to from, 0 to to, -1 behind; without a body before it the table begins with 0 */
	const uint8_t before[] = {0, (uint8_t)from, 2, (uint8_t)(to - from), 1, (uint8_t)(TINY_CODE_SIZE - to), 0};
	const uint8_t at_once[] = {2, (uint8_t)to, 1, (uint8_t)(TINY_CODE_SIZE - to), 0};
	struct binary *b = tiny_open_inlined(tree, sizeof(tree), from ? before : at_once,
					     from ? sizeof(before) : sizeof(at_once), code, n);
	const char *approximate;
	struct inlined in;
	struct uprobe_site site;
	int r;

	assert_non_null(b);
	assert_int_equal(binary_inlined(b, "main.(*Point).Move", &in, 1), 1);
	assert_int_equal(in.entry - in.host.entry, from);
	assert_int_equal(in.call - in.host.entry, parent);
	r = inlined_site(b, &in, &site, &approximate, NULL);
	if (!r) {
		*ret_offset = site.site.addr - in.host.entry;
		*ret_proved = !approximate;
	}
	binary_free(b);
	return r;
}

#define SITE(want_r, want_offset, want_proved, from, to, parent, ...)                                                  \
	do {                                                                                                           \
		static const unsigned char bytes_[] = {__VA_ARGS__};                                                   \
		uint64_t offset_ = 0;                                                                                  \
		bool proved_ = false;                                                                                  \
		assert_int_equal(site_of(bytes_, sizeof(bytes_), from, to, parent, &offset_, &proved_), want_r);       \
		assert_int_equal(offset_, want_offset);                                                                \
		assert_int_equal(proved_, want_proved);                                                                \
	} while (0)

/* The rest of the function is filled up with int3. */
#define INT3_8 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc
#define END 0xc3, INT3_8, INT3_8, INT3_8, INT3_8, INT3_8, INT3_8, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc

static void test_sites(void **state)
{
	/* nop (the mark) ; mov [rax], rcx */
	SITE(0, 1, true, 1, 4, 0, 0x90, 0x48, 0x89, 0x08, END);
	/* nop ; lea rax, [rcx+7]: nothing chooses between it and something else … */
	SITE(0, 1, true, 1, 5, 0, 0x90, 0x48, 0x8d, 0x41, 0x07, END);
	/* … or something does: cmove rax, rcx */
	SITE(0, 1, false, 1, 5, 0, 0x90, 0x48, 0x8d, 0x41, 0x07, 0x48, 0x0f, 0x44, 0xc1, END);
	/* a store cannot be computed for nothing */
	SITE(0, 1, true, 1, 4, 0, 0x90, 0x48, 0x89, 0x08, 0x48, 0x0f, 0x44, 0xc1, END);
	/* no mark of its own, and nothing but what may have been moved */
	SITE(0, 0, false, 0, 4, 4, 0x48, 0x8d, 0x41, 0x07, END);
	/* a store at the line of the call, in the same block */
	SITE(0, 0, true, 0, 4, 4, 0x48, 0x8d, 0x41, 0x07, 0x48, 0x89, 0x08, END);
}

static void test_sites_in_loops(void **state)
{
	/* a body that is a loop: dec [rax] ; jne */
	SITE(-ENOTSUP, 0, false, 0, 5, 5, 0x48, 0xff, 0x08, 0x75, 0xfb, END);
	/* with a mark before it, that is where it is counted */
	SITE(0, 0, true, 1, 6, 0, 0x90, 0x48, 0xff, 0x08, 0x75, 0xfb, END);
	/* a caller's loop: dec [rax] (the body) ; dec rcx ; jne (the caller's) */
	SITE(0, 0, true, 0, 3, 3, 0x48, 0xff, 0x08, 0x48, 0xff, 0xc9, 0x75, 0xf8, END);
	/* moved out of a loop, which makes the call: lea (the body) ; add [rax], rax ; dec rcx ; jne */
	SITE(0, 0, false, 0, 4, 4, 0x48, 0x8d, 0x41, 0x07, 0x48, 0x01, 0x00, 0x48, 0xff, 0xc9, 0x75, 0xf8, END);
	/* two parts in two branches, neither before the other: je ; inc [rax] ; jmp ; inc [rbx] ; ret */
	SITE(0, 2, false, 2, 10, 0, 0x74, 0x05, 0x48, 0xff, 0x00, 0xeb, 0x03, 0x48, 0xff, 0x03, END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_branches), cmocka_unit_test(test_loops),        cmocka_unit_test(test_unclear),
		cmocka_unit_test(test_table),    cmocka_unit_test(test_endless_call), cmocka_unit_test(test_sites),
		cmocka_unit_test(test_sites_in_loops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
