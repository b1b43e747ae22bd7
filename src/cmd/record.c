/*
 * earshot record: a flight recorder. It observes as run and attach do, keeps the last of it, and writes that out when
 * it matters. `--dump` asks a recorder that runs, `--read` shows what one has left in a file.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/named.h"
#include "cmd/observe.h"
#include "cmd/observe_options.h"
#include "cmd/record_control.h"
#include "cmd/verb.h"
#include "cmd/woven_match.h"
#include "record/recording_file.h"

#define DEFAULT_LAST_NS 30000000000ull
#define DEFAULT_BYTES   64000000ull
#define DEFAULT_EVERY_NS 10000000000ull
#define DEFAULT_DUMPS   100
#define MOST_BYTES      (256ull << 30)

struct record_options {
	struct target_options targets;
	struct observe_options observe;
	string_list last;
	const char *dump_to, *file, *name, *dump, *read;
	uint64_t every_ns, dumps;
};

static const struct option_def record_defs[] = {
	{0, "last", "30s|64MB", "keep so much: by time, in memory, or both (repeatable; default 30s, in at most 64MB)",
	 OPT_LIST, offsetof(struct record_options, last)},
	{0, "dump-on", "RULE",
	 "write out when this holds: status == error || latency > 1s || panicked || exit (repeatable)", OPT_LIST,
	 offsetof(struct record_options, observe.dump_on)},
	{0, "dump-to", "PATH",
	 "a folder that gets a file for each dump (default: .), a file that each replaces, or - for standard output",
	 OPT_STRING, offsetof(struct record_options, dump_to)},
	{0, "dump-every", "DURATION", "dumps by --dump-on are at least so far apart (default 10s)", OPT_DURATION,
	 offsetof(struct record_options, every_ns)},
	{0, "dumps", "N", "so many dumps by --dump-on at most (default 100)", OPT_UINT,
	 offsetof(struct record_options, dumps)},
	{0, "file", "FILE", "keep it in this file, too: it outlives us", OPT_STRING,
	 offsetof(struct record_options, file)},
	{0, "name", "NAME", "what --dump finds this recorder by (default: record-PID)", OPT_STRING,
	 offsetof(struct record_options, name)},
	{0},
};
static const struct option_def other_defs[] = {
	{0, "dump", "NAME|PID", "have a recorder that runs write out: by its name, or by a process that it observes",
	 OPT_STRING, offsetof(struct record_options, dump)},
	{0, "read", "FILE", "write out what --file has kept", OPT_STRING, offsetof(struct record_options, read)},
	{0},
};
static const struct option_group record_groups[] = {
	{"what to observe", target_option_defs, offsetof(struct record_options, targets), NULL},
	{"what is kept, and written out", record_defs, 0, NULL},
	{"what is kept, and written out", NULL, offsetof(struct record_options, observe.out), outputs_dump_rows},
	{"instead of observing", other_defs, 0, NULL},
	{"as of run and attach", observe_span_defs, offsetof(struct record_options, observe), NULL},
	{"as of run and attach", observation_for_defs, offsetof(struct record_options, observe.observation), NULL},
	{"as of run and attach", observation_planter_defs, offsetof(struct record_options, observe.observation), NULL},
	{"as of run and attach", observation_quiet_defs, offsetof(struct record_options, observe.observation), NULL},
	{0},
};

struct recordings {            /* what one command does */
	struct record_options o;
	struct target_plan plan;
	char **command;            /* NULL: -p, -x, --port */
	struct recorder_options asked;
	struct loop *loop;
	struct recorder *recorder;
	struct record_control *control;
};

/* ---- the command line ---- */

/* Each of the two units of a thousand and of 1,024, since nobody agrees. */
static bool size_parse(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {{"kB", 1000},	  {"KB", 1000},	    {"MB", 1000000},   {"GB", 1000000000},
		     {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}};
	char *end;
	const double v = strtod(s, &end);

	if (!isdigit((unsigned char)*s))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(end, units[i].unit) && v * (double)units[i].bytes <= (double)MOST_BYTES) {
			*ret = (uint64_t)(v * (double)units[i].bytes);
			return true;
		}
	return false;
}

