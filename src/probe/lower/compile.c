#include "probe/lower/compile.h"

#include <errno.h>
#include <string.h>

#include "probe/lower/compiler.h"

/* ---- regions ---- */

static void begin_region(struct compiler *c, uint16_t slot)
{
	c->next_reg = 0;
	emit(c, IR_REGION)->slot = slot;
}

static int parse(struct compiler *c, const char *text, struct expr **ret)
{
	c->text = text;
	c->column = 0;
	return expr_parse(text, c->arena, ret, c->err);
}

static int too_complex(struct compiler *c)
{
	if (c->nregs <= IR_MAX_REGS)
		return 0;
	return err_at_column(c->err, -EINVAL, c->text, c->column, "the expression is too complex: it needs %u "
							  "values at once, %d are possible",
			     c->nregs, IR_MAX_REGS);
}

static int end_region(struct compiler *c)
{
	emit(c, IR_END);
	return too_complex(c);
}

/* ---- what is emitted ---- */

static int no_single_value(struct compiler *c, const struct value *v)
{
	const char *text = expr_text(c, v->expr), *type = type_text(c, v);

	if (v->place == PLACE_CONST)
		return fail(c, v->expr, "%s is a constant; there is nothing to capture", text);
	switch (v->type->kind) {
	case KIND_INTERFACE:
		return fail(c, v->expr, "%s is an interface (%s): capture typeof(%s), or say which type it "
					"holds: %s.(*T)", text, type, text, text);
	case KIND_STRUCT:
		return fail(c, v->expr, "%s is a struct (%s): capture one of its fields", text, type);
	case KIND_SLICE:
	case KIND_ARRAY:
		return fail(c, v->expr, "%s is %s: capture an element, as in %s[0], or len(%s)", text,
			    type_with_article(c, v), text, text);
	default:
		return fail(c, v->expr, "%s is %s, which cannot be captured", text, type_with_article(c, v));
	}
}

static bool is_bytes(const struct type *t)
{
	return t->kind == KIND_STRING ||
	       (t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8);
}

static bool scalar_kind(const struct type *t, enum value_kind *ret)
{
	if (t == &type_word_type)
		*ret = VALUE_TYPE;
	else if (t == &code_address_type)
		*ret = VALUE_PC;
	else if (type_is_integer(t))
		*ret = type_is_signed(t) ? VALUE_INT : VALUE_UINT;
	else if (t->kind == KIND_BOOL)
		*ret = VALUE_BOOL;
	else if (type_is_float(t))
		*ret = t->kind == KIND_FLOAT32 ? VALUE_FLOAT32 : VALUE_FLOAT64;
	else if (is_pointer_shaped(t))
		*ret = VALUE_POINTER;
	else
		return false;
	return true;
}

static int emit_bytes(struct compiler *c, const struct value *v, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t pointer, len;
	int r = value_word(c, v, 0, 8, false, &pointer);

	if (!r)
		r = value_word(c, v, 8, 8, true, &len);
	if (r)
		return r;
	i = emit(c, IR_EMIT_STR);
	i->a = pointer;
	i->b = len;
	i->slot = slot;
	i->imm =
	    c->whole && c->shapes ? MIN(MAX(c->shapes->limits.max_string, 1u), EVENT_MAX_STRING) : EVENT_MAX_STRING;
	if (c->max_bytes)
		i->imm = MIN(i->imm, (int64_t)c->max_bytes);
	c->slots.data[slot].kind = VALUE_STRING;
	return 0;
}

static int emit_scalar(struct compiler *c, const struct value *v, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t a;
	int r = value_scalar(c, v, &a);

	if (r)
		return r;
	i = emit(c, IR_EMIT);
	i->a = a;
	i->slot = slot;
	return 0;
}

/* struct{}, [0]T: no bytes, so that there is nothing to be read. */
static bool is_nothing(const struct compiler *c, const struct value *v)
{
	return c->whole && !v->type->size && (v->type->kind == KIND_STRUCT || v->type->kind == KIND_ARRAY);
}

/* The type says all; the slot has any word. */
static int emit_nothing(struct compiler *c, const struct value *v, uint16_t slot)
{
	uint16_t a = reg_new(c);
	struct ir_insn *i = emit(c, IR_CONST);

	i->dst = a;
	i = emit(c, IR_EMIT);
	i->a = a;
	i->slot = slot;
	c->slots.data[slot].kind = VALUE_UINT;
	c->slots.data[slot].type = v->type;
	return 0;
}

static int emit_stack(struct compiler *c, uint16_t slot)
{
	struct ir_insn *i = emit(c, IR_EMIT_STACK);

	i->slot = slot;
	i->imm = IR_MAX_STACK;
	c->slots.data[slot].kind = VALUE_STACK;
	return 0;
}

