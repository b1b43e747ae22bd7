/* `-o tree`, `--graph`: the spans of a trace, and the calls of a goroutine, each below the one that caused it. */
#include "sink/call_table.h"
#include "sink/call_tree.h"
#include "sink/span_tree.h"

struct tree_sink {
	struct text_sink text;
	struct span_tree *spans;
	struct call_tree *calls;
};

static struct tree_sink *self(struct sink *s)
{
	return (struct tree_sink *)s;
}

static void tree_span(struct sink *s, const struct span *span)
{
	span_tree_add(self(s)->spans, span);
}

static void tree_call(struct sink *s, const struct call_record *c)
{
	call_tree_add(self(s)->calls, c);
}

static void tree_running(struct sink *s, const struct call_running *r, size_t n)
{
	call_tree_running(self(s)->calls, r, n);
}

static void tree_groups(struct sink *s, const struct call_group *g, size_t n, bool last)
{
	if (last)
		call_tree_flush(self(s)->calls);
	show_groups(&self(s)->text, g, n, last);
}

static void tree_lost(struct sink *s, const struct losses *l)
{
	show_lost(&self(s)->text, l);
}

static void tree_tick(struct sink *s)
{
	span_tree_tick(self(s)->spans);
	call_tree_tick(self(s)->calls);
	text_sink_tick(s);
}

static void tree_summary(struct sink *s, const struct run_summary *sum)
{
	call_tree_flush(self(s)->calls);
}

static void tree_close(struct sink *s, unsigned timeout_ms)
{
	struct tree_sink *t = self(s);

	span_tree_free(t->spans);
	call_tree_free(t->calls);
	text_sink_done(&t->text, timeout_ms);
	free(t);
}

static const struct sink_ops tree_ops = {
	.name = "tree",
	.dump = text_sink_dump,
	.span = tree_span,
	.call = tree_call,
	.groups = tree_groups,
	.lost = tree_lost,
	.tick = tree_tick,
	.running = tree_running,
	.gone = file_sink_gone,
	.full = file_sink_full,
	.trouble = file_sink_trouble,
	.losses = file_sink_losses,
	.summary = tree_summary,
	.close = tree_close,
};

static int tree_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct tree_sink *t = xcalloc(1, sizeof(*t));

	text_sink_open(&t->text, &tree_ops, setup);
	t->spans = span_tree_new(&t->text, setup->clock);
	t->calls = call_tree_new(&t->text);
	*ret = &t->text.file.sink;
	return 0;
}

static const struct option_def rows[] = {
	{0, "graph", NULL, "print an indented call tree with durations, per goroutine", OPT_FLAG, 0},
	{0},
};
static const char *const manual[] = {
	"an indented call tree with durations, per goroutine, printed when the outermost of the traced calls has "
	"ended.",
};

const struct sink_kind sink_tree = {
	.name = "tree",
	.form = "whole traces, indented",
	.takes = SINK_SPANS | SINK_CALLS,
	.prints = true,
	.needs = SINK_NEEDS_RETURN,
	.options = rows,
	.options_size = sizeof(bool),
	.manual = manual,
	.open = tree_open,
};
