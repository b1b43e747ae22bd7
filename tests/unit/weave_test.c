/* What is woven into a package: which edits its files get, what the added file says, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "plant/woven.h"
#include "weave/go_flags.h"
#include "weave/go_list.h"
#include "weave/points.h"
#include "weave/tool_command.h"
#include "weave/woven_function.h"

/* ---- edits ---- */

static void edits_keep_lines(void **state)
{
	static const char text[] = "package p\nfunc f() {\n}\n";
	struct go_edits e = {0};
	_cleanup_(buf_done) struct buf out = {0};

	go_edits_insert(&e, 20, " b();");
	go_edits_insert(&e, 20, " c();");
	go_edits_replace(&e, (struct go_span){15, 16}, "g");
	assert_true(go_edits_apply(&e, "/src/p.go", text, strlen(text), &out));
	assert_string_equal(out.data, "//line /src/p.go:1\npackage p\nfunc g() { b(); c();\n}\n");
	go_edits_insert(&e, 3, "a\nb");
	assert_false(go_edits_apply(&e, "/src/p.go", text, strlen(text), &out));
	go_edits_done(&e);
	go_edits_replace(&e, (struct go_span){2, 6}, "x");
	go_edits_replace(&e, (struct go_span){4, 8}, "y");
	assert_false(go_edits_apply(&e, "/src/p.go", text, strlen(text), &out));
	go_edits_done(&e);
}

/* ---- tools ---- */

static void tool_commands(void **state)
{
	static char *const compile[] = {"/go/pkg/tool/compile",
	                                "-o",
	                                "/tmp/b1/_pkg_.a",
	                                "-trimpath",
	                                "/tmp/b1=>",
	                                "-p",
	                                "example.com/x",
	                                "-symabis",
	                                "/tmp/b1/symabis",
	                                "-pack",
	                                "./a.go",
	                                "b.go",
	                                NULL};
	static char *const version[] = {"asm", "-V=full", NULL}, *const other[] = {"gcc", "-c", "x.c", NULL};
	struct arena arena = {0};
	struct tool_command c;

	tool_command_read((char **)compile, &arena, &c);
	assert_string_equal(c.name, "compile");
	assert_string_equal(c.package, "example.com/x");
	assert_string_equal(c.out_dir, "/tmp/b1");
	assert_int_equal(c.nfiles, 2);
	assert_string_equal(c.argv[c.first], "./a.go");
	assert_string_equal(c.argv[c.symabis], "/tmp/b1/symabis");
	assert_false(c.asks_version);
	tool_command_read((char **)version, &arena, &c);
	assert_true(c.asks_version);
	assert_int_equal(c.nfiles, 0);
	tool_command_read((char **)other, &arena, &c);
	assert_int_equal(c.nfiles, 0);
	assert_null(c.package);
	arena_done(&arena);
}

/* ---- a package ---- */

struct source {
	char path[64];
	struct weave_package package;
};

static void source_open(struct source *s, const char *import_path, const char *text)
{
	char *files[] = {s->path};
	struct err err = {0};
	int fd;

	*s = (struct source){.path = "/tmp/earshot-weave-XXXXXX.go"};
	fd = mkstemps(s->path, 3);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	close(fd);
	if (weave_package_open(&s->package, import_path, files, 1, &err))
		fail_msg("%s", err.text);
}

static void source_close(struct source *s)
{
	weave_package_done(&s->package);
	unlink(s->path);
}

/* The file as it is compiled, without the line that names it. */
static char *woven_text(struct source *s)
{
	_cleanup_(buf_done) struct buf out = {0};
	struct weave_file *f = &s->package.files[0];

	assert_true(go_edits_apply(&f->edits, f->path, f->text.data, f->text.len, &out));
	return xstrdup(strchr(out.data, '\n') + 1);
}

static const char *goroot; /* where other packages' source is; NULL: nowhere */

static void weave_calls_of(struct source *s, const char *text)
{
	struct span_question q;
	struct arena arena = {0};
	struct err err = {0};

	if (span_question_parse(text, &arena, &q, &err) ||
	    weave_points(&s->package, &(struct weave_wanted){.calls = &q, .ncalls = 1, .goroot = goroot}, &err))
		fail_msg("%s", err.text);
	arena_done(&arena);
}

static void weave_one(struct source *s, const char *pack_text, const char *span)
{
	struct pack *pack = NULL;
	struct span_question q;
	struct arena arena = {0};
	struct weave_wanted wanted = {0};
	struct err err = {0};

	wanted.goroot = goroot;
	if (pack_text && pack_parse("test.yaml", pack_text, strlen(pack_text), &pack, &err))
		fail_msg("%s", err.text);
	if (span && span_question_parse(span, &arena, &q, &err))
		fail_msg("%s", err.text);
	if (pack)
		wanted = (struct weave_wanted){.packs = &pack, .npacks = 1, .goroot = goroot};
	if (span) {
		wanted.spans = &q;
		wanted.nspans = 1;
	}
	if (weave_points(&s->package, &wanted, &err))
		fail_msg("%s", err.text);
	pack_free(pack);
	arena_done(&arena);
}

/* The texts of all points in the added file, as the compiler will read the string. */
static size_t read_points(struct source *s, struct arena *arena, struct woven_point *ret, size_t max)
{
	const char *at = s->package.added.len ? s->package.added.data[0].text.data : "";
	size_t n = 0;

	while ((at = strstr(at, "text: \"")) && n < max) {
		_cleanup_(buf_done) struct buf text = {0};

		for (at += 7; *at && strncmp(at, "\"}", 2); at++) {
			if (!strncmp(at, "\\n\" +\n\t\"", 8)) {
				buf_char(&text, '\n');
				at += 7;
			} else if (!strncmp(at, "\\x09", 4)) {
				buf_char(&text, '\t');
				at += 3;
			} else {
				buf_char(&text, *at);
			}
		}
		assert_int_equal(woven_point_parse(text.data, text.len, arena, &ret[n]), text.len);
		n++;
	}
	return n;
}

#define FRAME      "earshotD, earshotU := earshotDepth(), earshotPanic();"
#define ENDS(call) "defer " call ";"

