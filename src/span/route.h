/*
 * Templates of paths, as routers write them ("/users/{id}", "/users/:id"): what a route is where one router hands a
 * part of the path to another.
 */
#ifndef SPAN_ROUTE_H
#define SPAN_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/text_view.h"

/*
 * The length of the part of route that belongs to what stands before path, the end of whole: "/users/{id}/" for "/x" of
 * "/users/7/x" → "/users/{id}". Segment by segment: each is the same text, or one parameter, {name} or :name. False
 * where path is not the end of whole, or where that is not certain (a wildcard for several segments, an expression).
 */
bool route_before(struct text_view route, struct text_view path, struct text_view whole, size_t *ret_len);

struct route_parameter {
	size_t at, len;            /* the part of the path that it stands for */
	struct text_view name;
};
/*
 * Appends the path with its parameters by name: ":name" for a part of a segment, "*name" with the slash before it for
 * one that begins with a slash. In the path's order; false when they are not, or not in it.
 */
bool route_of_parameters(struct text_view path, const struct route_parameter *p, size_t n, struct buf *out);

#endif
