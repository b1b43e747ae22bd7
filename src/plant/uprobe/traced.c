#include "plant/uprobe/traced.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/vec.h"

#define CALLS_DEFAULT 65536
#define CONTROLS_BYTES (LOSS_PROBES * sizeof(struct control))

/* A table of shapes, in the kernel. */
struct table {
	const struct shape_table *shapes;
	int shapes_fd, edges_fd, dynamic_fd;
};

/* A table of contexts. */
struct contexts {
	const struct context_table *table;
	int fd;
};

/* The program of the entry, by group. */
struct known_entry {
	uint64_t binary_key;
	uint32_t group;
	const struct capture_program *program;
};

struct traced {
	size_t max_calls;
	struct uprobe_btf btf;
	int calls, big_calls;
	VEC(struct table) tables;
	VEC(struct contexts) contexts;
	VEC(struct known_entry) entries;
	int controls_fd;
	struct control *controls; /* the map, in our memory */
	struct groups *groups;
};

struct traced *traced_new(const struct planter_options *o)
{
	struct traced *t = xcalloc(1, sizeof(*t));

	t->max_calls = o && o->max_calls ? o->max_calls : CALLS_DEFAULT;
	t->groups = groups_new(o ? o->max_groups : 0);
	t->btf.fd = t->calls = t->big_calls = t->controls_fd = -1;
	return t;
}

static void table_done(struct table *t)
{
	close_fd(t->shapes_fd);
	close_fd(t->edges_fd);
	close_fd(t->dynamic_fd);
}

void traced_free(struct traced *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->tables.len; i++)
		table_done(&t->tables.data[i]);
	vec_done(&t->tables);
	for (size_t i = 0; i < t->contexts.len; i++)
		close_fd(t->contexts.data[i].fd);
	vec_done(&t->contexts);
	vec_done(&t->entries);
	groups_free(t->groups);
	if (t->controls)
		munmap(t->controls, CONTROLS_BYTES);
	close_fd(t->controls_fd);
	close_fd(t->btf.fd);
	close_fd(t->calls);
	close_fd(t->big_calls);
	free(t);
}

static int make_calls(struct traced *t, struct err *err)
{
	uint32_t n = (uint32_t)t->max_calls;

	if (t->calls < 0)
		t->calls = uprobe_hash_create(sizeof(struct call_key), sizeof(struct open_call), n, err);
	if (t->calls >= 0 && t->big_calls < 0)
		t->big_calls = uprobe_hash_create(sizeof(struct call_key), EVENT_MAX_CALL, n, err);
	return MIN(MIN(t->calls, t->big_calls), 0);
}

static const struct capture_program *find_entry(const struct traced *t, const struct capture_program *p,
						uint64_t binary_key)
{
	for (size_t i = 0; p->call_group && i < t->entries.len; i++)
		if (t->entries.data[i].group == p->call_group && t->entries.data[i].binary_key == binary_key)
			return t->entries.data[i].program;
	return NULL;
}

static bool has_callbacks(const struct capture_program *p)
{
	return p->role != PROGRAM_POINT || p->shapes;
}

void traced_know(struct traced *t, const struct plant_probe *probe, uint64_t binary_key)
{
	const struct capture_program *p = probe->program;

	if (p->role == PROGRAM_ENTRY && !find_entry(t, p, binary_key))
		vec_push(&t->entries, ((struct known_entry){binary_key, p->call_group, p}));
}

/* ---- control ---- */

static int make_controls(struct traced *t, struct err *err)
{
	void *at;

	if (t->controls)
		return 0;
	t->controls_fd = uprobe_mapped_array_create(sizeof(struct control), LOSS_PROBES, err);
	if (t->controls_fd < 0)
		return t->controls_fd;
	at = mmap(NULL, CONTROLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t->controls_fd, 0);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "a BPF array cannot be mapped: %s", strerror(errno));
	t->controls = at;
	return 0;
}

static int prepare_control(struct traced *t, const struct plant_probe *probe, struct err *err)
{
	if (!probe->program->controlled)
		return 0;
	if (probe->id >= LOSS_PROBES)
		return err_set(err, -E2BIG, "%s is probe number %u: only the first %u can be counted and limited",
			       probe->label, probe->id, LOSS_PROBES);
	return make_controls(t, err);
}

