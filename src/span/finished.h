/*
 * From an open span that has ended to a span, with all that a pack says of its kind, name, status, attributes and
 * events.
 */
#ifndef SPAN_FINISHED_H
#define SPAN_FINISHED_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/vec.h"
#include "span/interner.h"
#include "span/open_span.h"
#include "span/span.h"

/* How a span ended. Zero strings: it simply ended. */
struct ending {
	uint64_t time_ns;
	const char *error_type, *status_text;
	bool panicked;
};

struct finished {
	struct interner *interner;
	struct wall_clock *wall;
	const char *error_type;          /* "error.type", interned */
	struct span out;                 /* used again for each */
	VEC(struct attr) attrs;          /* its own */
	VEC(struct span_event) events;
	VEC(struct attr) event_attrs;    /* of all of these */
	struct buf event_names;          /* likewise, each with an end */
	struct buf name, status_text;
};

/* Both outlive it. */
void finished_init(struct finished *f, struct interner *interner, struct wall_clock *wall);
void finished_done(struct finished *f);

/*
 * The span that s is, whose attributes are completed by it. Where it is not whole (records between its start and its
 * end may be lost), sums are left out. It is the next call's, and refers to s, end and resource.
 */
const struct span *finished_span(struct finished *f, struct open_span *s, const struct ending *end, bool whole,
				 const struct resource *resource);

#endif
