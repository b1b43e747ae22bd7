#include "weave/woven_function.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "weave/go_scan.h"

/* ---- finding it ---- */

/* The linker writes a dot of a path's last element as %2e; packs may write it as it is. */
static const char *without_escapes(struct arena *arena, const char *path, size_t len)
{
	char *text = arena_strndup(arena, path, len), *to = text;

	for (const char *p = text; *p; p++) {
		bool escaped = !strncmp(p, "%2e", 3);

		*to++ = escaped ? '.' : *p;
		p += escaped ? 2 : 0;
	}
	*to = 0;
	return text;
}

/* A package is known by its import path, but for a program's own, which is called main. */
static bool is_package(const struct weave_package *p, const char *path)
{
	bool main_package = p->name && !strcmp(p->name, "main");

	return main_package ? !strcmp(path, "main") : !strcmp(path, p->path);
}

/* What of a full name stands behind p; NULL: it is another package's. */
static const char *name_in(struct weave_package *p, const char *full_name)
{
	size_t n = strcspn(full_name, "([");
	const char *slash = memrchr(full_name, '/', n), *dot = slash ? slash : full_name;

	while ((dot = memchr(dot, '.', n - (size_t)(dot - full_name)))) {
		if (is_package(p, without_escapes(&p->arena, full_name, (size_t)(dot - full_name))))
			return dot + 1;
		dot++;
	}
	return NULL;
}

/* Behind up to four digits; NULL: there are none. */
static const char *behind_number(const char *s, size_t *ret)
{
	size_t n = strspn(s, "0123456789");

	*ret = 0;
	for (size_t i = 0; i < n && n <= 4; i++)
		*ret = *ret * 10 + (size_t)(s[i] - '0');
	return *ret ? s + n : NULL;
}

/* "serve.func1", "serve.func1.2": where the literal's own name begins, behind the dot; NULL: it is none's name. */
static const char *literal_name(const char *name)
{
	for (const char *at = name; (at = strstr(at, ".func")); at++) {
		size_t number;
		const char *end = behind_number(at + strlen(".func"), &number);

		while (end && *end == '.')
			end = behind_number(end + 1, &number);
		if (end && !*end)
			return at + 1;
	}
	return NULL;
}

static const struct go_function *literal_in(const struct go_function *f, const char *name)
{
	size_t number;

	for (name += strlen("func"); name && *name; name += *name == '.') {
		name = behind_number(name, &number);
		if (!name || number > f->nliterals)
			return NULL;
		f = &f->literals[number - 1];
	}
	return f;
}

static const struct go_function *function_in(struct arena *arena, struct go_source *s, const char *name, size_t len)
{
	for (size_t i = 0; s && i < s->nfunctions; i++) {
		const char *own = go_function_symbol(arena, &s->functions[i]);

		if (strlen(own) != len || memcmp(own, name, len) != 0)
			continue;
		go_function_read(s, &s->functions[i]);
		return &s->functions[i];
	}
	return NULL;
}

static int check(const struct go_function *f, const struct weave_package *p, struct err *err)
{
	bool of_runtime = !strcmp(p->path, "runtime");
	unsigned forbidden = GO_RUNTIME_ONLY | GO_NOSPLIT;

	if (f->broken)
		return err_set(err, -EINVAL, "not all of it could be read");
	if (f->body.start == f->body.end)
		return err_set(err, -EINVAL, "it has no body in Go");
	if (f->directives & forbidden)
		return err_set(err, -EINVAL, "it must not use more of the stack%s", of_runtime ? "" : " (go:nosplit)");
	return 0;
}

/* Whether a method of that name is called anywhere in the package, whosever it is. */
static bool calls_method(const struct weave_package *p, const char *own)
{
	for (size_t i = 0; i < p->nfiles; i++) {
		const struct go_scan g = {p->files[i].text.data, p->files[i].text.len};

		for (size_t at = 1, behind; at < g.n; at = behind) {
			behind = go_scan_opaque(&g, at);
			if (behind == at)
				behind = MAX(go_scan_name(&g, at), at + 1);
			if (g.text[at - 1] == '.' && go_scan_is_word(&g, at, own) &&
			    go_scan_is(&g, go_scan_blanks(&g, behind), "("))
				return true;
		}
	}
	return false;
}

