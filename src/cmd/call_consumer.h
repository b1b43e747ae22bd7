/* Traced calls, as a consumer of an observation: questions, planned for each executable, and their answers. */
#ifndef CMD_CALL_CONSUMER_H
#define CMD_CALL_CONSUMER_H

#include "cmd/call_options.h"
#include "cmd/call_wanted.h"
#include "cmd/observation.h"

/* needs: SINK_NEEDS_* of the sinks. Of ret, list_option and json_option are the verb's to set. */
void inquiry_make(const struct call_options *o, const struct question *questions, size_t n, unsigned needs,
		  const struct observation *ob, struct inquiry *ret);
/* Adds it to ob. o, and what q points to, outlive it. */
void call_consumer_new(struct observation *ob, const struct call_options *o, const struct inquiry *q);

#endif
