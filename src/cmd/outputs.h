/* The sinks that a command line and OpenTelemetry's environment ask for, as one. The same for every verb. */
#ifndef CMD_OUTPUTS_H
#define CMD_OUTPUTS_H

#include "base/vec.h"
#include "sink/sink.h"

#define OUTPUT_OPTION_BYTES 512

struct output_options {
	const char *form;   /* -o of run and attach: the name of a kind that prints; NULL: see struct sink_kind */
	const char *file;   /* -o of trace: NULL: standard output */
	_Alignas(8) unsigned char of_kinds[OUTPUT_OPTION_BYTES]; /* each kind's own, as the table has them */
};

/*
 * For struct option_group.rows, base being the place of a struct output_options: what run and attach offer (-o FORM,
 * the options of sinks that take spans), and what trace does (-o FILE, those of sinks that take calls).
 */
void outputs_span_rows(size_t base, option_rows_fn give, void *arg);
void outputs_call_rows(size_t base, option_rows_fn give, void *arg);

/*
 * What is offered where spans are written out at once, each time into a file of its own: -o FORM, also of a kind
 * that writes a file, and the options of those that send.
 */
void outputs_dump_rows(size_t base, option_rows_fn give, void *arg);

/* What outputs_span_rows, outputs_call_rows or outputs_dump_rows offer, as the manual pages have it: a .TP each. */
void outputs_span_manual(struct buf *out);
void outputs_call_manual(struct buf *out);
void outputs_dump_manual(struct buf *out);

/* Whether the kind of this name is asked for by its own option. */
bool outputs_ask_for(const struct output_options *o, const char *name);
/* -EINVAL: two forms of the same output. */
int outputs_check(const struct output_options *o, struct err *err);
/* SINK_NEEDS_* of all that are asked for. */
unsigned outputs_needs(const struct output_options *o);

typedef VEC(struct sink *) sink_list;

/*
 * Opens all that is asked for and takes something of what with->gives says; of with, options, fd, colour and
 * calls_elsewhere are filled in here. -EINVAL, -errno with a sentence; what was opened until then is in ret.
 */
int outputs_open(const struct output_options *o, const struct sink_setup *with, sink_list *ret, struct err *err);
/*
 * For a dump: what -o names (OUTPUTS_DUMP_FORM where it names nothing) is opened with the file at path, "-" being
 * standard output; what sends, as by outputs_open. Errors: likewise.
 */
int outputs_open_dump(const struct output_options *o, const char *path, const struct sink_setup *with, sink_list *ret,
		      struct err *err);
#define OUTPUTS_DUMP_FORM "json"
/* -EINVAL: -o names none of these forms. */
int outputs_check_dump(const struct output_options *o, struct err *err);
void outputs_dump(const sink_list *l, const struct dump_note *n);
void outputs_span(const sink_list *l, const struct span *span);
void outputs_call(const sink_list *l, const struct call_record *c);
void outputs_groups(const sink_list *l, const struct call_group *g, size_t n, bool last);
/* Behind groups. */
void outputs_lost(const sink_list *l, const struct losses *lost);
void outputs_tick(const sink_list *l);
/* Whether a sink wants to know which calls are open; then tells it. */
bool outputs_want_running(const sink_list *l);
void outputs_running(const sink_list *l, const struct call_running *r, size_t n);
/* There were sinks, and nobody can receive from any of them: the observation has no purpose left. */
bool outputs_gone(const sink_list *l);
/*
 * Waits until there is room in all of them, or for timeout_ms; false: there is still none. For whoever makes spans
 * faster than they happen.
 */
bool outputs_wait_for_room(const sink_list *l, unsigned timeout_ms);
/* Delivers what can be within timeout_ms and adds the losses: a summary is true only after this. */
void outputs_finish(const sink_list *l, unsigned timeout_ms, struct losses *ret);
void outputs_summary(const sink_list *l, const struct run_summary *sum);
/* The next sentence about a sink's state from *pos on, or NULL. */
const char *outputs_trouble(const sink_list *l, size_t *pos);
void outputs_close(sink_list *l, unsigned timeout_ms);

#endif
