/*
 * `--pprof FILE`: calls and their durations by stack, as `go tool pprof` reads it. Stacks are kept as location numbers;
 * a location's function and line are looked up once, when it is first seen. The file is written at the end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/vec.h"
#include "call/symbolize.h"
#include "profile.pb-c.h"
#include "sink/file_sink.h"

#define MAX_STACKS 100000
#define NVALUES 2 /* calls, duration */

struct pprof_sink {
	struct file_sink file;  /* first */
	struct arena arena;             /* all of the profile's parts */
	struct strmap string_index, function_index, sample_index;
	struct map location_index, call_index, mapping_index;
	VEC(char *) strings;
	VEC(Pprof__Function *) functions;
	VEC(Pprof__Location *) locations;
	VEC(Pprof__Mapping *) mappings;
	VEC(Pprof__Sample *) samples;
	VEC(uint64_t) stack;            /* of the call at hand */
	uint64_t began_unix_ns, left_out;
	bool written;
	char trouble[120];
};

static struct pprof_sink *self(struct sink *s)
{
	return (struct pprof_sink *)s;
}

/* ---- the tables ---- */

static int64_t string_of(struct pprof_sink *o, const char *text)
{
	size_t len = strlen(text);
	uintptr_t index = (uintptr_t)strmap_get(&o->string_index, text, len);
	char *copy;

	if (index || (!len && o->strings.len))
		return (int64_t)index;
	copy = arena_strndup(&o->arena, text, len);
	if (o->strings.len) /* the first is the empty one, number 0 */
		strmap_set(&o->string_index, copy, len, (void *)(uintptr_t)o->strings.len);
	vec_push(&o->strings, copy);
	return (int64_t)o->strings.len - 1;
}

static uint64_t function_of(struct pprof_sink *o, const char *name, const char *file)
{
	char *key = arena_printf(&o->arena, "%s\n%s", name, file);
	Pprof__Function *f = strmap_get(&o->function_index, key, strlen(key));

	if (f)
		return f->id;
	f = arena_new(&o->arena, Pprof__Function);
	pprof__function__init(f);
	f->name = f->system_name = string_of(o, name);
	f->filename = string_of(o, file);
	vec_push(&o->functions, f);
	f->id = o->functions.len;
	strmap_set(&o->function_index, key, strlen(key), f);
	return f->id;
}

/* The process's code, where it has it; 0 when that is not known. */
static uint64_t mapping_of(struct pprof_sink *o, const struct resource *p)
{
	const struct symbolizer *code = p->symbolizer;
	Pprof__Mapping *m = map_get(&o->mapping_index, p->id);

	if (m || !code || !code->end)
		return m ? m->id : 0;
	m = arena_new(&o->arena, Pprof__Mapping);
	pprof__mapping__init(m);
	m->memory_start = code->start;
	m->memory_limit = code->end;
	m->file_offset = code->offset;
	m->filename = string_of(o, code->file);
	m->has_functions = m->has_filenames = m->has_line_numbers = m->has_inline_frames = true;
	vec_push(&o->mappings, m);
	m->id = o->mappings.len;
	map_set(&o->mapping_index, p->id, m);
	return m->id;
}

static void add_line(struct pprof_sink *o, Pprof__Location *l, const char *name, const char *file, int line)
{
	Pprof__Line *new = arena_new(&o->arena, Pprof__Line);

	pprof__line__init(new);
	new->function_id = function_of(o, name, file);
	new->line = line;
	l->line[l->n_line++] = new;
}

