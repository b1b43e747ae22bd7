/*
 * The assembler on records made by hand. The pack below has two definitions: "request", shaped like a
 * server's (ends at another function's entry, a connection's end that often fires for nothing, a note),
 * and "call", which starts and ends in one function and may recurse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/vec.h"
#include "unit/records.h"

#include <elf.h>
#include <unistd.h>

enum { P_START = 1, P_END, P_CLOSE, P_NOTE, P_CALL, P_RETURN, P_PANIC, P_UNWIND, P_EXIT, P_OWN, P_OWN_END, P_RULES,
       P_JOIN, P_AGAIN, P_MADE, P_MADE_INNER };
enum { S_METHOD, S_PATH, S_SECURE, S_HOST, S_LENGTH, S_PARENT, S_UPGRADE, S_EMPTY, S_STATE, S_START };
enum { E_STATUS, E_SIZE, E_HEAD, E_ROUTE, E_END };
enum { R_PATH, R_SAME, R_ONCE, R_QUERY, R_PEER, R_NUMBER, R_END };
enum { J_KEY, J_PART, J_END };
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
};
static const struct ir_slot rule_slots[R_END] = {
	[R_PATH] = {.kind = VALUE_STRING},  [R_SAME] = {.kind = VALUE_STRING}, [R_ONCE] = {.kind = VALUE_STRING},
	[R_QUERY] = {.kind = VALUE_STRING}, [R_PEER] = {.kind = VALUE_STRING}, [R_NUMBER] = {.kind = VALUE_STRING},
};
static const struct pack_capture join_captures[] = {[J_KEY] = {.name = "length", .transform = {.hidden = true}},
						    [J_PART] = {.name = "part"}};
static const struct ir_slot join_slots[] = {[J_KEY] = {.kind = VALUE_UINT}, [J_PART] = {.kind = VALUE_STRING}};

static const struct pack_capture made_captures[] = {
	[M_OWN] = {.use = USE_CONTEXT}, [M_PARENT] = {.use = USE_PARENT},
	[M_HEADER] = {.name = "parent", .transform = {.hidden = true}}};
static const struct ir_slot made_slots[] = {[M_OWN] = {.kind = VALUE_CONTEXT}, [M_PARENT] = {.kind = VALUE_CONTEXT},
					    [M_HEADER] = {.kind = VALUE_STRING}};

static const struct pack_variant v_made = {.captures = made_captures, .ncaptures = M_END};
static const struct pack_variant v_rules = {.captures = rule_captures, .ncaptures = R_END};
static const struct pack_variant v_join = {.captures = join_captures, .ncaptures = J_END};
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
static const struct pack pack = {.name = "test"};

static const struct pack_point start_point = {.role = POINT_START}, end_point = {.role = POINT_END},
	close_point = {.role = POINT_END, .may_miss = true, .discard_attribute = "upgrade",
		       .discard_value = "h2c"},
	note_point = {.role = POINT_NOTE}, panic_point = {.role = POINT_PANIC},
	unwind_point = {.role = POINT_UNWIND}, exit_point = {.role = POINT_EXIT},
	own_point = {.role = POINT_START, .recovers = true}, join_point = {.role = POINT_JOIN};

static const int identity[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
#define PROGRAM(s) {.slots = (struct ir_slot *)(s), .nslots = ARRAY_SIZE(s)}
static struct capture_program start_program = PROGRAM(start_slots), end_program = PROGRAM(end_slots),
			      note_program = PROGRAM(note_slots), panic_program = PROGRAM(panic_slots),
			      unwind_program = PROGRAM(unwind_slots), rules_program = PROGRAM(rule_slots),
			      join_program = PROGRAM(join_slots), made_program = PROGRAM(made_slots), no_program;

static const struct func call_func = {.entry = 0x1000, .end = 0x1100, .frame_size = 64};
static const struct func own_func = {.entry = 0x2000, .end = 0x2100, .frame_size = 96};

/* ---- what came out ---- */

