/* span/assemble: ids, parents, lineage, what is sampled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "span/trace_context.h"
#include "unit/assembling.h"

/* ---- trace context and sampling ---- */

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

static void start_traced(const char *traceparent)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_PARENT, traceparent);
	send();
}

static void incoming_trace(void **state)
{
	static const uint8_t parent[] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
	const struct span *s;

	start_traced(TRACEPARENT "01");
	bare(P_CALL, 1, 900, 20);
	bare(P_RETURN, 1, 900, 30);
	end(1, 500, 40, 200);
	s = &w.spans.data[1].span;
	assert_int_equal(s->parent, SPAN_PARENT_REMOTE);
	assert_null(s->trace_state);
	assert_memory_equal(s->parent_id, parent, 8);
	assert_int_equal(s->trace_id[0], 0x0a);
	assert_memory_equal(w.spans.data[0].span.trace_id, s->trace_id, 16);
	assert_memory_equal(w.spans.data[0].span.parent_id, s->span_id, 8);
	assert_string_equal(w.spans.data[1].text, "GET unset {method=GET path=/x status=#200}");
}

/* It goes with its trace, to the spans inside as well, and not without one. */
static void incoming_state(void **state)
{
	static const struct {
		const char *parent, *state, *want;
	} cases[] = {
		{TRACEPARENT "01", "vendor=1 ,\tother@v=a b", "vendor=1,other@v=a b"},
		{TRACEPARENT "01", "vendor=1,,", "vendor=1"},
		{TRACEPARENT "01", "Vendor=1", NULL},
		{TRACEPARENT "01", "", NULL},
		{TRACEPARENT, "vendor=1", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start_init(1, 500, 10);
		record_str(&w.r, S_PARENT, cases[i].parent);
		record_str(&w.r, S_STATE, cases[i].state);
		send();
		bare(P_CALL, 1, 900, 20);
		bare(P_RETURN, 1, 900, 30);
		end(1, 500, 40, 200);
		start(1, 500, 50); /* what is used again starts empty */
		end(1, 500, 60, 200);
		assert_int_equal(w.spans.len, 3);
		for (size_t k = 0; k < 2 && cases[i].want; k++)
			assert_string_equal(w.spans.data[k].trace_state, cases[i].want);
		for (size_t k = cases[i].want ? 2 : 0; k < 3; k++)
			assert_null(w.spans.data[k].trace_state);
	}
}

/* Of a header that no record has room for the members that are there to their end. */
static void incoming_state_cut(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_PARENT, TRACEPARENT "01");
	record_bytes(&w.r, S_STATE, "vendor=1,other=22", 17, 5000);
	send();
	end(1, 500, 40, 200);
	assert_string_equal(w.spans.data[0].trace_state, "vendor=1");
}

/* A header that could not be read may have named a parent: that is not the same as none. */
static void parent_not_read(void **state)
{
	static const struct {
		uint8_t status;
		enum span_parent want;
	} cases[] = {{SLOT_NO_KEY, SPAN_PARENT_NONE},	     {SLOT_NIL, SPAN_PARENT_NONE},
		     {SLOT_UNREADABLE, SPAN_PARENT_UNKNOWN}, {SLOT_MAP_BUSY, SPAN_PARENT_UNKNOWN},
		     {SLOT_NOT_RESIDENT, SPAN_PARENT_UNKNOWN}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start_init(1, 500, 10);
		record_status(&w.r, S_PARENT, cases[i].status, 0, 0);
		send();
		end(1, 500, 40, 200);
		assert_int_equal(w.spans.data[0].span.parent, cases[i].want);
	}
}

static void invalid_incoming_trace(void **state)
{
	start_traced("00-nonsense");
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.data[0].span.parent, SPAN_PARENT_NONE);
}

/* ---- ids and parents that a probe found ---- */

static void made_init(uint32_t probe, uint64_t goid, uint64_t depth, uint64_t ns)
{
	record_init(&w.r, probe, goid, depth, ns, M_END);
}

static bool all_are(const uint8_t *id, size_t n, uint8_t byte)
{
	while (n && id[n - 1] == byte)
		n--;
	return n == 0;
}

