/* earshot attach: observe running programs, and those that start later and match. */
#include <errno.h>
#include <stdio.h>

#include "cmd/observe.h"
#include "cmd/observe_options.h"
#include "cmd/verb.h"
#include "cmd/woven_match.h"

struct attach_options {
	struct target_options targets;
	struct observe_options observe;
};

static const struct option_group attach_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct attach_options, targets), NULL},
	OBSERVE_OPTION_GROUPS(struct attach_options, observe),
	{0},
};

static int attach(struct attach_options *o, const struct target_plan *plan, struct loop *loop)
{
	struct observation *ob;
	struct err err = {0};

	o->observe.show_process = o->observe.several = plan->watches || plan->pids.len > 1;
	o->observe.observation.offline = targets_woven(plan);
	if (observe_open(&o->observe, loop, &ob, &err) < 0)
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	return observe_running(ob, plan, loop, NULL);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct attach_options o = {.observe = OBSERVE_DEFAULTS};
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
	code = attach(&o, &plan, loop);
	loop_free(loop);
	target_plan_done(&plan);
	observe_options_done(&o.observe);
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
