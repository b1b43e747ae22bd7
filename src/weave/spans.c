#include "weave/spans.h"

#include <string.h>

#include "weave/paths.h"

enum { MAX_ATTRIBUTES = 24 };

typedef VEC(struct pack_capture) capture_list;

struct spans_maker {
	struct weave_package *package;
	struct source_types *types;
	VEC(struct pack_span) spans;
	VEC(const char *) directives;
	bool calls; /* for questions */
};

static const char *const no_expression[] = {NULL};

/* ---- captures ---- */

static struct pack_capture capture_of(struct arena *a, const char *name, const char *text)
{
	const char **all = arena_array(a, const char *, 2);

	all[0] = text;
	return (struct pack_capture){.name = name, .alternatives = all, .transform.keep_empty = true};
}

/* What is an attribute as it is: a pointer says nothing to anybody. */
static bool is_plain(const struct type *t)
{
	return t->kind == KIND_BOOL || type_is_integer(t) || type_is_float(t) || t->kind == KIND_STRING ||
	       (t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8);
}

static bool is_error(const struct type *t)
{
	return t->kind == KIND_INTERFACE && !strcmp(t->name, "error");
}

const char *woven_form(const struct type *t)
{
	if (is_error(t))
		return "error";
	if (!is_plain(t))
		return NULL;
	return t->kind == KIND_SLICE ? "[]uint8" : basic_type(t->kind)->name;
}

static void add_arguments(struct spans_maker *m, const struct weave_file *file, const struct go_function *f,
                          capture_list *out)
{
	struct arena *a = &m->package->arena;
	size_t skip = f->receiver ? 1 : 0;

	for (size_t i = skip; i < f->nparams && out->len < MAX_ATTRIBUTES; i++) {
		const struct go_param *p = &f->params[i];
		const struct type *t = p->variadic ? NULL : source_type_of(m->types, file, f, p, NULL);
		const char *name = p->name && strcmp(p->name, "_") ? p->name : arena_printf(a, "arg%zu", i - skip);
		struct pack_capture c = capture_of(a, name, name);

		c.optional = true;
		if (t && is_plain(t))
			vec_push(out, c);
	}
}

/* An expression that only the return knows names a result, or is about how the call ended. */
static bool is_of_return(const struct expr *e, const struct go_function *f)
{
	if (!e)
		return false;
	if (e->op == EXPR_NAME) {
		for (size_t i = 0; i < f->nresults; i++)
			if (f->results[i].name && !strcmp(f->results[i].name, e->text))
				return true;
		return !strcmp(e->text, "err") ||
		       (!strncmp(e->text, "ret", 3) && e->text[3] >= '0' && e->text[3] <= '9');
	}
	if (is_of_return(e->a, f) || is_of_return(e->b, f))
		return true;
	for (size_t i = 0; i < e->nargs; i++)
		if (is_of_return(e->args[i], f))
			return true;
	return false;
}

static void add_chosen(struct spans_maker *m, const struct span_question *q, const struct go_function *f,
                       capture_list *start, capture_list *end)
{
	for (size_t i = 0; i < q->nattributes; i++) {
		const struct span_attribute *chosen = &q->attributes[i];
		struct pack_capture c = capture_of(&m->package->arena, chosen->name, chosen->text);

		if (is_of_return(chosen->expr, f))
			vec_push(end, c);
		else
			vec_push(start, c);
	}
}

/* A context, or the request that has one: the first that is handed over. */
static void add_parent(struct spans_maker *m, const struct weave_file *file, const struct go_function *f,
                       capture_list *out)
{
	struct arena *a = &m->package->arena;
	size_t skip = f->receiver ? 1 : 0;

	for (size_t i = skip; i < f->nparams; i++) {
		const struct go_param *p = &f->params[i];
		const struct type *t = p->variadic ? NULL : source_type_of(m->types, file, f, p, NULL);
		const char *name = p->name && strcmp(p->name, "_") ? p->name : arena_printf(a, "arg%zu", i - skip);
		bool is_request = t && !strcmp(t->name, "*net/http.Request");
		struct pack_capture c;

		if (!t || (!is_request && strcmp(t->name, "context.Context")))
			continue;
		c = capture_of(a, "parent", is_request ? arena_printf(a, "%s.ctx", name) : name);
		c.use = USE_PARENT_CHAIN;
		c.optional = true;
		vec_push(out, c);
		return;
	}
}

/* The last result of type error. */
static void add_error(struct spans_maker *m, const struct weave_file *file, const struct go_function *f,
                      capture_list *out)
{
	struct arena *a = &m->package->arena;

	for (size_t i = f->nresults; i-- > 0;) {
		const struct type *t = source_type_of(m->types, file, f, &f->results[i], NULL);

		if (t && is_error(t)) {
			struct pack_capture c = capture_of(a, "error.type", arena_printf(a, "typeof(ret%zu)", i));

			c.optional = true;
			vec_push(out, c);
			return;
		}
	}
}

