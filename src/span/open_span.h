/*
 * The spans that are open in a process, by goroutine: their starts wait here for their ends, and what a panic or a
 * lost record leaves behind is found here. Knows depths and spans' definitions, not what they mean.
 */
#ifndef SPAN_OPEN_SPAN_H
#define SPAN_OPEN_SPAN_H

#include "event/open_stack.h"
#include "span/ancestry.h"
#include "span/attr_list.h"
#include "span/moments.h"
#include "span/lineage.h"
#include "span/probe.h"
#include "span/trace_context.h"

#define SPAN_KEYS 2

struct span_key {
	uint64_t key;                    /* 0: none */
	struct open_span *span;
	struct span_key *same;           /* of another definition */
};

struct open_span {
	struct open_entry entry;         /* its place on its goroutine (struct goroutine), and in the process */
	const struct probe *start;
	uint64_t start_ns;
	uint64_t goid;                   /* where it began */
	struct trace_context trace;      /* its own ids */
	enum span_parent parent;
	enum parent_source parent_source;
	uint8_t parent_id[8];
	bool has_own_ids;                /* a probe made them, and may have sent them on */
	bool by_sdk;                     /* the program's SDK records it: its ids are that span's, it is not emitted */
	bool transparent;                /* it stands for its parent, whose ids it has; it is not emitted */
	bool doubtful;                   /* it may have ended unseen: its process was being planted */
	bool partial;                    /* … and it may lack what a note would have said: it is not emitted */
	struct ancestry ancestry;
	struct goroutine_epoch epoch;    /* of its start */
	uint64_t context;                /* address of the context that it was given (contexts.h); 0: none */
	struct request_end *request;     /* where its request goes (connections.h), or NULL */
	struct span_key keys[SPAN_KEYS]; /* what other goroutines know it by */
	uint64_t joined;                 /* the last of these goroutines; 0: none */
	struct created *created;         /* goroutines that were created within it */
	/* What keeps its memory from span to span; all before it is zeroed. */
	struct buf trace_state;          /* that came with its trace */
	struct attr_list attrs;
	struct moments moments;
	struct open_span *next_free;
};

struct created {
	uint64_t goid;
	struct created *next;
};

struct pending_panic {
	const char *type;
	uint64_t depth;
};
#define MAX_PENDING_PANICS 4             /* deeper nesting forgets the one before the last */

struct goroutine {
	struct open_goroutine open;      /* its key is the goid */
	uint64_t since_ns;               /* when its innermost span became that */
	struct pending_panic panics[MAX_PENDING_PANICS];
	unsigned npanics;
};

struct open_spans {                     /* of one process; zero-initialised is empty */
	struct open_stacks stacks;
	struct map keys, joined;         /* key → struct span_key, one a definition; goid → open span */
	struct map creators;             /* goid → the open span within which the goroutine was created */
	size_t ncreated;
};

/* Spans that are used again, with their memory; shared by all processes. */
struct open_span_pool {
	struct open_span *spans;         /* linked by next_free */
	size_t n;
};
void open_span_pool_done(struct open_span_pool *p);

static inline struct open_span *open_span_of(struct open_entry *e) /* NULL ok */
{
	return e ? CONTAINER_OF(e, struct open_span, entry) : NULL;
}
static inline struct open_span *open_span_outer(const struct open_span *s)
{
	return open_span_of(s->entry.outer);
}
/* NULL: it is detached. */
static inline struct goroutine *open_span_goroutine(const struct open_span *s)
{
	return s->entry.goroutine ? CONTAINER_OF(s->entry.goroutine, struct goroutine, open) : NULL;
}
static inline struct open_span *open_spans_oldest(const struct open_spans *o)
{
	return open_span_of(o->stacks.oldest);
}
static inline struct open_span *goroutine_innermost(const struct goroutine *g) /* NULL ok */
{
	return g ? open_span_of(g->open.innermost) : NULL;
}

struct goroutine *open_spans_goroutine(const struct open_spans *o, uint64_t goid); /* NULL: no spans */
struct open_span *open_spans_push(struct open_spans *o, struct open_span_pool *pool, uint64_t goid,
				  const struct probe *start, uint64_t depth, uint64_t start_ns);
/*
 * From now on it is found by these keys (SPAN_KEYS of them, 0 is none) and no others, until it is removed or a newer
 * span of its definition takes one.
 */
void open_spans_set_keys(struct open_spans *o, struct open_span *s, const uint64_t *keys);
bool open_span_has_key(const struct open_span *s, uint64_t key);
/* s has that key no more. False when it has none left. */
bool open_spans_drop_key(struct open_spans *o, struct open_span *s, uint64_t key);
/* The open span of that definition with that key (0 is none), or NULL. */
struct open_span *open_spans_keyed(const struct open_spans *o, const struct pack_span *span, uint64_t key);
/* It outlives the call that began it: it leaves its goroutine, which goes too when it was its last. */
void open_spans_detach(struct open_spans *o, struct open_span *s, uint64_t time_ns);
/* The goroutine works for that span until the span is removed. Not on the stack of which it is. */
void open_spans_join(struct open_spans *o, uint64_t goid, struct open_span *s);
struct open_span *open_spans_joined(const struct open_spans *o, uint64_t goid); /* NULL: it works for none */
/*
 * The goroutine was created within the span that is innermost in another, if that is certain: that span has been the
 * innermost from the epoch on. False when there would be more than max such goroutines.
 */
bool open_spans_link(struct open_spans *o, const struct event_link *l, size_t max);
struct open_span *open_spans_creator(const struct open_spans *o, uint64_t goid); /* NULL: not known, or not open */
/*
 * Takes it out of everything; the goroutine goes too when it was its last. The span is the caller's until
 * open_span_release. time_ns: of the record that says so.
 */
void open_spans_remove(struct open_spans *o, struct open_span *s, uint64_t time_ns);
void open_span_release(struct open_span_pool *pool, struct open_span *s);
/* Frees all; nothing is counted or emitted. */
void open_spans_done(struct open_spans *o, struct open_span_pool *pool);

struct open_span *goroutine_find(const struct goroutine *g, const struct pack_span *span); /* innermost */
void goroutine_panic(struct goroutine *g, const char *type, uint64_t depth);
/* Forgets panics that began at depth or deeper: that part of the stack is gone. */
void goroutine_forget_panics(struct goroutine *g, uint64_t depth);
/* The panic that is unwinding s, or NULL. */
const struct pending_panic *open_span_panic(const struct open_span *s);

#endif
