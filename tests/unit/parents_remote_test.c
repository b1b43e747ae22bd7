/* span/parents: what another process says of a parent, by a header or by the other end of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/histories.h"

/* ---- headers ---- */

#define TRACE "0af7651916cd43dd8448eb211c80319c"

/* It says which trace; what is open of that trace is nearer. */
static void header_and_goroutine(void **state)
{
	const struct span *s;

	BEGINS(SERVED, "request", .goid = 1, .header = "00-" TRACE "-b7ad6b7169203331-01", .state = "v=1");
	CALLS(SERVED, "dispatched", .goid = 1, .header = "00-" TRACE "-b7ad6b7169203331-01");
	CALLS(CONSUMED, "its message", .goid = 1, .header = "00-" TRACE "-aaad6b7169203331-01");
	CALLS(SERVED, "another's", .goid = 1, .header = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	ENDS(SERVED, .goid = 1);
	is_of("dispatched", "request", PARENT_GOROUTINE);
	assert_string_equal(labelled("dispatched")->trace_state, "v=1");
	s = &labelled("its message")->span;
	assert_int_equal(s->parent_source, PARENT_HEADER);
	assert_int_equal(s->parent_id[0], 0xaa);
	s = &labelled("another's")->span;
	assert_int_equal(s->parent_source, PARENT_HEADER);
	assert_int_equal(s->parent, SPAN_PARENT_REMOTE);
	assert_int_equal(s->trace_id[0], 0x1a);
}

static void bad_header(void **state)
{
	static const char *const bad[] = {"", "00-nonsense", "00-" TRACE "-b7ad6b7169203331-01-", "ff-" TRACE
					  "-b7ad6b7169203331-01", "00-" TRACE "-0000000000000000-01"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		anew(state);
		CALLS(SERVED, "request", .goid = 1, .header = bad[i]);
		is_root("request", PARENT_NONE);
		assert_int_equal(lost(LOSS_BAD_HEADER), 1);
	}
	anew(state);
	record_init(&w.r, OF_START + SERVED, 1, 500, ++now_ns, F_END);
	record_str(&w.r, F_LABEL, "oversized");
	record_bytes(&w.r, F_HEADER, "00-" TRACE "-b7ad6b7169203331-01", 55, 100000);
	send();
	ENDS(SERVED, .goid = 1);
	is_root("oversized", PARENT_NONE);
	assert_int_equal(lost(LOSS_BAD_HEADER), 1);
}

#define B3 "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1"

static void came_from(const char *label, uint8_t trace, uint8_t parent, const char *trace_state)
{
	const struct seen *s = labelled(label);

	assert_int_equal(s->span.parent_source, PARENT_HEADER);
	assert_int_equal(s->span.parent, SPAN_PARENT_REMOTE);
	assert_int_equal(s->span.trace_id[0], trace);
	assert_int_equal(s->span.parent_id[0], parent);
	if (trace_state)
		assert_string_equal(s->trace_state, trace_state);
	else
		assert_null(s->trace_state);
}

/* Other tracers' words count where there are none of W3C's that are right; a tracestate belongs to those. */
static void headers_of_others(void **state)
{
	CALLS(SERVED, "w3c", .header = "00-" TRACE "-b7ad6b7169203331-01", .b3 = B3, .state = "v=1");
	CALLS(SERVED, "b3", .b3 = B3 "-1", .b3_trace = "aa", .state = "v=1");
	CALLS(SERVED, "multi", .header = "00-nonsense", .b3_trace = "80f198ee56343ba864fe8b2a57d3eff7",
	      .b3_span = "e457b5a2e4d86bd1");
	CALLS(SERVED, "datadog", .dd_trace = "1", .dd_parent = "16453819474850114513");
	came_from("w3c", 0x0a, 0xb7, "v=1");
	came_from("b3", 0x80, 0xe4, NULL);
	came_from("multi", 0x80, 0xe4, NULL);
	came_from("datadog", 0, 0xe4, NULL);
	assert_int_equal(lost(LOSS_BAD_HEADER), 0);
	CALLS(SERVED, "decides", .b3 = "0");
	CALLS(SERVED, "wrong", .b3 = "zero", .dd_trace = "x");
	is_root("decides", PARENT_NONE);
	is_root("wrong", PARENT_NONE);
	assert_int_equal(lost(LOSS_BAD_HEADER), 1);
}

/* Of a header that may be spelled in several ways the first one that is there counts. */
static void spellings(void **state)
{
	CALLS(SERVED, "other", .other_header = "00-" TRACE "-aaad6b7169203331-01", .other_state = "v=2");
	CALLS(SERVED, "both", .header = "00-" TRACE "-b7ad6b7169203331-01", .state = "v=1",
	      .other_header = "00-" TRACE "-aaad6b7169203331-01", .other_state = "v=2");
	CALLS(SERVED, "wrong", .other_header = "00-nonsense");
	CALLS(SERVED, "none");
	came_from("other", 0x0a, 0xaa, "v=2");
	came_from("both", 0x0a, 0xb7, "v=1");
	is_root("wrong", PARENT_NONE);
	assert_int_equal(lost(LOSS_BAD_HEADER), 1);
	is_root("none", PARENT_NONE);
}

/* A decision that the sender left to others is made here. */
static void undecided(void **state)
{
	teardown(state);
	memset(&w, 0, sizeof(w));
	begin(0, true, 0);
	add_facts_probes();
	add_targets();
	CALLS(SERVED, "kept", .b3 = B3 "-1");
	CALLS(SERVED, "left", .b3 = B3);
	CALLS(SERVED, "dropped", .dd_trace = "1", .dd_parent = "2", .dd_priority = "0");
	assert_int_equal(w.spans.len, 1);
	came_from("kept", 0x80, 0xe4, NULL);
	assert_int_equal(lost(LOSS_SAMPLED_OUT), 2);
}

/* ---- connections ---- */

static void over_a_connection(void **state)
{
	BEGINS(SERVED, "front", .goid = 1, .header = "00-" TRACE "-b7ad6b7169203331-01", .state = "v=1");
	BEGINS(ASKED, "call", .goid = 1);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE);
	BEGINS(SERVED, "back", .target = 2, .goid = 1, SERVER_SIDE);
	CALLS(DONE, "inside", .target = 2, .goid = 1);
	ENDS(SERVED, .target = 2, .goid = 1);
	ENDS(ASKED, .goid = 1);
	ENDS(SERVED, .goid = 1);
	is_of("call", "front", PARENT_GOROUTINE);
	is_of("back", "call", PARENT_CONNECTION);
	is_of("inside", "back", PARENT_GOROUTINE);
	assert_string_equal(labelled("inside")->trace_state, "v=1");
}

