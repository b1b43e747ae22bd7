/* The pack loader: what a pack says, and the sentence for everything it should not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "probe/pack/pack.h"
#include "span/condition.h"

static struct pack *load(const char *text)
{
	struct pack *p = NULL;
	struct err err = {0};

	if (pack_parse("t.yaml", text, strlen(text), &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static const struct pack_capture *capture(const struct pack_variant *v, const char *name, size_t nth)
{
	for (size_t i = 0; i < v->ncaptures; i++)
		if (!strcmp(v->captures[i].name, name) && !nth--)
			return &v->captures[i];
	fail_msg("no capture %s", name);
	return NULL;
}

static struct pack *parse_builtin(const struct pack_source *s)
{
	struct pack *p = NULL;
	struct err err = {0};

	if (pack_parse(s->file, s->text, s->len, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static void test_builtin(void **state)
{
	size_t n = 0;

	for (const struct pack_source *s = pack_builtin; s->file; s++, n++) {
		struct pack *p = parse_builtin(s);

		assert_string_equal(p->file, s->file);
		pack_free(p);
	}
	assert_true(n >= 2);
}

/* A pack that is not selected is no mistake, so a slip of the pen would mean that nothing happens: here it is one. */
static void test_builtin_parts(void **state)
{
	struct pack *packs[32];
	size_t n = 0, checked = 0;

	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		assert_true(n < ARRAY_SIZE(packs));
		packs[n++] = parse_builtin(s);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < packs[i]->nspans; k++)
			for (const char *const *name = packs[i]->spans[k].part_of; name && *name; name++, checked++) {
				bool found = false;

				for (size_t j = 0; j < n; j++)
					found |= !strcmp(packs[j]->name, *name);
				for (size_t j = 0; j < packs[i]->nspans; j++)
					found |= packs[i]->spans[j].name && !strcmp(packs[i]->spans[j].name, *name);
				if (!found)
					fail_msg("%s: part_of names %s, which is nothing", packs[i]->name, *name);
			}
	assert_true(checked > 0);
	for (size_t i = 0; i < n; i++)
		pack_free(packs[i]);
}

static size_t check_functions(const struct pack *p, const struct pack_point *points, size_t n,
                              const struct pack_source *s)
{
	size_t checked = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < points[i].nvariants; k++, checked++) {
			const char *func = points[i].variants[k].func;
			char text[512];

			snprintf(text, sizeof(text), "func: %.*s", (int)MIN(strlen(func), 500), func);
			if (!memmem(s->text, s->len, text, strlen(text)))
				fail_msg("%s: %s is not written behind \"func: \"", p->name, func);
		}
	return checked;
}

/* cmd/weaving looks for packages in the text of the packs, behind this word. */
static void test_builtin_functions(void **state)
{
	size_t checked = 0;

	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct pack *p = parse_builtin(s);

		for (size_t i = 0; i < p->nspans; i++)
			checked += check_functions(p, p->spans[i].points, p->spans[i].npoints, s);
		checked += check_functions(p, p->hooks, p->nhooks, s);
		pack_free(p);
	}
	assert_true(checked > 100);
}

#define HEAD "pack: p\nabout: a\npackages: [m, n]\n"
#define SPAN HEAD "spans:\n- name: s\n  kind: client\n  titles: [\"{a}\", t]\n"
#define POINTS SPAN "  points:\n"
#define INJECT POINTS "  - {name: a, role: inject, variants: [{func: m.f, inject: "
#define NOTE_INJECT POINTS "  - {name: a, role: note, variants: [{func: m.f, inject: "
#define END_POINT "  - {name: e, role: end, variants: [{func: m.g()}]}\n"
#define START "  - name: b\n    role: start\n    variants:\n    - func: m.f(x int)\n      capture: "

