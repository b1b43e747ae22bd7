/*
 * The assembler on records made by hand: what the tests of assemble_test, assemble_attributes_test and
 * assemble_parents_test share. The pack below has two definitions: "request", shaped like a server's (ends at another
 * function's entry, a connection's end that often fires for nothing, a note), and "call", which starts and ends in one
 * function and may recurse. "stream" and "other" are detached.
 */
#ifndef TESTS_UNIT_ASSEMBLING_H
#define TESTS_UNIT_ASSEMBLING_H

#include "base/clock.h"
#include "base/vec.h"
#include "unit/records.h"

enum { P_START = 1, P_END, P_CLOSE, P_NOTE, P_CALL, P_RETURN, P_PANIC, P_UNWIND, P_EXIT, P_OWN, P_OWN_END, P_RULES,
       P_JOIN, P_AGAIN, P_MADE, P_MADE_INNER, P_STREAM, P_DETACH, P_MESSAGE, P_STREAM_END, P_OTHER, P_OTHER_END,
       P_CALLED, P_CALLED_DETACH, P_TIE, P_STREAM_JOIN, P_CALLED_OR_END, P_OUTER, P_OUTER_END, P_INNER, P_INNER_END,
       P_COMPOSED, P_COMPOSED_END, P_PART, P_PART_NOTE, P_PART_END, P_ARM, P_INJECT };
enum { S_METHOD, S_PATH, S_SECURE, S_HOST, S_LENGTH, S_PARENT, S_UPGRADE, S_EMPTY, S_STATE, S_START };
enum { E_STATUS, E_SIZE, E_HEAD, E_ROUTE, E_END };
enum { R_PATH, R_SAME, R_ONCE, R_QUERY, R_PEER, R_NUMBER, R_IP, R_AFTER, R_ESCAPE, R_END };
enum { J_KEY, J_PART, J_END }; /* of a detached span's points, too */
enum { M_OWN, M_PARENT, M_HEADER, M_END };

/* ---- the pack ---- */

static const char *const known[] = {"GET", "POST", NULL};
static const char *const secure_map[] = {"true", "https", "false", "http", NULL};
static const struct pack_capture start_captures[] = {
	{.name = "method",
	 .transform = {.default_value = "GET", .known = known, .other = "_OTHER",
		       .original = "method_original", .title_other = "HTTP"}},
	{.name = "path"},
	{.name = "scheme", .transform = {.map = secure_map}},
	{.name = "host", .transform = {.port_attribute = "port"}},
	{.name = "length", .transform = {.min_set = true, .min = 0}},
	{.name = "parent", .transform = {.hidden = true}},
	{.name = "upgrade", .transform = {.hidden = true}},
	{.name = "note", .transform = {.keep_empty = true}},
	{.name = "state", .transform = {.hidden = true}},
};
static const struct ir_slot start_slots[] = {
	{.name = "method", .kind = VALUE_STRING}, {.name = "path", .kind = VALUE_STRING},
	{.name = "scheme", .kind = VALUE_BOOL},   {.name = "host", .kind = VALUE_STRING},
	{.name = "length", .kind = VALUE_INT},    {.name = "parent", .kind = VALUE_STRING},
	{.name = "upgrade", .kind = VALUE_STRING}, {.name = "note", .kind = VALUE_STRING},
	{.name = "state", .kind = VALUE_STRING},
};
static const struct pack_capture end_captures[] = {
	{.name = "status", .transform = {.default_value = "200"}},
	{.name = "size"},
	{.name = "size", .constant = "0"},
	{.name = "route", .may_be_gone = true, .transform = {.from = "/"}},
};
static const struct ir_slot end_slots[] = {
	{.name = "status", .kind = VALUE_INT}, {.name = "size", .kind = VALUE_INT},
	{.name = "size", .kind = VALUE_INT},   {.name = "route", .kind = VALUE_STRING},
};
static const struct pack_capture note_captures[] = {
	{.name = "route"}, {.name = "ratio"}, {.name = "part", .transform = {.prefix_of = "path"}}};
