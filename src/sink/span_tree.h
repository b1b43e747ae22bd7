/* The spans of a trace together, each below its parent. Shown when the trace's root has ended. */
#ifndef SINK_SPAN_TREE_H
#define SINK_SPAN_TREE_H

#include "sink/text_sink.h"

struct span_tree;
struct span_tree *span_tree_new(struct text_sink *text, uint64_t (*clock)(void)); /* clock NULL: the system's */
void span_tree_free(struct span_tree *t); /* shows what is left */
void span_tree_add(struct span_tree *t, const struct span *span);
void span_tree_tick(struct span_tree *t);

#endif