static void own_ids(void **state)
{
	const struct span *inner, *s;

	made_init(P_MADE, 1, 500, 10);
	record_context(&w.r, M_OWN, 0xaa, 0xbb, EVENT_CONTEXT_SAMPLED);
	send();
	bare(P_CALL, 1, 900, 20);
	bare(P_RETURN, 1, 900, 30);
	end(1, 500, 40, 200);
	inner = &w.spans.data[0].span;
	s = &w.spans.data[1].span;
	assert_true(all_are(s->trace_id, 16, 0xaa) && all_are(s->span_id, 8, 0xbb));
	assert_int_equal(s->parent, SPAN_PARENT_NONE);
	assert_int_equal(inner->parent, SPAN_PARENT_LOCAL);
	assert_true(all_are(inner->trace_id, 16, 0xaa) && all_are(inner->parent_id, 8, 0xbb));
	assert_false(all_are(inner->span_id, 8, 0xbb));
}

/* What was sent on with the ids is the decision; here only ids that are made here are sampled. */
static void own_ids_are_sampled_already(void **state)
{
	for (unsigned sampled = 0; sampled < 2; sampled++) {
		again(!sampled, false, 0);
		made_init(P_MADE, 1, 500, 10);
		record_context(&w.r, M_OWN, 0xaa, 0xbb, sampled ? EVENT_CONTEXT_SAMPLED : 0);
		send();
		bare(P_CALL, 1, 900, 20);
		bare(P_RETURN, 1, 900, 30);
		end(1, 500, 40, 200);
		assert_int_equal(w.spans.len, sampled ? 2 : 0);
		assert_int_equal(lost(LOSS_SAMPLED_OUT), sampled ? 0 : 2);
	}
}

/* Ids that are none: the span gets ids here. */
static void own_ids_damaged(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		again(1, false, 0);
		made_init(P_MADE, 1, 500, 10);
		if (i < 2)
			record_context(&w.r, M_OWN, i ? 0xaa : 0, i ? 0 : 0xbb, 0);
		else if (i == 2)
			record_str(&w.r, M_OWN, "not a context");
		else
			record_int(&w.r, M_OWN, 48);
		send();
		end(1, 500, 40, 200);
		assert_int_equal(w.spans.len, 1);
		assert_false(all_are(w.spans.data[0].span.trace_id, 16, 0xaa));
		assert_false(all_are(w.spans.data[0].span.trace_id, 16, 0));
		assert_false(all_are(w.spans.data[0].span.span_id, 8, 0xbb));
	}
}

static void given_parents(void **state)
{
	static const uint32_t flags[] = {EVENT_CONTEXT_SAMPLED, EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_REMOTE};

	for (unsigned i = 0; i < 2; i++) {
		const struct span *s;

		again(1, false, 0);
		made_init(P_MADE, 1, 500, 10);
		record_context(&w.r, M_PARENT, 0xaa, 0xcc, flags[i]);
		record_str(&w.r, M_HEADER, TRACEPARENT "01"); /* the probe knows better */
		send();
		end(1, 500, 40, 200);
		s = &w.spans.data[0].span;
		assert_int_equal(s->parent, i ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL);
		assert_true(all_are(s->trace_id, 16, 0xaa) && all_are(s->parent_id, 8, 0xcc));
		assert_false(all_are(s->span_id, 8, 0xcc));
	}
}

