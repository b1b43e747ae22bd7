/* IR_INJECT, as all who plant write it: the bytes, and what is looked at before them. */
#ifndef PLANT_INJECT_H
#define PLANT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/ir.h"
#include "probe/mark.h"

#define CRLF 0x0a0d /* as a word */

/* Of a frame of HTTP/2: type and flags. */
#define FRAME_HEADERS 1
#define END_HEADERS 4
#define PADDED_OR_PRIORITY 0x28

/* A length in HPACK: what is less than this is itself, else the rest follows, 7 bits a byte, the lowest first. */
#define HPACK_SMALL 127
#define HPACK_MORE 128
_Static_assert(MARK_STATE_MAX < HPACK_SMALL + HPACK_MORE * HPACK_MORE, "two bytes follow at most");

/* What stands in front of a tracestate, but for the length that a field has. */
struct inject_state_layout {
	const char *name;
	size_t len;
};

static inline struct inject_state_layout inject_state_layout(int64_t form)
{
	static const char line[] = INJECT_STATE_LINE, field[] = INJECT_STATE_FIELD;
	const bool is_line = form == INJECT_LINE;

	return (struct inject_state_layout){is_line ? line : field, (is_line ? sizeof(line) : sizeof(field)) - 1};
}

/* A traceparent of version 00 behind a name; a line has its end, too. */
struct inject_layout {
	const char *name;  /* … with the version, in front of the ids */
	size_t ids, flags; /* where the trace's digits are, and the flags'. The span's are 33 behind the trace's */
	bool is_line;
};

static inline struct inject_layout inject_layout(int64_t form)
{
	static const char line[] = INJECT_LINE_NAME, field[] = INJECT_FIELD_NAME;
	const bool is_line = form == INJECT_LINE;
	const size_t ids = (is_line ? sizeof(line) : sizeof(field)) - 1;

	return (struct inject_layout){is_line ? line : field, ids, ids + 32 + 1 + 16 + 1, is_line};
}

#endif
