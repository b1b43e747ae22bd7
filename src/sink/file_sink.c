#include "sink/file_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *records(const struct sink_setup *setup)
{
	return setup->gives == SINK_SPANS ? "spans" : setup->gives == SINK_CALLS ? "calls" : "spans and calls";
}

static void begin(struct file_sink *f, const struct sink_ops *ops, const struct sink_setup *setup, int fd)
{
	f->sink.ops = ops;
	output_init(&f->out, fd);
	f->out.records = records(setup);
}

void file_sink_open(struct file_sink *f, const struct sink_ops *ops, const struct sink_setup *setup)
{
	begin(f, ops, setup, setup->fd);
}

int file_sink_create(struct file_sink *f, const struct sink_ops *ops, const struct sink_setup *setup, struct err *err)
{
	const char *path = ((const struct file_options *)setup->options)->path;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_set(err, -errno, "%s cannot be written: %s", path, strerror(errno));
	begin(f, ops, setup, fd);
	f->out.name = f->path = xstrdup(path);
	return 0;
}

void file_sink_done(struct file_sink *f, unsigned timeout_ms)
{
	output_flush(&f->out, timeout_ms);
	close_fd(f->out.fd);
	output_done(&f->out);
	free(f->path);
}

static struct output *out_of(struct sink *s)
{
	return &((struct file_sink *)s)->out;
}

void file_sink_tick(struct sink *s)
{
	output_flush(out_of(s), 0);
}

bool file_sink_gone(struct sink *s)
{
	return out_of(s)->gone;
}

bool file_sink_full(struct sink *s)
{
	return output_full(out_of(s));
}

const char *file_sink_trouble(struct sink *s)
{
	output_flush(out_of(s), 0);
	return output_trouble(out_of(s));
}

void file_sink_losses(struct sink *s, struct losses *ret)
{
	output_losses(out_of(s), ret);
}

void file_sink_close(struct sink *s, unsigned timeout_ms)
{
	file_sink_done((struct file_sink *)s, timeout_ms);
	free(s);
}
