/* earshot attach: observe running programs, and those that start later and match. */
#include <errno.h>
#include <signal.h>

#include "cmd/session.h"
#include "cmd/targets.h"
#include "cmd/verb.h"

struct attach_options {
	struct target_options targets;
	struct session_options session;
};

static const struct option_group attach_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct attach_options, targets), NULL},
	{"what comes out", NULL, offsetof(struct attach_options, session.out), outputs_span_rows},
	{"what comes out", session_option_defs, offsetof(struct attach_options, session), NULL},
	{0},
};

static void on_quit(void *arg, uint32_t sig)
{
	(void)sig;
	loop_quit(arg);
}

/* 0, or the exit code when there is nothing to wait for. */
static int start(struct session *s, const struct target_plan *plan)
{
	struct err err = {0};

	for (size_t i = 0; i < plan->pids.len; i++)
		if (session_attach(s, plan->pids.data[i], &err) < 0 && err.code != -EALREADY)
			complain(0, "%s", err.text);
	if (plan->watches && session_watch(s, &plan->query, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (!session_ever_attached(s) && !plan->watches)
		return EXIT_NOTHING;
	if (!session_ever_attached(s))
		session_note(s, "nothing that runs matches yet; waiting for it to start (Ctrl-C ends)");
	return 0;
}

static int attach(const struct attach_options *o, const struct target_plan *plan, struct loop *loop)
{
	struct err err = {0};
	struct session *s;
	int code;

	loop_add_signal(loop, SIGINT, on_quit, loop);
	loop_add_signal(loop, SIGTERM, on_quit, loop);
	loop_add_signal(loop, SIGHUP, on_quit, loop);
	if (session_new(&o->session, loop, &s, &err) < 0)
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	code = start(s, plan);
	if (code) {
		session_cancel(s);
		return code;
	}
	if (!plan->watches)
		session_on_idle(s, (void (*)(void *))loop_quit, loop);
	loop_run(loop);
	code = session_ever_attached(s) ? EXIT_DONE : EXIT_NOTHING;
	session_finish(s);
	return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct attach_options o = {.session = SESSION_DEFAULTS};
	struct target_plan plan = {0};
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
		r = target_plan_make(&o.targets, &plan, &err);
	if (r >= 0 && target_plan_empty(&plan))
		r = err_set(&err, -EINVAL, "say what to observe: -p PID, -x GLOB or --port N");
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	o.session.show_process = plan.watches || plan.pids.len > 1;
	code = attach(&o, &plan, loop);
	loop_free(loop);
	target_plan_done(&plan);
	options_done(v->groups, &o);
	return code;
}

const struct verb verb_attach = {
	.name = "attach",
	.synopsis = "[-p PID]... [-x GLOB]... [--port N]... [options]",
	.summary = "observe running programs, and those that start later and match",
	.groups = attach_groups,
	.run = run,
};
