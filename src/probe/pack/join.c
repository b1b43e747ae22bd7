/*
 * Packs × a binary. Function names of all packs are looked up in one pass over the function table, since
 * that pass is what start-up costs on a large binary. A variant is tried to the end (signature, captures,
 * join point) before the next one is: what decides between variants is whether the binary has what they name.
 */
#include "probe/pack/join.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"

/* What the starts of one span definition save, in the order of first mention. */
struct saved_table {
	struct carried_value values[IR_MAX_SAVED];
	size_t n;
};

struct joiner {
	struct binary *binary;
	struct arena *arena;
	struct strmap func_index; /* function name → index + 1 */
	VEC(struct join) joins;
	struct saved_table saved;  /* of the span at work */
	bool ends_only;            /* hooks of calls: what they capture is of spans */
	const struct planter_caps *caps;
	bool alone;
	unsigned propagators;
	bool propagate;
	const struct join_marks *marks; /* NULL: none */
	bool asked;                /* a probe may ask which span its own is below: starts say what tells that */
	const struct type *copied; /* may_copy's last question … */
	const char *const *copied_beside;
	bool may_copy;             /* … and its answer */
	bool follows;              /* a start of a span follows contexts: whose they are is kept */
	uint32_t save_group;
	struct shape_table *shapes; /* for values that are captured whole; or NULL */
};

static const struct pack_point *const *pack_points(const struct pack *p, struct arena *arena, size_t *ret_n,
						   const struct pack_span ***ret_spans)
{
	size_t n = p->nhooks, k = 0;
	const struct pack_point **points;

	for (size_t i = 0; i < p->nspans; i++)
		n += p->spans[i].npoints;
	points = arena_array(arena, const struct pack_point *, n);
	*ret_spans = arena_array(arena, const struct pack_span *, n);
	for (size_t i = 0; i < p->nspans; i++)
		for (size_t j = 0; j < p->spans[i].npoints; j++) {
			(*ret_spans)[k] = &p->spans[i];
			points[k++] = &p->spans[i].points[j];
		}
	for (size_t j = 0; j < p->nhooks; j++)
		points[k++] = &p->hooks[j];
	*ret_n = n;
	return points;
}

static bool pack_applies(struct binary *b, const struct pack *p)
{
	for (const char *const *pkg = p->packages; pkg && *pkg; pkg++)
		if (binary_has_package(b, *pkg))
			return true;
	return !p->packages;
}

/* "net/http.Request.pat" names a field that must, or must not, exist. */
static bool field_exists(struct binary *b, const char *path)
{
	const char *dot = strrchr(path, '.');
	struct field_path found;
	const struct type *t;
	char name[256];

	if (!dot || (size_t)(dot - path) >= sizeof(name))
		return false;
	memcpy(name, path, (size_t)(dot - path));
	name[dot - path] = 0;
	t = binary_type(b, name);
	return t && type_field_find(b, t, dot + 1, &found);
}

/* How the other points write it. */
static const struct expr *saved_expr(struct arena *arena, const char *name)
{
	struct expr *saved = arena_new(arena, struct expr), *field = arena_new(arena, struct expr);

	*saved = (struct expr){.op = EXPR_NAME, .text = "saved", .len = strlen("saved")};
	*field = (struct expr){.op = EXPR_FIELD, .text = name, .len = strlen(name), .a = saved};
	return field;
}

/* What a start saves for the other points has a number. */
static int number_saved(struct joiner *jn, const char *name, int *ret, struct err *err)
{
	struct saved_table *t = &jn->saved;

	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->values[i].expr->text, name)) {
			*ret = (int)i + 1;
			return 0;
		}
	if (t->n == IR_MAX_SAVED)
		return err_set(err, -E2BIG, "a span can save %d values, %s is one more", IR_MAX_SAVED, name);
	t->values[t->n] = (struct carried_value){.expr = saved_expr(jn->arena, name), .number = (unsigned)t->n};
	*ret = (int)++t->n;
	return 0;
}

/* The types of what was saved, as the start's program has them. */
static int type_saved(struct joiner *jn, const struct capture_item *items, size_t n,
		      const struct capture_result *result, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct carried_value *v = items[i].carry ? &jn->saved.values[items[i].carry - 1] : NULL;
		const struct type *t;

		if (!v || result->slot_of_item[i] < 0)
			continue;
		t = result->types[i];
		if (v->type && v->type != t)
			return err_set(err, -EINVAL, "saved.%s has another type in another start of this span",
				       v->expr->text);
		v->type = t;
	}
	return 0;
}

