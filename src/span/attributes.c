/*
 * What is not there (a nil pointer, a missing key, a condition that did not hold, unreadable memory) stays away: a
 * default is for values that are known to be nothing.
 *
 * A string that was cut on the way gets a second attribute, earshot.truncated.KEY, with its full length. It and the
 * other attributes that a value brings along (its port, what became "other") go when a later point gives another value.
 */
#include "span/attributes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- rules ---- */

static struct attr_key key_of(struct interner *in, const char *key) /* NULL: none */
{
	return attr_key_of(key ? intern(in, key) : NULL);
}

static struct attr_key cut_key_of(struct interner *in, const char *key)
{
	return key_of(in, arena_printf(&in->arena, "earshot.truncated.%s", key));
}

/* A constant stands beside expressions of the same name: it is of their kind. */
static enum value_kind constant_kind(const struct pack_variant *v, const struct capture_program *p,
				     const int *slot_of_item, const char *name)
{
	for (size_t i = 0; i < v->ncaptures; i++) {
		const struct pack_capture *c = &v->captures[i];
		int slot = slot_of_item[i];

		if (c->use == USE_ATTRIBUTE && !c->constant && !strcmp(c->name, name) && slot >= 0 &&
		    (size_t)slot < p->nslots)
			return p->slots[slot].kind;
	}
	return VALUE_STRING;
}

static struct capture_rule rule_of(struct interner *in, const struct pack_variant *v,
				   const struct capture_program *p, const int *slot_of_item, size_t i)
{
	const struct pack_capture *c = &v->captures[i];
	const struct transform *t = &c->transform;
	struct capture_rule r = {.slot = slot_of_item[i],
				 .unless_known = t->unless_known,
				 .keep_empty = t->keep_empty,
				 .hidden = t->hidden,
				 .may_be_gone = c->may_be_gone,
				 .key = key_of(in, c->name),
				 .constant = c->constant,
				 .transform = t,
				 .cut_key = cut_key_of(in, c->name),
				 .wishes = {.redact = t->redact}};

	r.steps = transform_steps(t, &r.wishes);
	if (t->original) {
		r.original_key = key_of(in, t->original);
		r.original_cut_key = cut_key_of(in, t->original);
	}
	r.port_key = key_of(in, t->port_attribute);
	if (t->sql) {
		r.operation_key = key_of(in, t->sql->operation);
		r.collection_key = key_of(in, t->sql->collection);
		r.summary_key = key_of(in, t->sql->summary);
	}
	if (c->constant)
		r.kind = c->number ? VALUE_INT : constant_kind(v, p, slot_of_item, c->name);
	else
		r.kind = p->slots[r.slot].kind;
	return r;
}

struct capture_rules capture_rules_new(struct interner *in, const struct pack_variant *v,
				       const struct capture_program *p, const int *slot_of_item)
{
	struct capture_rule *rules = arena_array(&in->arena, struct capture_rule, v->ncaptures);
	int *slots = arena_array(&in->arena, int, v->ncaptures);
	size_t n = 0;

	for (size_t i = 0; i < v->ncaptures; i++) {
		int slot = slot_of_item[i];

		if (v->captures[i].use != USE_ATTRIBUTE || slot < 0 || (size_t)slot >= p->nslots)
			continue;
		slots[n] = slot;
		rules[n++] = rule_of(in, v, p, slot_of_item, i);
	}
	return (struct capture_rules){rules, slots, n};
}

/* ---- values ---- */

static bool read_scalar(const struct capture_rule *r, uint64_t word, const struct slot_source *src,
			struct captured_value *v)
{
	float f;
	uint32_t low = (uint32_t)word;
	const char *name;

	switch (r->kind) {
	case VALUE_BOOL:
		v->kind = ATTR_BOOL;
		v->b = word != 0;
		return true;
	case VALUE_FLOAT32:
		memcpy(&f, &low, sizeof(f));
		v->kind = ATTR_DOUBLE;
		v->d = f;
		return true;
	case VALUE_FLOAT64:
		v->kind = ATTR_DOUBLE;
		memcpy(&v->d, &word, sizeof(v->d));
		return true;
	case VALUE_TYPE:
		name = slot_type_name(src, word);
		captured_set_text(v, name, name ? strlen(name) : 0);
		return name;
	case VALUE_POINTER:
		captured_set_text(v, v->scratch,
				  (size_t)snprintf(v->scratch, sizeof(v->scratch), "0x%" PRIx64, word));
		return true;
	case VALUE_UINT:
		if (word > INT64_MAX) { /* no attribute can hold it as a number */
			captured_set_text(v, v->scratch,
					  (size_t)snprintf(v->scratch, sizeof(v->scratch), "%" PRIu64, word));
			return true;
		}
		break;
	case VALUE_INT:
	case VALUE_STRING:
	case VALUE_PC:
	case VALUE_STACK:
	case VALUE_IMAGE:
	case VALUE_CHAIN:
	case VALUE_CONTEXT:
		break;
	}
	v->kind = ATTR_INT;
	v->i = (int64_t)word;
	return r->kind != VALUE_STRING;
}

