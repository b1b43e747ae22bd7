/*
 * The planter interface: a planter takes probes (a site list and a capture program each) and puts them
 * into a running process; what fires comes back as event records. One implementation a directory.
 */
#ifndef PLANT_PLANT_H
#define PLANT_PLANT_H

#include "plant/source.h"
#include "probe/ir.h"
#include "probe/planter_caps.h"

struct image;
struct plant;     /* one probe in one process */

/* An instance: it owns everything planted. Embedded in each planter, as its first member. */
struct planter {
	const struct planter_ops *ops;
	struct event_source *source;            /* of what its probes write; it ends with the planter */
};

struct plant_probe {
	uint32_t id;                            /* goes into event_header.probe */
	const char *label;                      /* for messages */
	const struct site *sites;
	size_t nsites;
	const struct capture_program *program;  /* outlives the planter */
	bool auxiliary;                         /* has no value on its own: a hook */
	uint32_t group;                         /* those of one have no value without each other; 0: it is alone */
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

struct planter_ops {
	const char *name;
	const char *means, *doing; /* "uprobes", "patching programs from inside" */
	struct planter_caps caps;
	/* -EPERM with the missing capability by name, -ENOSYS with what the kernel lacks. */
	int (*open)(const struct planter_options *o, struct planter **ret, struct err *err);
	void (*close)(struct planter *p);  /* removes everything, and ends its source */
	/*
	 * Plants n probes into one process as one step. ret[i] is NULL where errs[i] says why. Returns the number
	 * planted. Nothing is live before each group is decided, and a group is planted whole (but for optional probes)
	 * or not at all; auxiliary probes only beside others. What a probe did before it failed to be planted reaches
	 * nobody.
	 */
	int (*plant)(struct planter *p, const struct plant_target *t, const struct plant_probe *probes,
		     size_t n, struct plant **ret, struct err *errs);
	void (*remove)(struct planter *p, struct plant *const *plants, size_t n);
	/* Price of one hit in ns at a site of this class, measured on this machine (cached), 0 if unknown. */
	double (*price_ns)(struct planter *p, enum site_price price);
	/*
	 * Whether probes can be put at these sites of a file, as far as the file alone tells: 0, or why not. NULL: at
	 * every site there is.
	 */
	int (*feasible)(struct planter *p, const char *path, const struct site *sites, size_t n, struct err *err);
	bool (*multi)(struct planter *p);  /* one link for many sites (for doctor) */
	bool (*loops)(struct planter *p);  /* traced calls and whole structures can be planted
					    * (for doctor); NULL: always */
	/* For how long the process was stopped to plant into it; NULL where a planter stops none. */
	uint64_t (*pause_ns)(struct planter *p, uint32_t target);
};

static inline void planter_close(struct planter *p) /* NULL ok */
{
	if (p)
		p->ops->close(p);
}

extern const struct planter_ops planter_uprobe, planter_patch;

#endif
