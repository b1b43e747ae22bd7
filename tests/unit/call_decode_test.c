#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/value_stub.h"

#include "base/clock.h"
#include "call/decode.h"
#include "unit/records.h"

enum { ENTRY = 10, RETURN = 11, COUNT = 12, STRANGER = 99, HOOK = 50 };

static const struct ir_slot entry_slots[] = {
	{.name = "user", .kind = VALUE_STRING}, {.name = "n", .kind = VALUE_INT},
	{.name = "stack", .kind = VALUE_STACK}};
static const struct ir_slot ret_slots[] = {{.name = "err", .kind = VALUE_INT}};
static const struct shown shown[] = {
	{.name = "user", .kind = SHOWN_ARG, .at_entry = true, .slot = 0},
	{.name = "n", .kind = SHOWN_ARG, .at_entry = true, .slot = 1},
	{.name = "f", .kind = SHOWN_ARG, .at_entry = true, .slot = -1, .why = "it is in an XMM register"},
	{.name = "err", .kind = SHOWN_RESULT, .slot = 0},
};
static const struct call_plan plan = {
	.name = "main.f", .has_return = true, .prints = true, .shown = shown, .nshown = 4, .stack_slot = 2,
	.entry = {.slots = (struct ir_slot *)entry_slots, .nslots = 3},
	.ret = {.slots = (struct ir_slot *)ret_slots, .nslots = 1},
};
static const struct resource shop = {.id = 1, .pid = 4711, .name = "shop"};
static const struct call_process process = {.resource = &shop};

static struct call_decoder *decoder;
static struct buf got;

static void print_call(void *arg, const struct call_record *c)
{
	static const char *const ends[] = {"returned", "panicked", "open", "exited", "point"};
	int64_t start = (int64_t)(c->start_unix_ns - c->start_ns) - clock_wall_offset_ns();

	assert_true(start > -1000000000 && start < 1000000000); /* clocks are adjusted meanwhile */
	assert_ptr_equal(arg, &got);
	buf_printf(&got, "%s %s[%d] %s start %" PRIu64 " took %" PRIu64 " goid %" PRIu64 " depth %" PRIu64,
		   c->function->name, c->resource->name, c->resource->pid, ends[c->end], c->start_ns,
		   c->duration_ns, c->goid, c->depth);
	for (size_t i = 0; i < c->nvalues; i++) {
		buf_printf(&got, " %s=", c->values[i].name);
		if (c->values[i].value.form == FORM_UNREADABLE && !c->values[i].value.text)
			buf_str(&got, "-");
		else
			value_print(&c->values[i].value, &got);
	}
	for (size_t i = 0; i < c->nstack; i++)
		buf_printf(&got, "%s%" PRIx64, i ? "," : " at ", c->stack[i]);
	buf_str(&got, c->stack_cut ? "… |" : "|");
}

static int set_up(void **state)
{
	decoder = call_decoder_new(&(struct call_decoder_options){.emit = print_call, .arg = &got});
	call_decoder_add_plan(decoder, &plan, NULL, ENTRY, RETURN);
	call_decoder_add_process(decoder, &process);
	got = (struct buf){0};
	return 0;
}

static int tear_down(void **state)
{
	call_decoder_free(decoder);
	buf_done(&got);
	return 0;
}

static uint64_t lost(enum loss l)
{
	struct run_summary sum = {0};

	call_decoder_losses(decoder, &sum);
	return sum.losses.count[l];
}

static struct record entry_record(uint8_t kind)
{
	const uint64_t stack[] = {0x1002, 0x1003};
	struct record r;

	record_init(&r, ENTRY, 17, 0x200, 1000, 3);
	record_head(&r)->kind = kind;
	record_str(&r, 0, "alice");
	record_int(&r, 1, 3);
	record_bytes(&r, 2, (const char *)stack, 16, 24);
	return r;
}

static struct record end_record(uint8_t kind, uint32_t probe, uint16_t slots)
{
	struct record r;

	record_init(&r, probe, 17, 0x200, 1450, slots);
	record_head(&r)->kind = kind;
	if (slots)
		record_int(&r, 0, 7);
	return r;
}