static void a_span_is_one_call_with_both_ends(void **state)
{
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	char *text;

	source_open(&s, "example.com/shop",
	            "package shop\n\nfunc (*Cart) Add(int, []byte) error {\n\treturn nil\n}\ntype Cart struct{}\n");
	weave_one(&s, NULL, "example.com/shop.(*Cart).Add");
	text = woven_text(&s);
	assert_string_equal(text,
	                    "package shop\n\nfunc (*Cart) Add(earshot_a0 int, earshot_a1 []byte) (earshot_r0 error) {"
	                    " if *earshotSwitch != earshot_p0.off { " FRAME
	                    " if earshot_f0(earshotD, earshot_a0, earshot_a1) { " ENDS(
	                        "earshot_e1(earshotD, earshotU, &earshot_r0)") " } };\n\treturn nil\n}\n"
	                    "type Cart struct{}\n");
	free(text);
	assert_int_equal(read_points(&s, &arena, points, 4), 2);
	assert_string_equal(points[0].pack, "functions");
	assert_string_equal(points[0].span, "example.com/shop.(*Cart).Add");
	assert_string_equal(points[0].point, "entry");
	assert_int_equal(points[0].nslots, 3 + 5); /* who created the goroutine, and the epoch */
	assert_string_equal(points[0].slots[2].kind, "string");
	assert_string_equal(points[0].slots[4].name, "lineage.function");
	assert_string_equal(points[0].slots[4].kind, "pc");
	assert_string_equal(points[0].slots[7].name, "epoch.cache_end");
	assert_non_null(strstr(s.package.added.data[0].text.data,
	                       "\tearshotLineage(&earshotS[3])\n\tearshotEpoch(&earshotS[5])\n\treturn earshotWrite("));
	assert_non_null(strstr(s.package.added.data[0].text.data,
	                       "\nfunc earshot_e1(earshotD, earshotU uintptr, earshotA0 *error) {\n"
	                       "\tif earshotPanic() == earshotU {\n\t\tearshot_f1(earshotD, *earshotA0)\n\t}\n}\n"));
	assert_true(points[1].at_return);
	assert_string_equal(points[1].slots[0].kind, "type");
	assert_int_equal(s.package.warnings.len, 0);
	source_close(&s);
	arena_done(&arena);
}

/* What is printed for it uses Go's own names, so a parameter that is called so is called something else there. */
static void parameters_hide_nothing_of_go(void **state)
{
	struct source s;

	source_open(&s, "example.com/shop", "package shop\nfunc read(len int, name string, uint64 bool) {}\n");
	weave_one(&s, NULL, "example.com/shop.read");
	assert_non_null(strstr(s.package.added.data[0].text.data,
	                       "(earshotD uintptr, earshot_len int, name string, earshot_uint64 bool) "));
	assert_non_null(strstr(s.package.added.data[0].text.data, ".value = uint64(earshot_len)\n"));
	assert_int_equal(s.package.warnings.len, 0);
	source_close(&s);
}

#define PACK(points)                                                                                                   \
	"pack: t\nabout: t\npackages: [main]\nspans:\n- name: s\n  kind: internal\n  titles: [s]\n  points:\n" points
#define POINT(name, role, func, more) "  - {name: " name ", role: " role ", variants: [{func: '" func "'" more "}]}\n"

static void packs_bind_against_declarations(void **state)
{
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	char *text;

	source_open(&s, "example.com/cmd/x",
	            "package main\n\ntype T struct{ n int; next *T; secret elsewhere.T }\n"
	            "func run(t *T, x interface{}) { go func() {}() }\nfunc stop() (err error) { return }\n");
	weave_one(&s,
	          PACK(POINT("begin", "start", "main.run(job *T, what any)",
	                     ", capture: {n: job.next.n, gone: {expr: job.absent, optional: true}, far: {expr: "
	                     "job.secret.x, optional: "
	                     "true}, t: {expr: 'what.(*T).n', optional: true}}")
	                   POINT("inside", "note", "main.run.func1", ", capture: {mark: {const: \"1\"}}")
	                       POINT("end", "end", "main.stop", ", at: return, when: err != nil")),
	          NULL);
	text = woven_text(&s);
	assert_non_null(strstr(text,
	                       "func run(t *T, x interface{}) { if *earshotSwitch != earshot_p0.off { "
	                       "earshot_f0(earshotDepth(), t, x) }; go func() { if *earshotSwitch != earshot_p1.off { "
	                       "earshot_f1(earshotDepth()) };}() }\n"));
	assert_non_null(strstr(text, "func stop() (err error) { if *earshotSwitch != earshot_p2.off { " FRAME
	                             " " ENDS("earshot_e2(earshotD, earshotU, &err)") " }; return }\n"));
	free(text);
	assert_int_equal(read_points(&s, &arena, points, 4), 3);
	assert_int_equal(points[0].nslots, 2 + 5); /* who created the goroutine, and the epoch */
	assert_string_equal(points[0].slots[0].name, "n");
	assert_int_equal(points[0].slots[1].capture, 3);
	assert_int_equal(points[0].nleft, 2);
	assert_int_equal(s.package.warnings.len, 0);
	assert_non_null(
	    strstr(s.package.added.data[0].text.data, "func earshot_f0(earshotD uintptr, job *T, what interface {})"));
	source_close(&s);
	arena_done(&arena);
}

