/* Bound program → capture program: the goroutine, the filter, then a region for each capture that has a place. */
#include <errno.h>
#include <string.h>

#include "probe/lower/lowerer.h"

_Static_assert((int)IR_MAX_SAVED == (int)BOUND_MAX_CARRIED && (int)IR_MAX_STR == (int)BOUND_MAX_TEXT,
	       "the limits that binding tells are those of the instructions");

/* ---- regions ---- */

void begin_region(struct lowerer *l, uint16_t slot)
{
	l->next_reg = 0;
	emit(l, IR_REGION)->slot = slot;
}

static int too_complex(struct lowerer *l)
{
	if (l->nregs <= IR_MAX_REGS)
		return 0;
	return err_at_column(l->err, -EINVAL, l->text, l->column, "the expression is too complex: it needs %u "
							  "values at once, %d are possible",
			     l->nregs, IR_MAX_REGS);
}

int end_region(struct lowerer *l)
{
	emit(l, IR_END);
	return too_complex(l);
}

/* ---- what is emitted ---- */

static enum value_kind scalar_kind(const struct lowerer *l, const struct type *t)
{
	if (t == &type_word_type)
		return VALUE_TYPE;
	if (t == &code_address_type && l->program->traced)
		return VALUE_PC;
	if (type_is_integer(t))
		return type_is_signed(t) ? VALUE_INT : VALUE_UINT;
	if (t->kind == KIND_BOOL)
		return VALUE_BOOL;
	if (type_is_float(t))
		return t->kind == KIND_FLOAT32 ? VALUE_FLOAT32 : VALUE_FLOAT64;
	return VALUE_POINTER;
}

static int emit_bytes(struct lowerer *l, const struct value *v, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t pointer, len;
	int r = value_word(l, v, 0, 8, false, &pointer);

	if (!r)
		r = value_word(l, v, 8, 8, true, &len);
	if (r)
		return r;
	i = emit(l, IR_EMIT_STR);
	i->a = pointer;
	i->b = len;
	i->slot = slot;
	i->imm = l->capture->whole && l->shapes ? MIN(MAX(l->shapes->limits.max_string, 1u), EVENT_MAX_STRING)
						: EVENT_MAX_STRING;
	if (l->capture->max_bytes)
		i->imm = MIN(i->imm, (int64_t)l->capture->max_bytes);
	l->slots.data[slot].kind = VALUE_STRING;
	return 0;
}

static int emit_scalar(struct lowerer *l, const struct value *v, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t a;
	int r = value_scalar(l, v, &a);

	if (r)
		return r;
	i = emit(l, IR_EMIT);
	i->a = a;
	i->slot = slot;
	l->slots.data[slot].kind = scalar_kind(l, v->type);
	return 0;
}

/* The type says all; the slot has any word. */
static int emit_nothing(struct lowerer *l, const struct value *v, uint16_t slot)
{
	uint16_t a = reg_new(l);
	struct ir_insn *i = emit(l, IR_CONST);

	i->dst = a;
	i = emit(l, IR_EMIT);
	i->a = a;
	i->slot = slot;
	l->slots.data[slot].kind = VALUE_UINT;
	l->slots.data[slot].type = v->type;
	return 0;
}

static int emit_stack(struct lowerer *l, uint16_t slot)
{
	struct ir_insn *i = emit(l, IR_EMIT_STACK);

	i->slot = slot;
	i->imm = IR_MAX_STACK;
	l->slots.data[slot].kind = VALUE_STACK;
	return 0;
}

static int emit_value(struct lowerer *l, const struct value *v, enum capture_form form, uint16_t slot)
{
	struct ir_slot *s = &l->slots.data[slot];

	if (form == CAPTURE_CALLERS)
		return emit_stack(l, slot);
	if (form == CAPTURE_CHAIN)
		return emit_chain(l, v, slot);
	if (is_generic(l, v))
		return emit_generic(l, v, slot);
	if (form == CAPTURE_NOTHING)
		return emit_nothing(l, v, slot);
	if (form == CAPTURE_IMAGE)
		return emit_image(l, v, slot);
	if (!is_made_here(v->type))
		s->type = v->type;
	return form == CAPTURE_BYTES ? emit_bytes(l, v, slot) : emit_scalar(l, v, slot);
}

