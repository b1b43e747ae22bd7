#include "weave/go_mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "weave/go_scan.h"

struct masking {
	struct go_scan in;
	char *copy;
	go_heads *heads;
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

/* i: behind a `func` at the beginning of a line. A function literal or type is no declaration. */
static void declaration(struct masking *m, size_t i)
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
		return;
	if (m->heads)
		vec_push(m->heads, (uint32_t)head);
	if (!method || !listed)
		return;
	end = go_scan_brackets(g, behind);
	if (end && go_scan_is(g, go_scan_blanks(g, end), "("))
		mask_type_parameters(m, behind, end);
}

void go_mask(const char *text, size_t n, char *copy, go_heads *heads)
{
	struct masking m = {.in = {text, n}, .copy = copy, .heads = heads};
	char before = 0; /* the last character that says something */

	memcpy(copy, text, n);
	for (size_t i = 0, behind; i < n; i = behind) {
		behind = go_scan_opaque(&m.in, i);
		if (behind == i)
			behind = go_scan_name(&m.in, i);
		if (behind == i) {
			behind = i + 1;
			if (isspace((unsigned char)text[i]))
				continue;
		}
		if (go_scan_is_word(&m.in, i, "new") && before != '.')
			mask_new(&m, i);
		if (go_scan_is_word(&m.in, i, "func") && (!i || text[i - 1] == '\n'))
			declaration(&m, behind);
		before = text[i];
	}
}
