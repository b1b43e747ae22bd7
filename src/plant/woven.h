/*
 * Programs that were built with their probes (woven): the points that a file has, and the source of their events.
 * Nothing is planted in such a process: it has a recorder that is switched on and off, for the points that are wanted.
 */
#ifndef PLANT_WOVEN_H
#define PLANT_WOVEN_H

#include "base/arena.h"
#include "binary/image.h"
#include "plant/source.h"
#include "probe/ir_replay.h"

/* ---- what a file has ---- */

struct woven_field {          /* of a point's records: a slot, or what has none */
	int capture;          /* its place among the captures of the pack's variant; -1: it has none */
	const char *kind;     /* as of enum value_kind: "string" … Of what has no slot: why */
	const char *name;
};

/* What its code asks for by the key: 1 + the offset of a struct's field, or where the descriptor of a type is. */
struct woven_fact {
	uint64_t key;
	const char *type, *field, *field_type; /* field NULL: the type itself is meant */
};

struct woven_refused {        /* a point that could not be woven into the package */
	const char *pack, *span, *point, *func, *why; /* span as below */
};

/* What a function is given, of an entry's point; or what it returns. */
struct woven_variable {
	int slot;             /* of the point's that has its value; -1: none, it is not woven */
	const char *name;     /* "": it has none */
	const char *form;     /* what its type is made of: "int64", "string", "[]uint8", "error" … */
	const char *type;     /* as Go has it: "time.Duration" */
};

struct woven_point {
	uint64_t key;         /* of its text */
	const char *pack, *span, *point; /* span "-": a hook */
	unsigned variant;
	bool at_return;
	const char *func;
	const char *pack_hash;
	const char *asked;    /* of a function that is a span because its source asks for it: what --span would say */
	bool every_call;      /* each call of the function comes by, and this is all that it is given, or returns: */
	bool has_receiver;    /* which is the first of them */
	const struct woven_variable *variables;
	size_t nvariables;
	const struct woven_field *slots, *left; /* left: captures that were left out when it was built */
	size_t nslots, nleft;
	const struct woven_fact *facts;
	size_t nfacts;
	const struct woven_refused *refused; /* those of the package that this one tells of */
	size_t nrefused;
};

/*
 * All points in the file, each once, in the order of where they lie. In arena. What begins as one and breaks the rules
 * is counted in ret_broken.
 */
void woven_points(const struct image *img, struct arena *arena, struct woven_point **ret, size_t *ret_n,
		  size_t *ret_broken);
/* One text: size bytes at most, in arena. The number of bytes that it takes, or 0 where it breaks the rules. */
size_t woven_point_parse(const char *text, size_t size, struct arena *arena, struct woven_point *ret);

/* ---- its events ---- */

struct woven_options {
	const char *procfs, *sysfs;
	size_t ring_bytes;    /* of a process: the most; 0: the default */
	size_t max_calls;     /* traced calls open at once; 0: the default */
	size_t max_groups;    /* of aggregates; 0: the default */
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3); /* NULL ok */
	void *note_arg;
};

struct woven;
int woven_open(const struct woven_options *o, struct woven **ret, struct err *err);
void woven_close(struct woven *w); /* NULL ok; ends its source */
struct event_source *woven_source(struct woven *w);

/*
 * A probe of a question: its program is run over the point's record, here (probe/ir_replay.h). A return's is run when
 * the call is known that it ends.
 */
struct woven_answer {
	const enum replay_form *forms; /* of the point's slots */
	size_t n;
	const struct capture_program *entry; /* of a return: its entry's program; else NULL */
};

/* A probe, and the point that it is about. */
struct woven_probe {
	uint64_t key;         /* the point's */
	uint32_t id, group;
	uint64_t func;        /* tells functions apart (pairing.h) */
	const struct capture_program *program; /* outlives the source: its role, its slots */
	const int *slots;     /* program->nslots: which of the point's slots each is; -1: none, it is absent. One more
			       * than the point has: the ids of its mark */
	const struct woven_plan *plan; /* what it does with marks (woven_plan.h), NULL: nothing */
	const struct woven_answer *answer; /* in place of slots; NULL: it is no question's. It outlives the source */
};

struct woven_known {          /* a fact that was found in the file */
	uint64_t key, value;
	bool is_address;      /* of the image */
};

struct woven_target {
	uint32_t id;          /* in its records */
	int pid;
	uint64_t bias;        /* run-time address minus image address */
	const struct image *image; /* its file */
	const struct woven_known *known;
	size_t nknown;
	bool kernel_clock;    /* its records are compared with others by the time that the kernel's probes have */
};

/*
 * Records of these points come from the process from now on, as those of the probes. 0; -ENODATA where the process has
 * no recorder; -EXDEV: it would have to go by another clock than those before it; other errors with a sentence, as
 * woven/memory.h has them. t and probes are copied; the file is looked at now alone, and may be NULL where no program
 * follows contexts.
 */
int woven_attach(struct woven *w, const struct woven_target *t, const struct woven_probe *probes, size_t n,
		 struct err *err);
/* Nothing is recorded any more; what was is there to be drained, until the target is forgotten. */
void woven_detach(struct woven *w, uint32_t target);

#endif
