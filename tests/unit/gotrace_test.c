/* Execution traces of Go, made by hand: what is read of them, in which order, and what becomes of cut and damaged ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/made_trace.h"

enum { T_TASK = 1, T_REGION, T_NETWORK, T_SYNC, T_KEY, T_TEXT, T_FILE };
static const char *const texts[] = {"task", "region",    "network",    "sync.(*Cond).Wait",
				    "key",  "some text", "a/b/file.go"};

/* Goroutine 7 runs on thread 1 from the beginning on, at 1,000. */
static void begin(struct made *t, unsigned version)
{
	made_file(t, version);
	t->generation = 1;
	if (version >= 25)
		made_clocks(t, 1000);
	made_begin(t, 1, 1000);
	made_event(t, GO_STATUS, 1000, 7, 1, GO_RUNNING);
}

static void end(struct made *t)
{
	made_end(t);
	if (t->version < 25)
		made_clocks(t, 1000);
	made_texts(t, 3, 7, texts);
}

/* Compares what is read with the lines; frees both. */
static void check(struct made *t, const char *lines)
{
	struct read_trace r;

	read_made(t->out.data, t->out.len, NULL, &r);
	assert_int_equal(r.r, 0);
	assert_string_equal(r.spans.data ? r.spans.data : "", lines);
	assert_int_equal(r.rest.bytes, 0);
	read_trace_done(&r);
	made_done(t);
}

/* ---- what spans have ---- */

static void a_task_with_a_region_and_a_log(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&t, GO_LOG, 2500, 5, T_KEY, T_TEXT, 0);
	made_event(&t, GO_LOG, 2600, 5, 0, T_TEXT, 0);
	made_event(&t, GO_REGION_BEGIN, 3000, 5, T_REGION, 0);
	made_event(&t, GO_BLOCK, 3100, T_NETWORK, 2);
	made_event(&t, GO_UNBLOCK, 5100, 7, 1, 0);
	made_event(&t, GO_START, 5400, 7, 2);
	made_event(&t, GO_REGION_END, 6000, 5, T_REGION, 0);
	made_event(&t, GO_SYSCALL_BEGIN, 6100, 1, 0);
	made_event(&t, GO_SYSCALL_END, 6150);
	made_event(&t, GO_TASK_END, 6200, 5, 0);
	end(&t);
	check(&t,
		"region g7 1000000000003000+3000 context running_ns=700 runnable_ns=300 wait.network_ns=2000 "
		"longest=network longest_ns=2000 longest_at=region (file.go:20) < network (file.go:21) kind=region "
		"task=5\n"
		"task g7 1000000000002000+4200 none running_ns=1850 runnable_ns=300 syscall_ns=50 wait.network_ns=2000 "
		"longest=network longest_ns=2000 longest_at=region (file.go:20) < network (file.go:21) kind=task "
		"task=5 "
		"[key@1000000000002500 some text] [log@1000000000002600 some text]\n");
}

/* 15,625,000 ticks in a second; no time of day. */
static void ticks_of_the_older_versions(void **state)
{
	struct made t = {.frequency = 15625000};

	begin(&t, 22);
	made_event(&t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&t, GO_TASK_END, 2001, 5, 0);
	end(&t);
	check(&t, "task g7 128000+64 none running_ns=64 kind=task task=5\n");
}

static void a_task_that_another_goroutine_ends(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&t, GO_CREATE, 2100, 8, 0, 0);
	made_event(&t, GO_DESTROY, 2200);
	made_event(&t, GO_START, 2300, 8, 1);
	made_event(&t, GO_TASK_END, 3000, 5, 0);
	end(&t);
	/* Of the 1,000 its own goroutine was there for 200. */
	check(&t, "task g7 1000000000002000+1000 none unknown_ns=800 running_ns=200 kind=task task=5\n");
}

static void a_wait_within_a_wait(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, T_TASK, 0);
	made_event(&t, GO_REGION_BEGIN, 2100, 0, T_REGION, 0);
	made_event(&t, GO_BLOCK, 2200, T_SYNC, 1);
	made_event(&t, GO_UNBLOCK, 2700, 7, 1, 0);
	made_event(&t, GO_START, 2700, 7, 2);
	made_event(&t, GO_REGION_END, 3000, 0, T_REGION, 0);
	made_event(&t, GO_BLOCK, 3000, T_NETWORK, 0);
	made_event(&t, GO_UNBLOCK, 3100, 7, 3, 0);
	made_event(&t, GO_START, 3100, 7, 4);
	made_event(&t, GO_REGION_END, 3200, 0, T_TASK, 0);
	end(&t);
	check(&t,
		"region g7 1000000000002100+900 goroutine running_ns=400 wait.sync_cond_wait_ns=500 "
		"longest=sync_cond_wait "
		"longest_ns=500 longest_at=task (file.go:10) < region (file.go:11) kind=region\n"
		"task g7 1000000000002000+1200 unknown running_ns=600 wait.sync_cond_wait_ns=500 wait.network_ns=100 "
		"longest=sync_cond_wait longest_ns=500 longest_at=task (file.go:10) < region (file.go:11) "
		"kind=region\n");
}