/* An IPv4 address is the same in 16 bytes, and both parts may lie in one text. */
static void forms_of_addresses(void **state)
{
	static const struct {
		const char *client_local, *client_remote;
		struct facts server;
		bool same;
	} cases[] = {
		{"127.0.0.1:40000", "127.0.0.1:80", {SERVER_SIDE}, true},
		{"127.0.0.1:40000", "127.0.0.1:80",
		 {.local = "::ffff:127.0.0.1", .local_port = 80, .remote = "::ffff:7f00:1", .remote_port = 40000},
		 true},
		{"[::1]:40000", "[::1]:80", {.local = "::1", .local_port = 80, .remote = "::1", .remote_port = 40000},
		 true},
		{"127.0.0.1:40001", "127.0.0.1:80", {SERVER_SIDE}, false},
		{"127.0.0.2:40000", "127.0.0.1:80", {SERVER_SIDE}, false},
		{"127.0.0.1:80", "127.0.0.1:40000", {SERVER_SIDE}, false}, /* not swapped */
		{"0.0.0.0:40000", "127.0.0.1:80",
		 {.local = "127.0.0.1", .local_port = 80, .remote = "0.0.0.0", .remote_port = 40000}, false},
		{"[fe80::1%eth0]:40000", "[fe80::2]:80",
		 {.local = "fe80::2", .local_port = 80, .remote = "fe80::1%eth0", .remote_port = 40000}, false},
		{"127.0.0.1:", "127.0.0.1:80", {SERVER_SIDE}, false},
		{"127.0.0.1:140000", "127.0.0.1:80", {SERVER_SIDE}, false},
		{":40000", "x", {SERVER_SIDE}, false},
		{"@", "@", {.local = "@", .remote = "@"}, false}, /* sockets without names */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct facts server = cases[i].server;

		anew(state);
		BEGINS(DIALLED, "call", .goid = 1, .local = cases[i].client_local, .remote = cases[i].client_remote);
		server.target = 2;
		tell(OF_START + SERVED, "back", &server);
		ENDS(SERVED, .target = 2);
		ENDS(DIALLED, .goid = 1);
		if (cases[i].same)
			is_of("back", "call", PARENT_CONNECTION);
		else
			is_root("back", PARENT_NONE);
	}
}

