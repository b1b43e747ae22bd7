#include "weave/usdt_directive.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "weave/go_scan.h"

static const char *const conversions[][2] = {
    {"string", "string"}, {"bool", "bool"},     {"int", "int"},         {"int8", "int8"},       {"int16", "int16"},
    {"int32", "int32"},   {"int64", "int64"},   {"uint", "uint"},       {"uint8", "uint8"},     {"uint16", "uint16"},
    {"uint32", "uint32"}, {"uint64", "uint64"}, {"uintptr", "uintptr"}, {"float32", "float32"}, {"float64", "float64"},
    {"[]byte", "[]byte"}, {"len", "int"},       {"cap", "int"},
};

/* A name of probes: bpftrace, perf and bcc take no other characters. */
static const char *read_name(const char **at, struct arena *arena)
{
	const char *from = *at;

	if (!isalpha((unsigned char)*from) && *from != '_')
		return NULL;
	while (isalnum((unsigned char)**at) || **at == '_')
		(*at)++;
	return arena_strndup(arena, from, (size_t)(*at - from));
}

static const char *type_of(const char *text)
{
	size_t n = strcspn(text, "("), inside;

	for (size_t i = 0; text[n] && i < ARRAY_SIZE(conversions); i++) {
		const struct go_scan g = {text, strlen(text)};

		if (strlen(conversions[i][0]) != n || strncmp(text, conversions[i][0], n) != 0)
			continue;
		inside = go_scan_name(&g, n + 1);
		return inside > n + 1 && !strcmp(text + inside, ")") ? conversions[i][1] : NULL;
	}
	return NULL;
}

static int add_expression(struct usdt_asked *u, const char *from, size_t n, struct arena *arena, struct err *err)
{
	const char *text;

	while (n && isspace((unsigned char)from[n - 1]))
		n--;
	if (!n)
		return err_set(err, -EINVAL, "there is no expression where one should be");
	if (u->n == USDT_ARGUMENTS_MAX)
		return err_set(err, -EINVAL, "a probe has at most %d arguments", USDT_ARGUMENTS_MAX);
	text = arena_strndup(arena, from, n);
	u->expressions[u->n++] = (struct usdt_expression){text, type_of(text)};
	return 0;
}

/* Commas within brackets and texts are the expression's own. */
static int read_expressions(struct usdt_asked *u, const char *text, struct arena *arena, struct err *err)
{
	const struct go_scan g = {text, strlen(text)};
	size_t from = go_scan_blanks(&g, 0), behind;
	int r = 0;

	if (from == g.n)
		return 0;
	for (size_t at = from; r >= 0 && at <= g.n; at = behind) {
		behind = go_scan_opaque(&g, at);
		if (behind == at && at < g.n && strchr("([{", text[at]))
			behind = go_scan_brackets(&g, at);
		if (!behind)
			return err_set(err, -EINVAL, "a bracket is not closed");
		if (behind > at)
			continue;
		behind = at + 1;
		if (at == g.n || text[at] == ',') {
			r = add_expression(u, text + from, at - from, arena, err);
			from = go_scan_blanks(&g, MIN(behind, g.n));
		}
	}
	return r;
}

int usdt_directive_read(const char *text, struct arena *arena, struct usdt_asked *ret, struct err *err)
{
	struct usdt_asked u = {0};
	int r;

	u.provider = read_name(&text, arena);
	if (u.provider && *text == ':') {
		text++;
		u.name = read_name(&text, arena);
	}
	if (!u.name || (*text && !isspace((unsigned char)*text)))
		return err_set(err, -EINVAL,
		               "a probe is called PROVIDER:NAME, of letters, digits and _, as in shop:order_placed");
	r = read_expressions(&u, text, arena, err);
	if (r >= 0)
		*ret = u;
	return r;
}
