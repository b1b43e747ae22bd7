/*
 * Packs × a binary → probes: for each point of each pack that applies, the function, where in it and its
 * compiled capture program, or the reason why not. Needs no running process and no privileges.
 */
#ifndef PROBE_JOIN_H
#define PROBE_JOIN_H

#include "probe/lower/compile.h"
#include "probe/pack/pack.h"

struct join {
	const struct pack *pack;
	const struct pack_span *span;        /* NULL for hooks; of another pack where part extends it */
	const struct pack_span *part;        /* whose point it is: the span, or what extends it */
	const struct pack_point *point;
	const struct pack_variant *variant;  /* the one used, with what marks add; NULL when refused or not in this
					      * binary */
	size_t variant_number;               /* which one of the point's it is */
	struct func func;
	struct signature signature;
	struct join_point at;
	struct capture_result capture;
	const struct lower_marks *marks;     /* of capture, whose words are captures of the variant; or NULL */
	bool absent;                         /* no variant's function is in the binary (and that may be fine) */
	const char *why;                     /* the reason when variant is NULL */
};

/* Traces are decided where their first probe fires, by marks (probe/mark.h). */
struct join_marks {
	double ratio;                        /* of the traces that begin here, 0 to 1 */
	bool parent_based;                   /* the flag of an incoming traceparent is followed; else its id's share */
	bool sent;                           /* others are told of the ids, so nobody may change them */
};

struct join_options {
	const struct planter_caps *caps;     /* the planter's; NULL: what every planter can do */
	unsigned propagators;                /* enum propagators: headers of others are left out */
	bool propagate;                      /* with the points that write into requests */
	const struct join_marks *marks;      /* NULL, or the planter cannot: programs have no marks */
	struct shape_table *shapes;          /* of the binary: for lists of attributes (join_shapes); NULL: these are
					      * left out */
	bool alone;                          /* no other process can be observed: what only tells connections apart is
					      * left out */
};

/*
 * Joins every pack that applies. ret is in the binary's arena. Spans whose required points are refused have
 * all their points refused with that reason; other spans go on. 0, or -ENOMEM-class errors only.
 */
int join_packs(struct binary *b, struct pack *const *packs, size_t npacks, const struct join_options *o,
	       struct join **ret, size_t *ret_n, struct err *err);
/*
 * A table for join_packs, to be finished by whoever plants (shape_table_finish), and freed when nothing is planted any
 * more. NULL where no pack has lists of attributes, or the binary does not tell how interfaces say what they hold.
 */
struct shape_table *join_shapes(struct binary *b, struct pack *const *packs, size_t npacks);
/*
 * The packs' hooks of these kinds of points only (UNWIND, EXIT), without what they capture: goroutine, stack pointer
 * and join points. Each call joins anew.
 */
int join_hooks(struct binary *b, struct pack *const *packs, size_t npacks, struct join **ret, size_t *ret_n,
	       struct err *err);
/* What is asked for by a capture of a point of that span (NULL: of a hook). */
struct capture_item pack_capture_item(const struct pack_span *s, const struct pack_capture *c,
				      const struct join_options *o);
/* The types that the packs declare, for signatures that are declared for b from now on (join_packs does it itself). */
void packs_declare_types(struct binary *b, struct pack *const *packs, size_t npacks);

#endif
