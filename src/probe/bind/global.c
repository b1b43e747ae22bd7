/*
 * Constants and variables of packages by name, as the program's source writes them: `limit` in the function's own
 * package, `http.StatusOK` in another.
 */
#include "probe/bind/binder.h"

#include <errno.h>

#include "binary/symbol.h"

const char *package_of(struct arena *arena, const char *symbol)
{
	const char *slash = symbol, *dot;
	size_t n = strcspn(symbol, "([");

	for (const char *p = symbol; p < symbol + n; p++)
		if (*p == '/')
			slash = p;
	dot = strchr(slash, '.');
	if (dot && (size_t)(dot - symbol) < n)
		n = (size_t)(dot - symbol);
	return func_name_unescape(arena, symbol, n);
}

/* "main.limit", as the function of that name would mean e; NULL: e is no name of that form. */
static const char *global_name(struct arena *arena, const char *func_name, const struct expr *e)
{
	if (e->op == EXPR_NAME)
		return arena_printf(arena, "%s.%s", package_of(arena, func_name), e->text);
	if (e->op == EXPR_FIELD && e->a->op == EXPR_NAME)
		return arena_printf(arena, "%s.%s", e->a->text, e->text);
	return NULL;
}

bool expr_is_global(struct type_lookup *types, const char *func_name, const struct expr *e)
{
	struct arena arena = {0};
	const char *name = global_name(&arena, func_name, e);
	struct global g;
	bool found = name && types->ops->global(types, name, &g, NULL) != -ENOENT;

	arena_done(&arena);
	return found;
}

bool is_global(struct binder *b, const struct expr *e)
{
	return expr_is_global(b->types, b->scope->symbol, e);
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
static struct bound *global_constant(struct binder *b, const struct expr *e, const struct global *g)
{
	struct constant k = {.kind = g->type && g->type->kind == KIND_BOOL ? EXPR_BOOL : EXPR_INT, .number = g->number,
			     .big = g->type && !type_is_signed(g->type) && g->number < 0};
	struct bound *n = bound_constant(b, e, k);

	n->type = g->type && g->type->named && strchr(g->type->name, '.') ? g->type : NULL;
	return n;
}

int bind_global(struct binder *b, const struct expr *e, struct bound **ret)
{
	const char *name = global_name(b->arena, b->scope->func, e);
	struct err why = {0};
	struct global g;

	if (b->types->ops->global(b->types, name, &g, &why))
		return fail(b, e, "%s", why.text);
	if (!g.is_variable) {
		*ret = global_constant(b, e, &g);
		return 0;
	}
	if (!g.type)
		g.type = unsigned_of_size(g.size);
	if (!g.type)
		return fail(b, e, "%s is a variable of %llu bytes, and the binary, which has a symbol table but no "
				  "DWARF, does not say of what type", name, (unsigned long long)g.size);
	*ret = bound_new(b, BOUND_GLOBAL, g.type, e);
	(*ret)->global = arena_memdup(b->arena, &g, sizeof(g));
	return 0;
}
