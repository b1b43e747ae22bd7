/*
 * Keeps what probes cost within a share of the CPU time that the observed programs use. The cost is the number of hits
 * times the calibrated price of their sites. Over the budget the probes are in place only a part of the time; where
 * even a fiftieth would be too much they are taken out.
 */
#ifndef CMD_BUDGET_H
#define CMD_BUDGET_H

#include "cmd/observation.h"

struct budget;

struct budget_options {
	double share;                    /* of the programs' own CPU time: 0.05 */
	struct observation *observation;
	/* What all events so far cost the programs, in ns. */
	double (*cost_ns)(void *arg);
	/* The probes were taken out for a while: calls that are open will not be seen to end. */
	void (*paused)(void *arg);
	void *arg;
};

/* "5%", "0.5%" → 0.05, 0.005. -EINVAL with a sentence. */
int budget_parse(const char *text, double *ret, struct err *err);
int budget_new(const struct budget_options *o, struct loop *loop, struct budget **ret, struct err *err);
void budget_free(struct budget *b); /* NULL ok */
/* The highest share that was measured, and the share of the time that probes were in place. */
void budget_report(const struct budget *b, double *ret_share, double *ret_duty);

#endif
