/* Opens programs that a test of src/binary expects to open; include it after cmocka. */
#ifndef TESTS_OPEN_H
#define TESTS_OPEN_H

#include "lib/tiny_binary.h"

static inline struct binary *open_program(const char *path)
{
	struct binary *b = NULL;
	struct err err = {0};

	if (binary_open(path, &b, &err))
		fail_msg("%s", err.text);
	return b;
}

/* The tiny program as the test has changed it. */
static inline struct binary *open_changed(const struct tiny *t)
{
	struct err err = {0};
	struct binary *b = tiny_open(t, &err);

	if (!b)
		fail_msg("%s", err.text);
	return b;
}

static inline struct binary *open_tiny(struct tiny *t, struct tiny_options o)
{
	tiny_build(t, o);
	return open_changed(t);
}

#endif
