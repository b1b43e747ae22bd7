/* binary/rtype and binary/layout: types of stripped programs, against the DWARF of unstripped ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>

#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "unit/open.h"

static struct tiny tiny;

/* ---- the tiny program ---- */

static void check_struct(struct binary *b)
{
	const struct type *t = binary_type(b, "main.Embeds");
	struct field_path path;
	struct type_field f;

	assert_non_null(t);
	assert_int_equal(t->kind, KIND_STRUCT);
	assert_string_equal(t->name, "main.Embeds");
	assert_string_equal(t->package, "main");
	assert_true(t->named);
	assert_int_equal(type_field_count(b, t), 2);
	assert_true(type_field(b, t, 0, &f));
	assert_string_equal(f.name, "Point");
	assert_true(f.embedded);
	assert_string_equal(f.type->name, "*main.Point");
	assert_true(type_field(b, t, 1, &f));
	assert_int_equal(f.offset, 8);
	assert_false(f.embedded);
	assert_string_equal(f.type->name, "[]string");
	assert_false(type_field(b, t, 2, &f));
	assert_true(type_field_find(b, t, "label", &path)); /* through the embedded pointer */
	assert_int_equal(path.n, 2);
	assert_int_equal(path.steps[0].offset, 0);
	assert_int_equal(path.steps[1].offset, 8);
	assert_string_equal(path.steps[1].type->name, "string");
	assert_true(type_field_find(b, t, "names", &path) && path.n == 1);
	assert_false(type_field_find(b, t, "nothing", &path));
}

static void check_methods(struct binary *b)
{
	const struct type *t = binary_type(b, "*main.Point"), *f;
	struct type_method m;

	assert_non_null(t);
	assert_ptr_equal(t->elem, binary_type(b, "main.Point"));
	assert_int_equal(type_method_count(b, t), 1);
	assert_true(type_method(b, t, 0, &m));
	assert_string_equal(m.name, "Move");
	assert_int_equal(m.ifn, tiny.base + TINY_TEXT + 0x40);
	assert_int_equal(m.tfn, m.ifn);
	f = m.type;
	assert_string_equal(f->name, "func(int) string");
	assert_int_equal(type_param_count(b, f), 1);
	assert_int_equal(type_result_count(b, f), 1);
	assert_ptr_equal(type_param(b, f, 0), binary_type(b, "int"));
	assert_ptr_equal(type_result(b, f, 0), binary_type(b, "string"));
	assert_null(type_result(b, f, 1));
}

static void check_tiny(struct tiny_options o)
{
	struct binary *b = open_tiny(&tiny, o);
	const struct type *t;
	size_t pos = 0, n = 0;

	while (binary_type_next(b, &pos, &t))
		n++;
	assert_true(n >= 15);
	check_struct(b);
	check_methods(b);
	assert_ptr_equal(binary_type_at(b, tiny.t_strings), binary_type(b, "[]string"));
	assert_null(binary_type_at(b, tiny.t_strings + 8));
	assert_null(binary_type_at(b, 0));
	assert_null(binary_type(b, "main.Nothing"));
	assert_ptr_equal(binary_type_pointer_to(b, binary_type(b, "main.Point")),
			 binary_type(b, "*main.Point"));
	binary_free(b);
}

static void test_tiny(void **state)
{
	check_tiny((struct tiny_options){0});
	check_tiny((struct tiny_options){.pie = true});
	check_tiny((struct tiny_options){.old_fields = true, .old_funcs = true});
	check_tiny((struct tiny_options){.old_map = true, .pie = true, .old_fields = true});
}

/* The header structs are not in the tiny program: the entries are read, then the sentence says so.
 */
