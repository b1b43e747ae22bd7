/*
 * A goroutine's times are summed while an interval is open on it, and only then. An interval takes the sums of its
 * beginning away from those of its end, so that many can be open at once. The longest wait is kept with the last of the
 * open ones; who ends gives it to the one before, within which it lay.
 */
#include "gotrace/breakdown.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

#define GOROUTINES_MAX (2u << 20)
#define STACK_FRAMES   8
#define STACK_BYTES    4096 /* of a stack as a text */
#define PREFIX         "earshot.go."

struct breakdown {
	const struct generation *generation;
	struct map goroutines;
	const char *names[TIMES]; /* NULL from the first one on that is not met yet */
	const char *keys[TIMES];
	struct map reasons; /* the generation's numbers of texts → what it does */
	struct arena arena;
	struct overlay { /* of all goroutines */
		bool on;
		uint64_t since, ns;
	} gc, stw;
	struct buf text; /* of breakdown_attrs */
};

/* ---- names ---- */

static unsigned add_name(struct breakdown *b, unsigned i, const char *name, const char *key)
{
	b->names[i] = name;
	b->keys[i] = arena_printf(&b->arena, PREFIX "%s_ns", key);
	return i;
}

struct breakdown *breakdown_new(void)
{
	struct breakdown *b = xcalloc(1, sizeof(*b));

	add_name(b, DOES_UNKNOWN, "unknown", "unknown");
	add_name(b, DOES_RUN, "running", "running");
	add_name(b, DOES_RUNNABLE, "runnable", "runnable");
	add_name(b, DOES_SYSCALL, "syscall", "syscall");
	add_name(b, DOES_OTHER, "other", "wait.other");
	add_name(b, WITHIN_ASSIST, NULL, "within.gc_assist");
	add_name(b, WITHIN_GC, NULL, "within.gc");
	add_name(b, WITHIN_STW, NULL, "within.stop_the_world");
	return b;
}

unsigned breakdown_wait_named(struct breakdown *b, const char *name)
{
	unsigned i = DOES_FIRST_WAIT;

	for (; i < DOES_OTHER && b->names[i]; i++)
		if (!strcmp(b->names[i], name))
			return i;
	if (i == DOES_OTHER)
		return i;
	name = arena_strdup(&b->arena, name);
	return add_name(b, i, name, arena_printf(&b->arena, "wait.%s", name));
}

/* "sync.(*Cond).Wait" → "sync_cond_wait": as keys of attributes have it. */
static void plain_name(struct text_view s, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len && n + 1 < size; i++) {
		if (isalnum((unsigned char)s.s[i]))
			ret[n++] = (char)tolower((unsigned char)s.s[i]);
		else if (n && ret[n - 1] != '_')
			ret[n++] = '_';
	}
	n -= n && ret[n - 1] == '_';
	ret[n] = 0;
}

unsigned breakdown_wait(struct breakdown *b, uint64_t reason)
{
	unsigned does = (unsigned)(uintptr_t)map_get(&b->reasons, reason);
	char name[48] = "";

	if (does)
		return does;
	if (reason)
		plain_name(generation_string(b->generation, reason), name, sizeof(name));
	does = breakdown_wait_named(b, *name ? name : "unspecified");
	map_set(&b->reasons, reason, (void *)(uintptr_t)does);
	return does;
}

/* ---- stacks ---- */

static struct text_view base_name(struct text_view path)
{
	const char *slash = path.s ? memrchr(path.s, '/', path.len) : NULL;

	if (slash)
		path = (struct text_view){slash + 1, path.len - (size_t)(slash + 1 - path.s)};
	return path;
}

/* "sync.(*Mutex).Lock (mutex.go:46) < main.work (main.go:12)" */
static void print_stack(const struct generation *g, uint64_t stack, struct buf *out)
{
	struct gotrace_frame frames[STACK_FRAMES];
	size_t n = generation_stack(g, stack, frames, STACK_FRAMES);

	for (size_t i = 0; i < n; i++) {
		struct text_view file = base_name(frames[i].file);

		buf_str(out, i ? " < " : "");
		buf_append(out, frames[i].function.s ? frames[i].function.s : "?",
			   frames[i].function.s ? frames[i].function.len : 1);
		buf_str(out, " (");
		buf_append(out, file.s ? file.s : "?", file.s ? file.len : 1);
		buf_printf(out, ":%" PRIu64 ")", frames[i].line);
	}
}

/* A number that is good for its generation only, as a text. */
static void keep_stack(const struct generation *g, uint64_t *stack, char **text)
{
	struct buf out = {0};

	if (!*stack)
		return;
	free(*text);
	print_stack(g, *stack, &out);
	out.len = MIN(out.len, STACK_BYTES);
	*text = xstrndup(out.data ? out.data : "", out.len);
	buf_done(&out);
	*stack = 0;
}

/* ---- generations ---- */

void breakdown_generation(struct breakdown *b, const struct generation *g)
{
	b->generation = g;
	map_done(&b->reasons);
}

