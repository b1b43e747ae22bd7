/* Whether a pack's condition (probe/pack/pack_condition.h) holds for the attributes that a span has. */
#ifndef SPAN_CONDITION_H
#define SPAN_CONDITION_H

#include "probe/pack/pack_condition.h"
#include "span/attr_list.h"

/*
 * A comparison with an attribute that is not there, or of values of different kinds (a text, a number, a bool), does
 * not hold, whichever it is. *ret_cause becomes the attribute that made the condition true, or NULL where that is
 * none (the absence of one, say); it is valid until the list changes, and not set unless the condition holds.
 */
bool condition_holds(const struct condition *c, const struct attr_list *l, const struct attr_value **ret_cause);

#endif
