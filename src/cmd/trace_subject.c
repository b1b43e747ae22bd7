#include "cmd/trace_subject.h"

#include <stdio.h>
#include <string.h>

#include "cmd/summary.h"
#include "sink/text.h"

#define SITES_ASK 1000     /* more than this want --yes */
#define SITES_TELL 100     /* more than this are announced with their price */
#define REFUSALS_TOLD 5
#define FOLLOW_ASK_NS 1000000 /* what one call of each function that is followed may cost without --yes */

void trace_subject_free(struct trace_subject *t)
{
	if (!t)
		return;
	shape_table_free(t->plans.shapes);
	binary_free(t->subject.binary);
	free(t->subject.probes);
	free(t->plan_of_probe);
	free(t->ids);
	free(t);
}

static uint32_t add_probe(struct trace_subject *t, struct trace_inquiry *q, const char *label,
			  const struct join_point *at, const struct capture_program *program,
			  const struct call_plan *plan)
{
	struct plant_probe *probe = &t->subject.probes[t->subject.nprobes];
	uint32_t id = ++q->last_probe;

	*probe = (struct plant_probe){.id = id,
				      .label = label,
				      .program = program,
				      .group = program->call_group,
				      .begins = program->role == PROGRAM_ENTRY};
	plant_probe_locate(probe, q->planter, t->subject.binary, at);
	t->plan_of_probe[t->subject.nprobes++] = plan;
	t->nsites += join_point_probes(at);
	return id;
}

static void add_probes(struct trace_subject *t, struct trace_inquiry *q)
{
	size_t most = 2 * t->plans.len + t->plans.nhooks;

	t->subject.probes = xcalloc(most, sizeof(*t->subject.probes));
	t->plan_of_probe = xcalloc(most, sizeof(*t->plan_of_probe));
	t->ids = xcalloc(t->plans.len, sizeof(*t->ids));
	for (size_t i = 0; i < t->plans.nhooks; i++) {
		const struct call_hook *h = &t->plans.hooks[i];

		add_probe(t, q, h->name, &h->at, &h->program, NULL);
		t->subject.probes[i].auxiliary = true;
	}
	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];

		if (p->why) {
			t->refused++;
			continue;
		}
		if (p->at_return.nspots) /* before the entry: a call that begins in between is not seen, rather
				       * than left open */
			t->ids[i].ret = add_probe(t, q, p->name, &p->at_return, &p->ret, p);
		t->ids[i].entry = add_probe(t, q, p->name, &p->at_entry, &p->entry, p);
	}
}

static void explain_nothing(struct trace_subject *t)
{
	const struct call_plan *first = t->plans.len ? &t->plans.data[0] : NULL;

	if (!first)
		snprintf(t->subject.why, sizeof(t->subject.why), "no function matches");
	else if (t->plans.len == 1)
		snprintf(t->subject.why, sizeof(t->subject.why), "%s cannot be traced: %s", first->name, first->why);
	else
		snprintf(t->subject.why, sizeof(t->subject.why),
			 "none of the %zu functions that match can be traced; %s: %s", t->plans.len, first->name,
			 first->why);
}

struct trace_subject *trace_subject_new(const char *path, const char *name, struct trace_inquiry *q)
{
	struct trace_subject *t = xcalloc(1, sizeof(*t));
	struct subject *s = &t->subject;
	struct err err = {0};

	if (binary_open_as(path, name, &s->binary, &err) < 0) {
		snprintf(s->why, sizeof(s->why), "%s", err.text);
		return t;
	}
	if (call_plans_make(s->binary, q->questions, q->nquestions, &q->plan, &t->plans, &err) < 0) {
		t->refused = q->nquestions;
		snprintf(s->why, sizeof(s->why), "%s", err.text);
		return t;
	}
	add_probes(t, q);
	if (binary_check(s->binary, &err) < 0) {
		snprintf(s->why, sizeof(s->why), "%s", err.text);
		return t;
	}
	t->follows = q->plan.follow > 0;
	if (t->refused == t->plans.len)
		explain_nothing(t);
	else if (t->nsites > SITES_ASK && !q->yes)
		snprintf(s->why, sizeof(s->why),
			 "%zu functions match, with %zu sites to plant: narrow the pattern (-l lists them), or say "
			 "--yes",
			 t->plans.len - t->refused, t->nsites);
	image_trim(binary_image(s->binary));
	return t;
}

