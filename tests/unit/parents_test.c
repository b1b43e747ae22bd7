/*
 * span/parents: each rule by which a parent in the same process is known, and each way in which it would be the wrong
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/histories.h"

/* ---- contexts ---- */

/* A worker that lives for ever, and takes each job's context with it. */
static void pool_worker(void **state)
{
	BEGINS(SERVED, "first", .goid = 1, .own = 0xc100, .goidgen = 50);
	CALLS(ASKED, "early", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc900, 0xc100, 0xc800});
	BEGINS(SERVED, "second", .goid = 2, .own = 0xc200);
	CALLS(ASKED, "of second", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc910, 0xc200, 0xc800});
	CALLS(ASKED, "of first", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc100, 0xc800});
	ENDS(SERVED, .goid = 1);
	CALLS(ASKED, "again of second", .goid = 60, .creator = 1, .chain = {0xc200, 0xc800});
	ENDS(SERVED, .goid = 2);
	is_of("early", "first", PARENT_CONTEXT);
	is_of("of second", "second", PARENT_CONTEXT);
	is_of("of first", "first", PARENT_CONTEXT);
	is_of("again of second", "second", PARENT_CONTEXT);
}

/* … or has kept the one that it was born with. */
static void dead_parent(void **state)
{
	BEGINS(SERVED, "first", .goid = 1, .own = 0xc100, .goidgen = 50);
	ENDS(SERVED, .goid = 1);
	BEGINS(SERVED, "second", .goid = 1, .own = 0xc200, .goidgen = 80);
	CALLS(ASKED, "late", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc900, 0xc100, 0xc800});
	CALLS(ASKED, "without", .goid = 60, .creator = 1, .pc = MINE + BIAS, .no_chain = true);
	CALLS(ASKED, "own", .goid = 61, .chain = {0xc901}); /* whose context that is nobody has said */
	ENDS(SERVED, .goid = 1);
	is_root("late", PARENT_UNKNOWN);
	is_root("without", PARENT_NONE);
	is_root("own", PARENT_NONE);
}

/* The connection's context is in the chain of each of its requests; only their own ones are told. */
static void shared_by_a_connection(void **state)
{
	BEGINS(SERVED, "one", .goid = 1, .own = 0xc100);
	BEGINS(SERVED, "two", .goid = 2, .own = 0xc200);
	CALLS(ASKED, "of the connection", .goid = 3, .chain = {0xc800, 0xc801});
	CALLS(ASKED, "of two", .goid = 3, .chain = {0xc200, 0xc800, 0xc801});
	ENDS(SERVED, .goid = 1);
	ENDS(SERVED, .goid = 2);
	is_root("of the connection", PARENT_NONE);
	is_of("of two", "two", PARENT_CONTEXT);
}

/* After a request its context is garbage, and another's lies there. */
static void address_used_again(void **state)
{
	BEGINS(SERVED, "old", .goid = 1, .own = 0xc100);
	ENDS(SERVED, .goid = 1);
	CALLS(ASKED, "job", .goid = 5, .chain = {0xc100});
	BEGINS(SERVED, "new", .goid = 2, .own = 0xc100);
	CALLS(ASKED, "of new", .goid = 3, .chain = {0xc100});
	ENDS(SERVED, .goid = 2);
	is_root("job", PARENT_UNKNOWN);
	is_of("of new", "new", PARENT_CONTEXT);
}

/* The older one's end was lost; it is the newer one's context, and the older one's end changes nothing. */
static void address_of_two(void **state)
{
	BEGINS(SERVED, "old", .goid = 1, .own = 0xc100);
	BEGINS(SERVED, "new", .goid = 2, .own = 0xc100);
	ENDS(SERVED, .goid = 1);
	CALLS(ASKED, "of new", .goid = 3, .chain = {0xc100});
	ENDS(SERVED, .goid = 2);
	is_of("of new", "new", PARENT_CONTEXT);
}

/* The nearest that is open: a span in between has ended, or has a context of its own. */
static void nearest(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	BEGINS(DONE, "step", .goid = 1, .chain = {0xc100}, .own = 0xc110);
	CALLS(ASKED, "in step", .goid = 2, .chain = {0xc120, 0xc110, 0xc100});
	ENDS(DONE, .goid = 1);
	CALLS(ASKED, "after step", .goid = 2, .chain = {0xc120, 0xc110, 0xc100});
	ENDS(SERVED, .goid = 1);
	is_of("step", "request", PARENT_CONTEXT);
	is_of("in step", "step", PARENT_CONTEXT);
	is_of("after step", "request", PARENT_CONTEXT);
}

