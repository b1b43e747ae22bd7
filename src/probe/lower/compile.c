#include "probe/lower/compile.h"

#include <errno.h>
#include <string.h>

#include "probe/lower/binary_types.h"
#include "probe/lower/no_types.h"

/* ---- a signature as a scope ---- */

/* All that is known is where it lies: a number is the honest reading of one register. */
static const struct type *word_type(const struct param *p)
{
	unsigned size;

	if (p->npieces != 1 || p->pieces[0].where == IN_FLOAT_REG)
		return NULL;
	size = p->pieces[0].where == ON_STACK ? p->pieces[0].bytes : p->pieces[0].size;
	return basic_type(size == 1   ? KIND_UINT8
			  : size == 2 ? KIND_UINT16
			  : size == 4 ? KIND_UINT32
				      : KIND_UINT64);
}

static const struct bound_variable *variables(struct arena *arena, const struct param *params, size_t n)
{
	struct bound_variable *v = arena_array(arena, struct bound_variable, n + 1);

	for (size_t i = 0; i < n; i++)
		v[i] = (struct bound_variable){.name = params[i].name,
					      .type = params[i].type ? params[i].type : word_type(&params[i]),
					      .as_word = !params[i].type,
					      .untyped = params[i].untyped,
					      .why = params[i].why};
	return v;
}

static const struct bound_variable *captured_variables(struct arena *arena, const struct closure_var *captured,
						       size_t n)
{
	struct bound_variable *v = arena_array(arena, struct bound_variable, n + 1);

	for (size_t i = 0; i < n; i++)
		v[i] = (struct bound_variable){.name = captured[i].name, .type = captured[i].type};
	return v;
}

bool scope_has_dictionary(const struct signature *s, const struct closure_var *captured, size_t ncaptured)
{
	for (size_t i = 0; i < ncaptured; i++)
		if (builtin_is(captured[i].name, BUILTIN_DICTIONARY))
			return true;
	return s->dictionary && !s->dictionary->why;
}

static struct bind_scope scope_of(const struct capture_scope *s, struct type_lookup *types, struct arena *arena)
{
	const struct signature *sig = s->signature;

	return (struct bind_scope){.types = types,
				   .func = s->func->name,
				   .symbol = s->func->symbol,
				   .variables = {.params = variables(arena, sig->params, sig->nparams),
						 .nparams = sig->nparams,
						 .results = variables(arena, sig->results, sig->nresults),
						 .nresults = sig->nresults,
						 .captured = captured_variables(arena, s->captured, s->ncaptured),
						 .ncaptured = s->ncaptured,
						 .has_receiver = sig->has_receiver},
				   .results_known = sig->results_known,
				   .known = sig->sources,
				   .dictionary = sig->dictionary && !sig->dictionary->why,
				   .at = s->at == SITE_RETURN ? SIDE_RETURN : SIDE_ENTRY,
				   .traced = s->traced,
				   .threads = s->usdt,
				   .closure = !s->usdt && binary_is_closure(s->binary, s->func) && !s->inlined,
				   .inlined = s->inlined,
				   .carried = s->carried,
				   .ncarried = s->ncarried};
}

/* ---- both steps ---- */

static struct bind_request bind_part(const struct capture_request *r)
{
	return (struct bind_request){.filter = r->filter, .filter_expr = r->filter_expr, .goroutine = r->goroutine,
				     .sp = r->sp, .items = r->items, .nitems = r->nitems, .text = r->text,
				     .images = r->shapes};
}

static struct lower_options lower_part(const struct capture_request *r)
{
	return (struct lower_options){.caps = r->caps, .role = r->role, .call_group = r->call_group,
				      .shapes = r->shapes, .marks = r->marks};
}

int capture_compile(const struct capture_scope *scope, const struct capture_request *request,
		    struct arena *arena, struct capture_result *ret, struct err *err)
{
	struct binary_types types = binary_types(scope->binary);
	struct bind_scope names = scope_of(scope, scope->usdt ? &no_types : &types.lookup, arena);
	struct bind_request asked = bind_part(request);
	struct lower_options options = lower_part(request);
	struct places places = {.binary = scope->binary, .signature = scope->signature, .captured = scope->captured,
				.usdt = scope->usdt};
	struct bound_program *p = arena_new(arena, struct bound_program);
	int r = bind_program(&names, &asked, arena, p, err);

	return r ? r : lower_program(p, &places, &options, arena, ret, err);
}

const struct type *capture_type(const struct capture_scope *scope, const struct expr *e, struct arena *arena)
{
	struct binary_types types = binary_types(scope->binary);
	struct bind_scope names = scope_of(scope, scope->usdt ? &no_types : &types.lookup, arena);
	const struct bound *n;

	return bind_expr(&names, e, "", arena, &n, NULL) ? NULL : n->type;
}
