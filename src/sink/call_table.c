/*
 * Aggregates for people. The groups of one action are shown together, whichever functions and processes they are of: a
 * table, the largest first, or a histogram each. Columns tell them apart that the question does not name itself.
 */
#include "sink/call_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sink/call_buckets.h"

#define MAX_COLUMNS (AGG_MAX_KEYS + 4)
#define KEY_BOUND 60     /* columns of a key on a terminal */
#define BAR_COLUMNS 40
#define ROUND_ROWS 20    /* of a table that is shown again and again on a terminal */

typedef VEC(const struct call_group *) group_list;

static void line_begin(struct text_sink *t, struct row *ret)
{
	*ret = text_sink_row(t, output_begin(&t->file.out));
}

static void line_finish(struct text_sink *t, struct row *r)
{
	row_end(r);
	output_end(&t->file.out);
}

static void empty_line(struct text_sink *t)
{
	struct row r;

	line_begin(t, &r);
	line_finish(t, &r);
}

static void format_number(int128 v, bool duration, char ret[WIDE_TEXT])
{
	char text[24];

	if (!duration) {
		wide_text(v, ret);
		return;
	}
	format_duration((uint64_t)MIN(v < 0 ? -v : v, (int128)UINT64_MAX), text);
	snprintf(ret, WIDE_TEXT, "%s%s", v < 0 ? "-" : "", text);
}

static double average(const struct call_group *g)
{
	return g->count ? (double)g->sum / (double)g->count : 0;
}

/* What the groups are sorted by, largest first: what the question asks for. */
static double size_of(const struct call_group *g)
{
	switch (g->aggregate->kind) {
	case AGG_SUM:
		return (double)g->sum;
	case AGG_MIN:
		return (double)g->min;
	case AGG_MAX:
		return (double)g->max;
	case AGG_AVG:
		return average(g);
	case AGG_COUNT:
	case AGG_HIST:
	case AGG_LINEAR:
		break;
	}
	return (double)g->count;
}

static int by_size(const void *a, const void *b)
{
	double x = size_of(*(const struct call_group *const *)a), y = size_of(*(const struct call_group *const *)b);

	return x > y ? -1 : x < y;
}

static void show_more(struct text_sink *t, size_t n, size_t shown)
{
	char text[64];
	struct row r;

	if (n <= shown)
		return;
	snprintf(text, sizeof(text), "  … and %zu more", n - shown);
	line_begin(t, &r);
	row_str(&r, STYLE_DIM, text);
	line_finish(t, &r);
}

/* ---- what tells groups apart ---- */

struct group_columns {
	bool func, process;  /* before the question's own keys */
};

static bool asks_for(const struct call_aggregate *a, const char *name)
{
	for (size_t i = 0; i < a->nkeys; i++)
		if (!strcmp(a->keys[i].text, name))
			return true;
	return false;
}

static struct group_columns columns_of(const struct text_sink *t, const group_list *l)
{
	const struct call_aggregate *a = l->data[0]->aggregate;
	struct group_columns c = {.process = t->show_process};

	for (size_t i = 1; i < l->len; i++) /* one that executed something is another one from then on */
		c.process |= l->data[i]->resource != l->data[0]->resource;
	c.process &= !asks_for(a, "pid");
	for (size_t i = 1; i < l->len && !asks_for(a, "func"); i++)
		c.func |= strcmp(l->data[i]->function->name, l->data[0]->function->name) != 0;
	return c;
}

static void print_process(const struct resource *p, struct buf *out)
{
	buf_printf(out, "%s[%d]", p->name ? p->name : "?", p->pid);
}

/* ---- tables ---- */

struct cell {
	struct buf text;
	bool number;
};
struct table {
	struct cell *cells;  /* nrows × ncolumns, the heads first */
	size_t nrows, ncolumns;
	unsigned columns[MAX_COLUMNS];
};

static struct cell *cell_at(struct table *tb, size_t row, size_t column)
{
	return &tb->cells[row * tb->ncolumns + column];
}

static void put_text(struct cell **c, const char *text)
{
	buf_str(&(*c)++->text, text);
}

/* What is put before a number that some inlined calls make uncertain. */
static const char *about(const struct call_group *g)
{
	return g->inexact ? "≈" : "";
}

static void put_number(struct cell **c, const struct call_group *g, int128 v, bool duration)
{
	char text[WIDE_TEXT];

	format_number(v, duration, text);
	(*c)->number = true;
	buf_printf(&(*c)++->text, "%s%s", about(g), text);
}