static const struct ir_slot note_slots[] = {{.name = "route", .kind = VALUE_STRING},
					    {.name = "ratio", .kind = VALUE_FLOAT64},
					    {.name = "part", .kind = VALUE_STRING}};
static const struct pack_capture panic_captures[] = {{.use = USE_PANIC_TYPE, .name = "type"}};
static const struct ir_slot panic_slots[] = {{.name = "type", .kind = VALUE_TYPE}};
static const struct pack_capture unwind_captures[] = {{.use = USE_RECOVERY_PC, .name = "pc"}};
static const struct ir_slot unwind_slots[] = {{.name = "pc", .kind = VALUE_UINT}};

static const char *const same[] = {"escaped", "path", NULL}, *const secret[] = {"sig", "Key", NULL},
	*const nobody[] = {"@", "none", NULL};
static const struct pack_capture rule_captures[] = {
	[R_PATH] = {.name = "escaped", .transform = {.unescape = true}},
	[R_SAME] = {.name = "same", .transform = {.same = same}},
	[R_ONCE] = {.name = "once", .transform = {.unless_known = true}},
	[R_QUERY] = {.name = "query", .transform = {.redact = secret}},
	[R_PEER] = {.name = "peer", .transform = {.drop = nobody, .port_attribute = "peer.port"}},
	[R_NUMBER] = {.name = "number", .constant = "431", .number = true},
	[R_AFTER] = {.name = "after", .transform = {.after = "/"}},
	[R_IP] = {.name = "ip", .transform = {.ip = true}},
	[R_ESCAPE] = {.name = "path", .transform = {.escape = true}},
};
static const struct ir_slot rule_slots[R_END] = {
	[R_PATH] = {.kind = VALUE_STRING},  [R_SAME] = {.kind = VALUE_STRING}, [R_ONCE] = {.kind = VALUE_STRING},
	[R_QUERY] = {.kind = VALUE_STRING}, [R_PEER] = {.kind = VALUE_STRING}, [R_NUMBER] = {.kind = VALUE_STRING},
	[R_AFTER] = {.kind = VALUE_STRING},
	[R_IP] = {.kind = VALUE_STRING},   [R_ESCAPE] = {.kind = VALUE_STRING},
};
static const struct pack_capture join_captures[] = {[J_KEY] = {.name = "length", .transform = {.hidden = true}},
						    [J_PART] = {.name = "part"}};
static const struct ir_slot join_slots[] = {[J_KEY] = {.kind = VALUE_UINT}, [J_PART] = {.kind = VALUE_STRING}};

static const struct pack_capture made_captures[] = {
	[M_OWN] = {.use = USE_CONTEXT}, [M_PARENT] = {.use = USE_PARENT},
	[M_HEADER] = {.name = "parent", .transform = {.hidden = true}}};
static const struct ir_slot made_slots[] = {[M_OWN] = {.kind = VALUE_CONTEXT}, [M_PARENT] = {.kind = VALUE_CONTEXT},
					    [M_HEADER] = {.kind = VALUE_STRING}};

/* Requests that get a trace context: whether it is one, and what came of it; and one that has one already. */
static const struct pack_capture inject_captures[] = {{.use = USE_ARMED}, {.use = USE_INJECT}};
static const struct pack_capture arm_captures[] = {{.use = USE_SAVED, .name = "saved.x"}, {.use = USE_PRESENT}};
static const struct ir_slot two_words[] = {{.kind = VALUE_UINT}, {.kind = VALUE_UINT}};
static const struct pack_variant v_inject = {.captures = inject_captures, .ncaptures = 2};
static const struct pack_variant v_arm = {.captures = arm_captures, .ncaptures = 2};

