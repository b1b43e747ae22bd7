/* What questions want of an executable: their plans as probes. */
#ifndef CMD_CALL_WANTED_H
#define CMD_CALL_WANTED_H

#include "cmd/observation.h"
#include "cmd/woven_match.h"
#include "probe/plan/call_plan.h"

struct inquiry {                         /* what is asked of every executable */
	const struct question *questions;
	size_t nquestions;
	struct call_plan_options plan;
	const struct planter_ops *planter; /* which locates the probes */
	bool yes;                        /* any number of sites */
	const char *list_option;         /* what the user can say to see what matches: "-l" */
	const char *json_option;         /* and to see all that is known of values: "--json" */
};

struct plan_probes {                     /* of wanted.probes, from 1; 0: none */
	size_t entry, ret;
};
struct plan_ids {                        /* their numbers; 0: none */
	uint32_t entry, ret;
};

struct call_wanted {
	struct wanted wanted;            /* first: the observation knows it by this */
	struct call_plans plans;
	struct plan_probes *probes_of_plan;
	const struct call_plan **plan_of_probe; /* NULL for hooks */
	size_t nsites;
	struct woven_set woven;          /* what the program records itself */
	const struct inquiry *inquiry;   /* outlives it */
	bool explained;
};

/* Never NULL; the reason is in wanted.why when nothing can be traced. */
struct call_wanted *call_wanted_new(struct binary *b, const struct inquiry *q);
void call_wanted_free(struct call_wanted *t); /* NULL ok */
struct plan_ids call_wanted_ids(const struct call_wanted *t, size_t plan);
/* What a call at this (entry) probe costs the program, its return included, in ns; 0 if unknown. */
double call_wanted_price(const struct call_wanted *t, size_t probe, struct planter *planter);
/* Why the planter cannot put the probes of a plan in, of which this is the entry's. NULL: as far as the file tells it
 * can. */
const char *call_wanted_refusal(const struct call_wanted *t, size_t probe);
/* Once probes are planted: what is not planted of a function's inlined calls makes its numbers inexact. */
void call_wanted_mark_unplanted(struct call_wanted *t, const struct observed_process *p);
/* Where the calls that are followed cost too much to plant them unasked, wanted.why says so. */
void call_wanted_check_price(struct call_wanted *t, struct planter *planter, bool yes);
/* What following found and left out, as a sentence. planter: where prices come from, or NULL. */
void call_wanted_follow_text(const struct call_wanted *t, struct planter *planter, struct buf *out);
/* Tells what was found by following calls, and the price when much is about to be planted, or it is dear. */
void call_wanted_announce(const struct call_wanted *t, struct binary *b, struct observation *ob);
/* Tells, once, which functions are not traced, and which values cannot be read. */
void call_wanted_explain(struct call_wanted *t, struct observation *ob);

#endif
