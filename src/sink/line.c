/* `-o line`, and the default of trace: a row for each span and each call when it ends; aggregates as tables. */
#include "sink/call_table.h"
#include "sink/call_words.h"

#define GAP 2
#define STACK_INDENT (12 + GAP + DURATION_COLUMNS + GAP + 4)

struct line_sink {
	struct text_sink text;
	bool calls_elsewhere;
};

static struct text_sink *self(struct sink *s)
{
	return &((struct line_sink *)s)->text;
}

static void line_span(struct sink *s, const struct span *span)
{
	struct text_sink *t = self(s);

	headline_row(&t->headline, output_begin(&t->file.out), span, NULL, "");
	output_end(&t->file.out);
}

static void line_call(struct sink *s, const struct call_record *c)
{
	struct text_sink *t = self(s);
	char text[24] = "";
	struct call_words w;
	struct buf *out;
	struct row r;

	if (((struct line_sink *)s)->calls_elsewhere)
		return;
	out = output_begin(&t->file.out);
	r = text_sink_row(t, out);
	if (c->end != CALL_POINT)
		format_duration(c->duration_ns, text);
	row_clock(&r, &t->clock, c->start_unix_ns);
	row_spaces(&r, GAP);
	row_right(&r, STYLE_PLAIN, text, DURATION_COLUMNS);
	row_spaces(&r, GAP);
	show_process(t, &r, c->resource, "  ");
	call_words_make(c, &w);
	call_words_show(&w, &r);
	call_words_done(&w);
	row_end(&r);
	show_stack(t, out, c, STACK_INDENT);
	output_end(&t->file.out);
}

static void line_groups(struct sink *s, const struct call_group *g, size_t n, bool last)
{
	show_groups(self(s), g, n, last);
}

static void line_lost(struct sink *s, const struct losses *l)
{
	show_lost(self(s), l);
}

static void line_close(struct sink *s, unsigned timeout_ms)
{
	text_sink_done(self(s), timeout_ms);
	free(s);
}

static const struct sink_ops line_ops = {
	.name = "line",
	.dump = text_sink_dump,
	.span = line_span,
	.call = line_call,
	.groups = line_groups,
	.lost = line_lost,
	.tick = text_sink_tick,
	.gone = file_sink_gone,
	.full = file_sink_full,
	.trouble = file_sink_trouble,
	.losses = file_sink_losses,
	.close = line_close,
};

static int line_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct line_sink *l = xcalloc(1, sizeof(*l));

	l->calls_elsewhere = setup->calls_elsewhere;
	text_sink_open(&l->text, &line_ops, setup);
	*ret = &l->text.file.sink;
	return 0;
}

const struct sink_kind sink_line = {
	.name = "line",
	.form = "one aligned line",
	.takes = SINK_SPANS | SINK_CALLS,
	.prints = true,
	.open = line_open,
};