/* The same numbers in two networks are two connections. */
static void other_network(void **state)
{
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	CALLS(SERVED, "elsewhere", .target = 3, .goid = 1, SERVER_SIDE);
	CALLS(SERVED, "here", .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(ASKED, .goid = 1);
	is_root("elsewhere", PARENT_NONE);
	is_of("here", "call", PARENT_CONNECTION);
}

/* One request after the other: each is read while its client waits, whatever the client keeps open. */
static void keep_alive(void **state)
{
	BEGINS(ASKED, "one", .goid = 1, CLIENT_SIDE);
	CALLS(SERVED, "one served", .target = 2, .goid = 1, SERVER_SIDE);
	BEGINS(ASKED, "two", .goid = 5, CLIENT_SIDE); /* the first one's body is not closed yet */
	CALLS(SERVED, "two served", .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(ASKED, .goid = 1);
	CALLS(SERVED, "three served", .target = 2, .goid = 1, SERVER_SIDE); /* of nobody that is seen */
	ENDS(ASKED, .goid = 5);
	CALLS(SERVED, "four served", .target = 2, .goid = 1, SERVER_SIDE);
	is_of("one served", "one", PARENT_CONNECTION);
	is_of("two served", "two", PARENT_CONNECTION);
	is_root("three served", PARENT_NONE);
	is_root("four served", PARENT_NONE);
}

/* The client gave up: who reads its request late has no parent any more. Nor is it one of a later request. */
static void given_up(void **state)
{
	BEGINS(ASKED, "impatient", .goid = 1, CLIENT_SIDE);
	ENDS(ASKED, .goid = 1);
	CALLS(SERVED, "late", .target = 2, .goid = 1, SERVER_SIDE);
	BEGINS(SERVED, "earlier", .target = 2, .goid = 1, .at_ns = 5000, SERVER_SIDE);
	BEGINS(ASKED, "later", .goid = 1, .at_ns = 5001, CLIENT_SIDE);
	NOTED(SERVED, .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(SERVED, .target = 2, .goid = 1);
	ENDS(ASKED, .goid = 1);
	is_root("late", PARENT_NONE);
	is_root("earlier", PARENT_NONE);
}

static void pipelined(void **state)
{
	BEGINS(ASKED, "one", .goid = 1, CLIENT_SIDE);
	BEGINS(ASKED, "two", .goid = 2, CLIENT_SIDE);
	CALLS(SERVED, "served", .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(ASKED, .goid = 1);
	ENDS(ASKED, .goid = 2);
	is_root("served", PARENT_UNKNOWN);
}

static void streams(void **state)
{
	BEGINS(ASKED, "one", .goid = 1, CLIENT_SIDE, .stream = 1);
	BEGINS(ASKED, "three", .goid = 2, CLIENT_SIDE, .stream = 3);
	CALLS(SERVED, "three served", .target = 2, .goid = 1, SERVER_SIDE, .stream = 3);
	CALLS(SERVED, "one served", .target = 2, .goid = 2, SERVER_SIDE, .stream = 1);
	CALLS(SERVED, "five served", .target = 2, .goid = 3, SERVER_SIDE, .stream = 5);
	CALLS(SERVED, "which", .target = 2, .goid = 4, SERVER_SIDE);
	ENDS(ASKED, .goid = 1);
	ENDS(ASKED, .goid = 2);
	is_of("one served", "one", PARENT_CONNECTION);
	is_of("three served", "three", PARENT_CONNECTION);
	is_root("five served", PARENT_NONE);
	is_root("which", PARENT_NONE);
}

/* A client's probe may tell the stream when the server has begun. Not what began before the client, or has ended. */
static void told_late(void **state)
{
	BEGINS(SERVED, "earlier", .target = 2, .goid = 3, SERVER_SIDE, .stream = 1);
	BEGINS(ASKED, "one", .goid = 1);
	BEGINS(SERVED, "one served", .target = 2, .goid = 2, SERVER_SIDE, .stream = 1);
	CALLS(DONE, "ended", .target = 2, .goid = 2);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE, .stream = 1);
	BEGINS(DONE, "below", .target = 2, .goid = 2);
	ENDS(DONE, .target = 2, .goid = 2);
	ENDS(SERVED, .target = 2, .goid = 2);
	ENDS(ASKED, .goid = 1);
	ENDS(SERVED, .target = 2, .goid = 3);
	is_root("earlier", PARENT_NONE);
	is_of("ended", "one served", PARENT_GOROUTINE); /* told already, with the trace's id */
	assert_int_equal(labelled("one served")->span.parent, SPAN_PARENT_NONE);

	BEGINS(ASKED, "two", .goid = 1);
	BEGINS(SERVED, "two served", .target = 2, .goid = 2, SERVER_SIDE, .stream = 3);
	BEGINS(DONE, "within", .target = 2, .goid = 2);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE, .stream = 3);
	ENDS(DONE, .target = 2, .goid = 2);
	ENDS(SERVED, .target = 2, .goid = 2);
	CALLS(SERVED, "again", .target = 2, .goid = 2, SERVER_SIDE, .stream = 3);
	ENDS(ASKED, .goid = 1);
	is_of("two served", "two", PARENT_CONNECTION);
	is_of("within", "two served", PARENT_GOROUTINE);
	is_root("again", PARENT_NONE);

	BEGINS(ASKED, "slow", .goid = 1);
	CALLS(SERVED, "quick", .target = 2, .goid = 2, SERVER_SIDE, .stream = 5);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE, .stream = 5);
	ENDS(ASKED, .goid = 1);
	is_root("quick", PARENT_NONE);
}

/* Without a stream time alone tells one request of a connection from the next. */
static void told_late_without_a_stream(void **state)
{
	BEGINS(ASKED, "one", .goid = 1);
	BEGINS(SERVED, "served", .target = 2, .goid = 2, SERVER_SIDE);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE);
	ENDS(SERVED, .target = 2, .goid = 2);
	ENDS(ASKED, .goid = 1);
	is_root("served", PARENT_NONE);
}