static void contexts_are_followed(void **state)
{
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	const char *text;

	source_open(&s, "context",
	            "package context\n\ntype Context interface{ Err() error }\ntype held struct{ Context; own *held }\n"
	            "func run(n int, ctx Context) {}\nfunc serve(h *held) {}\n");
	weave_one(&s,
	          PACK(POINT("begin", "start", "context.serve(h *held)", ", parent: h.Context, context: h.own")
	                   POINT("end", "end", "context.serve(h *held)", ", at: return")),
	          "context.run");
	assert_int_equal(s.package.warnings.len, 0);
	text = s.package.added.data[0].text.data;
	assert_int_equal(read_points(&s, &arena, points, 4), 4);
	assert_int_equal(points[0].nslots, 2 + 5);
	assert_string_equal(points[0].slots[0].kind, "chain");
	assert_string_equal(points[0].slots[0].name, "parent");
	assert_string_equal(points[0].slots[1].name, "context");
	/* Room for 64 links, how they end, and a span of ten words; for the span's own one link. */
	assert_non_null(strstr(text, "\tvar earshotC0 [75]uint64\n\tvar earshotC1 [12]uint64\n"));
	assert_non_null(strstr(text, "\t\tearshotS[0].text = unsafe_.Pointer(&earshotC0)\n"
	                             "\t\tearshotChain(&earshotS[0], interface{}(h.Context), 64)\n\t}()\n"));
	assert_non_null(strstr(text, "\t\tearshotChain(&earshotS[1], interface{}(h.own), 1)\n\t}()\n"));
	assert_string_equal(points[2].func, "context.run");
	assert_string_equal(points[2].slots[2].name, "parent");
	assert_non_null(strstr(text, "earshotChain(&earshotS[2], interface{}(ctx), 64)\n"));
	source_close(&s);
	arena_done(&arena);
}

/* Types and fields that Go does not let the package name: where they are the program is told. */
static void what_is_anothers_is_asked_for(void **state)
{
	static const char other[] = "package other\ntype hidden struct{ n int; more struct{} }\n"
	                            "type inner struct{ h *hidden }\ntype Open struct{ inner }\n"
	                            "type H = hidden\ntype direct struct{ h *hidden }\n";
	char root[] = "/tmp/earshot-weave-XXXXXX", path[64], file[80];
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	const char *text;
	int fd;

	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/src/other", root);
	snprintf(file, sizeof(file), "%s/o.go", path);
	assert_int_equal(mkdir(strndupa(path, strlen(path) - strlen("/other")), 0700) | mkdir(path, 0700), 0);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write_all(fd, other, strlen(other)), 0);
	close(fd);
	goroot = root;
	source_open(&s, "example.com/x",
	            "package main\n\nimport \"other\"\n\nfunc run(o *other.Open, x interface{}) {}\nfunc stop() {}\n"
	            "func more(h *other.H, x interface{}) {}\n");
	weave_one(&s,
	          PACK(POINT("begin", "start", "main.run(o *other.Open, x any)",
	                     ", capture: {n: o.h.n, m: 'x.(*other.hidden).n', is: {expr: x, when: 'typeof(x) == "
	                     "\"*other.hidden\"', optional: true}, all: {expr: '*o.h', optional: true}}")
	                   POINT("more", "note", "main.more(h *other.H, x any)",
	                         ", capture: {n: h.n, d: 'uintptr(x.(other.direct).h)'}")
	                   POINT("end", "end", "main.stop", "")),
	          NULL);
	goroot = NULL;
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 4), 3);
	assert_int_equal(points[1].nleft, 0);
	assert_int_equal(points[1].nfacts, 3);
	assert_int_equal(points[0].nslots, 2 + 5);
	assert_int_equal(points[0].nleft, 2);
	assert_int_equal(points[0].nfacts, 3);
	assert_string_equal(points[0].facts[0].field, "h");
	assert_string_equal(points[0].facts[0].type, "other.Open");
	assert_string_equal(points[0].facts[0].field_type, "*other.hidden");
	assert_string_equal(points[0].facts[1].field, "n");
	assert_string_equal(points[0].facts[1].type, "other.hidden");
	assert_string_equal(points[0].facts[2].type, "*other.hidden");
	assert_null(points[0].facts[2].field);
	text = s.package.added.data[0].text.data;
	assert_non_null(strstr(text, "(*(*unsafe_.Pointer)("));
	assert_null(strstr(text, "other_.hidden"));
	assert_non_null(strstr(text, "func earshot_f1(earshotD uintptr, earshotI0 interface{}, x interface {}) ("));
	assert_non_null(strstr(text, "\th := (*[2]unsafe_.Pointer)(unsafe_.Pointer(&earshotI0))[1]\n\t_ = h\n"));
	source_close(&s);
	arena_done(&arena);
	assert_int_equal(unlink(file) | rmdir(path), 0);
	*strrchr(path, '/') = 0;
	assert_int_equal(rmdir(path) | rmdir(root), 0);
}

/* Types of packages that are not even there when this one is compiled: packs declare what of them is looked into. */
static void what_packs_declare_is_asked_for(void **state)
{
	static const char types[] = "types:\n  a.b/v1.Err: 'struct { Code Code; in Rows }'\n  a.b/v1.Code: string\n"
	                            "  a.b/v2.Err: 'struct { Code string }'\n  a.b/v1.Rows: 'interface { Close() }'\n"
	                            "  a.b/v1.rows: 'struct { n int }'\n";
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	const char *text, *first, *second;

	source_open(&s, "example.com/x", "package x\n\nfunc run(e error) {}\nfunc stop() {}\n");
	weave_one(&s,
	          arena_printf(&arena, "%s%s",
	                       PACK(POINT("begin", "start", "example.com/x.run(e error)",
	                                  ", capture: {code: {expr: ['e.(*a.b/v1.Err).Code', 'e.(*a.b/v2.Err).Code']},"
	                                  " n: 'e.(*a.b/v1.Err).in.(*a.b/v1.rows).n',"
	                                  " is: {expr: typeof(e), when: 'typeof(e) != \"a.b/v1.Err\"'}}")
	                            POINT("end", "end", "example.com/x.stop", "")),
	                       types),
	          NULL);
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 4), 2);
	assert_int_equal(points[0].nleft, 0);
	assert_int_equal(points[0].nfacts, 8);
	assert_string_equal(points[0].facts[1].field_type, "string"); /* whatever name it has there */
	text = s.package.added.data[0].text.data;
	first = strstr(text, "// code\n");
	second = first ? strstr(first + 1, "// code\n") : NULL;
	assert_non_null(second);
	assert_non_null(memmem(first, (size_t)(second - first), "if earshotS[0].status != 1 {\n", 29));
	assert_non_null(strstr(text, "interface{}(*(*interface{ earshotAny() })("));
	source_close(&s);
	arena_done(&arena);
}