static void fill_head(struct cell *c, const struct call_aggregate *a, struct group_columns columns)
{
	static const char *const heads[] = {[AGG_SUM] = "sum", [AGG_MIN] = "min", [AGG_MAX] = "max", [AGG_AVG] = "avg"};

	if (columns.func)
		put_text(&c, "func");
	if (columns.process)
		put_text(&c, "process");
	for (size_t i = 0; i < a->nkeys; i++)
		put_text(&c, a->keys[i].text);
	c->number = true;
	put_text(&c, "count");
	if (a->kind == AGG_COUNT)
		return;
	c->number = true;
	put_text(&c, heads[a->kind]);
}

static void fill_row(struct cell *c, const struct call_group *g, struct group_columns columns)
{
	enum aggregate_kind kind = g->aggregate->kind;
	bool duration = g->aggregate->duration;

	if (columns.func)
		put_text(&c, g->function->name);
	if (columns.process)
		print_process(g->resource, &c++->text);
	for (size_t i = 0; i < g->nkeys; i++)
		value_print(&g->keys[i], &c++->text);
	put_number(&c, g, g->count, false);
	if (kind == AGG_SUM)
		put_number(&c, g, g->sum, duration);
	else if (kind == AGG_MIN)
		put_number(&c, g, g->min, duration);
	else if (kind == AGG_MAX)
		put_number(&c, g, g->max, duration);
	else if (kind == AGG_AVG && duration)
		put_number(&c, g, (int128)average(g), true);
	else if (kind == AGG_AVG) {
		c->number = true;
		buf_printf(&c->text, "%s%.6g", about(g), average(g));
	}
}

static void measure(struct table *tb, unsigned bound)
{
	for (size_t i = 0; i < tb->nrows * tb->ncolumns; i++) {
		const struct buf *text = &tb->cells[i].text;
		unsigned n = text->data ? text_columns(text->data, text->len) : 0;
		unsigned *columns = &tb->columns[i % tb->ncolumns];

		*columns = MAX(*columns, bound ? MIN(n, bound) : n);
	}
}

static void show_cells(struct text_sink *t, struct table *tb, size_t row)
{
	enum style style = row ? STYLE_PLAIN : STYLE_DIM;
	struct row r;

	line_begin(t, &r);
	for (size_t i = 0; i < tb->ncolumns; i++) {
		const struct cell *c = cell_at(tb, row, i);
		const char *text = c->text.data ? c->text.data : "";

		row_spaces(&r, 2);
		if (c->number)
			row_right(&r, style, text, tb->columns[i]);
		else
			row_field(&r, style, text, c->text.len, t->width ? tb->columns[i] : 0, tb->columns[i]);
	}
	line_finish(t, &r);
}

static void show_table(struct text_sink *t, const group_list *l, size_t max_rows)
{
	const struct call_aggregate *a = l->data[0]->aggregate;
	struct group_columns columns = columns_of(t, l);
	struct table tb = {.nrows = MIN(l->len, max_rows) + 1};

	tb.ncolumns = (size_t)columns.func + columns.process + a->nkeys + (a->kind == AGG_COUNT ? 1 : 2);
	tb.cells = xcalloc(tb.nrows * tb.ncolumns, sizeof(*tb.cells));
	fill_head(tb.cells, a, columns);
	for (size_t i = 1; i < tb.nrows; i++)
		fill_row(cell_at(&tb, i, 0), l->data[i - 1], columns);
	measure(&tb, t->width ? KEY_BOUND : 0);
	for (size_t i = 0; i < tb.nrows; i++)
		show_cells(t, &tb, i);
	show_more(t, l->len, max_rows);
	for (size_t i = 0; i < tb.nrows * tb.ncolumns; i++)
		buf_done(&tb.cells[i].text);
	free(tb.cells);
}

/* ---- histograms, stacks ---- */

static void scaled(double v, double step, const char *const *units, size_t nunits, bool whole, struct buf *out)
{
	size_t u = 0;

	for (; v >= step && u + 1 < nunits; u++)
		v /= step;
	buf_printf(out, whole ? "%.0f%s" : "%.6g%s", v, units[u]);
}

/* Powers of two are shown rounded: 1024 ns is "1µs", as 2^30 is "1G". */
static void print_bound(int128 v, bool log2, bool duration, struct buf *out)
{
	static const char *const times[] = {"ns", "µs", "ms", "s"};
	static const char *const sizes[] = {"", "K", "M", "G", "T", "P", "E"};

	if (duration && v > 0)
		scaled((double)v, 1000, times, ARRAY_SIZE(times), log2, out);
	else if (log2 && !duration)
		scaled((double)v, 1024, sizes, ARRAY_SIZE(sizes), true, out);
	else
		buf_str(out, wide_text(v, (char[WIDE_TEXT]){0}));
}

