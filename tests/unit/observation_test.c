/* Each sample reaches the consumer that asked for its probe, and no other; what belongs to nobody is counted once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cmd/observation_internal.h"

/* ---- consumers that remember ---- */

struct listener {
	struct consumer consumer;
	struct wanted wanted;
	struct plant_probe probes[4];
	VEC(uint32_t) heard;     /* probes of the samples that came */
};


static void hear(struct consumer *c, const void *sample, size_t size)
{
	vec_push(&((struct listener *)c)->heard, ((const struct event_header *)sample)->probe);
}

static const struct consumer_ops listener_ops = {.sample = hear};

/* ---- a source that has what the test puts in ---- */

struct script {
	struct event_source source;
	VEC(struct event_header) waiting;
	uint64_t lost[8];        /* by probe; of [0] nobody can say whose it is */
};

static int script_drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct script *f = (struct script *)s;
	int n = (int)f->waiting.len;

	for (int i = 0; i < n; i++)
		fn(arg, &f->waiting.data[i], f->waiting.data[i].size);
	f->waiting.len = 0;
	return n;
}

static void script_probe_losses(struct event_source *s, uint32_t probe, struct losses *ret)
{
	ret->count[LOSS_RING_FULL] += ((struct script *)s)->lost[probe];
}

static void script_losses(struct event_source *s, struct losses *ret)
{
	for (uint32_t i = 0; i < 8; i++)
		script_probe_losses(s, i, ret);
}

static const struct event_source_ops script_ops = {
	.drain = script_drain, .losses = script_losses, .probe_losses = script_probe_losses};

static void write_sample(struct script *s, uint32_t probe, uint32_t size)
{
	vec_push(&s->waiting, ((struct event_header){.size = size, .probe = probe}));
}

/* ---- an observation of both ---- */

struct world {
	struct observation ob;
	struct observation_options options;
	struct listener a, b;
	struct script script;
};

static void world_init(struct world *w)
{
	*w = (struct world){.a.consumer.ops = &listener_ops, .b.consumer.ops = &listener_ops,
			    .script.source.ops = &script_ops};
	w->options.quiet = true;
	w->ob.options = &w->options;
	vec_push(&w->ob.owners, NULL);
	vec_push(&w->ob.sources, &w->script.source);
	observation_add(&w->ob, &w->a.consumer);
	observation_add(&w->ob, &w->b.consumer);
}

static void world_done(struct world *w)
{
	vec_done(&w->a.heard);
	vec_done(&w->b.heard);
	vec_done(&w->script.waiting);
	vec_done(&w->ob.owners);
	vec_done(&w->ob.sources);
	vec_done(&w->ob.consumers);
}

/* An executable of which a wants probes of two groups and a hook, and b one group and a lone one. */
static void executable_init(struct world *w, struct executable *x, struct wanted *wanted[2])
{
	const uint32_t a_groups[] = {1, 1, 2, 0}, b_groups[] = {1, 1, 0};

	for (size_t i = 0; i < 4; i++)
		w->a.probes[i] = (struct plant_probe){.label = "a", .group = a_groups[i], .auxiliary = i == 3};
	for (size_t i = 0; i < 3; i++)
		w->b.probes[i] = (struct plant_probe){.label = "b", .group = b_groups[i]};
	w->a.wanted = (struct wanted){.probes = w->a.probes, .nprobes = 4};
	w->b.wanted = (struct wanted){.probes = w->b.probes, .nprobes = 3};
	wanted[0] = &w->a.wanted;
	wanted[1] = &w->b.wanted;
	*x = (struct executable){.wanted = wanted};
	executable_collect(&w->ob, x);
}

static void one_space_of_numbers(void **state)
{
	struct wanted *wanted[2];
	struct executable x;
	struct world w;

	world_init(&w);
	executable_init(&w, &x, wanted);
	assert_int_equal(x.nprobes, 7);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(x.probes[i].id, i + 1);
	assert_int_equal(w.a.wanted.first, 0);
	assert_int_equal(w.b.wanted.first, 4);
	assert_int_equal(w.b.probes[2].id, 7); /* the consumer knows the number, too */
	free(x.probes);
	executable_init(&w, &x, wanted); /* another executable: other numbers */
	assert_int_equal(x.probes[0].id, 8);
	assert_int_equal(x.probes[6].id, 14);
	free(x.probes);
	world_done(&w);
}

static void groups_of_two_are_not_one(void **state)
{
	struct wanted *wanted[2];
	struct executable x;
	struct world w;

	world_init(&w);
	executable_init(&w, &x, wanted);
	assert_int_equal(x.probes[0].group, x.probes[1].group);
	assert_int_equal(x.probes[4].group, x.probes[5].group);
	for (size_t i = 0; i < 4; i++)
		assert_int_not_equal(x.probes[i].group, x.probes[4].group);
	assert_int_equal(x.probes[3].group, 0);
	assert_int_equal(x.probes[6].group, 0);
	free(x.probes);
	world_done(&w);
}

/* Who wants nothing of it has no probe in it, though it had prepared some. */
static void who_wants_nothing_is_left_out(void **state)
{
	struct wanted *wanted[2] = {0};
	struct executable x = {.wanted = wanted};
	struct world w;

	world_init(&w);
	w.a.wanted = (struct wanted){.probes = w.a.probes, .nprobes = 1, .why = "it uses nothing that is known"};
	w.b.wanted = (struct wanted){.probes = w.b.probes, .nprobes = 2};
	wanted[0] = &w.a.wanted;
	wanted[1] = &w.b.wanted;
	executable_collect(&w.ob, &x);
	assert_int_equal(x.nprobes, 2);
	assert_int_equal(w.b.wanted.first, 0);
	assert_int_equal(w.a.probes[0].id, 0);
	assert_int_equal(w.b.probes[0].id, 1);
	free(x.probes);
	world_done(&w);
}

