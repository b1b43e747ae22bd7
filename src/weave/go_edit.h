/* Changes of a Go source file that leave all its lines where they were. */
#ifndef WEAVE_GO_EDIT_H
#define WEAVE_GO_EDIT_H

#include "base/buf.h"
#include "base/vec.h"
#include "weave/go_source.h"

struct go_edit {
	struct go_span at; /* what is replaced; empty: text goes there */
	char *text;        /* no newline in it */
};

struct go_edits {
	VEC(struct go_edit) all;
};

/* Edits do not overlap; those at one place take effect in the order in which they were made. */
void go_edits_insert(struct go_edits *e, uint32_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void go_edits_replace(struct go_edits *e, struct go_span at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/*
 * The changed file: path is the original one, which panics, debuggers and profiles go on to show. False where edits
 * overlap or have a newline.
 */
bool go_edits_apply(struct go_edits *e, const char *path, const char *text, size_t len, struct buf *out);
void go_edits_done(struct go_edits *e);

#endif
