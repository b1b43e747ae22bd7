/*
 * Bound program × where its values lie in a binary → capture program (IR).
 */
#ifndef PROBE_LOWER_H
#define PROBE_LOWER_H

#include "probe/bind/bound.h"
#include "probe/ir.h"
#include "probe/planter_caps.h"
#include "usdt/notes.h"

/* Where the values of a bound program's names lie. */
struct places {
	struct binary *binary;
	const struct signature *signature;
	const struct closure_var *captured; /* in the order of the scope that was bound in */
	const struct usdt_site *usdt;       /* instead of all these: of whatever program */
};

/* What a point of a span does with marks (probe/mark.h). */
enum mark_action {
	MARKS_START,   /* decides, and leaves one */
	MARKS_NOTE, MARKS_TIE, MARKS_DETACH,
	MARKS_END,
	MARKS_UNWIND, MARKS_EXIT,
	MARKS_INJECT,  /* none is left: that of the span that is open on its goroutine is looked for */
	MARKS_RELEASE, /* none at all: what an inject at the function's entry has lent is given back */
};
enum mark_use { MARK_HEADER, MARK_TRACESTATE, MARK_PARENT, MARK_OWN, MARK_KEYED, MARK_CARRIED,
		MARK_FOUND /* by another's carrier: the point is about that span, not about one on its goroutine */ };
struct lower_mark_word {
	enum mark_use use;
	size_t capture;                  /* of the bound program: what it is found, or kept, by */
};
struct lower_marks {
	enum mark_action action;
	uint32_t group, call;            /* numbers of the span's definition, of the function that the point is in */
	uint64_t threshold;              /* START: of mark_threshold */
	bool by_ratio;                   /* … also for what comes with a header */
	bool child;                      /* … it has a parent, most likely */
	bool by_creator;                 /* … or NOTE: its goroutine's creator counts */
	uint32_t flags;                  /* START: of the record's struct event_context, beside the mark's */
	bool of_call;                    /* END, DETACH: at the return of a function that starts the span */
	bool detached;                   /* the span is found by its key alone once it has it */
	bool or_end;                     /* DETACH: it ends where it has no key */
	const struct lower_mark_word *words;
	size_t nwords;
	const uint32_t *around;          /* INJECT: numbers of definitions that the span's is a part of */
	size_t naround;
};

struct lower_options {
	const struct planter_caps *caps; /* the planter's; NULL: what every planter can do */
	enum program_role role;          /* which instructions the program may have */
	uint32_t call_group;
	struct shape_table *shapes;      /* for captures of whole values; NULL: images are refused */
	const struct lower_marks *marks; /* NULL: the program has none */
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
	const struct bound_program *bound; /* what it was made of */
	int *slot_of_item;               /* for each capture: slot number or -1 when left out; images come last */
	const char **why;                /* … why it was left out, or NULL */
	const struct bound **values;     /* … what was captured; NULL when left out or only a mark */
	struct unread *unread;
	const struct type **types;       /* … of the value, predeclared types too; NULL when left out */
};

/*
 * Everything returned lives in arena; p must live as long. Errors: -EINVAL with a sentence that points at the column; a
 * capture that has no place (-ENODATA) is left out where it may be.
 */
int lower_program(const struct bound_program *p, const struct places *places, const struct lower_options *o,
		  struct arena *arena, struct capture_result *ret, struct err *err);

#endif
