/*
 * What of a span a person wants to see first: its pack's summary says it. Where the pack has none, the first attributes
 * are shown as they are.
 */
#include "sink/headline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHEN_COLUMNS 12      /* 19:36:48.123 */
#define STATUS_COLUMNS 3
#define NAME_START 20
#define NAME_BOUND 44
#define SERVICE_BOUND 16
#define OTHER_ATTRIBUTES 4
#define SLOW_NS 250000000u
#define VERY_SLOW_NS 1000000000u

static void gap(struct row *r)
{
	row_spaces(r, 2);
}

static void show_value(struct row *r, enum style style, const struct attr *a)
{
	char text[32];

	switch (a->kind) {
	case ATTR_STRING:
		row_text(r, style, a->s, a->len);
		return;
	case ATTR_INT:
		snprintf(text, sizeof(text), "%" PRId64, a->i);
		break;
	case ATTR_DOUBLE:
		snprintf(text, sizeof(text), "%g", a->d);
		break;
	case ATTR_BOOL:
		snprintf(text, sizeof(text), "%s", a->b ? "true" : "false");
		break;
	}
	row_str(r, style, text);
}

static void show_other(struct row *r, const struct attr *a)
{
	gap(r);
	row_str(r, STYLE_DIM, a->key);
	row_str(r, STYLE_DIM, "=");
	show_value(r, STYLE_PLAIN, a);
}

/* ---- status and error ---- */

static const struct attr *status_attr(const struct span *s)
{
	return s->summary && s->summary->status ? span_attr(s, s->summary->status) : NULL;
}

static enum style status_style(const struct span *s, int64_t code)
{
	if (s->status == SPAN_STATUS_ERROR || (code >= 500 && code < 600))
		return STYLE_RED;
	return code >= 200 && code < 300   ? STYLE_GREEN
	       : code >= 300 && code < 400 ? STYLE_CYAN
	       : code >= 400 && code < 500 ? STYLE_YELLOW
					   : STYLE_PLAIN;
}

static void show_status(struct row *r, const struct span *s)
{
	const struct attr *a = status_attr(s);
	int64_t code = a && a->kind == ATTR_INT ? a->i : 0;
	char text[24] = "";

	if (a && a->kind == ATTR_INT)
		snprintf(text, sizeof(text), "%" PRId64, code);
	else if (s->status == SPAN_STATUS_ERROR)
		snprintf(text, sizeof(text), "ERR");
	if (a && a->kind == ATTR_STRING)
		row_field(r, status_style(s, 0), a->s, a->len, 0, STATUS_COLUMNS);
	else
		row_right(r, status_style(s, code), text, STATUS_COLUMNS);
}

/* What went wrong, unless the status column says it. */
static void show_error(struct row *r, const struct span *s)
{
	const struct attr *type = span_attr(s, "error.type"), *status = status_attr(s);
	char code[24] = "";

	if (s->status != SPAN_STATUS_ERROR)
		return;
	if (type && type->kind != ATTR_STRING)
		type = NULL;
	if (type && status && status->kind == ATTR_INT) {
		snprintf(code, sizeof(code), "%" PRId64, status->i);
		if (strlen(code) == type->len && !memcmp(code, type->s, type->len))
			type = NULL;
	}
	if (s->status_text) {
		gap(r);
		row_str(r, STYLE_RED, s->status_text);
	}
	if (!type || (s->status_text && strlen(s->status_text) == type->len &&
		      !memcmp(s->status_text, type->s, type->len)))
		return;
	if (s->status_text)
		row_str(r, STYLE_RED, ": ");
	else
		gap(r);
	row_text(r, STYLE_RED, type->s, type->len);
}

/* ---- the parts of the summary ---- */

static bool says_something(const struct summary_item *item, const struct attr *a)
{
	if (!a || item->op == SUMMARY_SIZE)
		return a && a->kind == ATTR_INT && a->i > 0;
	return a->kind != ATTR_STRING || a->len;
}

/* Whether all attributes of the group say something. */
static bool group_shown(const struct summary_part *p, unsigned group, const struct span *s)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct summary_item *item = &p->items[i];

		if (item->group == group && item->op != SUMMARY_TEXT && !says_something(item, span_attr(s, item->text)))
			return false;
	}
	return true;
}

