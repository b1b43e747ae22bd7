/* A span's name, by its pack's titles. */
#ifndef SPAN_TITLE_H
#define SPAN_TITLE_H

#include "span/attr_list.h"

/*
 * Renders the first of the titles ("{http.request.method} {http.route}") whose parts are all there, or
 * fallback, into out.
 */
void title_render(const struct attr_list *l, const char *const *titles, const char *fallback,
		  struct buf *out);

#endif