struct seen {
	char *text, *name, *trace_state;
	struct span span;
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
};
static struct world w;

static void on_span(void *arg, const struct span *s)
{
	struct buf b = {0};
	struct seen seen = {.span = *s};

	if (w.keep_nothing)
		return;
	span_print(s, &b);
	seen.text = buf_take(&b);
	seen.trace_state = s->trace_state ? xstrdup(s->trace_state) : NULL;
	vec_push(&w.spans, seen);
}

static uint64_t counting_random(void *arg)
{
	return ++w.next_random;
}

static void add_probe(uint32_t id, const struct pack_span *span, const struct pack_point *point,
		      const struct pack_variant *v, const struct capture_program *p, struct func f)
{
	struct assembler_probe probe = {.id = id, .pack = &pack, .span = span, .point = point,
					.variant = v, .program = p, .slot_of_item = identity, .func = f};

	assembler_add_probe(w.a, &probe);
}

static void add_probes(void)
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
	add_probe(P_MADE, &request, &start_point, &v_made, &made_program, none);
	add_probe(P_MADE_INNER, &call, &start_point, &v_made, &made_program, call_func);
}

static void begin(double sample, bool parent_based, size_t max_open)
{
	struct assembler_options o = {.emit = on_span, .sample = sample, .max_open = max_open,
				      .sample_parent_based = parent_based, .random = counting_random,
				      .redact = w.redact};
	struct assembler_target t = {.id = 1, .bias = 0x10000, .resource = &w.resource};

	w.resource = (struct resource){.service = "shop", .pid = 42};
	w.a = assembler_new(&o);
	add_probes();
	assembler_add_target(w.a, &t);
}

static int setup(void **state)
{
	memset(&w, 0, sizeof(w));
	begin(1, false, 0);
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < w.spans.len; i++)
		free(w.spans.data[i].text), free(w.spans.data[i].trace_state);
	vec_done(&w.spans);
	assembler_free(w.a);
	return 0;
}

static void again(double sample, bool parent_based, size_t max_open)
{
	teardown(NULL);
	memset(&w, 0, sizeof(w));
	begin(sample, parent_based, max_open);
}

static void send(void)
{
	assembler_event(w.a, w.r.bytes, w.r.size);
}

static void bare(uint32_t probe, uint64_t goid, uint64_t depth, uint64_t ns)
{
	record_init(&w.r, probe, goid, depth, ns, 0);
	send();
}

static void start_init(uint64_t goid, uint64_t depth, uint64_t ns)
{
	record_init(&w.r, P_START, goid, depth, ns, S_START);
	record_str(&w.r, S_METHOD, "GET");
	record_str(&w.r, S_PATH, "/x");
}

static void start(uint64_t goid, uint64_t depth, uint64_t ns)
{
	start_init(goid, depth, ns);
	send();
}

static void end(uint64_t goid, uint64_t depth, uint64_t ns, uint64_t status)
{
	record_init(&w.r, P_END, goid, depth, ns, E_END);
	record_int(&w.r, E_STATUS, status);
	send();
}

static void panic_at(uint64_t goid, uint64_t depth)
{
	record_init(&w.r, P_PANIC, goid, depth, 1, 1);
	send();
}

static void unwind(uint64_t goid, uint64_t depth, uint64_t ns, uint64_t pc)
{
	record_init(&w.r, P_UNWIND, goid, depth, ns, 1);
	record_int(&w.r, 0, pc);
	send();
}

static uint64_t lost(enum loss l)
{
	w.sum = (struct run_summary){0};
	assembler_summary(w.a, &w.sum);
	return w.sum.losses.count[l];
}

static uint64_t still_open(void)
{
	lost(0);
	return w.sum.open;
}

static const struct span *one(const char *text)
{
	assert_int_equal(w.spans.len, 1);
	assert_string_equal(w.spans.data[0].text, text);
	return &w.spans.data[0].span;
}

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

/* ---- attributes ---- */

