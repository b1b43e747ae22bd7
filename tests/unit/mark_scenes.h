/*
 * What probes with marks must do, whoever runs them: the including test says how (fire, marks_fresh, left_out, lost),
 * and includes mark_shots.h and ir_chain.h.
 */
#ifndef TESTS_MARK_SCENES_H
#define TESTS_MARK_SCENES_H

#define STATES_AT_RANDOM 400

struct fired {
	bool dropped, has;             /* no record; it has ids in its slot */
	struct event_context ids;
	uint64_t word;                 /* MARK_SPAN_ID, 0: none */
	uint64_t state;                /* MARK_STATE, likewise */
};

static struct fired fire(struct shot *s, uint64_t goid, uint64_t depth, const struct shot_words *w);
static void marks_fresh(void);         /* a process without marks */
static uint64_t left_out(void);        /* starts that were, since then */
static uint64_t lost(void);            /* of all kinds, with those */

static struct chain_world contexts;

static struct chain_world *scene_contexts(void)
{
	contexts = (struct chain_world){0};
	chain_itabs(&contexts, BIAS);
	return &contexts;
}

/* At the end of a page, behind which there is none. */
static const char *scene_text(const char *s, size_t len)
{
	static char *page;

	if (!page) {
		page = mmap(NULL, 2 * EVENT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(page, MAP_FAILED);
		assert_int_equal(mprotect(page + EVENT_PAGE, EVENT_PAGE, PROT_NONE), 0);
	}
	return memcpy(page + EVENT_PAGE - len, s, len);
}

#define THRESHOLD_HALF (UINT64_C(1) << 55)

static struct fired fire_as(enum shot_kind kind, uint32_t group, uint64_t threshold, uint64_t goid, uint64_t depth,
			    struct shot_words w)
{
	struct shot s = {.kind = kind, .group = group, .call = group * 10, .threshold = threshold};

	return fire(&s, goid, depth, &w);
}

#define START(group, threshold, goid, depth, ...)                                                  \
	fire_as(SHOT_START, group, threshold, goid, depth, (struct shot_words){__VA_ARGS__})
#define FIRE(kind, group, goid, depth, ...)                                                        \
	fire_as(kind, group, 0, goid, depth, (struct shot_words){__VA_ARGS__})

static bool same_trace(struct fired a, struct fired b)
{
	return a.has && b.has && !memcmp(a.ids.trace_id, b.ids.trace_id, sizeof(a.ids.trace_id));
}

static bool same_span(struct fired a, struct fired b)
{
	return same_trace(a, b) && !memcmp(a.ids.span_id, b.ids.span_id, sizeof(a.ids.span_id));
}

static void assert_kept(struct fired f)
{
	assert_false(f.dropped);
	assert_true(f.has);
	assert_int_equal(f.ids.flags, MARK_SAMPLED);
	assert_memory_equal(f.ids.span_id, &f.word, sizeof(f.word));
}

/* No mark was found: the record is written, without ids. */
static void assert_unmarked(struct fired f)
{
	assert_false(f.dropped);
	assert_false(f.has);
	assert_int_equal(f.word, 0);
}

/* ---- one span ---- */

static void scene_kept(void **state)
{
	struct fired start, end;

	marks_fresh();
	start = START(1, 0, 7, 100);
	assert_kept(start);
	assert_true(same_span(start, FIRE(SHOT_NOTE, 1, 7, 900)));
	assert_true(same_span(start, FIRE(SHOT_NOTE, 1, 7, 50)));
	assert_unmarked(FIRE(SHOT_NOTE, 2, 7, 900));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 8, 900));
	assert_unmarked(FIRE(SHOT_END_OF_CALL, 1, 7, 99));
	end = FIRE(SHOT_END_OF_CALL, 1, 7, 100);
	assert_true(same_span(start, end));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 900));
	assert_unmarked(FIRE(SHOT_END, 1, 7, 100));
	assert_int_equal(left_out(), 0);
}

