/* Which planter a command line means. */
#ifndef CMD_PLANTER_H
#define CMD_PLANTER_H

#include "plant/planters.h"

/* One row for every verb that plants. */
#define PLANTER_OPTION(member)                                                                                         \
	{0, "planter", "NAME", "how probes get in: " PLANTER_NAMES ", auto", OPT_STRING, member}

/*
 * name: of a planter (NULL: the first), or auto: the first that the kernel and the privileges allow; o->note is told
 * why it is another. ret_ops is what it is or would have been, or NULL. -EINVAL for another name; other errors as the
 * planter gives them.
 */
int planter_open(const char *name, const struct planter_options *o, struct planter **ret,
		 const struct planter_ops **ret_ops, struct err *err);

#endif