static void attributes(void **state)
{
	start_init(1, 500, 10);
	record_int(&w.r, S_SECURE, 1);
	record_str(&w.r, S_HOST, "shop.example:8443");
	record_int(&w.r, S_LENGTH, 12);
	record_str(&w.r, S_EMPTY, "");
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_int(&w.r, E_STATUS, 404);
	record_int(&w.r, E_SIZE, 19);
	record_str(&w.r, E_ROUTE, "GET shop.example/x/{id}");
	send();
	one("GET /x/{id} unset {method=GET path=/x scheme=https host=shop.example port=#8443 length=#12 "
	    "note= status=#404 size=#19 route=/x/{id}}");
}

static void nothing_is_no_attribute(void **state)
{
	record_init(&w.r, P_START, 1, 500, 10, S_START);
	record_str(&w.r, S_METHOD, "");
	record_str(&w.r, S_PATH, "");
	record_int(&w.r, S_LENGTH, (uint64_t)-1);
	record_status(&w.r, S_HOST, SLOT_NIL, 0, 0);
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_status(&w.r, E_STATUS, SLOT_UNREADABLE, 0, 0); /* no default for what is not known */
	record_int(&w.r, E_HEAD, 1);
	record_str(&w.r, E_ROUTE, "no slash");
	send();
	one("GET unset {method=GET size=#0}");
}

static void unknown_method(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_METHOD, "BREW");
	send();
	record_init(&w.r, P_END, 1, 500, 20, E_END);
	record_str(&w.r, E_ROUTE, "/pot");
	send();
	one("HTTP /pot unset {method=_OTHER method_original=BREW path=/x route=/pot}");
}

static void hosts(void **state)
{
	static const char *const cases[][2] = {
		{"a:80", "host=a port=#80"},
		{"a", "host=a"},
		{"[::1]:8080", "host=::1 port=#8080"},
		{"[::1]", "host=::1"},
		{"[fe80::1%eth0]:1", "host=fe80::1%eth0 port=#1"},
		{"::1", "host=::1"},
		{"a:", "host=a:"},
		{"a:http", "host=a:http"},
		{"a:65536", "host=a:65536"},
		{"a:99999999999999999999", "host=a:99999999999999999999"},
		{"[::1", "host=[::1"},
		{"[::1]x:80", "host=[::1]x:80"},
		{":80", "port=#80"},
		{"@", "host=@"},
	};
	char want[200];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start_init(1, 500, 10);
		record_str(&w.r, S_HOST, cases[i][0]);
		send();
		end(1, 500, 20, 200);
		snprintf(want, sizeof(want), "GET unset {method=GET path=/x %s status=#200}",
			 cases[i][1]);
		one(i == 12 ? "GET unset {method=GET path=/x status=#200}" : want);
	}
}

static void cut_string(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_PATH, "/long", 5, 70000);
	send();
	end(1, 500, 20, 200);
	one("GET unset {method=GET path=/long earshot.truncated.path=#70000 status=#200}");
}

/* No room was left in the record: nothing of the value, but that there was one. */
static void cut_to_nothing(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_METHOD, "", 0, 3);
	record_bytes(&w.r, S_PATH, "", 0, 90);
	send();
	end(1, 500, 20, 200);
	one("HTTP unset {method=_OTHER method_original= earshot.truncated.method_original=#3 path= "
	    "earshot.truncated.path=#90 status=#200}");
}

/* What a value brought along goes with it: how long it was, what it was before it became another, its port. */
static void replaced_whole(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_METHOD, "BREWBREW", 8, 6000);
	record_bytes(&w.r, S_PATH, "/long", 5, 70000);
	record_str(&w.r, S_HOST, "shop:8080");
	send();
	for (unsigned i = 0; i < 3; i++) {
		record_init(&w.r, P_AGAIN, 1, 600, 15, S_START);
		record_bytes(&w.r, S_METHOD, "BREWBREWBREW", 12, i == 1 ? 6000 : 12);
		record_bytes(&w.r, S_PATH, "/long/er", 8, i == 1 ? 70000 : 8);
		record_str(&w.r, S_HOST, i == 1 ? "shop:8080" : "store");
		send();
	}
	end(1, 500, 20, 200);
	one("HTTP unset {method=_OTHER method_original=BREWBREWBREW path=/long/er host=store status=#200}");
}

