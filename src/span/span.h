/*
 * The waist: planters end here, sinks begin here. A span as every sink gets it.
 */
#ifndef SPAN_SPAN_H
#define SPAN_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/pack/pack_summary.h"
#include "probe/pack/span_kind.h"
#include "target/resource.h"

enum attr_kind { ATTR_STRING, ATTR_INT, ATTR_DOUBLE, ATTR_BOOL };
struct attr {
	const char *key;
	enum attr_kind kind;
	uint32_t key_len;            /* or 0: nobody has counted it */
	union {
		struct {
			const char *s;
			size_t len;
		};
		int64_t i;
		double d;
		bool b;
	};
};

/* OTLP's numbers. Its 1, ok, is for the program's own developers to say; nothing here does. */
enum span_status { SPAN_STATUS_UNSET = 0, SPAN_STATUS_ERROR = 2 };

/* Where a span's parent is. Known or unknown, never a guess. */
enum span_parent {
	SPAN_PARENT_NONE,    /* the request says that it has none */
	SPAN_PARENT_LOCAL,   /* a span of this process */
	SPAN_PARENT_REMOTE,  /* it came with the request, in another process's words */
	SPAN_PARENT_UNKNOWN, /* nothing was looked at that would tell, or it could not be read */
};

/* How that is known (span/parents.h): earshot.parent.source. */
enum parent_source {
	PARENT_UNKNOWN, PARENT_NONE, PARENT_CONTEXT, PARENT_GOROUTINE, PARENT_LINEAGE, PARENT_CONNECTION, PARENT_HEADER,
	PARENT_SDK, PARENT_THREAD,
};

/* What the program says of a moment within a span. */
struct span_event {
	const char *name;
	uint64_t unix_ns;
	const struct attr *attrs;
	size_t nattrs;
};

struct span {
	uint8_t trace_id[16], span_id[8];
	enum span_parent parent;
	enum parent_source parent_source;
	uint8_t parent_id[8];            /* of a parent that is local or remote */
	const char *trace_state;         /* the W3C tracestate that came with the trace, or NULL */
	const char *name;
	const char *pack;                /* instrumentation scope: the pack's name */
	const struct summary *summary;   /* what a row of text shows of it, or NULL */
	enum span_kind kind;
	enum span_status status;
	const char *status_text;         /* or NULL */
	bool panicked;                   /* a panic ended it */
	uint64_t start_unix_ns, duration_ns;
	uint64_t goid;
	const struct attr *attrs;
	size_t nattrs;
	const struct span_event *events;
	size_t nevents;
	const struct resource *resource;
};

/*
 * A copy in one block, to be freed; *ret_bytes is its size. What is the pack's (its name, the summary) and the resource
 * are not copied.
 */
struct span *span_copy(const struct span *s, size_t *ret_bytes);
bool span_has_parent(const struct span *s);       /* one whose id is known */
const char *span_kind_text(enum span_kind k);     /* "server" … */
const char *span_status_text(enum span_status s); /* "unset", "error" */
#define PARENT_SOURCE_KEY "earshot.parent.source"
const char *parent_source_text(enum parent_source p); /* "context", "unknown" … */
const struct attr *span_attr(const struct span *s, const char *key); /* NULL if absent */

#endif
