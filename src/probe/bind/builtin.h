/*
 * The names that a question has beside those of the program: one table (builtin.c), which says of each where it is
 * known and how. A parameter, a result or a captured variable of the same name hides it.
 */
#ifndef PROBE_BUILTIN_H
#define PROBE_BUILTIN_H

#include <stdbool.h>

struct binder;
struct bound;
struct expr;

enum call_side { SIDE_NONE /* constants: anywhere */, SIDE_ENTRY, SIDE_RETURN };

enum builtin_name {
	BUILTIN_LATENCY,
	BUILTIN_ERR,
	BUILTIN_FUNC,
	BUILTIN_PID,
	BUILTIN_TID,        /* of the thread, where there are no goroutines */
	BUILTIN_PANICKED,
	BUILTIN_GOID,
	BUILTIN_CALLER,
	BUILTIN_CLOSURE,
	BUILTIN_STACK,
	BUILTIN_RECV,
	BUILTIN_ARG /* arg0, arg1, … */,
	BUILTIN_RET /* ret0, … */,
	BUILTIN_SAVED,      /* saved.NAME */
	BUILTIN_DICTIONARY, /* of a generic function: no question can write it */
};

enum builtin_flags {
	BUILTIN_NUMBERED = 1 << 0,    /* a number follows the name */
	BUILTIN_TRACED = 1 << 1,      /* of traced calls only */
	BUILTIN_OF_RECORD = 1 << 2,   /* standing alone it needs no slot: who reads the record knows it */
	BUILTIN_OF_INLINED = 1 << 3,  /* known of the record, too, but of an inlined call only */
	BUILTIN_SAME = 1 << 4,        /* the same at the return as at the entry */
	BUILTIN_NO_RESULT = 1 << 5,   /* of the return, but known as well of a call that did not return */
	BUILTIN_OF_SIGNATURE = 1 << 6,/* stands for a parameter or a result */
	BUILTIN_THREADS = 1 << 8,     /* known also of programs that are not Go's, or of these only */
	BUILTIN_ENDS = 1 << 7,        /* asks how or when a call ended */
};

struct builtin {
	const char *name;
	enum builtin_name id;
	enum call_side side;          /* where it is known first */
	unsigned flags;               /* enum builtin_flags */
	/* Inside bind/: what it means; NULL where the signature is looked at first (BUILTIN_OF_SIGNATURE) or saved
	 * values. */
	int (*bind)(struct binder *b, const struct expr *e, struct bound **ret);
};

#define DICTIONARY_NAME ".dict"

/* NULL: there is none of that name. */
const struct builtin *builtin_find(const char *name);
/* The table, for listings: i from 0 on, NULL behind the last. */
const struct builtin *builtin_at(unsigned i);
/* Whether it needs no slot where it stands alone. */
static inline bool builtin_is_of_record(const struct builtin *t, bool of_inlined_call)
{
	return t->flags & (BUILTIN_OF_RECORD | (of_inlined_call ? BUILTIN_OF_INLINED : 0u));
}
/* Whether name is that of id. */
bool builtin_is(const char *name, enum builtin_name id);

#endif
