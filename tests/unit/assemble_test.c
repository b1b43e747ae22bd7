/* span/assemble: pairs, panics, goroutines that work for a span, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/assembling.h"

/* ---- pairing ---- */

static void pairs(void **state)
{
	const struct span *s;
	uint64_t now = clock_monotonic_ns();
	int64_t skew;

	start(7, 500, now);
	assert_int_equal(still_open(), 1);
	end(7, 500, now + 1500, 0);
	s = one("GET unset {method=GET path=/x status=#200}");
	assert_int_equal(s->duration_ns, 1500);
	assert_int_equal(s->goid, 7);
	assert_int_equal(s->kind, SPAN_SERVER);
	assert_string_equal(s->pack, "test");
	assert_ptr_equal(s->resource, &w.resource);
	assert_int_equal(s->parent, SPAN_PARENT_NONE);
	skew = (int64_t)(s->start_unix_ns - clock_realtime_ns());
	assert_true(skew < 0 && skew > -INT64_C(5000000000));
	assert_int_equal(still_open(), 0);
	assert_int_equal(w.sum.events, 2);
	assert_int_equal(w.sum.spans, 1);
}

static void goroutines_apart(void **state)
{
	start(1, 500, 10);
	start(2, 500, 20);
	end(1, 500, 30, 201);
	end(2, 500, 40, 202);
	assert_int_equal(w.spans.len, 2);
	assert_int_equal(w.spans.data[0].span.goid, 1);
	assert_int_equal(w.spans.data[0].span.duration_ns, 20);
	assert_string_equal(w.spans.data[1].text, "GET unset {method=GET path=/x status=#202}");
	assert_memory_not_equal(w.spans.data[0].span.trace_id, w.spans.data[1].span.trace_id, 16);
}

static void no_goroutine(void **state)
{
	start(0, 500, 10);
	assert_int_equal(lost(LOSS_NO_GOROUTINE), 1);
	assert_int_equal(still_open(), 0);
}

static void recursion(void **state)
{
	bare(P_CALL, 1, 100, 10);
	bare(P_CALL, 1, 200, 20);
	bare(P_CALL, 1, 300, 30);
	bare(P_RETURN, 1, 300, 31);
	bare(P_RETURN, 1, 200, 22);
	bare(P_RETURN, 1, 100, 13);
	assert_int_equal(w.spans.len, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(w.spans.data[i].span.duration_ns, i + 1);
	assert_memory_equal(w.spans.data[0].span.parent_id, w.spans.data[1].span.span_id, 8);
	assert_memory_equal(w.spans.data[1].span.parent_id, w.spans.data[2].span.span_id, 8);
	assert_memory_equal(w.spans.data[0].span.trace_id, w.spans.data[2].span.trace_id, 16);
	assert_int_equal(w.spans.data[2].span.parent, SPAN_PARENT_UNKNOWN);
	assert_int_equal(w.spans.data[0].span.parent, SPAN_PARENT_LOCAL);
}

/* A return whose start we never saw must not end the caller's call. */
static void return_without_start(void **state)
{
	bare(P_CALL, 1, 100, 10);
	bare(P_RETURN, 1, 200, 20);
	assert_int_equal(w.spans.len, 0);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	bare(P_RETURN, 1, 100, 30);
	assert_int_equal(w.spans.len, 1);
}

/* The inner return was lost: the outer one tells. */
static void return_lost(void **state)
{
	bare(P_CALL, 1, 100, 10);
	bare(P_CALL, 1, 200, 20);
	bare(P_RETURN, 1, 100, 30);
	assert_int_equal(w.spans.len, 1);
	assert_int_equal(w.spans.data[0].span.duration_ns, 20);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	assert_int_equal(still_open(), 0);
}

/* Two definitions start and end where one function does: neither is what proves that the other's end was lost. */
static void two_spans_of_a_call(void **state)
{
	bare(P_CALL, 1, 100, 10);
	bare(P_INNER, 1, 100, 11);
	bare(P_RETURN, 1, 100, 30);
	bare(P_INNER_END, 1, 100, 31);
	assert_int_equal(w.spans.len, 2);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	assert_memory_equal(w.spans.data[1].span.parent_id, w.spans.data[0].span.span_id, 8);
	bare(P_CALL, 1, 100, 40);
	bare(P_INNER, 1, 100, 41);
	bare(P_INNER_END, 1, 100, 50); /* the other's is lost: that is proved by its next start */
	bare(P_CALL, 1, 100, 60);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	bare(P_CALL, 1, 300, 70); /* one deeper than both has left, whatever is still open at this depth */
	bare(P_INNER, 1, 100, 80);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 2);
	assert_int_equal(still_open(), 2);
}

