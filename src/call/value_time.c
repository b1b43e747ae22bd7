/*
 * time.Time and time.Duration, Go's own, shown as Go people know them. A Time is wall, ext and loc: with the top bit of
 * wall set, wall has 33 bits of seconds since 1885 and 30 of nanoseconds (and ext is the monotonic clock); otherwise
 * ext has the seconds since the year 1. Source: time/time.go.
 *
 * A location has a table of zones and of the moments when they begin, too large to be copied for each time, and the
 * zone of a span of time around the program's start as a cache (one without changes has its only zone there for all
 * times). A time in that span is shown by the location's clock, with its offset and the location's name; another one in
 * UTC.
 */
#include <string.h>

#include "call/value_reader.h"

#define MONOTONIC         (1ull << 63)
#define NSEC_BITS         30
#define DAY               86400ll
#define DAYS_BEFORE(year) (((year) - 1) * 365ll + ((year) - 1) / 4 - ((year) - 1) / 100 + ((year) - 1) / 400)

/* ---- durations ---- */

/* The fraction v / 10^digits without trailing zeros, with its point; returns the whole part. */
static uint64_t put_fraction(struct buf *out, uint64_t v, unsigned digits)
{
	char text[24];
	uint64_t unit = 1;
	int n;

	for (unsigned i = 0; i < digits; i++)
		unit *= 10;
	n = snprintf(text, sizeof(text), ".%0*llu", (int)digits, (unsigned long long)(v % unit));
	while (n > 1 && text[n - 1] == '0')
		n--;
	if (n > 1)
		buf_append(out, text, (size_t)n);
	return v / unit;
}

static void put_small(struct buf *out, uint64_t ns)
{
	unsigned digits = ns < 1000 ? 0 : ns < 1000000 ? 3 : 6;
	struct buf fraction = {0};
	uint64_t whole = digits ? put_fraction(&fraction, ns, digits) : ns;

	buf_printf(out, "%llu%s%s", (unsigned long long)whole, fraction.len ? fraction.data : "",
		   digits == 0 ? "ns" : digits == 3 ? "µs" : "ms");
	buf_done(&fraction);
}

/* As Duration.String: 1h15m30.918s, 1.5µs, 0s. */
static void put_duration(struct buf *out, int64_t d)
{
	uint64_t ns = d < 0 ? -(uint64_t)d : (uint64_t)d, s;
	struct buf fraction = {0};

	if (d < 0)
		buf_char(out, '-');
	if (!ns) {
		buf_str(out, "0s");
		return;
	}
	if (ns < 1000000000) {
		put_small(out, ns);
		return;
	}
	s = put_fraction(&fraction, ns, 9);
	if (s >= 3600)
		buf_printf(out, "%lluh", (unsigned long long)(s / 3600));
	if (s >= 60)
		buf_printf(out, "%llum", (unsigned long long)(s / 60 % 60));
	buf_printf(out, "%llu%ss", (unsigned long long)(s % 60), fraction.len ? fraction.data : "");
	buf_done(&fraction);
}

/* ---- times ---- */

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Of the proleptic Gregorian calendar, by days since 1 January of the year 1. */
static void put_date(struct buf *out, int64_t days)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t cycles = days / 146097 - (days % 146097 < 0), year, month = 0;
	bool leap;

	days -= cycles * 146097;
	year = cycles * 400 + 1;
	for (; days >= 365 + is_leap(year); year++)
		days -= 365 + is_leap(year);
	leap = is_leap(year);
	while (days >= lengths[month] + (month == 1 && leap)) {
		days -= lengths[month] + (month == 1 && leap);
		month++;
	}
	buf_printf(out, "%04lld-%02lld-%02lld", (long long)year, (long long)month + 1, (long long)days + 1);
}

/* Seconds since the year 1. */
static int64_t seconds_of(uint64_t wall, int64_t ext)
{
	if (wall & MONOTONIC)
		return DAYS_BEFORE(1885) * DAY + (int64_t)(wall << 1 >> (NSEC_BITS + 1));
	return ext;
}

