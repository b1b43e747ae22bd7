/*
 * Woven programs: the recorder itself. The programs (tests/go/recorded) are woven by hand with the recorder in their
 * runtime, and know what they have recorded: each number comes once, whole and in order, or is counted as lost. Needs
 * no root: they are our children.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/hash.h"
#include "lib/go_binaries.h"
#include "plant/woven.h"
#include "plant/woven/memory.h"
#include "probe/lower/lower.h"

#define TARGET 7
enum { BEGIN = 1, END, CALL, RETURN, NPROBES };

/* ---- the programs ---- */

struct recorded_program {
	pid_t pid;
	int in, out;
	char answer[256];
	size_t nanswer;
};

static void start_with(const char *path, const char *setting, struct recorded_program *p)
{
	int in[2], out[2];

	*p = (struct recorded_program){0};
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	p->pid = fork();
	if (!p->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		unsetenv("EARSHOT_RECORD");
		if (setting)
			setenv("EARSHOT_RECORD", setting, 1);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
	fcntl(p->out, F_SETFL, O_NONBLOCK);
}

static void stop(struct recorded_program *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->in);
	close(p->out);
}

static void command(struct recorded_program *p, const char *line)
{
	p->nanswer = 0;
	assert_int_equal(write(p->in, line, strlen(line)), strlen(line));
}

/* Whether its answer is there. */
static bool answered(struct recorded_program *p)
{
	ssize_t n = read(p->out, p->answer + p->nanswer, sizeof(p->answer) - 1 - p->nanswer);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		fail_msg("the program has ended");
	p->nanswer += n > 0 ? (size_t)n : 0;
	p->answer[p->nanswer] = 0;
	return strchr(p->answer, '\n') != NULL;
}

static const char *ask(struct recorded_program *p, const char *line)
{
	command(p, line);
	for (int i = 0; i < 60000; i++) {
		if (answered(p))
			return p->answer;
		usleep(1000);
	}
	fail_msg("no answer to %s", line);
	return "";
}

/* What it says of itself. */
struct told {
	uint64_t written, lost, ends, ends_lost;
};

static struct told told_by(const struct recorded_program *p)
{
	struct told t;

	if (sscanf(p->answer, "written %" SCNu64 " lost %" SCNu64 " ends %" SCNu64 " ends_lost %" SCNu64, &t.written,
		   &t.lost, &t.ends, &t.ends_lost) != 4)
		fail_msg("it says: %s", p->answer);
	return t;
}

/* ---- the reader ---- */

struct open_work {                       /* of a goroutine, innermost last: none is within another here */
	uint64_t goid, depth, worker, n;
};
struct reader {
	struct woven *woven;
	struct arena arena;
	const struct woven_point *begin, *end;
	uint64_t taken[NPROBES], last[64], torn;
	struct open_work open[128];
	char first[200];
	char note[256];
};

static void torn(struct reader *r, const char *what, uint64_t got, uint64_t want)
{
	if (!r->torn++)
		snprintf(r->first, sizeof(r->first), "%s: %" PRIu64 " instead of %" PRIu64, what, got, want);
}

static void expect(struct reader *r, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		torn(r, what, got, want);
}

static const char *text_of(uint64_t n, size_t *ret_len)
{
	static const char *const texts[] = {"", "a", "some words",
					    "a text that is longer than thirty-two bytes and a little more"};
	static char pattern[5001];

	if (n % 5 < 4) {
		*ret_len = strlen(texts[n % 5]);
		return texts[n % 5];
	}
	for (size_t i = 0; !pattern[4999] && i < 1000; i++)
		memcpy(pattern + 5 * i, "long ", 5);
	*ret_len = 5000;
	return pattern;
}

static void check_text(struct reader *r, const struct event *e, size_t slot, uint64_t n)
{
	size_t len, got_len = 0;
	const char *want = text_of(n, &len), *got = event_bytes(e, slot, &got_len);

	expect(r, "length of a text", e->slots[slot].len, len);
	expect(r, "status of a text", e->slots[slot].status, len > EVENT_MAX_STRING ? SLOT_CUT : SLOT_OK);
	expect(r, "bytes of a text", got_len, MIN(len, (size_t)EVENT_MAX_STRING));
	if (!got || (got_len && memcmp(got, want, got_len)))
		torn(r, "a text", n, n);
}

static struct open_work *open_of(struct reader *r, uint64_t goid)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->open); i++)
		if (r->open[i].goid == goid || !r->open[i].goid)
			return &r->open[i];
	return &r->open[0];
}

