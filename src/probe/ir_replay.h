/*
 * Capture programs over records: a program that was built with its probes (plant/woven.h) has recorded parameters and
 * results as values, and what a probe would have tested and captured of them is tested and captured here. So a question
 * means the same, however it is asked.
 *
 * Each slot of the record stands for a variable that lies on the stack, REPLAY_BYTES each from the stack pointer at the
 * entry on: a word; a text's address, length and capacity; an interface's first word, which leads to its type and no
 * further. Nothing else of the program's memory is there.
 */
#ifndef PROBE_IR_REPLAY_H
#define PROBE_IR_REPLAY_H

#include "probe/ir.h"

#define REPLAY_BYTES 24

enum replay_form {
	REPLAY_NOTHING, /* no program may ask for it */
	REPLAY_WORD,    /* a scalar; an interface without methods that is looked at for its type alone */
	REPLAY_TEXT,    /* a string, a []byte */
	REPLAY_TYPE,    /* the type that an interface with methods holds: VALUE_TYPE */
};

/* Whether the program asks for nothing but these: 0, or -ENODATA with what it lacks as the rest of a sentence. */
int replay_check(const struct capture_program *p, const enum replay_form *forms, size_t n, struct err *err);

struct replay {
	const struct event *from;        /* the record, whose slots are the variables */
	const enum replay_form *forms;   /* of its n first slots */
	size_t n;
	struct capture_known known;      /* IR_LATENCY, IR_SAVED */
	uint64_t bias;                   /* run-time address minus image address */
	uint32_t probe;                  /* of what is made */
	enum event_kind kind;
};
enum replay_verdict {
	REPLAY_PASSED,
	REPLAY_DROPPED,
	REPLAY_UNREADABLE,               /* dropped, as LOSS_FILTER_UNREADABLE has it */
};
/* Runs a program that replay_check lets pass. What passed is appended to out as a record of its own. */
enum replay_verdict replay_program(const struct capture_program *p, const struct replay *r, struct buf *out);

/* What an entry's program has saved, by its record. */
void replay_saved(const struct capture_program *entry, const struct event *record, struct capture_known *ret);

#endif
