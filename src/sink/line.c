/* `-o line`: each span is a row when it ends. */
#include "sink/headline.h"
#include "sink/output.h"
#include "sink/sinks.h"

struct line_sink {
	struct sink sink;
	struct output out;
	struct headline_layout layout;
};

static void line_span(struct sink *s, const struct span *span)
{
	struct line_sink *l = (struct line_sink *)s;

	headline_row(&l->layout, output_begin(&l->out), span, NULL, "");
	output_end(&l->out);
}

static void line_tick(struct sink *s)
{
	output_flush(&((struct line_sink *)s)->out, 0);
}

static bool line_gone(struct sink *s)
{
	return ((struct line_sink *)s)->out.gone;
}

static const char *line_trouble(struct sink *s)
{
	return output_trouble(&((struct line_sink *)s)->out);
}

static void line_losses(struct sink *s, struct losses *ret)
{
	output_losses(&((struct line_sink *)s)->out, ret);
}

static void line_close(struct sink *s, unsigned timeout_ms)
{
	struct line_sink *l = (struct line_sink *)s;

	if (!l)
		return;
	output_flush(&l->out, timeout_ms);
	output_done(&l->out);
	free(l);
}

static const struct sink_ops line_ops = {
	.name = "line",
	.span = line_span,
	.tick = line_tick,
	.gone = line_gone,
	.trouble = line_trouble,
	.losses = line_losses,
	.close = line_close,
};

struct sink *sink_line_new(const struct line_options *o)
{
	struct line_sink *l = xcalloc(1, sizeof(*l));

	l->sink.ops = &line_ops;
	output_init(&l->out, o->out);
	l->layout = (struct headline_layout){
		.colour = o->colour, .show_service = o->show_service, .width = o->width};
	return &l->sink;
}
