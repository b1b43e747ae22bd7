/*
 * binary/signature: what packs ask for resolves in stripped programs of every Go version, wrong
 * declarations are refused with the reason, and stripping changes no method's signature.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "base/buf.h"
#include "binary/binary.h"
#include "lib/go_binaries.h"
#include "unit/open.h"
#include "unit/uprobe_sites.h"

/* "RAX RBX+8" … as text: registers by number, stack by offset. */
static void print_params(struct buf *s, const struct param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(s, "%s%s:", i ? " " : "", p[i].type ? p[i].type->name : "?");
		for (size_t k = 0; k < p[i].npieces; k++) {
			const struct piece *x = &p[i].pieces[k];

			if (x->where == ON_STACK)
				buf_printf(s, "%s[%d]", k ? "," : "", x->stack);
			else
				buf_printf(s, "%s%s%d", k ? "," : "",
				           x->where == IN_FLOAT_REG ? "x" : "r",
				           x->where == IN_FLOAT_REG ? x->reg - XMM_0 : x->reg);
		}
		if (p[i].why)
			buf_printf(s, "(%s)", p[i].why);
	}
}

static const char *signature_text(struct buf *s, const struct signature *g)
{
	buf_reset(s);
	print_params(s, g->params, g->nparams);
	buf_str(s, " -> ");
	if (g->results_known)
		print_params(s, g->results, g->nresults);
	else
		buf_char(s, '?');
	return s->data;
}

/* ---- what packs ask for ---- */

#define PARAMS(...)                                                                                \
	.params = (const struct declared_param[]){__VA_ARGS__},                                    \
	.nparams = ARRAY_SIZE(((const struct declared_param[]){__VA_ARGS__}))
#define RESULTS(...)                                                                               \
	.results = (const struct declared_param[]){__VA_ARGS__},                                   \
	.nresults = ARRAY_SIZE(((const struct declared_param[]){__VA_ARGS__})),                    \
	.has_results = true

struct question {
	const char *func;
	struct declared_signature decl;
	const char *answer;
};

static const struct question questions[] = {
    {"net/http.serverHandler.ServeHTTP",
     {PARAMS({"rw", "ResponseWriter"}, {"req", "*Request"})},
     "net/http.serverHandler:r0 net/http.ResponseWriter:r1,r2 *net/http.Request:r3 -> "},
    {"net/http.(*response).finishRequest", {0}, "*net/http.response:r0 -> "},
    {"net/http.(*http2responseWriter).handlerDone", {0}, "*net/http.http2responseWriter:r0 -> "},
    {"net/http/internal/http2.(*responseWriter).handlerDone",
     {0},
     "*net/http/internal/http2.responseWriter:r0 -> "},
    {"golang.org/x/net/http2.(*responseWriter).handlerDone",
     {0},
     "*golang.org/x/net/http2.responseWriter:r0 -> "},
    {"golang.org/x/net/http2.(*serverConn).runHandler",
     {PARAMS({"rw", "*responseWriter"}, {"req", "*net/http.Request"},
             {"handler", "func(net/http.ResponseWriter, *net/http.Request)"})},
     "*golang.org/x/net/http2.serverConn:r0 *golang.org/x/net/http2.responseWriter:r1 "
     "*net/http.Request:r2 func(net/http.ResponseWriter, *net/http.Request):r3 -> ?"},
    {"net/http.(*ServeMux).handler",
     {PARAMS({"host", "string"}, {"path", "string"}),
      RESULTS({"h", "Handler"}, {"pattern", "string"})},
     "*net/http.ServeMux:r0 string:r1,r2 string:r3,r4 -> net/http.Handler:r0,r1 string:r2,r3"},
    {"runtime.gopanic", {PARAMS({"e", "any"})}, "interface {}:r0,r1 -> ?"},
    {"runtime.recovery", {PARAMS({"gp", "*g"})}, "*runtime.g:r0 -> ?"},
    {"runtime.Goexit", {0}, " -> ?"},
    {"database/sql.(*DB).queryDC",
     {PARAMS({"ctx", "context.Context"}, {"txctx", "context.Context"}, {"dc", "*driverConn"},
             {"releaseConn", "func(error)"}, {"query", "string"}, {"args", "[]any"}),
      RESULTS({"", "*Rows"}, {"", "error"})},
     "*database/sql.DB:r0 context.Context:r1,r2 context.Context:r3,r4 *database/sql.driverConn:r5 "
     "func(error):r6 string:r7,r8 []interface {}:[8] -> *database/sql.Rows:r0 error:r1,r2"},
};