/* The functions at an address with their lines, the innermost inlined one first; if name is not NULL that alone. */
static Pprof__Location *add_location(struct pprof_sink *o, const struct resource *p, uint64_t address,
				     const char *name)
{
	Pprof__Location *l = arena_new(&o->arena, Pprof__Location);
	struct code_frame f[CODE_FRAMES_MAX];
	struct arena scratch = {0};
	size_t n = code_frames(p, address, &scratch, f, ARRAY_SIZE(f));

	pprof__location__init(l);
	l->line = arena_array(&o->arena, Pprof__Line *, n);
	l->address = address;
	l->mapping_id = mapping_of(o, p);
	for (size_t i = 0; i < (name ? 1 : n); i++)
		add_line(o, l, name ? name : f[i].function, f[i].file, f[i].line);
	arena_done(&scratch);
	vec_push(&o->locations, l);
	l->id = o->locations.len;
	return l;
}

static uint64_t frame_location(struct pprof_sink *o, const struct resource *p, uint64_t return_address)
{
	uint64_t address = return_address - 1; /* in the call */
	uint64_t key = address ^ (uint64_t)p->id << 48;
	Pprof__Location *l = map_get(&o->location_index, key);

	if (!l) {
		l = add_location(o, p, address, NULL);
		map_set(&o->location_index, key, l);
	}
	return l->id;
}

/* The traced function itself: one for each process, and for each question about it. */
static uint64_t call_location(struct pprof_sink *o, const struct call_record *c)
{
	uint64_t key = (uintptr_t)c->function ^ (uint64_t)c->resource->id << 48;
	Pprof__Location *l = map_get(&o->call_index, key);

	if (!l) {
		l = add_location(o, c->resource, c->address, c->function->name);
		map_set(&o->call_index, key, l);
	}
	return l->id;
}

/* ---- calls ---- */

static Pprof__Sample *add_sample(struct pprof_sink *o)
{
	size_t size = o->stack.len * sizeof(uint64_t);
	Pprof__Sample *s = arena_new(&o->arena, Pprof__Sample);

	pprof__sample__init(s);
	s->location_id = arena_memdup(&o->arena, o->stack.data, size);
	s->n_location_id = o->stack.len;
	s->value = arena_array(&o->arena, int64_t, NVALUES);
	s->n_value = NVALUES;
	strmap_set(&o->sample_index, (const char *)s->location_id, size, s);
	vec_push(&o->samples, s);
	return s;
}

static void pprof_call(struct sink *s, const struct call_record *c)
{
	struct pprof_sink *o = self(s);
	Pprof__Sample *sample;

	o->stack.len = 0;
	vec_push(&o->stack, call_location(o, c));
	for (size_t i = 0; i < c->nstack; i++)
		vec_push(&o->stack, frame_location(o, c->resource, c->stack[i]));
	sample = strmap_get(&o->sample_index, (const char *)o->stack.data, o->stack.len * sizeof(uint64_t));
	if (!sample && o->samples.len >= MAX_STACKS) {
		o->left_out++;
		return;
	}
	if (!sample)
		sample = add_sample(o);
	sample->value[0]++;
	sample->value[1] += (int64_t)c->duration_ns;
}

/* ---- the file ---- */

static void pack_profile(struct pprof_sink *o, struct buf *ret)
{
	Pprof__ValueType types[NVALUES] = {PPROF__VALUE_TYPE__INIT, PPROF__VALUE_TYPE__INIT}, *pointers[NVALUES];
	Pprof__Profile p = PPROF__PROFILE__INIT;

	for (size_t i = 0; i < NVALUES; i++) {
		types[i].type = string_of(o, i ? "duration" : "calls");
		types[i].unit = string_of(o, i ? "nanoseconds" : "count");
		pointers[i] = &types[i];
	}
	p.sample_type = pointers, p.n_sample_type = NVALUES;
	p.sample = o->samples.data, p.n_sample = o->samples.len;
	p.mapping = o->mappings.data, p.n_mapping = o->mappings.len;
	p.location = o->locations.data, p.n_location = o->locations.len;
	p.function = o->functions.data, p.n_function = o->functions.len;
	p.string_table = o->strings.data, p.n_string_table = o->strings.len;
	p.time_nanos = (int64_t)o->began_unix_ns;
	p.duration_nanos = (int64_t)(clock_realtime_ns() - o->began_unix_ns);
	buf_reserve(ret, pprof__profile__get_packed_size(&p));
	ret->len = pprof__profile__pack(&p, (uint8_t *)ret->data);
}

