/*
 * USDT probes of whatever program, as a consumer of an observation. Probes belong to files here, not to executables
 * that were analysed: each is planted for all processes that map the file, and the records of those that are meant
 * count.
 */
#ifndef CMD_USDT_CONSUMER_H
#define CMD_USDT_CONSUMER_H

#include "call/call.h"
#include "cmd/call_options.h"
#include "cmd/observation.h"
#include "cmd/targets.h"
#include "usdt/notes.h"

/* What takes the hits that are no calls to show: made of spans. */
struct usdt_spans {
	/* Whether a span begins there. */
	bool (*begins)(struct usdt_spans *s, const char *provider, const char *name);
	/* A hit. False: it is nothing of a span's, and shown by itself. */
	bool (*take)(struct usdt_spans *s, const struct call_record *c, const struct usdt_site *site);
	/* Now and then: what ended so long ago (CLOCK_MONOTONIC) is given away; UINT64_MAX at the end. */
	void (*tick)(struct usdt_spans *s, uint64_t until_ns);
	void (*gone)(struct usdt_spans *s, int pid); /* it has ended, and nothing more comes of it */
	void (*summary)(struct usdt_spans *s, struct run_summary *sum);
	void (*free)(struct usdt_spans *s);
};

struct usdt_consumer_options {            /* all of it outlives the consumer */
	const struct target_plan *targets; /* -p: these and what they start; -x, --port: also those that start later */
	const struct question *questions;  /* of USDT probes */
	size_t nquestions;
	const struct call_options *calls;
	unsigned needs;                    /* SINK_NEEDS_* */
	const char *service;               /* as in struct observation_options */
	const struct otel_env *env;
	struct usdt_spans *spans;          /* or NULL; freed with the consumer */
};

/* Adds it to ob. */
struct consumer *usdt_consumer_new(struct observation *ob, const struct usdt_consumer_options *o);
/*
 * Plants all that is asked for in the processes that run. Errors with a sentence: there is no such process, none of its
 * files has such a probe, none can be planted.
 */
int usdt_consumer_plant(struct consumer *c, struct err *err);
/*
 * All of an observation whose only consumer it is: plants, and goes on until it is told to end or the processes have
 * ended. Finishes ob. Returns the exit code.
 */
int usdt_observe(struct observation *ob, struct consumer *c, struct loop *loop);

#endif
