/* earshot trace: ask a running program, or one that is started for it, any question about its functions. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd/background.h"
#include "cmd/child.h"
#include "cmd/targets.h"
#include "cmd/trace_session.h"
#include "cmd/verb.h"

struct trace_verb_options {
	struct target_options targets;
	struct trace_options trace;
	const char *name;
	uint64_t ttl_ns;
};

static const struct option_def named_defs[] = {
	{0, "name", "NAME", "go on in the background under this name (see `earshot probes`)", OPT_STRING,
	 offsetof(struct trace_verb_options, name)},
	{0, "ttl", "DURATION", "with --name: how long (default 10m); the same question again only extends it",
	 OPT_DURATION, offsetof(struct trace_verb_options, ttl_ns)},
	{0},
};
static const struct option_group trace_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct trace_verb_options, targets), NULL},
	{"what is captured", trace_what_defs, offsetof(struct trace_verb_options, trace), NULL},
	{"how much", trace_bound_defs, offsetof(struct trace_verb_options, trace), NULL},
	{"what comes out", NULL, offsetof(struct trace_verb_options, trace.out), outputs_call_rows},
	{"what comes out", trace_output_defs, offsetof(struct trace_verb_options, trace), NULL},
	{"in the background", named_defs, 0, NULL},
	{0},
};

struct tracing {
	struct trace_verb_options o;
	struct target_plan plan;
	struct target_query descendants;
	char **command;              /* behind --, or NULL */
	struct question *questions;
	size_t nquestions;
	struct arena arena;
	struct loop *loop;
	struct trace_session *session;
	struct child child;
	struct background *background;
};

/* ---- what the command line says ---- */

/* Cuts argv at "--": what follows is the program to start. Returns the arguments before. */
static int split_command(int argc, char **argv, char ***ret_command)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			*ret_command = argv + i + 1;
			argv[i] = NULL;
			return i;
		}
	return argc;
}

static int parse_questions(struct tracing *t, char **texts, int n, struct err *err)
{
	if (n < 1)
		return err_set(err, -EINVAL, "say which function: earshot trace -p PID 'main.Login if err != nil'");
	t->questions = arena_array(&t->arena, struct question, (size_t)n);
	for (int i = 0; i < n; i++) {
		int r = question_parse(texts[i], &t->arena, &t->questions[i], err);

		if (r < 0)
			return r;
	}
	t->nquestions = (size_t)n;
	return 0;
}

