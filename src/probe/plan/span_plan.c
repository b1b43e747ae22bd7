#include "probe/plan/span_plan.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "probe/plan/call_plan_internal.h"

#define MAX_ATTRIBUTES 24 /* of a span; a record has slots for what tells its parent, too */
#define NAMES_SHOWN 3

typedef VEC(struct pack_capture) capture_list;
typedef VEC(const char *) text_list;

struct span_planner {
	struct binary *binary;
	struct arena *texts;               /* the binary's: sentences */
	struct pack *pack;
	VEC(struct pack_span) spans;
	struct map taken;                  /* index of a function + 1 → anything */
	struct span_plan *plan;
};

/* A function while it becomes a span. */
struct span_draft {
	const struct span_question *question;
	struct call_plan call;             /* what tells the sides of expressions: function, signature, variables */
	capture_list start, end;
	text_list shown;                   /* names of attributes, for the summary */
	text_list unknown;                 /* names of arguments of which nothing is known */
};

static const char *const no_expression[] = {NULL};

static void say(struct span_planner *sp, bool refused, const char *text)
{
	if (refused)
		vec_push(&sp->plan->refused, text);
	else
		vec_push(&sp->plan->partial, text);
}

/* ---- captures ---- */

static const char *const *one_expression(struct arena *a, const char *text)
{
	const char **all = arena_array(a, const char *, 2);

	all[0] = text;
	return all;
}

static struct pack_capture capture_of(struct arena *a, const char *name, const char *text)
{
	return (struct pack_capture){.name = arena_strdup(a, name),
				     .alternatives = one_expression(a, arena_strdup(a, text)),
				     .transform.keep_empty = true};
}

/* What is an attribute as it is. A pointer says nothing to anybody, of the rest the user may choose a part. */
static bool is_plain(const struct type *t)
{
	return t->kind == KIND_BOOL || type_is_integer(t) || type_is_float(t) || t->kind == KIND_STRING ||
	       (t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8);
}

static const char *argument_name(struct span_planner *sp, const struct signature *s, size_t i)
{
	size_t skip = s->has_receiver;

	return i < skip ? "recv" : param_name(&sp->pack->arena, &s->params[i], "arg", i - skip);
}

static void add_arguments(struct span_planner *sp, struct span_draft *d)
{
	const struct signature *s = &d->call.signature;

	for (size_t i = s->has_receiver; i < s->nparams; i++) {
		const char *name = argument_name(sp, s, i);
		struct pack_capture c = capture_of(&sp->pack->arena, name, name);

		if (!s->params[i].type || s->params[i].why) {
			vec_push(&d->unknown, name);
			continue;
		}
		if (!is_plain(s->params[i].type) || d->shown.len == MAX_ATTRIBUTES)
			continue;
		c.optional = true; /* one that lies where this planter cannot read */
		vec_push(&d->start, c);
		vec_push(&d->shown, c.name);
	}
}

/* What the user chose must be there. */
static int add_chosen(struct span_planner *sp, struct span_draft *d, struct err *err)
{
	const struct span_question *q = d->question;

	if (q->nattributes > MAX_ATTRIBUTES)
		return err_set(err, -E2BIG, "%zu attributes are more than the %d that a span can have", q->nattributes,
			       MAX_ATTRIBUTES);
	for (size_t i = 0; i < q->nattributes; i++) {
		const struct span_attribute *a = &q->attributes[i];
		struct pack_capture c = capture_of(&sp->pack->arena, a->name, a->text);

		if (expr_side(&d->call, a->expr) == SIDE_RETURN)
			vec_push(&d->end, c);
		else
			vec_push(&d->start, c);
		vec_push(&d->shown, c.name);
	}
	return 0;
}

static bool is_request(const struct type *t)
{
	return t->kind == KIND_POINTER && t->elem && t->elem->name && !strcmp(t->elem->name, "net/http.Request");
}

static void add_context(struct span_planner *sp, text_list *out, const struct type *t, const char *name)
{
	if (!t || (t->kind != KIND_POINTER && t->kind != KIND_INTERFACE))
		return;
	vec_push(out, arena_printf(&sp->pack->arena, is_request(t) ? "%s.ctx" : "%s", name));
}

