/*
 * The waist of trace: planters end here, sinks begin here. A call and a group of an aggregate as every sink gets them:
 * data, with all the texts that it takes to show them. (span/span.h is the same for spans; call/decode.h makes these.)
 */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include "base/wide.h"
#include "call/value.h"
#include "event/loss.h"
#include "probe/ir.h"
#include "target/resource.h"

enum call_end {
	CALL_RETURNED,
	CALL_PANICKED,     /* a panic or Goexit unwound it */
	CALL_OPEN,         /* still running when we left */
	CALL_EXITED,       /* the process ended during it */
	CALL_POINT,        /* only its entry was observed */
};

/* A function that a question asks about, or an instance of it that was inlined. Outlives its calls and groups. */
struct call_function {
	const char *question;      /* as it was asked: one text for all functions of a question */
	const char *name;          /* as the program has it: "main.(*Cart).Add" */
	const char *inlined_into;  /* of an inlined instance: the function it is in; NULL: it is none */
	const char *approximate;   /* why an inlined instance's hits need not be as many as its calls; or NULL */
	unsigned followed;         /* found in the code of traced ones, so many levels below; 0: asked for itself */
	bool threads;              /* a USDT probe: goid is the thread's number, depth 0 - SP */
	bool takes_all;            /* the question names no values: so all arguments and results are there */
};

enum call_value_kind { CALL_ARG, CALL_RESULT, CALL_EXPR };
struct call_value {
	enum call_value_kind kind;
	const char *name;          /* of the parameter or result; an expression as it was written */
	bool never_read;           /* known before any call: it was told then, and value says why */
	struct value_node value;   /* FORM_UNREADABLE without a text: there is none to show (a result of a call that
				    * did not return) */
};

static inline bool call_value_missing(const struct call_value *v)
{
	return v->value.form == FORM_UNREADABLE && !v->value.text;
}

struct call_record {
	const struct call_function *function;
	const struct resource *resource;
	uint64_t address;          /* of its code, run-time */
	enum call_end end;
	uint64_t start_unix_ns, start_ns /* monotonic */, duration_ns; /* 0 for CALL_POINT */
	uint64_t goid, depth;
	const struct call_value *values; /* args, results, printed expressions, in the question's order */
	size_t nvalues;
	/*
	 * Return addresses, run-time; NULL if not asked for. Of an inlined call the first lies in the function it is
	 * in.
	 */
	const uint64_t *stack;
	size_t nstack;
	bool stack_cut;
};

/* An aggregate of a question, for one function. Outlives its groups. */
struct call_aggregate {
	uintptr_t action;          /* the same for all functions of the question; orders as the question does */
	const char *text;          /* as written: "hist(latency) by user" */
	enum aggregate_kind kind;
	bool duration;             /* its value is a time in ns */
	int64_t low, high, step;   /* AGG_LINEAR */
	struct {
		const char *text;  /* as written: "user" */
		bool constant;     /* the same for all calls of the function: `func`, `pid` */
		bool stack;
	} keys[AGG_MAX_KEYS];
	size_t nkeys;
};

/* A group of an aggregate, with its keys as values. */
struct call_group {
	const struct call_function *function;
	const struct call_aggregate *aggregate;
	const struct resource *resource;
	struct value_node keys[AGG_MAX_KEYS];
	size_t nkeys;
	uint64_t count;
	int128 sum, min, max;
	const uint64_t *buckets;
	size_t nbuckets;
	bool inexact;              /* some calls of the function are not counted one by one */
	const struct losses *lost; /* of its function, in the same time; NULL: nothing */
};

/* A call that is open, as a planter's open_calls tells: from its record's header. */
struct call_running {
	uint32_t target;           /* resource.id */
	uint64_t goid, start_ns;
};

#endif
