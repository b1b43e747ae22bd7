/* Capture programs → BPF programs for uprobes. Needs no privileges: file descriptors are parameters. */
#ifndef PLANT_UPROBE_COMPILE_H
#define PLANT_UPROBE_COMPILE_H

#include "plant/tracestate.h"
#include "plant/uprobe/emit.h"
#include "plant/uprobe/groups.h"
#include "probe/ir.h"

/*
 * What a record is built in when it does not fit the BPF stack: one element of an array map. Only the
 * BPF programs use it, so its layout is ours alone.
 */
#define SCRATCH_WORK_SIZE 2048 /* a map's bucket or group; a string that is searched */
/* What the saved map keeps: from a start, for the programs that run later on the same goroutine. */
struct saved_key {
	uint64_t goid;
	uint32_t target, group;
};
struct saved_words {
	uint64_t word[IR_MAX_SAVED]; /* 0: none */
	uint64_t probe;              /* 1 + the probe that left these: */
	struct reused_slot {
		uint64_t key;        /* IR_REUSE's word, 0: none */
		uint64_t head;       /* the slot's first word; 0: it is read anew */
		uint64_t value[2];   /* the second one, or a text */
	} reused[IR_MAX_REUSED];
};

/* ---- open calls: calls.c ---- */

/* The calls that are open on a goroutine are numbered from the outermost, level 0. */
#define CALL_KEY_THREAD (UINT64_C(1) << 63)
struct call_key {
	uint64_t goid;          /* or, of a system stack, CALL_KEY_THREAD and the thread's number */
	uint32_t target, level;
};
enum { CALL_DEAD = 1,  /* it returned, but others lie on top of it: taken away with them */
       CALL_QUIET = 2, /* nothing is written when it is unwound */
       CALL_BIG = 4 }; /* the record is in the map of big ones */
#define CALL_SMALL 760 /* records up to this lie in the element: its size, all in all, is 1 KiB */
struct open_call_head {
	uint64_t count, limit;  /* level 0 only: the calls that are open, and the depth of the innermost + 1 */
	uint64_t below;         /* limit without this one */
	uint64_t ip;            /* of its entry's site */
	uint32_t group, flags;
	uint64_t valid;         /* bits of the saved words that were saved */
	uint64_t saved[IR_MAX_SAVED];
};
struct open_call {
	struct open_call_head head;
	uint8_t record[CALL_SMALL];
};

/* What a run of a program with calls keeps beside the record. */
struct call_state {
	struct call_key key;    /* as the maps are asked */
	uint64_t depth;         /* of this run */
	uint64_t count, limit;  /* while stale calls are taken away */
	uint64_t look;          /* level + 1 of the call that is looked at */
	uint64_t found;         /* level + 1 of the call that returned */
	uint64_t level;         /* of this run's call */
	uint64_t ends;          /* not 0: its element is deleted at the end */
	uint64_t now;
	uint64_t word;          /* key of array maps in callbacks, which have no stack */
	uint64_t size;          /* of the sample */
};

/* ---- images: walk.c ---- */

struct walk_shape {
	uint32_t size, first_edge, nedges, pad;
};
struct walk_edge {
	uint8_t kind, count, costs, pad;
	uint32_t offset, count_off, shape, max;
};
struct walk_dynamic {           /* by the descriptor's image address */
	uint32_t shape, direct;
};
struct walk_state {
	uint64_t chunk, elem, edge; /* where the walk is: offset of the chunk, of the element in it, number
				     * of the edge */
	uint64_t made;              /* chunks */
	uint64_t bias;
	uint64_t key;               /* in the tables */
	uint64_t ptr, shape, n, depth, status; /* of the next chunk */
	uint64_t read;              /* not 0: some piece of it could be read (pieces.c) */
};

/* ---- contexts: chain.c ---- */

