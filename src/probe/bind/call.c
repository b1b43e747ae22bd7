/* Calls: len, cap, typeof, conversions, and the text functions. */
#include <float.h>
#include <math.h>

#include "probe/bind/binder.h"
#include "probe/lang/nearest.h"

/* ---- len, cap ---- */

static int bind_length(struct binder *b, const struct expr *e, const struct bound *a, struct bound **ret)
{
	bool capacity = *e->text == 'c';
	const struct type *t = a->type;
	struct bound *n = bound_two(b, capacity ? BOUND_CAP : BOUND_LEN, basic_type(KIND_INT), e, a, NULL);

	*ret = n;
	if (is_const(a, EXPR_STRING) && !capacity) {
		n->type = NULL;
		set_constant(b, n, (struct constant){.kind = EXPR_INT, .number = (int64_t)a->constant->len});
		return 0;
	}
	if (t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY)
		t = t->elem;
	if (t && t->kind == KIND_ARRAY) {
		n->type = NULL;
		set_constant(b, n, (struct constant){.kind = EXPR_INT, .number = (int64_t)t->len});
		return 0;
	}
	if (t && (t->kind == KIND_CHAN || t->kind == KIND_SLICE ||
		  (!capacity && (t->kind == KIND_MAP || t->kind == KIND_STRING))))
		return 0;
	return fail(b, e, "%s is %s, which has no %s", text_of(b, a), type_with_article(b, a),
		    capacity ? "capacity" : "length");
}

/* ---- conversions ---- */

static int convert_string(struct binder *b, const struct expr *e, const struct bound *a, struct bound **ret)
{
	if (!holds_bytes(a->type))
		return fail(b, e, "only strings and []byte can be seen as a string; %s is %s", text_of(b, a),
			    type_with_article(b, a));
	*ret = bound_two(b, BOUND_CONVERT, basic_type(KIND_STRING), a->expr, a, NULL);
	return 0;
}

static int float_constant(struct binder *b, const struct bound *n, const struct type *t, double *ret)
{
	const struct constant *k = n->constant;
	double real = k->kind == EXPR_FLOAT ? k->real : k->big ? (double)(uint64_t)k->number : (double)k->number;

	if (t->kind == KIND_FLOAT32 && fabs(real) > FLT_MAX)
		return fail(b, n->expr, "%s does not fit into %s", text_of(b, n), with_article(b->arena, t->name));
	*ret = t->kind == KIND_FLOAT32 ? (float)real : real;
	return 0;
}

static int convert_constant(struct binder *b, const struct bound *a, const struct type *to, struct bound **ret)
{
	struct constant k = {.kind = EXPR_FLOAT};
	const struct bound *untyped = retyped(b, a, NULL, *a->constant);
	int r;

	if (!type_is_float(to))
		return const_convert(b, untyped, to, ret);
	if (a->constant->kind != EXPR_INT && a->constant->kind != EXPR_FLOAT)
		return fail(b, a->expr, "%s cannot be converted to %s", type_with_article(b, a), to->name);
	r = float_constant(b, a, to, &k.real);
	if (!r)
		*ret = retyped(b, a, to, k);
	return r;
}

static int convert(struct binder *b, const struct expr *e, const struct bound *a, enum type_kind kind,
		   struct bound **ret)
{
	const struct type *to = basic_type(kind);
	bool number = a->type && (type_is_integer(a->type) || type_is_float(a->type));
	bool listed = a->type && (a->type->kind == KIND_STRING || a->type->kind == KIND_SLICE);
	bool address = a->type && kind == KIND_UINTPTR &&
		       (is_pointer_shaped(a->type) || a->type->kind == KIND_INTERFACE || (!a->constant && listed));

	if (kind == KIND_STRING)
		return convert_string(b, e, a, ret);
	if (a->constant && !a->type)
		return convert_constant(b, a, to, ret);
	if (!number && !address)
		return fail(b, e, "%s cannot be converted to %s here", type_with_article(b, a), to->name);
	if (a->constant)
		return convert_constant(b, a, to, ret);
	*ret = bound_two(b, BOUND_CONVERT, to, e, a, NULL);
	return 0;
}

