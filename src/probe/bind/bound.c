#include "probe/bind/bound.h"

#include <string.h>

/* ---- types that need no source ---- */

#define BASIC(k, text, bytes)                                                                      \
	[k] = {.name = text, .kind = k, .source = TYPE_COMPOSED, .align = bytes, .size = bytes}

static const struct type basics[] = {
	BASIC(KIND_BOOL, "bool", 1),     BASIC(KIND_INT, "int", 8),
	BASIC(KIND_INT8, "int8", 1),     BASIC(KIND_INT16, "int16", 2),
	BASIC(KIND_INT32, "int32", 4),   BASIC(KIND_INT64, "int64", 8),
	BASIC(KIND_UINT, "uint", 8),     BASIC(KIND_UINT8, "uint8", 1),
	BASIC(KIND_UINT16, "uint16", 2), BASIC(KIND_UINT32, "uint32", 4),
	BASIC(KIND_UINT64, "uint64", 8), BASIC(KIND_UINTPTR, "uintptr", 8),
	BASIC(KIND_FLOAT32, "float32", 4), BASIC(KIND_FLOAT64, "float64", 8),
	BASIC(KIND_STRING, "string", 16),
	BASIC(KIND_UNSAFE_POINTER, "unsafe.Pointer", 8),
};
const struct type type_word_type = {.name = "type", .kind = KIND_UNSAFE_POINTER, .size = 8};
const struct type code_address_type = {.name = "code address", .kind = KIND_UNSAFE_POINTER, .size = 8};
const struct type stack_type = {.name = "stack", .kind = KIND_INVALID};

const struct type *basic_type(enum type_kind kind)
{
	return &basics[kind];
}

bool is_made_here(const struct type *t)
{
	return t == &type_word_type || t == &code_address_type || t == &stack_type ||
	       (t >= basics && t < basics + ARRAY_SIZE(basics));
}

bool is_pointer_shaped(const struct type *t)
{
	return t->kind == KIND_POINTER || t->kind == KIND_UNSAFE_POINTER || t->kind == KIND_MAP ||
	       t->kind == KIND_CHAN || t->kind == KIND_FUNC;
}

bool is_complex_type(const struct type *t)
{
	return t->kind == KIND_COMPLEX64 || t->kind == KIND_COMPLEX128;
}

bool holds_bytes(const struct type *t)
{
	return t && (t->kind == KIND_STRING || (t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8));
}

/* ---- comparisons ---- */

bool operand_is_text(struct operand o)
{
	return o.type ? o.type->kind == KIND_STRING : o.constant && o.constant->kind == EXPR_STRING;
}

static bool is_nil(struct operand o)
{
	return o.constant && o.constant->kind == EXPR_NIL;
}

static bool is_interface(struct operand o)
{
	return o.type && o.type->kind == KIND_INTERFACE;
}

static bool has_parts(struct operand o)
{
	return o.type && (o.type->kind == KIND_STRUCT || o.type->kind == KIND_ARRAY || is_complex_type(o.type));
}

enum compare_how comparison_of(struct operand a, struct operand b)
{
	if (a.constant && b.constant)
		return COMPARE_CONSTANTS;
	if (is_nil(a) || is_nil(b))
		return COMPARE_NIL;
	if (a.type == &type_word_type || b.type == &type_word_type)
		return COMPARE_TYPE;
	if ((a.type == &code_address_type && operand_is_text(b)) ||
	    (b.type == &code_address_type && operand_is_text(a)))
		return COMPARE_CALLER;
	if (is_interface(a) || is_interface(b))
		return COMPARE_INTERFACE;
	if (operand_is_text(a) || operand_is_text(b))
		return COMPARE_TEXT;
	return has_parts(a) || has_parts(b) ? COMPARE_PARTS : COMPARE_SCALARS;
}

struct bound bound_zero(const struct type *t, const struct expr *e, struct constant *k)
{
	struct bound zero = {.op = BOUND_CONST, .type = t, .expr = e, .constant = k};

	*k = (struct constant){.kind = EXPR_INT};
	if (t->kind == KIND_STRUCT || t->kind == KIND_ARRAY)
		return (struct bound){.op = BOUND_LITERAL, .type = t, .expr = e};
	if (t->kind == KIND_STRING) {
		k->kind = EXPR_STRING;
		k->text = "";
	} else if (t->kind == KIND_BOOL) {
		k->kind = EXPR_BOOL;
	} else if (!type_is_integer(t) && !type_is_float(t)) {
		k->kind = EXPR_NIL;
		zero.type = NULL;
	}
	return zero;
}

/* ---- messages ---- */

/* The first letter decides; the u of uint is spoken as a consonant. */
const char *with_article(struct arena *arena, const char *noun)
{
	bool vowel = *noun && (strchr("aeioAEIO", *noun) || !strncmp(noun, "un", 2));

	return arena_printf(arena, "%s %s", vowel ? "an" : "a", noun);
}

const char *operand_type_text(struct operand o)
{
	enum expr_op kind = o.constant ? o.constant->kind : EXPR_INT;

	if (o.type)
		return o.type->name;
	return kind == EXPR_NIL      ? "nil"
	       : kind == EXPR_STRING ? "constant text"
	       : kind == EXPR_BOOL   ? "bool"
				     : "constant number";
}

const char *operand_with_article(struct arena *arena, struct operand o)
{
	return !o.type && o.constant && o.constant->kind == EXPR_NIL ? "nil"
								     : with_article(arena, operand_type_text(o));
}

const char *expr_short(struct arena *arena, const struct expr *e)
{
	struct buf b = {0};
	const char *text;

	expr_print(e, &b);
	text = b.len > 60 ? arena_printf(arena, "%.57s...", b.data) : arena_strdup(arena, b.data);
	buf_done(&b);
	return text;
}
