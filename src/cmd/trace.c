/* earshot trace: ask a running program, or one that is started for it, any question about its functions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd/call_consumer.h"
#include "cmd/observe.h"
#include "cmd/trace_list.h"
#include "cmd/usdt_consumer.h"
#include "cmd/verb.h"
#include "cmd/woven_match.h"

struct trace_options {
	struct target_options targets;
	struct observation_options observation;
	struct output_options out;
	struct call_options calls;
	bool list;
	const char *name;
	uint64_t ttl_ns;
};

static const struct option_def list_defs[] = {
	{'l', "list", NULL, "only list what would be traced, with signatures and prices", OPT_FLAG,
	 offsetof(struct trace_options, list)},
	{0},
};
static const struct option_def packs_defs[] = {
	{0, "packs", "GLOB|FILE", "packs that say how panics end calls and errors are read (repeatable)", OPT_LIST,
	 offsetof(struct trace_options, observation.packs)},
	{0},
};
static const struct option_def named_defs[] = {
	{0, "name", "NAME", "go on in the background under this name (see `earshot probes`)", OPT_STRING,
	 offsetof(struct trace_options, name)},
	{0, "ttl", "DURATION", "with --name: how long (default 10m); the same question again only extends it",
	 OPT_DURATION, offsetof(struct trace_options, ttl_ns)},
	{0},
};
static const struct option_group trace_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct trace_options, targets), NULL},
	{"what is captured", list_defs, 0, NULL},
	{"what is captured", call_value_defs, offsetof(struct trace_options, calls), NULL},
	{"what is captured", packs_defs, 0, NULL},
	{"how much", observation_for_defs, offsetof(struct trace_options, observation), NULL},
	{"how much", call_limit_defs, offsetof(struct trace_options, calls), NULL},
	{"how much", call_bound_defs, offsetof(struct trace_options, calls), NULL},
	{"how much", observation_planter_defs, offsetof(struct trace_options, observation), NULL},
	{"what comes out", NULL, offsetof(struct trace_options, out), outputs_call_rows},
	{"what comes out", call_follow_defs, offsetof(struct trace_options, calls), NULL},
	{"what comes out", call_interval_defs, offsetof(struct trace_options, calls), NULL},
	{"what comes out", observation_quiet_defs, offsetof(struct trace_options, observation), NULL},
	{"in the background", named_defs, 0, NULL},
	{0},
};

struct tracing {
	struct trace_options o;
	struct target_plan plan;
	char **command;              /* behind --, or NULL */
	const struct question *questions;
	size_t nquestions;
	struct arena arena;
	struct loop *loop;
	struct observation *observation;
	struct inquiry inquiry;
	struct background *background;
};

/* ---- what the command line says ---- */

static int parse_questions(struct tracing *t, char **texts, int n, struct err *err)
{
	if (n < 1)
		return err_set(err, -EINVAL, "say which function: earshot trace -p PID 'main.Login if err != nil'");
	t->nquestions = (size_t)n;
	return questions_parse((const char *const *)texts, t->nquestions, &t->arena, &t->questions, err);
}

static int check_forms(const struct trace_options *o, struct err *err)
{
	if (o->calls.follow && !outputs_ask_for(&o->out, "tree"))
		return err_set(err, -EINVAL, "--follow goes with --graph");
	return o->list ? 0 : outputs_check(&o->out, err);
}

static int check_usdt(const struct tracing *t, struct err *err);

static int check(struct tracing *t, struct err *err)
{
	const struct trace_options *o = &t->o;
	int r = target_plan_make(&o->targets, &t->plan, err);

	if (r == 0)
		r = call_options_check(&o->calls, err);
	if (r == 0)
		r = check_forms(o, err);
	if (r == 0 && t->command && !*t->command)
		r = err_set(err, -EINVAL, "say which program to start behind --");
	if (r == 0 && t->command && !target_plan_empty(&t->plan))
		r = err_set(err, -EINVAL, "either observe what runs (-p, -x, --port) or start a program "
					  "(-- CMD), not both");
	if (r == 0 && !t->command && target_plan_empty(&t->plan))
		r = err_set(err, -EINVAL, "say what to observe: -p PID, -x GLOB, --port N, or a program to "
					  "start: -- CMD");
	if (r == 0 && o->name && (t->command || o->list))
		r = err_set(err, -EINVAL, "--name goes with -p, -x or --port only");
	if (r == 0)
		r = check_usdt(t, err);
	if (r == 0 && o->ttl_ns && !o->name)
		r = err_set(err, -EINVAL, "--ttl goes with --name");
	return r;
}

