/* binary/buildinfo: Go version, main package and modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "unit/open.h"

static struct tiny tiny;

static void test_inline(void **state)
{
	const struct build_info *info;
	struct binary *b;

	tiny_build(&tiny, (struct tiny_options){0});
	b = open_changed(&tiny);
	info = binary_build_info(b);
	assert_string_equal(info->go_version, "go1.2.3");
	assert_string_equal(info->main_package, "example.org/tiny");
	assert_string_equal(info->main.path, "example.org/tiny");
	assert_string_equal(info->main.version, "v1.2.3");
	assert_int_equal(info->ndeps, 1);
	assert_string_equal(info->deps[0].path, "golang.org/x/net");
	assert_string_equal(info->deps[0].version, "v0.2.0"); /* replaced */
	assert_false(info->has_symtab || info->has_dwarf);
	assert_ptr_equal(info, binary_build_info(b));
	binary_free(b);
}

/* The form before Go 1.18: pointers to two strings. */
static void test_pointers(void **state)
{
	const size_t blob = TINY_DATA, strings = TINY_SLICES + 0x200;
	struct binary *b;

	tiny_build(&tiny, (struct tiny_options){.pie = true});
	memset(tiny.data + blob + 15, 0, 0x80);
	tiny_u64(&tiny, blob + 16, tiny.base + strings);
	tiny_u64(&tiny, blob + 24, tiny.base + strings + 16);
	tiny_u64(&tiny, strings, tiny.base + strings + 32);
	tiny_u64(&tiny, strings + 8, 6);
	memcpy(tiny.data + strings + 32, "go1.17", 6);
	b = open_changed(&tiny);
	assert_string_equal(binary_build_info(b)->go_version, "go1.17");
	assert_string_equal(binary_build_info(b)->main.path, "");
	binary_free(b);
}

static void test_damaged(void **state)
{
	struct binary *b;

	tiny_build(&tiny, (struct tiny_options){0});
	memset(tiny.data + TINY_DATA + 40, 0xff, 8); /* the list's length */
	b = open_changed(&tiny);
	assert_string_equal(binary_build_info(b)->go_version, "go1.2.3");
	assert_int_equal(binary_build_info(b)->ndeps, 0);
	binary_free(b);
	memset(tiny.data + TINY_DATA, 0, 16);
	b = open_changed(&tiny);
	assert_string_equal(binary_build_info(b)->go_version, "unknown");
	assert_string_equal(binary_build_info(b)->main_package, "");
	binary_free(b);
}

static void check_built(const char *path)
{
	const char *version = strstr(path, "-go1.") + 1;
	const struct build_info *info;
	struct binary *b = NULL;
	struct err err = {0};

	if (binary_open(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	info = binary_build_info(b);
	assert_memory_equal(info->go_version, version, 6); /* go1.NN */
	assert_string_equal(info->main.path, "earshot.test");
	assert_string_equal(info->main_package, "earshot.test/httpd");
	assert_int_equal(info->has_symtab, strstr(path, "-plain") != NULL);
	assert_int_equal(info->has_dwarf, strstr(path, "-plain") != NULL);
	binary_free(b);
}

static void test_built(void **state)
{
	if (!go_binaries_each("bin/httpd-go1.*-*", check_built))
		skip();
}

/* Debian builds without module mode: a version, no module list. */
static void test_debian(void **state)
{
	glob_t files;
	size_t n = go_binaries("third-party/*/*/usr/bin/*", &files);

	for (size_t i = 0; i < n; i++) {
		struct binary *b = NULL;

		if (binary_open(files.gl_pathv[i], &b, NULL) < 0)
			continue;
		assert_memory_equal(binary_build_info(b)->go_version, "go1.", 4);
		binary_free(b);
	}
	globfree(&files);
	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inline),	cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_damaged), cmocka_unit_test(test_built),
		cmocka_unit_test(test_debian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
