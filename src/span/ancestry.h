/*
 * The open spans of all processes as trees: each below its nearest ancestor that is open. What is known of a span's
 * parent while that is open is known here; a span that ends leaves those below it to its own parent.
 */
#ifndef SPAN_ANCESTRY_H
#define SPAN_ANCESTRY_H

#include <stdbool.h>

struct ancestry {                        /* embedded in each open span; zero is alone */
	struct ancestry *parent;
	struct ancestry *children;
	struct ancestry *next, *previous; /* children of one parent */
	bool told;                       /* something below it has been emitted, with the trace's id */
};

/* a has no parent. Nothing happens where it would become its own ancestor. */
void ancestry_adopt(struct ancestry *parent, struct ancestry *a);
/* Takes it out; its children go to its parent. */
void ancestry_leave(struct ancestry *a);
/* Whether a is of or b one of its ancestors. */
bool ancestry_within(const struct ancestry *a, const struct ancestry *of);
/* It has been emitted: its ancestors' ids cannot change any more. */
void ancestry_tell(struct ancestry *a);
/* All below root, each after its parent: NULL begins and ends. */
struct ancestry *ancestry_next(const struct ancestry *root, struct ancestry *at);

#endif
