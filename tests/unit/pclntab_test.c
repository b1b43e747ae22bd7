/* binary/pclntab: functions, their extents, names, lines and tables, against the symbol table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "unit/open.h"

static struct tiny tiny;

static void check_tiny(struct tiny_options o)
{
	struct binary *b = open_tiny(&tiny, o);
	struct func f;
	const char *file;
	int line;
	int32_t v;

	assert_int_equal(binary_func_count(b), TINY_FUNCS);
	assert_true(binary_func(b, 1, &f));
	assert_string_equal(f.name, "main.(*Point).Move");
	assert_int_equal(f.entry, tiny.base + TINY_TEXT + 0x40);
	assert_int_equal(f.end, f.entry + 0x38);
	assert_int_equal(f.frame_size, 32);
	assert_int_equal(f.flags, 0);
	assert_int_equal(binary_funcdata(b, &f, 0), tiny.base + TINY_GOFUNC);
	assert_int_equal(binary_funcdata(b, &f, 5), tiny.base + TINY_GOFUNC + 16);
	assert_int_equal(binary_funcdata(b, &f, 1), 0);
	assert_int_equal(binary_funcdata(b, &f, 6), 0);
	assert_true(func_sp_delta(b, &f, f.entry, &v) && v == 0);
	assert_true(func_sp_delta(b, &f, f.entry + 1, &v) && v == 32);
	assert_true(func_sp_delta(b, &f, f.entry + 0x37, &v) && v == 0);
	assert_false(func_sp_delta(b, &f, f.entry + 0x38, &v));
	assert_true(func_pcdata(b, &f, 0, f.entry, &v) && v == 0);
	assert_false(func_pcdata(b, &f, 1, f.entry, &v));
	assert_true(func_args_size(b, &f, &v) && v == 16);
	assert_true(binary_pc_line(b, f.entry + 8, &file, &line));
	assert_string_equal(file, "/src/main.go");
	assert_int_equal(line, 12);
	assert_false(binary_func(b, TINY_FUNCS, &f));
	assert_true(binary_func_at(b, tiny.base + TINY_TEXT + 0x77, &f) && f.index == 1);
	assert_false(binary_func_at(b, tiny.base + TINY_TEXT + 0x78, &f)); /* padding */
	assert_false(binary_func_at(b, tiny.base, &f));
	binary_free(b);
}

static void test_formats(void **state)
{
	check_tiny((struct tiny_options){0});
	check_tiny((struct tiny_options){.old_funcs = true});
	check_tiny((struct tiny_options){.pie = true});
	check_tiny((struct tiny_options){.pie = true, .relr = true, .old_funcs = true});
}

static void test_names(void **state)
{
	static const char *const names[] = {"main.main",
					    "gopkg.in/yaml.v3.Load",
					    "main.Map",
					    "main.Map[...]",
					    "main.Map[go.shape.int]",
					    "main.Map[int]",
					    "main.mai",
					    "main",
					    "",
					    "gopkg.in/yaml%2ev3.Load"};
	static const int64_t want[] = {0, 2, 3, 3, 3, -1, -1, -1, -1, 2};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	int64_t got[ARRAY_SIZE(names)];
	struct func f;

	binary_func_find_all(b, names, ARRAY_SIZE(names), got);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(got[i], want[i]);
		assert_int_equal(binary_func_find(b, names[i], &f, 1), want[i] >= 0);
		if (want[i] >= 0)
			assert_int_equal(f.index, want[i]);
	}
	/* Shown as people read it; the symbol tells where the package ends. */
	assert_int_equal(binary_func_find(b, "gopkg.in/yaml.v3.Load", &f, 1), 1);
	assert_string_equal(f.name, "gopkg.in/yaml.v3.Load");
	assert_string_equal(f.symbol, "gopkg.in/yaml%2ev3.Load");
	assert_true(binary_has_package(b, "main"));
	assert_true(binary_has_package(b, "gopkg.in/yaml.v3"));
	assert_false(binary_has_package(b, "gopkg.in/yaml"));
	assert_false(binary_has_package(b, "yaml.v3"));
	binary_free(b);
}

/* ---- against the symbol table of real programs ---- */

struct symbols {
	const Elf64_Sym *syms;
	size_t n;
	const char *strings;
	unsigned char *data;
	size_t size;
};

static bool read_symbols(const char *path, struct symbols *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const Elf64_Ehdr *eh;
	const Elf64_Shdr *sh;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	ret->size = (size_t)st.st_size;
	ret->data = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	assert_true(ret->data != MAP_FAILED);
	eh = (const Elf64_Ehdr *)ret->data;
	sh = (const Elf64_Shdr *)(ret->data + eh->e_shoff);
	for (size_t i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		ret->syms = (const Elf64_Sym *)(ret->data + sh[i].sh_offset);
		ret->n = sh[i].sh_size / sizeof(Elf64_Sym);
		ret->strings = (const char *)ret->data + sh[sh[i].sh_link].sh_offset;
		return true;
	}
	return false;
}