/* Who hands on what it was given does not own it: others have it as well. */
static void handed_on(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	BEGINS(DONE, "step", .goid = 1, .chain = {0xc100}, .own = 0xc100);
	CALLS(ASKED, "beside", .goid = 2, .chain = {0xc100});
	CALLS(ASKED, "inside", .goid = 1, .chain = {0xc100});
	ENDS(DONE, .goid = 1);
	CALLS(ASKED, "after", .goid = 1, .chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	is_of("beside", "request", PARENT_CONTEXT);
	is_of("inside", "step", PARENT_CONTEXT);
	is_of("after", "request", PARENT_CONTEXT);
}

/* On a goroutine that works for two, the context says for which. */
static void context_or_goroutine(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	BEGINS(DONE, "loop", .goid = 9);
	CALLS(ASKED, "for the request", .goid = 9, .chain = {0xc100});
	CALLS(ASKED, "for nobody", .goid = 9, .no_chain = true);
	CALLS(ASKED, "for somebody", .goid = 9, .chain = {0xc777});
	BEGINS(DONE, "part", .goid = 9, .chain = {0xc100});
	CALLS(ASKED, "in the part", .goid = 9, .chain = {0xc100});
	ENDS(DONE, .goid = 9);
	ENDS(DONE, .goid = 9);
	ENDS(SERVED, .goid = 1);
	is_of("for the request", "request", PARENT_CONTEXT);
	is_of("for nobody", "loop", PARENT_GOROUTINE);
	is_of("for somebody", "loop", PARENT_GOROUTINE);
	is_of("in the part", "part", PARENT_CONTEXT);
}

/* The span in between has ended; what is inside of it is still inside of the request. */
static void innermost_of_an_ended_one(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100, .goidgen = 10);
	BEGINS(DONE, "step", .goid = 1, .chain = {0xc100}, .goidgen = 20);
	BEGINS(DONE, "rest", .goid = 25, .creator = 1, .pc = MINE + BIAS);
	ENDS(DONE, .goid = 1);
	CALLS(ASKED, "in the rest", .goid = 25, .chain = {0xc100});
	ENDS(DONE, .goid = 25);
	ENDS(SERVED, .goid = 1);
	is_of("rest", "step", PARENT_LINEAGE);
	is_of("in the rest", "rest", PARENT_CONTEXT);
}

/* An object that is used for one request after the other, kept by a goroutine after its request. */
static void pooled(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100, .goidgen = 50);
	CALLS(ASKED, "own goroutine", .goid = 1, .chain = {0xc901 | CHAIN_POOLED, 0xc100});
	CALLS(ASKED, "created", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc900 | CHAIN_POOLED, 0xc100});
	CALLS(ASKED, "older", .goid = 40, .creator = 1, .pc = MINE + BIAS, .chain = {0xc900 | CHAIN_POOLED, 0xc100});
	BEGINS(SERVED, "other", .goid = 2, .own = 0xc200, .goidgen = 70);
	CALLS(ASKED, "of which", .goid = 80, .creator = 2, .pc = MINE + BIAS, .chain = {0xc900 | CHAIN_POOLED, 0xc100});
	ENDS(SERVED, .goid = 2);
	ENDS(SERVED, .goid = 1);
	is_of("own goroutine", "request", PARENT_CONTEXT);
	is_of("created", "request", PARENT_CONTEXT);
	is_root("older", PARENT_UNKNOWN);
	is_root("of which", PARENT_UNKNOWN);
}

