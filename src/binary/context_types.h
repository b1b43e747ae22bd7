/*
 * The types that implement context.Context, and where each of them keeps its parent: what it takes to follow a chain of
 * contexts through memory. Read from type descriptors, which a stripped binary has, too: what sits in an interface has
 * one.
 *
 * A chain is followed so, from an interface's type word and data word on:
 *
 *   type word 0, or data word 0    ends as CHAIN_ROOT
 *   its type is not in the table   ends as CHAIN_UNKNOWN_TYPE
 *   it is_link                     there is room for one more: the data word is the next link, with CHAIN_POOLED if it
 *                                  or one before is_pooled; else ends as CHAIN_TOO_LONG. (A data word that no object
 *                                  with a parent can have, since it is no multiple of 8, ends as CHAIN_UNREADABLE)
 *   CONTEXT_ROOT                   ends as CHAIN_ROOT
 *   CONTEXT_UNKNOWN                ends as CHAIN_UNKNOWN_TYPE
 *   CONTEXT_FIELD                  the parent's itab and data word are at data word + offset
 *   CONTEXT_VIA                    … at offset of what the pointer at data word + via leads to; nil: CHAIN_ROOT
 *   memory that cannot be read     ends as CHAIN_UNREADABLE
 *
 * Where there is a span_key, a link that is_value, has a key of that type and a value of one of the types in spans,
 * has a span: the nearest of a chain is written behind it (event.h) if it can be read.
 *
 * The itab is 0 (nil: CHAIN_ROOT), or the parent's type word is at itab + itab_type_off.
 */
#ifndef BINARY_CONTEXT_TYPES_H
#define BINARY_CONTEXT_TYPES_H

#include "base/vec.h"
#include "binary/binary.h"

enum context_parent { CONTEXT_ROOT, CONTEXT_UNKNOWN, CONTEXT_FIELD, CONTEXT_VIA };

struct context_type {
	uint64_t rtype;          /* descriptor, image address: a type word is this + load bias */
	enum context_parent parent;
	uint32_t offset, via;    /* bytes; CONTEXT_FIELD, CONTEXT_VIA */
	bool is_link;            /* an object that is somebody's, so its address tells it from others */
	bool is_pooled;          /* it may be used for one request after the other */
	bool is_value;           /* it is CONTEXT_FIELD, and behind the parent lie a key and a value, interfaces without
				  * methods: 16 bytes each */
};

/*
 * A type that OpenTelemetry's API takes for a span, and where an object of it has what the API tells of it: offsets in
 * what the data word points to. The ids lie as event_context_span has them. 0: it has none of that.
 */
struct span_type {
	uint64_t rtype;          /* descriptor, image address */
	uint32_t ids, remote;    /* the ids and flags, 32 bytes; whether another process made it, a byte */
	uint32_t kind;           /* its kind, a word (OpenTelemetry's numbers in Go) */
	uint32_t tracer, scope;  /* of a pointer; in what that leads to the text that names who made it */
};

struct context_table {
	VEC(struct context_type) types; /* sorted by rtype */
	uint32_t itab_type_off;         /* where an itab keeps its type word */
	uint64_t span_key;              /* the descriptor of the key of an OpenTelemetry span; 0: there are none */
	VEC(struct span_type) spans;    /* sorted by rtype */
};

/*
 * The table of b, which owns it; made at the first call. Errors: -ENODATA where b has no context.Context (so no context
 * is ever passed), or does not tell how interfaces say what they hold.
 */
int binary_contexts(struct binary *b, const struct context_table **ret, struct err *err);
const struct context_type *context_type_find(const struct context_table *t, uint64_t rtype); /* NULL: not there */
const struct span_type *span_type_find(const struct context_table *t, uint64_t rtype);
/* The row of a type that is a context; of any other it means nothing. */
struct context_type context_type_of(struct binary *b, const struct type *t);
/* Whether values of the interface type t are contexts: it has the methods of context.Context. */
bool type_is_context(struct binary *b, const struct type *t);

#endif
