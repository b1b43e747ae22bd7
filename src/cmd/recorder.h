/*
 * The flight recorder: a sink that keeps what comes, and writes it out when a rule holds, when a process ends, or when
 * it is asked to. A dump is made by a process of its own, a copy of this one: what it waits for holds up nothing here.
 */
#ifndef CMD_RECORDER_H
#define CMD_RECORDER_H

#include "cmd/dump.h"
#include "cmd/observation.h"
#include "probe/pack/pack_condition.h"

struct recorder;

struct recorder_options {
	struct recording_options recording;
	struct dump_place place;
	uint64_t every_ns;   /* dumps by rules are at least so far apart; so are those of processes that end */
	uint64_t most;       /* of dumps by rules; what is asked for does not count */
	void (*closed)(void *arg); /* it is gone, as the observation is: nobody may ask it any more */
	void *arg;
};

/* All of o outlives it, but for what recording_new copies. Errors: as of recording_new. */
int recorder_new(const struct recorder_options *o, struct loop *loop, struct recorder **ret, struct err *err);
/* For the observation, which frees it with its sinks. */
struct sink *recorder_sink(struct recorder *r);
/* The rules of --dump-on, which outlive it. From now on it takes part in the observation. */
void recorder_begin(struct recorder *r, struct observation *ob, const struct condition *const *rules, size_t nrules);

/*
 * Dumps what there is now. Not from inside of a hook of the sink. client: RECORDER_NOBODY, or a socket that gets one
 * line, "0TEXT" or "1TEXT" (it failed), and is closed; it is the recorder's then.
 */
#define RECORDER_NOBODY (-1)
void recorder_dump(struct recorder *r, const char *cause, const char *reason, int client);
/* Whether it records what this process does. */
bool recorder_observes(const struct recorder *r, int pid);

#endif