static void test_map_without_header(void **state)
{
	struct map_layout l;
	struct err err = {0};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});

	assert_false(type_map_layout(b, binary_type(b, "map[string]int"), &l, &err));
	assert_non_null(strstr(err.text, "internal/runtime/maps.Map"));
	assert_false(type_map_layout(b, binary_type(b, "int"), &l, &err));
	assert_non_null(strstr(err.text, "not a map"));
	assert_int_equal(binary_goroutine_layout(b, &(struct goroutine_layout){0}, &err), -ENODATA);
	assert_non_null(strstr(err.text, "-linkshared")); /* nor is there a runtime.main */
	binary_free(b);
	b = open_tiny(&tiny, (struct tiny_options){.old_map = true});
	assert_false(type_map_layout(b, binary_type(b, "map[string]int"), &l, &err));
	assert_non_null(strstr(err.text, "runtime.hmap"));
	binary_free(b);
}

/* A struct that contains itself, pointers in a ring, counts beyond the file: no crash, no hang. */
static void test_cycles(void **state)
{
	struct binary *b;
	const struct type *t;
	struct field_path path;
	size_t pos = 0;

	tiny_build(&tiny, (struct tiny_options){0});
	tiny_u64(&tiny, TINY_SLICES + 8, tiny.t_point); /* Point.X Point */
	tiny_u64(&tiny, tiny.t_point_ptr - tiny.base + 48,
		 tiny.t_point_ptr); /* type P *P, unnamed */
	tiny_u64(&tiny, tiny.t_strings - tiny.base + 48, tiny.t_strings);
	tiny_u64(&tiny, tiny.t_embeds - tiny.base + 64, 1ull << 60); /* fields */
	tiny_u16(&tiny, tiny.t_func - tiny.base + 48, 0xffff);
	b = open_changed(&tiny);
	while (binary_type_next(b, &pos, &t)) {
		assert_non_null(t->name);
		type_field_find(b, t, "nothing", &path);
		binary_type_pointer_to(b, t);
	}
	t = binary_type(b, "main.Embeds");
	assert_true(t && type_field_count(b, t) == 0);
	binary_free(b);
}

/* ---- real programs ---- */

