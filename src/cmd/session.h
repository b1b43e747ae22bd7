/*
 * An observation from beginning to end: packs, planter, processes that come and go, spans, sinks, summary.
 * run and attach differ only in how processes get here.
 */
#ifndef CMD_SESSION_H
#define CMD_SESSION_H

#include "base/loop.h"
#include "base/options.h"
#include "cmd/outputs.h"
#include "target/find.h"

struct session_options {
	struct output_options out;
	const char *service, *planter;
	string_list packs, redact;
	uint64_t for_ns, ring_bytes;
	double sample;
	bool quiet;
	bool show_process; /* several processes may be observed: name them in each line */
};
#define SESSION_DEFAULTS {.sample = -1}
extern const struct option_def session_option_defs[];

struct session;

/* Errors as the planter and the packs give them. o stays the caller's and must outlive the session. */
int session_new(const struct session_options *o, struct loop *loop, struct session **ret, struct err *err);

/*
 * Observes process pid. 0; -EALREADY when it is observed already; -ENODATA when it runs nothing that a pack
 * knows, and other errors, each with a sentence.
 */
int session_attach(struct session *s, int pid, struct err *err);
void session_attach_child(struct session *s, int pid); /* observer_attach_child */

/* Goes on finding processes that match q, now and later. q outlives the session. */
int session_watch(struct session *s, const struct target_query *q, struct err *err);

/* Whether it must be able to ptrace a process that it attaches to. */
bool session_needs_ptrace(const struct session *s);
size_t session_processes(const struct session *s);     /* observed now */
size_t session_ever_attached(const struct session *s); /* observed so far */
/* Called when the last observed process has gone. */
void session_on_idle(struct session *s, void (*fn)(void *arg), void *arg);
void session_note(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3); /* to the user, unless --quiet */

/* Ends a session that never attached, without a summary. NULL ok. */
void session_cancel(struct session *s);

/* Takes everything out of the programs, flushes, prints the summary. NULL ok. */
void session_finish(struct session *s);

#endif
