/*
 * An execution trace as its file has it: generations, of about a second each, which stand alone. One is read at a time:
 * its texts and stacks come behind its events, so nothing of it can be told before it is there as a whole.
 */
#ifndef GOTRACE_GENERATION_H
#define GOTRACE_GENERATION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/text_view.h"
#include "base/vec.h"

#define GOTRACE_NO_M UINT64_MAX

/* Events of one thread. Where they lie in the generation's data. */
struct event_batch {
	uint64_t m, ticks;
	size_t at, len;
};

struct generation {
	uint64_t number;
	const uint8_t *data; /* what follows lies in it; the reader's */
	size_t len;
	VEC(struct event_batch) batches;  /* by thread; each one's in the file's order */
	struct map strings, stacks;       /* number → where in data, as a pointer */
	uint64_t tick_ns;             /* of a tick, up to 1,000; 0: it is no such number */
	uint64_t frequency;               /* ticks in a second */
	uint64_t first_ticks, last_ticks; /* of its batches' beginnings */
	bool has_wall;                    /* what clocks said at the same time (from Go 1.25 on): */
	uint64_t wall_ns, monotonic_ns;
};

/* What is behind the last whole generation. */
struct gotrace_rest {
	uint64_t bytes; /* 0: the file ends with a whole generation */
	uint64_t ns;    /* of time, as far as can be told */
	char why[200];  /* the rest is none: what was expected, and found */
};

struct gotrace_file;
/*
 * fd stays the caller's, need not be seekable, and is read from here on. -EINVAL with a sentence where it is no trace
 * of a version whose format is known.
 */
int gotrace_file_open(int fd, struct gotrace_file **ret, struct err *err);
void gotrace_file_free(struct gotrace_file *f);
unsigned gotrace_file_version(const struct gotrace_file *f); /* 26: it says "go 1.26 trace" */

/*
 * 1: *ret is the next whole generation, valid until the next call. 0: there is none; see gotrace_file_rest. -errno
 * with a sentence: it cannot be read.
 */
int gotrace_file_next(struct gotrace_file *f, const struct generation **ret, struct err *err);
/* Instead of taking what gotrace_file_next gave: it is no whole one, and nothing behind it is read. As that one's 0. */
int gotrace_file_refuse(struct gotrace_file *f, const char *why, struct err *err);
/* After 0. */
const struct gotrace_rest *gotrace_file_rest(const struct gotrace_file *f);

/* ---- what is in a generation ---- */

/* A varint at *at, which is moved behind it. False: it does not end before len, or has more than 64 bits. */
bool gotrace_long_varint(const uint8_t *data, size_t len, size_t *at, uint64_t *ret);
static inline bool gotrace_varint(const uint8_t *data, size_t len, size_t *at, uint64_t *ret)
{
	if (*at >= len || data[*at] & 0x80)
		return gotrace_long_varint(data, len, at, ret);
	*ret = data[(*at)++];
	return true;
}
uint64_t generation_ns(const struct generation *g, uint64_t ticks); /* of CLOCK_MONOTONIC */
/* Number 0, and one that the generation has not: no text (s NULL). Not terminated, not necessarily UTF-8. */
struct text_view generation_string(const struct generation *g, uint64_t number);
bool generation_has_string(const struct generation *g, uint64_t number); /* 0 counts as one */
bool generation_has_stack(const struct generation *g, uint64_t number);

struct gotrace_frame {
	uint64_t pc, line;
	struct text_view function, file;
};
/* The frames of a stack, innermost first, at most max of them. How many. */
size_t generation_stack(const struct generation *g, uint64_t number, struct gotrace_frame *ret, size_t max);

#endif