static void check_server(const char *path)
{
	static const char *const names[] = {"net/http.Request",
					    "net/url.URL",
					    "net/http.Response",
					    "net/http.response",
					    "net/http.conn",
					    "bufio.Writer",
					    "context.valueCtx",
					    "runtime.g",
					    "runtime.m",
					    "runtime.p",
					    "*net/url.URL",
					    "map[string][]string",
					    "net/http.Header",
					    "net/http.Handler",
					    "error",
					    "[]uint8"};
	struct binary *b = open_program(path);
	struct goroutine_layout g;
	struct err err = {0};
	const struct type *t;
	struct field_path p;
	size_t pos = 0, maps = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		t = binary_type(b, names[i]);
		if (!t || t->source != TYPE_FROM_RTYPE || strcmp(t->name, names[i]) != 0)
			fail_msg("%s: %s is %s", path, names[i], t ? t->name : "missing");
	}
	if (binary_goroutine_layout(b, &g, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(g.stack_lo == 0 && g.stack_hi == 8 && g.stackguard0 == 16 && g.goid > g.m);
	assert_true(type_field_find(b, binary_type(b, "net/http.Request"), "URL", &p));
	assert_string_equal(p.steps[0].type->name, "*net/url.URL");
	assert_true(type_method_count(b, binary_type(b, "net/http.Header")) > 5);
	while (binary_type_next(b, &pos, &t)) {
		struct map_layout l;

		if (t->kind == KIND_STRUCT && t->size && !type_field_count(b, t))
			fail_msg("%s: %s has no fields", path, t->name);
		if (t->kind != KIND_MAP)
			continue;
		maps++;
		if (!type_map_layout(b, t, &l, &err))
			fail_msg("%s: %s: %s", path, t->name, err.text);
		assert_true(l.slots == 8 && l.key_indirect == (l.key_size > 128) &&
			    l.elem_indirect == (l.elem_size > 128));
	}
	assert_true(maps > 20);
	binary_free(b);
}

static void test_servers(void **state)
{
	if (!go_servers_each(check_server))
		skip();
}

/* ---- against DWARF ---- */

struct totals {
	size_t structs, equal, fields, same_type_name;
};

static uint64_t member_offset(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Word v = UINT64_MAX;

	if (dwarf_attr(die, DW_AT_data_member_location, &attr))
		dwarf_formudata(&attr, &v);
	return v;
}

static const char *type_name(Dwarf_Die *member)
{
	Dwarf_Attribute attr;
	Dwarf_Die type;
	const char *name = NULL;

	if (dwarf_attr(member, DW_AT_type, &attr) && dwarf_formref_die(&attr, &type))
		name = dwarf_diename(&type);
	return name ? name : "";
}

static bool same_layout(struct binary *b, const struct type *t, Dwarf_Die *die, struct totals *sum)
{
	Dwarf_Die member;
	struct type_field f;
	size_t i = 0;

	if ((uint64_t)dwarf_bytesize(die) != t->size || dwarf_child(die, &member) != 0)
		return type_field_count(b, t) == 0;
	do {
		const char *name = dwarf_diename(&member);

		if (dwarf_tag(&member) != DW_TAG_member)
			continue;
		if (!type_field(b, t, i++, &f) || !name || strcmp(f.name, name) != 0 ||
		    f.offset != member_offset(&member))
			return false;
		sum->fields++;
		sum->same_type_name += !strcmp(type_name(&member), f.type->name);
		if (strcmp(type_name(&member), f.type->name) != 0 && getenv("VERBOSE"))
			printf("%s.%s: %s, DWARF %s\n", t->name, name, f.type->name,
			       type_name(&member));
	} while (dwarf_siblingof(&member, &member) == 0);
	return i == type_field_count(b, t);
}

static void compare_unit(struct binary *b, Dwarf_Die *unit, struct strmap *seen, struct totals *sum)
{
	Dwarf_Die die;

	if (dwarf_child(unit, &die) != 0)
		return;
	do {
		const char *name = dwarf_diename(&die);
		const struct type *t;

		if (dwarf_tag(&die) != DW_TAG_structure_type || !name)
			continue;
		t = binary_type(b, name);
		/* Types local to functions share names: the first of them is compared, once. */
		if (!t || t->kind != KIND_STRUCT || !t->named || t->source != TYPE_FROM_RTYPE ||
		    strmap_set(seen, t->name, strlen(t->name), (void *)t))
			continue;
		sum->structs++;
		if (same_layout(b, t, &die, sum))
			sum->equal++;
		else
			printf("%s differs\n", name);
	} while (dwarf_siblingof(&die, &die) == 0);
}

static void compare_dwarf(const char *path, struct totals *ret)
{
	struct binary *b = open_program(path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Dwarf *dwarf = dwarf_begin(fd, DWARF_C_READ);
	struct totals sum = {0};
	struct strmap seen = {0};
	Dwarf_Off off = 0, next;
	size_t header;

	assert_non_null(dwarf);
	for (; dwarf_nextcu(dwarf, off, &next, &header, NULL, NULL, NULL) == 0; off = next) {
		Dwarf_Die unit;

		if (dwarf_offdie(dwarf, off + header, &unit))
			compare_unit(b, &unit, &seen, &sum);
	}
	printf("%s: %zu structs, %zu equal; %zu fields, %zu type names equal\n",
	       strrchr(path, '/') + 1, sum.structs, sum.equal, sum.fields, sum.same_type_name);
	strmap_done(&seen);
	dwarf_end(dwarf);
	close(fd);
	binary_free(b);
	*ret = sum;
}

static void test_dwarf(void **state)
{
	glob_t files;
	size_t n = go_binaries("bin/httpd-go1.*-plain", &files);

	for (size_t i = 0; i < n; i++) {
		struct totals sum;

		compare_dwarf(files.gl_pathv[i], &sum);
		assert_true(sum.structs > 300);
		assert_int_equal(sum.equal, sum.structs);
	}
	globfree(&files);
	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny),   cmocka_unit_test(test_map_without_header),
		cmocka_unit_test(test_cycles), cmocka_unit_test(test_servers),
		cmocka_unit_test(test_dwarf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