enum { CHAIN_HAS_FIELD = 2, CHAIN_HAS_VIA = 4, CHAIN_IS_ROOT = 8, CHAIN_IS_LINK = 16, CHAIN_IS_VALUE = 32,
       CHAIN_IS_SPAN = 64 };    /* and CHAIN_POOLED */
struct chain_type {             /* by the descriptor's image address */
	uint64_t flags;
	uint32_t offset, via;
	uint32_t ids, remote, kind, tracer, scope; /* of a type of spans (context_types.h) */
	uint32_t pad;
};
struct chain_state {
	uint64_t type, data;        /* of the context that is looked at; type is its run-time or its image address */
	uint64_t itab;              /* that led to it; 0: none */
	uint64_t flags, offset, via;/* its row … */
	uint64_t row_type, row_cookie, row_table; /* … whose it is; these outlive the run */
	uint64_t pooled;            /* CHAIN_POOLED, once it holds */
	uint64_t bias, size, end;   /* size: where the chain begins in the record */
	uint64_t value, span_type;  /* of a link that may have a span: its data, and the image address of its type */
	uint64_t span, span_link;   /* the data of the nearest span, 0: none yet; its link's number */
	uint64_t ids, remote, kind, tracer, scope; /* the span's row */
};

/* ---- marks: marks.c, mark_table.c ---- */

/* An entry of the table: a mark, a word that leads to one, or a goroutine and what is on it. */
struct mark_link {
	uint64_t key, at;           /* of a mark, which has ended if it has that key no more; 1 + its place, 0: none */
};
struct mark_entry {
	uint64_t key;               /* 0: free. The lowest bit: it is being written */
	uint64_t time;              /* of the last write */
	union {
		struct mark_link to[MARK_LEVELS];  /* of a word one, of a goroutine all */
		struct {
			struct mark_link self;     /* of a mark */
			uint64_t ids[3];
			uint32_t flags, group, call, pad;
			uint64_t goid, depth, epoch[3];
		};
	};
	struct mark_link state;     /* of a mark: the tracestate that came in with its trace, a struct mark_state */
};
#define MARK_WAYS 4
#define MARK_SETS 16384         /* of the planter's table, 8 MiB, which all processes share. A span takes some four
				 * entries */
struct mark_set {
	struct mark_entry way[MARK_WAYS];
};
_Static_assert(sizeof(struct mark_entry) == 128 && sizeof(struct mark_set) == 512, "entries are found by masks");

/* A tracestate, in an array of its own. The first element has in its text what is valid: struct tracestate_rules. */
struct mark_state {
	uint64_t key, at;           /* of its mark; key 0: free. The lowest bit: it is being written */
	uint64_t len;               /* more than MARK_STATE_MAX: that was too long */
	uint8_t text[MARK_STATE_MAX];
};
#define MARK_STATES 4096        /* a power of two; 2 MiB, which all processes share */
_Static_assert(sizeof(struct tracestate_rules) <= MARK_STATE_MAX, "the rules lie in a text");

struct mark_run {
	uint64_t state;             /* what is known: HAS … */
	uint64_t flags, ids[3];     /* of the run's mark … */
	uint64_t key, at;           /* … and where it is */
	uint64_t way, place, link, oldest, victim, word, count;
	uint64_t best_key, best_at, best_depth;
	struct mark_link root;      /* as mark_entry.state */
};

/* ---- controlled programs: control.c. An element a probe, below LOSS_PROBES ---- */

struct control {
	uint64_t hits;          /* written by programs */
	uint64_t passed;
	uint64_t window;        /* the second, << 32, and how many passed in it */
	uint64_t every, per_second; /* written from user space */
	uint64_t pad[3];        /* a cache line */
};

