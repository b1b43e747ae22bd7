/* binary/typeexpr: types in Go syntax, found or composed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "binary/internal.h"
#include "lib/go_binaries.h"
#include "probe/pack/pack.h"
#include "unit/open.h"

static struct tiny tiny;

struct example {
	const char *text, *name;
	enum type_kind kind;
	uint64_t size;
	bool found; /* has a descriptor */
};

static void check(struct binary *b, const char *pkg, const struct example *e)
{
	struct err err = {0};
	const struct type *t = binary_type_parse(b, pkg, e->text, &err);

	if (!t)
		fail_msg("%s", err.text);
	assert_string_equal(t->name, e->name);
	assert_int_equal(t->kind, e->kind);
	assert_int_equal(t->size, e->size);
	assert_int_equal(t->rtype != 0, e->found);
	assert_ptr_equal(binary_type_parse(b, pkg, e->text, &err)->elem, t->elem);
}

static void test_examples(void **state)
{
	static const struct example examples[] = {
		{"int", "int", KIND_INT, 8, true},
		{"Point", "main.Point", KIND_STRUCT, 24, true},
		{"main.Point", "main.Point", KIND_STRUCT, 24, true},
		{"*Point", "*main.Point", KIND_POINTER, 8, true},
		{" [ ] string ", "[]string", KIND_SLICE, 24, true},
		{"map[string]int", "map[string]int", KIND_MAP, 8, true},
		{"map[string][]Point", "map[string][]main.Point", KIND_MAP, 8, false},
		{"[4]Point", "[4]main.Point", KIND_ARRAY, 96, false},
		{"[0x10]byte", "[16]uint8", KIND_ARRAY, 16, false},
		{"**Point", "**main.Point", KIND_POINTER, 8, false},
		{"(int)", "int", KIND_INT, 8, true},
		{"chan int", "chan int", KIND_CHAN, 8, false},
		{"<-chan int", "<-chan int", KIND_CHAN, 8, false},
		{"chan<- int", "chan<- int", KIND_CHAN, 8, false},
		{"chan (<-chan int)", "chan (<-chan int)", KIND_CHAN, 8, false},
		{"any", "interface {}", KIND_INTERFACE, 16, true},
		{"interface{}", "interface {}", KIND_INTERFACE, 16, true},
		{"interface{ Close() error }", "interface { Close() error }", KIND_INTERFACE, 16,
		 false},
		{"error", "error", KIND_INTERFACE, 16, false},
		{"rune", "int32", KIND_INT32, 4, false},
		{"complex128", "complex128", KIND_COMPLEX128, 16, false},
		{"unsafe.Pointer", "unsafe.Pointer", KIND_UNSAFE_POINTER, 8, true},
		{"func()", "func()", KIND_FUNC, 8, false},
		{"func(a, b int, rest ...string) (n int, err error)",
		 "func(int, int, ...string) (int, error)", KIND_FUNC, 8, false},
		{"func(*Point) []byte", "func(*main.Point) []uint8", KIND_FUNC, 8, false},
		{"func(func(int) string, Unknown)", "func(func(int) string, unknown)", KIND_FUNC, 8,
		 false},
		{"struct{}", "struct {}", KIND_STRUCT, 0, false},
		{"struct{ N int; S string }", "struct { N int; S string }", KIND_STRUCT, 24, false},
		{"struct{ i, j int }", "struct { i int; j int }", KIND_STRUCT, 16, false},
		{"struct{ i, j int; }", "struct { i int; j int }", KIND_STRUCT, 16, false},
		{"struct {\n\ti, j int8\n\tk uint16\n}", "struct { i int8; j int8; k uint16 }",
		 KIND_STRUCT, 4, false},
		{"struct{ Point; *Missing; e error }", "struct { main.Point; *main.Missing; e error }",
		 KIND_STRUCT, 48, false},
		{"struct{ A int `json:\"a\"`; b bool \"x;y\" }",
		 "struct { A int \"json:\\\"a\\\"\"; b bool \"x;y\" }", KIND_STRUCT, 16, false},
		{"struct{ a []int; b [2*1]int8; c map[string]int; d func(x, y int) (n int, err error); e chan<- int }",
		 "struct { a []int; b [2]int8; c map[string]int; d func(int, int) (int, error); e chan<- int }",
		 KIND_STRUCT, 56, false},
		{"struct{ in struct{ a, b struct{ c byte } }; d [0]int }",
		 "struct { in struct { a struct { c uint8 }; b struct { c uint8 } }; d [0]int }", KIND_STRUCT,
		 16, false},
		{"[1<<4]byte", "[16]uint8", KIND_ARRAY, 16, false},
		{"[4 * (1 + 2)]bool", "[12]bool", KIND_ARRAY, 12, false},
		{"[0b1_0]bool", "[2]bool", KIND_ARRAY, 2, false},
		{"[010]bool", "[8]bool", KIND_ARRAY, 8, false},
		{"[0o10 | 3 &^ 1]bool", "[10]bool", KIND_ARRAY, 10, false},
		{"[2][3]bool", "[2][3]bool", KIND_ARRAY, 6, false},
		{"chan<- chan int", "chan<- chan int", KIND_CHAN, 8, false},
		{"func(a []int, b [3]int, c *int, d ...func())",
		 "func([]int, [3]int, *int, ...func())", KIND_FUNC, 8, false},
		{"func(int, chan int) <-chan int", "func(int, chan int) <-chan int", KIND_FUNC, 8, false},
		{"*Missing[ int , Point ]", "*main.Missing[int,main.Point]", KIND_POINTER, 8, false},
		{"*gone.Tree[*Point]", "*gone.Tree[*main.Point]", KIND_POINTER, 8, false},
		{"interface{ error; Is(error) bool }", "interface { Error() string; Is(error) bool }",
		 KIND_INTERFACE, 16, false},
		{"interface { b(); A(x int) (n int, err error)\n}",
		 "interface { A(int) (int, error); b() }", KIND_INTERFACE, 16, false},
		{"struct{ a byte; b int; c bool }", "struct { a uint8; b int; c bool }",
		 KIND_STRUCT, 24, false},
		{"*Missing", "*main.Missing", KIND_POINTER, 8, false},
		{"*gone/away.T", "*gone/away.T", KIND_POINTER, 8, false},
		{"[]*Missing", "[]*main.Missing", KIND_SLICE, 24, false},
	};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		check(b, "main", &examples[i]);
	assert_null(binary_type_parse(b, "main", "*Missing", NULL)->elem);
	assert_ptr_equal(binary_type(b, "[]string"), binary_type_parse(b, "", "[]string", NULL));
	binary_free(b);
}