static void stale_start(void **state)
{
	start(1, 500, 10);
	start(1, 500, 50);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	end(1, 500, 60, 204);
	assert_int_equal(w.spans.data[0].span.duration_ns, 10);
	assert_int_equal(still_open(), 0);
}

static void nested_is_the_same(void **state)
{
	start(1, 500, 10);
	start_init(1, 700, 20);
	record_str(&w.r, S_PATH, "/inner");
	send();
	end(1, 650, 30, 200);
	one("GET unset {method=GET path=/x status=#200}");
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	assert_int_equal(still_open(), 0);
}

static void unpaired_ends(void **state)
{
	end(1, 500, 10, 200);
	bare(P_CLOSE, 1, 500, 20);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	assert_int_equal(w.spans.len, 0);
}

static void open_limit(void **state)
{
	again(1, false, 3);
	for (uint64_t g = 1; g <= 5; g++)
		start(g, 500, g);
	assert_int_equal(still_open(), 3);
	assert_int_equal(lost(LOSS_OPEN_LIMIT), 2);
	end(1, 500, 10, 200); /* the oldest went */
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	end(5, 500, 10, 200);
	assert_int_equal(w.spans.len, 1);
}

/* The one evicted may be below the new call on the same goroutine. */
static void open_limit_of_one(void **state)
{
	again(1, false, 1);
	bare(P_CALL, 1, 100, 10);
	bare(P_CALL, 1, 200, 20);
	bare(P_CALL, 1, 300, 30);
	bare(P_RETURN, 1, 300, 40);
	assert_int_equal(w.spans.len, 1);
	assert_int_equal(lost(LOSS_OPEN_LIMIT), 2);
	assert_int_equal(still_open(), 0);
}

/* Every start ends up in one place, whatever else was lost. */
static void starts_add_up(void **state)
{
	again(1, false, 3);
	start(1, 500, 10);          /* a span */
	start(1, 700, 11);          /* the same call */
	end(1, 500, 20, 200);
	start(1, 500, 30);          /* its end was lost */
	start(1, 500, 40);          /* a span */
	end(1, 500, 50, 200);
	end(1, 500, 60, 200);       /* its start was lost */
	start(0, 500, 70);          /* on no goroutine */
	for (uint64_t g = 2; g <= 5; g++)
		start(g, 500, 80);  /* one is one too many */
	assembler_end_target(w.a, 1, false, 110);
	assert_int_equal(w.spans.len, 2);
	assert_int_equal(still_open(), 3);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	assert_int_equal(lost(LOSS_OPEN_LIMIT), 1);
	assert_int_equal(lost(LOSS_NO_GOROUTINE), 1);
	assert_int_equal(w.sum.spans_lost, 3);
	assert_int_equal(w.sum.spans + w.sum.spans_lost + w.sum.open, 8);
}

static void parents_across_definitions(void **state)
{
	start(1, 500, 10);
	bare(P_CALL, 1, 900, 20);
	bare(P_RETURN, 1, 900, 30);
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text, "call unset {}");
	assert_memory_equal(w.spans.data[0].span.parent_id, w.spans.data[1].span.span_id, 8);
}

/* An inner call whose end was lost does not outlive the request, nor become the next one's parent. */
static void inner_left_open(void **state)
{
	start(1, 500, 10);
	bare(P_CALL, 1, 900, 20);
	end(1, 500, 40, 200);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	assert_int_equal(still_open(), 0);
}

/* ---- panics ---- */

static void panic_recovered_outside(void **state)
{
	start(1, 500, 10);
	bare(P_CALL, 1, 800, 20);
	panic_at(1, 1200);
	unwind(1, 480, 60, 0);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text, "call error [panic] {error.type=panic}");
	assert_string_equal(w.spans.data[1].text,
			    "GET error [panic] {method=GET path=/x error.type=panic}");
	assert_int_equal(w.spans.data[1].span.duration_ns, 50);
	assert_int_equal(still_open(), 0);
}

static void panic_recovered_inside(void **state)
{
	start(1, 500, 10);
	bare(P_CALL, 1, 800, 20);
	panic_at(1, 1200);
	unwind(1, 700, 30, 0); /* a frame between the request and the call */
	assert_int_equal(w.spans.len, 1);
	assert_string_equal(w.spans.data[0].text, "call error [panic] {error.type=panic}");
	end(1, 500, 40, 500);
	assert_string_equal(w.spans.data[1].text,
			    "GET error {method=GET path=/x status=#500 error.type=500}");
}

