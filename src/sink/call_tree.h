/* What a goroutine did as a tree of calls. Shown when nothing can come above them. */
#ifndef SINK_CALL_TREE_H
#define SINK_CALL_TREE_H

#include "sink/text_sink.h"

struct call_tree;
struct call_tree *call_tree_new(struct text_sink *text);
void call_tree_free(struct call_tree *t); /* shows what is left */
void call_tree_add(struct call_tree *t, const struct call_record *c);
void call_tree_running(struct call_tree *t, const struct call_running *r, size_t n);
void call_tree_tick(struct call_tree *t);
void call_tree_flush(struct call_tree *t); /* shows what there is */

#endif