/* What was just emitted to the slot is carried on as well. */
static void emit_carry(struct lowerer *l, int number)
{
	uint16_t a = l->insns.data[l->insns.len - 1].a;
	struct ir_insn *i = emit(l, IR_SAVE);

	i->a = a;
	i->imm = number;
}

static int emit_mark_slot(struct lowerer *l, uint16_t slot)
{
	struct ir_insn *i;
	uint16_t one = emit_const(l, 1);

	i = emit(l, IR_EMIT);
	i->a = one;
	i->slot = slot;
	l->slots.data[slot].kind = VALUE_BOOL;
	return 0;
}

/* ---- one capture ---- */

void begin_text(struct lowerer *l, const struct bound_text *t)
{
	l->text = t->text;
	l->column = t->column;
}

static int lower_value(struct lowerer *l, const struct bound_alternative *a, uint16_t slot)
{
	struct value v;
	int r;

	begin_text(l, &a->value);
	r = lower(l, a->value.root, &v);
	if (!r)
		r = emit_value(l, &v, a->form, slot);
	if (!r && l->capture->carry)
		emit_carry(l, l->capture->carry - 1);
	return r;
}

static int lower_form(struct lowerer *l, const struct bound_alternative *a, uint16_t slot)
{
	switch (a->form) {
	case CAPTURE_MARK:
		return emit_mark_slot(l, slot);
	case CAPTURE_INJECT:
		return emit_inject(l, l->capture->inject, slot);
	case CAPTURE_FACT:
		return emit_fact(l, l->capture->fact, slot);
	case CAPTURE_IDS:
		emit_ids(l, slot);
		return 0;
	default:
		return lower_value(l, a, slot);
	}
}

/* What the slot had for the same word need not be read again. Where the word has no place it is. */
static void lower_once_for(struct lowerer *l, uint16_t slot)
{
	const struct bound_text *t = &l->capture->once_for;
	struct emit_mark before = emit_mark(l);
	struct err *err = l->err;
	struct ir_insn *i;
	struct value v;
	uint16_t word, nregs = l->nregs;
	size_t reused = 0;

	for (size_t k = 0; k < l->insns.len; k++)
		reused += l->insns.data[k].op == IR_REUSE;
	if (!t->root || l->capture->carry || reused == IR_MAX_REUSED)
		return;
	l->err = NULL;
	begin_text(l, t);
	if (lower(l, t->root, &v) || value_word(l, &v, 0, 8, false, &word)) {
		emit_rollback(l, before);
		l->nregs = nregs;
	} else {
		i = emit(l, IR_REUSE);
		i->a = word;
		i->slot = slot;
	}
	l->err = err;
	l->next_reg = 0;
}

static int lower_alternative(struct lowerer *l, const struct bound_alternative *a)
{
	const struct bound_text *when = &l->capture->when;
	uint16_t slot = (uint16_t)l->slots.len, skip = 0;
	int r = 0;

	vec_add(&l->slots)->name = l->capture->name;
	begin_region(l, slot);
	lower_once_for(l, slot);
	if (when->root) {
		skip = label_new(l);
		begin_text(l, when);
		r = emit_jump_if_false(l, when->root, skip);
		l->next_reg = 0;
	}
	if (!r)
		r = lower_form(l, a, slot);
	if (!r && when->root)
		ir_emit_label(l, skip);
	return r ? r : end_region(l);
}

/* Tries an alternative; what a failed one emitted is taken back. */
static int try_alternative(struct lowerer *l, const struct bound_alternative *a, struct err *why)
{
	struct emit_mark before = emit_mark(l);
	uint16_t nregs = l->nregs;
	struct err *err = l->err;
	int r;

	l->err = why;
	r = lower_alternative(l, a);
	l->err = err;
	if (r) {
		emit_rollback(l, before);
		l->nregs = nregs;
	}
	return r;
}

