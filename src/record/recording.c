/*
 * Segments are allocated one by one and go the same way, so a recording by time takes the memory that its time needs.
 * One is kept for the next, or a quiet program's would come and go. Their pages are had at once: a fault for each would
 * cost more than what is written into it.
 */
#include "record/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "record/pass.h"
#include "record/recording_file.h"

struct kept_segment {
	uint8_t *bytes;
	size_t used, written; /* written: of it, to the file */
	uint64_t sequence, begun_unix_ns;
	uint64_t last_ns;     /* monotonic: nothing of it ended later */
};

struct recording {
	struct recording_options o;
	uint64_t number, sequence;
	size_t most;                           /* segments */
	VEC(struct kept_segment) segments;     /* by their sequence; the last is being written */
	struct segment_writer writer;
	uint8_t *spare;
	uint64_t now_ns;                       /* of the last tick */
	uint64_t too_large;
	struct recorded_losses losses;
	struct recording_file *file;
	int file_error;
	char trouble[300];
};

static struct kept_segment *last_of(struct recording *r)
{
	return r->segments.len ? &r->segments.data[r->segments.len - 1] : NULL;
}

/* ---- the file ---- */

static void write_to_file(struct recording *r, struct kept_segment *s)
{
	/* With the 0 behind it: what lay there before is none of it. */
	const size_t to = MIN(s->used + 4, (size_t)SEGMENT_BYTES);
	int e;

	if (!r->file || s->written == s->used)
		return;
	e = recording_file_write(r->file, s->sequence, s->bytes, s->written, to);
	r->file_error = e;
	if (!e)
		s->written = s->used;
}

static void bring_up_to_date(struct recording *r)
{
	for (size_t i = 0; i < r->segments.len; i++)
		write_to_file(r, &r->segments.data[i]);
}

const char *recording_trouble(struct recording *r)
{
	if (!r->file_error)
		return NULL;
	snprintf(r->trouble, sizeof(r->trouble), "%s cannot be written (%s): the recording goes on in memory alone",
		 r->o.file, strerror(-r->file_error));
	return r->trouble;
}

/* ---- segments ---- */

static uint8_t *segment_new(void)
{
	void *p = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "earshot: out of memory\n");
		exit(1);
	}
	return p;
}

static void segment_free(uint8_t *bytes)
{
	if (bytes)
		munmap(bytes, SEGMENT_BYTES);
}

static void let_go_oldest(struct recording *r)
{
	uint8_t *bytes = r->segments.data[0].bytes;

	if (r->spare)
		segment_free(bytes);
	else
		r->spare = bytes;
	r->segments.len--;
	memmove(r->segments.data, r->segments.data + 1, r->segments.len * sizeof(*r->segments.data));
}

static void begin_segment(struct recording *r)
{
	struct kept_segment *s = last_of(r);

	if (s)
		write_to_file(r, s);
	if (r->segments.len == r->most)
		let_go_oldest(r);
	s = vec_add(&r->segments);
	*s = (struct kept_segment){.bytes = r->spare ? TAKE(r->spare) : segment_new(),
				   .sequence = ++r->sequence, .begun_unix_ns = clock_realtime_ns(),
				   .last_ns = r->now_ns};
	segment_begin(&r->writer, s->bytes, s->sequence, r->number, s->begun_unix_ns);
	segment_add_losses(&r->writer, &r->losses);
	s->used = r->writer.used;
}

static void written(struct recording *r)
{
	last_of(r)->used = r->writer.used;
	last_of(r)->last_ns = r->now_ns;
}

void recording_span(struct recording *r, const struct span *s)
{
	bool there = segment_add_span(&r->writer, s);

	if (!there) {
		begin_segment(r);
		there = segment_add_span(&r->writer, s);
	}
	r->too_large += !there;
	written(r);
}

void recording_losses(struct recording *r, const struct recorded_losses *l)
{
	if (!memcmp(&r->losses, l, sizeof(*l)))
		return;
	r->losses = *l;
	if (!segment_add_losses(&r->writer, l))
		begin_segment(r); /* which tells them */
	written(r);
}

void recording_tick(struct recording *r, uint64_t now_monotonic_ns)
{
	r->now_ns = now_monotonic_ns;
	while (r->o.last_ns && r->segments.len > 1 && r->segments.data[0].last_ns + r->o.last_ns < now_monotonic_ns)
		let_go_oldest(r);
	bring_up_to_date(r);
}

void recording_is_copy(struct recording *r)
{
	r->file = NULL; /* its descriptor may be another file's here */
}

uint64_t recording_too_large(const struct recording *r)
{
	return r->too_large;
}

uint64_t recording_bytes(const struct recording *r, uint64_t *ret_most)
{
	*ret_most = r->most * (uint64_t)SEGMENT_BYTES;
	return r->segments.len * (uint64_t)SEGMENT_BYTES;
}

/* ---- reading ---- */

void recording_read(const struct recording *r, uint64_t from_unix_ns, const struct segment_reading *to,
		    struct recording_about *ret)
{
	const struct segment_reading own = {.span = to->span, .arg = to->arg, .memory = to->memory, .unchecked = true};
	struct recording_pass pass;

	recording_pass_begin(&pass, from_unix_ns, &own, ret);
	for (size_t i = 0; i < r->segments.len; i++) {
		const struct kept_segment *s = &r->segments.data[i];

		/* What is recorded when the next one is begun may have ended a little earlier, but not later. */
		if (i + 1 < r->segments.len && s[1].begun_unix_ns < from_unix_ns)
			continue;
		recording_pass_segment(&pass, s->bytes, s->used + 4 > SEGMENT_BYTES ? SEGMENT_BYTES : s->used + 4);
	}
	recording_pass_end(&pass);
}

/* ---- beginning and end ---- */

int recording_new(const struct recording_options *o, struct recording **ret, bool *ret_kept, struct err *err)
{
	struct recording *r = xcalloc(1, sizeof(*r));
	int e = 0;

	*ret_kept = false;
	r->o = *o;
	r->most = MAX(o->max_bytes / SEGMENT_BYTES, RECORDING_LEAST / SEGMENT_BYTES);
	r->now_ns = clock_monotonic_ns();
	r->number = hash_next(hash_next(FNV1A_BASIS, clock_realtime_ns()), (uint64_t)getpid());
	if (o->file)
		e = recording_file_create(o->file, (uint32_t)r->most, r->number, &r->file, ret_kept, err);
	if (e < 0) {
		recording_free(r);
		return e;
	}
	r->writer.unchecked = !r->file;
	begin_segment(r);
	*ret = r;
	return 0;
}

void recording_free(struct recording *r)
{
	if (!r)
		return;
	bring_up_to_date(r);
	for (size_t i = 0; i < r->segments.len; i++)
		segment_free(r->segments.data[i].bytes);
	vec_done(&r->segments);
	segment_free(r->spare);
	segment_writer_done(&r->writer);
	recording_file_free(r->file);
	free(r);
}
