#include "cmd/targets.h"

#include <errno.h>
#include <stdlib.h>

const struct option_def target_option_defs[] = {
	{'p', "pid", "PID", "observe this process (repeatable)", OPT_LIST, offsetof(struct target_options, pids)},
	{'x', "exec", "GLOB", "observe programs whose name (or path, with a /) matches, now and later", OPT_LIST,
	 offsetof(struct target_options, globs)},
	{0, "port", "N", "observe the program that listens on this TCP port (repeatable)", OPT_LIST,
	 offsetof(struct target_options, ports)},
	{0},
};

static int parse_number(const char *what, const char *text, unsigned long max, unsigned long *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !*ret || *ret > max)
		return err_set(err, -EINVAL, "%s expects a number from 1 to %lu, not \"%s\"", what, max, text);
	return 0;
}

int target_plan_make(const struct target_options *o, struct target_plan *ret, struct err *err)
{
	unsigned long n;

	for (size_t i = 0; i < o->pids.len; i++) {
		if (parse_number("-p", o->pids.data[i], 4194304, &n, err) < 0)
			return err->code;
		vec_push(&ret->pids, (int)n);
	}
	for (size_t i = 0; i < o->ports.len; i++) {
		if (parse_number("--port", o->ports.data[i], 65535, &n, err) < 0)
			return err->code;
		vec_push(&ret->ports, (uint16_t)n);
	}
	for (size_t i = 0; i < o->globs.len; i++)
		if (!*o->globs.data[i])
			return err_set(err, -EINVAL, "-x expects the name of a program, or a glob over names, not "
						     "nothing");
	ret->query = (struct target_query){.globs = o->globs.data,
					   .nglobs = o->globs.len,
					   .ports = ret->ports.data,
					   .nports = ret->ports.len};
	ret->watches = o->globs.len || o->ports.len;
	return 0;
}

bool target_plan_empty(const struct target_plan *p)
{
	return !p->pids.len && !p->watches;
}

void target_plan_done(struct target_plan *p)
{
	vec_done(&p->pids);
	vec_done(&p->ports);
}
