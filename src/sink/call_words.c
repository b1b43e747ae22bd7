#include "sink/call_words.h"

#define RESULT_COLUMNS 32 /* of a result, while arguments can still be shortened */
#define SMALL_COLUMNS 8   /* a value that has no more is not shortened, while others can be */

void show_stack(struct text_sink *t, struct buf *out, const struct call_record *c, unsigned indent)
{
	struct row r;

	for (size_t i = 0; i < c->nstack; i++) {
		const struct frame_texts *f = frame_names_at(&t->names, c->resource, c->stack[i]);

		for (size_t k = 0; k < f->n; k++) {
			r = text_sink_row(t, out);
			row_spaces(&r, indent);
			row_str(&r, STYLE_DIM, f->names[k]);
			row_end(&r);
		}
	}
	if (!c->stack_cut)
		return;
	r = text_sink_row(t, out);
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
	*ret = (struct call_words){.function = c->function, .end = c->end};
	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];
		size_t at = ret->text.len;
		struct call_word *w;

		if (call_value_missing(v))
			continue;
		if (v->never_read)
			buf_char(&ret->text, '?');
		else
			value_print(&v->value, &ret->text);
		w = vec_add(&ret->words);
		*w = (struct call_word){.kind = v->kind, .style = style_of(&v->value), .name = v->name,
					.at = at, .len = ret->text.len - at};
		w->columns = w->len ? text_columns(ret->text.data + at, w->len) : 0;
	}
}

void call_words_done(struct call_words *w)
{
	buf_done(&w->text);
	vec_done(&w->words);
}

/* Columns that a value has at most; 0: as many as it needs. */
struct limits {
	unsigned args, results, small;
};

static bool has_word(const struct call_words *w, enum call_value_kind kind)
{
	for (size_t i = 0; i < w->words.len; i++)
		if (w->words.data[i].kind == kind)
			return true;
	return false;
}

static void show_words(const struct call_words *w, struct row *r, enum call_value_kind kind, const char *between,
		       struct limits limits)
{
	unsigned limit = kind == CALL_RESULT ? limits.results : limits.args;
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
		row_field(r, word->style, w->text.data ? w->text.data + word->at : "", word->len,
			  word->columns > limits.small ? limit : 0, 0);
	}
}

static void show_end(const struct call_words *w, struct row *r, struct limits limits)
{
	if (has_word(w, CALL_RESULT)) {
		row_str(r, STYLE_DIM, " → ");
		show_words(w, r, CALL_RESULT, ", ", limits);
	}
	if (w->end == CALL_PANICKED)
		row_str(r, STYLE_RED, " → panicked");
	else if (w->end == CALL_OPEN)
		row_str(r, STYLE_YELLOW, " → still running");
	else if (w->end == CALL_EXITED)
		row_str(r, STYLE_YELLOW, " → the process exited");
}

/* Where a question has actions, nothing is known of the arguments. */
static bool shows_arguments(const struct call_words *w)
{
	return has_word(w, CALL_ARG) || (!has_word(w, CALL_EXPR) && w->function->takes_all);
}

static void show_call(const struct call_words *w, struct row *r, struct limits limits)
{
	row_str(r, STYLE_BOLD, w->function->name);
	if (shows_arguments(w)) {
		row_str(r, STYLE_PLAIN, "(");
		show_words(w, r, CALL_ARG, ", ", limits);
		row_str(r, STYLE_PLAIN, ")");
	}
	if (w->function->inlined_into) {
		row_str(r, STYLE_DIM, " in ");
		row_str(r, STYLE_DIM, w->function->inlined_into);
		if (w->function->approximate)
			row_str(r, STYLE_DIM, " (approximate)");
	}
	if (has_word(w, CALL_EXPR)) {
		row_spaces(r, 2);
		show_words(w, r, CALL_EXPR, "  ", limits);
	}
	show_end(w, r, limits);
}

static bool fits(const struct call_words *w, struct limits limits, unsigned room)
{
	struct buf nowhere = {0};
	struct row r = row_begin(&nowhere, 0, false);

	show_call(w, &r, limits);
	buf_done(&nowhere);
	return r.column <= room;
}

/* The largest value of one of the limits with which all fits; 1 if none is. */
static void find_limit(const struct call_words *w, struct limits *limits, unsigned *limit, unsigned most, unsigned room)
{
	unsigned low = 1, high = most;

	while (low < high) {
		*limit = (low + high + 1) / 2;
		if (fits(w, *limits, room))
			low = *limit;
		else
			high = *limit - 1;
	}
	*limit = low;
}

/*
 * Results say more than large arguments: these are shortened first. What is too much even so is cut at the row's end.
 */
static struct limits limits_for(const struct call_words *w, unsigned room)
{
	struct limits limits = {0};

	if (fits(w, limits, room))
		return limits;
	limits = (struct limits){.results = RESULT_COLUMNS, .small = SMALL_COLUMNS};
	find_limit(w, &limits, &limits.args, room, room);
	if (limits.args > 1 || fits(w, limits, room))
		return limits;
	limits.small = 0;
	find_limit(w, &limits, &limits.args, SMALL_COLUMNS, room);
	if (limits.args == 1)
		find_limit(w, &limits, &limits.results, RESULT_COLUMNS, room);
	return limits;
}

void call_words_show(const struct call_words *w, struct row *r)
{
	unsigned room = r->width > r->column ? r->width - r->column : 1;

	show_call(w, r, r->width ? limits_for(w, room) : (struct limits){0});
}
