/* The points of packs that an executable has, and functions that are spans: what spans are made of. */
#ifndef CMD_SPAN_WANTED_H
#define CMD_SPAN_WANTED_H

#include "cmd/consumer.h"
#include "cmd/packs.h"
#include "cmd/woven_match.h"
#include "probe/pack/join.h"
#include "probe/plan/span_plan.h"

struct span_wanted {
	struct wanted wanted;              /* first: the observation knows it by this */
	struct join *joins;                /* the binary's */
	size_t njoins;
	struct shape_table *shapes;        /* of what the joins capture whole; or NULL */
	const struct join **join_of_probe; /* the probes are those of the joins that are not refused */
	size_t nspans;                     /* probes that open spans */
	struct woven_set woven;            /* points that the executable has itself */
	struct span_plan functions;        /* its pack is the caller's, who frees it behind whoever has its spans */
};

struct spans_asked {                       /* of every executable; all of it outlives what is made of it */
	const pack_set *packs;
	const struct span_question *functions; /* those of --span */
	size_t nfunctions;
	const struct planter_ops *planter;
	bool alone;                        /* this and the next ones: as in struct join_options */
	unsigned propagators;
	bool propagate;
	const struct join_marks *marks;    /* likewise; but not where the program's own SDK decides */
};

/* Never NULL; the reason is in wanted.why when there is nothing to plant. */
struct span_wanted *span_wanted_new(struct binary *b, const struct spans_asked *asked);
/*
 * The joins of the packs, and of the pack of functions, unless it is NULL. As join_packs. ret_shapes (join_shapes; to
 * be freed) is needed as long as they are.
 */
int span_joins(struct binary *b, const pack_set *packs, struct pack *functions, const struct join_options *with,
	       struct shape_table **ret_shapes, struct join **ret, size_t *ret_n, struct err *err);
/* What a call that is a span by --span costs the program, in ns, the mean of all; 0: there are none, or not known. */
double span_wanted_price(const struct span_wanted *s, struct planter *planter);
void span_wanted_free(struct span_wanted *s); /* NULL ok */

#endif