static bool append_gzip(const struct buf *in, struct buf *out)
{
	z_stream z = {0};
	bool ok;

	/* 16: with gzip's header */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	buf_reserve(out, deflateBound(&z, in->len));
	z.next_in = (Bytef *)in->data;
	z.avail_in = (uInt)in->len;
	z.next_out = (Bytef *)out->data + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
	out->len += ok ? z.total_out : 0;
	deflateEnd(&z);
	return ok;
}

static void write_file(struct pprof_sink *o)
{
	struct buf packed = {0};

	if (o->written)
		return;
	o->written = true;
	pack_profile(o, &packed);
	if (!append_gzip(&packed, output_begin(&o->file.out)))
		snprintf(o->trouble, sizeof(o->trouble), "the profile could not be compressed");
	output_flush(&o->file.out, 0);
	buf_done(&packed);
}

static void pprof_summary(struct sink *s, const struct run_summary *sum)
{
	write_file(self(s));
}

static const char *pprof_trouble(struct sink *s)
{
	struct pprof_sink *o = self(s);
	const char *trouble = file_sink_trouble(s);

	if (trouble)
		return trouble;
	if (o->left_out)
		snprintf(o->trouble, sizeof(o->trouble),
			 "the profile lacks %" PRIu64 " calls: there were more than %d different stacks", o->left_out,
			 MAX_STACKS);
	return o->trouble[0] ? o->trouble : NULL;
}

static void pprof_losses(struct sink *s, struct losses *ret)
{
	struct pprof_sink *o = self(s);

	ret->count[LOSS_SINK_QUEUE] += o->left_out;
	ret->count[LOSS_SINK_REFUSED] += o->file.out.error != 0;
}

static void pprof_close(struct sink *s, unsigned timeout_ms)
{
	struct pprof_sink *o = self(s);

	write_file(o);
	file_sink_done(&o->file, timeout_ms);
	strmap_done(&o->string_index);
	strmap_done(&o->function_index);
	strmap_done(&o->sample_index);
	map_done(&o->location_index);
	map_done(&o->call_index);
	map_done(&o->mapping_index);
	vec_done(&o->strings);
	vec_done(&o->functions);
	vec_done(&o->locations);
	vec_done(&o->mappings);
	vec_done(&o->samples);
	vec_done(&o->stack);
	arena_done(&o->arena);
	free(o);
}

static const struct sink_ops pprof_ops = {
	.name = "pprof",
	.call = pprof_call,
	.summary = pprof_summary,
	.trouble = pprof_trouble,
	.losses = pprof_losses,
	.close = pprof_close,
};

static int pprof_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct pprof_sink *o = xcalloc(1, sizeof(*o));
	int r = file_sink_create(&o->file, &pprof_ops, setup, err);

	if (r < 0) {
		free(o);
		return r;
	}
	o->began_unix_ns = clock_realtime_ns();
	string_of(o, "");
	*ret = &o->file.sink;
	return 0;
}

static const struct option_def rows[] = {
	FILE_OPTION("pprof", "write the stacks of calls as a profile for `go tool pprof`, instead of lines"),
	{0},
};
static const char *const manual[] = {
	"write the stacks of calls as a profile for\n"
	".BR \"go tool pprof\" .\n"
	"Calls are then not printed, as with\n"
	".BR \\-\\-perfetto .",
};

const struct sink_kind sink_pprof = {
	.name = "pprof",
	.takes = SINK_CALLS,
	.needs = SINK_NEEDS_RETURN | SINK_NEEDS_STACK,
	.writes_file = true,
	.options = rows,
	.options_size = sizeof(struct file_options),
	.manual = manual,
	.open = pprof_open,
};
