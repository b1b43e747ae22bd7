/*
 * The last spans, for as long as is asked for or as far as memory goes: a ring of segments. Old ones go as a whole.
 * Beside it, if asked for, the same in a file, which is there when we are not any more (recording_file.h).
 */
#ifndef RECORD_RECORDING_H
#define RECORD_RECORDING_H

#include "base/err.h"
#include "record/segment.h"

struct recording;

struct recording_options {
	uint64_t last_ns;     /* what ended before that may go; 0: memory alone bounds it */
	uint64_t max_bytes;   /* of memory, at least RECORDING_LEAST */
	const char *file;     /* NULL: none */
};
#define RECORDING_LEAST (4 * SEGMENT_BYTES)

/*
 * Errors are the file's, with a sentence: -EWOULDBLOCK another recorder writes it, -EEXIST it is something else,
 * -errno. A recording that is there already gets the ending ".old", and *ret_kept is true.
 */
int recording_new(const struct recording_options *o, struct recording **ret, bool *ret_kept, struct err *err);
void recording_free(struct recording *r); /* NULL ok */

void recording_span(struct recording *r, const struct span *s);
/* What was lost of all until now. */
void recording_losses(struct recording *r, const struct recorded_losses *l);
/* About every 100 ms: lets go what is too old, and brings the file up to date. */
void recording_tick(struct recording *r, uint64_t now_monotonic_ns);
/* In a copy of the process: what comes from now on is kept there, and in no file. */
void recording_is_copy(struct recording *r);
/* Spans that are larger than a segment, and were not recorded. */
uint64_t recording_too_large(const struct recording *r);
/* Bytes that are kept now, and that may be. */
uint64_t recording_bytes(const struct recording *r, uint64_t *ret_most);
/* A sentence about the file while it cannot be written, or NULL. Valid until the next call. */
const char *recording_trouble(struct recording *r);

/* ---- what is in it ---- */

struct recording_about {
	uint64_t spans;
	uint64_t begun_unix_ns;  /* all that ended since then is there, but for what was lost */
	bool from_start;         /* that is when the recorder began: nothing has gone yet */
	uint64_t last_unix_ns;   /* when the last of them ended; 0 without any */
	struct recorded_losses lost; /* since the first segment that is there was begun; not more is known */
	unsigned damaged;        /* segments of which a part could not be read */
	unsigned left_out;       /* of a file: segments from before one that is missing */
	uint64_t cut;            /* of a file: bytes that are missing at its end */
};

/* Hands over all spans that ended at from_unix_ns or later, as they ended. to->span, to->arg and to->memory count. */
void recording_read(const struct recording *r, uint64_t from_unix_ns, const struct segment_reading *to,
		    struct recording_about *ret);

#endif