/* An inlined call that this planter cannot observe makes the number of the function's calls too small. */
void trace_subject_mark_unplanted(struct trace_subject *t, const struct observed *o)
{
	for (size_t i = 0; o->plants && i < t->subject.nprobes; i++) {
		const struct call_plan *p = t->plan_of_probe[i];

		for (size_t k = 0; p && p->inlined && !o->plants[i] && !p->inexact && k < t->plans.len; k++)
			if (t->plans.data[k].question == p->question && !strcmp(t->plans.data[k].name, p->name))
				t->plans.data[k].inexact = true;
	}
}

/* The probe of the plan's return, whose id is known; NULL: it has none. */
static const struct plant_probe *return_of(const struct trace_subject *t, size_t probe)
{
	const struct call_plan *p = t->plan_of_probe[probe];
	const struct plant_probe *before = probe ? &t->subject.probes[probe - 1] : NULL;

	return before && before->program == &p->ret ? before : NULL; /* as add_probes puts them */
}

double trace_subject_price(const struct trace_subject *t, size_t probe, const struct observer *ob)
{
	const struct call_plan *p = t->plan_of_probe[probe];
	const struct plant_probe *ret;

	if (!p || t->subject.probes[probe].program != &p->entry)
		return 0;
	ret = return_of(t, probe);
	return sites_price_ns(ob->planter, t->subject.probes[probe].sites) +
	       (ret ? sites_price_ns(ob->planter, ret->sites) : 0);
}

const char *trace_subject_refusal(const struct trace_subject *t, size_t probe)
{
	const struct plant_probe *ret = return_of(t, probe);

	return t->subject.probes[probe].why ? t->subject.probes[probe].why : ret ? ret->why : NULL;
}

static double mean_call_price(const struct trace_subject *t, const struct observer *ob)
{
	double sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < t->subject.nprobes; i++) {
		double price = trace_subject_price(t, i, ob);

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
static size_t alike(const struct trace_subject *t, size_t i, bool (*is)(const struct call_plan *p))
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

/* Plans of a name come one after the other: whether the one before is told already. */
static bool told_before(const struct trace_subject *t, size_t i, bool (*is)(const struct call_plan *p))
{
	const struct call_plan *p = &t->plans.data[i];

	while (i > 0 && t->plans.data[i - 1].question == p->question && !strcmp(t->plans.data[i - 1].name, p->name))
		if (is(&t->plans.data[--i]))
			return true;
	return false;
}

/* Which inlined calls are not seen at all, and which are not counted one by one: for each function in one line. */
static void explain_inlined(const struct trace_subject *t, bool (*is)(const struct call_plan *p), const char *what,
			    void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	unsigned told = 0, more = 0;

	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];
		size_t n;

		if (!is(p) || told_before(t, i, is))
			continue;
		n = alike(t, i, is);
		if (told++ < REFUSALS_TOLD)
			note(arg, "%zu inlined %s of %s %s: %s", n, n == 1 ? "call" : "calls", p->name, what,
			     p->why ? p->why : p->approximate);
		else
			more++;
	}
	if (more)
		note(arg, "inlined calls of %u more %s %s; -l tells why", more, plural(more, "function", "functions"),
		     what);
}

static void explain_unread(const struct trace_subject *t, void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	_cleanup_(buf_done) struct buf before = {0};
	unsigned told = 0, more = 0;

	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];
		_cleanup_(buf_done) struct buf text = {0};

		if (p->why || !p->prints || !unread_text(p, &text))
			continue;
		/* Instances and inlined calls of a function follow each other. */
		if (before.data && !strcmp(before.data, text.data))
			continue;
		if (told < REFUSALS_TOLD) {
			note(arg, "%s", text.data);
			told++;
		} else {
			more++;
		}
		buf_done(&before);
		before = text;
		text = (struct buf){0};
	}
	if (more)
		note(arg, "%u more %s values that cannot be read; --json tells why, value by value", more,
		     plural(more, "function has", "functions have"));
}

