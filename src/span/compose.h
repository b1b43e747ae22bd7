/* Attributes that a pack puts together from others: `compose` in a span. */
#ifndef SPAN_COMPOSE_H
#define SPAN_COMPOSE_H

#include "probe/pack/pack.h"
#include "span/attr_list.h"
#include "span/interner.h"

/*
 * Adds them to l, each by the first of its forms of which all is known that stands outside of [ ]; one that l has
 * already stays. keys: where their names are.
 */
void compose_attributes(struct attr_list *l, const struct pack_span *span, struct interner *keys, struct buf *scratch);

#endif
