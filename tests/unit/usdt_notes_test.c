/* usdt/: notes and their arguments, what is refused and that all else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/buf.h"
#include "lib/tiny_go.h"
#include "lib/tiny_usdt.h"
#include "usdt/notes.h"

static struct tiny_usdt tiny;

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("usdt", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

static struct usdt_notes *read_bytes(const void *data, size_t size)
{
	int fd = file_of(data, size);
	struct usdt_notes *n = NULL;
	struct err err = {0};

	if (usdt_notes_read(fd, "prog", &n, &err) < 0)
		fail_msg("%s", err.text);
	close(fd);
	return n;
}

static struct usdt_notes *read_tiny(void)
{
	return read_bytes(tiny.data, sizeof(tiny.data));
}

static void note_args(const char *args)
{
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE, 0, 0, "p", "n", args);
}

/* ---- arguments ---- */

/* As "SIZE[f] PLACE", for comparison. */
static void describe(uint16_t machine, const struct usdt_arg *a, struct buf *out)
{
	buf_printf(out, "%d%s ", a->size, a->is_float ? "f" : "");
	switch (a->place) {
	case USDT_CONSTANT:
		buf_printf(out, "= %lld", (long long)a->constant);
		break;
	case USDT_REGISTER:
		buf_printf(out, "%s", usdt_register_name(machine, a->base));
		break;
	case USDT_MEMORY:
		buf_printf(out, "[%s+%s*%d+%lld]", a->base < 0 ? "" : usdt_register_name(machine, a->base),
			   a->index < 0 ? "" : usdt_register_name(machine, a->index), a->scale,
			   (long long)a->constant);
		break;
	case USDT_REFUSED:
		buf_printf(out, "! %s", a->why);
	}
}

static void check_arg(uint16_t type, uint16_t machine, const char *arg, const char *expected)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.type = type, .machine = machine, .symbols = SHT_SYMTAB});
	note_args(arg);
	n = read_tiny();
	assert_int_equal(n->n, 1);
	assert_int_equal(n->sites[0].n_args, 1);
	assert_string_equal(n->sites[0].args[0].text, arg);
	describe(n->machine, n->sites[0].args, &text);
	if (!strstr(text.data, expected) || (expected[0] != '!' && strcmp(text.data, expected)))
		fail_msg("%s: \"%s\" instead of \"%s\"", arg, text.data, expected);
	usdt_notes_free(n);
}

struct arg_case {
	const char *arg, *expected;
};