static bool is_chain(enum capture_use use)
{
	return use == USE_PARENT_CHAIN || use == USE_OWN_CHAIN;
}

static bool names(const char *attribute, const struct pack_capture *c)
{
	return attribute && !strcmp(attribute, c->name);
}

/* It costs reads at each request, and where one process is alone nobody asks for it. */
static bool is_for_others(const struct pack_span *s, const struct pack_capture *c)
{
	const struct pack_connection *k = s ? s->connection : NULL;

	return k && c->use == USE_ATTRIBUTE && c->transform.hidden &&
	       (names(k->local.address, c) || names(k->local.port, c) || names(k->remote.address, c) ||
		names(k->remote.port, c) || names(k->stream, c));
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names[i] && !strcmp(names[i], name))
			return true;
	return false;
}

/* Whose headers the capture is for; 0: nobody's but W3C's. */
static unsigned propagator_of(const struct pack_span *s, const struct pack_capture *c)
{
	const struct pack_b3_headers *b = s ? s->b3multi : NULL;
	const struct pack_datadog_headers *d = s ? s->datadog : NULL;

	if (!s || c->use != USE_ATTRIBUTE || !c->transform.hidden)
		return 0;
	if (is_one_of(c->name, &s->b3, 1))
		return PROPAGATOR_B3;
	if (b && is_one_of(c->name, (const char *[]){b->trace, b->span, b->sampled, b->flags}, 4))
		return PROPAGATOR_B3MULTI;
	if (d && is_one_of(c->name, (const char *[]){d->trace, d->parent, d->priority, d->tags}, 4))
		return PROPAGATOR_DATADOG;
	return 0;
}

static const char *left_out(const struct joiner *jn, const struct pack_span *s, const struct pack_capture *c)
{
	if (jn->alone && is_for_others(s, c))
		return "only this process is observed";
	if (propagator_of(s, c) & ~jn->propagators)
		return "OTEL_PROPAGATORS does not name these headers";
	if (!jn->asked && (c->use == USE_OWN_CHAIN || (c->use >= USE_GOIDGEN && c->use <= USE_GOID_CACHE_END)))
		return "nobody asks for it";
	if ((c->use == USE_CARRIER || c->use == USE_BY) && !(jn->marks && jn->marks->sent))
		return "nobody asks for it";
	return NULL;
}

/* Without a planter that follows contexts the span may do without its parent. */
static struct capture_item item_of(const struct joiner *jn, const struct pack_span *s, const struct pack_capture *c)
{
	static const enum runtime_fact facts[] = {[USE_CREATOR] = FACT_CREATOR, [USE_START_PC] = FACT_START_PC,
						  [USE_GOIDGEN] = FACT_ID_COUNTER, [USE_GOID_CACHE] = FACT_ID_CACHE,
						  [USE_GOID_CACHE_END] = FACT_ID_CACHE_END};
	bool follows = jn->caps && jn->caps->follows_contexts;

	return (struct capture_item){
		.name = c->name, .alternatives = c->alternatives, .when = c->when, .once_for = c->once_for,
		.optional = c->optional || (is_chain(c->use) && !follows),
		.links = c->use == USE_PARENT_CHAIN ? EVENT_MAX_CHAIN : c->use == USE_OWN_CHAIN,
		.whole = c->use == USE_LIST,
		.left_out = left_out(jn, s, c),
		.inject = c->inject,
		.ids = c->use == USE_CONTEXT,
		.unseen = c->use == USE_CARRIER || c->use == USE_BY,
		.fact = (unsigned)c->use < ARRAY_SIZE(facts) ? facts[c->use] : FACT_NONE,
	};
}

struct capture_item pack_capture_item(const struct pack_span *s, const struct pack_capture *c,
				      const struct join_options *o)
{
	struct joiner jn = {.caps = o->caps, .alone = o->alone, .propagators = o->propagators, .marks = o->marks,
			    .asked = true};

	return item_of(&jn, s, c);
}

/*
 * A method value has its receiver in the closure object, not among its parameters. The other variables of a closure are
 * named in what is made for this very binary: a pack cannot know whether there is the DWARF that tells them.
 */
static size_t captured_variables(struct joiner *jn, const struct pack_variant *variant, const struct func *f,
				 const struct closure_var **ret)
{
	struct closure_var *v = arena_new(jn->arena, struct closure_var);
	size_t n = 0;

	*ret = v;
	if (binary_method_value(jn->binary, f, v))
		return 1;
	return variant->function && !binary_closure_vars(jn->binary, f, ret, &n, NULL) ? n : 0;
}

