/*
 * A task is a span from its begin to its end, wherever that is; its times are those of the goroutine that began it. A
 * region lies on one goroutine. Parents are what the trace says: a task's by its number, which its context.Context
 * carried, a region's by its task's number, or by the region or the known span that it lies within on its goroutine. A
 * task that began before the trace is known by its number only: what names it has an unknown parent.
 *
 * Numbers of tasks are one process's, and Go has no others. So ids of spans are made of what a task or a region is
 * (where, when, what) and of how the trace begins: the same file gives the same ids, and no other one does.
 */
#include "gotrace/activity.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "gotrace/breakdown.h"

#define OPEN_ON_ONE  4096 /* intervals on one goroutine */
#define OPEN_IN_ALL  (512u << 10)
#define TEXTS_IN_ALL (64u << 20) /* bytes of names and logs of what is open; Go cuts each after 1 KiB */
#define EVENTS_MAX   128   /* of a span, as OpenTelemetry's SDKs have it */
#define ENDED_TASKS  65536 /* whose ids are still known */
#define SALT_BYTES   65536
#define OWN_ATTRS    4
#define PACK         "runtime/trace"

enum activity_kind { OF_TASK, OF_REGION, OF_KNOWN };

struct activity_log {
	uint64_t unix_ns;
	char *name, *text;
	size_t text_len;
};

/* What becomes a span. */
struct open_activity {
	struct interval interval; /* first */
	enum activity_kind kind;
	uint64_t goid, task;
	char *name;
	uint64_t name_hash; /* of a region */
	uint64_t start_unix_ns;
	uint8_t trace_id[16], span_id[8], parent_id[8];
	enum span_parent parent;
	enum parent_source source;
	VEC(struct activity_log) logs;
	struct known_span *known;
};

struct ended_task {
	uint64_t task; /* 0: none */
	uint8_t trace_id[16], span_id[8];
};

struct activity {
	struct activity_setup setup;
	struct activity_counts counts;
	struct breakdown *times;
	const struct generation *generation;
	uint64_t begin_ns;        /* of the generation */
	bool first;                   /* generation */
	uint64_t salt;                /* of ids: this trace's */
	struct map tasks;         /* open ones */
	struct ended_task *ended; /* by number, modulo ENDED_TASKS */
	size_t nopen, texts;      /* texts: bytes */
	int64_t offset;     /* from the trace's time to the time of day */
	struct arena arena; /* of the span that is given */
	struct err err;
};

/* ---- time of day ---- */

static uint64_t unix_ns(const struct activity *a, uint64_t ns)
{
	return ns + (uint64_t)a->offset;
}

/* Of a known span; what was before the machine's start is 0. */
static uint64_t trace_ns(const struct activity *a, uint64_t wall_ns)
{
	uint64_t ns = wall_ns - (uint64_t)a->offset;

	return (int64_t)ns < 0 ? 0 : ns;
}

/* ---- ids ---- */

static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void make_id(uint64_t seed, uint64_t salt, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i += sizeof(seed)) {
		uint64_t word = mixed(seed + (salt + i + 1) * 0x9e3779b97f4a7c15u) | 1; /* none is all zeros */

		memcpy(ret + i, &word, sizeof(word));
	}
}

/* Its own, and those of a trace that begins with it. */
static void make_ids(const struct activity *a, struct open_activity *o, size_t depth)
{
	const uint64_t what[] = {o->kind, o->task, o->goid, o->interval.start_ns, depth};
	uint64_t seed = fnv1a(fnv1a(a->salt, what, sizeof(what)), o->name, strlen(o->name));

	make_id(seed, 0, o->span_id, sizeof(o->span_id));
	make_id(seed, 100, o->trace_id, sizeof(o->trace_id));
}

/* ---- parents ---- */

static void set_parent(struct open_activity *o, const uint8_t *trace_id, const uint8_t *span_id,
		       enum parent_source source)
{
	memcpy(o->trace_id, trace_id, sizeof(o->trace_id));
	memcpy(o->parent_id, span_id, sizeof(o->parent_id));
	o->parent = SPAN_PARENT_LOCAL;
	o->source = source;
}

/* The region, or known span, in which the goroutine is. */
static struct open_activity *around(const struct go_times *g)
{
	for (size_t i = g ? g->open.len : 0; i-- > 0;) {
		struct open_activity *o = (struct open_activity *)g->open.data[i];

		if (o->kind != OF_TASK)
			return o;
	}
	return NULL;
}

