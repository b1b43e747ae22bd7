/* The sinks that a command line and OpenTelemetry's environment ask for, as one. */
#ifndef CMD_OUTPUTS_H
#define CMD_OUTPUTS_H

#include "base/vec.h"
#include "cmd/session.h"
#include "sink/otel_env.h"
#include "span/span.h"

typedef VEC(struct sink *) sink_list;

/* env outlives the sinks. -EINVAL with a sentence; what was opened until then is in ret. */
int outputs_open(const struct session_options *o, struct otel_env *env, sink_list *ret, struct err *err);
void outputs_span(const sink_list *l, const struct span *span);
void outputs_tick(const sink_list *l);
/* There were outputs, and nobody can receive from any of them: the observation has no purpose left. */
bool outputs_gone(const sink_list *l);
/* Delivers what can be within timeout_ms and adds the losses: a summary is true only after this. */
void outputs_finish(const sink_list *l, unsigned timeout_ms, struct losses *ret);
void outputs_summary(const sink_list *l, const struct run_summary *sum);
/* The next sentence about a sink's state from *pos on, or NULL. */
const char *outputs_trouble(const sink_list *l, size_t *pos);
void outputs_close(sink_list *l, unsigned timeout_ms);

#endif
