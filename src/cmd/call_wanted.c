#include "cmd/call_wanted.h"

#include <stdio.h>
#include <string.h>

#include "cmd/summary.h"
#include "plant/planters.h"
#include "sink/text.h"

#define SITES_ASK 1000     /* more than this want --yes */
#define SITES_TELL 100     /* more than this are announced with their price */
#define REFUSALS_SHOWN 5
#define FOLLOW_ASK_NS 1000000 /* what one call of each function that is followed may cost without --yes */

void call_wanted_free(struct call_wanted *t)
{
	if (!t)
		return;
	shape_table_free(t->plans.shapes);
	free(t->wanted.probes);
	free(t->plan_of_probe);
	free(t->probes_of_plan);
	woven_set_done(&t->woven);
	free(t);
}

static const struct own_point *own_point_of(struct call_wanted *t, const struct own_point *own)
{
	struct own_point *o = arena_memdup(&t->woven.arena, own, sizeof(*own));

	o->known = t->woven.known;
	o->nknown = t->woven.nknown;
	return o;
}

/* Of one side of a plan that is answered by what the program records. */
static const struct own_point *own_side(struct call_wanted *t, const struct call_plan *p, bool at_return)
{
	const struct recorded_points *r = CONTAINER_OF(p->recorded, const struct recorded_points, call);
	struct woven_answer *a = arena_new(&t->woven.arena, struct woven_answer);

	*a = (struct woven_answer){.forms = at_return ? p->ret_forms : p->entry_forms,
				   .n = at_return ? r->call.ret.nslots : r->call.entry.nslots,
				   .entry = at_return ? &p->entry : NULL};
	return own_point_of(t, &(struct own_point){.key = at_return ? r->ret->key : r->entry->key, .answer = a});
}

static const struct own_point *own_hook(struct call_wanted *t, const struct call_hook *h)
{
	const int *slots;
	const struct woven_point *p = h->join ? woven_match(&t->woven, h->join, NULL, &slots) : NULL;

	return p ? own_point_of(t, &(struct own_point){.key = p->key, .slots = slots}) : NULL;
}

/* Returns which one it is, from 1. */
static size_t add_probe(struct call_wanted *t, struct binary *b, const char *label, const struct join_point *at,
			const struct capture_program *program, const struct call_plan *plan)
{
	struct plant_probe *probe = &t->wanted.probes[t->wanted.nprobes];

	*probe = (struct plant_probe){.label = label,
				      .program = program,
				      .group = program->call_group,
				      .begins = program->role == PROGRAM_ENTRY,
				      .unless_own = plan && plan->unless_recorded};
	if (plan && plan->recorded) {
		probe->own = own_side(t, plan, program == &plan->ret);
		probe->own_only = true;
	} else {
		plant_probe_locate(probe, t->inquiry->planter, b, at);
	}
	t->plan_of_probe[t->wanted.nprobes++] = plan;
	t->nsites += join_point_probes(at);
	return t->wanted.nprobes;
}

static void add_probes(struct call_wanted *t, struct binary *b)
{
	size_t most = 2 * t->plans.len + t->plans.nhooks;

	t->wanted.probes = xcalloc(most, sizeof(*t->wanted.probes));
	t->plan_of_probe = xcalloc(most, sizeof(*t->plan_of_probe));
	t->probes_of_plan = xcalloc(t->plans.len, sizeof(*t->probes_of_plan));
	for (size_t i = 0; i < t->plans.nhooks; i++) {
		const struct call_hook *h = &t->plans.hooks[i];

		add_probe(t, b, h->name, &h->at, &h->program, NULL);
		t->wanted.probes[i].auxiliary = true;
		t->wanted.probes[i].own = own_hook(t, h);
	}
	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];
		struct plan_probes *probes = &t->probes_of_plan[i];
		const bool returns = p->recorded ? p->has_return : p->at_return.nspots;

		if (p->why) {
			t->wanted.refused++;
			continue;
		}
		if (returns) /* before the entry: a call that begins in between is not seen, rather than left open */
			probes->ret = add_probe(t, b, p->name, &p->at_return, &p->ret, p);
		probes->entry = add_probe(t, b, p->name, &p->at_entry, &p->entry, p);
	}
}

struct plan_ids call_wanted_ids(const struct call_wanted *t, size_t plan)
{
	const struct plan_probes *p = &t->probes_of_plan[plan];

	return (struct plan_ids){.entry = p->entry ? t->wanted.probes[p->entry - 1].id : 0,
				 .ret = p->ret ? t->wanted.probes[p->ret - 1].id : 0};
}

