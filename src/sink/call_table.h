/* Aggregates for people. */
#ifndef SINK_CALL_TABLE_H
#define SINK_CALL_TABLE_H

#include "sink/text_sink.h"

/* All groups, a table or histograms an aggregate. */
void show_groups(struct text_sink *t, const struct call_group *g, size_t n, bool last);
void show_lost(struct text_sink *t, const struct losses *l); /* a line for each cause */

#endif
