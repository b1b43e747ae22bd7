/*
 * The file: 16 bytes ("go 1.NN trace", NUL to the end), then batches. A batch is a byte, the number of its generation,
 * the thread's, its time and its size, all varints, and that many bytes. A generation has batches of events, of any
 * thread in any order, and behind them those of its stacks and its texts. Where one ends is said from Go 1.26 on;
 * before, the next one's first batch tells, and of the file's last one only that nothing is missing of what its events
 * name.
 */
#include "gotrace/generation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gotrace/events.h"

#define HEADER_BYTES   16
#define OLDEST_VERSION 22
#define NEWEST_VERSION 26
#define SAYS_ITS_END   26 /* from this version on a generation has a last byte */
#define BATCH_MAX      (64u << 10)
#define GENERATION_MAX (1u << 30) /* an order of magnitude more than one of the busiest programs has */
#define READ_BYTES     (256u << 10)
#define FRAMES_MAX     128

struct gotrace_file {
	int fd;
	unsigned version;
	struct buf data; /* of the generation that is being read, and of what was read beyond it */
	size_t at;       /* where the next batch begins */
	bool eof;
	uint64_t dropped; /* bytes before data */
	struct generation generation;
	uint64_t frequency;   /* of the one before */
	uint64_t whole_until; /* ns */
	struct gotrace_rest rest;
	int error; /* of read(2) */
};

/* ---- bytes ---- */