struct conversion {
	const char *name;
	enum type_kind kind;
};
static const struct conversion conversions[] = {
	{"int", KIND_INT},       {"int8", KIND_INT8},     {"int16", KIND_INT16},   {"int32", KIND_INT32},
	{"int64", KIND_INT64},   {"uint", KIND_UINT},     {"uint8", KIND_UINT8},   {"uint16", KIND_UINT16},
	{"uint32", KIND_UINT32}, {"uint64", KIND_UINT64}, {"byte", KIND_UINT8},    {"rune", KIND_INT32},
	{"uintptr", KIND_UINTPTR}, {"string", KIND_STRING}, {"float32", KIND_FLOAT32}, {"float64", KIND_FLOAT64}};

static const struct conversion *find_conversion(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(conversions); i++)
		if (!strcmp(conversions[i].name, name))
			return &conversions[i];
	return NULL;
}

/* ---- hasprefix, hassuffix, contains ---- */

/* a: the text to search. */
static int check_text_call(struct binder *b, const struct expr *e, const struct bound *a, const struct bound *text)
{
	if (!is_const(text, EXPR_STRING) && !holds_bytes(text->type))
		return fail(b, e->args[1], "%s is %s; a text is expected here", expr_short(b->arena, e->args[1]),
			    type_with_article(b, text));
	if (a->constant)
		return fail(b, e->args[0], "%s is a constant: the text to search comes first, as in %s(s, "
					   "\"text\")", expr_short(b->arena, e->args[0]), e->text);
	if (!is_const(text, EXPR_STRING) && *e->text == 'c')
		return fail(b, e->args[1], "contains looks for a constant text: where the probe fires, a search for "
					   "any text would take too long");
	return is_const(text, EXPR_STRING) ? text_constant(b, text) : 0;
}

static int check_looked_into(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct type *t = n->a->type;
	int r;

	if (t == &code_address_type)
		return is_const(n->b, EXPR_STRING)
			   ? 0
			   : fail(b, e, "a caller is compared with the name of a function: caller == \"main.handle\"");
	if (t && t->kind == KIND_INTERFACE) {
		r = held_type(b, e->args[0], "string", &n->held);
		return r ? r : check_text_call(b, e, n->a, n->b);
	}
	if (!is_const(n->a, EXPR_STRING) && !holds_bytes(t))
		return fail(b, e->args[0], "%s is %s; %s looks into strings and []byte",
			    expr_short(b->arena, e->args[0]), type_with_article(b, n->a), e->text);
	return check_text_call(b, e, n->a, n->b);
}

static int bind_text_call(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a, *text;
	int r;

	if (e->nargs != 2)
		return fail(b, e, "%s takes two arguments: %s(s, \"text\")", e->text, e->text);
	r = bind_node(b, e->args[0], &a);
	if (!r)
		r = bind_node(b, e->args[1], &text);
	if (r)
		return r;
	*ret = bound_two(b, BOUND_TEXT, basic_type(KIND_BOOL), e, a, text);
	(*ret)->text = *e->text == 'c' ? TEXT_CONTAINS : e->text[3] == 'p' ? TEXT_PREFIX : TEXT_SUFFIX;
	return check_looked_into(b, e, *ret);
}

/* ---- hasname ---- */

static bool has_names(const struct type *t)
{
	if (t && t->kind == KIND_MAP)
		return t->key && t->key->kind == KIND_STRING;
	return t && t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_STRUCT;
}

static bool is_letters(const struct bound *n)
{
	size_t i = 0;

	if (!is_const(n, EXPR_STRING) || !n->constant->len || n->constant->len > BOUND_MAX_TEXT)
		return false;
	while (i < n->constant->len && n->constant->text[i] >= 'a' && n->constant->text[i] <= 'z')
		i++;
	return i == n->constant->len;
}

