#include "cmd/keep_names.h"

#include <string.h>

#include "base/vec.h"
#include "probe/lang/nearest.h"
#include "probe/pack/pack_names.h"

struct known_names {
	struct observation *ob;
	const char *option;
	struct arena arena;
	VEC(const char *) attributes, packs;
};

/* What a span has whatever its pack says. */
static const char *const of_all[] = {"duration", "latency", "panicked", "status", "kind", "name", "pack", "error.type",
				     "earshot.parent.source", "code.function.name"};

static void add(struct known_names *k, const struct pack *p)
{
	const char *const *names;
	size_t n = pack_attribute_names(p, &k->arena, &names);

	for (size_t i = 0; i < n; i++)
		vec_push(&k->attributes, names[i]);
	vec_push(&k->packs, p->name);
}

static bool is_listed(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static void tell(struct known_names *k, const char *what, const char *name, const char *const *names, size_t n,
		 const char *more)
{
	const char *near = nearest_name(name, names, n);

	observation_note_once(k->ob, arena_printf(&k->arena, "%s: %s `%s`%s%s%s%s", k->option, what,
						  name, near ? " (did you mean `" : "", near ? near : "",
						  near ? "`?)" : "", more));
}

static void check(struct known_names *k, const struct condition *c)
{
	const char *pack;

	if (!c)
		return;
	check(k, c->a);
	check(k, c->b);
	if (c->op == CONDITION_ATTRIBUTE && !is_listed(k->attributes.data, k->attributes.len, c->text) &&
	    strncmp(c->text, "earshot.truncated.", strlen("earshot.truncated.")))
		tell(k, "no pack has the attribute", c->text, k->attributes.data, k->attributes.len,
		     "; a span that the program makes itself may have it");
	if (c->op != CONDITION_COMPARE || c->a->op != CONDITION_ATTRIBUTE || strcmp(c->a->text, "pack") ||
	    c->b->op != CONDITION_TEXT)
		return;
	pack = arena_strndup(&k->arena, c->b->text, c->b->len);
	if (!is_listed(k->packs.data, k->packs.len, pack))
		tell(k, "there is no pack", pack, k->packs.data, k->packs.len, "");
}

void keep_names_tell(struct observation *ob, const char *option, const char *const *more,
		     const struct condition *const *rules, size_t nrules, const struct span_question *functions,
		     size_t nfunctions)
{
	const pack_set *packs = observation_packs(ob);
	struct known_names k = {.ob = ob, .option = option};
	bool any = false;

	for (size_t i = 0; i < packs->len; i++)
		add(&k, packs->data[i]);
	for (size_t i = 0; i < ARRAY_SIZE(of_all); i++)
		vec_push(&k.attributes, of_all[i]);
	for (; *more; more++)
		vec_push(&k.attributes, *more);
	for (size_t i = 0; i < nfunctions; i++) {
		any |= !functions[i].chosen; /* its arguments, whatever they are called */
		for (size_t j = 0; j < functions[i].nattributes; j++)
			vec_push(&k.attributes, functions[i].attributes[j].name);
	}
	for (size_t i = 0; !any && i < nrules; i++)
		check(&k, rules[i]);
	vec_done(&k.attributes);
	vec_done(&k.packs);
	arena_done(&k.arena);
}
