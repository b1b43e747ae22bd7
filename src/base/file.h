/* Reading small files and directories below a root that is a parameter (tests use dumps). */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

/* Appends the whole file to b. limit bounds what is read (0: 16 MiB). 0 or -errno. */
int file_read(const char *path, struct buf *b, size_t limit);
int file_read_fd(int fd, struct buf *b, size_t limit);

/* write(2) until all is written. 0 or -errno. */
int write_all(int fd, const void *p, size_t n);

#endif