/* ---- marks ---- */

static bool func_present(const struct joiner *jn, const struct pack_point *p)
{
	for (size_t v = 0; v < p->nvariants; v++) {
		struct func_ref ref;

		if (p->variants[v].function)
			return true;
		if (!func_ref_parse(p->variants[v].func, jn->arena, &ref, NULL) &&
		    strmap_get(&jn->func_index, ref.name, strlen(ref.name)))
			return true;
	}
	return false;
}

static bool follows_contexts(const struct pack_point *p)
{
	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; c < p->variants[v].ncaptures; c++)
			if (p->variants[v].captures[c].use == USE_PARENT_CHAIN)
				return p->role == POINT_START;
	return false;
}

static bool any_follows(const struct joiner *jn, struct pack *const *packs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t s = 0; pack_applies(jn->binary, packs[i]) && s < packs[i]->nspans; s++)
			for (size_t k = 0; k < packs[i]->spans[s].npoints; k++)
				if (follows_contexts(&packs[i]->spans[s].points[k]) &&
				    func_present(jn, &packs[i]->spans[s].points[k]))
					return true;
	return false;
}

/* Definitions are numbered by where their points begin. */
static uint32_t number_of(const struct joiner *jn, const struct pack_span *span)
{
	uint32_t i = 0;

	while (i < jn->joins.len && jn->joins.data[i].span != span)
		i++;
	return i + 1;
}

static bool is_child(const struct pack_span *s)
{
	return s->kind != SPAN_SERVER && s->kind != SPAN_CONSUMER;
}

/* The function starts the span as well, at its entry: so this is the end of that very call. */
static bool is_start_of(const struct joiner *jn, const struct join *j)
{
	for (size_t i = 0; i < jn->joins.len; i++) {
		const struct join *start = &jn->joins.data[i];

		if (start->span == j->span && start->point->role == POINT_START && start->variant &&
		    start->func.entry == j->func.entry)
			return true;
	}
	return false;
}

/*
 * The key of a span that stays on its goroutine only leads there from others, and what they add to one that is left out
 * is dropped in the end: to keep the word costs each request more.
 */
static bool mark_use_of(const struct joiner *jn, const struct pack_span *s, const struct pack_capture *c,
			enum mark_use *ret)
{
	if (c->use == USE_PARENT_CHAIN)
		*ret = MARK_PARENT;
	else if (c->use == USE_OWN_CHAIN && jn->follows)
		*ret = MARK_OWN;
	else if (c->use == USE_CARRIER)
		*ret = MARK_CARRIED;
	else if (c->use == USE_BY)
		*ret = MARK_FOUND;
	else if (c->use == USE_ATTRIBUTE && names(s->traceparent, c) && !c->transform.field)
		*ret = MARK_HEADER;
	else if (c->use == USE_ATTRIBUTE && names(s->tracestate, c) && !c->transform.field && jn->marks->sent)
		*ret = MARK_TRACESTATE;
	else if (c->use == USE_ATTRIBUTE && names(s->key, c) && s->detached)
		*ret = MARK_KEYED;
	else
		return false;
	return true;
}

static void add_mark_words(struct joiner *jn, const struct pack_span *s, const struct pack_variant *v,
			   struct lower_marks *m)
{
	struct lower_mark_word *words = arena_array(jn->arena, struct lower_mark_word, v->ncaptures);

	m->words = words;
	for (size_t i = 0; s && i < v->ncaptures; i++)
		if (mark_use_of(jn, s, &v->captures[i], &words[m->nwords].use))
			words[m->nwords++].capture = i;
}

/* The spans of its own pack that the point's one can be a part of, as the pack has them: the outer ones first. */
static void add_around(struct joiner *jn, const struct join *j, struct lower_marks *m)
{
	const char *const *names = j->span->part_of ? j->span->part_of : (const char *const[]){NULL};
	size_t n = 0;
	uint32_t *around;

	while (names[n])
		n++;
	around = arena_array(jn->arena, uint32_t, n);
	for (size_t s = 0; s < j->pack->nspans; s++)
		for (size_t k = 0; k < n; k++)
			if (j->pack->spans[s].name && !strcmp(j->pack->spans[s].name, names[k]))
				around[m->naround++] = number_of(jn, &j->pack->spans[s]);
	m->around = around;
}

