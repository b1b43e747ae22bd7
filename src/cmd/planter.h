/* Which planter a command line means. */
#ifndef CMD_PLANTER_H
#define CMD_PLANTER_H

#include "cmd/observe.h"

/* One row for every verb that plants. */
#define PLANTER_OPTION(member)                                                                                         \
	{0, "planter", "NAME", "how probes get in: uprobe (default), patch (from inside the program), auto",           \
	 OPT_STRING, member}

/*
 * name: uprobe (also NULL), patch, or auto: uprobes where the kernel and the privileges allow them, since nothing of
 * the program is changed then. Opens it into the observer, whose ops must be set: auto says why it takes the other.
 * -EINVAL for another name; other errors as the planter gives them.
 */
int planter_open(struct observer *ob, const char *name, const struct planter_options *o, struct err *err);

#endif
