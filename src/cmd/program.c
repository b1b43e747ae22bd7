#include "cmd/program.h"

#include <stdio.h>

#include "base/buf.h"

void program_free(struct program *p)
{
	if (!p)
		return;
	binary_free(p->subject.binary);
	free(p->subject.probes);
	free(p->join_of_probe);
	free(p);
}

static void add_probe(struct program *p, const struct join *j, const struct planter_ops *planter, uint32_t id)
{
	struct plant_probe *probe = &p->subject.probes[p->subject.nprobes];

	*probe = (struct plant_probe){.id = id,
				      .label = j->func.name,
				      .program = &j->capture.program,
				      .auxiliary = !j->span,
				      .group = j->span ? j->capture.program.save_group : 0,
				      .optional = j->point->optional,
				      .begins = j->point->role == POINT_START};
	plant_probe_locate(probe, planter, p->subject.binary, &j->at);
	p->join_of_probe[p->subject.nprobes++] = j;
	p->nspans += j->point->role == POINT_START;
}

static void explain_nothing(struct program *p, const pack_set *packs)
{
	const struct join *refused = NULL;
	struct buf names = {0};
	struct err err = {0};

	for (size_t i = 0; i < p->njoins; i++)
		if (p->joins[i].span && !p->joins[i].variant && !p->joins[i].point->optional)
			refused = &p->joins[i];
	for (size_t i = 0; i < packs->len; i++)
		if (packs->data[i]->nspans)
			buf_printf(&names, "%s%s", names.len ? ", " : "", packs->data[i]->name);
	if (binary_check_runtime(p->subject.binary, &err) < 0)
		snprintf(p->subject.why, sizeof(p->subject.why), "%s", err.text);
	else if (refused)
		snprintf(p->subject.why, sizeof(p->subject.why), "nothing can be observed in it: %s", refused->why);
	else
		snprintf(p->subject.why, sizeof(p->subject.why), "it uses nothing that the packs know (%s)",
			 names.data ? names.data : "none loaded");
	buf_done(&names);
}

static void make_probes(struct program *p, const struct planter_ops *planter, uint32_t *next_probe)
{
	p->subject.probes = xcalloc(p->njoins, sizeof(*p->subject.probes));
	p->join_of_probe = xcalloc(p->njoins, sizeof(*p->join_of_probe));
	for (size_t i = 0; i < p->njoins; i++) {
		if (p->joins[i].variant)
			add_probe(p, &p->joins[i], planter, (*next_probe)++);
		else if (!p->joins[i].absent)
			p->refused++;
	}
}

static void analyse(struct program *p, const struct process *proc, const pack_set *packs,
		    const struct planter_ops *planter, uint32_t *next_probe)
{
	struct subject *s = &p->subject;
	struct err err = {0};
	int r = binary_open_as(proc->exe_path, proc->exe, &s->binary, &err);

	if (r >= 0)
		r = join_packs(s->binary, packs->data, packs->len, &planter->caps, &p->joins, &p->njoins, &err);
	if (r >= 0)
		make_probes(p, planter, next_probe);
	if (r >= 0)
		r = binary_check(s->binary, &err);
	if (r < 0) {
		snprintf(s->why, sizeof(s->why), "%s", err.text);
		return;
	}
	if (!p->nspans)
		explain_nothing(p, packs);
	image_trim(binary_image(s->binary));
}

struct program *program_new(const struct process *proc, const pack_set *packs, const struct planter_ops *planter,
			    uint32_t *next_probe)
{
	struct program *p = xcalloc(1, sizeof(*p));

	analyse(p, proc, packs, planter, next_probe);
	return p;
}
