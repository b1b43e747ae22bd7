/*
 * `--perfetto FILE`: the calls on a timeline, a track for each goroutine, in the Trace Event Format that
 * ui.perfetto.dev and chrome://tracing open. The file is an array that is written as calls end; its readers do without
 * the closing bracket, so what was written before we were killed is of use. Times are the monotonic clock's: those of
 * the epoch, in microseconds, lose their nanoseconds in a double.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/map.h"
#include "sink/call_code.h"
#include "sink/call_sinks.h"
#include "sink/call_stream.h"

#define MAX_TRACKS 200000 /* that get a name */

struct perfetto_output {
	struct sink sink;
	struct call_stream stream;
	struct code_names names;
	struct map tracks, processes;  /* named */
	bool began;
};

static struct perfetto_output *self(struct sink *s)
{
	return (struct perfetto_output *)s;
}

static struct json event_begin(struct perfetto_output *o, const char *phase, const char *name)
{
	struct json j = {.out = output_begin(&o->stream.out)};

	buf_str(j.out, o->began ? ",\n" : "");
	o->began = true;
	json_open(&j, '{');
	json_key(&j, "ph");
	json_str(&j, phase);
	json_key(&j, "name");
	json_str(&j, name);
	return j;
}

static void event_finish(struct perfetto_output *o, struct json *j)
{
	json_close(j, '}');
	output_end(&o->stream.out);
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
	write_int(j, "pid", c->process->resource->pid);
	write_int(j, "tid", (int64_t)c->goid);
}

/* ---- names of tracks ---- */

static void name_track(struct perfetto_output *o, const struct call_record *c, const char *what, const char *name)
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

static void name_tracks(struct perfetto_output *o, const struct call_record *c)
{
	uint64_t track = c->goid ^ (uint64_t)c->process->resource->id << 40;
	char text[48] = "no goroutine";

	if (!map_get(&o->processes, c->process->resource->id)) {
		map_set(&o->processes, c->process->resource->id, o);
		name_track(o, c, "process_name", c->process->resource->name);
	}
	if (map_get(&o->tracks, track) || o->tracks.len >= MAX_TRACKS)
		return;
	map_set(&o->tracks, track, o);
	if (c->goid)
		snprintf(text, sizeof(text), "goroutine %" PRIu64, c->goid);
	name_track(o, c, "thread_name", text);
}

/* ---- calls ---- */

static void write_values(struct json *j, const char *key, const struct call_record *c, enum shown_kind kind)
{
	bool any = false;

	for (size_t i = 0; i < c->nvalues; i++) {
		const struct call_value *v = &c->values[i];

		if (v->shown->kind != kind || call_value_missing(v))
			continue;
		if (!any) {
			json_key(j, key);
			json_open(j, '{');
		}
		any = true;
		json_key(j, v->shown->name);
		value_json(&v->value, j);
	}
	if (any)
		json_close(j, '}');
}

static void write_stack(struct perfetto_output *o, struct json *j, const struct call_record *c)
{
	json_key(j, "stack");
	json_open(j, '[');
	for (size_t i = 0; i < c->nstack; i++) {
		const struct frame_names *f = frame_names(&o->names, c->process, c->stack[i]);

		for (size_t k = 0; k < f->n; k++)
			json_str(j, f->names[k]);
	}
	json_close(j, ']');
}

static void write_details(struct perfetto_output *o, struct json *j, const struct call_record *c)
{
	static const char *const ends[] = {
		[CALL_PANICKED] = "panicked", [CALL_OPEN] = "still running", [CALL_EXITED] = "the process exited"};

	json_key(j, "args");
	json_open(j, '{');
	write_values(j, "args", c, SHOWN_ARG);
	write_values(j, "returns", c, SHOWN_RESULT);
	write_values(j, "values", c, SHOWN_EXPR);
	if (c->end == CALL_PANICKED || c->end == CALL_OPEN || c->end == CALL_EXITED) {
		json_key(j, "end");
		json_str(j, ends[c->end]);
	}
	if (c->plan->inlined) {
		json_key(j, "inlined_into");
		json_str(j, c->plan->func.name);
	}
	if (c->plan->approximate) {
		json_key(j, "approximate");
		json_bool(j, true);
	}
	if (c->stack)
		write_stack(o, j, c);
	json_close(j, '}');
}

static void perfetto_call(struct sink *s, const struct call_record *c)
{
	struct perfetto_output *o = self(s);
	struct json j;

	name_tracks(o, c);
	j = event_begin(o, c->end == CALL_POINT ? "i" : "X", c->plan->name);
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

static void perfetto_tick(struct sink *s)
{
	output_flush(&self(s)->stream.out, 0);
}

static const char *perfetto_trouble(struct sink *s)
{
	return call_stream_trouble(&self(s)->stream);
}

static void perfetto_losses(struct sink *s, struct losses *ret)
{
	output_losses(&self(s)->stream.out, ret);
}

static void perfetto_close(struct sink *s, unsigned timeout_ms)
{
	struct perfetto_output *o = self(s);

	if (!o)
		return;
	buf_str(output_begin(&o->stream.out), "\n]\n");
	call_stream_close(&o->stream, timeout_ms);
	code_names_done(&o->names);
	map_done(&o->tracks);
	map_done(&o->processes);
	free(o);
}

static const struct sink_ops perfetto_ops = {
	.name = "perfetto",
	.call = perfetto_call,
	.tick = perfetto_tick,
	.trouble = perfetto_trouble,
	.losses = perfetto_losses,
	.close = perfetto_close,
};

int call_perfetto_new(const char *path, struct sink **ret, struct err *err)
{
	struct perfetto_output *o = xcalloc(1, sizeof(*o));
	int r = call_stream_create(path, &o->stream, err);

	if (r < 0) {
		free(o);
		return r;
	}
	o->sink.ops = &perfetto_ops;
	o->names.with_line = true;
	buf_str(output_begin(&o->stream.out), "[\n");
	*ret = &o->sink;
	return 0;
}