static bool set_task_parent(const struct activity *a, struct open_activity *o, uint64_t task)
{
	const struct open_activity *open = map_get(&a->tasks, task);
	const struct ended_task *ended = a->ended ? &a->ended[task % ENDED_TASKS] : NULL;

	if (open)
		set_parent(o, open->trace_id, open->span_id, PARENT_CONTEXT);
	else if (ended && ended->task == task)
		set_parent(o, ended->trace_id, ended->span_id, PARENT_CONTEXT);
	return open || (ended && ended->task == task);
}

/* task: of which it is a part, or 0. in: what is around it. What that was before the trace began nobody knows. */
static void find_parent(const struct activity *a, struct open_activity *o, const struct open_activity *in,
			uint64_t task)
{
	if (in && (!task || (in->kind == OF_REGION && in->task == task)))
		set_parent(o, in->trace_id, in->span_id, PARENT_GOROUTINE);
	else if (task && set_task_parent(a, o, task))
		return;
	else if (task || (o->kind == OF_REGION && !o->interval.on->from_beginning))
		o->parent = SPAN_PARENT_UNKNOWN, o->source = PARENT_UNKNOWN;
	else
		o->parent = SPAN_PARENT_NONE, o->source = PARENT_NONE;
}

/* ---- beginning ---- */

static void activity_drop(struct activity *a, struct open_activity *o)
{
	a->texts -= o->name ? strlen(o->name) : 0;
	for (size_t i = 0; i < o->logs.len; i++) {
		a->texts -= strlen(o->logs.data[i].name) + o->logs.data[i].text_len;
		free(o->logs.data[i].name);
		free(o->logs.data[i].text);
	}
	vec_done(&o->logs);
	interval_done(&o->interval);
	free(o->name);
	free(o);
	a->nopen--;
}

/* NULL: there are too many. */
static struct open_activity *begin(struct activity *a, enum activity_kind kind, struct go_times *g, uint64_t ns)
{
	struct open_activity *o;

	if (!g || g->open.len >= OPEN_ON_ONE || a->nopen >= OPEN_IN_ALL || a->texts >= TEXTS_IN_ALL) {
		a->counts.losses.count[LOSS_OPEN_LIMIT]++;
		return NULL;
	}
	o = xcalloc(1, sizeof(*o));
	a->nopen++;
	o->kind = kind;
	o->goid = g->goid;
	interval_open(a->times, &o->interval, g, ns);
	o->start_unix_ns = unix_ns(a, o->interval.start_ns);
	return o;
}

/* Up to a byte that is 0, if there is one; of something that is open. */
static char *copy_name(struct activity *a, uint64_t number)
{
	struct text_view s = generation_string(a->generation, number);
	char *name = xstrndup(s.s ? s.s : "", s.len);

	a->texts += strlen(name);
	return name;
}

static char *copy_text(struct activity *a, uint64_t number, size_t *ret_len)
{
	struct text_view s = generation_string(a->generation, number);

	char *text = xmalloc(s.len + 1);

	memcpy(text, s.s ? s.s : "", s.len);
	text[s.len] = 0;
	a->texts += *ret_len = s.len;
	return text;
}

/* ---- giving ---- */

static void give_logs(struct activity *a, const struct open_activity *o, struct span *s)
{
	struct span_event *events = arena_array(&a->arena, struct span_event, s->nevents + o->logs.len + 1);
	struct attr *attrs = arena_array(&a->arena, struct attr, o->logs.len + 1);

	if (s->nevents)
		memcpy(events, s->events, s->nevents * sizeof(*events));
	for (size_t i = 0; i < o->logs.len; i++) {
		const struct activity_log *l = &o->logs.data[i];

		attrs[i] = (struct attr){.key = "message", .kind = ATTR_STRING, .s = l->text, .len = l->text_len};
		events[s->nevents + i] = (struct span_event){
			.name = *l->name ? l->name : "log", .unix_ns = l->unix_ns, .attrs = &attrs[i], .nattrs = 1};
	}
	s->events = events;
	s->nevents += o->logs.len;
}

static struct attr *add_int(struct attr *at, const char *key, uint64_t v)
{
	*at = (struct attr){.key = key, .kind = ATTR_INT, .i = (int64_t)v};
	return at + 1;
}

static struct attr *own_attrs(const struct open_activity *o, bool unfinished, struct attr *at)
{
	const char *kind = o->kind == OF_TASK ? "task" : "region";