static void scene_left_out(void **state)
{
	marks_fresh();
	assert_true(START(1, MARK_KEEP_NONE, 7, 100).dropped);
	assert_int_equal(left_out(), 1);
	assert_true(FIRE(SHOT_NOTE, 1, 7, 200).dropped);
	assert_true(START(2, 0, 7, 200).dropped); /* its trace is left out */
	assert_int_equal(left_out(), 2);
	assert_true(FIRE(SHOT_END, 2, 7, 10).dropped);
	assert_true(FIRE(SHOT_END, 1, 7, 10).dropped);
	assert_unmarked(FIRE(SHOT_END, 1, 7, 10));
	assert_kept(START(2, 0, 7, 200));
}

static void scene_coin(void **state)
{
	unsigned kept = 0;
	enum { ROUNDS = 400 };

	marks_fresh();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct fired f = START(1, THRESHOLD_HALF, 7, 100), child = START(2, THRESHOLD_HALF, 7, 200);

		kept += !f.dropped;
		assert_int_equal(f.dropped, child.dropped);
		if (!f.dropped) {
			assert_kept(f);
			assert_true(f.ids.trace_id[9] >= 0x80);
			assert_true(same_trace(f, child));
			assert_false(same_span(f, child));
		}
		FIRE(SHOT_END, 2, 7, 200);
		FIRE(SHOT_END, 1, 7, 100);
	}
	assert_in_range(kept, ROUNDS / 4, 3 * ROUNDS / 4);
	assert_int_equal(left_out(), 2 * (ROUNDS - kept));
}

/* ---- what came in ---- */

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define LOW_TRACE "4bf92f3577b34da6a30e929d0e0e4736" /* below the half */

static struct fired start_with_header(const char *text, uint64_t threshold, unsigned flags)
{
	struct shot s = {.kind = SHOT_START, .group = 1, .call = 10, .threshold = threshold, .flags = flags};
	struct shot_words w = {.header_len = strlen(text)};

	w.header = (uintptr_t)scene_text(text, strlen(text));
	return fire(&s, 7, 100, &w);
}

static bool is_of_trace(struct fired f, const char *hex)
{
	char have[33];

	for (size_t i = 0; i < 16; i++)
		snprintf(have + 2 * i, 3, "%02x", f.ids.trace_id[i]);
	return f.has && !strcmp(have, hex);
}

static void scene_header(void **state)
{
	struct fired f;

	marks_fresh();
	f = start_with_header("00-" TRACE "-00f067aa0ba902b7-01", MARK_KEEP_NONE, 0);
	assert_kept(f);
	assert_true(is_of_trace(f, TRACE));
	assert_true(is_of_trace(START(2, 0, 7, 200), TRACE));
	assert_true(start_with_header("00-" TRACE "-00f067aa0ba902b7-00", 0, 0).dropped);
	assert_true(start_with_header("00-" TRACE "-00f067aa0ba902b7-00", 0, IR_MARK_CHILD).dropped);
	f = start_with_header("00-" TRACE "-00f067aa0ba902b7-00", THRESHOLD_HALF, IR_MARK_BY_RATIO);
	assert_true(is_of_trace(f, TRACE));
	f = start_with_header("00-" LOW_TRACE "-00f067aa0ba902b7-01", THRESHOLD_HALF, IR_MARK_BY_RATIO);
	assert_true(f.dropped);
	assert_true(is_of_trace(start_with_header("01-" TRACE "-00f067aa0ba902b7-09-more", 0, 0), TRACE));
	assert_true(is_of_trace(start_with_header("cc-" TRACE "-00f067aa0ba902b7-01", 0, 0), TRACE));
}

/* Each would leave the trace out, if it counted. */
static void scene_no_header(void **state)
{
	static const char *const texts[] = {
		"", "00", "00-" TRACE "-00f067aa0ba902b7-0", "00-" TRACE "-00f067aa0ba902b7-000",
		"00-" TRACE "-00f067aa0ba902b7-00-", "ff-" TRACE "-00f067aa0ba902b7-00",
		"01-" TRACE "-00f067aa0ba902b7-00.", "0g-" TRACE "-00f067aa0ba902b7-00",
		"00_" TRACE "-00f067aa0ba902b7-00", "00-" TRACE "_00f067aa0ba902b7-00",
		"00-" TRACE "-00f067aa0ba902b7_00", "00-" TRACE "-00f067aa0ba902b7-0g",
		"00-" TRACE "-0000000000000000-00",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-00",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
		"00-4bf92f3577b34da6a3ce929d0e0e473`-00f067aa0ba902b7-00",
		"00-4bf92f3577b34da6:3ce929d0e0e4736-00f067aa0ba902b7-00",
		"00-" TRACE "-00f067aa0ba902/7-00", "00-" TRACE "-00f067aa0ba902@7-00",
	};

	marks_fresh();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct fired f = start_with_header(texts[i], 0, 0);

		if (f.dropped || is_of_trace(f, TRACE))
			fail_msg("\"%s\" counts as a header", texts[i]);
		assert_kept(f);
	}
}

