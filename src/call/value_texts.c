#include "call/value_texts.h"

#include <string.h>

#include "base/map.h"

struct value_texts {
	struct strmap fields;
	struct arena arena; /* owns the names */
};

static void add_pack(struct value_texts *t, const struct pack *p)
{
	for (const char *const *pair = p->texts; pair && pair[0]; pair += 2) {
		const char *type = arena_strdup(&t->arena, pair[0]);

		strmap_set(&t->fields, type, strlen(type), arena_strdup(&t->arena, pair[1]));
	}
}

struct value_texts *value_texts_new(struct pack *const *packs, size_t n)
{
	struct value_texts *t = xcalloc(1, sizeof(*t));

	for (size_t i = 0; i < n; i++)
		add_pack(t, packs[i]);
	return t;
}

void value_texts_free(struct value_texts *t)
{
	if (!t)
		return;
	strmap_done(&t->fields);
	arena_done(&t->arena);
	free(t);
}

/* Made at the first need, kept to the end. */
static const struct value_texts *builtin(void)
{
	static struct value_texts *texts;

	if (texts)
		return texts;
	texts = value_texts_new(NULL, 0);
	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct pack *p;

		if (pack_parse(s->file, s->text, s->len, &p, NULL))
			continue;
		add_pack(texts, p);
		pack_free(p);
	}
	return texts;
}

const char *value_texts_find(const struct value_texts *t, const char *type_name)
{
	return strmap_get(&(t ? t : builtin())->fields, type_name, strlen(type_name));
}