static void a_sample_reaches_who_asked_for_it(void **state)
{
	const uint32_t written[] = {1, 5, 7, 4, 2, 5};
	struct wanted *wanted[2];
	struct executable x;
	struct world w;

	world_init(&w);
	executable_init(&w, &x, wanted);
	for (size_t i = 0; i < ARRAY_SIZE(written); i++)
		write_sample(&w.script, written[i], sizeof(struct event_header));
	observation_drain(&w.ob);
	assert_int_equal(w.a.heard.len, 3);
	assert_int_equal(w.b.heard.len, 3);
	assert_memory_equal(w.a.heard.data, ((uint32_t[]){1, 4, 2}), 3 * sizeof(uint32_t));
	assert_memory_equal(w.b.heard.data, ((uint32_t[]){5, 7, 5}), 3 * sizeof(uint32_t));
	assert_int_equal(w.ob.strays, 0);
	free(x.probes);
	world_done(&w);
}

static void what_is_nobodys_is_counted(void **state)
{
	struct wanted *wanted[2];
	struct executable x;
	struct world w;

	world_init(&w);
	executable_init(&w, &x, wanted);
	write_sample(&w.script, 0, sizeof(struct event_header));
	write_sample(&w.script, 8, sizeof(struct event_header));
	write_sample(&w.script, UINT32_MAX, sizeof(struct event_header));
	write_sample(&w.script, 1, sizeof(struct event_header) - 1); /* too short to have a header */
	write_sample(&w.script, 1, 0);
	observation_drain(&w.ob);
	assert_int_equal(w.a.heard.len + w.b.heard.len, 0);
	assert_int_equal(w.ob.strays, 5);
	free(x.probes);
	world_done(&w);
}

/* What one of them lost is not told of the other; what nobody can say whose it is, is told of both. */
static void losses_are_told_of_who_had_them(void **state)
{
	struct losses of_a = {0}, of_b = {0};
	struct wanted *wanted[2];
	struct executable x;
	struct world w;

	world_init(&w);
	executable_init(&w, &x, wanted);
	w.script.lost[0] = 1000;
	w.script.lost[1] = 1;
	w.script.lost[4] = 2;
	w.script.lost[5] = 30;
	observation_losses(&w.ob, &w.a.consumer, &of_a);
	observation_losses(&w.ob, &w.b.consumer, &of_b);
	assert_int_equal(of_a.count[LOSS_RING_FULL], 1003);
	assert_int_equal(of_b.count[LOSS_RING_FULL], 1030);
	free(x.probes);
	world_done(&w);
}

/* ---- the summary ---- */

static void expect_summary(const struct run_summary *sum, const struct summary_text *text, const char *want)
{
	_cleanup_(buf_done) struct buf out = {0};

	summary_print(sum, text, &out);
	assert_string_equal(out.data, want);
}

static void summaries(void **state)
{
	struct run_summary sum = {.events = 60, .spans = 12, .calls = 1, .processes = 1, .planted = 9};
	struct summary_text spans = {.spans = true, .seconds = 2}, calls = {.calls = true, .seconds = 2},
			    both = {.spans = true, .calls = true, .groups = 2, .seconds = 2};

	expect_summary(&sum, &spans, "12 spans from 1 process in 2.0 s (60 events); none lost; 9 probes planted");
	expect_summary(&sum, &calls, "1 call from 1 process in 2.0 s; none lost; 9 probes planted");
	expect_summary(&sum, &both,
		       "12 spans, 1 call, 2 groups from 1 process in 2.0 s (60 events); none lost; 9 probes planted");
	sum.propagates = true;
	expect_summary(&sum, &spans, "12 spans from 1 process in 2.0 s (60 events); none lost; 0 requests got a "
				     "traceparent; 9 probes planted");
	sum.requests[INJECT_WRITTEN] = 1;
	sum.requests[INJECT_PRESENT] = 2;
	sum.requests[INJECT_NO_ROOM] = 3;
	expect_summary(&sum, &spans, "12 spans from 1 process in 2.0 s (60 events); none lost; 1 request got a "
				     "traceparent (2 had one already, 3 without room in the buffer); 9 probes planted");
	sum.propagates = false;
	sum.losses.count[LOSS_RING_FULL] = 3;
	sum.refused = 4;
	expect_summary(&sum, &calls, "1 call from 1 process in 2.0 s; 3 ring_full; 9 probes planted, 4 refused");
	expect_summary(&sum, &spans,
		       "12 spans from 1 process in 2.0 s (60 events); none lost (3 ring_full); 9 probes planted, "
		       "4 refused");
	sum.spans_lost = 2;
	sum.open = 1;
	sum.calls = 0;
	expect_summary(&sum, &both,
		       "12 spans, 2 groups from 1 process in 2.0 s (60 events); 2 lost (3 ring_full), 1 still open; "
		       "9 probes planted, 4 refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_space_of_numbers),
		cmocka_unit_test(groups_of_two_are_not_one),
		cmocka_unit_test(who_wants_nothing_is_left_out),
		cmocka_unit_test(a_sample_reaches_who_asked_for_it),
		cmocka_unit_test(what_is_nobodys_is_counted),
		cmocka_unit_test(losses_are_told_of_who_had_them),
		cmocka_unit_test(summaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