static void on_begin(struct reader *r, const struct event *e)
{
	uint64_t worker = e->slots[0].value, n = e->slots[1].value;

	if (worker >= 64) {
		torn(r, "a worker", worker, 0);
		return;
	}
	if (n + 1 <= r->last[worker])
		torn(r, "a number", n, r->last[worker]);
	r->last[worker] = n + 1;
	check_text(r, e, 2, n);
	*open_of(r, e->head->goid) = (struct open_work){e->head->goid, e->head->depth, worker, n};
}

/* The end of what its goroutine began last: everything of these programs ends. */
static void on_end(struct reader *r, const struct event *e)
{
	struct open_work *w = open_of(r, e->head->goid);

	expect(r, "the depth of an end", e->head->depth, w->depth);
	if (w->n % 1000 == 999)
		expect(r, "what a panic leaves", e->slots[0].status, SLOT_ABSENT);
	else
		expect(r, "a result", e->slots[0].value, w->n);
	w->goid = e->head->goid;
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct reader *r = arg;
	struct event e[2];
	size_t n;

	if (!event_decode_sample(sample, size, e, &n) || !e[0].head->probe || e[0].head->probe >= NPROBES) {
		torn(r, "a record", 0, 1);
		return;
	}
	r->taken[e[0].head->probe]++;
	expect(r, "a target", e[0].head->target, TARGET);
	if (e[0].head->probe == BEGIN) {
		on_begin(r, &e[0]);
	} else if (e[0].head->probe == END) {
		on_end(r, &e[0]);
	} else { /* a call: the result, and what the entry had, in another order */
		expect(r, "slots of an entry", e[1].head->slots, 2);
		expect(r, "an absent slot", e[1].slots[1].status, SLOT_ABSENT);
		if (e[0].slots[0].status == SLOT_OK)
			check_text(r, &e[1], 0, e[0].slots[0].value);
	}
}

static void find_points(const char *path, struct reader *r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct woven_point *points;
	struct err err = {0};
	struct image img;
	size_t n, broken;

	if (image_open(fd, path, &img, &err))
		fail_msg("%s", err.text);
	close(fd);
	woven_points(&img, &r->arena, &points, &n, &broken);
	assert_int_equal(broken, 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(points[i].point, "end"))
			r->end = &points[i];
		else if (!strcmp(points[i].span, "work"))
			r->begin = &points[i];
	}
	image_close(&img);
	assert_non_null(r->begin);
	assert_non_null(r->end);
}

static void keep_note(void *arg, const char *fmt, ...)
{
	struct reader *r = arg;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->note, sizeof(r->note), fmt, ap);
	va_end(ap);
}

static void reader_new(const char *path, struct reader *r)
{
	const struct woven_options o = {.procfs = "/proc", .sysfs = "/sys", .note = keep_note, .note_arg = r};
	struct err err = {0};

	*r = (struct reader){0};
	find_points(path, r);
	if (woven_open(&o, &r->woven, &err))
		fail_msg("%s", err.text);
}

static int attach(struct reader *r, int pid, size_t n, struct err *err)
{
	static const struct capture_program programs[NPROBES] = {
		[BEGIN] = {.role = PROGRAM_POINT, .nslots = 3}, [END] = {.role = PROGRAM_POINT, .nslots = 1},
		[CALL] = {.role = PROGRAM_ENTRY, .call_group = 1, .nslots = 2},
		[RETURN] = {.role = PROGRAM_RETURN, .call_group = 1, .nslots = 1},
	};
	static const int begin[] = {0, 1, 2}, call[] = {2, -1};
	const struct woven_probe probes[] = {
		{.key = r->begin->key, .id = BEGIN, .program = &programs[BEGIN], .slots = begin},
		{.key = r->end->key, .id = END, .program = &programs[END], .slots = begin},
		{.key = r->begin->key, .id = CALL, .group = 1, .func = 1, .program = &programs[CALL], .slots = call},
		{.key = r->end->key, .id = RETURN, .group = 1, .func = 1, .program = &programs[RETURN], .slots = begin},
	};

	return woven_attach(r->woven, &(struct woven_target){.id = TARGET, .pid = pid}, probes, n, err);
}

/* Its recorder exists a moment after it has started. */
static void attach_started(struct reader *r, int pid, size_t n)
{
	struct err err = {0};

	for (int i = 0; attach(r, pid, n, &err); i++) {
		if (i == 5000 || err.code == -EPROTO || err.code == -EBUSY)
			fail_msg("%s", err.text);
		usleep(1000);
	}
}

static void drain(struct reader *r)
{
	struct event_source *s = woven_source(r->woven);

	s->ops->drain(s, on_sample, r);
}

static void drain_all(struct reader *r)
{
	usleep(1000);
	for (int i = 0; i < 64; i++)
		drain(r);
}

