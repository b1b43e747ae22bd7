/*
 * Where event records come from: the ring of a planter, or one that a program brings along itself. What is asked here
 * concerns events, not planting, so a source works without a planter.
 */
#ifndef PLANT_SOURCE_H
#define PLANT_SOURCE_H

#include "base/vec.h"
#include "base/wide.h"
#include "event/event.h"
#include "event/loss.h"
#include "probe/ir.h"

struct event_source { /* embedded in each source */
	const struct event_source_ops *ops;
};

typedef void (*plant_event_fn)(void *arg, const void *sample, size_t size); /* event_decode_sample */

/*
 * What applies to a controlled program, from its next hit on; where the program itself keeps aggregates, from the next
 * time it is planted on. Zero: no limit.
 */
struct plant_control {
	uint64_t every;        /* every Nth of the events that pass counts (LOSS_EVERY) */
	uint64_t per_second;   /* at most (LOSS_RATE_LIMITED) */
};

/* A group of an aggregate. Keys: the slots' words, or the first AGG_KEY_STR bytes; VALUE_STACK: addresses. */
struct plant_group {
	uint32_t probe, target;
	size_t aggregate;      /* of the probe's program */
	struct plant_key {
		uint8_t status;        /* enum slot_status */
		uint16_t len;          /* of bytes, 0 for scalars */
		uint64_t word;         /* scalar; a string's full length */
		const void *bytes;
	} keys[AGG_MAX_KEYS];
	uint64_t count;
	int128 sum, min, max;      /* min > max: not known */
	const uint64_t *buckets; /* AGG_BUCKETS of them for AGG_HIST; linear: 2 + (high - low) / step */
	size_t nbuckets;
};
typedef void (*plant_group_fn)(void *arg, const struct plant_group *g);

/* Probes and targets go by the numbers that their records have (event_header). */
struct event_source_ops {
	int (*fd)(struct event_source *s);  /* readable when a good deal waits; drain also on a timer (50 ms) */
	int (*drain)(struct event_source *s, plant_event_fn fn, void *arg); /* number of records, or -errno */
	/* Nothing waits in it, and nothing comes until something is attached to it. NULL: that is not known */
	bool (*idle)(struct event_source *s);
	/* CLOCK_MONOTONIC: all that is older was handed over by the last drain, but for records that are being written.
	 * NULL: all that there was then */
	uint64_t (*complete_ns)(struct event_source *s);
	void (*losses)(struct event_source *s, struct losses *ret); /* adds its counts */
	/* Adds those of one probe, in all processes: records that were not written. */
	void (*probe_losses)(struct event_source *s, uint32_t probe, struct losses *ret);
	void (*forget_target)(struct event_source *s, uint32_t target);

	/* ---- traced calls; each may be NULL ---- */
	int (*control)(struct event_source *s, uint32_t probe, const struct plant_control *c); /* -ENOENT, -errno */
	uint64_t (*hits)(struct event_source *s, uint32_t probe); /* of a controlled program, filtered ones too */
	/* All groups so far; with clear they begin anew (none is lost in between). */
	int (*aggregates)(struct event_source *s, bool clear, plant_group_fn fn, void *arg);
	/* A target's calls that are open, oldest first: a lone EVENT_CALL each. With take they end. Their number. */
	int (*open_calls)(struct event_source *s, uint32_t target, bool take, plant_event_fn fn, void *arg);
};

/*
 * Several sources as one: each call asks all of them that have the hook. Sums are added up; an error is the first that
 * there was: of drain only where no record came, of control only where no source took it.
 */
typedef VEC(struct event_source *) source_list;

int sources_drain(const source_list *l, plant_event_fn fn, void *arg);
void sources_losses(const source_list *l, struct losses *ret);
void sources_probe_losses(const source_list *l, uint32_t probe, struct losses *ret);
void sources_forget_target(const source_list *l, uint32_t target);
int sources_control(const source_list *l, uint32_t probe, const struct plant_control *c);
uint64_t sources_hits(const source_list *l, uint32_t probe);
bool sources_count_hits(const source_list *l); /* all have hits */
int sources_aggregates(const source_list *l, bool clear, plant_group_fn fn, void *arg);
int sources_open_calls(const source_list *l, uint32_t target, bool take, plant_event_fn fn, void *arg);

#endif
