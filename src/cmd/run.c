/* earshot run: start a program and observe it from its first instruction. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/observe.h"
#include "cmd/observe_options.h"
#include "cmd/verb.h"
#include "cmd/woven_match.h"

struct run_options {
	struct observe_options observe;
};

static const struct option_group run_groups[] = {
	OBSERVE_OPTION_GROUPS(struct run_options, observe),
	{0},
};

static int observe(struct run_options *o, char **argv, struct loop *loop)
{
	struct observation *ob;
	struct err err = {0};

	o->observe.show_process = true;
	woven_record_at_once();
	o->observe.observation.offline = command_woven(argv[0]);
	if (observe_open(&o->observe, loop, &ob, &err) < 0)
		return complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	return observe_command(ob, argv, loop);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct run_options o = {.observe = OBSERVE_DEFAULTS};
	struct loop *loop;
	struct err err = {0};
	int rest, code, r = options_parse(v->groups, OPTIONS_STOP_AT_OPERAND, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0 && rest >= argc)
		r = err_set(&err, -EINVAL, "say which program to run: earshot run -- ./server");
	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	code = observe(&o, argv + rest, loop);
	loop_free(loop);
	observe_options_done(&o.observe);
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