/* Also where nobody decides by marks: whether there could be such a probe does not depend on that. */
static const struct lower_marks *marks_of_loan(struct joiner *jn, const struct join *j)
{
	struct lower_marks *m = arena_new(jn->arena, struct lower_marks);

	m->action = j->point->role == POINT_RELEASE ? MARKS_RELEASE : MARKS_INJECT;
	m->group = number_of(jn, j->span);
	m->call = j->func.index + 1;
	add_around(jn, j, m);
	return m;
}

/* NULL where the point has nothing to do with marks. */
static const struct lower_marks *marks_of(struct joiner *jn, const struct pack_variant *v, const struct join *j)
{
	static const int actions[] = {
		[POINT_START] = MARKS_START, [POINT_END] = MARKS_END, [POINT_NOTE] = MARKS_NOTE,
		[POINT_UNWIND] = MARKS_UNWIND, [POINT_EXIT] = MARKS_EXIT, [POINT_PANIC] = -1,
		[POINT_JOIN] = MARKS_NOTE, [POINT_TIE] = MARKS_TIE, [POINT_DETACH] = MARKS_DETACH, [POINT_SDK] = -1,
		[POINT_ARM] = MARKS_NOTE, [POINT_INJECT] = -1, [POINT_RELEASE] = -1,
	};
	const struct pack_span *s = j->span;
	struct lower_marks *m;

	if (pack_loan(j->point, v))
		return marks_of_loan(jn, j);
	if (!jn->marks || actions[j->point->role] < 0)
		return NULL;
	m = arena_new(jn->arena, struct lower_marks);
	*m = (struct lower_marks){
		.action = (enum mark_action)actions[j->point->role],
		.group = s ? number_of(jn, s) : 0,
		.call = j->func.index + 1,
		.threshold = mark_threshold(jn->marks->ratio),
		.by_ratio = !jn->marks->parent_based,
		.child = s && is_child(s),
		.by_creator = j->point->role == POINT_START ? s && is_child(s) : j->point->by_lineage,
		.flags = jn->marks->sent ? 0 : EVENT_CONTEXT_LOOSE,
		.of_call = v->at_return && is_start_of(jn, j),
		.detached = s && s->detached,
		.or_end = j->point->or_end,
	};
	add_mark_words(jn, s, v, m);
	return m;
}

/* A start captures its ids as well; a carrier is for marks only. */
static const struct pack_variant *with_marks(struct joiner *jn, const struct pack_variant *v, const struct join *j)
{
	static const char *const none[] = {NULL};
	struct pack_capture *captures;
	struct pack_variant *with;

	if (!jn->marks || j->point->role != POINT_START)
		return v;
	with = arena_memdup(jn->arena, v, sizeof(*v));
	captures = arena_array(jn->arena, struct pack_capture, v->ncaptures + 1);
	if (v->ncaptures)
		memcpy(captures, v->captures, v->ncaptures * sizeof(*captures));
	captures[v->ncaptures] = (struct pack_capture){.use = USE_CONTEXT, .name = "ids", .alternatives = none,
						       .line = v->line, .transform = {.hidden = true}};
	with->captures = captures;
	with->ncaptures++;
	return with;
}

static int compile_variant(struct joiner *jn, const struct pack_variant *v, struct join *j, struct err *err)
{
	struct capture_item *items = arena_array(jn->arena, struct capture_item, v->ncaptures);
	struct capture_scope scope = {.binary = jn->binary,
				      .func = &j->func,
				      .signature = &j->signature,
				      .at = v->at_return ? SITE_RETURN : SITE_ENTRY,
				      .carried = jn->saved.values,
				      .ncarried = jn->saved.n};
	struct capture_request request = {.filter = v->when,
					  .caps = jn->caps,
					  .goroutine = v->goroutine,
					  .sp = v->sp,
					  .items = items,
					  .nitems = v->ncaptures,
					  .shapes = jn->shapes,
					  .marks = marks_of(jn, v, j)};
	int r = 0;

	j->marks = request.marks;
	scope.ncaptured = captured_variables(jn, v, &j->func, &scope.captured);
	for (size_t i = 0; r >= 0 && i < v->ncaptures; i++) {
		const struct pack_capture *c = &v->captures[i];

		items[i] = item_of(jn, j->span, c);
		if (c->use == USE_SAVED)
			r = number_saved(jn, c->saved_as, &items[i].carry, err);
	}
	if (r >= 0)
		r = capture_compile(&scope, &request, jn->arena, &j->capture, err);
	if (r >= 0)
		r = type_saved(jn, items, v->ncaptures, &j->capture, err);
	/* what it captures belongs to spans, but whether that is there has told this variant from others */
	if (r >= 0 && jn->ends_only) {
		request.role = j->point->role == POINT_UNWIND ? PROGRAM_UNWIND : PROGRAM_EXIT;
		request.nitems = 0;
		r = capture_compile(&scope, &request, jn->arena, &j->capture, err);
	}
	j->capture.program.save_group = jn->save_group;
	return r;
}

