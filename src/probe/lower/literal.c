/*
 * Literals of structs and arrays: Point{1, 2}, Point{X: 1}, [2]int{1, 2}. They are never made: who compares with one
 * asks for each part of it, which is a constant, a value, or the zero of its type.
 */
#include "probe/lower/lowerer.h"

int literal_part(struct lowerer *l, const struct value *v, size_t i, const struct type *t, struct value *ret)
{
	const struct bound *written = i < v->literal->nelements ? v->literal->elements[i].value : NULL;
	struct constant k;
	struct bound *zero;

	if (written)
		return lower(l, written, ret);
	zero = arena_new(l->arena, struct bound);
	*zero = bound_zero(t, v->expr, &k);
	if (zero->constant)
		zero->constant = arena_memdup(l->arena, &k, sizeof(k));
	return lower(l, zero, ret);
}