static void what_happens_meanwhile(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, T_TASK, 0);
	made_event(&t, GO_GC_BEGIN, 2100, 1, 0);
	made_event(&t, GO_ASSIST_BEGIN, 2200, 0);
	made_event(&t, GO_ASSIST_END, 2500);
	made_event(&t, GO_STW_BEGIN, 2600, T_KEY, 0);
	made_event(&t, GO_STW_END, 2650);
	made_event(&t, GO_GC_END, 2900, 2);
	made_event(&t, GO_REGION_END, 3000, 0, T_TASK, 0);
	end(&t);
	check(&t, "task g7 1000000000002000+1000 unknown running_ns=1000 within.gc_assist_ns=300 within.gc_ns=800 "
		  "within.stop_the_world_ns=50 kind=region\n");
}

/* A text, and the name of a region, with a byte that is 0. */
static void texts_that_c_has_not(void **state)
{
	struct made t = {0};
	struct read_trace r;

	begin(&t, 26);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, T_REGION, 0);
	made_event(&t, GO_LOG, 2500, 0, T_KEY, T_TEXT, 0);
	made_event(&t, GO_REGION_END, 3000, 0, T_REGION, 0);
	end(&t);
	memset((char *)memmem(t.out.data, t.out.len, "some text", 9) + 4, 0, 1);
	memset((char *)memmem(t.out.data, t.out.len, "region", 6) + 3, 0, 1);
	read_made(t.out.data, t.out.len, NULL, &r);
	assert_int_equal(r.r, 0);
	assert_string_equal(r.spans.data, "reg g7 1000000000002000+1000 unknown running_ns=1000 kind=region "
					  "[key@1000000000002500 some");
	assert_string_equal(r.spans.data + strlen(r.spans.data) + 1, "text]\n");
	assert_int_equal(r.counts.losses.count[LOSS_UNPAIRED_END], 0);
	read_trace_done(&r);
	made_done(&t);
}

/* Many logs of a long text: memory is bounded, and what is left out is counted. */
static void more_texts_than_memory_takes(void **state)
{
	struct made t = {0};
	struct read_trace r;
	char *text = xmalloc(60001);
	const char *const long_texts[] = {"task", "key", text};

	memset(text, 'x', 60000);
	text[60000] = 0;
	begin(&t, 26);
	for (uint64_t task = 1; task <= 12; task++) {
		made_event(&t, GO_TASK_BEGIN, 2000, task, 0, 1, 0);
		for (unsigned i = 0; i < 120; i++)
			made_event(&t, GO_LOG, 2000, task, 2, 3, 0);
	}
	made_end(&t);
	made_texts(&t, 0, 3, long_texts);
	read_made(t.out.data, t.out.len, NULL, &r);
	assert_int_equal(r.r, 0);
	assert_in_range(r.counts.logs, 1, (64 << 20) / 60000 + 1);
	assert_int_equal(r.counts.logs + r.counts.losses.count[LOSS_SPAN_EVENT], 12 * 120);
	assert_int_equal(r.counts.tasks + r.counts.losses.count[LOSS_OPEN_LIMIT], 12);
	read_trace_done(&r);
	made_done(&t);
	free(text);
}

/* Names of functions are as long as a file has them: a stack's text is not. */
static void a_stack_of_long_names(void **state)
{
	struct made t = {0};
	struct read_trace r;
	char *text = xmalloc(30001);
	const char *const long_texts[] = {"region", text, "sleep"}, *at;

	memset(text, 'x', 30000);
	text[30000] = 0;
	begin(&t, 26);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, 1, 0);
	made_event(&t, GO_BLOCK, 3000, 3, 1);
	made_event(&t, GO_UNBLOCK, 4000, 7, 1, 0);
	made_event(&t, GO_START, 4500, 7, 2);
	made_event(&t, GO_REGION_END, 5000, 0, 1, 0);
	made_end(&t);
	made_texts(&t, 2, 3, long_texts);
	read_made(t.out.data, t.out.len, NULL, &r);
	assert_int_equal(r.r, 0);
	at = strstr(r.spans.data, "longest_at=region (sleep:10) < xxx");
	assert_non_null(at);
	assert_int_equal(strcspn(at + strlen("longest_at=region (sleep:10) < "), " ") + strlen("region (sleep:10) < "),
			 4096);
	read_trace_done(&r);
	made_done(&t);
	free(text);
}

