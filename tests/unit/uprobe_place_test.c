/*
 * Probes at places of programs that are not Go's: a function of this one, with a semaphore, and what its arguments lead
 * to. Needs CAP_BPF and CAP_PERFMON; skips by name without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "binary/arch_x86_64.h"
#include "base/vec.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/planted.h"
#include "plant/uprobe/uprobe.h"
#include "unit/self_offset.h"

/* As <sys/sdt.h> has it: a nop, and before it a test of the counter of those who listen. */
volatile unsigned short place_semaphore;
volatile int place_number = -77;
__asm__(".pushsection .text\n"
	".balign 64\n"
	"place_nop: nop\n ret\n"
	"place_nop5: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n ret\n"
	"place_cs: .byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n ret\n"
	".popsection\n");
extern char place_nop[] __attribute__((visibility("hidden")));
extern char place_nop5[] __attribute__((visibility("hidden")));
extern char place_cs[] __attribute__((visibility("hidden")));

typedef void place_fn(const char *text, uint64_t base, uint64_t index);

static place_fn *fn_of(char *code)
{
	return (place_fn *)(uintptr_t)code;
}

static struct planter *open_planter(void)
{
	struct planter_options o = {.procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (uprobe_check_caps(&err) < 0) {
		printf("# skipped: %s\n", err.text);
		skip();
	}
	if (planter_uprobe.open(&o, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

/* text(arg0); the int at arg1 + 4 * arg2 + 4; place_number by its distance; the thread. */
static struct ir_insn insns[] = {
	{.op = IR_REGION, .slot = 0},
	{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RDI, .size = 8},
	{.op = IR_STR_LEN, .dst = 1, .a = 0},
	{.op = IR_EMIT_STR, .slot = 0, .a = 0, .b = 1, .imm = EVENT_MAX_STRING},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 1},
	{.op = IR_ARG_REG, .dst = 0, .reg = GPR_RSI, .size = 8},
	{.op = IR_ARG_REG, .dst = 1, .reg = GPR_RDX, .size = 8},
	{.op = IR_CONST, .dst = 2, .imm = 4},
	{.op = IR_BIN, .bin = BIN_MUL, .dst = 3, .a = 1, .b = 2},
	{.op = IR_BIN, .bin = BIN_ADD, .dst = 4, .a = 0, .b = 3},
	{.op = IR_LOAD, .dst = 5, .a = 4, .imm = 4, .size = 4, .flags = IR_SIGNED},
	{.op = IR_EMIT, .slot = 1, .a = 5},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 2},
	{.op = IR_SITE, .dst = 0},
	{.op = IR_LOAD, .dst = 1, .a = 0, .size = 4, .flags = IR_SIGNED},
	{.op = IR_EMIT, .slot = 2, .a = 1},
	{.op = IR_END},
	{.op = IR_REGION, .slot = 3},
	{.op = IR_THREAD, .dst = 0},
	{.op = IR_EMIT, .slot = 3, .a = 0},
	{.op = IR_END},
};
static struct ir_slot slots[] = {{"text", VALUE_STRING, NULL}, {"element", VALUE_INT, NULL},
				 {"number", VALUE_INT, NULL}, {"thread", VALUE_INT, NULL}};
static struct capture_program program = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = slots,
					 .nslots = ARRAY_SIZE(slots), .nregs = 6, .threads = true};

/* Of everything that maps this file. */
static int plant_place(struct planter *p, char *code, bool listens, struct plant **ret, struct err *err)
{
	const struct plant_place at = {.addr = (uintptr_t)code, .offset = self_offset(code), .n = 16,
				       .code = (const unsigned char *)code,
				       .semaphore = listens ? self_offset(&place_semaphore) : 0};
	struct plant_target t = {.id = 1, .path = "/proc/self/exe", .binary_key = 1};
	struct plant_probe probe = {.id = 5, .label = "place", .program = &program};
	struct arena arena = {0};
	int r = planter_uprobe.locate_place(&arena, &at, &probe.sites, err);

	insns[15].imm = (int64_t)((uintptr_t)&place_number - (uintptr_t)code);
	if (!r && p->ops->plant(p, &t, &probe, 1, ret, err) != 1)
		r = err->code ? err->code : -EINVAL;
	arena_done(&arena);
	return r;
}

struct taken {
	VEC(char *) records;
};

static void take_record(void *arg, const void *record, size_t size)
{
	struct taken *t = arg;
	char *copy = xmalloc(size);
	struct event e;

	memcpy(copy, record, size);
	assert_true(event_decode(copy, size, &e));
	vec_push(&t->records, copy);
}

static void taken_done(struct taken *t)
{
	for (size_t i = 0; i < t->records.len; i++)
		free(t->records.data[i]);
	vec_done(&t->records);
}

static struct event record_at(const struct taken *t, size_t i)
{
	struct event e;

