/*
 * Symbol names taken apart: "net/http.(*conn).serve" is a method of a pointer to conn. Apart from
 * signatures because it knows nothing but text: how the compiler names methods, closures, wrappers
 * and generic instances, and how the linker escapes import paths.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "binary/signature.h"

int func_name_escaped(const char *s)
{
	char hex[3] = {0};

	if (s[0] != '%' || !isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]))
		return -1;
	hex[0] = s[1];
	hex[1] = s[2];
	return (int)strtol(hex, NULL, 16);
}

char *func_name_unescape(struct arena *a, const char *s, size_t n)
{
	char *out = arena_strndup(a, s, n), *w = out;

	for (const char *r = out; *r; w++) {
		int c = func_name_escaped(r);

		*w = c > 0 ? (char)c : *r;
		r += c > 0 ? 3 : 1;
	}
	*w = 0;
	return out;
}

/* A copy without what stands in brackets. */
static char *without_brackets(struct arena *a, const char *s, bool *ret_any)
{
	char *out = arena_strdup(a, s), *w = out;
	unsigned depth = 0;

	for (; *s; s++) {
		if (*s == '[')
			depth++;
		if (depth)
			*ret_any = true;
		else
			*w++ = *s;
		if (*s == ']' && depth)
			depth--;
	}
	*w = 0;
	return out;
}

static bool closure_part(const char *s, size_t n)
{
	static const char *const prefixes[] = {"func", "gowrap", "deferwrap", ""};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t k = strlen(prefixes[i]);

		if (n > k && !strncmp(s, prefixes[i], k) && isdigit((unsigned char)s[k]))
			return true;
	}
	return n == 0;
}

static void split_method(struct arena *a, const char *s, struct func_name *ret)
{
	const char *dot = strchr(s, '.'), *end, *m;

	if (!strncmp(s, "(*", 2)) {
		end = strchr(s, ')');
		if (!end || end[1] != '.')
			return;
		ret->receiver = arena_strndup(a, s + 2, (size_t)(end - s - 2));
		ret->pointer = true;
		m = end + 2;
	} else if (!dot) {
		ret->closure = strchr(s, '-') != NULL;
		return;
	} else if (closure_part(dot + 1, strcspn(dot + 1, ".-"))) {
		ret->closure = true;
		return;
	} else {
		ret->receiver = arena_strndup(a, s, (size_t)(dot - s));
		m = dot + 1;
	}
	ret->method = m;
	if (strpbrk(m, ".-")) {
		ret->closure = true;
		ret->receiver = NULL;
	}
}

void func_name_split(struct arena *a, const char *name, struct func_name *ret)
{
	struct func_name r = {.package = ""};
	char *s = without_brackets(a, name, &r.generic);
	const char *slash = strrchr(s, '/'), *dot = strchr(slash ? slash : s, '.');

	if (dot && strncmp(s, "type:", 5) && strncmp(s, "type..", 6) && strncmp(s, "go:", 3)) {
		r.package = func_name_unescape(a, s, (size_t)(dot - s));
		split_method(a, dot + 1, &r);
	} else {
		r.closure = true;
	}
	*ret = r;
}
