/*
 * Which inlined calls there are. The tables for tracebacks name them in every binary; DWARF, where there is any, knows
 * their parameters. Both come from the same source, the compiler's list of the positions of instructions
 * (cmd/internal/obj: InlTree), so each instance of DWARF is one of those.
 */
#include <string.h>

#include "binary/inline.h"

typedef VEC(struct inlined) instances;

/* The lowest instruction of call index; 0 if it has none. */
static uint64_t lowest_of(const struct inline_tree *t, int32_t index)
{
	for (size_t i = 0; i < t->ranges.len; i++)
		if (inline_tree_covers(t, t->ranges.data[i].value, index))
			return t->ranges.data[i].start;
	return 0;
}

static bool instance_of(const struct inline_tree *t, const struct func *host, int32_t index, struct inlined *ret)
{
	const struct inline_call *c = &t->calls.data[index];

	*ret = (struct inlined){.entry = lowest_of(t, index), .host = *host, .call = c->call, .index = index};
	return ret->entry;
}

size_t binary_inlined_into(struct binary *b, const struct func *f, struct inlined *ret, const char **ret_names,
			   size_t max)
{
	struct inline_tree t;
	size_t n = 0;

	if (!inline_tree_read(b, f, &t))
		return 0;
	for (size_t k = 0; k < t.calls.len; k++) {
		struct inlined i;

		if (!t.calls.data[k].name || !instance_of(&t, f, (int32_t)k, &i))
			continue;
		if (n < max) {
			ret[n] = i;
			ret_names[n] = t.calls.data[k].name;
		}
		n++;
	}
	inline_tree_done(&t);
	return n;
}

/* Entries [from, to) are of one name. */
static void add_entries(struct binary *b, const struct inline_index *x, size_t from, size_t to, instances *ret)
{
	struct inline_tree t = {0};
	struct func f = {0};

	for (size_t i = from; i < to; i++) {
		const struct inline_entry *e = &x->entries.data[i];
		struct inlined in;

		if (i == from || e->func != e[-1].func) {
			inline_tree_done(&t);
			if (!binary_func(b, e->func, &f) || !inline_tree_read(b, &f, &t))
				t = (struct inline_tree){0};
		}
		if ((size_t)e->index < t.calls.len && instance_of(&t, &f, e->index, &in))
			vec_push(ret, in);
	}
	inline_tree_done(&t);
}

static size_t end_of_name(const struct inline_index *x, size_t from)
{
	size_t to = from;

	while (to < x->entries.len && x->entries.data[to].name == x->entries.data[from].name)
		to++;
	return to;
}

/* The first entry with this very string, which binary_inlined_next gave; the number of entries if there is none. */
static size_t first_of_string(const struct inline_index *x, const char *name)
{
	size_t lo = 0, hi = x->entries.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if ((uintptr_t)x->entries.data[mid].name < (uintptr_t)name)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->entries.len && x->entries.data[lo].name == name ? lo : x->entries.len;
}

static void add_named(struct binary *b, const char *name, instances *ret)
{
	const struct inline_index *x = inline_index_get(b);
	size_t from = first_of_string(x, name);

	if (from < x->entries.len) {
		add_entries(b, x, from, end_of_name(x, from), ret);
		return;
	}
	for (size_t i = 0, to; i < x->entries.len; i = to) {
		to = end_of_name(x, i);
		if (func_name_equal(x->entries.data[i].name, name))
			add_entries(b, x, i, to, ret);
	}
}

static int by_host(const void *a, const void *b)
{
	const struct inlined *x = a, *y = b;

	if (x->host.index != y->host.index)
		return x->host.index < y->host.index ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* The call that the instruction at x's entry belongs to, of those that name means; INLINE_NONE if there is none. */
static int32_t index_of(struct binary *b, const struct inlined *x, const char *name)
{
	int32_t found = INLINE_NONE, at = INLINE_NONE;
	struct inline_tree t;

	if (!inline_tree_read(b, &x->host, &t))
		return INLINE_NONE;
	for (size_t i = 0; i < t.ranges.len; i++)
		if (x->entry >= t.ranges.data[i].start && x->entry < t.ranges.data[i].end)
			at = t.ranges.data[i].value;
	for (size_t depth = 0; at >= 0 && (size_t)at < t.calls.len && depth < t.calls.len; depth++) {
		if (t.calls.data[at].name && func_name_equal(t.calls.data[at].name, name))
			found = at;
		at = t.calls.data[at].parent;
	}
	inline_tree_done(&t);
	return found;
}

/* Gives the instances their DIEs. What the tables do not have, should that ever be, is added as it is. */
static void add_dies(struct binary *b, const char *name, instances *all)
{
	size_t n = dwarf_inlined(b, name, NULL, 0), known = all->len;
	_cleanup_(cleanup_free) struct inlined *dies = xcalloc(n + 1, sizeof(*dies));

	n = MIN(n, dwarf_inlined(b, name, dies, n));
	for (size_t i = 0; i < n; i++) {
		struct inlined *x = NULL;

		dies[i].index = index_of(b, &dies[i], name);
		if (dies[i].index != INLINE_NONE && known)
			x = bsearch(&dies[i], all->data, known, sizeof(*x), by_host);
		if (!x)
			vec_push(all, dies[i]);
		else if (!x->die)
			x->die = dies[i].die;
	}
}

size_t binary_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max)
{
	instances all = {0};
	size_t n;

	add_named(b, name, &all);
	if (all.len)
		qsort(all.data, all.len, sizeof(*all.data), by_host);
	add_dies(b, name, &all);
	n = all.len;
	if (n && max)
		memcpy(ret, all.data, MIN(n, max) * sizeof(*ret));
	vec_done(&all);
	return n;
}

bool binary_inlined_next(struct binary *b, size_t *pos, const char **ret_name)
{
	const struct inline_index *x = inline_index_get(b);

	if (!x->entries.len)
		return dwarf_inlined_next(b, pos, ret_name);
	if (*pos >= x->entries.len)
		return false;
	*ret_name = x->entries.data[*pos].name;
	*pos = end_of_name(x, *pos);
	return true;
}