/* None only where each place was looked at that could name one. */
static void no_parent_given(void **state)
{
	static const struct {
		uint32_t probe;
		uint8_t given, header;
		enum span_parent want;
	} cases[] = {
		{P_MADE, SLOT_NIL, SLOT_NO_KEY, SPAN_PARENT_NONE},
		{P_MADE, SLOT_UNREADABLE, SLOT_NO_KEY, SPAN_PARENT_UNKNOWN},
		{P_MADE, SLOT_NIL, SLOT_UNREADABLE, SPAN_PARENT_UNKNOWN},
		{P_MADE, SLOT_OK, SLOT_NO_KEY, SPAN_PARENT_UNKNOWN}, /* a context it is not */
		{P_MADE_INNER, SLOT_NIL, SLOT_NO_KEY, SPAN_PARENT_NONE}, /* it has no header to look at */
		{P_MADE_INNER, SLOT_UNREADABLE, SLOT_NO_KEY, SPAN_PARENT_UNKNOWN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		made_init(cases[i].probe, 1, 500, 10);
		record_status(&w.r, M_PARENT, cases[i].given, 0, 0);
		record_status(&w.r, M_HEADER, cases[i].header, 0, 0);
		send();
		if (cases[i].probe == P_MADE)
			end(1, 500, 40, 200);
		else
			bare(P_RETURN, 1, 500, 40);
		assert_int_equal(w.spans.len, 1);
		assert_int_equal(w.spans.data[0].span.parent, cases[i].want);
		assert_true(all_are(w.spans.data[0].span.parent_id, 8, 0));
	}
}

/* A span that the probe put into a trace of its own has no parent in another one. */
static void own_ids_in_another_trace(void **state)
{
	for (unsigned alike = 0; alike < 2; alike++) {
		const struct span *inner;

		again(1, false, 0);
		made_init(P_MADE, 1, 500, 10);
		record_context(&w.r, M_OWN, 0xaa, 0xbb, EVENT_CONTEXT_SAMPLED);
		send();
		made_init(P_MADE_INNER, 1, 900, 20);
		record_context(&w.r, M_OWN, alike ? 0xaa : 0xdd, 0xee, EVENT_CONTEXT_SAMPLED);
		send();
		bare(P_RETURN, 1, 900, 30);
		inner = &w.spans.data[0].span;
		assert_true(all_are(inner->span_id, 8, 0xee));
		assert_int_equal(inner->parent, alike ? SPAN_PARENT_LOCAL : SPAN_PARENT_UNKNOWN);
		assert_true(all_are(inner->parent_id, 8, alike ? 0xbb : 0));
		assert_int_equal(lost(LOSS_SAMPLING_DISAGREES), !alike);
	}
}

/* ---- where probes decide which traces are kept ---- */

static const struct span *inner_span(uint32_t flags)
{
	made_init(P_MADE_INNER, 1, 900, 20);
	record_context(&w.r, M_OWN, 0xdd, 0xee, flags);
	send();
	bare(P_RETURN, 1, 900, 30);
	return w.spans.len ? &w.spans.data[w.spans.len - 1].span : NULL;
}

/* Ids that nobody was told of give way to the parent's trace. */
static void loose_ids(void **state)
{
	const struct span *inner;

	made_init(P_MADE, 1, 500, 10);
	record_context(&w.r, M_OWN, 0xaa, 0xbb, EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE);
	send();
	inner = inner_span(EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE);
	assert_int_equal(inner->parent, SPAN_PARENT_LOCAL);
	assert_true(all_are(inner->span_id, 8, 0xee) && all_are(inner->parent_id, 8, 0xbb));
	assert_false(all_are(inner->trace_id, 16, 0xdd));
	end(1, 500, 40, 200);
	assert_memory_equal(w.spans.data[0].span.trace_id, w.spans.data[1].span.trace_id, 16);
	assert_int_equal(lost(LOSS_SAMPLING_DISAGREES), 0);
}

/* The trace of a header is the span's, whatever the ids: the probe may not have been able to read it. */
static void loose_ids_and_a_header(void **state)
{
	again(0, true, 0);
	made_init(P_MADE, 1, 500, 10);
	record_context(&w.r, M_OWN, 0xaa, 0xbb, EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE);
	record_str(&w.r, M_HEADER, TRACEPARENT "01");
	send();
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.len, 1);
	assert_int_equal(w.spans.data[0].span.parent, SPAN_PARENT_REMOTE);
	assert_false(all_are(w.spans.data[0].span.trace_id, 16, 0xaa));
}

/* A kept span is not put into a trace that is left out; one whose probe knew no parent is left out with it. */
static void kept_below_left_out(void **state)
{
	for (unsigned undecided = 0; undecided < 2; undecided++) {
		const struct span *inner;

		again(0, false, 0);
		made_init(P_MADE, 1, 500, 10); /* no ids: it is left out here */
		send();
		inner = inner_span(EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE |
				   (undecided ? EVENT_CONTEXT_UNDECIDED : 0));
		assert_int_equal(inner != NULL, !undecided);
		assert_int_equal(lost(LOSS_SAMPLING_DISAGREES), !undecided);
		assert_int_equal(lost(LOSS_SAMPLED_OUT), undecided);
		if (!inner)
			continue;
		assert_int_equal(inner->parent, SPAN_PARENT_UNKNOWN);
		assert_true(all_are(inner->span_id, 8, 0xee));
	}
}

/* It belongs to a kept trace after all, or begins one if its own id says so. */
static void undecided(void **state)
{
	const uint32_t flags = EVENT_CONTEXT_LOOSE | EVENT_CONTEXT_UNDECIDED;
	const struct span *inner;

	made_init(P_MADE, 1, 500, 10);
	record_context(&w.r, M_OWN, 0xaa, 0xbb, EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE);
	send();
	inner = inner_span(flags);
	assert_int_equal(inner->parent, SPAN_PARENT_LOCAL);
	assert_true(all_are(inner->parent_id, 8, 0xbb));
	for (unsigned sampled = 0; sampled < 2; sampled++) {
		again(!sampled, false, 0);
		inner = inner_span(flags | (sampled ? EVENT_CONTEXT_SAMPLED : 0));
		assert_int_equal(inner != NULL, sampled);
		assert_int_equal(lost(LOSS_SAMPLED_OUT), !sampled);
	}
}

