/*
 * A file mapped privately that others may overwrite or cut at any time, as `cp` over an executable does.
 *
 * A copy would be immune to that, and costs what it is for: an executable has up to some hundred megabytes, of which a
 * tenth is looked at. So the pages stay the file's, and three things make that safe:
 *	- Behind the end of a file that was cut there are no pages, not even those that were written to here; reading
 *	  them raises SIGBUS. The handler puts zeros there for good and the reader goes on: parsers stand any bytes.
 *	- mapping_intact, asked after reading, tells whether all that was read was the file as it was opened.
 *	- Who keeps something for later copies it. (Behind the mapping there is a page of zeros, so that a text whose
 *	  end was overwritten ends there.)
 */
#ifndef BINARY_MAPPING_H
#define BINARY_MAPPING_H

#include "base/err.h"
#include "base/file.h"

struct mapping {
	unsigned char *data;         /* may be written to */
	uint64_t size;
	int fd;                      /* its own */
	struct file_id id;
	uint64_t content;            /* of samples */
	volatile bool broken;        /* the file is another by now */
	struct mapping *next;        /* all there are, for the handler */
};

/* fd stays the caller's. Errors are those of fstat, fcntl, mmap; -ENOEXEC: not a regular file, or an empty one. */
int mapping_new(int fd, struct mapping **ret);
void mapping_free(struct mapping *m); /* NULL ok */
/* Whether the file is still the one that was opened, unchanged: what was read from the mapping is then true. */
bool mapping_intact(struct mapping *m);

#endif