/* What a panic's note would ask of what the start has kept is told by the start's function. */
static void an_unwinding_is_told_where_the_start_is(void **state)
{
	static const char pack[] =
	    PACK(POINT("begin", "start", "main.run(t *T, x any)",
	               ", save: {held: [t.absent, t.next], it: {expr: x, when: t.n > 1}}")
	             POINT("panic", "note", "runtime.gopanic",
	                   ", capture: {n: {expr: saved.held.n, when: saved.held.next != nil}, m: {expr: 'saved.it', "
	                   "optional: true}}")
	                 POINT("exit", "note", "runtime.Goexit", ", capture: {n: saved.held.n}")
	                     POINT("other", "note", "runtime.gcStart", ", capture: {n: saved.held.n}")
	                         POINT("end", "end", "main.stop", "")) "hooks:\n"
	    POINT("panic", "panic", "runtime.gopanic(e any)", ", capture: {type: typeof(e)}")
	        POINT("exit", "exit", "runtime.Goexit()", "");
	struct source s;
	struct woven_point points[8];
	struct arena arena = {0};
	char *text;

	source_open(&s, "example.com/x",
	            "package main\n\ntype T struct{ n int; next *T }\nfunc run(t *T, x any) { t = nil }\n"
	            "func stop() {}\n");
	weave_one(&s, pack, NULL);
	assert_int_equal(s.package.warnings.len, 0);
	text = woven_text(&s);
	assert_non_null(strstr(
	    text, "func run(t *T, x any) { if *earshotSwitch != earshot_p0.off { " FRAME
	          " if earshot_f0(earshotD, t) { defer earshot_u1(earshotD, earshotU, t); } }; t = nil }\n"));
	free(text);
	assert_non_null(strstr(s.package.added.data[0].text.data,
	                       "\nfunc earshot_u1(earshotD, earshotU uintptr, earshotA0 *T) {\n"
	                       "\tif earshotPanic() != earshotU {\n\t\tearshot_f1(earshotD, earshotA0)\n"
	                       "\t\tearshot_f2(earshotD, earshotA0)\n\t}\n}\n"));
	/* What another function wants is kept for it, and nothing else. */
	assert_non_null(strstr(s.package.added.data[0].text.data, "\tvar earshotW [1]earshotSlot\n"));
	assert_int_equal(read_points(&s, &arena, points, 8), 4);
	assert_string_equal(points[1].point, "panic");
	assert_string_equal(points[1].func, "runtime.gopanic");
	assert_false(points[1].at_return);
	assert_int_equal(points[1].nslots, 1);
	assert_int_equal(points[1].nleft, 1);
	assert_string_equal(points[2].func, "runtime.Goexit");
	assert_string_equal(points[3].point, "end");
	source_close(&s);
	arena_done(&arena);
}

/* Values are kept under one key by whoever has them and whoever needs them, and go where the span ends. */
static void values_are_kept(void **state)
{
	static const char pack[] =
	    PACK(POINT("begin", "start", "main.run(t *T, n int, b bool)", ", save: {held: t, n: n, b: b, unused: t}")
	             POINT("note", "note", "main.late",
	                   ", capture: {m: {expr: saved.held.n, when: saved.b && saved.n > 2}}")
	                 POINT("end", "end", "main.stop", ""));
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};
	char key[32] = "";
	const char *text, *at;

	source_open(&s, "example.com/x",
	            "package main\n\ntype T struct{ n int }\nfunc run(t *T, n int, b bool) {}\nfunc late() {}\n"
	            "func stop() {}\n");
	weave_one(&s, pack, NULL);
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 4), 3);
	assert_int_equal(points[0].nslots, 5);
	assert_int_equal(points[0].nleft, 0);
	text = s.package.added.data[0].text.data;
	at = strstr(text, "\tearshotKeep(0x");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "\tearshotKeep(0x%16[0-9a-f], &earshotW[0], 3)", key), 1);
	assert_non_null(strstr(text, "earshotW[0].text = *(*unsafe_.Pointer)(unsafe_.Pointer(&_v1))\n"));
	assert_non_null(strstr(text, "earshotW[1].value = uint64(n)\n"));
	at = strstr(text, "func earshot_f1(");
	assert_non_null(at = strstr(at, "\tvar earshotV [4]earshotSlot\n\tearshotSaved(0x"));
	assert_int_equal(strncmp(strstr(at, "0x") + 2, key, strlen(key)), 0);
	assert_non_null(strstr(at, "(earshotV[2].value != 0)"));
	assert_non_null(strstr(at, "(int(earshotV[1].value) > 2)"));
	assert_non_null(strstr(at, "(*(**T)(unsafe_.Pointer(&earshotV[0].text)))"));
	at = strstr(text, "func earshot_f2(");
	assert_non_null(at = strstr(at, "\tearshotForget(0x"));
	assert_int_equal(strncmp(strstr(at, "0x") + 2, key, 8), 0);
	source_close(&s);
	arena_done(&arena);
}

static void check_text(const struct source *s, const char *want)
{
	if (!strstr(s->package.added.data[0].text.data, want))
		fail_msg("%s is not in %s", want, s->package.added.data[0].text.data);
}