static void explain_nothing(struct call_wanted *t)
{
	const struct call_plan *first = t->plans.len ? &t->plans.data[0] : NULL;

	if (!first && t->plans.unrecorded)
		snprintf(t->wanted.why, sizeof(t->wanted.why),
			 "no function that matches is woven (earshot build --trace), and nothing can be planted: %s",
			 t->inquiry->plan.cannot_plant);
	else if (!first)
		snprintf(t->wanted.why, sizeof(t->wanted.why), "no function matches");
	else if (t->plans.len == 1)
		snprintf(t->wanted.why, sizeof(t->wanted.why), "%s cannot be traced: %s", first->name, first->why);
	else
		snprintf(t->wanted.why, sizeof(t->wanted.why),
			 "none of the %zu functions that match can be traced; %s: %s", t->plans.len, first->name,
			 first->why);
}

struct call_wanted *call_wanted_new(struct binary *b, const struct inquiry *q)
{
	struct call_wanted *t = xcalloc(1, sizeof(*t));
	struct call_plan_options options = q->plan;
	struct wanted *w = &t->wanted;
	struct err err = {0};

	t->inquiry = q;
	woven_set_read(b, &t->woven);
	options.recorded = woven_calls(&t->woven, &options.nrecorded);
	if (call_plans_make(b, q->questions, q->nquestions, &options, &t->plans, &err) < 0) {
		w->refused = (unsigned)q->nquestions;
		snprintf(w->why, sizeof(w->why), "%s", err.text);
		return t;
	}
	add_probes(t, b);
	if (w->refused == t->plans.len)
		explain_nothing(t);
	else if (t->nsites > SITES_ASK && !q->yes)
		snprintf(w->why, sizeof(w->why),
			 "%zu functions match, with %zu sites to plant: narrow the pattern (%s lists them), or say "
			 "--yes",
			 t->plans.len - w->refused, t->nsites, q->list_option);
	return t;
}

/* An inlined call that this planter cannot observe makes the number of the function's calls too small. */
void call_wanted_mark_unplanted(struct call_wanted *t, const struct observed_process *process)
{
	struct plant *const *plants = process->plants ? process->plants + t->wanted.first : NULL;

	for (size_t i = 0; plants && i < t->wanted.nprobes; i++) {
		const struct call_plan *p = t->plan_of_probe[i];

		for (size_t k = 0; p && p->inlined && !plants[i] && !p->inexact && k < t->plans.len; k++)
			if (t->plans.data[k].question == p->question && !strcmp(t->plans.data[k].name, p->name))
				t->plans.data[k].inexact = true;
	}
}

/* The probe of the return of the plan of which this is the entry's; NULL: it has none. */
static const struct plant_probe *return_of(const struct call_wanted *t, size_t probe)
{
	const struct call_plan *p = t->plan_of_probe[probe];
	const struct plant_probe *before = probe ? &t->wanted.probes[probe - 1] : NULL;

	return before && before->program == &p->ret ? before : NULL; /* as add_probes puts them */
}

double call_wanted_price(const struct call_wanted *t, size_t probe, struct planter *planter)
{
	const struct call_plan *p = t->plan_of_probe[probe];
	const struct plant_probe *ret;

	if (!p || !planter || t->wanted.probes[probe].program != &p->entry)
		return 0;
	ret = return_of(t, probe);
	return sites_price_ns(planter, t->wanted.probes[probe].sites) + (ret ? sites_price_ns(planter, ret->sites) : 0);
}

const char *call_wanted_refusal(const struct call_wanted *t, size_t probe)
{
	const struct plant_probe *ret = return_of(t, probe);

	return t->wanted.probes[probe].why ? t->wanted.probes[probe].why : ret ? ret->why : NULL;
}

static double mean_call_price(const struct call_wanted *t, struct planter *planter)
{
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < t->wanted.nprobes; i++) {
		double price = call_wanted_price(t, i, planter);

		sum += price;
		n += price > 0;
	}
	return n ? sum / (double)n : 0;
}

/* text without "NAME…" at its start, where it says so itself. */
static const char *without_prefix(const char *text, const char *name, const char *more)
{
	size_t n = strlen(name), m = strlen(more);

	return !strncmp(text, name, n) && !strncmp(text + n, more, m) ? text + n + m : text;
}

