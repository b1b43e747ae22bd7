#include "span/ancestry.h"

#include <stddef.h>

bool ancestry_within(const struct ancestry *a, const struct ancestry *of)
{
	while (a && a != of)
		a = a->parent;
	return a;
}

void ancestry_adopt(struct ancestry *parent, struct ancestry *a)
{
	if (ancestry_within(parent, a))
		return;
	a->parent = parent;
	a->previous = NULL;
	a->next = parent->children;
	if (a->next)
		a->next->previous = a;
	parent->children = a;
}

static void unlink_from_parent(struct ancestry *a)
{
	if (a->next)
		a->next->previous = a->previous;
	if (a->previous)
		a->previous->next = a->next;
	else if (a->parent)
		a->parent->children = a->next;
	a->parent = a->next = a->previous = NULL;
}

void ancestry_leave(struct ancestry *a)
{
	struct ancestry *parent = a->parent, *child;

	while ((child = a->children)) {
		unlink_from_parent(child);
		if (parent)
			ancestry_adopt(parent, child);
	}
	unlink_from_parent(a);
}

void ancestry_tell(struct ancestry *a)
{
	for (a = a->parent; a && !a->told; a = a->parent)
		a->told = true;
}

struct ancestry *ancestry_next(const struct ancestry *root, struct ancestry *at)
{
	if (!at)
		return root->children;
	if (at->children)
		return at->children;
	while (at != root && !at->next)
		at = at->parent;
	return at == root ? NULL : at->next;
}