bool gotrace_long_varint(const uint8_t *data, size_t len, size_t *at, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *at < len && shift < 64; shift += 7) {
		uint8_t b = data[(*at)++];

		if (shift == 63 && b > 1)
			return false;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* False: the file ends before, or cannot be read (f->error). */
static bool have(struct gotrace_file *f, size_t until)
{
	while (f->data.len < until && !f->eof) {
		ssize_t n;

		buf_reserve(&f->data, READ_BYTES);
		n = read(f->fd, f->data.data + f->data.len, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			f->error = -errno;
		f->eof = n <= 0;
		f->data.len += n > 0 ? (size_t)n : 0;
	}
	return f->data.len >= until;
}

static const uint8_t *bytes(const struct gotrace_file *f)
{
	return (const uint8_t *)f->data.data;
}

/* As gotrace_varint, of the file. */
static bool next_varint(struct gotrace_file *f, size_t *at, uint64_t *ret)
{
	have(f, *at + 10);
	return gotrace_varint(bytes(f), f->data.len, at, ret);
}

/* ---- texts and stacks ---- */

uint64_t generation_ns(const struct generation *g, uint64_t ticks)
{
	if (g->tick_ns && ticks >> 53 == 0)
		return ticks * g->tick_ns;
	if (!g->frequency)
		return 0;
	return (uint64_t)((unsigned __int128)ticks * 1000000000 / g->frequency);
}

static size_t place_of(const struct map *m, uint64_t number)
{
	return (size_t)(uintptr_t)map_get(m, number);
}

struct text_view generation_string(const struct generation *g, uint64_t number)
{
	size_t at = number ? place_of(&g->strings, number) : 0;
	uint64_t len;

	if (!at || !gotrace_varint(g->data, g->len, &at, &len) || len > g->len - at)
		return (struct text_view){NULL, 0};
	return (struct text_view){(const char *)g->data + at, len};
}

bool generation_has_string(const struct generation *g, uint64_t number)
{
	return !number || place_of(&g->strings, number);
}

bool generation_has_stack(const struct generation *g, uint64_t number)
{
	return !number || place_of(&g->stacks, number);
}

static bool read_frame(const struct generation *g, size_t *at, size_t end, uint64_t v[static 4])
{
	for (size_t i = 0; i < 4; i++)
		if (!gotrace_varint(g->data, end, at, &v[i]))
			return false;
	return true;
}

size_t generation_stack(const struct generation *g, uint64_t number, struct gotrace_frame *ret, size_t max)
{
	size_t at = number ? place_of(&g->stacks, number) : 0, i = 0;
	uint64_t n, v[4];

	if (!at || !gotrace_varint(g->data, g->len, &at, &n))
		return 0;
	for (; i < n && i < max && read_frame(g, &at, g->len, v); i++)
		ret[i] = (struct gotrace_frame){.pc = v[0],
						.function = generation_string(g, v[1]),
						.file = generation_string(g, v[2]),
						.line = v[3]};
	return i;
}

/* A part's first byte and its number, which is not there yet. */
static bool part_begin(const struct generation *g, enum gotrace_part part, size_t *at, size_t end,
		       const struct map *known, uint64_t *ret_number)
{
	if (g->data[(*at)++] != part || !gotrace_varint(g->data, end, at, ret_number))
		return false;
	return *ret_number && !place_of(known, *ret_number);
}

static bool add_strings(struct generation *g, size_t at, size_t end)
{
	while (at < end) {
		uint64_t number, len;
		size_t place;

		if (!part_begin(g, PART_STRING, &at, end, &g->strings, &number))
			return false;
		place = at;
		if (!gotrace_varint(g->data, end, &at, &len) || len > end - at)
			return false;
		at += len;
		map_set(&g->strings, number, (void *)(uintptr_t)place);
	}
	return true;
}

static bool add_stacks(struct generation *g, size_t at, size_t end)
{
	while (at < end) {
		uint64_t number, n, v[4];
		size_t place;

		if (!part_begin(g, PART_STACK, &at, end, &g->stacks, &number))
			return false;
		place = at;
		if (!gotrace_varint(g->data, end, &at, &n) || n > FRAMES_MAX)
			return false;
		for (; n; n--)
			if (!read_frame(g, &at, end, v))
				return false;
		map_set(&g->stacks, number, (void *)(uintptr_t)place);
	}
	return true;
}

/* Whether the texts of all frames are there. */
static bool stacks_are_whole(const struct generation *g)
{
	uint64_t number, n, v[4];
	void *place;

	for (size_t pos = 0; map_next(&g->stacks, &pos, &number, &place);) {
		size_t at = (size_t)(uintptr_t)place;

		for (gotrace_varint(g->data, g->len, &at, &n); n; n--)
			if (!read_frame(g, &at, g->len, v) || !generation_has_string(g, v[1]) ||
			    !generation_has_string(g, v[2]))
				return false;
	}
	return true;
}

/* ---- batches ---- */

static bool read_clocks(struct generation *g, size_t at, size_t end)
{
	uint64_t v[4] = {0};

	while (at < end) {
		uint8_t part = g->data[at++];
		size_t n = part == PART_FREQUENCY ? 1 : part == PART_CLOCK_SNAPSHOT ? 4 : 0;

		for (size_t i = 0; i < n; i++)
			if (!gotrace_varint(g->data, end, &at, &v[i]))
				return false;
		if (part == PART_FREQUENCY && v[0] && v[0] <= 1000000000000 && !g->frequency) {
			g->frequency = v[0];
			g->tick_ns = 1000000000 % v[0] || v[0] < 1000000 ? 0 : 1000000000 / v[0];
		} else if (part == PART_CLOCK_SNAPSHOT && v[2] < UINT64_MAX / 1000000000 - 1 && v[3] < 1000000000) {
			g->has_wall = true;
			g->monotonic_ns = v[1];
			g->wall_ns = v[2] * 1000000000 + v[3];
		} else {
			return false;
		}
	}
	return true;
}

static void add_events(struct generation *g, const struct event_batch *b)
{
	if (!g->batches.len || b->ticks < g->first_ticks)
		g->first_ticks = b->ticks;
	g->last_ticks = MAX(g->last_ticks, b->ticks);
	vec_push(&g->batches, *b);
}

/* What is in a batch; of those that are of no use here: nothing. */
static bool take_batch(struct generation *g, bool experimental, const struct event_batch *b)
{
	size_t end = b->at + b->len;

	if (experimental || !b->len)
		return true;
	switch (g->data[b->at]) {
	case PART_STRINGS:
		return add_strings(g, b->at + 1, end);
	case PART_STACKS:
		return add_stacks(g, b->at + 1, end);
	case PART_CPU_SAMPLES:
		return true;
	case PART_FREQUENCY:
		return read_clocks(g, b->at, end);
	case PART_SYNC:
		return read_clocks(g, b->at + 1, end);
	}
	add_events(g, b);
	return true;
}

enum batch_outcome {
	BATCH_TAKEN,
	BATCH_LAST,     /* the generation is whole */
	BATCH_OF_NEXT,  /* likewise: it is the next one's first, and was not taken */
	BATCH_NONE,     /* the file ends here, between batches */
	BATCH_CUT,      /* the file ends within it; of this generation, as far as can be told */
	BATCH_CUT_HEAD, /* likewise, and of which generation cannot be told */
	BATCH_BAD,
};

static enum batch_outcome broken(struct gotrace_file *f, const char *why)
{
	snprintf(f->rest.why, sizeof(f->rest.why), "at byte %llu %s", (unsigned long long)(f->dropped + f->at), why);
	return BATCH_BAD;
}

static enum batch_outcome read_body(struct gotrace_file *f, bool experimental, size_t at, uint64_t m, uint64_t ticks,
				    uint64_t size)
{
	struct generation *g = &f->generation;
	bool taken;

	if (size > BATCH_MAX)
		return broken(f, "there is a batch of more than 64 KiB, which Go does not write");
	if (!have(f, at + size))
		return BATCH_CUT;
	g->data = bytes(f);
	g->len = f->data.len;
	taken = take_batch(g, experimental, &(struct event_batch){m, ticks, at, size});
	if (!taken)
		return broken(f, "there is a batch that is damaged");
	f->at = at + size;
	if (f->at > GENERATION_MAX)
		return broken(f, "a generation has more than 1 GiB");
	return BATCH_TAKEN;
}

static enum batch_outcome read_batch(struct gotrace_file *f)
{
	struct generation *g = &f->generation;
	size_t at = f->at;
	uint64_t v[4] = {0}; /* generation, M, time, size */
	bool experimental;
	uint8_t part;

	if (!have(f, at + 1))
		return BATCH_NONE;
	part = bytes(f)[at++];
	if (part == PART_END_OF_GENERATION && f->version >= SAYS_ITS_END) {
		f->at = at;
		return g->number ? BATCH_LAST : broken(f, "a generation ends that has not begun");
	}
	experimental = part == PART_EXPERIMENTAL_BATCH;
	if (part != PART_BATCH && !experimental)
		return broken(f, "there is no batch where one should begin");
	at += experimental;
	for (size_t i = 0; i < 4; i++) {
		if (!next_varint(f, &at, &v[i]))
			return !f->eof                  ? broken(f, "there is a batch that is damaged")
			       : i && v[0] == g->number ? BATCH_CUT
							: BATCH_CUT_HEAD;
		if (i || v[0] == g->number)
			continue;
		if (g->number)
			return f->version < SAYS_ITS_END && v[0] == g->number + 1
				   ? BATCH_OF_NEXT
				   : broken(f, "there is a batch of another generation");
		if (!v[0])
			return broken(f, "there is a batch of generation 0");
		g->number = v[0];
	}
	return read_body(f, experimental, at, v[1], v[2], v[3]);
}

/* ---- generations ---- */

static int by_thread(const void *a, const void *b)
{
	const struct event_batch *x = a, *y = b;

	return x->m != y->m ? (x->m > y->m) - (x->m < y->m) : (x->at > y->at) - (x->at < y->at);
}

static void generation_clear(struct generation *g)
{
	vec_done(&g->batches);
	map_done(&g->strings);
	map_done(&g->stacks);
	*g = (struct generation){0};
}

/* Lets go of the one before. */
static void begin(struct gotrace_file *f)
{
	generation_clear(&f->generation);
	f->dropped += f->at;
	f->data.len -= f->at;
	memmove(f->data.data, f->data.data + f->at, f->data.len);
	f->at = 0;
}

/* What is still there is counted as the rest. */
static int end(struct gotrace_file *f, struct err *err)
{
	struct generation *g = &f->generation;
	uint64_t behind;

	f->at = 0;
	if (!g->frequency)
		g->frequency = f->frequency;
	behind = generation_ns(g, g->last_ticks);
	f->rest.ns = f->whole_until && behind > f->whole_until ? behind - f->whole_until : 0;
	while (!f->eof) {
		f->rest.bytes += f->data.len;
		f->data.len = 0;
		have(f, 1);
	}
	f->rest.bytes += f->data.len;
	f->data.len = 0;
	generation_clear(g);
	return f->error ? err_set(err, f->error, "cannot be read: %s", strerror(-f->error)) : 0;
}

static int lacks(struct gotrace_file *f, const char *what, struct err *err)
{
	snprintf(f->rest.why, sizeof(f->rest.why), "generation %llu lacks %s", (unsigned long long)f->generation.number,
		 what);
	return end(f, err);
}

int gotrace_file_next(struct gotrace_file *f, const struct generation **ret, struct err *err)
{
	struct generation *g = &f->generation;
	enum batch_outcome o;

	begin(f);
	do
		o = read_batch(f);
	while (o == BATCH_TAKEN);
	if (o == BATCH_BAD || f->error || !g->number) {
		if (o == BATCH_CUT_HEAD)
			broken(f, "the file ends within a batch");
		return end(f, err);
	}
	if (o == BATCH_CUT || (f->version >= SAYS_ITS_END && o != BATCH_LAST))
		return lacks(f, "its end: the file ends within it", err);
	g->data = bytes(f);
	g->len = f->at;
	if (!g->frequency)
		return lacks(f, "the frequency of its clock: the file ends within it", err);
	if (!g->strings.len)
		return lacks(f, "its texts, which come last: the file ends before them", err);
	if (!stacks_are_whole(g))
		return lacks(f, "a text of its stacks: the file ends within it", err);
	if (g->batches.len)
		qsort(g->batches.data, g->batches.len, sizeof(*g->batches.data), by_thread);
	f->frequency = g->frequency;
	f->whole_until = generation_ns(g, g->last_ticks);
	*ret = g;
	return 1;
}

const struct gotrace_rest *gotrace_file_rest(const struct gotrace_file *f)
{
	return &f->rest;
}

int gotrace_file_refuse(struct gotrace_file *f, const char *why, struct err *err)
{
	snprintf(f->rest.why, sizeof(f->rest.why), "generation %llu %s", (unsigned long long)f->generation.number, why);
	f->whole_until = 0;
	return end(f, err);
}

/* ---- the header ---- */

static int read_header(struct gotrace_file *f, struct err *err)
{
	char text[HEADER_BYTES + 1] = "", expected[HEADER_BYTES + 1] = "";

	if (!have(f, HEADER_BYTES) && !f->error)
		return err_set(err, -EINVAL,
			       f->data.len ? "is no execution trace of Go: it has %zu bytes, fewer than its header"
					   : "is empty: an execution trace of Go was expected",
			       f->data.len);
	if (f->error)
		return err_set(err, f->error, "cannot be read: %s", strerror(-f->error));
	memcpy(text, bytes(f), HEADER_BYTES);
	if (sscanf(text, "go 1.%2u trace", &f->version) == 1)
		snprintf(expected, sizeof(expected), "go 1.%u trace", f->version);
	if (!*expected || memcmp(text, expected, HEADER_BYTES))
		return err_set(err, -EINVAL, "is no execution trace of Go: it does not begin with \"go 1.NN trace\"");
	if (f->version < OLDEST_VERSION || f->version > NEWEST_VERSION)
		return err_set(err, -EINVAL,
			       "is a go 1.%u trace, and formats from 1.%u to 1.%u are known: have it written by a "
			       "program that a %s Go has built",
			       f->version, OLDEST_VERSION, NEWEST_VERSION,
			       f->version < OLDEST_VERSION ? "newer" : "somewhat older");
	f->at = HEADER_BYTES;
	return 0;
}

int gotrace_file_open(int fd, struct gotrace_file **ret, struct err *err)
{
	struct gotrace_file *f = xcalloc(1, sizeof(*f));
	int r;

	f->fd = fd;
	r = read_header(f, err);
	if (r < 0) {
		gotrace_file_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void gotrace_file_free(struct gotrace_file *f)
{
	if (!f)
		return;
	generation_clear(&f->generation);
	buf_done(&f->data);
	free(f);
}

unsigned gotrace_file_version(const struct gotrace_file *f)
{
	return f->version;
}