static bool func_named(struct joiner *jn, const char *name, struct func *ret)
{
	uintptr_t index = (uintptr_t)strmap_get(&jn->func_index, name, strlen(name));

	return index && binary_func(jn->binary, index - 1, ret);
}

/* Whether the code of names[0] calls names[1], …: all of them, or none. */
static int check_calls(struct joiner *jn, const char *const *names, bool all, struct err *err)
{
	struct func caller, called;
	struct callees callees;

	if (!names)
		return 0;
	if (!func_named(jn, names[0], &caller))
		return err_set(err, -ENOENT, "no function %s in this binary", names[0]);
	if (binary_callees(jn->binary, &caller, &callees, err))
		return -ENOENT;
	for (size_t k = 1; names[k]; k++) {
		bool calls = false;

		for (size_t i = 0; func_named(jn, names[k], &called) && i < callees.n; i++)
			calls |= callees.targets[i] == called.entry;
		if (calls != all)
			return err_set(err, -ENOENT, "not needed here: %s calls %s%s", names[0], all ? "no " : "",
				       names[k]);
	}
	return 0;
}

static bool same_names(const char *const *a, const char *const *b)
{
	while (a && *a && *b && !strcmp(*a, *b))
		a++, b++;
	return a && !*a && !*b;
}

/* It is asked more than once. */
static bool may_copy(struct joiner *jn, const struct type *t, const char *const *beside)
{
	struct func by;

	if (jn->copied != t || !same_names(jn->copied_beside, beside))
		jn->may_copy = binary_may_copy(jn->binary, t, beside, &by);
	jn->copied = t;
	jn->copied_beside = beside;
	return jn->may_copy;
}

/* Whether v is for this binary, by what types and functions it has. */
static int check_needs(struct joiner *jn, const struct pack_variant *v, struct err *err)
{
	int r;

	if (v->needs_absent && field_exists(jn->binary, v->needs_absent))
		return err_set(err, -ENOENT, "not needed here: this binary has %s", v->needs_absent);
	if (v->needs_present && !field_exists(jn->binary, v->needs_present))
		return err_set(err, -ENOENT, "not needed here: this binary has no %s", v->needs_present);
	if (v->needs_func && !strmap_get(&jn->func_index, v->needs_func, strlen(v->needs_func)))
		return err_set(err, -ENOENT, "not needed here: this binary has no %s", v->needs_func);
	if (v->needs_no_func && strmap_get(&jn->func_index, v->needs_no_func, strlen(v->needs_no_func)))
		return err_set(err, -ENOENT, "not needed here: this binary has %s", v->needs_no_func);
	r = check_calls(jn, v->needs_call, true, err);
	return r ? r : check_calls(jn, v->needs_no_call, false, err);
}

/* Whether the program does what would make v necessary. */
static int check_code(struct joiner *jn, const struct pack_variant *v, struct err *err)
{
	const char *const *copy = v->needs_copy ? v->needs_copy : v->needs_no_copy;
	const struct type *t;
	struct func f;

	if (v->needs_run && (!func_named(jn, v->needs_run, &f) || !binary_may_run(jn->binary, &f)))
		return err_set(err, -ENOENT, "not needed here: nothing in this binary calls %s", v->needs_run);
	t = copy ? binary_type(jn->binary, copy[0]) : NULL;
	if (t && may_copy(jn, t, copy + 1) == !v->needs_copy)
		return err_set(err, -ENOENT, "not needed here: %s in this binary copies a %s",
			       v->needs_copy ? "nothing" : "something", copy[0]);
	return 0;
}

/* The function of v, and what v declares of it. */
static int find_function(struct joiner *jn, const struct pack_variant *v, struct func_ref *ret_ref, struct func *ret,
			 struct err *err)
{
	int r;

	if (v->function) {
		*ret_ref = (struct func_ref){.name = v->func, .declared = v->declared};
		if (v->declared)
			ret_ref->signature = *v->declared;
		*ret = *v->function;
		return 0;
	}
	r = func_ref_parse(v->func, jn->arena, ret_ref, err);
	if (r < 0)
		return r;
	if (!func_named(jn, ret_ref->name, ret))
		return err_set(err, -ENOENT, "no function %s in this binary", ret_ref->name);
	if (v->not_inlined && binary_inlined(jn->binary, ret_ref->name, NULL, 0))
		return err_set(err, -ENOENT, "not used here: calls of %s were inlined in this binary", ret_ref->name);
	return 0;
}

