/*
 * The bound program: what a probe captures and tests, as typed trees. It knows names and types; it knows no registers,
 * no offsets and no binary. Two things are made of it: the capture program of a planter (lower/), and Go source
 * (print_go.h).
 *
 * A tree means what Go's expression means, with one thing more: where a step cannot be taken (a nil pointer, another
 * type in an interface, no such key, an index out of range), the whole expression has no value, instead of a panic or a
 * zero.
 */
#ifndef PROBE_BOUND_H
#define PROBE_BOUND_H

#include "binary/type.h"
#include "probe/bind/builtin.h"
#include "probe/lang/expr.h"

enum bound_op {
	/* names */
	BOUND_CONST,      /* `constant` */
	BOUND_PARAM,      /* parameter number `index`: the receiver is the first where there is one */
	BOUND_RESULT,     /* result number `index` */
	BOUND_CAPTURED,   /* variable number `index` of the closure */
	BOUND_DICTIONARY, /* the generic function's dictionary */
	BOUND_GLOBAL,     /* `global`, a variable of a package */
	BOUND_CARRIED,    /* carried value number `index` */
	BOUND_THREAD,     /* the number of the thread */
	BOUND_GOID, BOUND_CALLER, BOUND_LATENCY, BOUND_STACK,
	BOUND_CLOSURE,    /* the closure object that the function was called with */
	/* selectors: each takes one step, and pointers are followed by BOUND_DEREF alone */
	BOUND_FIELD,      /* a.field, a is a struct */
	BOUND_DEREF,      /* *a */
	BOUND_INDEX,      /* a[b] of a slice, a string, an array */
	BOUND_KEY,        /* a[b] of a map */
	BOUND_SLICE,      /* a[b:c]; b and c may be NULL */
	BOUND_ASSERT,     /* a.(type) */
	/* functions */
	BOUND_TYPEOF,     /* the dynamic type of a */
	BOUND_LEN, BOUND_CAP,
	BOUND_CONVERT,    /* type(a) */
	BOUND_C_TEXT,     /* the C string at address a, or b bytes there, as a string; b may be NULL */
	BOUND_TEXT,       /* a hasprefix, hassuffix, contains b: `text` */
	BOUND_HAS_NAME,   /* whether a map a has a key, or a list a an element that begins with a text, that is the
			   * constant b in either case of its letters */
	BOUND_LITERAL,    /* type{elements…} */
	/* operators */
	BOUND_NOT, BOUND_NEGATE, BOUND_COMPLEMENT, /* !a -a ^a */
	BOUND_AND, BOUND_OR,
	BOUND_ARITHMETIC, /* a `sign` b, of one type but for shifts */
	BOUND_SHIFT,      /* a << b, a >> b */
	BOUND_COMPARE,    /* a `sign` b, as `how` says */
};

enum compare_how {
	COMPARE_CONSTANTS,
	COMPARE_NIL,          /* one is nil */
	COMPARE_ASSERTED_NIL, /* x.(T) with nil, which is false where x holds another type */
	COMPARE_TYPE,         /* typeof(x) with another or with a type's name: `held`, NULL: no interface holds it */
	COMPARE_CALLER,       /* an address in the code with a function's name */
	COMPARE_INTERFACE, /* an interface with another, or with a value: whose `held` is the type it would have in one
			    */
	COMPARE_TEXT,
	COMPARE_PARTS, /* structs, arrays, complex numbers */
	COMPARE_SCALARS,
};

enum text_function { TEXT_PREFIX, TEXT_SUFFIX, TEXT_CONTAINS };

struct constant {
	enum expr_op kind;    /* EXPR_INT, _FLOAT, _STRING, _BOOL, _NIL */
	int64_t number;
	bool big;             /* EXPR_INT: a uint64 above the largest int64 */
	double real;
	const char *text;
	size_t len;
};

struct bound;

/* What a literal says of a field or an element. */
struct bound_element {
	const char *name;                /* of the field; NULL: of an array */
	const struct bound *value;       /* NULL: its zero */
};

struct bound {
	enum bound_op op;
	const struct type *type;         /* NULL: an untyped constant */
	const struct expr *expr;         /* where it came from, for messages */
	const struct constant *constant; /* known without looking; what is below may fail for all that */
	const struct bound *a, *b, *c;
	union {
		size_t index;
		struct type_field field;
		const struct global *global;
		enum text_function text;
		enum compare_how how;
		const struct bound_element *elements; /* in the order of the type; from nelements on: zero */
	};
	size_t nelements;
	const struct type *held;         /* the type that it has in an interface, where it is compared with one */
	const char *sign;                /* BOUND_ARITHMETIC, _SHIFT, _COMPARE: "+", "==" */
};

static inline bool is_const(const struct bound *n, enum expr_op kind)
{
	return n->constant && n->constant->kind == kind;
}

