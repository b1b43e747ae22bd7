/*
 * What belongs to a value: a table that tells a planter, which knows no types, how to copy the memory a value
 * consists of. Built from the binary's types (shape_of), interpreted where the probe fires.
 *
 * A planter walks the chunks of a record in order (event.h). For each element of the chunk's shape, and each edge
 * of that shape, it takes the pointer word, decides how many elements it points to, copies these as a new chunk
 * at the record's end, and comes to that in turn. It stops following where the depth is used up, and the whole
 * where the record is full (event_header.missed counts the rest).
 *
 * An edge is followed where all its words (the pointer, the count) are among the bytes that were copied: of an element
 * larger than what is copied for one pointer the first part is there, and its edges with it.
 */
#ifndef PROBE_SHAPE_H
#define PROBE_SHAPE_H

#include "base/vec.h"
#include "binary/binary.h"

enum shape_role {       /* how the bytes are to be read: for rendering */
	SHAPE_VALUE,    /* of `type` */
	SHAPE_BYTES,    /* of a string */
	SHAPE_MAP,      /* the header of a map of `type` */
	SHAPE_MAP_TABLES, /* Swiss maps: pointers to tables */
	SHAPE_MAP_TABLE,
	SHAPE_MAP_GROUP,  /* a Swiss group, an old map's bucket */
	SHAPE_CHAN,     /* the header of a channel */
	SHAPE_FUNC,     /* a closure object: its first word is the code's address; captured variables follow */
	SHAPE_ITAB,     /* of an interface with methods, to its type word. A plain EDGE_POINTER leads to it, beside the
	                 * EDGE_IFACE: so the record says which type it is */
};

enum edge_kind {
	EDGE_POINTER,   /* one word */
	EDGE_IFACE,     /* two words: itab and data. The data's shape is that of the dynamic type
			 * (shape_table.dynamic) */
	EDGE_EFACE,     /* two words: type and data */
};
enum edge_count {       /* how many elements the pointer leads to, from the same element as the edge */
	COUNT_ONE,
	COUNT_WORD,     /* the signed 64-bit word at count_off; none when it is not positive */
	COUNT_SHIFT,    /* 1 << the byte at count_off (at most 2^20) */
	COUNT_MASK,     /* the 64-bit word at count_off, + 1 */
	COUNT_ONE_IF_ZERO, /* 1 when the 64-bit word at count_off is 0, else none */
};

struct shape_edge {
	uint8_t kind, count;
	uint8_t costs;       /* pointers of the depth it uses up: 1 for Go's pointers and interfaces, 0 for the
	                      * insides of strings, slices, maps, and for a pointer in an interface's data word */
	uint32_t offset;     /* of the pointer word(s) in the element */
	uint32_t count_off;
	uint32_t shape;      /* of what it leads to; EDGE_IFACE and EDGE_EFACE: 0 */
	uint32_t max;        /* elements that are copied at most */
};

struct shape {
	uint32_t size;       /* of one element; not 0 */
	uint32_t first_edge, nedges;
	enum shape_role role;
	const struct type *type;
};

/* A type that an interface may hold. */
struct shape_dynamic {
	uint64_t rtype;      /* descriptor, image address */
	uint32_t shape;
	bool direct;         /* the data word is the value itself (a pointer, a map, a func …): a chunk of 8 bytes
	                      * with that word is made, addr is 0 */
};

struct shape_limits {
	unsigned depth;      /* pointers and interfaces followed (--depth) */
	unsigned max_string, max_items;
	bool any_plain;         /* an interface without methods is followed only to numbers, texts, arrays of these */
	unsigned closure_words; /* that are copied of a closure object; 0: one, the address of its code */
};
#define SHAPE_LIMITS_DEFAULT {.depth = 2, .max_string = 256, .max_items = 16}

/* One for each binary; grows as values are compiled. Shape 0 is "unknown". To be freed before the binary. */
struct shape_table {
	struct binary *binary;
	struct shape_limits limits;
	VEC(struct shape) shapes;
	VEC(struct shape_edge) edges;
	VEC(struct shape_dynamic) dynamic; /* sorted by rtype once shape_table_finish was called */
	uint32_t itab_type_off; /* where an itab keeps its type word */
	struct shape_index *index;
};

/* Errors: -ENODATA when the binary does not describe interfaces or maps (the sentence says what). */
int shape_table_new(struct binary *b, const struct shape_limits *limits, struct shape_table **ret, struct err *err);
void shape_table_free(struct shape_table *t); /* NULL ok */
/* The shape of a type; 0 when its size is 0 or it cannot be described. Adds what it leads to. */
uint32_t shape_of(struct shape_table *t, const struct type *type);
/* A value of the type may be of any other of its kind and size: only its descriptor, where the probe fires, tells. */
void shape_want_instances(struct shape_table *t, const struct type *shape);
/*
 * Adds the types that the interfaces among the shapes may hold (those with the methods; for an interface without
 * any, all of the binary), sorts. Called once, after the last shape_of and before planting.
 */
void shape_table_finish(struct shape_table *t);
const struct shape_dynamic *shape_dynamic_find(const struct shape_table *t, uint64_t rtype); /* NULL: not there */

#endif
