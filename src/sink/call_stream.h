/* What the outputs of trace write to: a descriptor or a file that they own, through output.h. */
#ifndef SINK_CALL_STREAM_H
#define SINK_CALL_STREAM_H

#include "base/err.h"
#include "call/call.h"
#include "sink/output.h"

struct call_stream {
	struct output out;
	FILE *file;
	char *path;             /* NULL: it was given as a descriptor */
};

int call_stream_open(int fd, struct call_stream *ret, struct err *err);   /* takes over fd, also where it fails */
int call_stream_create(const char *path, struct call_stream *ret, struct err *err);
const char *call_stream_trouble(struct call_stream *s); /* tries to write what waits; a sentence, or NULL */
void call_stream_close(struct call_stream *s, unsigned timeout_ms); /* writes what is left */

/* Left out: there is none to show. */
static inline bool call_value_missing(const struct call_value *v)
{
	return v->value.form == FORM_UNREADABLE && !v->value.text;
}

#endif
