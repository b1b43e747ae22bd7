/* The table of sinks. */
#ifndef SINK_KINDS_H
#define SINK_KINDS_H

#include "sink/sink.h"

/* A row for each, in the order in which help lists them: NAME.c defines sink_NAME. */
#define SINK_KINDS(X) \
	X(line)       \
	X(tree)       \
	X(json)       \
	X(none)       \
	X(otlp)       \
	X(perfetto)   \
	X(folded)     \
	X(pprof)

#define SINK_KIND(name) extern const struct sink_kind sink_##name;
SINK_KINDS(SINK_KIND)
#undef SINK_KIND

#endif
