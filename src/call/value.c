/*
 * The slots of a record as values. A slot holds a scalar, a text or the offset of a chunk; an image and what it leads
 * to are read by value_read and its neighbours.
 */
#include "call/value_slot.h"

#include <inttypes.h>
#include <string.h>

#include "base/vec.h"
#include "call/symbolize.h"
#include "call/value_reader.h"

/* ---- code ---- */

const char *code_name(const struct value_context *c, uint64_t pc, bool with_line)
{
	struct code_frame f;

	symbolize(c->binary, c->bias, pc, c->arena, &f, 1);
	return code_frame_text(&f, with_line, c->arena);
}

/* A return address stands behind the call: the line is that of the byte before. */
static void read_code(const struct value_context *c, uint64_t pc, bool is_return, struct value_node *ret)
{
	ret->form = FORM_TEXT;
	ret->u = pc;
	ret->text = code_name(c, is_return && pc ? pc - 1 : pc, true);
}

typedef VEC(const char *) frame_list;

static void add_frames(const struct value_context *c, uint64_t pc, frame_list *l)
{
	struct code_frame frames[CODE_FRAMES_MAX];
	size_t n = symbolize(c->binary, c->bias, pc, c->arena, frames, ARRAY_SIZE(frames));

	for (size_t i = 0; i < n; i++)
		vec_push(l, code_frame_text(&frames[i], true, c->arena));
}

/* Return addresses, each with the calls that were inlined there. */
static void read_stack(struct reader *r, const struct slot_value *s, struct value_node *ret)
{
	frame_list l = {0};
	struct value_node *c;

	if (r->c->call_pc)
		add_frames(r->c, r->c->call_pc, &l);
	for (size_t i = 0; i < s->len / 8; i++) {
		uint64_t pc;

		memcpy(&pc, s->text + i * 8, 8);
		add_frames(r->c, pc ? pc - 1 : pc, &l);
	}
	ret->form = FORM_LIST;
	ret->u = 1;
	ret->full_len = l.len;
	c = l.len ? value_children(r, l.len, ret) : NULL;
	for (size_t i = 0; c && i < l.len; i++) {
		c[i].form = FORM_TEXT;
		c[i].text = l.data[i];
	}
	vec_done(&l);
}

/* ---- slots ---- */

static const struct type plain[] = {
	[VALUE_INT] = {.kind = KIND_INT64, .size = 8, .name = "int64"},
	[VALUE_UINT] = {.kind = KIND_UINT64, .size = 8, .name = "uint64"},
	[VALUE_BOOL] = {.kind = KIND_BOOL, .size = 1, .name = "bool"},
	[VALUE_FLOAT32] = {.kind = KIND_FLOAT32, .size = 4, .name = "float32"},
	[VALUE_FLOAT64] = {.kind = KIND_FLOAT64, .size = 8, .name = "float64"},
	[VALUE_POINTER] = {.kind = KIND_UNSAFE_POINTER, .size = 8, .name = "unsafe.Pointer"},
};

static bool fits_word(const struct type *t)
{
	return t && t->size && t->size <= 8 &&
	       (type_is_integer(t) || type_is_float(t) || t->kind == KIND_BOOL || t->kind == KIND_UNSAFE_POINTER);
}

static void read_word(struct reader *r, const struct slot_value *s, const struct ir_slot *what, struct value_node *ret)
{
	const struct type *t = fits_word(what->type) ? what->type : &plain[what->kind];
	struct window w = {.p = (const uint8_t *)&s->word, .n = 8, .root = NOT_IN_ROOT};

	if (what->type && !what->type->size) /* whatever the word is: struct{}, [0]int */
		t = what->type;
	value_read(r, t, w, ret);
}

static void read_type(struct reader *r, const struct slot_source *src, uint64_t word, struct value_node *ret)
{
	const char *name = slot_type_name(src, word);

	ret->form = word ? FORM_TEXT : FORM_NIL;
	if (word)
		ret->text = name ? name : arena_printf(r->c->arena, "0x%" PRIx64, word);
}

