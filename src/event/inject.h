/* What came of writing a trace context into a request that the observed program sends (--propagate). */
#ifndef EVENT_INJECT_H
#define EVENT_INJECT_H

#include <stdint.h>

/* The first ones are what a probe says, in the order in which it finds them; the last ones are why it could not say. */
#define INJECT_TABLE(X)                                                                                               \
	X(INJECT_WRITTEN, "written", "written")                                                                        \
	/* by the program around the instruction; or what is filled ends with one as we write it */                    \
	X(INJECT_PRESENT, "present", "had one already")                                                                \
	/* by the program around it */                                                                                 \
	X(INJECT_LIMITED, "limited", "to a peer that takes no more")                                                   \
	/* the ids are zeros */                                                                                        \
	X(INJECT_NO_SPAN, "no_span", "whose span is not known")                                                        \
	/* the length is not what is filled, or that is less than 2, more than the capacity, or does not end as the    \
	 * form wants it: with CR LF; with a whole HEADERS frame of that stream and block, neither padded nor with a   \
	 * priority */                                                                                                 \
	X(INJECT_UNEXPECTED, "unexpected", "not as expected in the buffer")                                            \
	/* the block would not be one frame that any peer takes, or the copy be more than can be lent */               \
	X(INJECT_TOO_LARGE, "too_large", "with large headers")                                                         \
	/* or nothing that could be lent */                                                                            \
	X(INJECT_NO_ROOM, "no_room", "without room in the buffer")                                                     \
	X(INJECT_MAP_BUSY, "map_too_large", "with too many headers to look through")                                   \
	X(INJECT_UNREADABLE, "unreadable", "unreadable")

enum inject_outcome {
#define X(id, name, text) id,
	INJECT_TABLE(X)
#undef X
	INJECT_OUTCOMES
};

/* Of a request that got a traceparent: what came of the tracestate that had come in with its trace. */
#define INJECT_STATE_TABLE(X)                                                                                         \
	X(INJECT_STATE_WRITTEN, "written", "written")                                                                  \
	X(INJECT_STATE_PRESENT, "present", "had one already")                                                          \
	X(INJECT_STATE_NO_ROOM, "no_room", "without room for it")                                                      \
	/* MARK_STATE_MAX is the most that is kept */                                                                  \
	X(INJECT_STATE_TOO_LONG, "too_long", "with one of more than 512 bytes")

enum inject_state {
	INJECT_STATE_NONE, /* none had come in, or none was wanted */
#define X(id, name, text) id,
	INJECT_STATE_TABLE(X)
#undef X
	INJECT_STATES
};
#define INJECT_STATE_SHIFT 8
#define INJECT_OUTCOME_MASK 0xff

const char *inject_name(enum inject_outcome o); /* in JSON */
const char *inject_text(enum inject_outcome o); /* behind the number of requests */
const char *inject_state_name(enum inject_state s); /* not of INJECT_STATE_NONE */
const char *inject_state_text(enum inject_state s);

#endif