/* The command line without --ttl and its value: what makes two questions the same. */
static char *definition_of(int argc, char **argv)
{
	struct buf b = {0};

	buf_str(&b, "trace");
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--ttl")) {
			i++;
			continue;
		}
		if (!strncmp(argv[i], "--ttl=", 6))
			continue;
		buf_printf(&b, strpbrk(argv[i], " *(){}\"") ? " '%s'" : " %s", argv[i]);
	}
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n')
			b.data[i] = ' ';
	return buf_take(&b);
}

/* ---- listing ---- */

/* Prints what each question would match in it, with signatures and prices; plants nothing. */
static int list_file(struct tracing *t, const char *path, const char *name, struct err *err)
{
	return trace_list(path, name, &t->inquiry, observation_planter(t->observation),
			  outputs_ask_for(&t->o.out, "json"), err);
}

static int list_process(struct tracing *t, int pid, struct err *err)
{
	struct process proc;
	int r = process_read(observation_procfs(t->observation), pid, &proc, err);

	if (r < 0)
		return r;
	r = list_file(t, proc.exe_path, proc.exe, err);
	process_done(&proc);
	return r;
}

static int list_of_running(struct tracing *t, struct err *err)
{
	pid_vec found = {0};
	int r = 0;

	for (size_t i = 0; i < t->plan.pids.len && r >= 0; i++)
		r = list_process(t, t->plan.pids.data[i], err);
	if (r >= 0 && t->plan.watches) {
		r = target_find(observation_procfs(t->observation), &t->plan.query, &found, err);
		if (r >= 0 && !found.len)
			r = err_set(err, -ESRCH, "nothing that runs matches");
		if (r >= 0 && found.len)
			r = list_process(t, found.data[0], err);
		vec_done(&found);
	}
	return r;
}

/* The file that execvp would run. */
static const char *find_command(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	if (strchr(name, '/'))
		return name;
	while (dirs && *dirs) {
		size_t n = strcspn(dirs, ":");

		snprintf(path, size, "%.*s/%s", (int)n, dirs, name);
		if (access(path, X_OK) == 0)
			return path;
		dirs += n + (dirs[n] == ':');
	}
	return name;
}

static int list(struct tracing *t)
{
	const char *file = NULL;
	struct err err = {0};
	char path[4096];
	int r;

	if (t->command)
		file = find_command(t->command[0], path, sizeof(path));
	r = file ? list_file(t, file, file, &err) : list_of_running(t, &err);
	observation_cancel(TAKE(t->observation));
	return r < 0 ? complain(EXIT_NOTHING, "%s", err.text) : EXIT_DONE;
}

/* ---- USDT probes, of whatever program ---- */

static bool of_usdt(const struct tracing *t)
{
	return t->nquestions && t->questions[0].usdt;
}

/* Files are probed for these, executables for others, so they are not asked together. */
static int check_usdt(const struct tracing *t, struct err *err)
{
	const struct trace_options *o = &t->o;
	bool options = o->list || o->calls.follow || o->calls.budget || o->name || t->command;

	for (size_t i = 1; i < t->nquestions; i++)
		if (t->questions[i].usdt != of_usdt(t))
			return err_set(err, -EINVAL, "questions about USDT probes and about functions are asked by a "
				       "command each");
	if (of_usdt(t) && options)
		return err_set(err, -EINVAL, "-l, --follow, --budget, --name and -- COMMAND are for functions of Go "
			       "programs; `earshot usdt list` shows USDT probes");
	if (of_usdt(t) && outputs_needs(&o->out))
		return err_set(err, -EINVAL, "a USDT probe is a point without a duration or a stack of Go: "
			       "`earshot usdt attach` pairs probes to spans");
	return 0;
}

