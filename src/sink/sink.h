/*
 * Where spans, calls and groups of aggregates go. A sink is one file in this folder and one row in kinds.h; its options
 * are rows of its own, from which --help and the manual pages come.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include "base/err.h"
#include "base/options.h"
#include "call/call.h"
#include "event/run_summary.h"
#include "span/span.h"

/* ---- a sink at work: everything is given on one thread, nothing may block. Each hook may be NULL. ---- */

/* Of what was recorded and is given all at once (cmd/dump.h): why, and how much of the time before that it is. */
struct dump_note {
	const char *reason;
	uint64_t at_unix_ns;         /* when it was asked for */
	uint64_t from_unix_ns;       /* all that ended since then is there, but for what was lost */
	bool from_start;             /* … which is when the recorder began */
	uint64_t spans;
	struct losses lost;          /* since about then */
	const char *text;            /* all of that for people, one line */
};

struct sink;
struct sink_ops {
	const char *name;
	/* What follows are the spans of a dump. Before any of them. */
	void (*dump)(struct sink *s, const struct dump_note *n);
	/* A span that has ended. Valid during the call only, but for its resource. */
	void (*span)(struct sink *s, const struct span *span);
	/* A call, in the order in which calls end. Valid during this only, but for its resource. */
	void (*call)(struct sink *s, const struct call_record *c);
	/*
	 * Groups of all aggregates, sorted by question, aggregate, then size; at the end (last) and with --interval.
	 */
	void (*groups)(struct sink *s, const struct call_group *g, size_t n, bool last);
	/* Behind groups: what else was lost meanwhile, whatever it would have counted in. */
	void (*lost)(struct sink *s, const struct losses *l);
	/* About every 100 ms: flush what is due. */
	void (*tick)(struct sink *s);
	/*
	 * All calls that are open now; behind every tick. (A call's record comes when it ends, after those of the calls
	 * it made: only so is it known that nothing is to come above them.)
	 */
	void (*running)(struct sink *s, const struct call_running *r, size_t n);
	/* Whether nobody can receive what it gets any more (a closed pipe). */
	bool (*gone)(struct sink *s);
	/* Whether it would lose what it gets now, and may have room later: whoever can wait does. */
	bool (*full)(struct sink *s);
	/* A sentence for the user about the sink's state, or NULL; valid until the next call. Asked at the end. */
	const char *(*trouble)(struct sink *s);
	/* Adds what it could not deliver. */
	void (*losses)(struct sink *s, struct losses *ret);
	/* All spans, calls and groups have been given. */
	void (*summary)(struct sink *s, const struct run_summary *sum);
	/* Before the summary: flushes within timeout_ms and takes no more spans; losses and trouble are final then. */
	void (*finish)(struct sink *s, unsigned timeout_ms);
	/* Flushes within timeout_ms (if finish has not), then frees. */
	void (*close)(struct sink *s, unsigned timeout_ms);
};
struct sink {
	const struct sink_ops *ops;
};

/* ---- the kinds of sinks there are ---- */

/* What an observation gives, and what a sink takes of it. */
enum { SINK_SPANS = 1, SINK_CALLS = 2 };
/* What a sink needs to know of each call, even where no question asks for it. */
enum { SINK_NEEDS_RETURN = 1 /* how long it took */, SINK_NEEDS_STACK = 2 };

struct otel_env;

/* What a sink is opened with. All of it outlives the sink, but for options, which it copies from. */
struct sink_setup {
	const void *options;         /* its kind's, as the rows filled them */
	unsigned gives;              /* SINK_SPANS | SINK_CALLS */
	int fd;                      /* of a kind that prints: where to; the sink's to close, also when open fails */
	bool colour;                 /* fd is a terminal that wants colours */
	unsigned width;              /* columns to fit in; 0: those of the terminal, if it is one */
	bool show_process;           /* several processes may be observed: name them */
	bool calls_elsewhere;        /* another sink was asked for to take the calls: print what is left, aggregates */
	const struct otel_env *env;  /* OpenTelemetry's variables; NULL: they do not count */
	uint64_t (*clock)(void);     /* monotonic ns; NULL: the system's */
};

struct sink_kind {
	const char *name;
	const char *form;            /* of a kind that prints: what, for the manual page: "whole traces, indented" */
	unsigned takes;              /* SINK_SPANS | SINK_CALLS */
	/*
	 * One of the kinds that print does, to standard output or a file: of run and attach by -o NAME, of trace by
	 * its first option, else the first in the table. The others are opened beside it where their first option is
	 * given.
	 */
	bool prints;
	bool writes_file;            /* its options are struct file_options */
	bool by_env;                 /* opened in any case: open looks at env, and gives NULL if nothing asks for it */
	unsigned needs;              /* SINK_NEEDS_* */
	/*
	 * Rows over a struct of options_size bytes, all zero where nothing is given; NULL: none. The first, at offset
	 * 0, is how it is asked for: a flag or a text.
	 */
	const struct option_def *options;
	size_t options_size;
	const char *const *manual;   /* for each of them: what the manual page says, in roff; NULL: as help */
	/* *ret may stay NULL: there is nothing to give to. -errno with a sentence. */
	int (*open)(const struct sink_setup *setup, struct sink **ret, struct err *err);
};

extern const struct sink_kind *const sink_kinds[]; /* ends with NULL */

#endif
