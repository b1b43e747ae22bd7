/*
 * Rows of text for a terminal: values are made harmless (nothing from outside reaches the terminal as a
 * control sequence), columns are counted as a terminal shows them, and what does not fit ends in "…".
 */
#ifndef SINK_TEXT_H
#define SINK_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD, STYLE_GREEN, STYLE_CYAN, STYLE_YELLOW, STYLE_RED };

struct row {
	struct buf *out;
	unsigned width;      /* 0: unlimited */
	bool colour, full;
	unsigned column;
	size_t cut_at;       /* length of out while one column was left for the "…" */
};

struct row row_begin(struct buf *out, unsigned width, bool colour);
void row_text(struct row *r, enum style style, const char *s, size_t n);
void row_str(struct row *r, enum style style, const char *s);
void row_spaces(struct row *r, unsigned n);
/* In a column of its own: at most `columns` wide (0: as it is), padded to `pad` columns. */
void row_field(struct row *r, enum style style, const char *s, size_t n, unsigned columns, unsigned pad);
void row_right(struct row *r, enum style style, const char *s, unsigned pad); /* right-aligned */
void row_end(struct row *r);           /* the newline */

#define DURATION_COLUMNS 7 /* 12.3 µs */

/* The time of day, whose text is made once a second. Zero is valid. */
struct clock_text {
	long second;
	char text[16];
};
void row_clock(struct row *r, struct clock_text *c, uint64_t unix_ns); /* 21:04:11.203, local */

unsigned text_columns(const char *s, size_t n); /* how wide it is shown */
/* "532 B", "1.2 kB", "45 MB" */
void format_size(int64_t bytes, char ret[24]);

#endif