static int trace_usdt(struct tracing *t)
{
	const struct sink_setup with = {.gives = SINK_CALLS, .show_process = true};
	const struct usdt_consumer_options o = {.targets = &t->plan, .questions = t->questions,
						.nquestions = t->nquestions, .calls = &t->o.calls};
	struct err err = {0};
	int r = observation_new(&t->o.observation, t->loop, &t->observation, &err);
	struct consumer *c = NULL;

	if (r >= 0)
		r = outputs_open(&t->o.out, &with, observation_sinks(t->observation), &err);
	if (r >= 0)
		c = usdt_consumer_new(t->observation, &o);
	if (r >= 0)
		r = observation_start(t->observation, &err);
	if (r < 0) {
		observation_cancel(TAKE(t->observation));
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	}
	return usdt_observe(TAKE(t->observation), c, t->loop);
}

/* ---- the verb ---- */

/* A list needs no privileges: without them it has no prices. */
static int open_observation(struct tracing *t, struct err *err)
{
	struct trace_options *o = &t->o;
	int r;

	o->observation.offline = o->list || (t->command ? command_woven(t->command[0]) : targets_woven(&t->plan));
	if (t->command)
		woven_record_at_once();
	r = observation_new(&o->observation, t->loop, &t->observation, err);
	if (r < 0)
		return r;
	inquiry_make(&o->calls, t->questions, t->nquestions, outputs_needs(&o->out), t->observation, &t->inquiry);
	t->inquiry.yes |= o->list;
	if (o->list)
		t->inquiry.plan.cannot_plant = NULL;
	t->inquiry.list_option = "-l";
	t->inquiry.json_option = "--json";
	return 0;
}

static int start(struct tracing *t, struct err *err)
{
	const struct sink_setup with = {.gives = SINK_CALLS,
					.show_process = t->command || t->plan.watches || t->plan.pids.len > 1};
	int r = outputs_open(&t->o.out, &with, observation_sinks(t->observation), err);

	call_consumer_new(t->observation, &t->o.calls, &t->inquiry);
	return r < 0 ? r : observation_start(t->observation, err);
}

static int trace(struct tracing *t)
{
	struct err err = {0};
	int r;

	if (loop_new(&t->loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	if (of_usdt(t))
		return trace_usdt(t);
	r = open_observation(t, &err);
	if (r >= 0 && t->o.list)
		return list(t);
	if (r >= 0)
		r = start(t, &err);
	if (r < 0) {
		observation_cancel(TAKE(t->observation));
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	}
	return t->command ? observe_command(TAKE(t->observation), t->command, t->loop)
			  : observe_running(TAKE(t->observation), &t->plan, t->loop, t->background);
}

/* In the background: 0 where the tracing goes on, 1 when there is nothing more to do here. */
static int go_background(struct tracing *t, const char *definition, int *ret_code)
{
	struct err err = {0};
	uint64_t ttl = t->o.ttl_ns ? t->o.ttl_ns : UINT64_C(600000000000);
	int r = background_extend(t->o.name, definition, ttl, &err);

	if (r == 0)
		fprintf(stderr, "earshot: %s was there already; it goes on longer\n", t->o.name);
	if (r > 0)
		r = background_start(t->o.name, definition, ttl, &t->o.out.file, &t->background, ret_code, &err);
	else
		*ret_code = r < 0 ? complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "%s", err.text)
				  : EXIT_DONE;
	return t->background ? 0 : 1;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct tracing t = {.o = {.calls = CALL_DEFAULTS}};
	struct err err = {0};
	int before = options_split(argc, argv, &t.command), rest, code = EXIT_DONE;
	char *definition = definition_of(before, argv);
	int r = options_parse(v->groups, 0, &t.o, before, argv, &rest, &err);

	if (r == 0)
		r = parse_questions(&t, argv + rest, before - rest, &err);
	if (r == 0)
		r = check(&t, &err);
	if (r == 1)
		verb_help(v);
	else if (r < 0)
		code = complain(EXIT_USAGE, "%s", err.text);
	else if (!t.o.name || go_background(&t, definition, &code) == 0)
		code = trace(&t);
	background_done(t.background, code);
	loop_free(t.loop);
	arena_done(&t.arena);
	target_plan_done(&t.plan);
	options_done(v->groups, &t.o);
	free(definition);
	return code;
}

const struct verb verb_trace = {
	.name = "trace",
	.synopsis = "(-p PID | -x GLOB | --port N) QUESTION... | QUESTION... -- COMMAND [ARG]...",
	.summary = "ask a running program about its functions: arguments, results, durations, counts",
	.groups = trace_groups,
	.run = run,
};
