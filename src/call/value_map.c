/*
 * Maps, from the chunks of their headers, tables and groups (struct map_layout says how each kind is built).
 *
 * An old map that grows has two arrays of buckets. What of the old one was moved is marked in its first tophash byte;
 * the other old buckets still hold their entries, and the new buckets that these will go to are empty. So the entries
 * of both, without the moved buckets, are each entry once. Source: runtime/map.go (Go 1.23).
 *
 * A Swiss map has one group, or a directory of tables in which a table may occur several times in a row.
 */
#include <string.h>

#include "base/vec.h"
#include "call/value_reader.h"

enum { ENTRIES_MAX = 4096, CHAIN_MAX = 1024 };

struct entry {
	struct window key, elem;
};

struct map_reader {
	struct reader *r;
	const struct type *type;
	const struct map_layout *l;
	uint32_t group_shape;
	VEC(struct entry) entries;
	unsigned chain;          /* overflow buckets that were followed */
	bool lost, cut;          /* a part of it could not be read, had no room */
};

/* ---- entries ---- */

/* The key or the element at the place; what is kept by pointer is fetched. A part that is missing has no bytes. */
static struct window side(struct map_reader *m, struct window w, uint64_t at, const struct type *t, bool indirect)
{
	struct window target = {.root = NOT_IN_ROOT, .depth = w.depth};

	if (!indirect)
		return window_part(w, at, t->size);
	memory_find(m->r, window_word(w, at), shape_find(m->r->c->shapes, t, SHAPE_VALUE), &target);
	return target;
}

/* As memory_find; what could not be read is noted. */
static bool find(struct map_reader *m, uint64_t addr, uint32_t shape, struct window *ret)
{
	enum found f = memory_find(m->r, addr, shape, ret);

	m->lost |= f == FOUND_UNREADABLE;
	return f == FOUND;
}

static void add_entry(struct map_reader *m, struct window group, uint64_t base, unsigned i)
{
	const struct map_layout *l = m->l;
	uint64_t key = base + l->key_off + (uint64_t)i * l->key_stride;
	uint64_t elem = base + l->elem_off + (uint64_t)i * l->elem_stride;

	if (window_lost(group, key, l->key_indirect ? 8 : m->type->key->size))
		m->lost = true;
	else if (m->entries.len < ENTRIES_MAX)
		vec_push(&m->entries, ((struct entry){side(m, group, key, m->type->key, l->key_indirect),
						      side(m, group, elem, m->type->elem, l->elem_indirect)}));
}

static void add_group(struct map_reader *m, struct window group)
{
	if (window_lost(group, 0, m->l->slots)) {
		m->lost = true;
		return;
	}
	for (unsigned i = 0; i < m->l->slots && i < group.n; i++)
		if (m->l->swiss ? !(group.p[i] & MAP_CTRL_FREE) : group.p[i] >= MAP_TOPHASH_USED)
			add_entry(m, group, m->l->swiss ? m->l->group_slots_off : 0, i);
}

/* ---- old maps ---- */

static void add_chain(struct map_reader *m, struct window bucket)
{
	uint64_t next;

	add_group(m, bucket);
	while ((next = window_word(bucket, m->l->overflow_off)) && m->chain++ < CHAIN_MAX &&
	       find(m, next, m->group_shape, &bucket))
		add_group(m, bucket);
	m->lost |= window_lost(bucket, m->l->overflow_off, 8);
}

static bool is_moved(struct window bucket)
{
	return bucket.n && bucket.p[0] >= MAP_TOPHASH_MOVED_FIRST && bucket.p[0] <= MAP_TOPHASH_MOVED_LAST;
}

static void add_buckets(struct map_reader *m, uint64_t addr, uint64_t n, bool old)
{
	uint64_t size = m->l->bucket_size;
	struct window all;

	if (!addr || !find(m, addr, m->group_shape, &all))
		return;
	m->cut |= all.n / size < n;
	for (uint64_t i = 0; i < n && (i + 1) * size <= all.n; i++) {
		struct window bucket = window_part(all, i * size, size);

		if (!old || !is_moved(bucket))
			add_chain(m, bucket);
	}
}

static void add_old_map(struct map_reader *m, struct window header)
{
	const struct map_layout *l = m->l;
	unsigned bits = MIN(header.p[l->b_off], 20);
	bool same = header.p[l->flags_off] & MAP_SAME_SIZE_GROW;

	add_buckets(m, window_word(header, l->buckets_off), 1ull << bits, false);
	add_buckets(m, window_word(header, l->oldbuckets_off), 1ull << (same || !bits ? bits : bits - 1), true);
}

