/*
 * A recording as a file: what --file keeps while spans are recorded, and what is left of it when the recorder was
 * killed. Little-endian:
 *
 *   0   8  "EARSHOTR"
 *   8   4  version of the format, 1
 *   12  4  bytes of a segment
 *   16  4  number of segments that there is room for
 *   20  4  checksum of the 8 bytes from 24 on, and of these 12
 *   24  8  number of the recording
 *   4096   the segments (segment.h): number n of them lies at place (n - 1) modulo their number
 */
#ifndef RECORD_RECORDING_FILE_H
#define RECORD_RECORDING_FILE_H

#include "record/recording.h"

#define RECORDING_HEADER 4096

struct recording_file;

/*
 * A new file for so many segments, whose place is allocated. Errors and *ret_kept: as of recording_new.
 */
int recording_file_create(const char *path, uint32_t segments, uint64_t recording, struct recording_file **ret,
			  bool *ret_kept, struct err *err);
/* Writes bytes [from, to) of segment number `sequence`. 0 or -errno. */
int recording_file_write(struct recording_file *f, uint64_t sequence, const uint8_t *bytes, size_t from, size_t to);
void recording_file_free(struct recording_file *f); /* NULL ok; the file stays */

/* -EBADMSG: it is no recording, or of another version, with a sentence; -errno. */
int recording_file_open(const char *path, struct recording_file **ret, struct err *err);
/* As recording_read. 0; -errno with a sentence where the file cannot be read. Any bytes may be in it. */
int recording_file_read(struct recording_file *f, uint64_t from_unix_ns, const struct segment_reading *to,
			struct recording_about *ret, struct err *err);

#endif
