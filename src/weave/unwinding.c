#include "weave/unwinding.h"

#include <ctype.h>
#include <string.h>

bool unwinding_begins(const struct weave_wanted *wanted, const char *func)
{
	size_t n = strcspn(func, "(");

	for (size_t i = 0; i < wanted->npacks; i++)
		for (size_t k = 0; k < wanted->packs[i]->nhooks; k++) {
			const struct pack_point *hook = &wanted->packs[i]->hooks[k];

			for (size_t v = 0; v < hook->nvariants; v++)
				if ((hook->role == POINT_PANIC || hook->role == POINT_EXIT) &&
				    strcspn(hook->variants[v].func, "(") == n &&
				    !strncmp(hook->variants[v].func, func, n))
					return true;
		}
	return false;
}

/* The expression that the start keeps under that name: the first that binds there. NULL: there is none. */
static const char *kept_as(struct arena *arena, const struct pack_variant *start, const struct bind_scope *scope,
                           const char *name, size_t len)
{
	for (size_t i = 0; i < start->ncaptures; i++) {
		const struct pack_capture *c = &start->captures[i];

		if (c->use != USE_SAVED || c->when || strlen(c->saved_as) != len || memcmp(c->saved_as, name, len))
			continue;
		for (size_t k = 0; c->alternatives[k]; k++) {
			const char *text = c->alternatives[k];
			const struct bound *n;
			struct expr *e;

			if (!strchr(text, ' ') && !expr_parse(text, arena, &e, NULL) &&
			    !bind_expr(scope, e, text, arena, &n, NULL))
				return text;
		}
	}
	return NULL;
}

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* An expression with what was kept in the place of saved.NAME; as it is where that is not known: it will not bind. */
static const char *with_kept(struct arena *arena, const struct pack_variant *start, const struct bind_scope *scope,
                             const char *text)
{
	_cleanup_(buf_done) struct buf out = {0};
	static const char saved[] = "saved.";

	for (const char *p = text; *p; p++) {
		const char *name, *kept;
		size_t n = 0;

		if ((p > text && in_path(p[-1])) || strncmp(p, saved, strlen(saved)) != 0) {
			buf_char(&out, *p);
			continue;
		}
		name = p + strlen(saved);
		while (isalnum((unsigned char)name[n]) || name[n] == '_')
			n++;
		kept = kept_as(arena, start, scope, name, n);
		if (!kept)
			return text;
		buf_str(&out, kept);
		p = name + n - 1;
	}
	return arena_strdup(arena, out.len ? out.data : "");
}

const struct pack_variant *unwinding_variant(struct arena *arena, const struct pack_variant *start,
                                             const struct bind_scope *scope, const struct pack_variant *v)
{
	struct pack_variant *ret = arena_memdup(arena, v, sizeof(*v));
	struct pack_capture *captures = arena_memdup(arena, v->captures, v->ncaptures * sizeof(*captures));

	for (size_t i = 0; i < v->ncaptures; i++) {
		const char *const *from = v->captures[i].alternatives;
		const char **to;
		size_t n = 0;

		while (from && from[n])
			n++;
		captures[i].alternatives = to = arena_array(arena, const char *, n + 1);
		for (size_t k = 0; k < n; k++)
			to[k] = with_kept(arena, start, scope, from[k]);
		if (captures[i].when)
			captures[i].when = with_kept(arena, start, scope, captures[i].when);
	}
	ret->captures = captures;
	ret->func = start->func;
	ret->declared = start->declared;
	return ret;
}
