/* The files that a process runs code of: its executable, its libraries, and what lies in no directory any more. */
#ifndef TARGET_MAPPED_H
#define TARGET_MAPPED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

struct mapped_file {
	char *path;                  /* as the process sees it, without " (deleted)": "/memfd:libstapsdt:app" */
	bool is_deleted;             /* it has no name any more, or never had one (memfd) */
	uint64_t inode;
	uint64_t start, end, offset; /* of its first mapping with code: addresses, and the place in the file */
};
typedef VEC(struct mapped_file) mapped_file_vec;

/* Each file once, in the order of addresses. -ESRCH, -EACCES with a sentence. */
int mapped_files_read(const char *procfs, int pid, mapped_file_vec *ret, struct err *err);
void mapped_files_done(mapped_file_vec *v);
/*
 * Opens the very file, read-only, whatever mount namespace it is in: by name below PROCFS/PID/root, by a descriptor
 * that the process has of it, or by PROCFS/PID/map_files where that is allowed. -errno; -ESTALE: another file has its
 * name.
 * path (MAPPED_PATH_MAX bytes, may be NULL) gets where it was found: a descriptor's path outlives the mapping.
 */
enum { MAPPED_PATH_MAX = 4200 };
int mapped_file_open(const char *procfs, int pid, const struct mapped_file *m, char *path, int *ret_fd);

#endif