/* "main.reply: arg0, arg2, results cannot be read (shown as ?): the reason of the first". False when all can be. */
static bool unread_text(const struct call_plan *p, struct buf *out)
{
	const char *why = NULL, *first = NULL;

	for (size_t i = 0; i < p->nshown; i++) {
		if (!p->shown[i].why)
			continue;
		if (why) {
			buf_printf(out, ", %s", p->shown[i].name);
			continue;
		}
		why = p->shown[i].why;
		first = p->shown[i].name;
		buf_printf(out, "%s: %s", p->name, first);
	}
	if (why)
		buf_printf(out, " cannot be read (shown as ?): %s", without_prefix(why, first, " cannot be read: "));
	return why;
}

/* How many plans from i on are of the same name and question and satisfy is. */
static size_t alike(const struct call_wanted *t, size_t i, bool (*is)(const struct call_plan *p))
{
	const struct call_plan *first = &t->plans.data[i];
	size_t n = 0;

	for (; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];

		n += p->question == first->question && !strcmp(p->name, first->name) && is(p);
	}
	return n;
}

static bool is_unseen(const struct call_plan *p)
{
	return p->inlined && p->why;
}

static bool is_approximate(const struct call_plan *p)
{
	return !p->why && p->approximate;
}

/* Plans of a name come one after the other: whether the one before is shown already. */
static bool told_before(const struct call_wanted *t, size_t i, bool (*is)(const struct call_plan *p))
{
	const struct call_plan *p = &t->plans.data[i];

	while (i > 0 && t->plans.data[i - 1].question == p->question && !strcmp(t->plans.data[i - 1].name, p->name))
		if (is(&t->plans.data[--i]))
			return true;
	return false;
}

/* Which inlined calls are not seen at all, and which are not counted one by one: for each function in one line. */
static void explain_inlined(const struct call_wanted *t, bool (*is)(const struct call_plan *p), const char *what,
			    struct observation *ob)
{
	unsigned shown = 0, more = 0;

	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];
		size_t n;

		if (!is(p) || told_before(t, i, is))
			continue;
		n = alike(t, i, is);
		if (shown++ < REFUSALS_SHOWN)
			observation_note(ob, "%zu inlined %s of %s %s: %s", n, n == 1 ? "call" : "calls", p->name,
					 what, p->why ? p->why : p->approximate);
		else
			more++;
	}
	if (more)
		observation_note(ob, "inlined calls of %u more %s %s; %s tells why", more,
				 plural(more, "function", "functions"), what, t->inquiry->list_option);
}

static void explain_unread(const struct call_wanted *t, struct observation *ob)
{
	_cleanup_(buf_done) struct buf before = {0};
	unsigned shown = 0, more = 0;

	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];
		_cleanup_(buf_done) struct buf text = {0};

		if (p->why || !p->prints || !unread_text(p, &text))
			continue;
		/* Instances and inlined calls of a function follow each other. */
		if (before.data && !strcmp(before.data, text.data))
			continue;
		if (shown < REFUSALS_SHOWN) {
			observation_note(ob, "%s", text.data);
			shown++;
		} else {
			more++;
		}
		buf_done(&before);
		before = text;
		text = (struct buf){0};
	}
	if (more)
		observation_note(ob, "%u more %s values that cannot be read; %s tells why, value by value", more,
				 plural(more, "function has", "functions have"), t->inquiry->json_option);
}

/* What one call of each function that was found in the code of others costs the program. */
static double follow_price(const struct call_wanted *t, struct planter *planter)
{
	double sum = 0;

	for (size_t i = 0; i < t->wanted.nprobes; i++)
		if (t->plan_of_probe[i] && t->plan_of_probe[i]->followed)
			sum += call_wanted_price(t, i, planter);
	return sum;
}

static void add_left_out(struct buf *out, bool *first, size_t n, const char *one, const char *many)
{
	if (!n)
		return;
	buf_printf(out, "%s%zu %s", *first ? "; not followed: " : ", ", n, n == 1 ? one : many);
	*first = false;
}

void call_wanted_follow_text(const struct call_wanted *t, struct planter *planter, struct buf *out)
{
	const struct call_follow *f = &t->plans.follow;
	char price[24];
	bool first = true;

	buf_printf(out, "following the calls finds %zu more %s", f->functions,
		   f->functions == 1 ? "function" : "functions");
	if (planter && f->functions) {
		format_duration((uint64_t)follow_price(t, planter), price);
		buf_printf(out, "; one call of each costs the program about %s", price);
	}
	add_left_out(out, &first, f->indirect, "call through an interface or a closure",
		     "calls through interfaces and closures");
	add_left_out(out, &first, f->runtime, "function of the runtime", "functions of the runtime");
	add_left_out(out, &first, f->assembly, "in assembly or C", "in assembly or C");
	add_left_out(out, &first, f->too_many, "function beyond the first 2,000", "functions beyond the first 2,000");
}