static const char *ask_and_drain(struct reader *r, struct recorded_program *p, const char *line)
{
	command(p, line);
	for (int i = 0; i < 600000; i++) {
		if (answered(p)) {
			drain_all(r);
			return p->answer;
		}
		drain(r);
		usleep(100);
	}
	fail_msg("no answer to %s", line);
	return "";
}

static uint64_t lost_of(struct reader *r, uint32_t probe, enum loss which)
{
	struct event_source *s = woven_source(r->woven);
	struct losses l = {0};

	s->ops->probe_losses(s, probe, &l);
	return l.count[which];
}

static void reader_free(struct reader *r)
{
	struct event_source *s = woven_source(r->woven);
	struct losses l = {0};

	s->ops->losses(s, &l);
	assert_int_equal(l.count[LOSS_BAD_RECORD], 0);
	woven_close(r->woven);
	arena_done(&r->arena);
	if (r->torn)
		fail_msg("%" PRIu64 " records are wrong, the first: %s", r->torn, r->first);
}

static void compare(struct reader *r, struct told t)
{
	assert_int_equal(r->taken[BEGIN], t.written);
	assert_int_equal(lost_of(r, BEGIN, LOSS_RING_FULL) + lost_of(r, BEGIN, LOSS_BUSY), t.lost);
	assert_int_equal(r->taken[END], t.ends);
	assert_int_equal(lost_of(r, END, LOSS_RING_FULL) + lost_of(r, END, LOSS_BUSY), t.ends_lost);
}

static void each_program(void (*fn)(const char *path), const char *which)
{
	signal(SIGPIPE, SIG_IGN);
	if (!go_binaries_each(which, fn))
		skip();
}

/* ---- what they record ---- */

static void records_of(const char *path)
{
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	ask(&p, "run 2 1000\n");
	assert_int_equal(told_by(&p).written + told_by(&p).lost, 0); /* it is off */
	attach_started(&r, p.pid, 2);
	ask(&p, "gc 5\n");
	ask_and_drain(&r, &p, "run 8 60000\n");
	compare(&r, told_by(&p));
	assert_true(r.taken[BEGIN] > 0);
	woven_detach(r.woven, TARGET);
	ask(&p, "run 2 1000\n");
	assert_int_equal(told_by(&p).written + told_by(&p).lost, 0);
	drain_all(&r);
	reader_free(&r);
	stop(&p);
}

static void test_records(void **state)
{
	(void)state;
	each_program(records_of, "bin/recorded-go1.[0-9][0-9]");
	each_program(records_of, "bin/recorded-go1.*-sw");
}

/* A probe has the slots that it wants; of one point there can be several. */
static void calls_of(const char *path)
{
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	attach_started(&r, p.pid, NPROBES - 1);
	ask_and_drain(&r, &p, "run 4 20000\n");
	compare(&r, told_by(&p));
	assert_int_equal(r.taken[RETURN], told_by(&p).ends);
	reader_free(&r);
	stop(&p);
}

static void test_calls(void **state)
{
	(void)state;
	each_program(calls_of, "bin/recorded-go1.2[0-9]");
}

/* Ps that have no ring of their own. */
/*
 * A question of a point's records: of the calls whose n is even, and that return it, the n and how long they took.
 * Worker, n and a text are slots of the entry, n is one of the return.
 */
static const struct capture_program *asked_at(bool at_return)
{
	static struct ir_insn entry[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER},
		{.op = IR_ARG_STACK, .size = 8, .dst = 0, .imm = REPLAY_BYTES},
		{.op = IR_CONST, .dst = 1, .imm = 2}, {.op = IR_BIN, .bin = BIN_MOD, .dst = 2, .a = 0, .b = 1},
		{.op = IR_NOT, .dst = 3, .a = 2}, {.op = IR_FILTER, .a = 3}, {.op = IR_END},
		{.op = IR_REGION}, {.op = IR_ARG_STACK, .size = 8, .dst = 0, .imm = REPLAY_BYTES},
		{.op = IR_EMIT, .a = 0}, {.op = IR_SAVE, .a = 0}, {.op = IR_END},
		{.op = IR_REGION, .slot = 1}, {.op = IR_ARG_STACK, .size = 8, .dst = 0, .imm = 2 * REPLAY_BYTES},
		{.op = IR_ARG_STACK, .size = 8, .dst = 1, .imm = 2 * REPLAY_BYTES + 8},
		{.op = IR_EMIT_STR, .slot = 1, .a = 0, .b = 1, .imm = EVENT_MAX_STRING}, {.op = IR_END},
	};
	static struct ir_insn ret[] = {
		{.op = IR_REGION, .slot = IR_SLOT_FILTER}, {.op = IR_SAVED, .dst = 0},
		{.op = IR_ARG_STACK, .size = 8, .dst = 1}, {.op = IR_BIN, .bin = BIN_EQ, .dst = 2, .a = 0, .b = 1},
		{.op = IR_FILTER, .a = 2}, {.op = IR_END},
		{.op = IR_REGION}, {.op = IR_LATENCY, .dst = 0}, {.op = IR_EMIT, .a = 0}, {.op = IR_END},
	};
	static struct ir_slot slots[] = {{.name = "n"}, {.name = "text", .kind = VALUE_STRING}};
	static const struct ir_aggregate sum = {.kind = AGG_SUM, .is_unsigned = true, .value = {.at_entry = true}};
	static const struct capture_program programs[] = {
		{.role = PROGRAM_ENTRY, .call_group = 1, .insns = entry, .ninsns = ARRAY_SIZE(entry), .slots = slots,
		 .nslots = 2, .nregs = 4, .controlled = true},
		{.role = PROGRAM_RETURN, .call_group = 1, .insns = ret, .ninsns = ARRAY_SIZE(ret), .slots = slots,
		 .nslots = 1, .nregs = 3, .aggregates = &sum, .naggregates = 1},
	};

	return &programs[at_return];
}