static void coroutines_wait_for_each_other(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_CREATE_BLOCKED, 1500, 8, 0, 0);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, T_TASK, 0);
	made_event(&t, GO_SWITCH, 2100, 8, 1);
	made_event(&t, GO_REGION_BEGIN, 2200, 0, T_REGION, 0);
	made_event(&t, GO_REGION_END, 2300, 0, T_REGION, 0);
	made_event(&t, GO_SWITCH_DESTROY, 2400, 7, 1);
	made_event(&t, GO_REGION_END, 2600, 0, T_TASK, 0);
	end(&t);
	check(&t, "region g8 1000000000002200+100 none running_ns=100 kind=region\n"
		  "task g7 1000000000002000+600 unknown running_ns=300 wait.coroutine_ns=300 longest=coroutine "
		  "longest_ns=300 kind=region\n");
}

/* A thread of C's calls Go, twice: each time there is a goroutine from a system call to the next one. */
static void calls_from_c(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_end(&t);
	made_begin(&t, 2, 2000);
	for (uint64_t goid = 8, at = 2000; goid < 10; goid++, at += 1000) {
		made_event(&t, GO_CREATE_SYSCALL, at, goid);
		made_event(&t, GO_SYSCALL_END_BLOCKED, at + 100);
		made_event(&t, GO_START, at + 150, goid, 1);
		made_event(&t, GO_REGION_BEGIN, at + 200, 0, T_REGION, 0);
		made_event(&t, GO_SYSCALL_BEGIN, at + 300, 1, 2);
		made_event(&t, GO_SYSCALL_END, at + 350);
		if (goid == 8)
			made_event(&t, GO_REGION_END, at + 400, 0, T_REGION, 0);
		made_event(&t, GO_SYSCALL_BEGIN, at + 500, 2, 0);
		made_event(&t, GO_DESTROY_SYSCALL, at + 600);
	}
	end(&t);
	check(&t, "region g8 1000000000002200+200 none running_ns=150 syscall_ns=50 longest=syscall longest_ns=50 "
		  "longest_at=region (file.go:20) < network (file.go:21) kind=region\n"
		  "region g9 1000000000003200+400 none running_ns=250 syscall_ns=150 longest=syscall longest_ns=100 "
		  "kind=region unfinished=1\n");
}

/* ---- parents ---- */

static void tasks_of_tasks(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 1, 0, T_TASK, 0);
	made_event(&t, GO_TASK_BEGIN, 2100, 2, 1, T_REGION, 0);
	made_event(&t, GO_TASK_END, 2200, 1, 0);
	made_event(&t, GO_TASK_BEGIN, 2300, 3, 1, T_KEY, 0);   /* the parent has ended */
	made_event(&t, GO_TASK_BEGIN, 2300, 4, 99, T_TEXT, 0); /* it began before the trace */
	made_event(&t, GO_REGION_BEGIN, 2310, 99, T_NETWORK, 0);
	made_event(&t, GO_REGION_END, 2320, 99, T_NETWORK, 0);
	made_event(&t, GO_TASK_END, 2400, 2, 0);
	made_event(&t, GO_TASK_END, 2400, 3, 0);
	made_event(&t, GO_TASK_END, 2400, 4, 0);
	made_event(&t, GO_TASK_END, 2400, 99, 0);
	made_event(&t, GO_REGION_END, 2400, 0, T_TASK, 0);
	end(&t);
	check(&t, "task g7 1000000000002000+200 none running_ns=200 kind=task task=1\n"
		  "network g7 1000000000002310+10 unknown running_ns=10 kind=region task=99\n"
		  "region g7 1000000000002100+300 context running_ns=300 kind=task task=2\n"
		  "key g7 1000000000002300+100 context running_ns=100 kind=task task=3\n"
		  "some text g7 1000000000002300+100 unknown running_ns=100 kind=task task=4\n");
}

struct ids {
	struct {
		char name[32];
		uint8_t trace[16], span[8], parent[8];
		bool has_parent;
	} of[16];
	size_t n;
};