int traced_control(struct traced *t, uint32_t probe, const struct plant_control *c)
{
	int r = probe < LOSS_PROBES ? make_controls(t, NULL) : -ENOENT; /* it may come before the probe is planted */

	if (r < 0)
		return r;
	__atomic_store_n(&t->controls[probe].every, c->every, __ATOMIC_RELAXED);
	__atomic_store_n(&t->controls[probe].per_second, MIN(c->per_second, UINT64_C(0xfffffffe)), __ATOMIC_RELAXED);
	return 0;
}

uint64_t traced_hits(struct traced *t, uint32_t probe)
{
	return t->controls && probe < LOSS_PROBES ? __atomic_load_n(&t->controls[probe].hits, __ATOMIC_RELAXED) : 0;
}

int traced_aggregates(struct traced *t, bool clear, plant_group_fn fn, void *arg)
{
	return groups_read(t->groups, clear, fn, arg);
}

void traced_discard(struct traced *t, uint32_t target, uint32_t probe)
{
	groups_discard(t->groups, target, probe);
}

/* ---- shapes ---- */

static struct table *find_table(struct traced *t, const struct shape_table *shapes)
{
	for (size_t i = 0; i < t->tables.len; i++)
		if (t->tables.data[i].shapes == shapes)
			return &t->tables.data[i];
	return NULL;
}

/* In one call: a table has thousands of elements. */
static int fill(int map, const void *keys, const void *values, size_t n)
{
	uint32_t count = (uint32_t)n;

	return n && bpf_map_update_batch(map, keys, values, &count, NULL) < 0 ? -errno : 0;
}

static int fill_array(int map, const void *values, size_t n)
{
	_cleanup_(cleanup_free) uint32_t *keys = xcalloc(n + 1, sizeof(*keys));

	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	return fill(map, keys, values, n);
}

static int fill_shapes(const struct table *t)
{
	const size_t n = t->shapes->shapes.len;
	_cleanup_(cleanup_free) struct walk_shape *v = xcalloc(n + 1, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		const struct shape *s = &t->shapes->shapes.data[i];

		v[i] = (struct walk_shape){s->size, s->first_edge, s->nedges, 0};
	}
	return fill_array(t->shapes_fd, v, n);
}

static int fill_edges(const struct table *t)
{
	const size_t n = t->shapes->edges.len;
	_cleanup_(cleanup_free) struct walk_edge *v = xcalloc(n + 1, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		const struct shape_edge *s = &t->shapes->edges.data[i];

		v[i] = (struct walk_edge){.kind = s->kind, .count = s->count, .costs = s->costs, .offset = s->offset,
					  .count_off = s->count_off, .shape = s->shape, .max = s->max};
	}
	return fill_array(t->edges_fd, v, n);
}

static int fill_dynamic(const struct table *t)
{
	const size_t n = t->shapes->dynamic.len;
	_cleanup_(cleanup_free) uint64_t *keys = xcalloc(n + 1, sizeof(*keys));
	_cleanup_(cleanup_free) struct walk_dynamic *v = xcalloc(n + 1, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		const struct shape_dynamic *s = &t->shapes->dynamic.data[i];

		keys[i] = s->rtype;
		v[i] = (struct walk_dynamic){s->shape, s->direct};
	}
	return fill(t->dynamic_fd, keys, v, n);
}

static int fill_table(const struct table *t)
{
	int r = fill_shapes(t);

	if (r == 0)
		r = fill_edges(t);
	return r < 0 ? r : fill_dynamic(t);
}

static uint32_t at_least_one(size_t n)
{
	return (uint32_t)MAX(n, 1u);
}