/* What a question may ask of a call: all of its parameters, or its results, that a slot can hold. */
static void add_variables(struct spans_maker *m, const struct weave_file *file, const struct go_function *f,
                          bool results, capture_list *out)
{
	struct arena *a = &m->package->arena;
	const struct go_param *all = results ? f->results : f->params;
	const size_t skip = f->receiver && !results ? 1 : 0, n = results ? f->nresults : f->nparams;

	for (size_t i = 0; i < n && out->len < MAX_ATTRIBUTES; i++) {
		const struct go_param *p = &all[i];
		const struct type *t = p->variadic ? NULL : source_type_of(m->types, file, f, p, NULL);
		const char *name = i < skip ? "recv" : arena_printf(a, "%s%zu", results ? "ret" : "arg", i - skip);
		struct pack_capture c;

		if (!t || !woven_form(t))
			continue;
		c = capture_of(a, name, is_error(t) ? arena_printf(a, "typeof(%s)", name) : name);
		c.optional = true;
		vec_push(out, c);
	}
}

/* ---- the definition ---- */

static const struct pack_point *points_of(struct arena *a, const struct span_question *q, const char *name,
                                          const capture_list *start, const capture_list *end)
{
	struct pack_variant *v = arena_array(a, struct pack_variant, 2);
	struct pack_point *p = arena_array(a, struct pack_point, 2);

	for (size_t i = 0; i < 2; i++) {
		const capture_list *captures = i ? end : start;

		v[i] = (struct pack_variant){.func = name,
		                             .declared = q->function.ref.declared ? &q->function.ref.signature : NULL,
		                             .at_return = i,
		                             .ncaptures = captures->len};
		v[i].captures = arena_memdup(a, captures->data, captures->len * sizeof(*captures->data));
		p[i] = (struct pack_point){.role = i ? POINT_END : POINT_START,
		                           .name = i ? "return" : "entry",
		                           .variants = &v[i],
		                           .nvariants = 1};
	}
	v[0].when = q->when;
	return p;
}

static void add_span(struct spans_maker *m, const struct span_question *q, const char *directive,
                     const struct weave_file *file, const struct go_function *f, const char *name)
{
	struct arena *a = &m->package->arena;
	struct pack_capture own = {.name = "code.function.name", .alternatives = no_expression, .constant = name};
	capture_list start = {0}, end = {0};
	struct pack_span s = {.name = name, .kind = SPAN_INTERNAL, .npoints = 2};

	vec_push(&start, own);
	if (q->chosen)
		add_chosen(m, q, f, &start, &end);
	else
		add_arguments(m, file, f, &start);
	add_parent(m, file, f, &start);
	add_error(m, file, f, &end);
	s.points = points_of(a, q, name, &start, &end);
	pack_add_lineage(a, &s);
	vec_push(&m->spans, s);
	vec_push(&m->directives, directive);
	vec_done(&start);
	vec_done(&end);
}

static void add_call(struct spans_maker *m, const struct span_question *q, const struct weave_file *file,
                     const struct go_function *f, const char *name)
{
	capture_list start = {0}, end = {0};
	struct pack_span s = {.name = name, .kind = SPAN_INTERNAL, .npoints = 2};

	if (f->generic) {
		if (!q->function.glob)
			weave_package_warn(m->package, "%s cannot be asked about: it has type parameters", name);
		return;
	}
	add_variables(m, file, f, false, &start);
	add_variables(m, file, f, true, &end);
	s.points = points_of(&m->package->arena, q, name, &start, &end);
	vec_push(&m->spans, s);
	vec_done(&start);
	vec_done(&end);
}

/* ---- functions ---- */

const char *span_symbol_prefix(const struct weave_package *p, struct arena *a)
{
	const char *slash = strrchr(p->path, '/'), *last = slash ? slash + 1 : p->path;
	struct buf out = {0};
	const char *text;

	if (p->name && !strcmp(p->name, "main"))
		return "main";
	buf_append(&out, p->path, (size_t)(last - p->path));
	for (; *last; last++)
		buf_printf(&out, *last == '.' ? "%%2e" : "%c", *last);
	text = arena_strdup(a, out.data);
	buf_done(&out);
	return text;
}

static bool is_taken(const struct spans_maker *m, const char *name)
{
	for (size_t i = 0; i < m->spans.len; i++)
		if (!strcmp(m->spans.data[i].name, name))
			return true;
	return false;
}

