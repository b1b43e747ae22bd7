/* What an observation came to, in words. */
#ifndef CMD_SUMMARY_H
#define CMD_SUMMARY_H

#include <stdbool.h>

#include "base/buf.h"
#include "event/run_summary.h"

const char *plural(uint64_t n, const char *one, const char *many);

struct summary_text {            /* what struct run_summary does not say */
	bool spans, calls;       /* were observed */
	uint64_t groups;         /* of aggregates */
	double seconds;
	struct buf more;         /* the last words */
};
/* Appends "none lost (3 unpaired_end), 2 still open". */
void losses_print(const struct run_summary *sum, const struct summary_text *text, struct buf *out);
/*
 * "12 spans, 34 calls, 2 groups from 1 process in 2.0 s (56 events); none lost; 7 probes planted". Only spans have
 * events, since a call may be two, and a number of them that were lost; of calls the losses alone are said.
 */
void summary_print(const struct run_summary *sum, const struct summary_text *text, struct buf *out);
static inline void summary_text_done(struct summary_text *t)
{
	buf_done(&t->more);
}

#endif
