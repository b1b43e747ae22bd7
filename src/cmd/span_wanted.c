#include "cmd/span_wanted.h"

#include <stdio.h>

#include "base/buf.h"
#include "cmd/sdk_text.h"

void span_wanted_free(struct span_wanted *s)
{
	if (!s)
		return;
	free(s->wanted.probes);
	free(s->join_of_probe);
	shape_table_free(s->shapes);
	span_plan_done(&s->functions);
	woven_set_done(&s->woven);
	free(s);
}

static const struct own_point *own_point_of(struct woven_set *s, const struct join *j)
{
	const struct woven_point *p = NULL;
	struct own_point *all = NULL;
	const int *slots;

	while ((p = woven_match(s, j, p, &slots))) {
		struct own_point *own = arena_new(&s->arena, struct own_point);

		*own = (struct own_point){.key = p->key,
					  .known = s->known,
					  .nknown = s->nknown,
					  .slots = slots,
					  .plan = woven_plan_of(s, p, j),
					  .next = all};
		all = own;
	}
	if (all)
		all->lacks = woven_lacks(s, j, all, &all->nlacks);
	return all;
}

/* What woven code gives a call instead of its own nobody has to give back: its release has nothing to do. */
static const struct own_point *own_release(struct span_wanted *s, const struct join *release)
{
	static const struct own_point nothing;
	const int *slots;

	for (size_t i = 0; i < s->njoins; i++) {
		const struct join *j = &s->joins[i];

		if (j->variant && pack_lends(j->variant) && j->func.entry == release->func.entry &&
		    woven_match(&s->woven, j, NULL, &slots))
			return &nothing;
	}
	return NULL;
}

static void add_probe(struct span_wanted *s, struct binary *b, const struct join *j, const struct planter_ops *planter)
{
	struct wanted *w = &s->wanted;
	struct plant_probe *probe = &w->probes[w->nprobes];
	/* What lends a call its memory, and what has it given back, are of no use without each other */
	const bool loan = pack_loan(j->point, j->variant), writes = point_writes(j->point);

	*probe = (struct plant_probe){.label = j->func.name,
				      .program = &j->capture.program,
				      .auxiliary = !j->span || writes,
				      .group = !j->span || (writes && !loan) ? 0 : j->capture.program.save_group,
				      .optional = j->point->optional && !loan,
				      .ends = j->point->role == POINT_END,
				      .begins = j->point->role == POINT_START,
				      .own = j->point->role == POINT_RELEASE ? own_release(s, j)
									     : own_point_of(&s->woven, j)};
	plant_probe_locate(probe, planter, b, &j->at);
	if (loan && !planter->caps.lends) {
		probe->sites = NULL;
		probe->why = "this way of planting cannot give a call other arguments, as --planter patch can";
	}
	s->join_of_probe[w->nprobes++] = j;
	s->nspans += j->point->role == POINT_START;
}

static void explain_nothing(struct span_wanted *s, struct binary *b, const pack_set *packs)
{
	struct wanted *w = &s->wanted;
	const struct join *refused = NULL;
	struct buf names = {0};
	struct err err = {0};

	for (size_t i = 0; i < s->njoins; i++)
		if (s->joins[i].span && !s->joins[i].variant && !s->joins[i].point->optional)
			refused = &s->joins[i];
	for (size_t i = 0; i < packs->len; i++)
		if (packs->data[i]->nspans)
			buf_printf(&names, "%s%s", names.len ? ", " : "", packs->data[i]->name);
	if (binary_check_runtime(b, &err) < 0)
		snprintf(w->why, sizeof(w->why), "%s", err.text);
	else if (s->functions.refused.len)
		snprintf(w->why, sizeof(w->why), "%s", s->functions.refused.data[0]);
	else if (refused)
		snprintf(w->why, sizeof(w->why), "nothing can be observed in it: %s", refused->why);
	else
		snprintf(w->why, sizeof(w->why), "it uses nothing that the packs know (%s)",
			 names.data ? names.data : "none loaded");
	buf_done(&names);
}

int span_joins(struct binary *b, const pack_set *packs, struct pack *functions, const struct join_options *with,
	       struct shape_table **ret_shapes, struct join **ret, size_t *ret_n, struct err *err)
{
	struct pack **all = xcalloc(packs->len + 1, sizeof(*all));
	struct join_options o = *with;
	size_t n = 0;
	int r;

	for (; n < packs->len; n++)
		all[n] = packs->data[n];
	if (functions)
		all[n++] = functions;
	o.shapes = *ret_shapes = join_shapes(b, packs->data, packs->len);
	r = join_packs(b, all, n, &o, ret, ret_n, err);
	if (o.shapes)
		shape_table_finish(o.shapes);
	free(all);
	return r;
}

/* What an SDK says of its traces is told by records only. */
static const struct join_marks *marks_for(struct binary *b, const struct join_marks *asked)
{
	return asked && (asked->sent || !has_sdk(b)) ? asked : NULL;
}

/* Those of --span, and those that the program's own source asks for. */
static size_t functions_asked(struct span_wanted *s, const struct spans_asked *asked, struct span_question **ret)
{
	size_t n = asked->nfunctions;
	struct span_question *all = arena_array(&s->woven.arena, struct span_question, n + s->woven.n + 1);

	if (n)
		memcpy(all, asked->functions, n * sizeof(*all));
	for (size_t i = 0; i < s->woven.n; i++) {
		const struct woven_point *p = &s->woven.points[i];

		if (p->asked && !p->at_return && !span_question_parse(p->asked, &s->woven.arena, &all[n], NULL))
			n++;
	}
	*ret = all;
	return n;
}

struct span_wanted *span_wanted_new(struct binary *b, const struct spans_asked *asked)
{
	struct planter_caps caps = asked->planter->caps;
	const struct join_options with = {.caps = &caps, .alone = asked->alone,
					  .propagators = asked->propagators, .marks = marks_for(b, asked->marks),
					  .propagate = asked->propagate};
	struct span_wanted *s = xcalloc(1, sizeof(*s));
	struct span_question *functions;
	struct err err = {0};
	size_t nfunctions;

	woven_set_read(b, &s->woven);
	caps.lends |= s->woven.n > 0;
	packs_declare_types(b, asked->packs->data, asked->packs->len);
	nfunctions = functions_asked(s, asked, &functions);
	if (nfunctions)
		span_plan_make(b, functions, nfunctions, &s->functions);
	s->wanted.refused = (unsigned)s->functions.refused.len;
	if (span_joins(b, asked->packs, s->functions.pack, &with, &s->shapes, &s->joins,
		       &s->njoins, &err) < 0) {
		snprintf(s->wanted.why, sizeof(s->wanted.why), "%s", err.text);
		return s;
	}
	s->wanted.probes = xcalloc(s->njoins, sizeof(*s->wanted.probes));
	s->join_of_probe = xcalloc(s->njoins, sizeof(*s->join_of_probe));
	for (size_t i = 0; i < s->njoins; i++) {
		if (s->joins[i].variant)
			add_probe(s, b, &s->joins[i], asked->planter);
		else if (!s->joins[i].absent)
			s->wanted.refused++;
	}
	if (!s->nspans)
		explain_nothing(s, b, asked->packs);
	return s;
}

double span_wanted_price(const struct span_wanted *s, struct planter *planter)
{
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->wanted.nprobes; i++) {
		if (s->join_of_probe[i]->pack != s->functions.pack || s->wanted.probes[i].own)
			continue;
		sum += sites_price_ns(planter, s->wanted.probes[i].sites);
		n += s->wanted.probes[i].begins;
	}
	return n ? sum / (double)n : 0;
}
