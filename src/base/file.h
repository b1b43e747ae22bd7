/* Reading small files and directories below a root that is a parameter (tests use dumps); which file it is. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"

/* Appends the whole file to b. limit bounds what is read (0: 16 MiB). 0 or -errno. */
int file_read(const char *path, struct buf *b, size_t limit);
int file_read_fd(int fd, struct buf *b, size_t limit);

/*
 * One state of one file. Whoever writes to a file moves its change time, which nobody can set (the modification time
 * can be set: `cp -p`, reproducible images). Links and renames move it, too.
 */
struct file_id {
	uint64_t dev, ino, size;
	int64_t modified_ns, changed_ns;
};
struct file_id file_id_of(const struct stat *st);
bool file_id_equal(const struct file_id *a, const struct file_id *b);
/* Whether they differ in the change time at most: whether the content is the same has to be looked at then. */
bool file_id_alike(const struct file_id *a, const struct file_id *b);

/* write(2) until all is written. 0 or -errno. */
int write_all(int fd, const void *p, size_t n);

#endif
