/* What is lent to calls, as x86-64 code run in this process: the copy, what the call is told, and whose it is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/ir_inject.h"
#include "unit/ir_interp.h"
#include "unit/patch_run.h"

static struct ir_insn lend_insns[INJECT_PROGRAM], release_insns[3];
static struct capture_program lend, release;
static const void *lend_code, *release_code;
static struct shared_loans *loans;
static struct inject_memory memory;

static void fresh(void)
{
	const size_t bytes = SHARED_LOANS_HEAD + (size_t)SHARED_LOANS * IR_LOAN_BYTES;

	if (!loans)
		loans = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(loans, MAP_FAILED);
	memset(loans, 0, sizeof(*loans));
	loans->lending = 1;
	test_loans = (uintptr_t)loans;
	patch_setup(CHUNKS);
	lend = lend_program(lend_insns);
	release = release_program(release_insns);
	lend.g = release.g = (struct goroutine_layout)FAKE_LAYOUT;
	lend_code = compile_ok(&lend, 1);
	release_code = compile_ok(&release, 2);
	fake_g.goid = 4711;
}

/* What the call is told: address, length, capacity; all else is as it was. */
static void run_call(const void *code, uint64_t told[3])
{
	struct regs r = {.r = {(uintptr_t)&memory, 11, 12, 13}, .g = (uintptr_t)&fake_g};
	uint64_t *on_stack = (uint64_t *)(void *)(test_stack + STACK_SP + 16);
	struct frame f;

	stack_fill(test_stack);
	frame_fill(&f, &r, test_stack);
	call_code(&f, code);
	told[0] = f.out_gpr[N_RBX];
	told[1] = f.out_gpr[N_RDI];
	told[2] = *on_stack;
	f.out_gpr[N_RBX] = f.gpr[N_RBX];
	f.out_gpr[N_RDI] = f.gpr[N_RDI];
	*on_stack = (uint64_t)-2; /* as stack_fill has it */
	frame_check(&f, test_stack);
}

static struct event_slot run_lend(uint64_t told[3])
{
	static struct taken t;

	run_call(lend_code, told);
	t.n = 0;
	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		slot_drain(patch_area_slot(area, i), take, &t);
	assert_int_equal(t.n, 1);
	return t.event.slots[0];
}

static bool untold(const uint64_t told[3])
{
	return told[0] == 11 && told[1] == 13 && told[2] == (uint64_t)-2;
}

static size_t lent(void)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARED_LOANS; i++)
		n += loans->owner[i] != 0;
	return n;
}

/* It writes no record. */
static void run_release(void)
{
	struct regs r = {.g = (uintptr_t)&fake_g};

	run_code(release_code, &r);
	for (uint32_t i = 0; i < area->ring.procs + area->ring.extra; i++)
		assert_int_equal(slot_drain(patch_area_slot(area, i), take, NULL), 0);
}

static uint64_t lend_once(void)
{
	uint64_t told[3];

	lend_fill(&memory, "", 0);
	assert_int_equal(run_lend(told).value, INJECT_WRITTEN);
	return told[0];
}

/* ---- the copy ---- */

static enum inject_outcome compare(const char *name)
{
	static struct interp_result out;
	static struct inject_memory before;
	static char want[IR_LOAN_BYTES];
	struct interp_input in = {.read = inject_read, .write = inject_write, .loan = (uintptr_t)want,
				  .regs = {[GPR_RAX] = (uintptr_t)&memory}};
	struct event_slot s;
	uint64_t told[3];

	interp_run(&lend, &in, &out);
	before = memory;
	s = run_lend(told);
	assert_memory_equal(&memory, &before, sizeof(memory));
	if (s.status != out.slots[0].status || s.value != out.slots[0].value)
		fail_msg("%.60s: outcome %llu, and not %llu", name, (unsigned long long)s.value,
			 (unsigned long long)out.slots[0].value);
	assert_int_equal(lent(), out.lent);
	if (out.lent) {
		assert_int_equal(told[1], out.lent_bytes);
		assert_int_equal(told[2], out.lent_bytes);
		assert_memory_equal((const void *)(uintptr_t)told[0], want, out.lent_bytes);
	} else {
		assert_true(untold(told));
	}
	run_release();
	assert_int_equal(lent(), 0);
	return (enum inject_outcome)s.value;
}

static void test_cases(void **state)
{
	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(lend_cases); i++) {
		lend_fill(&memory, lend_cases[i].headers, strlen(lend_cases[i].headers));
		assert_int_equal(compare(lend_cases[i].headers), lend_cases[i].outcome);
	}
	lend_fill(&memory, "x", 1);
	memory.words[INJECT_FILLED] = 0; /* something, but nothing of it */
	assert_int_equal(compare("empty"), INJECT_UNEXPECTED);
	lend_fill(&memory, "", 0);
	memory.words[INJECT_SPAN] = 0;
	assert_int_equal(compare("no span"), INJECT_NO_SPAN);
	memory.words[INJECT_FILLED] = UINT64_MAX;
	memory.words[INJECT_SPAN] = 1;
	assert_int_equal(compare("too much"), INJECT_TOO_LARGE);
}

