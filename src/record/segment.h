/*
 * A segment of a recording: spans as bytes, with all that they refer to (processes, names, summaries), so that each
 * stands alone, whichever of those before it are gone. In memory and in a file it is the same, little-endian:
 *
 *   0   4  "ESEG"
 *   4   4  checksum of the 24 bytes from 8 on
 *   8   8  sequence: of the recording's segments, from 1
 *   16  8  when it was begun, in ns since 1970
 *   24  8  number of the recording: whose segment it is
 *   32     records: size of what follows (4), checksum (4), kind (1), the rest; a size of 0 ends them
 *
 * Numbers in records are varints, but for ids; texts are their length, their bytes and a 0. A record's checksum begins
 * with the sequence and the recording's number, so one that another segment left behind is none here.
 */
#ifndef RECORD_SEGMENT_H
#define RECORD_SEGMENT_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "event/loss.h"
#include "span/span.h"

#define SEGMENT_BYTES (256u << 10)
#define SEGMENT_HEADER 32

/* What did not come through until some moment. */
struct recorded_losses {
	uint64_t spans;          /* that began, and are missing */
	struct losses losses;
};

/* ---- writing ---- */

/* What a segment knows already, while it is written. Zero-initialised is that of no segment. */
struct segment_writer {
	uint8_t *bytes;              /* SEGMENT_BYTES, the caller's */
	size_t used;                 /* of them: behind it is a 0, where there is room for one */
	uint64_t seed;               /* of checksums */
	bool unchecked;              /* records get none: they stay in memory. Set before segment_begin */
	struct map names, resources, summaries; /* address or id → number in this segment */
	VEC(uint32_t) keys;          /* numbers of the span that is being written */
	VEC(const char *) guesses;   /* what these were of the one before: mostly the same */
	VEC(uint32_t) guessed;       /* their numbers */
};

/* Begins a segment in these bytes. */
void segment_begin(struct segment_writer *w, uint8_t *bytes, uint64_t sequence, uint64_t recording,
		   uint64_t now_unix_ns);
void segment_writer_done(struct segment_writer *w);
/*
 * False: there is no room for it, and what is there is as before, or has names more. The same address is the same name
 * (of an attribute, of a pack), or the same summary, as long as w is in use.
 */
bool segment_add_span(struct segment_writer *w, const struct span *s);
/* What was lost of all until then. Likewise. */
bool segment_add_losses(struct segment_writer *w, const struct recorded_losses *l);

/* ---- reading: any bytes ---- */

struct segment_head {
	uint64_t sequence, recording, begun_unix_ns;
};

/* False: it is none. size may be less than a segment's, but for the header. */
bool segment_head_read(const uint8_t *bytes, size_t size, struct segment_head *ret);

/* What outlives the segments that it was read from. Zero-initialised is empty. */
struct segment_memory {
	struct arena arena;
	struct map resources;           /* id → struct resource */
	struct strmap summaries, packs;
	const struct attr *extra;       /* nextra attributes that each resource gets; they outlive it */
	size_t nextra;
};
void segment_memory_done(struct segment_memory *m);

struct segment_reading {
	/* Each span in turn; valid during the call, but for its resource, pack and summary. NULL: not wanted. */
	void (*span)(void *arg, const struct span *s);
	/* What was lost until there, of all the time before. NULL: not wanted. */
	void (*losses)(void *arg, const struct recorded_losses *l);
	void *arg;
	struct segment_memory *memory;
	bool unchecked;         /* they are as we wrote them: checksums are not looked at */
};
/*
 * 0 when it ends as it should; -EBADMSG: behind what was handed over something is damaged or missing. A span is handed
 * over whole or not at all.
 */
int segment_read(const uint8_t *bytes, size_t size, const struct segment_reading *r);

#endif
