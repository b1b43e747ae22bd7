/* The executables of an observation: each file is analysed once, by every consumer, for all processes that run it. */
#include <stdio.h>

#include "base/buf.h"
#include "cmd/observation_internal.h"
#include "cmd/own_points.h"

void executable_free(struct observation *ob, struct executable *x)
{
	struct consumer *c;

	for_consumers(c, ob)
		if (wanted_of(x, c))
			c->ops->release(wanted_of(x, c));
	binary_free(x->binary);
	free(x->wanted);
	free(x->probes);
	free(x);
}

/* Why nobody wants anything of it: what each consumer says. x->why stays "" where somebody does. */
static void explain_nothing(struct observation *ob, struct executable *x)
{
	_cleanup_(buf_done) struct buf all = {0};
	struct consumer *c;

	for_consumers(c, ob) {
		if (!wanted_of(x, c)->why[0])
			return;
		buf_printf(&all, "%s%s", all.len ? "; " : "", wanted_of(x, c)->why);
	}
	snprintf(x->why, sizeof(x->why), "%s", all.data);
}

void executable_collect(struct observation *ob, struct executable *x)
{
	uint32_t groups = 0, last;
	struct consumer *c;
	size_t n = 0;

	for_consumers(c, ob)
		n += wanted_of(x, c)->nprobes;
	x->probes = xcalloc(n, sizeof(*x->probes));
	for_consumers(c, ob) {
		struct wanted *w = wanted_of(x, c);

		w->first = x->nprobes;
		last = groups;
		for (size_t i = 0; i < w->nprobes && !w->why[0]; i++) {
			w->probes[i].id = observation_number(ob, c);
			w->probes[i].group += w->probes[i].group ? groups : 0;
			last = MAX(last, w->probes[i].group);
			x->probes[x->nprobes++] = w->probes[i];
		}
		groups = last;
	}
	x->nown = own_points_choose(x->probes, x->nprobes, ob->planter);
}

static void analyse(struct observation *ob, struct executable *x)
{
	struct consumer *c;
	struct err err = {0};

	x->wanted = xcalloc(ob->consumers.len, sizeof(struct wanted *));
	for_consumers(c, ob)
		x->wanted[c->index] = c->ops->analyse(c, x);
	explain_nothing(ob, x);
	if (binary_check(x->binary, &err) < 0) { /* what was read of it is worth nothing */
		snprintf(x->why, sizeof(x->why), "%s", err.text);
		return;
	}
	for_consumers(c, ob)
		ob->processes.refused += wanted_of(x, c)->refused;
	if (!x->why[0])
		executable_collect(ob, x);
	for_consumers(c, ob)
		if (!wanted_of(x, c)->why[0] && c->ops->numbered)
			c->ops->numbered(c, x, wanted_of(x, c));
	image_trim(binary_image(x->binary));
}

static struct executable *executable_new(struct observation *ob, const struct process *proc)
{
	struct executable *x = xcalloc(1, sizeof(*x));
	struct err err = {0};

	if (binary_open_as(proc->exe_path, proc->exe, &x->binary, &err) < 0)
		snprintf(x->why, sizeof(x->why), "%s", err.text);
	else
		analyse(ob, x);
	x->file = x->binary ? *image_file_id(binary_image(x->binary)) : proc->file;
	x->key = ob->processes.executables.len + 1;
	map_set(&ob->processes.executables, x->key, x);
	return x;
}

/* One whose file was only linked or renamed since is still the one. */
static bool is_of(struct executable *x, const struct file_id *file)
{
	if (file_id_alike(&x->file, file) && x->binary && binary_intact(x->binary))
		x->file = *image_file_id(binary_image(x->binary));
	return file_id_equal(&x->file, file);
}

struct executable *executable_of(struct observation *ob, const struct process *proc)
{
	struct executable *x;

	for (size_t pos = 0; (x = observation_next_executable(ob, &pos));)
		if (is_of(x, &proc->file))
			return x;
	return executable_new(ob, proc);
}

struct executable *observation_next_executable(const struct observation *ob, size_t *pos)
{
	void *x;

	return map_next(&ob->processes.executables, pos, NULL, &x) ? x : NULL;
}
