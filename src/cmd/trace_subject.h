/* An executable file that questions are asked of: its plans as probes. */
#ifndef CMD_TRACE_SUBJECT_H
#define CMD_TRACE_SUBJECT_H

#include "cmd/observe.h"
#include "probe/plan/call_plan.h"

struct trace_inquiry {
	const struct question *questions;
	size_t nquestions;
	struct call_plan_options plan;
	const struct planter_ops *planter;
	bool yes;                        /* any number of sites */
	uint32_t last_probe;             /* ids given so far */
};

struct plan_ids {
	uint32_t entry, ret;             /* 0: none */
};

struct trace_subject {
	struct subject subject;          /* first: the observer knows it by this */
	struct call_plans plans;
	struct plan_ids *ids;            /* of each plan */
	const struct call_plan **plan_of_probe; /* NULL for hooks */
	size_t nsites;
	unsigned refused;
	bool explained;
	bool follows;                    /* calls are followed: plans.follow says what was found */
};

/* Never NULL; the reason is in subject.why when nothing can be traced. */
struct trace_subject *trace_subject_new(const char *path, const char *name, struct trace_inquiry *q);
void trace_subject_free(struct trace_subject *t); /* NULL ok */
/* What a call at this (entry) probe costs the program, its return included, in ns; 0 if unknown. */
double trace_subject_price(const struct trace_subject *t, size_t probe, const struct observer *ob);
/* Why the planter cannot put the probes of a plan in, of which this is the entry's. NULL: as far as the file tells it
 * can. */
const char *trace_subject_refusal(const struct trace_subject *t, size_t probe);
/* Once probes are planted: what is not planted of a function's inlined calls makes its numbers inexact. */
void trace_subject_mark_unplanted(struct trace_subject *t, const struct observed *o);
/* Where the calls that are followed cost too much to plant them unasked, subject.why says so. */
void trace_subject_check_price(struct trace_subject *t, const struct observer *ob, bool yes);
/* What following found and left out, as a sentence. ob: where prices come from, or NULL. */
void trace_subject_follow_text(const struct trace_subject *t, const struct observer *ob, struct buf *out);
/* Tells what was found by following calls, and the price when much is about to be planted. */
void trace_subject_announce(const struct trace_subject *t, const struct observer *ob,
			    void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3), void *arg);
/* Tells, once, which functions are not traced, and which values cannot be read. */
void trace_subject_explain(struct trace_subject *t, void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3),
			   void *arg);

#endif