static int emit_value(struct compiler *c, const struct value *v, uint16_t slot)
{
	struct ir_slot *s = &c->slots.data[slot];

	c->captured = v->type;
	if (v->type == &stack_type)
		return emit_stack(c, slot);
	if (is_generic(c, v))
		return c->images ? emit_generic(c, v, slot) : -EAGAIN;
	if (is_nothing(c, v))
		return emit_nothing(c, v, slot);
	if (wants_image(c, v))
		return c->images ? emit_image(c, v, slot) : -EAGAIN;
	if (v->place == PLACE_CONST || (!is_bytes(v->type) && !scalar_kind(v->type, &s->kind)))
		return no_single_value(c, v);
	if (!is_made_here(v->type))
		s->type = v->type;
	return is_bytes(v->type) ? emit_bytes(c, v, slot) : emit_scalar(c, v, slot);
}

/* What was just emitted to the slot is kept as well. */
static int emit_save(struct compiler *c, const struct value *v, int number)
{
	const struct ir_insn *last = &c->insns.data[c->insns.len - 1];
	uint16_t a = last->a;
	struct ir_insn *i;

	if (last->op != IR_EMIT && c->scope->traced)
		return fail(c, v->expr, "%s (%s) is of the entry, and this condition is tested at the return: only a "
			    "number, a bool or a pointer can be kept till then", expr_text(c, v->expr),
			    type_text(c, v));
	if (last->op != IR_EMIT)
		return err_at_column(c->err, -EINVAL, c->text, 0, "only a pointer or a number can be saved");
	i = emit(c, IR_SAVE);
	i->a = a;
	i->imm = number;
	return 0;
}

static int emit_mark_slot(struct compiler *c, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t one = emit_const(c, 1);

	i = emit(c, IR_EMIT);
	i->a = one;
	i->slot = slot;
	c->slots.data[slot].kind = VALUE_BOOL;
	return 0;
}

/* ---- one item ---- */

/* expression NULL: only a mark. */
static int compile_alternative(struct compiler *c, const struct capture_item *item,
			       const char *expression)
{
	uint16_t slot = (uint16_t)c->slots.len, skip = 0;
	const struct expr *e = item->expr;
	struct expr *parsed;
	struct value v;
	int r = 0;

	vec_add(&c->slots)->name = item->name;
	begin_region(c, slot);
	if (item->when) {
		skip = label_new(c);
		r = parse(c, item->when, &parsed);
		if (!r)
			r = emit_jump_if_false(c, parsed, skip);
		c->next_reg = 0;
	}
	if (!r && expression) {
		r = parse(c, expression, &parsed);
		e = parsed;
	}
	if (!r && e) {
		c->column = item->expr ? e->column : 0;
		r = eval(c, e, &v);
		if (!r)
			r = emit_value(c, &v, slot);
		if (!r && item->save)
			r = emit_save(c, &v, item->save - 1);
	} else if (!r) {
		r = emit_mark_slot(c, slot);
	}
	if (!r && item->when)
		ir_emit_label(c, skip);
	return r ? r : end_region(c);
}

/* Tries an alternative; what a failed one emitted is taken back. */
static int try_alternative(struct compiler *c, const struct capture_item *item, const char *expression,
			   struct err *why)
{
	struct emit_mark before = emit_mark(c);
	uint16_t nregs = c->nregs;
	struct err *err = c->err;
	int r;

	c->err = why;
	r = compile_alternative(c, item, expression);
	c->err = err;
	if (r) {
		emit_rollback(c, before);
		c->nregs = nregs;
	}
	return r;
}

/* The first alternative that fits; when none does, why tells of the first. -EAGAIN: an image, whose turn is later. */
static int compile_item(struct compiler *c, const struct capture_item *item, struct err *why)
{
	const char *const *a = item->alternatives;
	int r;

	c->whole = item->whole;
	c->max_bytes = item->max_bytes;
	c->depth = item->depth;
	c->unread.n = 0;
	r = try_alternative(c, item, a ? *a : NULL, why);
	while (r && r != -EAGAIN && a && *a && *++a)
		r = try_alternative(c, item, *a, NULL);
	return r;
}

/* The i-th item, unless it is an image and it is not their turn. */
static int compile_one(struct compiler *c, const struct capture_item *item, size_t i, struct capture_result *ret)
{
	struct err why = {0};
	int slot = (int)c->slots.len, r;

	if (slot == EVENT_MAX_SLOTS)
		return err_set(c->err, -EINVAL, "more than %d captures in one probe", EVENT_MAX_SLOTS);
	r = compile_item(c, item, &why);
	if (r == -EAGAIN)
		return r;
	ret->slot_of_item[i] = r ? -1 : slot;
	ret->unread[i] = c->unread;
	if (!r) {
		ret->types[i] = c->captured;
		return 0;
	}
	if (!item->optional && item->expr && why.code != -ENODATA)
		return err_set(c->err, why.code, "%s", why.text);
	if (!item->optional && !item->expr)
		return err_set(c->err, why.code, "%s: %.500s", item->name, why.text);
	ret->why[i] = arena_strndup(c->arena, why.text, strcspn(why.text, "\n"));
	return 0;
}

