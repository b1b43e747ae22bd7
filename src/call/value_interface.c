/*
 * Interfaces: the type that one holds, the value, and the text of errors. Which fields of an error's struct make its
 * text is knowledge about libraries: it comes from the packs (texts).
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "call/value_reader.h"
#include "call/value_texts.h"

/* The descriptor's run-time address; 0 with *ret_why when it was not captured. */
static uint64_t type_word(const struct reader *r, const struct type *t, uint64_t first, enum found *ret_itab,
			  const char **ret_why)
{
	const struct shape_table *table = r->c->shapes;
	struct window itab;
	const uint8_t *p;
	uint64_t word = 0;
	enum found f;

	*ret_itab = FOUND;
	*ret_why = "the binary does not say what kind of interface it is";
	if (t->source == TYPE_FROM_DWARF)
		return 0;
	if (!type_method_count(r->c->binary, t))
		return first;
	f = table ? memory_find(r, first, shape_find(table, NULL, SHAPE_ITAB), &itab) : FOUND_NOT;
	if (f == FOUND && window_lost(itab, table->itab_type_off, 8))
		f = FOUND_UNREADABLE;
	*ret_itab = f;
	*ret_why = memory_why(r, f);
	if (f == FOUND)
		return window_word(itab, table->itab_type_off);
	p = table ? memory_constant(r->c, first + table->itab_type_off, 8) : NULL;
	if (!p)
		return 0;
	memcpy(&word, p, 8);
	return word + r->c->bias; /* as the file has it */
}

/* ---- errors ---- */

static const struct value_node *child_named(const struct value_node *v, const char *name)
{
	for (size_t i = 0; i < v->nchildren; i++)
		if (v->children[i].name && !strcmp(v->children[i].name, name))
			return &v->children[i];
	return NULL;
}

/* As Linux describes the number, in Go's spelling: "no such file or directory". */
static void put_errno(uint64_t number, struct buf *out)
{
	const char *text = number <= INT_MAX ? strerrordesc_np((int)number) : NULL;

	if (!text) {
		buf_printf(out, "errno %llu", (unsigned long long)number);
		return;
	}
	buf_char(out, islower((unsigned char)text[1]) ? (char)tolower((unsigned char)text[0]) : text[0]);
	buf_str(out, text + 1);
}

/* A part of an error's text; false when it is not all there. */
static bool put_part(const struct value_node *v, const char *name, struct buf *out)
{
	const struct value_node *part = child_named(v, name);

	if (!strcmp(name, "errno") && v->form == FORM_UINT)
		put_errno(v->u, out);
	else if (!part || part->cut)
		return false;
	else if (part->form == FORM_STRING || (part->form == FORM_ERROR && part->text))
		buf_append(out, part->text, part->len);
	else if (part->form == FORM_INT)
		buf_printf(out, "%lld", (long long)part->i);
	else
		return false;
	return true;
}

/* "{Op} {Path}: {Err}" */
static bool put_parts(struct reader *r, const struct value_node *v, const char *pattern, struct buf *out)
{
	while (*pattern) {
		size_t n = strcspn(pattern, "{"), name;

		buf_append(out, pattern, n);
		pattern += n;
		if (!*pattern)
			return true;
		name = strcspn(++pattern, "}");
		if (!pattern[name] || !put_part(v, arena_strndup(r->c->arena, pattern, name), out))
			return false;
		pattern += name + 1;
	}
	return true;
}

/* The text of an error of type t. False: not known, or not read. */
static bool error_text(struct reader *r, const struct type *t, const struct value_node *v, struct value_node *ret)
{
	const struct value_node *field;
	const char *pattern;
	struct buf text = {0};
	bool ok;

	if (t->kind == KIND_POINTER && t->elem && v->form == FORM_POINTER && v->nchildren) {
		t = t->elem;
		v = v->children;
	}
	pattern = t->named ? value_texts_find(r->c->texts, t->name) : NULL;
	field = pattern ? child_named(v, pattern) : NULL;
	if (field && field->form == FORM_STRING && (field->len || !field->why)) {
		*ret = *field;
		return true;
	}
	if (!pattern || !strchr(pattern, '{'))
		return false;
	ok = put_parts(r, v, pattern, &text);
	*ret = (struct value_node){.len = text.len, .full_len = text.len,
				   .text = arena_strndup(r->c->arena, text.len ? text.data : "", text.len)};
	buf_done(&text);
	return ok;
}

static void make_error(struct reader *r, const struct type *held, const struct value_node *v, bool is_error,
		       struct value_node *ret)
{
	struct value_node text;
	bool known = error_text(r, held, v, &text);

	if (!known && !is_error)
		return;
	ret->form = FORM_ERROR;
	if (!known)
		return;
	ret->text = text.text;
	ret->len = text.len;
	ret->full_len = text.full_len;
	ret->cut = text.cut;
	ret->why = text.why;
	ret->lost = text.lost;
	ret->nchildren = 0;
}

/* ---- interfaces ---- */

/* itab: how that was found, without which the planter does not know what the data are. */
static void read_held(struct reader *r, const struct type *t, enum found itab, struct window w, struct value_node *ret)
{
	const struct shape_dynamic *d = r->c->shapes ? shape_dynamic_find(r->c->shapes, t->rtype) : NULL;
	uint64_t data = window_word(w, 8);
	struct window target = {.root = NOT_IN_ROOT};
	enum found f;

	if (t->direct_iface) {
		target = window_part(w, 8, 8);
		target.root = NOT_IN_ROOT;
		value_read(r, t, target, ret);
		return;
	}
	if (!d && t->size) {
		value_unreadable(ret, "its type was not expected here");
		return;
	}
	f = t->size ? memory_find(r, data, d->shape, &target) : FOUND;
	if (f == FOUND)
		value_read(r, t, target, ret);
	else
		value_missing(r, f == FOUND_NOT && itab == FOUND_UNREADABLE ? itab : f, ret);
}

/* Whether the data word says enough of a value that was not followed: a pointer is one itself, and may be nil. */
static bool is_at_hand(const struct type *t)
{
	return !t->size || (t->direct_iface && t->kind == KIND_POINTER);
}

void value_read_interface(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	uint64_t first = window_word(w, 0), word;
	const struct type *held;
	struct value_node *c;
	enum found itab;
	const char *why;

	ret->form = FORM_NIL;
	if (!first)
		return;
	word = type_word(r, t, first, &itab, &why);
	if (!word) {
		value_unreadable(ret, why);
		ret->lost = itab == FOUND_UNREADABLE;
		return;
	}
	held = binary_type_at(r->c->binary, word - r->c->bias);
	if (!held) {
		value_unreadable(ret, "it holds a type that the binary does not describe");
		return;
	}
	ret->form = FORM_INTERFACE;
	ret->type_name = held->name;
	ret->u = window_word(w, 8);
	if (!w.depth && !is_at_hand(held)) { /* not followed */
		ret->indirect = !held->direct_iface;
		return;
	}
	c = value_children(r, 1, ret);
	if (!c)
		return;
	read_held(r, held, itab, w, c);
	make_error(r, held, c, !strcmp(t->name, "error"), ret);
}