/* What stands before i is that word. */
static bool follows_word(const struct go_scan *g, size_t i, const char *word)
{
	size_t n = strlen(word);

	while (i && strchr(" \t(*", g->text[i - 1]))
		i--;
	return i >= n && go_scan_is_word(g, i - n, word) && (i == n || isspace((unsigned char)g->text[i - n - 1]));
}

/*
 * Whether the type that stands at i is declared there, is that of a receiver, or is of a value whose method is taken as
 * a value at once: T{…}.m.
 */
static bool is_harmless(const struct go_scan *g, size_t i, const char *type, const char *own)
{
	size_t behind = go_scan_blanks(g, i + strlen(type)), dot;

	if (go_scan_is(g, behind, ")")) {
		const size_t name = go_scan_blanks(g, behind + 1), end = go_scan_name(g, name);

		if (end == name || !go_scan_is(g, end, "("))
			return false; /* the parameter of a function that has no name */
		while (i && (isalnum((unsigned char)g->text[i - 1]) || strchr(" *_", g->text[i - 1])))
			i--;
		return follows_word(g, i, "func");
	}
	dot = go_scan_is(g, behind, "{") ? go_scan_brackets(g, behind) : 0;
	if (!dot)
		return follows_word(g, i, "type");
	return go_scan_is(g, dot, ".") && go_scan_is_word(g, dot + 1, own) &&
	       !go_scan_is(g, go_scan_blanks(g, dot + 1 + strlen(own)), "(");
}

/* Its methods look into it, and do nothing else with it. */
static bool looks_into(const struct go_source *s, const struct go_function *f, const char *own)
{
	const struct go_scan g = {s->text, f->body.end};
	const char *name = f->nparams ? f->params[0].name : NULL;

	for (size_t at = f->body.start, behind; name && at < g.n; at = behind) {
		behind = go_scan_opaque(&g, at);
		if (behind > at)
			continue;
		behind = MAX(go_scan_name(&g, at), at + 1);
		if (go_scan_is_word(&g, at, name) && g.text[at - 1] != '.' &&
		    (!go_scan_is(&g, behind, ".") || go_scan_is_word(&g, behind + 1, own)))
			return false;
	}
	return true;
}

static bool is_looked_into(const struct go_source *s, const char *type, const char *own)
{
	for (size_t i = 0; s && i < s->nfunctions; i++)
		if (s->functions[i].receiver && !strcmp(s->functions[i].receiver, type) &&
		    !looks_into(s, &s->functions[i], own))
			return false;
	return s;
}

/* All that the package does with values of the type is to take that method of theirs: so no interface has one. */
static bool only_taken(const struct weave_package *p, const char *type, const char *own)
{
	for (size_t i = 0; i < p->nfiles; i++) {
		const struct go_scan g = {p->files[i].text.data, p->files[i].text.len};

		if (!is_looked_into(p->files[i].source, type, own))
			return false;
		for (size_t at = 1, behind; at < g.n; at = behind) {
			behind = go_scan_opaque(&g, at);
			if (behind > at)
				continue;
			behind = MAX(go_scan_name(&g, at), at + 1);
			if (go_scan_is_word(&g, at, type) && !is_harmless(&g, at, type, own))
				return false;
		}
	}
	return true;
}

/* Whether nobody can call the method but as a value. */
static bool is_only_value(struct weave_package *p, const char *method, const char *own)
{
	const char *type = arena_strndup(&p->arena, method, (size_t)(own - 1 - method));

	if (!isupper((unsigned char)*own) && !calls_method(p, own))
		return true;
	return !isupper((unsigned char)*type) && isalpha((unsigned char)*type) && only_taken(p, type, own);
}

/*
 * "T.m-fm" is what the compiler makes where the method is a value. The method itself is that, if nobody can call it
 * otherwise.
 */
