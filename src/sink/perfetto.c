/*
 * `--perfetto FILE`: the calls on a timeline, a track for each goroutine, in the Trace Event Format that
 * ui.perfetto.dev and chrome://tracing open. The file is an array that is written as calls end; its readers do without
 * the closing bracket, so what was written before we were killed is of use. Times are the monotonic clock's: those of
 * the epoch, in microseconds, lose their nanoseconds in a double.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/map.h"
#include "sink/frame_names.h"
#include "sink/file_sink.h"

#define MAX_TRACKS 200000 /* that get a name */

struct perfetto_sink {
	struct file_sink file;  /* first */
	struct frame_names names;
	struct map tracks, processes;  /* named */
	bool began;
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

static void write_track(struct json *j, const struct call_record *c)
{
	write_int(j, "pid", c->resource->pid);
	write_int(j, "tid", (int64_t)c->goid);
}

/* ---- names of tracks ---- */

static void name_track(struct perfetto_sink *o, const struct call_record *c, const char *what, const char *name)
{
	struct json j = event_begin(o, "M", what);

	write_track(&j, c);
	json_key(&j, "args");
	json_open(&j, '{');
	json_key(&j, "name");
	json_str(&j, name);
	json_close(&j, '}');
	event_finish(o, &j);
}

static void name_tracks(struct perfetto_sink *o, const struct call_record *c)
{
	uint64_t track = c->goid ^ (uint64_t)c->resource->id << 40;
	char text[48] = "no goroutine";

	if (!map_get(&o->processes, c->resource->id)) {
		map_set(&o->processes, c->resource->id, o);
		name_track(o, c, "process_name", c->resource->name);
	}
	if (map_get(&o->tracks, track) || o->tracks.len >= MAX_TRACKS)
		return;
	map_set(&o->tracks, track, o);
	if (c->goid)
		snprintf(text, sizeof(text), "goroutine %" PRIu64, c->goid);
	name_track(o, c, "thread_name", text);
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
	write_track(&j, c);
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
	.call = perfetto_call,
	.tick = file_sink_tick,
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
	FILE_OPTION("perfetto", "write a timeline for ui.perfetto.dev or chrome://tracing, instead of lines"),
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
	.takes = SINK_CALLS,
	.needs = SINK_NEEDS_RETURN,
	.options = rows,
	.options_size = sizeof(struct file_options),
	.manual = manual,
	.open = perfetto_open,
};
