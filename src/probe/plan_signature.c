#include <string.h>

#include "probe/call_plan_internal.h"

static void print_params(const struct param *params, size_t n, struct buf *out)
{
	buf_char(out, '(');
	for (size_t i = 0; i < n; i++) {
		const char *name = params[i].name && *params[i].name ? params[i].name : NULL;

		buf_printf(out, "%s%s%s%s", i ? ", " : "", name ? name : "", name ? " " : "",
			   params[i].type ? params[i].type->name : "?");
	}
	buf_char(out, ')');
}

static void print_results(const struct signature *s, struct buf *out)
{
	const struct param *first = s->results;

	if (!s->results_known) {
		buf_str(out, " ?");
	} else if (s->nresults == 1 && (!first->name || !*first->name)) {
		buf_printf(out, " %s", first->type ? first->type->name : "?");
	} else if (s->nresults) {
		buf_char(out, ' ');
		print_params(s->results, s->nresults, out);
	}
}

void signature_print(const char *name, const struct signature *s, struct buf *out)
{
	size_t skip = s->has_receiver && s->nparams ? 1 : 0;
	struct arena scratch = {0};

	buf_str(out, name_readable(&scratch, name));
	arena_done(&scratch);
	if (!s->sources) {
		buf_str(out, "(?) ?");
		return;
	}
	print_params(s->params + skip, s->nparams - skip, out);
	print_results(s, out);
}