/* Go 1.19 writes "[...]" for the type arguments that the symbol has. */
static void strip_arguments(char *s)
{
	char *out = s;
	unsigned depth = 0;

	for (; *s; s++) {
		depth += *s == '[';
		if (!depth)
			*out++ = *s;
		depth -= *s == ']';
	}
	*out = 0;
}

static bool same_name(const char *symbol, const char *name)
{
	char have[4096], want[4096];
	size_t n;

	snprintf(have, sizeof(have), "%s", symbol);
	snprintf(want, sizeof(want), "%s", name);
	strip_arguments(have);
	strip_arguments(want);
	n = strlen(want);
	return !strncmp(have, want, n) &&
	       (!have[n] || !strcmp(have + n, ".abi0") || !strcmp(have + n, ".abiinternal"));
}

static void compare(const char *path)
{
	struct symbols s = {0};
	struct binary *b = NULL;
	struct map by_addr = {0};
	struct err err = {0};
	size_t found = 0, ends = 0, names = 0, n;

	if (binary_open(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(read_symbols(path, &s));
	for (size_t i = 0; i < s.n; i++)
		if (ELF64_ST_TYPE(s.syms[i].st_info) == STT_FUNC && s.syms[i].st_size)
			map_set(&by_addr, s.syms[i].st_value, (void *)&s.syms[i]);
	n = binary_func_count(b);
	for (size_t i = 0; i < n; i++) {
		const Elf64_Sym *sym;
		struct func f, at;

		assert_true(binary_func(b, i, &f));
		assert_true(binary_func_at(b, f.entry, &at) && at.index == i);
		sym = map_get(&by_addr, f.entry);
		found += sym != NULL;
		ends += sym && sym->st_value + sym->st_size == f.end;
		names += sym && same_name(s.strings + sym->st_name, f.symbol);
		if (sym && sym->st_value + sym->st_size != f.end && getenv("VERBOSE"))
			printf("%s: %llx, symbol %llx\n", f.name, (unsigned long long)f.end,
			       (unsigned long long)(sym->st_value + sym->st_size));
	}
	printf("%s: %zu functions, %zu in the symbol table, %zu ends and %zu names equal\n",
	       strrchr(path, '/') + 1, n, found, ends, names);
	/* Markers such as go:textfipsstart are in the function table without a symbol of a size. */
	assert_true(found + 8 >= n && ends + 8 >= found && names + 8 >= found);
	map_done(&by_addr);
	munmap(s.data, s.size);
	binary_free(b);
}

static void test_symbol_table(void **state)
{
	glob_t files;
	size_t n = go_binaries("bin/httpd-go1.*-plain", &files);

	for (size_t i = 0; i < n; i++)
		compare(files.gl_pathv[i]);
	globfree(&files);
	if (!n)
		skip();
}

/* What is found in every HTTP server, stripped or not, and what is not. */
static void check_server(const char *path)
{
	static const char *const names[] = {"net/http.serverHandler.ServeHTTP",
					    "runtime.newproc1",
					    "runtime.casgstatus",
					    "runtime.goexit1",
					    "runtime.memmove",
					    "no/such.Function"};
	struct binary *b = NULL;
	struct err err = {0};
	int64_t at[ARRAY_SIZE(names)];
	size_t asm_funcs = 0, wrappers = 0;
	const char *file;
	struct func f;
	int line;

	if (binary_open(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	binary_func_find_all(b, names, ARRAY_SIZE(names), at);
	for (size_t i = 0; i < 5; i++)
		if (at[i] < 0)
			fail_msg("%s: no %s", path, names[i]);
	assert_int_equal(at[5], -1);
	assert_true(binary_has_package(b, "net/http"));
	assert_false(binary_has_package(b, "net/htt"));
	assert_true(binary_func(b, (size_t)at[0], &f));
	assert_true(f.end > f.entry + 16 && f.frame_size > 0);
	assert_true(binary_pc_line(b, f.entry, &file, &line));
	assert_non_null(strstr(file, "net/http/server.go"));
	assert_true(line > 1000);
	for (size_t i = 0; i < binary_func_count(b); i++) {
		assert_true(binary_func(b, i, &f));
		asm_funcs += !!(f.flags & FUNC_ASM);
		wrappers += !!(f.flags & FUNC_WRAPPER);
	}
	assert_true(asm_funcs > 50 && wrappers > 300 && b->pcln.gofunc);
	binary_free(b);
}

static void test_servers(void **state)
{
	if (!go_servers_each(check_server))
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_symbol_table),
		cmocka_unit_test(test_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
