/* earshot usdt attach: hits of USDT probes as lines, and as spans where two of them go together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/usdt.h"
#include "cmd/usdt_consumer.h"
#include "sink/otel_env.h"
#include "span/point_pairs.h"

struct attach_options {
	struct target_options targets;
	struct observation_options observation;
	struct output_options out;
	struct call_options calls;
	string_list pairs;
	const char *service;
};

static const struct option_def pair_defs[] = {
	{0, "pair", "START,END", "two probes that make a span, on a thread or ` by argN` (repeatable); without it by "
	 "their names", OPT_LIST, offsetof(struct attach_options, pairs)},
	{0, "max-string", "N", "bytes of a text (default 256, at most 4096)", OPT_UINT,
	 offsetof(struct attach_options, calls.max_string)},
	{0, "service", "NAME", "service.name of the spans; without it the executable's name", OPT_STRING,
	 offsetof(struct attach_options, service)},
	{0},
};
static const struct option_group attach_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct attach_options, targets), NULL},
	{"what is captured", pair_defs, 0, NULL},
	{"what comes out", NULL, offsetof(struct attach_options, out), outputs_span_rows},
	{"what comes out", observation_for_defs, offsetof(struct attach_options, observation), NULL},
	{"what comes out", observation_quiet_defs, offsetof(struct attach_options, observation), NULL},
	{0},
};

struct attaching {
	struct usdt_spans spans;       /* its first member */
	struct attach_options o;
	struct target_plan plan;
	struct arena arena;
	struct otel_env env;
	struct observation *observation;
	struct question *questions;
	size_t nquestions;
	struct point_pair *pairs;
	struct point_pairs *made;
};

static struct attaching *self(struct usdt_spans *s)
{
	return (struct attaching *)s;
}

/* ---- what is asked ---- */

/* "usdt:" stands before it, as in the questions of trace, or not; a name alone is that of any provider. */
static const char *as_question(struct attaching *a, const char *text)
{
	size_t name = strcspn(text, " \t\r\n{");

	if (is_usdt_name(text))
		return text;
	return arena_printf(&a->arena, memchr(text, ':', name) ? USDT_PREFIX "%s" : USDT_PREFIX "*:%s", text);
}

/* What is chosen, each under its name. */
static void print_chosen(struct attaching *a, const struct span_question *from, struct question *q)
{
	struct action *action = arena_new(&a->arena, struct action);
	const struct expr **args = arena_array(&a->arena, const struct expr *, from->nattributes + 1);
	const char **names = arena_array(&a->arena, const char *, from->nattributes + 1);

	for (size_t i = 0; i < from->nattributes; i++) {
		args[i] = from->attributes[i].expr;
		names[i] = from->attributes[i].name;
	}
	*action = (struct action){.kind = ACTION_PRINT, .text = q->text, .args = args, .arg_texts = names,
				  .nargs = from->nattributes};
	q->actions = action;
	q->nactions = 1;
}

static int read_probes(struct attaching *a, char **texts, size_t n, struct err *err)
{
	a->questions = arena_array(&a->arena, struct question, n + 1);
	a->nquestions = n;
	if (!n)
		return err_set(err, -EINVAL, "say which probes: earshot usdt attach -p PID 'postgresql:query__*'");
	for (size_t i = 0; i < n; i++) {
		struct span_question q;
		int r = span_question_parse(as_question(a, texts[i]), &a->arena, &q, err);

		if (r < 0)
			return r;
		a->questions[i] = q.function;
		if (q.chosen)
			print_chosen(a, &q, &a->questions[i]);
	}
	return 0;
}

static int read_pairs(struct attaching *a, struct err *err)
{
	int r = 0;

	a->pairs = arena_array(&a->arena, struct point_pair, a->o.pairs.len + 1);
	for (size_t i = 0; i < a->o.pairs.len && r >= 0; i++)
		r = point_pair_parse(a->o.pairs.data[i], &a->arena, &a->pairs[i], err);
	return r;
}

/* ---- hits ---- */

static struct attr attr_of(const struct call_value *v, struct arena *arena)
{
	struct attr a = {.key = v->name};
	const struct value_node *n = &v->value;

	switch (n->form) {
	case FORM_BOOL:
		a.kind = ATTR_BOOL;
		a.b = n->u;
		return a;
	case FORM_INT:
		a.kind = ATTR_INT;
		a.i = n->i;
		return a;
	case FORM_UINT: /* as the SDKs do, which have signed ones only */
		a.kind = ATTR_INT;
		a.i = (int64_t)n->u;
		return a;
	case FORM_FLOAT:
		a.kind = ATTR_DOUBLE;
		a.d = n->f;
		return a;
	default:
		a.kind = ATTR_STRING;
		a.s = arena_memdup(arena, n->text ? n->text : "", n->len);
		a.len = n->len;
		return a;
	}
}

