#include "weave/go_scan.h"

#include <ctype.h>
#include <string.h>

enum { BRACKETS_MAX = 64 * 1024 };

static bool in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

bool go_scan_is(const struct go_scan *g, size_t i, const char *s)
{
	size_t len = strlen(s);

	return i <= g->n && g->n - i >= len && !memcmp(g->text + i, s, len);
}

bool go_scan_is_word(const struct go_scan *g, size_t i, const char *s)
{
	return go_scan_is(g, i, s) && go_scan_name(g, i) == i + strlen(s);
}

size_t go_scan_blanks(const struct go_scan *g, size_t i)
{
	while (i < g->n && (g->text[i] == ' ' || g->text[i] == '\t'))
		i++;
	return i;
}

size_t go_scan_space(const struct go_scan *g, size_t i)
{
	for (;;) {
		while (i < g->n && isspace((unsigned char)g->text[i]))
			i++;
		if (!go_scan_is(g, i, "//") && !go_scan_is(g, i, "/*"))
			return i;
		i = go_scan_opaque(g, i);
	}
}

size_t go_scan_name(const struct go_scan *g, size_t i)
{
	while (i < g->n && in_name(g->text[i]))
		i++;
	return i;
}

size_t go_scan_opaque(const struct go_scan *g, size_t i)
{
	const char *t = g->text, *end;
	char c = i < g->n ? t[i] : 0;

	if (go_scan_is(g, i, "//")) {
		end = memchr(t + i, '\n', g->n - i);
		return end ? (size_t)(end - t) : g->n;
	}
	if (go_scan_is(g, i, "/*")) {
		end = memmem(t + i + 2, g->n - i - 2, "*/", 2);
		return end ? (size_t)(end - t) + 2 : g->n;
	}
	if (c == '`') {
		end = memchr(t + i + 1, '`', g->n - i - 1);
		return end ? (size_t)(end - t) + 1 : g->n;
	}
	if (c != '"' && c != '\'')
		return i;
	for (i++; i < g->n && t[i] != c && t[i] != '\n'; i++)
		if (t[i] == '\\' && i + 1 < g->n && t[i + 1] != '\n')
			i++;
	return i < g->n && t[i] == c ? i + 1 : i;
}

size_t go_scan_brackets(const struct go_scan *g, size_t i)
{
	size_t depth = 0, limit = MIN(g->n, i + BRACKETS_MAX);

	while (i < limit) {
		size_t behind = go_scan_opaque(g, i);
		char c = g->text[i];

		if (behind > i) {
			i = behind;
			continue;
		}
		i++;
		if (c == '(' || c == '[' || c == '{')
			depth++;
		else if ((c == ')' || c == ']' || c == '}') && !--depth)
			return i;
	}
	return 0;
}
