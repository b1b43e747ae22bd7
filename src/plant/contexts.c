#include "plant/contexts.h"

#include <stdlib.h>

#include "event/event.h"

static uint64_t hash_of(uint64_t rtype, uint64_t mask)
{
	return rtype * CONTEXTS_FACTOR >> CONTEXTS_SHIFT & mask;
}

static struct contexts_place place_of(const struct context_type *t, bool has_spans, uint64_t bias)
{
	/* what is no link has no parent: else a chain could go round without one */
	bool ends = !t->is_link && t->parent != CONTEXT_ROOT;

	return (struct contexts_place){.rtype = t->rtype + bias, .offset = t->offset, .via = t->via,
				       .parent = (uint8_t)(ends ? CONTEXT_UNKNOWN : t->parent), .is_link = t->is_link,
				       .pooled = t->is_pooled ? CHAIN_POOLED : 0,
				       .is_value = t->is_value && has_spans};
}

/* A handful: they are looked through one by one. */
static void put_spans(const struct context_table *t, uint64_t bias, struct buf *out)
{
	for (size_t i = 0; i < t->spans.len; i++) {
		const struct span_type *s = &t->spans.data[i];
		struct contexts_span row = {.rtype = s->rtype + bias, .ids = s->ids, .remote = s->remote,
					    .kind = s->kind, .tracer = s->tracer, .scope = s->scope};

		buf_append(out, &row, sizeof(row));
	}
	buf_append(out, &(struct contexts_span){0}, sizeof(struct contexts_span));
}

void contexts_put(const struct context_table *t, uint64_t bias, struct buf *out)
{
	struct contexts_head head = {0};
	struct contexts_place *places;
	size_t n = 2, all;

	while (n < 2 * t->types.len)
		n *= 2;
	all = n + t->types.len + 1;
	head.mask = (n - 1) * sizeof(*places);
	head.span_key = t->span_key + bias;
	head.spans = sizeof(head) + all * sizeof(*places);
	places = xcalloc(all, sizeof(*places));
	for (size_t i = 0; i < t->types.len; i++) {
		const struct context_type *type = &t->types.data[i];
		size_t at = hash_of(type->rtype + bias, head.mask) / sizeof(*places);

		while (places[at].rtype)
			at++;
		places[at] = place_of(type, t->span_key, bias);
	}
	buf_append(out, &head, sizeof(head));
	buf_append(out, places, all * sizeof(*places));
	put_spans(t, bias, out);
	free(places);
}