static void test_struct_layout(void **state)
{
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	const struct type *t =
		binary_type_parse(b, "main", "struct{ a bool; b []string; e struct{} }", NULL);
	struct type_field f;

	assert_non_null(t);
	assert_int_equal(t->size, 40); /* a pointer to e must not point behind the struct */
	assert_true(type_field(b, t, 1, &f));
	assert_string_equal(f.name, "b");
	assert_int_equal(f.offset, 8);
	binary_free(b);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"", "expected a type"},
		{"Missing", "no \"main.Missing\""},
		{"[]Missing", "no \"main.Missing\""},
		{"map[string]gone/away.T", "no \"gone/away.T\""},
		{"[", "expected an array length"},
		{"[3", "expected \"]\""},
		{"[-1]int", "expected an array length"},
		{"[99999999999]int", "smaller array"},
		{"[4294967295][4294967295]int", "smaller array"},
		{"map[int", "expected \"]\""},
		{"map int", "expected \"[\""},
		{"int int", "the end of the type"},
		{"<-int", "expected \"chan\""},
		{"func(", "expected \")\""},
		{"func", "expected \"(\""},
		{"struct{", "expected \"}\""},
		{"struct{ Missing }", "no \"main.Missing\""},
		{"struct{ a Missing; b int }", "type Missing struct"},
		{"struct{ a, b }", "the type of the field"},
		{"struct{ a int, b string }", "separated by \";\", not by \",\""},
		{"struct{ a int b string }", "expected \";\" or \"}\""},
		{"struct{ a int; a[ }", "expected \"}\""},
		{"struct{ []int }", "a field, as in"},
		{"struct{ **Point }", "a type's name, or a pointer to one"},
		{"struct{ int `tag }", "expected \"}\""},
		{"struct{ a int \"tag\" b int }", "expected \";\" or \"}\""},
		{"func(a int, []string)", "has no name, and others have"},
		{"func(a ...int, b int)", "only the last parameter"},
		{"func() ...int", "expected a type"},
		{"func() (a ...int)", "a result has no"},
		{"func(a int b int)", "expected \",\" or \")\""},
		{"func(,)", "expected a parameter"},
		{"func(a [int)", "expected \")\""},
		{"map[[]int]string", "a map's key cannot be"},
		{"[N]int", "a number here"},
		{"[...]int", "written as a number"},
		{"[1<<50]int", "smaller array length"},
		{"[1-2]int", "not negative"},
		{"[4/0]int", "smaller array length"},
		{"[0x]int", "a number as an array's length"},
		{"interface{ ~int }", "a constraint"},
		{"interface{ int | string }", "a constraint"},
		{"interface{ Point }", "a constraint"},
		{"interface{ A(); A() }", "there twice"},
		{"interface{ A(), B() }", "separated by"},
		{"Point[int", "\",\" or \"]\""},
		{"Point[int]", "an instance of a generic type"},
		{"-1", "expected a type"},
		{"3", "expected a type"},
		{"interface{", "expected \"{\""},
		{"*", "expected a type at the end"},
		{"(int", "expected \")\""},
	};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		assert_null(binary_type_parse(b, "main", bad[i].text, &err));
		if (!strstr(err.text, bad[i].words))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, err.text,
				 bad[i].words);
	}
	binary_free(b);
}