static const struct pack_variant v_made = {.captures = made_captures, .ncaptures = M_END};
static const struct pack_variant v_rules = {.captures = rule_captures, .ncaptures = R_END};
static const struct pack_variant v_join = {.captures = join_captures, .ncaptures = J_END};
static const struct pack_variant v_join_return = {.captures = join_captures, .ncaptures = J_END, .at_return = true};
static const struct pack_variant v_start = {.captures = start_captures, .ncaptures = S_START};
static const struct pack_variant v_end = {.captures = end_captures, .ncaptures = E_END};
static const struct pack_variant v_note = {.captures = note_captures, .ncaptures = 3};
static const struct pack_variant v_panic = {.captures = panic_captures, .ncaptures = 1};
static const struct pack_variant v_unwind = {.captures = unwind_captures, .ncaptures = 1};
static const struct pack_variant v_bare = {0}, v_return = {.at_return = true};

static const char *const titles[] = {"{method} {route}", "{method}", NULL};
static const struct condition its_status = {.op = CONDITION_ATTRIBUTE, .text = "status", .len = 6},
	five_hundred = {.op = CONDITION_INT, .number = 500},
	its_note = {.op = CONDITION_ATTRIBUTE, .text = "note", .len = 4},
	too_high = {.op = CONDITION_COMPARE, .orders = ORDER_GREATER | ORDER_EQUAL, .a = &its_status,
		    .b = &five_hundred},
	failed = {.op = CONDITION_OR, .a = &too_high, .b = &its_note};
static struct pack_span request = {.name = "request", .kind = SPAN_SERVER, .titles = titles,
				   .error = &failed, .traceparent = "parent", .tracestate = "state", .key = "length",
				   .nested_same = true};
static const struct pack_span call = {.name = "call", .kind = SPAN_INTERNAL};
static const struct pack_span own = {.name = "own", .kind = SPAN_INTERNAL};
static const struct pack_span stream = {.name = "stream", .kind = SPAN_CLIENT, .key = "length", .detached = true,
					.nested_same = true},
	other = {.name = "other", .kind = SPAN_CLIENT, .key = "length", .detached = true};
static const struct pack_span nest = {.name = "nest", .kind = SPAN_CLIENT, .nested_same = true};
/* Its attribute "whole" is put together as the forms say, which the test parses. */
static struct pack_composed whole = {.name = "whole"};
static const struct pack_span composed = {.name = "composed", .kind = SPAN_CLIENT, .composed = &whole, .ncomposed = 1};
static const struct pack pack = {.name = "test"};
static const char *const wholes[] = {"own", "another pack", NULL};
static const struct pack_span its_part = {.name = "part", .kind = SPAN_CLIENT, .part_of = wholes};

static const struct pack_point start_point = {.role = POINT_START}, end_point = {.role = POINT_END},
	close_point = {.role = POINT_END, .may_miss = true, .discard_attribute = "upgrade",
		       .discard_value = "h2c"},
	note_point = {.role = POINT_NOTE}, panic_point = {.role = POINT_PANIC},
	unwind_point = {.role = POINT_UNWIND}, exit_point = {.role = POINT_EXIT},
	own_point = {.role = POINT_START, .recovers = true}, join_point = {.role = POINT_JOIN},
	detach_point = {.role = POINT_DETACH}, tie_point = {.role = POINT_TIE},
	or_end_point = {.role = POINT_DETACH, .or_end = true}, arm_point = {.role = POINT_ARM},
	inject_point = {.role = POINT_INJECT};

