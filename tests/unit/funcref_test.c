/* Function references: names of every shape, declared signatures, what the errors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "probe/lang/expr.h"

static void print_list(struct buf *b, const struct declared_param *p, size_t n)
{
	buf_char(b, '(');
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s%s:%s", i ? "," : "", p[i].name, p[i].type ? p[i].type : "NULL");
	buf_char(b, ')');
}

/* name(name:type,…)(…), the second list only when results are declared */
static const char *parsed(struct arena *a, const char *text)
{
	struct err err = {0};
	struct func_ref f;
	struct buf b = {0};
	const char *out;

	if (func_ref_parse(text, a, &f, &err) < 0)
		return arena_printf(a, "error: %s", err.text);
	buf_str(&b, f.name);
	for (size_t i = 0; i < f.signature.ntype_params; i++)
		buf_printf(&b, "%s%s%s", i ? "," : "<", f.signature.type_params[i],
			   i + 1 == f.signature.ntype_params ? ">" : "");
	if (f.signature.instance)
		buf_char(&b, '!');
	if (f.declared)
		print_list(&b, f.signature.params, f.signature.nparams);
	if (f.signature.has_results)
		print_list(&b, f.signature.results, f.signature.nresults);
	out = arena_strdup(a, b.data);
	buf_done(&b);
	return out;
}

static void test_parse(void **state)
{
	static const char *const pairs[][2] = {
		{"net/http.(*response).finishRequest", "net/http.(*response).finishRequest"},
		{"net/http.(*response).finishRequest()", "net/http.(*response).finishRequest()"},
		{"net/http.(*conn).serve.func1", "net/http.(*conn).serve.func1"},
		{"main.SetInfo(user string, addr *Address, vip bool) (id int, err error)",
		 "main.SetInfo(user:string,addr:*Address,vip:bool)(id:int,err:error)"},
		{"main.f(a, b int, c string)", "main.f(a:int,b:int,c:string)"},
		{"main.f(int, string)", "main.f(:int,:string)"},
		{"main.f(string) error", "main.f(:string)(:error)"},
		{"main.f(x int) ()", "main.f(x:int)()"},
		{"main.f(x int) map[string][]int ", "main.f(x:int)(:map[string][]int)"},
		{"main.Log(format string, args ...any)", "main.Log(format:string,args:[]any)"},
		{"main.f(c chan int, g func(a, b int) (c int), s struct{ x int })",
		 "main.f(c:chan int,g:func(a, b int) (c int),s:struct{ x int })"},
		{"main.f(chan int, map[string]int)", "main.f(:chan int,:map[string]int)"},
		{"main.f(_ int, x ?)", "main.f(:int,x:NULL)"},
		{"main.f(?, string)", "main.f(:NULL,:string)"},
		{"main.Map[...](x int)", "main.Map[...](x:int)"},
		{"main.Map[K, V](m map[K]V) (v V)", "main.Map<K,V>(m:map[K]V)(v:V)"},
		{"main.Map[K comparable, V interface{ Get() []int }](m map[K]V)", "main.Map<K,V>(m:map[K]V)"},
		{"main.(*Tree[V]).Put(v V)", "main.(*Tree).Put<V>(v:V)"},
		{"main.Map[string](x string)", "main.Map[string]!(x:string)"},
		{"main.Map[K, int](x K)", "main.Map[K, int]!(x:K)"},
		{"main.Map[*T](x int)", "main.Map[*T]!(x:int)"},
		{"main.f(s struct{ a, b int `x:\"}\"`; *T }, i interface{ M(a, b int); error })",
		 "main.f(s:struct{ a, b int `x:\"}\"`; *T },i:interface{ M(a, b int); error })"},
		{"main.f(a [2*3]T, b ...struct{ c int })", "main.f(a:[2*3]T,b:[]struct{ c int })"},
		{"main.Map[go.shape.struct { X int; Y func(int) }](x int)",
		 "main.Map[go.shape.struct { X int; Y func(int) }]!(x:int)"},
		{"main.(*T[...]).Do(x List[int])", "main.(*T[...]).Do(x:List[int])"},
		{"main.(*T).Do-fm", "main.(*T).Do-fm"},
		{"gopkg.in/yaml%2ev3.Unmarshal(in []byte, out any,) error",
		 "gopkg.in/yaml%2ev3.Unmarshal(in:[]byte,out:any)(:error)"},
		{"  main.f  ", "main.f"},
		{"a.f(\n\tx int,\n\ty *net/http.Request\n)", "a.f(x:int,y:*net/http.Request)"},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_string_equal(parsed(&a, pairs[i][0]), pairs[i][1]);
	arena_done(&a);
}

static void test_errors(void **state)
{
	static const char *const cases[][2] = {
		{"", "a function's name is expected"},
		{"(x int)", "a function's name is expected"},
		{"main.f(x int", "the ) that closes this is missing"},
		{"main.f(x [4 int)", "closes a different one"},
		{"main.f(x, y int, z)", "this parameter has no type"},
		{"main.f(x int, *T)", "this parameter has no type"},
		{"main.f(*T, x int)", "a type but no name"},
		{"main.f(,)", "a parameter is expected here"},
		{"main.f() x, y", "should end here"},
		{"main.f if x", "should end here"},
		{"main.(*T", "this receiver is not closed; all methods of a type are"},
		{"main.f(x int])", "this bracket closes nothing"},
		{"main.f(r struct{ N int, S string })", "the fields of a struct are separated by \";\""},
		{"main.f(a int) struct{ i, j }", "the type of the field"},
		{"main.f(a ...int, b int)", "only the last parameter"},
		{"main.f(a int) (b ...int)", "a result has no"},
		{"main.f(a map[string])", "is not a Go type"},
		{"main.f(s struct{ a int `x })", "the quote that closes this is missing"},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got = parsed(&a, cases[i][0]);

		if (!strstr(got, cases[i][1]) || !strstr(got, "^"))
			fail_msg("%s: %s", cases[i][0], got);
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("funcref", tests, NULL, NULL);
}