static void attach_asked(struct reader *r, int pid)
{
	static const enum replay_form entry[8] = {REPLAY_WORD, REPLAY_WORD, REPLAY_TEXT}, ret[1] = {REPLAY_WORD};
	const struct woven_target target = {.id = TARGET, .pid = pid};
	static struct woven_answer answers[2];
	struct err err = {0};

	answers[0] = (struct woven_answer){entry, 8, NULL};
	answers[1] = (struct woven_answer){ret, 1, asked_at(false)};
	for (size_t i = 0; i < 2; i++)
		if (capture_verify(asked_at(i), &err) ||
		    replay_check(asked_at(i), answers[i].forms, answers[i].n, &err))
			fail_msg("%s", err.text);
	const struct woven_probe probes[] = {
		{.key = r->begin->key, .id = CALL, .group = 1, .func = 1, .program = asked_at(false),
		 .answer = &answers[0]},
		{.key = r->end->key, .id = RETURN, .group = 1, .func = 1, .program = asked_at(true),
		 .answer = &answers[1]},
	};
	for (int i = 0; woven_attach(r->woven, &target, probes, 2, &err); i++) {
		if (i == 5000 || err.code == -EPROTO || err.code == -EBUSY)
			fail_msg("%s", err.text);
		usleep(1000);
	}
}

struct answers {
	struct reader *reader;
	uint64_t calls, sum;
	size_t sums;
};

static void on_answer(void *arg, const void *sample, size_t size)
{
	struct answers *a = arg;
	struct event e[2];
	size_t n;

	if (!event_decode_sample(sample, size, e, &n) || n != 2 || e[0].head->kind != EVENT_RETURN ||
	    e[0].head->slots != 1 || e[1].head->slots != 2 || e[1].head->probe != CALL) {
		torn(a->reader, "a sample", n, 2);
		return;
	}
	expect(a->reader, "an odd n", e[1].slots[0].value % 2, 0);
	expect(a->reader, "a latency", e[0].slots[0].value, e[0].head->time_ns - e[1].head->time_ns);
	check_text(a->reader, &e[1], 1, e[1].slots[0].value);
	a->calls++;
	a->sum += e[1].slots[0].value;
}

static void on_sum(void *arg, const struct plant_group *g)
{
	struct answers *a = arg;

	a->sums++;
	expect(a->reader, "a count", g->count, a->calls);
	expect(a->reader, "a sum", (uint64_t)g->sum, a->sum);
}

static void answers_of(const char *path)
{
	struct recorded_program p;
	struct reader r;
	struct answers a = {.reader = &r};
	struct event_source *s;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	s = woven_source(r.woven);
	attach_asked(&r, p.pid);
	for (int every = 1; every <= 5; every += 4) { /* of those that pass the condition */
		a = (struct answers){.reader = &r};
		s->ops->control(s, CALL, &(struct plant_control){.every = (uint64_t)every});
		ask(&p, "run 2 500\n");
		assert_int_equal(told_by(&p).lost + told_by(&p).ends_lost, 0);
		usleep(1000);
		for (int i = 0; i < 64; i++)
			s->ops->drain(s, on_answer, &a);
		assert_int_equal(a.calls, 500 / every);
		assert_int_equal(s->ops->aggregates(s, true, on_sum, &a), 0);
	}
	assert_int_equal(a.sums, 1);
	assert_int_equal(lost_of(&r, CALL, LOSS_EVERY), 400);
	reader_free(&r);
	stop(&p);
}

