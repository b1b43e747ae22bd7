/*
 * Traced calls from beginning to end: questions, planter, processes that come and go, outputs, summary. The verb
 * (trace.c) differs only in how processes get here.
 */
#ifndef CMD_TRACE_SESSION_H
#define CMD_TRACE_SESSION_H

#include "base/loop.h"
#include "base/options.h"
#include "cmd/observe.h"
#include "cmd/outputs.h"
#include "probe/lang/question.h"

struct trace_options {
	string_list packs;
	struct output_options out;
	bool yes, quiet, list;
	uint64_t depth, max_string, max_items;
	uint64_t follow;
	uint64_t for_ns, limit, every, rate, interval_ns, ring_bytes;
	const char *planter;
	const char *budget;          /* "5%" */
	bool show_process;           /* several processes may be observed: name them */
};
#define TRACE_DEFAULTS {.depth = 1, .max_string = 256, .max_items = 16}
extern const struct option_def trace_what_defs[], trace_bound_defs[], trace_output_defs[];

/* -EINVAL: an option's value. Done before anything is opened. */
int trace_options_check(const struct trace_options *o, struct err *err);

struct trace_session;

/*
 * Questions and options stay the caller's and must outlive the session. Errors as planter, packs and files give them.
 */
int trace_session_new(const struct trace_options *o, const struct question *questions, size_t n, struct loop *loop,
		      struct trace_session **ret, struct err *err);
/* Where processes are attached and watched. */
struct observer *trace_session_observer(struct trace_session *s);
/*
 * What runs is attached: the time of --for begins. Planting many sites one by one, as kernels before 6.6 want it, may
 * take longer than that.
 */
int trace_session_begin(struct trace_session *s, struct err *err);
/* Prints what each question would match in process pid, with signatures and prices; plants nothing. */
int trace_session_list(struct trace_session *s, int pid, struct err *err);
/* Likewise of an executable file. */
int trace_session_list_file(struct trace_session *s, const char *path, struct err *err);
uint64_t trace_session_calls(const struct trace_session *s);
/* Ends a session that never attached, without a summary. NULL ok. */
void trace_session_cancel(struct trace_session *s);
/* Takes everything out of the programs, prints aggregates and the summary. NULL ok. */
void trace_session_finish(struct trace_session *s);

#endif
