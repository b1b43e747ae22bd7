#ifndef SINK_LOSSES_JSON_H
#define SINK_LOSSES_JSON_H

#include "base/json.h"
#include "event/loss.h"

/* The member `key` of the object that is open: an object of counts by loss_name. all: also those that are 0. */
void losses_json(struct json *j, const char *key, const struct losses *l, bool all);

#endif