	*at++ = (struct attr){.key = "earshot.go.kind", .kind = ATTR_STRING, .s = kind, .len = strlen(kind)};
	if (o->task)
		at = add_int(at, "earshot.go.task", o->task);
	if (unfinished)
		*at++ = (struct attr){.key = "earshot.go.unfinished", .kind = ATTR_BOOL, .b = true};
	return at;
}

static void give_own(struct activity *a, const struct open_activity *o, uint64_t end_ns, bool unfinished)
{
	struct attr attrs[OWN_ATTRS + BREAKDOWN_ATTRS], *at = attrs;
	struct span s = {.name = o->name,
			 .pack = PACK,
			 .kind = SPAN_INTERNAL,
			 .parent = o->parent,
			 .parent_source = o->source,
			 .goid = o->goid,
			 .start_unix_ns = o->start_unix_ns,
			 .summary = a->setup.summary,
			 .resource = a->setup.resource};

	memcpy(s.trace_id, o->trace_id, sizeof(s.trace_id));
	memcpy(s.span_id, o->span_id, sizeof(s.span_id));
	memcpy(s.parent_id, o->parent_id, sizeof(s.parent_id));
	s.duration_ns = end_ns - MIN(end_ns, o->interval.start_ns);
	at += breakdown_attrs(a->times, &o->interval, s.duration_ns, at);
	at = own_attrs(o, unfinished, at);
	s.attrs = attrs;
	s.nattrs = (size_t)(at - attrs);
	give_logs(a, o, &s);
	a->setup.span(a->setup.arg, &s);
	arena_done(&a->arena);
}

/* o: its interval and its logs; NULL: the trace knows nothing of it. */
static void give_known(struct activity *a, const struct known_span *k, const struct open_activity *o)
{
	struct attr *attrs;
	struct span s;

	if (known_spans_load(a->setup.known, k, BREAKDOWN_ATTRS, &a->arena, &s, &attrs, &a->err) >= 0) {
		if (o) {
			s.nattrs += breakdown_attrs(a->times, &o->interval, s.duration_ns, attrs + s.nattrs);
			give_logs(a, o, &s);
		}
		s.summary = a->setup.summary;
		if (!strcmp(s.resource->service, a->setup.resource->service))
			s.resource = a->setup.resource; /* they are of one process */
		a->setup.span(a->setup.arg, &s);
		a->counts.joined += o != NULL;
		a->counts.beside += !o;
	}
	arena_done(&a->arena);
}

/* It ends, and is given. */
static void end(struct activity *a, struct open_activity *o, uint64_t ns, bool unfinished)
{
	uint64_t end_ns = interval_close(a->times, &o->interval, ns);

	if (o->kind == OF_KNOWN)
		give_known(a, o->known, o);
	else
		give_own(a, o, end_ns, unfinished);
	a->counts.tasks += o->kind == OF_TASK;
	a->counts.regions += o->kind == OF_REGION;
	a->counts.unfinished += unfinished && o->kind != OF_KNOWN;
	activity_drop(a, o);
}

/* ---- known spans on a goroutine ---- */

static void begin_known(struct activity *a, struct go_times *g, uint64_t ns)
{
	struct known_span *k = g->coming++;
	struct open_activity *o;

	g->ncoming--;
	o = begin(a, OF_KNOWN, g, ns);
	if (!o)
		return;
	k->taken = true;
	o->known = k;
	o->name = xstrdup("");
	memcpy(o->trace_id, k->trace_id, sizeof(o->trace_id));
	memcpy(o->span_id, k->span_id, sizeof(o->span_id));
}

static uint64_t end_of(const struct activity *a, const struct known_span *k)
{
	return trace_ns(a, k->start_unix_ns + k->duration_ns);
}

/* Of the known spans that are open on it the one that ends first. */
static struct open_activity *first_to_end(const struct activity *a, const struct go_times *g)
{
	struct open_activity *first = NULL;

	for (size_t i = g->open.len; i-- > 0;) {
		struct open_activity *o = (struct open_activity *)g->open.data[i];

		if (o->kind == OF_KNOWN && (!first || end_of(a, o->known) < end_of(a, first->known)))
			first = o;
	}
	return first;
}

/* What begins and ends on it until ns. */
static void reach(struct activity *a, struct go_times *g, uint64_t ns)
{
	struct open_activity *o;

	while (a->setup.known) {
		uint64_t ends, begins = g->ncoming ? trace_ns(a, g->coming->start_unix_ns) : UINT64_MAX;

		o = first_to_end(a, g);
		ends = o ? end_of(a, o->known) : UINT64_MAX;
		if (MIN(begins, ends) > ns)
			break;
		if (begins < ends && (g->coming->taken || end_of(a, g->coming) <= g->since)) {
			/* Of one before, which had the same number; or over before anything is known of this one. */
			g->coming++;
			g->ncoming--;
		} else if (begins < ends) {
			begin_known(a, g, begins);
		} else {
			end(a, o, ends, false);
		}
	}
}

