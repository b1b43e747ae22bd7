/* The points of packs that an executable has: what spans are made of. */
#ifndef CMD_SPAN_WANTED_H
#define CMD_SPAN_WANTED_H

#include "cmd/consumer.h"
#include "cmd/packs.h"
#include "probe/pack/join.h"

struct span_wanted {
	struct wanted wanted;              /* first: the observation knows it by this */
	struct join *joins;                /* the binary's */
	size_t njoins;
	const struct join **join_of_probe; /* the probes are those of the joins that are not refused */
	size_t nspans;                     /* probes that open spans */
};

/*
 * alone, propagators: as in struct join_options. Never NULL; the reason is in wanted.why when there is nothing to
 * plant.
 */
struct span_wanted *span_wanted_new(struct binary *b, const pack_set *packs, const struct planter_ops *planter,
				    bool alone, unsigned propagators);
void span_wanted_free(struct span_wanted *s); /* NULL ok */

#endif
