/* plant/source, cmd/observation: sources of events that no planter stands behind, as of a program with its own ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "cmd/observation_internal.h"
#include "lib/go_binaries.h"
#include "plant/source.h"

/* A source that has nothing but what each must have. */
struct stub_source {
	struct event_source source;
	int fd;
	uint32_t probe, records;   /* that wait; a record for each of these from probe */
	int fails;                 /* of drain */
	uint32_t forgotten;
};

static struct stub_source *stub_of(struct event_source *s)
{
	return CONTAINER_OF(s, struct stub_source, source);
}

static int stub_fd(struct event_source *s)
{
	return stub_of(s)->fd;
}

static int stub_drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct stub_source *stub = stub_of(s);
	uint64_t count;
	int n = 0;

	(void)!read(stub->fd, &count, sizeof(count));
	if (stub->fails)
		return stub->fails;
	for (; stub->records; stub->records--, n++) {
		struct event_header h = {.size = sizeof(h), .kind = EVENT_POINT, .version = EVENT_VERSION,
					 .probe = stub->probe, .target = 1};

		fn(arg, &h, sizeof(h));
	}
	return n;
}

static void stub_losses(struct event_source *s, struct losses *ret)
{
	ret->count[LOSS_BAD_RECORD] += stub_of(s)->probe;
}

static void stub_probe_losses(struct event_source *s, uint32_t probe, struct losses *ret)
{
	ret->count[LOSS_BAD_RECORD] += probe == stub_of(s)->probe;
}

static void stub_forget_target(struct event_source *s, uint32_t target)
{
	stub_of(s)->forgotten = target;
}

static const struct event_source_ops least = {
	.fd = stub_fd,
	.drain = stub_drain,
	.losses = stub_losses,
	.probe_losses = stub_probe_losses,
	.forget_target = stub_forget_target,
};

/* ---- one that can do all, too ---- */

static int stub_control(struct event_source *s, uint32_t probe, const struct plant_control *c)
{
	return probe == stub_of(s)->probe ? 0 : -ENOENT;
}

static uint64_t stub_hits(struct event_source *s, uint32_t probe)
{
	return probe == stub_of(s)->probe ? 7 : 0;
}

static int stub_aggregates(struct event_source *s, bool clear, plant_group_fn fn, void *arg)
{
	fn(arg, &(struct plant_group){.probe = stub_of(s)->probe, .count = 3});
	return 0;
}

static int stub_open_calls(struct event_source *s, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	fn(arg, "", 0);
	return 1;
}

static const struct event_source_ops most = {
	.fd = stub_fd,
	.drain = stub_drain,
	.losses = stub_losses,
	.probe_losses = stub_probe_losses,
	.forget_target = stub_forget_target,
	.control = stub_control,
	.hits = stub_hits,
	.aggregates = stub_aggregates,
	.open_calls = stub_open_calls,
};

static void init(struct stub_source *s, const struct event_source_ops *ops, uint32_t probe, uint32_t records)
{
	*s = (struct stub_source){.source = {ops}, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .probe = probe,
				  .records = records};
	assert_true(s->fd >= 0);
}

/* ---- the consumer ---- */

struct seen {
	struct loop *loop;
	uint32_t by_probe[3], all, stop_at;
};

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct seen *seen = arg;
	struct event e[2];
	size_t n;

	assert_true(event_decode_sample(sample, size, e, &n));
	assert_int_equal(n, 1);
	assert_true(e[0].head->probe < ARRAY_SIZE(seen->by_probe));
	seen->by_probe[e[0].head->probe]++;
	if (++seen->all == seen->stop_at)
		loop_quit(seen->loop);
}

static void count_call(void *arg, const void *sample, size_t size)
{
	++*(int *)arg;
}

static void add_group(void *arg, const struct plant_group *g)
{
	*(uint64_t *)arg += g->count;
}

/* ---- tests ---- */