/* The middleware recovered and answered: no error of the request. */
static void panic_recovered_unseen(void **state)
{
	start(1, 500, 10);
	panic_at(1, 1200);
	unwind(1, 700, 30, 0);
	end(1, 500, 40, 200);
	one("GET unset {method=GET path=/x status=#200}");
}

/* A deferred function, running on top of the panic, is where the span ends. */
static void end_within_panic(void **state)
{
	start(1, 500, 10);
	panic_at(1, 1200);
	bare(P_CLOSE, 1, 1500, 40);
	one("GET error [panic] {method=GET path=/x error.type=panic}");
	unwind(1, 480, 60, 0);
	assert_int_equal(w.spans.len, 1);
}

/* What a deferred function calls during a panic ends as usual. */
static void call_during_panic(void **state)
{
	start(1, 500, 10);
	panic_at(1, 1200);
	bare(P_CALL, 1, 1500, 40);
	bare(P_RETURN, 1, 1500, 45);
	assert_string_equal(w.spans.data[0].text, "call unset {}");
	unwind(1, 700, 50, 0);
	end(1, 500, 60, 200);
	assert_string_equal(w.spans.data[1].text, "GET unset {method=GET path=/x status=#200}");
}

/* A deferred function panics and recovers on its own while the outer panic goes on. */
static void panic_within_panic(void **state)
{
	start(1, 500, 10);
	panic_at(1, 1200);
	bare(P_CALL, 1, 1500, 20);
	panic_at(1, 1700);
	unwind(1, 1450, 30, 0);
	assert_int_equal(w.spans.len, 1);
	bare(P_CLOSE, 1, 1400, 40);
	assert_string_equal(w.spans.data[1].text,
			    "GET error [panic] {method=GET path=/x error.type=panic}");
}

static void many_panics(void **state)
{
	start(1, 500, 10);
	for (uint64_t d = 1000; d < 3000; d += 100)
		panic_at(1, d);
	unwind(1, 480, 60, 0);
	assert_int_equal(w.spans.len, 1);
	assert_int_equal(still_open(), 0);
}

/* The panic hook is optional. */
static void unwind_without_panic_record(void **state)
{
	start(1, 500, 10);
	unwind(1, 480, 60, 0);
	one("GET error [panic] {method=GET path=/x error.type=panic}");
}

static void recovers_in_own_frame(void **state)
{
	bare(P_OWN, 1, 500, 10);
	bare(P_CALL, 1, 900, 20);
	panic_at(1, 1200);
	/* SP of the recovering frame: at most frame_size + 16 below its entry; pc is a run-time address. */
	unwind(1, 600, 60, 0x10000 + 0x2050);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[1].text, "own error [panic] {error.type=panic}");
}

static void recovers_in_another_frame(void **state)
{
	bare(P_OWN, 1, 500, 10);
	panic_at(1, 1200);
	unwind(1, 600, 60, 0x10000 + 0x3050); /* another function */
	panic_at(1, 1200);
	unwind(1, 500 + 96 + 17, 60, 0x10000 + 0x2050); /* another call of the function, deeper */
	assert_int_equal(w.spans.len, 0);
	bare(P_OWN_END, 1, 500, 90);
	one("own unset {}");
}

static void not_one_that_recovers(void **state)
{
	bare(P_CALL, 1, 500, 10);
	panic_at(1, 1200);
	unwind(1, 550, 60, 0x10000 + 0x1050);
	assert_int_equal(w.spans.len, 0);
	bare(P_RETURN, 1, 500, 90);
	one("call unset {}");
}

static void other_goroutine_panics(void **state)
{
	start(1, 500, 10);
	start(2, 500, 10);
	panic_at(2, 1200);
	unwind(2, 480, 60, 0);
	end(1, 500, 70, 200);
	assert_string_equal(w.spans.data[1].text, "GET unset {method=GET path=/x status=#200}");
}

static void goexit(void **state)
{
	start(1, 500, 10);
	bare(P_CALL, 1, 900, 20);
	bare(P_EXIT, 1, 1000, 30);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text,
			    "call error [goroutine exited] {error.type=runtime.Goexit}");
	assert_int_equal(w.spans.data[1].span.status, SPAN_STATUS_ERROR);
	bare(P_CLOSE, 1, 1100, 40); /* deferred, runs all the same */
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
	assert_int_equal(still_open(), 0);
}

