/*
 * `--perfetto FILE`: the calls on a timeline, a track for each goroutine, and spans, each on a track of its own, since
 * they need not lie within each other on their goroutine. It is the Trace Event Format, that ui.perfetto.dev and
 * chrome://tracing open. The file is an array that is written as calls end; its readers do without the closing bracket,
 * so what was written before we were killed is of use. Times are the monotonic clock's: those of the epoch, in
 * microseconds, lose their nanoseconds in a double.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/map.h"
#include "sink/attr_json.h"
#include "sink/frame_names.h"
#include "sink/file_sink.h"

#define MAX_TRACKS 200000 /* that get a name */

struct perfetto_sink {
	struct file_sink file;  /* first */
	struct frame_names names;
	struct map tracks, processes;  /* named */
	bool began;
	bool based;
	int64_t base;                  /* from spans' times to those of the timeline */
};

static struct perfetto_sink *self(struct sink *s)
{
	return (struct perfetto_sink *)s;
}

static struct json event_begin(struct perfetto_sink *o, const char *phase, const char *name)
{
	struct json j = {.out = output_begin(&o->file.out)};

	buf_str(j.out, o->began ? ",\n" : "");
	o->began = true;
	json_open(&j, '{');
	json_key(&j, "ph");
	json_str(&j, phase);
	json_key(&j, "name");
	json_str(&j, name);
	return j;
}

static void event_finish(struct perfetto_sink *o, struct json *j)
{
	json_close(j, '}');
	output_end(&o->file.out);
}

static void write_int(struct json *j, const char *key, int64_t v)
{
	json_key(j, key);
	json_int(j, v);
}

static void write_micros(struct json *j, const char *key, uint64_t ns)
{
	json_key(j, key);
	buf_printf(j->out, "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
	j->comma = true;
}

static void write_track(struct json *j, const struct resource *r, uint64_t goid)
{
	write_int(j, "pid", r->pid);
	write_int(j, "tid", (int64_t)goid);
}

/* ---- names of tracks ---- */

static void name_track(struct perfetto_sink *o, const struct resource *r, uint64_t goid, const char *what,
		       const char *name)
{
	struct json j = event_begin(o, "M", what);

	write_track(&j, r, goid);
	json_key(&j, "args");
	json_open(&j, '{');
	json_key(&j, "name");
	json_str(&j, name);
	json_close(&j, '}');
	event_finish(o, &j);
}

static void name_process(struct perfetto_sink *o, const struct resource *r, uint64_t goid)
{
	if (map_get(&o->processes, r->id))
		return;
	map_set(&o->processes, r->id, o);
	name_track(o, r, goid, "process_name", r->name);
}

static void name_tracks(struct perfetto_sink *o, const struct call_record *c)
{
	uint64_t track = c->goid ^ (uint64_t)c->resource->id << 40;
	char text[48] = "no goroutine";

	name_process(o, c->resource, c->goid);
	if (map_get(&o->tracks, track) || o->tracks.len >= MAX_TRACKS)
		return;
	map_set(&o->tracks, track, o);
	if (c->goid)
		snprintf(text, sizeof(text), "goroutine %" PRIu64, c->goid);
	name_track(o, c->resource, c->goid, "thread_name", text);
}

/* ---- calls ---- */

static void write_values(struct json *j, const char *key, const struct call_record *c, enum call_value_kind kind)
{
	bool any = false;

	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];

		if (v->kind != kind || call_value_missing(v))
			continue;
		if (!any) {
			json_key(j, key);
			json_open(j, '{');
		}
		any = true;
		json_key(j, v->name);
		value_json(&v->value, j);
	}
	if (any)
		json_close(j, '}');
}

static void write_details(struct perfetto_sink *o, struct json *j, const struct call_record *c)
{
	static const char *const ends[] = {
		[CALL_PANICKED] = "panicked", [CALL_OPEN] = "still running", [CALL_EXITED] = "the process exited"};

	json_key(j, "args");
	json_open(j, '{');
	write_values(j, "args", c, CALL_ARG);
	write_values(j, "returns", c, CALL_RESULT);
	write_values(j, "values", c, CALL_EXPR);
	if (c->end == CALL_PANICKED || c->end == CALL_OPEN || c->end == CALL_EXITED) {
		json_key(j, "end");
		json_str(j, ends[c->end]);
	}
	if (c->function->inlined_into) {
		json_key(j, "inlined_into");
		json_str(j, c->function->inlined_into);
	}
	if (c->function->approximate) {
		json_key(j, "approximate");
		json_bool(j, true);
	}
	if (c->stack)
		frame_names_json(&o->names, c, j);
	json_close(j, '}');
}

static void perfetto_call(struct sink *s, const struct call_record *c)
{
	struct perfetto_sink *o = self(s);
	struct json j;

	name_tracks(o, c);
	j = event_begin(o, c->end == CALL_POINT ? "i" : "X", c->function->name);
	write_track(&j, c->resource, c->goid);
	write_micros(&j, "ts", c->start_ns);
	if (c->end == CALL_POINT) {
		json_key(&j, "s"); /* its track only */
		json_str(&j, "t");
	} else {
		write_micros(&j, "dur", c->duration_ns);
	}
	if (c->end == CALL_PANICKED) {
		json_key(&j, "cname"); /* a colour of chrome://tracing */
		json_str(&j, "terrible");
	}
	write_details(o, &j, c);
	event_finish(o, &j);
}

