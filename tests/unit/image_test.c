/* binary/image: what is refused and how, relocations, and no access outside of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "binary/binary.h"
#include "lib/go_binaries.h"
#include "lib/tiny_go.h"

static struct tiny tiny;

static int open_bytes(const void *data, size_t size, struct binary **ret, struct err *err)
{
	int fd = memory_file(data, size), r;

	assert_true(fd >= 0);
	r = binary_open_fd(fd, "prog", ret, err);
	close(fd);
	return r;
}

static void refused(const void *data, size_t size, const char *words)
{
	struct binary *b = NULL;
	struct err err = {0};

	assert_int_equal(open_bytes(data, size, &b, &err), -ENOEXEC);
	assert_null(b);
	if (!strstr(err.text, words) || strncmp(err.text, "prog ", 5))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void test_refusals(void **state)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)tiny.data;

	refused("#!/bin/sh\necho this is a script\n", 31, "not an ELF file");
	refused("ELF", 3, "only 3 bytes");
	refused("", 0, "only 0 bytes");
	tiny_build(&tiny, (struct tiny_options){0});
	refused(tiny.data, 40, "cut short");
	refused(tiny.data, 200, "cut short");
	eh->e_machine = EM_AARCH64;
	refused(tiny.data, sizeof(tiny.data), "built for arm64");
	eh->e_ident[EI_CLASS] = ELFCLASS32;
	eh->e_machine = EM_386;
	refused(tiny.data, sizeof(tiny.data), "32-bit program (386)");
	tiny_build(&tiny, (struct tiny_options){0});
	eh->e_type = ET_REL;
	refused(tiny.data, sizeof(tiny.data), "not an executable");
}

static void test_not_go(void **state)
{
	tiny_build(&tiny, (struct tiny_options){0});
	tiny_u32(&tiny, TINY_PCLNTAB, 0x12345678);
	refused(tiny.data, sizeof(tiny.data), "is a Go program, but its function table");
	memset(tiny.data + TINY_DATA, 0, 64);
	refused(tiny.data, sizeof(tiny.data), "not a Go program");
	memcpy(tiny.data + 0x180, "UPX!", 4);
	refused(tiny.data, sizeof(tiny.data), "packed with UPX");
	tiny_build(&tiny, (struct tiny_options){0});
	tiny_u32(&tiny, TINY_PCLNTAB, 0xfffffffb);
	refused(tiny.data, sizeof(tiny.data), "Go 1.17 or older");
	tiny_u32(&tiny, TINY_PCLNTAB, 0xfffffffa);
	refused(tiny.data, sizeof(tiny.data), "Go 1.17 or older");
}

static void open_tiny(struct tiny_options o, struct binary **ret)
{
	struct err err = {0};

	tiny_build(&tiny, o);
	if (open_bytes(tiny.data, sizeof(tiny.data), ret, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_accessors(void **state)
{
	struct binary *b;
	const struct image *img;
	uint64_t end, v, data;
	uint8_t byte;

	open_tiny((struct tiny_options){0}, &b);
	img = binary_image(b);
	data = tiny.base + TINY_DATA;
	end = tiny.base + TINY_SIZE;
	assert_false(img->pie);
	assert_non_null(image_at(img, end - 8, 8));
	assert_null(image_at(img, end - 7, 8));
	assert_null(image_at(img, end, 0));
	assert_null(image_at(img, data, UINT64_MAX));
	assert_null(image_at(img, UINT64_MAX, 2));
	assert_int_equal(image_extent(img, end - 3), 3);
	assert_int_equal(image_extent(img, end), 0); /* .bss: in memory, not in the file */
	assert_non_null(image_segment(img, end));
	assert_null(image_segment(img, tiny.base - 1));
	assert_true(image_u8(img, data, &byte));
	assert_int_equal(byte, 0xff);
	v = 42;
	assert_false(image_u64(img, end - 4, &v));
	assert_int_equal(v, 42);
	assert_true(image_offset(img, data + 5, &v));
	assert_int_equal(v, TINY_DATA + 5);
	assert_false(image_offset(img, end, &v));
	binary_free(b);
}

static void test_relocations(void **state)
{
	struct binary *b;
	uint64_t v;

	open_tiny((struct tiny_options){.pie = true}, &b);
	assert_true(binary_image(b)->pie);
	assert_true(binary_image(b)->relocated);
	assert_true(image_u64(binary_image(b), tiny.base + TINY_MODULEDATA, &v));
	assert_int_equal(v, tiny.base + TINY_PCLNTAB);
	assert_int_equal(binary_func_count(b), TINY_FUNCS);
	binary_free(b);
	open_tiny((struct tiny_options){.pie = true, .relr = true}, &b);
	assert_true(binary_image(b)->relocated);
	assert_int_equal(binary_func_count(b), TINY_FUNCS);
	binary_free(b);
}

/* Relocations that point at themselves, out of the file or at the headers must do no harm. */
static void test_hostile_relocations(void **state)
{
	static const uint64_t wheres[] = {
		0,	    TINY_RELA,	   TINY_RELA + 8, TINY_DYNAMIC, TINY_SIZE - 4,
		UINT64_MAX, UINT64_MAX - 7};

	for (size_t i = 0; i < sizeof(wheres) / sizeof(*wheres); i++) {
		struct binary *b = NULL;

		tiny_build(&tiny, (struct tiny_options){.pie = true});
		tiny_u64(&tiny, TINY_RELA,
			 wheres[i] < TINY_SIZE ? tiny.base + wheres[i] : wheres[i]);
		tiny_u64(&tiny, TINY_DYNAMIC + 24, UINT64_MAX); /* DT_RELASZ */
		if (open_bytes(tiny.data, sizeof(tiny.data), &b, NULL) == 0)
			binary_free(b);
	}
}

static void test_truncation(void **state)
{
	tiny_build(&tiny, (struct tiny_options){.pie = true});
	for (size_t size = 0; size < sizeof(tiny.data); size += 13) {
		struct binary *b = NULL;
		struct err err = {0};
		int r = open_bytes(tiny.data, size, &b, &err);

		assert_true(r == 0 || (r == -ENOEXEC && err.text[0]));
		binary_free(b);
	}
}

static void test_real_files(void **state)
{
	glob_t files;
	size_t n = go_binaries("bin/alien-*", &files);

	for (size_t i = 0; i < n; i++) {
		struct binary *b;
		struct err err = {0};

		assert_int_equal(binary_open(files.gl_pathv[i], &b, &err), -ENOEXEC);
		assert_non_null(
			strstr(err.text, strstr(files.gl_pathv[i], "386") ? "386" : "arm64"));
	}
	globfree(&files);
	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_not_go),
		cmocka_unit_test(test_accessors),
		cmocka_unit_test(test_relocations),
		cmocka_unit_test(test_hostile_relocations),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_real_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