static void take_ids(void *arg, const struct span *s)
{
	struct ids *i = arg;

	snprintf(i->of[i->n].name, sizeof(i->of[i->n].name), "%s", s->name);
	memcpy(i->of[i->n].trace, s->trace_id, 16);
	memcpy(i->of[i->n].span, s->span_id, 8);
	memcpy(i->of[i->n].parent, s->parent_id, 8);
	i->of[i->n++].has_parent = span_has_parent(s);
}

static void read_ids(const struct made *t, struct ids *ret)
{
	static const struct resource resource = {.id = 1};
	struct activity *a =
	    activity_new(&(struct activity_setup){.span = take_ids, .arg = ret, .resource = &resource});
	struct read_trace r = {0};
	struct gotrace_reader *reader;
	int fd = file_of(t->out.data, t->out.len);

	assert_int_equal(gotrace_reader_open(fd, &reader, NULL), 0);
	read_generations(reader, a, &r);
	activity_free(a);
	gotrace_reader_free(reader);
	close(fd);
}

static void ids_join_and_are_the_same_each_time(void **state)
{
	struct ids one = {0}, two = {0};
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 1, 0, T_TASK, 0);
	made_event(&t, GO_REGION_BEGIN, 2000, 1, T_REGION, 0);
	made_event(&t, GO_REGION_BEGIN, 2000, 1, T_REGION, 0); /* of the same name, task and time */
	made_event(&t, GO_REGION_END, 2200, 1, T_REGION, 0);
	made_event(&t, GO_REGION_END, 2200, 1, T_REGION, 0);
	made_event(&t, GO_TASK_END, 2400, 1, 0);
	made_event(&t, GO_TASK_BEGIN, 2500, 2, 0, T_TASK, 0);
	made_event(&t, GO_TASK_END, 2600, 2, 0);
	end(&t);
	read_ids(&t, &one);
	read_ids(&t, &two);
	assert_int_equal(one.n, 4);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_memory_equal(one.of[0].parent, one.of[1].span, 8);
	assert_memory_equal(one.of[1].parent, one.of[2].span, 8);
	assert_memory_not_equal(one.of[0].span, one.of[1].span, 8);
	assert_memory_equal(one.of[0].trace, one.of[2].trace, 16);
	assert_memory_not_equal(one.of[2].trace, one.of[3].trace, 16);
	assert_false(one.of[2].has_parent);
	made_done(&t);
}

/* ---- order ---- */

/* The thread that unblocks has a clock that is behind: the sequence numbers order them. */
static void sequence_goes_before_time(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_REGION_BEGIN, 2000, 0, T_TASK, 0);
	made_event(&t, GO_BLOCK, 2100, T_NETWORK, 0);
	made_event(&t, GO_START, 2200, 7, 2);
	made_event(&t, GO_REGION_END, 2500, 0, T_TASK, 0);
	made_end(&t);
	made_begin(&t, 2, 2300);
	made_event(&t, GO_STATUS, 2300, 8, 2, GO_RUNNING);
	made_event(&t, GO_UNBLOCK, 2400, 7, 1, 0);
	end(&t);
	check(&t,
	      "task g7 1000000000002000+500 unknown running_ns=200 wait.network_ns=300 longest=network longest_ns=300 "
	      "kind=region\n");
}

