/* What says under which span another one begins: chains of contexts, and which goroutine was created when, by which. */
#include <errno.h>

#include "binary/context_types.h"
#include "probe/lower/lowerer.h"

/* ---- chains ---- */

/* A pointer's type is known: it is the word that an interface would have. */
static int pointer_words(struct lowerer *l, const struct value *v, uint16_t *ret_type, uint16_t *ret_data)
{
	if (!v->type->rtype || !context_type_find(l->contexts, v->type->rtype))
		return lower_fail(l, v->expr, "%s is %s; a context.Context is expected here", expr_text(l, v->expr),
				  value_with_article(l, v));
	*ret_type = emit_type(l, v->type->rtype);
	return value_scalar(l, v, ret_data);
}

static int interface_words(struct lowerer *l, const struct value *v, uint16_t *ret_type, uint16_t *ret_data)
{
	int r;

	if (!type_is_context(l->binary, v->type))
		return lower_fail(l, v->expr, "%s is %s; a context.Context is expected here", expr_text(l, v->expr),
				  value_with_article(l, v));
	r = value_type_word(l, v, v->expr, ret_type);
	return r ? r : value_word(l, v, 8, 8, false, ret_data);
}

int chain_words(struct lowerer *l, const struct value *v, uint16_t *ret_type, uint16_t *ret_data)
{
	struct err why = {0};

	if (!l->follows_contexts)
		return lower_fail_unreadable(l, v->expr, "this way of planting does not follow contexts");
	if (binary_contexts(l->binary, &l->contexts, &why))
		return lower_fail_unreadable(l, v->expr, "%s", why.text);
	return (v->type->kind == KIND_INTERFACE ? interface_words : pointer_words)(l, v, ret_type, ret_data);
}

int emit_chain(struct lowerer *l, const struct value *v, uint16_t slot)
{
	uint16_t type, data;
	struct ir_insn *i;
	int r = chain_words(l, v, &type, &data);

	if (r)
		return r;
	i = emit(l, IR_EMIT_CHAIN);
	i->a = type;
	i->b = data;
	i->slot = slot;
	i->imm = MIN(l->capture->links, (unsigned)EVENT_MAX_CHAIN);
	l->slots.data[slot].kind = VALUE_CHAIN;
	return 0;
}

/* ---- facts of the runtime's ---- */

/* A word of the goroutine's P. */
static uint16_t load_of_p(struct lowerer *l, uint16_t g, const struct lineage_layout *at, uint32_t offset)
{
	uint16_t m = ir_emit_load(l, g, l->g.m, 8, false);

	return ir_emit_load(l, ir_emit_load(l, m, at->m_p, 8, false), offset, 8, false);
}

uint16_t emit_load_fact(struct lowerer *l, enum runtime_fact fact, const struct lineage_layout *at)
{
	uint16_t g;

	if (fact == FACT_ID_COUNTER)
		return ir_emit_load(l, emit_type(l, at->counter), 0, 8, false);
	g = reg_new(l);
	emit(l, IR_G)->dst = g;
	if (fact == FACT_CREATOR || fact == FACT_START_PC)
		return ir_emit_load(l, g, fact == FACT_CREATOR ? at->creator : at->start_pc, 8, false);
	return load_of_p(l, g, at, fact == FACT_ID_CACHE ? at->cache : at->cache_end);
}

int emit_fact(struct lowerer *l, enum runtime_fact fact, uint16_t slot)
{
	struct lineage_layout at;
	struct ir_insn *i;
	uint16_t a;
	int r = binary_lineage_layout(l->binary, &at, l->err);

	if (r)
		return r;
	a = emit_load_fact(l, fact, &at);
	i = emit(l, IR_EMIT);
	i->a = a;
	i->slot = slot;
	l->slots.data[slot].kind = fact == FACT_START_PC ? VALUE_PC : VALUE_UINT;
	return 0;
}