/* Of these alternatives the first that is a context counts. A closure has its context among its variables. */
static void add_parent(struct span_planner *sp, struct span_draft *d)
{
	const struct signature *s = &d->call.signature;
	text_list all = {0};

	for (size_t i = s->has_receiver; i < s->nparams; i++)
		if (!s->params[i].why)
			add_context(sp, &all, s->params[i].type, argument_name(sp, s, i));
	for (size_t i = 0; i < d->call.ncaptured; i++)
		if (d->call.captured[i].name[0] != '.')
			add_context(sp, &all, d->call.captured[i].type, d->call.captured[i].name);
	if (all.len) {
		struct pack_capture c = {.use = USE_PARENT_CHAIN, .name = "parent", .optional = true};

		vec_push(&all, NULL);
		c.alternatives = arena_memdup(&sp->pack->arena, all.data, all.len * sizeof(*all.data));
		vec_push(&d->start, c);
	}
	vec_done(&all);
}

/* The last result of type error. */
static void add_error(struct span_planner *sp, struct span_draft *d)
{
	const struct signature *s = &d->call.signature;

	for (size_t i = s->nresults; i-- > 0;) {
		const struct type *t = s->results[i].type;

		if (t && t->kind == KIND_INTERFACE && t->name && !strcmp(t->name, "error")) {
			struct pack_capture c = capture_of(&sp->pack->arena, "error.type",
							   arena_printf(&sp->pack->arena, "typeof(ret%zu)", i));

			c.optional = true;
			vec_push(&d->end, c);
			return;
		}
	}
}

static int add_captures(struct span_planner *sp, struct span_draft *d, struct err *err)
{
	struct pack_capture name = {.name = "code.function.name", .alternatives = no_expression};
	int r = 0;

	name.constant = arena_strdup(&sp->pack->arena, d->call.name);
	vec_push(&d->start, name);
	if (d->question->chosen)
		r = add_chosen(sp, d, err);
	else
		add_arguments(sp, d);
	add_parent(sp, d);
	add_error(sp, d);
	return r;
}

/* ---- the definition ---- */

/* v2, v3, …: of a module's path, which says little without what is before it. */
static bool is_major_version(const char *element)
{
	size_t n = *element == 'v' ? 1 + strspn(element + 1, "0123456789") : 0;

	return n > 1 && element[n] == '.';
}

/* "shop.(*Cart).Add" of "example.com/shop.(*Cart).Add", "shop/v2.Add" of "example.com/shop/v2.Add" */
static const char *without_path(const char *name)
{
	const char *end = name + strcspn(name, "(["), *slash = memrchr(name, '/', (size_t)(end - name));

	if (slash && is_major_version(slash + 1))
		slash = memrchr(name, '/', (size_t)(slash - name));
	return slash ? slash + 1 : name;
}

static const struct summary *summary_of(struct arena *a, const text_list *names)
{
	struct summary_part *parts = arena_array(a, struct summary_part, names->len + 1);
	struct summary *s = arena_new(a, struct summary);

	for (size_t i = 0; i < names->len; i++) {
		struct summary_item *items = arena_array(a, struct summary_item, 2);

		items[0] = (struct summary_item){.op = SUMMARY_TEXT, .text = arena_printf(a, "%s=", names->data[i]),
						 .dim = true};
		items[1] = (struct summary_item){.op = SUMMARY_ATTRIBUTE, .text = names->data[i]};
		parts[i] = (struct summary_part){.items = items, .n = 2};
	}
	parts[names->len].is_error = true;
	*s = (struct summary){.parts = parts, .n = names->len + 1};
	return s;
}

static const struct pack_point *points_of(struct arena *a, const struct span_draft *d)
{
	struct pack_variant *v = arena_array(a, struct pack_variant, 2);
	struct pack_point *p = arena_array(a, struct pack_point, 2);
	struct func *f = arena_memdup(a, &d->call.func, sizeof(*f));
	const struct func_ref *ref = &d->question->function.ref;

	for (size_t i = 0; i < 2; i++) {
		const capture_list *captures = i ? &d->end : &d->start;

		v[i] = (struct pack_variant){.func = arena_strdup(a, d->call.name), .function = f,
					     .declared = ref->declared ? &ref->signature : NULL, .at_return = i,
					     .ncaptures = captures->len};
		v[i].captures = arena_memdup(a, captures->data, captures->len * sizeof(*captures->data));
		p[i] = (struct pack_point){.role = i ? POINT_END : POINT_START, .name = i ? "return" : "entry",
					   .variants = &v[i], .nvariants = 1};
	}
	v[0].when = d->question->when;
	p[1].may_miss = d->question->when; /* the calls for which it does not hold return, too */
	return p;
}