/* What is changed of a call is taken by its address; what another package knows is not asked for here. */
static void what_is_sent_is_written(void **state)
{
	static const char pack[] =
	    PACK(POINT("arm", "arm", "example.com/other.(*W).Arm(id int, room int)",
	               ", save: {id: {expr: id}, room: 'int64(recv.batch)'}")
	         POINT("field", "inject", "example.com/x.go.(*F).Write(p Params)",
	               ", needs_func: example.com/other.Run, inject: {form: field, carrier: uintptr(recv),"
	               " armed: p.ID == saved.id && saved.room > 2, state_present: p.ID == 7, buffer: p.Block}")
	         POINT("message", "inject", "example.com/x.go.(*F).Send(hdr []byte)",
	               ", inject: {form: message, buffer: hdr}")
	         POINT("given-back", "release", "example.com/x.go.(*F).Send(hdr []byte)", ", at: return")
	         POINT("record", "inject", "example.com/x.go.(*F).Put(r *Record)",
	               ", inject: {form: record, carrier: r, buffer: r, list: Headers}")
	         POINT("put", "note", "example.com/x.go.(*F).Put(r *Record)", ", capture: {n: r.N}")
	         POINT("b", "start", "main.b", "") POINT("e", "end", "main.e", ""));
	struct source s;
	struct woven_point points[8];
	struct arena arena = {0};
	char *text;

	source_open(&s, "example.com/x.go",
	            "package x\n\ntype F struct{}\ntype Params struct { ID int; Block []byte }\n"
	            "type Header struct { Key string; Value []byte }\ntype Record struct { N int; Headers []Header }\n"
	            "func (f *F) Write(p Params) {}\nfunc (f *F) Send(hdr []byte) {}\nfunc (f *F) Put(r *Record) {}\n");
	weave_one(&s, pack, NULL);
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 8), 4);
	assert_string_equal(points[0].point, "field");
	assert_int_equal(points[0].nslots, 10);
	assert_string_equal(points[0].slots[1].name, "propagated");
	check_text(&s, "func earshot_f0(earshotD uintptr, f *F, earshotA1 *Params) (written bool) {\n"
		       "\tp := *earshotA1\n\t_ = p\n");
	check_text(&s, "unsafe_.Pointer(&earshotA1.Block)\n");
	check_text(&s, "\t\tearshotS[9].value = 1\n");
	check_text(&s, "func earshot_f1(earshotD uintptr, earshotA1 *[]uint8) (written bool) {\n");
	check_text(&s, "\t\tearshotL = make([]byte, len(hdr)+82)\n");
	check_text(&s, "\tif earshotS[7].value != 0 {\n\t\t*earshotA1 = earshotL[:earshotS[7].value]\n\t}\n"
		       "\treturn written\n");
	check_text(&s, "\t\tif len(r.Headers) > 90 && earshotS[4].value == 0 {\n\t\t\tearshotS[4].value = 5\n\t\t}\n");
	check_text(&s, "\t\tearshotR.Headers = append(append(make([]Header, 0, len(r.Headers)+1), r.Headers...), "
		       "Header{Key: \"traceparent\", Value: earshotL})\n\t\t*earshotA1 = &earshotR\n");
	text = woven_text(&s); /* others at the entry are not to see it */
	assert_non_null(strstr(text, "Put(r *Record) {"
	                             " if *earshotSwitch != earshot_p3.off { earshot_f3(earshotDepth(), r) };"
	                             " if *earshotSwitch != earshot_p2.off { earshot_f2(earshotDepth(), &r) };}"));
	free(text);
	source_close(&s);
	arena_done(&arena);
}

static void callers_and_goroutines_are_asked_for(void **state)
{
	struct source s;
	const char *text;

	source_open(&s, "example.com/x", "package main\n\nfunc run(h map[string][]string) {}\nfunc stop() {}\n");
	weave_one(&s,
	          PACK(POINT("begin", "start", "main.run(h map[string][]string)",
	                     ", when: 'caller == \"main.a\" || !hasprefix(caller, \"main.(*T).\")', capture: {g: goid, "
	                     "named: {const: \"1\", when: 'hasname(h, \"status\")'}}")
	                   POINT("end", "end", "main.stop", "")),
	          NULL);
	assert_int_equal(s.package.warnings.len, 0);
	text = s.package.added.data[0].text.data;
	assert_non_null(strstr(text, "(earshotCalledBy(\"main.a\", 0) == true)"));
	assert_non_null(strstr(text, "(!earshotCalledBy(\"main.(*T).\", 1))"));
	assert_non_null(strstr(text, "earshotS[0].value = uint64(earshotGoid())"));
	assert_non_null(strstr(text, " || earshotNamed(string("));
	assert_non_null(strstr(text, "\nfunc earshotNamed(s, part string) bool {"));
	source_close(&s);
}

/* A variant that needs a call is taken where the call is written. */
static void calls_are_looked_up(void **state)
{
	static const struct {
		const char *body, *called;
		bool woven;
	} cases[] = {
	    {"f(1)", "main.f", true},
	    {"go func() { f(1) }()", "main.f", false},
	    {"x.f(1) /* f(2) */; _ = \"f(3)\"", "main.f", false},
	    {"t.m()", "main.(*T).m", true},
	    {"o.m()", "main.(*T).m", false}, /* it may be an embedded one's */
	    {"x.m(); u.m()", "main.(*T).m", false},
	    {"v, _ := x.(*T)\n v.m()", "main.(*T).m", true},
	    {"v := x.(*O)\n v.m()", "main.(*T).m", false},
	};
	char source[512], pack[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct source s;

		snprintf(source, sizeof(source),
		         "package main\ntype T struct{}\ntype O struct{ T }\nfunc (t *T) m() {}\nfunc f(n int) {}\n"
		         "func run(t *T, o O, x interface{ m() }) { %s }\nfunc stop() {}\n",
		         cases[i].body);
		snprintf(pack, sizeof(pack),
		         PACK(POINT("begin", "start", "main.run", ", needs_call: [main.run, \"%s\"]")
		                  POINT("end", "end", "main.stop", "")),
		         cases[i].called);
		source_open(&s, "main", source);
		weave_one(&s, pack, NULL);
		if (!!strstr(s.package.added.data[0].text.data, "begin\\x090\\x09entry\\x09main.run") != cases[i].woven)
			fail_msg("%s: %s", cases[i].body, s.package.added.data[0].text.data);
		source_close(&s);
	}
}

/* What the compiler makes of a method that is a value is the method, where that is all that is done with it. */
static void methods_that_are_values(void **state)
{
	static const char pack[] = PACK(POINT("begin", "start", "main.(*T).m-fm()", ", capture: {n: recv.n}")
	                                    POINT("end", "end", "main.stop", ""));
	static const char source[] = "package main\ntype T struct{ n int }\nfunc (t *T) m() {}\nfunc stop() {}\n";
	struct woven_point points[4];
	struct arena arena = {0};
	char text[256];
	struct source s;

	source_open(&s, "main", source);
	weave_one(&s, pack, NULL);
	assert_int_equal(read_points(&s, &arena, points, 4), 2);
	assert_string_equal(points[0].func, "main.(*T).m-fm");
	source_close(&s);
	snprintf(text, sizeof(text), "%sfunc other(x interface{ m() }) { x.m() }\n", source);
	source_open(&s, "main", text);
	weave_one(&s, pack, NULL);
	assert_int_equal(read_points(&s, &arena, points, 4), 1);
	assert_string_equal(points[0].refused[0].why, "the method is not only used as a value");
	source_close(&s);
	arena_done(&arena);
}