/* 0 when v can be used, -ENOENT when its function is not there, another error when it is but does not fit. */
static int try_variant(struct joiner *jn, const struct pack_variant *v, struct join *j, struct err *err)
{
	struct func_ref ref;
	int r;

	r = check_needs(jn, v, err);
	if (!r)
		r = find_function(jn, v, &ref, &j->func, err);
	if (!r)
		r = check_code(jn, v, err);
	if (r < 0)
		return r;
	if (v->refused)
		return err_set(err, -ENOTSUP, "%s: %s", ref.name, v->refused);
	binary_func_keep(jn->binary, &j->func);
	r = binary_signature(jn->binary, &j->func, ref.declared ? &ref.signature : NULL, &j->signature, err);
	if (r == -ENODATA && v->function) { /* who made v knows that, and asks for no more than there is */
		j->signature = (struct signature){0};
		r = 0;
	}
	if (r >= 0)
		r = compile_variant(jn, v, j, err);
	if (r >= 0)
		r = (v->at_return ? join_point_returns : join_point_entry)(jn->binary, &j->func, &j->at, err);
	if (r < 0)
		err_prefix(err, "%s", ref.name);
	return r == -ENOENT ? -EINVAL : r;
}

static void join_one(struct joiner *jn, struct join *j)
{
	struct err err = {0}, first = {0};
	bool present = false;

	for (size_t i = 0; i < j->point->nvariants; i++) {
		const struct pack_variant *v = with_marks(jn, &j->point->variants[i], j);
		int r = try_variant(jn, v, j, &err);

		if (r >= 0) {
			j->variant = v;
			j->variant_number = i;
			return;
		}
		if (!first.code || (r != -ENOENT && !present))
			first = err;
		present |= r != -ENOENT;
	}
	j->absent = !present;
	j->why = arena_strdup(jn->arena, first.text);
}

static bool saves(const struct pack_point *p)
{
	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; c < p->variants[v].ncaptures; c++)
			if (p->variants[v].captures[c].use == USE_SAVED)
				return true;
	return false;
}

/* Those that write, or the others: first those that save, since they say what is saved. */
static void join_some(struct joiner *jn, struct join *joins, size_t n, bool writing)
{
	jn->saved = (struct saved_table){0};
	jn->save_group++;
	for (int first = 1; first >= 0; first--)
		for (size_t i = 0; i < n; i++)
			if (point_writes(joins[i].point) == writing &&
			    (joins[i].point->role == POINT_START || saves(joins[i].point)) == first)
				join_one(jn, &joins[i]);
}

/* What is lent to a call must come back when it returns, and nothing comes back that was not lent. */
static void pair_loan(struct joiner *jn, const struct join *joins, size_t n, struct join *j)
{
	const bool releases = j->point->role == POINT_RELEASE;

	if (!j->variant || !pack_loan(j->point, j->variant))
		return;
	for (size_t i = 0; i < n; i++)
		if (joins[i].variant && joins[i].func.entry == j->func.entry &&
		    (releases ? pack_lends(joins[i].variant) : joins[i].point->role == POINT_RELEASE))
			return;
	j->variant = NULL;
	j->absent = releases;
	j->why = arena_printf(jn->arena, releases ? "%s: nothing is lent to it" :
						    "%s: its return, where it gives back what was lent, cannot be seen",
			      j->func.name);
}

/* By what extends a span, for that one alone; by the span's own points, for whatever extends it, too. */
static bool writes_somewhere(const struct joiner *jn, const struct join *arm)
{
	for (size_t i = 0; i < jn->joins.len; i++) {
		const struct join *j = &jn->joins.data[i];

		if (j->point->role == POINT_INJECT && j->variant &&
		    (j->part == arm->part || (arm->part == arm->span && j->span == arm->span)))
			return true;
	}
	return false;
}

/* Nobody is armed where nothing is written. */
static void drop_arms(struct joiner *jn)
{
	for (size_t i = 0; i < jn->joins.len; i++) {
		struct join *j = &jn->joins.data[i];

		if (j->point->role != POINT_ARM || !j->variant || writes_somewhere(jn, j))
			continue;
		j->variant = NULL;
		j->absent = true;
		j->why = "not needed here: nothing is written";
	}
}

