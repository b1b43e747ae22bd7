/* What sinks for people have in common: a file sink with colours and the width of a terminal. */
#ifndef SINK_TEXT_SINK_H
#define SINK_TEXT_SINK_H

#include "sink/file_sink.h"
#include "sink/frame_names.h"
#include "sink/headline.h"
#include "sink/text.h"

struct text_sink {
	struct file_sink file;  /* first */
	bool colour, show_process;
	unsigned width;         /* of the terminal; 0: not one, nothing is shortened */
	bool fixed_width;       /* it was given */
	struct headline_layout headline; /* of spans */
	struct clock_text clock;
	struct frame_names names;
	unsigned process_columns;
	unsigned rounds;        /* of aggregates shown so far */
};

void text_sink_open(struct text_sink *t, const struct sink_ops *ops, const struct sink_setup *setup);
void text_sink_done(struct text_sink *t, unsigned timeout_ms); /* as file_sink_done */
void text_sink_tick(struct sink *s);                           /* a hook, as file_sink_tick */
void text_sink_dump(struct sink *s, const struct dump_note *n); /* a hook: a line that says what follows */

/* A row of a record, which output_begin began. */
struct row text_sink_row(struct text_sink *t, struct buf *out);
/* shop[4711] and the gap, if processes are to be named. */
void show_process(struct text_sink *t, struct row *r, const struct resource *p, const char *gap);

#endif
