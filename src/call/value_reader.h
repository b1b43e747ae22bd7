/*
 * Inside the reading of values (value.c, value_read.c, value_memory.c, value_map.c, value_interface.c, value_time.c):
 * nothing else includes this.
 */
#ifndef CALL_VALUE_READER_H
#define CALL_VALUE_READER_H

#include "call/value_slot.h"
#include "probe/shape_index.h"
#include "probe/slot.h"

enum { VALUE_NODES_MAX = 20000, VALUE_NESTING_MAX = 100 };

/* A value that is being read, and those that it is part of: how cycles are found. */
struct visit {
	uint64_t addr;
	const struct type *type;
	const struct visit *up;
};

struct reader {
	const struct value_context *c;
	const struct event *e;
	const struct unread *unread; /* NULL: none */
	size_t nodes;           /* made so far */
	unsigned nesting;
	const struct visit *visits;
};

#define NOT_IN_ROOT UINT64_MAX

/* Bytes of the program's memory: as many as were captured. */
struct window {
	const uint8_t *p;
	uint64_t n;
	uint64_t root;          /* offset in the slot's own image, or NOT_IN_ROOT */
	unsigned depth;         /* pointers that were followed from here */
	const struct event_chunk *chunk; /* that they lie in, or NULL */
};

enum found { FOUND, FOUND_NOT, FOUND_CUT /* less than was wanted */, FOUND_UNREADABLE };

/* ---- value_read.c ---- */

void value_read(struct reader *r, const struct type *t, struct window w, struct value_node *ret);
/* A child array; NULL when the value has become too large (then *ret says so). */
struct value_node *value_children(struct reader *r, size_t n, struct value_node *ret);
void value_unreadable(struct value_node *ret, const char *why);
/* Makes it unreadable, for the reason why memory was not found. */
void value_missing(const struct reader *r, enum found f, struct value_node *ret);
/* Of a text, a list or a map, whose length is known: what is not here could not be had. */
void value_left_out(const struct reader *r, enum found f, struct value_node *ret);
/* A string of len bytes at addr: FORM_STRING or FORM_BYTES. */
void value_string(struct reader *r, uint64_t addr, uint64_t len, enum value_form form, struct value_node *ret);

/* ---- value_memory.c: finding what a pointer leads to ---- */

struct window window_part(struct window w, uint64_t offset, uint64_t n);
/* Whether one of the n bytes at offset could not be read: a zero stands for it. */
bool window_lost(struct window w, uint64_t offset, uint64_t n);
/* How many of the first n bytes could be read. */
uint64_t window_readable(struct window w, uint64_t n);
/* The copy of memory at addr by that shape; the longest there is. */
enum found memory_find(const struct reader *r, uint64_t addr, uint32_t shape, struct window *ret);
/* Where the file has what the record may lack. */
struct slot_source slot_source_of(const struct value_context *c);
/* The same of the file: NULL unless the n bytes lie where the program cannot write. */
const uint8_t *memory_constant(const struct value_context *c, uint64_t addr, uint64_t n);
/* As many of at most `max` bytes as the file has. */
const uint8_t *memory_literal(const struct value_context *c, uint64_t addr, uint64_t max, uint64_t *ret_n);
/* Why something that was not found is missing. */
const char *memory_why(const struct reader *r, enum found f);
uint64_t window_word(struct window w, uint64_t offset); /* 0 outside */

bool visit_begin(struct reader *r, struct visit *v, uint64_t addr, const struct type *t, struct value_node *ret);
void visit_end(struct reader *r);

/* ---- by kind ---- */

void value_read_map(struct reader *r, const struct type *t, struct window w, struct value_node *ret);
void value_read_interface(struct reader *r, const struct type *t, struct window w, struct value_node *ret);
/* False when t is none of Go's types that are shown in their own way. */
bool value_read_time(struct reader *r, const struct type *t, struct window w, struct value_node *ret);
int value_compare(const struct value_node *a, const struct value_node *b); /* as Go's fmt orders keys */

#endif