static void test_all_keys(void **state)
{
	static const char text[] =
		HEAD "spans:\n- name: s\n  kind: client\n  titles: ['{a} {b}', '{a}']\n"
		"  error: b >= 400 || m\n  summary: ['{b:status}', '{a}[:{h.port:dim}]', '{error}']\n"
		"  traceparent: tp\n  tracestate: h.port\n  key: b\n  detached: true\n  nested: same\n"
		"  part_of: [t, other]\n"
		"  connection: {local: [h, h.port], remote: a, stream: b}\n"
		"  compose: {w: ['{a}[:{b}]', 'x{b}']}\n  points:\n"
		"  - name: b\n    role: start\n    recovers: true\n    variants:\n"
		"    - func: m.f(x int)\n      when: x > 3\n      capture: &c\n"
		"        a: x.y\n"
		"        b: {expr: [x, y], optional: true, default: \"200\", from: /, after: /, min: -1, "
		"hidden: true}\n"
		"        m: {expr: x, map: {\"true\": https}, known: [A, B], other: O, original: orig, "
		"title_other: T}\n"
		"        h: {expr: x, port: h.port, keep_empty: true, may_be_gone: true, ip: true}\n"
		"        s:\n        - {expr: x, when: y}\n        - {const: \"0\"}\n"
		"        tp: x\n"
		"      save:\n        k: x.y\n        l: {expr: [x, y], when: x, optional: true}\n"
		"    - func: m.f2\n      at: return\n      not_inlined: true\n      needs_absent: a/b.T.f\n"
		"      needs_present: c.T.g\n      capture: *c\n"
		"  - name: e\n    role: end\n    optional: true\n    may_miss: true\n"
		"    discard: {attribute: h.port, equals: x}\n    variants: [{func: m.g()}]\n"
		"hooks:\n- name: u\n  role: unwind\n  variants:\n"
		"  - {func: runtime.r(gp *g), goroutine: gp, sp: gp.sp}\n";
	struct pack *p = load(text);
	const struct pack_span *s = &p->spans[0];
	const struct pack_variant *v = &s->points[0].variants[0], *w = v + 1;
	const struct pack_capture *c;

	assert_string_equal(p->name, "p");
	assert_string_equal(p->packages[1], "n");
	assert_null(p->packages[2]);
	assert_int_equal(p->nspans, 1);
	assert_int_equal(s->kind, SPAN_CLIENT);
	assert_string_equal(s->titles[1], "{a}");
	assert_null(s->titles[2]);
	assert_int_equal(s->error->op, CONDITION_OR);
	assert_string_equal(s->error->a->a->text, "b");
	assert_int_equal(s->error->a->b->number, 400);
	assert_string_equal(s->error->b->text, "m");
	assert_string_equal(s->summary->status, "b");
	assert_int_equal(s->summary->n, 2);
	assert_int_equal(s->summary->parts[0].n, 3);
	assert_string_equal(s->summary->parts[0].items[0].text, "a");
	assert_string_equal(s->summary->parts[0].items[1].text, ":");
	assert_true(s->summary->parts[0].items[1].dim && s->summary->parts[0].items[1].group == 1);
	assert_true(s->summary->parts[1].is_error);
	assert_string_equal(s->traceparent, "tp");
	assert_string_equal(s->tracestate, "h.port");
	assert_string_equal(s->key, "b");
	assert_true(s->detached);
	assert_string_equal(s->part_of[1], "other");
	assert_true(s->nested_same);
	assert_string_equal(s->connection->local.address, "h");
	assert_string_equal(s->connection->local.port, "h.port");
	assert_string_equal(s->connection->remote.address, "a");
	assert_null(s->connection->remote.port);
	assert_string_equal(s->connection->stream, "b");
	assert_int_equal(s->ncomposed, 1);
	assert_string_equal(s->composed[0].name, "w");
	assert_int_equal(s->composed[0].forms->n, 2);
	assert_int_equal(s->composed[0].forms->parts[0].items[1].group, 1);
	assert_int_equal(s->npoints, 2);
	assert_int_equal(s->points[0].role, POINT_START);
	assert_true(s->points[0].recovers);
	assert_int_equal(s->points[0].nvariants, 2);
	assert_string_equal(v->func, "m.f(x int)");
	assert_string_equal(v->when, "x > 3");
	assert_int_equal(v->ncaptures, 9); /* what is captured, then what is saved */
	assert_int_equal(w->ncaptures, 7);
	for (size_t i = 0; i < v->ncaptures; i++)
		assert_int_equal(v->captures[i].use, i < 7 ? USE_ATTRIBUTE : USE_SAVED);
	c = capture(v, "saved.k", 0);
	assert_string_equal(c->alternatives[0], "x.y");
	assert_string_equal(c->saved_as, "k");
	c = capture(v, "saved.l", 0);
	assert_true(c->optional && !strcmp(c->alternatives[1], "y") && !strcmp(c->when, "x"));
	assert_true(w->at_return && w->not_inlined && !v->not_inlined);
	assert_string_equal(w->needs_absent, "a/b.T.f");
	assert_string_equal(w->needs_present, "c.T.g");
	c = capture(v, "a", 0);
	assert_string_equal(c->alternatives[0], "x.y");
	assert_null(c->alternatives[1]);
	assert_int_equal(c->line, 26);
	c = capture(v, "b", 0);
	assert_string_equal(c->alternatives[1], "y");
	assert_true(c->optional && c->transform.hidden && c->transform.min_set);
	assert_int_equal(c->transform.min, -1);
	assert_string_equal(c->transform.default_value, "200");
	assert_string_equal(c->transform.from, "/");
	assert_string_equal(c->transform.after, "/");
	c = capture(w, "m", 0);
	assert_string_equal(c->transform.map[1], "https");
	assert_null(c->transform.map[2]);
	assert_string_equal(c->transform.known[1], "B");
	assert_string_equal(c->transform.original, "orig");
	assert_string_equal(c->transform.title_other, "T");
	c = capture(v, "h", 0);
	assert_string_equal(c->transform.port_attribute, "h.port");
	assert_true(c->transform.keep_empty && c->transform.ip && c->may_be_gone);
	assert_string_equal(capture(v, "s", 0)->when, "y");
	c = capture(v, "s", 1);
	assert_string_equal(c->constant, "0");
	assert_null(c->alternatives[0]);
	assert_true(s->points[1].optional && s->points[1].may_miss);
	assert_string_equal(s->points[1].discard_value, "x");
	assert_int_equal(p->nhooks, 1);
	assert_string_equal(p->hooks[0].variants[0].goroutine, "gp");
	assert_string_equal(p->hooks[0].variants[0].sp, "gp.sp");
	pack_free(p);
}

