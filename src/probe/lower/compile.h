/*
 * Expressions → capture program: names are resolved against a function's signature, types are checked
 * against the binary, and the result is IR (ir.h).
 */
#ifndef PROBE_COMPILE_H
#define PROBE_COMPILE_H

#include "probe/lang/expr.h"
#include "probe/ir.h"
#include "probe/planter_caps.h"

/* A value that the start of a span keeps for the other points of its definition: saved.NAME there. */
struct saved_value {
	const char *name;
	const struct type *type;
	const struct expr *expr; /* instead of saved.NAME: wherever this expression stands (traced calls) */
	unsigned number;         /* with expr: under which it was saved */
};

struct capture_scope {
	struct binary *binary;
	const struct func *func;
	const struct signature *signature;
	enum site_kind at;      /* SITE_ENTRY: parameters by name; SITE_RETURN: results by name */
	const struct saved_value *saved;
	size_t nsaved;
	const struct closure_var *captured; /* variables of a closure, known at its entry */
	size_t ncaptured;
	bool traced;            /* an entry or a return of one call: also `latency` (return), `stack`, `func` */
	bool inlined;           /* at an inlined call: func, the host, is not its caller */
};
/* Names in scope: parameters (entry) or results (return) by name, `recv`, arg0…, ret0…; `goid`, `caller`.
 * `err` is the last result of type error. typeof(x) of an interface is a VALUE_TYPE. uintptr(x) turns a
 * pointer into an integer (pointers print so without it too).
 *
 * A path follows pointers as Go's selectors do. What cannot be followed (nil, another type, no such key, an
 * index out of range) makes a capture's slot say so, and a condition false: the whole condition, unless the
 * path stands behind a && or || that is not reached. x.(T) == nil and x.(T) != nil never fail: they are
 * false when x holds another type. */

/* As a name in an expression: the address of a generic function's dictionary. No question can contain it. */
#define CAPTURE_DICTIONARY ".dict"
/* Whether it is known at the entry: an argument, or, of a closure, a captured variable. */
bool scope_has_dictionary(const struct signature *s, const struct closure_var *captured, size_t ncaptured);

struct capture_item {
	const char *name;                /* what the slot is called */
	const char *const *alternatives; /* expressions, NULL-terminated: the first that resolves is used;
	                                  * empty: nothing but a mark that `when` held (slot value 1) */
	const char *when;                /* NULL or a condition: the slot stays absent when it is false */
	int save;                        /* 0, or 1 + the number under which the value is also saved (IR_SAVE) */
	bool optional;                   /* if none resolves: leave it out instead of failing */
	bool whole;                      /* capture the whole value: as an image where a slot cannot hold it */
	const struct expr *expr;         /* instead of alternatives: parsed already, part of capture_request.text.
	                                  * Left out also if it lies where nothing can read it (-ENODATA) */
	uint32_t depth;                  /* 1 + how deep an image is followed; 0: as deep as the shapes go */
	uint32_t max_bytes;              /* of a text that are copied; 0: as many as are possible or wanted */
};

struct capture_request {
	const char *filter;              /* NULL or a condition: the event is dropped when it is false */
	const char *goroutine, *sp;      /* NULL, or expressions for IR_GOROUTINE */
	const struct capture_item *items;
	size_t nitems;
	const struct planter_caps *caps; /* the planter's; NULL: what every planter can do */
	enum program_role role;          /* which instructions the program may have */
	uint32_t call_group;
	const char *text;                /* what the trees were parsed from, for columns */
	const struct expr *filter_expr;  /* instead of filter */
	struct shape_table *shapes;      /* for items with `whole`; NULL: images are refused */
};

/* Bytes of an image that lie in XMM registers where these cannot be read: zeros stand for them. */
struct unread_range {
	uint32_t offset, size;
};
struct unread {
	struct unread_range ranges[4];
	size_t n;
};

struct capture_result {
	struct capture_program program;
	int *slot_of_item;               /* nitems entries: slot number or -1 when left out; images come last */
	const char **why;                /* nitems entries: why it was left out, or NULL */
	struct unread *unread;           /* nitems entries */
	const struct type **types;       /* nitems entries: of the value, predeclared types too; NULL when left out */
};

/*
 * Everything returned lives in arena. Errors: -EINVAL with a sentence that points at the column
 * (unknown name: what exists is offered; wrong field: the fields that exist; type mismatch).
 */
int capture_compile(const struct capture_scope *scope, const struct capture_request *request,
		    struct arena *arena, struct capture_result *ret, struct err *err);

/* The type of a value, NULL if it has none or does not compile. */
const struct type *capture_type(const struct capture_scope *scope, const struct expr *e, struct arena *arena);
/* Whether e is a constant or a variable of a package, as the function of that symbol would call it. */
bool expr_is_global(struct binary *b, const char *symbol, const struct expr *e);
/* The import path in a function's symbol. */
const char *package_of(struct arena *arena, const char *symbol);

#endif
