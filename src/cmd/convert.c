/* earshot convert: an execution trace of Go (runtime/trace, FlightRecorder) as spans, to every sink. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/outputs.h"
#include "cmd/summary.h"
#include "cmd/verb.h"
#include "gotrace/activity.h"
#include "gotrace/reader.h"
#include "probe/pack/pack_summary.h"
#include "sink/otel_env.h"

#define ROOM_MS   10000 /* that a sink which takes nothing is waited for */
#define FINISH_MS 10000
#define SECOND_NS 1000000000ll
#define LONGEST_S 3600 /* of traces without wall time that may be this machine's */

struct convert_options {
	struct output_options out;
	const char *with, *service;
	uint64_t pid;
	bool quiet;
};

static const struct option_def convert_defs[] = {
	{0, "with", "FILE", "join with spans that `run -o json` or `attach -o json` wrote meanwhile", OPT_STRING,
     offsetof(struct convert_options, with)},
	{0, "pid", "PID", "of these, the spans of the process that wrote the trace", OPT_UINT,
     offsetof(struct convert_options, pid)},
	{0, "service", "NAME", "service.name (default: OTEL_SERVICE_NAME, else that of --with, else the file's name)",
     OPT_STRING, offsetof(struct convert_options, service)},
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
     offsetof(struct convert_options, quiet)},
	{0},
};
static const struct option_group convert_groups[] = {
	{"what comes out", NULL, offsetof(struct convert_options, out), outputs_span_rows},
	{"what comes out", convert_defs, 0, NULL},
	{0},
};

struct conversion {
	struct convert_options *o;
	const char *path;
	struct gotrace_reader *reader;
	struct known_spans *known;
	struct otel_env env;
	sink_list sinks;
	struct activity *activity;
	struct arena arena;
	int64_t wall_offset;
	bool waited_in_vain;
	bool wrong_usage;             /* it failed by what was asked for */
	uint64_t spans, generations;
};

