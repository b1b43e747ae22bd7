/* What the outputs of trace write to: a descriptor or a file that they own, through output.h. */
#ifndef SINK_CALL_STREAM_H
#define SINK_CALL_STREAM_H

#include "base/err.h"
#include "call/call.h"
#include "sink/output.h"

struct call_stream {
	struct output out;
	FILE *file;
};

int call_stream_open(int fd, struct call_stream *ret, struct err *err);   /* takes over fd, also where it fails */
int call_stream_create(const char *path, struct call_stream *ret, struct err *err);
void call_stream_close(struct call_stream *s); /* writes what is left; does not wait long for a slow reader */

/* Left out: there is none to show. */
static inline bool call_value_missing(const struct call_value *v)
{
	return v->value.form == FORM_UNREADABLE && !v->value.text;
}

#endif