/* The first alternative that has a place, or NULL: then why tells of the first. */
static const struct bound_alternative *lower_first(struct lowerer *l, struct err *why)
{
	const struct bound_capture *c = l->capture;

	for (size_t i = 0; i < c->nalternatives; i++) {
		const struct bound_alternative *a = &c->alternatives[i];

		if (!a->why && !try_alternative(l, a, i ? NULL : why))
			return a;
		if (a->why && !i)
			*why = *a->why;
	}
	return NULL;
}

static int left_out(struct lowerer *l, const struct err *why, const char **ret)
{
	const struct bound_capture *c = l->capture;

	if (!c->optional && c->parsed && why->code != -ENODATA)
		return err_set(l->err, why->code, "%s", why->text);
	if (!c->optional && !c->parsed)
		return err_set(l->err, why->code, "%s: %.500s", c->name, why->text);
	*ret = arena_strndup(l->arena, why->text, strcspn(why->text, "\n"));
	return 0;
}

static int lower_capture(struct lowerer *l, size_t i, struct capture_result *ret)
{
	const struct bound_alternative *a;
	struct err why = {0};
	int slot = (int)l->slots.len;

	if (l->program->captures[i].unseen) {
		ret->slot_of_item[i] = -1;
		return 0;
	}
	if (slot == EVENT_MAX_SLOTS)
		return err_set(l->err, -EINVAL, "more than %d captures in one probe", EVENT_MAX_SLOTS);
	l->capture = &l->program->captures[i];
	l->unread.n = 0;
	a = lower_first(l, &why);
	ret->slot_of_item[i] = a ? slot : -1;
	ret->unread[i] = l->unread;
	ret->values[i] = a ? a->value.root : NULL;
	ret->types[i] = a && a->value.root ? a->value.root->type : NULL;
	return a ? 0 : left_out(l, &why, &ret->why[i]);
}

static unsigned dict_word_of(const struct lowerer *l, const struct bound *n)
{
	const struct closure_var *v = l->places->captured;

	switch (n->op) {
	case BOUND_PARAM:
		return l->places->signature->params[n->index].dict_word;
	case BOUND_RESULT:
		return l->places->signature->results[n->index].dict_word;
	case BOUND_CAPTURED:
		return v[n->index].by_reference ? 0 : v[n->index].dict_word;
	default:
		return 0;
	}
}

/* Whether a capture's slot has an image. Only values that are captured whole can, and these have one alternative. */
static bool is_image(struct lowerer *l, const struct bound_capture *c)
{
	const struct bound_alternative *a = &c->alternatives[0];
	struct value v = {0};

	l->capture = c;
	if (a->why || !a->value.root)
		return false;
	v.type = a->value.root->type;
	v.dict_word = dict_word_of(l, a->value.root);
	return a->form == CAPTURE_IMAGE || is_generic(l, &v);
}

/* Slots with images come behind all others. */
static int lower_captures(struct lowerer *l, struct capture_result *ret)
{
	size_t n = l->program->ncaptures;
	int r = 0;

	ret->slot_of_item = arena_array(l->arena, int, n + 1);
	ret->why = arena_array(l->arena, const char *, n + 1);
	ret->values = arena_array(l->arena, const struct bound *, n + 1);
	ret->unread = arena_array(l->arena, struct unread, n + 1);
	ret->types = arena_array(l->arena, const struct type *, n + 1);
	for (int images = 0; images < 2; images++)
		for (size_t i = 0; !r && i < n; i++)
			if (is_image(l, &l->program->captures[i]) == images)
				r = lower_capture(l, i, ret);
	return r;
}

/* ---- goroutine and filter ---- */

static int lower_address(struct lowerer *l, const struct bound_text *t, uint16_t *ret)
{
	struct value v;
	int r;

	begin_text(l, t);
	r = lower(l, t->root, &v);
	return r ? r : value_scalar(l, &v, ret);
}