static void test_all_are_asked(void **state)
{
	struct plant_control control = {.every = 2};
	struct stub_source a, b;
	struct seen seen = {0};
	struct losses lost = {0}, of_one = {0};
	source_list l = {0};
	uint64_t groups = 0;
	int calls = 0;

	assert_false(sources_count_hits(&l));
	init(&a, &least, 1, 5);
	init(&b, &most, 2, 3);
	vec_push(&l, &a.source);
	vec_push(&l, &b.source);
	assert_int_equal(sources_drain(&l, on_sample, &seen), 8);
	assert_int_equal(sources_drain(&l, on_sample, &seen), 0);
	assert_int_equal(seen.by_probe[1], 5);
	assert_int_equal(seen.by_probe[2], 3);
	sources_losses(&l, &lost);
	assert_int_equal(lost.count[LOSS_BAD_RECORD], 3);
	sources_probe_losses(&l, 2, &of_one);
	assert_int_equal(of_one.count[LOSS_BAD_RECORD], 1);
	sources_forget_target(&l, 9);
	assert_int_equal(a.forgotten + b.forgotten, 18);
	assert_int_equal(sources_control(&l, 2, &control), 0);
	assert_int_equal(sources_control(&l, 1, &control), -ENOENT);
	assert_int_equal(sources_hits(&l, 2), 7);
	assert_int_equal(sources_hits(&l, 1), 0);
	assert_false(sources_count_hits(&l)); /* a does not */
	assert_int_equal(sources_aggregates(&l, false, add_group, &groups), 0);
	assert_int_equal(groups, 3);
	assert_int_equal(sources_open_calls(&l, 1, true, count_call, &calls), 1);
	assert_int_equal(calls, 1);
	vec_done(&l);
	close_fd(a.fd);
	close_fd(b.fd);
}

/* One that cannot be read does not keep the others' records back. */
static void test_one_fails(void **state)
{
	struct stub_source a, b;
	struct seen seen = {0};
	source_list l = {0};

	init(&a, &least, 1, 5);
	init(&b, &least, 2, 3);
	a.fails = -EIO;
	vec_push(&l, &a.source);
	vec_push(&l, &b.source);
	assert_int_equal(sources_drain(&l, on_sample, &seen), 3);
	assert_int_equal(sources_drain(&l, on_sample, &seen), -EIO);
	vec_done(&l);
	close_fd(a.fd);
	close_fd(b.fd);
}

struct listener {
	struct consumer consumer;
	struct seen seen;
};

static void on_consumer_sample(struct consumer *c, const void *sample, size_t size)
{
	on_sample(&((struct listener *)c)->seen, sample, size);
}

static void listener_free(struct consumer *c)
{
}

/* An observation without a planter: what two sources have is read as they say that there is something. */
static void test_observation_without_planter(void **state)
{
	static const struct consumer_ops ops = {.sample = on_consumer_sample, .free = listener_free};
	struct observation_options options = {.quiet = true};
	struct listener l = {.consumer.ops = &ops, .seen.stop_at = 6};
	struct observation *ob = xcalloc(1, sizeof(*ob));
	struct stub_source a, b;
	struct loop *loop;
	struct err err = {0};
	uint64_t one = 1;

	assert_int_equal(loop_new(&loop), 0);
	*ob = (struct observation){.options = &options, .loop = loop, .procfs = "/proc"};
	l.seen.loop = loop;
	observation_add(ob, &l.consumer);
	vec_push(&ob->owners, NULL);
	observation_number(ob, &l.consumer);
	observation_number(ob, &l.consumer);
	init(&a, &least, 1, 4);
	init(&b, &least, 2, 2);
	observation_add_source(ob, &a.source);
	observation_add_source(ob, &b.source);
	assert_int_equal(observation_start(ob, &err), 0);
	assert_int_equal(write(b.fd, &one, sizeof(one)), sizeof(one));
	loop_run(loop); /* on_sample ends it */
	assert_int_equal(l.seen.by_probe[1], 4);
	assert_int_equal(l.seen.by_probe[2], 2);
	a.records = 2;
	observation_drain(ob);
	assert_int_equal(l.seen.by_probe[1], 6);
	b.records = 1;
	processes_leave_all(ob); /* drains until they are seen empty */
	assert_int_equal(l.seen.by_probe[2], 3);
	observation_cancel(ob);
	loop_free(loop);
	close_fd(a.fd);
	close_fd(b.fd);
}

