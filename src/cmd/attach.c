/* earshot attach: observe running programs, and those that start later and match. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cmd/session.h"
#include "cmd/verb.h"

struct attach_options {
	string_list pids, globs, ports;
	struct session_options session;
};

static const struct option_def attach_defs[] = {
	{'p', "pid", "PID", "observe this process (repeatable)", OPT_LIST, offsetof(struct attach_options, pids)},
	{'x', "exec", "GLOB", "observe programs whose name (or path, with a /) matches, now and later", OPT_LIST,
	 offsetof(struct attach_options, globs)},
	{0, "port", "N", "observe whoever listens on this TCP port (repeatable)", OPT_LIST,
	 offsetof(struct attach_options, ports)},
	{0},
};
static const struct option_group attach_groups[] = {
	{"what to observe", attach_defs, 0},
	{"what comes out", session_option_defs, offsetof(struct attach_options, session)},
	{0},
};

static void on_quit(void *arg, uint32_t sig)
{
	(void)sig;
	loop_quit(arg);
}

static int parse_number(const char *what, const char *text, unsigned long max, unsigned long *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !*ret || *ret > max)
		return err_set(err, -EINVAL, "%s expects a number from 1 to %lu, not \"%s\"", what, max, text);
	return 0;
}

struct attach_plan {
	VEC(int) pids;
	VEC(uint16_t) ports;
	struct target_query query;
};

static int make_plan(const struct attach_options *o, struct attach_plan *plan, struct err *err)
{
	unsigned long n;

	if (!o->pids.len && !o->globs.len && !o->ports.len)
		return err_set(err, -EINVAL, "say what to observe: -p PID, -x GLOB or --port N");
	for (size_t i = 0; i < o->pids.len; i++) {
		if (parse_number("-p", o->pids.data[i], 4194304, &n, err) < 0)
			return err->code;
		vec_push(&plan->pids, (int)n);
	}
	for (size_t i = 0; i < o->ports.len; i++) {
		if (parse_number("--port", o->ports.data[i], 65535, &n, err) < 0)
			return err->code;
		vec_push(&plan->ports, (uint16_t)n);
	}
	plan->query = (struct target_query){.globs = o->globs.data,
					    .nglobs = o->globs.len,
					    .ports = plan->ports.data,
					    .nports = plan->ports.len};
	return 0;
}

/* 0, or the exit code when there is nothing to wait for. */
static int start(struct session *s, const struct attach_options *o, const struct attach_plan *plan)
{
	struct err err = {0};
	bool watches = o->globs.len || o->ports.len;

	for (size_t i = 0; i < plan->pids.len; i++)
		if (session_attach(s, plan->pids.data[i], &err) < 0 && err.code != -EALREADY)
			complain(0, "%s", err.text);
	if (watches && session_watch(s, &plan->query, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (!session_ever_attached(s) && !watches)
		return EXIT_NOTHING;
	if (!session_ever_attached(s))
		session_note(s, "nothing that runs matches yet; waiting for it to start (Ctrl-C ends)");
	return 0;
}

static int attach(const struct attach_options *o, const struct attach_plan *plan, struct loop *loop)
{
	bool watches = o->globs.len || o->ports.len;
	struct err err = {0};
	struct session *s;
	int code;

	loop_add_signal(loop, SIGINT, on_quit, loop);
	loop_add_signal(loop, SIGTERM, on_quit, loop);
	loop_add_signal(loop, SIGHUP, on_quit, loop);
	if (session_new(&o->session, loop, &s, &err) < 0)
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	code = start(s, o, plan);
	if (code) {
		session_cancel(s);
		return code;
	}
	if (!watches)
		session_on_idle(s, (void (*)(void *))loop_quit, loop);
	loop_run(loop);
	code = session_ever_attached(s) ? EXIT_DONE : EXIT_NOTHING;
	session_finish(s);
	return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct attach_options o = {.session = SESSION_DEFAULTS};
	struct attach_plan plan = {0};
	struct err err = {0};
	struct loop *loop;
	int rest, code, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && rest < argc)
		r = err_set(&err, -EINVAL, "attach takes no operand (\"%s\"); `earshot run -- CMD` starts a program",
			    argv[rest]);
	if (r >= 0)
		r = make_plan(&o, &plan, &err);
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	o.session.show_service = o.globs.len || o.ports.len || plan.pids.len > 1;
	code = attach(&o, &plan, loop);
	loop_free(loop);
	vec_done(&plan.pids);
	vec_done(&plan.ports);
	vec_done(&o.pids);
	vec_done(&o.globs);
	vec_done(&o.ports);
	session_options_done(&o.session);
	return code;
}

const struct verb verb_attach = {
	.name = "attach",
	.synopsis = "[-p PID]... [-x GLOB]... [--port N]... [options]",
	.summary = "observe running programs, and those that start later and match",
	.groups = attach_groups,
	.run = run,
};
