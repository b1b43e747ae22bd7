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
#include "binary/binary.h"
#include "profile.pb-c.h"
#include "sink/call_sinks.h"
#include "sink/call_stream.h"

#define MAX_STACKS 100000
#define NVALUES 2 /* calls, duration */
#define PAGE UINT64_C(4096)

struct pprof_output {
	struct call_sink sink;
	struct call_stream stream;
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

static struct pprof_output *self(struct call_sink *s)
{
	return (struct pprof_output *)s;
}

/* ---- the tables ---- */

static int64_t string_of(struct pprof_output *o, const char *text)
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

static uint64_t function_of(struct pprof_output *o, const char *name, const char *file)
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

/* What the binary is called: not by the link of a process that will have ended when the profile is read. */
static const char *file_of(const struct call_process *p)
{
	const char *name = binary_name(p->binary);

	return p->name && !strncmp(name, "/proc/", 6) ? p->name : name;
}

/* The binary's code, where the process has it; 0 when it has none. */
static uint64_t mapping_of(struct pprof_output *o, const struct call_process *p)
{
	const struct image *image = p->binary ? binary_image(p->binary) : NULL;
	Pprof__Mapping *m = map_get(&o->mapping_index, p->target);

	if (m || !image)
		return m ? m->id : 0;
	m = arena_new(&o->arena, Pprof__Mapping);
	pprof__mapping__init(m);
	for (size_t i = 0; i < image->nsegments; i++) {
		const struct image_segment *s = &image->segments[i];

		if (!(s->flags & 1) || m->memory_limit) /* PF_X */
			continue;
		m->memory_start = (s->vaddr + p->bias) & ~(PAGE - 1);
		m->memory_limit = ALIGN_UP(s->vaddr + s->memsz + p->bias, PAGE);
		m->file_offset = s->offset & ~(PAGE - 1);
	}
	m->filename = string_of(o, file_of(p));
	m->has_functions = m->has_filenames = m->has_line_numbers = m->has_inline_frames = true;
	vec_push(&o->mappings, m);
	m->id = o->mappings.len;
	map_set(&o->mapping_index, p->target, m);
	return m->id;
}

static void add_line(struct pprof_output *o, Pprof__Location *l, const char *name, const char *file, int line)
{
	Pprof__Line *new = arena_new(&o->arena, Pprof__Line);

	pprof__line__init(new);
	new->function_id = function_of(o, name, file);
	new->line = line;
	l->line[l->n_line++] = new;
}

/* The functions at an address with their lines, the innermost inlined one first; if name is not NULL that alone. */
static Pprof__Location *add_location(struct pprof_output *o, const struct call_process *p, uint64_t address,
				     const char *name)
{
	Pprof__Location *l = arena_new(&o->arena, Pprof__Location);
	struct pc_frame f[CODE_FRAMES_MAX];
	size_t n = p->binary ? binary_pc_frames(p->binary, address - p->bias, f, ARRAY_SIZE(f)) : 0;
	char number[64];

	pprof__location__init(l);
	l->line = arena_array(&o->arena, Pprof__Line *, n + 1);
	l->address = address;
	l->mapping_id = mapping_of(o, p);
	snprintf(number, sizeof(number), "0x%" PRIx64, address);
	for (size_t i = 0; i < n; i++) {
		f[i].function = arena_strdup(&o->arena, f[i].function);
		f[i].file = arena_strdup(&o->arena, f[i].file);
	}
	if (p->binary && !binary_intact(p->binary)) {
		snprintf(number, sizeof(number), "0x%" PRIx64 " (its file has changed)", address);
		n = 0;
	}
	if (name || !n)
		add_line(o, l, name ? name : number, n ? f[0].file : "", n ? f[0].line : 0);
	for (size_t i = 0; i < n && !name; i++)
		add_line(o, l, f[i].function, f[i].file, f[i].line);
	vec_push(&o->locations, l);
	l->id = o->locations.len;
	return l;
}

static uint64_t frame_location(struct pprof_output *o, const struct call_process *p, uint64_t return_address)
{
	uint64_t address = return_address - 1; /* in the call */
	uint64_t key = address ^ (uint64_t)p->target << 48;
	Pprof__Location *l = map_get(&o->location_index, key);

	if (!l) {
		l = add_location(o, p, address, NULL);
		map_set(&o->location_index, key, l);
	}
	return l->id;
}

/* The traced function itself: one for each of a process's plans. */
static uint64_t call_location(struct pprof_output *o, const struct call_record *c)
{
	uint64_t key = (uintptr_t)c->plan ^ (uint64_t)c->process->target << 48;
	uint64_t address = c->plan->pc ? c->plan->pc : c->plan->func.entry;
	Pprof__Location *l = map_get(&o->call_index, key);

	if (!l) {
		l = add_location(o, c->process, address + c->process->bias, c->plan->name);
		map_set(&o->call_index, key, l);
	}
	return l->id;
}

/* ---- calls ---- */

static Pprof__Sample *add_sample(struct pprof_output *o)
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

static void pprof_call(struct call_sink *s, const struct call_record *c)
{
	struct pprof_output *o = self(s);
	Pprof__Sample *sample;

	o->stack.len = 0;
	vec_push(&o->stack, call_location(o, c));
	for (size_t i = 0; i < c->nstack; i++)
		vec_push(&o->stack, frame_location(o, c->process, c->stack[i]));
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

static void pack_profile(struct pprof_output *o, struct buf *ret)
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

static void write_file(struct pprof_output *o)
{
	struct buf packed = {0};

	if (o->written)
		return;
	o->written = true;
	pack_profile(o, &packed);
	if (!append_gzip(&packed, output_begin(&o->stream.out)))
		snprintf(o->trouble, sizeof(o->trouble), "the profile could not be compressed");
	output_flush(&o->stream.out, 0);
	buf_done(&packed);
}

static void pprof_summary(struct call_sink *s, const struct call_summary *sum)
{
	write_file(self(s));
}

static const char *pprof_trouble(struct call_sink *s)
{
	struct pprof_output *o = self(s);
	const char *trouble = call_stream_trouble(&o->stream);

	if (trouble)
		return trouble;
	if (o->left_out)
		snprintf(o->trouble, sizeof(o->trouble),
			 "the profile lacks %" PRIu64 " calls: there were more than %d different stacks", o->left_out,
			 MAX_STACKS);
	return o->trouble[0] ? o->trouble : NULL;
}

static void pprof_losses(struct call_sink *s, struct losses *ret)
{
	struct pprof_output *o = self(s);

	ret->count[LOSS_SINK_QUEUE] += o->left_out;
	ret->count[LOSS_SINK_REFUSED] += o->stream.out.error != 0;
}

static void pprof_close(struct call_sink *s)
{
	struct pprof_output *o = self(s);

	if (!o)
		return;
	write_file(o);
	call_stream_close(&o->stream);
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

static const struct call_sink_ops pprof_ops = {
	.name = "pprof",
	.call = pprof_call,
	.summary = pprof_summary,
	.trouble = pprof_trouble,
	.losses = pprof_losses,
	.close = pprof_close,
};

int call_pprof_new(const char *path, struct call_sink **ret, struct err *err)
{
	struct pprof_output *o = xcalloc(1, sizeof(*o));
	int r = call_stream_create(path, &o->stream, err);

	if (r < 0) {
		free(o);
		return r;
	}
	o->sink.ops = &pprof_ops;
	o->began_unix_ns = clock_realtime_ns();
	string_of(o, "");
	*ret = &o->sink;
	return 0;
}