/* The points of one span definition, or of what extends one, or the hooks of a pack. */
static void join_span(struct joiner *jn, struct join *joins, size_t n)
{
	size_t last = 0;

	while (last < n && joins[last].part == joins[0].part)
		last++;
	join_some(jn, joins, last, false);
	if (jn->propagate)
		join_some(jn, joins, last, true);
	for (size_t i = 0; i < last; i++)
		pair_loan(jn, joins, last, &joins[i]);
}

/* Whether all that the binary has of it are functions that every program has. */
static bool is_of_runtime(const struct join *joins, size_t n, const struct pack_span *part)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].part == part && joins[i].variant && strncmp(joins[i].variant->func, "runtime.", 8))
			return false;
	return true;
}

/* A span without its required points would be a guess: all its points are refused with that reason. */
static void refuse_incomplete(struct joiner *jn, struct join *joins, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool absent = joins[i].absent && is_of_runtime(joins, n, joins[i].part);
		const char *why;

		if (!joins[i].span || joins[i].variant || joins[i].point->optional)
			continue;
		why = arena_printf(jn->arena, "%s needs its point \"%s\", and %s",
				   joins[i].part->extends ? "what extends the span" : "the span", joins[i].point->name,
				   joins[i].why);
		for (size_t k = 0; k < n; k++) {
			if (joins[k].part != joins[i].part || !joins[k].variant)
				continue;
			joins[k].variant = NULL;
			joins[k].absent = absent;
			joins[k].why = why;
		}
	}
}

static bool starts_somewhere(const struct join *joins, size_t n, const struct pack_span *span)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].part == span && joins[i].point->role == POINT_START && joins[i].variant)
			return true;
	return false;
}

/* What extends a span that this binary cannot have is of no use. */
static void refuse_orphans(struct joiner *jn)
{
	for (size_t i = 0; i < jn->joins.len; i++) {
		struct join *j = &jn->joins.data[i];

		if (!j->part || !j->part->extends || !j->variant ||
		    starts_somewhere(jn->joins.data, jn->joins.len, j->part->of))
			continue;
		j->variant = NULL;
		j->why = arena_printf(jn->arena, "%s, which it adds to, is not observed in this binary",
				      j->part->extends);
	}
}

typedef VEC(const char *) name_list;

static void push_all(const char *const *names, name_list *out)
{
	for (; names && *names; names++)
		vec_push(out, *names);
}

static void index_functions(struct joiner *jn, struct pack *const *packs, size_t npacks)
{
	name_list names = {0};
	int64_t *found;

	for (size_t i = 0; i < npacks; i++) {
		const struct pack_span **spans;
		size_t n;
		const struct pack_point *const *points = pack_points(packs[i], jn->arena, &n, &spans);

		for (size_t k = 0; k < n; k++)
			for (size_t v = 0; v < points[k]->nvariants; v++) {
				struct func_ref ref;

				if (!points[k]->variants[v].function &&
				    func_ref_parse(points[k]->variants[v].func, jn->arena, &ref, NULL) == 0)
					vec_push(&names, ref.name);
				if (points[k]->variants[v].needs_func)
					vec_push(&names, points[k]->variants[v].needs_func);
				if (points[k]->variants[v].needs_no_func)
					vec_push(&names, points[k]->variants[v].needs_no_func);
				if (points[k]->variants[v].needs_run)
					vec_push(&names, points[k]->variants[v].needs_run);
				push_all(points[k]->variants[v].needs_call, &names);
				push_all(points[k]->variants[v].needs_no_call, &names);
			}
	}
	found = arena_array(jn->arena, int64_t, names.len);
	binary_func_find_all(jn->binary, names.data, names.len, found);
	for (size_t i = 0; i < names.len; i++)
		if (found[i] >= 0)
			strmap_set(&jn->func_index, names.data[i], strlen(names.data[i]),
				   (void *)(uintptr_t)(found[i] + 1));
	vec_done(&names);
}

void packs_declare_types(struct binary *b, struct pack *const *packs, size_t npacks)
{
	for (size_t i = 0; i < npacks; i++)
		binary_declare_types(b, packs[i]->types, packs[i]->ntypes);
}

/* What options of spans lead to: an interface, and what an element of a list in it has, another one. */
struct shape_table *join_shapes(struct binary *b, struct pack *const *packs, size_t npacks)
{
	static const struct shape_limits limits = {.depth = 2, .max_string = 1024, .max_items = 64, .any_plain = true,
						   .closure_words = 2};
	struct shape_table *t;
	bool wanted = false;

	for (size_t i = 0; i < npacks; i++)
		for (size_t k = 0; k < packs[i]->nspans; k++)
			wanted |= packs[i]->spans[k].lists && pack_applies(b, packs[i]);
	return wanted && !shape_table_new(b, &limits, &t, NULL) ? t : NULL;
}