static int make_table(struct traced *t, const struct shape_table *shapes, struct err *err)
{
	struct table n = {.shapes = shapes, .shapes_fd = -1, .edges_fd = -1, .dynamic_fd = -1};
	int r;

	n.shapes_fd = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(struct walk_shape),
					at_least_one(shapes->shapes.len), err);
	n.edges_fd = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(struct walk_edge),
				       at_least_one(shapes->edges.len), err);
	n.dynamic_fd = uprobe_hash_create(8, sizeof(struct walk_dynamic), at_least_one(shapes->dynamic.len), err);
	r = MIN(MIN(n.shapes_fd, n.edges_fd), n.dynamic_fd);
	if (r >= 0) {
		r = fill_table(&n);
		if (r < 0)
			err_set(err, r, "the shapes of values do not go into a BPF map: %s", strerror(-r));
	}
	if (r < 0)
		table_done(&n);
	else
		vec_push(&t->tables, n);
	return r;
}

/* ---- contexts ---- */

static int find_contexts(const struct traced *t, const struct context_table *table)
{
	for (size_t i = 0; i < t->contexts.len; i++)
		if (t->contexts.data[i].table == table)
			return t->contexts.data[i].fd;
	return -1;
}

static uint64_t context_flags(const struct context_table *table, const struct context_type *c)
{
	static const unsigned parents[] = {[CONTEXT_ROOT] = CHAIN_IS_ROOT, [CONTEXT_UNKNOWN] = 0,
					   [CONTEXT_FIELD] = CHAIN_HAS_FIELD, [CONTEXT_VIA] = CHAIN_HAS_VIA};

	return parents[c->parent] | (c->is_link ? CHAIN_IS_LINK : 0u) | (c->is_pooled ? CHAIN_POOLED : 0u) |
	       (c->is_value && table->span_key ? CHAIN_IS_VALUE : 0u);
}

static size_t contexts_count(const struct context_table *table)
{
	return table->types.len + table->spans.len;
}

static int fill_contexts(int fd, const struct context_table *table)
{
	const size_t n = contexts_count(table);
	_cleanup_(cleanup_free) uint64_t *keys = xcalloc(n + 1, sizeof(*keys));
	_cleanup_(cleanup_free) struct chain_type *v = xcalloc(n + 1, sizeof(*v));
	size_t k = 0;

	for (size_t i = 0; i < table->types.len; i++) {
		const struct context_type *c = &table->types.data[i];

		keys[k] = c->rtype;
		v[k++] = (struct chain_type){.flags = context_flags(table, c), .offset = c->offset, .via = c->via};
	}
	for (size_t i = 0; i < table->spans.len; i++) {
		const struct span_type *s = &table->spans.data[i];

		if (context_type_find(table, s->rtype))
			continue;
		keys[k] = s->rtype;
		v[k++] = (struct chain_type){.flags = CHAIN_IS_SPAN, .ids = s->ids, .remote = s->remote,
					     .kind = s->kind, .tracer = s->tracer, .scope = s->scope};
	}
	return fill(fd, keys, v, k);
}

static int make_contexts(struct traced *t, const struct context_table *table, struct err *err)
{
	size_t n = at_least_one(contexts_count(table));
	struct contexts c = {table, uprobe_hash_create(8, sizeof(struct chain_type), n, err)};
	int r = c.fd < 0 ? c.fd : fill_contexts(c.fd, table);

	if (c.fd < 0)
		return r;
	if (r < 0) {
		close(c.fd);
		return err_set(err, r, "the types of contexts do not go into a BPF map: %s", strerror(-r));
	}
	vec_push(&t->contexts, c);
	return 0;
}

void traced_env(struct traced *t, const struct plant_probe *probe, uint64_t binary_key, struct uprobe_env *env)
{
	const struct table *table = find_table(t, probe->program->shapes);

	env->groups = groups_of(t->groups, probe->id);
	env->entry = find_entry(t, probe->program, binary_key);

	env->shapes = table ? table->shapes_fd : -1;
	env->edges = table ? table->edges_fd : -1;
	env->dynamic = table ? table->dynamic_fd : -1;
	env->contexts = find_contexts(t, probe->program->contexts);
}