static void note(const struct conversion *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(const struct conversion *c, const char *fmt, ...)
{
	_cleanup_(buf_done) struct buf text = {0};
	va_list ap;

	if (c->o->quiet)
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	complain(0, "%s", text.data);
}

/* ---- who it is of ---- */

static const char *shown_path(const struct conversion *c)
{
	return strcmp(c->path, "-") ? c->path : "standard input";
}

static const char *base_name(const struct conversion *c)
{
	const char *slash = strrchr(c->path, '/');

	return strcmp(c->path, "-") ? slash ? slash + 1 : c->path : "go";
}

static const char *service_of(const struct conversion *c)
{
	const char *known = c->known ? known_spans_service(c->known) : NULL;

	return c->o->service ? c->o->service : c->env.service_name ? c->env.service_name : known ? known : base_name(c);
}

static void add_text(struct attr *attrs, size_t *n, const char *key, const char *value)
{
	attrs[(*n)++] = (struct attr){.key = key, .kind = ATTR_STRING, .s = value, .len = strlen(value)};
}

static const struct resource *resource_make(struct conversion *c)
{
	struct attr *attrs = arena_array(&c->arena, struct attr, c->env.nresource_attrs + 8);
	struct resource *r = arena_new(&c->arena, struct resource);
	size_t n = 0;

	*r = (struct resource){.id = 1, .pid = (int)c->o->pid, .name = base_name(c), .service = service_of(c)};
	if (!r->pid && c->known)
		r->pid = (int)known_spans_pid(c->known);
	add_text(attrs, &n, "service.name", r->service);
	if (r->pid)
		attrs[n++] = (struct attr){.key = "process.pid", .kind = ATTR_INT, .i = r->pid};
	add_text(attrs, &n, "process.runtime.name", "go");
	add_text(attrs, &n, "telemetry.sdk.name", "earshot");
	add_text(attrs, &n, "telemetry.sdk.language", "go");
	add_text(attrs, &n, "telemetry.sdk.version", EARSHOT_VERSION);
	for (size_t i = 0; i < c->env.nresource_attrs; i++)
		if (strcmp(c->env.resource_attrs[i].key, "service.name"))
			attrs[n++] = c->env.resource_attrs[i];
	r->attrs = attrs;
	r->nattrs = n;
	return r;
}

static const struct summary *summary_make(struct conversion *c)
{
	static const char *const parts[] = {"{error}", "{earshot.go.time}", NULL};
	const struct summary *ret = NULL;

	return summary_parse(parts, &c->arena, &ret, NULL) < 0 ? NULL : ret;
}

/* ---- the time of day of traces that do not tell ---- */

/*
 * Go before 1.25 writes CLOCK_MONOTONIC and nothing else. If the trace can be one of this machine since its start, its
 * clock tells; else times are put where the file's is.
 */
static void find_wall(struct conversion *c, int fd, const struct generation *g)
{
	const int64_t here = clock_wall_offset_ns(), first = (int64_t)generation_ns(g, g->first_ticks);
	const unsigned version = gotrace_reader_version(c->reader);
	struct stat st = {0};
	int64_t written;

	if (g->has_wall)
		return;
	written = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_mtim.tv_sec * SECOND_NS + st.st_mtim.tv_nsec
							     : (int64_t)clock_realtime_ns();
	if (first + here <= written + 2 * SECOND_NS && written - (first + here) < LONGEST_S * SECOND_NS) {
		c->wall_offset = here;
		note(c, "a go 1.%u trace has no time of day: it is taken from this machine's clock, as if the trace "
			"were of this machine since its start", version);
	} else {
		c->wall_offset = written - first;
		note(c, "a go 1.%u trace has no time of day, and this one is not of this machine since its start: "
			"it is shown as if it began at the file's time", version);
	}
}

/* ---- from one end to the other ---- */

static void take_span(void *arg, const struct span *s)
{
	struct conversion *c = arg;

	if (!c->waited_in_vain)
		c->waited_in_vain = !outputs_wait_for_room(&c->sinks, ROOM_MS);
	outputs_span(&c->sinks, s);
	c->spans++;
}

static void begin_activity(struct conversion *c)
{
	c->activity = activity_new(&(struct activity_setup){
		.span = take_span, .arg = c, .resource = resource_make(c), .summary = summary_make(c),
		.wall_offset = c->wall_offset, .known = c->known});
}

static int convert(struct conversion *c, int fd, struct err *err)
{
	const struct generation *g;
	int r;

	while ((r = gotrace_reader_next(c->reader, &g, err)) > 0) {
		if (!c->generations++) {
			find_wall(c, fd, g);
			begin_activity(c);
		}
		activity_generation(c->activity, g);
		gotrace_reader_events(c->reader, activity_event, c->activity);
		activity_generation_over(c->activity);
		outputs_tick(&c->sinks);
		if (outputs_gone(&c->sinks))
			break;
	}
	if (r >= 0 && !c->activity)
		begin_activity(c);
	if (r >= 0)
		activity_finish(c->activity);
	return r < 0 ? err_prefix(err, "%s", shown_path(c)) : 0;
}

/* ---- what is said of it ---- */

static void tell_rest(const struct conversion *c)
{
	const struct gotrace_rest *rest = gotrace_reader_rest(c->reader);
	_cleanup_(buf_done) struct buf text = {0};
	char time[24];

	if (!rest->bytes || !c->generations)
		return;
	buf_printf(&text, "%s: the last %" PRIu64 " bytes are no whole generation and are left out", shown_path(c),
		   rest->bytes);
	if (rest->ns) {
		format_duration(rest->ns, time);
		buf_printf(&text, ", at least %s of the end", time);
	}
	if (*rest->why)
		buf_printf(&text, ": %s", rest->why);
	note(c, "%s", text.data);
}

/* Spans that go on when the trace has ended: of a program that was killed its last second is missing. */
static void tell_known(const struct conversion *c, const struct activity_counts *n)
{
	const uint64_t end = n->last_ns + (uint64_t)n->wall_offset, begin = n->first_ns + (uint64_t)n->wall_offset;
	uint64_t from, to;
	char time[24];

	if (!c->known)
		return;
	if (!known_spans_range(c->known, &from, &to)) {
		note(c, "%s has no spans of this process: nothing is joined", c->o->with);
		return;
	}
	format_duration(to < begin ? begin - to : from > end ? from - end : to > end ? to - end : 0, time);
	if (to < begin)
		note(c, "no span of %s is of the trace's time: the last one ends %s before it", c->o->with, time);
	else if (from > end)
		note(c, "no span of %s is of the trace's time: the first one begins %s after it", c->o->with, time);
	else if (to > end)
		note(c, "spans go on for %s after the trace's end: what goroutines did then is not known", time);
	if (n->beside && n->joined)
		note(c, "%" PRIu64 " of the spans are of no goroutine and time that the trace has", n->beside);
}

static void tell_counts(const struct conversion *c, const struct activity_counts *n, const struct run_summary *sum)
{
	_cleanup_(buf_done) struct buf text = {0};

	buf_printf(&text, "%" PRIu64 " %s (%" PRIu64 " %s, %" PRIu64 " %s", c->spans, plural(c->spans, "span", "spans"),
		   n->tasks, plural(n->tasks, "task", "tasks"), n->regions, plural(n->regions, "region", "regions"));
	if (c->known)
		buf_printf(&text, ", %" PRIu64 " joined, %" PRIu64 " not", n->joined, n->beside);
	buf_printf(&text, ") of a go 1.%u trace of %.1f s (%" PRIu64 " events, %" PRIu64 " %s); ",
		   gotrace_reader_version(c->reader), (double)(n->last_ns - n->first_ns) / 1e9, n->events,
		   c->generations, plural(c->generations, "generation", "generations"));
	losses_print(sum, &(struct summary_text){.spans = true}, &text);
	note(c, "%s", text.data);
	if (!n->tasks && !n->regions && !c->known && c->generations)
		note(c, "the program has no tasks and no regions (trace.NewTask, trace.StartRegion): give spans that "
			"earshot saw meanwhile (--with)");
}

/* How many spans outputs have not taken, but for those that came when all readers had gone. */
static uint64_t finish_outputs(struct conversion *c, struct run_summary *sum)
{
	const struct losses *l = &sum->losses;
	const char *trouble;
	uint64_t left;

	outputs_finish(&c->sinks, FINISH_MS, &sum->losses);
	outputs_summary(&c->sinks, sum);
	for (size_t pos = 0; (trouble = outputs_trouble(&c->sinks, &pos));)
		note(c, "%s", trouble);
	left = l->count[LOSS_SINK_QUEUE] + l->count[LOSS_SINK_REFUSED];
	sum->spans_lost += left;
	left = outputs_gone(&c->sinks) ? 0 : left;
	outputs_close(&c->sinks, FINISH_MS);
	return left;
}

static int finish(struct conversion *c, struct err *err)
{
	const struct gotrace_rest *rest = gotrace_reader_rest(c->reader);
	struct activity_counts n = {0};
	int r = activity_counts(c->activity, &n, err);
	struct run_summary sum = {.events = n.events, .spans = c->spans, .open = n.unfinished, .processes = 1,
				  .spans_lost = n.losses.count[LOSS_OPEN_LIMIT], .losses = n.losses};
	uint64_t left = finish_outputs(c, &sum);

	if (!c->generations && rest->bytes)
		return err_set(err, -EBADMSG, "%s has no whole generation, so there is nothing to convert: %s",
			       shown_path(c), rest->why);
	tell_rest(c);
	if (!c->generations)
		note(c, "%s ends behind its header: the program ended before it had written anything", shown_path(c));
	tell_known(c, &n);
	tell_counts(c, &n, &sum);
	if (r >= 0 && left)
		r = err_set(err, -EIO, "%" PRIu64 " %s did not come through: outputs have not taken %s", left,
			    plural(left, "span", "spans"), plural(left, "it", "them"));
	return r;
}

/* ---- the command line ---- */

static const char *env_get(void *arg, const char *name)
{
	return getenv(name);
}

static int open_trace(struct conversion *c, int *ret_fd, struct err *err)
{
	int r;

	*ret_fd = strcmp(c->path, "-") ? open(c->path, O_RDONLY | O_CLOEXEC) : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (*ret_fd < 0)
		return err_set(err, -errno, "%s cannot be opened: %s", shown_path(c), strerror(errno));
	r = gotrace_reader_open(*ret_fd, &c->reader, err);
	return r < 0 ? err_prefix(err, "%s", shown_path(c)) : 0;
}

static int open_outputs(struct conversion *c, struct err *err)
{
	int r = otel_env_read(&c->env, env_get, NULL, err);

	if (r >= 0)
		r = outputs_open(&c->o->out, &(struct sink_setup){.gives = SINK_SPANS, .env = &c->env}, &c->sinks, err);
	c->wrong_usage = r == -EINVAL;
	return r;
}

static int run_conversion(struct conversion *c, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = -1;
	int r = open_trace(c, &fd, err);

	if (r >= 0 && c->o->with)
		r = known_spans_read(c->o->with, c->o->pid, &c->known, err);
	if (r >= 0)
		r = open_outputs(c, err);
	if (r >= 0)
		r = convert(c, fd, err);
	if (r >= 0)
		r = finish(c, err);
	outputs_close(&c->sinks, 0);
	activity_free(c->activity);
	known_spans_free(c->known);
	gotrace_reader_free(c->reader);
	otel_env_done(&c->env);
	arena_done(&c->arena);
	return r;
}

static int check_operands(const struct convert_options *o, int n, struct err *err)
{
	if (n != 1)
		return err_set(err, -EINVAL, "convert takes one file, or - for standard input: what runtime/trace or a "
			       "FlightRecorder has written");
	if (o->pid && !o->with)
		return err_set(err, -EINVAL,
			       "--pid says whose spans of --with are meant: a trace alone is of one process");
	if (o->pid > INT32_MAX)
		return err_set(err, -EINVAL, "--pid expects the number of a process");
	return outputs_check(&o->out, err);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct convert_options o = {0};
	struct conversion c = {.o = &o};
	struct err err = {0};
	int rest, code = EXIT_DONE, r = options_parse(v->groups, 0, &o, argc, argv, &rest, &err);

	if (r == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (r >= 0)
		r = check_operands(&o, argc - rest, &err);
	if (r < 0) {
		code = complain(EXIT_USAGE, "%s", err.text);
	} else {
		c.path = argv[rest];
		r = run_conversion(&c, &err);
		if (r < 0)
			code = complain(c.wrong_usage ? EXIT_USAGE : EXIT_FAILED, "%s", err.text);
	}
	options_done(v->groups, &o);
	return code;
}

const struct verb verb_convert = {
	.name = "convert",
	.synopsis = "[options] FILE | -",
	.summary = "make spans of an execution trace of Go, and say what goroutines waited for",
	.groups = convert_groups,
	.run = run,
};
