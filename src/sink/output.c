/*
 * A blocking descriptor (we share the terminal's with others, so O_NONBLOCK is not ours to set) does not
 * block for a write of up to PIPE_BUF bytes when poll() has just said POLLOUT: pipes and terminals promise
 * room for that much. So everything but a regular file is written in such pieces.
 */
#include "sink/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define FLUSH_BYTES (32u << 10)
#define LIMIT_BYTES (8u << 20) /* about ten thousand spans */

void output_init(struct output *o, int fd)
{
	struct stat st;

	*o = (struct output){.fd = fd, .flush_at = FLUSH_BYTES, .limit = LIMIT_BYTES};
	o->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

void output_done(struct output *o)
{
	buf_done(&o->pending);
}

struct buf *output_begin(struct output *o)
{
	o->mark = o->pending.len;
	return &o->pending;
}

static void forget_record(struct output *o, uint64_t *counter)
{
	o->pending.len = o->mark;
	if (o->pending.data)
		o->pending.data[o->mark] = 0;
	(*counter)++;
}

void output_end(struct output *o)
{
	if (o->gone)
		forget_record(o, &o->refused);
	else if (o->pending.len - o->written > o->limit)
		forget_record(o, o->error ? &o->refused : &o->queue_lost);
	else if (o->pending.len - o->written >= o->flush_at)
		output_flush(o, 0);
}

static uint64_t records_waiting(const struct output *o)
{
	uint64_t n = 0;

	for (size_t i = o->written; i < o->pending.len; i++)
		n += o->pending.data[i] == '\n';
	return n;
}

/* 0: none of it went, and it is no error. */
static ssize_t write_piece(struct output *o, const char *p, size_t n, int wait_ms)
{
	struct pollfd pfd = {.fd = o->fd, .events = POLLOUT};
	ssize_t w;

	if (!o->regular) {
		n = MIN(n, PIPE_BUF);
		if (poll(&pfd, 1, wait_ms) <= 0)
			return 0;
		if (pfd.revents & (POLLERR | POLLNVAL)) /* its reader is gone */
			return -EPIPE;
	}
	w = write(o->fd, p, n);
	if (w < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	return w;
}

static void write_failed(struct output *o, int error)
{
	o->error = error;
	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return; /* tried again at the next flush */
	o->gone = true;
	o->refused += records_waiting(o);
	o->written = o->pending.len;
}

static void compact(struct output *o)
{
	if (o->written < o->pending.len && o->written < o->pending.len / 2)
		return;
	o->pending.len -= o->written;
	if (o->pending.data)
		memmove(o->pending.data, o->pending.data + o->written, o->pending.len + 1);
	o->written = 0;
}

void output_flush(struct output *o, unsigned timeout_ms)
{
	uint64_t until = clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);

	while (o->written < o->pending.len) {
		uint64_t now = timeout_ms ? clock_monotonic_ns() : until;
		int left = now < until ? (int)((until - now) / 1000000) + 1 : 0;
		ssize_t w = write_piece(o, o->pending.data + o->written, o->pending.len - o->written,
					left);

		if (w < 0) {
			write_failed(o, (int)-w);
			break;
		}
		if (w == 0 && !left)
			break;
		o->written += (size_t)w;
		o->error = w ? 0 : o->error;
	}
	compact(o);
	o->flush_at = o->pending.len - o->written + FLUSH_BYTES;
}

bool output_full(const struct output *o)
{
	return !o->gone && o->pending.len - o->written > o->limit / 2;
}

const char *output_trouble(struct output *o)
{
	const char *records = o->records ? o->records : "spans", *name = o->name ? o->name : "the output";

	if (o->gone && o->error == EPIPE)
		snprintf(o->trouble, sizeof(o->trouble),
			 "the reader of %s has closed it; %s after that were not written", name, records);
	else if (o->error)
		snprintf(o->trouble, sizeof(o->trouble), "%s cannot be written: %s", name, strerror(o->error));
	else if (o->refused)
		snprintf(o->trouble, sizeof(o->trouble),
			 "%s could not be written for a while (no space)", name);
	else if (o->queue_lost)
		snprintf(o->trouble, sizeof(o->trouble),
			 "the reader of %s was too slow; some %s were not written", name, records);
	else
		return NULL;
	return o->trouble;
}

void output_losses(struct output *o, struct losses *ret)
{
	output_flush(o, 0);
	ret->count[LOSS_SINK_QUEUE] += o->queue_lost;
	ret->count[LOSS_SINK_REFUSED] += o->refused + (o->error ? records_waiting(o) : 0);
}
