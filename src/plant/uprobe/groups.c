#include "plant/uprobe/groups.h"

#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/map.h"
#include "base/vec.h"

#define GROUPS_DEFAULT 16384

/* ---- layout ---- */

static int slot_text(const struct ir_slot_ref *ref, const struct capture_program *p,
		     const struct capture_program *entry, uint32_t *ret, struct err *err)
{
	const struct capture_program *of = ref->at_entry ? entry : p;

	if (!of || ref->slot >= of->nslots)
		return err_set(err, -EINVAL, "an aggregate asks for slot %u of %s, which is not there", ref->slot,
			       ref->at_entry ? "the call's entry" : "its program");
	switch (of->slots[ref->slot].kind) {
	case VALUE_IMAGE:
		return err_set(err, -EINVAL, "an aggregate cannot be grouped by a whole structure (slot %u)",
			       ref->slot);
	case VALUE_STRING:
		*ret = AGG_KEY_STR;
		return 0;
	case VALUE_STACK:
		*ret = capture_stack_bytes(of, ref->slot);
		return 0;
	default:
		*ret = 0;
		return 0;
	}
}

static size_t bucket_count(const struct ir_aggregate *a)
{
	if (a->kind == AGG_HIST)
		return AGG_BUCKETS;
	if (a->kind == AGG_LINEAR)
		return a->step > 0 && a->high >= a->low ? 2 + (uint64_t)(a->high - a->low) / (uint64_t)a->step
							: SIZE_MAX;
	return 0;
}

int group_layout_of(const struct ir_aggregate *a, const struct capture_program *p, const struct capture_program *entry,
		    struct group_layout *ret, struct err *err)
{
	struct group_layout l = {.key_size = sizeof(struct group_key_head), .nbuckets = bucket_count(a)};
	uint32_t text;
	int r = a->kind == AGG_COUNT ? 0 : slot_text(&a->value, p, entry, &text, err);

	if (r == 0 && a->nkeys > AGG_MAX_KEYS)
		r = err_set(err, -E2BIG, "an aggregate has %zu keys (at most %d)", a->nkeys, AGG_MAX_KEYS);
	if (r == 0 && l.nbuckets > GROUP_BUCKETS_MAX)
		r = err_set(err, -E2BIG, "a linear histogram may have %d buckets at most: choose a larger step",
			    GROUP_BUCKETS_MAX - 2);
	for (size_t i = 0; r == 0 && i < a->nkeys; i++) {
		r = slot_text(&a->keys[i], p, entry, &l.keys[i].text, err);
		l.keys[i].off = l.key_size;
		l.key_size += (uint32_t)sizeof(struct group_part) + l.keys[i].text;
	}
	/* A long stack is cut: its innermost frames tell groups apart. */
	for (size_t i = 0; r == 0 && i < a->nkeys && l.key_size > GROUP_KEY_MAX; i++) {
		if (l.keys[i].text > l.key_size - GROUP_KEY_MAX && i == a->nkeys - 1) {
			l.keys[i].text -= l.key_size - GROUP_KEY_MAX;
			l.key_size = GROUP_KEY_MAX;
		}
	}
	if (r == 0 && l.key_size > GROUP_KEY_MAX)
		r = err_set(err, -E2BIG, "the keys of an aggregate take %u bytes (at most %d): a stack goes last",
			    l.key_size, GROUP_KEY_MAX);
	l.value_size = (uint32_t)(sizeof(struct group_value) + 8 * l.nbuckets);
	if (r == 0)
		*ret = l;
	return r;
}

/* ---- maps ---- */

struct group_class { /* a map of groups, and the array that it is in */
	uint32_t key_size, value_size;
	int outer, inner;
};

struct counted { /* a program with aggregates */
	const struct capture_program *program;
	struct group_layout *layouts;
	struct group_maps *maps;
};

struct groups {
	size_t max;
	int init;
	VEC(struct group_class) classes;
	struct map programs; /* probe + 1 → struct counted */
};

