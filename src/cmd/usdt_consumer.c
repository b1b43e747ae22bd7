#include "cmd/usdt_consumer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "cmd/call_groups.h"
#include "cmd/observation_internal.h"
#include "cmd/resource.h"
#include "cmd/usdt.h"
#include "probe/plan/usdt_plan.h"
#include "sink/otel_env.h"
#include "target/family.h"

#define TICKS_A_SECOND 10 /* and one round */
enum { LOOKS = 2, ROUNDS_KEPT = 3 };
#define PARENT_WAIT_NS UINT64_C(1000000000) /* for the end of what is around a span */

/* A site that is asked about. */
struct asked_site {
	const struct usdt_site *site;
	struct call_plan plan;
	size_t file;               /* among the consumer's */
	uint32_t id;               /* of its probe; 0: it has none */
};

struct probed_file {
	struct usdt_file file;     /* moved here: its notes are the plans' */
	bool is_program;           /* of processes that are meant: who runs code of it is one of them */
};

/* A process that hit a probe, and is meant. */
struct hit_process {
	struct call_process process;
	struct arena arena;
	bool ended;                /* when it was last looked at */
	bool gone;                 /* … and all that it did before has been read */
};

struct usdt_consumer {
	struct consumer consumer;
	const struct usdt_consumer_options *o;
	struct call_plan_options plan;
	struct arena arena;
	VEC(struct probed_file *) files;
	VEC(struct asked_site *) sites;
	struct map by_id;          /* probe → struct asked_site */
	VEC(struct plant *) plants;
	struct map processes;      /* pid → struct hit_process */
	struct map matched;        /* pid → the round in which it was last seen that -x or --port mean it */
	struct map looked_at;      /* pid → how often its files were read, of these */
	unsigned round;            /* of looking for such */
	struct family *family;
	struct call_decoder *decoder;
	uint64_t calls, ngroups;
	unsigned planted, refused, ticks;
	unsigned told;             /* how many are planted */
	bool stopping;             /* --limit is reached */
};

static struct usdt_consumer *self(struct consumer *c)
{
	return (struct usdt_consumer *)c; /* its first member */
}

static void *number(unsigned n)
{
	return (void *)(uintptr_t)n;
}

/* ---- whose a record is ---- */

static bool is_matched(struct usdt_consumer *s, int pid)
{
	const char *procfs = observation_procfs(s->consumer.observation);
	struct process p;
	bool is;

	if (map_get(&s->matched, (uint64_t)pid))
		return true;
	if (process_read(procfs, pid, &p, NULL) < 0)
		return false;
	is = target_matches(procfs, &s->o->targets->query, &p);
	process_done(&p);
	if (is)
		map_set(&s->matched, (uint64_t)pid, number(s->round));
	return is;
}

/* Who runs code of a program that -x means is one of them, also where it has ended meanwhile. */
static bool is_meant(struct usdt_consumer *s, int pid, const struct asked_site *a)
{
	if (s->o->targets->pids.len && family_has(s->family, pid))
		return true;
	return s->o->targets->watches && (s->files.data[a->file]->is_program || is_matched(s, pid));
}

static struct hit_process *process_of(struct usdt_consumer *s, int pid, const struct asked_site *a)
{
	struct hit_process *h = map_get(&s->processes, (uint64_t)pid);
	const struct probed_file *f = s->files.data[a->file];
	const struct otel_env *env = s->o->env;
	const char *service = s->o->service ? s->o->service : env ? env->service_name : NULL;
	struct process p = {.pid = pid, .exe = f->file.path};
	bool read;

	if (h) { /* a number may be used again, within a family by what is much the same */
		h->ended = h->gone = false;
		return h;
	}
	h = xcalloc(1, sizeof(*h));
	read = process_read(observation_procfs(s->consumer.observation), pid, &p, NULL) >= 0;
	h->process.resource = resource_of_any(&h->arena, &p, (uint32_t)pid, service,
					      env ? env->resource_attrs : NULL, env ? env->nresource_attrs : 0);
	if (read)
		process_done(&p);
	map_set(&s->processes, (uint64_t)pid, h);
	call_decoder_add_process(s->decoder, &h->process);
	return h;
}

