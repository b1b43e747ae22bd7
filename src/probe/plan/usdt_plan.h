/*
 * Questions × the USDT probes of a file → what is planted, a plan for each site: a probe's sites differ in where the
 * arguments lie. Needs no running process and no privileges.
 */
#ifndef PROBE_USDT_PLAN_H
#define PROBE_USDT_PLAN_H

#include "probe/plan/call_plan.h"
#include "usdt/notes.h"

/* Whether the question is about the site's probe. */
bool usdt_question_matches(const struct question *q, const struct usdt_site *s);
/*
 * Plans a question for one site; what cannot be asked of it is the plan's why. Lives in arena, as long as the site and
 * the question do. Of o the limits, the capabilities and what is wanted count.
 */
void usdt_plan_make(const struct question *q, const struct usdt_site *s, const struct call_plan_options *o,
		    struct arena *arena, struct call_plan *ret);

#endif
