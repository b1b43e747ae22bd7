#include "plant/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static size_t sources_alive(const source_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->len; i++)
		n += !l->data[i]->ops->idle || !l->data[i]->ops->idle(l->data[i]);
	return n;
}

static uint64_t complete_until(const source_list *l, uint64_t now)
{
	for (size_t i = 0; i < l->len; i++)
		if (l->data[i]->ops->complete_ns)
			now = MIN(now, l->data[i]->ops->complete_ns(l->data[i]));
	return now;
}

static void keep(struct merge *m, const void *sample, size_t size, uint64_t time_ns)
{
	vec_push(&m->samples, ((struct merged_sample){time_ns, m->order++, m->bytes.len, size}));
	buf_append(&m->bytes, sample, size);
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct event_header h = {0};

	memcpy(&h, sample, MIN(size, sizeof(h)));
	keep(arg, sample, size, h.time_ns);
}

static int by_time(const void *a, const void *b)
{
	const struct merged_sample *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Those before that time; the others wait in m. Whoever takes them may drain, too. */
static size_t hand_over(struct merge *m, uint64_t until, plant_event_fn fn, void *arg)
{
	struct merge now = *m;
	size_t n = 0;

	*m = (struct merge){.order = now.order};
	if (now.samples.len)
		qsort(now.samples.data, now.samples.len, sizeof(*now.samples.data), by_time);
	while (n < now.samples.len && now.samples.data[n].time_ns < until)
		n++;
	for (size_t i = n; i < now.samples.len; i++)
		keep(m, now.bytes.data + now.samples.data[i].off, now.samples.data[i].size,
		     now.samples.data[i].time_ns);
	for (size_t i = 0; i < n; i++)
		fn(arg, now.bytes.data + now.samples.data[i].off, now.samples.data[i].size);
	merge_done(&now);
	return n;
}

int merge_drain(struct merge *m, const source_list *l, plant_event_fn fn, void *arg)
{
	uint64_t now = clock_monotonic_ns();
	size_t n;
	int r;

	if (sources_alive(l) < 2 && !m->samples.len)
		return sources_drain(l, fn, arg);
	r = sources_drain(l, on_sample, m);
	n = hand_over(m, complete_until(l, now), fn, arg) + m->samples.len;
	return n ? (int)n : MIN(r, 0);
}

void merge_done(struct merge *m)
{
	buf_done(&m->bytes);
	vec_done(&m->samples);
}