/* An exported method may be called by any name of its type: but not where values of it are only made for the method. */
static void methods_of_types_that_are_only_taken(void **state)
{
	static const char pack[] = PACK(POINT("begin", "start", "main.h.Serve-fm()", ", capture: {n: recv.n}")
	                                    POINT("end", "end", "main.stop", ""));
	static const char declared[] = "package main\ntype h struct{ n int }\nfunc (x h) Serve() {}\nfunc stop() {}\n";
	static const struct {
		const char *more;
		bool woven;
	} cases[] = {
	    {"func use() func() { x.Serve(); return h{1}.Serve } // h in a comment\n", true},
	    {"func use() func() { return g(h{1}.Serve, \"h\", h{\n2}.Serve) }\nfunc (h) other() {}\n", true},
	    {"func use() { h{1}.Serve() }\n", false},
	    {"func use() { x := h{1}; x.Serve() }\n", false},
	    {"func use() any { return h{1} }\n", false},
	    {"type i struct{ h }\n", false},
	    {"type h2 = h\n", false},
	    {"func use(x h) {}\n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct woven_point points[4];
		struct arena arena = {0};
		char text[256];
		struct source s;

		snprintf(text, sizeof(text), "%s%s", declared, cases[i].more);
		source_open(&s, "main", text);
		weave_one(&s, pack, NULL);
		if (read_points(&s, &arena, points, 4) != (cases[i].woven ? 2 : 1))
			fail_msg("%s", cases[i].more);
		source_close(&s);
		arena_done(&arena);
	}
}

/* An exported method could be called by any interface: unless values of its type do nothing but to have it taken. */
static void exported_methods_that_are_values(void **state)
{
	static const char pack[] = PACK(POINT("begin", "start", "main.t.M-fm()", ", capture: {n: recv.n}")
	                                    POINT("end", "end", "main.stop", ""));
	static const char source[] = "package main\n// a t\ntype t struct{ n int }\n"
	                             "func (x t) M() { print(x.n) }\nfunc (t) other() {}\nfunc stop() {}\n"
	                             "var f = t{1}.M\nfunc use(h interface{ M() }) { h.M() }\n";
	static const char *const not_so[] = {"var v interface{ M() } = t{2}\n", "func g() { t{3}.M() }\n",
	                                     "type u = t\n", "type s struct{ t }\n", "func h(x t) {}\n",
	                                     "func (x t) o() { use(x) }\n", "func (x t) o() { x.M() }\n",
	                                     "var p *t\n", "var l = func(x t) {}\n",
	                                     "var l func(t) int\n"};
	struct woven_point points[4];
	struct arena arena = {0};
	char text[400];
	struct source s;

	source_open(&s, "main", source);
	weave_one(&s, pack, NULL);
	assert_int_equal(read_points(&s, &arena, points, 4), 2);
	assert_string_equal(points[0].func, "main.t.M-fm");
	source_close(&s);
	for (size_t i = 0; i < ARRAY_SIZE(not_so); i++) {
		snprintf(text, sizeof(text), "%s%s", source, not_so[i]);
		source_open(&s, "main", text);
		weave_one(&s, pack, NULL);
		if (read_points(&s, &arena, points, 4) != 1)
			fail_msg("woven with %s", not_so[i]);
		source_close(&s);
	}
	arena_done(&arena);
}

/* What could not be woven is told by another point of its span. */
static void what_is_refused_is_told_in_the_program(void **state)
{
	struct source s;
	struct woven_point points[4];
	struct arena arena = {0};

	source_open(&s, "main", "package main\nfunc f(n int) {}\nfunc g() {}\n");
	weave_one(&s, PACK(POINT("a", "start", "main.f(n string)", "") POINT("b", "end", "main.g", "")), NULL);
	assert_int_equal(read_points(&s, &arena, points, 4), 1);
	assert_int_equal(points[0].nrefused, 1);
	assert_string_equal(points[0].refused[0].pack, "t");
	assert_string_equal(points[0].refused[0].span, "s");
	assert_string_equal(points[0].refused[0].point, "a");
	assert_string_equal(points[0].refused[0].func, "main.f");
	assert_string_equal(points[0].refused[0].why, "parameters: n is declared as string, but is int");
	source_close(&s);
	arena_done(&arena);
}

static void what_the_go_command_lists(void **state)
{
	static const char text[] = "a/b\t/src/a/b\tx.go\ty.go\nbad\nunsafe\t\t\n\na/c\t/src/a/c\nhalf\t/src/half";
	struct go_list l = {.asked = true};
	const struct go_list_package *p;

	go_list_read(&l, text, strlen(text));
	p = go_list_find(&l, "a/b");
	assert_non_null(p);
	assert_string_equal(p->dir, "/src/a/b");
	assert_string_equal(p->files[1], "y.go");
	assert_null(p->files[2]);
	p = go_list_find(&l, "a/c");
	assert_non_null(p);
	assert_null(p->files[0]);
	assert_null(go_list_find(&l, "bad"));
	assert_null(go_list_find(&l, "unsafe"));
	assert_null(go_list_find(&l, "half"));
	go_list_done(&l);
}

/* Where one more defer would be dear, the body becomes a function of its own. */
static void bodies_are_wrapped(void **state)
{
	static const char returns[] = "\n\tdefer g()\n\tif n > 0 { return }\n\tif n > 1 { return }\n"
	                              "\tif n > 2 { return }\n"
	                              "\tif n > 3 { return }\n\tif n > 4 { return }\n\tif n > 5 { return }\n"
	                              "\tif n > 6 { return }\n}\nfunc g() {}\ntype T struct{}\n";
	_cleanup_(buf_done) struct buf want = {0};
	struct woven_point points[4];
	struct arena arena = {0};
	struct source s;
	char text[512], *got;

	snprintf(text, sizeof(text), "package main\nfunc (T) f(n int,\n\t_ ...string, // why\n) (err error) {%s",
	         returns);
	source_open(&s, "main", text);
	weave_one(&s, NULL, "main.T.f");
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 4), 2);
	assert_string_equal(points[1].func, "main.T.f");
	got = woven_text(&s);
	buf_printf(&want,
	           "package main\nfunc (earshot_t0 T) f(n int,\n\tearshot_a1 ...string, // why\n) (err error) { if "
	           "*earshotSwitch != earshot_p0.off { " FRAME " if earshot_f0(earshotD, n) { " ENDS(
	               "earshot_e1(earshotD, earshotU, &err)") " } }; return earshot_t0.earshot_w0(n, earshot_a1...) };"
	           " func (T) earshot_w0(n int, \t_ ...string,  ) (err error) {%s",
	           returns);
	assert_string_equal(got, want.data);
	free(got);
	source_close(&s);
	arena_done(&arena);
}

