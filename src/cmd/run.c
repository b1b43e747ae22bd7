/* earshot run: start a program and observe it from its first instruction. */
#include <errno.h>

#include "cmd/child.h"
#include "cmd/session.h"
#include "cmd/verb.h"

struct run_options {
	struct session_options session;
};

static const struct option_group run_groups[] = {
	{"what comes out", NULL, offsetof(struct run_options, session.out), outputs_span_rows},
	{"what comes out", session_option_defs, offsetof(struct run_options, session), NULL},
	{0},
};

struct runner {
	struct session *session;
	struct loop *loop;
	struct target_query query;
	struct child child;
};

static void maybe_quit(void *arg)
{
	struct runner *r = arg;

	if (r->child.gone && (!r->session || !session_processes(r->session)))
		loop_quit(r->loop);
}

static int observe_child(struct runner *r, char **argv)
{
	struct err err = {0};

	if (child_start(&r->child, argv, &err) < 0) {
		session_cancel(r->session);
		return complain(child_start_exit_code(&err), "%s", err.text);
	}
	if (session_needs_ptrace(r->session))
		child_hand_over(&r->child);
	session_attach_child(r->session, r->child.pid);
	r->query.descendants_of = r->child.pid;
	if (session_watch(r->session, &r->query, &err) < 0)
		session_note(r->session, "%s", err.text);
	session_on_idle(r->session, maybe_quit, r);
	child_go(&r->child);
	loop_run(r->loop);
	session_finish(TAKE(r->session));
	if (!r->child.gone) /* --for ended the observation; the program goes on */
		loop_run(r->loop);
	return child_exit_code(&r->child);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct run_options o = {.session = SESSION_DEFAULTS};
	struct runner r = {0};
	struct err err = {0};
	int rest, code, parsed = options_parse(v->groups, OPTIONS_STOP_AT_OPERAND, &o, argc, argv, &rest, &err);

	if (parsed == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (parsed >= 0 && rest >= argc)
		parsed = err_set(&err, -EINVAL, "say which program to run: earshot run -- ./server");
	if (parsed < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&r.loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	r.child = (struct child){.loop = r.loop, .exited = maybe_quit, .arg = &r};
	child_watch(&r.child);
	o.session.show_process = true;
	if (session_new(&o.session, r.loop, &r.session, &err) < 0)
		code = complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	else
		code = observe_child(&r, argv + rest);
	loop_free(r.loop);
	options_done(v->groups, &o);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.synopsis = "[options] -- COMMAND [ARG]...",
	.summary = "start a program and observe it from its first instruction",
	.groups = run_groups,
	.run = run,
};
