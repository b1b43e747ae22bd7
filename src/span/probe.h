/* A probe as the assembler knows it: in which slots of its records the captures that it asks for lie. */
#ifndef SPAN_PROBE_H
#define SPAN_PROBE_H

#include "span/assemble.h"
#include "span/attributes.h"
#include "span/lists.h"

/* The slots of all captures of one attribute, in their order. */
struct attribute_slots {
	int *of;
	size_t n;
};

struct probe {
	struct assembler_probe p;
	struct capture_rules rules;
	const struct list_reader *lists; /* of the program's own attributes; or NULL */
	bool is_event;               /* what it notes is a moment within its span (pack_span.event_name) */
	bool ends_start;             /* at the return of a function that starts spans of its definition */
	/* -1: none */
	int type_slot, pc_slot, context_slot, parent_slot;
	int own_chain_slot, creator_slot, start_pc_slot, goidgen_slot, goid_cache_slot, goid_cache_end_slot;
	bool other_headers;                  /* one of these three is there: */
	int b3_slot, b3multi_slots[4], datadog_slots[4]; /* in the order of struct b3_headers, datadog_headers */
	const int *chain_slots;              /* of several at most one is not ABSENT in a record */
	size_t nchains;
	bool has_marks;                      /* it decides which traces are kept (probe/mark.h) */
	const char *field_of_slot[EVENT_MAX_SLOTS]; /* the header field of the lines in it; NULL: it is what it is */
	bool connects;                       /* it captures something of the span's connection */
	struct attribute_slots keys, traceparents, tracestates;
};

/* Its memory but for itself is the interner's. Freed by free. */
struct probe *probe_new(struct interner *in, const struct assembler_probe *p);

#endif