/* ---- goroutines ---- */

static struct go_times *new_goroutine(struct activity *a, uint64_t goid, uint64_t since_ns)
{
	struct go_times *g = breakdown_goroutine_new(a->times, goid, since_ns);

	if (!g)
		a->counts.losses.count[LOSS_OPEN_LIMIT]++;
	else if (a->setup.known)
		g->coming = known_spans_of(a->setup.known, goid, &g->ncoming);
	return g;
}

static struct go_times *goroutine_of(struct activity *a, uint64_t goid, uint64_t ns)
{
	struct go_times *g = breakdown_goroutine(a->times, goid);

	if (g)
		reach(a, g, ns);
	return g;
}

static void change(struct activity *a, const struct gotrace_event *e, uint64_t goid, unsigned does, uint64_t stack)
{
	struct go_times *g = goroutine_of(a, goid, e->ns);

	if (g)
		goroutine_does(a->times, g, e->ns, does, stack);
}

static void created(struct activity *a, const struct gotrace_event *e, unsigned does)
{
	struct go_times *g = new_goroutine(a, e->args[1], e->ns);

	if (!g)
		return;
	g->from_beginning = true;
	goroutine_does(a->times, g, e->ns, does, 0);
}

/* Regions are over with it; a task goes on. */
static void ended(struct activity *a, const struct gotrace_event *e)
{
	struct go_times *g = goroutine_of(a, e->goid, e->ns);

	if (!g)
		return;
	goroutine_account(a->times, g, e->ns);
	for (size_t i = g->open.len; i-- > 0;) {
		struct open_activity *o = (struct open_activity *)g->open.data[i];

		if (o->kind != OF_TASK)
			end(a, o, e->ns, true);
	}
	breakdown_goroutine_end(a->times, g);
}

/* What it did when the generation began; of the first one, also who it is. */
static void status(struct activity *a, const struct gotrace_event *e)
{
	static const unsigned does[] = {
		[GO_RUNNABLE] = DOES_RUNNABLE, [GO_RUNNING] = DOES_RUN, [GO_SYSCALL] = DOES_SYSCALL};
	struct go_times *g = breakdown_goroutine(a->times, e->args[1]);
	uint64_t stack = e->type == GO_STATUS_STACK ? e->args[4] : 0;

	if (!g) {
		g = new_goroutine(a, e->args[1], a->begin_ns);
		if (g)
			goroutine_does(a->times, g, a->begin_ns,
				       e->args[3] == GO_WAITING ? breakdown_wait_named(a->times, "unspecified")
								: does[e->args[3]],
				       stack);
	} else if (!g->stack_text && g->does >= DOES_SYSCALL) {
		g->stack = stack;
	}
}

/* ---- tasks, regions, logs ---- */

static void task_began(struct activity *a, const struct gotrace_event *e)
{
	struct go_times *g = goroutine_of(a, e->goid, e->ns);
	struct open_activity *o, *in = around(g);

	if (map_get(&a->tasks, e->args[1])) {
		a->counts.losses.count[LOSS_BAD_RECORD]++; /* a number that is in use */
		return;
	}
	o = begin(a, OF_TASK, g, e->ns);
	if (!o)
		return;
	o->task = e->args[1];
	o->name = copy_name(a, e->args[3]);
	make_ids(a, o, 0);
	find_parent(a, o, in, e->args[2]);
	map_set(&a->tasks, o->task, o);
}

static void remember_task(struct activity *a, const struct open_activity *o)
{
	struct ended_task *t;

	if (!a->ended)
		a->ended = xcalloc(ENDED_TASKS, sizeof(*a->ended));
	t = &a->ended[o->task % ENDED_TASKS];
	t->task = o->task;
	memcpy(t->trace_id, o->trace_id, sizeof(t->trace_id));
	memcpy(t->span_id, o->span_id, sizeof(t->span_id));
}

static void task_ended(struct activity *a, const struct gotrace_event *e)
{
	struct open_activity *o = map_del(&a->tasks, e->args[1]);

	if (!o) {
		a->counts.losses.count[LOSS_UNPAIRED_END]++;
		return;
	}
	if (o->interval.on)
		reach(a, o->interval.on, e->ns);
	remember_task(a, o);
	end(a, o, e->ns, false);
}