/* Whether the record's process is meant; it is known to the decoder then. */
static bool enters(struct usdt_consumer *s, uint32_t pid, uint32_t probe)
{
	const struct asked_site *a = map_get(&s->by_id, probe);

	return a && is_meant(s, (int)pid, a) && process_of(s, (int)pid, a);
}

/* ---- hits ---- */

static void on_sample(struct consumer *c, const void *sample, size_t size)
{
	struct usdt_consumer *s = self(c);
	struct event_header head;

	if (size >= sizeof(head)) {
		memcpy(&head, sample, sizeof(head));
		if (!enters(s, head.target, head.probe))
			return;
	}
	call_decoder_sample(s->decoder, sample, size);
}

static const struct usdt_site *site_of(const struct usdt_consumer *s, const struct call_record *c)
{
	for (size_t i = 0; i < s->sites.len; i++)
		if (s->sites.data[i]->plan.name == c->function->name)
			return s->sites.data[i]->site;
	return NULL;
}

static void on_call(void *arg, const struct call_record *call)
{
	struct usdt_consumer *s = arg;
	struct observation *ob = s->consumer.observation;

	if (s->stopping)
		return;
	if (s->o->spans && s->o->spans->take(s->o->spans, call, site_of(s, call)))
		return;
	outputs_call(observation_sinks(ob), call);
	s->calls++;
	if (s->o->calls->limit && s->calls >= s->o->calls->limit) {
		s->stopping = true;
		observation_quit(ob);
	}
}

/* ---- aggregates ---- */

struct shown_groups {
	struct usdt_consumer *s;
	struct call_groups groups;
};

static void on_group(void *arg, const struct plant_group *g)
{
	struct shown_groups *t = arg;

	if (enters(t->s, g->target, g->probe))
		call_groups_add(&t->groups, g);
}

static void show_aggregates(struct usdt_consumer *s, bool last)
{
	struct shown_groups t = {.s = s, .groups = {.decoder = s->decoder}};
	const sink_list *sinks = observation_sinks(s->consumer.observation);
	const source_list *sources = observation_sources(s->consumer.observation);
	bool anew = s->o->calls->interval_ns != 0;
	struct run_summary lost = {0};

	sources_aggregates(sources, anew, on_group, &t);
	call_groups_sort(&t.groups);
	outputs_groups(sinks, t.groups.list.data, t.groups.list.len, last);
	observation_losses(s->consumer.observation, &s->consumer, &lost.losses);
	call_decoder_losses(s->decoder, &lost);
	if (t.groups.list.len && last && losses_any(&lost.losses))
		outputs_lost(sinks, &lost.losses);
	s->ngroups += t.groups.list.len;
	call_groups_done(&t.groups);
}

static void on_interval(void *arg, uint32_t events)
{
	(void)events;
	show_aggregates(arg, false);
}

/* ---- files and their probes ---- */

static bool known_file(const struct usdt_consumer *s, const struct usdt_file *f)
{
	for (size_t i = 0; i < s->files.len; i++)
		if (file_id_alike(&s->files.data[i]->file.notes->file, &f->notes->file))
			return true; /* also with one more name: a second probe would tell each hit twice */
	return false;
}

/* A place in another file may be the middle of an instruction. */
static bool is_same_file(int fd, const struct usdt_file *f)
{
	struct file_id now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	now = file_id_of(&st);
	return file_id_alike(&now, &f->notes->file);
}

