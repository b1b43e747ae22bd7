#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/value_stub.h"

#include "unit/calls.h"
#include "unit/written_file.h"

static struct sink *sink;

static void give(const struct call_function *function, const uint64_t *stack, size_t n, bool cut)
{
	sink->ops->call(sink, &(struct call_record){.function = function, .resource = &shop, .stack = stack,
						    .nstack = n, .stack_cut = cut});
}

static void begin(void)
{
	struct err err = {0};

	assert_int_equal(open_file(&sink_folded, file_new(), &sink, &err), 0);
}

static void stacks_are_counted(void **state)
{
	static const uint64_t stack[] = {0x1002, 0x1003, 0x1004};
	const struct call_function inlined = {.name = "main.tiny[struct{a int; b int}]", .inlined_into = "main.host"};

	begin();
	for (int i = 0; i < 3; i++)
		give(&add_function, stack, 3, false);
	give(&add_function, stack, 2, true);
	give(&inlined, stack, 2, false); /* the first frame lies in the function it is in */
	give(&add_function, NULL, 0, false);
	sink->ops->close(sink, 2000);
	assert_string_equal(file_text(), "[more frames];main.f2;main.f1;main.(*Cart).Add 1\n"
					 "main.(*Cart).Add 1\n"
					 "main.f2;main.f1;main.tiny[struct{a int: b int}] 1\n"
					 "main.f3;main.f2;main.f1;main.(*Cart).Add 3\n");
}

static void too_many_stacks(void **state)
{
	struct losses l = {0};
	uint64_t stack[2];

	begin();
	for (uint64_t i = 0; i < 100002; i++) {
		stack[0] = 0x1000 + i % 1000;
		stack[1] = 0x1000 + i / 1000;
		give(&add_function, stack, 2, false);
	}
	sink->ops->losses(sink, &l);
	assert_int_equal(l.count[LOSS_SINK_QUEUE], 2);
	assert_string_equal(sink->ops->trouble(sink),
			    "the folded stacks lack 2 calls: there were more than 100000 different stacks");
	sink->ops->close(sink, 2000);
}

/* What cannot be written is known at the summary, when one can still say so. */
static void a_full_disk(void **state)
{
	struct run_summary sum = {0};
	struct err err = {0};

	assert_int_equal(open_file(&sink_folded, "/dev/full", &sink, &err), 0);
	give(&add_function, NULL, 0, false);
	sink->ops->summary(sink, &sum);
	assert_string_equal(sink->ops->trouble(sink), "/dev/full cannot be written: No space left on device");
	sink->ops->close(sink, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_are_counted),
		cmocka_unit_test(too_many_stacks),
		cmocka_unit_test(a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, file_end);
}
