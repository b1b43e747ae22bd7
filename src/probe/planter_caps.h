/* What a planter can do, as far as capture programs and whoever starts processes have to know it. */
#ifndef PROBE_PLANTER_CAPS_H
#define PROBE_PLANTER_CAPS_H

#include <stdbool.h>

struct planter_caps {
	bool reads_float_regs; /* it has IR_ARG_FLOAT */
	bool follows_contexts; /* it has IR_EMIT_CHAIN */
	bool injects;          /* it has IR_INJECT */
	bool lends;            /* … IR_LEND and IR_RELEASE */
	bool carries_states;   /* … it writes the tracestate as well, and has IR_MARK_STATE */
	bool keeps_marks;      /* it has IR_MARK_* and IR_EMIT_MARK */
	bool kernel_clock;     /* its records have CLOCK_MONOTONIC as the kernel tells it */
	bool probes_any;       /* it probes programs that are not Go's (capture_program.threads, IR_SITE …) */
	bool needs_ptrace;     /* it uses ptrace on processes, so nobody else may hold them by it */
};

#endif