/* Slots with images come behind all others. */
static int compile_items(struct compiler *c, const struct capture_request *request, struct capture_result *ret)
{
	_cleanup_(cleanup_free) bool *later = xcalloc(request->nitems + 1, sizeof(*later));
	int r = 0;

	ret->slot_of_item = arena_array(c->arena, int, request->nitems + 1);
	ret->why = arena_array(c->arena, const char *, request->nitems + 1);
	ret->unread = arena_array(c->arena, struct unread, request->nitems + 1);
	ret->types = arena_array(c->arena, const struct type *, request->nitems + 1);
	c->text = request->text;
	for (size_t i = 0; !r && i < request->nitems; i++) {
		r = compile_one(c, &request->items[i], i, ret);
		later[i] = r == -EAGAIN;
		r = later[i] ? 0 : r;
	}
	c->images = true;
	for (size_t i = 0; !r && i < request->nitems; i++)
		r = later[i] ? compile_one(c, &request->items[i], i, ret) : 0;
	return r;
}

/* ---- goroutine and filter ---- */

/* An address: of a g, or a stack pointer. */
static int compile_address(struct compiler *c, const char *text, const char *what, uint16_t *ret)
{
	struct expr *e;
	struct value v;
	int r = parse(c, text, &e);

	if (!r)
		r = eval(c, e, &v);
	if (!r && (!v.type || (!is_pointer_shaped(v.type) &&
			       !(type_is_integer(v.type) && v.type->size == 8))))
		r = fail(c, e, "%s is %s; %s is expected here", expr_text(c, e), type_with_article(c, &v), what);
	return r ? r : value_scalar(c, &v, ret);
}

static int compile_goroutine(struct compiler *c, const struct capture_request *request)
{
	uint16_t g, sp = IR_NO_REG;
	struct ir_insn *i;
	int r = 0;

	if (!request->goroutine && !request->sp)
		return 0;
	if (request->goroutine) {
		r = compile_address(c, request->goroutine, "a *g", &g);
	} else {
		g = reg_new(c);
		emit(c, IR_G)->dst = g;
	}
	if (!r && request->sp)
		r = compile_address(c, request->sp, "a stack pointer", &sp);
	if (r)
		return r;
	i = emit(c, IR_GOROUTINE);
	i->a = g;
	i->b = sp;
	return too_complex(c);
}

static int compile_filter(struct compiler *c, const struct capture_request *request)
{
	const struct expr *e = request->filter_expr;
	struct expr *parsed;
	int r = 0;

	if (!e && !request->filter)
		return 0;
	begin_region(c, IR_SLOT_FILTER);
	c->text = request->text;
	if (e) {
		c->column = e->column;
	} else {
		r = parse(c, request->filter, &parsed);
		e = parsed;
	}
	if (!r)
		r = emit_filter(c, e);
	return r ? r : end_region(c);
}

/* ---- all ---- */

static int finish(struct compiler *c, const struct capture_request *request, struct capture_program *ret)
{
	struct capture_program p = {
		.role = request->role,
		.arch = binary_arch(c->binary),
		.call_group = request->call_group,
		.insns = arena_memdup(c->arena, c->insns.data, c->insns.len * sizeof(*c->insns.data)),
		.ninsns = c->insns.len,
		.slots = arena_memdup(c->arena, c->slots.data, c->slots.len * sizeof(*c->slots.data)),
		.nslots = c->slots.len,
		.nregs = c->nregs,
		.nlabels = c->nlabels,
		.g = c->g,
		.shapes = c->has_images ? c->shapes : NULL,
	};
	int r;

	for (size_t i = 0; i < p.ninsns; i++)
		p.needs_bias |= p.insns[i].op == IR_TYPE;
	r = capture_verify(&p, c->err);
	if (!r)
		*ret = p;
	return r;
}

int capture_compile(const struct capture_scope *scope, const struct capture_request *request,
		    struct arena *arena, struct capture_result *ret, struct err *err)
{
	struct compiler c = {.scope = scope, .binary = scope->binary, .arena = arena, .err = err,
			     .xmm_readable = request->caps && request->caps->reads_xmm, .shapes = request->shapes};
	struct capture_result result = {0};
	int r;

	r = binary_goroutine_layout(scope->binary, &c.g, err);
	if (!r)
		r = compile_goroutine(&c, request);
	if (!r)
		r = compile_filter(&c, request);
	if (!r)
		r = compile_items(&c, request, &result);
	if (!r)
		r = finish(&c, request, &result.program);
	vec_done(&c.insns);
	vec_done(&c.slots);
	if (!r)
		*ret = result;
	return r;
}

const struct type *capture_type(const struct capture_scope *scope, const struct expr *e, struct arena *arena)
{
	struct compiler c = {.scope = scope, .binary = scope->binary, .arena = arena, .text = "", .xmm_readable = true};
	const struct type *t = NULL;
	struct value v;

	if (!binary_goroutine_layout(scope->binary, &c.g, NULL) && !eval(&c, e, &v))
		t = v.type;
	vec_done(&c.insns);
	vec_done(&c.slots);
	return t;
}