static void test_x86_64(void **state)
{
	static const struct arg_case cases[] = {
		{"8@%rdi", "8 rdi"}, {"-4@%eax", "-4 rax"}, {"-4@%rdi", "-4 rdi"}, {"1@%rsi", "1 rsi"},
		{"1@%sil", "1 rsi"},
		{"2@%bp", "2 rbp"}, {"-1@%bpl", "-1 rbp"}, {"4@%r8d", "4 r8"}, {"2@%r10w", "2 r10"},
		{"1@%r15b", "1 r15"},
		{"8@%rsp", "8 rsp"}, {"1@%cl", "1 rcx"}, {"2@%si", "2 rsi"}, {"8@%r9", "8 r9"},
		{"8@(%rax)", "8 [rax+*1+0]"}, {"-8@-16(%rbp)", "-8 [rbp+*1+-16]"}, {"8@0x10(%rsp)", "8 [rsp+*1+16]"},
		{"8@(%rdi,%rsi,8)", "8 [rdi+rsi*8+0]"}, {"4@-4(%r8,%r9)", "4 [r8+r9*1+-4]"},
		{"4@$5", "4 = 5"}, {"-4@$-5", "-4 = -5"}, {"8@$18446744073709551615", "8 = -1"}, {"8@$0x7f", "8 = 127"},
		{"8@$-9223372036854775808", "8 = -9223372036854775808"},
		{"8f@%rdx", "8f rdx"}, {"4f@%eax", "4f rax"}, {"8f@-8(%rbp)", "8f [rbp+*1+-8]"},
		{"8@counter(%rip)", "8 [+*1+4202752]"}, {"4@40+stats(%rip)", "4 [+*1+4203048]"},
		{"4@stats+40(%rip)", "4 [+*1+4203048]"}, {"4@0+stats(%rip)", "4 [+*1+4203008]"},
		{"8@%xmm0", "! it lies in a floating-point register"},
		{"8f@%xmm12", "! it lies in a floating-point register"},
		{"1@%ah", "! it lies in the second byte"}, {"8@%foo", "! \"foo\" is no register"},
		{"8@%", "! \"\" is no register"},
		{"8@%rip", "! \"rip\" is no register"}, {"8@%eflags", "! \"eflags\" is no register"},
		{"8@%fs:-8", "! it lies in a thread's own memory"}, {"8@%r16", "! \"r16\" is no register"},
		{"8@16(%rip)", "! it counts from an instruction"},
		{"8@absent(%rip)", "! the file has no symbol of that name"},
		{"8@twice(%rip)", "! the file has several symbols"},
		{"8@local(%rip)", "! its symbol lies in a thread's own"},
		{"8@8+counter(%rip)", "! it lies outside"}, {"8@-8+counter(%rip)", "! it lies outside"},
		{"8@counter-8(%rip)", "! it lies outside"}, {"8@76+stats(%rip)", "! it lies outside"},
		{"8@counter@GOTPCREL(%rip)", "! the file has no symbol of that name"},
		{"8@counter", "! its address is fixed"}, {"8@16", "! its address is fixed"},
		{"8@$counter", "! its address is fixed"},
		{"8@(,%rax,4)", "! its address is fixed"}, {"8@counter(%rax)", "! its address is fixed"},
		{"8@(%rax,%rbx,3)", "! its scale"}, {"8@(%rax,%rbx,8", "! its parenthesis is not closed"},
		{"8@(%rax,)", "! it has no index"},
		{"8@()", "! it has no register"}, {"8@(%rax)x", "! \"x\" follows"},
		{"8@%rax,", "! \",\" follows"}, {"8@", "! it is no operand"},
		{"8@$", "! it has no number behind its $"}, {"8@40+(%rip)", "! it has neither"},
		{"8@1x(%rax)", "! it has neither"},
		{"8@$99999999999999999999", "! it has neither"}, {"8@$-9223372036854775809", "! it has no number"},
		{"3@%rax", "! its size is none of"}, {"0@%rax", "! its size is none of"},
		{"-@%rax", "! its size is no number"}, {"16@%rax", "! its size is none of"},
		{"@%rax", "! its size is no number"}, {"%rax", "! it has no size"},
		{"8ff@%rax", "! its size is none"}, {"2f@%ax", "! it is a float of neither"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_arg(ET_DYN, EM_X86_64, cases[i].arg, cases[i].expected);
}

/* Addresses of a file that is loaded where it says. */
static void test_fixed(void **state)
{
	static const struct arg_case cases[] = {
		{"8@counter", "8 [+*1+4202752]"}, {"8@stats(,%rax,8)", "8 [+rax*8+4203008]"},
		{"8@$counter", "8 = 4202752"},
		{"8@stats+16(%rdi)", "8 [rdi+*1+4203024]"}, {"8@4202752", "8 [+*1+4202752]"},
		{"1@$stats+79", "1 = 4203087"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_arg(ET_EXEC, EM_X86_64, cases[i].arg, cases[i].expected);
}

static void test_arm64(void **state)
{
	static const struct arg_case cases[] = {
		{"8@x0", "8 x0"}, {"-4@w19", "-4 x19"}, {"8@sp", "8 sp"}, {"8@x30", "8 x30"},
		{"8@[sp, 16]", "8 [sp+*1+16]"},
		{"8@[x0]", "8 [x0+*1+0]"}, {"-4@[x29, -20]", "-4 [x29+*1+-20]"}, {"4@[x1,#8]", "4 [x1+*1+8]"},
		{"8@[x0, x1]", "8 [x0+x1*1+0]"}, {"8@[x0, x1, lsl 3]", "8 [x0+x1*8+0]"},
		{"8@[x0, x1, lsl #2]", "8 [x0+x1*4+0]"},
		{"4@5", "4 = 5"}, {"-4@-5", "-4 = -5"}, {"4@#7", "4 = 7"}, {"8@xzr", "8 = 0"},
		{"8@x31", "! \"x31\" is no register"}, {"8f@d0", "! it lies in a floating-point register"},
		{"8@[x0, w1, sxtw 3]", "! its index is changed"},
		{"8@[x0, x1, sxtx]", "! its index is changed"}, {"8@[x0, 16", "! its bracket"},
		{"8@[x0, x1, lsl 4]", "! its index is shifted"}, {"8@[x0, 16]!", "! \"!\" follows"},
		{"8@", "! it is no operand of arm64"},
		{"8@%rdi", "! it is no operand of arm64"}, {"8@[]", "! \"\" is no register"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_arg(ET_DYN, EM_AARCH64, cases[i].arg, cases[i].expected);
}

/* One bad argument takes none of the others with it. */
static void test_several(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	note_args("8@%rdi  4@counter(%rip) -4@$-1 nonsense 8f@%rdx");
	n = read_tiny();
	assert_int_equal(n->sites[0].n_args, 5);
	assert_null(n->sites[0].why);
	assert_int_equal(n->sites[0].args[0].place, USDT_REGISTER);
	assert_string_equal(n->sites[0].args[1].why, "the file has no symbol of that name");
	assert_int_equal(n->sites[0].args[1].size, 4);
	assert_int_equal(n->sites[0].args[2].constant, -1);
	assert_string_equal(n->sites[0].args[3].why, "it has no size");
	assert_string_equal(n->sites[0].args[3].text, "nonsense");
	assert_true(n->sites[0].args[4].is_float);
	usdt_notes_free(n);
}

/* Where nothing but the symbols for linking is left. */
static void test_linked_symbols(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.symbols = SHT_DYNSYM});
	note_args("8@counter(%rip)");
	n = read_tiny();
	assert_int_equal(n->sites[0].args[0].constant, USDT_BASE + USDT_DATA + 0x100);
	usdt_notes_free(n);
}

static void test_too_many(void **state)
{
	_cleanup_(buf_done) struct buf args = {0};
	struct usdt_notes *n;

	for (int i = 0; i < 65; i++)
		buf_str(&args, "8@%rax ");
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	note_args(args.data);
	note_args("8@%rax");
	args.data[64 * 7] = '\0';
	note_args(args.data);
	n = read_tiny();
	assert_int_equal(n->n, 3);
	assert_string_equal(n->sites[0].why, "it has more than 64 arguments");
	assert_int_equal(n->sites[0].n_args, 0);
	assert_null(n->sites[1].why);
	assert_int_equal(n->sites[2].n_args, 64);
	usdt_notes_free(n);
}

/* ---- sites ---- */

static void test_sites(void **state)
{
	const uint64_t code = USDT_BASE + USDT_CODE, data = USDT_BASE + USDT_DATA;
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	tiny_usdt_note(&tiny, code + 0x20, 0, data + 2, "shop", "order", "");
	tiny_usdt_note(&tiny, data, 0, 0, "p", "in_data", "");
	tiny_usdt_note(&tiny, code - 1, 0, 0, "p", "before", "");
	tiny_usdt_note(&tiny, code, 0, code, "p", "read_only_semaphore", "");
	tiny_usdt_note(&tiny, code, 0, data + 0xfff, "p", "cut_semaphore", "");
	tiny_usdt_note(&tiny, code, 0, data + 0x1000, "p", "semaphore_without_file", "");
	tiny_usdt_note(&tiny, code, 0, 0, "", "n", "");
	tiny_usdt_note(&tiny, code, 0, 0, "p", "\x1b[2Jn:x", "8@%rax");
	tiny_usdt_note(&tiny, code, 0, 0, "p", "last", "8@%rax");
	n = read_tiny();
	assert_int_equal(n->n, 9);
	assert_null(n->why);
	assert_string_equal(n->sites[0].provider, "shop");
	assert_string_equal(n->sites[0].name, "order");
	assert_int_equal(n->sites[0].address, code + 0x20);
	assert_int_equal(n->sites[0].file_offset, USDT_CODE + 0x20);
	assert_int_equal(n->sites[0].semaphore_offset, USDT_DATA + 2);
	assert_null(n->sites[0].why);
	for (int i = 1; i < 3; i++)
		assert_string_equal(n->sites[i].why, "its address is in no code of the file");
	for (int i = 3; i < 6; i++)
		assert_string_equal(n->sites[i].why, "its semaphore is in no data of the file that the "
						     "program can write");
	assert_string_equal(n->sites[6].provider, "?");
	assert_non_null(n->sites[6].why);
	assert_string_equal(n->sites[7].name, "\\x1b[2Jn:x");
	assert_non_null(n->sites[7].why);
	assert_null(n->sites[8].why);
	usdt_notes_free(n);
}

/* As `objcopy --only-keep-debug` leaves it. */
static void test_debug_file(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	((Elf64_Phdr *)(tiny.data + sizeof(Elf64_Ehdr)))->p_filesz = 0;
	note_args("8@%rax");
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE - 1, 0, 0, "p", "outside", "");
	n = read_tiny();
	assert_non_null(strstr(n->sites[0].why, "debugging information alone"));
	assert_int_equal(n->sites[0].n_args, 1);
	assert_string_equal(n->sites[1].why, "its address is in no code of the file");
	usdt_notes_free(n);
}

static void test_prelinked(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.base_section = USDT_BASE + 0x500});
	tiny_usdt_note(&tiny, 0x1000, 0x500, 0x2010, "p", "moved", "");
	tiny_usdt_note(&tiny, USDT_BASE + 0x1000, USDT_BASE + 0x500, 0, "p", "unmoved", "");
	n = read_tiny();
	assert_int_equal(n->sites[0].address, USDT_BASE + 0x1000);
	assert_int_equal(n->sites[0].semaphore, USDT_BASE + 0x2010);
	assert_int_equal(n->sites[1].address, USDT_BASE + 0x1000);
	assert_int_equal(n->sites[1].semaphore, 0);
	usdt_notes_free(n);
}

static enum usdt_instruction instruction(uint64_t at, const char *bytes, size_t size)
{
	enum usdt_instruction ret;
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	memcpy(tiny.data + at, bytes, size);
	tiny_usdt_note(&tiny, USDT_BASE + at, 0, 0, "p", "n", "");
	n = read_tiny();
	ret = n->sites[0].instruction;
	assert_int_equal(n->sites[0].why != NULL, ret == USDT_NOP5);
	usdt_notes_free(n);
	return ret;
}

static void test_instructions(void **state)
{
	assert_int_equal(instruction(USDT_CODE, "\x90", 1), USDT_NOP);
	assert_int_equal(instruction(USDT_CODE, "\x0f\x1f\x44\x00\x00", 5), USDT_NOP5);
	assert_int_equal(instruction(USDT_CODE, "\x66\x0f\x1f\x40\x00", 5), USDT_NOP5);
	assert_int_equal(instruction(USDT_CODE + 0xffb, "\x0f\x1f\x44\x00\x00", 5), USDT_NOP5);
	assert_int_equal(instruction(USDT_CODE, "\x66\x66\x66\x66\x90", 5), USDT_NOP5);
	/* A pause, an exchange of registers, and what is none: Linux looks at the opcode alone. */
	assert_int_equal(instruction(USDT_CODE, "\xf3\xf3\xf3\xf3\x90", 5), USDT_NOP5);
	assert_int_equal(instruction(USDT_CODE, "\x67\x66\x65\x41\x90", 5), USDT_NOP5);
	assert_int_equal(instruction(USDT_CODE, "\xb8\x66\x66\x66\x90", 5), USDT_INSTRUCTION_OTHER);
	assert_int_equal(instruction(USDT_CODE + 0xffc, "\x0f\x1f\x40\x00", 4), USDT_NOP_OTHER);
	assert_int_equal(instruction(USDT_CODE, "\x66\x90", 2), USDT_NOP_OTHER);
	assert_int_equal(instruction(USDT_CODE, "\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00", 10), USDT_NOP_OTHER);
	assert_int_equal(instruction(USDT_CODE, "\x48\x89\xc8", 3), USDT_INSTRUCTION_OTHER);
	assert_int_equal(instruction(USDT_CODE, "\xf3\x0f\x1e\xfa", 4), USDT_INSTRUCTION_OTHER);
	assert_int_equal(instruction(USDT_CODE, "\xc3", 1), USDT_INSTRUCTION_OTHER);
	/* Cut by the segment's end. */
	assert_int_equal(instruction(USDT_CODE + 0xfff, "\x0f", 1), USDT_INSTRUCTION_OTHER);
}

/* The Go program of lib/tiny_go.h, with the sections of tiny behind it. */
struct go_with_notes {
	struct tiny go;
	unsigned char notes[0x400], names[0x100];
	Elf64_Shdr sections[4];
};

static void put_notes(struct go_with_notes *g)
{
	const Elf64_Shdr *strings = (Elf64_Shdr *)(tiny.data + USDT_TABLES) + 7;
	Elf64_Ehdr *eh = (Elf64_Ehdr *)g->go.data;

	memcpy(g->notes, tiny.data + USDT_NOTES, tiny.n_notes);
	memcpy(g->names, tiny.data + strings->sh_offset, strings->sh_size);
	g->sections[1] = (Elf64_Shdr){.sh_name = 67, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_size = 0x400,
				      .sh_addr = g->go.base + TINY_PCLNTAB, .sh_offset = TINY_PCLNTAB};
	g->sections[2] = (Elf64_Shdr){.sh_name = 13, .sh_type = SHT_NOTE, .sh_size = tiny.n_notes, .sh_addralign = 4,
				      .sh_offset = offsetof(struct go_with_notes, notes)};
	g->sections[3] = (Elf64_Shdr){.sh_name = 57, .sh_type = SHT_STRTAB, .sh_size = strings->sh_size,
				      .sh_offset = offsetof(struct go_with_notes, names)};
	eh->e_shoff = offsetof(struct go_with_notes, sections);
	eh->e_shentsize = sizeof(Elf64_Shdr);
	eh->e_shnum = 4;
	eh->e_shstrndx = 3;
}

/* Code of Go alone keeps nothing below its stack pointer: between its functions may be anything. */
static void test_overwriting(void **state)
{
	static struct go_with_notes g;
	struct usdt_notes *n;

	tiny_build(&g.go, (struct tiny_options){.no_sections = true});
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	for (int i = 0; i < 2; i++) {
		const uint64_t at = TINY_TEXT + (i ? 0x38 : 0x10); /* in a function; behind its end */

		memcpy(g.go.data + at, "\x0f\x1f\x44\x00\x00", 5);
		tiny_usdt_note(&tiny, g.go.base + at, 0, 0, "p", "n", "");
	}
	put_notes(&g);
	n = read_bytes(&g, sizeof(g));
	assert_true(n->is_go);
	assert_int_equal(n->n, 2);
	assert_int_equal(n->sites[0].instruction, USDT_NOP5);
	assert_int_equal(n->sites[1].instruction, USDT_NOP5);
	assert_null(n->sites[0].why);
	assert_non_null(strstr(n->sites[1].why, "below its stack pointer"));
	usdt_notes_free(n);
}

/* ---- damaged notes ---- */

static void test_damaged(void **state)
{
	const Elf64_Nhdr huge = {8, 0xfffffff0, 3}, other = {8, 4, 2}, foreign = {4, 4, 3}, cut = {8, 28, 3};
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	note_args("8@%rax");
	tiny_usdt_bytes(&tiny, &other, sizeof(other));
	tiny_usdt_bytes(&tiny, "stapsdt\0abcd", 12);
	tiny_usdt_bytes(&tiny, &foreign, sizeof(foreign));
	tiny_usdt_bytes(&tiny, "GNU\0abcd", 8);
	tiny_usdt_bytes(&tiny, &cut, sizeof(cut));
	tiny_usdt_bytes(&tiny, "stapsdt\0", 8);
	tiny_usdt_bytes(&tiny, "01234567890123456789012pro\0p", 28);
	note_args("4@%eax");
	tiny_usdt_bytes(&tiny, &huge, sizeof(huge));
	tiny_usdt_bytes(&tiny, "stapsdt\0", 8);
	note_args("2@%ax");
	n = read_tiny();
	assert_int_equal(n->n, 3);
	assert_null(n->sites[0].why);
	assert_string_equal(n->sites[1].why, "its note is cut short");
	assert_int_equal(n->sites[2].args[0].size, 4);
	assert_non_null(strstr(n->why, "was not read"));
	usdt_notes_free(n);
}

static void test_nothing(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	n = read_tiny();
	assert_int_equal(n->n, 0);
	assert_false(n->no_sections);
	assert_null(n->why);
	usdt_notes_free(n);
	((Elf64_Ehdr *)tiny.data)->e_shoff = 0;
	((Elf64_Ehdr *)tiny.data)->e_shnum = 0;
	n = read_tiny();
	assert_int_equal(n->n, 0);
	assert_true(n->no_sections);
	usdt_notes_free(n);
}

/* The file may end anywhere. */
static void test_cut(void **state)
{
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.symbols = SHT_SYMTAB});
	note_args("8@counter(%rip) 8@%rax");
	for (size_t size = 1; size < sizeof(tiny.data); size += size < USDT_TABLES ? 97 : 1) {
		int fd = file_of(tiny.data, size);
		struct usdt_notes *n = NULL;
		struct err err = {0};

		if (usdt_notes_read(fd, "prog", &n, &err) < 0)
			assert_true(!strncmp(err.text, "prog ", 5));
		usdt_notes_free(n);
		close(fd);
	}
}

