#include "cmd/trace_losses.h"

#include <stdio.h>

void trace_losses_add(struct trace_losses *t, const struct call_function *function, const struct plan_ids *ids)
{
	vec_push(&t->plans, ((struct lossy_plan){.function = function, .ids = *ids}));
}

static const char *name_of(const struct call_function *function, char ret[1024], size_t *ret_len)
{
	int n = snprintf(ret, 1024, "%p %s", (const void *)function->question, function->name);

	*ret_len = (size_t)MIN(n, 1023);
	return ret;
}

static void add(struct trace_losses *t, const struct call_function *function, const struct losses *l)
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

static void look_at(struct trace_losses *t, struct lossy_plan *p, const struct planter_ops *ops,
		    struct planter *planter)
{
	struct losses now = {0}, since;

	if (p->ids.entry)
		ops->probe_losses(planter, p->ids.entry, &now);
	if (p->ids.ret)
		ops->probe_losses(planter, p->ids.ret, &now);
	since = now;
	losses_subtract(&since, &p->told);
	p->told = now;
	losses_subtract(&t->rest, &since);
	if (losses_any(&since))
		add(t, p->function, &since);
}

/* Plans are asked only where there is something: there may be thousands. */
void trace_losses_round(struct trace_losses *t, const struct planter_ops *ops, struct planter *planter,
			const struct call_decoder *d)
{
	struct run_summary seen = {0};

	strmap_done(&t->by_name);
	arena_done(&t->arena);
	ops->losses(planter, &seen.losses);
	call_decoder_losses(d, &seen);
	t->rest = seen.losses;
	losses_subtract(&t->rest, &t->told);
	t->told = seen.losses;
	if (!losses_any(&t->rest))
		return;
	for (size_t i = 0; i < t->plans.len; i++)
		look_at(t, &t->plans.data[i], ops, planter);
}

const struct losses *trace_losses_of(const struct trace_losses *t, const struct call_function *function)
{
	char name[1024];
	size_t len;
	const char *key = name_of(function, name, &len);

	return strmap_get(&t->by_name, key, len);
}

void trace_losses_done(struct trace_losses *t)
{
	vec_done(&t->plans);
	strmap_done(&t->by_name);
	arena_done(&t->arena);
}
