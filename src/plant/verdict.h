/*
 * Which of the probes that are to be planted together are refused, and why. What planter_ops.plant says of groups is
 * kept here, for every planter.
 */
#ifndef PLANT_VERDICT_H
#define PLANT_VERDICT_H

#include "plant/plant.h"

struct verdicts {
	const struct plant_probe *probes;
	size_t n;
	struct err *errs;      /* the caller's, or NULL */
	bool *refused;         /* by probe */
	size_t nrefused;       /* grows with each refusal */
	size_t *mate;          /* by probe: the next of its group, in a circle */
};

/* probes and errs (n of each; errs may be NULL) are to outlive it. */
void verdicts_init(struct verdicts *v, const struct plant_probe *probes, size_t n, struct err *errs);
void verdicts_done(struct verdicts *v);
/* Refuses those for which the planter found no site. */
void verdicts_refuse_unlocated(struct verdicts *v);
/* Refuses a probe, and its group where that cannot do without it. The first reason stays. */
void verdict_refuse(struct verdicts *v, size_t probe, const struct err *why);
void verdict_refuse_all(struct verdicts *v, const struct err *why);
/* Where none is left that is of use by itself, the rest is refused. Whether any is left. */
bool verdict_any_useful(struct verdicts *v);

#endif
