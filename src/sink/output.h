/*
 * Where sinks write text. Never blocks: what a slow reader does not take is kept up to a bound and
 * counted beyond it; a full disk is tried again; a reader that has gone ends it quietly.
 */
#ifndef SINK_OUTPUT_H
#define SINK_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "event/loss.h"

struct output {
	int fd;
	bool regular;            /* a file on a disk: writing does not block for long */
	bool gone;               /* nobody reads any more */
	struct buf pending;
	size_t written, mark;    /* of pending; where the record being made begins */
	size_t flush_at, limit;
	uint64_t queue_lost, refused;
	int error;               /* errno of the last write that failed; 0 after one that did not */
	const char *name, *records; /* for trouble: of the output, of what is written; NULL: "the output", "spans" */
	char trouble[300];
};

void output_init(struct output *o, int fd);     /* which stays the caller's */
void output_done(struct output *o);             /* does not flush */

/* A record (one line) is made by appending to what begin returns, and counted as a span if it is lost. */
struct buf *output_begin(struct output *o);
void output_end(struct output *o);
void output_flush(struct output *o, unsigned timeout_ms); /* 0: what goes at once */

bool output_full(const struct output *o);       /* so much waits that the next records may be lost */

const char *output_trouble(struct output *o);   /* a sentence, or NULL */
void output_losses(struct output *o, struct losses *ret);

#endif