/* r's slot is there. */
static bool read_value(const struct capture_rule *r, const struct event *e, const struct slot_source *src,
		       struct captured_value *v)
{
	struct slot_value slot;

	if (r->constant) {
		captured_set_constant(v, r->constant, r->kind == VALUE_INT || r->kind == VALUE_UINT);
		return e->slots[r->slot].status == SLOT_OK;
	}
	if (r->kind != VALUE_STRING)
		return e->slots[r->slot].status == SLOT_OK && read_scalar(r, e->slots[r->slot].value, src, v);
	slot_read(e, (size_t)r->slot, r->kind, src, &slot);
	if (slot.status != SLOT_OK && slot.status != SLOT_CUT && !slot.len)
		return false;
	captured_set_text(v, slot.text, slot.len);
	v->full_len = slot.status != SLOT_OK ? slot.full_len : 0;
	v->lost = slot.lost;
	return true;
}

static void bring(struct attr_list *l, const struct capture_rule *r, struct attr_key key, const struct buf *text)
{
	if (key.s && text->len)
		attr_list_bring_string(l, r->key.s, key, text->data, text->len);
}

/* What the attribute has so far. False where that is no number: then nothing is added any more. */
static bool sum_of(const struct attr_list *l, const struct capture_rule *r, int64_t *ret)
{
	const struct attr_value *a = r->transform->add ? attr_list_look(l, r->key) : NULL;

	*ret = a && a->kind == ATTR_INT ? a->i : 0;
	return !a || a->kind == ATTR_INT;
}

static void store(struct attr_list *l, const struct capture_rule *r, const struct captured_value *v)
{
	struct attr_value *a;
	int64_t sum;

	if (!sum_of(l, r, &sum))
		return;
	a = attr_list_put(l, r->key, v->kind);
	a->hidden = r->hidden;
	a->summed = r->transform->add;
	a->title = v->title;
	a->cut = v->full_len != 0;
	if (v->kind == ATTR_STRING)
		attr_list_store_text(l, a, v->s, v->len);
	else if (v->kind == ATTR_INT)
		a->i = (int64_t)((uint64_t)v->i + (uint64_t)sum);
	else if (v->kind == ATTR_DOUBLE)
		a->d = v->d;
	else
		a->b = v->b;
	if (r->hidden)
		return;
	if (v->original && r->original_key.s)
		attr_list_bring_string(l, r->key.s, r->original_key, v->original, v->original_len);
	if (v->full_len && !v->original)
		attr_list_bring_int(l, r->key.s, r->cut_key, (int64_t)v->full_len);
	else if (v->full_len && r->original_key.s)
		attr_list_bring_int(l, r->key.s, r->original_cut_key, (int64_t)v->full_len);
	if (v->port >= 0 && r->port_key.s)
		attr_list_bring_int(l, r->key.s, r->port_key, v->port);
	if (v->is_sql) {
		bring(l, r, r->operation_key, &l->sql->operation);
		bring(l, r, r->collection_key, &l->sql->collection);
		bring(l, r, r->summary_key, &l->sql->summary);
	}
}

static bool known(const struct attr_list *l, const struct capture_rule *r)
{
	return attr_list_look(l, r->key);
}

static void capture_one(struct attr_list *l, const struct capture_rule *r, const struct event *e,
			const struct slot_source *src, uint64_t *unreadable)
{
	struct captured_value v;

	captured_begin(&v);
	if (r->unless_known && known(l, r))
		return;
	if (read_value(r, e, src, &v)) {
		*unreadable += v.lost;
		if (r->steps ? transform_apply(r->transform, r->steps, &r->wishes, l, &v)
			     : captured_is_something(&v, r->keep_empty))
			store(l, r, &v);
	} else if (slot_lost(e->slots[r->slot].status) && !(r->may_be_gone && known(l, r))) {
		(*unreadable)++;
	}
}

/* Most captures of a point are one of several alternatives, whose conditions did not hold. */
void attributes_capture(struct attr_list *l, const struct capture_rules *rules, const struct event *e,
			const struct slot_source *src, uint64_t *unreadable)
{
	for (size_t i = 0; i < rules->n; i++) {
		const int slot = rules->slots[i];
		enum slot_status status;

		if (slot >= e->head->slots)
			continue;
		status = e->slots[slot].status;
		if (status == SLOT_OK || status == SLOT_CUT || slot_lost(status))
			capture_one(l, &rules->rules[i], e, src, unreadable);
	}
}