/* What could not be followed to its end may have led to somebody. */
static void chains_without_an_end(void **state)
{
	static const struct {
		enum event_chain_end end;
		enum slot_status status;
		enum parent_source want;
		unsigned counted;
	} cases[] = {
		{CHAIN_ROOT, 0, PARENT_NONE, 0},	{CHAIN_UNKNOWN_TYPE, 0, PARENT_UNKNOWN, 0},
		{CHAIN_TOO_LONG, 0, PARENT_UNKNOWN, 1}, {CHAIN_UNREADABLE, 0, PARENT_UNKNOWN, 1},
		{0, SLOT_NIL, PARENT_NONE, 0},	        {0, SLOT_UNREADABLE, PARENT_UNKNOWN, 1},
		{0, SLOT_CUT, PARENT_UNKNOWN, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		anew(state);
		BEGINS(SERVED, "request", .goid = 1, .own = 0xc100, .goidgen = 50);
		BEGINS(ASKED, "call", .goid = 2, .no_chain = !cases[i].status, .end = cases[i].end,
		       .chain_status = cases[i].status);
		ENDS(ASKED, .goid = 2);
		CALLS(DONE, "found before", .goid = 2, .chain = {0xc900, 0xc100}, .end = cases[i].end);
		/* Lineage would say so, but a context of its own says that there is more to it. */
		CALLS(DONE, "created", .goid = 60, .creator = 1, .pc = MINE + BIAS, .chain = {0xc901},
		      .end = cases[i].end);
		ENDS(SERVED, .goid = 1);
		is_root("call", cases[i].want);
		is_of("found before", "request", PARENT_CONTEXT);
		if (cases[i].end == CHAIN_ROOT)
			is_of("created", "request", PARENT_LINEAGE);
		else
			is_root("created", PARENT_UNKNOWN);
		assert_int_equal(lost(LOSS_CONTEXT_CHAIN), cases[i].counted * (cases[i].status ? 1 : 2));
	}
}

/* No link below 8, an end, whole words: otherwise it is no chain. */
static void damaged_chain(void **state)
{
	static const uint64_t words[][2] = {{7, 0}, {0xc100, 0xc100}, {0xc100, CHAIN_END_COUNT}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		anew(state);
		BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
		record_init(&w.r, OF_START + ASKED, 2, 500, ++now_ns, F_END);
		record_str(&w.r, F_LABEL, "call");
		record_bytes(&w.r, F_CHAIN, (const char *)words[i], 16, 16);
		send();
		ENDS(ASKED, .goid = 2);
		ENDS(SERVED, .goid = 1);
		is_root("call", PARENT_UNKNOWN);
	}
}

/* Of several captures of it one has a chain. */
static void chain_alternatives(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	CALLS(ASKED, "call", .goid = 2, .other_chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	is_of("call", "request", PARENT_CONTEXT);
}

/* More addresses than are remembered: those of open spans stay. */
static void many_contexts(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	for (uint64_t i = 0; i < 10000; i++) {
		BEGINS(SERVED, "other", .goid = 2, .own = 0x100000 + 16 * i);
		ENDS(SERVED, .goid = 2);
	}
	CALLS(ASKED, "call", .goid = 3, .chain = {0xc100});
	CALLS(ASKED, "late", .goid = 3, .chain = {0x100000 + 16 * 9999});
	ENDS(SERVED, .goid = 1);
	is_of("call", "request", PARENT_CONTEXT);
	is_root("late", PARENT_UNKNOWN);
}

/* ---- lineage ---- */

static void fan_out(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 64, .cache = 20, .cache_end = 32);
	CALLS(ASKED, "new batch", .goid = 65, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "own batch", .goid = 20, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "last of it", .goid = 31, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "before", .goid = 19, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "another P's", .goid = 32, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "of another", .goid = 66, .creator = 3, .pc = MINE + BIAS);
	CALLS(ASKED, "of nobody", .goid = 67, .pc = MINE + BIAS); /* a timer's */
	CALLS(ASKED, "began unknown", .goid = 68, .creator = 1);
	BEGINS(DONE, "nested", .goid = 1, .goidgen = 80, .cache = 25, .cache_end = 32);
	CALLS(ASKED, "in nested", .goid = 85, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "around nested", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	ENDS(DONE, .goid = 1);
	CALLS(ASKED, "nested has ended", .goid = 85, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	CALLS(ASKED, "too late", .goid = 65, .creator = 1, .pc = MINE + BIAS);
	is_of("new batch", "request", PARENT_LINEAGE);
	is_of("own batch", "request", PARENT_LINEAGE);
	is_of("last of it", "request", PARENT_LINEAGE);
	is_root("before", PARENT_UNKNOWN);
	is_root("another P's", PARENT_UNKNOWN);
	is_root("of another", PARENT_UNKNOWN);
	is_root("of nobody", PARENT_UNKNOWN);
	is_root("began unknown", PARENT_UNKNOWN);
	is_of("in nested", "nested", PARENT_LINEAGE);
	is_of("around nested", "request", PARENT_LINEAGE);
	is_of("nested has ended", "request", PARENT_LINEAGE);
	is_root("too late", PARENT_UNKNOWN);
}

/* What is noted on a goroutine that the span's own one created, where the point says that this counts. */
static void noted_from_afar(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 64);
	NOTED_FAR(SERVED, "before", .goid = 64, .creator = 1, .pc = MINE + BIAS);
	NOTED_FAR(SERVED, "of another", .goid = 65, .creator = 3, .pc = MINE + BIAS);
	NOTED_FAR(SERVED, "the runtime's", .goid = 65, .creator = 1, .pc = RUNTIMES + BIAS);
	NOTED_FAR(SERVED, "began unknown", .goid = 65, .creator = 1);
	NOTED_FAR(DONE, "another definition's", .goid = 65, .creator = 1, .pc = MINE + BIAS);
	tell(OF_NOTE + SERVED, "a plain note", &(struct facts){.goid = 65, .creator = 1, .pc = MINE + BIAS});
	ENDS(SERVED, .goid = 1);
	labelled("request");
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 64);
	BEGINS(DONE, "part", .goid = 1, .goidgen = 66);
	NOTED_FAR(SERVED, "route", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	ENDS(DONE, .goid = 1);
	ENDS(SERVED, .goid = 1);
	labelled("part");
	labelled("route");
	BEGINS(SERVED, "outer", .goid = 1, .goidgen = 64);
	BEGINS(SERVED, "own", .goid = 70, .goidgen = 80);
	NOTED_FAR(SERVED, "own route", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 70);
	assembler_lost(w.a, now_ns + 1);
	NOTED_FAR(SERVED, "after a loss", .goid = 71, .creator = 1, .pc = MINE + BIAS, .at_ns = now_ns + 2);
	ENDS(SERVED, .goid = 1);
	labelled("own route");
	labelled("outer");
}

/* The connection's goroutine has another request open by now: the epoch tells. */
static void worker_of_an_earlier_request(void **state)
{
	BEGINS(SERVED, "first", .goid = 1, .goidgen = 64);
	CALLS(ASKED, "birth", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	BEGINS(SERVED, "second", .goid = 1, .goidgen = 96, .cache = 82, .cache_end = 96);
	CALLS(ASKED, "job", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	is_of("birth", "first", PARENT_LINEAGE);
	is_root("job", PARENT_UNKNOWN);
}

/* What another P hands out is known by a record from there, if it is younger than the span. */
static void batches_of_others(void **state)
{
	CALLS(SERVED, "older", .goid = 2, .goidgen = 32, .cache = 17, .cache_end = 33);
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 48, .cache = 40, .cache_end = 49);
	CALLS(ASKED, "not yet", .goid = 25, .creator = 1, .pc = MINE + BIAS);
	CALLS(SERVED, "younger", .goid = 3, .goidgen = 48, .cache = 24, .cache_end = 33);
	CALLS(ASKED, "created", .goid = 25, .creator = 1, .pc = MINE + BIAS);
	CALLS(ASKED, "before that", .goid = 23, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	is_root("not yet", PARENT_UNKNOWN);
	is_of("created", "request", PARENT_LINEAGE);
	is_root("before that", PARENT_UNKNOWN);
}

/* Two words that were read in the middle of a change prove nothing. */
static void torn_batch(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 64, .cache = 20, .cache_end = 48);
	CALLS(ASKED, "wide", .goid = 30, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	BEGINS(SERVED, "other", .goid = 1, .goidgen = 64, .cache = 48, .cache_end = 32);
	CALLS(ASKED, "backwards", .goid = 40, .creator = 1, .pc = MINE + BIAS);
	ENDS(SERVED, .goid = 1);
	is_root("wide", PARENT_UNKNOWN);
	is_root("backwards", PARENT_UNKNOWN);
}

/* A request may be the one that starts the collector's workers: they are nobody's children. */
static void of_the_runtime(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .goidgen = 64);
	CALLS(DONE, "mine", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	CALLS(DONE, "collector", .goid = 71, .creator = 1, .pc = RUNTIMES + BIAS);
	CALLS(DONE, "signals", .goid = 72, .creator = 1, .pc = SIGNALS + BIAS);
	CALLS(DONE, "nowhere", .goid = 73, .creator = 1, .pc = 0x77 + BIAS);
	ENDS(SERVED, .goid = 1);
	is_of("mine", "request", PARENT_LINEAGE);
	is_root("collector", PARENT_UNKNOWN);
	is_root("signals", PARENT_UNKNOWN);
	is_root("nowhere", PARENT_UNKNOWN);
}

/* Who started to listen is not who asks, nor who sends. */
static void listeners(void **state)
{
	BEGINS(DONE, "main", .goid = 1, .goidgen = 64);
	CALLS(SERVED, "request", .goid = 70, .creator = 1, .pc = MINE + BIAS);
	CALLS(CONSUMED, "message", .goid = 71, .creator = 1, .pc = MINE + BIAS);
	ENDS(DONE, .goid = 1);
	is_root("request", PARENT_NONE); /* they have a header that would say so */
	is_root("message", PARENT_NONE);
}

/* ---- losses ---- */

/* The end of what is open may be among what was lost, and its context another's. */
static void records_lost(void **state)
{
	BEGINS(SERVED, "old", .goid = 1, .own = 0xc100, .goidgen = 50, .at_ns = 2000);
	BEGINS(ASKED, "old call", .goid = 2, CLIENT_SIDE, .at_ns = 2001);
	assembler_lost(w.a, 3000);
	CALLS(ASKED, "by context", .goid = 3, .at_ns = 4000, .chain = {0xc100});
	CALLS(ASKED, "by goroutine", .goid = 1, .no_chain = true);
	CALLS(ASKED, "by lineage", .goid = 60, .creator = 1, .pc = MINE + BIAS, .no_chain = true);
	CALLS(SERVED, "by connection", .target = 2, .goid = 1, SERVER_SIDE);
	BEGINS(SERVED, "new", .goid = 7, .own = 0xc200);
	CALLS(ASKED, "of new", .goid = 3, .chain = {0xc200});
	ENDS(SERVED, .goid = 7);
	ENDS(ASKED, .goid = 2);
	ENDS(SERVED, .goid = 1);
	is_root("by context", PARENT_UNKNOWN);
	is_root("by goroutine", PARENT_UNKNOWN);
	is_root("by lineage", PARENT_UNKNOWN);
	is_root("by connection", PARENT_UNKNOWN);
	is_of("of new", "new", PARENT_CONTEXT);
}

/* What was written before the loss and comes after it is as doubtful. */
static void lost_in_between(void **state)
{
	assembler_lost(w.a, 3000);
	BEGINS(SERVED, "before", .goid = 1, .own = 0xc100, .at_ns = 2500);
	CALLS(ASKED, "child", .goid = 3, .at_ns = 3500, .chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	is_root("child", PARENT_UNKNOWN);
}

/* A record that cannot be read is one that is lost. */
static void record_damaged(void **state)
{
	BEGINS(SERVED, "old", .goid = 1, .own = 0xc100);
	assembler_event(w.a, "nonsense", 8);
	CALLS(ASKED, "child", .goid = 3, .chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	is_root("child", PARENT_UNKNOWN);
}

/* While probes are put in, one that begins may be seen whose end is not. Elsewhere nothing has happened. */
static void planted_later(void **state)
{
	BEGINS(SERVED, "seen in part", .goid = 1, .own = 0xc100, .at_ns = 2000);
	BEGINS(SERVED, "elsewhere", .target = 2, .goid = 1, .own = 0xc100, .at_ns = 2001);
	assembler_planted(w.a, 1, 3000, false);
	CALLS(ASKED, "child", .goid = 3, .at_ns = 3500, .chain = {0xc100});
	CALLS(ASKED, "other child", .target = 2, .goid = 3, .chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	ENDS(SERVED, .target = 2, .goid = 1);
	is_root("child", PARENT_UNKNOWN);
	is_of("other child", "elsewhere", PARENT_CONTEXT);
}

/* What began when some probes were at work and others not in yet may lack what these would have said. */
static void planted_in_steps(void **state)
{
	BEGINS(SERVED, "seen in part", .goid = 1, .own = 0xc100, .at_ns = 2000);
	BEGINS(SERVED, "elsewhere", .target = 2, .goid = 1, .at_ns = 2001);
	assembler_planted(w.a, 1, 3000, true);
	BEGINS(SERVED, "read late", .goid = 2, .own = 0xc200, .at_ns = 2900);
	BEGINS(SERVED, "whole", .goid = 4, .own = 0xc400, .at_ns = 3001);
	CALLS(ASKED, "child", .goid = 3, .at_ns = 3500, .chain = {0xc100});
	CALLS(ASKED, "other child", .goid = 3, .at_ns = 3500, .chain = {0xc400});
	for (uint64_t goid = 1; goid <= 4; goid *= 2)
		ENDS(SERVED, .goid = goid);
	ENDS(SERVED, .target = 2, .goid = 1);
	is_root("child", PARENT_UNKNOWN);
	is_of("other child", "whole", PARENT_CONTEXT);
	assert_int_equal(w.spans.len, 4); /* … and the one elsewhere */
	labelled("elsewhere");
}

/* ---- the program's own SDK ---- */

static void is_of_sdk(const char *label, uint8_t id, enum span_parent where, enum parent_source source)
{
	const struct span *s = &labelled(label)->span;
	uint8_t trace[16], span[8];

	sdk_ids(id, trace, span);
	assert_string_equal(parent_source_text(s->parent_source), parent_source_text(source));
	assert_int_equal(s->parent, where);
	assert_memory_equal(s->parent_id, span, 8);
	assert_memory_equal(s->trace_id, trace, 16);
}

/* The nearest of the context is the parent, ours or the SDK's; within the SDK's what is open on the goroutine. */
static void sdk_or_ours(void **state)
{
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	CALLS(ASKED, "sdk nearer", .goid = 1, .chain = {0xc300, 0xc200, 0xc100}, .sdk = {.id = 7, .link = 2});
	CALLS(ASKED, "ours nearer", .goid = 1, .chain = {0xc100, 0xc080}, .sdk = {.id = 8, .link = 2});
	BEGINS(DONE, "step", .goid = 1, .chain = {0xc200, 0xc100}, .sdk = {.id = 7});
	CALLS(ASKED, "in step", .goid = 1, .chain = {0xc200, 0xc100}, .sdk = {.id = 7});
	CALLS(ASKED, "beside step", .goid = 2, .chain = {0xc200, 0xc100}, .sdk = {.id = 7});
	CALLS(ASKED, "left out", .goid = 2, .chain = {0xc200, 0xc100}, .sdk = {.id = 9, .unsampled = true});
	CALLS(ASKED, "pooled", .goid = 2, .chain = {0xc200 | CHAIN_POOLED}, .sdk = {.id = 7});
	ENDS(DONE, .goid = 1);
	ENDS(SERVED, .goid = 1);
	is_of_sdk("sdk nearer", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_of("ours nearer", "request", PARENT_CONTEXT);
	is_of_sdk("step", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_of("in step", "step", PARENT_CONTEXT);
	is_of_sdk("beside step", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_root("pooled", PARENT_UNKNOWN);
	assert_int_equal(lost(LOSS_SAMPLED_OUT), 1);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 0);
}

/* A header's context is the parent of what it came for, unless what is open is of that trace, and nearer. */
static void sdk_of_a_header(void **state)
{
	static const char header[] = "00-fafafafafafafafafafafafafafafafa-0707070707070707-01";

	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100, .header = header);
	CALLS(ASKED, "for it", .goid = 1, .chain = {0xc200, 0xc100}, .sdk = {.id = 7, .remote = true});
	CALLS(ASKED, "for it, here", .goid = 1, .chain = {0xc200}, .sdk = {.id = 7, .remote = true});
	ENDS(SERVED, .goid = 1);
	BEGINS(SERVED, "other", .goid = 1, .own = 0xc100);
	CALLS(ASKED, "for a message", .goid = 1, .chain = {0xc200, 0xc100}, .sdk = {.id = 7, .remote = true});
	ENDS(SERVED, .goid = 1);
	is_of("for it", "request", PARENT_CONTEXT);
	is_of("for it, here", "request", PARENT_GOROUTINE);
	is_of_sdk("for a message", 7, SPAN_PARENT_REMOTE, PARENT_HEADER);
}

/* The SDK's span is around ours, and stands for the same: the same kind, made by a library that records that. */
static void sdk_outside(void **state)
{
	const struct sdk_span mine = {.id = 7, .kind = SPAN_CLIENT, .scoped = true};
	const struct sdk_span server = {.id = 7, .kind = SPAN_SERVER, .scoped = true};
	const struct sdk_span others = {.id = 7, .kind = SPAN_CLIENT};

	BEGINS(ASKED, "twice", .goid = 1, .chain = {0xc200}, .sdk = mine);
	CALLS(DONE, "inner", .goid = 1);
	ENDS(ASKED, .goid = 1);
	assert_int_equal(w.spans.len, 1);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 1);
	is_of_sdk("inner", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	CALLS(ASKED, "in a handler", .goid = 1, .chain = {0xc200}, .sdk = server);
	CALLS(ASKED, "in another library", .goid = 1, .chain = {0xc200}, .sdk = others);
	CALLS(DONE, "not the same", .goid = 1, .chain = {0xc200}, .sdk = mine);
	is_of_sdk("in a handler", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_of_sdk("in another library", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_of_sdk("not the same", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 1);
}

/* … or inside of it, on its goroutine or under its context. What is below it goes with it into the SDK's trace. */
static void sdk_inside(void **state)
{
	const struct sdk_span mine = {.id = 7, .kind = SPAN_SERVER, .scoped = true};
	const struct sdk_span client = {.id = 8, .kind = SPAN_CLIENT, .scoped = true};

	BEGINS(SERVED, "twice", .goid = 1, .own = 0xc100);
	BEGINS(DONE, "before", .goid = 1);
	SDK_BEGAN(.goid = 1, .chain = {0xc200, 0xc100}, .sdk = mine);
	SDK_BEGAN(.goid = 1, .chain = {0xc210, 0xc200, 0xc100}, .sdk = client);
	CALLS(DONE, "under it", .goid = 1);
	CALLS(ASKED, "over there", .goid = 5, .chain = {0xc100});
	ENDS(DONE, .goid = 1);
	ENDS(SERVED, .goid = 1);
	is_of_sdk("before", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	is_of("under it", "before", PARENT_GOROUTINE);
	is_of_sdk("over there", 7, SPAN_PARENT_LOCAL, PARENT_SDK);
	BEGINS(SERVED, "by its context", .goid = 1, .own = 0xc100);
	SDK_BEGAN(.goid = 2, .chain = {0xc200, 0xc100}, .sdk = mine);
	ENDS(SERVED, .goid = 1);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 2);
	BEGINS(SERVED, "once", .goid = 1, .own = 0xc100);
	SDK_BEGAN(.goid = 1, .chain = {0xc200, 0xc100}, .sdk = client);
	SDK_BEGAN(.goid = 2, .chain = {0xc200, 0xc170}, .sdk = mine);
	SDK_BEGAN(.goid = 1, .no_chain = true);
	ENDS(SERVED, .goid = 1);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 2);
	is_root("once", PARENT_NONE);
}

/* --ignore-sdk: everything is ours, in the trace that the SDK writes into requests. */
static void sdk_ignored(void **state)
{
	const struct sdk_span mine = {.id = 7, .kind = SPAN_SERVER, .scoped = true};
	uint8_t trace[16], span[8];

	assembler_free(w.a);
	w.ignore_sdk = true;
	begin(1, false, 0);
	add_facts_probes();
	add_targets();
	BEGINS(SERVED, "request", .goid = 1, .own = 0xc100);
	SDK_BEGAN(.goid = 1, .chain = {0xc200, 0xc100}, .sdk = mine);
	CALLS(ASKED, "call", .goid = 1, .chain = {0xc200, 0xc100}, .sdk = mine);
	ENDS(SERVED, .goid = 1);
	sdk_ids(7, trace, span);
	is_of("call", "request", PARENT_CONTEXT);
	assert_memory_equal(labelled("request")->span.trace_id, trace, 16);
	assert_memory_not_equal(labelled("request")->span.span_id, span, 8);
	assert_int_equal(lost(LOSS_RECORDED_BY_SDK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		F(pool_worker), F(dead_parent), F(shared_by_a_connection), F(address_used_again),
		F(address_of_two), F(nearest), F(handed_on), F(context_or_goroutine),
		F(innermost_of_an_ended_one), F(pooled), F(chains_without_an_end), F(damaged_chain),
		F(chain_alternatives), F(many_contexts), F(fan_out), F(noted_from_afar),
		F(worker_of_an_earlier_request), F(batches_of_others), F(torn_batch), F(of_the_runtime),
		F(listeners), F(records_lost), F(lost_in_between), F(record_damaged), F(planted_later),
		F(planted_in_steps),
		F(sdk_or_ours), F(sdk_of_a_header), F(sdk_outside), F(sdk_inside), F(sdk_ignored),
	};

	return cmocka_run_group_tests_name("parents", tests, NULL, NULL);
}
