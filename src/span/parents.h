/*
 * Which span is a span's parent, and how that is known. Known or unknown, never a guess: a wrong parent puts a span
 * into somebody else's trace. The proofs, in the order in which they count:
 *
 *   context      a context.Context that the span begins under descends from the one that an open span was given
 *   goroutine    an open span around it, on its own goroutine
 *   lineage      its goroutine was created within an open span of another one
 *   connection   a client span, of any process, whose request this server span has at the other end of the socket
 *   header       the request or message names its parent, in the words of another process
 *   sdk          a span of the OpenTelemetry SDK in the program: the context has it, nearer than one of an open span
 *
 * A header says which trace it is. So an open span is the parent only if it is of that trace, and is then the nearer
 * one. Lineage is not for server and consumer spans: who started to listen is not who asked.
 */
#ifndef SPAN_PARENTS_H
#define SPAN_PARENTS_H

#include "span/arrival.h"
#include "span/connections.h"
#include "span/trace_watch.h"

struct parents {                         /* of an assembler */
	struct connections connections;
	uint64_t lost_ns;                /* what began until then may have ended unseen: no parent any more */
	struct losses *losses;
	const struct trace_watch *watch;
	bool ignore_sdk;                 /* as if the program had none, but for the trace that it says we are in */
};

struct parent {
	enum span_parent where;
	enum parent_source source;
	struct trace_context trace;      /* of one that is local or remote */
	bool has_state;                  /* it came in W3C's words: there may be a tracestate beside it */
	struct open_span *open;          /* the span, where it is one of ours */
	struct request_end *request;     /* … found by it; or NULL */
	bool by_sdk;                     /* the program's SDK records the span that begins, */
	struct trace_context sdk;        /* under these ids */
};

/* Of a span that begins with that record: it is open, and has the attributes of the record. */
void parents_find(struct parents *p, const struct arrival *in, const struct open_span *s, struct parent *ret);
/* It has its ids now: from here on others may find it. */
void parents_opened(struct parents *p, const struct arrival *in, struct open_span *s, const struct parent *parent);
/*
 * The record may have told s's connection. A client span is found by it from now on. A server span of which nothing is
 * known joins its client's trace, with all that is open below it, unless something of its own trace has been emitted.
 */
void parents_noted(struct parents *p, const struct arrival *in, struct open_span *s);
/*
 * The SDK has begun a span. If it stands for one of ours that is open, that one is by_sdk from now on: it takes the
 * ids, with all that is open below it. With ignore_sdk it takes the trace alone, if it is a root.
 */
void parents_sdk_began(struct parents *p, const struct arrival *in);
/*
 * The open span of the record's definition within which the record's goroutine was created, if that is certain; else
 * NULL.
 */
struct open_span *parents_creator(struct parents *p, const struct arrival *in);
/* Before it is removed from the process's open spans. */
void parents_closing(struct parents *p, struct target *t, struct open_span *s);
void parents_done(struct parents *p);

#endif