static bool resolve(struct binary *b, const struct question *q)
{
	struct buf s = {0};
	struct signature g;
	struct err err = {0};
	struct func f;
	struct uprobe_site site;

	if (!binary_func_find(b, q->func, &f, 1))
		return false;
	if (binary_signature(b, &f, &q->decl, &g, &err) || entry_site(b, &f, &site, &err))
		fail_msg("%s: %s", binary_name(b), err.text);
	signature_text(&s, &g);
	/* With DWARF or a method's type results are known where only parameters were declared. */
	if (strncmp(s.data, q->answer,
	            strlen(q->answer) - (q->answer[strlen(q->answer) - 1] == '?')))
		fail_msg("%s: %s is %s", binary_name(b), q->func, s.data);
	assert_int_equal(site.site.price, PRICE_EMULATED);
	for (size_t i = 0; i < q->decl.nparams; i++)
		assert_string_equal(g.params[g.has_receiver + i].name, q->decl.params[i].name);
	buf_done(&s);
	return true;
}

static size_t resolve_all(const char *pattern, size_t *ret_asked)
{
	glob_t g;
	size_t n = go_binaries(pattern, &g);

	for (size_t i = 0; i < n; i++) {
		struct binary *b = open_program(g.gl_pathv[i]);

		for (size_t k = 0; k < ARRAY_SIZE(questions); k++)
			*ret_asked += resolve(b, &questions[k]);
		binary_free(b);
	}
	globfree(&g);
	return n;
}

static void test_packs(void **state)
{
	size_t asked = 0, n = resolve_all("bin/httpd-go1.*", &asked);

	n += resolve_all("third-party/*/rclone/usr/bin/rclone", &asked);
	n += resolve_all("third-party/*/prometheus/usr/bin/prometheus", &asked);
	if (!n)
		skip();
	printf("%zu signatures of %zu programs\n", asked, n);
	assert_true(asked >= n * 4);
}

/* ---- declarations that are wrong ---- */

static struct binary *any_program(const char *pattern)
{
	struct binary *b = NULL;
	glob_t g;
	size_t n = go_binaries(pattern, &g);

	if (n)
		b = open_program(g.gl_pathv[n - 1]);
	globfree(&g);
	return b;
}