static void scene_child_alone(void **state)
{
	struct shot s = {.kind = SHOT_START, .group = 1, .call = 10, .threshold = MARK_KEEP_NONE,
			 .flags = IR_MARK_CHILD};
	struct shot_words w = {0};
	struct fired f, child;

	marks_fresh();
	f = fire(&s, 7, 100, &w);
	assert_false(f.dropped);
	assert_int_equal(f.ids.flags, MARK_UNDECIDED);
	child = START(2, 0, 7, 200);
	assert_true(same_trace(f, child));
	assert_int_equal(child.ids.flags, MARK_UNDECIDED);
	s.threshold = 0;
	f = fire(&s, 9, 100, &w);
	assert_int_equal(f.ids.flags, MARK_UNDECIDED | MARK_SAMPLED);
}

/* ---- the stack ---- */

static void scene_nested(void **state)
{
	struct fired outer, inner, again;

	marks_fresh();
	outer = START(1, 0, 7, 100);
	inner = START(2, 0, 7, 200);
	assert_true(same_trace(outer, inner));
	assert_true(same_trace(inner, START(3, 0, 7, 300)));
	assert_kept(FIRE(SHOT_END_OF_CALL, 3, 7, 300));
	assert_unmarked(FIRE(SHOT_NOTE, 3, 7, 300));
	assert_true(same_span(inner, FIRE(SHOT_NOTE, 2, 7, 300)));
	/* the same depth: what was there has left the stack, and all that is deeper */
	again = START(4, 0, 7, 200);
	assert_true(same_trace(outer, again));
	assert_unmarked(FIRE(SHOT_NOTE, 2, 7, 300));
	again = START(5, 0, 7, 100);
	assert_kept(again);
	assert_false(same_trace(outer, again));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 300));
	assert_unmarked(FIRE(SHOT_NOTE, 4, 7, 300));
	assert_true(same_span(again, FIRE(SHOT_END, 5, 7, 300)));
	assert_false(same_trace(again, START(1, 0, 7, 300)));
}

static void scene_recursion(void **state)
{
	struct fired outer, inner;

	marks_fresh();
	outer = START(1, 0, 7, 100);
	inner = START(1, 0, 7, 200);
	assert_true(same_trace(outer, inner));
	assert_true(same_span(inner, FIRE(SHOT_NOTE, 1, 7, 900)));
	assert_true(same_span(inner, FIRE(SHOT_END_OF_CALL, 1, 7, 200)));
	assert_true(same_span(outer, FIRE(SHOT_END_OF_CALL, 1, 7, 100)));
}

/* One call that is two spans. */
static void scene_same_call(void **state)
{
	struct shot s = {.kind = SHOT_START, .group = 1, .call = 10};
	struct shot other = {.kind = SHOT_START, .group = 2, .call = 10};
	struct shot_words w = {0};
	struct fired a, b;

	marks_fresh();
	a = fire(&s, 7, 100, &w);
	b = fire(&other, 7, 100, &w);
	assert_true(same_trace(a, b));
	assert_true(same_span(a, FIRE(SHOT_END_OF_CALL, 1, 7, 100)));
	assert_true(same_span(b, FIRE(SHOT_END_OF_CALL, 2, 7, 100)));
}

static void scene_too_deep(void **state)
{
	struct fired outer;

	marks_fresh();
	outer = START(1, 0, 7, 100);
	for (uint32_t k = 1; k < 3 * MARK_LEVELS; k++)
		assert_true(same_trace(outer, START(1 + k, 0, 7, 100 + k)));
	assert_unmarked(FIRE(SHOT_NOTE, MARK_LEVELS + 1, 7, 900));
	assert_true(same_trace(outer, FIRE(SHOT_NOTE, MARK_LEVELS, 7, 900)));
	assert_int_equal(lost(), 2 * MARK_LEVELS); /* those that no probe of their goroutine finds */
}