static int locate(struct usdt_consumer *s, const struct usdt_file *f, const struct usdt_site *site,
		  const struct site **ret, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = open(f->open_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char code[16];
	ssize_t n = fd < 0 ? -1 : pread(fd, code, sizeof(code), (off_t)site->file_offset);
	const struct plant_place at = {.addr = site->address, .offset = site->file_offset,
				       .semaphore = site->semaphore_offset, .code = code, .n = n > 0 ? (size_t)n : 0};

	if (fd >= 0 && !is_same_file(fd, f))
		return err_set(err, -ESTALE, "%s is another file by now than the one whose notes were read; try again",
			       f->path);
	if (n <= 0)
		return err_set(err, -EPROTO, "%s cannot be read at offset %#" PRIx64, f->path, site->file_offset);
	return observation_planter_ops(s->consumer.observation)->locate_place(&s->arena, &at, ret, err);
}

static void refuse(struct usdt_consumer *s, const struct asked_site *a, const char *why)
{
	_cleanup_(buf_done) struct buf text = {0};

	s->refused++;
	buf_printf(&text, "%s: %s", a->plan.name, why);
	observation_note_once(s->consumer.observation, text.data);
}

static void ask_site(struct usdt_consumer *s, size_t file, const struct usdt_site *site, const struct question *q)
{
	struct asked_site *a = arena_new(&s->arena, struct asked_site);

	*a = (struct asked_site){.site = site, .file = file};
	usdt_plan_make(q, site, &s->plan, &s->arena, &a->plan);
	vec_push(&s->sites, a);
}

/* Its probe, where it can have one. */
static bool number_site(struct usdt_consumer *s, struct asked_site *a, struct plant_probe *ret)
{
	const struct plant_control control = {.every = s->o->calls->every, .per_second = s->o->calls->rate};
	struct plant_probe probe = {.label = a->plan.name, .program = &a->plan.entry};
	struct err err = {0};

	if (a->plan.why || locate(s, &s->files.data[a->file]->file, a->site, &probe.sites, &err) < 0) {
		refuse(s, a, a->plan.why ? a->plan.why : err.text);
		return false;
	}
	probe.id = a->id = observation_number(s->consumer.observation, &s->consumer);
	probe.begins = s->o->spans && s->o->spans->begins(s->o->spans, a->site->provider, a->site->name);
	map_set(&s->by_id, a->id, a);
	call_decoder_add_plan(s->decoder, &a->plan, NULL, a->id, 0);
	if (control.every || control.per_second)
		sources_control(observation_sources(s->consumer.observation), a->id, &control);
	*ret = probe;
	return true;
}

/* The sites of one file from `first` on, as one step. */
static void plant_sites(struct usdt_consumer *s, size_t file, size_t first)
{
	struct planter *planter = observation_planter(s->consumer.observation);
	size_t most = s->sites.len - first, n = 0;
	struct plant_probe *probes = arena_array(&s->arena, struct plant_probe, most + 1);
	struct asked_site **of = arena_array(&s->arena, struct asked_site *, most + 1);
	struct plant **plants = arena_array(&s->arena, struct plant *, most + 1);
	struct err *errs = arena_array(&s->arena, struct err, most + 1);
	const struct plant_target t = {.id = (uint32_t)file + 1, .path = s->files.data[file]->file.open_path,
				       .binary_key = file + 1};

	for (size_t i = first; i < s->sites.len; i++)
		if (number_site(s, s->sites.data[i], &probes[n]))
			of[n++] = s->sites.data[i];
	if (n)
		s->planted += (unsigned)planter->ops->plant(planter, &t, probes, n, plants, errs);
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			vec_push(&s->plants, plants[i]);
		else
			refuse(s, of[i], errs[i].text);
}

static bool is_host(struct usdt_consumer *s, const struct usdt_file *f)
{
	const struct arch *host = arch_host();

	if (host && host->elf_machine == f->notes->machine)
		return true;
	observation_note(s->consumer.observation, "%s is built for another machine than this one", f->path);
	return false;
}

/* Takes the file over. */
static void add_file(struct usdt_consumer *s, struct usdt_file *f, bool is_program)
{
	struct probed_file *p = arena_new(&s->arena, struct probed_file);
	size_t first = s->sites.len, file = s->files.len;

	*p = (struct probed_file){.file = *f, .is_program = is_program};
	*f = (struct usdt_file){0};
	vec_push(&s->files, p);
	if (!is_host(s, &p->file))
		return;
	for (size_t q = 0; q < s->o->nquestions; q++)
		for (size_t i = 0; i < p->file.notes->n; i++)
			if (usdt_question_matches(&s->o->questions[q], &p->file.notes->sites[i]))
				ask_site(s, file, &p->file.notes->sites[i], &s->o->questions[q]);
	plant_sites(s, file, first);
}

/* Who listens on a port is one process of those that run its program, and no word about the others. */
static bool is_meant_by_name(const struct usdt_consumer *s, const struct process *p)
{
	struct target_query names = s->o->targets->query;

	names.nports = 0;
	return target_matches(observation_procfs(s->consumer.observation), &names, p);
}

static int add_process(struct usdt_consumer *s, int pid, bool matched, struct err *err)
{
	struct observation *ob = s->consumer.observation;
	usdt_file_vec files = {0};
	string_list trouble = {0};
	struct process p;
	int r = process_read(observation_procfs(ob), pid, &p, err);

	if (r >= 0)
		r = usdt_files_of_process(observation_procfs(ob), pid, &files, &trouble, err);
	for (size_t i = 0; i < trouble.len; i++)
		observation_note_once(ob, trouble.data[i]);
	for (size_t i = 0; i < files.len; i++)
		if (!known_file(s, &files.data[i]))
			add_file(s, &files.data[i],
				 matched && is_meant_by_name(s, &p) &&
					 file_id_equal(&files.data[i].notes->file, &p.file));
	usdt_files_done(&files);
	for (size_t i = 0; i < trouble.len; i++)
		free((char *)trouble.data[i]);
	vec_done(&trouble);
	if (r >= 0)
		process_done(&p);
	return r;
}

/* Who is gone for so long that nothing more of it comes: another one may have its number. */
static void forget_gone(struct usdt_consumer *s)
{
	VEC(uint64_t) gone = {0};
	uint64_t pid;
	void *value;

	for (size_t i = 0; map_next(&s->matched, &i, &pid, &value);)
		if (s->round - (unsigned)(uintptr_t)value > ROUNDS_KEPT)
			vec_push(&gone, pid);
	for (size_t i = 0; i < gone.len; i++) {
		map_del(&s->matched, gone.data[i]);
		map_del(&s->looked_at, gone.data[i]);
	}
	vec_done(&gone);
}

/* Twice at each, since what has just started may not have mapped its libraries yet. */
static int add_matching(struct usdt_consumer *s, struct err *err)
{
	pid_vec found = {0};
	int r = target_find(observation_procfs(s->consumer.observation), &s->o->targets->query, &found, err);

	s->round++;
	for (size_t i = 0; i < found.len; i++) {
		const uint64_t pid = (uint64_t)found.data[i];
		unsigned looks = (unsigned)(uintptr_t)map_get(&s->looked_at, pid);
		struct err one = {0};

		map_set(&s->matched, pid, number(s->round));
		if (looks == LOOKS)
			continue;
		map_set(&s->looked_at, pid, number(looks + 1));
		if (add_process(s, found.data[i], true, &one) < 0 && one.code != -ESRCH)
			observation_note_once(s->consumer.observation, one.text);
	}
	if (r >= 0)
		forget_gone(s);
	vec_done(&found);
	return r;
}

/* ---- what there is instead ---- */

static int nothing_matches(struct usdt_consumer *s, struct err *err)
{
	_cleanup_(buf_done) struct buf b = {0};
	const char *last = "";
	size_t n = 0;

	for (size_t i = 0; i < s->files.len; i++) {
		const struct usdt_notes *notes = s->files.data[i]->file.notes;

		for (size_t k = 0; k < notes->n; k++) {
			n++;
			if (strcmp(last, notes->sites[k].provider) && b.len < 200)
				buf_printf(&b, "%s%s", b.len ? ", " : "", notes->sites[k].provider);
			last = notes->sites[k].provider;
		}
	}
	if (!n)
		return err_set(err, -ENOENT, "no file that these processes run code of has USDT probes");
	return err_set(err, -ENOENT, "no USDT probe is %s; there are %zu sites of %s (`earshot usdt list -p PID`)",
		       s->o->questions[0].pattern + strlen(USDT_PREFIX), n, b.data);
}

int usdt_consumer_plant(struct consumer *c, struct err *err)
{
	struct usdt_consumer *s = self(c);
	const struct target_plan *t = s->o->targets;
	int r = 0;

	if (!observation_planter_ops(c->observation)->locate_place)
		return err_set(err, -EOPNOTSUPP, "the planter %s probes functions of Go programs only; USDT probes are "
			       "planted by uprobe", observation_planter_ops(c->observation)->name);
	for (size_t i = 0; i < t->pids.len && r >= 0; i++) {
		family_add(s->family, t->pids.data[i]);
		r = add_process(s, t->pids.data[i], false, err);
	}
	if (r >= 0 && t->watches)
		r = add_matching(s, err);
	if (r < 0)
		return r;
	if (!s->sites.len && (t->pids.len || s->files.len))
		return nothing_matches(s, err);
	if (s->sites.len && !s->planted)
		return err_set(err, -ENODATA, "no probe could be planted");
	return 0;
}

/* ---- the consumer ---- */

static struct wanted *analyse(struct consumer *c, const struct executable *x)
{
	(void)c, (void)x;
	return xcalloc(1, sizeof(struct wanted));
}

static void release(struct wanted *w)
{
	free(w);
}

static void nobody(struct consumer *c, struct observed_process *p)
{
	(void)c, (void)p;
}

static void left(struct consumer *c, struct observed_process *p, bool exited)
{
	(void)c, (void)p, (void)exited;
}

/* Once for each step. */
static void tell_planted(struct usdt_consumer *s)
{
	if (s->planted != s->told)
		observation_note(s->consumer.observation, "%u %s in place", s->planted,
				 plural(s->planted, "probe is", "probes are"));
	s->told = s->planted;
}

static bool all_ended(const struct usdt_consumer *s)
{
	const struct target_plan *t = s->o->targets;

	for (size_t i = 0; i < t->pids.len; i++)
		if (!process_ended(observation_procfs(s->consumer.observation), t->pids.data[i], 0))
			return false;
	return t->pids.len && !t->watches;
}

/* Its last hits may wait in the ring when it is first seen to have ended. */
static void look_for_ended(struct usdt_consumer *s)
{
	const char *procfs = observation_procfs(s->consumer.observation);
	uint64_t pid;
	void *value;

	for (size_t i = 0; map_next(&s->processes, &i, &pid, &value);) {
		struct hit_process *h = value;

		if (h->gone)
			continue;
		h->gone = h->ended;
		h->ended = h->ended || process_ended(procfs, (int)pid, 0);
		if (h->gone && s->o->spans)
			s->o->spans->gone(s->o->spans, (int)pid);
	}
}

static void tick(struct consumer *c)
{
	struct usdt_consumer *s = self(c);

	family_update(s->family);
	if (++s->ticks % TICKS_A_SECOND == 0) {
		look_for_ended(s);
		if (s->o->targets->watches)
			add_matching(s, NULL);
	}
	tell_planted(s);
	if (s->o->spans)
		s->o->spans->tick(s->o->spans, clock_monotonic_ns() - PARENT_WAIT_NS);
	if (all_ended(s))
		observation_quit(c->observation);
}

static int start(struct consumer *c, struct err *err)
{
	uint64_t ns = self(c)->o->calls->interval_ns;
	int r = ns ? loop_add_timer(observation_loop(c->observation), ns, ns, on_interval, self(c), NULL) : 0;

	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

static void tell_lost_forks(struct usdt_consumer *s)
{
	uint64_t lost = family_lost(s->family);

	if (lost)
		observation_note(s->consumer.observation, "the kernel had no room for %" PRIu64 " of its records of "
				 "forks: hits of children that had ended by then may be missing", lost);
}

static void finish(struct consumer *c)
{
	struct usdt_consumer *s = self(c);
	struct planter *planter = observation_planter(c->observation);

	planter->ops->remove(planter, s->plants.data, s->plants.len);
	s->plants.len = 0;
	observation_drain_all(c->observation);
	if (s->o->spans)
		s->o->spans->tick(s->o->spans, UINT64_MAX);
	show_aggregates(s, true);
	tell_lost_forks(s);
}

static void summary(struct consumer *c, struct run_summary *sum)
{
	struct usdt_consumer *s = self(c);

	call_decoder_losses(s->decoder, sum);
	sum->planted += s->planted;
	sum->refused += s->refused;
	sum->processes += (uint32_t)s->processes.len;
	sum->calls += s->calls;
	if (s->o->spans)
		s->o->spans->summary(s->o->spans, sum);
}

static void describe(struct consumer *c, struct summary_text *text)
{
	text->calls = true;
	text->spans = self(c)->o->spans;
	text->groups += self(c)->ngroups;
}

static void consumer_free(struct consumer *c)
{
	struct usdt_consumer *s = self(c);
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&s->processes, &i, &key, &value);) {
		struct hit_process *h = value;

		arena_done(&h->arena);
		free(h);
	}
	for (size_t i = 0; i < s->files.len; i++) {
		free(s->files.data[i]->file.path);
		free(s->files.data[i]->file.open_path);
		usdt_notes_free(s->files.data[i]->file.notes);
	}
	if (s->o->spans)
		s->o->spans->free(s->o->spans);
	vec_done(&s->files);
	vec_done(&s->sites);
	vec_done(&s->plants);
	map_done(&s->by_id);
	map_done(&s->processes);
	map_done(&s->matched);
	map_done(&s->looked_at);
	family_free(s->family);
	call_decoder_free(s->decoder);
	arena_done(&s->arena);
	free(s);
}

