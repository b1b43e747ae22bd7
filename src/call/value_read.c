/* From the bytes of a Go type to nodes. */
#include <string.h>

#include "call/value_reader.h"

void value_unreadable(struct value_node *ret, const char *why)
{
	*ret = (struct value_node){.form = FORM_UNREADABLE, .name = ret->name, .text = why};
}

void value_missing(const struct reader *r, enum found f, struct value_node *ret)
{
	value_unreadable(ret, memory_why(r, f));
	ret->lost = f == FOUND_UNREADABLE;
}

void value_left_out(const struct reader *r, enum found f, struct value_node *ret)
{
	ret->cut = true;
	ret->why = memory_why(r, f);
	ret->lost = f == FOUND_UNREADABLE;
}

struct value_node *value_children(struct reader *r, size_t n, struct value_node *ret)
{
	if (n > VALUE_NODES_MAX - r->nodes) {
		value_unreadable(ret, "the value is too large to be shown");
		return NULL;
	}
	r->nodes += n;
	ret->children = arena_array(r->c->arena, struct value_node, n + 1);
	ret->nchildren = n;
	return ret->children;
}

/* ---- scalars ---- */

static uint64_t number(struct window w, const struct type *t)
{
	unsigned shift = 64 - (unsigned)t->size * 8;
	uint64_t v = 0;

	memcpy(&v, w.p, t->size);
	return type_is_signed(t) ? (uint64_t)((int64_t)(v << shift) >> shift) : v;
}

static double real(const uint8_t *p, unsigned bytes)
{
	double d;
	float f;

	if (bytes == 4) {
		memcpy(&f, p, 4);
		return f;
	}
	memcpy(&d, p, 8);
	return d;
}

/* A number of a type that has a name may have one itself: busy, of main.State. */
static void name_number(struct reader *r, const struct type *t, int64_t number, struct value_node *ret)
{
	if (t->named && r->c->binary)
		ret->constant = binary_constant_name(r->c->binary, t, number);
}

static void read_scalar(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	unsigned half = (unsigned)t->size / 2;

	if (t->kind == KIND_BOOL) {
		ret->form = FORM_BOOL;
		ret->u = *w.p != 0;
	} else if (type_is_float(t)) {
		ret->form = FORM_FLOAT;
		ret->bits = (uint8_t)(t->size * 8);
		ret->f = real(w.p, (unsigned)t->size);
	} else if (t->kind == KIND_COMPLEX64 || t->kind == KIND_COMPLEX128) {
		ret->form = FORM_COMPLEX;
		ret->bits = (uint8_t)(half * 8);
		ret->f = real(w.p, half);
		ret->imag = real(w.p + half, half);
	} else if (type_is_signed(t)) {
		ret->form = FORM_INT;
		ret->i = (int64_t)number(w, t);
		name_number(r, t, ret->i, ret);
	} else {
		ret->form = t->kind == KIND_UNSAFE_POINTER ? FORM_ADDRESS : FORM_UINT;
		ret->u = number(w, t);
		if (ret->form == FORM_ADDRESS && !ret->u)
			ret->form = FORM_NIL;
		if (ret->form == FORM_UINT)
			name_number(r, t, (int64_t)ret->u, ret);
	}
}

static bool is_unread(const struct reader *r, const struct type *t, struct window w)
{
	for (size_t i = 0; r->unread && w.root != NOT_IN_ROOT && i < r->unread->n; i++) {
		const struct unread_range *u = &r->unread->ranges[i];

		if (w.root < u->offset + (uint64_t)u->size && u->offset < w.root + t->size)
			return true;
	}
	return false;
}

/* ---- strings and lists ---- */

void value_string(struct reader *r, uint64_t addr, uint64_t len, enum value_form form, struct value_node *ret)
{
	const struct shape_table *t = r->c->shapes;
	uint64_t max = slot_source_of(r->c).max_text, n = 0, in_file = 0;
	const uint8_t *p = NULL, *literal = NULL;
	struct window w = {0};
	enum found f;

	ret->form = form;
	ret->u = addr;
	ret->full_len = len;
	ret->text = "";
	if ((int64_t)len <= 0)
		return;
	f = t ? memory_find(r, addr, shape_find(t, NULL, SHAPE_BYTES), &w) : FOUND_NOT;
	if (f == FOUND) {
		p = w.p;
		n = window_readable(w, MIN(w.n, len));
		f = n < MIN(w.n, len) ? FOUND_UNREADABLE : FOUND;
	}
	if (f != FOUND)
		literal = memory_literal(r->c, addr, MIN(len, max), &in_file);
	if (literal && in_file > n) {
		p = literal;
		n = in_file;
		f = FOUND;
	}
	ret->text = n ? arena_strndup(r->c->arena, (const char *)p, n) : "";
	ret->len = n;
	ret->cut = n < len;
	if (f != FOUND || n < MIN(len, max))
		value_left_out(r, f == FOUND ? FOUND_CUT : f, ret);
}

