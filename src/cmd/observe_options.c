#include "cmd/observe_options.h"

#include <errno.h>
#include <string.h>

#include "cmd/keep_names.h"
#include "cmd/span_consumer.h"
#include "span/keep.h"

const struct option_def observe_span_defs[] = {
	{0, "span", "FUNCTION", "make spans of the calls of this function: 'main.(*Svc).Charge' (repeatable)", OPT_LIST,
	 offsetof(struct observe_options, functions)},
	{0, "service", "NAME", "service.name (default: OTEL_SERVICE_NAME, else the program's name)", OPT_STRING,
	 offsetof(struct observe_options, service)},
	{0, "packs", "GLOB|FILE", "use only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct observe_options, observation.packs)},
	{0, "sample", "RATIO", "keep this share of traces, 0 to 1", OPT_RATIO,
	 offsetof(struct observe_options, sample)},
	{0, "keep", "RULE", "keep traces in which this holds for a span: status == error || duration > 1s (repeatable)",
	 OPT_LIST, offsetof(struct observe_options, keep)},
	{0, "ignore-sdk", NULL, "as if the program had no OpenTelemetry SDK: what it records is recorded here as well",
	 OPT_FLAG, offsetof(struct observe_options, ignore_sdk)},
	{0, "propagate", NULL, "write the traceparent header into what the program sends (HTTP, gRPC, NATS, Kafka)",
	 OPT_FLAG, offsetof(struct observe_options, propagate)},
	{0, "redact", "NAME,…", "hide the values of these query parameters instead of the usual secrets; \"\" for none",
	 OPT_LIST, offsetof(struct observe_options, redact)},
	{0, "sql", "full", "show statements of SQL as they are, with the values in them", OPT_STRING,
	 offsetof(struct observe_options, sql)},
	{0},
};

const struct option_def observe_trace_defs[] = {
	{0, "trace", "QUESTION", "also show the calls that answer this, as `earshot trace` does (repeatable)", OPT_LIST,
	 offsetof(struct observe_options, questions)},
	{0},
};

static const char *env_get(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

/* The names of --redact, which may be given more than once; NULL without it. */
static const char *const *redact_names(struct observe_options *o)
{
	const string_list *given = &o->redact;
	VEC(const char *) names = {0};
	const char *const *all;

	for (size_t i = 0; i < given->len; i++)
		for (const char *p = given->data[i], *end; *p; p = end + (*end == ',')) {
			end = strchrnul(p, ',');
			if (end > p)
				vec_push(&names, arena_strndup(&o->arena, p, (size_t)(end - p)));
		}
	vec_push(&names, NULL);
	all = given->len ? arena_memdup(&o->arena, names.data, names.len * sizeof(*names.data)) : NULL;
	vec_done(&names);
	return all;
}

/* The rules of an option. -EINVAL with a sentence. */
static int read_rules(const char *option, const string_list *texts, struct arena *arena, const struct condition ***ret,
		      struct err *err)
{
	int r = 0;

	*ret = arena_array(arena, const struct condition *, texts->len);
	for (size_t i = 0; i < texts->len && r >= 0; i++) {
		struct err why = {0};

		r = span_rule_parse(texts->data[i], arena, &(*ret)[i], &why);
		if (r < 0)
			err_set(err, r, "%s: %s", option, why.text);
	}
	return r;
}

struct asked {
	const struct question *questions;       /* of --trace */
	const struct span_question *functions;  /* of --span */
	const struct condition **keep;          /* of --keep */
};

static int read_asked(struct observe_options *o, struct asked *ret, struct err *err)
{
	int r = questions_parse(o->questions.data, o->questions.len, &o->arena, &ret->questions, err);

	if (r >= 0)
		r = span_questions_parse(o->functions.data, o->functions.len, &o->arena, &ret->functions, err);
	if (r >= 0)
		r = read_rules("--keep", &o->keep, &o->arena, &ret->keep, err);
	return r < 0 ? r : read_rules("--dump-on", &o->dump_on, &o->arena, &o->dump_rules, err);
}

/* What --dump-on may ask of a process that has ended. */
static const char *const exit_names[] = {EXIT_NAMES, NULL};

static void add_spans(struct observe_options *o, const struct asked *asked, struct observation *ob)
{
	span_consumer_new(ob, &(struct span_consumer_options){
				      .sample = o->sample >= 0 ? o->sample : o->env.sample_ratio,
				      .sample_parent_based = o->sample < 0 && o->env.sample_parent_based,
				      .sql_full = o->sql != NULL,
				      .alone = !o->show_process,
				      .several = o->several,
				      .propagators = o->env.propagators,
				      .ignore_sdk = o->ignore_sdk,
				      .propagate = o->propagate,
				      .redact = redact_names(o),
				      .keep = asked->keep,
				      .nkeep = o->keep.len,
				      .functions = asked->functions,
				      .nfunctions = o->functions.len});
	keep_names_tell(ob, "--keep", (const char *const[]){NULL}, asked->keep, o->keep.len, asked->functions,
			o->functions.len);
	keep_names_tell(ob, "--dump-on", exit_names, o->dump_rules, o->dump_on.len, asked->functions,
			o->functions.len);
}

static void add_calls(struct observe_options *o, const struct question *questions, struct observation *ob)
{
	struct inquiry q;

	inquiry_make(&o->calls, questions, o->questions.len, outputs_needs(&o->out), ob, &q);
	q.list_option = "earshot trace -l";
	q.json_option = "-o json";
	call_consumer_new(ob, &o->calls, &q);
}

static int open_outputs(struct observe_options *o, struct observation *ob, struct err *err)
{
	const struct sink_setup with = {.gives = SINK_SPANS | (o->questions.len ? SINK_CALLS : 0),
					.show_process = o->show_process,
					.env = &o->env};

	if (!o->sink)
		return outputs_open(&o->out, &with, observation_sinks(ob), err);
	vec_push(observation_sinks(ob), TAKE(o->sink));
	return 0;
}

int observe_open(struct observe_options *o, struct loop *loop, struct observation **ret, struct err *err)
{
	struct asked asked = {0};
	struct observation *ob;
	int r = call_options_check(&o->calls, err);

	if (r >= 0 && o->sql && strcmp(o->sql, "full"))
		r = err_set(err, -EINVAL, "--sql takes `full`, not `%.40s`; without it values are not shown", o->sql);
	if (r >= 0)
		r = read_asked(o, &asked, err);
	if (r >= 0)
		r = otel_env_read(&o->env, env_get, NULL, err);
	o->observation.local_packs = true;
	o->observation.env = &o->env;
	o->observation.service = o->service;
	if (r >= 0)
		r = observation_new(&o->observation, loop, &ob, err);
	if (r < 0)
		return r;
	r = open_outputs(o, ob, err);
	add_spans(o, &asked, ob);
	if (o->questions.len)
		add_calls(o, asked.questions, ob);
	if (r >= 0)
		r = observation_start(ob, err);
	if (r < 0) {
		observation_cancel(ob);
		return r;
	}
	*ret = ob;
	return 0;
}

void observe_options_done(struct observe_options *o)
{
	otel_env_done(&o->env);
	arena_done(&o->arena);
}
