/* Spans, as a consumer of an observation: the packs' points, paired and put together by span/assemble. */
#ifndef CMD_SPAN_CONSUMER_H
#define CMD_SPAN_CONSUMER_H

#include "cmd/observation.h"
#include "probe/lang/question.h"
#include "probe/pack/pack_condition.h"

struct span_consumer_options {
	double sample;             /* 0..1 */
	bool sample_parent_based;  /* follow the sampled flag of an incoming traceparent */
	bool sql_full;             /* statements of SQL are shown with their literals */
	bool alone;                /* as in struct join_options */
	unsigned propagators;      /* likewise */
	bool several;              /* processes are observed that may ask each other */
	bool propagate;            /* as in struct join_options */
	bool ignore_sdk;           /* as in struct assembler_options */
	const char *const *redact; /* NULL: as the packs say; outlives the consumer */
	const struct condition *const *keep; /* nkeep rules (span_rule_parse), which outlive it: 0: all is kept */
	size_t nkeep;
	const struct span_question *functions; /* nfunctions that are spans (--span); they outlive the consumer */
	size_t nfunctions;
};

/* Adds it to ob. */
void span_consumer_new(struct observation *ob, const struct span_consumer_options *o);

#endif