static void what_cannot_have_happened(void **state)
{
	static const struct {
		const char *what;
		enum gotrace_event_type type;
		uint64_t args[4];
	} cases[] = {
		{"a second goroutine starts where one runs", GO_START, {8, 1}},
		{"a goroutine is created twice", GO_CREATE, {7, 0, 0}},
		{"goroutine 0", GO_CREATE, {0, 0, 0}},
		{"no text of that number", GO_BLOCK, {99, 0}},
		{"no stack of that number", GO_BLOCK, {0, 99}},
		{"no such status", GO_STATUS, {9, 1, 5}},
		{"another status than is known", GO_STATUS, {7, 1, GO_WAITING}},
		{"an end of a system call that has not begun", GO_SYSCALL_END, {0}},
		{"a switch to itself", GO_SWITCH, {7, 1}},
		{"a sequence that has a gap", GO_UNBLOCK, {8, 3, 0}},
		{"an unknown goroutine", GO_UNBLOCK, {55, 1, 0}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct made t = {0};
		struct read_trace r;

		begin(&t, 26);
		made_event(&t, GO_REGION_BEGIN, 1100, 0, T_TASK, 0);
		made_event(&t, GO_REGION_END, 1200, 0, T_TASK, 0);
		made_event(&t, GO_CREATE, 1300, 8, 0, 0);
		made_event_(&t, cases[i].type, 1400, cases[i].args);
		end(&t);
		read_made(t.out.data, t.out.len, NULL, &r);
		assert_int_equal(r.r, 0);
		if (r.spans.len || r.generations || r.rest.bytes != t.out.len - 16 ||
		    strncmp(r.rest.why, "generation 1 has ", 17))
			fail_msg("%s: \"%s\", \"%s\"", cases[i].what, r.spans.len ? r.spans.data : "", r.rest.why);
		read_trace_done(&r);
		made_done(&t);
	}
}

/* Each of very many threads waits for what never happens: that ends, and soon. */
static void threads_that_all_wait(void **state)
{
	struct made t = {0};
	struct read_trace r;

	begin(&t, 26);
	for (uint64_t i = 0; i < 20000; i++)
		made_event(&t, GO_HEAP_ALLOC, 3000 + i, 100);
	made_end(&t);
	for (uint64_t m = 2; m < 20000; m++) {
		made_begin(&t, m, 2000);
		made_event(&t, GO_START, 2000, 99, 1);
		made_end(&t);
	}
	made_begin(&t, 1, 1000000);
	end(&t);
	read_made(t.out.data, t.out.len, NULL, &r);
	assert_int_equal(r.generations, 0);
	assert_memory_equal(r.rest.why, "generation 1 has events that cannot be put in order", 51);
	read_trace_done(&r);
	made_done(&t);
}

/* ---- generations ---- */

/* One with a task, a region and a wait that go on in the second, where texts have other numbers. */
static void two_generations(struct made *t, unsigned version)
{
	static const char *const others[] = {"file.go", "other", "region", "sync.(*Cond).Wait", "network"};

	begin(t, version);
	made_event(t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(t, GO_REGION_BEGIN, 2000, 5, T_REGION, 0);
	made_event(t, GO_REGION_BEGIN, 2000, 5, T_KEY, 0);
	made_event(t, GO_REGION_END, 2010, 5, T_KEY, 0);
	made_event(t, GO_BLOCK, 2100, T_SYNC, 2);
	end(t);
	t->generation = 2;
	if (version >= 25)
		made_clocks(t, 9000);
	made_begin(t, 1, 9000);
	made_event(t, GO_STATUS, 9000, 7, 1, GO_WAITING);
	made_event(t, GO_UNBLOCK, 9100, 7, 1, 0);
	made_event(t, GO_START, 9100, 7, 2);
	made_event(t, GO_REGION_END, 9200, 5, 3, 0);
	made_event(t, GO_TASK_END, 9200, 5, 0);
	made_end(t);
	if (version < 25)
		made_clocks(t, 9000);
	made_texts(t, 1, 5, others);
}

#define FIRST(wall) "key g7 " wall "2000+10 goroutine running_ns=10 kind=region task=5\n"
#define LONGEST     "longest=sync_cond_wait longest_ns=7000 longest_at=region (file.go:20) < network (file.go:21) "
#define BOTH(wall)                                                                                                     \
	FIRST(wall)                                                                                                    \
	"region g7 " wall "2000+7200 context running_ns=200 wait.sync_cond_wait_ns=7000 " LONGEST                      \
	"kind=region task=5\n"                                                                                         \
	"task g7 " wall "2000+7200 none running_ns=200 wait.sync_cond_wait_ns=7000 " LONGEST "kind=task task=5\n"

static void what_goes_on_in_the_next_generation(void **state)
{
	static const unsigned versions[] = {22, 23, 25, 26};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct made t = {0};

		two_generations(&t, versions[i]);
		check(&t, versions[i] < 25 ? BOTH("") : BOTH("100000000000"));
	}
}

/* Where the first generation of t ends. */
static size_t first_ends(struct made *t)
{
	struct made one = {0};
	size_t n;

	begin(&one, t->version);
	made_event(&one, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&one, GO_REGION_BEGIN, 2000, 5, T_REGION, 0);
	made_event(&one, GO_REGION_BEGIN, 2000, 5, T_KEY, 0);
	made_event(&one, GO_REGION_END, 2010, 5, T_KEY, 0);
	made_event(&one, GO_BLOCK, 2100, T_SYNC, 2);
	end(&one);
	n = one.out.len;
	assert_memory_equal(one.out.data, t->out.data, n);
	made_done(&one);
	return n;
}

/* Cut at any byte: the generations before the cut, whole, and what is left is told. */
static void cut_anywhere(void **state)
{
	static const unsigned versions[] = {22, 25, 26};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct made t = {0};
		size_t first;

		two_generations(&t, versions[i]);
		first = first_ends(&t);
		for (size_t n = 16; n < t.out.len; n++) {
			struct read_trace r;
			size_t whole = n >= first;

			read_made(t.out.data, n, NULL, &r);
			assert_int_equal(r.r, 0);
			if (r.generations != whole)
				fail_msg("version %u, %zu of %zu bytes: %zu generations", versions[i], n, first,
					 r.generations);
			assert_int_equal(r.rest.bytes, n - (whole ? first : 16));
			if (whole && strncmp(r.spans.data, versions[i] < 25 ? FIRST("") : FIRST("100000000000"),
					     strlen(versions[i] < 25 ? FIRST("") : FIRST("100000000000"))))
				fail_msg("version %u, %zu bytes: %s", versions[i], n, r.spans.data);
			assert_int_equal(r.counts.unfinished, whole ? 2 : 0);
			read_trace_done(&r);
		}
		made_done(&t);
	}
}