/* ---- spans ---- */

#define HOUR_NS INT64_C(3600000000000)

/*
 * Spans have the time of day, and go where calls of that time are. What is from before the machine's start (of another
 * one, perhaps) cannot: those begin at an hour of their own, since a timeline has no negative times.
 */
static uint64_t on_timeline(struct perfetto_sink *o, uint64_t unix_ns)
{
	if (!o->based) {
		o->base = clock_wall_offset_ns();
		if ((int64_t)unix_ns < o->base)
			o->base = (int64_t)unix_ns - HOUR_NS;
		o->based = true;
	}
	return (int64_t)unix_ns > o->base ? unix_ns - (uint64_t)o->base : 0;
}

/* A track's event: "b" where the span begins, "n" within it, "e" where it ends. */
static struct json span_event_begin(struct perfetto_sink *o, const struct span *s, const char *phase, const char *name,
				    uint64_t unix_ns)
{
	struct json j = event_begin(o, phase, name);

	json_key(&j, "cat");
	json_str(&j, "span");
	json_hex(&j, "id", s->span_id, sizeof(s->span_id));
	write_track(&j, s->resource, s->goid);
	write_micros(&j, "ts", on_timeline(o, unix_ns));
	return j;
}

static void write_args(struct json *j, const struct span *s, const struct attr *attrs, size_t n)
{
	json_key(j, "args");
	json_open(j, '{');
	if (s) {
		json_hex(j, "trace_id", s->trace_id, sizeof(s->trace_id));
		if (span_has_parent(s))
			json_hex(j, "parent_span_id", s->parent_id, sizeof(s->parent_id));
		write_int(j, "goid", (int64_t)s->goid);
	}
	for (size_t i = 0; i < n; i++)
		json_attr(j, &attrs[i]);
	json_close(j, '}');
}

static void perfetto_span(struct sink *sink, const struct span *s)
{
	struct perfetto_sink *o = self(sink);
	struct json j;

	name_process(o, s->resource, s->goid);
	j = span_event_begin(o, s, "b", s->name, s->start_unix_ns);
	write_args(&j, s, s->attrs, s->nattrs);
	event_finish(o, &j);
	for (size_t i = 0; i < s->nevents; i++) {
		j = span_event_begin(o, s, "n", s->events[i].name, s->events[i].unix_ns);
		write_args(&j, NULL, s->events[i].attrs, s->events[i].nattrs);
		event_finish(o, &j);
	}
	j = span_event_begin(o, s, "e", s->name, s->start_unix_ns + s->duration_ns);
	event_finish(o, &j);
}

/* A mark through all tracks, where it was asked for. */
static void perfetto_dump(struct sink *sink, const struct dump_note *n)
{
	struct perfetto_sink *o = self(sink);
	struct json j;

	on_timeline(o, n->from_unix_ns); /* the first moment decides what the timeline's times are */
	j = event_begin(o, "i", n->reason);
	write_int(&j, "pid", 0);
	write_int(&j, "tid", 0);
	write_micros(&j, "ts", on_timeline(o, n->at_unix_ns));
	json_key(&j, "s");
	json_str(&j, "g");
	json_key(&j, "args");
	json_open(&j, '{');
	json_key(&j, "dump");
	json_str(&j, n->text);
	json_close(&j, '}');
	event_finish(o, &j);
}

static void perfetto_close(struct sink *s, unsigned timeout_ms)
{
	struct perfetto_sink *o = self(s);

	buf_str(output_begin(&o->file.out), "\n]\n");
	file_sink_done(&o->file, timeout_ms);
	frame_names_done(&o->names);
	map_done(&o->tracks);
	map_done(&o->processes);
	free(o);
}

static const struct sink_ops perfetto_ops = {
	.name = "perfetto",
	.dump = perfetto_dump,
	.span = perfetto_span,
	.call = perfetto_call,
	.tick = file_sink_tick,
	.full = file_sink_full,
	.trouble = file_sink_trouble,
	.losses = file_sink_losses,
	.close = perfetto_close,
};

static int perfetto_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct perfetto_sink *o = xcalloc(1, sizeof(*o));
	int r = file_sink_create(&o->file, &perfetto_ops, setup, err);

	if (r < 0) {
		free(o);
		return r;
	}
	o->names.with_line = true;
	buf_str(output_begin(&o->file.out), "[\n");
	*ret = &o->file.sink;
	return 0;
}

static const struct option_def rows[] = {
	FILE_OPTION("perfetto", "write a timeline for ui.perfetto.dev or chrome://tracing; calls are then not printed"),
	{0},
};
static const char *const manual[] = {
	"write a timeline that ui.perfetto.dev and chrome://tracing open. Calls are then not printed, unless\n"
	".B \\-\\-json\n"
	"or\n"
	".B \\-\\-graph\n"
	"asks for it.",
};

const struct sink_kind sink_perfetto = {
	.name = "perfetto",
	.takes = SINK_SPANS | SINK_CALLS,
	.needs = SINK_NEEDS_RETURN,
	.writes_file = true,
	.options = rows,
	.options_size = sizeof(struct file_options),
	.manual = manual,
	.open = perfetto_open,
};