/* Where regions do not end in order, an end is compared with many names, which may be long. */
static uint64_t hash_of_name(const struct activity *a, uint64_t number)
{
	struct text_view name = generation_string(a->generation, number);

	return fnv1a(FNV1A_BASIS, name.s ? name.s : "", name.len);
}

static void region_began(struct activity *a, const struct gotrace_event *e)
{
	struct go_times *g = goroutine_of(a, e->goid, e->ns);
	size_t depth = g ? g->open.len : 0;
	struct open_activity *in = around(g), *o = begin(a, OF_REGION, g, e->ns);

	if (!o)
		return;
	o->task = e->args[1];
	o->name = copy_name(a, e->args[2]);
	o->name_hash = hash_of_name(a, e->args[2]);
	make_ids(a, o, depth);
	find_parent(a, o, in, o->task);
}

static void region_ended(struct activity *a, const struct gotrace_event *e)
{
	struct go_times *g = goroutine_of(a, e->goid, e->ns);
	const uint64_t hash = hash_of_name(a, e->args[2]);

	for (size_t i = g ? g->open.len : 0; i-- > 0;) {
		struct open_activity *o = (struct open_activity *)g->open.data[i];

		if (o->kind == OF_REGION && o->task == e->args[1] && o->name_hash == hash) {
			end(a, o, e->ns, false);
			return;
		}
	}
	a->counts.losses.count[LOSS_UNPAIRED_END]++;
}

/* A log is its task's; one without a task is of what its goroutine is in. */
static void logged(struct activity *a, const struct gotrace_event *e)
{
	struct go_times *g = goroutine_of(a, e->goid, e->ns);
	struct open_activity *o = map_get(&a->tasks, e->args[1]);
	struct activity_log *l;

	o = o ? o : around(g);
	if (!o || o->logs.len >= EVENTS_MAX || a->texts >= TEXTS_IN_ALL) {
		a->counts.losses.count[LOSS_SPAN_EVENT]++;
		return;
	}
	l = vec_add(&o->logs);
	l->unix_ns = unix_ns(a, e->ns);
	l->name = copy_name(a, e->args[2]);
	l->text = copy_text(a, e->args[3], &l->text_len);
	a->counts.logs++;
}

/* ---- events ---- */

static void assists(struct activity *a, uint64_t goid, uint64_t ns, bool on)
{
	struct go_times *g = goroutine_of(a, goid, ns);

	if (g)
		goroutine_assists(a->times, g, ns, on);
}

static void switched(struct activity *a, const struct gotrace_event *e)
{
	if (e->type == GO_SWITCH)
		change(a, e, e->goid, breakdown_wait_named(a->times, "coroutine"), 0);
	else
		ended(a, e);
	change(a, e, e->args[1], DOES_RUN, 0);
}

static void of_goroutine(struct activity *a, const struct gotrace_event *e)
{
	switch (e->type) {
	case GO_CREATE:
		return created(a, e, DOES_RUNNABLE);
	case GO_CREATE_BLOCKED:
		return created(a, e, breakdown_wait_named(a->times, "coroutine"));
	case GO_CREATE_SYSCALL:
		return created(a, e, DOES_SYSCALL);
	case GO_START:
		return change(a, e, e->args[1], DOES_RUN, 0);
	case GO_UNBLOCK:
		return change(a, e, e->args[1], DOES_RUNNABLE, 0);
	case GO_STOP:
	case GO_SYSCALL_END_BLOCKED:
		return change(a, e, e->goid, DOES_RUNNABLE, 0);
	case GO_BLOCK:
		return change(a, e, e->goid, breakdown_wait(a->times, e->args[1]), e->args[2]);
	case GO_SYSCALL_BEGIN:
		return change(a, e, e->goid, DOES_SYSCALL, e->args[2]);
	case GO_SYSCALL_END:
		return change(a, e, e->goid, DOES_RUN, 0);
	case GO_SWITCH:
	case GO_SWITCH_DESTROY:
		return switched(a, e);
	case GO_STATUS:
	case GO_STATUS_STACK:
		return status(a, e);
	default:
		return ended(a, e);
	}
}

