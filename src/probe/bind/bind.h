/*
 * Expressions → bound program: names are resolved against a function's signature, types are checked against a type
 * source. No binary is needed (bind_test.c has types of its own).
 */
#ifndef PROBE_BIND_H
#define PROBE_BIND_H

#include "probe/bind/bound.h"
#include "probe/bind/type_lookup.h"

/*
 * A value that an earlier program carries over: from a span's start to its other points (where the expression is
 * saved.NAME), or from a call's entry to its return (any expression of the question). It stands wherever that
 * expression does.
 */
struct carried_value {
	const struct expr *expr;
	unsigned number;         /* under which it was carried */
	const struct type *type;
};

struct bind_scope {
	struct type_lookup *types;
	const char *func, *symbol; /* the function's name, as people read it and as the linker has it */
	struct bound_variables variables;
	bool results_known;
	bool known;              /* anything is known of the signature */
	bool dictionary;         /* at the entry: there is one, and where it is is known */
	enum call_side at;       /* SIDE_ENTRY: parameters by name; SIDE_RETURN: results by name */
	bool traced;             /* an entry or a return of one call: also `latency` (return), `stack`, `func` */
	bool threads;            /* at a USDT probe of any program: there are no goroutines, and no types */
	bool closure;            /* the function is a closure: `closure` is known at the entry */
	bool inlined;            /* at an inlined call: the function that it stands in is not its caller */
	const struct carried_value *carried;
	size_t ncarried;
};
/* Names in scope: parameters (entry) or results (return) by name, `recv`, arg0…, ret0…; `goid`, `caller`, `closure`.
 * `err` is the last result of type error. typeof(x) of an interface is a VALUE_TYPE. uintptr(x) turns a
 * pointer into an integer (pointers print so without it too).
 *
 * A path follows pointers as Go's selectors do. What cannot be followed (nil, another type, no such key, an
 * index out of range) makes a capture's slot say so, and a condition false: the whole condition, unless the
 * path stands behind a && or || that is not reached. x.(T) == nil and x.(T) != nil never fail: they are
 * false when x holds another type. */

/* A trace context that is written into what the program is about to send: expressions; NULL: none. */
struct inject_item {
	unsigned form;                   /* enum inject_form (ir.h) */
	const char *carrier;             /* a word that the client's span has put down, and this request has, too;
					  * NULL: the span is the one that is open on the goroutine */
	const char *needs;               /* another such word, there only where something else allows it; or NULL */
	const char *armed;               /* a condition: whether it is a request at all; counts only where it holds */
	const char *present;             /* a condition: the program has put one there */
	const char *limited;             /* a condition: the peer allows little more than there is */
	const char *split;               /* a condition: what is filled is not all of the headers */
	const char *state_present;       /* a condition: the program has put a tracestate there; NULL: none is
					  * written beside the traceparent */
	const char *buffer;              /* a []byte in memory: what is appended to; where a copy is lent a parameter */
	const char *filled;              /* an int in memory: how much of the buffer's length counts; NULL: the buffer
					  * is filled to its length, and has room up to its capacity */
	const char *block, *stream;      /* of a frame: integers */
	const char *list;                /* of a record, which `buffer` points to: the field with its headers */
};

struct capture_item {
	const char *name;                /* what the slot is called */
	const char *const *alternatives; /* expressions, NULL-terminated: the first that resolves is used;
					  * empty: nothing but a mark that `when` held (slot value 1) */
	const char *when;                /* NULL or a condition: the slot stays absent when it is false */
	const char *once_for;            /* NULL or an expression: read once a goroutine while that is the same word */
	int carry;                       /* 0, or 1 + the number under which the value is also carried on */
	bool optional;                   /* if none resolves: leave it out instead of failing */
	bool whole;                      /* capture the whole value: as an image where a slot cannot hold it */
	const struct expr *expr;         /* instead of alternatives: parsed already, part of bind_request.text.
					  * Left out also if it lies where nothing can read it (-ENODATA) */
	uint32_t depth;                  /* 1 + how deep an image is followed; 0: as deep as the shapes go */
	unsigned links;                  /* not 0: it is a context, whose chain is captured: at most so many links */
	enum runtime_fact fact;          /* instead of all this; left out where the program does not tell it */
	const struct inject_item *inject;/* instead of all this */
	bool ids;                        /* likewise: the ids of the span's mark */
	bool unseen;                     /* it has no slot: only marks want it (struct lower_marks) */
	const char *left_out;            /* it is not captured, for this reason; NULL: it is */
	uint32_t max_bytes;              /* of a text that are copied; 0: as many as are possible or wanted */
};

struct bind_request {
	const char *filter;              /* NULL or a condition: the event is dropped when it is false */
	const struct expr *filter_expr;  /* instead of filter: parsed already, part of text */
	const char *goroutine, *sp;      /* NULL, or expressions: a *g, a stack pointer */
	const struct capture_item *items;
	size_t nitems;
	const char *text;                /* what the trees were parsed from, for columns */
	bool images;                     /* items with `whole` can be images */
};

/*
 * ret lives in arena, and points into the scope's types. Errors: -EINVAL with a sentence that points at the column
 * (unknown name: what exists is offered; wrong field: the fields that exist; type mismatch). -ENODATA: nothing is wrong
 * with an expression, but its value cannot be had; an item of that kind, like an optional one, has an alternative that
 * says so.
 */
int bind_program(const struct bind_scope *scope, const struct bind_request *request, struct arena *arena,
		 struct bound_program *ret, struct err *err);

/* One expression. text: what e is part of. */
int bind_expr(const struct bind_scope *scope, const struct expr *e, const char *text, struct arena *arena,
	      const struct bound **ret, struct err *err);
/* Whether e is a constant or a variable of a package, as the function of that symbol would call it. */
bool expr_is_global(struct type_lookup *types, const char *symbol, const struct expr *e);
/* The import path in a function's symbol. */
const char *package_of(struct arena *arena, const char *symbol);

#endif