/* Two that wait for the same: one of them has lost its end. */
static void two_wait(void **state)
{
	BEGINS(ASKED, "one", .goid = 1);
	BEGINS(SERVED, "first", .target = 2, .goid = 2, SERVER_SIDE, .stream = 1);
	BEGINS(SERVED, "second", .target = 2, .goid = 3, SERVER_SIDE, .stream = 1);
	NOTED(ASKED, .goid = 1, CLIENT_SIDE, .stream = 1);
	ENDS(SERVED, .target = 2, .goid = 2);
	ENDS(SERVED, .target = 2, .goid = 3);
	ENDS(ASKED, .goid = 1);
	is_root("first", PARENT_NONE);
	is_root("second", PARENT_NONE);
}

/* A request that is sent again goes over another connection: the first one is nobody's then. */
static void sent_again(void **state)
{
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	NOTED(ASKED, .goid = 1, .local = "127.0.0.1", .local_port = 40001, .remote = "127.0.0.1", .remote_port = 80);
	CALLS(SERVED, "first", .target = 2, .goid = 1, SERVER_SIDE);
	CALLS(SERVED, "second", .target = 2, .goid = 2, .local = "127.0.0.1", .local_port = 80, .remote = "127.0.0.1",
	      .remote_port = 40001);
	ENDS(ASKED, .goid = 1);
	is_root("first", PARENT_NONE);
	is_of("second", "call", PARENT_CONNECTION);
}

