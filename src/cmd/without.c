#include "cmd/without.h"

#include <stdio.h>
#include <string.h>

#include "probe/plan/call_plan.h"

static void add_params(struct without *w, const struct param *p, size_t n, size_t skip, const char *prefix)
{
	for (size_t i = 0; i < n; i++)
		if (p[i].why)
			vec_push(&w->values, ((struct missing_value){
				i < skip ? "recv" : param_name(&w->arena, &p[i], prefix, i - skip), p[i].why}));
}

void without_signature(struct without *w, const struct signature *s)
{
	add_params(w, s->params, s->nparams, s->has_receiver, "arg");
	add_params(w, s->results, s->nresults, 0, "ret");
}

void without_done(struct without *w)
{
	vec_done(&w->values);
	arena_done(&w->arena);
}

void without_print(const struct without *w, int indent)
{
	for (size_t i = 0; i < w->values.len; i++) {
		const char *why = w->values.data[i].why;

		printf("%*swithout %s", indent, "", w->values.data[i].name);
		for (; i + 1 < w->values.len && !strcmp(w->values.data[i + 1].why, why); i++)
			printf(", %s", w->values.data[i + 1].name);
		printf(": %s\n", why);
	}
}

void without_json(const struct without *w, struct json *j)
{
	if (!w->values.len)
		return;
	json_key(j, "without");
	json_open(j, '{');
	for (size_t i = 0; i < w->values.len; i++) {
		json_key(j, w->values.data[i].name);
		json_str(j, w->values.data[i].why);
	}
	json_close(j, '}');
}
