/* Questions of trace as text: what they are taken for, and what is said of wrong ones, caret included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "probe/lang/question.h"

static void print_exprs(struct buf *b, const struct expr *const *e, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(b, "%s<%s>", i ? "," : "", texts[i]);
		expr_print(e[i], b);
	}
}

static void print_action(struct buf *b, const struct action *a)
{
	static const char *const kinds[] = {"print", "stack", "aggregate"};
	static const char *const aggregates[] = {"count", "sum", "min", "max", "avg", "hist", "linear"};

	buf_printf(b, " {%s", a->kind == ACTION_AGGREGATE ? aggregates[a->aggregate] : kinds[a->kind]);
	buf_char(b, ' ');
	print_exprs(b, a->args, a->arg_texts, a->nargs);
	if (a->nby)
		buf_str(b, " by ");
	print_exprs(b, a->by, a->by_texts, a->nby);
	if (a->aggregate == AGG_LINEAR)
		buf_printf(b, " %lld..%lld/%lld", (long long)a->low, (long long)a->high, (long long)a->step);
	buf_char(b, '}');
}

/* pattern[*][(n)[m]] [if …] {action …}… */
static const char *parsed(struct arena *a, const char *text)
{
	struct err err = {0};
	struct question q;
	struct buf b = {0};
	const char *out;

	if (question_parse(text, a, &q, &err) < 0)
		return arena_printf(a, "error: %s", err.text);
	for (size_t i = 0; i < q.ref.signature.ntypes; i++)
		buf_printf(&b, "type %s = %s; ", q.ref.signature.types[i].name, q.ref.signature.types[i].type);
	buf_printf(&b, "%s%s", q.pattern, q.glob ? " glob" : "");
	if (q.ref.declared)
		buf_printf(&b, " (%zu)", q.ref.signature.nparams);
	if (q.ref.signature.has_results)
		buf_printf(&b, " (%zu)", q.ref.signature.nresults);
	if (q.condition) {
		buf_str(&b, " if ");
		expr_print(q.condition, &b);
	}
	for (size_t i = 0; i < q.nactions; i++)
		print_action(&b, &q.actions[i]);
	out = arena_strdup(a, b.data);
	buf_done(&b);
	return out;
}

struct example {
	const char *text, *expected;
};

static void check(const struct example *cases, size_t n)
{
	struct arena a = {0};

	for (size_t i = 0; i < n; i++)
		assert_string_equal(parsed(&a, cases[i].text), cases[i].expected);
	arena_done(&a);
}

static void test_functions(void **state)
{
	static const struct example cases[] = {
		{"main.SetInfo", "main.SetInfo"},
		{"  main.SetInfo  ", "main.SetInfo"},
		{"main.(*Cart).Add", "main.(*Cart).Add"},
		{"(*Cart).Add", "(*Cart).Add"},
		{"Cart.Add", "Cart.Add"},
		{"main.(*Cart).*", "main.(*Cart).* glob"},
		{"main.*", "main.* glob"},
		{"*.ServeHTTP", "*.ServeHTTP glob"},
		{"main.Set?nfo", "main.Set?nfo glob"},
		{"*(*Cart).Add", "*(*Cart).Add glob"},
		{"main.Map[...]", "main.Map[...]"},
		{"main.Map[int, string]", "main.Map[int, string]"},
		{"main.(*List[int]).Push", "main.(*List[int]).Push"},
		{"gopkg.in/yaml.v3.Unmarshal", "gopkg.in/yaml.v3.Unmarshal"},
		{"main.main.func1.2", "main.main.func1.2"},
		{"main.(*T).M-fm", "main.(*T).M-fm"},
		{"main.SetInfo(user string, addr *Address, vip bool) (id int, err error)", "main.SetInfo (3) (2)"},
		{"main.SetInfo(user string)", "main.SetInfo (1)"},
		{"main.SetInfo() error", "main.SetInfo (0) (1)"},
		{"main.SetInfo() ()", "main.SetInfo (0) (0)"},
		{"main.(*Cart).Add(a int, ?, b bool) error if a > 1", "main.(*Cart).Add (3) (1) if a > 1"},
		{"main.F() map[string]func(int) error if n == 1", "main.F (0) (1) if n == 1"},
		{"main.F() interface{} { count() }", "main.F (0) (1) {count }"},
		{"main.F(v struct{ x int }) struct{} {stack}", "main.F (1) (1) {stack }"},
		{"type Order struct { a, b int; c string }; main.F(o Order) if o.a > 1",
		 "type Order = struct { a, b int; c string }; main.F (1) if o.a > 1"},
		{"\ntype time.Duration int64\ntype D = time.Duration\n\nmain.F(d D) ()",
		 "type time.Duration = int64; type D = = time.Duration; main.F (1) (0)"},
	};

	check(cases, ARRAY_SIZE(cases));
}

