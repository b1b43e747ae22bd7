/*
 * Questions × a binary → what is planted: for each function that a question matches, where, and the capture programs,
 * and what the slots mean; or the reason why not. Needs no running process and no privileges.
 *
 * A condition is split: what needs the entry only is tested there; what needs results, `latency` or `err` is tested at
 * the return, together with the outcome of entry-only parts, which the entry saves (ir.h, PROGRAM_ENTRY). A question
 * that asks for nothing of the return (counts, entry values, inlined instances) plants no return.
 *
 * A call that panicked has no results: a condition on one is not met. Where that is known in advance, its end is told
 * to nobody (capture_program.unwound_unseen); a condition on `latency` is tested when the end is known
 * (plan_ending_holds).
 */
#ifndef PROBE_CALL_PLAN_H
#define PROBE_CALL_PLAN_H

#include "probe/ir_replay.h"
#include "probe/lower/compile.h"
#include "probe/pack/pack.h"
#include "probe/lang/question.h"

enum shown_kind { SHOWN_ARG, SHOWN_RESULT, SHOWN_EXPR };

struct shown {               /* a value that the question prints */
	const char *name;
	enum shown_kind kind;
	bool at_entry;       /* in which record its slot is */
	int slot;            /* -1: see why. Without a why: `func`, `pid`, `panicked`, `caller` (name),
			      * known of the call */
	const struct type *type;
	const char *why;     /* it cannot be read, known before it is tried (a float in an XMM register …) */
	struct unread unread; /* of its image: these fields read as unreadable */
};

/*
 * The part of a condition that asks for the text of an error. What an error says is put together by the packs' rules
 * from what was captured of it, which no probe can do; so that part is tested where the call's record is read, and the
 * record is written for all calls that pass the rest.
 */
enum late_op {
	LATE_AND, LATE_OR, LATE_NOT, /* a, b */
	LATE_BOOL,                   /* value: a bool, tested where the probe fired */
	LATE_PANICKED,
	LATE_EQUAL, LATE_PREFIX, LATE_SUFFIX, LATE_CONTAINS, /* the text of the error `value`, and `text` */
};
struct late {
	enum late_op op;
	const struct late *a, *b;
	struct shown value;
	const char *text;
	size_t len;
};

struct plan_aggregate {
	const struct action *action;
	size_t index;        /* in the program's aggregates */
	const struct ir_slot *value;                /* what its slots are; NULL for counts */
	const struct ir_slot *keys[AGG_MAX_KEYS];
	bool constant_key[AGG_MAX_KEYS];            /* the key is `func`: known without a slot; keys[] is NULL */
};

/* What a question says of a call that did not return. */
enum plan_end {
	END_SHOWN,
	END_LEFT_OUT,        /* its condition asks for a result: not met */
	END_TESTED,          /* its condition asks for `latency`, which is known when the call has ended */
};
struct plan_ending {
	enum plan_end is;
	/*
	 * END_TESTED: a filter over IR_LATENCY and IR_SAVED, which is number plan->carried_slots[imm] of
	 * the entry's slots.
	 */
	struct capture_program test;
};

/*
 * A function whose calls the program records itself, since it was built so (plant/woven.h): what a question can ask of
 * them without a probe.
 */
struct recorded_variable {
	const char *name;    /* "": it has none */
	const char *form;    /* what its type is made of: "int64", "string", "[]uint8", "error"; "" without a slot */
	const char *type;    /* as Go has it; "": not known */
	int slot;            /* of the record; -1: it is not in it */
};
struct recorded_side {       /* an entry's record: parameters, the receiver first; or a return's: results */
	const struct recorded_variable *variables;
	size_t n, nslots;
};
struct recorded_call {
	const char *func;
	bool has_receiver;
	struct recorded_side entry, ret;
};

