/* The default output of trace: a line a call, when it ends. */
#include "sink/call_text.h"

#define GAP 2
#define STACK_INDENT (12 + GAP + DURATION_COLUMNS + GAP + 4)

struct line_output {
	struct sink sink;
	struct call_text text;
};

static struct line_output *self(struct sink *s)
{
	return (struct line_output *)s;
}

static void show_call(struct call_text *t, const struct call_record *c)
{
	struct buf *out = output_begin(&t->stream.out);
	struct row r = call_text_row(t, out);
	struct call_words w;
	char text[24] = "";

	if (c->end != CALL_POINT)
		format_duration(c->duration_ns, text);
	show_clock(t, &r, c->start_unix_ns);
	row_spaces(&r, GAP);
	row_right(&r, STYLE_PLAIN, text, DURATION_COLUMNS);
	row_spaces(&r, GAP);
	show_process(t, &r, c->process, "  ");
	call_words_make(c, &w);
	call_words_show(&w, &r);
	call_words_done(&w);
	row_end(&r);
	show_stack(t, out, c, STACK_INDENT);
	output_end(&t->stream.out);
}

static void line_call(struct sink *s, const struct call_record *c)
{
	struct call_text *t = &self(s)->text;

	if (!t->options.no_calls)
		show_call(t, c);
}

static void line_groups(struct sink *s, const struct call_group *g, size_t n, bool last)
{
	show_groups(&self(s)->text, g, n, last);
}

static void line_lost(struct sink *s, const struct losses *l)
{
	show_lost(&self(s)->text, l);
}

static void line_tick(struct sink *s)
{
	call_text_tick(&self(s)->text);
}

static bool line_gone(struct sink *s)
{
	return self(s)->text.stream.out.gone;
}

static const char *line_trouble(struct sink *s)
{
	return call_stream_trouble(&self(s)->text.stream);
}

static void line_losses(struct sink *s, struct losses *ret)
{
	output_losses(&self(s)->text.stream.out, ret);
}

static void line_close(struct sink *s, unsigned timeout_ms)
{
	struct line_output *o = self(s);

	if (!o)
		return;
	call_text_close(&o->text, timeout_ms);
	free(o);
}

static const struct sink_ops line_ops = {
	.name = "line",
	.call = line_call,
	.groups = line_groups,
	.lost = line_lost,
	.tick = line_tick,
	.gone = line_gone,
	.trouble = line_trouble,
	.losses = line_losses,
	.close = line_close,
};

int call_line_new(int fd, const struct call_text_options *o, struct sink **ret, struct err *err)
{
	struct line_output *l = xcalloc(1, sizeof(*l));
	int r = call_text_open(fd, o, &l->text, err);

	if (r < 0) {
		free(l);
		return r;
	}
	l->sink.ops = &line_ops;
	*ret = &l->sink;
	return 0;
}