void breakdown_generation_over(struct breakdown *b)
{
	struct go_times *g;

	for (size_t pos = 0; breakdown_next_goroutine(b, &pos, &g);) {
		if (g->open.len || g->ncoming)
			keep_stack(b->generation, &g->stack, &g->stack_text);
		g->stack = 0;
		for (size_t i = 0; i < g->open.len; i++)
			keep_stack(b->generation, &g->open.data[i]->longest.stack, &g->open.data[i]->longest.text);
	}
	b->generation = NULL;
}

/* ---- goroutines ---- */

struct go_times *breakdown_goroutine(const struct breakdown *b, uint64_t goid)
{
	return map_get(&b->goroutines, goid);
}

struct go_times *breakdown_goroutine_new(struct breakdown *b, uint64_t goid, uint64_t since_ns)
{
	struct go_times *g;

	if (b->goroutines.len >= GOROUTINES_MAX)
		return NULL;
	g = xcalloc(1, sizeof(*g));
	g->goid = goid;
	g->entered = g->since = since_ns;
	map_set(&b->goroutines, goid, g);
	return g;
}

bool breakdown_next_goroutine(const struct breakdown *b, size_t *pos, struct go_times **ret)
{
	uint64_t goid;
	void *g;

	if (!map_next(&b->goroutines, pos, &goid, &g))
		return false;
	*ret = g;
	return true;
}

static void goroutine_free(struct go_times *g)
{
	free(g->times);
	free(g->stack_text);
	vec_done(&g->open);
	free(g);
}

void breakdown_free(struct breakdown *b)
{
	struct go_times *g;

	if (!b)
		return;
	for (size_t pos = 0; breakdown_next_goroutine(b, &pos, &g);)
		goroutine_free(g);
	map_done(&b->goroutines);
	map_done(&b->reasons);
	arena_done(&b->arena);
	buf_done(&b->text);
	free(b);
}

void goroutine_account(struct breakdown *b, struct go_times *g, uint64_t ns)
{
	if (ns <= g->since)
		return;
	if (g->times) {
		g->times[g->does] += ns - g->since;
		g->times[WITHIN_ASSIST] += g->assists ? ns - g->since : 0;
	}
	g->since = ns;
}

static void note_longest(struct interval *iv, const struct go_times *g, uint64_t ns)
{
	if (ns <= iv->longest.ns)
		return;
	free(iv->longest.text);
	iv->longest = (struct longest_wait){
		.ns = ns, .does = g->does, .stack = g->stack, .text = g->stack_text ? xstrdup(g->stack_text) : NULL};
}

/* What it did ends now. It is noted with the last of the open intervals, and those that have more of it. */
static void note_wait(struct go_times *g)
{
	if (g->does == DOES_RUN || g->does == DOES_UNKNOWN)
		return;
	for (size_t i = g->open.len; i-- > 0;) {
		struct interval *iv = g->open.data[i];

		note_longest(iv, g, g->since - MIN(g->since, MAX(iv->start_ns, g->entered)));
		if (iv->start_ns <= g->entered)
			break;
	}
}

void goroutine_does(struct breakdown *b, struct go_times *g, uint64_t ns, unsigned does, uint64_t stack)
{
	goroutine_account(b, g, ns);
	note_wait(g);
	g->does = does;
	g->entered = g->since;
	g->stack = stack;
	free(g->stack_text);
	g->stack_text = NULL;
}

void goroutine_assists(struct breakdown *b, struct go_times *g, uint64_t ns, bool assists)
{
	goroutine_account(b, g, ns);
	g->assists = assists;
}

/* ---- all of them ---- */

static void switch_overlay(struct overlay *o, uint64_t ns, bool on)
{
	if (o->on && ns > o->since)
		o->ns += ns - o->since;
	o->on = on;
	o->since = MAX(o->since, ns);
}

static uint64_t overlay_until(const struct overlay *o, uint64_t ns)
{
	return o->ns + (o->on && ns > o->since ? ns - o->since : 0);
}

void breakdown_gc(struct breakdown *b, uint64_t ns, bool active)
{
	switch_overlay(&b->gc, ns, active);
}

void breakdown_stw(struct breakdown *b, uint64_t ns, bool stopped)
{
	switch_overlay(&b->stw, ns, stopped);
}

/* ---- intervals ---- */

static void take_overlays(struct breakdown *b, struct go_times *g)
{
	g->times[WITHIN_GC] = overlay_until(&b->gc, g->since);
	g->times[WITHIN_STW] = overlay_until(&b->stw, g->since);
}

void interval_open(struct breakdown *b, struct interval *iv, struct go_times *g, uint64_t ns)
{
	goroutine_account(b, g, ns);
	if (!g->times)
		g->times = xcalloc(TIMES, sizeof(*g->times));
	take_overlays(b, g);
	*iv = (struct interval){.on = g, .start_ns = g->since};
	memcpy(iv->times, g->times, sizeof(iv->times));
	vec_push(&g->open, iv);
}