static void test_conditions_and_actions(void **state)
{
	static const struct example cases[] = {
		{"main.(*Cart).Add if user.Name == \"alice\" && len(items) > 3",
		 "main.(*Cart).Add if user.Name == \"alice\" && len(items) > 3"},
		{"main.Login if latency > 10ms || err != nil", "main.Login if latency > 10000000 || err != nil"},
		{"net/http.(*Transport).roundTrip { hist(latency) by req.URL.Host }",
		 "net/http.(*Transport).roundTrip {hist <latency>latency by <req.URL.Host>req.URL.Host}"},
		{"main.* { count() by func }", "main.* glob {count  by <func>func}"},
		{"main.*{count}", "main.* glob {count }"},
		{"main.Login if err != nil { print(user, err); stack }",
		 "main.Login if err != nil {print <user>user,<err>err} {stack }"},
		{"f { print( a.b , len( x ) )\n\tstack()\n sum(n) by a, b[0]\n}",
		 "f {print <a.b>a.b,<len( x )>len(x)} {stack } {sum <n>n by <a>a,<b[0]>b[0]}"},
		{"f { hist(n, -10, 10, 5); min(n);max(n) ; avg(n); }",
		 "f {linear <n>n -10..10/5} {min <n>n} {max <n>n} {avg <n>n}"},
		{"f { hist(n, -1<<62, 3*4 - 12, 1<<60 + 1<<60) }",
		 "f {linear <n>n -4611686018427387904..0/2305843009213693952}"},
		{"f { hist(latency, 0, 1s, 100ms) }", "f {linear <latency>latency 0..1000000000/100000000}"},
		{"f if x { stack }", "f if x {stack }"},
		{"f if s == \"if { }\"", "f if s == \"if { }\""},
	};
	struct arena a = {0};
	struct question q;

	check(cases, ARRAY_SIZE(cases));
	assert_int_equal(question_parse("f { stack ; hist(latency)  by a.b , c }", &a, &q, NULL), 0);
	assert_string_equal(q.actions[1].text, "hist(latency)  by a.b , c");
	assert_int_equal(q.actions[1].column, 12);
	assert_int_equal(q.actions[1].by[1]->column, 36);
	arena_done(&a);
}

static void test_errors(void **state)
{
	static const struct example cases[] = {
		{"", "error: a function's name is expected, as in net/http.(*conn).serve\n  \n  ^"},
		{"main.f when x",
		 "error: `if CONDITION`, `{ ACTIONS }` or the end is expected here\n  main.f when x\n         ^"},
		{"main.f if", "error: a value is expected here, but the expression ends\n  main.f if\n           ^"},
		{"main.f if a = 1", "error: = assigns in Go; to compare, write ==\n  main.f if a = 1\n              ^"},
		{"main.f if a == { count() }",
		 "error: a value is expected here\n  main.f if a == { count() }\n                 ^"},
		{"main.f { cnt() }",
		 "error: there is no action cnt; did you mean count?\n  main.f { cnt() }\n           ^"},
		{"main.f { prnt(x) }",
		 "error: there is no action prnt; did you mean print?\n  main.f { prnt(x) }\n           ^"},
		{"main.f { count() by }",
		 "error: a value is expected here\n  main.f { count() by }\n                      ^"},
		{"main.f { count() ", "error: the } that closes this is missing\n  main.f { count() \n         ^"},
		{"main.f { count() stack }",
		 "error: a ; or a } is expected here\n  main.f { count() stack }\n                   ^"},
		{"main.f { sum() }",
		 "error: sum takes one value, as in sum(len(items))\n  main.f { sum() }\n           ^"},
		{"main.f { count(x) }", "error: count takes no arguments; groups are made with by: count() by user\n"
					"  main.f { count(x) }\n           ^"},
		{"main.f { print(x) by y }", "error: only count, sum, min, max, avg and hist can be grouped with by\n"
					     "  main.f { print(x) by y }\n                    ^"},
		{"main.f { count() by a, b, c, d, e }", "error: groups can be made by 4 values at most\n"
							"  main.f { count() by a, b, c, d, e }\n"
							"                                  ^"},
		{"main.f { hist(n, 10, 0, 1) }", "error: high must be larger than low: hist(x, low, high, step)\n"
						 "  main.f { hist(n, 10, 0, 1) }\n                       ^"},
		{"main.f { hist(n, 0, 10, 3) }", "error: high - low must be a multiple of the step\n"
						 "  main.f { hist(n, 0, 10, 3) }\n                          ^"},
		{"main.f { hist(n, 0, x, 3) }", "error: low, high and step of a histogram are constant integers "
						"below 1<<63, or durations\n"
						"  main.f { hist(n, 0, x, 3) }\n                      ^"},
		{"main.f { }", "error: there are no actions in these braces; without them all arguments and results "
			       "are printed\n  main.f { }\n         ^"},
		{"main.f }", "error: this bracket closes nothing\n  main.f }\n         ^"},
		{"main.*(a int)", "error: main.* stands for several functions, a signature can be declared for one "
				  "only\n  main.*(a int)\n  ^"},
		{"type Order int; main.f", "error: a type is declared for a signature: write the function's, too, as "
					   "in `type Order struct { … }; main.F(o Order) (err error)`\n"
					   "  type Order int; main.f\n  ^"},
		{"type Order int", "error: a ; and the function are expected behind a declared type\n  type Order int\n"
				   "                ^"},
		{"type Order; main.f(o Order)", "error: the type is missing, as in `type time.Duration int64; main.F(d "
						"time.Duration)`\n  type Order; main.f(o Order)\n            ^"},
		{"type L[T] []T; main.f(l L)", "error: a declared type has no type parameters; write the struct of the "
					       "instance\n  type L[T] []T; main.f(l L)\n        ^"},
		{"type O struct{ a int, b int }; main.f(o O)",
		 "error: \"struct{ a int, b int }\" is not a Go type: the fields of a struct are separated by \";\", "
		 "not by \",\", at \", b int }\"\n"
		 "  type O struct{ a int, b int }; main.f(o O)\n                      ^"},
		{"main.(*Ca*", "error: this receiver is not closed; all methods of a type are main.(*Cart).*, of all "
			       "types whose names begin so main.(*Ca*).*\n  main.(*Ca*\n       ^"},
		{"main.f(a int", "error: the ) that closes this is missing\n  main.f(a int\n        ^"},
		{"main.f if \"x", "error: this string has no closing \"\n  main.f if \"x\n            ^"},
	};

	check(cases, ARRAY_SIZE(cases));
}

