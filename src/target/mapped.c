#include "target/mapped.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char deleted[] = " (deleted)";

static bool is_known(const mapped_file_vec *v, uint64_t inode, const char *path)
{
	for (size_t i = 0; i < v->len; i++)
		if (v->data[i].inode == inode && !strcmp(v->data[i].path, path))
			return true;
	return false;
}

static void add_line(char *line, mapped_file_vec *v)
{
	struct mapped_file m = {0};
	size_t len, n = sizeof(deleted) - 1;
	char perms[8], *path;
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64 "%n", &m.start, &m.end, perms,
		   &m.offset, &m.inode, &at) != 5 || perms[2] != 'x' || !m.inode)
		return;
	path = line + at + strspn(line + at, " ");
	len = strlen(path);
	m.is_deleted = len > n && !strcmp(path + len - n, deleted);
	if (m.is_deleted)
		path[len - n] = '\0';
	if (*path != '/' || is_known(v, m.inode, path))
		return;
	m.path = xstrdup(path);
	vec_push(v, m);
}

int mapped_files_read(const char *procfs, int pid, mapped_file_vec *ret, struct err *err)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;
	int r;

	snprintf(path, sizeof(path), "%.30s/%d/maps", procfs, pid);
	r = file_read(path, &maps, 0);
	if (r < 0)
		return err_set(err, r == -ENOENT ? -ESRCH : r, "what process %d has mapped cannot be read: %s", pid,
			       strerror(-r));
	for (char *line = maps.data ? strtok_r(maps.data, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		add_line(line, ret);
	return 0;
}

void mapped_files_done(mapped_file_vec *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->data[i].path);
	vec_done(v);
}

/* The device is not compared: overlay filesystems show another one in maps than stat(2) does. */
static int open_same(const char *path, const struct mapped_file *m, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_ino != m->inode || !S_ISREG(st.st_mode)) {
		close_fd(fd);
		return -ESTALE;
	}
	*ret_fd = fd;
	return 0;
}

/* Whether the descriptor is of what is mapped: files of other filesystems have the same numbers. */
static bool is_mapped_one(const char *path, const struct mapped_file *m)
{
	size_t n = strlen(m->path), whole = n + sizeof(deleted) - 1;
	char name[MAPPED_PATH_MAX];
	struct stat st;

	return stat(path, &st) == 0 && st.st_ino == m->inode && S_ISREG(st.st_mode) &&
	       readlink(path, name, sizeof(name)) == (ssize_t)whole && !memcmp(name, m->path, n) &&
	       !memcmp(name + n, deleted, sizeof(deleted) - 1);
}

/* What has no name may still be open: libstapsdt and salp keep their memfd. */
static int open_by_descriptor(const char *procfs, int pid, const struct mapped_file *m, char *path, int *ret_fd)
{
	int r = -ENOENT;
	struct dirent *e;
	DIR *d;

	snprintf(path, MAPPED_PATH_MAX, "%s/%d/fd", procfs, pid);
	d = opendir(path);
	while (d && r < 0 && (e = readdir(d))) {
		snprintf(path, MAPPED_PATH_MAX, "%s/%d/fd/%s", procfs, pid, e->d_name);
		if (is_mapped_one(path, m))
			r = open_same(path, m, ret_fd);
	}
	if (d)
		closedir(d);
	return r;
}

int mapped_file_open(const char *procfs, int pid, const struct mapped_file *m, char *path, int *ret_fd)
{
	char own[MAPPED_PATH_MAX];
	int r;

	path = path ? path : own;
	r = m->is_deleted ? open_by_descriptor(procfs, pid, m, path, ret_fd) : -ENOENT;
	if (r < 0 && !m->is_deleted) {
		snprintf(path, MAPPED_PATH_MAX, "%s/%d/root%s", procfs, pid, m->path);
		r = open_same(path, m, ret_fd);
	}
	if (r < 0) {
		int by_name = r;

		snprintf(path, MAPPED_PATH_MAX, "%s/%d/map_files/%" PRIx64 "-%" PRIx64, procfs, pid, m->start, m->end);
		r = open_same(path, m, ret_fd);
		r = r == -EPERM || r == -ENOENT ? by_name : r;
	}
	return r;
}