/* Any bit of the second generation: what the first has said stays. */
static void flipped_anywhere(void **state)
{
	struct made t = {0};
	size_t first;

	two_generations(&t, 26);
	first = first_ends(&t);
	for (size_t at = first; at < t.out.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct read_trace r;

			t.out.data[at] ^= (char)(1 << bit);
			read_made(t.out.data, t.out.len, NULL, &r);
			assert_int_equal(r.r, 0);
			assert_true(r.generations == 1 || r.generations == 2);
			assert_memory_equal(r.spans.data, FIRST("100000000000"), strlen(FIRST("100000000000")));
			if (r.generations == 1)
				assert_int_equal(r.rest.bytes, t.out.len - first);
			read_trace_done(&r);
			t.out.data[at] ^= (char)(1 << bit);
		}
	made_done(&t);
}

static void unfinished_at_the_end(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&t, GO_REGION_BEGIN, 2100, 5, T_REGION, 0);
	made_event(&t, GO_BLOCK, 2500, T_NETWORK, 1);
	made_event(&t, GO_HEAP_ALLOC, 3000, 100);
	end(&t);
	check(&t,
		"region g7 1000000000002100+900 context running_ns=400 wait.network_ns=500 longest=network "
		"longest_ns=500 "
		"longest_at=task (file.go:10) < region (file.go:11) kind=region task=5 unfinished=1\n"
		"task g7 1000000000002000+1000 none running_ns=500 wait.network_ns=500 longest=network "
		"longest_ns=500 "
		"longest_at=task (file.go:10) < region (file.go:11) kind=task task=5 unfinished=1\n");
}

/* ---- what is no trace ---- */

static void refused(const char *bytes, size_t n, const char *sentence)
{
	struct read_trace r;

	read_made(bytes, n, NULL, &r);
	assert_true(r.r < 0);
	assert_string_equal(r.err.text, sentence);
	read_trace_done(&r);
}

static void files_that_are_no_traces(void **state)
{
	refused("", 0, "is empty: an execution trace of Go was expected");
	refused("go 1.26", 7, "is no execution trace of Go: it has 7 bytes, fewer than its header");
	refused("#!/bin/sh\n# more than that\n", 27,
		"is no execution trace of Go: it does not begin with \"go 1.NN trace\"");
	refused("go 1.26 traces\0\0", 16, "is no execution trace of Go: it does not begin with \"go 1.NN trace\"");
	refused("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16,
		"is no execution trace of Go: it does not begin with \"go 1.NN trace\"");
	refused("go 1.21 trace\0\0\0", 16,
		"is a go 1.21 trace, and formats from 1.22 to 1.26 are known: have it written by a program that a "
		"newer Go has built");
	refused("go 1.28 trace\0\0\0", 16,
		"is a go 1.28 trace, and formats from 1.22 to 1.26 are known: have it written by a program that a "
		"somewhat older Go "
		"has built");
}

static void a_header_alone(void **state)
{
	struct made t = {0};

	made_file(&t, 26);
	check(&t, "");
}

