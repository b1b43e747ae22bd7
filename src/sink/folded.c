/*
 * `--folded FILE`: how many calls came by which stack, as flame graph tools read it: "outermost;…;function count". The
 * file is written at the end.
 */
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include "sink/frame_names.h"
#include "sink/file_sink.h"

#define MAX_STACKS 100000

struct stack_count {
	const char *line;
	uint64_t calls;
};

struct folded_sink {
	struct file_sink file;  /* first */
	struct frame_names names;
	struct arena arena;
	struct strmap index;            /* line → struct stack_count */
	VEC(struct stack_count *) stacks;
	struct buf line;
	uint64_t left_out;
	bool written;
	char trouble[120];
};

static struct folded_sink *self(struct sink *s)
{
	return (struct folded_sink *)s;
}

/* A ";" within a name would be taken for the next frame. */
static void add_frame(struct buf *line, const char *name)
{
	size_t at = line->len;

	buf_str(line, name);
	for (size_t i = at; i < line->len; i++)
		if (line->data[i] == ';' || (unsigned char)line->data[i] < 0x20)
			line->data[i] = ':';
	buf_char(line, ';');
}

static void fold(struct folded_sink *o, const struct call_record *c)
{
	buf_reset(&o->line);
	if (c->stack_cut)
		add_frame(&o->line, "[more frames]");
	for (size_t i = c->nstack; i > 0; i--) {
		const struct frame_texts *f = frame_names_at(&o->names, c->resource, c->stack[i - 1]);

		for (size_t k = f->n; k > 0; k--)
			add_frame(&o->line, f->names[k - 1]);
	}
	add_frame(&o->line, c->function->name);
	o->line.data[--o->line.len] = 0;
}

static void folded_call(struct sink *s, const struct call_record *c)
{
	struct folded_sink *o = self(s);
	struct stack_count *n;

	fold(o, c);
	n = strmap_get(&o->index, o->line.data, o->line.len);
	if (!n && o->stacks.len >= MAX_STACKS) {
		o->left_out++;
		return;
	}
	if (!n) {
		n = arena_new(&o->arena, struct stack_count);
		n->line = arena_strndup(&o->arena, o->line.data, o->line.len);
		strmap_set(&o->index, n->line, o->line.len, n);
		vec_push(&o->stacks, n);
	}
	n->calls++;
}

static int by_line(const void *a, const void *b)
{
	return strcmp((*(struct stack_count *const *)a)->line, (*(struct stack_count *const *)b)->line);
}

static void write_file(struct folded_sink *o)
{
	if (o->written)
		return;
	o->written = true;
	if (o->stacks.len)
		qsort(o->stacks.data, o->stacks.len, sizeof(*o->stacks.data), by_line);
	for (size_t i = 0; i < o->stacks.len; i++) {
		buf_printf(output_begin(&o->file.out), "%s %" PRIu64 "\n", o->stacks.data[i]->line,
			   o->stacks.data[i]->calls);
		output_end(&o->file.out);
	}
	output_flush(&o->file.out, 0);
}

static void folded_summary(struct sink *s, const struct run_summary *sum)
{
	write_file(self(s));
}

static const char *folded_trouble(struct sink *s)
{
	struct folded_sink *o = self(s);
	const char *trouble = file_sink_trouble(s);

	if (trouble || !o->left_out)
		return trouble;
	snprintf(o->trouble, sizeof(o->trouble),
		 "the folded stacks lack %" PRIu64 " calls: there were more than %d different stacks", o->left_out,
		 MAX_STACKS);
	return o->trouble;
}

static void folded_losses(struct sink *s, struct losses *ret)
{
	struct folded_sink *o = self(s);

	output_losses(&o->file.out, ret);
	ret->count[LOSS_SINK_QUEUE] += o->left_out;
}

static void folded_close(struct sink *s, unsigned timeout_ms)
{
	struct folded_sink *o = self(s);

	write_file(o);
	file_sink_done(&o->file, timeout_ms);
	frame_names_done(&o->names);
	strmap_done(&o->index);
	vec_done(&o->stacks);
	buf_done(&o->line);
	arena_done(&o->arena);
	free(o);
}

static const struct sink_ops folded_ops = {
	.name = "folded",
	.call = folded_call,
	.summary = folded_summary,
	.trouble = folded_trouble,
	.losses = folded_losses,
	.close = folded_close,
};

static int folded_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct folded_sink *o = xcalloc(1, sizeof(*o));
	int r = file_sink_create(&o->file, &folded_ops, setup, err);

	if (r < 0) {
		free(o);
		return r;
	}
	*ret = &o->file.sink;
	return 0;
}

static const struct option_def rows[] = {
	FILE_OPTION("folded", "write the stacks of calls for flame graph tools, instead of lines"),
	{0},
};
static const char *const manual[] = {
	"write the stacks of calls, one line each, as flame graph tools read them.\n"
	"Calls are then not printed, as with\n"
	".BR \\-\\-perfetto .",
};

const struct sink_kind sink_folded = {
	.name = "folded",
	.takes = SINK_CALLS,
	.needs = SINK_NEEDS_STACK,
	.writes_file = true,
	.options = rows,
	.options_size = sizeof(struct file_options),
	.manual = manual,
	.open = folded_open,
};