	assert_true(i < t->records.len);
	assert_true(event_decode(t->records.data[i], *(uint32_t *)(void *)t->records.data[i], &e));
	return e;
}

static void check_record(const struct event *e, pid_t pid, pid_t tid, const char *text, int64_t element)
{
	size_t len;
	const char *bytes = event_bytes(e, 0, &len);

	assert_int_equal(e->head->goid, tid);
	assert_true(e->head->depth > UINT64_MAX / 2); /* 0 - SP */
	assert_int_equal(e->head->target, pid);
	assert_non_null(bytes);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(bytes, text, len);
	assert_int_equal(e->slots[1].value, element);
	assert_int_equal((int64_t)e->slots[2].value, -77);
	assert_int_equal(e->slots[3].value, tid);
}

static const int numbers[] = {10, 20, 30, -40};

static void *call_nop(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	fn_of(place_nop)("second", (uintptr_t)numbers, 2);
	return NULL;
}

/* Threads, a child that was forked before, and the counter of those who listen. */
static void values(void)
{
	struct planter *p = open_planter();
	struct taken t = {0};
	struct err err = {0};
	int go[2], status;
	pthread_t thread;
	struct plant *pl;
	struct event e;
	pid_t tid, child;
	char c = 0;

	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		(void)!read(go[0], &c, 1);
		fn_of(place_nop)("child", (uintptr_t)numbers, 0);
		_exit(!place_semaphore);
	}
	if (plant_place(p, place_nop, true, &pl, &err))
		fail_msg("%s", err.text);
	assert_true(place_semaphore > 0); /* for each mapping of the file; some kernels count one twice */
	fn_of(place_nop)("first", (uintptr_t)numbers, 0);
	pthread_create(&thread, NULL, call_nop, &tid);
	pthread_join(thread, NULL);
	assert_int_equal(write(go[1], &c, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	p->source->ops->drain(p->source, take_record, &t);
	assert_int_equal(t.records.len, 3);
	e = record_at(&t, 0);
	check_record(&e, getpid(), getpid(), "first", 20);
	e = record_at(&t, 1);
	check_record(&e, getpid(), tid, "second", -40);
	e = record_at(&t, 2);
	check_record(&e, child, child, "child", 20);
	p->ops->remove(p, &pl, 1);
	fn_of(place_nop)("gone", (uintptr_t)numbers, 0);
	assert_int_equal(p->source->ops->drain(p->source, take_record, &t), 0);
	taken_done(&t);
	planter_close(p);
	close(go[0]);
	close(go[1]);
}

static void test_values(void **state)
{
	(void)state;
	values();
	setenv("EARSHOT_NO_MULTI", "1", 1);
	values();
	unsetenv("EARSHOT_NO_MULTI");
}

/* A 5-byte nop becomes a call on newer kernels; the site's address is the same for all that. */
static void test_nop5(void **state)
{
	struct planter *p = open_planter();
	struct taken t = {0};
	struct err err = {0};
	struct plant *pl;
	struct event e;

	(void)state;
	if (plant_place(p, place_nop5, false, &pl, &err))
		fail_msg("%s", err.text);
	for (int i = 0; i < 5; i++)
		fn_of(place_nop5)("five", (uintptr_t)numbers, 1);
	p->source->ops->drain(p->source, take_record, &t);
	assert_int_equal(t.records.len, 5);
	for (size_t i = 0; i < 5; i++) {
		e = record_at(&t, i);
		check_record(&e, getpid(), getpid(), "five", 30);
	}
	taken_done(&t);
	planter_close(p);
}

/* Either the kernel does this nop, and the probe fires, or it is refused: never planted for nothing. */
static void test_never_silent(void **state)
{
	struct planter *p = open_planter();
	struct taken t = {0};
	struct err err = {0};
	struct plant *pl;

	(void)state;
	if (plant_place(p, place_cs, false, &pl, &err)) {
		assert_non_null(strstr(err.text, "kernel"));
	} else {
		fn_of(place_cs)("cs", (uintptr_t)numbers, 1);
		p->source->ops->drain(p->source, take_record, &t);
		assert_int_equal(t.records.len, 1);
	}
	taken_done(&t);
	planter_close(p);
}

/* A file that is cut after it was read: nothing is planted, and we go on. */
static void test_cut_file(void **state)
{
	char path[] = "/tmp/uprobe_place_test.XXXXXX";
	const uint64_t offset = 0;
	const struct uprobe_places at = {.path = path, .offsets = &offset, .n = 1};
	int fd = mkstemp(path);
	struct uprobe_view view;
	struct err err = {0};

	(void)state;
	assert_true(fd >= 0 && write(fd, "\x90\xc3", 2) == 2);
	assert_int_equal(uprobe_view_open(&at, &view, &err), 0);
	assert_int_equal(uprobe_view_check(&view, &at, &err), -ENOTSUP);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(uprobe_view_check(&view, &at, &err), -ESTALE);
	uprobe_view_done(&view);
	assert_int_not_equal(uprobe_view_open(&at, &view, &err), 0);
	close(fd);
	unlink(path);
}

/* Texts: none, empty, of the greatest length that is copied, and longer; a wrong address. */
static void test_texts(void **state)
{
	struct planter *p = open_planter();
	char *long_text = xcalloc(1, EVENT_MAX_STRING + 100);
	struct taken t = {0};
	struct err err = {0};
	struct plant *pl;
	size_t len;

	(void)state;
	if (plant_place(p, place_nop, false, &pl, &err))
		fail_msg("%s", err.text);
	fn_of(place_nop)(NULL, (uintptr_t)numbers, 1);
	fn_of(place_nop)("", (uintptr_t)numbers, 1);
	fn_of(place_nop)((const char *)8, (uintptr_t)numbers, 1);
	memset(long_text, 'x', EVENT_MAX_STRING);
	fn_of(place_nop)(long_text, (uintptr_t)numbers, 1);
	memset(long_text, 'x', EVENT_MAX_STRING + 50);
	fn_of(place_nop)(long_text, (uintptr_t)numbers, 1);
	p->source->ops->drain(p->source, take_record, &t);
	assert_int_equal(t.records.len, 5);
	assert_int_equal(record_at(&t, 0).slots[0].status, SLOT_NIL);
	assert_int_equal(record_at(&t, 1).slots[0].status, SLOT_OK);
	assert_int_equal(record_at(&t, 1).slots[0].len, 0);
	assert_int_equal(record_at(&t, 2).slots[0].status, SLOT_UNREADABLE);
	assert_int_equal(record_at(&t, 3).slots[0].status, SLOT_OK);
	event_bytes(&(struct event){record_at(&t, 3).head, record_at(&t, 3).slots}, 0, &len);
	assert_int_equal(len, EVENT_MAX_STRING);
	assert_int_equal(record_at(&t, 4).slots[0].status, SLOT_CUT);
	assert_int_equal(record_at(&t, 4).slots[0].len, EVENT_MAX_STRING + 1);
	taken_done(&t);
	planter_close(p);
	free(long_text);
}

/* What only goroutines have, a program of threads may not ask for. */
static void test_verified(void **state)
{
	struct ir_insn g[] = {{.op = IR_REGION}, {.op = IR_G}, {.op = IR_EMIT}, {.op = IR_END}};
	struct ir_slot slot = {"g", VALUE_UINT, NULL};
	struct capture_program p = {.insns = g, .ninsns = ARRAY_SIZE(g), .slots = &slot, .nslots = 1, .nregs = 1};
	struct err err = {0};

	(void)state;
	assert_int_equal(capture_verify(&p, &err), 0);
	p.threads = true;
	assert_int_equal(capture_verify(&p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "goroutines"));
	assert_int_equal(capture_verify(&program, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values), cmocka_unit_test(test_nop5),     cmocka_unit_test(test_never_silent),
	    cmocka_unit_test(test_texts),  cmocka_unit_test(test_verified), cmocka_unit_test(test_cut_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
