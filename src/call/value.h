/*
 * A captured value as a tree that every output draws in its own way. Built from a record's slots and chunks and the
 * binary's types; nothing here reads a process.
 */
#ifndef CALL_VALUE_H
#define CALL_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "event/event.h"
#include "probe/plan/call_plan.h"

enum value_form {
	FORM_NIL,
	FORM_BOOL,        /* u */
	FORM_INT,         /* i */
	FORM_UINT,        /* u */
	FORM_FLOAT,       /* f; bits: 32 or 64 of precision */
	FORM_COMPLEX,     /* f, imag */
	FORM_STRING,      /* text, len; full_len when cut */
	FORM_BYTES,       /* []byte: text, len; full_len when cut; u is 0 when it is nil */
	FORM_TEXT,        /* ready to be shown as it is: a time, a duration, a function's name, a type's name */
	FORM_LIST,        /* slices, arrays: children; full_len when cut; u is 0 when it is nil */
	FORM_STRUCT,      /* children with names */
	FORM_MAP,         /* children in pairs: key, value, …; full_len when cut; u is 0 when it is nil */
	FORM_POINTER,     /* u the address; one child; or none: it was not followed */
	FORM_ADDRESS,     /* u: an unsafe.Pointer, of which nobody knows what it leads to */
	FORM_INTERFACE,   /* type_name, one child; or none: it was not followed, and u is the data word */
	FORM_ERROR,       /* an error: text is what it says, type_name its concrete type; children its fields if its
	                   * text is not known */
	FORM_CHAN,        /* u the address, i length, full_len capacity (cut: these are not known) */
	FORM_CYCLE,       /* a pointer to a value that it is part of: u */
	FORM_UNREADABLE,  /* text: why */
};

struct value_node {
	enum value_form form;
	const char *name;          /* of a field; NULL otherwise */
	const char *type_name;     /* of structs, interfaces, named types; or NULL */
	bool cut;                  /* there is more than is here: full_len is how much in all, len where
				    * that is unknown */
	bool lost;                 /* memory could not be read: it is FORM_UNREADABLE, or why says so */
	const char *why;           /* of what is cut: why it is not here; NULL: no more was wanted */
	bool indirect;             /* of an interface without a child: the word is where the value lies */
	uint8_t bits;
	const char *constant;      /* FORM_INT, FORM_UINT: what the program calls a value of this type that is
				    * so; or NULL */
	uint64_t u;
	int64_t i;
	double f, imag;
	const char *text;
	size_t len, full_len;
	struct value_node *children;
	size_t nchildren;
};

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

/* How many parts of the value are missing because memory could not be read: as many as say so when it is shown. */
uint64_t value_lost(const struct value_node *v);

/* As Go people write it: {Name:"alice" Age:3}, [1 2 3], map[a:1], &{…}, 1.5s. One line, no control characters. */
void value_print(const struct value_node *v, struct buf *out);
/* As design.md has it: {"value":…,"truncated":true,"len":N} where cut, {"unreadable":"reason"}. */
void value_json(const struct value_node *v, struct json *out);

/*
 * The functions that the instruction at a run-time address belongs to, the innermost inlined one first, each by name
 * and, where known, file:line; "0x…" if there is none. Fills up to max (CODE_FRAMES_MAX: all), returns how many.
 * Arena's.
 */
#define CODE_FRAMES_MAX 64
size_t code_frames(const struct value_context *c, uint64_t pc, bool with_line, const char **ret, size_t max);
/* The first of them. */
const char *code_name(const struct value_context *c, uint64_t pc, bool with_line);

#endif