static void finish_times(struct breakdown *b, struct interval *iv)
{
	struct go_times *g = iv->on;

	take_overlays(b, g);
	for (unsigned i = 0; i < TIMES; i++)
		iv->times[i] = g->times[i] - MIN(g->times[i], iv->times[i]);
	iv->until_ns = g->since;
	iv->on = NULL;
}

/* To the one before; what a later one has is this one's as well. */
static void hand_down(struct go_times *g, size_t i)
{
	struct interval *iv = g->open.data[i];

	for (size_t k = i + 1; k < g->open.len; k++) {
		const struct longest_wait *l = &g->open.data[k]->longest;

		if (l->ns <= iv->longest.ns)
			continue;
		free(iv->longest.text);
		iv->longest = *l;
		iv->longest.text = l->text ? xstrdup(l->text) : NULL;
	}
	if (i && g->open.data[i - 1]->longest.ns < iv->longest.ns) {
		struct interval *before = g->open.data[i - 1];

		free(before->longest.text);
		before->longest = iv->longest;
		before->longest.text = iv->longest.text ? xstrdup(iv->longest.text) : NULL;
	}
}

static size_t place_of(const struct go_times *g, const struct interval *iv)
{
	size_t i = g->open.len;

	while (i && g->open.data[i - 1] != iv)
		i--;
	return i - 1;
}

uint64_t interval_close(struct breakdown *b, struct interval *iv, uint64_t ns)
{
	struct go_times *g = iv->on;
	size_t i;

	if (!g)
		return MAX(ns, iv->until_ns);
	goroutine_account(b, g, ns);
	note_wait(g);
	i = place_of(g, iv);
	hand_down(g, i);
	finish_times(b, iv);
	keep_stack(b->generation, &iv->longest.stack, &iv->longest.text);
	memmove(g->open.data + i, g->open.data + i + 1, (--g->open.len - i) * sizeof(struct interval *));
	if (!g->open.len) {
		free(g->times);
		g->times = NULL;
	}
	return iv->until_ns;
}

void breakdown_goroutine_end(struct breakdown *b, struct go_times *g)
{
	while (g->open.len)
		interval_close(b, g->open.data[g->open.len - 1], g->since);
	map_del(&b->goroutines, g->goid);
	goroutine_free(g);
}

void interval_done(struct interval *iv)
{
	free(iv->longest.text);
	iv->longest.text = NULL;
}

/* ---- attributes ---- */

static struct attr number(const char *key, uint64_t v)
{
	return (struct attr){.key = key, .kind = ATTR_INT, .i = (int64_t)MIN(v, (uint64_t)INT64_MAX)};
}

static struct attr string(const char *key, const char *s, size_t len)
{
	return (struct attr){.key = key, .kind = ATTR_STRING, .s = s, .len = len};
}

static void print_time(struct buf *out, const char *name, uint64_t ns)
{
	char text[24];

	format_duration(ns, text);
	buf_str(out, out->len ? ", " : "");
	buf_str(out, name);
	buf_char(out, ' ');
	buf_str(out, text);
}

/* "sleep 20.1 ms, running 85.3 µs": the longest first. */
static void print_times(const struct breakdown *b, const uint64_t *times, struct buf *out)
{
	uint64_t left[DOES_MAX];

	memcpy(left, times, sizeof(left));
	for (;;) {
		unsigned most = 0;

		for (unsigned i = 1; i < DOES_MAX; i++)
			most = left[i] > left[most] ? i : most;
		if (!left[most])
			return;
		print_time(out, b->names[most], left[most]);
		left[most] = 0;
	}
}

static size_t longest_attrs(const struct breakdown *b, const struct longest_wait *l, struct attr *ret)
{
	size_t n = 0;

	if (!l->ns)
		return 0;
	ret[n++] = string(PREFIX "longest", b->names[l->does], strlen(b->names[l->does]));
	ret[n++] = number(PREFIX "longest_ns", l->ns);
	if (l->text && *l->text)
		ret[n++] = string(PREFIX "longest_at", l->text, strlen(l->text));
	return n;
}

size_t breakdown_attrs(struct breakdown *b, const struct interval *iv, uint64_t duration_ns, struct attr *ret)
{
	uint64_t times[TIMES], known = 0;
	size_t n = 0;

	memcpy(times, iv->times, sizeof(times));
	for (unsigned i = DOES_RUN; i < DOES_MAX; i++)
		known += times[i];
	times[DOES_UNKNOWN] = duration_ns - MIN(duration_ns, known);
	buf_reset(&b->text);
	print_times(b, times, &b->text);
	if (b->text.len)
		ret[n++] = string(BREAKDOWN_KEY, b->text.data, b->text.len);
	for (unsigned i = 0; i < TIMES; i++)
		if (times[i])
			ret[n++] = number(b->keys[i], times[i]);
	return n + longest_attrs(b, &iv->longest, ret + n);
}