static void refused(const void *data, size_t size, const char *words)
{
	int fd = file_of(data, size);
	struct usdt_notes *n = NULL;
	struct err err = {0};

	assert_int_equal(usdt_notes_read(fd, "prog", &n, &err), -ENOEXEC);
	assert_null(n);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	close(fd);
}

static void test_refused_files(void **state)
{
	refused("#!/bin/sh\n", 10, "is not an ELF file");
	refused("", 0, "is not an ELF file");
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.type = ET_REL});
	refused(tiny.data, sizeof(tiny.data), "neither a program nor a library");
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){.machine = EM_RISCV});
	refused(tiny.data, sizeof(tiny.data), "not built for x86-64 or arm64");
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	tiny.data[EI_DATA] = ELFDATA2MSB;
	refused(tiny.data, sizeof(tiny.data), "not built for x86-64 or arm64");
	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	((Elf64_Ehdr *)tiny.data)->e_phnum = 0;
	refused(tiny.data, sizeof(tiny.data), "has nothing that is loaded");
}

/* ---- by name ---- */

static void test_names(void **state)
{
	struct usdt_notes *n;

	tiny_usdt_build(&tiny, (struct tiny_usdt_options){0});
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE + 9, 0, 0, "p", "b", "");
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE + 5, 0, 0, "p", "a", "");
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE + 7, 0, 0, "o", "z", "");
	tiny_usdt_note(&tiny, USDT_BASE + USDT_CODE + 3, 0, 0, "p", "b", "");
	n = read_tiny();
	usdt_notes_sort(n);
	assert_string_equal(n->sites[0].name, "z");
	assert_string_equal(n->sites[1].name, "a");
	assert_int_equal(n->sites[2].address, USDT_BASE + USDT_CODE + 3);
	assert_int_equal(usdt_probe_end(n, 0), 1);
	assert_int_equal(usdt_probe_end(n, 2), 4);
	assert_true(usdt_site_matches(&n->sites[1], NULL));
	assert_true(usdt_site_matches(&n->sites[1], "a"));
	assert_true(usdt_site_matches(&n->sites[1], "p:*"));
	assert_true(usdt_site_matches(&n->sites[1], "*"));
	assert_false(usdt_site_matches(&n->sites[1], "p"));
	assert_false(usdt_site_matches(&n->sites[1], "o:a"));
	usdt_notes_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x86_64),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_arm64),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_linked_symbols),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_debug_file),
		cmocka_unit_test(test_prelinked),
		cmocka_unit_test(test_instructions),
		cmocka_unit_test(test_overwriting),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
