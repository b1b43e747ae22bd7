/*
 * The rules are in Go's src/cmd/compile/abi-internal.md; the details follow
 * cmd/compile/internal/abi (abiutils.go), cmd/compile/internal/types (size.go) and, for what
 * tracebacks are told, cmd/compile/internal/ssagen (EmitArgInfo).
 *
 * A value goes into registers whole or not at all. Values of size 0 take no register and a place on
 * the stack. Parameters in registers also have a place each in the spill area, which lies after the
 * stack parameters and the stack results.
 */
#include "binary/abi.h"
#include "binary/internal.h"

#define FLATTEN_DEPTH 32
#define FLATTEN_STEPS 4096

struct flatten {
	struct binary *b;
	struct abi_shape *s;
	unsigned depth, steps;
};

static void add_word(struct flatten *x, uint64_t offset, unsigned size, enum word_class class)
{
	struct abi_shape *s = x->s;

	if (s->nwords == SHAPE_WORDS || offset > UINT32_MAX) {
		s->cut = s->memory = true;
		return;
	}
	s->words[s->nwords++] = (struct word){(uint32_t)offset, (uint8_t)size, (uint8_t) class};
}

static bool flatten(struct flatten *x, const struct type *t, uint64_t offset);

static bool flatten_array(struct flatten *x, const struct type *t, uint64_t offset)
{
	if (!t->elem)
		return false;
	if (t->len > 1)
		x->s->memory = true;
	for (uint64_t i = 0; i < t->len && !x->s->cut && t->elem->size; i++)
		if (!flatten(x, t->elem, offset + i * t->elem->size))
			return false;
	return true;
}

static bool flatten_struct(struct flatten *x, const struct type *t, uint64_t offset)
{
	size_t n = type_field_count(x->b, t);
	struct type_field f;

	if (!n && t->size)
		return false;
	for (size_t i = 0; i < n && !x->s->cut; i++)
		if (!type_field(x->b, t, i, &f) || !f.type ||
		    !flatten(x, f.type, offset + f.offset))
			return false;
	return true;
}

static bool flatten_kind(struct flatten *x, const struct type *t, uint64_t offset)
{
	switch (t->kind) {
	case KIND_INVALID:
		return false;
	case KIND_FLOAT32:
	case KIND_FLOAT64:
		add_word(x, offset, t->kind == KIND_FLOAT32 ? 4 : 8, WORD_FLOAT);
		return true;
	case KIND_COMPLEX64:
	case KIND_COMPLEX128:
		add_word(x, offset, t->kind == KIND_COMPLEX64 ? 4 : 8, WORD_FLOAT);
		add_word(x, offset + (t->kind == KIND_COMPLEX64 ? 4 : 8),
		         t->kind == KIND_COMPLEX64 ? 4 : 8, WORD_FLOAT);
		return true;
	case KIND_CHAN:
	case KIND_FUNC:
	case KIND_MAP:
	case KIND_POINTER:
	case KIND_UNSAFE_POINTER:
		add_word(x, offset, 8, WORD_POINTER);
		return true;
	case KIND_INTERFACE: /* the collector does not follow the type word */
		add_word(x, offset, 8, WORD_INT);
		add_word(x, offset + 8, 8, WORD_POINTER);
		return true;
	case KIND_STRING:
	case KIND_SLICE:
		add_word(x, offset, 8, WORD_POINTER);
		for (unsigned i = 1; i < (t->kind == KIND_SLICE ? 3u : 2u); i++)
			add_word(x, offset + i * 8, 8, WORD_INT);
		return true;
	case KIND_ARRAY:
		return flatten_array(x, t, offset);
	case KIND_STRUCT:
		return flatten_struct(x, t, offset);
	default:
		if (!t->size || t->size > 8)
			return false;
		add_word(x, offset, (unsigned)t->size, WORD_INT);
		return true;
	}
}

static bool flatten(struct flatten *x, const struct type *t, uint64_t offset)
{
	bool ok;

	if (x->depth == FLATTEN_DEPTH || x->steps++ == FLATTEN_STEPS)
		return false;
	x->depth++;
	ok = flatten_kind(x, t, offset);
	x->depth--;
	return ok;
}

bool type_shape(struct binary *b, const struct type *t, struct abi_shape *ret)
{
	struct abi_shape s = {.size = t->size, .align = t->align ? t->align : 1};
	struct flatten x = {.b = b, .s = &s};

	if (t->size > INT32_MAX / 4 || s.align > 4096 || !flatten(&x, t, 0))
		return false;
	*ret = s;
	return true;
}

void shape_word(struct abi_shape *ret, unsigned size, enum word_class class)
{
	*ret = (struct abi_shape){.nwords = 1, .size = size, .align = size};
	ret->words[0] = (struct word){0, (uint8_t)size, (uint8_t) class};
}

static uint64_t next_slot(uint64_t *at, const struct abi_shape *s)
{
	uint64_t offset = ALIGN_UP(*at, (uint64_t)MAX(s->align, 1u));

	*at = offset + s->size;
	return offset;
}