/* Where no parent is known the trace is a new one, and by its id one of those that are kept. */
static void loose_ids_alone(void **state)
{
	const struct span *inner;

	again(0.001, false, 0);
	inner = inner_span(EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE);
	assert_non_null(inner);
	assert_false(all_are(inner->trace_id, 16, 0xdd));
	assert_true(trace_sampled(inner->trace_id, 0.001));
	again(1, false, 0);
	assert_non_null(inner_span(EVENT_CONTEXT_SAMPLED | EVENT_CONTEXT_LOOSE));
}

/* The start of an end may have been left out: no loss of its kind then. */
static void left_out_late(void **state)
{
	static struct ir_insn marks[] = {{.op = IR_REGION, .slot = IR_SLOT_MARK}, {.op = IR_END}};
	static struct capture_program program;

	program = end_program;
	program.insns = marks;
	program.ninsns = 2;
	end(1, 500, 40, 200);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	add_probe(P_END, &request, &end_point, &v_end, &program, (struct func){0});
	end(1, 500, 40, 200);
	assert_int_equal(lost(LOSS_UNPAIRED_END), 1);
	assert_int_equal(lost(LOSS_LEFT_OUT_LATE), 1);
}

/* ---- lineage ---- */

static void created(uint64_t goid, uint64_t parent, uint64_t epoch_ns, uint64_t ns)
{
	record_link(&w.r, goid, parent, epoch_ns, ns);
	send();
}

/* A call on a goroutine of its own; its span is the last. */
static const struct seen *call_on(uint64_t goid, uint64_t ns)
{
	bare(P_CALL, goid, 300, ns);
	bare(P_RETURN, goid, 300, ns + 1);
	return &w.spans.data[w.spans.len - 1];
}

static void lineage(void **state)
{
	const struct seen *child;
	uint8_t parent_id[8];

	start_init(1, 500, 10);
	record_str(&w.r, S_PARENT, TRACEPARENT "01");
	record_str(&w.r, S_STATE, "vendor=1");
	send();
	created(2, 1, 20, 20);
	child = call_on(2, 30);
	assert_int_equal(child->span.parent, SPAN_PARENT_LOCAL);
	assert_int_equal(child->span.trace_id[0], 0x0a);
	assert_string_equal(child->trace_state, "vendor=1");
	memcpy(parent_id, child->span.parent_id, 8);
	assert_int_equal(call_on(3, 32)->span.parent, SPAN_PARENT_UNKNOWN); /* nobody said so */
	end(1, 500, 40, 200);
	assert_memory_equal(w.spans.data[w.spans.len - 1].span.span_id, parent_id, 8);
	assert_int_equal(call_on(2, 50)->span.parent, SPAN_PARENT_UNKNOWN); /* it has ended */
	start(1, 500, 60);
	assert_int_equal(call_on(2, 70)->span.parent, SPAN_PARENT_UNKNOWN); /* this is another one */
	assert_int_equal(lost(LOSS_BAD_RECORD), 0);
}

/* The span around it and a header are surer. */
static void lineage_comes_last(void **state)
{
	start(1, 500, 10);
	created(2, 1, 20, 20);
	start_init(2, 500, 30);
	record_str(&w.r, S_PARENT, TRACEPARENT "01");
	send();
	bare(P_CALL, 2, 900, 31);
	bare(P_RETURN, 2, 900, 32);
	end(2, 500, 40, 200);
	assert_int_equal(w.spans.data[1].span.parent, SPAN_PARENT_REMOTE);
	assert_memory_equal(w.spans.data[0].span.parent_id, w.spans.data[1].span.span_id, 8);
}

/* Which span it was created in is certain only if none began or ended there since the epoch. */
static void lineage_by_epoch(void **state)
{
	start(1, 500, 10);
	created(2, 1, 9, 20); /* maybe before the span */
	assert_int_equal(call_on(2, 21)->span.parent, SPAN_PARENT_UNKNOWN);
	created(3, 1, 10, 22); /* its start was noted, and nothing happened since */
	assert_int_equal(call_on(3, 23)->span.parent, SPAN_PARENT_LOCAL);
	bare(P_CALL, 1, 900, 30);
	created(4, 1, 29, 31); /* in the request or in the call */
	assert_int_equal(call_on(4, 32)->span.parent, SPAN_PARENT_UNKNOWN);
	bare(P_RETURN, 1, 900, 40);
	created(5, 1, 39, 41); /* likewise, and the call is over */
	assert_int_equal(call_on(5, 42)->span.parent, SPAN_PARENT_UNKNOWN);
	created(6, 1, 40, 43);
	assert_int_equal(call_on(6, 44)->span.parent, SPAN_PARENT_LOCAL);
	created(7, 99, 45, 45); /* of a goroutine without a span */
	assert_int_equal(call_on(7, 46)->span.parent, SPAN_PARENT_UNKNOWN);
}