static void process_exits(void **state)
{
	start(1, 500, 10);
	start(2, 500, 10);
	assembler_end_target(w.a, 1, true, 110);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text,
			    "GET error [process exited] {method=GET path=/x error.type=process exited}");
	assert_int_equal(w.spans.data[0].span.duration_ns, 100);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	end(1, 500, 200, 200);
	assert_int_equal(lost(LOSS_BAD_RECORD), 1);
}

static void process_dies_of_a_panic(void **state)
{
	start(1, 500, 10);
	start(2, 500, 10);
	panic_at(2, 900);
	assembler_end_target(w.a, 1, true, 110);
	assert_string_equal(w.spans.data[1].text,
			    "GET error [panic] {method=GET path=/x error.type=panic}");
	assert_int_equal(w.spans.data[0].span.status, SPAN_STATUS_ERROR);
}

/* What a dump shows of what is open: as it is, and not as an error. */
static void a_copy_ends(void **state)
{
	start(1, 500, 10);
	start(2, 500, 10);
	panic_at(2, 900);
	assembler_unfinished(w.a, 110);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text, "GET unset {method=GET path=/x earshot.unfinished=true}");
	assert_int_equal(w.spans.data[0].span.duration_ns, 100);
	assert_false(w.spans.data[0].span.panicked);
	assert_true(w.spans.data[1].span.panicked);
	assert_int_equal(still_open(), 0);
}

static void observation_ends(void **state)
{
	start(1, 500, 10);
	start(2, 500, 10);
	assembler_end_target(w.a, 1, false, 110);
	assert_int_equal(w.spans.len, 0);
	assert_int_equal(still_open(), 2);
	assembler_end_target(w.a, 1, false, 110);
	assert_int_equal(still_open(), 2);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	assert_int_equal(w.sum.spans_lost, 0);
}

/* ---- goroutines that work for a span ---- */

static void keyed(uint64_t goid, uint64_t key)
{
	start_init(goid, 500, 10);
	record_int(&w.r, S_LENGTH, key);
	send();
}

static void join(uint64_t goid, uint64_t key, const char *part)
{
	record_init(&w.r, P_JOIN, goid, 100, 12, J_END);
	record_int(&w.r, J_KEY, key);
	if (part)
		record_str(&w.r, J_PART, part);
	send();
}

static void route_from(uint64_t goid, const char *route)
{
	record_init(&w.r, P_NOTE, goid, 600, 15, 2);
	record_str(&w.r, 0, route);
	send();
}

static void joined(void **state)
{
	keyed(1, 77);
	keyed(2, 78);
	route_from(9, "/unknown");
	join(9, 76, "unknown");
	route_from(9, "/unknown");
	join(9, 77, "ours");
	route_from(9, "/ours");
	end(1, 500, 20, 200);
	one("GET /ours unset {method=GET path=/x part=ours route=/ours status=#200}");
	route_from(9, "/late"); /* the span has ended, and its key with it */
	join(9, 77, "late");
	route_from(9, "/late");
	end(2, 500, 20, 200);
	assert_string_equal(w.spans.data[1].text, "GET unset {method=GET path=/x length=#78 status=#200}");
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
}

/*
 * A goroutine with a span of its own works for no other, though it may say something of it; a later goroutine takes the
 * place of an earlier one.
 */
static void joined_once(void **state)
{
	keyed(1, 77);
	keyed(2, 78);
	join(2, 77, NULL);
	route_from(2, "/two");
	join(8, 77, NULL);
	join(9, 77, NULL);
	route_from(8, "/eight");
	route_from(9, "/nine");
	end(2, 500, 20, 200);
	end(1, 500, 20, 200);
	assert_string_equal(w.spans.data[0].text,
			    "GET /two unset {method=GET path=/x length=#78 route=/two status=#200}");
	assert_string_equal(w.spans.data[1].text, "GET /nine unset {method=GET path=/x route=/nine status=#200}");
}

/* Of two open spans with one key (the memory behind it was used again) the newer one has it. */
static void key_used_again(void **state)
{
	keyed(1, 77);
	keyed(2, 77);
	join(9, 77, NULL);
	end(1, 500, 20, 200);
	route_from(9, "/nine");
	end(2, 500, 20, 200);
	assert_string_equal(w.spans.data[0].text, "GET unset {method=GET path=/x length=#77 status=#200}");
	assert_string_equal(w.spans.data[1].text, "GET /nine unset {method=GET path=/x route=/nine status=#200}");
}

/* ---- detached spans ---- */

