/*
 * Execution traces made by hand, byte by byte, and what is read of them as text. Ticks are nanoseconds unless a test
 * has it otherwise.
 */
#ifndef UNIT_MADE_TRACE_H
#define UNIT_MADE_TRACE_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gotrace/activity.h"
#include "gotrace/reader.h"

struct made {
	struct buf out, batch;
	uint64_t generation, m, begin, ticks, frequency;
	unsigned version;
	bool no_wall;
};

static inline void made_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_char(b, (char)(v | 0x80));
	buf_char(b, (char)v);
}

static inline void made_file(struct made *t, unsigned version)
{
	char head[17] = "";

	t->version = version;
	snprintf(head, sizeof(head), "go 1.%u trace", version);
	buf_append(&t->out, head, 16);
}

/* What comes until made_end is in one batch of this thread. */
static inline void made_begin(struct made *t, uint64_t m, uint64_t ticks)
{
	t->m = m;
	t->begin = t->ticks = ticks;
	buf_reset(&t->batch);
}

static inline void made_end(struct made *t)
{
	buf_char(&t->out, PART_BATCH);
	made_varint(&t->out, t->generation);
	made_varint(&t->out, t->m);
	made_varint(&t->out, t->begin);
	made_varint(&t->out, t->batch.len);
	buf_append(&t->out, t->batch.data ? t->batch.data : "", t->batch.len);
}

/* at: ticks; then the arguments behind the time. */
#define made_event(t, type, at, ...) made_event_((t), (type), (at), (const uint64_t[]){__VA_ARGS__ + 0})
static inline void made_event_(struct made *t, enum gotrace_event_type type, uint64_t at, const uint64_t *args)
{
	buf_char(&t->batch, (char)type);
	made_varint(&t->batch, at - t->ticks);
	for (unsigned i = 1; i < gotrace_shapes[type].args; i++)
		made_varint(&t->batch, args[i - 1]);
	t->ticks = at;
}

/* The frequency, and from 1.25 on what the clocks say: the time of day is a million seconds ahead. */
static inline void made_clocks(struct made *t, uint64_t ticks)
{
	made_begin(t, GOTRACE_NO_M, ticks);
	if (t->version >= 25)
		buf_char(&t->batch, PART_SYNC);
	buf_char(&t->batch, PART_FREQUENCY);
	made_varint(&t->batch, t->frequency ? t->frequency : 1000000000);
	if (t->version >= 25 && !t->no_wall) {
		buf_char(&t->batch, PART_CLOCK_SNAPSHOT);
		made_varint(&t->batch, 0);
		made_varint(&t->batch, 5000000000);
		made_varint(&t->batch, 1000005);
		made_varint(&t->batch, 0);
	}
	made_end(t);
}

/* Texts with the numbers 1 … n, then the stacks: stack k is of frames whose functions' texts are k and k + 1. */
static inline void made_texts(struct made *t, size_t nstacks, size_t n, const char *const *texts)
{
	made_begin(t, GOTRACE_NO_M, 0);
	buf_char(&t->batch, PART_STACKS);
	for (size_t k = 1; k <= nstacks; k++) {
		buf_char(&t->batch, PART_STACK);
		made_varint(&t->batch, k);
		made_varint(&t->batch, 2);
		for (size_t i = 0; i < 2; i++) {
			made_varint(&t->batch, 0x1000 * k + i);
			made_varint(&t->batch, k + i);
			made_varint(&t->batch, n);
			made_varint(&t->batch, 10 * k + i);
		}
	}
	made_end(t);
	made_begin(t, GOTRACE_NO_M, 0);
	buf_char(&t->batch, PART_STRINGS);
	for (size_t i = 0; i < n; i++) {
		buf_char(&t->batch, PART_STRING);
		made_varint(&t->batch, i + 1);
		made_varint(&t->batch, strlen(texts[i]));
		buf_str(&t->batch, texts[i]);
	}
	made_end(t);
	if (t->version >= 26)
		buf_char(&t->out, PART_END_OF_GENERATION);
}

static inline void made_done(struct made *t)
{
	buf_done(&t->out);
	buf_done(&t->batch);
}

/* ---- what is read of it ---- */

struct read_trace {
	struct buf spans; /* a line each */
	struct gotrace_rest rest;
	struct activity_counts counts;
	struct err err;
	size_t generations;
	int r;
};

static inline void read_span(void *arg, const struct span *s)
{
	struct buf *out = &((struct read_trace *)arg)->spans;

	buf_printf(out, "%s g%" PRIu64 " %" PRIu64 "+%" PRIu64 " %s", s->name, s->goid, s->start_unix_ns,
		   s->duration_ns, parent_source_text(s->parent_source));
	for (size_t i = 0; i < s->nattrs; i++) {
		const struct attr *a = &s->attrs[i];
		const char *key = strncmp(a->key, "earshot.go.", 11) ? a->key : a->key + 11;

		if (!strcmp(key, "time"))
			continue;
		if (a->kind == ATTR_STRING)
			buf_printf(out, " %s=%.*s", key, (int)a->len, a->s);
		else
			buf_printf(out, " %s=%" PRId64, key, a->kind == ATTR_BOOL ? a->b : a->i);
	}
	for (size_t i = 0; i < s->nevents; i++) {
		buf_printf(out, " [%s@%" PRIu64 " ", s->events[i].name, s->events[i].unix_ns);
		buf_append(out, s->events[i].attrs[0].s, s->events[i].attrs[0].len);
		buf_char(out, ']');
	}
	buf_char(out, '\n');
}

static inline int file_of(const void *p, size_t n)
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	if (write(fd, p, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

static inline void read_generations(struct gotrace_reader *reader, struct activity *a, struct read_trace *ret)
{
	const struct generation *g;

	while ((ret->r = gotrace_reader_next(reader, &g, &ret->err)) > 0) {
		ret->generations++;
		activity_generation(a, g);
		gotrace_reader_events(reader, activity_event, a);
		activity_generation_over(a);
	}
	activity_finish(a);
	if (ret->r == 0)
		ret->r = activity_counts(a, &ret->counts, &ret->err);
	ret->rest = *gotrace_reader_rest(reader);
}

/* known: or NULL. What it leaves is read_trace_done's. */
static inline void read_made(const void *p, size_t n, struct known_spans *known, struct read_trace *ret)
{
	static const struct resource resource = {.id = 1, .name = "made", .service = "made"};
	struct gotrace_reader *reader;
	struct activity *a;
	int fd = file_of(p, n);

	*ret = (struct read_trace){0};
	ret->r = gotrace_reader_open(fd, &reader, &ret->err);
	if (ret->r >= 0) {
		a = activity_new(&(struct activity_setup){
			.span = read_span, .arg = ret, .resource = &resource, .known = known, .wall_offset = 0});
		read_generations(reader, a, ret);
		activity_free(a);
		gotrace_reader_free(reader);
	}
	close(fd);
}

static inline void read_trace_done(struct read_trace *r)
{
	buf_done(&r->spans);
}

#endif