static int read_last(const struct record_options *o, struct recording_options *ret, struct err *err)
{
	for (size_t i = 0; i < o->last.len; i++) {
		const char *text = o->last.data[i];

		if (!size_parse(text, &ret->max_bytes) &&
		    (duration_parse(text, &ret->last_ns, NULL) < 0 || !ret->last_ns))
			return err_set(err, -EINVAL,
				       "--last expects a time or a size (30s, 2m, 64MB, 1GiB), not \"%s\"", text);
	}
	if (!o->last.len)
		ret->last_ns = DEFAULT_LAST_NS;
	if (!ret->max_bytes)
		ret->max_bytes = DEFAULT_BYTES;
	if (ret->max_bytes < RECORDING_LEAST)
		return err_set(err, -EINVAL, "--last expects at least 1050kB: less holds hardly any request");
	return 0;
}

static int check_target(struct recordings *c, const char *operand, struct err *err)
{
	int r = target_plan_make(&c->o.targets, &c->plan, err);

	if (r >= 0 && operand)
		r = err_set(err, -EINVAL, "\"%s\" is no option: a program is started by `earshot record … -- %s`",
			    operand, operand);
	if (r >= 0 && c->command && (!*c->command || !target_plan_empty(&c->plan)))
		r = err_set(err, -EINVAL, !*c->command ? "say which program to run: earshot record -- ./server"
						       : "a program that is started is what is observed: -p, -x and "
							 "--port are for those that run");
	if (r >= 0 && !c->command && target_plan_empty(&c->plan))
		r = err_set(err, -EINVAL, "say what to observe: -p PID, -x GLOB, --port N or -- COMMAND");
	return r;
}

/* A command may go on without being observed (--for). */
static void on_closed(void *arg)
{
	struct recordings *c = arg;

	record_control_free(TAKE(c->control));
	c->recorder = NULL;
}

static int check(struct recordings *c, struct err *err)
{
	struct record_options *o = &c->o;
	struct recorder_options *a = &c->asked;

	a->recording.file = o->file;
	a->place = (struct dump_place){.out = &o->observe.out, .env = &o->observe.env,
				       .path = o->dump_to ? o->dump_to : "."};
	a->every_ns = o->every_ns;
	a->most = o->dumps;
	a->closed = on_closed;
	a->arg = c;
	return read_last(o, &a->recording, err);
}

/* ---- recording ---- */

static void on_signal(void *arg, uint32_t sig)
{
	const struct recordings *c = arg;

	if (c->recorder)
		recorder_dump(c->recorder, "signal", "asked for by SIGUSR1", RECORDER_NOBODY);
}

/* That nobody can ask is no reason not to record. */
static int listen_for_requests(struct recordings *c, struct observation *ob, struct err *err)
{
	char name[32];
	int r;

	snprintf(name, sizeof(name), "record-%d", getpid());
	r = c->o.name ? named_check(c->o.name, err) : 0;
	if (r >= 0 && c->o.name && !c->o.name[strspn(c->o.name, "0123456789")])
		r = err_set(err, -EINVAL, "--name expects more than digits: --dump %s would mean a process", c->o.name);
	if (r >= 0)
		r = record_control_new(c->o.name ? c->o.name : name, c->recorder, c->loop, &c->control, err);
	if (r >= 0 || c->o.name)
		return r;
	observation_note(ob, "`earshot record --dump` cannot reach this recorder, a signal (SIGUSR1) can: %s",
			 err->text);
	return 0;
}

static void tell(const struct recordings *c, struct observation *ob)
{
	const struct recording_options *o = &c->asked.recording;
	_cleanup_(buf_done) struct buf place = {0};
	char time[24];

	dump_place_print(&c->asked.place, &place);
	format_duration(o->last_ns, time);
	observation_note(ob, "recording the last %s%s%" PRIu64 " MB; %s%s%s", o->last_ns ? time : "",
			 o->last_ns ? " in at most " : "", o->max_bytes / 1000000, place.data,
			 o->file ? "; it is kept in " : "", o->file ? o->file : "");
}

