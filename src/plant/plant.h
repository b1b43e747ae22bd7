/*
 * The planter interface: a planter takes probes (a site list and a capture program each) and puts them
 * into a running process; what fires comes back as event records. One implementation a directory.
 */
#ifndef PLANT_PLANT_H
#define PLANT_PLANT_H

#include "base/wide.h"
#include "event/event.h"
#include "event/loss.h"
#include "probe/ir.h"

struct image;
struct planter;   /* an instance: owns the ring and everything planted */
struct plant;     /* one probe in one process */

struct plant_probe {
	uint32_t id;                            /* goes into event_header.probe */
	const char *label;                      /* for messages */
	const struct site *sites;
	size_t nsites;
	const struct capture_program *program;  /* outlives the planter */
	bool auxiliary;                         /* of use only beside others: a hook */
	uint32_t group;                         /* those of one are of use together only; 0: it is alone */
	bool optional;                          /* the rest of its group does without it */
	bool begins;                            /* a call, a span: live after the rest of its group, and
						 * out before it */
};

struct plant_target {
	uint32_t id;           /* goes into event_header.target */
	int pid;
	const char *path;      /* a path that opens the very file that is mapped (/proc/PID/map_files/… or root/…) */
	uint64_t bias;         /* run-time address minus image address */
	const struct image *image; /* that was analysed: the process's code is compared with it; NULL: it is not */
	uint64_t binary_key;   /* same for processes that run the same file: programs are shared by it */
};

struct planter_options {
	size_t ring_bytes;     /* power of two; 0: the default. Of a ring that grows: the most it may */
	const char *procfs;    /* "/proc" */
	size_t max_calls;      /* traced calls open at once; 0: the default */
	size_t max_groups;     /* of aggregates of one form; 0: the default */
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3); /* what could not be taken out; NULL ok */
	void *note_arg;
};

typedef void (*plant_event_fn)(void *arg, const void *sample, size_t size); /* event_decode_sample */

/*
 * What applies to a controlled program, from its next hit on; where the program itself keeps aggregates, from the next
 * time it is planted on. Zero: no limit.
 */
struct plant_control {
	uint64_t every;        /* of the events that pass, each so manyth counts (LOSS_EVERY) */
	uint64_t per_second;   /* at most (LOSS_RATE_LIMITED) */
};

/* A group of an aggregate. Keys: the slots' words, or the first AGG_KEY_STR bytes; VALUE_STACK: addresses. */
struct plant_group {
	uint32_t probe, target;
	size_t aggregate;      /* of the probe's program */
	struct plant_key {
		uint8_t status;        /* enum slot_status */
		uint16_t len;          /* of bytes, 0 for scalars */
		uint64_t word;         /* scalar; a string's full length */
		const void *bytes;
	} keys[AGG_MAX_KEYS];
	uint64_t count;
	int128 sum, min, max;      /* min > max: not known */
	const uint64_t *buckets; /* AGG_BUCKETS of them for AGG_HIST; linear: 2 + (high - low) / step */
	size_t nbuckets;
};
typedef void (*plant_group_fn)(void *arg, const struct plant_group *g);

struct planter_ops {
	const char *name;
	bool traces;        /* uses ptrace on processes, so nobody else may hold them by it */
	bool xmm_readable;  /* has IR_ARG_XMM */
	/* -EPERM with the missing capability by name, -ENOSYS with what the kernel lacks. */
	int (*open)(const struct planter_options *o, struct planter **ret, struct err *err);
	void (*close)(struct planter *p);  /* removes everything; NULL ok */
	/*
	 * Plants n probes into one process as one step. ret[i] is NULL where errs[i] says why. Returns the number
	 * planted. Nothing is live before each group is decided, and a group is planted whole (but for optional probes)
	 * or not at all; auxiliary probes only beside others. What a probe did before it failed to be planted reaches
	 * nobody.
	 */
	int (*plant)(struct planter *p, const struct plant_target *t, const struct plant_probe *probes,
		     size_t n, struct plant **ret, struct err *errs);
	void (*remove)(struct planter *p, struct plant *const *plants, size_t n);
	void (*forget_target)(struct planter *p, uint32_t target);
	int (*fd)(struct planter *p);      /* readable when a good deal waits; drain also on a timer (50 ms) */
	int (*drain)(struct planter *p, plant_event_fn fn, void *arg); /* number of records, or -errno */
	void (*losses)(struct planter *p, struct losses *ret); /* adds its counts */
	/* Likewise of one probe, in all processes: records that were not written. */
	void (*probe_losses)(struct planter *p, uint32_t probe_id, struct losses *ret);
	/* Price of one hit in ns at a site of this class, measured on this machine (cached), 0 if unknown. */
	double (*price_ns)(struct planter *p, enum site_price price);
	/*
	 * Whether probes can be put at these sites of a file, as far as the file alone tells: 0, or why not. NULL: at
	 * every site there is.
	 */
	int (*feasible)(struct planter *p, const char *path, const struct site *sites, size_t n, struct err *err);
	bool (*multi)(struct planter *p);  /* one link for many sites (for doctor) */
	bool (*loops)(struct planter *p);  /* traced calls and whole structures can be planted
					    * (likewise); NULL: always */
	/* For how long the process was stopped to plant into it; NULL where a planter stops none. */
	uint64_t (*pause_ns)(struct planter *p, uint32_t target);

	/* ---- traced calls; NULL where a planter has none of it yet ---- */
	int (*control)(struct planter *p, uint32_t probe_id, const struct plant_control *c);
	uint64_t (*hits)(struct planter *p, uint32_t probe_id); /* of a controlled program, filtered ones too */
	/* All groups so far; with clear they begin anew (none is lost in between). */
	int (*aggregates)(struct planter *p, bool clear, plant_group_fn fn, void *arg);
	/* The calls of a target that are open: a lone EVENT_CALL each, oldest first. With take they end. */
	int (*open_calls)(struct planter *p, uint32_t target, bool take, plant_event_fn fn, void *arg);
};

extern const struct planter_ops planter_uprobe, planter_patch;

#endif
