#include "record/recording_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/pass.h"
#include "record/segment_format.h"

#define MAGIC   "EARSHOTR"
#define VERSION 1
#define MOST_SEGMENTS (1u << 20) /* 256 GiB */

struct file_head {
	char magic[8];
	uint32_t version, segment_bytes, segments, checksum;
	uint64_t recording;
};
_Static_assert(sizeof(struct file_head) == 32, "the head of a file");

struct recording_file {
	int fd;
	struct file_head head;
};

static uint32_t checksum_of(const struct file_head *h)
{
	return segment_checksum(h->recording, (const uint8_t *)h + 8, 12);
}

static off_t place_of(const struct recording_file *f, uint64_t place)
{
	return RECORDING_HEADER + (off_t)place * (off_t)SEGMENT_BYTES;
}

static int pread_all(int fd, void *to, size_t n, off_t at, size_t *ret)
{
	for (*ret = 0; *ret < n;) {
		const ssize_t r = pread(fd, (char *)to + *ret, n - *ret, at + (off_t)*ret);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		*ret += (size_t)r;
	}
	return 0;
}

static int pwrite_all(int fd, const void *from, size_t n, off_t at)
{
	for (size_t done = 0; done < n;) {
		const ssize_t w = pwrite(fd, (const char *)from + done, n - done, at + (off_t)done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		done += (size_t)w;
	}
	return 0;
}

/* ---- opening ---- */

static int check_head(const char *path, const struct file_head *h, size_t n, struct err *err)
{
	if (n < sizeof(*h) || memcmp(h->magic, MAGIC, sizeof(h->magic)))
		return err_set(err, -EBADMSG, "%s is no recording: --read takes what `earshot record --file` has kept",
			       path);
	if (h->version != VERSION)
		return err_set(err, -EBADMSG, "%s is a recording of format %" PRIu32 ", and this earshot reads format "
			       "%d: read it with the earshot that has made it", path, h->version, VERSION);
	if (h->checksum != checksum_of(h) || h->segment_bytes != SEGMENT_BYTES || !h->segments ||
	    h->segments > MOST_SEGMENTS)
		return err_set(err, -EBADMSG, "the head of %s is damaged, so that nothing behind it can be believed",
			       path);
	return 0;
}

int recording_file_open(const char *path, struct recording_file **ret, struct err *err)
{
	struct recording_file *f = xcalloc(1, sizeof(*f));
	size_t n = 0;
	int r;

	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	r = f->fd < 0 ? -errno : pread_all(f->fd, &f->head, sizeof(f->head), 0, &n);
	r = r < 0 ? err_set(err, r, "%s cannot be read: %s", path, strerror(-r)) : check_head(path, &f->head, n, err);
	if (r < 0)
		recording_file_free(f);
	else
		*ret = f;
	return r;
}

void recording_file_free(struct recording_file *f)
{
	if (!f)
		return;
	close_fd(f->fd);
	free(f);
}

/* ---- creating ---- */

/* It has no span: that of a recorder which found nothing to observe, or nothing happened. */
static bool is_empty(const char *path)
{
	struct segment_memory memory = {0};
	struct recording_file *f;
	struct recording_about about;
	bool empty;

	if (recording_file_open(path, &f, NULL) < 0)
		return false;
	empty = recording_file_read(f, 0, &(struct segment_reading){.memory = &memory}, &about, NULL) >= 0 &&
		!about.spans && !about.damaged && !about.left_out;
	segment_memory_done(&memory);
	recording_file_free(f);
	return empty;
}

/*
 * What lies at the path: nothing, or a recording that nobody writes to, which is put aside. One without spans goes: it
 * must not take the place of what an earlier one has left.
 */
static int put_aside(const char *path, bool *ret_kept, struct err *err)
{
	_cleanup_(cleanup_free) char *old = xasprintf("%s.old", path);
	_cleanup_(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct file_head head;
	struct stat st;
	size_t n = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || pread_all(fd, &head, sizeof(head), 0, &n) < 0 ||
	    (n && check_head(path, &head, n, NULL) < 0))
		return err_set(err, -EEXIST, "%s is there already and is no recording, so it is left as it is: give "
			       "--file another name", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -EWOULDBLOCK, "%s is being written by another recorder: give --file another name",
			       path);
	if (!n || is_empty(path))
		return unlink(path) == 0 ? 0 : err_set(err, -errno, "%s cannot be removed: %s", path, strerror(errno));
	if (rename(path, old) < 0)
		return err_set(err, -errno, "%s cannot be renamed to %s: %s", path, old, strerror(errno));
	*ret_kept = true;
	return 0;
}

static int write_head(struct recording_file *f, uint32_t segments, uint64_t recording)
{
	char page[RECORDING_HEADER] = {0};

	f->head = (struct file_head){.magic = MAGIC, .version = VERSION, .segment_bytes = SEGMENT_BYTES,
				     .segments = segments, .recording = recording};
	f->head.checksum = checksum_of(&f->head);
	memcpy(page, &f->head, sizeof(f->head));
	return pwrite_all(f->fd, page, sizeof(page), 0);
}

/* All of its place is taken now: a disk that fills up later does not matter to it. */
static int allocate(const struct recording_file *f, uint32_t segments)
{
	if (fallocate(f->fd, 0, 0, place_of(f, segments)) == 0)
		return 0;
	return errno != EOPNOTSUPP ? -errno : ftruncate(f->fd, place_of(f, segments)) < 0 ? -errno : 0;
}

int recording_file_create(const char *path, uint32_t segments, uint64_t recording, struct recording_file **ret,
			  bool *ret_kept, struct err *err)
{
	struct recording_file *f;
	int r = put_aside(path, ret_kept, err);

	if (r < 0)
		return r;
	f = xcalloc(1, sizeof(*f));
	f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = f->fd < 0 || flock(f->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : allocate(f, segments);
	if (r >= 0)
		r = write_head(f, segments, recording);
	if (r < 0) {
		err_set(err, r, "%s cannot be made with room for %" PRIu64 " MB: %s", path,
			(uint64_t)place_of(f, segments) >> 20, strerror(-r));
		if (f->fd >= 0)
			unlink(path);
		recording_file_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

int recording_file_write(struct recording_file *f, uint64_t sequence, const uint8_t *bytes, size_t from, size_t to)
{
	return pwrite_all(f->fd, bytes + from, to - from,
			  place_of(f, (sequence - 1) % f->head.segments) + (off_t)from);
}

/* ---- reading ---- */

struct found {
	uint64_t sequence, begun_unix_ns;
	uint64_t place;
};
typedef VEC(struct found) found_list;

static int by_sequence(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Which segments there are. One that is not where its number belongs is another recording's. */
static int find_segments(struct recording_file *f, found_list *ret)
{
	uint8_t bytes[SEGMENT_HEADER];
	struct segment_head head;
	size_t n;

	for (uint64_t i = 0; i < f->head.segments; i++) {
		const int r = pread_all(f->fd, bytes, sizeof(bytes), place_of(f, i), &n);

		if (r < 0)
			return r;
		if (!n)
			break;
		if (segment_head_read(bytes, n, &head) && head.recording == f->head.recording && head.sequence &&
		    (head.sequence - 1) % f->head.segments == i)
			vec_push(ret, ((struct found){head.sequence, head.begun_unix_ns, i}));
	}
	if (ret->len)
		qsort(ret->data, ret->len, sizeof(*ret->data), by_sequence);
	return 0;
}

/* The first of those that follow each other without a gap up to the last. */
static size_t first_of_run(const found_list *all)
{
	size_t i = all->len ? all->len - 1 : 0;

	while (i > 0 && all->data[i - 1].sequence + 1 == all->data[i].sequence)
		i--;
	return i;
}

static int read_run(struct recording_file *f, const found_list *all, struct recording_pass *pass)
{
	_cleanup_(cleanup_free) uint8_t *bytes = xmalloc(SEGMENT_BYTES);

	for (size_t i = first_of_run(all); i < all->len; i++) {
		size_t n;
		int r;

		if (i + 1 < all->len && all->data[i + 1].begun_unix_ns < pass->from_unix_ns)
			continue;
		r = pread_all(f->fd, bytes, SEGMENT_BYTES, place_of(f, all->data[i].place), &n);
		if (r < 0)
			return r;
		recording_pass_segment(pass, bytes, n);
	}
	return 0;
}

int recording_file_read(struct recording_file *f, uint64_t from_unix_ns, const struct segment_reading *to,
			struct recording_about *ret, struct err *err)
{
	struct recording_pass pass;
	found_list all = {0};
	struct stat st;
	int r = fstat(f->fd, &st) < 0 ? -errno : find_segments(f, &all);

	recording_pass_begin(&pass, from_unix_ns, to, ret);
	if (r >= 0)
		r = read_run(f, &all, &pass);
	if (r >= 0 && st.st_size < place_of(f, f->head.segments))
		ret->cut = (uint64_t)(place_of(f, f->head.segments) - st.st_size);
	ret->left_out = (unsigned)first_of_run(&all);
	recording_pass_end(&pass);
	vec_done(&all);
	return r < 0 ? err_set(err, r, "the recording cannot be read: %s", strerror(-r)) : 0;
}
