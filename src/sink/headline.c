/*
 * What of a span a person wants to see first. The attributes are named by OpenTelemetry's semantic
 * conventions; a library whose spans have others needs at most a row in one of the two tables. A span that
 * has none of them shows its first attributes as they are.
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

/* The status column: the first that the span has. */
static const char *const status_keys[] = {
	"http.response.status_code",
	"rpc.response.status_code",
	"rpc.grpc.status_code",
	"db.response.status_code",
};

struct detail;
typedef bool (*detail_fn)(struct row *r, const struct span *s, const struct attr *a);
static bool show_text(struct row *r, const struct span *s, const struct attr *a);
static bool show_path(struct row *r, const struct span *s, const struct attr *a);
static bool show_peer(struct row *r, const struct span *s, const struct attr *a);
static bool show_client(struct row *r, const struct span *s, const struct attr *a);
static bool show_received(struct row *r, const struct span *s, const struct attr *a);
static bool show_sent(struct row *r, const struct span *s, const struct attr *a);

/* After the duration, in this order. */
static const struct detail {
	const char *key;
	detail_fn show;
} details[] = {
	{"url.path", show_path},
	{"url.full", show_text},
	{"http.request.method_original", show_text},
	{"db.query.text", show_text},
	{"db.collection.name", show_text},
	{"rpc.method", show_text},
	{"messaging.destination.name", show_text},
	{"server.address", show_peer},
	{"http.request.body.size", show_received},
	{"http.response.body.size", show_sent},
	{"client.address", show_client},
};

static void gap(struct row *r)
{
	row_spaces(r, 2);
}

static bool name_has(const struct span *s, const struct attr *a)
{
	return a->len && memmem(s->name, strlen(s->name), a->s, a->len);
}

static bool show_text(struct row *r, const struct span *s, const struct attr *a)
{
	if (a->kind != ATTR_STRING || !a->len || name_has(s, a))
		return false;
	gap(r);
	row_text(r, STYLE_PLAIN, a->s, a->len);
	return true;
}

/* The path, unless the name ends in it; the query in any case. */
static bool show_path(struct row *r, const struct span *s, const struct attr *a)
{
	const struct attr *query = span_attr(s, "url.query");
	size_t name = strlen(s->name);
	bool in_name;

	if (a->kind != ATTR_STRING)
		return false;
	if (query && (query->kind != ATTR_STRING || !query->len))
		query = NULL;
	in_name = name > a->len && s->name[name - a->len - 1] == ' ' &&
		  !memcmp(s->name + name - a->len, a->s, a->len);
	if (in_name && !query)
		return false;
	gap(r);
	row_text(r, STYLE_PLAIN, a->s, a->len);
	if (query) {
		row_str(r, STYLE_DIM, "?");
		row_text(r, STYLE_DIM, query->s, query->len);
	}
	return true;
}

/* Whom it talked to; what a server calls itself is no news. */
static bool show_peer(struct row *r, const struct span *s, const struct attr *a)
{
	const struct attr *port = span_attr(s, "server.port");
	char text[16] = "";

	if (a->kind != ATTR_STRING || (s->kind != SPAN_CLIENT && s->kind != SPAN_PRODUCER))
		return false;
	if (port && port->kind == ATTR_INT)
		snprintf(text, sizeof(text), ":%u", (unsigned)port->i & 0xffff);
	gap(r);
	row_text(r, STYLE_DIM, a->s, a->len);
	row_str(r, STYLE_DIM, text);
	return true;
}

static bool show_client(struct row *r, const struct span *s, const struct attr *a)
{
	if (a->kind != ATTR_STRING || !a->len)
		return false;
	gap(r);
	row_text(r, STYLE_DIM, a->s, a->len);
	return true;
}

static bool show_size(struct row *r, const char *arrow, const struct attr *a)
{
	char text[24];

	if (a->kind != ATTR_INT || a->i <= 0)
		return false;
	format_size(a->i, text);
	gap(r);
	row_str(r, STYLE_DIM, arrow);
	row_str(r, STYLE_DIM, text);
	return true;
}

static bool show_received(struct row *r, const struct span *s, const struct attr *a)
{
	return show_size(r, "↑", a);
}

static bool show_sent(struct row *r, const struct span *s, const struct attr *a)
{
	return show_size(r, "↓", a);
}

static void show_other(struct row *r, const struct attr *a)
{
	char text[32] = "";

	gap(r);
	row_str(r, STYLE_DIM, a->key);
	row_str(r, STYLE_DIM, "=");
	if (a->kind == ATTR_INT)
		snprintf(text, sizeof(text), "%" PRId64, a->i);
	else if (a->kind == ATTR_DOUBLE)
		snprintf(text, sizeof(text), "%g", a->d);
	else if (a->kind == ATTR_BOOL)
		snprintf(text, sizeof(text), "%s", a->b ? "true" : "false");
	if (a->kind == ATTR_STRING)
		row_text(r, STYLE_PLAIN, a->s, a->len);
	else
		row_str(r, STYLE_PLAIN, text);
}

/* ---- status and error ---- */

static const struct attr *status_attr(const struct span *s)
{
	const struct attr *a = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(status_keys) && !a; i++)
		a = span_attr(s, status_keys[i]);
	return a;
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

static void show_details(struct row *r, const struct span *s)
{
	bool known = status_attr(s), error_shown = false;

	for (size_t i = 0; i < ARRAY_SIZE(details); i++) {
		const struct attr *a = span_attr(s, details[i].key);

		if (!error_shown && details[i].show != show_path) {
			show_error(r, s);
			error_shown = true;
		}
		if (!a)
			continue;
		known = true;
		details[i].show(r, s, a);
	}
	for (size_t i = 0, n = 0; !known && i < s->nattrs && n < OTHER_ATTRIBUTES; i++, n++)
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
