#include "cmd/observe.h"

#include <errno.h>
#include <signal.h>

#include "cmd/child.h"
#include "cmd/verb.h"

/* ---- what runs ---- */

static void on_signal(void *arg, uint32_t sig)
{
	(void)sig;
	loop_quit(arg);
}

static void on_idle(void *arg)
{
	loop_quit(arg);
}

/* 0, or the exit code when there is nothing to wait for. */
static int attach_all(struct observation *ob, const struct target_plan *plan)
{
	struct err err = {0};

	for (size_t i = 0; i < plan->pids.len; i++)
		if (observation_attach(ob, plan->pids.data[i], &err) < 0 && err.code != -EALREADY)
			complain(0, "%s", err.text);
	if (plan->watches && observation_watch(ob, &plan->query, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	if (!observation_ever_attached(ob) && !plan->watches)
		return EXIT_NOTHING;
	if (!observation_ever_attached(ob))
		observation_note(ob, "nothing that runs matches yet; waiting for it to start (Ctrl-C ends)");
	return 0;
}

static int begin(struct observation *ob, struct loop *loop, struct background *background)
{
	struct err err = {0};

	if ((background && background_ready(background, loop, &err) < 0) || observation_begin(ob, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	return 0;
}

int observe_running(struct observation *ob, const struct target_plan *plan, struct loop *loop,
		    struct background *background)
{
	int code;

	loop_add_signal(loop, SIGINT, on_signal, loop);
	loop_add_signal(loop, SIGTERM, on_signal, loop);
	loop_add_signal(loop, SIGHUP, on_signal, loop);
	code = attach_all(ob, plan);
	if (!code)
		code = begin(ob, loop, background);
	if (code) {
		observation_cancel(ob);
		return code;
	}
	if (!plan->watches)
		observation_on_idle(ob, on_idle, loop);
	loop_run(loop);
	code = observation_ever_attached(ob) ? EXIT_DONE : EXIT_NOTHING;
	observation_finish(ob);
	return code;
}

/* ---- what we start ---- */

struct command {
	struct observation *observation; /* NULL: it is over */
	struct loop *loop;
	struct target_query descendants;
	struct child child;
};

static void maybe_quit(void *arg)
{
	struct command *c = arg;

	if (c->child.gone && (!c->observation || !observation_processes(c->observation)))
		loop_quit(c->loop);
}

static void observe_child(struct command *c)
{
	struct observation *ob = c->observation;
	struct err err = {0};

	if (observation_planter_ops(ob)->caps.needs_ptrace)
		child_hand_over(&c->child);
	observation_attach_child(ob, c->child.pid);
	c->descendants.descendants_of = c->child.pid;
	if (observation_watch(ob, &c->descendants, &err) < 0 || observation_begin(ob, &err) < 0)
		observation_note(ob, "%s", err.text);
	observation_on_idle(ob, maybe_quit, c);
	child_go(&c->child);
	loop_run(c->loop);
	observation_finish(TAKE(c->observation));
}

int observe_command(struct observation *ob, char **argv, struct loop *loop)
{
	struct command c = {.observation = ob, .loop = loop, .child = {.loop = loop, .exited = maybe_quit, .arg = &c}};
	struct err err = {0};

	child_watch(&c.child);
	if (child_start(&c.child, argv, &err) < 0) {
		observation_cancel(ob);
		return complain(child_start_exit_code(&err), "%s", err.text);
	}
	observe_child(&c);
	if (!c.child.gone) /* the observation is over; the program goes on */
		loop_run(loop);
	return child_exit_code(&c.child);
}
