/* earshot trace -l: what questions would match, with signatures and prices. */
#ifndef CMD_TRACE_LIST_H
#define CMD_TRACE_LIST_H

#include "cmd/call_wanted.h"

/*
 * path is what we open, name what people call it. planter: where prices come from, or NULL. Prints to standard output.
 * Errors: -ENOENT and others as call_plans_make.
 */
int trace_list(const char *path, const char *name, const struct inquiry *q, struct planter *planter, bool json,
	       struct err *err);

#endif
