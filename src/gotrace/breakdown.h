/*
 * What goroutines do with their time, and the intervals of it that somebody wants to know about: in each, how long its
 * goroutine ran, waited to run, was in system calls, waited for what, and its longest wait.
 */
#ifndef GOTRACE_BREAKDOWN_H
#define GOTRACE_BREAKDOWN_H

#include "gotrace/generation.h"
#include "span/span.h"

/* What a goroutine does. The waits are the trace's own reasons, in the order in which they are met. */
enum {
	DOES_UNKNOWN,
	DOES_RUN,
	DOES_RUNNABLE,
	DOES_SYSCALL,
	DOES_FIRST_WAIT,
	DOES_OTHER = 31, /* waits, for one reason too many */
	DOES_MAX = 32,
};
/* What it does beside: these lie within the others. */
enum { WITHIN_ASSIST = DOES_MAX, WITHIN_GC, WITHIN_STW, TIMES };

struct interval;
struct breakdown;

struct go_times {
	uint64_t goid;
	bool from_beginning; /* it was created while the trace was written */
	unsigned does;
	uint64_t entered, since; /* ns: into what it does; until when its times are accounted for */
	uint64_t stack;          /* where it waits: a number of the current generation, or 0 */
	char *stack_text;        /* likewise, from an earlier one */
	bool assists;
	uint64_t *times;             /* of TIMES; NULL: no interval is open */
	VEC(struct interval *) open; /* the last one last */
	/* Of its user: what is to begin on it. */
	struct known_span *coming;
	size_t ncoming;
};

struct longest_wait {
	uint64_t ns, stack; /* as of a goroutine */
	unsigned does;
	char *text;
};

/* Embedded in what it is of. */
struct interval {
	struct go_times *on;         /* NULL: its goroutine has ended, and times are final */
	uint64_t start_ns, until_ns; /* the latter: of the goroutine's end */
	uint64_t times[TIMES];       /* until then: of the goroutine when it began */
	struct longest_wait longest; /* of the waits while no later one was open */
};

struct breakdown *breakdown_new(void);
void breakdown_free(struct breakdown *b);

/* Reasons are told by the generation's number of their text: these forget the ones of before. */
void breakdown_generation(struct breakdown *b, const struct generation *g);
/* The current one is over: what is still needed of its texts is copied. */
void breakdown_generation_over(struct breakdown *b);

/* NULL where there is none; the other makes one, which does nothing known since since_ns. NULL: there are too many. */
struct go_times *breakdown_goroutine(const struct breakdown *b, uint64_t goid);
struct go_times *breakdown_goroutine_new(struct breakdown *b, uint64_t goid, uint64_t since_ns);
/* Its intervals are final, and the caller's. */
void breakdown_goroutine_end(struct breakdown *b, struct go_times *g);
bool breakdown_next_goroutine(const struct breakdown *b, size_t *pos, struct go_times **ret);

/* The number of a wait for the reason of this number; 0: without one. */
unsigned breakdown_wait(struct breakdown *b, uint64_t reason);
/* … and of one that the trace gives no reason for. */
unsigned breakdown_wait_named(struct breakdown *b, const char *name);

/* Time never goes back on a goroutine: what is before its last event happens with that. */
void goroutine_account(struct breakdown *b, struct go_times *g, uint64_t ns);
void goroutine_does(struct breakdown *b, struct go_times *g, uint64_t ns, unsigned does, uint64_t stack);
void goroutine_assists(struct breakdown *b, struct go_times *g, uint64_t ns, bool assists);
/* Of all of them. */
void breakdown_gc(struct breakdown *b, uint64_t ns, bool active);
void breakdown_stw(struct breakdown *b, uint64_t ns, bool stopped);

void interval_open(struct breakdown *b, struct interval *iv, struct go_times *g, uint64_t ns);
/* Makes its times final. Returns until when: ns, or a little later. */
uint64_t interval_close(struct breakdown *b, struct interval *iv, uint64_t ns);
void interval_done(struct interval *iv);

/*
 * The attributes of a closed interval of a span that takes duration_ns; texts and keys are b's and iv's, until b's
 * next call. At most BREAKDOWN_ATTRS, which ret has room for. How many.
 */
#define BREAKDOWN_ATTRS (TIMES + 5)
#define BREAKDOWN_KEY   "earshot.go.time" /* that is among them if there is any time */
size_t breakdown_attrs(struct breakdown *b, const struct interval *iv, uint64_t duration_ns, struct attr *ret);

#endif