/* ---- a process whose probes are its own ---- */

struct built_in {
	struct consumer consumer;
	struct plant_probe probe;
	struct wanted wanted;
	uint32_t entered, left;   /* the number of the process */
	unsigned samples;
};

static struct built_in *built_in_of(struct consumer *c)
{
	return (struct built_in *)c;
}

static struct wanted *built_in_wants(struct consumer *c, const struct executable *x)
{
	return &built_in_of(c)->wanted;
}

static void built_in_release(struct wanted *w)
{
}

static void built_in_enter(struct consumer *c, struct observed_process *p)
{
	built_in_of(c)->entered = p->id;
	assert_null(p->plants);
}

static void built_in_leave(struct consumer *c, struct observed_process *p, bool exited)
{
	built_in_of(c)->left = p->id;
}

static void built_in_sample(struct consumer *c, const void *sample, size_t size)
{
	struct built_in *b = built_in_of(c);

	assert_true(b->entered && !b->left);
	b->samples++;
}

static const struct consumer_ops built_in_ops = {
	.analyse = built_in_wants,
	.release = built_in_release,
	.enter = built_in_enter,
	.leave = built_in_leave,
	.sample = built_in_sample,
	.free = listener_free,
};

/* A Go program that runs until it is killed, and says that it does. */
static int start_program(const char *path)
{
	char ready[64];
	int out[2], pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		execl(path, path, "-workers", "1", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], ready, sizeof(ready)) > 0);
	return pid; /* what reads its output stays open: it would get SIGPIPE */
}

/* It is entered, its records are read, and it is left, though nothing was ever planted in it. */
static void test_process_without_planter(void **state)
{
	struct built_in c = {.consumer.ops = &built_in_ops, .probe.label = "built in"};
	struct observation_options options = {.quiet = true};
	struct observation *ob;
	struct stub_source s;
	struct err err = {0};
	struct loop *loop;
	glob_t programs;
	int pid;

	if (!go_binaries("bin/seq-go1.*-*", &programs))
		skip();
	pid = start_program(programs.gl_pathv[0]);
	globfree(&programs);
	ob = xcalloc(1, sizeof(*ob));
	assert_int_equal(loop_new(&loop), 0);
	*ob = (struct observation){.options = &options, .loop = loop, .procfs = "/proc"};
	vec_push(&ob->owners, NULL);
	c.wanted = (struct wanted){.probes = &c.probe, .nprobes = 1};
	observation_add(ob, &c.consumer);
	init(&s, &least, 1, 0);
	observation_add_source(ob, &s.source);
	assert_int_equal(observation_attach(ob, pid, &err), 0);
	assert_int_equal(c.probe.id, 1);
	assert_int_equal(c.entered, 1);
	assert_int_equal(observation_processes(ob), 1);
	s.records = 2;
	observation_drain(ob);
	observation_pause(ob); /* there is nothing to take out, or to put back */
	observation_resume(ob);
	s.records = 1;
	processes_leave_all(ob); /* reads what is left before it leaves */
	assert_int_equal(c.samples, 3);
	assert_int_equal(c.left, 1);
	assert_int_equal(s.forgotten, 1);
	assert_int_equal(ob->processes.planted, 1);
	assert_int_equal(ob->processes.refused, 0);
	observation_cancel(ob);
	loop_free(loop);
	close_fd(s.fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_asked),
		cmocka_unit_test(test_one_fails),
		cmocka_unit_test(test_observation_without_planter),
		cmocka_unit_test(test_process_without_planter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
