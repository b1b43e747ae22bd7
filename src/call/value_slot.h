/* From a slot of a record to a value. */
#ifndef CALL_VALUE_SLOT_H
#define CALL_VALUE_SLOT_H

#include "base/arena.h"
#include "call/value.h"
#include "event/event.h"
#include "probe/plan/call_plan.h"

struct value_texts; /* value_texts.h */

struct value_context {
	struct binary *binary;
	const struct shape_table *shapes; /* or NULL */
	uint64_t bias;                    /* of the process */
	struct arena *arena;              /* nodes live there */
	const struct value_texts *texts;  /* which field is the text of which error type; NULL: the built-in ones */
	uint64_t call_pc;                 /* of an inlined call: plan->call_pc, at run time; 0: none */
};

/* Never fails: what cannot be read is FORM_UNREADABLE with the reason. */
void value_from_slot(const struct value_context *c, const struct event *e, size_t slot, const struct ir_slot *what,
		     const struct shown *shown /* or NULL */, struct value_node *ret);

/* The innermost function that a run-time address belongs to; with_line and where: "main.handle main.go:17". Arena's. */
const char *code_name(const struct value_context *c, uint64_t pc, bool with_line);

#endif
