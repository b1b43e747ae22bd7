/*
 * The record that every planter writes and every consumer reads, version 3. Little-endian, 8-byte
 * aligned: header, then `slots` slots, then the bytes that slots refer to, then chunks (copies of the
 * program's memory). Nothing outside event/ decodes it by hand, and the planters write it from these
 * definitions only.
 *
 * What a planter hands over at once is a sample: one record, or two that belong to one call, the end first
 * (EVENT_RETURN or EVENT_UNWOUND) and right behind it what was captured at its entry (EVENT_CALL).
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_VERSION 3
#define EVENT_MAX_SLOTS 48
#define EVENT_MAX_STRING 4096          /* a value longer than this is cut, and says so */
#define EVENT_MAX_DATA (32 * 1024)     /* all string bytes of one record */
#define EVENT_MAX_CALL (16 * 1024)     /* a call's entry record: it is kept until the call ends */
#define EVENT_MAX_SIZE (sizeof(struct event_header) + EVENT_MAX_SLOTS * sizeof(struct event_slot) + EVENT_MAX_DATA)

enum event_kind {
	EVENT_POINT,      /* stands for itself */
	EVENT_CALL,       /* the entry of a call; alone only when asked for the calls that are open */
	EVENT_RETURN,     /* the call returned; its slots are what was captured there */
	EVENT_UNWOUND,    /* the call ended otherwise: a panic, Goexit. No slots */
	EVENT_LINK,       /* which goroutine created this one: see event_link */
	EVENT_KIND_COUNT
};

struct event_header {
	uint32_t size;    /* of this record */
	uint8_t version;
	uint8_t kind;     /* enum event_kind */
	uint16_t slots;
	uint32_t probe;   /* which capture program wrote it */
	uint32_t target;  /* which process: the number it was planted under; of a program of threads its own */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t goid;    /* 0: no goroutine (system stack) */
	uint64_t depth;   /* stack.hi - SP at the function's entry: grows with call depth, survives stack moves. Where
			   * there are no goroutines (capture_program.threads): goid is the thread's, depth 0 - SP */
	uint32_t chunks;  /* offset of the first chunk; 0: none. They go on to the record's end */
	uint32_t missed;  /* chunks that found no room */
};
_Static_assert(sizeof(struct event_header) == 48, "wire format");

enum slot_status {
	SLOT_ABSENT,      /* its condition was false */
	SLOT_OK,
	SLOT_CUT,         /* a string of len bytes, of which copied are here */
	SLOT_NIL,         /* a nil pointer, interface or map on the way */
	SLOT_NOT_RESIDENT,/* string bytes the planter could not read, or only the first `copied` of them (event_part) */
	SLOT_UNREADABLE,  /* memory on the way could not be read */
	SLOT_RANGE,       /* index out of range */
	SLOT_NO_KEY,      /* map without that key */
	SLOT_OTHER_TYPE,  /* a type assertion failed */
	SLOT_MAP_BUSY,    /* the map was too large or being moved: not searched to the end */
	SLOT_STATUS_COUNT
};

struct event_slot {
	uint8_t status;
	uint8_t reserved;
	uint16_t copied;  /* bytes in the record */
	uint32_t len;     /* full length in the program */
	uint64_t value;   /* scalar; or offset of the bytes from the record's start; or, where none are copied, their
			   * address (0: of a nil slice). SLOT_NOT_RESIDENT with bytes: the address lies before them */
};
_Static_assert(sizeof(struct event_slot) == 16, "wire format");

/*
 * A copy of the program's memory: the image of a value that a slot could not hold (the slot's value is the
 * chunk's offset from the record's start), or of what such a value points to. The shape says how to read it
 * and what it leads to (probe/shape.h); a pointer is followed by looking for its address and shape.
 */
struct event_chunk {
	uint64_t addr;    /* in the program; 0: put together from registers */
	uint32_t shape;
	uint16_t len;     /* bytes that follow, padded to 8: as many elements of the shape as were copied */
	uint8_t status;   /* enum slot_status: OK, CUT (more elements than were wanted or fitted), UNREADABLE; above
			   * EVENT_PAGES_SHIFT a bit for each page, from that of addr on, of which nothing
			   * could be read */
	uint8_t depth;    /* pointers that may still be followed from here */
};
_Static_assert(sizeof(struct event_chunk) == 16, "wire format");

/*
 * A trace context as bytes of a slot: a span's own ids where the probe made them, or its parent's. The ids are in the
 * order in which W3C's traceparent has them. All zeros is no id.
 */
struct event_context {
	uint8_t trace_id[16], span_id[8];
	uint32_t flags;   /* OTLP's: W3C's, and whether it came from another process. Of a span's own ids also: */
};
enum { EVENT_CONTEXT_SAMPLED = 1, EVENT_CONTEXT_REMOTE = 0x200,
       /* The probe knew no parent, though there may be one, whose flag counts then. Without one SAMPLED does */
       EVENT_CONTEXT_UNDECIDED = 0x400,
       /* Nobody else was told of the ids: where the parent is of another trace, the span belongs to that */
       EVENT_CONTEXT_LOOSE = 0x800 };
_Static_assert(sizeof(struct event_context) == 28, "wire format");

/*
 * A chain of contexts as bytes of a slot that is SLOT_OK: from the context that an expression gave towards the root, so
 * nearest first, the address of each one's data; then always a word that says how the chain ended. Words of 8 bytes:
 * below 8 is an end, all others are links. Contexts that are nobody's (context.Background: what all share, and what has
 * no bytes) are no links. A chain that was cut short or could not be begun is a slot with another status.
 */
