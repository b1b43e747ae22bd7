/* The table of sinks. */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "sink/call_sinks.h"
#include "sink/sinks.h"

struct file_options {
	const char *path;
};

static struct call_text_options text_options(const struct sink_setup *s)
{
	return (struct call_text_options){
		.color = s->colour, .show_process = s->show_process, .no_calls = s->calls_elsewhere};
}

static struct line_options line_options(const struct sink_setup *s)
{
	struct line_options o = {.out = fdopen(s->fd, "w"), .colour = s->colour, .show_service = s->show_process,
				 .clock = s->clock};
	struct winsize w;

	if (o.colour && ioctl(s->fd, TIOCGWINSZ, &w) == 0)
		o.width = w.ws_col;
	return o;
}

static int open_line(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	struct call_text_options t = text_options(s);
	struct line_options l;

	if (s->gives & SINK_CALLS)
		return call_line_new(s->fd, &t, ret, err);
	l = line_options(s);
	*ret = sink_line_new(&l);
	return 0;
}

static int open_tree(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	struct call_text_options t = text_options(s);
	struct line_options l;

	if (s->gives & SINK_CALLS)
		return call_graph_new(s->fd, &t, ret, err);
	l = line_options(s);
	*ret = sink_tree_new(&l);
	return 0;
}

static int open_json(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	if (s->gives & SINK_CALLS)
		return call_json_new(s->fd, ret, err);
	*ret = sink_json_new(fdopen(s->fd, "w"));
	return 0;
}

static int open_none(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	close_fd(s->fd);
	return 0;
}

static int open_perfetto(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	return call_perfetto_new(((const struct file_options *)s->options)->path, ret, err);
}

static int open_folded(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	return call_folded_new(((const struct file_options *)s->options)->path, ret, err);
}

static int open_pprof(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	return call_pprof_new(((const struct file_options *)s->options)->path, ret, err);
}

static const struct option_def tree_rows[] = {
	{0, "graph", NULL, "print an indented call tree with durations, per goroutine", OPT_FLAG, 0},
	{0},
};
static const struct option_def json_rows[] = {
	{0, "json", NULL, "print calls, aggregates and the summary as JSON lines", OPT_FLAG, 0},
	{0},
};
static const struct option_def perfetto_rows[] = {
	{0, "perfetto", "FILE", "write a timeline for ui.perfetto.dev or chrome://tracing, instead of lines",
	 OPT_STRING, offsetof(struct file_options, path)},
	{0},
};
static const struct option_def folded_rows[] = {
	{0, "folded", "FILE", "write the stacks of calls for flame graph tools, instead of lines", OPT_STRING,
	 offsetof(struct file_options, path)},
	{0},
};
static const struct option_def pprof_rows[] = {
	{0, "pprof", "FILE", "write the stacks of calls as a profile for `go tool pprof`, instead of lines", OPT_STRING,
	 offsetof(struct file_options, path)},
	{0},
};

static const struct sink_kind line = {
	.name = "line", .takes = SINK_SPANS | SINK_CALLS, .prints = true, .open = open_line};
static const struct sink_kind tree = {.name = "tree",
				      .takes = SINK_SPANS | SINK_CALLS,
				      .prints = true,
				      .needs = SINK_NEEDS_RETURN,
				      .options = tree_rows,
				      .options_size = sizeof(bool),
				      .open = open_tree};
static const struct sink_kind json = {.name = "json",
				      .takes = SINK_SPANS | SINK_CALLS,
				      .prints = true,
				      .options = json_rows,
				      .options_size = sizeof(bool),
				      .open = open_json};
static const struct sink_kind none = {
	.name = "none", .takes = SINK_SPANS | SINK_CALLS, .prints = true, .open = open_none};
static const struct sink_kind perfetto = {.name = "perfetto",
					  .takes = SINK_CALLS,
					  .needs = SINK_NEEDS_RETURN,
					  .options = perfetto_rows,
					  .options_size = sizeof(struct file_options),
					  .open = open_perfetto};
static const struct sink_kind folded = {.name = "folded",
					.takes = SINK_CALLS,
					.needs = SINK_NEEDS_STACK,
					.options = folded_rows,
					.options_size = sizeof(struct file_options),
					.open = open_folded};
static const struct sink_kind pprof = {.name = "pprof",
				       .takes = SINK_CALLS,
				       .needs = SINK_NEEDS_RETURN | SINK_NEEDS_STACK,
				       .options = pprof_rows,
				       .options_size = sizeof(struct file_options),
				       .open = open_pprof};

extern const struct sink_kind sink_otlp;

const struct sink_kind *const sink_kinds[] = {&line, &tree, &json, &none, &sink_otlp, &perfetto, &folded, &pprof, NULL};