static void describe_type(struct binary *b, const struct type *t, struct buf *s)
{
	struct type_field f;

	buf_printf(s, "%s %s %llu", t->name, type_kind_name(t->kind), (unsigned long long)t->size);
	for (size_t i = 0; type_field(b, t, i, &f); i++)
		buf_printf(s, " %s@%llu:%s", f.name, (unsigned long long)f.offset, f.type->name);
}

/* The type, or the sentence. */
static const char *declared(struct binary *b, const struct declared_type *types, size_t n, const char *text)
{
	static char out[2000];
	const struct type_scope scope = {.types = types, .ntypes = n};
	struct err err = {0};
	struct buf s = {0};
	const struct type *t = binary_type_parse_in(b, "main", &scope, text, &err);

	if (t)
		describe_type(b, t, &s);
	snprintf(out, sizeof(out), "%s", t ? s.data : err.text);
	buf_done(&s);
	assert_int_equal(t == NULL, err.code != 0);
	return out;
}

static void test_declared(void **state)
{
	static const struct declared_type types[] = {
		{"Order", "struct { ID int8; Name string; at time.Time }"},
		{"time.Time", "struct { wall uint64; ext int64; loc *Location }"},
		{"time.Duration", "int64"},
		{"Node", "struct { kids []Node; next *Node; m map[string]Node; f func(Node) Node }"},
		{"Bad", "struct { b Bad }"},
		{"Left", "struct { r [2]Right }"},
		{"Right", "struct { l Left }"},
		{"D", "= time.Duration"},
		{"net/http.Header", "map[string][]string"},
		{"Point", "struct { X int }"},
		{"Wrong", "struct { a int, b int }"},
		{"Half", "struct { a Nowhere }"},
	}, others[] = {{"Order", "int"}};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	const struct type_scope scope = {.types = types, .ntypes = ARRAY_SIZE(types)};
	const struct type *t;

#define DECLARED(text) declared(b, types, ARRAY_SIZE(types), text)
	assert_string_equal(DECLARED("Order"), "main.Order struct 48 ID@0:int8 Name@8:string at@24:time.Time");
	assert_string_equal(DECLARED("*main.Order"), "*main.Order ptr 8");
	assert_string_equal(DECLARED("time.Duration"), "time.Duration int64 8");
	assert_string_equal(DECLARED("D"), "time.Duration int64 8");
	assert_string_equal(DECLARED("http.Header"), "net/http.Header map 8");
	assert_string_equal(DECLARED("Node"), "main.Node struct 48 kids@0:[]main.Node next@24:*main.Node "
					      "m@32:map[string]main.Node f@40:func(main.Node) main.Node");
	t = binary_type_parse_in(b, "main", &scope, "*Node", NULL);
	assert_int_equal(t->elem->size, 48); /* what refers to a type while it is read sees all of it later */
	assert_non_null(strstr(DECLARED("Bad"), "contains itself, without a pointer"));
	assert_non_null(strstr(DECLARED("Left"), "contains itself, without a pointer"));
	assert_non_null(strstr(DECLARED("[2]Right"), "contains itself, without a pointer"));
	assert_non_null(strstr(DECLARED("Wrong"), "separated by \";\""));
	assert_non_null(strstr(DECLARED("Half"), "no \"main.Nowhere\""));
	assert_non_null(strstr(DECLARED("Half"), "`type Nowhere int32; …`"));
	assert_non_null(strstr(DECLARED("other/pkg.T"), "`type other/pkg.T int32; …`"));
	assert_non_null(strstr(DECLARED("Point"), "the binary describes it differently (struct, 24 bytes)"));
	/* another declaration of the same name, with other company */
	assert_string_equal(declared(b, others, 1, "Order"), "main.Order int 8");
	assert_string_equal(DECLARED("Order"), "main.Order struct 48 ID@0:int8 Name@8:string at@24:time.Time");
	binary_free(b);
#undef DECLARED
}

