#include "call/late.h"

#include <string.h>

static const struct event_slot *slot_of(const struct late_call *c, const struct shown *s,
					const struct event **ret_event)
{
	const struct event *e = s->at_entry ? c->entry : c->ret;

	*ret_event = e;
	return e && s->slot >= 0 && (size_t)s->slot < e->head->slots ? &e->slots[s->slot] : NULL;
}

static bool memory_failed(enum slot_status s)
{
	return s == SLOT_UNREADABLE || s == SLOT_NOT_RESIDENT || s == SLOT_MAP_BUSY;
}

static enum late_verdict test_bool(const struct late_call *c, const struct shown *s)
{
	const struct event *e;
	const struct event_slot *slot = slot_of(c, s, &e);

	if (!slot)
		return LATE_FAILED;
	if (slot->status != SLOT_OK)
		return memory_failed(slot->status) ? LATE_UNREADABLE : LATE_FAILED;
	return slot->value ? LATE_TRUE : LATE_FALSE;
}

/* A text that was cut decides nothing where what is missing would. */
static enum late_verdict compare(const struct late *l, const struct value_node *v)
{
	switch (l->op) {
	case LATE_EQUAL:
		if (v->full_len != l->len || memcmp(v->text, l->text, v->len))
			return LATE_FALSE;
		return v->len == l->len ? LATE_TRUE : LATE_UNREADABLE;
	case LATE_PREFIX:
		if (v->full_len < l->len || memcmp(v->text, l->text, MIN(v->len, l->len)))
			return LATE_FALSE;
		return v->len >= l->len ? LATE_TRUE : LATE_UNREADABLE;
	case LATE_SUFFIX:
		if (v->cut)
			return v->full_len < l->len ? LATE_FALSE : LATE_UNREADABLE;
		return v->len >= l->len && !memcmp(v->text + v->len - l->len, l->text, l->len) ? LATE_TRUE : LATE_FALSE;
	default:
		if (memmem(v->text, v->len, l->text, l->len))
			return LATE_TRUE;
		return v->cut ? LATE_UNREADABLE : LATE_FALSE;
	}
}

static enum late_verdict test_text(const struct late_call *c, const struct late *l)
{
	const struct capture_program *p = l->value.at_entry ? &c->plan->entry : &c->plan->ret;
	const struct event *e;
	const struct event_slot *slot = slot_of(c, &l->value, &e);
	struct value_node v;

	if (!slot || (slot->status != SLOT_OK && slot->status != SLOT_CUT))
		return slot && memory_failed(slot->status) ? LATE_UNREADABLE : LATE_FAILED;
	value_from_slot(c->context, e, (size_t)l->value.slot, &p->slots[l->value.slot], &l->value, &v);
	if (v.form == FORM_NIL)
		return LATE_FAILED;
	return v.form == FORM_ERROR && v.text ? compare(l, &v) : LATE_UNREADABLE;
}

enum late_verdict late_test(const struct late_call *c, const struct late *l)
{
	enum late_verdict a;

	switch (l->op) {
	case LATE_BOOL:
		return test_bool(c, &l->value);
	case LATE_PANICKED:
		return c->end == CALL_PANICKED ? LATE_TRUE : LATE_FALSE;
	case LATE_NOT:
		a = late_test(c, l->a);
		return a == LATE_TRUE ? LATE_FALSE : a == LATE_FALSE ? LATE_TRUE : a;
	case LATE_AND:
	case LATE_OR:
		a = late_test(c, l->a);
		return a == (l->op == LATE_AND ? LATE_TRUE : LATE_FALSE) ? late_test(c, l->b) : a;
	default:
		return test_text(c, l);
	}
}