/* A goroutine is created once; what says otherwise is not believed. */
static void lineage_twice(void **state)
{
	start(1, 500, 10);
	start(8, 500, 11);
	created(2, 1, 20, 20);
	created(2, 8, 21, 21);
	end(8, 500, 30, 200);
	assert_int_equal(call_on(2, 31)->span.parent, SPAN_PARENT_LOCAL);
	created(2, 2, 32, 32); /* no record at all */
	assert_int_equal(lost(LOSS_BAD_RECORD), 1);
	end(1, 500, 40, 200);
	assert_int_equal(call_on(2, 41)->span.parent, SPAN_PARENT_UNKNOWN);
	start(8, 500, 42); /* it was forgotten, so this is the first that is heard of it */
	created(2, 8, 43, 43);
	assert_int_equal(call_on(2, 44)->span.parent, SPAN_PARENT_LOCAL);
}

/* They do not take memory without bound, and go with the process. */
static void lineage_is_bounded(void **state)
{
	again(1, false, 50);
	start(1, 500, 10);
	for (uint64_t i = 0; i < 60; i++)
		created(100 + i, 1, 20, 20);
	assert_int_equal(lost(LOSS_OPEN_LIMIT), 10);
	assert_int_equal(call_on(149, 30)->span.parent, SPAN_PARENT_LOCAL);
	assert_int_equal(call_on(150, 31)->span.parent, SPAN_PARENT_UNKNOWN);
	assembler_end_target(w.a, 1, true, 40);
	created(2, 1, 50, 50); /* of no process that is known */
	assert_int_equal(lost(LOSS_BAD_RECORD), 1);
}

static void sampling_follows_the_parent(void **state)
{
	again(0, true, 0);
	start_traced(TRACEPARENT "01");
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.len, 1);
	again(1, true, 0);
	start_traced(TRACEPARENT "00");
	bare(P_CALL, 1, 900, 20);
	bare(P_RETURN, 1, 900, 30);
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.len, 0);
	assert_int_equal(lost(LOSS_SAMPLED_OUT), 2);
	again(1, false, 0);
	start_traced(TRACEPARENT "00");
	end(1, 500, 40, 200);
	assert_int_equal(w.spans.len, 1);
}

static void sampling_none(void **state)
{
	again(0, false, 0);
	start(1, 500, 10);
	end(1, 500, 20, 200);
	assert_int_equal(w.spans.len, 0);
	assert_int_equal(lost(LOSS_SAMPLED_OUT), 1);
}

static void ids_of_the_system(void **state)
{
	struct assembler_options o = {.emit = on_span, .sample = 1};
	struct assembler_target t = {.id = 1, .resource = &w.resource};
	static const uint8_t zero[16];

	assembler_free(w.a);
	w.a = assembler_new(&o);
	add_probes();
	assembler_add_target(w.a, &t);
	for (int i = 0; i < 200; i++) {
		start(1, 500, 10);
		end(1, 500, 20, 200);
		assert_memory_not_equal(w.spans.data[i].span.trace_id, zero, 16);
		assert_memory_not_equal(w.spans.data[i].span.span_id, zero, 8);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(w.spans.data[i].span.span_id,
						w.spans.data[j].span.span_id, 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(incoming_trace), T(incoming_state), T(incoming_state_cut), T(parent_not_read), T(own_ids),
		T(own_ids_are_sampled_already), T(own_ids_damaged), T(given_parents), T(no_parent_given),
		T(own_ids_in_another_trace), T(loose_ids), T(loose_ids_and_a_header), T(kept_below_left_out),
		T(undecided), T(loose_ids_alone), T(left_out_late),
		T(lineage), T(lineage_comes_last), T(lineage_by_epoch),
		T(lineage_twice), T(lineage_is_bounded), T(invalid_incoming_trace),
		T(sampling_follows_the_parent), T(sampling_none), T(ids_of_the_system),
	};

	return cmocka_run_group_tests_name("assemble_parents", tests, NULL, NULL);
}
