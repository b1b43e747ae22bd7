#include "span/compose.h"

#include <string.h>

static const struct attr_value *value_of(const struct attr_list *l, const struct summary_item *item)
{
	const struct attr_value *v = attr_list_find(l, item->text, strlen(item->text));

	return v && (v->kind != ATTR_STRING || v->len) ? v : NULL;
}

/* Of the [ ] with that number, or (0) of what stands outside of them. */
static bool group_is_known(const struct attr_list *l, const struct summary_part *form, unsigned group)
{
	for (size_t i = 0; i < form->n; i++)
		if (form->items[i].group == group && form->items[i].op != SUMMARY_TEXT && !value_of(l, &form->items[i]))
			return false;
	return true;
}

static bool write_form(const struct attr_list *l, const struct summary_part *form, struct buf *out)
{
	bool known[SUMMARY_GROUPS + 1];

	buf_reset(out);
	for (unsigned g = 0; g <= SUMMARY_GROUPS; g++)
		known[g] = group_is_known(l, form, g);
	for (size_t i = 0; known[0] && i < form->n; i++) {
		const struct summary_item *item = &form->items[i];

		if (!known[item->group])
			continue;
		if (item->op == SUMMARY_TEXT)
			buf_str(out, item->text);
		else
			attr_list_print(l, value_of(l, item), out);
	}
	return known[0];
}

void compose_attributes(struct attr_list *l, const struct pack_span *span, struct interner *keys, struct buf *scratch)
{
	for (size_t i = 0; i < span->ncomposed; i++) {
		const struct pack_composed *c = &span->composed[i];
		const struct summary_part *form = c->forms->parts, *end = form + c->forms->n;

		if (attr_list_find(l, c->name, strlen(c->name)))
			continue;
		while (form < end && !write_form(l, form, scratch))
			form++;
		if (form < end)
			attr_list_set_string(l, intern(keys, c->name), scratch->data, scratch->len);
	}
}
