/* Conditions on the text of an error, tested on a call's records. */
#ifndef CALL_LATE_H
#define CALL_LATE_H

#include "call/call.h"
#include "call/value_slot.h"

enum late_verdict {
	LATE_FALSE,
	LATE_TRUE,
	LATE_FAILED,     /* a part cannot be followed (no error, no record of the return): all of it is false */
	LATE_UNREADABLE, /* failed, and to be counted: memory could not be read, the text of an error is not known */
};

struct late_call {
	const struct call_plan *plan;
	const struct event *entry, *ret; /* ret NULL: there is none */
	enum call_end end;
	const struct value_context *context;
};
enum late_verdict late_test(const struct late_call *c, const struct late *l);

#endif