/* A record of one of their probes; key 0: it was not captured there. */
static void streams(uint32_t probe, uint64_t goid, uint64_t depth, uint64_t ns, uint64_t key, const char *part)
{
	record_init(&w.r, probe, goid, depth, ns, J_END);
	if (key)
		record_int(&w.r, J_KEY, key);
	if (part)
		record_str(&w.r, J_PART, part);
	send();
}

static void detached(void **state)
{
	streams(P_STREAM, 1, 500, 10, 0, "a");
	streams(P_DETACH, 1, 700, 20, 77, NULL);
	streams(P_STREAM, 1, 500, 30, 0, "b"); /* at its depth: nothing is lost */
	streams(P_DETACH, 1, 700, 40, 78, NULL);
	streams(P_MESSAGE, 5, 100, 50, 77, "first");
	streams(P_MESSAGE, 1, 100, 50, 79, "nobody's");
	streams(P_STREAM_END, 6, 100, 60, 78, NULL);
	streams(P_STREAM_END, 7, 100, 70, 77, NULL);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text, "stream unset {part=b}");
	assert_string_equal(w.spans.data[1].text, "stream unset {part=first}");
	assert_int_equal(w.spans.data[1].span.duration_ns, 60);
	assert_int_equal(w.spans.data[1].span.goid, 1);
	streams(P_STREAM_END, 1, 100, 80, 77, NULL); /* once more */
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	assert_int_equal(still_open(), 0);
}

/* Its key may be known at once. */
static void detached_at_its_start(void **state)
{
	start(1, 400, 5);
	streams(P_STREAM, 1, 500, 10, 77, NULL);
	bare(P_CALL, 1, 500, 20);
	bare(P_RETURN, 1, 500, 30);
	end(1, 400, 40, 200);
	streams(P_STREAM_END, 2, 100, 50, 77, NULL);
	assert_int_equal(w.spans.len, 3);
	assert_memory_equal(w.spans.data[0].span.parent_id, w.spans.data[1].span.span_id, 8); /* not the stream */
	assert_memory_equal(w.spans.data[2].span.parent_id, w.spans.data[1].span.span_id, 8);
	assert_int_equal(still_open(), 0);
}

/* Without a key it is a span like others: here the call that was to make the stream failed. */
static void never_detached(void **state)
{
	streams(P_STREAM, 1, 500, 10, 0, NULL);
	streams(P_STREAM_END, 2, 500, 15, 77, NULL); /* of a stream from before */
	streams(P_STREAM_END, 1, 600, 15, 77, NULL); /* likewise, from within the call */
	assert_int_equal(lost(LOSS_UNPAIRED_END), 2);
	streams(P_STREAM_END, 1, 500, 20, 0, "failed");
	one("stream unset {part=failed}");
	streams(P_STREAM, 1, 500, 30, 0, NULL);
	panic_at(1, 1200);
	unwind(1, 480, 60, 0);
	assert_string_equal(w.spans.data[1].text, "stream error [panic] {error.type=panic}");
}

/* What a panic or Goexit does to its goroutine is no matter of a span that has left it. */
static void detached_survives_its_goroutine(void **state)
{
	streams(P_STREAM, 1, 500, 10, 77, NULL);
	panic_at(1, 1200);
	unwind(1, 480, 60, 0);
	bare(P_EXIT, 1, 1000, 30);
	assert_int_equal(still_open(), 1);
	streams(P_STREAM_END, 1, 100, 70, 77, NULL);
	one("stream unset {}");
	streams(P_STREAM, 1, 500, 80, 78, NULL);
	assembler_end_target(w.a, 1, true, 110);
	assert_string_equal(w.spans.data[1].text,
			    "stream error [process exited] {error.type=process exited}");
}

/* Spans whose ends never come must not cost those of others: they go first, counted. */
static void detached_and_leaked(void **state)
{
	again(1, false, 4);
	for (uint64_t i = 0; i < 10; i++) {
		streams(P_STREAM, 1, 500, 10 + 10 * i, 0, "leaked");
		streams(P_DETACH, 1, 700, 11 + 10 * i, 100 + i, NULL);
		start(2, 100, 12 + 10 * i);
		end(2, 100, 13 + 10 * i, 200);
	}
	assert_int_equal(w.spans.len, 10);
	assert_int_equal(still_open(), 3);
	assert_int_equal(lost(LOSS_OPEN_LIMIT), 7);
}