/* What packs declare comes last, and a program's own description goes before it without a word. */
static void test_declared_for_all(void **state)
{
	static const struct declared_type types[] = {{"time.Duration", "int64"}, {"main.Point", "int"}, {"io.Reader",
		"interface { Read(p []byte) (n int, err error) }"}};
	static const struct declared_type own[] = {{"time.Duration", "int32"}};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	const struct type *t;

	assert_null(binary_type_parse(b, "main", "time.Duration", NULL));
	binary_declare_types(b, types, ARRAY_SIZE(types));
	assert_string_equal(declared(b, NULL, 0, "time.Duration"), "time.Duration int64 8");
	assert_string_equal(declared(b, own, 1, "time.Duration"), "time.Duration int32 4");
	t = binary_type_parse(b, "main", "Point", NULL);
	assert_int_equal(t->kind, KIND_STRUCT);
	t = binary_type_parse(b, "", "io.Reader", NULL);
	assert_int_equal(type_method_count(b, t), 1);
	assert_true(t->named);
	binary_free(b);
}

/* Type parameters: of a known type, of any pointer's, of an unknown one. */
static void test_type_parameters(void **state)
{
	static const char *const names[] = {"T", "P", "U"};
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	const struct type *args[] = {binary_type_parse(b, "main", "Point", NULL),
				     binary_type_parse(b, "main", "*Missing", NULL), type_unknown(b)};
	const struct type_scope scope = {.params = names, .args = args, .nparams = 3};
	struct err err = {0};

	assert_ptr_equal(binary_type_parse_in(b, "main", &scope, "T", NULL), args[0]);
	assert_string_equal(binary_type_parse_in(b, "main", &scope, "map[string][]T", NULL)->name,
			    "map[string][]main.Point");
	assert_ptr_equal(binary_type_parse_in(b, "main", &scope, "[]P", NULL)->elem, args[1]);
	assert_int_equal(binary_type_parse_in(b, "main", &scope, "[]U", NULL)->elem->kind, KIND_INVALID);
	assert_null(binary_type_parse_in(b, "main", &scope, "*U", NULL)->elem);
	assert_null(binary_type_parse_in(b, "main", &scope, "[2]U", &err));
	assert_non_null(strstr(err.text, "the size of a type"));
	binary_free(b);
}

static void check_arguments(struct binary *b, const char *function, size_t n, const char *names)
{
	const struct func f = {.name = function};
	const struct type *const *args;
	struct buf s = {0};

	assert_int_equal(shape_arguments(b, &f, n, &args, NULL), 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&s, "%s%s", i ? " | " : "", args[i]->name);
	assert_string_equal(s.data, names);
	buf_done(&s);
}

/* The names of generic functions' instances. */
static void test_shapes(void **state)
{
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	const struct type *const *args;
	struct err err = {0};

	assert_true(shape_is_any_pointer("go.shape.*uint8"));
	assert_true(shape_is_any_pointer("go.shape.*uint8_1"));
	assert_false(shape_is_any_pointer("go.shape.*uint8_"));
	assert_false(shape_is_any_pointer("go.shape.*uint8x"));
	assert_false(shape_is_any_pointer("*uint8"));
	check_arguments(b, "main.F[go.shape.string]", 1, "string");
	check_arguments(b, "main.(*T[go.shape.map[string]int,go.shape.*uint8]).Do", 2,
			"map[string]int | go.shape.*uint8");
	check_arguments(b, "main.F[go.shape.struct { X int; Y func(a, b int) },go.shape.[]main.Point]", 2,
			"struct { X int; Y func(int, int) } | []main.Point");
	check_arguments(b, "main.F[go.shape.0123456789abcdef]", 1, "unknown");
	check_arguments(b, "main.(*T[int,*main.Point]).Do", 2, "int | *main.Point");
	check_arguments(b, "main.F[...]", 3, "unknown | unknown | unknown");
	assert_int_equal(shape_arguments(b, &(struct func){.name = "main.F[go.shape.int]"}, 2, &args, &err), -EPROTO);
	assert_int_equal(shape_arguments(b, &(struct func){.name = "main.F"}, 1, &args, &err), -EPROTO);
	assert_int_equal(shape_arguments(b, &(struct func){.name = "main.F[go.shape.int,"}, 2, &args, &err), -EPROTO);
	assert_ptr_equal(shape_certain(b, "go.shape.map[string]int"), binary_type(b, "map[string]int"));
	assert_ptr_equal(shape_certain(b, "map[go.shape.string_0]go.shape.int_1"), binary_type(b, "map[string]int"));
	assert_ptr_equal(shape_certain(b, "go.shape.interface {}"), type_builtin(b, "any"));
	assert_null(shape_certain(b, "map[go.shape.string]go.shape.*uint8"));
	assert_null(shape_certain(b, "go.shape.map[string]*gone.T"));
	assert_null(shape_certain(b, "map[string]int"));
	assert_null(shape_certain(b, "go.shape.int"));
	binary_free(b);
}

