#include "sink/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

static const char *const style_code[] = {
	[STYLE_PLAIN] = "",          [STYLE_DIM] = "\033[2m",     [STYLE_BOLD] = "\033[1m",
	[STYLE_GREEN] = "\033[32m",  [STYLE_CYAN] = "\033[36m",   [STYLE_YELLOW] = "\033[33m",
	[STYLE_RED] = "\033[1;31m",
};
#define RESET "\033[0m"

struct range {
	uint32_t first, last;
};

/* Shown two columns wide (the larger blocks of Unicode's EastAsianWidth W and F, and emoji). */
static const struct range wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
	{0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
	{0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};
/* Drawn onto the character before. */
static const struct range combining[] = {{0x300, 0x36f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
/* C1 controls, invisible and direction-changing characters, tags: they could hide or reorder text. */
static const struct range unsafe[] = {
	{0x80, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},     {0x200b, 0x200f},
	{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},   {0xfff9, 0xfffb},
	{0xe0000, 0xe0fff},
};

static bool within(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}

static uint32_t utf8_decode(const char *s, size_t len)
{
	static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (uint8_t)s[0] & mask[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	return c;
}

/* One character as it is to be shown. */
struct glyph {
	char text[16];
	size_t len;
	unsigned columns;
	size_t used; /* bytes of the source */
};

static void escape_byte(uint8_t c, struct glyph *g)
{
	if (c == '\n' || c == '\r' || c == '\t')
		g->len = (size_t)snprintf(g->text, sizeof(g->text), "\\%c",
					  c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else
		g->len = (size_t)snprintf(g->text, sizeof(g->text), "\\x%02x", c);
	g->columns = (unsigned)g->len;
	g->used = 1;
}

static void next_glyph(const char *s, size_t n, struct glyph *g)
{
	size_t len = utf8_valid(s, n);
	uint32_t c = len ? utf8_decode(s, len) : 0;

	if (!len || c < 0x20 || c == 0x7f) {
		escape_byte((uint8_t)s[0], g);
		return;
	}
	g->used = len;
	if (c >= 0x80 && within(c, unsafe, ARRAY_SIZE(unsafe))) {
		g->len = (size_t)snprintf(g->text, sizeof(g->text), "\\u{%" PRIx32 "}", c);
		g->columns = (unsigned)g->len;
		return;
	}
	memcpy(g->text, s, len);
	g->len = len;
	g->columns = c < 0x300			      ? 1
		     : within(c, combining, ARRAY_SIZE(combining)) ? 0
		     : within(c, wide, ARRAY_SIZE(wide))	  ? 2
							      : 1;
}

/* How many of the bytes are shown as they are, a column each: most texts, whole. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= 0x20 && s[i] < 0x7f)
		i++;
	return i;
}

unsigned text_columns(const char *s, size_t n)
{
	unsigned columns = 0;
	struct glyph g;

	for (size_t i = 0; i < n; i += g.used) {
		g.used = plain_run(s + i, n - i);
		columns += (unsigned)g.used;
		if (g.used)
			continue;
		next_glyph(s + i, n - i, &g);
		columns += g.columns;
	}
	return columns;
}

struct row row_begin(struct buf *out, unsigned width, bool colour)
{
	return (struct row){.out = out, .width = width, .colour = colour, .cut_at = out->len};
}

static void put_glyph(struct row *r, const struct glyph *g)
{
	if (r->full)
		return;
	if (r->width && r->column + g->columns > r->width) {
		r->out->len = r->cut_at;
		buf_str(r->out, r->colour ? RESET "…" : "…");
		r->full = true;
		return;
	}
	buf_append(r->out, g->text, g->len);
	r->column += g->columns;
	if (r->column < r->width)
		r->cut_at = r->out->len;
}

static void style_begin(struct row *r, enum style style)
{
	if (r->colour && !r->full)
		buf_str(r->out, style_code[style]);
}

static void style_end(struct row *r, enum style style)
{
	if (r->colour && !r->full && style != STYLE_PLAIN)
		buf_str(r->out, RESET);
}

static void put_plain(struct row *r, const char *s, size_t n)
{
	buf_append(r->out, s, n);
	r->column += (unsigned)n;
	r->cut_at = r->out->len;
}

void row_text(struct row *r, enum style style, const char *s, size_t n)
{
	struct glyph g;
	size_t plain;

	style_begin(r, style);
	for (size_t i = 0; i < n && !r->full; i += g.used) {
		plain = plain_run(s + i, n - i);
		if (plain && (!r->width || r->column + plain < r->width)) {
			put_plain(r, s + i, plain);
			g.used = plain;
			continue;
		}
		next_glyph(s + i, n - i, &g);
		put_glyph(r, &g);
	}
	style_end(r, style);
}

void row_str(struct row *r, enum style style, const char *s)
{
	row_text(r, style, s, strlen(s));
}

void row_spaces(struct row *r, unsigned n)
{
	static const struct glyph space = {.text = " ", .len = 1, .columns = 1};

	while (n--)
		put_glyph(r, &space);
}

void row_field(struct row *r, enum style style, const char *s, size_t n, unsigned columns, unsigned pad)
{
	unsigned shown = text_columns(s, n), at = 0;
	struct glyph g;

	if (!columns || shown <= columns) {
		row_text(r, style, s, n);
		row_spaces(r, shown < pad ? pad - shown : 0);
		return;
	}
	style_begin(r, style);
	for (size_t i = 0; i < n; i += g.used) {
		next_glyph(s + i, n - i, &g);
		if (at + g.columns > columns - 1)
			break;
		at += g.columns;
		put_glyph(r, &g);
	}
	put_glyph(r, &(struct glyph){.text = "…", .len = strlen("…"), .columns = 1});
	style_end(r, style);
	row_spaces(r, at + 1 < pad ? pad - at - 1 : 0);
}

void row_right(struct row *r, enum style style, const char *s, unsigned pad)
{
	unsigned shown = text_columns(s, strlen(s));

	row_spaces(r, shown < pad ? pad - shown : 0);
	row_str(r, style, s);
}

void row_end(struct row *r)
{
	while (!r->colour && r->out->len && r->out->data[r->out->len - 1] == ' ')
		r->out->len--;
	buf_char(r->out, '\n');
}

void row_clock(struct row *r, struct clock_text *c, uint64_t unix_ns)
{
	time_t second = (time_t)(unix_ns / 1000000000u);
	char ms[16];
	struct tm tm;

	if (second != c->second || !c->text[0]) {
		localtime_r(&second, &tm);
		strftime(c->text, sizeof(c->text), "%H:%M:%S", &tm);
		c->second = second;
	}
	snprintf(ms, sizeof(ms), ".%03u", (unsigned)(unix_ns / 1000000u % 1000u));
	row_str(r, STYLE_DIM, c->text);
	row_str(r, STYLE_DIM, ms);
}

void format_size(int64_t bytes, char ret[24])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes / 1000;
	size_t u = 0;

	if (bytes < 1000) {
		snprintf(ret, 24, "%" PRId64 " B", bytes);
		return;
	}
	for (; v >= 999.5 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1000;
	snprintf(ret, 24, "%.*f %s", v < 9.95 ? 1 : 0, v, units[u]);
}