/* A key that another open span takes is proof that the end of the one that had it was lost. */
static void detached_end_lost(void **state)
{
	streams(P_STREAM, 1, 500, 10, 77, "old");
	streams(P_STREAM, 2, 500, 20, 0, "new");
	streams(P_DETACH, 2, 500, 30, 77, NULL);
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	streams(P_DETACH, 3, 100, 40, 77, "again"); /* it has its key: a note */
	streams(P_STREAM_END, 3, 100, 50, 77, NULL);
	one("stream unset {part=again}");
	assert_int_equal(still_open(), 0);
}

/* A span has room for two keys; a third one is counted. */
static void keys_too_many(void **state)
{
	enum { P_THREE = 900, NKEYS = 3 };
	static const struct pack_capture captures[NKEYS] = {{.name = "length"}, {.name = "length"}, {.name = "length"}};
	static const struct ir_slot slots[NKEYS] = {{.kind = VALUE_UINT}, {.kind = VALUE_UINT}, {.kind = VALUE_UINT}};
	static const struct pack_variant variant = {.captures = captures, .ncaptures = NKEYS};
	static struct capture_program program = PROGRAM(slots);

	add_probe(P_THREE, &stream, &start_point, &variant, &program, (struct func){0});
	record_init(&w.r, P_THREE, 1, 500, 10, NKEYS);
	for (unsigned k = 0; k < NKEYS; k++)
		record_int(&w.r, k, 77 + k);
	send();
	assert_int_equal(lost(LOSS_KEY), 1);
	streams(P_STREAM_END, 2, 100, 20, 79, NULL);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	streams(P_STREAM_END, 2, 100, 20, 78, NULL);
	assert_int_equal(w.spans.len, 1);
}

/* Keys are of one definition. */
static void keys_of_two_definitions(void **state)
{
	streams(P_STREAM, 1, 500, 10, 77, "stream");
	streams(P_OTHER, 1, 500, 20, 77, "other");
	assert_int_equal(still_open(), 2);
	streams(P_STREAM_END, 2, 500, 30, 77, NULL);
	one("stream unset {part=stream}");
	streams(P_OTHER_END, 2, 500, 40, 77, NULL);
	assert_string_equal(w.spans.data[1].text, "other unset {part=other}");
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	assert_int_equal(still_open(), 0);
}

/* A key that could not be read leads to no span, also not to the goroutine's. */
static void key_unreadable(void **state)
{
	streams(P_STREAM, 1, 500, 10, 0, NULL);
	record_init(&w.r, P_STREAM_END, 1, 500, 20, J_END);
	record_status(&w.r, J_KEY, SLOT_UNREADABLE, 0, 0);
	send();
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	assert_int_equal(still_open(), 1);
}

/* A return gives the key to the call that returns, and a nested call that is the same one gives nothing. */
static void detached_by_its_return(void **state)
{
	streams(P_CALLED, 1, 500, 10, 0, NULL);
	streams(P_CALLED, 1, 600, 20, 0, NULL);
	streams(P_CALLED_DETACH, 1, 600, 30, 77, "inner");
	streams(P_CALLED_DETACH, 1, 500, 40, 78, "outer");
	streams(P_STREAM_END, 1, 100, 50, 78, NULL);
	one("stream unset {part=outer}");
	assert_int_equal(still_open(), 0);
}

/* Its own goroutine gives it a key for those that work for it, and another one when it is detached. */
static void tied(void **state)
{
	streams(P_TIE, 1, 600, 5, 70, NULL); /* no span, no word */
	streams(P_STREAM, 1, 500, 10, 0, NULL);
	streams(P_STREAM_JOIN, 2, 100, 15, 71, "not yet");
	streams(P_TIE, 1, 600, 20, 70, "first");
	streams(P_TIE, 1, 600, 30, 71, "again");
	streams(P_STREAM_JOIN, 3, 100, 35, 70, "the old key");
	bare(P_CALL, 1, 600, 36);
	bare(P_RETURN, 1, 600, 37);
	assert_true(span_has_parent(&w.spans.data[0].span)); /* it is still the goroutine's */
	streams(P_STREAM_JOIN, 2, 100, 40, 71, "joined");
	streams(P_DETACH, 1, 500, 50, 77, NULL);
	streams(P_STREAM_JOIN, 4, 100, 55, 71, "too late");
	streams(P_STREAM_END, 5, 100, 60, 77, NULL);
	assert_string_equal(w.spans.data[1].text, "stream unset {part=joined}");
	assert_int_equal(still_open(), 0);
}

