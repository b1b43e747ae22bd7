/*
 * span/parents: each rule by which a span's parent is known, and each way in which it would be the wrong one. Every
 * test is a little history of goroutines, told in records; spans go by labels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/assembling.h"
#include "unit/open.h"

/* ---- the packs ---- */

enum { F_LABEL, F_CHAIN, F_OTHER_CHAIN, F_OWN, F_CREATOR, F_START_PC, F_GOIDGEN, F_CACHE, F_CACHE_END, F_HEADER,
       F_B3, F_B3_TRACE, F_B3_SPAN, F_DD_TRACE, F_DD_PARENT, F_DD_PRIORITY, F_STATE,
       F_LOCAL, F_LOCAL_PORT, F_REMOTE, F_REMOTE_PORT, F_STREAM, F_END };
static const struct pack_capture fact_captures[F_END] = {
	[F_LABEL] = {.name = "label"},
	[F_CHAIN] = {.use = USE_PARENT_CHAIN},
	[F_OTHER_CHAIN] = {.use = USE_PARENT_CHAIN},
	[F_OWN] = {.use = USE_OWN_CHAIN},
	[F_CREATOR] = {.use = USE_CREATOR},
	[F_START_PC] = {.use = USE_START_PC},
	[F_GOIDGEN] = {.use = USE_GOIDGEN},
	[F_CACHE] = {.use = USE_GOID_CACHE},
	[F_CACHE_END] = {.use = USE_GOID_CACHE_END},
	[F_HEADER] = {.name = "header", .transform = {.hidden = true}},
	[F_B3] = {.name = "b3", .transform = {.hidden = true}},
	[F_B3_TRACE] = {.name = "b3.trace", .transform = {.hidden = true}},
	[F_B3_SPAN] = {.name = "b3.span", .transform = {.hidden = true}},
	[F_DD_TRACE] = {.name = "dd.trace", .transform = {.hidden = true}},
	[F_DD_PARENT] = {.name = "dd.parent", .transform = {.hidden = true}},
	[F_DD_PRIORITY] = {.name = "dd.priority", .transform = {.hidden = true}},
	[F_STATE] = {.name = "state", .transform = {.hidden = true}},
	[F_LOCAL] = {.name = "local", .transform = {.hidden = true}},
	[F_LOCAL_PORT] = {.name = "local.port", .transform = {.hidden = true}},
	[F_REMOTE] = {.name = "remote", .transform = {.hidden = true}},
	[F_REMOTE_PORT] = {.name = "remote.port", .transform = {.hidden = true}},
	[F_STREAM] = {.name = "stream", .transform = {.hidden = true}},
};
static const struct ir_slot fact_slots[F_END] = {
	[F_LABEL] = {.kind = VALUE_STRING},     [F_CHAIN] = {.kind = VALUE_CHAIN},
	[F_OTHER_CHAIN] = {.kind = VALUE_CHAIN}, [F_OWN] = {.kind = VALUE_CHAIN},
	[F_CREATOR] = {.kind = VALUE_UINT},     [F_START_PC] = {.kind = VALUE_PC},
	[F_GOIDGEN] = {.kind = VALUE_UINT},     [F_CACHE] = {.kind = VALUE_UINT},
	[F_CACHE_END] = {.kind = VALUE_UINT},   [F_HEADER] = {.kind = VALUE_STRING},
	[F_B3] = {.kind = VALUE_STRING},        [F_B3_TRACE] = {.kind = VALUE_STRING},
	[F_B3_SPAN] = {.kind = VALUE_STRING},   [F_DD_TRACE] = {.kind = VALUE_STRING},
	[F_DD_PARENT] = {.kind = VALUE_STRING}, [F_DD_PRIORITY] = {.kind = VALUE_STRING},
	[F_STATE] = {.kind = VALUE_STRING},     [F_LOCAL] = {.kind = VALUE_STRING},
	[F_LOCAL_PORT] = {.kind = VALUE_INT},   [F_REMOTE] = {.kind = VALUE_STRING},
	[F_REMOTE_PORT] = {.kind = VALUE_INT},  [F_STREAM] = {.kind = VALUE_INT},
};
static const int each[F_END] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21};
static struct capture_program facts_program = PROGRAM(fact_slots);
static const struct pack_variant v_facts = {.captures = fact_captures, .ncaptures = F_END};

