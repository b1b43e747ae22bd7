#include "gotrace/events.h"

const struct event_shape gotrace_shapes[256] = {
#define X(id, number, name, args, strings, stacks) [number] = {name, args, strings, stacks},
	GOTRACE_EVENTS(X)
#undef X
};