static int check(struct tracing *t, struct err *err)
{
	const struct trace_verb_options *o = &t->o;
	int r = target_plan_make(&o->targets, &t->plan, err);

	if (r == 0)
		r = trace_options_check(&o->trace, err);
	if (r == 0 && t->command && !*t->command)
		r = err_set(err, -EINVAL, "say which program to start behind --");
	if (r == 0 && t->command && !target_plan_empty(&t->plan))
		r = err_set(err, -EINVAL, "either observe what runs (-p, -x, --port) or start a program "
					  "(-- CMD), not both");
	if (r == 0 && !t->command && target_plan_empty(&t->plan))
		r = err_set(err, -EINVAL, "say what to observe: -p PID, -x GLOB, --port N, or a program to "
					  "start: -- CMD");
	if (r == 0 && o->name && (t->command || o->trace.list))
		r = err_set(err, -EINVAL, "--name goes with -p, -x or --port only");
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

static int list_of_running(struct tracing *t, struct err *err)
{
	pid_vec found = {0};
	int r = 0;

	for (size_t i = 0; i < t->plan.pids.len && r >= 0; i++)
		r = trace_session_list(t->session, t->plan.pids.data[i], err);
	if (r >= 0 && t->plan.watches) {
		r = target_find("/proc", &t->plan.query, &found, err);
		if (r >= 0 && !found.len)
			r = err_set(err, -ESRCH, "nothing that runs matches");
		if (r >= 0 && found.len)
			r = trace_session_list(t->session, found.data[0], err);
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
	struct err err = {0};
	char path[4096];
	int r;

	if (t->command)
		r = trace_session_list_file(t->session, find_command(t->command[0], path, sizeof(path)), &err);
	else
		r = list_of_running(t, &err);
	trace_session_cancel(TAKE(t->session));
	return r < 0 ? complain(EXIT_NOTHING, "%s", err.text) : EXIT_DONE;
}

/* ---- tracing what runs ---- */

static void on_quit(void *arg, uint32_t sig)
{
	(void)sig;
	loop_quit(arg);
}

static void stop(void *arg)
{
	loop_quit(arg);
}

/* 0, or the exit code when there is nothing to wait for. */
static int attach_all(struct tracing *t)
{
	struct observer *ob = trace_session_observer(t->session);
	struct err err = {0};

	for (size_t i = 0; i < t->plan.pids.len; i++)
		if (observer_attach(ob, t->plan.pids.data[i], &err) < 0 && err.code != -EALREADY)
			complain(0, "%s", err.text);
	if (t->plan.watches && observer_watch(ob, &t->plan.query, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (!ob->entered && !t->plan.watches)
		return EXIT_NOTHING;
	if (!ob->entered)
		ob->ops->note(ob->arg, "nothing that runs matches yet; waiting for it to start (Ctrl-C ends)");
	if (!t->plan.watches) {
		ob->idle = stop;
		ob->idle_arg = t->loop;
	}
	return 0;
}

static int trace_running(struct tracing *t)
{
	struct err err = {0};
	int code;

	loop_add_signal(t->loop, SIGINT, on_quit, t->loop);
	loop_add_signal(t->loop, SIGTERM, on_quit, t->loop);
	loop_add_signal(t->loop, SIGHUP, on_quit, t->loop);
	code = attach_all(t);
	if (!code && t->background && background_ready(t->background, t->loop, &err) < 0)
		code = complain(EXIT_FAILED, "%s", err.text);
	if (!code && trace_session_begin(t->session, &err) < 0)
		code = complain(EXIT_FAILED, "%s", err.text);
	if (code) {
		trace_session_cancel(TAKE(t->session));
		return code;
	}
	loop_run(t->loop);
	code = trace_session_observer(t->session)->entered ? EXIT_DONE : EXIT_NOTHING;
	trace_session_finish(TAKE(t->session));
	return code;
}

/* ---- tracing what we start ---- */

static void maybe_quit(void *arg)
{
	struct tracing *t = arg;

	if (t->child.gone && (!t->session || !trace_session_observer(t->session)->processes.len))
		loop_quit(t->loop);
}

static int trace_child(struct tracing *t)
{
	struct observer *ob = trace_session_observer(t->session);
	struct err err = {0};

	t->child = (struct child){.loop = t->loop, .exited = maybe_quit, .arg = t};
	child_watch(&t->child);
	if (child_start(&t->child, t->command, &err) < 0) {
		trace_session_cancel(TAKE(t->session));
		return complain(child_start_exit_code(&err), "%s", err.text);
	}
	if (ob->planter->ops->caps.needs_ptrace)
		child_hand_over(&t->child);
	observer_attach_child(ob, t->child.pid);
	t->descendants.descendants_of = t->child.pid;
	if (observer_watch(ob, &t->descendants, &err) < 0)
		ob->ops->note(ob->arg, "%s", err.text);
	ob->idle = maybe_quit;
	ob->idle_arg = t;
	if (trace_session_begin(t->session, &err) < 0)
		ob->ops->note(ob->arg, "%s", err.text);
	child_go(&t->child);
	loop_run(t->loop);
	trace_session_finish(TAKE(t->session));
	if (!t->child.gone) /* --for or --limit ended the observation; the program goes on */
		loop_run(t->loop);
	return child_exit_code(&t->child);
}

/* ---- the verb ---- */

static int trace(struct tracing *t)
{
	struct err err = {0};

	t->o.trace.show_process = t->command || t->plan.watches || t->plan.pids.len > 1;
	if (loop_new(&t->loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	if (trace_session_new(&t->o.trace, t->questions, t->nquestions, t->loop, &t->session, &err) < 0)
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	if (t->o.trace.list)
		return list(t);
	return t->command ? trace_child(t) : trace_running(t);
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
		r = background_start(t->o.name, definition, ttl, &t->o.trace.out.file, &t->background, ret_code, &err);
	else
		*ret_code = r < 0 ? complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "%s", err.text)
				  : EXIT_DONE;
	return t->background ? 0 : 1;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct tracing t = {.o = {.trace = TRACE_DEFAULTS}};
	struct err err = {0};
	int before = split_command(argc, argv, &t.command), rest, code = EXIT_DONE;
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
