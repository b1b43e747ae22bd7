#include "cmd/call_losses.h"

#include <stdio.h>

void call_losses_add(struct call_losses *t, const struct call_function *function, const struct plan_ids *ids)
{
	vec_push(&t->plans, ((struct lossy_plan){.function = function, .ids = *ids}));
}

static const char *name_of(const struct call_function *function, char ret[1024], size_t *ret_len)
{
	int n = snprintf(ret, 1024, "%p %s", (const void *)function->question, function->name);

	*ret_len = (size_t)MIN(n, 1023);
	return ret;
}

static void add(struct call_losses *t, const struct call_function *function, const struct losses *l)
{
	char name[1024];
	size_t len;
	const char *key = name_of(function, name, &len);
	struct losses *sum = strmap_get(&t->by_name, key, len);

	if (!sum) {
		sum = arena_new(&t->arena, struct losses);
		strmap_set(&t->by_name, arena_memdup(&t->arena, key, len), len, sum);
	}
	losses_add(sum, l);
}

static void look_at(struct call_losses *t, struct lossy_plan *p, const source_list *sources)
{
	struct losses now = {0}, since;

	if (p->ids.entry)
		sources_probe_losses(sources, p->ids.entry, &now);
	if (p->ids.ret)
		sources_probe_losses(sources, p->ids.ret, &now);
	since = now;
	losses_subtract(&since, &p->reported);
	p->reported = now;
	losses_subtract(&t->rest, &since);
	if (losses_any(&since))
		add(t, p->function, &since);
}

/* Plans are asked only where there is something: there may be thousands. */
void call_losses_round(struct call_losses *t, const struct losses *now, const source_list *sources)
{
	strmap_done(&t->by_name);
	arena_done(&t->arena);
	t->rest = *now;
	losses_subtract(&t->rest, &t->reported);
	t->reported = *now;
	if (!losses_any(&t->rest))
		return;
	for (size_t i = 0; i < t->plans.len; i++)
		look_at(t, &t->plans.data[i], sources);
}

const struct losses *call_losses_of(const struct call_losses *t, const struct call_function *function)
{
	char name[1024];
	size_t len;
	const char *key = name_of(function, name, &len);

	return strmap_get(&t->by_name, key, len);
}

void call_losses_done(struct call_losses *t)
{
	vec_done(&t->plans);
	strmap_done(&t->by_name);
	arena_done(&t->arena);
}