void activity_event(void *activity, const struct gotrace_event *e)
{
	struct activity *a = activity;

	a->counts.events++;
	a->counts.last_ns = MAX(a->counts.last_ns, e->ns);
	switch (e->type) {
	case GO_CREATE ... GO_STATUS:
	case GO_SWITCH ... GO_STATUS_STACK:
		return of_goroutine(a, e);
	case GO_ASSIST_ACTIVE:
		return assists(a, e->args[1], e->ns, true);
	case GO_ASSIST_BEGIN:
	case GO_ASSIST_END:
		return assists(a, e->goid, e->ns, e->type == GO_ASSIST_BEGIN);
	case GO_GC_ACTIVE:
	case GO_GC_BEGIN:
	case GO_GC_END:
		return breakdown_gc(a->times, e->ns, e->type != GO_GC_END);
	case GO_STW_BEGIN:
	case GO_STW_END:
		return breakdown_stw(a->times, e->ns, e->type == GO_STW_BEGIN);
	case GO_TASK_BEGIN:
		return task_began(a, e);
	case GO_TASK_END:
		return task_ended(a, e);
	case GO_REGION_BEGIN:
		return region_began(a, e);
	case GO_REGION_END:
		return region_ended(a, e);
	case GO_LOG:
		return logged(a, e);
	default:
		return;
	}
}

/* ---- from beginning to end ---- */

struct activity *activity_new(const struct activity_setup *setup)
{
	struct activity *a = xcalloc(1, sizeof(*a));

	a->setup = *setup;
	a->offset = setup->wall_offset;
	a->times = breakdown_new();
	a->first = true;
	return a;
}

void activity_generation(struct activity *a, const struct generation *g)
{
	a->generation = g;
	a->begin_ns = generation_ns(g, g->first_ticks);
	if (a->first) {
		a->counts.first_ns = a->counts.last_ns = a->begin_ns;
		a->salt = fnv1a(FNV1A_BASIS, g->data, MIN(g->len, SALT_BYTES));
	}
	a->first = false;
	if (g->has_wall)
		a->offset = (int64_t)(g->wall_ns - g->monotonic_ns);
	breakdown_generation(a->times, g);
}

static void reach_all(struct activity *a)
{
	struct go_times *g;

	for (size_t pos = 0; a->setup.known && breakdown_next_goroutine(a->times, &pos, &g);) {
		reach(a, g, a->counts.last_ns);
		goroutine_account(a->times, g, a->counts.last_ns);
	}
}

void activity_generation_over(struct activity *a)
{
	reach_all(a);
	breakdown_generation_over(a->times);
	a->generation = NULL;
}

/* Those that were begun last first, so that none is given after what is around it. */
static void finish_goroutine(struct activity *a, struct go_times *g)
{
	while (g->open.len) {
		struct open_activity *o = (struct open_activity *)g->open.data[g->open.len - 1];

		if (o->kind == OF_TASK)
			map_del(&a->tasks, o->task);
		end(a, o, a->counts.last_ns, true);
	}
}

void activity_finish(struct activity *a)
{
	struct go_times *g;
	struct known_span *k;
	uint64_t task;
	void *o;
	size_t n;

	for (size_t pos = 0; breakdown_next_goroutine(a->times, &pos, &g);)
		finish_goroutine(a, g);
	for (size_t pos = 0; map_next(&a->tasks, &pos, &task, &o);)
		end(a, o, a->counts.last_ns, true); /* whose goroutines have ended */
	map_done(&a->tasks);
	k = a->setup.known ? known_spans_all(a->setup.known, &n) : NULL;
	for (size_t i = 0; k && i < n; i++)
		if (!k[i].taken)
			give_known(a, &k[i], NULL);
}

int activity_counts(const struct activity *a, struct activity_counts *ret, struct err *err)
{
	*ret = a->counts;
	ret->wall_offset = a->offset;
	return a->err.code ? err_set(err, a->err.code, "%s", a->err.text) : 0;
}

void activity_free(struct activity *a)
{
	struct go_times *g;
	uint64_t task;
	void *o;

	if (!a)
		return;
	for (size_t pos = 0; breakdown_next_goroutine(a->times, &pos, &g);)
		while (g->open.len) {
			struct open_activity *open = (struct open_activity *)g->open.data[g->open.len - 1];

			if (open->kind == OF_TASK)
				map_del(&a->tasks, open->task);
			interval_close(a->times, &open->interval, 0);
			activity_drop(a, open);
		}
	for (size_t pos = 0; map_next(&a->tasks, &pos, &task, &o);)
		activity_drop(a, o);
	map_done(&a->tasks);
	breakdown_free(a->times);
	free(a->ended);
	arena_done(&a->arena);
	free(a);
}