static void scene_unwound(void **state)
{
	marks_fresh();
	START(1, 0, 7, 100);
	START(2, 0, 7, 200);
	START(3, 0, 7, 300);
	START(1, 0, 8, 300);
	assert_unmarked(FIRE(SHOT_UNWIND, 0, 7, 200));
	assert_unmarked(FIRE(SHOT_NOTE, 3, 7, 900));
	assert_kept(FIRE(SHOT_NOTE, 2, 7, 900));
	FIRE(SHOT_EXIT, 0, 7, 500);
	assert_unmarked(FIRE(SHOT_NOTE, 2, 7, 900));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 900));
	assert_kept(FIRE(SHOT_NOTE, 1, 8, 900));
}

/* ---- other goroutines ---- */

static void scene_context(void **state)
{
	struct chain_world *c = scene_contexts();
	uint64_t type = BIAS + chain_types[0].rtype, itab = (uintptr_t)c->itabs[0];
	uint64_t at[4];
	struct fired outer, other;

	for (size_t k = 0; k < 4; k++)
		at[k] = (uintptr_t)c->nodes[k];
	chain_node(c, 3, 0, 0, 0);
	for (size_t k = 3; k-- > 0;)
		chain_node(c, k, 0, itab, at[k + 1]);
	marks_fresh();
	outer = START(1, 0, 7, 100, .own_type = type, .own = at[2]);
	other = START(1, 0, 8, 100, .own_type = type, .own = at[1]);
	assert_true(same_trace(other, START(2, 0, 9, 100, .parent_type = type, .parent = at[0])));
	assert_true(same_trace(outer, START(2, 0, 9, 100, .parent_type = type, .parent = at[2])));
	assert_false(same_trace(outer, START(2, 0, 9, 100, .parent_type = type, .parent = at[3])));
	/* a context counts before the goroutine does */
	assert_true(same_trace(outer, START(2, 0, 8, 200, .parent_type = type, .parent = at[2])));
	FIRE(SHOT_END, 1, 8, 100);
	assert_true(same_trace(outer, START(2, 0, 9, 100, .parent_type = type, .parent = at[0])));
	FIRE(SHOT_END, 1, 7, 100);
	assert_false(same_trace(outer, START(2, 0, 9, 100, .parent_type = type, .parent = at[0])));
	/* the address is another's now */
	other = START(1, 0, 8, 100, .own_type = type, .own = at[2]);
	assert_true(same_trace(other, START(2, 0, 9, 100, .parent_type = type, .parent = at[0])));
	assert_true(START(1, MARK_KEEP_NONE, 8, 100, .own_type = type, .own = at[2]).dropped);
	assert_true(START(2, 0, 9, 100, .parent_type = type, .parent = at[0]).dropped);
}

static void scene_pooled(void **state)
{
	struct chain_world *c = scene_contexts();
	size_t pooled = 0;
	struct fired outer;
	uint64_t type;

	while (!chain_types[pooled].is_pooled || chain_types[pooled].parent != CONTEXT_VIA)
		pooled++;
	type = BIAS + chain_types[pooled].rtype;
	chain_node(c, 1, 0, 0, 0);
	chain_node(c, 0, pooled, (uintptr_t)c->itabs[0], (uintptr_t)c->nodes[1]);
	marks_fresh();
	outer = START(1, 0, 7, 100, .own_type = BIAS + chain_types[0].rtype, .own = (uintptr_t)c->nodes[1]);
	assert_false(same_trace(outer, START(2, 0, 9, 100, .parent_type = type, .parent = (uintptr_t)c->nodes[0])));
	assert_true(same_trace(outer, START(2, 0, 7, 200, .parent_type = type, .parent = (uintptr_t)c->nodes[0])));
}

