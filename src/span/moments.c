#include "span/moments.h"

#include "base/macro.h"

struct moment *moments_add(struct moments *m, uint64_t time_ns)
{
	struct moment *added;

	if (m->n == MOMENTS_MAX)
		return NULL;
	if (m->n == m->room) {
		m->room = MAX(2 * m->room, (size_t)4);
		m->of = xrealloc(m->of, m->room * sizeof(*m->of));
		for (size_t i = m->n; i < m->room; i++)
			m->of[i] = xcalloc(1, sizeof(*m->of[i]));
	}
	added = m->of[m->n++];
	added->time_ns = time_ns;
	return added;
}

void moments_reset(struct moments *m)
{
	for (size_t i = 0; i < m->n; i++)
		attr_list_reset(&m->of[i]->attrs);
	m->n = 0;
}

void moments_done(struct moments *m)
{
	for (size_t i = 0; i < m->room; i++) {
		attr_list_done(&m->of[i]->attrs);
		free(m->of[i]);
	}
	free(m->of);
	*m = (struct moments){0};
}