static void add_span(struct span_planner *sp, const struct span_draft *d)
{
	struct arena *a = &sp->pack->arena;
	struct pack_span *s = vec_add(&sp->spans);

	*s = (struct pack_span){.name = arena_strdup(a, d->call.name), .kind = SPAN_INTERNAL, .npoints = 2};
	s->titles = one_expression(a, arena_strdup(a, without_path(d->call.name)));
	condition_parse("error.type", NULL, a, &s->error, NULL);
	s->summary = summary_of(a, &d->shown);
	s->points = points_of(a, d);
	pack_add_lineage(a, s);
}

/* ---- one function ---- */

/* Without one, the span has what is known: its name. */
static int find_signature(struct span_planner *sp, struct span_draft *d, struct err *err)
{
	const struct func_ref *ref = &d->question->function.ref;
	int r = binary_signature(sp->binary, &d->call.func, ref->declared ? &ref->signature : NULL, &d->call.signature,
				 err);

	if (r && ref->declared)
		return r;
	if (r)
		d->call.signature = (struct signature){0};
	if (binary_closure_vars(sp->binary, &d->call.func, &d->call.captured, &d->call.ncaptured, NULL))
		d->call.ncaptured = 0;
	return 0;
}

static int check_condition(const struct span_draft *d, struct err *err)
{
	const struct question *q = &d->question->function;

	if (!q->condition || expr_side(&d->call, q->condition) != SIDE_RETURN)
		return 0;
	return err_at_column(err, -EINVAL, q->text, q->condition->column,
			     "a span begins where the function does, and this is known when it returns only; --keep "
			     "keeps traces by how their spans ended, as in --keep 'status == error'");
}

static int check_return(struct span_planner *sp, const struct span_draft *d, struct err *err)
{
	struct join_point at;
	struct err why = {0};
	int r = binary_returns_complete(sp->binary, &d->call.func, &why);

	if (!r)
		r = join_point_returns(sp->binary, &d->call.func, &at, &why);
	return r ? err_set(err, r, "its span would have no end: %s", why.text) : 0;
}

/* What is known in part only, in one sentence. */
static void say_unknown(struct span_planner *sp, const struct span_draft *d)
{
	const struct signature *s = &d->call.signature;
	_cleanup_(buf_done) struct buf text = {0};

	for (size_t i = 0; i < d->unknown.len; i++)
		buf_printf(&text, "%s%s", i ? ", " : "", d->unknown.data[i]);
	if (!d->unknown.len && s->results_known)
		return;
	if (!s->nparams && !s->results_known && !d->question->chosen)
		buf_str(&text, "its arguments");
	if (!s->results_known)
		buf_printf(&text, "%swhether it fails", text.len ? " and " : "");
	say(sp, false, arena_printf(sp->texts, "of %s %s cannot be told: the program does not describe it; write its "
				    "declaration, as in --span 'main.F(ctx context.Context, n int) (err error)'",
				    d->call.name, text.data));
}

static int draft(struct span_planner *sp, struct span_draft *d, struct err *err)
{
	int r = find_signature(sp, d, err);

	if (!r)
		r = check_condition(d, err);
	if (!r)
		r = check_return(sp, d, err);
	if (!r)
		r = add_captures(sp, d, err);
	if (r)
		return r;
	add_span(sp, d);
	say_unknown(sp, d);
	return 0;
}

static void plan_function(struct span_planner *sp, const struct span_question *q, const struct func *f)
{
	struct span_draft d = {.question = q,
			       .call = {.question = &q->function, .binary = sp->binary, .func = *f,
					.name = name_as_go(sp->texts, f->name)}};
	struct err err = {0};

	if (map_get(&sp->taken, f->index + 1))
		return;
	map_set(&sp->taken, f->index + 1, sp);
	binary_func_keep(sp->binary, &d.call.func);
	if (draft(sp, &d, &err))
		say(sp, true, arena_printf(sp->texts, "%s is no span: %s", d.call.name, err.text));
	vec_done(&d.start);
	vec_done(&d.end);
	vec_done(&d.shown);
	vec_done(&d.unknown);
}

/* ---- one question ---- */

struct span_matches {
	struct func *functions;
	const char *const *inlined;  /* names of functions with inlined calls */
	const char **names;          /* of all of them */
	size_t nfunctions, ninlined, n;
};