static void scene_creator(void **state)
{
	struct fired outer;

	marks_fresh();
	outer = START(1, 0, 7, 100, .epoch = {1000, 40, 48});
	assert_true(same_trace(outer, START(2, 0, 1001, 100, .creator = 7)));
	assert_true(same_trace(outer, START(2, 0, 40, 100, .creator = 7)));
	assert_true(same_trace(outer, START(2, 0, 47, 100, .creator = 7)));
	assert_false(same_trace(outer, START(2, 0, 48, 100, .creator = 7)));
	assert_false(same_trace(outer, START(2, 0, 39, 100, .creator = 7)));
	assert_false(same_trace(outer, START(2, 0, 1000, 100, .creator = 7)));
	assert_false(same_trace(outer, START(2, 0, 1001, 100, .creator = 8)));
	assert_false(same_trace(outer, START(2, 0, 1001, 100)));
	/* within the newer one */
	START(3, 0, 7, 200, .epoch = {2000, 0, 0});
	assert_true(same_trace(outer, START(2, 0, 1500, 100, .creator = 7)));
	FIRE(SHOT_END, 3, 7, 200);
	FIRE(SHOT_END, 1, 7, 100);
	assert_false(same_trace(outer, START(2, 0, 1002, 100, .creator = 7)));
	/* a cache that was read in the middle of a change; no epoch */
	outer = START(1, 0, 7, 100, .epoch = {1000, 40, 60});
	assert_false(same_trace(outer, START(2, 0, 44, 100, .creator = 7)));
	outer = START(1, 0, 7, 100);
	assert_false(same_trace(outer, START(2, 0, 5000, 100, .creator = 7)));
}

static void scene_key(void **state)
{
	struct fired start, other;

	marks_fresh();
	start = FIRE(SHOT_START_DETACHED, 1, 7, 100);
	assert_true(same_span(start, FIRE(SHOT_NOTE, 1, 7, 900)));
	assert_true(same_span(start, FIRE(SHOT_DETACH, 1, 7, 100, .key = 0x4000)));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 900)); /* it has left the goroutine */
	assert_unmarked(FIRE(SHOT_NOTE, 2, 9, 900, .key = 0x4000)); /* keys are of a group */
	assert_true(same_span(start, FIRE(SHOT_NOTE, 1, 9, 900, .key = 0x4000)));
	other = FIRE(SHOT_START_DETACHED, 1, 7, 100, .key = 0x4008);
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 900));
	assert_true(same_span(other, FIRE(SHOT_NOTE, 1, 9, 900, .key = 0x4008)));
	assert_true(same_span(start, FIRE(SHOT_DETACH, 1, 7, 100, .key = 0x4000))); /* again: a note */
	assert_true(same_span(start, FIRE(SHOT_END, 1, 9, 10, .key = 0x4000)));
	assert_unmarked(FIRE(SHOT_END, 1, 9, 10, .key = 0x4000));
	/* who names another one has nothing to say of the goroutine's */
	start = FIRE(SHOT_START_DETACHED, 1, 7, 100);
	assert_unmarked(FIRE(SHOT_END, 1, 7, 100, .key = 0x5000));
	assert_true(same_span(start, FIRE(SHOT_NOTE, 1, 7, 900)));
	/* no key: it has ended with its call */
	assert_true(same_span(start, FIRE(SHOT_DETACH, 1, 7, 100)));
	assert_unmarked(FIRE(SHOT_NOTE, 1, 7, 900));
}

static void scene_carrier(void **state)
{
	struct fired start;

	marks_fresh();
	start = START(1, 0, 7, 100, .carrier = 0x4000);
	assert_true(same_span(start, FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x4000)));
	assert_unmarked(FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x4008));
	assert_unmarked(FIRE(SHOT_INJECT, 0, 9, 10));
	FIRE(SHOT_END, 1, 7, 100);
	assert_unmarked(FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x4000));
	assert_true(START(1, MARK_KEEP_NONE, 7, 100, .carrier = 0x4000).dropped);
	assert_true(FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x4000).dropped);
}

