/* The outputs that a command line of trace asks for, as one. */
#ifndef CMD_TRACE_OUTPUTS_H
#define CMD_TRACE_OUTPUTS_H

#include "call/call.h"
#include "cmd/trace_session.h"

typedef VEC(struct call_sink *) call_sink_list;

/* -EINVAL, -errno with a sentence; what was opened until then is in ret. */
int trace_outputs_open(const struct trace_options *o, call_sink_list *ret, struct err *err);
void trace_outputs_call(const call_sink_list *l, const struct call_record *c);
void trace_outputs_groups(const call_sink_list *l, const struct call_group *g, size_t n, bool last);
/* Behind groups. */
void trace_outputs_lost(const call_sink_list *l, const struct losses *lost);
void trace_outputs_tick(const call_sink_list *l);
/* Whether an output wants to know which calls are open; then tells it. */
bool trace_outputs_want_running(const call_sink_list *l);
void trace_outputs_running(const call_sink_list *l, const struct call_running *r, size_t n);
/* There were outputs, and nobody can receive from any of them: the observation has no purpose left. */
bool trace_outputs_gone(const call_sink_list *l);
void trace_outputs_losses(const call_sink_list *l, struct losses *ret);
void trace_outputs_summary(const call_sink_list *l, const struct call_summary *sum);
/* The next sentence about an output's state from *pos on, or NULL. */
const char *trace_outputs_trouble(const call_sink_list *l, size_t *pos);
void trace_outputs_close(call_sink_list *l);

#endif
