#include "sink/text_sink.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROCESS_BOUND 24

static void find_width(struct text_sink *t)
{
	struct winsize w = {0};
	int fd = t->file.out.fd;

	if (!t->fixed_width && isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0) /* it may have been resized */
		t->width = w.ws_col;
	t->headline.width = t->colour || t->fixed_width ? t->width : 0;
}

void text_sink_open(struct text_sink *t, const struct sink_ops *ops, const struct sink_setup *setup)
{
	*t = (struct text_sink){.colour = setup->colour,
				.show_process = setup->show_process,
				.width = setup->width,
				.fixed_width = setup->width,
				.headline = {.colour = setup->colour, .show_service = setup->show_process},
				.names.with_line = true};
	file_sink_open(&t->file, ops, setup);
	find_width(t);
}

void text_sink_done(struct text_sink *t, unsigned timeout_ms)
{
	file_sink_done(&t->file, timeout_ms);
	frame_names_done(&t->names);
}

void text_sink_tick(struct sink *s)
{
	file_sink_tick(s);
	find_width((struct text_sink *)s);
}

void text_sink_dump(struct sink *s, const struct dump_note *n)
{
	struct text_sink *t = (struct text_sink *)s;

	buf_printf(output_begin(&t->file.out), "# %s\n", n->text);
	output_end(&t->file.out);
}

struct row text_sink_row(struct text_sink *t, struct buf *out)
{
	return row_begin(out, t->width, t->colour);
}

void show_process(struct text_sink *t, struct row *r, const struct resource *p, const char *gap)
{
	char text[80];
	int n;

	if (!t->show_process)
		return;
	n = snprintf(text, sizeof(text), "%.60s[%d]", p->name ? p->name : "?", p->pid);
	t->process_columns = MAX(t->process_columns, MIN(text_columns(text, (size_t)n), PROCESS_BOUND));
	row_field(r, STYLE_CYAN, text, (size_t)n, PROCESS_BOUND, t->process_columns);
	row_str(r, STYLE_PLAIN, gap);
}