static void check_arguments(const struct woven_point *p, const char *func, const char *arguments)
{
	_cleanup_(buf_done) struct buf got = {0};

	for (size_t i = 1; i < p->nslots && strncmp(p->slots[i].name, "lineage", 7) != 0; i++)
		buf_printf(&got, "%s ", p->slots[i].name);
	assert_string_equal(p->func, func);
	assert_string_equal(got.len ? got.data : "", arguments);
}

/* Generic functions are woven once, for all type arguments; literals wherever they stand. */
static void generic_functions_and_nested_literals(void **state)
{
	struct source s;
	struct woven_point points[16];
	struct arena arena = {0};

	source_open(&s, "main",
	            "package main\n\ntype V string\ntype List[T any] struct{}\n"
	            "func Map[K comparable, V, W interface{ ~int }](k K, v V, n int, w []W) {\n"
	            "\tfunc(b bool, k *K) { func(u uint) {}(1); func(s string, v V) {}(\"\", v) }(true, nil)\n}\n"
	            "func (l *List[string]) Add(x string, v V) {}\n");
	weave_one(&s, NULL, "main.*");
	assert_int_equal(s.package.warnings.len, 0);
	assert_int_equal(read_points(&s, &arena, points, 16), 10);
	check_arguments(&points[0], "main.Map[...]", "n ");
	check_arguments(&points[2], "main.Map[...].func1", "b ");
	check_arguments(&points[4], "main.Map[...].func1.1", "u ");
	check_arguments(&points[6], "main.Map[...].func1.2", "s ");
	check_arguments(&points[8], "main.(*List[...]).Add", "v ");
	source_close(&s);
	arena_done(&arena);
}

/* All that is given and returned, and where it is in the records; a pattern leaves out what has type parameters. */
static void calls_tell_their_variables(void **state)
{
	struct source s;
	struct woven_point p[4];
	struct arena arena = {0};

	(void)state;
	source_open(&s, "main",
	            "package main\n\ntype N int32\ntype T struct{}\n\n"
	            "func (t *T) F(n N, _ *T, s string, b []byte, more ...int) (r float32, err error) {\n"
	            "\treturn\n}\n\n"
	            "func GF[X any](x X) {}\n");
	weave_calls_of(&s, "main.*F*");
	assert_int_equal(read_points(&s, &arena, p, 4), 2);
	assert_string_equal(p[0].pack, "calls");
	assert_true(p[0].every_call && p[0].has_receiver && p[1].every_call);
	assert_int_equal(p[0].nslots, 3); /* not whose goroutine it is: nobody asks for parents */
	assert_int_equal(p[0].nvariables, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(p[0].variables[i].slot, ((int[]){-1, 0, -1, 1, 2, -1})[i]);
	assert_string_equal(p[0].variables[0].type, "*main.T");
	assert_string_equal(p[0].variables[1].name, "n");
	assert_string_equal(p[0].variables[1].form, "int32");
	assert_string_equal(p[0].variables[1].type, "main.N");
	assert_string_equal(p[0].variables[2].name, "");
	assert_string_equal(p[0].variables[4].form, "[]uint8");
	assert_int_equal(p[1].nvariables, 2);
	assert_string_equal(p[1].variables[0].form, "float32");
	assert_string_equal(p[1].variables[1].form, "error");
	assert_int_equal(p[1].variables[1].slot, 1);
	assert_string_equal(p[1].slots[1].kind, "type");
	source_close(&s);
	arena_done(&arena);
}

/* A span's points serve questions as well, unless not every call is one. */
static void spans_tell_their_variables(void **state)
{
	static const char *const spans[] = {"main.f", "main.f if n > 1"};
	struct woven_point p[4];
	struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct source s;

		source_open(&s, "main", "package main\n\nfunc f(n int) (int, error) {\n\treturn 0, nil\n}\n");
		weave_one(&s, NULL, spans[i]);
		assert_int_equal(read_points(&s, &arena, p, 4), 2);
		assert_int_equal(p[0].every_call, !i);
		if (!i) {
			assert_int_equal(p[0].variables[0].slot, 1); /* behind the function's name */
			assert_int_equal(p[1].variables[0].slot, -1);
			assert_int_equal(p[1].variables[1].slot, 0);
		}
		source_close(&s);
	}
	arena_done(&arena);
}

/* A function's own comment makes a span of it, as --span would. */
static void source_asks_for_spans(void **state)
{
	struct source s;
	struct woven_point points[8];
	struct arena arena = {0};

	source_open(&s, "example.com/x",
	            "package main\n\n// Charge does.\n//\n//earshot:span if n > 2 {\tn }\n"
	            "func Charge(n int, s string) {}\n"
	            "//earshot:span\nfunc (T) plain(n int) {}\ntype T struct{}\n//earshot:spans\nfunc no() {}\n\n"
	            "//earshot:span\n\nfunc apart() {}\n//earshot:span if (\nfunc wrong() {}\n");
	weave_one(&s, NULL, NULL);
	assert_int_equal(read_points(&s, &arena, points, 8), 4);
	check_arguments(&points[0], "main.Charge", "n ");
	assert_string_equal(points[0].asked, "main.Charge if n > 2 { n }");
	check_arguments(&points[2], "main.T.plain", "n ");
	assert_string_equal(points[2].asked, "main.T.plain");
	assert_int_equal(s.package.warnings.len, 1);
	assert_non_null(strstr(s.package.warnings.data[0], ".go:17: //earshot:span cannot be read: "));
	source_close(&s);
	arena_done(&arena);
}

