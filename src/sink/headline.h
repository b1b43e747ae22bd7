/* One span as one row of text: what the line and the tree have in common. */
#ifndef SINK_HEADLINE_H
#define SINK_HEADLINE_H

#include "sink/text.h"
#include "span/span.h"

struct headline_layout {         /* zero, but for the first three */
	bool colour, show_service;
	unsigned width;
	unsigned name_columns, service_columns; /* grow with what is shown, up to a bound */
	struct clock_text clock;
};

/*
 * Appends the row of s: `when`, [service], `branch` and name, status, duration, and what else there is to
 * say. when: NULL for the local time at which it ended. branch: lines of a tree, or "".
 */
void headline_row(struct headline_layout *l, struct buf *out, const struct span *s, const char *when,
		  const char *branch);

/* Widens the columns for s, so that rows shown together line up from the first on. */
void headline_fit(struct headline_layout *l, const struct span *s, const char *branch);

#endif