/* Of every length, the last and the first one that is too large among them. */
static void test_lengths(void **state)
{
	static char text[IR_LOAN_BYTES + 1];

	fresh();
	memset(text, 'v', sizeof(text));
	memcpy(text, HDR "A: ", 13);
	for (size_t n = 17; n <= IR_LOAN_BYTES; n += n < 300 || n > 3990 ? 1 : 61) {
		memcpy(text + n - 4, "\r\n\r\n", 4);
		lend_fill(&memory, text, n);
		assert_int_equal(compare("a length"), n <= IR_LOAN_BYTES - 70 ? INJECT_WRITTEN : INJECT_TOO_LARGE);
		memset(text + n - 4, 'v', 4);
	}
}

static void test_random(void **state)
{
	static const char *const parts[] = {"traceparent", "TraceParent", "tracepar", "ent", ":", ": ", "\r\n", "\n",
					    "x", "\r\n\r\n", "NATS/1.0", " ", "\x54race", "\x1a"};
	unsigned seen[INJECT_OUTCOMES] = {0};
	char text[600];

	fresh();
	for (unsigned k = 0; k < 4000; k++) {
		size_t n = (size_t)sprintf(text, HDR);

		for (uint64_t left = rnd(12); left; left--)
			n += (size_t)sprintf(text + n, "%s", parts[rnd(ARRAY_SIZE(parts))]);
		n += (size_t)sprintf(text + n, rnd(8) ? "\r\n\r\n" : "\r\n");
		lend_fill(&memory, text, n);
		seen[compare(text)]++;
	}
	assert_true(seen[INJECT_WRITTEN] && seen[INJECT_PRESENT] && seen[INJECT_UNEXPECTED]);
}

static void test_faults(void **state)
{
	uint64_t told[3];

	fresh();
	lend_fill(&memory, HDR "\r\n", 12);
	memory.words[INJECT_BUFFER] = (uintptr_t)world.hole;
	assert_int_equal(run_lend(told).status, SLOT_UNREADABLE);
	assert_true(untold(told));
	assert_int_equal(lent(), 0);
}

/* ---- records ---- */

static struct lend_header headers[IR_LOAN_BYTES / INJECT_HEADER_BYTES];
static struct lend_record record;

static void record_fill(uint64_t n)
{
	memset(&record, 0xa5, sizeof(record));
	memset(headers, 0x5a, sizeof(headers));
	record.headers = n ? headers : NULL;
	record.n = record.cap = n;
	lend_fill(&memory, "", 0);
	memory.words[INJECT_BUFFER] = (uintptr_t)&record;
}

/* The copy is the record, but for its list, which has one element more. */
static void check_record(const struct lend_record *copy)
{
	static const char hex[] = INJECT_HEX;
	const struct lend_header *added = &copy->headers[record.n];
	struct lend_record same = *copy;

	assert_int_equal(copy->n, record.n + 1);
	assert_int_equal(copy->cap, record.n + 1);
	same.headers = record.headers;
	same.n = record.n;
	same.cap = record.cap;
	assert_memory_equal(&same, &record, sizeof(record));
	assert_memory_equal(copy->headers, headers, record.n * sizeof(*headers));
	assert_int_equal(added->name_len, 11);
	assert_memory_equal(added->name, "traceparent", 11);
	assert_int_equal(added->value_len, 55);
	assert_int_equal(added->value_cap, 55);
	assert_memory_equal(added->value, hex, 55);
	assert_true((uintptr_t)added->name - (uintptr_t)copy <= IR_LOAN_BYTES - 11);
	assert_true((uintptr_t)added->value - (uintptr_t)copy <= IR_LOAN_BYTES - 55);
}

static void run_record(const void *code, const struct capture_program *p, enum slot_status status, uint64_t outcome)
{
	static struct interp_result out;
	struct interp_input in = {.read = inject_read, .loan = 1, .regs = {[GPR_RAX] = (uintptr_t)&memory}};
	const struct lend_record before = record;
	struct event_slot s;
	uint64_t told[3];

	interp_run(p, &in, &out);
	lend_code = code;
	s = run_lend(told);
	assert_int_equal(s.status, status);
	assert_int_equal(s.value, outcome);
	if (status == SLOT_OK) {
		assert_int_equal(out.slots[0].value, outcome);
		assert_int_equal(out.lent, outcome == INJECT_WRITTEN);
	}
	assert_memory_equal(&record, &before, sizeof(record));
	if (status == SLOT_OK && outcome == INJECT_WRITTEN)
		check_record((const struct lend_record *)(uintptr_t)told[0]);
	else
		assert_int_equal(told[0], 11);
	assert_int_equal(told[1], 13);
	run_release();
	assert_int_equal(lent(), 0);
}