/* Whether no byte of the i-th element could be read. */
static bool element_lost(struct window w, uint64_t i, uint64_t size)
{
	return size <= EVENT_PAGE && window_lost(w, i * size, 1) && window_lost(w, i * size + size - 1, 1);
}

/* `have` elements of `all`, one behind the other; those at the end that could not be read are left out. */
static void read_elements(struct reader *r, const struct type *elem, struct window w, uint64_t have, uint64_t all,
			  struct value_node *ret)
{
	uint64_t wanted = have;
	struct value_node *c;

	while (have && elem->size && element_lost(w, have - 1, elem->size))
		have--;
	ret->form = FORM_LIST;
	ret->full_len = all;
	ret->cut = have < all;
	if (have < wanted)
		value_left_out(r, FOUND_UNREADABLE, ret);
	c = value_children(r, have, ret);
	for (uint64_t i = 0; c && i < have; i++)
		value_read(r, elem, window_part(w, i * elem->size, elem->size), &c[i]);
}

static unsigned max_items(const struct reader *r)
{
	return r->c->shapes ? r->c->shapes->limits.max_items : 16;
}

static void read_items(struct reader *r, const struct type *elem, uint64_t addr, uint64_t len, struct value_node *ret)
{
	uint64_t wanted = MIN(len, (uint64_t)max_items(r)), have = wanted;
	struct window w = {.root = NOT_IN_ROOT};
	enum found f = FOUND;

	if (elem->size && wanted) {
		f = r->c->shapes ? memory_find(r, addr, shape_find(r->c->shapes, elem, SHAPE_VALUE), &w) : FOUND_NOT;
		have = MIN(wanted, w.n / elem->size);
	}
	read_elements(r, elem, w, have, len, ret);
	if (ret->form == FORM_LIST && have < wanted)
		value_left_out(r, f == FOUND ? FOUND_CUT : f, ret);
}

static void read_slice(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	uint64_t addr = window_word(w, 0), len = window_word(w, 8);
	struct visit visit;

	ret->u = addr;
	if (t->elem && t->elem->kind == KIND_UINT8) {
		value_string(r, addr, len, FORM_BYTES, ret);
	} else if (!t->elem || t->elem->kind == KIND_INVALID) {
		value_unreadable(ret, "the binary does not describe the elements");
	} else if ((int64_t)len <= 0) {
		ret->form = FORM_LIST;
	} else if (visit_begin(r, &visit, addr, t, ret)) {
		read_items(r, t->elem, addr, len, ret);
		visit_end(r);
	}
}

static void read_array(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	ret->u = 1;
	if (t->elem && t->elem->kind != KIND_INVALID)
		read_elements(r, t->elem, w, MIN(t->len, (uint64_t)max_items(r)), t->len, ret);
	else
		value_unreadable(ret, "the binary does not describe the elements");
}

/* ---- structs and pointers ---- */

static void read_struct(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	size_t n = type_field_count(r->c->binary, t);
	struct value_node *c;
	struct type_field f;

	ret->form = FORM_STRUCT;
	ret->type_name = t->named ? t->name : NULL;
	if (!n && t->size) {
		value_unreadable(ret, "the binary does not describe the fields");
		return;
	}
	c = value_children(r, n, ret);
	for (size_t i = 0; c && type_field(r->c->binary, t, i, &f); i++) {
		c[i].name = f.name;
		value_read(r, f.type, window_part(w, f.offset, f.type->size), &c[i]);
	}
}

/* What the pointer leads to, as its one child; without a child where it was not followed. */
static void read_target(struct reader *r, const struct type *elem, uint64_t addr, struct value_node *ret)
{
	struct window w = {.root = NOT_IN_ROOT};
	uint32_t shape = r->c->shapes ? shape_find(r->c->shapes, elem, SHAPE_VALUE) : 0;
	enum found f = elem->size ? memory_find(r, addr, shape, &w) : FOUND;
	bool lost = f == FOUND_UNREADABLE || (f == FOUND && elem->size && window_lost(w, 0, elem->size));
	const uint8_t *p = lost ? memory_constant(r->c, addr, elem->size) : NULL;
	struct value_node *c;

	if (p)
		w = (struct window){.p = p, .n = elem->size, .root = NOT_IN_ROOT};
	if (f == FOUND_NOT)
		return;
	c = value_children(r, 1, ret);
	if (!c)
		return;
	if (f == FOUND || p)
		value_read(r, elem, w, c);
	else
		value_missing(r, f, c);
}