/* ---- Swiss maps ---- */

static void add_table(struct map_reader *m, uint64_t addr)
{
	const struct map_layout *l = m->l;
	struct window table, groups;
	uint64_t n;

	if (!find(m, addr, shape_find(m->r->c->shapes, m->type, SHAPE_MAP_TABLE), &table))
		return;
	m->lost |= window_lost(table, 0, table.n);
	if (!find(m, window_word(table, l->table_groups_off), m->group_shape, &groups))
		return;
	n = window_word(table, l->table_mask_off) + 1;
	m->cut |= groups.n / l->group_size < n;
	for (uint64_t i = 0; i < n && (i + 1) * l->group_size <= groups.n; i++)
		add_group(m, window_part(groups, i * l->group_size, l->group_size));
}

static void add_swiss_map(struct map_reader *m, struct window header)
{
	uint64_t directory = window_word(header, m->l->dir_ptr_off), n = window_word(header, m->l->dir_len_off),
		 last = 0;
	struct window w;

	if (!directory)
		return;
	if (!n) {
		if (find(m, directory, m->group_shape, &w))
			add_group(m, w);
		return;
	}
	if (!find(m, directory, shape_find(m->r->c->shapes, m->type, SHAPE_MAP_TABLES), &w))
		return;
	m->lost |= window_lost(w, 0, n * 8);
	for (uint64_t i = 0; i < n && (i + 1) * 8 <= w.n; i++) {
		uint64_t table = window_word(w, i * 8);

		if (table != last)
			add_table(m, table);
		last = table;
	}
}

/* ---- nodes ---- */

static int by_key(const void *a, const void *b)
{
	return value_compare(a, b);
}

/* All that was captured is read, because the order decides which entries are the first ones. */
static void make_nodes(struct map_reader *m, uint64_t count, struct value_node *ret)
{
	size_t n = m->entries.len, shown = MIN(n, m->r->c->shapes->limits.max_items);
	struct value_node *c = value_children(m->r, 2 * n, ret);

	if (!c)
		return;
	for (size_t i = 0; i < n; i++) {
		value_read(m->r, m->type->key, m->entries.data[i].key, &c[2 * i]);
		value_read(m->r, m->type->elem, m->entries.data[i].elem, &c[2 * i + 1]);
	}
	qsort(c, n, 2 * sizeof(*c), by_key);
	ret->nchildren = 2 * shown;
	ret->full_len = count;
	ret->cut = shown < count;
	if (shown < MIN(count, m->r->c->shapes->limits.max_items))
		value_left_out(m->r, m->lost ? FOUND_UNREADABLE : m->cut ? FOUND_CUT : FOUND_NOT, ret);
}

static void read_entries(struct reader *r, const struct type *t, struct window header, struct value_node *ret)
{
	const struct shape_map *map = shape_map_of(r->c->shapes, t);
	struct map_reader m = {.r = r, .type = t, .l = &map->layout,
			       .group_shape = shape_find(r->c->shapes, t, SHAPE_MAP_GROUP)};

	if (m.l->swiss)
		add_swiss_map(&m, header);
	else
		add_old_map(&m, header);
	make_nodes(&m, window_word(header, m.l->count_off), ret);
	vec_done(&m.entries);
}

void value_read_map(struct reader *r, const struct type *t, struct window w, struct value_node *ret)
{
	const struct shape_map *map = r->c->shapes ? shape_map_of(r->c->shapes, t) : NULL;
	uint32_t shape = map ? shape_find(r->c->shapes, t, SHAPE_MAP) : 0;
	struct window header;
	struct visit visit;
	enum found f;

	ret->form = FORM_MAP;
	ret->u = window_word(w, 0);
	if (!ret->u)
		return;
	f = memory_find(r, ret->u, shape, &header);
	if (map && map->counted && f == FOUND && header.n >= map->layout.count_off + 8 &&
	    !window_word(header, map->layout.count_off))
		return; /* empty: that takes no knowledge of the entries */
	if (map && map->why)
		value_unreadable(ret, map->why);
	else if (f == FOUND && window_lost(header, 0, header.n))
		value_missing(r, FOUND_UNREADABLE, ret);
	else if (f != FOUND || header.n < r->c->shapes->shapes.data[shape].size)
		value_missing(r, f, ret);
	else if (visit_begin(r, &visit, ret->u, t, ret)) {
		read_entries(r, t, header, ret);
		visit_end(r);
	}
}
