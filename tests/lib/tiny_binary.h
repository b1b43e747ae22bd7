/* The tiny program opened as a binary, as it is or with a fuzzer's input in the place of a part. */
#ifndef TESTS_TINY_BINARY_H
#define TESTS_TINY_BINARY_H

#include "binary/binary.h"
#include "lib/tiny_go.h"

/* NULL, with the reason in err, when it is refused. */
static inline struct binary *tiny_open(const struct tiny *t, struct err *err)
{
	struct binary *b = NULL;
	int fd = memory_file(t->data, sizeof(t->data));

	if (fd < 0)
		return NULL;
	if (binary_open_fd(fd, "tiny", &b, err) < 0)
		b = NULL;
	close(fd);
	return b;
}

/* The input, cut to what has room, lies at offset from. */
static inline struct binary *tiny_open_input(struct tiny_options o, size_t from, size_t room,
                                             const uint8_t *data, size_t size)
{
	static struct tiny tiny;

	tiny_build(&tiny, o);
	memcpy(tiny.data + from, data, size < room ? size : room);
	return tiny_open(&tiny, NULL);
}

/* The low bits of an input's size choose the form of the program around it. */
static inline struct tiny_options tiny_form(size_t size)
{
	return (struct tiny_options){.old_funcs = size & 1, .old_map = size & 2};
}

#endif