static int lower_goroutine(struct lowerer *l)
{
	const struct bound_program *p = l->program;
	uint16_t g, sp = IR_NO_REG;
	struct ir_insn *i;
	int r = 0;

	if (!p->goroutine.root && !p->sp.root)
		return 0;
	if (p->goroutine.root) {
		r = lower_address(l, &p->goroutine, &g);
	} else {
		g = reg_new(l);
		emit(l, IR_G)->dst = g;
	}
	if (!r && p->sp.root)
		r = lower_address(l, &p->sp, &sp);
	if (r)
		return r;
	i = emit(l, IR_GOROUTINE);
	i->a = g;
	i->b = sp;
	return too_complex(l);
}

static int lower_filter(struct lowerer *l)
{
	const struct bound_text *t = &l->program->filter;
	int r;

	if (l->marks && l->marks->action == MARKS_RELEASE) {
		begin_region(l, IR_SLOT_FILTER);
		emit(l, IR_RELEASE)->call = l->marks->call;
		return end_region(l);
	}
	if (!t->root)
		return 0;
	begin_region(l, IR_SLOT_FILTER);
	begin_text(l, t);
	r = emit_filter(l, t->root);
	return r ? r : end_region(l);
}

/* ---- marks ---- */

static int lower_carriers(struct lowerer *l)
{
	int r = 0;

	for (size_t i = 0; !r && i < l->program->ncaptures; i++) {
		const struct bound_capture *c = &l->program->captures[i];

		if (c->inject && c->inject->carrier.root && !c->alternatives[0].why)
			r = emit_carrier(l, c->inject);
	}
	return r ? r : too_complex(l);
}

/* ---- all ---- */

static int finish(struct lowerer *l, const struct lower_options *o, struct capture_program *ret)
{
	struct capture_program p = {
		.role = o->role,
		.arch = l->places->usdt ? arch_host() : binary_arch(l->binary),
		.threads = l->places->usdt,
		.call_group = o->call_group,
		.insns = arena_memdup(l->arena, l->insns.data, l->insns.len * sizeof(*l->insns.data)),
		.ninsns = l->insns.len,
		.slots = arena_memdup(l->arena, l->slots.data, l->slots.len * sizeof(*l->slots.data)),
		.nslots = l->slots.len,
		.nregs = l->nregs,
		.nlabels = l->nlabels,
		.g = l->g,
		.shapes = l->has_images ? l->shapes : NULL,
		.contexts = l->contexts,
	};
	int r;

	p.needs_bias = capture_has(&p, IR_TYPE) || capture_follows(&p);
	r = capture_verify(&p, l->err);
	if (!r)
		*ret = p;
	return r;
}

int lower_program(const struct bound_program *p, const struct places *places, const struct lower_options *o,
		  struct arena *arena, struct capture_result *ret, struct err *err)
{
	struct lowerer l = {.program = p, .places = places, .binary = places->binary, .arena = arena, .err = err,
			    .reads_float_regs = o->caps && o->caps->reads_float_regs,
			    .follows_contexts = o->caps && o->caps->follows_contexts, .shapes = o->shapes,
			    .injects = o->caps && o->caps->injects, .lends = o->caps && o->caps->lends,
			    .carries_states = o->caps && o->caps->carries_states, .marks = o->marks};
	struct capture_result result = {.bound = p};
	int r = places->usdt ? 0 : binary_goroutine_layout(l.binary, &l.g, err);

	if (!r)
		r = lower_goroutine(&l);
	if (!r)
		r = lower_filter(&l);
	if (!r && l.marks)
		lower_all_marks(&l);
	if (!r)
		r = lower_carriers(&l);
	if (!r)
		r = lower_captures(&l, &result);
	if (!r)
		r = finish(&l, o, &result.program);
	vec_done(&l.insns);
	vec_done(&l.slots);
	if (!r)
		*ret = result;
	return r;
}
