#include <string.h>

#include "probe/plan/call_plan_internal.h"

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