/* A pattern leaves out what cannot be one: whoever names a function is told (points.c). */
static bool may_be_span(const struct span_question *q, const struct go_function *f)
{
	return !q->function.glob || (!f->broken && f->body.end > f->body.start &&
	                             !(f->directives & (GO_NOSPLIT | GO_RUNTIME_ONLY)));
}

/* The first question that names it makes it one. */
static void add_function(struct spans_maker *m, const struct span_question *questions, size_t n,
                         struct weave_file *file, const struct go_function *f, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!name_matches(questions[i].function.pattern, name) || !may_be_span(&questions[i], f) ||
		    is_taken(m, name))
			continue;
		else if (m->calls)
			add_call(m, &questions[i], file, f, name);
		else
			add_span(m, &questions[i], NULL, file, f, name);
}

/* //earshot:span above the function says what --span says, but for the name. */
static void add_directive(struct spans_maker *m, struct weave_file *file, const struct go_function *f, const char *name)
{
	struct arena *a = &m->package->arena;
	struct span_question *q = arena_new(a, struct span_question);
	const char *text = arena_printf(a, "%s%s%s", name, *f->span ? " " : "", f->span);
	struct err err = {0};

	if (span_question_parse(text, a, q, &err) < 0)
		weave_package_warn(m->package, "%s:%u: //earshot:span cannot be read: %s", path_base(file->path),
		                   go_source_line(file->source, f->all.start), err.text);
	else if (!is_taken(m, name))
		add_span(m, q, text, file, f, name);
}

/* Literals in it, and in each other. */
static void add_literals(struct spans_maker *m, const struct span_question *questions, size_t n,
                         struct weave_file *file, const struct go_function *outer, const char *name)
{
	for (size_t i = 0; i < outer->nliterals && !outer->broken; i++) {
		const struct go_function *f = &outer->literals[i];
		const char *own = arena_printf(&m->package->arena, "%s.%s", name, f->name);

		add_function(m, questions, n, file, f, own);
		add_literals(m, questions, n, file, f, own);
	}
}

static void add_functions(struct spans_maker *m, const struct span_question *questions, size_t n,
                          struct weave_file *file)
{
	struct arena *a = &m->package->arena;
	const char *prefix = span_symbol_prefix(m->package, a);

	for (size_t i = 0; file->source && i < file->source->nfunctions; i++) {
		struct go_function *f = &file->source->functions[i];
		const char *name;

		if (!n && (!f->span || m->calls))
			continue;
		go_function_read(file->source, f);
		name = arena_printf(a, "%s.%s", prefix, go_function_symbol(a, f));

		if (f->span && !m->calls)
			add_directive(m, file, f, name);
		add_function(m, questions, n, file, f, name);
		if (n)
			add_literals(m, questions, n, file, f, name);
	}
}

void weave_spans(struct weave_package *p, struct source_types *types, const struct span_question *questions, size_t n,
                 struct woven_spans *ret)
{
	struct spans_maker m = {.package = p, .types = types};

	for (size_t i = 0; i < p->nfiles; i++)
		add_functions(&m, questions, n, &p->files[i]);
	*ret = (struct woven_spans){.pack = {.name = SPANS_PACK, .file = SPANS_PACK, .nspans = m.spans.len}};
	if (m.spans.len) {
		ret->pack.spans = arena_memdup(&p->arena, m.spans.data, m.spans.len * sizeof(*m.spans.data));
		ret->directives =
		    arena_memdup(&p->arena, m.directives.data, m.directives.len * sizeof(*m.directives.data));
	}
	vec_done(&m.spans);
	vec_done(&m.directives);
}

void weave_calls(struct weave_package *p, struct source_types *types, const struct span_question *questions, size_t n,
                 struct pack *ret)
{
	struct spans_maker m = {.package = p, .types = types, .calls = true};

	for (size_t i = 0; n && i < p->nfiles; i++)
		add_functions(&m, questions, n, &p->files[i]);
	*ret = (struct pack){.name = CALLS_PACK, .file = CALLS_PACK, .nspans = m.spans.len};
	if (m.spans.len)
		ret->spans = arena_memdup(&p->arena, m.spans.data, m.spans.len * sizeof(*m.spans.data));
	vec_done(&m.spans);
}

/* What stands before the first wildcard and the path with its dot: one begins with the other. */
bool span_concerns(const struct span_question *q, const char *path)
{
	const char *pattern = q->function.pattern;
	size_t fixed = strcspn(pattern, "*?(["), n = strlen(path), both = MIN(fixed, n);

	if (!strncmp(pattern, "main.", 5))
		return true;
	return !strncmp(pattern, path, both) && (fixed <= n || pattern[n] == '.');
}