static int method_of_value(struct weave_package *p, const char **name, struct err *err)
{
	size_t n = strlen(*name);
	const char *dot;

	if (n < 4 || strcmp(*name + n - 3, "-fm") != 0)
		return 0;
	*name = arena_strndup(&p->arena, *name, n - 3);
	dot = strrchr(*name, '.');
	if (!dot || !is_only_value(p, *name, dot + 1))
		return err_set(err, -EINVAL, "the method is not only used as a value");
	return 0;
}

int woven_function_find(struct weave_package *p, const char *full_name, struct woven_function *ret, struct err *err)
{
	const char *name = name_in(p, full_name), *literal;
	size_t len;
	int r;

	if (!name)
		return -ESRCH;
	r = method_of_value(p, &name, err);
	if (r < 0)
		return r;
	literal = literal_name(name);
	len = literal ? (size_t)(literal - 1 - name) : strlen(name);
	for (size_t i = 0; i < p->nfiles; i++) {
		const struct go_function *f = function_in(&p->arena, p->files[i].source, name, len), *own = f;

		if (!f)
			continue;
		if (literal)
			own = literal_in(f, literal);
		if (!own)
			return err_set(err, f->broken ? -EINVAL : -ENOENT, "no such function literal");
		*ret = (struct woven_function){.file = &p->files[i],
		                               .function = own,
		                               .outer = literal ? f : NULL};
		return check(f->broken ? f : own, p, err);
	}
	return err_set(err, -ENOENT, "package %s has no function %s", p->path, name);
}

/*
 * The compiler writes deferred calls out at each return as long as there are 8 of them at most and returns times defers
 * are no more than 15. Beyond, all of them become records on a list. A defer in a loop makes them so anyway.
 */
static bool is_open(const struct go_function *f, unsigned defers)
{
	unsigned returns = f->returns + !f->ends_in_return;

	return !f->loops_defer && defers <= 8 && defers * returns <= 15;
}

static bool is_cliff(const struct woven_function *w)
{
	const struct go_function *f = w->function;

	return is_open(f, f->defers) && !is_open(f, f->defers + w->defers + 1);
}

/* ---- wrappers ---- */

/* In a wrapper there is nothing but what is woven, with one return. */
enum { WRAPPER_DEFERS = 8 };

/* What stands between the parameters' beginning and the body, on one line. NULL: that takes more than leaving out. */
static const char *one_line(struct arena *arena, const struct go_source *s, size_t from, size_t to)
{
	_cleanup_(buf_done) struct buf out = {0};
	const struct go_scan g = {s->text, to};
	bool braces = false, lines = false;

	for (size_t i = from, behind; i < to; i = behind) {
		behind = go_scan_opaque(&g, i);
		if (behind > i && s->text[i] != '/')
			buf_append(&out, s->text + i, behind - i);
		else if (behind == i)
			buf_char(&out, s->text[i] == '\n' ? ' ' : s->text[i]);
		lines |= memchr(s->text + i, '\n', MAX(behind, i + 1) - i) != NULL;
		braces |= s->text[i] == '{';
		behind = MAX(behind, i + 1);
	}
	return (braces && lines) || !out.len || memchr(out.data, '\n', out.len) ? NULL
	                                                                        : arena_strdup(arena, out.data);
}

/* Behind the function's name: where its parameters begin. *ret_name: where the name does. */
static size_t behind_name(const struct woven_function *w, size_t *ret_name)
{
	const struct go_function *f = w->function;
	const struct go_scan g = {w->file->source->text, f->body.start};
	size_t i = go_scan_space(&g, f->all.start + strlen("func"));

	if (f->receiver)
		i = go_scan_space(&g, go_scan_brackets(&g, i));
	*ret_name = i;
	return go_scan_name(&g, i);
}