struct groups *groups_new(size_t max_groups)
{
	struct groups *g = xcalloc(1, sizeof(*g));

	g->max = max_groups ? max_groups : GROUPS_DEFAULT;
	g->init = -1;
	return g;
}

static void counted_free(struct counted *c)
{
	free(c->layouts);
	free(c->maps);
	free(c);
}

void groups_free(struct groups *g)
{
	uint64_t key;
	void *value;

	if (!g)
		return;
	for (size_t i = 0; map_next(&g->programs, &i, &key, &value);)
		counted_free(value);
	map_done(&g->programs);
	for (size_t i = 0; i < g->classes.len; i++) {
		close_fd(g->classes.data[i].outer);
		close_fd(g->classes.data[i].inner);
	}
	vec_done(&g->classes);
	close_fd(g->init);
	free(g);
}

/* What a new group begins with, so that BPF programs need not write it. */
static int make_init(struct groups *g, struct err *err)
{
	static const struct group_value values[GROUP_INITS] = {
		[GROUP_SIGNED] = {.min = (uint64_t)INT64_MAX, .max = (uint64_t)INT64_MIN},
		[GROUP_UNSIGNED] = {.min = UINT64_MAX},
	};
	uint32_t size = (uint32_t)sizeof(struct group_value) + 8 * GROUP_BUCKETS_MAX;
	_cleanup_(cleanup_free) struct group_value *v = xcalloc(1, size);

	if (g->init >= 0)
		return 0;
	g->init = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, size, GROUP_INITS, err);
	if (g->init < 0)
		return g->init;
	for (uint32_t i = 0; i < GROUP_INITS; i++) {
		*v = values[i];
		if (bpf_map_update_elem(g->init, &i, v, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int make_class(struct groups *g, const struct group_layout *l, struct err *err)
{
	struct group_class c = {l->key_size, l->value_size, -1, -1};
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	uint32_t zero = 0;
	int r = 0;

	c.inner = uprobe_hash_create(l->key_size, l->value_size, (uint32_t)g->max, err);
	if (c.inner < 0)
		return c.inner;
	opts.inner_map_fd = (uint32_t)c.inner;
	c.outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "earshot", 4, 4, 1, &opts);
	if (c.outer < 0 || bpf_map_update_elem(c.outer, &zero, &c.inner, BPF_ANY) < 0)
		r = err_set(err, -errno, "no BPF map of maps for the groups of an aggregate: %s", strerror(errno));
	if (r == 0)
		vec_push(&g->classes, c);
	if (r < 0) {
		close_fd(c.inner);
		close_fd(c.outer);
	}
	return r;
}

/* The outer map's descriptor. */
static int class_of(struct groups *g, const struct group_layout *l, struct err *err)
{
	int r;

	for (size_t i = 0; i < g->classes.len; i++)
		if (g->classes.data[i].key_size == l->key_size && g->classes.data[i].value_size == l->value_size)
			return g->classes.data[i].outer;
	r = make_class(g, l, err);
	return r < 0 ? r : g->classes.data[g->classes.len - 1].outer;
}

int groups_add(struct groups *g, uint32_t probe, const struct capture_program *p, const struct capture_program *entry,
	       struct err *err)
{
	struct counted *c;
	int r;

	if (groups_of(g, probe))
		return 0;
	r = make_init(g, err);
	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	c->program = p;
	c->layouts = xcalloc(p->naggregates, sizeof(*c->layouts));
	c->maps = xcalloc(1, sizeof(*c->maps) + p->naggregates * sizeof(c->maps->outer[0]));
	c->maps->init = g->init;
	for (size_t i = 0; i < p->naggregates && r >= 0; i++) {
		r = group_layout_of(&p->aggregates[i], p, entry, &c->layouts[i], err);
		if (r == 0)
			r = c->maps->outer[i] = class_of(g, &c->layouts[i], err);
	}
	if (r < 0)
		counted_free(c);
	else
		map_set(&g->programs, probe + UINT64_C(1), c);
	return MIN(r, 0);
}

const struct group_maps *groups_of(const struct groups *g, uint32_t probe)
{
	const struct counted *c = map_get(&g->programs, probe + UINT64_C(1));

	return c ? c->maps : NULL;
}

/* ---- reading ---- */

static void hand_over(const struct groups *g, const char *key, const struct group_value *v, plant_group_fn fn,
		      void *arg)
{
	const struct group_key_head *h = (const void *)key;
	const struct counted *c = map_get(&g->programs, h->probe + UINT64_C(1));
	struct plant_group out = {.probe = h->probe, .target = h->target, .aggregate = h->aggregate, .count = v->count};
	bool is_unsigned;

	if (!c || h->aggregate >= c->program->naggregates || !v->count)
		return;
	is_unsigned = c->program->aggregates[h->aggregate].is_unsigned;
	out.sum = (int128)((unsigned __int128)v->sum_high << 64 | v->sum);
	out.min = wide_of(v->min, is_unsigned);
	out.max = wide_of(v->max, is_unsigned);
	out.nbuckets = c->layouts[h->aggregate].nbuckets;
	out.buckets = out.nbuckets ? v->buckets : NULL;
	for (size_t i = 0; i < c->program->aggregates[h->aggregate].nkeys; i++) {
		const struct group_part *part = (const void *)(key + c->layouts[h->aggregate].keys[i].off);

		out.keys[i] = (struct plant_key){.status = part->status, .len = part->len, .word = part->word,
						 .bytes = part->len ? part + 1 : NULL};
	}
	fn(arg, &out);
}

static void read_map(const struct groups *g, const struct group_class *c, int inner, plant_group_fn fn, void *arg)
{
	_cleanup_(cleanup_free) uint64_t *keys = xcalloc(2, GROUP_KEY_MAX);
	_cleanup_(cleanup_free) struct group_value *v = xcalloc(1, c->value_size);
	char *key = (char *)keys, *at = NULL;

	while (bpf_map_get_next_key(inner, at, key) == 0) {
		if (bpf_map_lookup_elem(inner, key, v) == 0)
			hand_over(g, key, v, fn, arg);
		at = key;
	}
}

/*
 * Programs find the groups through the outer map. Once another map is in there, and the update, which waits for the
 * programs that run, is back, nobody adds to the old one any more.
 */
static int swap_map(const struct groups *g, struct group_class *c, int *ret_old)
{
	int fresh = uprobe_hash_create(c->key_size, c->value_size, (uint32_t)g->max, NULL);
	uint32_t zero = 0;

	if (fresh < 0)
		return fresh;
	if (bpf_map_update_elem(c->outer, &zero, &fresh, BPF_ANY) < 0) {
		int r = -errno;

		close_fd(fresh);
		return r;
	}
	*ret_old = c->inner;
	c->inner = fresh;
	return 0;
}

int groups_read(struct groups *g, bool clear, plant_group_fn fn, void *arg)
{
	for (size_t i = 0; i < g->classes.len; i++) {
		struct group_class *c = &g->classes.data[i];
		int old = -1, r = clear ? swap_map(g, c, &old) : 0;

		if (r < 0)
			return r;
		read_map(g, c, clear ? old : c->inner, fn, arg);
		close_fd(old);
	}
	return 0;
}

void groups_discard(struct groups *g, uint32_t target, uint32_t probe)
{
	_cleanup_(cleanup_free) uint64_t *keys = xcalloc(2, GROUP_KEY_MAX);
	char *key = (char *)keys, *next = key + GROUP_KEY_MAX;

	for (size_t i = 0; groups_of(g, probe) && i < g->classes.len; i++) {
		int map = g->classes.data[i].inner;
		bool more = bpf_map_get_next_key(map, NULL, key) == 0;

		while (more) {
			const struct group_key_head *h = (const void *)key;
			bool ours = h->target == target && h->probe == probe;

			more = bpf_map_get_next_key(map, key, next) == 0;
			if (ours)
				bpf_map_delete_elem(map, key);
			memcpy(key, next, GROUP_KEY_MAX);
		}
	}
}
