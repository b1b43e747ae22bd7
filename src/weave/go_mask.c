#include "weave/go_mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "weave/go_scan.h"

struct masking {
	struct go_scan in;
	char *copy;
	go_heads *heads; /* NULL: no outline is asked for */
	go_gaps *gaps;
};

enum {
	GAP_LEAST = 32,
	GAPS_MAX = 2048, /* a parser that looks for its place among them takes as long as there are many */
};

/* What stands there goes, but for its lines. */
static void blank(struct masking *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (m->copy[i] != '\n')
			m->copy[i] = ' ';
}

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
		if (g->text[i] == '(' || g->text[i] == '[' || g->text[i] == '{')
			i = go_scan_brackets(g, i);
		else
			i = MAX(behind, i + 1);
	}
	return 0;
}

static bool is_blank(const struct masking *m, size_t from, size_t to)
{
	while (from < to && isspace((unsigned char)m->copy[from]))
		from++;
	return from >= to;
}

/* Blank, and a gap. What is around it stays apart, and a newline behind it stays. */
static void leave_out(struct masking *m, size_t from, size_t to)
{
	struct go_gap gap = {(uint32_t)from + 1, (uint32_t)to - 1}, *last;

	blank(m, from, to);
	if (to - from < GAP_LEAST)
		return;
	last = m->gaps->len ? &m->gaps->data[m->gaps->len - 1] : NULL;
	if (last && is_blank(m, last->end, from))
		last->end = gap.end;
	else if (m->gaps->len < GAPS_MAX)
		vec_push(m->gaps, gap);
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
	leave_out(m, open + 1, end - 1);
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
		blank(m, behind, end);
	return m->heads ? blank_body(m, go_scan_blanks(g, end)) : 0;
}

/*
 * The same of what variables and constants are: a list in parentheses, the elements of a value. i: behind a `var` or
 * `const` at the beginning of a line. Where to go on.
 */
static size_t blank_values(struct masking *m, size_t i)
{
	const struct go_scan *g = &m->in;
	size_t behind, end, list = go_scan_blanks(g, i);

	for (i = list; i < g->n && g->text[i] != '\n'; i = behind) {
		behind = go_scan_opaque(g, i);
		if (behind > i)
			continue;
		behind = i + 1;
		end = g->text[i] == '{' || (g->text[i] == '(' && i == list) ? go_scan_brackets(g, i) : 0;
		if (!end)
			continue;
		leave_out(m, i + 1, end - 1);
		behind = end;
	}
	return i;
}

/* What stands at i, to behind, is a name or a single character. Where to go on. */
static size_t mask_word(struct masking *m, size_t i, size_t behind, char before)
{
	bool begins_line = !i || m->in.text[i - 1] == '\n';
	size_t end;

	if (go_scan_is_word(&m->in, i, "new") && before != '.')
		mask_new(m, i);
	if (begins_line && go_scan_is_word(&m->in, i, "func")) {
		end = declaration(m, behind);
		return end ? end : behind;
	}
	if (m->heads && begins_line && (go_scan_is_word(&m->in, i, "var") || go_scan_is_word(&m->in, i, "const")))
		return blank_values(m, behind);
	return behind;
}

static void mask(struct masking *m)
{
	const char *text = m->in.text;
	char before = 0; /* the last character that says something */

	memcpy(m->copy, text, m->in.n);
	for (size_t i = 0, behind; i < m->in.n; i = behind) {
		behind = go_scan_opaque(&m->in, i);
		if (behind > i) {
			if (m->heads && text[i] == '/')
				leave_out(m, i, behind);
			before = text[i];
			continue;
		}
		behind = MAX(go_scan_name(&m->in, i), i + 1);
		if (isspace((unsigned char)text[i]))
			continue;
		behind = mask_word(m, i, behind, before);
		before = text[i];
	}
}

void go_mask(const char *text, size_t n, char *copy)
{
	mask(&(struct masking){.in = {text, n}, .copy = copy});
}

void go_mask_outline(const char *text, size_t n, char *copy, go_heads *heads, go_gaps *gaps)
{
	mask(&(struct masking){.in = {text, n}, .copy = copy, .heads = heads, .gaps = gaps});
}