/* The end first, as planters write it. */
static struct record sample_of(const struct record *end, const struct record *call)
{
	struct record r = *end;

	memcpy(r.bytes + end->size, call->bytes, call->size);
	r.size += call->size;
	return r;
}

static void give(const struct record *r)
{
	call_decoder_sample(decoder, r->bytes, r->size);
}

static void expect(const char *text)
{
	assert_string_equal(got.data ? got.data : "", text);
}

static void a_call_that_returns(void **state)
{
	struct record call = entry_record(EVENT_CALL), end = end_record(EVENT_RETURN, RETURN, 1);
	struct record sample = sample_of(&end, &call);
	struct run_summary sum = {.events = 5};

	give(&sample);
	expect("main.f shop[4711] returned start 1000 took 450 goid 17 depth 512 user=\"alice\" n=3 "
	       "f=<it is in an XMM register> err=7 at 1002,1003… |");
	call_decoder_losses(decoder, &sum);
	assert_int_equal(sum.events, 6);
	assert_int_equal(sum.losses.count[LOSS_BAD_RECORD], 0);
}

/* The unwinding is a program of its own, with a number that no plan has. */
static void a_call_that_panics(void **state)
{
	struct record call = entry_record(EVENT_CALL), end = end_record(EVENT_UNWOUND, HOOK, 0);
	struct record sample = sample_of(&end, &call);

	give(&sample);
	expect("main.f shop[4711] panicked start 1000 took 450 goid 17 depth 512 user=\"alice\" n=3 "
	       "f=<it is in an XMM register> err=- at 1002,1003… |");
}

/* A condition on a result is not met by a call that has none; one on the latency is tested here. */
static void a_condition_at_the_end(void **state)
{
	static struct ir_insn insns[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_LATENCY, .dst = 0},
		{.op = IR_SAVED, .dst = 1, .imm = 0},
		{.op = IR_BIN, .bin = BIN_UGT, .dst = 2, .a = 0, .b = 1},
		{.op = IR_FILTER, .a = 2},
		{.op = IR_END},
	};
	struct call_plan late = plan, unmet = plan;
	struct record call = entry_record(EVENT_CALL), end = end_record(EVENT_UNWOUND, HOOK, 0), sample;

	late.panicked = late.open = (struct plan_ending){
		.is = END_TESTED, .test = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .nregs = 3}};
	late.carried_slots[0] = 1;
	unmet.panicked.is = unmet.open.is = END_LEFT_OUT;
	call_decoder_add_plan(decoder, &late, NULL, 20, 21);
	call_decoder_add_plan(decoder, &unmet, NULL, 30, 31);
	record_head(&call)->probe = 30;
	sample = sample_of(&end, &call);
	give(&sample);
	call_decoder_open(decoder, call.bytes, call.size, CALL_OPEN, 5000);
	expect("");
	record_head(&call)->probe = 20;
	record_int(&call, 1, 450);
	sample = sample_of(&end, &call);
	give(&sample);
	expect("");
	record_int(&call, 1, 449);
	sample = sample_of(&end, &call);
	give(&sample);
	call_decoder_open(decoder, call.bytes, call.size, CALL_OPEN, 1449);
	expect("main.f shop[4711] panicked start 1000 took 450 goid 17 depth 512 user=\"alice\" n=449 "
	       "f=<it is in an XMM register> err=- at 1002,1003… |");
	assert_int_equal(lost(LOSS_BAD_RECORD), 0);
}

static void a_point(void **state)
{
	struct record r = entry_record(EVENT_POINT);

	give(&r);
	expect("main.f shop[4711] point start 1000 took 0 goid 17 depth 512 user=\"alice\" n=3 "
	       "f=<it is in an XMM register> err=- at 1002,1003… |");
}

