/*
 * The planter interface: a planter takes probes (a site list and a capture program each) and puts them
 * into a running process; what fires comes back as event records. One implementation a directory.
 */
#ifndef PLANT_PLANT_H
#define PLANT_PLANT_H

#include "event/event.h"
#include "event/loss.h"
#include "probe/ir.h"

struct planter;   /* an instance: owns the ring and everything planted */
struct plant;     /* one probe in one process */

struct plant_probe {
	uint32_t id;                            /* goes into event_header.probe */
	const char *label;                      /* for messages */
	const struct site *sites;
	size_t nsites;
	const struct capture_program *program;  /* outlives the planter */
};

struct plant_target {
	uint32_t id;           /* goes into event_header.target */
	int pid;
	const char *path;      /* a path that opens the very file that is mapped (/proc/PID/map_files/… or root/…) */
	uint64_t bias;         /* run-time address minus image address */
	uint64_t binary_key;   /* same for processes that run the same file: programs are shared by it */
};

struct planter_options {
	size_t ring_bytes;     /* power of two; 0: the default */
	const char *procfs;    /* "/proc" */
};

typedef void (*plant_event_fn)(void *arg, const void *record, size_t size);

struct planter_ops {
	const char *name;
	/* -EPERM with the missing capability by name, -ENOSYS with what the kernel lacks. */
	int (*open)(const struct planter_options *o, struct planter **ret, struct err *err);
	void (*close)(struct planter *p);  /* removes everything; NULL ok */
	/* Plants n probes into one process as one step. ret[i] is NULL where errs[i] says why. Returns the number planted. */
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
	bool (*multi)(struct planter *p);  /* one link for many sites (for doctor) */
};

extern const struct planter_ops planter_uprobe;

#endif