static const char *const labels[] = {"{label}", NULL};
static const struct pack_connection apart = {{"local", "local.port"}, {"remote", "remote.port"}, "stream"},
				    together = {{"local", NULL}, {"remote", NULL}, NULL};
static const struct pack_b3_headers multi = {.trace = "b3.trace", .span = "b3.span"};
static const struct pack_datadog_headers dd = {.trace = "dd.trace", .parent = "dd.parent", .priority = "dd.priority"};
#define SCOPE "runtime.bgsweep.f1" /* a constant of the program */
static const char *const scopes[] = {"runtime.bgsweep.f", SCOPE, NULL};
static const struct pack_sdk inside = {.inside = scopes}, outside = {.outside = scopes};
static const struct pack_span definitions[] = {
	{.name = "served", .kind = SPAN_SERVER, .titles = labels, .traceparent = "header", .tracestate = "state",
	 .b3 = "b3", .b3multi = &multi, .datadog = &dd, .connection = &apart, .sdk = &inside},
	{.name = "asked", .kind = SPAN_CLIENT, .titles = labels, .connection = &apart, .sdk = &outside},
	{.name = "done", .kind = SPAN_INTERNAL, .titles = labels},
	{.name = "consumed", .kind = SPAN_CONSUMER, .titles = labels, .traceparent = "header"},
	{.name = "dialled", .kind = SPAN_CLIENT, .titles = labels, .connection = &together},
};
enum what { SERVED, ASKED, DONE, CONSUMED, DIALLED };
enum { OF_START = 100, OF_END = 110, OF_NOTE = 120, OF_FAR_NOTE = 130, OF_SDK = 140 };

/* A span of the SDK in the chain, in trace 0xfa…. */
struct sdk_span {
	uint8_t id;                    /* 0: none */
	uint64_t link, kind;           /* link 0: 1 */
	bool scoped, remote, unsampled;
};

/* What a record says. Zero: nothing, and the slot is absent. */
struct facts {
	uint64_t goid, at_ns, depth;   /* 0: goroutine 1, the next moment, 100 deeper than the last */
	uint32_t target;               /* 0: 1 */
	uint64_t chain[6], other_chain[6];
	struct sdk_span sdk;
	bool no_chain;                 /* an empty one that ends at the root */
	enum event_chain_end end;
	enum slot_status chain_status; /* instead of a chain */
	uint64_t own, creator, pc, goidgen, cache, cache_end;
	const char *header, *state, *local, *remote;
	const char *b3, *b3_trace, *b3_span, *dd_trace, *dd_parent, *dd_priority;
	uint64_t local_port, remote_port, stream;
};

static struct tiny program;
static struct binary *binary;
static uint64_t now_ns, deep;

static uint64_t scope_address(void);

static void sdk_ids(uint8_t id, uint8_t trace[16], uint8_t span[8])
{
	memset(trace, 0xfa, 16);
	memset(span, id, 8);
}

static void put_chain(unsigned slot, const uint64_t *links, enum event_chain_end end, const struct sdk_span *sdk)
{
	struct event_chain_span span = {.flags = sdk->unsampled ? 0x1200 : 0x1201, .remote = sdk->remote,
					.kind = sdk->kind, .link = sdk->link ? sdk->link : 1};
	uint64_t words[7 + sizeof(span) / 8];
	size_t n = 0;

	while (links[n])
		words[n] = links[n], n++;
	words[n++] = end;
	if (sdk->scoped) {
		span.scope = scope_address();
		span.scope_len = strlen(SCOPE);
	}
	if (sdk->id) {
		sdk_ids(sdk->id, span.trace_id, span.span_id);
		memcpy(words + n, &span, sizeof(span));
		n += sizeof(span) / 8;
	}
	record_bytes(&w.r, slot, (const char *)words, n * sizeof(*words), (uint32_t)(n * sizeof(*words)));
}

static void put_word(unsigned slot, uint64_t value)
{
	if (value)
		record_int(&w.r, slot, value);
}

static void put_text(unsigned slot, const char *text)
{
	if (text)
		record_str(&w.r, slot, text);
}

