/* Calls: len, cap, typeof, conversions; the text functions are comparisons (compare.c). */
#include "probe/lower/compiler.h"

#include <string.h>

#include "probe/lang/nearest.h"

/* The integer at header + offset, 0 when header is nil: len of maps and channels. */
static struct value count_behind(struct compiler *c, const struct expr *e, uint16_t header,
				 uint64_t offset)
{
	uint16_t dst = reg_new(c), end = label_new(c);

	emit_const_to(c, dst, 0);
	emit_jump_if0(c, header, end);
	emit_move(c, dst, ir_emit_load(c, header, (int64_t)offset, 8, true));
	ir_emit_label(c, end);
	return reg_value(e, dst, KIND_INT);
}

static int len_of_map(struct compiler *c, const struct expr *e, const struct value *v,
		      struct value *ret)
{
	struct map_layout layout;
	struct err why = {0};
	uint16_t header;
	int r;

	if (!type_map_layout(c->binary, v->type, &layout, &why))
		return fail(c, e, "the length of %s cannot be read: %s", expr_text(c, v->expr), why.text);
	r = value_word(c, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(c, e, header, layout.count_off);
	return r;
}

static int len_of_chan(struct compiler *c, const struct expr *e, const struct value *v,
		       bool capacity, struct value *ret)
{
	const struct type *hchan = binary_type(c->binary, "runtime.hchan");
	struct field_path path;
	uint16_t header;
	int r;

	if (!hchan || !type_field_find(c->binary, hchan, capacity ? "dataqsiz" : "qcount", &path) || path.n != 1)
		return fail(c, e, "the %s of a channel cannot be read: the binary does not describe "
				  "runtime.hchan", capacity ? "capacity" : "length");
	r = value_word(c, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(c, e, header, path.steps[0].offset);
	return r;
}

static int length(struct compiler *c, const struct expr *e, const struct value *v, struct value *ret)
{
	bool capacity = *e->text == 'c';
	const struct type *t = v->type;
	uint16_t reg;
	int r;

	if (v->place == PLACE_CONST && v->constant == EXPR_STRING && !capacity) {
		*ret = const_value(e, EXPR_INT, (int64_t)v->len);
		return 0;
	}
	if (t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY)
		t = t->elem;
	if (t && t->kind == KIND_ARRAY) {
		*ret = const_value(e, EXPR_INT, (int64_t)t->len);
		return 0;
	}
	if (t && t->kind == KIND_MAP && !capacity)
		return len_of_map(c, e, v, ret);
	if (t && t->kind == KIND_CHAN)
		return len_of_chan(c, e, v, capacity, ret);
	if (!t || (t->kind != KIND_SLICE && (t->kind != KIND_STRING || capacity)))
		return fail(c, e, "%s is %s, which has no %s", expr_text(c, v->expr), type_with_article(c, v),
			    capacity ? "capacity" : "length");
	r = value_word(c, v, capacity ? 16 : 8, 8, true, &reg);
	if (!r)
		*ret = reg_value(e, reg, KIND_INT);
	return r;
}

static int convert_string(struct compiler *c, const struct expr *e, const struct value *v,
			  struct value *ret)
{
	const struct type *t = v->type;

	if (!t || (t->kind != KIND_STRING &&
		   (t->kind != KIND_SLICE || !t->elem || t->elem->kind != KIND_UINT8)))
		return fail(c, e, "only strings and []byte can be seen as a string; %s is %s",
			    expr_text(c, v->expr), type_with_article(c, v));
	*ret = *v;
	ret->type = basic_type(KIND_STRING);
	return 0;
}

static int convert(struct compiler *c, const struct expr *e, const struct value *v,
		   enum type_kind kind, struct value *ret)
{
	const struct type *to = basic_type(kind);
	uint16_t reg;
	int r;

	if (kind == KIND_STRING)
		return convert_string(c, e, v, ret);
	if (type_is_float(to) ? !v->type || type_is_integer(v->type) || type_is_float(v->type)
			      : v->type && type_is_float(v->type))
		return convert_float(c, e, v, to, ret);
	if (v->place == PLACE_CONST && !v->type)
		return const_convert(c, v, to, ret);
	if (!v->type || !(type_is_integer(v->type) || (kind == KIND_UINTPTR && is_pointer_shaped(v->type))))
		return fail(c, e, "%s cannot be converted to %s here", type_with_article(c, v), to->name);
	if (v->place == PLACE_CONST) {
		*ret = *v;
		ret->type = NULL;
		return const_convert(c, ret, to, ret);
	}
	r = value_scalar(c, v, &reg);
	if (!r)
		*ret = reg_value(e, emit_narrow(c, reg, to), kind);
	return r;
}

static int type_of(struct compiler *c, const struct expr *e, const struct value *v, struct value *ret)
{
	uint16_t word;
	int r = value_type_word(c, v, e, &word);

	if (r)
		return r;
	emit_require(c, word, SLOT_NIL);
	*ret = reg_value(e, word, KIND_UNSAFE_POINTER);
	ret->type = &type_word_type;
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

static int call_one(struct compiler *c, const struct expr *e, struct value *ret)
{
	static const char *const known[] = {"len", "cap", "typeof", "hasprefix", "hassuffix",
					    "contains", "uintptr", "string", "int64", "uint64", "float64"};
	const struct conversion *to = find_conversion(e->text);
	bool lengths = !strcmp(e->text, "len") || !strcmp(e->text, "cap");
	bool typeof_ = !strcmp(e->text, "typeof");
	const char *near;
	struct value v;
	int r;

	if (!to && !lengths && !typeof_) {
		near = nearest_name(e->text, known, ARRAY_SIZE(known));
		return fail(c, e, "there is no function %s%s%s; there are len, cap, hasprefix, hassuffix, "
				  "contains, typeof and conversions", e->text,
			    near ? ", did you mean " : "", near ? near : "");
	}
	if (e->nargs != 1)
		return fail(c, e, "%s takes one argument, not %zu", e->text, e->nargs);
	r = eval(c, e->args[0], &v);
	if (r)
		return r;
	if (to)
		return convert(c, e, &v, to->kind, ret);
	return lengths ? length(c, e, &v, ret) : type_of(c, e, &v, ret);
}

int eval_call(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t dst;
	int r;

	if (strcmp(e->text, "hasprefix") && strcmp(e->text, "hassuffix") && strcmp(e->text, "contains"))
		return call_one(c, e, ret);
	dst = reg_new(c);
	r = compare_text(c, e, dst);
	c->next_reg = (uint16_t)(dst + 1);
	*ret = reg_value(e, dst, KIND_BOOL);
	return r;
}
