/*
 * The planter interface: a planter says at which instruction a probe for a join point goes, and puts probes (sites
 * and a capture program each) into a running process; what fires comes back as event records. One implementation a
 * directory.
 */
#ifndef PLANT_PLANT_H
#define PLANT_PLANT_H

#include "binary/binary.h"
#include "plant/source.h"
#include "probe/ir.h"
#include "probe/planter_caps.h"

struct plant;     /* one probe in one process */

/* An instance: it owns everything planted. Embedded in each planter, as its first member. */
struct planter {
	const struct planter_ops *ops;
	struct event_source *source;            /* of what its probes write; it ends with the planter */
};

/* A point that the program has itself, since it was built with it (woven.h): nothing is planted for it. */
struct woven_plan;
struct woven_answer;
struct own_lack {                               /* a value that a probe would have, and the point has not */
	const char *pack, *name, *why;
};

struct own_point {
	uint64_t key;                           /* 0: there is nothing to be done for it */
	const struct woven_known *known;        /* what all points of the program may ask for (woven.h) */
	size_t nknown;
	const int *slots;                       /* for each of the program's slots which of the point's it is, or -1 */
	const struct woven_plan *plan;          /* what it does with marks, or NULL */
	const struct woven_answer *answer;      /* in place of slots, of a question; or NULL */
	const struct own_lack *lacks;
	size_t nlacks;
	const struct own_point *next;           /* another one, which stands for it, too */
};

struct plant_probe {
	uint32_t id;                            /* goes into event_header.probe */
	const char *label;                      /* for messages */
	const struct site *sites;               /* where the planter puts it (plant_probe_locate), or NULL … */
	const char *why;                        /* … and why it is refused, if that is known */
	const struct capture_program *program;  /* outlives the planter */
	bool auxiliary;                         /* has no value on its own: a hook */
	uint32_t group;                         /* those of one have no value without each other; 0: it is alone */
	bool optional;                          /* the rest of its group does without it */
	bool ends;                              /* what its group has begun, maybe as the only one that does */
	bool begins;                            /* a call, a span: live after the rest of its group, and
						 * out before it */
	const struct own_point *own;            /* what stands for it where the program can be used so, or NULL */
	bool own_only;                          /* it is for that, and is never planted … */
	bool unless_own;                        /* … and this one where it cannot be used */
};

/* An instruction of any ELF file, Go or not. */
struct plant_place {
	uint64_t addr;         /* as the file says it */
	uint64_t offset;       /* in the file */
	uint64_t semaphore;    /* in the file: a counter, 2 bytes, that is raised while the probe is there; 0: none */
	const unsigned char *code; /* from there on, n bytes: one instruction at least, if there are so many */
	size_t n;
};

struct plant_target {
	uint32_t id;           /* goes into event_header.target */
	int pid;               /* 0: every process that maps the file, now or later; only for programs of threads */
	const char *path;      /* a path that opens the very file that is mapped (/proc/PID/map_files/… or root/…) */
	uint64_t bias;         /* run-time address minus image address */
	struct binary *binary; /* that was analysed: the sites are of it; NULL: only for planters that need no more */
	const struct image *image; /* its: the process's code is compared with it; NULL: it is not */
	uint64_t binary_key;   /* same for processes that run the same file: programs are shared by it */
};

struct planter_options {
	size_t ring_bytes;     /* power of two; 0: the default. Of a ring that grows: the most it may */
	const char *procfs;    /* "/proc" */
	size_t max_calls;      /* traced calls open at once; 0: the default */
	size_t max_groups;     /* of aggregates of one form; 0: the default */
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3); /* what could not be taken out, who else is
									  * there; NULL ok */
	void *note_arg;
};

/* How much a hit costs differs by what the site's instruction is. */
struct price_class {
	const char *name;      /* of the number, in JSON */
	const char *text;      /* beside a site */
	const char *where;     /* "on a 5-byte nop"; "": everywhere */
};

/* What this machine allows, for people. needed: the planter works only where it is ok. */
struct planter_report {
	void (*check)(void *arg, const char *name, bool ok, bool needed, const char *text);
	void (*price)(void *arg, const struct price_class *c, double ns); /* 0: it could not be measured */
	void *arg;
};

struct planter_ops {
	const char *name;
	const char *means, *doing; /* "uprobes", "patching programs from inside" */
	struct planter_caps caps;
	const char *cheaper;       /* a planter's name whose hits cost a fraction of this one's, or NULL */
	const struct price_class *prices; /* site.price is an index */
	const char *prices_title;  /* "what one hit of a uprobe costs the observed program here" */
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
	/* Whether the program has what the planter needs, as far as the file tells: 0, or the reason. NULL: any has. */
	int (*suits)(struct binary *b, struct err *err);
	/*
	 * Where the planter puts probes for a join point, in b's arena: as far as the file alone tells, so without a
	 * process or privileges. 0, or the reason why it puts none there.
	 */
	int (*locate)(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err);
	/* Where it puts a probe for a place of any file, in arena. NULL: it probes functions of Go programs only. */
	int (*locate_place)(struct arena *arena, const struct plant_place *at, const struct site **ret,
			    struct err *err);
	/* Price of one hit in ns at a site of this class, measured on this machine (cached), 0 if unknown. */
	double (*price_ns)(struct planter *p, unsigned price);
	/* Whether a hit there costs many times what it does at other sites of this planter. NULL: at none. */
	bool (*is_dear)(struct planter *p, const struct site *s);
	/* Tries what it needs, and measures its prices (opens an instance for that). */
	void (*check)(const struct planter_report *r);
	/* For how long the process was stopped to plant into it; NULL where a planter stops none. */
	uint64_t (*pause_ns)(struct planter *p, uint32_t target);
};

void planter_close(struct planter *p); /* NULL ok */

/* Sets sites or why, also where the planter does not suit the program. The reason is in b's arena. */
void plant_probe_locate(struct plant_probe *probe, const struct planter_ops *ops, struct binary *b,
			const struct join_point *at);
/* Of one hit, the mean of the sites, in ns; 0: not known. */
double sites_price_ns(struct planter *p, const struct site *sites);

#endif
