#include "weave/go_params.h"

#include <ctype.h>

#include "weave/go_scan.h"

typedef VEC(struct go_param) param_list;

/* Behind the last character of what lies between from and to, comments and spaces left out. */
static size_t last_of(const struct go_scan *g, size_t from, size_t to)
{
	size_t last = from;

	for (size_t i = go_scan_space(g, from); i < to; i = go_scan_space(g, i)) {
		size_t behind = go_scan_opaque(g, i);

		last = i = behind > i ? behind : i + 1;
	}
	return last;
}

static bool begins_type(const struct go_scan *g, size_t i)
{
	static const char *const words[] = {"map", "chan", "func", "struct", "interface"};

	for (size_t k = 0; k < ARRAY_SIZE(words); k++)
		if (go_scan_is_word(g, i, words[k]))
			return true;
	return go_scan_name(g, i) == i || isdigit((unsigned char)g->text[i]);
}

/* Where the type begins if a name stands before it at i; i: there is none, or nothing else. */
static size_t type_behind_name(const struct go_scan *g, size_t i, size_t end)
{
	size_t behind, type;

	if (begins_type(g, i))
		return i;
	behind = go_scan_name(g, i);
	type = go_scan_space(g, behind);
	if (type >= end || (go_scan_is(g, type, ".") && !go_scan_is(g, type, "...")))
		return i;
	if (go_scan_is(g, type, "[")) { /* the type arguments of T[A], or the type []T, [N]T */
		size_t close = go_scan_brackets(g, type);

		return close && go_scan_space(g, close) < end ? type : i;
	}
	return type;
}

static bool add_item(const struct go_scan *g, size_t from, size_t to, struct arena *arena, param_list *out)
{
	size_t at = go_scan_space(g, from), end, type;
	struct go_param p = {0};

	end = at < to ? last_of(g, at, to) : at;
	if (at >= end)
		return false;
	type = type_behind_name(g, at, end);
	p.at = (struct go_span){(uint32_t)at, (uint32_t)at};
	if (type > at) {
		p.at.end = (uint32_t)go_scan_name(g, at);
		p.name = arena_strndup(arena, g->text + at, p.at.end - p.at.start);
	}
	p.variadic = go_scan_is(g, type, "...");
	if (p.variadic)
		type = go_scan_space(g, type + 3);
	p.type = (struct go_span){(uint32_t)type, (uint32_t)end};
	vec_push(out, p);
	return type < end;
}

static bool add_items(const struct go_scan *g, size_t i, size_t end, struct arena *arena, param_list *out)
{
	size_t from = i;

	while (i < end) {
		size_t behind = go_scan_opaque(g, i);
		char c = g->text[i];

		if (behind == i && (c == '(' || c == '[' || c == '{'))
			behind = go_scan_brackets(g, i);
		else if (behind == i)
			behind = i + 1;
		if (!behind || behind > end)
			return false;
		if (c == ',') {
			if (!add_item(g, from, i, arena, out))
				return false;
			from = behind;
		}
		i = behind;
	}
	return go_scan_space(g, from) >= end || add_item(g, from, end, arena, out);
}

/* Either all have names or none has: what stands alone among named ones is a name, of the next one's type. */
static bool complete_names(const char *text, struct arena *arena, struct go_param *p, size_t n)
{
	bool named = false;
	struct go_scan g = {.text = text};

	for (size_t i = 0; i < n; i++)
		named |= !!p[i].name;
	for (size_t i = n; named && i-- > 0;) {
		if (p[i].name)
			continue;
		g.n = p[i].type.end;
		if (i + 1 == n || p[i].variadic || go_scan_name(&g, p[i].type.start) != p[i].type.end)
			return false;
		p[i] = (struct go_param){
		    .name = arena_strndup(arena, text + p[i].type.start, p[i].type.end - p[i].type.start),
		    .at = p[i].type,
		    .type = p[i + 1].type,
		    .variadic = p[i + 1].variadic};
	}
	return true;
}

bool go_params_read(const char *text, struct go_span list, struct arena *arena, struct go_param **ret, size_t *ret_n)
{
	struct go_scan g = {.text = text, .n = list.end};
	param_list out = {0};
	bool good = list.end - list.start >= 2 && text[list.start] == '(' &&
	            go_scan_brackets(&g, list.start) == list.end &&
	            add_items(&(struct go_scan){text, list.end - 1}, list.start + 1, list.end - 1, arena, &out);

	if (good && out.len) {
		*ret = arena_memdup(arena, out.data, out.len * sizeof(*out.data));
		good = complete_names(text, arena, *ret, out.len);
	}
	*ret_n = good ? out.len : 0;
	vec_done(&out);
	return good;
}