static void open_calls(void **state)
{
	struct record r = entry_record(EVENT_CALL);

	call_decoder_open(decoder, r.bytes, r.size, CALL_OPEN, 5000);
	call_decoder_open(decoder, r.bytes, r.size, CALL_EXITED, 900); /* clocks of two CPUs: never negative */
	expect("main.f shop[4711] open start 1000 took 4000 goid 17 depth 512 user=\"alice\" n=3 "
	       "f=<it is in an XMM register> err=- at 1002,1003… |"
	       "main.f shop[4711] exited start 1000 took 0 goid 17 depth 512 user=\"alice\" n=3 "
	       "f=<it is in an XMM register> err=- at 1002,1003… |");
	assert_int_equal(lost(LOSS_BAD_RECORD), 0);
}

static void open_calls_of_aggregates(void **state)
{
	const struct call_plan counting = {.name = "main.g", .stack_slot = -1, .has_return = true};
	struct record r;

	call_decoder_add_plan(decoder, &counting, NULL, COUNT, 0);
	record_init(&r, COUNT, 17, 0x200, 1000, 0);
	record_head(&r)->kind = EVENT_CALL;
	call_decoder_open(decoder, r.bytes, r.size, CALL_OPEN, 5000);
	expect("");
	assert_int_equal(lost(LOSS_BAD_RECORD), 0);
}

static void records_that_do_not_fit(void **state)
{
	struct record call = entry_record(EVENT_CALL), point = entry_record(EVENT_POINT), sample;
	struct record end = end_record(EVENT_RETURN, STRANGER, 1);

	give(&call);                                     /* alone: not a sample */
	sample = sample_of(&end, &call);
	give(&sample);                                   /* a return of another function */
	record_head(&point)->probe = STRANGER;
	give(&point);
	point = entry_record(EVENT_POINT);
	record_head(&point)->target = 7;
	give(&point);
	call_decoder_open(decoder, point.bytes, point.size, CALL_OPEN, 5000);
	point = entry_record(EVENT_POINT);
	point.size -= 8;
	give(&point);
	expect("");
	assert_int_equal(lost(LOSS_BAD_RECORD), 6);
}

static void fewer_slots_than_planned(void **state)
{
	struct record r;

	record_init(&r, ENTRY, 17, 0x200, 1000, 1);
	record_head(&r)->kind = EVENT_POINT;
	record_status(&r, 0, SLOT_UNREADABLE, 0, 0);
	give(&r);
	expect("main.f shop[4711] point start 1000 took 0 goid 17 depth 512 user=<unreadable memory> "
	       "n=<it is not in the record> f=<it is in an XMM register> err=-|");
	assert_int_equal(lost(LOSS_VALUE_UNREADABLE), 2); /* the stack too */
}

static void known_without_a_slot(void **state)
{
	static const struct shown of_record[] = {{.name = "func", .kind = SHOWN_EXPR, .at_entry = true, .slot = -1},
						 {.name = "pid", .kind = SHOWN_EXPR, .at_entry = true, .slot = -1},
						 {.name = "panicked", .kind = SHOWN_EXPR, .at_entry = true,
						  .slot = -1}};
	const struct call_plan printing = {.name = "main.g", .stack_slot = -1, .shown = of_record, .nshown = 3};
	struct record call, end = end_record(EVENT_UNWOUND, ENTRY, 0), sample;

	call_decoder_add_plan(decoder, &printing, NULL, COUNT, 0);
	record_init(&call, COUNT, 17, 0x200, 1000, 0);
	record_head(&call)->kind = EVENT_CALL;
	sample = sample_of(&end, &call);
	give(&sample);
	expect("main.g shop[4711] panicked start 1000 took 450 goid 17 depth 512 func=main.g pid=4711 panicked=true|");
}