static void test_limits(void **state)
{
	struct arena a = {0};
	struct question q;
	struct err err = {0};
	char *text = xmalloc(100001);

	memset(text, '(', 100000);
	text[100000] = '\0';
	assert_int_equal(question_parse(text, &a, &q, &err), -EINVAL);
	text[4000] = '\0';
	assert_int_equal(question_parse(text, &a, &q, &err), -EINVAL);
	memcpy(text, "f if ", 5);
	assert_int_equal(question_parse(text, &a, &q, &err), -EINVAL);
	assert_int_equal(question_parse("f { hist(n, -9223372036854775808, 9223372036854775807, 1) }", &a, &q, &err),
			 -EINVAL);
	assert_int_equal(question_parse("f { hist(n, 0, 1000, 1) }", &a, &q, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1000 buckets"));
	free(text);
	arena_done(&a);
}

/* pattern [glob] [if …] [{name=expr,…}] */
static const char *parsed_span(struct arena *a, const char *text)
{
	struct err err = {0};
	struct span_question q;
	struct buf b = {0};
	const char *out;

	if (span_question_parse(text, a, &q, &err) < 0)
		return arena_printf(a, "error: %s", err.text);
	buf_printf(&b, "%s%s%s", q.function.pattern, q.function.glob ? " glob" : "",
		   q.function.ref.declared ? " declared" : "");
	if (q.when)
		buf_printf(&b, " if <%s>", q.when);
	if (q.chosen)
		buf_str(&b, " {");
	for (size_t i = 0; i < q.nattributes; i++) {
		buf_printf(&b, "%s=<%s>", q.attributes[i].name, q.attributes[i].text);
		expr_print(q.attributes[i].expr, &b);
		buf_char(&b, ';');
	}
	if (q.chosen)
		buf_char(&b, '}');
	out = arena_strndup(a, b.data, b.len);
	buf_done(&b);
	return out;
}

static void test_spans(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"main.(*Svc).Charge", "main.(*Svc).Charge"},
		{"main.*", "main.* glob"},
		{"main.F(ctx context.Context, n int) (err error)", "main.F declared"},
		{"main.F if n > 3 && s != \"}\" ", "main.F if <n > 3 && s != \"}\">"},
		{"main.F {}", "main.F {}"},
		{"main.F { user, order.total: o.Total , n: len( items ), ret0 }",
		 "main.F {user=<user>user;order.total=<o.Total>o.Total;n=<len( items )>len(items);ret0=<ret0>ret0;}"},
		{"main.F if ok {s[1:3]}", "main.F if <ok> {s[1:3]=<s[1:3]>s[1:3];}"},
		{"main.F { a b }", "error: a , or a } is expected here: attributes are { expr, name: expr, … }\n"
				   "  main.F { a b }\n             ^"},
		{"main.F { a, }", "error: a value is expected here\n  main.F { a, }\n              ^"},
		{"main.F { a", "error: the } that closes this is missing\n  main.F { a\n         ^"},
		{"main.F { len(a): b }", "error: an attribute's name is expected before the colon, as in order.total: "
					 "o.Total\n  main.F { len(a): b }\n           ^"},
		{"main.F { a, a: b }", "error: another attribute has this name; `NAME: …` gives it one of its own\n"
				       "  main.F { a, a: b }\n              ^"},
		{"main.F x", "error: `if CONDITION`, `{ ATTRIBUTES }` or the end is expected here\n  main.F x\n"
			     "         ^"},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(parsed_span(&a, cases[i].text), cases[i].want);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions),
		cmocka_unit_test(test_conditions_and_actions),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
