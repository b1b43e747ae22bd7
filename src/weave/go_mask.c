#include "weave/go_mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "weave/go_scan.h"

struct masking {
	struct go_scan in;
	char *copy;
	go_heads *heads;
	bool outline;
};

/* An operand that the grammar can only read as a type, and would not as an expression. */
static bool is_surely_type(const struct go_scan *g, size_t i)
{
	static const char *const words[] = {"map", "struct", "chan", "func", "interface"};

	if (go_scan_is(g, i, "[") || go_scan_is(g, i, "*") || go_scan_is(g, i, "<"))
		return true;
	for (size_t k = 0; k < ARRAY_SIZE(words); k++)
		if (go_scan_is_word(g, i, words[k]))
			return true;
	return false;
}

static void mask_new(struct masking *m, size_t i)
{
	size_t open = go_scan_blanks(&m->in, i + 3);

	if (go_scan_is(&m->in, open, "(") && !is_surely_type(&m->in, go_scan_space(&m->in, open + 1)))
		m->copy[i + 1] = 'E';
}

static void mask_type_parameters(struct masking *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (m->copy[i] != '\n')
			m->copy[i] = ' ';
}

/* The { of a body behind a function's parameters. 0: there is none on the line on which its results end. */
static size_t body_behind(const struct go_scan *g, size_t i)
{
	bool literal = false; /* of a type: interface{…}, struct{…} */

	while (i && i < g->n && g->text[i] != '\n' && !go_scan_is(g, i, "//")) {
		size_t behind = go_scan_name(g, i);

		if (g->text[i] == '{' && !literal)
			return i;
		if (behind > i)
			literal = go_scan_is_word(g, i, "interface") || go_scan_is_word(g, i, "struct");
		if (strchr("([{", g->text[i]))
			i = go_scan_brackets(g, i);
		else
			i = MAX(behind, i + 1);
	}
	return 0;
}

/* What stands in a body goes, where it is certain to which bracket it reaches. Where to go on. */
static size_t blank_body(struct masking *m, size_t params)
{
	const struct go_scan *g = &m->in;
	size_t open = body_behind(g, go_scan_brackets(g, params)), end = open ? go_scan_brackets(g, open) : 0;
	size_t behind = end ? go_scan_blanks(g, end) : 0;

	if (!end || g->text[end - 1] != '}' ||
	    (behind < g->n && !strchr("\r\n;", g->text[behind]) && !go_scan_is(g, behind, "//")))
		return 0;
	memset(m->copy + open + 1, ' ', end - 1 - (open + 1));
	return end;
}

/*
 * i: behind a `func` at the beginning of a line. A function literal or type is no declaration. Where to go on, if that
 * is not i; or 0.
 */
static size_t declaration(struct masking *m, size_t i)
{
	const struct go_scan *g = &m->in;
	size_t head = i - strlen("func"), name = go_scan_blanks(g, i), behind, end;
	bool method = go_scan_is(g, name, "("), listed;

	if (method) {
		name = go_scan_brackets(g, name);
		name = name ? go_scan_blanks(g, name) : g->n;
	}
	behind = go_scan_name(g, name);
	listed = go_scan_is(g, behind, "[");
	if (behind == name || (!listed && !go_scan_is(g, behind, "(")))
		return 0;
	if (m->heads)
		vec_push(m->heads, (uint32_t)head);
	end = listed ? go_scan_brackets(g, behind) : behind;
	if (listed && (!end || !go_scan_is(g, go_scan_blanks(g, end), "(")))
		return 0;
	if (method && listed)
		mask_type_parameters(m, behind, end);
	return m->outline ? blank_body(m, go_scan_blanks(g, end)) : 0;
}

static void mask(struct masking *m)
{
	const char *text = m->in.text;
	char before = 0; /* the last character that says something */

	memcpy(m->copy, text, m->in.n);
	for (size_t i = 0, behind, end; i < m->in.n; i = behind) {
		behind = go_scan_opaque(&m->in, i);
		if (behind == i)
			behind = go_scan_name(&m->in, i);
		if (behind == i) {
			behind = i + 1;
			if (isspace((unsigned char)text[i]))
				continue;
		}
		if (go_scan_is_word(&m->in, i, "new") && before != '.')
			mask_new(m, i);
		before = text[i];
		if (!go_scan_is_word(&m->in, i, "func") || (i && text[i - 1] != '\n'))
			continue;
		end = declaration(m, behind);
		if (end)
			behind = end;
	}
}

void go_mask(const char *text, size_t n, char *copy)
{
	mask(&(struct masking){.in = {text, n}, .copy = copy});
}

void go_mask_outline(const char *text, size_t n, char *copy, go_heads *heads)
{
	mask(&(struct masking){.in = {text, n}, .copy = copy, .heads = heads, .outline = true});
}