static const struct consumer_ops ops = {
	.start = start,
	.analyse = analyse,
	.release = release,
	.enter = nobody,
	.sample = on_sample,
	.leave = left,
	.tick = tick,
	.finish = finish,
	.summary = summary,
	.describe = describe,
	.free = consumer_free,
};

struct consumer *usdt_consumer_new(struct observation *ob, const struct usdt_consumer_options *o)
{
	struct usdt_consumer *s = xcalloc(1, sizeof(*s));
	struct err err = {0};

	s->consumer.ops = &ops;
	s->o = o;
	s->plan = (struct call_plan_options){
		.limits = {.max_string = (unsigned)o->calls->max_string},
		.caps = &observation_planter_ops(ob)->caps,
	};
	s->decoder = call_decoder_new(&(struct call_decoder_options){.emit = on_call, .arg = s});
	observation_add(ob, &s->consumer);
	if (family_new(observation_procfs(ob), &s->family, &err) < 0 && o->targets->pids.len)
		observation_note(ob, "%s: what children that live for less than 50 ms do may be missing", err.text);
	return &s->consumer;
}

/* ---- from beginning to end ---- */

static void on_signal(void *arg, uint32_t sig)
{
	(void)sig;
	loop_quit(arg);
}

int usdt_observe(struct observation *ob, struct consumer *c, struct loop *loop)
{
	struct err err = {0};
	int r;

	loop_add_signal(loop, SIGINT, on_signal, loop);
	loop_add_signal(loop, SIGTERM, on_signal, loop);
	loop_add_signal(loop, SIGHUP, on_signal, loop);
	r = usdt_consumer_plant(c, &err);
	if (r >= 0)
		r = observation_begin(ob, &err);
	if (r < 0) {
		observation_cancel(ob);
		return complain(EXIT_NOTHING, "%s", err.text);
	}
	if (!self(c)->planted)
		observation_note(ob, "nothing that runs matches yet; waiting for it to start (Ctrl-C ends)");
	tell_planted(self(c));
	loop_run(loop);
	r = self(c)->planted ? EXIT_DONE : EXIT_NOTHING;
	observation_finish(ob);
	return r;
}
