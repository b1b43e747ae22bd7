/* What the files of the patch planter share: patch.c (the planter), plan.c (planting). */
#ifndef PLANT_PATCH_PATCH_H
#define PLANT_PATCH_PATCH_H

#include "base/map.h"
#include "base/vec.h"
#include "plant/patch/code.h"
#include "plant/patch/facts.h"
#include "plant/patch/groups.h"
#include "plant/patch/helper.h"
#include "plant/patch/planter.h"
#include "plant/ring/drain.h"

#define PATCH_EXTRA_SLOTS 8

/* What one call of plant() put into one process. */
struct patched {
	uint32_t target;
	int pid;
	uint32_t handle;          /* the helper's */
	bool inside;              /* the handle is valid */
	VEC(struct plant *) plants; /* that are still planted */
	char *memory;             /* our mapping of the shared memory */
	uint64_t bytes;
	struct patch_area *area;   /* the shared one: only to be read where the program cannot harm us */
	struct patch_area layout; /* its settings, as they were made */
	struct ring ring;          /* its area is that of `area`, its layout that of `layout` */
	int fd;                   /* of the shared memory */
	uint32_t *probes;         /* the probe's id, by index of its counts */
	uint32_t nprobes;
	struct patch_forms forms;  /* of its aggregates */
	uint64_t *counted;        /* by probe: hits that are in planter.reader.aggregates (patch_sums.hits) */
	uint32_t turn;            /* as in the area */
	uint64_t pause_ns;        /* for which the process was stopped to plant it */
	struct patched *next;
};

struct plant {
	struct patched *patched;
	bool leaving;
	VEC(struct shared_patch) patches;
};

struct gone {                     /* a probe, as far as it is planted no more */
	struct losses losses;
	uint64_t hits;
};

struct patch_planter {
	struct planter planter;
	struct event_source source;
	const char *procfs;
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3);
	void *note_arg;
	uint32_t procs;
	uint32_t chunks_first, chunks; /* of the pool of a process: from the beginning; at most */
	uint64_t budget;          /* bytes by which the pools of all processes together may still grow */
	struct helper *helper;
	int timer;
	bool often;               /* it is armed */
	struct patched *patched;  /* list */
	struct ring_reader reader; /* the probes of its pairing are all that is planted, or was; so are those of its
				    * aggregates */
	size_t max_groups;        /* as in planter_options */
	struct map controls;      /* probe + 1 → struct plant_control */
	struct map gone;          /* probe + 1 → struct gone */
	double price_ns;          /* 0: not measured yet */
};

/* Frees it; nothing of it may be in the process any more. */
void patched_done(struct patched *d);
/* plan.c: what planter_ops says of plant. */
int patch_plant(struct planter *planter, const struct plant_target *t, const struct plant_probe *probes, size_t n,
		struct plant **ret, struct err *errs);
/* price.c: what a hit costs in the program, as an entry or a return of a call; 0: it cannot be measured. */
double patch_price_measure(uint64_t tsc_mult);
/* tally.c: what the programs counted goes to the reader's aggregates: of all that run, or of one that runs no more. */
void tally_all(struct patch_planter *p);
void tally_gone(struct patch_planter *p, struct patched *d);

#endif
