#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int file_read_fd(int fd, struct buf *b, size_t limit)
{
	size_t total = 0;

	if (!limit)
		limit = 16u << 20;
	for (;;) {
		ssize_t n;

		buf_reserve(b, 4096);
		n = read(fd, b->data + b->len, MIN(b->cap - b->len - 1, limit - total));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		b->len += (size_t)n;
		b->data[b->len] = 0;
		total += (size_t)n;
		if (n == 0)
			return 0;
	}
}

int file_read(const char *path, struct buf *b, size_t limit)
{
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : file_read_fd(fd, b, limit);
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct file_id file_id_of(const struct stat *st)
{
	return (struct file_id){.dev = st->st_dev,
				.ino = st->st_ino,
				.size = (uint64_t)st->st_size,
				.modified_ns = ns_of(st->st_mtim),
				.changed_ns = ns_of(st->st_ctim)};
}

bool file_id_alike(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->modified_ns == b->modified_ns;
}

bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return file_id_alike(a, b) && a->changed_ns == b->changed_ns;
}

int write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}
