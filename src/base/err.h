/* An error that a user must read: one sentence saying what was expected, found, and what to do. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macro.h"

struct err {
	int code; /* negative errno, 0 while unset */
	char text[600];
};

/* Sets the sentence (no newline, no trailing period needed) and returns code. e may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the sentence already there; returns e->code. e may be NULL. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
