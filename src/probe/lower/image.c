/*
 * Captures of whole values: what a slot cannot hold becomes an image, put together from where its pieces lie. Pieces
 * in floating-point registers that the planter cannot read stay zero and are reported, so that nobody takes the zeros
 * for values.
 */
#include <errno.h>
#include <string.h>

#include "probe/lower/compiler.h"

static bool is_scalar_like(const struct type *t)
{
	return type_is_integer(t) || type_is_float(t) || t->kind == KIND_BOOL || t->kind == KIND_UNSAFE_POINTER;
}

bool wants_image(const struct compiler *c, const struct value *v)
{
	const struct type *t = v->type;

	if (!c->whole || !c->shapes || v->place == PLACE_CONST || t == &type_word_type || is_scalar_like(t) || !t->size)
		return false;
	if (t->kind == KIND_POINTER)
		return t->elem && t->elem->kind != KIND_INVALID;
	return t->kind != KIND_STRING && !(t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8);
}

static struct ir_insn *emit_image_insn(struct compiler *c, enum ir_op op, uint16_t slot, uint16_t a)
{
	struct ir_insn *i = emit(c, op);

	i->slot = slot;
	i->a = a;
	return i;
}

/*
 * See IR_IMAGE. A pointer whose type only a dictionary tells is one of those that are followed, though it is the image
 * itself.
 */
static uint32_t image_depth(const struct compiler *c, const struct value *v)
{
	unsigned depth = c->depth ? c->depth - 1 : c->shapes->limits.depth;

	return depth && is_generic(c, v) && v->type->kind == KIND_POINTER ? depth : c->depth;
}

static void emit_begin(struct compiler *c, const struct value *v, uint16_t slot, uint16_t addr, uint32_t shape)
{
	struct ir_insn *i = emit_image_insn(c, IR_IMAGE, slot, addr);

	i->shape = shape;
	i->at = image_depth(c, v);
	i->imm = (int64_t)MIN(v->type->size, (uint64_t)IR_MAX_IMAGE);
}

static void emit_put(struct compiler *c, uint16_t slot, uint16_t reg, uint64_t at, unsigned size)
{
	struct ir_insn *i = emit_image_insn(c, IR_IMAGE_PUT, slot, reg);

	i->imm = (int64_t)at;
	i->size = (uint8_t)size;
}

static int image_of_memory(struct compiler *c, const struct value *v, uint16_t slot, uint32_t shape)
{
	uint16_t addr = reg_new(c);
	struct ir_insn *i = emit(c, IR_ADDR);

	i->dst = addr;
	i->a = v->reg;
	i->imm = (int64_t)v->offset;
	emit_begin(c, v, slot, addr, shape);
	emit_image_insn(c, IR_IMAGE_COPY, slot, addr)->imm = (int64_t)MIN(v->type->size, (uint64_t)IR_MAX_IMAGE);
	return 0;
}

static int image_of_reg(struct compiler *c, const struct value *v, uint16_t slot, uint32_t shape)
{
	if (v->type->size > 8)
		return fail_unreadable(c, v->expr, "%s is %s, which cannot be captured", expr_text(c, v->expr),
				       type_with_article(c, v));
	emit_begin(c, v, slot, IR_NO_REG, shape);
	emit_put(c, slot, v->reg, 0, (unsigned)v->type->size);
	return 0;
}

/* ---- parameters: pieces ---- */

static int note_unread(struct compiler *c, const struct value *v, uint64_t at, unsigned size)
{
	struct unread *u = &c->unread;
	struct unread_range *last = u->n ? &u->ranges[u->n - 1] : NULL;

	if (last && last->offset + last->size == at) {
		last->size += size;
		return 0;
	}
	if (u->n == ARRAY_SIZE(u->ranges))
		return fail_unreadable(c, v->expr, "%s has more than %zu parts in floating-point registers, which a "
					"uprobe cannot read", expr_text(c, v->expr), ARRAY_SIZE(u->ranges));
	u->ranges[u->n++] = (struct unread_range){(uint32_t)at, size};
	return 0;
}

