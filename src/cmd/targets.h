/* Which processes a command line means: -p, -x, --port. */
#ifndef CMD_TARGETS_H
#define CMD_TARGETS_H

#include "base/options.h"
#include "target/find.h"

struct target_options {
	string_list pids, globs, ports;
};
extern const struct option_def target_option_defs[];

struct target_plan {
	VEC(int) pids;
	VEC(uint16_t) ports;
	struct target_query query; /* of globs and ports; points into this and the options */
	bool watches;              /* the query asks for processes that may start later */
};

/* -EINVAL with a sentence for what is no number. An empty plan is none: the verb says what it misses. */
int target_plan_make(const struct target_options *o, struct target_plan *ret, struct err *err);
bool target_plan_empty(const struct target_plan *p);
void target_plan_done(struct target_plan *p);

#endif