static void check_refused(const char *source, const char *pack, const char *span, const char *want)
{
	struct source s;

	source_open(&s, "main", source);
	weave_one(&s, pack, span);
	if (s.package.warnings.len != 1 || !strstr(s.package.warnings.data[0], want))
		fail_msg("%s: %zu warnings, %s", want, s.package.warnings.len,
		         s.package.warnings.len ? s.package.warnings.data[0] : "");
	assert_int_equal(s.package.added.len, 0);
	assert_int_equal(s.package.files[0].edits.all.len, 0);
	source_close(&s);
}

static void what_is_refused_is_named_and_left_alone(void **state)
{
	static const char ends[] =
	    "package main\nfunc f(n int) {\n\tdefer g()\n\tif n > 0 { return }\n\tif n > 1 { return }\n"
	    "\tif n > 2 { return }\n\tif n > 3 { return }\n\tif n > 4 { return }\n\tif n > 5 { return }\n"
	    "\tif n > 6 { return }\n\trecover()\n}\nfunc g()\n";

	check_refused("package main\nfunc f()\n", NULL, "main.f", "has no body");
	check_refused("package main\n//go:nosplit\nfunc f() {}\n", NULL, "main.f", "go:nosplit");
	check_refused("package main\nfunc f() { x := make(2) }\n", NULL, "main.f", "not all of it could be read");
	check_refused(ends, NULL, "main.f", "five times dearer, and it may not become two functions: it calls recover");
	check_refused("package main\nfunc f(n int) {}\n", NULL, "main.f { n.x }", "main.f is no span");
	check_refused("package main\nfunc f(n int) {}\n",
	              PACK(POINT("a", "start", "main.f(n string)", "") POINT("b", "end", "other.g", "")), NULL,
	              "n is declared as string, but is int");
	check_refused("package main\nfunc f(n int) {}\n",
	              PACK(POINT("a", "start", "main.f(n int, m int)", "") POINT("b", "end", "other.g", "")), NULL,
	              "declared with 2 of them, but has 1");
}

/* A pattern takes what it can get, and says nothing of the rest. */
static void patterns_leave_out(void **state)
{
	struct source s;
	struct woven_point points[8];
	struct arena arena = {0};

	source_open(&s, "example.com/yaml.v3",
	            "package yaml\nfunc a() {}\nfunc b[T any]() {}\n//go:nosplit\nfunc c() {}\nfunc d()\n");
	weave_one(&s, NULL, "example.com/yaml.v3.*");
	assert_int_equal(read_points(&s, &arena, points, 8), 4);
	assert_string_equal(points[0].func, "example.com/yaml%2ev3.a");
	assert_string_equal(points[2].func, "example.com/yaml%2ev3.b[...]");
	assert_int_equal(s.package.warnings.len, 0);
	source_close(&s);
	arena_done(&arena);
}

/* ---- GOFLAGS ---- */

static void check_flags(const char *text, const char *rest, const char *toolexec)
{
	_cleanup_(buf_done) struct buf out = {0};
	_cleanup_(cleanup_free) char *said = NULL;

	go_flags_read(text, &out, &said);
	assert_string_equal(out.len ? out.data : "", rest);
	assert_int_equal(!said, !toolexec);
	if (toolexec)
		assert_string_equal(said, toolexec);
}

static void flags_keep_all_but_toolexec(void **state)
{
	check_flags("\n", "", NULL);
	check_flags("-mod=mod\n", "-mod=mod ", NULL);
	check_flags(" -a  -toolexec=/x/y -b", "-a -b ", "/x/y");
	check_flags("'-ldflags=-s -w' \"-toolexec=/x y/z 1\" -b", "'-ldflags=-s -w' -b ", "/x y/z 1");
	check_flags("-toolexec=a --toolexec=b", "", "b");
	check_flags("-toolexec=a -toolexec=", "", NULL);
	check_flags("-toolexecs=a ---toolexec=b", "-toolexecs=a ---toolexec=b ", NULL);
	check_flags("\"-toolexec=a", "", "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits_keep_lines),
	    cmocka_unit_test(tool_commands),
	    cmocka_unit_test(a_span_is_one_call_with_both_ends),
	    cmocka_unit_test(parameters_hide_nothing_of_go),
	    cmocka_unit_test(packs_bind_against_declarations),
	    cmocka_unit_test(contexts_are_followed),
	    cmocka_unit_test(what_is_anothers_is_asked_for),
	    cmocka_unit_test(what_packs_declare_is_asked_for),
	    cmocka_unit_test(an_unwinding_is_told_where_the_start_is),
	    cmocka_unit_test(values_are_kept),
	    cmocka_unit_test(what_is_sent_is_written),
	    cmocka_unit_test(callers_and_goroutines_are_asked_for),
	    cmocka_unit_test(calls_are_looked_up),
	    cmocka_unit_test(methods_that_are_values),
	    cmocka_unit_test(methods_of_types_that_are_only_taken),
	    cmocka_unit_test(exported_methods_that_are_values),
	    cmocka_unit_test(bodies_are_wrapped),
	    cmocka_unit_test(generic_functions_and_nested_literals),
	    cmocka_unit_test(calls_tell_their_variables),
	    cmocka_unit_test(spans_tell_their_variables),
	    cmocka_unit_test(source_asks_for_spans),
	    cmocka_unit_test(what_is_refused_is_told_in_the_program),
	    cmocka_unit_test(what_the_go_command_lists),
	    cmocka_unit_test(what_is_refused_is_named_and_left_alone),
	    cmocka_unit_test(patterns_leave_out),
	    cmocka_unit_test(flags_keep_all_but_toolexec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