int traced_prepare(struct traced *t, struct uprobe_env *env, struct uprobe_btf *btf, const struct plant_probe *probe,
		   uint64_t binary_key, struct err *err)
{
	const struct capture_program *p = probe->program;
	int r = 0;

	if (has_callbacks(p) && t->btf.fd < 0)
		r = uprobe_btf_load(&t->btf, err);
	if (r == 0 && p->role != PROGRAM_POINT)
		r = make_calls(t, err);
	if (r == 0 && p->shapes && !find_table(t, p->shapes))
		r = make_table(t, p->shapes, err);
	if (r == 0 && p->contexts && find_contexts(t, p->contexts) < 0)
		r = make_contexts(t, p->contexts, err);
	if (r == 0)
		r = prepare_control(t, probe, err);
	if (r == 0 && p->naggregates)
		r = groups_add(t->groups, probe->id, p, find_entry(t, p, binary_key), err);
	env->controls = t->controls_fd;
	env->calls = t->calls;
	env->big_calls = t->big_calls;
	*btf = t->btf;
	return r;
}

/* ---- the calls that are open ---- */

struct found_call {
	struct call_key key;
	struct open_call call;
	uint64_t time_ns;
};

static int by_time(const void *a, const void *b)
{
	const struct found_call *x = *(struct found_call *const *)a, *y = *(struct found_call *const *)b;

	return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

struct found_calls {
	VEC(struct found_call *) list;
};

static void note_call(struct found_calls *f, const struct call_key *key, const struct open_call *call)
{
	struct found_call *c = xcalloc(1, sizeof(*c));

	c->key = *key;
	c->call = *call;
	c->time_ns = ((const struct event_header *)(const void *)call->record)->time_ns;
	vec_push(&f->list, c);
}

/* In batches, which are whole buckets: one key after the other would begin anew where a call ended meanwhile. */
static void find_calls(const struct traced *t, uint32_t target, struct found_calls *ret)
{
	uint32_t max = 512, at = 0, next = 0, n;
	struct call_key *keys = xcalloc(max, sizeof(*keys));
	struct open_call *calls = xcalloc(max, sizeof(*calls));
	bool first = true;
	int r = t->calls < 0 ? -1 : 0;

	while (r == 0) {
		n = max;
		r = bpf_map_lookup_batch(t->calls, first ? NULL : &at, &next, keys, calls, &n, NULL);
		if (r < 0 && errno == ENOSPC) { /* a bucket with more than that */
			max *= 2;
			keys = xrealloc(keys, max * sizeof(*keys));
			calls = xrealloc(calls, max * sizeof(*calls));
			r = 0;
			continue;
		}
		if (r < 0 && errno != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++)
			if (keys[i].target == target)
				note_call(ret, &keys[i], &calls[i]);
		at = next;
		first = false;
	}
	free(keys);
	free(calls);
}

/* Returns 1 if the call was handed over. */
static int show_call(struct traced *t, const struct found_call *f, plant_event_fn fn, void *arg)
{
	_cleanup_(cleanup_free) struct event_header *big = NULL;
	const struct event_header *h = (const void *)f->call.record;

	if (f->call.head.flags & CALL_BIG) {
		h = big = xcalloc(1, EVENT_MAX_CALL);
		if (bpf_map_lookup_elem(t->big_calls, &f->key, big) < 0)
			return 0;
	}
	if (f->call.head.flags & CALL_DEAD || h->size > (big ? EVENT_MAX_CALL : CALL_SMALL))
		return 0;
	fn(arg, h, h->size);
	return 1;
}

static void take_call(struct traced *t, const struct found_call *f)
{
	bpf_map_delete_elem(t->calls, &f->key);
	if (f->call.head.flags & CALL_BIG)
		bpf_map_delete_elem(t->big_calls, &f->key);
}

int traced_open_calls(struct traced *t, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	struct found_calls f = {0};
	int shown = 0;

	find_calls(t, target, &f);
	if (f.list.len)
		qsort(f.list.data, f.list.len, sizeof(f.list.data[0]), by_time);
	for (size_t i = 0; i < f.list.len; i++) {
		shown += fn ? show_call(t, f.list.data[i], fn, arg) : 0;
		if (take)
			take_call(t, f.list.data[i]);
		free(f.list.data[i]);
	}
	vec_done(&f.list);
	return shown;
}

void traced_forget(struct traced *t, uint32_t target)
{
	traced_open_calls(t, target, true, NULL, NULL);
}