static void tell(uint32_t probe, const char *label, const struct facts *f)
{
	now_ns = f->at_ns ? f->at_ns : now_ns + 1;
	deep = f->depth ? f->depth : deep + 100;
	record_init(&w.r, probe, f->goid ? f->goid : 1, deep, now_ns, F_END);
	record_head(&w.r)->target = f->target ? f->target : 1;
	put_text(F_LABEL, label);
	if (f->chain[0] || f->no_chain)
		put_chain(F_CHAIN, f->chain, f->end, &f->sdk);
	else if (f->chain_status)
		record_status(&w.r, F_CHAIN, f->chain_status, 0, 0);
	if (f->other_chain[0])
		put_chain(F_OTHER_CHAIN, f->other_chain, f->end, &(struct sdk_span){0});
	if (f->own)
		put_chain(F_OWN, (const uint64_t[]){f->own, 0}, CHAIN_TOO_LONG, &(struct sdk_span){0});
	put_word(F_CREATOR, f->creator);
	put_word(F_START_PC, f->pc);
	put_word(F_GOIDGEN, f->goidgen);
	put_word(F_CACHE, f->cache);
	put_word(F_CACHE_END, f->cache_end);
	put_text(F_HEADER, f->header);
	put_text(F_STATE, f->state);
	put_text(F_B3, f->b3);
	put_text(F_B3_TRACE, f->b3_trace);
	put_text(F_B3_SPAN, f->b3_span);
	put_text(F_DD_TRACE, f->dd_trace);
	put_text(F_DD_PARENT, f->dd_parent);
	put_text(F_DD_PRIORITY, f->dd_priority);
	put_text(F_LOCAL, f->local);
	put_text(F_REMOTE, f->remote);
	put_word(F_LOCAL_PORT, f->local_port);
	put_word(F_REMOTE_PORT, f->remote_port);
	put_word(F_STREAM, f->stream);
	send();
}

#define BEGINS(what, label, ...) tell(OF_START + (what), label, &(struct facts){__VA_ARGS__})
#define SDK_BEGAN(...) tell(OF_SDK, NULL, &(struct facts){__VA_ARGS__})
#define NOTED(what, ...) tell(OF_NOTE + (what), NULL, &(struct facts){__VA_ARGS__})
#define NOTED_FAR(what, label, ...) tell(OF_FAR_NOTE + (what), label, &(struct facts){__VA_ARGS__})
#define ENDS(what, ...) tell(OF_END + (what), NULL, &(struct facts){__VA_ARGS__})
/* A call that begins and ends at once. */
#define CALLS(what, label, ...) (BEGINS(what, label, __VA_ARGS__), ENDS(what, __VA_ARGS__))

static void add_facts_probes(void)
{
	static const struct pack_point far_note = {.role = POINT_NOTE, .name = "far", .by_lineage = true};
	static const struct pack_point *const points[] = {&start_point, &end_point, &note_point, &far_note};
	static const struct pack_point sdk_point = {.role = POINT_SDK, .name = "sdk"};

	for (uint32_t i = 0; i < ARRAY_SIZE(points) * ARRAY_SIZE(definitions); i++) {
		uint32_t kind = i / ARRAY_SIZE(definitions), what = i % ARRAY_SIZE(definitions);

		assembler_add_probe(w.a, &(struct assembler_probe){.id = OF_START + 10 * kind + what,
								   .pack = &pack,
								   .span = &definitions[what],
								   .point = points[kind],
								   .variant = &v_facts,
								   .program = &facts_program,
								   .slot_of_item = each,
								   .binary = binary});
	}
	assembler_add_probe(w.a, &(struct assembler_probe){.id = OF_SDK,
							   .pack = &pack,
							   .point = &sdk_point,
							   .variant = &v_facts,
							   .program = &facts_program,
							   .slot_of_item = each,
							   .binary = binary});
}

#define BIAS 0x10000
enum { MINE = 0x400000 + TINY_TEXT, RUNTIMES = MINE + 0x40, SIGNALS = MINE + 0x80 }; /* the program's functions */

static uint64_t scope_address(void)
{
	const char *at = memmem(program.data, sizeof(program.data), SCOPE, sizeof(SCOPE));

	assert_non_null(at);
	return 0x400000 + BIAS + (uint64_t)(at - (const char *)program.data);
}

/* Two processes of one machine, and one in a network of its own. */
static void add_targets(void)
{
	for (uint32_t id = 1; id <= 3; id++)
		assembler_add_target(w.a, &(struct assembler_target){.id = id,
								     .bias = BIAS,
								     .network = id < 3 ? 7 : 8,
								     .resource = &w.resource});
}