/* The smallest pack of docs/packs.md, between the first ```yaml there and the next ```. */
static char *smallest_pack(void)
{
	static char page[64 * 1024];
	FILE *f = fopen("docs/packs.md", "r");
	char *begin, *end;

	assert_non_null(f); /* tests run in the project's folder */
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	begin = strstr(page, "```yaml\n");
	end = begin ? strstr(begin + 8, "```") : NULL;
	assert_non_null(end);
	*end = '\0';
	return begin + 8;
}

/* Contexts are captures of their own, and lineage is captured without being asked for. */
static void test_contexts(void **state)
{
	static const char text[] =
		HEAD "spans:\n- name: s\n  kind: server\n  titles: [t]\n  points:\n"
		"  - name: b\n    role: start\n    variants:\n"
		"    - func: m.f\n      parent: x.ctx\n      context: {expr: [x, y], when: z, optional: true}\n"
		"    - {func: m.f2, parent: [x, y]}\n"
		"    - {func: m.f3, parent: [{expr: x, when: z}, {expr: y}]}\n"
		"    - {func: m.f4, goroutine: gp, sp: gp.sp}\n"
		"  - {name: e, role: end, variants: [{func: m.g()}]}\n"
		"- name: c\n  kind: client\n  titles: [t]\n  points:\n"
		"  - {name: b, role: start, variants: [{func: m.h, parent: x}]}\n"
		"  - {name: n, role: start, variants: [{func: m.h}]}\n"
		"  - {name: far, role: note, by_lineage: true, variants: [{func: m.h}]}\n"
		"  - {name: n2, role: note, variants: [{func: m.h, carrier: {expr: uintptr(x), when: x.y}}]}\n"
		"  - {name: e, role: end, variants: [{func: m.g()}]}\n"
		"- name: r\n  kind: server\n  titles: [t]\n  points:\n"
		"  - {name: b, role: start, variants: [{func: m.h, context: x}]}\n"
		"  - {name: e, role: end, variants: [{func: m.g()}]}\n";
	static const enum capture_use first[] = {USE_PARENT_CHAIN, USE_OWN_CHAIN, USE_CREATOR, USE_START_PC,
						 USE_GOIDGEN, USE_GOID_CACHE, USE_GOID_CACHE_END};
	struct pack *p = load(text);
	const struct pack_variant *v = p->spans[0].points[0].variants;
	const struct pack_point *client = p->spans[1].points;

	assert_int_equal(v[0].ncaptures, ARRAY_SIZE(first));
	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		assert_int_equal(v[0].captures[i].use, first[i]);
		assert_true(i < 2 || v[0].captures[i].optional);
	}
	assert_string_equal(v[0].captures[0].alternatives[0], "x.ctx");
	assert_true(v[0].captures[1].optional && !strcmp(v[0].captures[1].when, "z"));
	assert_string_equal(v[1].captures[0].alternatives[1], "y");
	assert_int_equal(v[1].captures[1].use, USE_CREATOR);
	assert_int_equal(v[2].captures[1].use, USE_PARENT_CHAIN);
	assert_string_equal(v[2].captures[1].alternatives[0], "y");
	assert_int_equal(v[3].ncaptures, 0); /* of another goroutine nothing is known */
	assert_int_equal(client[0].variants->ncaptures, 3);
	assert_int_equal(client[1].variants->ncaptures, 0);
	assert_int_equal(client[2].variants->ncaptures, 2);
	assert_int_equal(client[2].variants->captures[1].use, USE_START_PC);
	assert_int_equal(client[3].variants->ncaptures, 1);
	assert_int_equal(client[3].variants->captures[0].use, USE_CARRIER);
	assert_string_equal(client[3].variants->captures[0].when, "x.y");
	assert_int_equal(p->spans[2].points[0].variants->ncaptures, 4); /* nobody asks who created its goroutine */
	assert_int_equal(p->spans[2].points[0].variants->captures[1].use, USE_GOIDGEN);
	assert_int_equal(p->spans[0].points[1].variants->ncaptures, 0);
	pack_free(p);
}

static void test_smallest(void **state)
{
	struct pack *p = load(smallest_pack());
	struct attr_list attributes = {0};
	const struct attr_value *cause;

	attr_list_set_string(&attributes, "job.name", "mail", 4);
	assert_false(condition_holds(p->spans[0].error, &attributes, &cause));
	attr_list_set_string(&attributes, "error.type", "*errors.errorString", 19);
	assert_true(condition_holds(p->spans[0].error, &attributes, &cause));
	attr_list_done(&attributes);
	pack_free(p);
}

static void test_texts(void **state)
{
	struct pack *p = load(HEAD "texts:\n  errors.errorString: s\n  m.T: msg\n");

	assert_string_equal(p->texts[0], "errors.errorString");
	assert_string_equal(p->texts[1], "s");
	assert_string_equal(p->texts[2], "m.T");
	assert_string_equal(p->texts[3], "msg");
	assert_null(p->texts[4]);
	pack_free(p);
}

static void test_types(void **state)
{
	struct pack *p = load(HEAD "types:\n  time.Duration: int64\n  a/b.T: 'struct { i, j int }'\n  a/b.U: = T\n");

	assert_int_equal(p->ntypes, 3);
	assert_string_equal(p->types[1].name, "a/b.T");
	assert_string_equal(p->types[1].type, "struct { i, j int }");
	assert_string_equal(p->types[2].type, "= T");
	pack_free(p);
}