/* One is found only where another word leads to one, whosever that is. */
static void scene_needed(void **state)
{
	struct fired start;

	marks_fresh();
	start = START(1, 0, 7, 100, .carrier = 0x4000);
	START(2, 0, 8, 100, .carrier = 0x5000);
	assert_true(same_span(start, FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .carrier = 0x4000, .needed = 0x5000)));
	assert_true(same_span(start, FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .carrier = 0x4000, .needed = 0x4000)));
	assert_unmarked(FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .needed = 0x4000));
	assert_unmarked(FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .carrier = 0x4000, .needed = 0x6000));
	assert_unmarked(FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .carrier = 0x4000));
	FIRE(SHOT_END, 2, 8, 100);
	assert_unmarked(FIRE(SHOT_INJECT_NEEDS, 0, 9, 10, .carrier = 0x4000, .needed = 0x5000));
	assert_true(same_span(start, FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x4000)));
}

/* ---- the table ---- */

/* n spans begin, each on a goroutine of its own and with a carrier, and all stay open. */
static inline void start_all(struct fired *starts, uint64_t n)
{
	for (uint64_t k = 0; k < n; k++)
		starts[k] = START(1, 0, 100 + k, 100, .carrier = 0x10000 + 16 * k);
}

/* How many of every step-th are found by their goroutines no more. Nobody is taken for another. */
static inline uint64_t count_forgotten(const struct fired *starts, uint64_t n, uint64_t step)
{
	uint64_t forgotten = 0;

	for (uint64_t k = 0; k < n; k += step) {
		struct fired by_goroutine = FIRE(SHOT_NOTE, 1, 100 + k, 100);
		struct fired by_word = FIRE(SHOT_INJECT, 0, 1, 100, .carrier = 0x10000 + 16 * k);

		forgotten += !by_goroutine.has;
		assert_true(!by_goroutine.has || same_span(by_goroutine, starts[k]));
		assert_true(!by_word.has || same_span(by_word, starts[k]));
	}
	return forgotten;
}

/*
 * n spans, one after the other: each is found until it ends. So are some that have outlived the one around them, on
 * goroutines of their own.
 */
static inline void start_and_end(uint64_t n)
{
	enum { OUTLIVED = 8, FIRST = 1 << 20 };
	struct fired inner[OUTLIVED];

	for (uint64_t k = 0; k < OUTLIVED; k++) {
		START(1, 0, FIRST + k, 100);
		inner[k] = START(2, 0, FIRST + k, 200);
		FIRE(SHOT_END, 1, FIRST + k, 200);
	}
	for (uint64_t k = 0; k < n; k++) {
		struct fired f = START(1, 0, 100 + k, 100, .carrier = 0x10000 + 16 * k);

		assert_true(same_span(f, FIRE(SHOT_INJECT, 0, 1, 100, .carrier = 0x10000 + 16 * k)));
		assert_true(same_span(f, FIRE(SHOT_END, 1, 100 + k, 100)));
	}
	for (uint64_t k = 0; k < OUTLIVED; k++)
		assert_true(same_span(inner[k], FIRE(SHOT_NOTE, 2, FIRST + k, 900)));
}

/* What cannot be read finds nothing, and nothing else comes of it. */
static void scene_unreadable(void **state)
{
	struct shot s = {.kind = SHOT_START, .group = 1, .call = 10, .threshold = MARK_KEEP_NONE};
	const uint64_t hole = (uintptr_t)scene_text("", 0);
	struct shot_words w = {.header = hole, .header_len = 55};

	marks_fresh();
	assert_true(fire(&s, 7, 100, &w).dropped);
	w = (struct shot_words){.parent_type = BIAS + chain_types[0].rtype, .parent = hole};
	assert_true(fire(&s, 7, 100, &w).dropped);
	w = (struct shot_words){.own_type = BIAS + chain_types[0].rtype, .own = hole};
	assert_true(fire(&s, 7, 100, &w).dropped);
	s.threshold = 0;
	assert_kept(fire(&s, 7, 100, &w));
	w = (struct shot_words){.header = (uintptr_t)scene_text("00-", 3), .header_len = 55};
	assert_kept(fire(&s, 7, 100, &w));
	assert_int_equal(left_out(), 3);
	assert_int_equal(lost(), 3); /* no others */
}

static void scene_ids_differ(void **state)
{
	static uint8_t seen[512][24];

	marks_fresh();
	for (size_t k = 0; k < ARRAY_SIZE(seen); k++) {
		struct fired f = START(1, 0, 100 + k, 100);

		memcpy(seen[k], f.ids.trace_id, 16);
		memcpy(seen[k] + 16, f.ids.span_id, 8);
		for (size_t i = 0; i < k; i++) {
			assert_memory_not_equal(seen[i], seen[k], 16);
			assert_memory_not_equal(seen[i] + 16, seen[k] + 16, 8);
		}
	}
}

