/* Types by their declarations in source: of the package at work, of its module, of the standard library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "weave/go_list.h"
#include "weave/source_types.h"

/* A tree of files below a folder of its own: a GOROOT and a module. */
struct world {
	char dir[64];
	struct weave_package package;
	struct source_types *types;
	struct type_lookup *lookup;
};

static void put_file(const struct world *w, const char *path, const char *text)
{
	char full[256], *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", w->dir, path);
	for (slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(full, 0777);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static const char shop[] =
    "package shop\n"
    "import (\n\t\"net/url\"\n\tother \"example.com/shop/v2/internal/store\"\n\t\"example.com/elsewhere\"\n"
    "\t\"example.com/shop/v2/odd\"\n)\n"
    "type Order struct {\n"
    "\tBase // all have it\n"
    "\t*Meta\n"
    "\tUser, Mail string `json:\"user\"`\n"
    "\tLines []*Line; Notes map[string]Note\n"
    "\tURL *url.URL\n"
    "\tStore other.Store\n"
    "\tX elsewhere.T\n"
    "\tOdd peculiar.Thing\n"
    "\tfixed [4]byte\n"
    "\tmany [limit]int\n"
    "\tdone <-chan struct{}\n"
    "\tcall func(a, b int) (\n\t\terror)\n"
    "\tin struct { A, B int; c string }\n"
    "\tany interface{ M(int) }\n"
    "\tlist List[int]\n"
    "\tpairs Pair[string, *url.URL]; pairless Pair[string]\n"
    "\tNext *Order\n"
    "}\n"
    "type Base struct { ID int64; At Time }\n"
    "type Time = Note\n"
    "type Meta struct { Tag string; ID string }\n"
    "type Line struct { List[int]; other.Inner; n uint8 }\n"
    "type List[T any] struct{ v T }\n"
    "type Pair[K comparable, V any /* , */] struct{ k []K; last List[V]; next *Pair[V, K] }\n"
    "type Deepening[T any] struct { *Deepening[[]T] }\n"
    "type Splitting[T any] map[*Splitting[*T]]*Splitting[[]T]\n"
    "type Here = There\ntype There = Here\n"
    "type Note string\n"
    "type Level Note\n"
    "type int32 string\n"
    "const limit = 3\n";

static void world_open(struct world *w)
{
	char goroot[128], path[128], *files[1] = {path};
	struct err err = {0};

	*w = (struct world){.dir = "/tmp/earshot-types-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	put_file(w, "go/src/net/url/url.go",
	         "package url\ntype URL struct {\n\tPath string\n\tUser *Userinfo\n}\n"
	         "type Userinfo struct{ name string }\n");
	put_file(w, "go/src/net/url/url_windows.go", "package url\ntype Userinfo struct{ other int }\n");
	put_file(w, "go/src/net/url/url_test.go", "package url\ntype URL int\n");
	put_file(w, "mod/go.mod", "// a module\nmodule example.com/shop/v2 // really\n\ngo 1.21\n");
	put_file(w, "mod/shop.go", shop);
	put_file(w, "mod/internal/store/store.go",
	         "package store\ntype Store struct{ Inner }\ntype Inner struct{ Deep bool }\n");
	put_file(w, "mod/internal/store/a.go", "package store\ntype Two int\n");
	put_file(w, "mod/internal/store/b.go", "//go:build never\n\npackage store\ntype Two string\n");
	put_file(w, "mod/odd/odd.go", "package peculiar\ntype Thing uint16\n");
	put_file(w, "mod/nested/go.mod", "module example.com/shop/v2/nested\n");
	put_file(w, "mod/nested/n.go", "package nested\ntype T int\n");
	snprintf(path, sizeof(path), "%s/mod/shop.go", w->dir);
	snprintf(goroot, sizeof(goroot), "%s/go", w->dir);
	if (weave_package_open(&w->package, "example.com/shop/v2", files, 1, &err))
		fail_msg("%s", err.text);
	w->types = source_types_new(&w->package, arena_strdup(&w->package.arena, goroot), NULL);
	w->lookup = source_types_lookup(w->types);
}

static void world_close(struct world *w)
{
	char command[128];

	source_types_free(w->types);
	weave_package_done(&w->package);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
}

static const struct type *type_of(struct world *w, const char *text)
{
	return w->lookup->ops->parse(w->lookup, "example.com/shop/v2", text, NULL);
}

/* The field by its path of steps, "Meta.Tag string"; NULL: there is none. */
static void check_field(struct world *w, const char *in, const char *name, const char *want)
{
	const struct type *t = type_of(w, in);
	struct field_path path;
	char got[256] = "";

	assert_non_null(t);
	if (!w->lookup->ops->find_field(w->lookup, t, name, &path)) {
		if (want)
			fail_msg("%s has no field %s", in, name);
		return;
	}
	for (size_t i = 0; i < path.n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? "." : "", path.steps[i].name);
	t = path.steps[path.n - 1].type;
	snprintf(got + strlen(got), sizeof(got) - strlen(got), " %s", t ? t->name : "?");
	if (!want || strcmp(got, want))
		fail_msg("%s.%s is %s, not %s", in, name, got, want ? want : "missing");
}

static void fields(void **state)
{
	struct world w;

	world_open(&w);
	check_field(&w, "Order", "User", "User string");
	check_field(&w, "Order", "Mail", "Mail string");
	check_field(&w, "Order", "Lines", "Lines []*example.com/shop/v2.Line");
	check_field(&w, "Order", "Notes", "Notes map[string]example.com/shop/v2.Note");
	check_field(&w, "Order", "URL", "URL *net/url.URL");
	check_field(&w, "Order", "Store", "Store example.com/shop/v2/internal/store.Store");
	check_field(&w, "Order", "X", "X example.com/elsewhere.T");
	check_field(&w, "Order", "Odd", "Odd example.com/shop/v2/odd.Thing");
	check_field(&w, "Order", "fixed", "fixed [4]uint8");
	check_field(&w, "Order", "many", "many ?");
	check_field(&w, "Order", "done", "done <-chan struct {?}");
	check_field(&w, "Order", "call", "call func(?)");
	check_field(&w, "Order", "Next", "Next *example.com/shop/v2.Order");
	check_field(&w, "Order", "list", "list example.com/shop/v2.List[int]");
	check_field(&w, "Order", "pairs", "pairs example.com/shop/v2.Pair[string,*net/url.URL]");
	check_field(&w, "Order", "pairless", "pairless ?"); /* one argument too few */
	check_field(&w, "Order", "At", "At example.com/shop/v2.Note");
	check_field(&w, "Order", "Tag", "Meta.Tag string");
	check_field(&w, "Order", "ID", NULL); /* of two, at one depth */
	check_field(&w, "Order", "nothing", NULL);
	check_field(&w, "net/url.URL", "User", "User *net/url.Userinfo");
	check_field(&w, "net/url.Userinfo", "name", "name string");
	check_field(&w, "example.com/shop/v2/internal/store.Store", "Deep", "Deep bool");
	check_field(&w, "Line", "n", "n uint8");
	check_field(&w, "Line", "Deep", "Deep bool");
	check_field(&w, "Line", "v", "v int");
	check_field(&w, "Pair[string,*net/url.URL]", "k", "k []string");
	check_field(&w, "Pair[string,*net/url.URL]", "last", "last example.com/shop/v2.List[*net/url.URL]");
	check_field(&w, "Pair[string,*net/url.URL]", "next",
	            "next *example.com/shop/v2.Pair[*net/url.URL,string]");
	world_close(&w);
}

static void kinds(void **state)
{
	struct world w;
	struct field_path path;

	world_open(&w);
	assert_int_equal(type_of(&w, "Note")->kind, KIND_STRING);
	assert_int_equal(type_of(&w, "Level")->kind, KIND_STRING);
	assert_int_equal(type_of(&w, "int32")->kind, KIND_STRING); /* declared by the package */
	assert_int_equal(type_of(&w, "byte")->kind, KIND_UINT8);
	assert_int_equal(type_of(&w, "interface{}")->kind, KIND_INTERFACE);
	assert_string_equal(type_of(&w, "any")->name, "interface {}");
	assert_ptr_equal(type_of(&w, "*Order"), type_of(&w, "*example.com/shop/v2.Order"));
	assert_int_equal(type_of(&w, "example.com/elsewhere.T")->kind, KIND_INVALID);
	assert_int_equal(type_of(&w, "*example.com/elsewhere.T")->kind, KIND_POINTER);
	assert_true(w.lookup->ops->find_field(w.lookup, type_of(&w, "Order"), "in", &path));
	assert_true(w.lookup->ops->find_field(w.lookup, path.steps[0].type, "c", &path));
	assert_int_equal(path.steps[0].type->kind, KIND_STRING);
	world_close(&w);
}

/* Of a package that the go command knows the folder of, the files that it names: all of them, and no others. */
static void what_the_go_command_knows(void **state)
{
	struct go_list list = {.read = true, .asked = true};
	struct world w;
	char line[256];

	world_open(&w);
	put_file(&w, "cache/elsewhere/a.go", "package elsewhere\ntype First struct{}\n");
	put_file(&w, "cache/elsewhere/b.go", "package elsewhere\ntype T struct{ inner Inner }\n");
	put_file(&w, "cache/elsewhere/c.go", "package elsewhere\ntype Inner int\n");
	put_file(&w, "cache/elsewhere/other.go", "package elsewhere\ntype Inner string\n");
	snprintf(line, sizeof(line), "example.com/elsewhere\t%s/cache/elsewhere\ta.go\tb.go\tc.go\n", w.dir);
	go_list_read(&list, line, strlen(line));
	source_types_free(w.types);
	w.types = source_types_new(&w.package, NULL, &list);
	w.lookup = source_types_lookup(w.types);
	check_field(&w, "Order", "X", "X example.com/elsewhere.T");
	check_field(&w, "example.com/elsewhere.T", "inner", "inner example.com/elsewhere.Inner");
	assert_int_equal(type_of(&w, "example.com/elsewhere.Inner")->kind, KIND_INT);
	world_close(&w);
	go_list_done(&list);
}

/* Packs declare types of packages that have no source here. */
static void what_packs_declare(void **state)
{
	static const struct declared_type all[] = {
	    {"example.com/elsewhere.T", "struct { inner *Inner; rows example.com/elsewhere.Rows; code Code; n int }"},
	    {"example.com/elsewhere.Inner", "struct { T }"},
	    {"example.com/elsewhere.Rows", "interface { Close() }"},
	    {"example.com/elsewhere.Code", "= string"},
	    {"net/url.URL", "struct { other int }"}};
	struct field_path path;
	struct world w;

	world_open(&w);
	source_types_declare(w.types, all, 5);
	check_field(&w, "Order", "X", "X example.com/elsewhere.T");
	check_field(&w, "example.com/elsewhere.T", "inner", "inner *example.com/elsewhere.Inner");
	check_field(&w, "example.com/elsewhere.T", "code", "code string");
	check_field(&w, "example.com/elsewhere.Inner", "n", "n int");
	check_field(&w, "net/url.URL", "other", NULL); /* it has source */
	assert_true(w.lookup->ops->find_field(w.lookup, type_of(&w, "example.com/elsewhere.T"), "rows", &path));
	assert_int_equal(path.steps[0].type->kind, KIND_INTERFACE);
	assert_true(path.steps[0].type->has_methods);
	assert_false(type_of(&w, "interface{}")->has_methods);
	assert_false(type_of(&w, "interface{ any }")->has_methods); /* nobody knows */
	assert_true(type_of(&w, "interface{ /* a( */ M(int) error }")->has_methods);
	world_close(&w);
}

static void check_unknown(struct world *w, const char *text, int code)
{
	struct err err = {0};

	if (w->lookup->ops->parse(w->lookup, "example.com/shop/v2", text, &err))
		fail_msg("%s is a type", text);
	if (err.code != code)
		fail_msg("%s: %d, %s", text, err.code, err.text);
}

/* That there is no such type is only said where all of the package was seen. */
static void what_is_not_known(void **state)
{
	struct world w;

	world_open(&w);
	check_unknown(&w, "Absent", -ENOENT);
	check_unknown(&w, "net/url.Absent", -ENOENT);
	check_unknown(&w, "example.com/shop/v2/internal/store.Two", -ENODATA);
	check_unknown(&w, "List", -ENODATA);
	check_unknown(&w, "List[int, int]", -ENODATA);
	check_unknown(&w, "List[Absent]", -EINVAL);
	check_unknown(&w, "List[example.com/elsewhere.T]", -EINVAL);
	check_field(&w, "Deepening[int]", "nothing", NULL);
	check_unknown(&w, "map[string", -EINVAL);
	check_unknown(&w, "*", -EINVAL);
	check_unknown(&w, "int int", -EINVAL);
	assert_int_equal(type_of(&w, "example.com/shop/v2/nested.T")->kind, KIND_INVALID); /* of another module */
	assert_true(source_types_imported(w.types, "net/url"));
	assert_false(source_types_imported(w.types, "net/http"));
	world_close(&w);
}

/* Go refuses such types, and says so, but only once it gets to see them. */
static void types_without_end(void **state)
{
	struct world w;

	world_open(&w);
	check_unknown(&w, "Here", -EINVAL);
	check_unknown(&w, "[]There", -EINVAL);
	assert_int_equal(type_of(&w, "Splitting[int]")->kind, KIND_INVALID);
	check_field(&w, "Order", "User", "User string");
	world_close(&w);
}

/* Where a package lies that is not seen the go command is asked, which takes longer than to compile many a package. */
static void the_standard_library_uses_nothing_else(void **state)
{
	struct world w;

	world_open(&w);
	put_file(&w, "go/src/go.mod", "module std\n");
	for (int std = 0; std <= 1; std++) {
		struct go_list list = {.go = "/nowhere/go", .package = "x"};
		struct weave_package p = {0};
		char goroot[128], path[128], *files[1] = {path};
		struct source_types *types;

		snprintf(goroot, sizeof(goroot), "%s/go", w.dir);
		snprintf(path, sizeof(path), "%s/%s", w.dir, std ? "go/src/net/url/url.go" : "mod/shop.go");
		assert_int_equal(weave_package_open(&p, std ? "net/url" : "example.com/shop/v2", files, 1, NULL), 0);
		types = source_types_new(&p, goroot, &list);
		w.lookup = source_types_lookup(types);
		assert_int_equal(type_of(&w, "example.com/elsewhere.T")->kind, KIND_INVALID);
		assert_int_equal(list.asked, !std);
		source_types_free(types);
		go_list_done(&list);
		weave_package_done(&p);
	}
	world_close(&w);
}

/* All files that the go command lists, and no other one beside them. */
static void listed_packages(void **state)
{
	struct go_list list = {.asked = true};
	struct source_types *types;
	char line[256];
	struct world w;

	world_open(&w);
	put_file(&w, "cache/a.go", "package a\ntype First int\n");
	put_file(&w, "cache/b.go", "package a\ntype Second struct{ X string }\n");
	put_file(&w, "cache/c.go", "package a\ntype Third int\n");
	snprintf(line, sizeof(line), "elsewhere.org/a\t%s/cache\ta.go\tb.go\n", w.dir);
	go_list_read(&list, line, strlen(line));
	types = source_types_new(&w.package, NULL, &list);
	source_types_free(w.types);
	w.types = types;
	w.lookup = source_types_lookup(types);
	assert_non_null(type_of(&w, "elsewhere.org/a.First"));
	check_field(&w, "elsewhere.org/a.Second", "X", "X string");
	assert_null(type_of(&w, "elsewhere.org/a.Third"));
	world_close(&w);
	go_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields),
	    cmocka_unit_test(kinds),
	    cmocka_unit_test(what_is_not_known),
	    cmocka_unit_test(types_without_end),
	    cmocka_unit_test(the_standard_library_uses_nothing_else),
	    cmocka_unit_test(what_the_go_command_knows),
	    cmocka_unit_test(what_packs_declare),
	    cmocka_unit_test(listed_packages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