struct bad {
	const char *text, *sentence; /* sentence: what the message begins with, behind the file's name */
};

static const struct bad bads[] = {
	{"", "1:1: the file is empty"},
	{"- a\n", "1:1: a pack is expected here: a mapping"},
	{"pack: [\n", "2:1: the YAML cannot be read: "},
	{"pack: p\n\tabout: a\n", "2:1: the YAML cannot be read: "},
	{"pack: *nowhere\n", "1:7: the YAML cannot be read: found undefined alias"},
	{HEAD "spans: []\n---\npack: q\n", "6:1: a second document begins here"},
	{"pack: p\npackages: [m]\n", "1:1: a pack needs the key `about`"},
	{HEAD, "1:1: a pack needs `spans`, `hooks`, `texts` or `types`"},
	{"pack: p\nabout: a\npackages: []\nhooks: []\n", "1:1: `packages` names none"},
	{"pack: p\nabout:\npackages: [m]\n", "2:7: a text is expected here, but there is nothing"},
	{"pack: p\nabout: {a: b}\npackages: [m]\n", "2:8: a text is expected here, not a mapping"},
	{"pack: p\nabout: a\npackages: m\n", "3:11: a list of texts is expected here"},
	{"pack: p\nabout: \"a\\0b\"\n", "2:8: a text here cannot hold the byte 0"},
	{"pack: p\npack: q\n", "2:1: `pack` is here twice"},
	{HEAD "span: []\n", "4:1: a pack has no key `span`; did you mean `spans`?"},
	{HEAD "zzzzzzzzz: []\n", "4:1: a pack has no key `zzzzzzzzz`; it may have pack, about, packages, on_request, "
				 "spans, hooks, texts"},
	{HEAD "texts: [a.T]\n", "4:8: "},
	{HEAD "types: {Order: int}\n", "4:8: the type Order is written with its package"},
	{HEAD "types: {a.T: 'struct { a int, b int }'}\n", "4:8: a.T: \"struct { a int, b int }\" is not a Go type"},
	{HEAD "texts: {a.T: s, a.T: t}\n", "4:17: `a.T` is here twice"},
	{SPAN "  colour: red\n", "8:3: a span has no key `colour`; it may have name, kind"},
	{HEAD "spans:\n- {name: s, kind: sever}\n", "5:19: \"sever\" is not one of: internal, server, "
						    "client, producer, consumer"},
	{POINTS "  - {name: a, role: begin, variants: []}\n", "9:21: \"begin\" is not one of: start, end"},
	{POINTS "  - {name: a, role: start, variants: []}\n", "9:38: a point needs at least one variant"},
	{POINTS "  - {name: a, role: start}\n", "9:5: a point needs the key `variants`"},
	{POINTS "  - {name: a, role: exit, variants: [{func: m.f}]}\n",
	 "9:5: a point of a span is a start, an end, a note, a join, a tie, a detach, an arm"},
	{POINTS "  - {name: a, role: inject, variants: [{func: m.f}]}\n",
	 "9:5: a point with role inject needs `inject` in each variant"},
	{NOTE_INJECT "{form: line, carrier: c, buffer: b, filled: n}}]}\n",
	 "9:5: `inject` belongs to a point with role inject"},
	{INJECT "{form: row, carrier: c, buffer: b}}]}\n",
	 "9:67: \"row\" is not one of: line, field, frame, message, record"},
	{INJECT "{form: line, buffer: b, filled: n}}]}\n",
	 "9:60: `inject` needs the key `carrier`, but for the form message"},
	{INJECT "{form: message, buffer: b, filled: n}}]}\n",
	 "9:60: `filled` belongs to the forms line and frame"},
	{POINTS "  - {name: a, role: inject, variants: [{func: m.f, at: return, inject: "
		"{form: message, buffer: b}}]}\n",
	 "9:5: what a function is given is written at its entry"},
	{INJECT "{form: record, carrier: c, buffer: b}}]}\n",
	 "9:60: `list` belongs to the form record, which needs it"},
	{INJECT "{form: message, needs: c, buffer: b}}]}\n",
	 "9:60: `needs` stands beside a `carrier`"},
	{POINTS "  - {name: a, role: note, variants: [{func: m.f, refused: why}]}\n",
	 "9:5: `refused` stands at a point with role inject, instead of `inject`"},
	{POINTS "  - {name: a, role: note, variants: [{func: m.f, by: x}]}\n",
	 "9:5: `by` belongs to a point with role arm"},
	{POINTS "  - {name: a, role: release, variants: [{func: m.f}]}\n",
	 "9:5: a point with role release is `at: return`, and has nothing else"},
	{POINTS "  - {name: a, role: release, variants: [{func: m.f, at: return, when: x}]}\n",
	 "9:5: a point with role release is `at: return`, and has nothing else"},
	{INJECT "{form: line, carrier: c, buffer: b}}]}\n",
	 "9:60: `filled` belongs to the forms line and frame, which need it"},
	{INJECT "{form: field, carrier: c, buffer: b, filled: n}}]}\n",
	 "9:60: `filled` belongs to the forms line and frame"},
	{INJECT "{form: frame, carrier: c, buffer: b, filled: n, "
		"block: l}}]}\n", "9:60: `block` and `stream` belong to the form frame, which needs both"},
	{INJECT "{form: field, carrier: 'c(', buffer: b}}]}\n", "9:83: "},
	{POINTS "  - {name: a, role: arm, variants: [{func: m.f}]}\n",
	 "9:5: a point with role arm needs `save` in each variant"},
	{POINTS "  - {name: a, role: arm, variants: [{func: m.f, save: {x: r}, capture: {a: r}}]}\n",
	 "9:5: a point with role arm or inject captures nothing"},
	{POINTS "  - {name: a, role: note, variants: [{func: m.f, present: r}]}\n",
	 "9:5: `present` beside `save` belongs to a point with role arm"},
	{HEAD "hooks:\n- {name: a, role: join, variants: [{func: m.f}]}\n",
	 "5:3: a hook's role is unwind, exit, panic or sdk"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_func: 'm.f('}]}\n", "9:63: "},
	{POINTS "  - {name: a, role: end, recovers: true, variants: [{func: m.f}]}\n",
	 "9:5: `recovers` belongs to a point with role start"},
	{POINTS "  - {name: a, role: note, may_miss: true, variants: [{func: m.f}]}\n",
	 "9:5: `discard` and `may_miss` belong to a point with role end"},
	{POINTS "  - {name: a, role: join, by_lineage: true, variants: [{func: m.f}]}\n",
	 "9:5: `by_lineage` belongs to a point with role note"},
	{POINTS "  - {name: a, role: start, optional: yes, variants: [{func: m.f}]}\n",
	 "9:38: \"yes\" is not one of: false, true"},
	{POINTS "  - {name: a, role: start, variants: [{fnc: m.f}]}\n",
	 "9:40: a variant has no key `fnc`; did you mean `func`?"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, at: exit}]}\n",
	 "9:55: \"exit\" is not one of: entry, return"},
	{POINTS "  - {name: a, role: start, variants: [{func: 'm.f(x'}]}\n",
	 "9:46: the ) that closes this is missing\n  m.f(x\n     ^"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, when: 'x =='}]}\n",
	 "9:57: a value is expected here, but the expression ends\n  x ==\n      ^"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_absent: Request}]}\n",
	 "9:65: \"Request\" is no field's name"},
	{HEAD "hooks:\n- {name: a, role: start, variants: [{func: m.f}]}\n",
	 "5:3: a hook's role is unwind, exit, panic or sdk"},
	{POINTS START "{a: x, b: {expr: 'y +'}}\n", "13:33: a value is expected here"},
	{POINTS START "{a: [x, y]}\n", "13:21: each capture of a list is a mapping with `when`"},
	{POINTS START "{a: []}\n", "13:20: the list of captures is empty"},
	{POINTS START "{a: [{const: x}, {expr: y}]}\n", "13:21: this capture needs `when`"},
	{POINTS START "{a: {}}\n", "13:20: a capture needs either `expr` or `const`"},
	{POINTS START "{a: {expr: x, const: y}}\n", "13:20: a capture needs either `expr` or `const`"},
	{POINTS START "{a: {expr: []}}\n", "13:27: an expression is expected here, but the list is empty"},
	{POINTS START "{a: {expr: x, other: y}}\n", "13:20: `known` and `other` belong together"},
	{POINTS START "{a: {expr: x, number: true}}\n", "13:20: `number` belongs to a `const`"},
	{POINTS START "{a: {expr: x, same: [a]}}\n", "13:20: `same` names two attributes: [a, b]"},
	{POINTS START "{a: {expr: x, same: [a, b, c]}}\n", "13:20: `same` names two attributes: [a, b]"},
	{POINTS START "{a: {expr: x, same: [a, b]}}\n" END_POINT, "5:3: `same` names `b`"},
	{POINTS START "{a: {expr: x, prefix_of: b}}\n" END_POINT, "5:3: `prefix_of` names `b`"},
	{POINTS START "{a: {expr: x, sql: {system: b}}}\n" END_POINT, "5:3: `sql` names `b`, which no point"},
	{POINTS START "{a: {expr: x, sql: {table: b}}}\n", "13:36: `sql` has no key `table`"},
	{POINTS START "{a: {expr: x, redact: [b], unescape: true}}\n", "13:20: `redact` is for a query as it came"},
	{POINTS START "{a: x}\n" END_POINT "  key: b\n", "5:3: `key` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  - {name: j, role: join, variants: [{func: m.f}]}\n",
	 "5:3: a point with role join needs the span's `key`"},
	{POINTS START "{a: x}\n" END_POINT "  detached: true\n", "5:3: `detached` needs the span's `key`"},
	{POINTS START "{a: x}\n" END_POINT "  - {name: d, role: detach, variants: [{func: m.f, capture: {b: x}}]}\n"
	 "  key: b\n",
	 "5:3: a point with role detach needs the span's `detached: true`"},
	{POINTS START "{a: x}\n" "  - {name: n, role: note, variants: [{func: m.f, capture: {b: x}}]}\n" END_POINT
	 "  detached: true\n  key: b\n",
	 "5:3: a detached span's `key` is captured by a point with role start or detach; none of these captures `b`"},
	{POINTS START "{a: x}\n      attributes: kv\n" END_POINT,
	 "5:3: a variant's `attributes` need the span's `lists`"},
	{POINTS START "{a: x}\n      attributes: 'kv +'\n", "14:19: a value is expected here"},
	{POINTS START "{a: x}\n" END_POINT "  lists: {each: T, name: N, type: Y, values: {1: word W}}\n",
	 "15:46: \"word W\" is no value; it is written as what it is and the field that has it"},
	{POINTS START "{a: x}\n" END_POINT "  lists: {each: T, name: N, type: Y, values: {1: int}}\n",
	 "15:46: \"int\" is no value"},
	{POINTS START "{a: x}\n" END_POINT "  kind_from: b\n", "5:3: `kind_from` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  root: b\n", "5:3: `root` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  transparent: b\n", "5:3: `transparent` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  status_text: b\n", "5:3: `status_text` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  context_holds_key: true\n",
	 "5:3: `context_holds_key` needs the span's `key`, and a `context`"},
	{POINTS START "{a: {expr: x, original: y}}\n", "13:20: `original` and `title_other` need"},
	{POINTS START "{a: {expr: x, min: many}}\n", "13:35: a number is expected here, not \"many\""},
	{POINTS START "{a: {expr: x, captrue: y}}\n", "13:30: a capture has no key `captrue`"},
	{POINTS START "{a: {expr: x, prot: y}}\n", "13:30: a capture has no key `prot`; did you mean "
						   "`port`?"},
	{POINTS START "{a: x, saved.b: y}\n",
	 "13:32: `saved.b` is no attribute's name; what is saved stands beside `capture`, under `save`: {b: …}"},
	{POINTS START "{a: x}\n      sav: {b: x}\n", "14:7: a variant has no key `sav`; did you mean `save`?"},
	{POINTS START "{a: x}\n      save: {b: {expr: x, hidden: true}}\n", "14:27: a saved value has no key `hidden`"},
	{POINTS START "{a: x}\n      save: {b: 'x +'}\n", "14:17: a value is expected here"},
	{POINTS "  - {name: a, role: note, variants: [{func: m.f, save: {b: x}}]}\n",
	 "5:3: `save` belongs to a point with role start"},
	{HEAD "spans:\n- {extends: q, points: [{name: a, role: note, variants: [{func: m.f}]}]}\n",
	 "5:13: `extends` names a span of another pack: pack/span, not \"q\""},
	{HEAD "spans:\n- {extends: q/s, kind: client, points: []}\n", "5:18: an extension has no key `kind`"},
	{HEAD "spans:\n- {extends: q/s, points: []}\n", "5:3: what extends q/s needs at least one point"},
	{HEAD "spans:\n- {extends: q/s, points: [{name: a, role: end, variants: [{func: m.f}]}]}\n",
	 "5:3: what extends another pack's span has points with role note, join, arm, inject or release"},
	{POINTS START "{a: {expr: x, mounted: [a, b]}}\n", "13:20: `mounted` names three attributes"},
	{POINTS START "{a: {expr: x, append: [z]}}\n" END_POINT, "5:3: `append` names `z`, which no point"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_copy: [T]}]}\n",
	 "9:63: a type, and functions"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_no_copy: [m.T, 'm.g(']}]}\n", "9:66: "},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_call: [m.g]}]}\n",
	 "9:63: a function and those that it may call are expected here"},
	{POINTS "  - {name: a, role: start, variants: [{func: m.f, needs_no_call: [m.g, 'm.f(']}]}\n", "9:66: "},
	{POINTS "  - {name: a, role: note, variants: [{func: m.f, parent: x}]}\n",
	 "9:5: `parent` belongs to a point with role start or sdk"},
	{POINTS "  - {name: a, role: end, variants: [{func: m.f, context: x}]}\n",
	 "9:5: `context` belongs to a point with role start"},
	{POINTS "  - {name: a, role: end, variants: [{func: m.f, carrier: x}]}\n",
	 "9:5: `carrier` belongs to a point with role start, note, join, tie or arm"},
	{POINTS START "{a: x}\n      carrier: {expr: x, hidden: true}\n", "14:26: a carrier has no key `hidden`"},
	{POINTS START "{a: x}\n      parent: 'x +'\n", "14:15: a value is expected here"},
	{POINTS START "{a: x}\n      context: {expr: x, hidden: true}\n", "14:26: a context has no key `hidden`"},
	{HEAD "hooks:\n- {name: a, role: panic, variants: [{func: m.f, capture: {typ: x}}]}\n",
	 "5:3: a hook with this role captures `type` only, not `typ`"},
	{HEAD "hooks:\n- {name: a, role: unwind, variants: [{func: m.f, capture: {type: x}}]}\n",
	 "5:3: a hook with this role captures `pc` only, not `type`"},
	{HEAD "hooks:\n- {name: a, role: exit, variants: [{func: m.f, capture: {pc: x}}]}\n",
	 "5:3: a hook with role exit or sdk captures nothing"},
	{POINTS START "{a: x, a: y}\n", "13:23: `a` is here twice"},
	{POINTS START "{[a]: x}\n", "13:17: a name is expected here, not a list"},
	{POINTS START "{b: x}\n" END_POINT, "5:3: a title names `a`, which no point of this span captures"},
	{POINTS START "{a: x}\n", "5:3: a span needs a point with role start and one with role end"},
	{POINTS START "{a: x}\n" END_POINT END_POINT, "5:3: the span has two points named `e` (lines 14 and 15)"},
	{POINTS START "{a: x}\n" END_POINT "  traceparent: traceparnt\n",
	 "5:3: `traceparent` names `traceparnt`"},
	{POINTS START "{a: x}\n" END_POINT "  traceparent: a\n  tracestate: b\n", "5:3: `tracestate` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  tracestate: a\n", "5:3: `tracestate` belongs to a `traceparent`"},
	{POINTS START "{a: x}\n" END_POINT "  compose: {whole: '{a}{b}'}\n", "5:3: `compose` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  compose: {whole: '{a:size}'}\n",
	 "15:20: an attribute is composed of {attributes} and texts only"},
	{POINTS START "{a: x}\n" END_POINT "  compose: {whole: ['{a}', '{error}']}\n",
	 "15:20: an attribute is composed of {attributes} and texts only"},
	{POINTS START "{a: x}\n" END_POINT "  compose: {whole: []}\n",
	 "15:20: an attribute is composed of {attributes} and texts only"},
	{POINTS "  - {name: a, role: note, or_end: true, variants: [{func: m.f}]}\n",
	 "9:5: `or_end` belongs to a point with role detach"},
	{POINTS START "{a: x}\n" END_POINT "  - {name: t, role: tie, variants: [{func: m.f}]}\n",
	 "5:3: a point with role tie needs the span's `key`"},
	{POINTS START "{a: {expr: x, escape: true, unescape: true}}\n" END_POINT,
	 "13:20: `escape` and `unescape` undo one another"},
	{POINTS START "{a: {expr: x, escape: true, redact: [b]}}\n" END_POINT,
	 "13:20: `redact` is for a query as it came, and `escape` changes it before"},
	{POINTS START "{a: x}\n" END_POINT "  connection: {local: [a, b], remote: a}\n", "5:3: `connection` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  connection: {local: a, remote: a, stream: b}\n",
	 "5:3: `connection` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  connection: {local: a}\n", "15:15: `connection` needs the key `remote`"},
	{POINTS START "{a: x}\n" END_POINT "  connection: {local: a, remote: []}\n",
	 "15:34: an end of a connection is [IP, PORT]"},
	{POINTS START "{a: x}\n" END_POINT "  connection: {local: [a, a, a], remote: a}\n",
	 "15:23: an end of a connection is [IP, PORT]"},
	{POINTS START "{a: x}\n" END_POINT "  error: 'a || !(c == 1)'\n", "5:3: `error` names `c`"},
	{POINTS START "{a: x}\n" END_POINT "  error: {attribute: a, from: 500}\n",
	 "15:10: a text is expected here, not a mapping"},
	{POINTS START "{a: x}\n" END_POINT "  error: a >= 500 || \n",
	 "15:10: a value is expected here, but the expression ends\n  a >= 500 ||\n             ^"},
	{POINTS START "{a: x}\n" END_POINT "  error: a || a + 1\n",
	 "15:10: a condition over attributes has no arithmetic\n  a || a + 1\n         ^"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{b}'\n", "5:3: `summary` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ['{a}', '{b:status}']\n", "5:3: `summary` names `b`"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ['{a}', '/{a}[:{a']\n",
	 "15:12: this { has no } behind its attribute\n  /{a}[:{a\n        ^"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a:bold}'\n",
	 "15:12: after the colon one of dim, size and status"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{}'\n",
	 "15:12: the name of an attribute is expected here"},
	{POINTS START "{a: x}\n" END_POINT "  summary: a\n",
	 "15:12: without an attribute outside of [ ], nothing says"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ''\n",
	 "15:12: without an attribute outside of [ ], nothing says"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '[{a}]'\n", "15:12: without an attribute outside of [ ]"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a}[b]'\n",
	 "15:12: without an attribute in the [ ], nothing says"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a}[{a}[{a}]]'\n", "15:12: a [ cannot stand within [ ]"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a}[{a}'\n", "15:12: the ] that closes a [ is missing"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a}]'\n", "15:12: this ] has no [ before it"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '}'\n", "15:12: this } has no { before it"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a}[{a}][{a}][{a}][{a}][{a}]'\n",
	 "15:12: a part has no more than four [ ]"},
	{POINTS START "{a: x}\n" END_POINT "  summary: '{a:status} x'\n",
	 "15:12: an {error} or a status is a part of its own"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ['x {error}']\n",
	 "15:12: an {error} or a status is a part of its own"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ['{error}', '{a}', '{error}']\n",
	 "15:12: another part is {error} already"},
	{POINTS START "{a: x}\n" END_POINT "  summary: ['{a:status}', '{a:status}']\n",
	 "15:12: the status column shows one attribute"},
	{HEAD "spans:\n- {name: s, kind: client, titles: ['{a'], points: [{name: b, role: start, variants: "
	      "[{func: m.f}]}, {name: e, role: end, variants: [{func: m.f}]}]}\n",
	 "5:3: the title \"{a\" has a { without its }"},
};

