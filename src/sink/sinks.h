/* The sinks there are: one file each, all behind struct sink_ops (sink/sink.h). */
#ifndef SINK_SINKS_H
#define SINK_SINKS_H

#include <stdio.h>

#include "sink/sink.h"

struct line_options {
	FILE *out;
	bool colour;
	bool show_service;      /* several processes: name them */
	unsigned width;         /* columns of the terminal, 0: unlimited */
	uint64_t (*clock)(void);/* monotonic ns; NULL: the system's */
};
struct sink *sink_line_new(const struct line_options *o);  /* `-o line` */
struct sink *sink_tree_new(const struct line_options *o);  /* `-o tree`: spans of a trace, indented, when
							    * its root ends */
struct sink *sink_json_new(FILE *out);                     /* `-o json`; the shape is a contract (design.md) */

struct otlp_options {
	const char *endpoint;       /* "http://host:4318"; /v1/traces is appended when there is no path */
	const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
	bool gzip;
	size_t queue_spans;         /* default 65536 */
	size_t batch_spans;         /* default 512 */
	unsigned interval_ms;       /* default 1000 */
	unsigned timeout_ms;        /* of a request, default 10000 */
};
/* A thread of its own sends; -EINVAL when the endpoint is no http(s) URL. */
int sink_otlp_new(const struct otlp_options *o, struct sink **ret, struct err *err);

#endif