static int put_word(struct compiler *c, const struct value *v, uint16_t slot, uint64_t at, unsigned size)
{
	uint16_t reg, mark = c->next_reg;
	int r = value_word(c, v, at, size, false, &reg);

	if (r)
		return r;
	emit_put(c, slot, reg, at, size);
	c->next_reg = mark;
	return 0;
}

static unsigned word_size(uint64_t at, uint64_t end)
{
	unsigned size = 8;

	while (size > end - at || at % size)
		size /= 2;
	return size;
}

/* Words of the stack, one by one: there is no address to copy from, and a value that is passed so is seldom large. */
static int put_stack(struct compiler *c, const struct value *v, uint16_t slot, uint64_t from, uint64_t to)
{
	int r = 0;

	to = MIN(to, (uint64_t)IMAGE_STACK_MAX);
	for (uint64_t at = from; !r && at < to; at += word_size(at, to))
		r = put_word(c, v, slot, at, word_size(at, to));
	return r;
}

static bool is_unread(const struct compiler *c, const struct piece *p)
{
	return p->where == IN_XMM && !c->xmm_readable;
}

/* The part of the piece that is v's, relative to v. */
static bool piece_range(const struct value *v, const struct piece *p, uint64_t *ret_from, uint64_t *ret_to)
{
	uint64_t begin = p->offset, end = begin + (p->where == ON_STACK ? p->bytes : p->size);
	uint64_t from = MAX(begin, v->offset), to = MIN(end, v->offset + v->type->size);

	*ret_from = from - v->offset;
	*ret_to = to - v->offset;
	return from < to;
}

static int put_piece(struct compiler *c, const struct value *v, uint16_t slot, const struct piece *p)
{
	uint64_t from, to;

	if (!piece_range(v, p, &from, &to))
		return 0;
	if (p->where == ON_STACK)
		return put_stack(c, v, slot, from, to);
	if (is_unread(c, p))
		return note_unread(c, v, from, (unsigned)(to - from));
	return put_word(c, v, slot, from, (unsigned)(to - from));
}

/* Bytes that some piece holds, and those that cannot be read. */
static void count_pieces(const struct compiler *c, const struct value *v, uint64_t *ret_there, uint64_t *ret_unread)
{
	uint64_t from, to;

	*ret_there = *ret_unread = 0;
	for (size_t i = 0; i < v->param->npieces; i++) {
		const struct piece *p = &v->param->pieces[i];

		if (!piece_range(v, p, &from, &to))
			continue;
		*ret_there += to - from;
		*ret_unread += is_unread(c, p) ? to - from : 0;
	}
}

static int image_of_param(struct compiler *c, const struct value *v, uint16_t slot, uint32_t shape)
{
	const char *text = expr_text(c, v->expr);
	uint64_t there, unread;
	int r = 0;

	count_pieces(c, v, &there, &unread);
	if (!there)
		return fail_unreadable(c, v->expr, "where %s lies is not known", text);
	if (there == unread)
		return fail_unreadable(c, v->expr,
				       "%s is passed in a floating-point register, which a uprobe cannot read", text);
	emit_begin(c, v, slot, IR_NO_REG, shape);
	if (v->type->size > IMAGE_STACK_MAX)
		c->insns.data[c->insns.len - 1].imm = IMAGE_STACK_MAX;
	for (size_t i = 0; !r && i < v->param->npieces; i++)
		r = put_piece(c, v, slot, &v->param->pieces[i]);
	return r;
}

int emit_image(struct compiler *c, const struct value *v, uint16_t slot)
{
	uint32_t shape = shape_of(c->shapes, v->type);

	if (!shape)
		return fail_unreadable(c, v->expr, "the binary does not describe %s, %s", expr_text(c, v->expr),
				       type_with_article(c, v));
	c->unread.n = 0;
	c->slots.data[slot].kind = VALUE_IMAGE;
	c->slots.data[slot].type = v->type;
	c->has_images = true;
	switch (v->place) {
	case PLACE_MEMORY:
		return image_of_memory(c, v, slot, shape);
	case PLACE_PARAM:
		return image_of_param(c, v, slot, shape);
	default:
		return image_of_reg(c, v, slot, shape);
	}
}
