/*
 * A captured value as a tree that every sink draws in its own way: plain data. (call/value_slot.h makes it from a
 * record's slots and chunks and the binary's types; nothing reads a process.)
 */
#ifndef CALL_VALUE_H
#define CALL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

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

/* How many parts of the value are missing because memory could not be read: as many as say so when it is shown. */
uint64_t value_lost(const struct value_node *v);

/* As Go people write it: {Name:"alice" Age:3}, [1 2 3], map[a:1], &{…}, 1.5s. One line, no control characters. */
void value_print(const struct value_node *v, struct buf *out);
/* As design.md has it: {"value":…,"truncated":true,"len":N} where cut, {"unreadable":"reason"}. */
void value_json(const struct value_node *v, struct json *out);

#endif