static int bind_has_name(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a, *text;
	int r;

	if (e->nargs != 2)
		return fail(b, e, "hasname takes two arguments: hasname(headers, \"text\")");
	r = bind_node(b, e->args[0], &a);
	if (!r)
		r = bind_node(b, e->args[1], &text);
	if (!r && !has_names(a->type))
		return fail(b, e->args[0], "%s is %s; hasname looks into maps whose keys are strings, and lists of "
					   "structs that begin with one", text_of(b, a),
			    operand_with_article(b->arena, operand_of(a)));
	if (!r && !is_letters(text))
		return fail(b, e->args[1], "hasname looks for a constant text of the letters a to z");
	if (!r)
		*ret = bound_two(b, BOUND_HAS_NAME, basic_type(KIND_BOOL), e, a, text);
	return r;
}

/* ---- all ---- */

static int bind_typeof(struct binder *b, const struct expr *e, const struct bound *a, struct bound **ret)
{
	*ret = bound_two(b, BOUND_TYPEOF, &type_word_type, e, a, NULL);
	return must_be_interface(b, a, e);
}

static bool is_word(const struct bound *a)
{
	return !a->constant && a->type && type_is_integer(a->type) && a->type->size == 8;
}

/* Where nothing says what an argument is, whoever asks does. A text of Go has its length beside it, and no 0. */
static int bind_text_at(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a, *length = NULL;
	int r;

	if (e->nargs != 1 && e->nargs != 2)
		return fail(b, e, "text takes an address, or an address and a length, not %zu arguments", e->nargs);
	r = bind_node(b, e->args[0], &a);
	if (!r && e->nargs == 2)
		r = bind_node(b, e->args[1], &length);
	if (r)
		return r;
	if (!b->scope->threads)
		return fail(b, e, "text reads the C strings of USDT probes; here texts are strings, and *C.char is "
				  "shown as one");
	if (!is_word(a))
		return fail(b, e, "text reads the C string at an address, which has 8 bytes; %s is %s", text_of(b, a),
			    type_with_article(b, a));
	if (length && !is_word(length))
		return fail(b, e->args[1], "the length of a text has 8 bytes; %s is %s", text_of(b, length),
			    type_with_article(b, length));
	*ret = bound_two(b, BOUND_C_TEXT, basic_type(KIND_STRING), e, a, length);
	return 0;
}

static int bind_one(struct binder *b, const struct expr *e, struct bound **ret)
{
	static const char *const known[] = {"len", "cap", "typeof", "hasprefix", "hassuffix",
					    "contains", "uintptr", "string", "int64", "uint64", "float64"};
	const struct conversion *to = find_conversion(e->text);
	bool lengths = !strcmp(e->text, "len") || !strcmp(e->text, "cap");
	const char *near;
	struct bound *a;
	int r;

	if (!strcmp(e->text, "text"))
		return bind_text_at(b, e, ret);
	if (!to && !lengths && strcmp(e->text, "typeof")) {
		near = nearest_name(e->text, known, ARRAY_SIZE(known));
		return fail(b, e, "there is no function %s%s%s; there are len, cap, hasprefix, hassuffix, "
				  "contains, typeof and conversions", e->text,
			    near ? ", did you mean " : "", near ? near : "");
	}
	if (e->nargs != 1)
		return fail(b, e, "%s takes one argument, not %zu", e->text, e->nargs);
	r = bind_node(b, e->args[0], &a);
	if (r)
		return r;
	if (to)
		return convert(b, e, a, to->kind, ret);
	return lengths ? bind_length(b, e, a, ret) : bind_typeof(b, e, a, ret);
}

int bind_call(struct binder *b, const struct expr *e, struct bound **ret)
{
	bool texts = !strcmp(e->text, "hasprefix") || !strcmp(e->text, "hassuffix") || !strcmp(e->text, "contains");

	if (!strcmp(e->text, "hasname"))
		return bind_has_name(b, e, ret);
	return texts ? bind_text_call(b, e, ret) : bind_one(b, e, ret);
}