static void read_text(struct reader *r, const struct slot_value *s, const struct ir_slot *what, struct value_node *ret)
{
	ret->form = what->type && what->type->kind == KIND_SLICE ? FORM_BYTES : FORM_STRING;
	ret->u = s->word; /* 0: nil */
	ret->text = arena_strndup(r->c->arena, s->text, s->len);
	ret->len = s->len;
	ret->full_len = s->full_len;
	ret->cut = s->status != SLOT_OK;
	if (s->lost)
		value_left_out(r, FOUND_UNREADABLE, ret);
}

static const struct event_chunk *chunk_at(const struct event *e, uint64_t offset)
{
	for (const struct event_chunk *c = event_chunk_next(e, NULL); c; c = event_chunk_next(e, c))
		if ((uint64_t)((const char *)c - (const char *)e->head) == offset)
			return c;
	return NULL;
}

/* Of a type parameter's type the chunk's shape says which it is (IR_IMAGE_TYPE). */
static const struct type *image_type(const struct reader *r, const struct event_chunk *c, const struct type *t)
{
	const struct shape_table *table = r->c->shapes;
	const struct shape *s = table && c->shape < table->shapes.len ? &table->shapes.data[c->shape] : NULL;

	bool known = s && s->role == SHAPE_VALUE && s->type;

	return known && s->type->kind == t->kind && s->type->size == t->size ? s->type : t;
}

static void read_image(struct reader *r, const struct slot_value *s, const struct ir_slot *what, struct value_node *ret)
{
	const struct event_chunk *c = chunk_at(r->e, s->word);

	if (!c || !what->type || !r->c->binary) {
		value_unreadable(ret, "not captured");
		return;
	}
	value_read(r, image_type(r, c, what->type),
		   (struct window){.p = event_chunk_bytes(c), .n = c->len, .depth = c->depth, .chunk = c}, ret);
}

static bool is_there(enum slot_status s, enum value_kind kind)
{
	return s == SLOT_OK || s == SLOT_CUT || (s == SLOT_NOT_RESIDENT && kind == VALUE_STRING);
}

static void read_slot(struct reader *r, size_t slot, const struct ir_slot *what, struct value_node *ret)
{
	struct slot_source src = slot_source_of(r->c);
	struct slot_value s;

	slot_read(r->e, slot, what->kind, &src, &s);
	if (!is_there(s.status, what->kind)) {
		value_unreadable(ret, slot_status_text(s.status));
		ret->lost = s.lost;
		return;
	}
	switch (what->kind) {
	case VALUE_STRING:
		read_text(r, &s, what, ret);
		break;
	case VALUE_TYPE:
		read_type(r, &src, s.word, ret);
		break;
	case VALUE_PC:
		read_code(r->c, s.word, true, ret);
		break;
	case VALUE_STACK:
		read_stack(r, &s, ret);
		break;
	case VALUE_IMAGE:
		read_image(r, &s, what, ret);
		break;
	case VALUE_CHAIN:
	case VALUE_CONTEXT: /* no plan asks for one */
		value_unreadable(ret, "not captured");
		break;
	default:
		read_word(r, &s, what, ret);
		break;
	}
}

uint64_t value_lost(const struct value_node *v)
{
	uint64_t n = v->lost;

	for (size_t i = 0; i < v->nchildren; i++)
		n += value_lost(&v->children[i]);
	return n;
}

void value_from_slot(const struct value_context *c, const struct event *e, size_t slot, const struct ir_slot *what,
		     const struct shown *shown, struct value_node *ret)
{
	struct reader r = {.c = c, .e = e, .unread = shown ? &shown->unread : NULL};

	memset(ret, 0, sizeof(*ret));
	if (slot < e->head->slots)
		read_slot(&r, slot, what, ret);
	else
		value_unreadable(ret, "not captured");
}
