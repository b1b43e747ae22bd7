/*
 * Values that points keep for later ones of their goroutine (`save` of packs), in woven code: the recorder has them,
 * under a key that points of other packages find without having seen the one that keeps. So keys, numbers and types
 * come from the packs alone.
 */
#ifndef WEAVE_KEPT_H
#define WEAVE_KEPT_H

#include "probe/bind/print_point.h"
#include "weave/points.h"

/* What the points of part keep, and those that write (for_writers) apart from the others. part NULL: a hook's. */
struct kept_values {
	struct carried_value values[GO_KEPT_MAX];
	const char *names[GO_KEPT_MAX];
	bool wanted[GO_KEPT_MAX]; /* another point than one of an unwinding uses it */
	size_t n;
	struct go_kept of_point;
};

/*
 * type: that of an expression at the entry of the function of v, or NULL: it cannot be told.
 * What is in arena lives as long as that.
 */
typedef const struct type *(*kept_type_fn)(void *arg, const struct pack_variant *v, const char *expression);
void kept_values_of(const struct weave_wanted *wanted, const struct pack *pack, const struct pack_span *part,
                    const struct pack_point *point, kept_type_fn type, void *arg, struct arena *arena,
                    struct kept_values *ret);
/* Whether a point's captures use what another one keeps. */
bool kept_is_asked_for(const struct kept_values *k, const struct pack_variant *v);
/* 1 + the number of a name; 0: it is not kept for anybody. */
int kept_number(const struct kept_values *k, const char *name);

#endif
