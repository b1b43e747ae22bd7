/*
 * The calls that are open in a process, by goroutine: what starts are paired with ends, and what a panic
 * or a lost record leaves behind is found. Knows depths and spans' definitions, not what they mean.
 */
#ifndef SPAN_PAIR_H
#define SPAN_PAIR_H

#include "base/map.h"
#include "span/assemble.h"
#include "span/attributes.h"
#include "span/trace_context.h"

struct probe {                       /* what the assembler was told, prepared */
	struct assembler_probe p;
	struct capture_rule *rules;
	size_t nrules;
	int traceparent_slot, tracestate_slot, key_slot, type_slot, pc_slot; /* control captures, -1: none */
};

struct call {
	struct call *outer, *inner;      /* of the same goroutine */
	struct call *older, *newer;      /* of the same process */
	struct goroutine *goroutine;
	const struct probe *start;
	uint64_t depth, start_ns;
	struct trace_context trace;      /* its own ids */
	struct buf trace_state;          /* that came with its trace */
	enum span_parent parent;
	uint8_t parent_id[8];
	uint64_t key;                    /* what the goroutines that work for it know it by; 0: none */
	uint64_t joined;                 /* the last of these goroutines; 0: none */
	struct attr_list attrs;
};

struct pending_panic {
	const char *type;
	uint64_t depth;
};
#define MAX_PENDING_PANICS 4             /* deeper nesting forgets the one before the last */

struct goroutine {
	uint64_t id;
	struct call *innermost;
	struct pending_panic panics[MAX_PENDING_PANICS];
	unsigned npanics;
	struct goroutine *next_free;
};

struct open_calls {                      /* of one process; zero-initialised is empty */
	struct map goroutines;
	struct map keys, joined;         /* key → call, goid → call */
	struct call *oldest, *newest;
	size_t len;
};

/* Objects that are used again; shared by all processes. */
struct call_pool {
	struct call *calls;              /* linked by outer */
	struct goroutine *goroutines;
	size_t ncalls, ngoroutines;
};
void call_pool_done(struct call_pool *p);

struct goroutine *open_calls_goroutine(const struct open_calls *o, uint64_t goid); /* NULL: no calls */
struct call *open_calls_push(struct open_calls *o, struct call_pool *pool, uint64_t goid,
			     const struct probe *start, uint64_t depth, uint64_t start_ns);
/* From now on it is found by that key, until it is removed or a newer call takes the key. */
void open_calls_set_key(struct open_calls *o, struct call *c, uint64_t key);
/* The goroutine works for the call with that key, if there is one, until the call is removed. */
void open_calls_join(struct open_calls *o, uint64_t goid, uint64_t key);
struct call *open_calls_joined(const struct open_calls *o, uint64_t goid); /* NULL: it works for none */
/* Takes it out of everything; the goroutine goes too when it was its last. The call is the caller's until
 * call_release. */
void open_calls_remove(struct open_calls *o, struct call_pool *pool, struct call *c);
void call_release(struct call_pool *pool, struct call *c);
/* Frees all without a word. */
void open_calls_done(struct open_calls *o, struct call_pool *pool);

struct call *goroutine_find(const struct goroutine *g, const struct pack_span *span); /* innermost */
void goroutine_panic(struct goroutine *g, const char *type, uint64_t depth);
/* Forgets panics that began at depth or deeper: that part of the stack is gone. */
void goroutine_forget_panics(struct goroutine *g, uint64_t depth);
/* The panic that is unwinding c, or NULL. */
const struct pending_panic *call_panic(const struct call *c);

#endif
