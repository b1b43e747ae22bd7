/*
 * Constants and variables of packages by name, as the program's source writes them: `limit` in the function's own
 * package, `http.StatusOK` in another. DWARF knows both with their types; a symbol table knows where variables are.
 */
#include "probe/lower/compiler.h"

#include <errno.h>
#include <string.h>

/* "main.limit", "http.StatusOK"; NULL: not of that form. */
static const char *full_name(struct arena *arena, const char *func_name, const struct expr *e)
{
	if (e->op == EXPR_NAME)
		return arena_printf(arena, "%s.%s", package_of(arena, func_name), e->text);
	if (e->op == EXPR_FIELD && e->a->op == EXPR_NAME)
		return arena_printf(arena, "%s.%s", e->a->text, e->text);
	return NULL;
}

bool expr_is_global(struct binary *b, const char *func_name, const struct expr *e)
{
	struct arena arena = {0};
	const char *name = full_name(&arena, func_name, e);
	struct global g;
	bool found = name && binary_global(b, name, &g, NULL) != -ENOENT;

	arena_done(&arena);
	return found;
}

bool is_global(struct compiler *c, const struct expr *e)
{
	return expr_is_global(c->binary, c->scope->func->symbol, e);
}

static const struct type *unsigned_of_size(uint64_t size)
{
	switch (size) {
	case 1: return basic_type(KIND_UINT8);
	case 2: return basic_type(KIND_UINT16);
	case 4: return basic_type(KIND_UINT32);
	case 8: return basic_type(KIND_UINT64);
	default: return NULL;
	}
}

/* A constant of a predeclared type is as good as one without: DWARF does not tell them apart. */
static void constant_value(const struct expr *e, const struct global *g, struct value *ret)
{
	*ret = const_value(e, g->type && g->type->kind == KIND_BOOL ? EXPR_BOOL : EXPR_INT, g->number);
	ret->big = g->type && !type_is_signed(g->type) && g->number < 0;
	ret->type = g->type && g->type->named && strchr(g->type->name, '.') ? g->type : NULL;
}

int global_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const char *name = full_name(c->arena, c->scope->func->name, e);
	struct err why = {0};
	struct global g;
	struct ir_insn *i;

	if (binary_global(c->binary, name, &g, &why))
		return fail(c, e, "%s", why.text);
	if (!g.is_variable) {
		constant_value(e, &g, ret);
		return 0;
	}
	if (!g.type)
		g.type = unsigned_of_size(g.size);
	if (!g.type)
		return fail(c, e, "%s is a variable of %llu bytes, and the binary, which has a symbol table but no "
				  "DWARF, does not say of what type", name, (unsigned long long)g.size);
	*ret = (struct value){.place = PLACE_MEMORY, .type = g.type, .expr = e, .reg = reg_new(c)};
	i = emit(c, IR_TYPE);
	i->dst = ret->reg;
	i->imm = (int64_t)g.addr;
	return 0;
}
