/* Going through the segments of a recording, wherever they lie. */
#ifndef RECORD_PASS_H
#define RECORD_PASS_H

#include "record/recording.h"

struct recording_pass {
	const struct segment_reading *to;
	struct recording_about *about;
	uint64_t from_unix_ns;
	bool has_base;
	struct recorded_losses base, last;
};

void recording_pass_begin(struct recording_pass *p, uint64_t from_unix_ns, const struct segment_reading *to,
			  struct recording_about *about);
/* The next segment, in order. */
void recording_pass_segment(struct recording_pass *p, const uint8_t *bytes, size_t size);
void recording_pass_end(struct recording_pass *p);

#endif