/* A header of the client's trace is made of it; one of another trace was written by somebody between. */
static void connection_and_header(void **state)
{
	BEGINS(SERVED, "front", .goid = 1, .header = "00-" TRACE "-b7ad6b7169203331-01");
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	CALLS(SERVED, "between", .target = 2, .goid = 1, SERVER_SIDE,
	      .header = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	CALLS(SERVED, "back", .target = 2, .goid = 1, SERVER_SIDE, .header = "00-" TRACE "-ccad6b7169203331-01");
	ENDS(ASKED, .goid = 1);
	ENDS(SERVED, .goid = 1);
	assert_int_equal(labelled("between")->span.parent_source, PARENT_HEADER);
	is_of("back", "call", PARENT_CONNECTION);
}

/* The connection is known later: what is open moves along. */
static void known_later(void **state)
{
	BEGINS(SERVED, "front", .goid = 1, .header = "00-" TRACE "-b7ad6b7169203331-01", .state = "v=1");
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	BEGINS(SERVED, "back", .target = 2, .goid = 1, .own = 0xc100);
	BEGINS(DONE, "step", .target = 2, .goid = 1);
	BEGINS(ASKED, "further", .target = 2, .goid = 2, .chain = {0xc100});
	BEGINS(DONE, "deeper", .target = 2, .goid = 2);
	NOTED(SERVED, .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(DONE, .target = 2, .goid = 2);
	ENDS(ASKED, .target = 2, .goid = 2);
	ENDS(DONE, .target = 2, .goid = 1);
	ENDS(SERVED, .target = 2, .goid = 1);
	ENDS(ASKED, .goid = 1);
	ENDS(SERVED, .goid = 1);
	is_of("back", "call", PARENT_CONNECTION);
	is_of("step", "back", PARENT_GOROUTINE);
	is_of("further", "back", PARENT_CONTEXT);
	is_of("deeper", "further", PARENT_GOROUTINE);
	assert_string_equal(labelled("deeper")->trace_state, "v=1");
	assert_int_equal(labelled("deeper")->span.trace_id[0], 0x0a);
}

/* Too late: something of its own trace is out. */
static void known_too_late(void **state)
{
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	BEGINS(SERVED, "back", .target = 2, .goid = 1);
	BEGINS(DONE, "step", .target = 2, .goid = 1);
	CALLS(DONE, "inside", .target = 2, .goid = 1);
	ENDS(DONE, .target = 2, .goid = 1);
	NOTED(SERVED, .target = 2, .goid = 1, SERVER_SIDE);
	ENDS(SERVED, .target = 2, .goid = 1);
	ENDS(ASKED, .goid = 1);
	assert_int_equal(labelled("back")->span.parent, SPAN_PARENT_NONE);
	is_of("step", "back", PARENT_GOROUTINE);
	is_of("inside", "step", PARENT_GOROUTINE);
	assert_memory_not_equal(labelled("call")->span.trace_id, labelled("back")->span.trace_id, 16);
}

/* A program that asks itself cannot be its own ancestor. */
static void in_a_circle(void **state)
{
	BEGINS(SERVED, "request", .goid = 1);
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE);
	NOTED(SERVED, .goid = 1, SERVER_SIDE, .at_ns = 3000);
	ENDS(ASKED, .goid = 1);
	ENDS(SERVED, .goid = 1);
	assert_int_equal(labelled("request")->span.parent, SPAN_PARENT_NONE);
	is_of("call", "request", PARENT_GOROUTINE);
}

/* A process that goes leaves nothing behind that others could find. */
static void client_goes(void **state)
{
	BEGINS(ASKED, "call", .goid = 1, CLIENT_SIDE, .own = 0xc100);
	BEGINS(SERVED, "back", .target = 2, .goid = 1, SERVER_SIDE);
	assembler_end_target(w.a, 1, false, 9000);
	CALLS(SERVED, "next", .target = 2, .goid = 2, SERVER_SIDE);
	ENDS(SERVED, .target = 2, .goid = 1);
	assert_int_equal(labelled("back")->span.parent_source, PARENT_CONNECTION);
	is_root("next", PARENT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		F(header_and_goroutine), F(bad_header), F(headers_of_others), F(spellings), F(undecided),
		F(over_a_connection), F(forms_of_addresses), F(other_network), F(keep_alive), F(given_up),
		F(pipelined), F(streams), F(told_late), F(told_late_without_a_stream), F(two_wait),
		F(sent_again), F(connection_and_header), F(known_later),
		F(known_too_late), F(in_a_circle), F(client_goes),
	};

	return cmocka_run_group_tests_name("parents-remote", tests, NULL, NULL);
}
