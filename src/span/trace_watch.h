/* Who wants to know in which traces spans are open. */
#ifndef SPAN_TRACE_WATCH_H
#define SPAN_TRACE_WATCH_H

#include <stdint.h>

struct trace_watch {
	/* A span of the trace has begun; one of those has ended, whether it was emitted before or not. Both or none. */
	void (*opened)(void *arg, const uint8_t trace_id[16]);
	void (*closed)(void *arg, const uint8_t trace_id[16]);
	void *arg;
};

static inline void trace_opened(const struct trace_watch *w, const uint8_t trace_id[16])
{
	if (w->opened)
		w->opened(w->arg, trace_id);
}

static inline void trace_closed(const struct trace_watch *w, const uint8_t trace_id[16])
{
	if (w->closed)
		w->closed(w->arg, trace_id);
}

#endif