/* The clock that is that much ahead of UTC. */
static void put_time(struct buf *out, int64_t s, uint64_t ns, int64_t offset)
{
	int64_t days, ahead = offset < 0 ? -offset : offset, local;

	if (__builtin_add_overflow(s, offset, &local))
		offset = 0;
	else
		s = local;
	days = s / DAY - (s % DAY < 0);
	s -= days * DAY;
	put_date(out, days);
	buf_printf(out, "T%02lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
	put_fraction(out, ns, 9);
	if (!offset) {
		buf_char(out, 'Z');
		return;
	}
	buf_printf(out, "%c%02lld:%02lld", offset < 0 ? '-' : '+', (long long)(ahead / 3600),
		   (long long)(ahead / 60 % 60));
	if (ahead % 60)
		buf_printf(out, ":%02lld", (long long)(ahead % 60));
}

static bool field_at(struct reader *r, const struct type *t, const char *name, enum type_kind kind, uint64_t *ret)
{
	struct type_field f;

	for (size_t i = 0; type_field(r->c->binary, t, i, &f); i++) {
		if (strcmp(f.name, name) || f.type->kind != kind)
			continue;
		*ret = f.offset;
		return true;
	}
	return false;
}

static const struct type *pointee(struct reader *r, const struct type *t, const char *field, uint64_t *ret_at)
{
	struct type_field f;

	for (size_t i = 0; type_field(r->c->binary, t, i, &f); i++)
		if (!strcmp(f.name, field) && f.type->kind == KIND_POINTER) {
			*ret_at = f.offset;
			return f.type->elem;
		}
	return NULL;
}

struct zone {
	int64_t offset;            /* seconds ahead of UTC */
	struct value_node name;    /* of the location; no FORM_STRING: none */
};

/* The offset that the location's cache has for the moment; false where it is one for other moments. */
static bool cached_offset(struct reader *r, const struct type *location, struct window l, int64_t s, int64_t *ret)
{
	int64_t unix_s = (int64_t)((uint64_t)s - (uint64_t)(DAYS_BEFORE(1970) * DAY));
	uint64_t start, end, cache, offset;
	const struct type *zone = pointee(r, location, "cacheZone", &cache);
	struct window z;

	if (!zone || !field_at(r, location, "cacheStart", KIND_INT64, &start) ||
	    !field_at(r, location, "cacheEnd", KIND_INT64, &end) || !field_at(r, zone, "offset", KIND_INT, &offset) ||
	    unix_s < (int64_t)window_word(l, start) || unix_s >= (int64_t)window_word(l, end) ||
	    memory_find(r, window_word(l, cache), shape_find(r->c->shapes, zone, SHAPE_ZONE), &z) != FOUND ||
	    z.n < offset + 8)
		return false;
	*ret = (int64_t)window_word(z, offset);
	return *ret > INT32_MIN && *ret <= INT32_MAX;
}

/* The zone of the location that the time at w has; UTC, without a name, where it is not known. */
static struct zone zone_of(struct reader *r, const struct type *t, struct window w, int64_t s)
{
	const struct shape_table *table = r->c->shapes;
	struct zone z = {0};
	uint64_t loc, at;
	const struct type *location = pointee(r, t, "loc", &loc);
	struct window l;

	if (location && table && field_at(r, location, "name", KIND_STRING, &at) &&
	    memory_find(r, window_word(w, loc), shape_find(table, location, SHAPE_LOCATION), &l) == FOUND &&
	    l.n >= location->size && cached_offset(r, location, l, s, &z.offset))
		value_string(r, window_word(l, at), window_word(l, at + 8), FORM_STRING, &z.name);
	return z;
}

static bool read_time(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	uint64_t wall, ext, loc;
	struct zone zone;
	struct buf out = {0};
	int64_t s;

	if (w.n < t->size || !field_at(r, t, "wall", KIND_UINT64, &wall) || !field_at(r, t, "ext", KIND_INT64, &ext) ||
	    !field_at(r, t, "loc", KIND_POINTER, &loc))
		return false;
	wall = window_word(w, wall);
	s = seconds_of(wall, (int64_t)window_word(w, ext));
	zone = zone_of(r, t, w, s);
	put_time(&out, s, wall & ((1ull << NSEC_BITS) - 1), zone.offset);
	if (zone.name.form == FORM_STRING && zone.name.len && strcmp(zone.name.text, "UTC"))
		buf_printf(&out, " %s", zone.name.text);
	*ret = (struct value_node){.form = FORM_TEXT, .name = ret->name, .type_name = t->name,
				   .text = arena_strdup(r->c->arena, out.data)};
	buf_done(&out);
	return true;
}

bool value_read_time(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	struct buf s = {0};

	if (!t->named)
		return false;
	if (t->kind == KIND_STRUCT && !strcmp(t->name, "time.Time"))
		return read_time(r, t, w, ret);
	if (t->kind != KIND_INT64 || strcmp(t->name, "time.Duration"))
		return false;
	put_duration(&s, (int64_t)window_word(w, 0));
	*ret = (struct value_node){.form = FORM_TEXT, .name = ret->name, .type_name = t->name,
				   .text = arena_strdup(r->c->arena, s.data)};
	buf_done(&s);
	return true;
}
