#include "sink/call_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int call_stream_open(int fd, struct call_stream *ret, struct err *err)
{
	FILE *f = fdopen(fd, "w");
	int r = -errno;

	if (!f) {
		close_fd(fd);
		return err_set(err, r, "the output cannot be written: %s", strerror(-r));
	}
	ret->file = f;
	output_init(&ret->out, f);
	ret->out.records = "calls";
	return 0;
}

int call_stream_create(const char *path, struct call_stream *ret, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = -errno;

	if (fd < 0)
		return err_set(err, r, "%s cannot be written: %s", path, strerror(-r));
	r = call_stream_open(fd, ret, err);
	if (r >= 0)
		ret->out.name = ret->path = xstrdup(path);
	return r;
}

const char *call_stream_trouble(struct call_stream *s)
{
	output_flush(&s->out, 0);
	return output_trouble(&s->out);
}

void call_stream_close(struct call_stream *s, unsigned timeout_ms)
{
	output_flush(&s->out, timeout_ms);
	output_done(&s->out);
	fclose(s->file);
	free(s->path);
}