/* ---- a tracestate that came in ---- */

#define HEADER_OF_TRACE "00-" TRACE "-00f067aa0ba902b7-01"

static struct fired start_with_state(uint32_t group, uint64_t goid, const char *text, size_t len)
{
	static char header[] = HEADER_OF_TRACE;

	return START(group, 0, goid, 100, .header = (uintptr_t)header, .header_len = sizeof(header) - 1,
		     .state = (uintptr_t)scene_text(text, MIN(len, (size_t)EVENT_PAGE)), .state_len = len);
}

/* A mark has it as long as the one lives that it came in with. */
static void scene_state(void **state)
{
	static const char one[] = "rojo=00f067aa0ba902b7", two[] = "congo=t61rcWkgMzE,rojo=1";
	struct fired f;

	marks_fresh();
	f = start_with_state(1, 7, one, sizeof(one) - 1);
	assert_kept(f);
	assert_int_equal(f.state, sizeof(one) - 1);
	assert_int_equal(start_with_state(1, 8, two, sizeof(two) - 1).state, sizeof(two) - 1);
	assert_int_equal(START(2, 0, 7, 200).state, sizeof(one) - 1);
	assert_int_equal(START(3, 0, 7, 300, .carrier = 0x5000).state, sizeof(one) - 1);
	assert_int_equal(FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x5000).state, sizeof(one) - 1);
	assert_int_equal(START(2, 0, 8, 200).state, sizeof(two) - 1);
	assert_int_equal(START(1, 0, 9, 100).state, 0);
	f = FIRE(SHOT_END_OF_CALL, 1, 8, 100);
	assert_int_equal(f.state, 0);
	assert_int_equal(FIRE(SHOT_NOTE, 1, 7, 900).state, sizeof(one) - 1);
	FIRE(SHOT_END_OF_CALL, 1, 7, 100);
	f = FIRE(SHOT_INJECT, 0, 9, 10, .carrier = 0x5000);
	assert_true(f.has);
	assert_int_equal(f.state, 0);
	assert_int_equal(START(4, 0, 7, 400).state, 0);
	assert_int_equal(lost(), 0);
}

/* It came with nothing of its trace, or another parent was found first. */
static void scene_no_state(void **state)
{
	static const char text[] = "rojo=1";
	const uint64_t hole = (uintptr_t)scene_text("", 0);
	struct fired f;

	marks_fresh();
	assert_int_equal(START(1, 0, 7, 100, .state = (uintptr_t)text, .state_len = 6).state, 0);
	assert_int_equal(START(2, 0, 7, 200, .state = (uintptr_t)text, .state_len = 6).state, 0);
	assert_int_equal(start_with_state(1, 8, text, 0).state, 0);
	f = start_with_state(1, 8, text, 6);
	assert_int_equal(f.state, 6);
	for (uint64_t bad = 0; bad < 2; bad++) {
		f = START(1, 0, 9, 100, .header = (uintptr_t)HEADER_OF_TRACE, .header_len = sizeof(HEADER_OF_TRACE) - 1,
			  .state = (uintptr_t)text, .state_len = 6 - bad, .other = (uintptr_t)"congo=1",
			  .other_len = 7);
		assert_int_equal(f.state, bad ? 7 : 6);
	}
	f = START(1, 0, 8, 100, .header = (uintptr_t)HEADER_OF_TRACE, .header_len = sizeof(HEADER_OF_TRACE) - 1,
		  .state = hole - 2, .state_len = 6);
	assert_kept(f);
	assert_int_equal(f.state, 0);
	assert_int_equal(START(2, 0, 8, 200).state, 0);
	assert_int_equal(lost(), 0);
}

static void check_state(const char *text, size_t len)
{
	uint64_t want = len > MARK_STATE_MAX ? MARK_STATE_MAX + 1 : marks_is_state(text, len) ? len : 0;
	struct fired f = start_with_state(1, 7, text, len);

	if (f.state != want)
		fail_msg("\"%.*s\" (%zu bytes): %llu", (int)len, text, len, (unsigned long long)f.state);
	assert_int_equal(START(2, 0, 7, 200).state, want);
}

