/*
 * What sinks that write to a descriptor or a file have in common: all but what they write. A sink of this kind begins
 * with a struct file_sink and takes the hooks below as they are, where it has nothing to add.
 */
#ifndef SINK_FILE_SINK_H
#define SINK_FILE_SINK_H

#include "sink/kinds.h"
#include "sink/output.h"

struct file_sink {
	struct sink sink;
	struct output out;
	char *path;             /* NULL: it was given as a descriptor */
};

/* The options of a kind that writes a file: its first, and only, option is the path. */
struct file_options {
	const char *path;
};
#define FILE_OPTION(name, help) {0, name, "FILE", help, OPT_STRING, offsetof(struct file_options, path)}

/* setup->fd, which it takes over. */
void file_sink_open(struct file_sink *f, const struct sink_ops *ops, const struct sink_setup *setup);
/* The file of setup->options, which are struct file_options. -errno with a sentence. */
int file_sink_create(struct file_sink *f, const struct sink_ops *ops, const struct sink_setup *setup, struct err *err);
/* Writes what is left, and frees all but f itself. */
void file_sink_done(struct file_sink *f, unsigned timeout_ms);

/* Hooks. */
void file_sink_tick(struct sink *s);
bool file_sink_gone(struct sink *s);
bool file_sink_full(struct sink *s);
const char *file_sink_trouble(struct sink *s); /* tries to write what waits before */
void file_sink_losses(struct sink *s, struct losses *ret);
void file_sink_close(struct sink *s, unsigned timeout_ms); /* of a sink that owns nothing else */

#endif
