#include "span/route.h"

#include <string.h>

static size_t segment_len(struct text_view t)
{
	const char *slash = t.len ? memchr(t.s, '/', t.len) : NULL;

	return slash ? (size_t)(slash - t.s) : t.len;
}

/* "{name}" or ":name" and nothing else: stands for exactly one segment. */
static bool is_parameter(const char *s, size_t len)
{
	if (len < 2)
		return false;
	if (*s == ':')
		return !memchr(s + 1, ':', len - 1) && !strchr("?*+>)", s[len - 1]);
	return *s == '{' && s[len - 1] == '}' && !memchr(s, ':', len) && !memchr(s, '.', len) && !memchr(s, '*', len);
}

static bool segment_fits(const char *template, size_t tlen, const char *text, size_t len)
{
	if (tlen == len && !memcmp(template, text, len))
		return !memchr(template, '*', tlen);
	return len && is_parameter(template, tlen);
}

static struct text_view behind(struct text_view t, size_t n)
{
	return (struct text_view){t.s + n, t.len - n};
}

bool route_before(struct text_view route, struct text_view path, struct text_view whole, size_t *ret_len)
{
	struct text_view before = whole, rest = route;

	if (!path.len || *path.s != '/' || path.len >= whole.len ||
	    memcmp(whole.s + whole.len - path.len, path.s, path.len) != 0)
		return false;
	before.len -= path.len;
	while (before.len) {
		size_t n, t;

		if (*before.s != '/' || !rest.len || *rest.s != '/')
			return false;
		before = behind(before, 1);
		rest = behind(rest, 1);
		n = segment_len(before);
		t = segment_len(rest);
		if (!segment_fits(rest.s, t, before.s, n))
			return false;
		before = behind(before, n);
		rest = behind(rest, t);
	}
	*ret_len = route.len - rest.len;
	return true;
}

bool route_of_parameters(struct text_view path, const struct route_parameter *p, size_t n, struct buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		bool rest = p[i].len && p[i].at < path.len && path.s[p[i].at] == '/';

		if (p[i].at < at || p[i].at > path.len || p[i].len > path.len - p[i].at)
			return false;
		buf_append(out, path.s + at, p[i].at - at);
		buf_str(out, rest ? "/*" : ":");
		buf_append(out, p[i].name.s, p[i].name.len);
		at = p[i].at + p[i].len;
	}
	buf_append(out, path.s + at, path.len - at);
	return true;
}
