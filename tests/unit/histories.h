/*
 * Histories of goroutines, told in records, and whose child each span is: what parents_test and parents_remote_test
 * share. Spans go by labels.
 */
#ifndef TESTS_UNIT_HISTORIES_H
#define TESTS_UNIT_HISTORIES_H

#include "unit/assembling.h"
#include "unit/open.h"

/* ---- the packs ---- */

enum { F_LABEL, F_CHAIN, F_OTHER_CHAIN, F_OWN, F_CREATOR, F_START_PC, F_GOIDGEN, F_CACHE, F_CACHE_END, F_HEADER,
       F_B3, F_B3_TRACE, F_B3_SPAN, F_DD_TRACE, F_DD_PARENT, F_DD_PRIORITY, F_STATE, F_OTHER_HEADER, F_OTHER_STATE,
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
	[F_OTHER_HEADER] = {.name = "header", .transform = {.hidden = true}}, /* by another spelling */
	[F_OTHER_STATE] = {.name = "state", .transform = {.hidden = true}},
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
	[F_STATE] = {.kind = VALUE_STRING},     [F_OTHER_HEADER] = {.kind = VALUE_STRING},
	[F_OTHER_STATE] = {.kind = VALUE_STRING}, [F_LOCAL] = {.kind = VALUE_STRING},
	[F_LOCAL_PORT] = {.kind = VALUE_INT},   [F_REMOTE] = {.kind = VALUE_STRING},
	[F_REMOTE_PORT] = {.kind = VALUE_INT},  [F_STREAM] = {.kind = VALUE_INT},
};
static const int each[F_END] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
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
	const char *header, *state, *other_header, *other_state, *local, *remote;
	const char *b3, *b3_trace, *b3_span, *dd_trace, *dd_parent, *dd_priority;
	uint64_t local_port, remote_port, stream;
};

static struct tiny program;
static struct binary *binary;
static uint64_t now_ns, deep;

static inline uint64_t scope_address(void);

static inline void sdk_ids(uint8_t id, uint8_t trace[16], uint8_t span[8])
{
	memset(trace, 0xfa, 16);
	memset(span, id, 8);
}

static inline void put_chain(unsigned slot, const uint64_t *links, enum event_chain_end end, const struct sdk_span *sdk)
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

static inline void put_word(unsigned slot, uint64_t value)
{
	if (value)
		record_int(&w.r, slot, value);
}

static inline void put_text(unsigned slot, const char *text)
{
	if (text)
		record_str(&w.r, slot, text);
}

static inline void tell(uint32_t probe, const char *label, const struct facts *f)
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
	put_text(F_OTHER_HEADER, f->other_header);
	put_text(F_OTHER_STATE, f->other_state);
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

static inline void add_facts_probes(void)
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

static inline uint64_t scope_address(void)
{
	const char *at = memmem(program.data, sizeof(program.data), SCOPE, sizeof(SCOPE));

	assert_non_null(at);
	return 0x400000 + BIAS + (uint64_t)(at - (const char *)program.data);
}

/* Two processes of one machine, and one in a network of its own. */
static inline void add_targets(void)
{
	for (uint32_t id = 1; id <= 3; id++)
		assembler_add_target(w.a, &(struct assembler_target){.id = id,
								     .bias = BIAS,
								     .network = id < 3 ? 7 : 8,
								     .resource = &w.resource});
}

static inline void rename_function(const char *from, const char *to)
{
	char *at = memmem(program.data, sizeof(program.data), from, strlen(from) + 1);

	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
}

static inline int setup_facts(void **state)
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

static inline int teardown_facts(void **state)
{
	teardown(state);
	binary_free(TAKE(binary));
	return 0;
}

static inline void anew(void **state)
{
	teardown_facts(state);
	setup_facts(state);
}

/* The two ends of a connection. */
#define CLIENT_SIDE .local = "127.0.0.1", .local_port = 40000, .remote = "127.0.0.1", .remote_port = 80
#define SERVER_SIDE .local = "127.0.0.1", .local_port = 80, .remote = "127.0.0.1", .remote_port = 40000

/* ---- what came of it ---- */

/* The newest that has that label. */
static inline const struct seen *labelled(const char *label)
{
	char start[64];

	snprintf(start, sizeof(start), "%s unset", label);
	for (size_t i = w.spans.len; i-- > 0;)
		if (!strncmp(w.spans.data[i].text, start, strlen(start)))
			return &w.spans.data[i];
	fail_msg("no span %s", label);
	return NULL;
}

static inline void is_of(const char *child, const char *parent, enum parent_source source)
{
	const struct span *c = &labelled(child)->span, *p = &labelled(parent)->span;

	assert_string_equal(parent_source_text(c->parent_source), parent_source_text(source));
	assert_int_equal(c->parent, source == PARENT_CONNECTION ? SPAN_PARENT_REMOTE : SPAN_PARENT_LOCAL);
	assert_memory_equal(c->parent_id, p->span_id, 8);
	assert_memory_equal(c->trace_id, p->trace_id, 16);
}

static inline void is_root(const char *label, enum parent_source source)
{
	const struct span *s = &labelled(label)->span;

	assert_string_equal(parent_source_text(s->parent_source), parent_source_text(source));
	assert_int_equal(s->parent, source == PARENT_NONE ? SPAN_PARENT_NONE : SPAN_PARENT_UNKNOWN);
	for (size_t i = 0; i < w.spans.len; i++)
		if (&w.spans.data[i].span != s)
			assert_memory_not_equal(w.spans.data[i].span.trace_id, s->trace_id, 16);
}

#define F(f) cmocka_unit_test_setup_teardown(f, setup_facts, teardown_facts)

#endif
