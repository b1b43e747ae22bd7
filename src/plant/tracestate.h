/*
 * A tracestate (https://www.w3.org/TR/trace-context-2/#tracestate-header) as what a probe can read: a table, from byte
 * to byte, instead of a parser. span/trace_context.h reads the same.
 *
 * The steps of a byte: class[byte], then step[state][class], from TS_BEGIN on. Behind the last one the state must be
 * TS_IN_VALUE; never more members than TRACESTATE_MEMBERS. So a list that begins with a blank or a tab, or ends with
 * one or with an empty member, is refused, too: it goes out as it is, and a field of HTTP/2 that begins or ends with
 * such a byte makes the whole request malformed (RFC 9113, 8.2.1).
 */
#ifndef PLANT_TRACESTATE_H
#define PLANT_TRACESTATE_H

#include <stdint.h>

enum tracestate_class { TS_OTHER, TS_TAB, TS_BLANK, TS_COMMA, TS_EQUALS, TS_KEY_BEGIN, TS_KEY, TS_VALUE, TS_CLASSES };
enum tracestate_state {
	TS_BEGIN,
	TS_BETWEEN,      /* members: nothing of the next one was there */
	TS_IN_KEY,
	TS_NO_VALUE,     /* yet: blanks alone */
	TS_IN_VALUE,
	TS_BLANKS,       /* of a value, if more of it comes */
	TS_BEHIND,       /* a value, which a tab has ended */
	TS_BAD,          /* for ever */
	TS_STATES
};

/* What a step is made of: the next state, and what is to be counted. */
enum {
	TS_NEXT = 7,
	TS_FIRST = 8,    /* the count of a part's bytes is 0 first; then, */
	TS_COUNT = 16,   /* it grows by one, */
	TS_LIMIT = 32,   /* and must not be more than TRACESTATE_PART */
	TS_MEMBER = 64,  /* there is one more */
};
#define TRACESTATE_PART 256    /* bytes of a key, of a value */
#define TRACESTATE_MEMBERS 32

struct tracestate_rules {
	uint8_t class[256];
	uint8_t step[TS_STATES][TS_CLASSES];
};

void tracestate_rules(struct tracestate_rules *ret);

#endif