/* Whether a point looks for the span that its own belongs below, by who created its goroutine or by its context. */
static bool asks(struct joiner *jn, const struct pack_point *p)
{
	struct func_ref ref;
	struct func f;

	for (size_t i = 0; i < p->nvariants; i++) {
		const struct pack_variant *v = &p->variants[i];
		bool looks = false;

		for (size_t c = 0; c < v->ncaptures; c++)
			looks |= v->captures[c].use == USE_CREATOR || v->captures[c].use == USE_PARENT_CHAIN;
		if (looks && (v->function || (!func_ref_parse(v->func, jn->arena, &ref, NULL) &&
					      func_named(jn, ref.name, &f))) &&
		    !check_needs(jn, v, NULL) && !check_code(jn, v, NULL))
			return true;
	}
	return false;
}

/* Marks are found so as well. */
static bool anybody_asks(struct joiner *jn, struct pack *const *packs, size_t npacks)
{
	bool asked = jn->marks || jn->propagate;

	for (size_t i = 0; i < npacks && !asked; i++) {
		const struct pack_span **spans;
		const struct pack_point *const *points;
		size_t n;

		if (!pack_applies(jn->binary, packs[i]))
			continue;
		points = pack_points(packs[i], jn->arena, &n, &spans);
		for (size_t k = 0; k < n && !asked; k++)
			asked = asks(jn, points[k]);
	}
	return asked;
}

int join_packs(struct binary *b, struct pack *const *packs, size_t npacks, const struct join_options *o,
	       struct join **ret, size_t *ret_n, struct err *err)
{
	struct joiner jn = {.binary = b, .arena = binary_arena(b), .caps = o->caps, .alone = o->alone,
			    .propagators = o->propagators, .shapes = o->shapes,
			    .marks = o->caps && o->caps->keeps_marks ? o->marks : NULL,
			    .propagate = o->propagate};

	(void)err;
	packs_declare_types(b, packs, npacks);
	index_functions(&jn, packs, npacks);
	jn.asked = anybody_asks(&jn, packs, npacks);
	jn.follows = jn.marks && any_follows(&jn, packs, npacks);
	for (size_t i = 0; i < npacks; i++) {
		const struct pack_span **spans;
		const struct pack_point *const *points;
		size_t n, first = jn.joins.len;

		if (!pack_applies(b, packs[i]))
			continue;
		points = pack_points(packs[i], jn.arena, &n, &spans);
		for (size_t k = 0; k < n; k++)
			if (o->propagate || !point_writes(points[k]))
				*vec_add(&jn.joins) = (struct join){
				    .pack = packs[i], .span = spans[k] && spans[k]->of ? spans[k]->of : spans[k],
				    .part = spans[k], .point = points[k]};
		for (size_t k = first; k < jn.joins.len; k++)
			if (k == first || jn.joins.data[k].part != jn.joins.data[k - 1].part)
				join_span(&jn, &jn.joins.data[k], jn.joins.len - k);
		refuse_incomplete(&jn, jn.joins.data + first, jn.joins.len - first);
	}
	refuse_orphans(&jn);
	drop_arms(&jn);
	*ret_n = jn.joins.len;
	*ret = arena_memdup(jn.arena, jn.joins.data, jn.joins.len * sizeof(struct join));
	vec_done(&jn.joins);
	strmap_done(&jn.func_index);
	return 0;
}

int join_hooks(struct binary *b, struct pack *const *packs, size_t npacks, struct join **ret, size_t *ret_n,
	       struct err *err)
{
	struct joiner jn = {.binary = b, .arena = binary_arena(b), .ends_only = true};

	(void)err;
	index_functions(&jn, packs, npacks);
	for (size_t i = 0; i < npacks; i++)
		for (size_t k = 0; k < packs[i]->nhooks && pack_applies(b, packs[i]); k++) {
			const struct pack_point *point = &packs[i]->hooks[k];

			if (point->role == POINT_UNWIND || point->role == POINT_EXIT)
				*vec_add(&jn.joins) = (struct join){.pack = packs[i], .point = point};
		}
	for (size_t i = 0; i < jn.joins.len; i++)
		join_one(&jn, &jn.joins.data[i]);
	*ret_n = jn.joins.len;
	*ret = arena_memdup(jn.arena, jn.joins.data, jn.joins.len * sizeof(struct join));
	vec_done(&jn.joins);
	strmap_done(&jn.func_index);
	return 0;
}