/* What is a list is what the reader of headers takes for one, but for what stands at its ends. */
static void scene_states(void **state)
{
	static const char *const texts[] = {
		"a=b", "a=b,c=d", " a=b", "a=b ", "\ta=b\t", "a=b , c=d", "a=b,,c=d", ",", ", ,", "a=", "=b", "a",
		"a=b,", "A=b", "aB=c", "a_-*/@9=b", "_a=b", "9=b", "@a=b", "a=b=c", "a=b,c", "a= b", "a=b c", "a=b\tc",
		"a=b\t,c=d", "a=\t", "a= ", "a=b\r\nX: y", "a=b\n", "a=\xc3\xa9", "a=\x7f", "a=~", "a=!", "a\x01=b",
		"a =b", "a=b;c", "a=b\t ", "a=b \t", "a=b\t x", ",a=b", ", a=b", "a=b, ", "a=b  c",
		"a=b c ", "a=  b", "a=b ,c=d e",
	};
	static char text[600];

	marks_fresh();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		check_state(texts[i], strlen(texts[i]));
	check_state("a=b\0", 4);
	check_state("a\0=b", 4);
	memset(text, 'k', sizeof(text));
	for (size_t key = 255; key <= 257; key++) {
		text[key] = '=';
		check_state(text, key + 2);
		text[key] = 'k';
	}
	text[1] = '=';
	for (size_t value = 255; value <= 257; value++) {
		check_state(text, value + 2);
		text[value + 2] = ' ';
		text[value + 3] = '\t';
		check_state(text, value + 4);
		text[value + 2] = text[value + 3] = 'k';
	}
	for (size_t len = 511; len <= 514; len++) {
		memset(text, 'v', len);
		memcpy(text, "k=", 2);
		memcpy(text + 254, ",k=", 3);
		check_state(text, len);
	}
	for (size_t n = 31; n <= 33; n++) {
		for (size_t i = 0; i < n; i++)
			memcpy(text + 4 * i, "k=v,", 4);
		check_state(text, 4 * n);
		check_state(text, 4 * n - 1);
	}
}

static void scene_states_random(void **state)
{
	static const char letters[] = "ab0=,=, \t_@Zz~\r";
	static uint32_t drawn = 7;
	char text[40];
	size_t lists = 0;

	marks_fresh();
	for (unsigned n = 0; n < STATES_AT_RANDOM; n++) {
		size_t len;

		drawn = drawn * 1103515245 + 12345;
		len = 1 + (drawn >> 16) % (n % 4 ? 8 : 40);
		for (size_t i = 0; i < len; i++) {
			drawn = drawn * 1103515245 + 12345;
			text[i] = letters[(drawn >> 16) % (n % 2 ? 9 : sizeof(letters) - 1)];
		}
		lists += marks_is_state(text, len);
		check_state(text, len);
	}
	assert_in_range(lists, STATES_AT_RANDOM / 100, STATES_AT_RANDOM);
}

#define MARK_SCENES                                                                                \
	cmocka_unit_test(scene_kept), cmocka_unit_test(scene_left_out), cmocka_unit_test(scene_coin),         \
	cmocka_unit_test(scene_header), cmocka_unit_test(scene_no_header), cmocka_unit_test(scene_child_alone), \
	cmocka_unit_test(scene_nested), cmocka_unit_test(scene_recursion), cmocka_unit_test(scene_same_call), \
	cmocka_unit_test(scene_too_deep), cmocka_unit_test(scene_unwound), cmocka_unit_test(scene_context),   \
	cmocka_unit_test(scene_pooled), cmocka_unit_test(scene_creator), cmocka_unit_test(scene_key),         \
	cmocka_unit_test(scene_carrier), cmocka_unit_test(scene_needed), \
	cmocka_unit_test(scene_unreadable), \
	cmocka_unit_test(scene_ids_differ)
#define STATE_SCENES                                                                               \
	cmocka_unit_test(scene_state), cmocka_unit_test(scene_no_state), cmocka_unit_test(scene_states),      \
	cmocka_unit_test(scene_states_random)

#endif