static void test_answers(void **state)
{
	(void)state;
	each_program(answers_of, "bin/recorded-go1.[0-9][0-9]");
}

static void many_procs_of(const char *path)
{
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	ask(&p, "procs 64\n");
	attach_started(&r, p.pid, 2);
	ask_and_drain(&r, &p, "run 64 3000\n");
	compare(&r, told_by(&p));
	reader_free(&r);
	stop(&p);
}

static void test_many_procs(void **state)
{
	(void)state;
	each_program(many_procs_of, "bin/recorded-go1.2[0-9]");
}

static void sampling_of(const char *path)
{
	struct recorded_program p;
	struct reader r;
	struct event_source *s;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	s = woven_source(r.woven);
	attach_started(&r, p.pid, 2);
	s->ops->control(s, BEGIN, &(struct plant_control){.every = 10});
	ask_and_drain(&r, &p, "run 4 20000\n");
	assert_int_equal(told_by(&p).written, r.taken[BEGIN]);
	assert_int_equal(told_by(&p).ends, r.taken[END]); /* what did not begin does not end */
	assert_int_equal(told_by(&p).lost, lost_of(&r, BEGIN, LOSS_RING_FULL) + lost_of(&r, BEGIN, LOSS_EVERY));
	assert_in_range(r.taken[BEGIN], 8000 - 64, 8000 + 64);
	assert_int_equal(s->ops->hits(s, BEGIN), 80000);
	reader_free(&r);
	stop(&p);
}

static void test_sampling(void **state)
{
	(void)state;
	each_program(sampling_of, "bin/recorded-go1.2[0-9]");
}

/* As any process of the same user can. The recorder puts the descriptor out of the way: at 100, or behind. */
static struct woven_area *memory_behind_the_reader(int pid)
{
	char path[64];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/100", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	p = mmap(NULL, WOVEN_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	close(fd);
	return p;
}

/* What it has recorded before anybody came is not lost; what it could not is told. */
static void from_the_beginning_of(const char *path)
{
	struct recorded_program p;
	struct reader r;
	struct woven_area *area;
	struct told before, after;

	start_with(path, "on", &p);
	reader_new(path, &r);
	ask(&p, "run 4 300\n");
	before = told_by(&p);
	assert_int_equal(before.written, 1200);
	area = memory_behind_the_reader(p.pid);
	assert_int_equal(area->no_room, 0);
	area->no_room = 7;
	attach_started(&r, p.pid, 2);
	assert_non_null(strstr(r.note, "what 7 of them have seen"));
	munmap(area, WOVEN_HEAD);
	drain_all(&r);
	compare(&r, before);
	memset(r.last, 0, sizeof(r.last));
	ask_and_drain(&r, &p, "run 4 20000\n");
	after = told_by(&p);
	after.written += before.written;
	after.ends += before.ends;
	compare(&r, after);
	reader_free(&r);
	stop(&p);
}

static void test_from_the_beginning(void **state)
{
	(void)state;
	each_program(from_the_beginning_of, "bin/recorded-go1.[0-9][0-9]");
}

/* ---- who else there is ---- */

static void children_of(const char *path)
{
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	attach_started(&r, p.pid, 2);
	assert_string_equal(ask_and_drain(&r, &p, "fork\n"), "child 0\n");
	assert_int_equal(r.taken[BEGIN], 0);
	assert_string_equal(ask_and_drain(&r, &p, "again\n"), "written 0 lost 0 ends 0 ends_lost 0\n");
	ask_and_drain(&r, &p, "run 1 10\n");
	compare(&r, told_by(&p));
	assert_int_equal(r.taken[BEGIN], 10);
	reader_free(&r);
	stop(&p);
}

static void test_children(void **state)
{
	(void)state;
	each_program(children_of, "bin/recorded-go1.[0-9][0-9]");
}

