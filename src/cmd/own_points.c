#include "cmd/own_points.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"

static bool lacks_any(const struct plant_probe *probe)
{
	const struct own_point *own = probe->own;

	while (own && !own->nlacks)
		own = own->next;
	return own;
}

size_t own_points_choose(struct plant_probe *probes, size_t n, bool plants)
{
	struct map lacking = {0}; /* groups */
	size_t chosen = 0;

	for (size_t i = 0; plants && i < n; i++)
		if (lacks_any(&probes[i]))
			probes[i].own = NULL;
	for (size_t i = 0; i < n; i++)
		if (probes[i].group && !probes[i].own && (!probes[i].optional || probes[i].ends))
			map_set(&lacking, probes[i].group, probes);
	for (size_t i = 0; i < n; i++) {
		if (probes[i].group && map_get(&lacking, probes[i].group))
			probes[i].own = NULL;
		chosen += probes[i].own != NULL;
	}
	map_done(&lacking);
	return chosen;
}

typedef VEC(const struct own_lack *) lack_list;

static void add_lack(lack_list *all, const struct own_lack *l)
{
	for (size_t i = 0; i < all->len; i++)
		if (!strcmp(all->data[i]->pack, l->pack) && !strcmp(all->data[i]->name, l->name))
			return;
	vec_push(all, l);
}

void own_points_lacks(const struct plant_probe *probes, size_t n, struct buf *out)
{
	lack_list all = {0};

	for (size_t i = 0; i < n; i++)
		for (const struct own_point *own = probes[i].own; own; own = own->next)
			for (size_t k = 0; k < own->nlacks; k++)
				add_lack(&all, &own->lacks[k]);
	for (size_t i = 0; i < all.len; i++)
		buf_printf(out, "%s%s (%s: %s)", i ? ", " : "", all.data[i]->name, all.data[i]->pack,
			   all.data[i]->why);
	vec_done(&all);
}

int own_points_attach(struct woven *w, const struct observed_process *p, bool kernel_clock, struct err *err)
{
	const struct executable *x = p->executable;
	struct woven_target target = {
	    .id = p->id,
	    .pid = p->process.pid,
	    .bias = p->bias,
	    .image = binary_image(x->binary),
	    .kernel_clock = kernel_clock,
	};
	VEC(struct woven_probe) probes = {0};
	int r;

	for (size_t i = 0; i < x->nprobes; i++) {
		const struct plant_probe *probe = &x->probes[i];

		for (const struct own_point *own = probe->own; own; own = own->next) {
			if (!own->key)
				continue; /* of a release there is none */
			target.known = own->known; /* the same of all */
			target.nknown = own->nknown;
			vec_push(&probes, ((struct woven_probe){.key = own->key,
								.id = probe->id,
								.group = probe->group,
								.func = own->key,
								.program = probe->program,
								.slots = own->slots,
								.answer = own->answer,
								.plan = own->plan}));
		}
	}
	r = woven_attach(w, &target, probes.data, probes.len, err);
	if (r == 0)
		r = (int)probes.len;
	vec_done(&probes);
	return r;
}

bool own_points_decide(const struct observed_process *p)
{
	const struct executable *x = p->executable;

	for (size_t i = 0; i < x->nprobes; i++)
		for (const struct own_point *own = x->probes[i].own; own; own = own->next)
			if (own->plan)
				return true;
	return false;
}

/* In the environment that it was started with. */
static bool is_refused(const char *procfs, int pid)
{
	static const char setting[] = "EARSHOT_RECORD=never";
	_cleanup_(buf_done) struct buf b = {0};
	char path[64];

	snprintf(path, sizeof(path), "%.30s/%d/environ", procfs, pid);
	return file_read(path, &b, 0) == 0 && b.len && memmem(b.data, b.len, setting, sizeof(setting));
}

bool own_points_begin(const char *procfs, const struct process *p)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[64];

	snprintf(path, sizeof(path), "%.30s/%d/status", procfs, p->pid);
	return file_read(path, &b, 0) == 0 && b.data && strstr(b.data, "\nThreads:\t1\n") &&
	       !is_refused(procfs, p->pid);
}