static void test_errors(void **state)
{
	size_t wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		struct pack *p = NULL;
		struct err err = {0};
		char want[300];

		assert_int_equal(pack_parse("t.yaml", bads[i].text, strlen(bads[i].text), &p, &err), -EINVAL);
		assert_null(p);
		snprintf(want, sizeof(want), "t.yaml:%s", bads[i].sentence);
		if (strncmp(err.text, want, strlen(want))) {
			print_error("%s\ngives %s\nnot %s\n", bads[i].text, err.text, want);
			wrong++;
		}
		assert_int_equal(pack_parse("t.yaml", bads[i].text, strlen(bads[i].text), &p, NULL), -EINVAL);
	}
	assert_int_equal(wrong, 0);
}

/* ---- packs that add to another's span ---- */

#define ADDS(rest) HEAD "spans:\n- extends: " rest
#define NOTE "\n  points:\n  - {name: n, role: note, variants: [{func: m.f(x int), capture: {r: "

static int resolve_both(const char *adds, struct err *err)
{
	static const char base[] = "pack: q\nabout: a\npackages: [m]\nspans:\n- name: s\n  kind: server\n"
				   "  titles: [t, '{r}']\n  extended_with: [r]\n  points:\n" START "{a: x}\n" END_POINT;
	struct pack *packs[] = {load(adds), load(base)};
	int r = packs_resolve(packs, 2, err);

	if (!r)
		assert_ptr_equal(packs[0]->spans[0].of, &packs[1]->spans[0]);
	pack_free(packs[0]);
	pack_free(packs[1]);
	return r;
}

