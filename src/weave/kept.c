#include "weave/kept.h"

#include <ctype.h>
#include <string.h>

#include "base/hash.h"
#include "probe/lang/expr.h"
#include "weave/unwinding.h"

/* ---- who uses it ---- */

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* saved.NAME stands in the text. */
static bool text_uses(const char *text, const char *name)
{
	static const char saved[] = "saved.";
	size_t n = strlen(name);

	for (const char *p = text; p && (p = strstr(p, saved)); p++) {
		const char *own = p + strlen(saved);

		if ((p == text || !in_path(p[-1])) && !strncmp(own, name, n) && !isalnum((unsigned char)own[n]) &&
		    own[n] != '_')
			return true;
	}
	return false;
}

static bool capture_uses(const struct pack_capture *c, const char *name)
{
	bool uses = text_uses(c->when, name);

	for (size_t i = 0; c->alternatives && c->alternatives[i]; i++)
		uses |= text_uses(c->alternatives[i], name);
	if (c->inject) {
		const struct inject_item *x = c->inject;
		const char *const texts[] = {x->carrier, x->needs,  x->armed,  x->present, x->limited,      x->split,
		                             x->buffer,  x->filled, x->block,  x->stream,  x->state_present};

		for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
			uses |= text_uses(texts[i], name);
	}
	return uses;
}

/* A note of an unwinding is told by the start's own function, which has the value itself. */
static bool is_used(const struct weave_wanted *wanted, const struct pack_span *part, bool writers, const char *name)
{
	for (size_t i = 0; i < part->npoints; i++)
		for (size_t v = 0; v < part->points[i].nvariants; v++) {
			const struct pack_variant *at = &part->points[i].variants[v];

			if (point_writes(&part->points[i]) != writers || unwinding_begins(wanted, at->func))
				continue;
			for (size_t c = 0; c < at->ncaptures; c++)
				if (capture_uses(&at->captures[c], name))
					return true;
		}
	return false;
}

/* ---- what there is ---- */

static const struct type *type_of(const struct pack_variant *v, const struct pack_capture *c, kept_type_fn type,
                                  void *arg)
{
	const struct type *t = NULL;

	for (size_t i = 0; !t && c->alternatives[i]; i++)
		t = type(arg, v, c->alternatives[i]);
	return t;
}

/* How the other points write it. */
static const struct expr *saved_expr(struct arena *arena, const char *name)
{
	struct expr *e = NULL;

	expr_parse(arena_printf(arena, "saved.%s", name), arena, &e, NULL);
	return e;
}

/* A variant for another Go names what is not there in this one. */
static bool is_known(const struct type *t)
{
	return t && (t->kind != KIND_POINTER || (t->elem && t->elem->kind != KIND_INVALID));
}

static void add_value(struct kept_values *k, const struct pack_variant *v, const struct pack_capture *c,
                      kept_type_fn type, void *arg, struct arena *arena)
{
	const struct type *t;
	size_t i = 0;

	while (i < k->n && strcmp(k->names[i], c->saved_as))
		i++;
	if (i == GO_KEPT_MAX)
		return;
	if (i == k->n) {
		k->names[k->n++] = c->saved_as;
		k->values[i] = (struct carried_value){saved_expr(arena, c->saved_as), (unsigned)i, NULL};
	}
	if (is_known(k->values[i].type))
		return;
	t = type_of(v, c, type, arg);
	if (t && (is_known(t) || !k->values[i].type))
		k->values[i].type = t;
}

static void add_values(struct kept_values *k, const struct pack_span *part, bool writers, kept_type_fn type, void *arg,
                       struct arena *arena)
{
	for (size_t i = 0; i < part->npoints; i++)
		for (size_t v = 0; v < part->points[i].nvariants; v++) {
			const struct pack_variant *at = &part->points[i].variants[v];

			for (size_t c = 0; point_writes(&part->points[i]) == writers && c < at->ncaptures; c++)
				if (at->captures[c].use == USE_SAVED)
					add_value(k, at, &at->captures[c], type, arg, arena);
		}
}

/* ---- keys ---- */

/* The upper half is the span's, whoever adds to it, and goes with its end. */
static uint64_t key_of(const struct pack *pack, const struct pack_span *part, bool writers)
{
	uint64_t span = FNV1A_BASIS, own;

	if (!part->extends)
		span = fnv1a(fnv1a(span, pack->name, strlen(pack->name)), "/", 1);
	span = fnv1a(span, pack_woven_span(part), strlen(pack_woven_span(part)));
	own = fnv1a(FNV1A_BASIS, pack->name, strlen(pack->name) + 1);
	own = fnv1a(own, &(unsigned char){(unsigned char)(part - pack->spans)}, 1);
	own = fnv1a(own, writers ? "w" : "r", 1);
	return (span & 0xffffffff00000000u) | (own >> 32);
}

/* Anything is kept by the points of the span, or of what adds to it. */
static bool keeps_any(const struct weave_wanted *wanted, const struct pack_span *span)
{
	for (size_t i = 0; i < wanted->npacks; i++)
		for (size_t k = 0; k < wanted->packs[i]->nspans; k++) {
			const struct pack_span *part = &wanted->packs[i]->spans[k];

			if (part != span && part->of != span)
				continue;
			for (size_t p = 0; p < part->npoints; p++)
				for (size_t v = 0; v < part->points[p].nvariants; v++)
					for (size_t c = 0; c < part->points[p].variants[v].ncaptures; c++) {
						const struct pack_capture *x = &part->points[p].variants[v].captures[c];

						if (x->use == USE_SAVED &&
						    is_used(wanted, part, point_writes(&part->points[p]), x->saved_as))
							return true;
					}
		}
	return false;
}

void kept_values_of(const struct weave_wanted *wanted, const struct pack *pack, const struct pack_span *part,
                    const struct pack_point *point, kept_type_fn type, void *arg, struct arena *arena,
                    struct kept_values *ret)
{
	bool writers = point_writes(point);

	*ret = (struct kept_values){0};
	if (!part)
		return;
	add_values(ret, part, writers, type, arg, arena);
	for (size_t i = 0; i < ret->n; i++)
		ret->wanted[i] = is_used(wanted, part, writers, ret->names[i]);
	ret->of_point.key = key_of(pack, part, writers);
	ret->of_point.forgets =
	    point->role == POINT_END && keeps_any(wanted, part->of ? part->of : part);
}

int kept_number(const struct kept_values *k, const char *name)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->wanted[i] && !strcmp(k->names[i], name))
			return (int)i + 1;
	return 0;
}

bool kept_is_asked_for(const struct kept_values *k, const struct pack_variant *v)
{
	for (size_t i = 0; i < k->n; i++)
		for (size_t c = 0; c < v->ncaptures; c++)
			if (capture_uses(&v->captures[c], k->names[i]))
				return true;
	return false;
}