static const int identity[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
#define PROGRAM(s) {.slots = (struct ir_slot *)(s), .nslots = ARRAY_SIZE(s)}
static struct capture_program start_program = PROGRAM(start_slots), end_program = PROGRAM(end_slots),
			      note_program = PROGRAM(note_slots), panic_program = PROGRAM(panic_slots),
			      unwind_program = PROGRAM(unwind_slots), rules_program = PROGRAM(rule_slots),
			      join_program = PROGRAM(join_slots), made_program = PROGRAM(made_slots),
			      words_program = PROGRAM(two_words), no_program;

static const struct func call_func = {.entry = 0x1000, .end = 0x1100, .frame_size = 64};
static const struct func own_func = {.entry = 0x2000, .end = 0x2100, .frame_size = 96};

/* ---- what came out ---- */

struct seen {
	char *text, *name, *trace_state;
	struct span span;
	struct span *copy;      /* what its events lie in; or NULL */
};

struct world {
	struct assembler *a;
	VEC(struct seen) spans;
	struct record r;
	struct run_summary sum;
	uint64_t next_random;
	struct resource resource;
	bool keep_nothing;
	const char *const *redact;
	bool ignore_sdk;
};
static struct world w;

static inline void on_span(void *arg, const struct span *s)
{
	struct buf b = {0};
	struct seen seen = {.span = *s};
	size_t bytes;

	if (w.keep_nothing)
		return;
	span_print(s, &b);
	seen.text = buf_take(&b);
	seen.trace_state = s->trace_state ? xstrdup(s->trace_state) : NULL;
	if (s->nevents) {
		seen.copy = span_copy(s, &bytes);
		seen.span.events = seen.copy->events;
	}
	vec_push(&w.spans, seen);
}

static inline uint64_t counting_random(void *arg)
{
	return ++w.next_random;
}

static inline void add_probe(uint32_t id, const struct pack_span *span, const struct pack_point *point,
		      const struct pack_variant *v, const struct capture_program *p, struct func f)
{
	struct assembler_probe probe = {.id = id, .pack = &pack, .span = span, .point = point,
					.variant = v, .program = p, .slot_of_item = identity, .func = f};

	assembler_add_probe(w.a, &probe);
}

static inline void add_probes(void)
{
	struct func none = {0};

	add_probe(P_START, &request, &start_point, &v_start, &start_program, none);
	add_probe(P_END, &request, &end_point, &v_end, &end_program, none);
	add_probe(P_CLOSE, &request, &close_point, &v_bare, &no_program, none);
	add_probe(P_NOTE, &request, &note_point, &v_note, &note_program, none);
	add_probe(P_CALL, &call, &start_point, &v_bare, &no_program, call_func);
	add_probe(P_RETURN, &call, &end_point, &v_return, &no_program, call_func);
	add_probe(P_PANIC, NULL, &panic_point, &v_panic, &panic_program, none);
	add_probe(P_UNWIND, NULL, &unwind_point, &v_unwind, &unwind_program, none);
	add_probe(P_EXIT, NULL, &exit_point, &v_bare, &no_program, none);
	add_probe(P_OWN, &own, &own_point, &v_bare, &no_program, own_func);
	add_probe(P_OWN_END, &own, &end_point, &v_return, &no_program, own_func);
	add_probe(P_RULES, &request, &note_point, &v_rules, &rules_program, none);
	add_probe(P_AGAIN, &request, &note_point, &v_start, &start_program, none);
	add_probe(P_JOIN, &request, &join_point, &v_join, &join_program, none);
	add_probe(P_ARM, &request, &arm_point, &v_arm, &words_program, none);
	add_probe(P_INJECT, &request, &inject_point, &v_inject, &words_program, none);
	add_probe(P_MADE, &request, &start_point, &v_made, &made_program, none);
	add_probe(P_MADE_INNER, &call, &start_point, &v_made, &made_program, call_func);
	add_probe(P_STREAM, &stream, &start_point, &v_join, &join_program, none);
	add_probe(P_DETACH, &stream, &detach_point, &v_join, &join_program, none);
	add_probe(P_MESSAGE, &stream, &note_point, &v_join, &join_program, none);
	add_probe(P_STREAM_END, &stream, &end_point, &v_join, &join_program, none);
	add_probe(P_OTHER, &other, &start_point, &v_join, &join_program, none);
	add_probe(P_OTHER_END, &other, &end_point, &v_join, &join_program, none);
	add_probe(P_CALLED, &stream, &start_point, &v_join, &join_program, own_func);
	add_probe(P_CALLED_DETACH, &stream, &detach_point, &v_join_return, &join_program, own_func);
	add_probe(P_CALLED_OR_END, &stream, &or_end_point, &v_join_return, &join_program, own_func);
	add_probe(P_TIE, &stream, &tie_point, &v_join, &join_program, none);
	add_probe(P_PART, &its_part, &start_point, &v_bare, &no_program, none);
	add_probe(P_PART_NOTE, &its_part, &note_point, &v_join, &join_program, none);
	add_probe(P_PART_END, &its_part, &end_point, &v_bare, &no_program, none);
	add_probe(P_STREAM_JOIN, &stream, &join_point, &v_join, &join_program, none);
	add_probe(P_OUTER_END, &nest, &end_point, &v_return, &no_program, own_func);
	add_probe(P_OUTER, &nest, &start_point, &v_bare, &no_program, own_func);
	add_probe(P_INNER, &nest, &start_point, &v_bare, &no_program, call_func);
	add_probe(P_INNER_END, &nest, &end_point, &v_return, &no_program, call_func);
	add_probe(P_COMPOSED, &composed, &start_point, &v_rules, &rules_program, none);
	add_probe(P_COMPOSED_END, &composed, &end_point, &v_bare, &no_program, none);
}

static inline void begin(double sample, bool parent_based, size_t max_open)
{
	struct assembler_options o = {.emit = on_span, .sample = sample, .max_open = max_open,
				      .sample_parent_based = parent_based, .random = counting_random,
				      .redact = w.redact, .ignore_sdk = w.ignore_sdk};
	struct assembler_target t = {.id = 1, .bias = 0x10000, .resource = &w.resource};

	w.resource = (struct resource){.service = "shop", .pid = 42};
	w.a = assembler_new(&o);
	add_probes();
	assembler_add_target(w.a, &t);
}

static inline int setup(void **state)
{
	memset(&w, 0, sizeof(w));
	begin(1, false, 0);
	return 0;
}

static inline int teardown(void **state)
{
	for (size_t i = 0; i < w.spans.len; i++)
		free(w.spans.data[i].text), free(w.spans.data[i].trace_state), free(w.spans.data[i].copy);
	vec_done(&w.spans);
	assembler_free(w.a);
	return 0;
}

static inline void again(double sample, bool parent_based, size_t max_open)
{
	teardown(NULL);
	memset(&w, 0, sizeof(w));
	begin(sample, parent_based, max_open);
}

static inline void send(void)
{
	assembler_event(w.a, w.r.bytes, w.r.size);
}

static inline void bare(uint32_t probe, uint64_t goid, uint64_t depth, uint64_t ns)
{
	record_init(&w.r, probe, goid, depth, ns, 0);
	send();
}

static inline void start_init(uint64_t goid, uint64_t depth, uint64_t ns)
{
	record_init(&w.r, P_START, goid, depth, ns, S_START);
	record_str(&w.r, S_METHOD, "GET");
	record_str(&w.r, S_PATH, "/x");
}

static inline void start(uint64_t goid, uint64_t depth, uint64_t ns)
{
	start_init(goid, depth, ns);
	send();
}

static inline void end(uint64_t goid, uint64_t depth, uint64_t ns, uint64_t status)
{
	record_init(&w.r, P_END, goid, depth, ns, E_END);
	record_int(&w.r, E_STATUS, status);
	send();
}

static inline void panic_at(uint64_t goid, uint64_t depth)
{
	record_init(&w.r, P_PANIC, goid, depth, 1, 1);
	send();
}

static inline void unwind(uint64_t goid, uint64_t depth, uint64_t ns, uint64_t pc)
{
	record_init(&w.r, P_UNWIND, goid, depth, ns, 1);
	record_int(&w.r, 0, pc);
	send();
}

static inline uint64_t lost(enum loss l)
{
	w.sum = (struct run_summary){0};
	assembler_summary(w.a, &w.sum);
	return w.sum.losses.count[l];
}

static inline uint64_t still_open(void)
{
	lost(0);
	return w.sum.open;
}

static inline const struct span *one(const char *text)
{
	assert_int_equal(w.spans.len, 1);
	assert_string_equal(w.spans.data[0].text, text);
	return &w.spans.data[0].span;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
