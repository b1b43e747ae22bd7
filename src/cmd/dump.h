/*
 * A recording that is written out: to a file, which is there whole or not at all, and to what sends. For whoever has
 * the time: it waits for both.
 */
#ifndef CMD_DUMP_H
#define CMD_DUMP_H

#include "cmd/outputs.h"
#include "record/recording.h"

/* Where dumps go. */
struct dump_place {
	const struct output_options *out;
	const struct otel_env *env;
	const char *path;            /* a folder: it gets a file for each dump; a file, which is replaced; "-" */
};

struct dump_request {
	const char *cause;           /* one word, for the name of the file: exit, signal … */
	const char *reason;          /* for people */
	uint64_t at_unix_ns;         /* 0: when the last span ended */
	uint64_t from_unix_ns;       /* what ended before that is not wanted */
	/* As recording_read; -errno with a sentence. */
	int (*read)(const void *arg, uint64_t from_unix_ns, const struct segment_reading *to,
		    struct recording_about *ret, struct err *err);
	const void *arg;
};

/*
 * Writes it, and says in one line what is there now, or into err why nothing is: the file that was there before is as
 * it was.
 */
int dump_write(const struct dump_place *place, const struct dump_request *q, struct buf *ret_text, struct err *err);
/* -EINVAL, -errno: dumps cannot be put there, with a sentence. */
int dump_place_check(const struct dump_place *place, struct err *err);
/* Where they go, as a part of a sentence. */
void dump_place_print(const struct dump_place *place, struct buf *out);

#endif
