/* What the outputs for people share: a stream with a width, and a call as a row of it. */
#ifndef SINK_CALL_TEXT_H
#define SINK_CALL_TEXT_H

#include <time.h>

#include "base/vec.h"
#include "sink/call_code.h"
#include "sink/call_sinks.h"
#include "sink/call_stream.h"
#include "sink/text.h"

#define DURATION_COLUMNS 7 /* 12.3 µs */

struct call_text {
	struct call_stream stream;
	struct call_text_options options;
	unsigned width;         /* of the terminal; 0: not one, nothing is shortened */
	struct code_names names;
	time_t second;          /* that clock was made for */
	char clock[16];
	unsigned process_columns;
	unsigned rounds;        /* of aggregates shown so far */
};

int call_text_open(int fd, const struct call_text_options *o, struct call_text *ret, struct err *err);
void call_text_close(struct call_text *t, unsigned timeout_ms);
void call_text_tick(struct call_text *t);
struct row call_text_row(struct call_text *t, struct buf *out);

void show_clock(struct call_text *t, struct row *r, uint64_t unix_ns);   /* 21:04:11.203 */
void show_process(struct call_text *t, struct row *r, const struct call_process *p, const char *gap); /* if wanted */
void show_stack(struct call_text *t, struct buf *out, const struct call_record *c, unsigned indent);

/* A call as words, kept apart from the record, which does not last. */
struct call_word {
	enum shown_kind kind;
	enum style style;
	const char *name;
	size_t at, len;         /* in text */
	unsigned columns;
};
struct call_words {
	const struct call_plan *plan;
	enum call_end end;
	struct buf text;
	VEC(struct call_word) words;
};
void call_words_make(const struct call_record *c, struct call_words *ret);
void call_words_done(struct call_words *w);
/* func(args) → results: where the row has no room for all, values are shortened, the longest arguments first. */
void call_words_show(const struct call_words *w, struct row *r);

/* All groups, a table or histograms an aggregate (call_table.c). */
void show_groups(struct call_text *t, const struct call_group *g, size_t n, bool last);
void show_lost(struct call_text *t, const struct losses *l); /* a line for each cause */

#endif