#define EVENT_MAX_CHAIN 64                              /* links */
#define EVENT_CHAIN_SPAN_BYTES 80                       /* struct event_chain_span */
#define EVENT_CHAIN_BYTES (8 * (EVENT_MAX_CHAIN + 1) + EVENT_CHAIN_SPAN_BYTES) /* the most that a chain takes */
enum event_chain_end {
	CHAIN_ROOT,         /* a context without a parent, or nil */
	CHAIN_UNKNOWN_TYPE, /* one that is not known to have one parent, and where; it may be the last link itself */
	CHAIN_TOO_LONG,     /* there are more links than were wanted */
	CHAIN_UNREADABLE,   /* memory on the way could not be read */
	CHAIN_END_COUNT
};
enum {
	CHAIN_POOLED = 1,   /* bit of a link: it, and what follows, was reached through an object that may be used for
			     * one request after the other. It proves something only where it is known otherwise that
			     * the object is still this one's: on the goroutine that has the span open, or one that was
			     * created within the span */
	CHAIN_BITS = 7,     /* not part of the address; those without a name are 0, and reserved */
};
/*
 * Behind the end, where one of the links has an OpenTelemetry SDK's span, and it could be read: the nearest of these.
 * A word each but for the ids, which are in the order in which W3C's traceparent has them.
 */
struct event_chain_span {
	uint8_t trace_id[16], span_id[8];
	uint64_t flags;             /* the low byte: W3C's. The rest is anything */
	uint64_t remote;            /* likewise: whether another process made it, and a header brought it */
	uint64_t kind;              /* 1 internal, 2 server, 3 client … as in OTLP. 0: unknown */
	uint64_t scope, scope_len;  /* the address of the name of the library that made it; 0: unknown */
	uint64_t link;              /* how many links are as near as it, or nearer: it is the last one's of these */
	uint64_t object;            /* the address of the span itself */
};
_Static_assert(sizeof(struct event_chain_span) == EVENT_CHAIN_SPAN_BYTES, "wire format");
struct event_chain {
	const unsigned char *words; /* in the record */
	size_t n;                   /* links */
	enum event_chain_end end;
	bool has_span;              /* … whose ids are not 0 */
	struct event_chain_span span; /* zero without any */
};
struct event_chain_link {
	uint64_t addr;              /* of the context's data; never 0 */
	bool pooled;
};

/*
 * Lineage: the header's goroutine was created by another one of its process, not before the epoch. Who writes it knows
 * that much; where it is written as the goroutine is created, the epoch is the record's time. In the record these are
 * two slots.
 */
struct event_link {
	uint64_t goid, parent;
	uint64_t epoch_ns; /* CLOCK_MONOTONIC */
};
enum { LINK_PARENT, LINK_EPOCH, LINK_SLOTS };

/*
 * Memory is there, or not, by pages. Zeros stand for a page that could not be read, in the middle of what could; where
 * all could not, the chunk has no bytes (UNREADABLE).
 */
#define EVENT_PAGE 4096u
#define EVENT_PAGES_SHIFT 4
_Static_assert(SLOT_STATUS_COUNT <= 1 << EVENT_PAGES_SHIFT, "a status, and a bit for each of four pages");
static inline enum slot_status event_chunk_status(const struct event_chunk *c)
{
	return (enum slot_status)(c->status & ((1u << EVENT_PAGES_SHIFT) - 1));
}
/* Whether one of the n bytes (at least one) from offset on could not be read. */
static inline bool event_chunk_lost(const struct event_chunk *c, uint64_t offset, uint64_t n)
{
	uint64_t from = c->addr % EVENT_PAGE + offset;
	unsigned pages = (unsigned)c->status >> EVENT_PAGES_SHIFT;

	for (uint64_t page = from / EVENT_PAGE; pages && page <= (from + n - 1) / EVENT_PAGE && page < 4; page++)
		if (pages & 1u << page)
			return true;
	return false;
}

/* A checked view of a record. Points into it. */
struct event {
	const struct event_header *head;
	const struct event_slot *slots;
};

/* False when the bytes are not one whole, consistent record of this version, and nothing else. */
bool event_decode(const void *data, size_t size, struct event *ret);
/*
 * Decodes a sample: ret_n is 1 or 2 (RETURN or UNWOUND, then CALL, of the same probe group and goroutine). False when
 * the bytes are not whole, consistent records of this version, and nothing else.
 */
bool event_decode_sample(const void *data, size_t size, struct event ret[2], size_t *ret_n);
/* The record's chunks in order: NULL begins, NULL ends. Safe on any record that decoded. */
const struct event_chunk *event_chunk_next(const struct event *e, const struct event_chunk *c);
static inline const void *event_chunk_bytes(const struct event_chunk *c)
{
	return c + 1;
}
/* The bytes of a string slot (SLOT_OK or SLOT_CUT), NULL otherwise. */
const char *event_bytes(const struct event *e, size_t slot, size_t *ret_len);
/* Of a string slot that is SLOT_NOT_RESIDENT: the bytes that could be read (maybe none), and where all of it lies. */
const char *event_part(const struct event *e, size_t slot, size_t *ret_len, uint64_t *ret_addr);
/* False where the slot holds no context. */
bool event_context(const struct event *e, size_t slot, struct event_context *ret);
/* False where the slot holds no chain, or one that breaks the rules above. */
bool event_chain(const struct event *e, size_t slot, struct event_chain *ret);
/* Link i of it, counted from the nearest; false behind the last. */
bool event_chain_link(const struct event_chain *c, size_t i, struct event_chain_link *ret);
/* False unless it is an EVENT_LINK. */
bool event_link(const struct event *e, struct event_link *ret);
bool slot_lost(enum slot_status s);           /* there may be a value, but it could not be read */
const char *slot_status_text(enum slot_status s); /* "nil pointer", "not resident" … */

#endif
