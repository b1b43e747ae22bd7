#include <errno.h>
#include <string.h>

#include "probe/call_plan_internal.h"
#include "probe/nearest.h"

static const char *type_name(struct arena *scratch, const struct param *p)
{
	return p->type ? name_readable(scratch, p->type->name) : "?";
}

static void print_params(const struct param *params, size_t n, struct arena *scratch, struct buf *out)
{
	buf_char(out, '(');
	for (size_t i = 0; i < n; i++) {
		const char *name = params[i].name ? params[i].name : "";

		buf_printf(out, "%s%s%s%s", i ? ", " : "", name, *name ? " " : "", type_name(scratch, &params[i]));
	}
	buf_char(out, ')');
}

static void print_results(const struct signature *s, struct arena *scratch, struct buf *out)
{
	const struct param *first = s->results;

	if (!s->results_known) {
		buf_str(out, " ?");
	} else if (s->nresults == 1 && (!first->name || !*first->name)) {
		buf_printf(out, " %s", type_name(scratch, first));
	} else if (s->nresults) {
		buf_char(out, ' ');
		print_params(s->results, s->nresults, scratch, out);
	}
}

void signature_print(const char *name, const struct signature *s, struct buf *out)
{
	size_t skip = s->has_receiver && s->nparams ? 1 : 0;
	struct arena scratch = {0};

	buf_str(out, name_readable(&scratch, name));
	if (s->sources) {
		print_params(s->params + skip, s->nparams - skip, &scratch, out);
		print_results(s, &scratch, out);
	} else {
		buf_str(out, "(?) ?");
	}
	arena_done(&scratch);
}

/* ---- declared types ---- */

/* What a pointer among the parts of t leads to, if the binary does not describe it: "main.Persn". */
static const char *undescribed(const struct type *t)
{
	for (unsigned depth = 0; t && depth < 16; t = t->elem, depth++)
		if (t->kind == KIND_POINTER && !t->elem)
			return *t->name == '*' ? t->name + 1 : NULL;
	return NULL;
}

/* A type of the same package with a similar name. */
static const char *similar_type(struct binary *b, const char *name, struct arena *scratch)
{
	const char *dot = strrchr(name, '.');
	size_t pos = 0, prefix = dot ? (size_t)(dot + 1 - name) : 0;
	VEC(const char *) names = {0};
	const struct type *t;
	const char *near;

	while (prefix && binary_type_next(b, &pos, &t))
		if (!strncmp(t->name, name, prefix) && !strpbrk(t->name + prefix, ".[/{("))
			vec_push(&names, t->name + prefix);
	near = prefix ? nearest_name(name + prefix, names.data, names.len) : NULL;
	near = near ? arena_printf(scratch, "%.*s%s", (int)prefix, name, near) : NULL;
	vec_done(&names);
	return near;
}

static int check_types(struct binary *b, const struct call_plan *plan, const struct param *params, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = params[i].type ? undescribed(params[i].type) : NULL;
		const char *near = name ? similar_type(b, name, binary_arena(b)) : NULL;

		if (near)
			return err_at_column(err, -EINVAL, plan->question->text, 0,
					     "this binary has no type %s; did you mean %s?", name, near);
	}
	return 0;
}

int signature_check_types(struct binary *b, const struct call_plan *plan, struct err *err)
{
	const struct signature *s = &plan->signature;
	int r = check_types(b, plan, s->params, s->nparams, err);

	return r ? r : check_types(b, plan, s->results, s->nresults, err);
}