/* The values of arguments, by their numbers. */
static void note_arg(const struct call_value *v, uint64_t *args, uint64_t *has)
{
	unsigned n;
	char end;

	if (sscanf(v->name, "arg%u%c", &n, &end) != 1 || n > 63 ||
	    (v->value.form != FORM_INT && v->value.form != FORM_UINT))
		return;
	args[n] = v->value.form == FORM_INT ? (uint64_t)v->value.i : v->value.u;
	*has |= UINT64_C(1) << n;
}

static bool take(struct usdt_spans *s, const struct call_record *c, const struct usdt_site *site)
{
	struct attaching *a = self(s);
	uint64_t args[64] = {0};
	struct arena arena = {0};
	struct attr *attrs = arena_array(&arena, struct attr, c->nvalues + 1);
	struct point_hit h = {.provider = site->provider, .name = site->name, .resource = c->resource,
			      .tid = c->goid, .depth = c->depth, .time_ns = c->start_ns, .unix_ns = c->start_unix_ns,
			      .args = args, .attrs = attrs};
	bool taken;

	for (size_t i = 0; i < c->nvalues; i++) {
		note_arg(&c->values[i], args, &h.has_arg);
		if (c->values[i].value.form != FORM_UNREADABLE && c->values[i].value.form != FORM_NIL)
			attrs[h.nattrs++] = attr_of(&c->values[i], &arena);
	}
	taken = point_pairs_hit(a->made, &h);
	arena_done(&arena);
	return taken;
}

static bool begins(struct usdt_spans *s, const char *provider, const char *name)
{
	return point_pairs_know(self(s)->made, provider, name);
}

static void tick(struct usdt_spans *s, uint64_t until_ns)
{
	point_pairs_tick(self(s)->made, until_ns);
}

static void gone(struct usdt_spans *s, int pid)
{
	point_pairs_gone(self(s)->made, pid);
}

static void add_summary(struct usdt_spans *s, struct run_summary *sum)
{
	point_pairs_summary(self(s)->made, sum);
}

static void free_pairs(struct usdt_spans *s)
{
	point_pairs_free(TAKE(self(s)->made));
}

static void on_span(void *arg, const struct span *span)
{
	outputs_span(observation_sinks(self(arg)->observation), span);
}

/* ---- the verb ---- */

static const char *env_get(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

static int check(struct attaching *a, struct err *err)
{
	int r = target_plan_make(&a->o.targets, &a->plan, err);

	if (r >= 0 && target_plan_empty(&a->plan))
		r = err_set(err, -EINVAL, "say what to observe: -p PID, -x GLOB or --port N");
	if (r >= 0)
		r = call_options_check(&a->o.calls, err);
	if (r >= 0)
		r = otel_env_read(&a->env, env_get, NULL, err);
	return r;
}

static int attach(struct attaching *a)
{
	const struct sink_setup with = {.gives = SINK_SPANS | SINK_CALLS, .show_process = true, .env = &a->env};
	const struct usdt_consumer_options o = {.targets = &a->plan, .questions = a->questions,
						.nquestions = a->nquestions, .calls = &a->o.calls,
						.service = a->o.service, .env = &a->env, .spans = &a->spans};
	struct err err = {0};
	struct consumer *c = NULL;
	struct loop *loop;
	int r, code;

	if (loop_new(&loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	r = observation_new(&a->o.observation, loop, &a->observation, &err);
	if (r >= 0)
		r = outputs_open(&a->o.out, &with, observation_sinks(a->observation), &err);
	if (r >= 0) {
		a->made = point_pairs_new(&(struct point_pairs_options){
			.pairs = a->pairs, .npairs = a->o.pairs.len, .emit = on_span, .arg = a});
		c = usdt_consumer_new(a->observation, &o);
		r = observation_start(a->observation, &err);
	}
	if (r < 0) {
		observation_cancel(TAKE(a->observation));
		code = complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	} else {
		code = usdt_observe(a->observation, c, loop);
	}
	loop_free(loop);
	return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct attaching a = {.spans = {begins, take, tick, gone, add_summary, free_pairs},
			      .o = {.calls = CALL_DEFAULTS}};
	struct err err = {0};
	int code, rest, r = options_parse(v->groups, 0, &a.o, argc, argv, &rest, &err);

	if (r == 0)
		r = read_probes(&a, argv + rest, (size_t)(argc - rest), &err);
	if (r == 0)
		r = read_pairs(&a, &err);
	if (r == 0)
		r = check(&a, &err);
	if (r == 1) {
		verb_help(v);
		code = EXIT_DONE;
	} else {
		code = r < 0 ? complain(EXIT_USAGE, "%s", err.text) : attach(&a);
	}
	otel_env_done(&a.env);
	target_plan_done(&a.plan);
	arena_done(&a.arena);
	options_done(v->groups, &a.o);
	return code;
}

const struct verb verb_usdt_attach = {
	.name = "usdt attach",
	.synopsis = "(-p PID | -x GLOB | --port N) 'PROBE [if CONDITION] [{ ATTRIBUTES }]'...",
	.summary = "show each hit of USDT probes, and as spans those that go together: X__start and X__done",
	.groups = attach_groups,
	.run = run,
};