static void detached_or_ended(void **state)
{
	streams(P_CALLED, 1, 500, 10, 0, NULL);
	streams(P_CALLED_OR_END, 1, 500, 20, 0, "nothing left");
	one("stream unset {part=nothing left}");
	streams(P_CALLED, 1, 500, 30, 0, NULL);
	streams(P_CALLED_OR_END, 1, 500, 40, 77, "a body");
	assert_int_equal(still_open(), 1);
	streams(P_STREAM_END, 2, 100, 50, 77, NULL);
	assert_string_equal(w.spans.data[1].text, "stream unset {part=a body}");
	assert_int_equal(w.spans.data[1].span.duration_ns, 20);
	streams(P_CALLED_OR_END, 1, 500, 60, 0, "of nothing");
	assert_int_equal(w.spans.len, 2);
}

/* The call within is part of the span, and so its return is not the end, whichever function it is. */
static void return_of_a_nested_call(void **state)
{
	bare(P_OUTER, 1, 500, 10);
	bare(P_INNER, 1, 600, 20);
	bare(P_INNER_END, 1, 600, 30);
	assert_int_equal(w.spans.len, 0);
	bare(P_OUTER_END, 1, 500, 40);
	one("nest unset {}");
	assert_int_equal(w.spans.data[0].span.duration_ns, 30);
	bare(P_INNER, 1, 600, 50);
	bare(P_INNER_END, 1, 600, 60);
	assert_int_equal(w.spans.len, 2);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
}

static void detached_and_joined(void **state)
{
	streams(P_STREAM, 1, 500, 10, 77, NULL);
	join(1, 77, NULL); /* joins of another definition */
	route_from(1, "/unknown");
	streams(P_STREAM_END, 1, 100, 50, 77, NULL);
	one("stream unset {}");
}

/* The end may lie deep in what closes it: the goroutine that was seen there works for the span, and ends it. */
static void ended_by_who_joined(void **state)
{
	streams(P_STREAM, 1, 500, 10, 77, NULL);
	streams(P_STREAM_END, 2, 100, 20, 0, "nobody's");
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	streams(P_STREAM_JOIN, 2, 100, 30, 77, NULL);
	streams(P_STREAM_END, 2, 200, 40, 0, "result");
	one("stream unset {part=result}");
	streams(P_STREAM_END, 2, 200, 50, 0, "once more");
	assert_int_equal(lost(LOSS_UNPAIRED_END), 2);
}

/* What begins, is noted and ends within the whole is part of it; before and behind it it is not. */
static void part_of_another(void **state)
{
	bare(P_PART, 1, 400, 10);
	bare(P_OWN, 1, 500, 20);
	bare(P_PART, 1, 600, 30);
	streams(P_PART_NOTE, 1, 650, 35, 0, "within");
	bare(P_OWN_END, 1, 500, 50);
	streams(P_PART_NOTE, 1, 650, 55, 0, "behind");
	bare(P_PART_END, 1, 450, 60);
	assert_int_equal(w.spans.len, 2);
	assert_string_equal(w.spans.data[0].text, "own unset {}");
	assert_string_equal(w.spans.data[1].text, "part unset {part=behind}");
	bare(P_OWN, 1, 500, 70);
	bare(P_PART, 1, 600, 80);
	bare(P_PART_END, 1, 650, 90);
	bare(P_PART, 2, 600, 80); /* on another goroutine */
	bare(P_PART_END, 2, 650, 90);
	bare(P_OWN_END, 1, 500, 100);
	assert_int_equal(w.spans.len, 4);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
}

static void discard(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_UPGRADE, "h2c");
	send();
	bare(P_CLOSE, 1, 500, 20);
	assert_int_equal(w.spans.len, 0);
	assert_int_equal(still_open(), 0);
	start_init(1, 500, 30);
	record_str(&w.r, S_UPGRADE, "websocket");
	send();
	bare(P_CLOSE, 1, 500, 40);
	one("GET unset {method=GET path=/x}");
}

/* ---- damage ---- */

static void damaged_records(void **state)
{
	start_init(1, 500, 10);
	w.r.size -= 8;
	send();
	start_init(1, 500, 10);
	record_head(&w.r)->probe = 99;
	send();
	start_init(1, 500, 10);
	record_head(&w.r)->target = 99;
	send();
	record_init(&w.r, P_START, 1, 500, 10, 0); /* fewer slots than the program has: all absent */
	send();
	assert_int_equal(lost(LOSS_BAD_RECORD), 3);
	end(1, 500, 20, 200);
	one("request unset {status=#200}");
}

/* ---- speed: a figure, not a verdict ---- */

