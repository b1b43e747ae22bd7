#include "plant/plant.h"

void planter_close(struct planter *p)
{
	if (p)
		p->ops->close(p);
}

void plant_probe_locate(struct plant_probe *probe, const struct planter_ops *ops, struct binary *b,
			const struct join_point *at)
{
	struct err err = {0};

	probe->sites = NULL;
	probe->why = NULL;
	if ((ops->suits && ops->suits(b, &err)) || ops->locate(b, at, &probe->sites, &err))
		probe->why = arena_strdup(binary_arena(b), err.text);
}

double sites_price_ns(struct planter *p, const struct site *sites)
{
	double sum = 0;
	size_t n = 0;

	for (const struct site *s = sites; s; s = s->next, n++)
		sum += p->ops->price_ns(p, s->price);
	return n ? sum / (double)n : 0;
}