static bool is_word_of(const char *name, const char *s, size_t len)
{
	for (const char *at = name; (at = memmem(at, strlen(at), s, len)); at++)
		if ((at == name || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	return false;
}

/* Whether the part is nothing but a text that the span's name has as well. */
static bool in_name(const struct summary_part *p, const struct span *s, const bool *shown)
{
	const struct summary_item *first = &p->items[0];
	const struct attr *a = first->op == SUMMARY_ATTRIBUTE && !first->dim ? span_attr(s, first->text) : NULL;

	for (size_t i = 1; i < p->n; i++)
		if (shown[p->items[i].group])
			return false;
	return a && a->kind == ATTR_STRING && is_word_of(s->name, a->s, a->len);
}

static void show_item(struct row *r, const struct summary_item *item, const struct span *s)
{
	enum style style = item->dim ? STYLE_DIM : STYLE_PLAIN;
	const struct attr *a = item->op == SUMMARY_TEXT ? NULL : span_attr(s, item->text);
	char size[24];

	if (!a) {
		row_str(r, style, item->text);
	} else if (item->op == SUMMARY_SIZE) {
		format_size(a->i, size);
		row_str(r, style, size);
	} else {
		show_value(r, style, a);
	}
}

static void show_part(struct row *r, const struct summary_part *p, const struct span *s)
{
	bool shown[SUMMARY_GROUPS + 1];

	for (unsigned g = 0; g <= SUMMARY_GROUPS; g++)
		shown[g] = group_shown(p, g, s);
	if (!shown[0] || in_name(p, s, shown))
		return;
	gap(r);
	for (size_t i = 0; i < p->n; i++)
		if (shown[p->items[i].group])
			show_item(r, &p->items[i], s);
}

static bool has_place_for_error(const struct summary *sum)
{
	for (size_t i = 0; sum && i < sum->n; i++)
		if (sum->parts[i].is_error)
			return true;
	return false;
}

static void show_details(struct row *r, const struct span *s)
{
	const struct summary *sum = s->summary;

	if (!has_place_for_error(sum))
		show_error(r, s);
	for (size_t i = 0; sum && i < sum->n; i++) {
		if (sum->parts[i].is_error)
			show_error(r, s);
		else
			show_part(r, &sum->parts[i], s);
	}
	for (size_t i = 0, n = 0; !sum && i < s->nattrs && n < OTHER_ATTRIBUTES; i++, n++)
		if (strcmp(s->attrs[i].key, "error.type"))
			show_other(r, &s->attrs[i]);
}

/* ---- columns ---- */

static const char *service_of(const struct span *s)
{
	return s->resource && s->resource->service ? s->resource->service : "";
}

static void show_service(struct headline_layout *l, struct row *r, const struct span *s)
{
	const char *service = service_of(s);

	gap(r);
	row_field(r, STYLE_CYAN, service, strlen(service), SERVICE_BOUND, l->service_columns);
}

static const char *kind_mark(enum span_kind k)
{
	return k == SPAN_CLIENT ? "→ " : k == SPAN_PRODUCER ? "» " : k == SPAN_CONSUMER ? "« " : "";
}

/* The name may take two fifths of the terminal; a file gets it whole. */
static unsigned name_bound(const struct headline_layout *l)
{
	return l->width ? MAX(MIN(NAME_BOUND, l->width * 2 / 5), 12) : NAME_BOUND;
}

static unsigned columns_of(const char *s)
{
	return text_columns(s, strlen(s));
}

void headline_fit(struct headline_layout *l, const struct span *s, const char *branch)
{
	unsigned name = columns_of(branch) + columns_of(kind_mark(s->kind)) + columns_of(s->name);

	name = MAX(name, NAME_START);
	l->name_columns = MAX(l->name_columns, MIN(name, name_bound(l)));
	l->service_columns = MAX(l->service_columns, MIN(columns_of(service_of(s)), SERVICE_BOUND));
}

static void show_name(struct headline_layout *l, struct row *r, const struct span *s, const char *branch)
{
	unsigned before = columns_of(branch) + columns_of(kind_mark(s->kind)), most = 0;

	if (l->width)
		most = name_bound(l) > before + 8 ? name_bound(l) - before : 8;
	gap(r);
	row_str(r, STYLE_DIM, branch);
	row_str(r, STYLE_DIM, kind_mark(s->kind));
	row_field(r, s->status == SPAN_STATUS_ERROR ? STYLE_BOLD : STYLE_PLAIN, s->name,
		  strlen(s->name), most, l->name_columns > before ? l->name_columns - before : 0);
}

static void show_duration(struct row *r, const struct span *s)
{
	char text[24];

	format_duration(s->duration_ns, text);
	row_right(r,
		  s->duration_ns >= VERY_SLOW_NS ? STYLE_RED
		  : s->duration_ns >= SLOW_NS	 ? STYLE_YELLOW
						 : STYLE_PLAIN,
		  text, DURATION_COLUMNS);
}

void headline_row(struct headline_layout *l, struct buf *out, const struct span *s, const char *when,
		  const char *branch)
{
	struct row r = row_begin(out, l->width, l->colour);

	headline_fit(l, s, branch);
	if (when)
		row_right(&r, STYLE_DIM, when, WHEN_COLUMNS);
	else /* when it ended: that is when the row appears */
		row_clock(&r, &l->clock, s->start_unix_ns + s->duration_ns);
	if (l->show_service)
		show_service(l, &r, s);
	show_name(l, &r, s, branch);
	gap(&r);
	show_status(&r, s);
	gap(&r);
	show_duration(&r, s);
	show_details(&r, s);
	row_end(&r);
}
