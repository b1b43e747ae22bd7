/* The options that run and attach share, and the observation that they ask for: spans, and calls beside them. */
#ifndef CMD_OBSERVE_OPTIONS_H
#define CMD_OBSERVE_OPTIONS_H

#include "cmd/call_consumer.h"
#include "cmd/observation.h"
#include "sink/otel_env.h"

struct observe_options {
	struct observation_options observation;
	struct output_options out;
	const char *service;
	double sample;
	bool ignore_sdk, propagate;
	string_list redact;
	const char *sql;             /* NULL, or "full" */
	string_list keep;            /* rules: struct keeper_options */
	string_list functions;       /* --span */
	string_list questions;       /* --trace */
	struct call_options calls;
	bool show_process;           /* the verb's: several processes may be observed */
	bool several;                /* … that the user has asked for */
	struct sink *sink;           /* the verb's: gets all, in place of the sinks of out, and is taken. NULL: as out
				      * says */
	string_list dump_on;         /* rules of the verb's, which are read here: into dump_rules */

	/* What the observation needs of it, as long as it lives. */
	struct otel_env env;
	struct arena arena;
	const struct condition **dump_rules;
};
/* What rules of dump_on know beside what spans have: of a process that has ended. */
#define EXIT_NAMES "exit", "exit_code", "exit_signal"
#define OBSERVE_DEFAULTS {.sample = -1, .calls = CALL_DEFAULTS}
/* For a verb's struct option_group. */
#define OBSERVE_OPTION_GROUPS(type, member)                                                                            \
	{"what comes out", NULL, offsetof(type, member.out), outputs_span_rows},                                       \
	{"what comes out", observe_span_defs, offsetof(type, member), NULL},                                           \
	{"what comes out", observation_for_defs, offsetof(type, member.observation), NULL},                            \
	{"what comes out", observation_planter_defs, offsetof(type, member.observation), NULL},                        \
	{"what comes out", observation_quiet_defs, offsetof(type, member.observation), NULL},                          \
	{"traced calls beside the spans", observe_trace_defs, offsetof(type, member), NULL},                           \
	{"traced calls beside the spans", call_value_defs, offsetof(type, member.calls), NULL},                        \
	{"traced calls beside the spans", call_bound_defs, offsetof(type, member.calls), NULL},                        \
	{"traced calls beside the spans", call_interval_defs, offsetof(type, member.calls), NULL}

extern const struct option_def observe_span_defs[], observe_trace_defs[];

/* Opens all and starts it. o outlives the observation. -EINVAL: an option's value; others as observation_new. */
int observe_open(struct observe_options *o, struct loop *loop, struct observation **ret, struct err *err);
void observe_options_done(struct observe_options *o); /* but for what options_done frees */

#endif
