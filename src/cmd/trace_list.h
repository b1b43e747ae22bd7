/* earshot trace -l: what questions would match, with signatures and prices. */
#ifndef CMD_TRACE_LIST_H
#define CMD_TRACE_LIST_H

#include "cmd/trace_subject.h"

/*
 * path is what we open, name what people call it. ob: where prices come from, or NULL. Prints to standard output.
 * Errors: -ENOENT and others as call_plans_make.
 */
int trace_list(const char *path, const char *name, struct trace_inquiry *q, const struct observer *ob, bool json,
	       struct err *err);

#endif
