/*
 * Spans of points that go together: one probe of a program says that something begins, another one that it has ended,
 * on the same thread or with the same value. Which these are is told by their names, or by who asks.
 *
 * By their names: X__start with X__done, X__end or X__stop; X__begin with X__end or X__done; X__entry with X__return or
 * X__exit; also with "-" or "_" for "__". What has an entry can be within itself, as calls can. So can others, where
 * the stack is deeper at the second start; else what was begun first has been left without a word, as PostgreSQL's
 * queries are by an error, and ends there: usdt.end_missing.
 *
 * A span's parent is the one that was open on its thread from its beginning to its end, and has its own end: calls at
 * once, others when they have ended.
 */
#ifndef SPAN_POINT_PAIRS_H
#define SPAN_POINT_PAIRS_H

#include "base/err.h"
#include "event/run_summary.h"
#include "span/span.h"

struct point_pairs;

/* A pair by who asks: NAME or PROVIDER:NAME, each. */
struct point_pair {
	const char *start, *end;
	int arg;                   /* the number of the argument that both share; -1: the thread */
};
/* "START,END [by thread|argN]"; goroutines are argN, too: they are told by the probe. In arena. -EINVAL. */
int point_pair_parse(const char *text, struct arena *arena, struct point_pair *ret, struct err *err);

/* A hit of a probe. Valid during the call, but for the resource. */
struct point_hit {
	const char *provider, *name;
	const struct resource *resource;
	uint64_t tid, depth /* grows as the stack does */, time_ns /* monotonic */, unix_ns;
	const struct attr *attrs;  /* one called "name" is the span's name */
	size_t nattrs;
	const uint64_t *args;      /* by number, for pairs that go by one; bit i of has_arg: args[i] is known */
	uint64_t has_arg;
};

struct point_pairs_options {
	const struct point_pair *pairs;
	size_t npairs;
	void (*emit)(void *arg, const struct span *s);
	void *arg;
	uint64_t (*random)(void *arg); /* NULL: the system's; tests pass their own */
};
struct point_pairs *point_pairs_new(const struct point_pairs_options *o);
void point_pairs_free(struct point_pairs *p); /* NULL ok */
/* There is such a probe. Returns whether a span may begin there. All are known before the first hit of one of them. */
bool point_pairs_know(struct point_pairs *p, const char *provider, const char *name);
/* False: the probe has no counterpart, and stands for itself. */
bool point_pairs_hit(struct point_pairs *p, const struct point_hit *h);
/* What ended up to then, and waits for the end of the one around it, waits no longer: its parent is unknown. */
void point_pairs_tick(struct point_pairs *p, uint64_t until_ns);
/* The process has ended, and all its hits have been told: what it has open is given up, and counted. */
void point_pairs_gone(struct point_pairs *p, int pid);
void point_pairs_summary(const struct point_pairs *p, struct run_summary *sum);

#endif
