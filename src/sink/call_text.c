#include "sink/call_text.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PROCESS_BOUND 24
#define VALUE_MIN 8     /* columns that a shortened value keeps */

int call_text_open(int fd, const struct call_text_options *o, struct call_text *ret, struct err *err)
{
	int r;

	*ret = (struct call_text){.options = *o, .names.with_line = true};
	r = call_stream_open(fd, &ret->stream, err);
	if (r >= 0)
		call_text_tick(ret);
	return r;
}

void call_text_close(struct call_text *t)
{
	call_stream_close(&t->stream);
	code_names_done(&t->names);
}

void call_text_tick(struct call_text *t)
{
	struct winsize w = {0};

	output_flush(&t->stream.out, 0);
	if (isatty(t->stream.out.fd) && ioctl(t->stream.out.fd, TIOCGWINSZ, &w) == 0) /* it may have been resized */
		t->width = w.ws_col;
}

struct row call_text_row(struct call_text *t, struct buf *out)
{
	return row_begin(out, t->width, t->options.color);
}

void show_clock(struct call_text *t, struct row *r, uint64_t unix_ns)
{
	time_t second = (time_t)(unix_ns / 1000000000u);
	char ms[16];
	struct tm tm;

	if (second != t->second || !t->clock[0]) {
		localtime_r(&second, &tm);
		strftime(t->clock, sizeof(t->clock), "%H:%M:%S", &tm);
		t->second = second;
	}
	snprintf(ms, sizeof(ms), ".%03u", (unsigned)(unix_ns / 1000000u % 1000u));
	row_str(r, STYLE_DIM, t->clock);
	row_str(r, STYLE_DIM, ms);
}

void show_process(struct call_text *t, struct row *r, const struct call_process *p, const char *gap)
{
	char text[80];
	int n;

	if (!t->options.show_process)
		return;
	n = snprintf(text, sizeof(text), "%.60s[%d]", p->name ? p->name : "?", p->pid);
	t->process_columns = MAX(t->process_columns, MIN(text_columns(text, (size_t)n), PROCESS_BOUND));
	row_field(r, STYLE_CYAN, text, (size_t)n, PROCESS_BOUND, t->process_columns);
	row_str(r, STYLE_PLAIN, gap);
}

void show_stack(struct call_text *t, struct buf *out, const struct call_record *c, unsigned indent)
{
	struct row r;

	for (size_t i = 0; i < c->nstack; i++) {
		r = call_text_row(t, out);
		row_spaces(&r, indent);
		row_str(&r, STYLE_DIM, frame_name(&t->names, c->process, c->stack[i]));
		row_end(&r);
	}
	if (!c->stack_cut)
		return;
	r = call_text_row(t, out);
	row_spaces(&r, indent);
	row_str(&r, STYLE_DIM, "… (more frames)");
	row_end(&r);
}

/* ---- a call as words ---- */

static enum style style_of(const struct value_node *v)
{
	return v->form == FORM_UNREADABLE ? STYLE_DIM : v->form == FORM_ERROR ? STYLE_RED : STYLE_PLAIN;
}

void call_words_make(const struct call_record *c, struct call_words *ret)
{
	*ret = (struct call_words){.plan = c->plan, .end = c->end};
	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];
		size_t at = ret->text.len;

		if (call_value_missing(v))
			continue;
		value_print(&v->value, &ret->text);
		vec_push(&ret->words, ((struct call_word){.kind = v->shown->kind, .style = style_of(&v->value),
							   .name = v->shown->name, .at = at,
							   .len = ret->text.len - at}));
	}
}

void call_words_done(struct call_words *w)
{
	buf_done(&w->text);
	vec_done(&w->words);
}

static bool has_word(const struct call_words *w, enum shown_kind kind)
{
	for (size_t i = 0; i < w->words.len; i++)
		if (w->words.data[i].kind == kind)
			return true;
	return false;
}

static void show_words(const struct call_words *w, struct row *r, enum shown_kind kind, const char *between,
		       unsigned limit)
{
	bool first = true;

	for (size_t i = 0; i < w->words.len; i++) {
		const struct call_word *word = &w->words.data[i];

		if (word->kind != kind)
			continue;
		if (!first)
			row_str(r, STYLE_DIM, between);
		first = false;
		row_str(r, STYLE_DIM, word->name);
		row_str(r, STYLE_DIM, "=");
		row_field(r, word->style, w->text.data + word->at, word->len, limit, 0);
	}
}

static void show_end(const struct call_words *w, struct row *r, unsigned limit)
{
	if (has_word(w, SHOWN_RESULT)) {
		row_str(r, STYLE_DIM, " → ");
		show_words(w, r, SHOWN_RESULT, ", ", limit);
	}
	if (w->end == CALL_PANICKED)
		row_str(r, STYLE_RED, " → panicked");
	else if (w->end == CALL_OPEN)
		row_str(r, STYLE_YELLOW, " → still running");
	else if (w->end == CALL_EXITED)
		row_str(r, STYLE_YELLOW, " → the process exited");
}

static void show_call(const struct call_words *w, struct row *r, unsigned limit)
{
	row_str(r, STYLE_BOLD, w->plan->name);
	if (has_word(w, SHOWN_ARG) || !has_word(w, SHOWN_EXPR)) { /* with print(…) nothing is known of the arguments */
		row_str(r, STYLE_PLAIN, "(");
		show_words(w, r, SHOWN_ARG, ", ", limit);
		row_str(r, STYLE_PLAIN, ")");
	}
	if (w->plan->inlined) {
		row_str(r, STYLE_DIM, " in ");
		row_str(r, STYLE_DIM, w->plan->func.name);
	}
	if (has_word(w, SHOWN_EXPR)) {
		row_spaces(r, 2);
		show_words(w, r, SHOWN_EXPR, "  ", limit);
	}
	show_end(w, r, limit);
}

static unsigned columns_with(const struct call_words *w, unsigned limit)
{
	struct buf nowhere = {0};
	struct row r = row_begin(&nowhere, 0, false);

	show_call(w, &r, limit);
	buf_done(&nowhere);
	return r.column;
}

/* The largest number of columns for a value with which all fits; what is too much even so is cut at the row's end. */
static unsigned value_limit(const struct call_words *w, unsigned room)
{
	unsigned low = VALUE_MIN, high = room;

	if (columns_with(w, 0) <= room)
		return 0;
	while (low < high) {
		unsigned middle = (low + high + 1) / 2;

		if (columns_with(w, middle) <= room)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

void call_words_show(const struct call_words *w, struct row *r)
{
	unsigned room = r->width > r->column ? r->width - r->column : 1;

	show_call(w, r, r->width ? value_limit(w, room) : 0);
}
