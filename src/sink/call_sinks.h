/* The outputs of trace. Each takes over its descriptor; errors: a sentence. */
#ifndef SINK_CALL_SINKS_H
#define SINK_CALL_SINKS_H

#include "sink/sink.h"

struct call_text_options {
	bool color;
	bool show_process;     /* several processes are observed: name them */
	bool no_calls;         /* aggregates only: the calls go into a file */
};

/* Aligned lines; aggregates as tables and histograms. */
int call_line_new(int fd, const struct call_text_options *o, struct sink **ret, struct err *err);
/* JSON lines (design.md); aggregates as {"aggregate":…}; the summary as the last line. */
int call_json_new(int fd, struct sink **ret, struct err *err);
/* Indented call tree with durations, per goroutine: printed when the outermost call has ended. */
int call_graph_new(int fd, const struct call_text_options *o, struct sink **ret, struct err *err);
/* Files: a timeline for ui.perfetto.dev and chrome://tracing (Trace Event Format); folded stacks; a pprof profile. */
int call_perfetto_new(const char *path, struct sink **ret, struct err *err);
int call_folded_new(const char *path, struct sink **ret, struct err *err);
int call_pprof_new(const char *path, struct sink **ret, struct err *err);

#endif
