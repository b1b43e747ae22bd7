#include "call/value_texts.h"

#include <string.h>

#include "base/map.h"
#include "base/vec.h"

struct value_texts {
	struct strmap fields;
};

struct value_texts *value_texts_new(struct pack *const *packs, size_t n)
{
	struct value_texts *t = xcalloc(1, sizeof(*t));

	for (size_t i = 0; i < n; i++)
		for (const char *const *pair = packs[i]->texts; pair && pair[0]; pair += 2)
			strmap_set(&t->fields, pair[0], strlen(pair[0]), (void *)pair[1]);
	return t;
}

void value_texts_free(struct value_texts *t)
{
	if (!t)
		return;
	strmap_done(&t->fields);
	free(t);
}

/* Made at the first need, kept to the end. */
static const struct value_texts *builtin(void)
{
	static struct value_texts *texts;
	VEC(struct pack *) packs = {0};

	if (texts)
		return texts;
	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct pack *p;

		if (!pack_parse(s->file, s->text, s->len, &p, NULL))
			vec_push(&packs, p);
	}
	texts = value_texts_new(packs.data, packs.len);
	vec_done(&packs);
	return texts;
}

const char *value_texts_find(const struct value_texts *t, const char *type_name)
{
	return strmap_get(&(t ? t : builtin())->fields, type_name, strlen(type_name));
}