void call_wanted_check_price(struct call_wanted *t, struct planter *planter, bool yes)
{
	char price[24];

	if (t->wanted.why[0] || yes || follow_price(t, planter) <= FOLLOW_ASK_NS)
		return;
	format_duration((uint64_t)follow_price(t, planter), price);
	snprintf(t->wanted.why, sizeof(t->wanted.why),
		 "following the calls finds %zu functions, and one call of each would cost the program %s: follow "
		 "fewer levels (-l lists them), or say --yes", t->plans.follow.functions, price);
}

static void announce_follow(const struct call_wanted *t, struct observation *ob)
{
	_cleanup_(buf_done) struct buf text = {0};

	call_wanted_follow_text(t, observation_planter(ob), &text);
	observation_note(ob, "%s", text.data);
}

static bool is_dear(const struct call_wanted *t, struct planter *planter)
{
	for (size_t i = 0; planter && planter->ops->is_dear && i < t->wanted.nprobes; i++) {
		const struct plant_probe *p = &t->wanted.probes[i];

		if (!t->plan_of_probe[i] || p->own || p->unless_own) /* which are hardly ever planted */
			continue;
		for (const struct site *s = p->sites; s; s = s->next)
			if (planter->ops->is_dear(planter, s))
				return true;
	}
	return false;
}

/* The name of one whose hits cost less, and which suits the program; NULL: there is none. */
static const char *cheaper_planter(const struct call_wanted *t, struct binary *b)
{
	const char *name = t->inquiry->planter->cheaper;
	const struct planter_ops *ops = name ? planter_named(name) : NULL;
	struct err err = {0};

	return ops && (!ops->suits || ops->suits(b, &err) >= 0) ? name : NULL;
}

void call_wanted_announce(const struct call_wanted *t, struct binary *b, struct observation *ob)
{
	const char *cheaper = is_dear(t, observation_planter(ob)) ? cheaper_planter(t, b) : NULL;
	char price[24];

	if (t->inquiry->plan.follow)
		announce_follow(t, ob);
	if (t->nsites > SITES_TELL) {
		format_duration((uint64_t)mean_call_price(t, observation_planter(ob)), price);
		observation_note(ob, "planting %zu sites in %zu functions; a call will cost the program about %s more",
				 t->nsites, t->plans.len - t->wanted.refused, price);
	}
	if (cheaper)
		observation_note(ob, "the kernel single-steps the returns of what is traced, which costs the program "
				     "microseconds a call (earshot doctor measures it); by --planter %s it costs a "
				     "fraction", cheaper);
}

/* Many reasons are sentences about the function by its name; the question may be quoted below them. */
static void explain_untraced(const struct call_plan *p, struct observation *ob)
{
	if (memmem(p->why, strcspn(p->why, "\n"), p->name, strlen(p->name)))
		observation_note(ob, "%s", p->why);
	else
		observation_note(ob, "%s is not traced: %s", p->name, p->why);
}

void call_wanted_explain(struct call_wanted *t, struct observation *ob)
{
	unsigned shown = 0;

	if (t->explained)
		return;
	t->explained = true;
	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];

		if (!p->why || p->inlined)
			continue;
		if (shown++ < REFUSALS_SHOWN)
			explain_untraced(p, ob);
	}
	if (shown > REFUSALS_SHOWN)
		observation_note(ob, "%u more %s not traced; %s tells why", shown - REFUSALS_SHOWN,
				 plural(shown - REFUSALS_SHOWN, "function is", "functions are"),
				 t->inquiry->list_option);
	if (t->plans.unrecorded)
		observation_note(ob, "%zu more %s not woven (earshot build --trace), and nothing can be planted: %s",
				 t->plans.unrecorded, plural(t->plans.unrecorded, "function that matches is",
							     "functions that match are"),
				 t->inquiry->plan.cannot_plant);
	explain_inlined(t, is_unseen, "are not seen", ob);
	explain_inlined(t, is_approximate, "may not be counted exactly", ob);
	explain_unread(t, ob);
	if (t->plans.hooks_why)
		observation_note(ob, "calls that a panic ends are noticed late: %s", t->plans.hooks_why);
}