static void refuse(struct binary *b, const char *name, const struct declared_signature *d, int code,
                   const char *words)
{
	struct signature g = {.nparams = 77};
	struct err err = {0};
	struct func f;

	assert_int_not_equal(binary_func_find(b, name, &f, 1), 0);
	assert_int_equal(binary_signature(b, &f, d, &g, &err), code);
	assert_int_equal(g.nparams, 77);
	if (!strstr(err.text, words) || !strstr(err.text, name))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void test_contradictions(void **state)
{
	struct binary *b = any_program("bin/httpd-go1.2[1-6]-sw");

	if (!b)
		skip();
	/* a method whose type the binary has */
	refuse(b, "net/http.serverHandler.ServeHTTP",
	       &(struct declared_signature){PARAMS({"rw", "ResponseWriter"})}, -EPROTO,
	       "declared with 1 parameter,");
	refuse(b, "net/http.serverHandler.ServeHTTP",
	       &(struct declared_signature){PARAMS({"rw", "ResponseWriter"}, {"req", "*Response"})},
	       -EPROTO, "declared as *Response, but the binary says that it is *net/http.Request");
	/* functions of which it has no type */
	refuse(b, "runtime.recovery", &(struct declared_signature){0}, -EPROTO,
	       "the binary shows 1");
	refuse(b, "runtime.recovery", &(struct declared_signature){PARAMS({"s", "string"})},
	       -EPROTO, "should be {8+8} bytes at offset 0, but the binary shows 8 at 0");
	refuse(b, "runtime.recovery", &(struct declared_signature){PARAMS({"f", "float64"})},
	       -EPROTO, "X0");
	refuse(b, "runtime.recovery", &(struct declared_signature){PARAMS({"i", "int"})}, -EPROTO,
	       "has no pointer at byte 0");
	refuse(b, "runtime.recovery", &(struct declared_signature){PARAMS({"i", "int32"})}, -EPROTO,
	       "4 bytes");
	refuse(b, "runtime.recovery",
	       &(struct declared_signature){PARAMS({"a", "*g"}, {"b", "*g"})}, -EPROTO,
	       "has 2 parameters");
	refuse(b, "runtime.Goexit", &(struct declared_signature){PARAMS({"a", "int"})}, -EPROTO,
	       "takes none");
	/* assembly */
	refuse(b, "runtime.memmove", &(struct declared_signature){PARAMS({"to", "unsafe.Pointer"})},
	       -ENODATA, "written in assembly");
	binary_free(b);
}

/* A type that no descriptor describes is taken as the words that ArgInfo lists. */
static void test_unknown_types(void **state)
{
	struct binary *b = any_program("bin/httpd-go1.2[1-6]-sw");
	struct declared_signature d = {PARAMS({"e", "NoSuchType"})};
	struct signature g;
	struct err err = {0};
	struct func f;

	if (!b)
		skip();
	assert_int_equal(binary_func_find(b, "runtime.gopanic", &f, 1), 1);
	if (binary_signature(b, &f, &d, &g, &err))
		fail_msg("%s", err.text);
	assert_int_equal(g.nparams, 1);
	assert_null(g.params[0].type);
	assert_int_equal(g.params[0].npieces, 2);
	assert_int_equal(g.params[0].pieces[1].reg, GPR_RBX);
	assert_int_equal(g.params[0].pieces[1].offset, 8);
	binary_free(b);
}

static void test_nothing_declared(void **state)
{
	struct binary *b = any_program("bin/httpd-go1.2[1-6]-sw");
	struct signature g;
	struct func f;

	if (!b)
		skip();
	assert_int_equal(binary_func_find(b, "net/http.(*conn).serve.func1", &f, 1), 1);
	assert_int_equal(binary_signature(b, &f, NULL, &g, NULL), 0);
	assert_int_equal(g.nparams, 0);
	assert_false(g.has_receiver);
	assert_false(g.results_known);
	binary_free(b);
}

/* ---- twins ---- */

struct twins {
	size_t methods, same, shorter;
};

static void compare(struct binary *plain, struct binary *bare, const struct func *f,
                    struct twins *t)
{
	struct buf x = {0}, y = {0};
	struct signature a, b;
	struct func g;

	if (!binary_func_at(bare, f->entry, &g) || strcmp(f->name, g.name) ||
	    binary_signature(bare, &g, NULL, &b, NULL) || !(b.sources & SIG_METHOD))
		return;
	assert_int_equal(binary_signature(plain, f, NULL, &a, NULL), 0);
	t->methods++;
	if (!strcmp(signature_text(&x, &a), signature_text(&y, &b)))
		t->same++;
	else
		printf("%s: %s with DWARF, %s without\n", f->name, x.data, y.data);
	buf_done(&x);
	buf_done(&y);
}

static void compare_programs(const char *plain, const char *bare)
{
	struct binary *a = open_program(plain), *b = open_program(bare);
	struct twins t = {0};
	struct func f;

	for (size_t i = 0; i < binary_func_count(a); i++)
		if (binary_func(a, i, &f))
			compare(a, b, &f, &t);
	printf("%s: %zu of %zu methods alike\n", strrchr(bare, '/') + 1, t.same, t.methods);
	assert_true(t.methods > 100);
	assert_int_equal(t.same, t.methods);
	binary_free(a);
	binary_free(b);
}

static void test_stripped_twins(void **state)
{
	char bare[4096];
	glob_t g;
	size_t n = go_binaries("bin/httpd-go1.*-plain", &g), pairs = 0;

	for (size_t i = 0; i < n; i++) {
		int len = (int)(strlen(g.gl_pathv[i]) - strlen("plain"));

		snprintf(bare, sizeof(bare), "%.*ssw", len, g.gl_pathv[i]);
		if (access(bare, R_OK))
			continue;
		compare_programs(g.gl_pathv[i], bare);
		pairs++;
	}
	globfree(&g);
	if (!pairs)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packs),          cmocka_unit_test(test_contradictions),
	    cmocka_unit_test(test_unknown_types),  cmocka_unit_test(test_nothing_declared),
	    cmocka_unit_test(test_stripped_twins),
	};

	return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
