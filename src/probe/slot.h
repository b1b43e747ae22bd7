/*
 * What the slots of a record hold. The record has most of it; what it only names by address, and the program cannot
 * write, is read from the program's file. Nothing here reads a process.
 */
#ifndef PROBE_SLOT_H
#define PROBE_SLOT_H

#include "base/arena.h"
#include "binary/binary.h"
#include "event/event.h"
#include "probe/ir.h"

struct slot_source {
	struct binary *binary;   /* the program, or NULL */
	uint64_t bias;           /* of the process */
	uint64_t max_text;       /* as much of a text is read from the file */
	struct arena *arena;     /* what is read from the file is copied there */
};

struct slot_value {
	enum slot_status status; /* OK or CUT: here is the value. NOT_RESIDENT: of a text the part that could be read,
				  * maybe nothing. Else why there is none */
	bool lost;               /* memory could not be read: all of the value or the rest of a text */
	uint64_t word;           /* a scalar; of a text 0 where it is nil */
	const char *text;        /* VALUE_STRING, VALUE_STACK: len of full_len bytes, in the record or the arena */
	size_t len, full_len;
};

/* slot is one of the record's. */
void slot_read(const struct event *e, size_t slot, enum value_kind kind, const struct slot_source *src,
	       struct slot_value *ret);
/* The name of the type that a word of VALUE_TYPE stands for; NULL if it is none. */
const char *slot_type_name(const struct slot_source *src, uint64_t word);
/*
 * As many of at most max bytes at a run-time address as the file has and the program cannot write, in the arena. NULL
 * if there are none, or the file has changed.
 */
const void *slot_constant(const struct slot_source *src, uint64_t addr, uint64_t max, uint64_t *ret_n);

#endif