static void error_from_status(void **state)
{
	start(1, 500, 10);
	end(1, 500, 20, 499);
	start(1, 500, 30);
	end(1, 500, 40, 500);
	assert_string_equal(w.spans.data[0].text, "GET unset {method=GET path=/x status=#499}");
	assert_string_equal(w.spans.data[1].text,
			    "GET error {method=GET path=/x status=#500 error.type=500}");
	assert_null(w.spans.data[1].span.status_text);
}

/* Without a value of its own, error.type is what made it an error. */
static void error_from_another(void **state)
{
	start_init(1, 500, 10);
	record_str(&w.r, S_EMPTY, "broken");
	send();
	end(1, 500, 20, 204);
	one("GET error {method=GET path=/x note=broken status=#204 error.type=broken}");
}

static void notes(void **state)
{
	double ratio = 0.25;
	uint64_t bits;

	memcpy(&bits, &ratio, sizeof(bits));
	record_init(&w.r, P_NOTE, 1, 500, 5, 2);
	record_str(&w.r, 0, "/early");
	send(); /* no span: no word */
	start(1, 500, 10);
	for (int i = 0; i < 3; i++) {
		record_init(&w.r, P_NOTE, 1, 600, 15, 2);
		record_str(&w.r, 0, i == 0 ? "/a" : i == 1 ? "/a/longer/one" : "/b");
		record_int(&w.r, 1, bits);
		send();
	}
	record_init(&w.r, P_NOTE, 2, 600, 15, 2);
	record_str(&w.r, 0, "/other goroutine");
	send();
	end(1, 500, 20, 200);
	one("GET /b unset {method=GET path=/x route=/b ratio=0.25 status=#200}");
	assert_int_equal(lost(LOSS_UNPAIRED_END), 0);
}

static void route_is(uint8_t status, uint32_t probe, size_t slot, size_t slots)
{
	record_init(&w.r, probe, 1, 500, 20, slots);
	if (status == SLOT_OK)
		record_str(&w.r, slot, "/a");
	else
		record_status(&w.r, slot, status, 0, 0);
	send();
}

/* What cannot be read is lost, except where it may be gone and the attribute is known. */
static void gone(void **state)
{
	static const struct {
		uint8_t note, note_again, end;
		uint64_t lost;
		const char *span;
	} cases[] = {
		{SLOT_OK, SLOT_ABSENT, SLOT_UNREADABLE, 0, "GET /a unset {method=GET path=/x route=/a}"},
		{SLOT_ABSENT, SLOT_ABSENT, SLOT_UNREADABLE, 1, "GET unset {method=GET path=/x}"},
		{SLOT_OK, SLOT_UNREADABLE, SLOT_ABSENT, 1, "GET /a unset {method=GET path=/x route=/a}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		again(1, false, 0);
		start(1, 500, 10);
		route_is(cases[i].note, P_NOTE, 0, 1);
		route_is(cases[i].note_again, P_NOTE, 0, 1);
		route_is(cases[i].end, P_END, E_ROUTE, E_END);
		one(cases[i].span);
		assert_int_equal(lost(LOSS_VALUE_UNREADABLE), cases[i].lost);
	}
}

static void prefix_of_another(void **state)
{
	static const char *const parts[] = {"/inner", "/outer/inner/more", "/outer/", "/outer/in", "/outer/x",
					   "/outer/{id}", "/in/{id}"};

	start_init(1, 500, 10);
	record_str(&w.r, S_PATH, "/outer/inner");
	send();
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		record_init(&w.r, P_NOTE, 1, 600, 15, 3);
		record_str(&w.r, 2, parts[i]);
		send();
	}
	end(1, 500, 20, 200);
	one("GET unset {method=GET path=/outer/inner part=/outer/{id} status=#200}");
}