static void print_range(const struct call_group *g, size_t bucket, struct buf *out)
{
	const struct call_aggregate *a = g->aggregate;
	struct bucket_range b = bucket_range(a, bucket, g->nbuckets);
	bool log2 = a->kind == AGG_HIST, duration = g->aggregate->duration;

	if (b.from == WIDE_MIN)
		buf_str(out, "< ");
	else if (b.to == WIDE_MAX)
		buf_str(out, "≥ ");
	if (b.from != WIDE_MIN)
		print_bound(b.from, log2, duration, out);
	if (b.from != WIDE_MIN && b.to != WIDE_MAX && b.to - b.from > 1)
		buf_str(out, "…");
	if (b.to != WIDE_MAX && (b.from == WIDE_MIN || b.to - b.from > 1))
		print_bound(b.to, log2, duration, out);
}

static void show_bar(struct row *r, uint64_t n, uint64_t most)
{
	static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned eighths = most ? (unsigned)((double)n / (double)most * BAR_COLUMNS * 8 + 0.5) : 0;

	if (n && !eighths)
		eighths = 1;
	for (unsigned i = 0; i < eighths / 8; i++)
		row_str(r, STYLE_CYAN, "█");
	row_str(r, STYLE_CYAN, parts[eighths % 8]);
}

static void show_bucket(struct text_sink *t, const struct call_group *g, size_t bucket, const unsigned columns[2],
			uint64_t most)
{
	struct buf range = {0};
	char count[24];
	struct row r;

	print_range(g, bucket, &range);
	snprintf(count, sizeof(count), "%" PRIu64, g->buckets[bucket]);
	line_begin(t, &r);
	row_spaces(&r, 4);
	row_right(&r, STYLE_PLAIN, range.data, columns[0]);
	row_spaces(&r, 2);
	row_right(&r, STYLE_PLAIN, count, columns[1]);
	row_spaces(&r, 2);
	show_bar(&r, g->buckets[bucket], most);
	line_finish(t, &r);
	buf_done(&range);
}

/* From the first bucket that has something to the last one. */
static void show_buckets(struct text_sink *t, const struct call_group *g)
{
	size_t first = g->nbuckets, last = 0;
	unsigned columns[2] = {0};
	struct buf text = {0};
	uint64_t most = 0;

	for (size_t i = 0; i < g->nbuckets; i++) {
		first = g->buckets[i] && first == g->nbuckets ? i : first;
		last = g->buckets[i] ? i : last;
		most = MAX(most, g->buckets[i]);
	}
	for (size_t i = first; i < g->nbuckets && i <= last; i++) {
		buf_reset(&text);
		print_range(g, i, &text);
		columns[0] = MAX(columns[0], text_columns(text.data, text.len));
	}
	buf_reset(&text);
	buf_printf(&text, "%" PRIu64, most);
	columns[1] = (unsigned)text.len;
	for (size_t i = first; i < g->nbuckets && i <= last; i++)
		show_bucket(t, g, i, columns, most);
	buf_done(&text);
}

static bool is_stack(const struct call_group *g, size_t key)
{
	return g->aggregate->keys[key].stack;
}

/* A stack that is a key: a frame a line. */
static void show_frames(struct text_sink *t, const struct value_node *stack)
{
	struct buf text = {0};
	struct row r;

	for (size_t i = 0; i < stack->nchildren; i++) {
		buf_reset(&text);
		value_print(&stack->children[i], &text);
		line_begin(t, &r);
		row_spaces(&r, 4);
		row_text(&r, STYLE_DIM, text.data, text.len);
		line_finish(t, &r);
	}
	buf_done(&text);
}

static void print_result(const struct call_group *g, struct buf *out)
{
	bool duration = g->aggregate->duration;
	static const char *const names[] = {[AGG_SUM] = "sum", [AGG_MIN] = "min", [AGG_MAX] = "max", [AGG_AVG] = "avg",
					    [AGG_HIST] = "avg", [AGG_LINEAR] = "avg"};
	enum aggregate_kind kind = g->aggregate->kind;
	char text[WIDE_TEXT];

	buf_printf(out, "count %s%" PRIu64, about(g), g->count);
	if (kind == AGG_COUNT)
		return;
	if (kind == AGG_SUM || kind == AGG_MIN || kind == AGG_MAX || duration)
		format_number(kind == AGG_SUM   ? g->sum
			      : kind == AGG_MIN ? g->min
			      : kind == AGG_MAX ? g->max
						: (int128)average(g),
			      duration, text);
	else
		snprintf(text, sizeof(text), "%.6g", average(g));
	buf_printf(out, ", %s %s%s", names[kind], about(g), text);
}