static void speed(void **state)
{
	enum { ROUNDS = 200000 };
	static struct record s, e;
	uint64_t from, ns;

	w.keep_nothing = true;
	start_init(1, 500, 10);
	record_int(&w.r, S_SECURE, 0);
	record_str(&w.r, S_HOST, "localhost:8080");
	s = w.r;
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_int(&w.r, E_STATUS, 200);
	record_int(&w.r, E_SIZE, 19);
	record_str(&w.r, E_ROUTE, "/x/{id}");
	e = w.r;
	from = clock_monotonic_ns();
	for (uint64_t i = 0; i < ROUNDS; i++) {
		record_head(&s)->goid = record_head(&e)->goid = 1 + i % 64;
		assembler_event(w.a, s.bytes, s.size);
		assembler_event(w.a, e.bytes, e.size);
	}
	ns = clock_monotonic_ns() - from;
	print_message("# %d spans: %.0f ns an event\n", ROUNDS, (double)ns / (2 * ROUNDS));
	lost(0);
	assert_int_equal(w.sum.spans, ROUNDS);
}

/* What is armed counts, by its outcome or by why there is none; no span has to do with it. */
static void requests_are_counted(void **state)
{
	static const struct {
		enum slot_status armed, status;
		uint64_t outcome;
		enum inject_outcome counted;
	} cases[] = {
		{SLOT_OK, SLOT_OK, INJECT_WRITTEN, INJECT_WRITTEN},
		{SLOT_OK, SLOT_OK, INJECT_NO_ROOM, INJECT_NO_ROOM},
		{SLOT_OK, SLOT_OK, UINT64_MAX, INJECT_UNREADABLE},
		{SLOT_OK, SLOT_ABSENT, 0, INJECT_NO_SPAN},
		{SLOT_OK, SLOT_MAP_BUSY, 0, INJECT_MAP_BUSY},
		{SLOT_OK, SLOT_NIL, 0, INJECT_UNREADABLE},
		{SLOT_ABSENT, SLOT_ABSENT, 0, INJECT_OUTCOMES},
		{SLOT_UNREADABLE, SLOT_OK, INJECT_WRITTEN, INJECT_OUTCOMES},
	};
	uint64_t want[INJECT_OUTCOMES] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		record_init(&w.r, P_INJECT, 1, 100, 10 + i, 2);
		record_status(&w.r, 0, cases[i].armed, 1, 0);
		record_status(&w.r, 1, cases[i].status, cases[i].outcome, 0);
		send();
		if (cases[i].counted < INJECT_OUTCOMES)
			want[cases[i].counted]++;
	}
	for (enum slot_status s = 0; s < SLOT_STATUS_COUNT; s++) {
		record_init(&w.r, P_ARM, 1, 100, 100, 2);
		record_status(&w.r, 1, s, 1, 0);
		send();
	}
	want[INJECT_PRESENT]++;
	want[INJECT_MAP_BUSY]++;
	want[INJECT_UNREADABLE]++;
	assert_int_equal(still_open(), 0);
	assert_memory_equal(w.sum.requests, want, sizeof(want));
	assert_false(losses_any(&w.sum.losses));
	assert_int_equal(w.spans.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(requests_are_counted),
		T(pairs), T(goroutines_apart), T(no_goroutine), T(recursion), T(return_without_start),
		T(return_lost), T(stale_start), T(two_spans_of_a_call), T(nested_is_the_same), T(unpaired_ends),
		T(open_limit),
		T(open_limit_of_one), T(starts_add_up), T(parents_across_definitions), T(inner_left_open),
		T(panic_recovered_outside), T(panic_recovered_inside), T(panic_recovered_unseen),
		T(end_within_panic), T(call_during_panic), T(panic_within_panic), T(many_panics),
		T(unwind_without_panic_record), T(recovers_in_own_frame), T(recovers_in_another_frame),
		T(not_one_that_recovers), T(other_goroutine_panics), T(goexit), T(process_exits),
		T(process_dies_of_a_panic), T(a_copy_ends), T(joined), T(joined_once), T(key_used_again),
		T(process_dies_of_a_panic), T(observation_ends), T(joined), T(joined_once), T(key_used_again),
		T(detached), T(detached_at_its_start), T(never_detached), T(detached_survives_its_goroutine),
		T(detached_and_leaked),
		T(detached_end_lost), T(keys_too_many),
		T(keys_of_two_definitions), T(key_unreadable), T(detached_by_its_return),
		T(detached_and_joined), T(ended_by_who_joined), T(part_of_another), T(tied),
		T(detached_or_ended), T(return_of_a_nested_call),
		T(discard), T(damaged_records), T(speed),
	};

	return cmocka_run_group_tests_name("assemble", tests, NULL, NULL);
}