/* How a captured value is kept in a record. */
enum capture_form {
	CAPTURE_MARK,       /* no value: that `when` held */
	CAPTURE_WORD,       /* a number, a bool, a pointer, a type, an address */
	CAPTURE_BYTES,      /* of a string or []byte */
	CAPTURE_CALLERS,    /* a stack */
	CAPTURE_NOTHING,    /* of no bytes: the type says all */
	CAPTURE_IMAGE,      /* a copy of its memory */
	CAPTURE_CHAIN,      /* of a context: where it and those that it was made of lie */
	CAPTURE_FACT,       /* no value of the program's: a fact of the runtime's */
	CAPTURE_INJECT,     /* what came of writing a trace context */
	CAPTURE_IDS,        /* likewise: the ids of the span's mark (probe/mark.h) */
};

/* What the runtime knows of the goroutine, and of the ids that new ones get (struct lineage_layout). */
enum runtime_fact { FACT_NONE, FACT_CREATOR, FACT_START_PC, FACT_ID_COUNTER, FACT_ID_CACHE, FACT_ID_CACHE_END };

enum { BOUND_MAX_CARRIED = 4, BOUND_MAX_TEXT = 128 /* bytes of a text that is looked for */ };

/* An expression with the text that it was written in, for messages that point at a column. */
struct bound_text {
	const struct bound *root;        /* NULL: none */
	const char *text;
	int column;                      /* of all of it */
};

/* Where a trace context goes, and which. What a part means: struct inject_item. */
struct bound_inject {
	unsigned form;
	const char *list;                /* a field's name */
	const struct type *list_type;    /* its type, if it has a text and a []byte for each header: in these fields */
	const char *header_name, *header_value;
	struct bound_text needs;
	/* root NULL: none */
	struct bound_text carrier, present, limited, split, state_present, buffer, filled, block, stream;
};

struct bound_alternative {
	struct bound_text value;         /* root NULL: it is wrong, see why (or a mark: CAPTURE_MARK) */
	enum capture_form form;
	const struct err *why;
};

struct bound_capture {
	const char *name;
	struct bound_text when;          /* absent where it is false */
	struct bound_text once_for;      /* read again only when this is another word; root NULL: each time */
	const struct bound_alternative *alternatives; /* the first that has a place is taken; one at least */
	size_t nalternatives;
	int carry;                       /* 0, or 1 + the number under which the value is carried on */
	bool optional, whole, parsed;    /* as in struct capture_item; parsed: of one text with the others */
	uint32_t depth, max_bytes;
	unsigned links;                  /* CAPTURE_CHAIN */
	enum runtime_fact fact;          /* CAPTURE_FACT */
	const struct bound_inject *inject; /* CAPTURE_INJECT */
	bool unseen;                     /* it has no slot: only marks want it */
};

/* A parameter, a result, or a variable of a closure. */
struct bound_variable {
	const char *name;        /* NULL or "": it has none */
	const struct type *type; /* NULL: not known */
	bool as_word;            /* not known, but it is one word, which is read as a number of that type */
	const char *untyped;     /* a type was declared, but is not known: what to write; or NULL */
	const char *why;         /* it cannot be had at all: why; or NULL */
};

/* Of one function: what BOUND_PARAM, BOUND_RESULT and BOUND_CAPTURED count. */
struct bound_variables {
	const struct bound_variable *params, *results, *captured;
	size_t nparams, nresults, ncaptured;
	bool has_receiver;       /* params[0] */
};

struct bound_program {
	enum call_side side;
	struct bound_variables variables;
	const char *func, *symbol;       /* the function's name, as people read it and as the linker has it */
	bool traced;
	struct bound_text goroutine, sp; /* whose values they are, instead of the current goroutine's; addresses */
	struct bound_text filter;
	const struct bound_capture *captures;
	size_t ncaptures;
	const struct bound *dictionary;  /* where a generic function's types can be looked up; or NULL */
};

/* ---- types that need no source ---- */

const struct type *basic_type(enum type_kind kind); /* predeclared */
extern const struct type type_word_type;            /* what typeof gives */
extern const struct type code_address_type, stack_type; /* of `caller`, `stack` */
bool is_made_here(const struct type *t);
bool is_pointer_shaped(const struct type *t);
bool is_complex_type(const struct type *t);
bool holds_bytes(const struct type *t);             /* string, []byte; NULL ok */

/* How two operands compare: each has a type, or is an untyped constant (type NULL). */
struct operand {
	const struct type *type;
	const struct constant *constant;
};
enum compare_how comparison_of(struct operand a, struct operand b);
bool operand_is_text(struct operand o);
/* The zero of a type, as a constant or an empty literal. */
struct bound bound_zero(const struct type *t, const struct expr *e, struct constant *k);

/* ---- messages ---- */

const char *with_article(struct arena *arena, const char *noun); /* "an int" */
/* "an int", "a constant text", "nil" */
const char *operand_with_article(struct arena *arena, struct operand o);
const char *operand_type_text(struct operand o);
const char *expr_short(struct arena *arena, const struct expr *e);

#endif