/* A reader in a process of its own, that says when it is at work. */
static pid_t other_reader(const char *path, int pid)
{
	int ready[2];
	char c;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		struct reader r;

		reader_new(path, &r);
		attach_started(&r, pid, 2);
		for (bool said = false;; said = true) {
			drain(&r);
			if (!said && write(ready[1], "", 1) != 1)
				_exit(1);
			usleep(1000);
		}
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* One at a time; a killed one costs the next nothing, and the program goes on. */
static void turns_of(const char *path)
{
	struct recorded_program p;
	struct err err = {0};
	struct reader r;

	start_with(path, NULL, &p);
	for (int i = 0; i < 3; i++) {
		pid_t other = other_reader(path, p.pid);

		reader_new(path, &r);
		assert_int_equal(attach(&r, p.pid, 2, &err), -EBUSY);
		command(&p, "run 4 20000\n");
		usleep(3000);
		kill_and_wait(other);
		attach_started(&r, p.pid, 2);
		ask_and_drain(&r, &p, "");
		r.torn = 0; /* ends of what had begun before us */
		reader_free(&r);
		reader_new(path, &r);
		attach_started(&r, p.pid, 2);
		ask_and_drain(&r, &p, "run 4 5000\n");
		compare(&r, told_by(&p));
		reader_free(&r);
	}
	stop(&p);
}

static void test_turns(void **state)
{
	(void)state;
	each_program(turns_of, "bin/recorded-go1.[0-9][0-9]");
}

/* What one of them is about to write as the session ends is not counted: then nobody listens. */
#define WORKERS 2

static uint64_t memory_of(const struct woven_memory *m)
{
	struct stat st;

	assert_int_equal(fstat(m->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* A reader that stands still is taken for dead: the program is off again, and has no memory of it. */
static void stale_of(const char *path)
{
	struct woven_memory m;
	struct recorded_program p;
	struct err err = {0};
	struct tsc_clock clock;
	struct chunk_pool pool;
	struct reader r;
	uint32_t index = 0;
	bool went_on;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	ask(&p, "run 1 1\n");
	tsc_clock_monotonic(&clock);
	if (woven_memory_open("/proc", p.pid, &m, &err) ||
	    woven_session_begin(&m, TARGET, &(struct woven_key){r.begin->key, &index, NULL}, 1, &clock, 64, &pool,
				&went_on, &err))
		fail_msg("%s", err.text);
	assert_true(memory_of(&m) > 64 * RING_CHUNK);
	ask(&p, "run 2 200\n");
	assert_int_equal(told_by(&p).written, 400);
	m.area->ring.heartbeat_tsc -= UINT64_C(60) * 1000000000;
	ask(&p, "run 2 20000\n");
	assert_true(woven_session_lost(&m));
	assert_true(told_by(&p).written + told_by(&p).lost < 40000); /* off again */
	assert_true(memory_of(&m) < 8 * RING_CHUNK);
	assert_in_range(m.area->ring.ring_full + WORKERS, told_by(&p).lost, told_by(&p).lost + WORKERS);
	ask(&p, "run 2 200\n");
	assert_int_equal(told_by(&p).written + told_by(&p).lost, 0);
	pool_done(&pool);
	woven_memory_close(&m);
	attach_started(&r, p.pid, 2);
	ask_and_drain(&r, &p, "run 2 1000\n");
	compare(&r, told_by(&p));
	reader_free(&r);
	stop(&p);
}

static void test_stale(void **state)
{
	(void)state;
	each_program(stale_of, "bin/recorded-go1.2[0-9]");
}

/* The source begins again by itself, and says how much was thrown away. */
static void slow_reader_of(const char *path)
{
	struct recorded_program p;
	struct woven_area *area;
	struct losses l = {0};
	struct event_source *s;
	struct told t[3];
	struct reader r;
	uint64_t all;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	s = woven_source(r.woven);
	attach_started(&r, p.pid, 2);
	area = memory_behind_the_reader(p.pid);
	ask(&p, "run 2 200\n");
	t[0] = told_by(&p);
	area->ring.heartbeat_tsc -= area->ring.stale_tsc * 2;
	ask(&p, "run 2 20000\n");
	t[1] = told_by(&p);
	assert_int_equal(area->session, 0);
	drain_all(&r);
	assert_true(area->session);
	ask_and_drain(&r, &p, "run 2 200\n");
	t[2] = told_by(&p);
	assert_int_equal(r.taken[BEGIN], t[2].written);
	assert_int_equal(r.taken[END], t[2].ends);
	s->ops->losses(s, &l);
	all = t[0].written + t[0].ends + t[1].written + t[1].ends + t[1].lost + t[1].ends_lost;
	assert_in_range(l.count[LOSS_RING_FULL] + WORKERS, all, all + WORKERS);
	munmap(area, WOVEN_HEAD);
	reader_free(&r);
	stop(&p);
}

static void test_slow_reader(void **state)
{
	(void)state;
	each_program(slow_reader_of, "bin/recorded-go1.2[0-9]");
}

/* It is killed in the middle: what it had written is whole. */
static void killed_program_of(const char *path)
{
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	attach_started(&r, p.pid, 2);
	command(&p, "run 8 10000000\n");
	/* On a busy machine each drain brings all that the rings hold. */
	for (int i = 0; i < 50 && r.taken[BEGIN] < 200000; i++) {
		drain(&r);
		usleep(1000);
	}
	stop(&p);
	drain_all(&r);
	assert_true(r.taken[BEGIN] > 0);
	woven_detach(r.woven, TARGET);
	reader_free(&r);
}

static void test_killed_program(void **state)
{
	(void)state;
	each_program(killed_program_of, "bin/recorded-go1.2[0-9]");
}

/* Of itself it has one descriptor, out of the way, or none. */
static void descriptors_of(const char *path)
{
	struct recorded_program p;
	struct err err = {0};
	struct reader r;

	start_with(path, NULL, &p);
	assert_non_null(strstr(ask(&p, "open\n"), "memory 1 "));
	stop(&p);
	start_with(path, "never", &p);
	assert_non_null(strstr(ask(&p, "open\n"), "memory 0 "));
	reader_new(path, &r);
	assert_int_equal(attach(&r, p.pid, 2, &err), -ENODATA);
	assert_non_null(strstr(err.text, "EARSHOT_RECORD=never"));
	reader_free(&r);
	stop(&p);
}

static void test_descriptors(void **state)
{
	(void)state;
	each_program(descriptors_of, "bin/recorded-go1.[0-9][0-9]");
}

/* Where the runtime could not be woven, the program is as it was. */
static void noop_of(const char *path)
{
	struct recorded_program p;
	struct err err = {0};
	struct reader r;

	start_with(path, "on", &p);
	reader_new(path, &r);
	assert_string_equal(ask(&p, "run 2 1000\n"), "written 0 lost 0 ends 0 ends_lost 0\n");
	assert_int_equal(attach(&r, p.pid, 2, &err), -ENODATA);
	reader_free(&r);
	stop(&p);
}

static void test_noop(void **state)
{
	(void)state;
	each_program(noop_of, "bin/recorded-go1.*-noop");
}

/* ---- traces that are decided where they begin ---- */

enum { NUMBER = 1, WORKER = 0, IDS = 8, TRACED = 100 }; /* the point's slots; behind the last, the ids */

struct traced {
	uint64_t starts, ends, unmarked;
	struct event_context of[TRACED]; /* the last one of a worker */
	bool has[TRACED];
};

static void on_traced(void *arg, const void *sample, size_t size)
{
	struct traced *t = arg;
	struct event_context ids;
	struct event e[2];
	size_t n;

	if (!event_decode_sample(sample, size, e, &n))
		fail_msg("a record is torn");
	if (e[0].head->probe == END) {
		t->ends++;
		return;
	}
	t->starts++;
	t->unmarked += !event_context(&e[0], 2, &ids) || !(ids.flags & EVENT_CONTEXT_SAMPLED);
	if (e[0].slots[WORKER].value < TRACED) {
		t->of[e[0].slots[WORKER].value] = ids;
		t->has[e[0].slots[WORKER].value] = true;
	}
}

/* Of traces that begin there so many are kept; child: none is known to begin there. */
static void attach_traced(struct reader *r, int pid, double ratio, bool child)
{
	static const struct capture_program programs[NPROBES] = {[BEGIN] = {.nslots = 3}, [END] = {.nslots = 1}};
	static const int begin[] = {WORKER, NUMBER, IDS}, end[] = {0};
	const struct woven_plan start_plan = {.action = MARKS_START,
					      .flags = (uint8_t)(WOVEN_PLAN_CREATOR | (child ? WOVEN_PLAN_CHILD : 0)),
					      .group = 1,
					      .call = 1,
					      .creator = 1 + 3,
					      .epoch = 1 + 5,
					      .threshold = mark_threshold(ratio)};
	const struct woven_plan end_plan = {
		.action = MARKS_END, .flags = WOVEN_PLAN_OF_CALL, .group = 1, .call = 1};
	const struct woven_probe probes[] = {
		{.key = r->begin->key, .id = BEGIN, .program = &programs[BEGIN], .slots = begin, .plan = &start_plan},
		{.key = r->end->key, .id = END, .program = &programs[END], .slots = end, .plan = &end_plan},
	};
	const struct woven_target target = {.id = TARGET, .pid = pid};
	struct err err = {0};

	for (int i = 0; woven_attach(r->woven, &target, probes, 2, &err); i++) {
		if (i == 5000)
			fail_msg("%s", err.text);
		usleep(1000);
	}
}

static struct traced traced(struct reader *r, struct recorded_program *p, const char *line)
{
	struct event_source *s = woven_source(r->woven);
	struct traced t = {0};

	command(p, line);
	while (!answered(p)) {
		s->ops->drain(s, on_traced, &t);
		usleep(100);
	}
	usleep(1000);
	for (int i = 0; i < 64; i++)
		s->ops->drain(s, on_traced, &t);
	return t;
}

/* Each start is written or counted; its end is, where that is. */
static void decided_by_ratio(struct reader *r, struct recorded_program *p, double ratio)
{
	enum { ALL = 4 * 2000 };
	const uint64_t before = lost_of(r, BEGIN, LOSS_SAMPLED_OUT);
	struct traced t;
	uint64_t left_out;

	attach_traced(r, p->pid, ratio, false);
	t = traced(r, p, "run 4 2000\n");
	left_out = lost_of(r, BEGIN, LOSS_SAMPLED_OUT) - before;
	assert_int_equal(told_by(p).lost, 0);
	assert_int_equal(t.starts + left_out, ALL);
	assert_int_equal(t.ends, t.starts);
	assert_int_equal(t.unmarked, 0);
	assert_in_range(t.starts, ALL * (ratio - 0.1 * (ratio < 1 && ratio > 0)),
			ALL * (ratio + 0.1 * (ratio < 1 && ratio > 0)));
}

static bool of_one_trace(const struct traced *t, size_t a, size_t b)
{
	return !memcmp(t->of[a].trace_id, t->of[b].trace_id, sizeof(t->of[a].trace_id));
}

/* What goroutines do that were created within a span is kept with it; not what another one does, which was there. */
static void decided_with_creators(struct reader *r, struct recorded_program *p, bool knows_creator)
{
	enum { ROUNDS = 10 };
	struct traced t;
	unsigned kept = 0, together = 0, tries = 0;

	attach_traced(r, p->pid, 0.5, false);
	for (; tries < 10 && (!kept || kept == ROUNDS * (tries + 1)); tries++) {
		t = traced(r, p, "nested 10\n");
		for (size_t outer = 0; outer < TRACED; outer += 10) {
			kept += t.has[outer];
			for (size_t k = 1; k < 4; k++) {
				const bool both = t.has[outer] && t.has[outer + k];

				together += both ? of_one_trace(&t, outer, outer + k)
						 : t.has[outer] == t.has[outer + k];
			}
			assert_false(t.has[outer] && t.has[outer + 4] && of_one_trace(&t, outer, outer + 4));
		}
	}
	assert_true(kept);
	if (knows_creator) /* a batch of ids that another processor had before proves nothing */
		assert_in_range(together, tries * 3 * ROUNDS * 9 / 10, tries * 3 * ROUNDS);
	attach_traced(r, p->pid, 0, true); /* who may have a parent that nobody knows of is written */
	t = traced(r, p, "run 2 100\n");
	assert_int_equal(t.starts, 200);
	assert_int_equal(t.unmarked, 200);
}

static void traces_of(const char *path)
{
	static const double ratios[] = {1, 0.5, 0};
	struct recorded_program p;
	struct reader r;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	ask(&p, "gc 5\n");
	for (size_t i = 0; i < ARRAY_SIZE(ratios); i++)
		decided_by_ratio(&r, &p, ratios[i]);
	decided_with_creators(&r, &p, !strstr(path, "go1.19"));
	assert_int_equal(lost_of(&r, 0, LOSS_MARKS_FULL), 0);
	reader_free(&r);
	stop(&p);
}

static void test_traces(void **state)
{
	(void)state;
	each_program(traces_of, "bin/recorded-go1.[0-9][0-9]");
}

/* Nothing is kept of goroutines. EARSHOT_GOROUTINES makes it more. */
static void goroutines_of(const char *path)
{
	const char *n = getenv("EARSHOT_GOROUTINES");
	struct recorded_program p;
	struct reader r;
	char line[64];
	int64_t grew;

	start_with(path, NULL, &p);
	reader_new(path, &r);
	attach_traced(&r, p.pid, 1, false);
	snprintf(line, sizeof(line), "goroutines %s\n", n && *n ? n : "300000");
	ask_and_drain(&r, &p, line);
	assert_int_equal(sscanf(p.answer, "grew %" SCNd64, &grew), 1);
	assert_true(grew < 8 << 20);
	r.torn = 0; /* workers and numbers are not these programs' */
	reader_free(&r);
	stop(&p);
}

static void test_goroutines(void **state)
{
	(void)state;
	each_program(goroutines_of, "bin/recorded-go1.2[0-9]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_calls),		      cmocka_unit_test(test_many_procs),
		cmocka_unit_test(test_sampling),	      cmocka_unit_test(test_from_the_beginning),
		cmocka_unit_test(test_children),	      cmocka_unit_test(test_turns),
		cmocka_unit_test(test_stale),		      cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_killed_program),	      cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_noop),		      cmocka_unit_test(test_traces),
		cmocka_unit_test(test_goroutines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
