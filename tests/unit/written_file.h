/* A file in a place of its own for outputs that write one. */
#ifndef TESTS_UNIT_WRITTEN_FILE_H
#define TESTS_UNIT_WRITTEN_FILE_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "sink/file_sink.h"

static char file_path[] = "/tmp/earshot-test-XXXXXX";
static struct buf file_bytes;

static inline const char *file_new(void)
{
	if (file_path[sizeof(file_path) - 2] == 'X')
		close(mkstemp(file_path));
	return file_path;
}

/* A sink of a kind that writes a file, this one. */
static inline int open_file(const struct sink_kind *kind, const char *path, struct sink **ret, struct err *err)
{
	const struct file_options options = {.path = path};

	return kind->open(&(struct sink_setup){.options = &options, .gives = SINK_CALLS, .fd = -1}, ret, err);
}

static inline const char *file_text(void)
{
	buf_reset(&file_bytes);
	if (file_read(file_path, &file_bytes, 0) < 0)
		return "(unreadable)";
	return file_bytes.data;
}

static inline int file_end(void **state)
{
	unlink(file_path);
	buf_done(&file_bytes);
	return 0;
}

#endif