#define AHEAD 64   /* bytes that are read with a record's first text, for those behind it */
#define AHEAD_TEXTS 4 /* that are looked for there: programs may not be too large */
#define CONSTANTS 64
#define WINDOWS_MAX 16
#define WINDOWS_SIZE 1024
struct scratch {
	uint64_t busy;
	uint64_t cookie;              /* of the site, once it has been asked for */
	struct saved_words saved;     /* taken from the map */
	struct saved_words kept;      /* to be put there, in place of those */
	uint64_t window_valid[WINDOWS_MAX];
	uint8_t window[WINDOWS_SIZE]; /* structs read ahead */
	struct {
		uint64_t address;     /* 0: none */
		uint8_t bytes[2 * AHEAD]; /* AHEAD of them from there on; the rest is room to copy from anywhere */
	} ahead;
	uint64_t words[11];     /* of a map's search */
	struct {
		uint64_t address, cookie; /* the cookie tells the process; address 0: free */
		uint64_t value;
	} constants[CONSTANTS]; /* what loads of IR_CONSTANT gave, each at its place (which others may have, too) */
	struct map_candidate {
		uint64_t key, elem; /* of the key its text's address */
		uint64_t len;       /* of texts of several lengths */
	} candidates[88];
	uint8_t work[SCRATCH_WORK_SIZE];
	uint8_t group[GROUP_KEY_MAX]; /* the key of an aggregate's group */
	struct walk_state walk;
	struct chain_state chain;
	struct mark_run mark;
	struct call_state state;
	struct open_call_head call; /* from here on what a struct open_call is: put into the map as it lies here */
	/*
	 * Behind the record: that of the call's entry, in a return. Else slack: the verifier bounds offset and
	 * length of a string one by one.
	 */
	uint8_t record[EVENT_MAX_SIZE + EVENT_MAX_CALL];
};
_Static_assert(EVENT_MAX_CALL >= EVENT_MAX_STRING, "slack");
_Static_assert(offsetof(struct scratch, record) == offsetof(struct scratch, call) + sizeof(struct open_call_head),
	       "they are put into the map in one piece");

/* A program differs between sites by these, so sites that agree share one. */
struct site_shape {
	int32_t sp_delta;
	uint8_t flags_skip;
	bool returns; /* the site is a RET, which the program runs itself */
};

struct uprobe_env {
	int ring, scratch, losses, saved; /* maps */
	int calls, big_calls;             /* maps; -1 while nothing needs them */
	int shapes, edges, dynamic;       /* of the program's table of shapes; -1: none */
	int contexts;                     /* of its table of contexts; -1: none */
	int marks;                        /* an array of struct mark_set; -1 while nothing needs it */
	uint32_t mark_sets;               /* its elements, a power of two */
	int states;                       /* an array of 1 + MARK_STATES; -1 while nothing needs it */
	int controls;                     /* -1 while nothing needs it */
	const struct group_maps *groups;  /* of the program's aggregates; NULL: none */
	const struct capture_program *entry; /* whose record at_entry means */
	unsigned scratch_per_cpu;
	size_t ring_bytes;
	bool private_stack;               /* programs must say that they want none (uprobe_means.private_stack) */
	bool faults_in;                   /* programs may bring in a page that is not there (uprobe_means.faults_in) */
};

/*
 * The losses that BPF programs count: an array by probe, a value has LOSS_KERNEL_COUNT words. What probes with
 * higher ids lose is counted together, at 0.
 */
#define LOSS_KERNEL_COUNT 11
#define LOSS_LEFT_OUT 10 /* not of enum loss: starts that were left out, LOSS_SAMPLED_OUT to others */
#define LOSS_PROBES 8192
uint32_t loss_key(uint32_t probe_id);

/*
 * The cookie of a site tells its program the process: its number, and the load bias in pages.
 * -ERANGE when the parts do not fit.
 */
#define COOKIE_TARGET_BITS 28
int cookie_pack(uint32_t target, uint64_t bias, uint64_t *ret, struct err *err);

/* Appends to out, resolved. -E2BIG, -EINVAL (not a valid capture program), -EOPNOTSUPP. */
int uprobe_compile(const struct capture_program *p, uint32_t probe_id, const struct site_shape *shape,
		   const struct uprobe_env *env, struct emit *out, struct err *err);

#endif