static void varints(void **state)
{
	static const uint8_t largest[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	static const uint8_t padded[] = {0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
	static const uint8_t more[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
	uint64_t v = 0;
	size_t at = 0;

	assert_true(gotrace_varint(largest, 10, &at, &v));
	assert_true(v == UINT64_MAX && at == 10);
	at = 0;
	assert_false(gotrace_varint(largest, 9, &at, &v));
	at = 0;
	assert_true(gotrace_varint(padded, 10, &at, &v));
	assert_true(v == 5 && at == 10);
	at = 0;
	assert_false(gotrace_varint(more, 10, &at, &v));
}

/* ---- known spans ---- */

#define ID32 "0123456789abcdef0123456789abcdef"
#define KNOWN(goid, start, duration)                                                                                   \
	"{\"trace_id\":\"" ID32 "\",\"span_id\":\"00000000000000a" #goid                                               \
	"\",\"parent_span_id\":\"\",\"name\":\"GET /\",\"kind\":"                                                      \
	"\"server\",\"service\":\"shop\",\"start_unix_ns\":100000000000" #start ",\"duration_ns\":" #duration          \
	",\"status\":\"error\",\"attributes\":{\"a\":1,\"earshot.parent.source\":\"none\"},\"pid\":12,\"goid\":" #goid \
	"}\n"

static struct known_spans *known_of(const char *lines, uint64_t pid, struct err *err)
{
	char path[] = "/tmp/gotrace_test.XXXXXX";
	struct known_spans *ret = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0 && write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines));
	close(fd);
	known_spans_read(path, pid, &ret, err);
	unlink(path);
	return ret;
}

static void check_known(struct made *t, const char *known, const char *lines)
{
	struct known_spans *k = known_of(known, 0, NULL);
	struct read_trace r;

	assert_non_null(k);
	read_made(t->out.data, t->out.len, k, &r);
	assert_int_equal(r.r, 0);
	assert_string_equal(r.spans.data, lines);
	read_trace_done(&r);
	known_spans_free(k);
	made_done(t);
}

/* It begins and ends while its goroutine waits. */
static void a_known_span_gets_its_part_of_a_wait(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_BLOCK, 2000, T_NETWORK, 1);
	made_event(&t, GO_UNBLOCK, 6000, 7, 1, 0);
	made_event(&t, GO_START, 6000, 7, 2);
	end(&t);
	check_known(&t, KNOWN(7, 3000, 1000) KNOWN(7, 5500, 700) KNOWN(7, 1500, 8000),
		"GET / g7 1000000000003000+1000 none a=1 wait.network_ns=1000 longest=network longest_ns=1000 "
		"longest_at=task (file.go:10) < region (file.go:11)\n"
		/* the trace ends before these */
		"GET / g7 1000000000005500+700 none a=1 unknown_ns=200 wait.network_ns=500 longest=network "
		"longest_ns=500 "
		"longest_at=task (file.go:10) < region (file.go:11)\n"
		"GET / g7 1000000000001500+8000 none a=1 unknown_ns=3500 running_ns=500 wait.network_ns=4000 "
		"longest=network longest_ns=4000 longest_at=task (file.go:10) < region (file.go:11)\n");
}

static void tasks_lie_within_known_spans(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_TASK_BEGIN, 2000, 5, 0, T_TASK, 0);
	made_event(&t, GO_LOG, 2100, 0, T_KEY, T_TEXT, 0);
	made_event(&t, GO_TASK_END, 3000, 5, 0);
	made_event(&t, GO_HEAP_ALLOC, 5000, 100);
	end(&t);
	check_known(&t, KNOWN(7, 1500, 2000),
		    "task g7 1000000000002000+1000 goroutine running_ns=1000 kind=task task=5\n"
		    "GET / g7 1000000000001500+2000 none a=1 running_ns=2000 [key@1000000000002100 some text]\n");
}

static void known_spans_that_the_trace_has_nothing_of(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_event(&t, GO_HEAP_ALLOC, 5000, 100);
	end(&t);
	check_known(&t, KNOWN(8, 2000, 10) KNOWN(7, 9000, 10) "{\"summary\":{}}\n",
		    "GET / g7 1000000000009000+10 none a=1\n"
		    "GET / g8 1000000000002000+10 none a=1\n");
}

/* Calls from C have one number after the other's end: a span is of one of them. */
static void a_number_that_is_used_again(void **state)
{
	struct made t = {0};

	begin(&t, 26);
	made_end(&t);
	made_begin(&t, 2, 2000);
	for (uint64_t at = 2000; at < 4000; at += 1000) {
		made_event(&t, GO_CREATE_SYSCALL, at, 8);
		made_event(&t, GO_SYSCALL_END, at + 100);
		made_event(&t, GO_SYSCALL_BEGIN, at + 500, 2, 0);
		made_event(&t, GO_DESTROY_SYSCALL, at + 600);
	}
	end(&t);
	check_known(&t, KNOWN(8, 2200, 1200),
		    "GET / g8 1000000000002200+1200 none a=1 unknown_ns=800 running_ns=300 syscall_ns=100 "
		    "longest=syscall longest_ns=100\n");
}

