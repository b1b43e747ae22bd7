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

static void add_probe(struct program *p, const struct join *j, uint32_t id)
{
	p->join_of_probe[p->subject.nprobes] = j;
	p->subject.probes[p->subject.nprobes++] = (struct plant_probe){.id = id,
						       .label = j->func.name,
						       .sites = j->sites,
						       .nsites = j->nsites,
						       .program = &j->capture.program,
						       .auxiliary = !j->span,
						       .group = j->span ? j->capture.program.save_group : 0,
						       .optional = j->point->optional,
						       .begins = j->point->role == POINT_START};
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

static void analyse(struct program *p, const struct process *proc, const pack_set *packs,
		    const struct planter_caps *caps, uint32_t *next_probe)
{
	struct err err = {0};

	if (binary_open_as(proc->exe_path, proc->exe, &p->subject.binary, &err) < 0 ||
	    join_packs(p->subject.binary, packs->data, packs->len, caps, &p->joins, &p->njoins, &err) < 0 ||
	    binary_check(p->subject.binary, &err) < 0) {
		snprintf(p->subject.why, sizeof(p->subject.why), "%s", err.text);
		return;
	}
	p->subject.probes = xcalloc(p->njoins, sizeof(*p->subject.probes));
	p->join_of_probe = xcalloc(p->njoins, sizeof(*p->join_of_probe));
	for (size_t i = 0; i < p->njoins; i++) {
		if (p->joins[i].variant)
			add_probe(p, &p->joins[i], (*next_probe)++);
		else if (!p->joins[i].absent)
			p->refused++;
	}
	if (!p->nspans)
		explain_nothing(p, packs);
	image_trim(binary_image(p->subject.binary));
}

struct program *program_new(const struct process *proc, const pack_set *packs, const struct planter_caps *caps,
			    uint32_t *next_probe)
{
	struct program *p = xcalloc(1, sizeof(*p));

	analyse(p, proc, packs, caps, next_probe);
	return p;
}
