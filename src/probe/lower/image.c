/*
 * Captures of whole values: what a slot cannot hold becomes an image, put together from where its pieces lie. Pieces
 * in floating-point registers that the planter cannot read stay zero and are reported, so that nobody takes the zeros
 * for values.
 */
#include <errno.h>
#include <string.h>

#include "probe/lower/lowerer.h"

static struct ir_insn *emit_image_insn(struct lowerer *l, enum ir_op op, uint16_t slot, uint16_t a)
{
	struct ir_insn *i = emit(l, op);

	i->slot = slot;
	i->a = a;
	return i;
}

/*
 * See IR_IMAGE. A pointer whose type only a dictionary tells is one of those that are followed, though it is the image
 * itself.
 */
static uint32_t image_depth(const struct lowerer *l, const struct value *v)
{
	uint32_t wanted = l->capture->depth;
	unsigned depth = wanted ? wanted - 1 : l->shapes->limits.depth;

	return depth && is_generic(l, v) && v->type->kind == KIND_POINTER ? depth : wanted;
}

static void emit_begin(struct lowerer *l, const struct value *v, uint16_t slot, uint16_t addr, uint32_t shape)
{
	struct ir_insn *i = emit_image_insn(l, IR_IMAGE, slot, addr);

	i->shape = shape;
	i->at = image_depth(l, v);
	i->imm = (int64_t)MIN(v->type->size, (uint64_t)IR_MAX_IMAGE);
}

static void emit_put(struct lowerer *l, uint16_t slot, uint16_t reg, uint64_t at, unsigned size)
{
	struct ir_insn *i = emit_image_insn(l, IR_IMAGE_PUT, slot, reg);

	i->imm = (int64_t)at;
	i->size = (uint8_t)size;
}

static int image_of_memory(struct lowerer *l, const struct value *v, uint16_t slot, uint32_t shape)
{
	uint16_t addr = emit_addr(l, v->reg, v->offset);

	emit_begin(l, v, slot, addr, shape);
	emit_image_insn(l, IR_IMAGE_COPY, slot, addr)->imm = (int64_t)MIN(v->type->size, (uint64_t)IR_MAX_IMAGE);
	return 0;
}

static int image_of_reg(struct lowerer *l, const struct value *v, uint16_t slot, uint32_t shape)
{
	if (v->type->size > 8)
		return lower_fail_unreadable(l, v->expr, "%s is %s, which cannot be captured", expr_text(l, v->expr),
				       value_with_article(l, v));
	emit_begin(l, v, slot, IR_NO_REG, shape);
	emit_put(l, slot, v->reg, 0, (unsigned)v->type->size);
	return 0;
}

/* ---- parameters: pieces ---- */

static int note_unread(struct lowerer *l, const struct value *v, uint64_t at, unsigned size)
{
	struct unread *u = &l->unread;
	struct unread_range *last = u->n ? &u->ranges[u->n - 1] : NULL;

	if (last && last->offset + last->size == at) {
		last->size += size;
		return 0;
	}
	if (u->n == ARRAY_SIZE(u->ranges))
		return lower_fail_unreadable(l, v->expr,
					     "%s has more than %zu parts in floating-point registers, which a "
					     "uprobe cannot read",
					     expr_text(l, v->expr), ARRAY_SIZE(u->ranges));
	u->ranges[u->n++] = (struct unread_range){(uint32_t)at, size};
	return 0;
}

static int put_word(struct lowerer *l, const struct value *v, uint16_t slot, uint64_t at, unsigned size)
{
	uint16_t reg, mark = l->next_reg;
	int r = value_word(l, v, at, size, false, &reg);

	if (r)
		return r;
	emit_put(l, slot, reg, at, size);
	l->next_reg = mark;
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
static int put_stack(struct lowerer *l, const struct value *v, uint16_t slot, uint64_t from, uint64_t to)
{
	int r = 0;

	to = MIN(to, (uint64_t)IMAGE_STACK_MAX);
	for (uint64_t at = from; !r && at < to; at += word_size(at, to))
		r = put_word(l, v, slot, at, word_size(at, to));
	return r;
}

static bool is_unread(const struct lowerer *l, const struct piece *p)
{
	return p->where == IN_FLOAT_REG && !l->reads_float_regs;
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

static int put_piece(struct lowerer *l, const struct value *v, uint16_t slot, const struct piece *p)
{
	uint64_t from, to;

	if (!piece_range(v, p, &from, &to))
		return 0;
	if (p->where == ON_STACK)
		return put_stack(l, v, slot, from, to);
	if (is_unread(l, p))
		return note_unread(l, v, from, (unsigned)(to - from));
	return put_word(l, v, slot, from, (unsigned)(to - from));
}

/* Bytes that some piece holds, and those that cannot be read. */
static void count_pieces(const struct lowerer *l, const struct value *v, uint64_t *ret_there, uint64_t *ret_unread)
{
	uint64_t from, to;

	*ret_there = *ret_unread = 0;
	for (size_t i = 0; i < v->param->npieces; i++) {
		const struct piece *p = &v->param->pieces[i];

		if (!piece_range(v, p, &from, &to))
			continue;
		*ret_there += to - from;
		*ret_unread += is_unread(l, p) ? to - from : 0;
	}
}

static int image_of_param(struct lowerer *l, const struct value *v, uint16_t slot, uint32_t shape)
{
	const char *text = expr_text(l, v->expr);
	uint64_t there, unread;
	int r = 0;

	count_pieces(l, v, &there, &unread);
	if (!there)
		return lower_fail_unreadable(l, v->expr, "where %s lies is not known", text);
	if (there == unread)
		return lower_fail_unreadable(l, v->expr,
				       "%s is passed in a floating-point register, which a uprobe cannot read", text);
	emit_begin(l, v, slot, IR_NO_REG, shape);
	if (v->type->size > IMAGE_STACK_MAX)
		l->insns.data[l->insns.len - 1].imm = IMAGE_STACK_MAX;
	for (size_t i = 0; !r && i < v->param->npieces; i++)
		r = put_piece(l, v, slot, &v->param->pieces[i]);
	return r;
}

int emit_image(struct lowerer *l, const struct value *v, uint16_t slot)
{
	uint32_t shape = shape_of(l->shapes, v->type);

	if (!shape)
		return lower_fail_unreadable(l, v->expr, "the binary does not describe %s, %s", expr_text(l, v->expr),
				       value_with_article(l, v));
	l->unread.n = 0;
	l->slots.data[slot].kind = VALUE_IMAGE;
	l->slots.data[slot].type = v->type;
	l->has_images = true;
	switch (v->place) {
	case PLACE_MEMORY:
		return image_of_memory(l, v, slot, shape);
	case PLACE_PARAM:
		return image_of_param(l, v, slot, shape);
	default:
		return image_of_reg(l, v, slot, shape);
	}
}