static int check_wrapping(const struct woven_function *w, struct err *err)
{
	const struct go_function *f = w->function;
	struct arena arena = {0};
	size_t name, behind;
	bool fits;

	if (w->outer)
		return err_set(err, -EINVAL, "one more defer would make its own defers five times dearer");
	if (f->generic)
		return err_set(err, -EINVAL,
		               "one more defer would make its own defers five times dearer, and it is generic");
	if (f->recovers || f->asks_caller)
		return err_set(err, -EINVAL,
		               "one more defer would make its own defers five times dearer, and it may not become two "
		               "functions: it calls %s",
		               f->recovers ? "recover" : "runtime.Caller");
	behind = behind_name(w, &name);
	fits = one_line(&arena, w->file->source, f->all.start, name) &&
	       one_line(&arena, w->file->source, behind, f->body.start);
	arena_done(&arena);
	return fits ? 0 : err_set(err, -EINVAL, "its parameters are written in a way that cannot be repeated");
}

int woven_function_defer(struct woven_function *w, struct err *err)
{
	int r = 0;

	if (w->wrapped)
		r = w->defers < WRAPPER_DEFERS ? 0 : err_set(err, -EINVAL, "too much is woven into it");
	else if (is_cliff(w))
		r = check_wrapping(w, err);
	if (r < 0)
		return r;
	w->wrapped |= is_cliff(w);
	w->defers++;
	return 0;
}

void woven_function_wrap(struct weave_package *p, struct woven_function *w, size_t number)
{
	const struct go_function *f = w->function;
	const struct go_source *s = w->file->source;
	struct arena *a = &p->arena;
	size_t name, behind = behind_name(w, &name), receivers = f->receiver ? 1 : 0;
	_cleanup_(buf_done) struct buf call = {0};

	if (receivers)
		buf_printf(&call, "%s.", woven_param(p, w, 0));
	buf_printf(&call, "earshot_w%zu(", number);
	for (size_t i = receivers; i < f->nparams; i++)
		buf_printf(&call, "%s%s%s", i > receivers ? ", " : "", woven_param(p, w, i),
		           f->params[i].variadic ? "..." : "");
	go_edits_insert(&w->file->edits, f->body.start + 1, " %s%s) }; %searshot_w%zu%s{",
	                f->nresults ? "return " : "", call.data, one_line(a, s, f->all.start, name), number,
	                one_line(a, s, behind, f->body.start));
}

/* ---- names ---- */

static bool has_name(const struct go_param *p)
{
	return p->name && strcmp(p->name, "_");
}

/* Names for those of a list that have none. In a list all have names, or none has. */
static void name_all(struct woven_function *w, const struct go_param *p, size_t n, const char *prefix)
{
	for (size_t i = 0; i < n; i++) {
		if (!p[i].name)
			go_edits_insert(&w->file->edits, p[i].at.start, "%s%zu ", prefix, i);
		else if (!has_name(&p[i]))
			go_edits_replace(&w->file->edits, p[i].at, "%s%zu", prefix, i);
	}
}

const char *woven_param(struct weave_package *p, struct woven_function *w, size_t i)
{
	const struct go_function *f = w->function;
	size_t receivers = f->receiver ? 1 : 0;
	bool *named = i < receivers ? &w->receiver_named : &w->params_named;

	if (has_name(&f->params[i]))
		return f->params[i].name;
	if (!*named)
		name_all(w, f->params + (i < receivers ? 0 : receivers), i < receivers ? 1 : f->nparams - receivers,
		         i < receivers ? "earshot_t" : "earshot_a");
	*named = true;
	return arena_printf(&p->arena, i < receivers ? "earshot_t%zu" : "earshot_a%zu",
	                    i < receivers ? i : i - receivers);
}

const char *woven_result(struct weave_package *p, struct woven_function *w, size_t i)
{
	const struct go_function *f = w->function;
	bool alone = f->nresults == 1 && w->file->source->text[f->result.start] != '(';

	if (has_name(&f->results[i]))
		return f->results[i].name;
	if (!w->results_named && alone) {
		go_edits_insert(&w->file->edits, f->result.start, "(earshot_r0 ");
		go_edits_insert(&w->file->edits, f->result.end, ")");
	} else if (!w->results_named) {
		name_all(w, f->results, f->nresults, "earshot_r");
	}
	w->results_named = true;
	return arena_printf(&p->arena, "earshot_r%zu", i);
}
