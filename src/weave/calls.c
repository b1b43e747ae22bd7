#include "weave/calls.h"

#include <errno.h>
#include <string.h>

#include "weave/go_scan.h"

struct call_search {
	struct source_types *types;
	const struct woven_function *caller;
	struct go_scan g;       /* to the end of the caller's body */
	const char *type, *own; /* what is called: of a method the type, "T" or "*T"; its own name */
	size_t type_len;
	bool unknown;           /* something of that name is called, and it cannot be told whose it is */
};

static bool is_named(const struct type *t, const char *name, size_t n)
{
	const char *own = strrchr(t->name, '.');

	return own && strlen(own + 1) == n && !memcmp(own + 1, name, n);
}

/* Methods are called by way of a pointer and of what it points to alike. */
static void judge(struct call_search *s, const struct type *t, bool *calls)
{
	if (t && t->kind == KIND_POINTER && !t->named)
		t = t->elem;
	if (!t || !t->named)
		s->unknown = true;
	else if (is_named(t, s->type, s->type_len))
		*calls = true;
	else
		s->unknown |= t->kind == KIND_STRUCT || t->kind == KIND_INTERFACE; /* it may be an embedded one's */
}

static const struct type *type_of_param(struct call_search *s, const char *name, size_t n)
{
	const struct go_function *f = s->caller->function;

	for (size_t i = 0; i < f->nparams; i++)
		if (f->params[i].name && strlen(f->params[i].name) == n && !memcmp(f->params[i].name, name, n))
			return f->params[i].variadic
			           ? NULL
			           : source_type_of(s->types, s->caller->file, f, &f->params[i], NULL);
	return NULL;
}

/* T of the first `name := ….(T)` whose line ends there. */
static const struct type *type_of_variable(struct call_search *s, const char *name, size_t n)
{
	const struct go_scan *g = &s->g;

	for (size_t i = s->caller->function->body.start; i + n < g->n; i++) {
		size_t at = i + n, end, open;

		if (memcmp(g->text + i, name, n) || go_scan_name(g, i) != at || go_scan_name(g, i - 1) > i - 1)
			continue;
		at = go_scan_blanks(g, at);
		if (go_scan_is(g, at, ","))
			at = go_scan_blanks(g, go_scan_name(g, go_scan_blanks(g, at + 1)));
		if (!go_scan_is(g, at, ":="))
			continue;
		end = at + strcspn(g->text + at, "\n;");
		while (end > at && (g->text[end - 1] == ' ' || g->text[end - 1] == '\r'))
			end--;
		open = end;
		while (open > at && g->text[open - 1] != '(')
			open--;
		if (end >= g->n || g->text[end - 1] != ')' || open < at + 2 || g->text[open - 2] != '.')
			return NULL;
		return source_type_at(s->types, s->caller->file,
		                      (struct go_span){(uint32_t)open, (uint32_t)(end - 1)}, NULL);
	}
	return NULL;
}

/* What is called at i, where a name begins that is the called one's; a bracket follows. */
static void look_at_call(struct call_search *s, size_t i, bool *calls)
{
	const char *text = s->g.text;
	size_t end = i, from;
	const struct type *t;

	while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t'))
		end--;
	if (!end || text[end - 1] != '.') {
		*calls |= !s->type && !type_of_param(s, s->own, strlen(s->own));
		return;
	}
	if (!s->type)
		return; /* a method, or of another package */
	from = --end;
	while (from > 0 && go_scan_name(&s->g, from - 1) >= end)
		from--;
	if (from == end || (from > 0 && text[from - 1] == '.')) {
		s->unknown = true;
		return;
	}
	t = type_of_param(s, text + from, end - from);
	judge(s, t ? t : type_of_variable(s, text + from, end - from), calls);
}

static size_t behind_literal(const struct go_function *f, size_t i)
{
	for (size_t k = 0; k < f->nliterals; k++)
		if (f->literals[k].all.start == i)
			return f->literals[k].all.end;
	return i;
}

static bool find_call(struct call_search *s)
{
	const struct go_function *f = s->caller->function;
	bool calls = false;

	for (size_t i = f->body.start, behind; i < s->g.n; i = behind) {
		behind = go_scan_opaque(&s->g, i);
		if (behind == i)
			behind = behind_literal(f, i);
		if (behind > i)
			continue;
		behind = MAX(go_scan_name(&s->g, i), i + 1);
		if (go_scan_is_word(&s->g, i, s->own) && go_scan_is(&s->g, go_scan_blanks(&s->g, behind), "("))
			look_at_call(s, i, &calls);
	}
	return calls;
}

int source_calls(struct source_types *types, const struct woven_function *caller, const char *called, struct err *err)
{
	const char *dot = strrchr(called, '.');
	struct call_search s = {.types = types,
	                        .caller = caller,
	                        .g = {caller->file->source->text, caller->function->body.end},
	                        .own = dot ? dot + 1 : called};

	if (dot) {
		size_t skip = !strncmp(called, "(*", 2) ? 2 : 0;

		s.type = called + skip;
		s.type_len = (size_t)(dot - s.type) - (skip ? 1 : 0);
	}
	if (find_call(&s))
		return 1;
	return s.unknown ? err_set(err, -ENODATA, "whether it calls %s cannot be told from source", called) : 0;
}