/* A group that takes several lines: a histogram, or one that is told apart by a stack. */
static void show_block(struct text_sink *t, const struct call_group *g, struct group_columns columns)
{
	struct buf head = {0};
	struct row r;

	if (columns.func)
		buf_printf(&head, "%s  ", g->function->name);
	if (columns.process) {
		print_process(g->resource, &head);
		buf_str(&head, "  ");
	}
	for (size_t i = 0; i < g->nkeys; i++) {
		if (is_stack(g, i))
			continue;
		buf_printf(&head, "%s=", g->aggregate->keys[i].text);
		value_print(&g->keys[i], &head);
		buf_str(&head, "  ");
	}
	print_result(g, &head);
	line_begin(t, &r);
	row_spaces(&r, 2);
	row_text(&r, STYLE_PLAIN, head.data, head.len);
	line_finish(t, &r);
	buf_done(&head);
	for (size_t i = 0; i < g->nkeys; i++)
		if (is_stack(g, i))
			show_frames(t, &g->keys[i]);
	show_buckets(t, g);
}

/* ---- losses ---- */

void show_lost(struct text_sink *t, const struct losses *l)
{
	char text[160];
	struct row r;

	for (int i = 0; i < LOSS_COUNT; i++) {
		if (!l->count[i] || !loss_name((enum loss)i))
			continue;
		snprintf(text, sizeof(text), "lost: %" PRIu64 " %s (%s)", l->count[i], loss_name((enum loss)i),
			 loss_text((enum loss)i));
		line_begin(t, &r);
		row_spaces(&r, 2);
		row_str(&r, STYLE_RED, text);
		line_finish(t, &r);
	}
}

/* Of all functions of the table; those of one share what was lost of it. */
static void show_lost_of(struct text_sink *t, const group_list *l)
{
	VEC(const struct losses *) seen = {0};
	struct losses all = {0};

	for (size_t i = 0; i < l->len; i++) {
		const struct losses *lost = l->data[i]->lost;
		size_t k = 0;

		while (k < seen.len && seen.data[k] != lost)
			k++;
		if (!lost || k < seen.len)
			continue;
		vec_push(&seen, lost);
		losses_add(&all, lost);
	}
	show_lost(t, &all);
	vec_done(&seen);
}

/* ---- all of them ---- */

static bool one_function(const group_list *l)
{
	for (size_t i = 1; i < l->len; i++)
		if (strcmp(l->data[i]->function->name, l->data[0]->function->name) != 0)
			return false;
	return true;
}

static void show_title(struct text_sink *t, const group_list *l)
{
	struct row r;

	empty_line(t);
	line_begin(t, &r);
	row_str(&r, STYLE_BOLD, l->data[0]->aggregate->text);
	if (one_function(l) && !asks_for(l->data[0]->aggregate, "func")) {
		row_spaces(&r, 2);
		row_str(&r, STYLE_DIM, l->data[0]->function->name);
	}
	line_finish(t, &r);
}

static void show_action(struct text_sink *t, group_list *l, size_t max_rows)
{
	enum aggregate_kind kind = l->data[0]->aggregate->kind;
	struct group_columns columns = columns_of(t, l);
	bool blocks = kind == AGG_HIST || kind == AGG_LINEAR;

	for (size_t i = 0; i < l->data[0]->nkeys; i++)
		blocks |= is_stack(l->data[0], i);
	qsort(l->data, l->len, sizeof(*l->data), by_size);
	show_title(t, l);
	for (size_t i = 0; blocks && i < MIN(l->len, max_rows); i++)
		show_block(t, l->data[i], columns);
	if (blocks)
		show_more(t, l->len, max_rows);
	else
		show_table(t, l, max_rows);
	show_lost_of(t, l);
}

static void show_round(struct text_sink *t)
{
	struct row r;

	empty_line(t);
	line_begin(t, &r);
	row_clock(&r, &t->clock, clock_realtime_ns());
	line_finish(t, &r);
}

void show_groups(struct text_sink *t, const struct call_group *g, size_t n, bool last)
{
	bool *done = xcalloc(n + 1, sizeof(*done));

	if (n && (!last || t->rounds))
		show_round(t);
	t->rounds += !last;
	for (size_t i = 0; i < n; i++) {
		group_list l = {0};

		for (size_t k = i; k < n && !done[i]; k++) {
			if (g[k].aggregate->action == g[i].aggregate->action) {
				vec_push(&l, &g[k]);
				done[k] = k > i;
			}
		}
		if (l.len)
			show_action(t, &l, !last && t->width ? ROUND_ROWS : SIZE_MAX - 1);
		vec_done(&l);
	}
	free(done);
}