static void rename_function(const char *from, const char *to)
{
	char *at = memmem(program.data, sizeof(program.data), from, strlen(from) + 1);

	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
}

static int setup_facts(void **state)
{
	setup(state);
	now_ns = 1000;
	deep = 0;
	tiny_build(&program, (struct tiny_options){0});
	rename_function("main.(*Point).Move", "runtime.bgsweep.f1");
	rename_function("gopkg.in/yaml%2ev3.Load", "os/signal.loop.a.b.c.de");
	binary = open_changed(&program);
	add_facts_probes();
	add_targets();
	return 0;
}

static int teardown_facts(void **state)
{
	teardown(state);
	binary_free(TAKE(binary));
	return 0;
}

static void anew(void **state)
{
	teardown_facts(state);
	setup_facts(state);
}

/* ---- what came of it ---- */

/* The newest that has that label. */
static const struct seen *labelled(const char *label)
{
	char start[64];

	snprintf(start, sizeof(start), "%s unset", label);
	for (size_t i = w.spans.len; i-- > 0;)
		if (!strncmp(w.spans.data[i].text, start, strlen(start)))
			return &w.spans.data[i];
	fail_msg("no span %s", label);
	return NULL;
}

static void is_of(const char *child, const char *parent, enum parent_source source)
{
	const struct span *c = &labelled(child)->span, *p = &labelled(parent)->span;

	assert_string_equal(parent_source_text(c->parent_source), parent_source_text(source));
	assert_int_equal(c->parent, source == PARENT_CONNECTION ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL);
	assert_memory_equal(c->parent_id, p->span_id, 8);
	assert_memory_equal(c->trace_id, p->trace_id, 16);
}

static void is_root(const char *label, enum parent_source source)
{
	const struct span *s = &labelled(label)->span;

	assert_string_equal(parent_source_text(s->parent_source), parent_source_text(source));
	assert_int_equal(s->parent, source == PARENT_NONE ? SPAN_PARENT_NONE : SPAN_PARENT_UNKNOWN);
	for (size_t i = 0; i < w.spans.len; i++)
		if (&w.spans.data[i].span != s)
			assert_memory_not_equal(w.spans.data[i].span.trace_id, s->trace_id, 16);
}

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

#define CLIENT_SIDE .local = "127.0.0.1", .local_port = 40000, .remote = "127.0.0.1", .remote_port = 80
#define SERVER_SIDE .local = "127.0.0.1", .local_port = 80, .remote = "127.0.0.1", .remote_port = 40000

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
	assembler_planted(w.a, 1, 3000);
	CALLS(ASKED, "child", .goid = 3, .at_ns = 3500, .chain = {0xc100});
	CALLS(ASKED, "other child", .target = 2, .goid = 3, .chain = {0xc100});
	ENDS(SERVED, .goid = 1);
	ENDS(SERVED, .target = 2, .goid = 1);
	is_root("child", PARENT_UNKNOWN);
	is_of("other child", "elsewhere", PARENT_CONTEXT);
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

#define F(f) cmocka_unit_test_setup_teardown(f, setup_facts, teardown_facts)

int main(void)
{
	const struct CMUnitTest tests[] = {
		F(pool_worker), F(dead_parent), F(shared_by_a_connection), F(address_used_again), F(address_of_two),
		F(nearest), F(handed_on), F(context_or_goroutine), F(innermost_of_an_ended_one), F(pooled),
		F(chains_without_an_end), F(damaged_chain), F(chain_alternatives), F(many_contexts), F(fan_out),
		F(noted_from_afar),
		F(worker_of_an_earlier_request), F(batches_of_others), F(torn_batch), F(of_the_runtime), F(listeners),
		F(header_and_goroutine), F(bad_header), F(headers_of_others), F(undecided),
		F(over_a_connection), F(forms_of_addresses), F(other_network),
		F(keep_alive), F(given_up), F(pipelined), F(streams), F(sent_again), F(connection_and_header),
		F(known_later), F(known_too_late), F(in_a_circle), F(client_goes), F(records_lost), F(lost_in_between),
		F(record_damaged), F(planted_later),
		F(sdk_or_ours), F(sdk_of_a_header), F(sdk_outside), F(sdk_inside), F(sdk_ignored),
	};

	return cmocka_run_group_tests_name("parents", tests, NULL, NULL);
}
