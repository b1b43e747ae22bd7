/* The record of a point, as one of a probe that has chosen some of its slots. */
#ifndef PLANT_WOVEN_REWRITE_H
#define PLANT_WOVEN_REWRITE_H

#include "base/buf.h"
#include "event/event.h"

struct rewriting {
	uint32_t probe;
	enum event_kind kind;
	const int *slots; /* n, at most EVENT_MAX_SLOTS: which of the point's each is; another: it is absent. NULL: they
			   * are as they come */
	size_t n;
};

/*
 * Appends it to out. The bytes that slots refer to are the same. Nothing where `from` is no EVENT_POINT without
 * chunks, or the record would be too long.
 */
void rewriting_append(const struct rewriting *to, const struct event *from, struct buf *out);

#endif