static void groups(void **state)
{
	static const struct expr by_func = {.op = EXPR_NAME, .text = "func"}, by_pid = {.op = EXPR_NAME, .text = "pid"},
				 by_user = {.op = EXPR_NAME, .text = "user"}, by_n = {.op = EXPR_NAME, .text = "n"},
				 latency = {.op = EXPR_NAME, .text = "latency"};
	static const struct expr *args[] = {&latency};
	static const struct action action = {.kind = ACTION_AGGREGATE, .aggregate = AGG_HIST, .nby = 4,
					     .text = "hist(latency) by func, user, pid, n", .args = args, .nargs = 1,
					     .by = {&by_func, &by_user, &by_pid, &by_n},
					     .by_texts = {"func", "user", "pid", "n"}};
	static const struct plan_aggregate aggregate = {
		.action = &action, .index = 1, .keys = {NULL, &entry_slots[0], NULL, &entry_slots[1]},
		.constant_key = {true, false, true, false}};
	const struct call_plan counting = {.name = "main.g", .stack_slot = -1, .aggregates = &aggregate,
					   .naggregates = 1};
	const uint64_t buckets[] = {1, 2, 3};
	struct plant_group g = {.probe = COUNT, .target = 1, .aggregate = 1, .count = 6, .sum = 20, .min = 1, .max = 9,
				.buckets = buckets, .nbuckets = 3,
				.keys = {{.status = SLOT_OK, .word = 9, .len = 5, .bytes = "alice"},
					 {.status = SLOT_OK, .word = 3}}};
	struct arena arena = {0};
	struct call_group ret;

	call_decoder_add_plan(decoder, &counting, NULL, COUNT, 0);
	assert_true(call_decoder_group(decoder, &g, &arena, &ret));
	assert_int_equal(ret.nkeys, 4);
	for (size_t i = 0; i < ret.nkeys; i++) {
		value_print(&ret.keys[i], &got);
		buf_char(&got, ' ');
	}
	expect("main.g \"alice\"… 4711 3 ");
	buf_reset(&got);
	g.keys[0] = (struct plant_key){.status = SLOT_NOT_RESIDENT};
	assert_true(call_decoder_group(decoder, &g, &arena, &ret));
	value_print(&ret.keys[1], &got);
	expect("<unreadable memory>");
	assert_string_equal(ret.function->name, "main.g");
	assert_string_equal(ret.aggregate->text, "hist(latency) by func, user, pid, n");
	assert_int_equal(ret.aggregate->kind, AGG_HIST);
	assert_true(ret.aggregate->duration);
	assert_string_equal(ret.aggregate->keys[1].text, "user");
	assert_true(ret.aggregate->keys[0].constant && !ret.aggregate->keys[1].constant);
	assert_ptr_equal(ret.resource, &shop);
	assert_true(ret.count == 6 && ret.sum == 20 && ret.min == 1 && ret.max == 9 && ret.nbuckets == 3);
	assert_memory_equal(ret.buckets, buckets, sizeof(buckets));
	g.aggregate = 0;
	assert_false(call_decoder_group(decoder, &g, &arena, &ret));
	g = (struct plant_group){.probe = STRANGER, .target = 1, .aggregate = 1};
	assert_false(call_decoder_group(decoder, &g, &arena, &ret));
	arena_done(&arena);
}

static void a_stack_as_key(void **state)
{
	static const struct expr by_stack = {.op = EXPR_NAME, .text = "stack"};
	static const struct action action = {.kind = ACTION_AGGREGATE, .aggregate = AGG_COUNT, .nby = 1,
					     .by = {&by_stack}};
	static const struct plan_aggregate aggregate = {.action = &action, .keys = {&entry_slots[2]}};
	const struct call_plan counting = {.name = "main.g", .stack_slot = -1, .aggregates = &aggregate,
					   .naggregates = 1};
	const uint64_t stack[] = {0x1002, 0x1003};
	struct plant_group g = {.probe = COUNT, .target = 1, .count = 6,
				.keys = {{.status = SLOT_OK, .len = 16, .bytes = stack}}};
	struct arena arena = {0};
	struct call_group ret;

	call_decoder_add_plan(decoder, &counting, NULL, COUNT, 0);
	assert_true(call_decoder_group(decoder, &g, &arena, &ret));
	value_print(&ret.keys[0], &got);
	expect("main.f1 main.f2");
	arena_done(&arena);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_that_returns), TEST(a_call_that_panics),	   TEST(a_point), TEST(open_calls),
		TEST(a_condition_at_the_end),
		TEST(records_that_do_not_fit), TEST(fewer_slots_than_planned), TEST(known_without_a_slot),
		TEST(open_calls_of_aggregates),
		TEST(groups), TEST(a_stack_as_key),
	};
	call_decoder_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