static void test_records(void **state)
{
	static struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = lend_record_program(insns);
	uint64_t room = 0;
	const void *code;

	fresh();
	p.g = (struct goroutine_layout)FAKE_LAYOUT;
	code = compile_ok(&p, 1);
	for (uint64_t n = 0; n < ARRAY_SIZE(headers); n++) {
		const uint64_t most = (IR_LOAN_BYTES - 80 - sizeof(record)) / INJECT_HEADER_BYTES - 1;

		record_fill(n);
		run_record(code, &p, SLOT_OK, n <= most ? INJECT_WRITTEN : INJECT_TOO_LARGE);
		room += n <= most;
	}
	assert_true(room > 90);
	record_fill(0);
	record.headers = headers; /* empty, but not nil */
	record.cap = 8;
	run_record(code, &p, SLOT_OK, INJECT_WRITTEN);
	record_fill(3);
	record.n = UINT64_C(1) << 60;
	run_record(code, &p, SLOT_OK, INJECT_TOO_LARGE);
	record_fill(3);
	memory.words[INJECT_BUFFER] = 0;
	run_record(code, &p, SLOT_OK, INJECT_UNEXPECTED);
	record_fill(3);
	memory.words[INJECT_SPAN] = 0;
	run_record(code, &p, SLOT_OK, INJECT_NO_SPAN);
}

/* What cannot be read is not lent; the loan that was claimed by then comes back with the call. */
static void test_record_faults(void **state)
{
	static struct ir_insn insns[INJECT_PROGRAM];
	struct capture_program p = lend_record_program(insns);
	uint64_t told[3];

	fresh();
	p.g = (struct goroutine_layout)FAKE_LAYOUT;
	lend_code = compile_ok(&p, 1);
	record_fill(3);
	record.headers = (const struct lend_header *)(const void *)world.hole;
	assert_int_equal(run_lend(told).status, SLOT_UNREADABLE);
	assert_int_equal(told[0], 11);
	run_release();
	memory.words[INJECT_BUFFER] = (uintptr_t)world.hole;
	assert_int_equal(run_lend(told).status, SLOT_UNREADABLE);
	run_release();
	assert_int_equal(lent(), 0);
}

/* ---- whose it is ---- */

static void test_calls(void **state)
{
	uint64_t first, second;

	fresh();
	first = lend_once();
	assert_int_equal(lend_once(), first); /* that call has left the stack: it is this one's */
	assert_int_equal(lent(), 1);
	fake_g.goid++;
	second = lend_once();
	assert_true(second != first);
	assert_int_equal(lent(), 2);
	fake_g.goid--;
	run_release();
	assert_int_equal(lent(), 1);
	run_release(); /* it has none */
	assert_int_equal(lent(), 1);
	fake_g.goid++;
	run_release();
	assert_int_equal(lent(), 0);
}

/* It comes back when nobody listens any more, and is lent no more then. */
static void test_silence(void **state)
{
	uint64_t told[3];

	fresh();
	lend_once();
	area->ring.on = 0;
	run_release();
	assert_int_equal(lent(), 0);
	lend_fill(&memory, "", 0);
	run_call(lend_code, told);
	assert_true(untold(told));
	area->ring.on = 1;
	loans->lending = 0;
	assert_int_equal(run_lend(told).value, INJECT_NO_ROOM);
	assert_true(untold(told));
	assert_int_equal(lent(), 0);
}

/* No two calls have the same one; where there is none left nothing is written. */
static void test_many(void **state)
{
	static bool taken[SHARED_LOANS];
	uint64_t told[3], refused = 0;

	fresh();
	memset(taken, 0, sizeof(taken));
	for (unsigned k = 0; k < 4 * SHARED_LOANS; k++) {
		uint64_t at;

		fake_g.goid = 1000 + k;
		lend_fill(&memory, "", 0);
		if (run_lend(told).value == INJECT_NO_ROOM) {
			assert_true(untold(told));
			refused++;
			continue;
		}
		at = (told[0] - (uintptr_t)loans - SHARED_LOANS_HEAD) / IR_LOAN_BYTES;
		assert_true(at < SHARED_LOANS && !taken[at]);
		taken[at] = true;
	}
	assert_int_equal(lent(), SHARED_LOANS);
	assert_int_equal(refused, 3 * SHARED_LOANS);
	for (unsigned k = 0; k < 4 * SHARED_LOANS; k++) {
		fake_g.goid = 1000 + k;
		run_release();
	}
	assert_int_equal(lent(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),   cmocka_unit_test(test_lengths), cmocka_unit_test(test_random),
		cmocka_unit_test(test_faults),  cmocka_unit_test(test_calls),   cmocka_unit_test(test_silence),
		cmocka_unit_test(test_many),    cmocka_unit_test(test_records), cmocka_unit_test(test_record_faults),
	};

	world_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