static void test_syntax(void **state)
{
	struct err err = {0};
	size_t at = 0;

	assert_int_equal(type_syntax_check("struct { a Any; b map[Thing]other/path.Name[X, []Y] }", &at, &err), 0);
	assert_int_equal(type_syntax_check("struct { a Any, b int }", &at, &err), -EINVAL);
	assert_int_equal(at, 14);
	assert_int_equal(type_syntax_check("", &at, NULL), -EINVAL);
}

static void test_nesting(void **state)
{
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});
	char deep[5000];
	struct err err = {0};

	memset(deep, '*', sizeof(deep));
	strcpy(deep + sizeof(deep) - 4, "int");
	assert_null(binary_type_parse(b, "main", deep, &err));
	assert_non_null(strstr(err.text, "less nesting"));
	for (size_t i = 0; i + 6 < sizeof(deep); i += 5)
		memcpy(deep + i, "func(", 5);
	assert_null(binary_type_parse(b, "main", deep, &err));
	binary_free(b);
}

/* What the packs declare: all of it is a type, and the same as what a binary describes itself. */
static size_t check_packs(struct binary *b)
{
	size_t described = 0;

	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct err err = {0};
		struct pack *p;

		if (pack_parse(s->file, s->text, s->len, &p, &err))
			fail_msg("%s", err.text);
		for (size_t i = 0; i < p->ntypes; i++) {
			const struct type_scope scope = {.types = p->types, .ntypes = p->ntypes};

			described += rtype_by_name(b, p->types[i].name) != NULL;
			if (!binary_type_parse_in(b, "", &scope, p->types[i].name, &err))
				fail_msg("%s: %s", p->types[i].name, err.text);
		}
		pack_free(p);
	}
	return described;
}

static void test_packs(void **state)
{
	struct binary *b = open_tiny(&tiny, (struct tiny_options){0});

	assert_int_equal(check_packs(b), 0);
	binary_free(b);
}

static void check_server(const char *path)
{
	static const struct example examples[] = {
		{"*Request", "*net/http.Request", KIND_POINTER, 8, true},
		{"Header", "net/http.Header", KIND_MAP, 8, true},
		{"*url.URL", "*net/url.URL", KIND_POINTER, 8, true},
		{"context.Context", "context.Context", KIND_INTERFACE, 16, true},
		{"map[string][]string", "map[string][]string", KIND_MAP, 8, true},
		{"ResponseWriter", "net/http.ResponseWriter", KIND_INTERFACE, 16, true},
		{"time.Duration", "time.Duration", KIND_INT64, 8, true},
		{"[]byte", "[]uint8", KIND_SLICE, 24, true},
		{"func(ResponseWriter, *Request)",
		 "func(net/http.ResponseWriter, *net/http.Request)", KIND_FUNC, 8, false},
	};
	struct binary *b = NULL;
	struct err err = {0};

	if (binary_open(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		check(b, "net/http", &examples[i]);
	assert_true(check_packs(b) > 20);
	binary_free(b);
}

static void test_servers(void **state)
{
	glob_t files;
	size_t n = go_binaries("bin/httpd-go1.*-sw", &files);

	for (size_t i = 0; i < n; i++)
		check_server(files.gl_pathv[i]);
	globfree(&files);
	if (!n)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples), cmocka_unit_test(test_struct_layout),
		cmocka_unit_test(test_errors),	 cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_servers),	 cmocka_unit_test(test_declared),
		cmocka_unit_test(test_declared_for_all), cmocka_unit_test(test_type_parameters),
		cmocka_unit_test(test_syntax),	 cmocka_unit_test(test_shapes),
		 cmocka_unit_test(test_packs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