/* What one call of each function that was found in the code of others costs the program. */
static double follow_price(const struct trace_subject *t, const struct observer *ob)
{
	double sum = 0;

	for (size_t i = 0; i < t->subject.nprobes; i++)
		if (t->plan_of_probe[i] && t->plan_of_probe[i]->followed)
			sum += trace_subject_price(t, i, ob);
	return sum;
}

static void add_left_out(struct buf *out, bool *first, size_t n, const char *one, const char *many)
{
	if (!n)
		return;
	buf_printf(out, "%s%zu %s", *first ? "; not followed: " : ", ", n, n == 1 ? one : many);
	*first = false;
}

void trace_subject_follow_text(const struct trace_subject *t, const struct observer *ob, struct buf *out)
{
	const struct call_follow *f = &t->plans.follow;
	char price[24];
	bool first = true;

	buf_printf(out, "following the calls finds %zu more %s", f->functions,
		   f->functions == 1 ? "function" : "functions");
	if (ob && f->functions) {
		format_duration((uint64_t)follow_price(t, ob), price);
		buf_printf(out, "; one call of each costs the program about %s", price);
	}
	add_left_out(out, &first, f->indirect, "call through an interface or a closure",
		     "calls through interfaces and closures");
	add_left_out(out, &first, f->runtime, "function of the runtime", "functions of the runtime");
	add_left_out(out, &first, f->assembly, "in assembly or C", "in assembly or C");
	add_left_out(out, &first, f->too_many, "function beyond the first 2,000", "functions beyond the first 2,000");
}

void trace_subject_check_price(struct trace_subject *t, const struct observer *ob, bool yes)
{
	char price[24];

	if (t->subject.why[0] || yes || follow_price(t, ob) <= FOLLOW_ASK_NS)
		return;
	format_duration((uint64_t)follow_price(t, ob), price);
	snprintf(t->subject.why, sizeof(t->subject.why),
		 "following the calls finds %zu functions, and one call of each would cost the program %s: follow "
		 "fewer levels (-l lists them), or say --yes", t->plans.follow.functions, price);
}

static void announce_follow(const struct trace_subject *t, const struct observer *ob,
			    void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	_cleanup_(buf_done) struct buf text = {0};

	trace_subject_follow_text(t, ob, &text);
	note(arg, "%s", text.data);
}

void trace_subject_announce(const struct trace_subject *t, const struct observer *ob,
			    void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	char price[24];

	if (t->follows)
		announce_follow(t, ob, note, arg);
	if (t->nsites <= SITES_TELL)
		return;
	format_duration((uint64_t)mean_call_price(t, ob), price);
	note(arg, "planting %zu sites in %zu functions; a call will cost the program about %s more", t->nsites,
	     t->plans.len - t->refused, price);
}

/* Many reasons are sentences about the function by its name; the question may be quoted below them. */
static void explain_untraced(const struct call_plan *p, void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	if (memmem(p->why, strcspn(p->why, "\n"), p->name, strlen(p->name)))
		note(arg, "%s", p->why);
	else
		note(arg, "%s is not traced: %s", p->name, p->why);
}

void trace_subject_explain(struct trace_subject *t, void (*note)(void *arg, const char *fmt, ...), void *arg)
{
	unsigned told = 0;

	if (t->explained)
		return;
	t->explained = true;
	for (size_t i = 0; i < t->plans.len; i++) {
		const struct call_plan *p = &t->plans.data[i];

		if (!p->why || p->inlined)
			continue;
		if (told++ < REFUSALS_TOLD)
			explain_untraced(p, note, arg);
	}
	if (told > REFUSALS_TOLD)
		note(arg, "%u more %s not traced; -l tells why", told - REFUSALS_TOLD,
		     plural(told - REFUSALS_TOLD, "function is", "functions are"));
	explain_inlined(t, is_unseen, "are not seen", note, arg);
	explain_inlined(t, is_approximate, "may not be counted exactly", note, arg);
	explain_unread(t, note, arg);
	if (t->plans.hooks_why)
		note(arg, "calls that a panic ends are noticed late: %s", t->plans.hooks_why);
}
