#include "plant/uprobe/traced.h"

#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/vec.h"

#define CALLS_DEFAULT 65536

struct traced {
	size_t max_calls;
	struct uprobe_btf btf;
	int calls, big_calls;
};

struct traced *traced_new(const struct planter_options *o)
{
	struct traced *t = xcalloc(1, sizeof(*t));

	t->max_calls = o && o->max_calls ? o->max_calls : CALLS_DEFAULT;
	t->btf.fd = t->calls = t->big_calls = -1;
	return t;
}

void traced_free(struct traced *t)
{
	if (!t)
		return;
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

static bool has_callbacks(const struct capture_program *p)
{
	return p->role != PROGRAM_POINT;
}

int traced_prepare(struct traced *t, struct uprobe_env *env, struct uprobe_btf *btf, const struct plant_probe *probe,
		   struct err *err)
{
	const struct capture_program *p = probe->program;
	int r = 0;

	if (has_callbacks(p) && t->btf.fd < 0)
		r = uprobe_btf_load(&t->btf, err);
	if (r == 0 && p->role != PROGRAM_POINT)
		r = make_calls(t, err);
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

static void note_call(struct traced *t, const struct call_key *key, struct found_call ***list, size_t *n)
{
	struct found_call *f = xcalloc(1, sizeof(*f));
	const struct event_header *h = (const void *)f->call.record;

	f->key = *key;
	if (bpf_map_lookup_elem(t->calls, key, &f->call) < 0) {
		free(f);
		return;
	}
	f->time_ns = h->time_ns;
	*list = xrealloc(*list, (*n + 1) * sizeof(**list));
	(*list)[(*n)++] = f;
}

/* While others delete elements the iteration may begin anew: each key is noted once. */
static struct found_call **find_calls(struct traced *t, uint32_t target, size_t *ret_n)
{
	struct found_call **list = NULL;
	struct call_key key, *at = NULL;
	size_t n = 0;

	while (t->calls >= 0 && bpf_map_get_next_key(t->calls, at, &key) == 0) {
		if (key.target == target)
			note_call(t, &key, &list, &n);
		at = &key;
	}
	*ret_n = n;
	return list;
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
	size_t n = 0;
	struct found_call **list = find_calls(t, target, &n);
	int shown = 0;

	if (n)
		qsort(list, n, sizeof(*list), by_time);
	for (size_t i = 0; i < n; i++) {
		shown += fn ? show_call(t, list[i], fn, arg) : 0;
		if (take)
			take_call(t, list[i]);
		free(list[i]);
	}
	free(list);
	return shown;
}

void traced_forget(struct traced *t, uint32_t target)
{
	traced_open_calls(t, target, true, NULL, NULL);
}