static bool fits(const struct assign *a, const struct abi_shape *s)
{
	unsigned ints = a->ints, floats = a->floats;

	if (!s->size || s->memory)
		return false;
	for (size_t i = 0; i < s->nwords; i++)
		if (s->words[i].class == WORD_FLOAT)
			floats++;
		else
			ints++;
	return ints <= a->arch->nint_args && floats <= a->arch->nfloat_args;
}

void abi_assign(struct assign *a, const struct abi_shape *s, bool is_result, struct abi_place *ret)
{
	struct abi_place p = {.registers = fits(a, s)};

	if (!p.registers) {
		p.offset = next_slot(&a->stack, s);
		*ret = p;
		return;
	}
	for (size_t i = 0; i < s->nwords; i++)
		p.regs[i] = s->words[i].class == WORD_FLOAT ? (uint8_t)(REG_FLOAT + a->floats++)
		                                            : a->arch->int_args[a->ints++];
	if (!is_result)
		p.offset = next_slot(&a->spill, s);
	*ret = p;
}

/* ---- what ArgInfo says of a type ---- */

enum { EXPECT_COMPONENTS = 10, EXPECT_DEPTH = 5, EXPECT_OFFSET = 0xf0 };

struct expect {
	struct binary *b;
	struct arginfo *a;
	struct arg_item *item;
};

static bool expect(struct expect *x, const struct type *t, uint64_t offset, unsigned depth);

static void expect_word(struct expect *x, uint64_t offset, uint64_t size)
{
	x->a->counted++;
	if (offset >= EXPECT_OFFSET || x->a->ncomponents == ARGINFO_MAX) {
		x->item->cut = true;
		return;
	}
	x->a->components[x->a->ncomponents++] =
	    (struct arg_component){(uint8_t)offset, (uint8_t)size};
	x->item->n++;
}

static bool expect_words(struct expect *x, uint64_t offset, unsigned n, uint64_t size)
{
	for (unsigned i = 0; i < n; i++) {
		if (x->a->counted >= EXPECT_COMPONENTS) {
			x->item->cut = true;
			return false;
		}
		expect_word(x, offset + i * size, size);
	}
	return true;
}

static void expect_struct(struct expect *x, const struct type *t, uint64_t offset, unsigned depth)
{
	size_t n = type_field_count(x->b, t);
	struct type_field f;

	if (!n)
		x->a->counted++;
	for (size_t i = 0; i < n; i++)
		if (!type_field(x->b, t, i, &f) || !f.type ||
		    !expect(x, f.type, offset + f.offset, depth))
			return;
}

static void expect_array(struct expect *x, const struct type *t, uint64_t offset, unsigned depth)
{
	if (!t->len)
		x->a->counted++;
	for (uint64_t i = 0; i < t->len && t->elem; i++)
		if (!expect(x, t->elem, offset + i * t->elem->size, depth))
			return;
}

static void expect_aggregate(struct expect *x, const struct type *t, uint64_t offset,
                             unsigned depth)
{
	if (depth >= EXPECT_DEPTH) {
		x->item->cut = true;
		x->a->counted++;
	} else if (t->kind == KIND_INTERFACE || t->kind == KIND_STRING) {
		expect_words(x, offset, 2, 8);
	} else if (t->kind == KIND_SLICE) {
		expect_words(x, offset, 3, 8);
	} else if (t->kind == KIND_ARRAY) {
		expect_array(x, t, offset, depth);
	} else if (t->kind == KIND_STRUCT) {
		expect_struct(x, t, offset, depth);
	} else {
		expect_words(x, offset, 2, t->size / 2);
	}
}

static bool is_aggregate(const struct type *t)
{
	return t->kind == KIND_STRUCT || t->kind == KIND_ARRAY || t->kind == KIND_INTERFACE ||
	       t->kind == KIND_STRING || t->kind == KIND_SLICE || t->kind == KIND_COMPLEX64 ||
	       t->kind == KIND_COMPLEX128;
}

/* False when the list is full: the compiler stops there. */
static bool expect(struct expect *x, const struct type *t, uint64_t offset, unsigned depth)
{
	if (x->a->counted >= EXPECT_COMPONENTS) {
		x->item->cut = true;
		return false;
	}
	if (!is_aggregate(t)) {
		expect_word(x, offset, t->size);
		return true;
	}
	expect_aggregate(x, t, offset, depth + 1);
	return true;
}

void arginfo_expect(struct binary *b, const struct type *t, uint64_t offset, struct arginfo *ret)
{
	struct expect x = {.b = b, .a = ret};

	if (ret->cut || ret->nitems == ARGINFO_MAX)
		return;
	if (ret->counted >= EXPECT_COMPONENTS) {
		ret->cut = true;
		return;
	}
	x.item = &ret->items[ret->nitems++];
	*x.item =
	    (struct arg_item){.aggregate = is_aggregate(t), .first = (uint8_t)ret->ncomponents};
	expect(&x, t, offset, 0);
}