/* What a pointer to C's char leads to, as far as its end was found. */
static void read_c_text(struct reader *r, const struct type *elem, uint64_t addr, struct value_node *ret)
{
	const struct shape_table *t = r->c->shapes;
	struct window w = {0};
	enum found f = t ? memory_find(r, addr, shape_find(t, elem, SHAPE_C_TEXT), &w) : FOUND_NOT;
	const char *end;

	if (t && f != FOUND)
		f = memory_find(r, addr, shape_find(t, elem, SHAPE_C_TEXT_START), &w);
	if (f == FOUND_NOT)
		return;
	if (f == FOUND_UNREADABLE) {
		struct value_node *c = value_children(r, 1, ret);

		if (c)
			value_unreadable(c, memory_why(r, f));
		return;
	}
	end = memchr(w.p, '\0', w.n);
	ret->form = FORM_STRING;
	ret->len = ret->full_len = end ? (size_t)(end - (const char *)w.p) : w.n;
	ret->cut = !end;
	ret->text = arena_strndup(r->c->arena, (const char *)w.p, ret->len);
}

static void read_pointer(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	struct visit visit;

	ret->u = window_word(w, 0);
	ret->form = ret->u ? FORM_POINTER : FORM_NIL;
	if (ret->u && t->elem && type_is_c_char(t->elem)) {
		read_c_text(r, t->elem, ret->u, ret);
		return;
	}
	if (!ret->u || !t->elem || t->elem->kind == KIND_INVALID || !visit_begin(r, &visit, ret->u, t, ret))
		return;
	read_target(r, t->elem, ret->u, ret);
	visit_end(r);
}

/* ---- channels and functions ---- */

static void read_chan(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	const struct shape_table *table = r->c->shapes;
	struct window header = {0};
	enum found f;

	ret->u = window_word(w, 0);
	ret->form = ret->u ? FORM_CHAN : FORM_NIL;
	ret->cut = true;
	if (!ret->u || !table)
		return;
	f = memory_find(r, ret->u, shape_find(table, t, SHAPE_CHAN), &header);
	if (f == FOUND_UNREADABLE || window_lost(header, 0, header.n))
		value_left_out(r, FOUND_UNREADABLE, ret);
	if (f != FOUND || ret->why)
		return;
	ret->i = (int64_t)window_word(header, table->index->chan_len_off);
	ret->full_len = window_word(header, table->index->chan_cap_off);
	ret->cut = false;
}

static void read_func(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	const struct shape_table *table = r->c->shapes;
	uint64_t addr = window_word(w, 0), pc = 0;
	struct window closure;
	const uint8_t *p;
	enum found f;

	ret->form = FORM_NIL;
	if (!addr)
		return;
	f = table ? memory_find(r, addr, shape_find(table, t, SHAPE_FUNC), &closure) : FOUND_NOT;
	if (f == FOUND && window_lost(closure, 0, 8))
		f = FOUND_UNREADABLE;
	p = f == FOUND ? closure.p : memory_constant(r->c, addr, 8);
	if (!p || (f == FOUND && closure.n < 8)) {
		value_missing(r, f, ret);
		return;
	}
	memcpy(&pc, p, 8);
	if (f != FOUND)
		pc += r->c->bias; /* as the file has it */
	ret->form = FORM_TEXT;
	ret->text = code_name(r->c, pc, false);
}

/* ---- any type ---- */

static bool is_composite(const struct type *t)
{
	return t->kind == KIND_STRUCT || t->kind == KIND_ARRAY;
}

static void read_kind(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	switch (t->kind) {
	case KIND_STRING:
		value_string(r, window_word(w, 0), window_word(w, 8), FORM_STRING, ret);
		break;
	case KIND_SLICE:
		read_slice(r, t, w, ret);
		break;
	case KIND_ARRAY:
		read_array(r, t, w, ret);
		break;
	case KIND_STRUCT:
		read_struct(r, t, w, ret);
		break;
	case KIND_POINTER:
		read_pointer(r, t, w, ret);
		break;
	case KIND_INTERFACE:
		value_read_interface(r, t, w, ret);
		break;
	case KIND_MAP:
		value_read_map(r, t, w, ret);
		break;
	case KIND_CHAN:
		read_chan(r, t, w, ret);
		break;
	case KIND_FUNC:
		read_func(r, t, w, ret);
		break;
	case KIND_INVALID:
		value_unreadable(ret, "the binary does not describe its type");
		break;
	default:
		read_scalar(r, t, w, ret);
		break;
	}
}

void value_read(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	bool lost = t->size && window_lost(w, 0, t->size);

	if (r->nesting == VALUE_NESTING_MAX) {
		value_unreadable(ret, "nested too deeply to be shown");
		return;
	}
	if (!is_composite(t) && is_unread(r, t, w)) {
		value_unreadable(ret, "in a floating-point register, which a uprobe cannot read");
		return;
	}
	if (w.n < t->size && !is_composite(t)) {
		value_unreadable(ret, "beyond what was captured of it");
		return;
	}
	if (lost && !is_composite(t)) {
		value_missing(r, FOUND_UNREADABLE, ret);
		return;
	}
	r->nesting++;
	if (lost || !value_read_time(r, t, w, ret))
		read_kind(r, t, w, ret);
	r->nesting--;
}