static void test_extends(void **state)
{
	static const struct {
		const char *adds, *sentence;
		int error;
	} cases[] = {
		{ADDS("q/s" NOTE "x}, save: {c: x}}]}\n"), "", 0},
		{ADDS("q/s" NOTE "{expr: x, same: [a, r]}}}]}\n"), "", 0}, /* one from there, one from here */
		{ADDS("q/s" NOTE "{expr: x, same: [a, z]}}}]}\n"),
		 "t.yaml:5:1: `same` names `z`, which no point of this span captures", -EINVAL},
		{ADDS("q/t" NOTE "x}}]}\n"),
		 "t.yaml:5:1: `extends` names q/t, but the pack q has no such span", -EINVAL},
		{ADDS("o/s" NOTE "x}}]}\n"),
		 "the pack p adds to spans of the pack o, which is not selected; select both (--packs o --packs p)",
		 -ENOENT},
		{ADDS("q/s\n  points:\n  - {name: n, role: join, variants: [{func: m.f}]}\n"),
		 "t.yaml:5:1: q/s has no `key`, which a point with role join needs", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_int_equal(resolve_both(cases[i].adds, &err), cases[i].error);
		assert_string_equal(err.text, cases[i].sentence);
	}
}

/* Parts of a span of the pack, of a pack that is selected, of one that is built in; not of what nobody knows. */
static void test_parts(void **state)
{
	static const struct {
		const char *part_of, *sentence;
	} cases[] = {
		{"[s]", ""}, {"[p, net-http, database-sql]", ""},
		{"[s, net-htp]", "t.yaml:5:1: `part_of` names `net-htp`, but there is no such pack, nor such a span in "
				 "this one; did you mean `net-http`?"},
		{"[zzzzzzzz]",
		 "t.yaml:5:1: `part_of` names `zzzzzzzz`, but there is no such pack, nor such a span in this one"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = xasprintf(POINTS START "{a: x}\n" END_POINT "  part_of: %s\n", cases[i].part_of);
		struct pack *p = load(text);
		struct err err = {0};

		assert_int_equal(packs_resolve(&p, 1, &err), *cases[i].sentence ? -EINVAL : 0);
		assert_string_equal(err.text, cases[i].sentence);
		pack_free(p);
		free(text);
	}
}

/* A small file whose aliases multiply: refused, and quickly. */
static void test_aliases(void **state)
{
	static char text[400000];
	struct pack *p = NULL;
	struct err err = {0};
	char *at = text;

	at += sprintf(at, HEAD "x: &v {func: m.f, capture: {");
	for (int i = 0; i < 900; i++)
		at += sprintf(at, "a%d: x, ", i);
	at += sprintf(at, "}}\n");
	assert_int_equal(pack_parse("t.yaml", text, strlen(text), &p, &err), -EINVAL);
	at = text;
	at += sprintf(at, HEAD "hooks:\n- {name: a, role: exit, variants: [&v {func: m.f, capture: {");
	for (int i = 0; i < 900; i++)
		at += sprintf(at, "a%d: x, ", i);
	at += sprintf(at, "}}");
	for (int i = 0; i < 5000; i++)
		at += sprintf(at, ", *v");
	at += sprintf(at, "]}\n");
	assert_int_equal(pack_parse("t.yaml", text, strlen(text), &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "are aliases nested?"));
	at = text;
	sprintf(at, HEAD "hooks: &h [*h]\n");
	assert_int_equal(pack_parse("t.yaml", text, strlen(text), &p, &err), -EINVAL);
	assert_int_equal(pack_parse("t.yaml", "pack: \xff\xfe\n", 9, &p, &err), -EINVAL);
	pack_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts), cmocka_unit_test(test_smallest), cmocka_unit_test(test_types),
		cmocka_unit_test(test_builtin), cmocka_unit_test(test_builtin_parts),
		cmocka_unit_test(test_builtin_functions),
		cmocka_unit_test(test_all_keys), cmocka_unit_test(test_contexts),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_aliases), cmocka_unit_test(test_extends), cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