static void find_functions(struct span_planner *sp, const struct question *q, struct span_matches *m)
{
	const char *pattern = q->pattern;
	uint32_t *found;
	size_t n;

	functions_match(sp->binary, pattern, sp->texts, &found, &n);
	m->functions = arena_array(sp->texts, struct func, n);
	for (size_t i = 0; i < n; i++)
		m->nfunctions += binary_func(sp->binary, found[i], &m->functions[m->nfunctions]);
	if (!q->glob && m->nfunctions && !strchr(pattern, '['))
		pattern = name_readable(sp->texts, m->functions[0].name);
	inlined_match(sp->binary, pattern, sp->texts, &m->inlined, &m->ninlined);
	m->names = arena_array(sp->texts, const char *, m->nfunctions + m->ninlined + 1);
	for (size_t i = 0; i < m->nfunctions; i++)
		m->names[m->n++] = m->functions[i].name;
	for (size_t i = 0; i < m->ninlined; i++)
		m->names[m->n++] = m->inlined[i];
}

static bool has_body(const struct span_matches *m, const char *name)
{
	for (size_t i = 0; i < m->nfunctions; i++)
		if (!strcmp(m->functions[i].name, name))
			return true;
	return false;
}

/* An inlined call has no return. With a glob the user has not named any of those that are wholly inlined. */
static void say_inlined(struct span_planner *sp, const struct question *q, const struct span_matches *m)
{
	_cleanup_(buf_done) struct buf names = {0};
	size_t n = 0, calls = 0;

	for (size_t i = 0; i < m->ninlined; i++) {
		if (q->glob && !has_body(m, m->inlined[i]))
			continue;
		calls += binary_inlined(sp->binary, m->inlined[i], NULL, 0);
		if (n++ < NAMES_SHOWN)
			buf_printf(&names, "%s%s", names.len ? ", " : "", m->inlined[i]);
	}
	if (!n)
		return;
	say(sp, !q->glob && !m->nfunctions,
	    arena_printf(sp->texts, "%zu inlined %s of %s%s %s no %s: such a call has no return of its own (a build "
			 "with -gcflags=-l has none)", calls, calls == 1 ? "call" : "calls", names.data,
			 n > NAMES_SHOWN ? ", …" : "", calls == 1 ? "is" : "are", calls == 1 ? "span" : "spans"));
}

static int refuse_too_many(const struct question *q, const struct span_matches *m, struct err *err)
{
	_cleanup_(buf_done) struct buf names = {0};

	for (size_t i = 0; i < NAMES_SHOWN; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", m->functions[i].name);
	return err_set(err, -E2BIG, "--span %s matches %zu functions (%s, …), and %d are possible: narrow the pattern; "
		       "`earshot trace -l` lists what one matches", q->pattern, m->nfunctions, names.data,
		       SPAN_MAX_FUNCTIONS);
}

static int check_matches(struct span_planner *sp, const struct question *q, const struct span_matches *m,
			 struct err *err)
{
	if (!q->glob && match_differs(m->names, m->n))
		return match_ambiguous(sp->binary, q, m->names, m->n, err);
	if (!m->n)
		return match_nothing(sp->binary, q, err);
	return m->nfunctions > SPAN_MAX_FUNCTIONS ? refuse_too_many(q, m, err) : 0;
}

static void plan_question(struct span_planner *sp, const struct span_question *q)
{
	struct span_matches m = {0};
	struct err err = {0};

	find_functions(sp, &q->function, &m);
	if (check_matches(sp, &q->function, &m, &err)) {
		say(sp, true, arena_strdup(sp->texts, err.text));
		return;
	}
	say_inlined(sp, &q->function, &m);
	for (size_t i = 0; i < m.nfunctions; i++)
		plan_function(sp, q, &m.functions[i]);
}

/* ---- all ---- */

void span_plan_make(struct binary *b, const struct span_question *questions, size_t n, struct span_plan *ret)
{
	struct span_planner sp = {.binary = b, .texts = binary_arena(b), .plan = ret};

	*ret = (struct span_plan){0};
	sp.pack = xcalloc(1, sizeof(*sp.pack));
	*sp.pack = (struct pack){.name = "functions", .about = "functions that --span names", .file = "--span"};
	for (size_t i = 0; i < n; i++)
		plan_question(&sp, &questions[i]);
	sp.pack->nspans = sp.spans.len;
	sp.pack->spans = arena_memdup(&sp.pack->arena, sp.spans.data, sp.spans.len * sizeof(*sp.spans.data));
	vec_done(&sp.spans);
	map_done(&sp.taken);
	if (sp.pack->nspans)
		ret->pack = sp.pack;
	else
		pack_free(sp.pack);
}

void span_plan_done(struct span_plan *p)
{
	vec_done(&p->refused);
	vec_done(&p->partial);
}
