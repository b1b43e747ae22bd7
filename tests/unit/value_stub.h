/*
 * Values as simple as can be, in place of those of call/, so that the outputs are tested by themselves: how a value is
 * made and looks is value's own business. Code addresses have names without a binary: 0x1001 is in main.f1, file f1.go.
 */
#ifndef TESTS_UNIT_VALUE_STUB_H
#define TESTS_UNIT_VALUE_STUB_H

#include <inttypes.h>
#include <string.h>

#include "call/value_slot.h"

void value_from_slot(const struct value_context *c, const struct event *e, size_t slot, const struct ir_slot *what,
		     const struct shown *shown, struct value_node *ret)
{
	const struct event_slot *s = &e->slots[slot];
	size_t n = 0;
	const char *bytes = event_bytes(e, slot, &n);

	*ret = (struct value_node){0};
	if (!bytes) {
		ret->form = s->status == SLOT_NIL ? FORM_NIL : FORM_UNREADABLE;
		ret->text = slot_status_text(s->status);
		ret->lost = s->status == SLOT_UNREADABLE;
	} else if (what->kind == VALUE_STRING) {
		*ret = (struct value_node){.form = FORM_STRING, .text = arena_strndup(c->arena, bytes, n), .len = n,
					   .full_len = s->len, .cut = s->len > n};
	} else if (what->kind == VALUE_STACK) {
		ret->form = FORM_LIST;
		ret->nchildren = n / 8;
		ret->children = arena_array(c->arena, struct value_node, n / 8);
		for (size_t i = 0; i < n / 8; i++) {
			uint64_t pc;

			memcpy(&pc, bytes + 8 * i, 8);
			ret->children[i].form = FORM_TEXT;
			ret->children[i].text = code_name(c, pc - 1, false);
			ret->children[i].len = strlen(ret->children[i].text);
		}
	} else {
		*ret = (struct value_node){.form = FORM_INT, .i = (int64_t)s->value};
	}
}

uint64_t value_lost(const struct value_node *v)
{
	return v->lost;
}

void value_print(const struct value_node *v, struct buf *out)
{
	if (v->form == FORM_INT)
		buf_printf(out, "%" PRId64, v->i);
	else if (v->form == FORM_STRING)
		buf_printf(out, "\"%.*s\"%s", (int)v->len, v->text, v->cut ? "…" : "");
	else if (v->form == FORM_NIL)
		buf_str(out, "nil");
	else if (v->form == FORM_BOOL)
		buf_str(out, v->u ? "true" : "false");
	else if (v->form == FORM_UNREADABLE)
		buf_printf(out, "<%s>", v->text);
	else if (v->form == FORM_LIST)
		for (size_t i = 0; i < v->nchildren; i++)
			buf_printf(out, "%s%s", i ? " " : "", v->children[i].text);
	else
		buf_append(out, v->text, v->len);
}

void value_json(const struct value_node *v, struct json *out)
{
	if (v->form == FORM_INT)
		json_int(out, v->i);
	else if (v->form == FORM_NIL)
		json_null(out);
	else if (v->form == FORM_UNREADABLE) {
		json_open(out, '{');
		json_key(out, "unreadable");
		json_str(out, v->text);
		json_close(out, '}');
	} else if (v->form == FORM_LIST) {
		json_open(out, '[');
		for (size_t i = 0; i < v->nchildren; i++)
			json_str(out, v->children[i].text);
		json_close(out, ']');
	} else
		json_strn(out, v->text, v->len);
}

const char *code_name(const struct value_context *c, uint64_t pc, bool with_line)
{
	unsigned n = (unsigned)((pc - c->bias) & 0xfff);

	return with_line ? arena_printf(c->arena, "main.f%u /src/f%u.go:%u", n, n, n * 10)
			 : arena_printf(c->arena, "main.f%u", n);
}

#endif
