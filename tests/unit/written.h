/* What a sink wrote: to a file in memory, or one in a place of its own. */
#ifndef TESTS_UNIT_WRITTEN_H
#define TESTS_UNIT_WRITTEN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sink/kinds.h"

static int kept_fd;

/* A sink of a kind that prints, which writes to setup.fd, or where that is 0 to a file in memory. */
static inline struct sink *written_open(const struct sink_kind *kind, struct sink_setup setup)
{
	struct err err = {0};
	struct sink *s;

	setenv("TZ", "UTC", 1);
	tzset();
	if (!setup.fd) {
		setup.fd = memfd_create("written", 0);
		kept_fd = dup(setup.fd);
	}
	setup.gives = setup.gives ? setup.gives : kind->takes;
	assert_int_equal(kind->open(&setup, &s, &err), 0);
	return s;
}

/* The whole text; the next call frees it. */
static inline const char *written_so_far(void)
{
	static char *text;
	off_t size = lseek(kept_fd, 0, SEEK_END);

	free(text);
	text = calloc(1, (size_t)size + 1);
	assert_int_equal(pread(kept_fd, text, (size_t)size, 0), size);
	return text;
}

static inline const char *written_close(struct sink *s)
{
	const char *text;

	s->ops->close(s, 2000);
	text = written_so_far();
	close(kept_fd);
	return text;
}

#endif