/* The attribute that a rule makes of a text of which `full` bytes are the program's, or "-". */
static const char *rule_gives(unsigned rule, const char *text, size_t full, const char *path)
{
	static char got[600];
	const char *at;

	start_init(1, 500, 10);
	record_str(&w.r, S_PATH, path);
	send();
	record_init(&w.r, P_RULES, 1, 600, 15, R_END);
	if (rule == R_SAME)
		record_str(&w.r, R_SAME, "kept");
	record_bytes(&w.r, rule == R_SAME ? R_PATH : rule, text, strlen(text), (uint32_t)full);
	send();
	end(1, 500, 20, 0);
	snprintf(got, sizeof(got), " %s=", rule_captures[rule].name);
	at = strstr(w.spans.data[w.spans.len - 1].text, got);
	if (!at)
		return "-";
	snprintf(got, sizeof(got), "%s", strchr(at, '=') + 1);
	got[strcspn(got, " }")] = '\0';
	return got;
}

static void unescaped(void **state)
{
	static const char *const cases[][2] = {{"/a%20b", "/a"}, {"/%E2%82%AC", "/€"}, {"/%2f%2F%zz%4", "///%zz%4"},
					       {"/a+b", "/a+b"}, {"", "-"}, {"%", "%"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_PATH, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
	/* an escape that the cut went through is not there */
	assert_string_equal(rule_gives(R_PATH, "/a%4", 100, "/x"), "/a");
	assert_string_equal(rule_gives(R_PATH, "/a%", 100, "/x"), "/a");
}

static void same_as_another(void **state)
{
	static const struct {
		const char *text;
		size_t full;
		const char *path, *want;
	} cases[] = {
		{"/x", 2, "/x", "kept"},       {"/y", 2, "/x", "-"},	    {"/x/", 3, "/x", "-"},
		{"/%78", 4, "/x", "kept"},     {"/long", 900, "/long/er", "kept"}, {"/long", 900, "/lo", "-"},
		{"/lang", 900, "/long/er", "-"}, {"/x", 2, "", "kept"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_SAME, cases[i].text, cases[i].full, cases[i].path), cases[i].want);
}

static void unless_known(void **state)
{
	start(1, 500, 10);
	for (int i = 0; i < 2; i++) {
		record_init(&w.r, P_RULES, 1, 600, 15, R_END);
		record_str(&w.r, R_ONCE, i ? "second" : "first");
		send();
	}
	end(1, 500, 20, 0);
	one("GET unset {method=GET path=/x once=first status=#200}");
}

static void redacted(void **state)
{
	static const char *const cases[][2] = {
		{"sig=1", "sig=REDACTED"}, {"a=1&sig=2&b=3", "a=1&sig=REDACTED&b=3"}, {"sig", "sig"},
		{"sig=", "sig=REDACTED"},
		{"SIG=1&key=2&sigs=3&xsig=4", "SIG=1&key=2&sigs=3&xsig=4"},
		{"Key=1&Key=2", "Key=REDACTED&Key=REDACTED"},
		{"%73%69g=1&s+ig=2&sig%20=3", "%73%69g=REDACTED&s+ig=2&sig%20=3"}, {"a=sig=1", "a=sig=1"},
		{"sig=a;b=c&d", "sig=REDACTED&d"}, {"a;sig=1;b&c", "a;sig=REDACTED&c"},
		{"&&sig=&=&", "&&sig=REDACTED&=&"},
		{"=sig", "=sig"}, {"a=%", "a=%"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_QUERY, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
	assert_string_equal(rule_gives(R_QUERY, "a=1&sig=secre", 900, "/x"), "a=1&sig=REDACTED");
	assert_non_null(strstr(w.spans.data[w.spans.len - 1].text, "earshot.truncated.query=#900"));
}

static void redacted_by_the_user(void **state)
{
	static const char *const chosen[] = {"q", NULL}, *const none[] = {NULL};

	teardown(NULL);
	memset(&w, 0, sizeof(w));
	w.redact = chosen;
	begin(1, false, 0);
	assert_string_equal(rule_gives(R_QUERY, "q=1&sig=2", 9, "/x"), "q=REDACTED&sig=2");
	teardown(NULL);
	memset(&w, 0, sizeof(w));
	w.redact = none;
	begin(1, false, 0);
	assert_string_equal(rule_gives(R_QUERY, "q=1&sig=2", 9, "/x"), "q=1&sig=2");
}

static void peers(void **state)
{
	static const char *const cases[][2] = {{"@", "-"}, {"none", "-"}, {"@a:1", "@a:1"}, {"/tmp/a:80", "/tmp/a:80"},
					       {"10.0.0.1:80", "10.0.0.1"}, {"[::1]:80", "::1"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(rule_gives(R_PEER, cases[i][0], strlen(cases[i][0]), "/x"), cases[i][1]);
}

static void constant_number(void **state)
{
	start(1, 500, 10);
	record_init(&w.r, P_RULES, 1, 600, 15, R_END);
	record_int(&w.r, R_NUMBER, 0);
	send();
	end(1, 500, 20, 0);
	one("GET unset {method=GET path=/x number=#431 status=#200}");
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

/* A goroutine with a span of its own notes that one; a later goroutine takes the place of an earlier one. */
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
	assert_string_equal(w.spans.data[0].text, "GET /two unset {method=GET path=/x route=/two status=#200}");
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
	}
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

/* ---- with a real binary ---- */

static struct binary *any_binary(void)
{
	const char *cache = getenv("EARSHOT_CACHE");
	static const char *const names[] = {"httpd-go1.26-plain", "httpd-go1.24-plain", "httpd-go1.22-sw",
					    "httpd-go1.19-plain"};
	struct binary *b = NULL;
	struct err err;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(names) && !b; i++) {
		snprintf(path, sizeof(path), "%s/bin/%s", cache ? cache : "/var/cache/earshot", names[i]);
		if (access(path, R_OK) == 0)
			binary_open(path, &b, &err);
	}
	if (!b)
		print_message("skipped: no httpd-go1.* under %s/bin\n", cache ? cache : "/var/cache/earshot");
	return b;
}

static void with_binary(uint32_t id, struct binary *b)
{
	struct assembler_probe p = {.id = id, .pack = &pack, .slot_of_item = identity, .binary = b};

	p.span = id == P_PANIC ? NULL : &request;
	p.point = id == P_PANIC ? &panic_point : &start_point;
	p.variant = id == P_PANIC ? &v_panic : &v_start;
	p.program = id == P_PANIC ? &panic_program : &start_program;
	assembler_add_probe(w.a, &p);
}

static void panic_type_by_name(void **state)
{
	_cleanup_(cleanup_binary) struct binary *b = any_binary();
	const struct type *t, *p;

	if (!b)
		skip();
	t = binary_type(b, "errors.errorString");
	p = t ? binary_type_pointer_to(b, t) : NULL;
	if (!p || !p->rtype)
		skip();
	with_binary(P_PANIC, b);
	start(1, 500, 10);
	record_init(&w.r, P_PANIC, 1, 1200, 20, 1);
	record_int(&w.r, 0, p->rtype + 0x10000);
	send();
	bare(P_CLOSE, 1, 1500, 40);
	one("GET error [panic] {method=GET path=/x error.type=*errors.errorString}");
}

/* Bytes of a read-only segment are taken from the file; of a writable one they are not. */
static void literal_from_the_file(void **state)
{
	_cleanup_(cleanup_binary) struct binary *b = any_binary();
	const struct image *img = b ? binary_image(b) : NULL;
	const struct image_segment *seg = NULL, *data = NULL;
	struct buf want = {0};
	uint64_t at;

	if (!b)
		skip();
	for (size_t i = 0; i < img->nsegments; i++)
		*(img->segments[i].flags & PF_W ? &data : &seg) = &img->segments[i];
	for (at = seg->vaddr; strnlen(image_at(img, at, 5000), 4) < 4; at += 8)
		;
	with_binary(P_START, b);
	start_init(1, 500, 10);
	record_status(&w.r, S_PATH, SLOT_NOT_RESIDENT, at + 0x10000, 5000);
	record_status(&w.r, S_HOST, SLOT_NOT_RESIDENT, data->vaddr + 0x10000, 5);
	record_status(&w.r, S_UPGRADE, SLOT_NOT_RESIDENT, UINT64_MAX, 5);
	send();
	end(1, 500, 20, 200);
	assert_int_equal(w.spans.len, 1);
	buf_printf(&want, "GET unset {method=GET path=");
	assert_memory_equal(w.spans.data[0].text, want.data, want.len);
	assert_memory_equal(w.spans.data[0].text + want.len, image_at(img, at, 4), 4);
	assert_non_null(strstr(w.spans.data[0].text, "earshot.truncated.path=#5000"));
	assert_null(strstr(w.spans.data[0].text, "host="));
	assert_int_equal(lost(LOSS_VALUE_UNREADABLE), 2);
	buf_done(&want);
}

/* Of a string that could be read up to the end of a page that is shown, as one that is cut; and counted. */
static void part_of_a_string(void **state)
{
	start_init(1, 500, 10);
	record_bytes(&w.r, S_PATH, "\1\2\3\4\5\6\7\0/products", 17, 90);
	record_slot(&w.r, S_PATH)->status = SLOT_NOT_RESIDENT;
	record_slot(&w.r, S_PATH)->value += 8;
	record_slot(&w.r, S_PATH)->copied -= 8;
	send();
	end(1, 500, 20, 200);
	assert_int_equal(w.spans.len, 1);
	assert_non_null(strstr(w.spans.data[0].text, "path=/products earshot.truncated.path=#90"));
	assert_int_equal(lost(LOSS_VALUE_UNREADABLE), 1);
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pairs), T(goroutines_apart), T(no_goroutine), T(recursion), T(return_without_start),
		T(return_lost), T(stale_start), T(nested_is_the_same), T(unpaired_ends), T(open_limit),
		T(open_limit_of_one), T(starts_add_up), T(parents_across_definitions), T(inner_left_open),
		T(panic_recovered_outside), T(panic_recovered_inside), T(panic_recovered_unseen),
		T(end_within_panic), T(call_during_panic), T(panic_within_panic), T(many_panics),
		T(unwind_without_panic_record), T(recovers_in_own_frame), T(recovers_in_another_frame),
		T(not_one_that_recovers), T(other_goroutine_panics), T(goexit), T(process_exits),
		T(process_dies_of_a_panic), T(observation_ends), T(attributes),
		T(nothing_is_no_attribute), T(unknown_method), T(hosts), T(cut_string), T(cut_to_nothing),
		T(replaced_whole), T(error_from_status), T(error_from_another), T(notes), T(gone), T(prefix_of_another),
		T(unescaped),
		T(same_as_another), T(unless_known), T(redacted), T(redacted_by_the_user), T(peers), T(constant_number),
		T(joined), T(joined_once), T(key_used_again), T(discard), T(incoming_trace),
		T(incoming_state), T(incoming_state_cut), T(parent_not_read), T(own_ids),
		T(own_ids_are_sampled_already), T(own_ids_damaged), T(given_parents), T(no_parent_given),
		T(own_ids_in_another_trace), T(lineage), T(lineage_comes_last), T(lineage_by_epoch), T(lineage_twice),
		T(lineage_is_bounded), T(invalid_incoming_trace),
		T(sampling_follows_the_parent), T(sampling_none),
		T(ids_of_the_system), T(damaged_records), T(panic_type_by_name),
		T(literal_from_the_file), T(part_of_a_string), T(speed),
	};

	return cmocka_run_group_tests_name("assemble", tests, NULL, NULL);
}