static void known_spans_that_are_none(void **state)
{
	static const struct {
		const char *lines, *sentence;
	} cases[] = {
		{"nonsense\n", "is no JSON object"},
		{"[1]\n", "is no JSON object"},
		{"{\"span_id\":\"12\"}\n", "is a span without its ids, times, pid or goid"},
		{KNOWN(7, 2000, -1), "is a span without its ids, times, pid or goid"},
		{KNOWN(7, 2000, 1) "{\"trace_id\":\"" ID32 "\",\"span_id\":\"0123456789abcdef\",\"start_unix_ns\":1,"
			       "\"duration_ns\":1,\"pid\":13,\"goid\":1}\n",
		 "say with --pid"},
		{"{\"trace_id\":\"" ID32 "\",\"span_id\":\"0123456789abcdef\",\"start_unix_ns\":1,\"duration_ns\":1,"
		 "\"pid\":13,\"goid\":1,\"attributes\":{\"earshot.go.time\":\"running 1 ns\"}}\n",
		 "is of `earshot convert`, which has joined it already"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_null(known_of(cases[i].lines, 0, &err));
		assert_non_null(strstr(err.text, cases[i].sentence));
	}
}

/* However long a line is, memory is bounded. */
static void lines_that_are_too_long(void **state)
{
	const size_t n = 17u << 20;
	char *line = xmalloc(n + 1);
	struct err err = {0};

	memset(line, ' ', n);
	line[n] = 0;
	assert_null(known_of(line, 0, &err));
	assert_non_null(strstr(err.text, "line 1 of"));
	assert_non_null(strstr(err.text, "has more than 16 MiB"));
	free(line);
}

static void take_resource(void *arg, const struct span *s)
{
	const struct resource **ret = arg;

	*ret = s->resource;
}

/* Known spans of the same service are of the same process: what is known of it is known of them. */
static void known_spans_have_the_resource_of_the_trace(void **state)
{
	static const char *const services[] = {"shop", "other"};

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		const struct resource resource = {.id = 1, .name = "trace", .service = services[i]}, *got = NULL;
		struct known_spans *k = known_of(KNOWN(7, 2000, 1), 0, NULL);
		struct activity *a = activity_new(&(struct activity_setup){
			.span = take_resource, .arg = &got, .resource = &resource, .known = k});

		activity_finish(a);
		activity_free(a);
		assert_non_null(got);
		assert_int_equal(got == &resource, i == 0);
		assert_string_equal(got->service, "shop");
		known_spans_free(k);
	}
}

/* A last line without its end was being written. */
static void the_last_line_may_be_cut(void **state)
{
	struct known_spans *k = known_of(KNOWN(7, 2000, 1) "{\"trace_id\":\"01", 0, NULL);
	size_t n;

	assert_non_null(k);
	known_spans_all(k, &n);
	assert_int_equal(n, 1);
	assert_string_equal(known_spans_service(k), "shop");
	known_spans_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_with_a_region_and_a_log),
		cmocka_unit_test(ticks_of_the_older_versions),
		cmocka_unit_test(a_task_that_another_goroutine_ends),
		cmocka_unit_test(a_wait_within_a_wait),
		cmocka_unit_test(what_happens_meanwhile),
		cmocka_unit_test(coroutines_wait_for_each_other),
		cmocka_unit_test(texts_that_c_has_not),
		cmocka_unit_test(more_texts_than_memory_takes),
		cmocka_unit_test(a_stack_of_long_names),
		cmocka_unit_test(calls_from_c),
		cmocka_unit_test(tasks_of_tasks),
		cmocka_unit_test(ids_join_and_are_the_same_each_time),
		cmocka_unit_test(sequence_goes_before_time),
		cmocka_unit_test(what_cannot_have_happened),
		cmocka_unit_test(threads_that_all_wait),
		cmocka_unit_test(what_goes_on_in_the_next_generation),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(flipped_anywhere),
		cmocka_unit_test(unfinished_at_the_end),
		cmocka_unit_test(files_that_are_no_traces),
		cmocka_unit_test(a_header_alone),
		cmocka_unit_test(varints),
		cmocka_unit_test(a_known_span_gets_its_part_of_a_wait),
		cmocka_unit_test(tasks_lie_within_known_spans),
		cmocka_unit_test(known_spans_that_the_trace_has_nothing_of),
		cmocka_unit_test(a_number_that_is_used_again),
		cmocka_unit_test(known_spans_that_are_none),
		cmocka_unit_test(lines_that_are_too_long),
		cmocka_unit_test(known_spans_have_the_resource_of_the_trace),
		cmocka_unit_test(the_last_line_may_be_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
