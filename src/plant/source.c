#include "plant/source.h"

#include <errno.h>

int sources_drain(const source_list *l, plant_event_fn fn, void *arg)
{
	int n = 0, failed = 0;

	for (size_t i = 0; i < l->len; i++) {
		int r = l->data[i]->ops->drain(l->data[i], fn, arg);

		if (r >= 0)
			n += r;
		else if (!failed)
			failed = r;
	}
	return n ? n : failed;
}

void sources_losses(const source_list *l, struct losses *ret)
{
	for (size_t i = 0; i < l->len; i++)
		l->data[i]->ops->losses(l->data[i], ret);
}

void sources_probe_losses(const source_list *l, uint32_t probe, struct losses *ret)
{
	for (size_t i = 0; i < l->len; i++)
		l->data[i]->ops->probe_losses(l->data[i], probe, ret);
}

void sources_forget_target(const source_list *l, uint32_t target)
{
	for (size_t i = 0; i < l->len; i++)
		l->data[i]->ops->forget_target(l->data[i], target);
}

int sources_control(const source_list *l, uint32_t probe, const struct plant_control *c)
{
	int failed = -ENOENT;
	bool taken = false;

	for (size_t i = 0; i < l->len; i++) {
		struct event_source *s = l->data[i];
		int r = s->ops->control ? s->ops->control(s, probe, c) : -ENOENT;

		taken |= r >= 0;
		if (r < 0 && failed == -ENOENT)
			failed = r;
	}
	return taken ? 0 : failed;
}

uint64_t sources_hits(const source_list *l, uint32_t probe)
{
	uint64_t n = 0;

	for (size_t i = 0; i < l->len; i++)
		n += l->data[i]->ops->hits ? l->data[i]->ops->hits(l->data[i], probe) : 0;
	return n;
}

bool sources_count_hits(const source_list *l)
{
	for (size_t i = 0; i < l->len; i++)
		if (!l->data[i]->ops->hits)
			return false;
	return l->len > 0;
}

int sources_aggregates(const source_list *l, bool clear, plant_group_fn fn, void *arg)
{
	int failed = 0;

	for (size_t i = 0; i < l->len; i++) {
		struct event_source *s = l->data[i];
		int r = s->ops->aggregates ? s->ops->aggregates(s, clear, fn, arg) : 0;

		if (r < 0 && !failed)
			failed = r;
	}
	return failed;
}

int sources_open_calls(const source_list *l, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	int n = 0;

	for (size_t i = 0; i < l->len; i++) {
		struct event_source *s = l->data[i];
		int r = s->ops->open_calls ? s->ops->open_calls(s, target, take, fn, arg) : 0;

		n += r > 0 ? r : 0;
	}
	return n;
}