static int open_all(struct recordings *c, struct observation **ret, struct err *err)
{
	struct observe_options *o = &c->o.observe;
	int r = recorder_new(&c->asked, c->loop, &c->recorder, err);

	if (r < 0)
		return r;
	o->sink = recorder_sink(c->recorder);
	o->show_process = true;
	o->several = c->plan.watches || c->plan.pids.len > 1;
	o->observation.offline = c->command ? command_woven(*c->command) : targets_woven(&c->plan);
	r = observe_open(o, c->loop, ret, err);
	if (r < 0) {
		if (o->sink) /* it was not taken */
			o->sink->ops->close(o->sink, 0);
		return r;
	}
	recorder_begin(c->recorder, *ret, o->dump_rules, o->dump_on.len);
	loop_add_signal(c->loop, SIGUSR1, on_signal, c);
	r = listen_for_requests(c, *ret, err);
	if (r < 0)
		observation_cancel(*ret);
	else
		tell(c, *ret);
	return r;
}

static int record(struct recordings *c)
{
	struct observation *ob;
	struct err err = {0};
	int code, r = dump_place_check(&c->asked.place, &err);

	if (r < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&c->loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	if (c->command)
		woven_record_at_once();
	if (open_all(c, &ob, &err) < 0)
		code = complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	else
		code = c->command ? observe_command(ob, c->command, c->loop)
				  : observe_running(ob, &c->plan, c->loop, NULL);
	loop_free(c->loop);
	observe_options_done(&c->o.observe);
	return code;
}

/* ---- instead of that ---- */

static int ask(const char *who)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct err err = {0};
	int r = record_control_ask(who, &text, &err);

	if (r < 0)
		return complain(r == -EINVAL ? EXIT_USAGE : r == -ESRCH ? EXIT_NOTHING : EXIT_FAILED, "%s", err.text);
	puts(text.data + 1);
	return EXIT_DONE;
}

static int read_file(const void *arg, uint64_t from_unix_ns, const struct segment_reading *to,
		     struct recording_about *ret, struct err *err)
{
	return recording_file_read((struct recording_file *)(uintptr_t)arg, from_unix_ns, to, ret, err);
}

static const char *env_get(void *arg, const char *name)
{
	return getenv(name);
}

static int read_recording(struct recordings *c, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	_cleanup_(cleanup_free) char *reason = xasprintf("what is in %s", c->o.read);
	struct dump_request q = {.cause = "file", .reason = reason, .read = read_file};
	struct dump_place *place = &c->asked.place;
	struct recording_file *f;
	int r;

	if (!c->o.dump_to)
		place->path = "-";
	r = dump_place_check(place, err);
	if (r >= 0)
		r = otel_env_read(&c->o.observe.env, env_get, NULL, err);
	if (r >= 0)
		r = recording_file_open(c->o.read, &f, err);
	if (r < 0)
		return r;
	q.arg = f;
	r = dump_write(place, &q, &text, err);
	if (r >= 0 && !c->o.observe.observation.quiet)
		complain(0, "%s", text.data);
	recording_file_free(f);
	observe_options_done(&c->o.observe);
	return r;
}

static int show_file(struct recordings *c)
{
	struct err err = {0};
	int r = read_recording(c, &err);

	return r < 0 ? complain(r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "%s", err.text) : EXIT_DONE;
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct recordings c = {.o = {.observe = OBSERVE_DEFAULTS, .every_ns = DEFAULT_EVERY_NS,
				     .dumps = DEFAULT_DUMPS}};
	struct err err = {0};
	int before = options_split(argc, argv, &c.command), rest, code = EXIT_DONE;
	int r = options_parse(v->groups, 0, &c.o, before, argv, &rest, &err);

	if (r == 0)
		r = check(&c, &err);
	if (r == 0 && !c.o.dump && !c.o.read)
		r = check_target(&c, rest < before ? argv[rest] : NULL, &err);
	if (r == 1)
		verb_help(v);
	else if (r < 0)
		code = complain(EXIT_USAGE, "%s", err.text);
	else
		code = c.o.dump ? ask(c.o.dump) : c.o.read ? show_file(&c) : record(&c);
	target_plan_done(&c.plan);
	options_done(v->groups, &c.o);
	return code;
}

const struct verb verb_record = {
	.name = "record",
	.synopsis = "(-p PID | -x GLOB | --port N) [options] | [options] -- COMMAND [ARG]...",
	.summary = "keep the last of what is observed, and write it out when something goes wrong",
	.groups = record_groups,
	.run = run,
};