struct call_plan {
	const struct question *question;
	struct binary *binary;
	const char *name;            /* of the function, as the program has it: instances of
				      * generics are main.Map[...] */
	struct func func;            /* for an inlined instance: the host */
	struct signature signature;
	const struct closure_var *captured;         /* variables of a closure: names like parameters */
	size_t ncaptured;
	/* Its programs are run over the records of these, and nothing is planted; NULL: they are planted */
	const struct recorded_call *recorded;
	const enum replay_form *entry_forms, *ret_forms; /* of their slots */
	bool unless_recorded;        /* for processes in which another plan's records cannot be had */
	const char *not_recorded;    /* the program records its calls, but not all that is asked: what it lacks */
	bool inlined;                /* an instance of `name` inlined into func */
	uint64_t call_pc;            /* then: binary_pc_frames() of it are its callers, func the last */
	const char *approximate;     /* then: why the hits of its site need not be as many as the calls;
				      * NULL: they are */
	/* Of this question, some calls of `name` are not counted one by one: of an inlined instance that is approximate
	 * or refused. All plans of the name and question have it. */
	bool inexact;
	unsigned followed;           /* found in the code of traced functions, so many levels below a named
				      * one; 0: named */
	bool has_return;             /* results and latency are seen; without spots of at_return: it only ever panics */
	struct join_point at_entry, at_return;
	uint64_t pc;                 /* of an inlined instance, of a USDT site: the instruction where it is observed;
				      * 0 otherwise */
	const struct usdt_site *usdt;/* it is one of a USDT probe: there is no binary, no function and no return */
	struct capture_program entry, ret;          /* roles ENTRY and RETURN, or a lone POINT in `entry` */
	struct plan_ending panicked, open;          /* calls that a panic unwound; that are still running */
	int carried_slots[IR_MAX_SAVED];
	const struct shown *shown;
	size_t nshown;
	int stack_slot;              /* in the entry's record, -1: none asked for */
	const struct plan_aggregate *aggregates;
	size_t naggregates;
	const struct late *late;     /* NULL: none. Of the records that come only those count for which it holds */
	bool late_at_entry;          /* it asks for nothing of the return: so --every and --rate come behind it */
	const struct capture_program *counted; /* with late: the program with the aggregates, kept by who
						* reads the records */
	bool prints;                 /* calls are shown, not only aggregated */
	const char *why;             /* refused: the reason; NULL otherwise */
};

struct call_hook {
	const char *name;            /* the function's */
	const struct join *join;     /* of the packs' point */
	struct join_point at;
	struct capture_program program;
};

struct call_plan_options {
	struct pack *const *packs;   /* for their hooks */
	size_t npacks;
	struct shape_limits limits;
	const struct planter_caps *caps; /* the planter's; NULL: what every planter can do */
	/* The planter's, for inlined calls: where their arguments lie depends on the site. NULL: the first spot. */
	int (*locate)(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err);
	bool wants_return;           /* durations are needed (graphs, timelines) even if no expression uses them */
	bool wants_stack;            /* stacks are needed (flame graphs) even if no action asks for them */
	size_t max_functions;        /* more matches than that are an error that says how many; 0: no limit */
	unsigned follow;             /* levels of calls that are found in the code of what is named; 0: none */
	const struct recorded_call *const *recorded;
	size_t nrecorded;
	const char *cannot_plant;    /* why what is not recorded cannot be had; NULL: it is planted */
};

/* What following found, and what it left out. */
struct call_follow {
	size_t functions;            /* found; each has a plan */
	size_t indirect;             /* calls through interfaces and closures: the code does not say of what */
	size_t runtime, assembly;    /* functions that are called, but are these */
	size_t too_many;             /* functions beyond those that are followed at most */
};

struct call_plans {
	struct call_plan *data;
	size_t len;
	struct shape_table *shapes;  /* finished; NULL if no image is captured. The caller's to free */
	/* How calls end other than by returning: PROGRAM_UNWIND and PROGRAM_EXIT, from the packs' hooks. Only where a
	 * plan has a return. */
	struct call_hook *hooks;
	size_t nhooks;
	struct call_follow follow;
	size_t unrecorded;           /* functions that a pattern matches, and of which nothing can be had */
	const char *hooks_why;       /* a hook that is not optional cannot be planted: the reason, or NULL */
};

/*
 * Plans the questions. What cannot be observed is refused by itself (why): a function of a glob, or a question beside
 * others, which is a plan named as its pattern if it matches nothing. It is an error when no question is left: -ENOENT
 * (nothing matches; nearest names are offered), -EINVAL (caret), with the sentences of all, a line each. Results live
 * in the binary's arena.
 */
int call_plans_make(struct binary *b, const struct question *questions, size_t n, const struct call_plan_options *o,
		    struct call_plans *ret, struct err *err);

/* Whether the condition holds for a call that did not return, by its entry's slots and how long it took. */
bool plan_ending_holds(const struct call_plan *p, const struct plan_ending *end, const struct event *entry,
		       uint64_t latency_ns);

/* Names of all functions that a pattern matches: indexes into the function table, in order; arena's. */
int functions_match(struct binary *b, const char *pattern, struct arena *arena, uint32_t **ret, size_t *ret_n);
/* The i-th parameter or result as it is shown: by its name, or prefix and number; maybe the arena's. */
const char *param_name(struct arena *arena, const struct param *p, const char *prefix, size_t i);
/* "main.(*Cart).Add(user string, items []main.Item) (err error)": what is known of it, with `?` for what is not. */
void signature_print(const char *name, const struct signature *s, struct buf *out);

#endif
