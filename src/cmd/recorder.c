#include "cmd/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "span/rules.h"

#define LOSSES_TICKS 10            /* so often, of ticks, losses are looked at: each probe's are asked for */
#define GRACE_NS     1000000000ull /* what the rest of a trace may take to come, when a rule holds for a span of it */
#define LAST_MS      60000         /* that dumps may take when all is over */
#define ENDED        "exit"       /* the cause of dumps for processes that have ended */
#define NICE         10            /* dumps are in no hurry: the program is */
#define REASON_MAX   300           /* bytes of a reason that another one is put before */

/* A dump under way: a process that tells of its end in a pipe. */
struct dumping {
	struct recorder *recorder;
	pid_t pid;
	int fd, client;
	bool asked;              /* by somebody: it is not tried again */
	struct loop_source *source;
	struct buf told;
	const char *cause;
	char *reason;            /* without those that asked for it as well */
	unsigned more;           /* of them */
	uint64_t at_unix_ns;
};

/* What a rule asks for, and has not got yet. */
struct due_dump {
	bool any;
	uint64_t due_ns, at_unix_ns;
	unsigned more;           /* that asked for it meanwhile */
	const char *cause;
	struct buf reason;       /* of the first */
};

struct recorder {
	struct sink sink;
	struct recorder_options o;
	struct loop *loop;
	struct observation *observation;
	struct recording *recording;
	struct span_rules rules;
	bool kept;               /* a recording was there, and was put aside */
	bool on_exit;            /* rules ask for the end of processes */
	unsigned ticks;
	struct due_dump due;
	uint64_t last_rule_ns, last_exit_ns; /* when the last such dump was begun; 0: never */
	uint64_t by_rules;       /* dumps, that were begun */
	bool told_most, told_trouble;
	VEC(struct dumping *) dumps;
	uint64_t made, failed;
	char last_failure[600];
	char trouble[700];
};

static struct recorder *self(struct sink *s)
{
	return CONTAINER_OF(s, struct recorder, sink);
}

struct sink *recorder_sink(struct recorder *r)
{
	return &r->sink;
}

/* ---- a dump, in a process of its own ---- */

static int read_recording(const void *arg, uint64_t from_unix_ns, const struct segment_reading *to,
			  struct recording_about *ret, struct err *err)
{
	recording_read(arg, from_unix_ns, to, ret);
	return 0;
}

/* All that is open here belongs to the parent: what ends with its last descriptor must not wait for us. */
static void close_all_but(int fd)
{
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0u, 0);
}

static void dump_main(struct recorder *r, const struct dump_request *q, int fd)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct err err = {0};
	int code;

	close_all_but(fd);
	recording_is_copy(r->recording);
	span_rules_done(&r->rules);
	r->rules.n = 0;
	observation_unfinished(r->observation);
	setpriority(PRIO_PROCESS, 0, NICE);
	buf_char(&text, '0');
	code = dump_write(&r->o.place, q, &text, &err) < 0;
	if (code) {
		buf_reset(&text);
		buf_printf(&text, "1%s", err.text);
	}
	write_all(fd, text.data, text.len);
	_exit(code);
}

static void dumping_free(struct dumping *d)
{
	loop_remove(d->recorder->loop, d->source);
	close_fd(d->fd);
	close_fd(d->client);
	buf_done(&d->told);
	free(d->reason);
	free(d);
}

static void want_dump(struct recorder *r, const char *cause, const char *reason, unsigned more, uint64_t at_unix_ns,
		      uint64_t due_ns);

/* The same sentence again and again, as of a disk that is full, is said once. */
static void tell_failure(struct recorder *r, const struct dumping *d, const char *why)
{
	if (!r->failed++ || strcmp(why, r->last_failure))
		observation_note(r->observation, "the dump (%s) failed: %s%s", d->reason, why,
				 d->asked ? "" : "; what is recorded is kept, and it is tried again");
	snprintf(r->last_failure, sizeof(r->last_failure), "%s", why);
}

static void dump_ended(struct recorder *r, struct dumping *d)
{
	const bool ok = d->told.len && d->told.data[0] == '0';
	const char *text = d->told.len > 1 ? d->told.data + 1 : "its process ended without a word";

	waitpid(d->pid, NULL, 0); /* where nobody else has */
	if (ok) {
		r->made++;
		r->last_failure[0] = 0;
		observation_note(r->observation, "dump: %s", text);
	} else {
		tell_failure(r, d, text);
		r->by_rules -= !d->asked;
		if (!d->asked)
			want_dump(r, d->cause, d->reason, d->more, d->at_unix_ns,
				  clock_monotonic_ns() + r->o.every_ns);
	}
	if (d->client >= 0 && write_all(d->client, ok ? "0" : "1", 1) == 0)
		write_all(d->client, text, strlen(text)); /* or who asked has gone */
	for (size_t i = 0; i < r->dumps.len; i++)
		if (r->dumps.data[i] == d)
			r->dumps.data[i--] = r->dumps.data[--r->dumps.len];
	dumping_free(d);
}

static void on_told(void *arg, uint32_t events)
{
	struct dumping *d = arg;
	char bytes[4096];
	const ssize_t n = read(d->fd, bytes, sizeof(bytes));

	if (n > 0)
		buf_append(&d->told, bytes, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		dump_ended(d->recorder, d);
}

/* What was lost until now belongs to what is dumped. */
static void look_for_losses(struct recorder *r)
{
	struct run_summary sum;
	struct recorded_losses lost;

	observation_summary(r->observation, &sum);
	lost = (struct recorded_losses){.spans = sum.spans_lost, .losses = sum.losses};
	recording_losses(r->recording, &lost);
}

static int start_dump(struct recorder *r, const struct dump_request *q, struct dumping *d)
{
	int ends[2];

	look_for_losses(r);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	d->pid = fork();
	if (d->pid == 0)
		dump_main(r, q, ends[1]);
	close_fd(ends[1]);
	d->fd = ends[0];
	if (d->pid < 0)
		return -errno;
	return loop_add_fd(r->loop, d->fd, EPOLLIN, on_told, d, &d->source);
}

static void dump(struct recorder *r, const char *cause, const char *reason, unsigned more, uint64_t at_unix_ns,
		 int client, bool asked)
{
	_cleanup_(cleanup_free) char *all = more ? xasprintf("%s (and %u more)", reason, more) : xstrdup(reason);
	const uint64_t last = r->o.recording.last_ns;
	const struct dump_request q = {.cause = cause, .reason = all, .at_unix_ns = at_unix_ns,
				       .from_unix_ns = last && last < at_unix_ns ? at_unix_ns - last : 0,
				       .read = read_recording, .arg = r->recording};
	struct dumping *d = xcalloc(1, sizeof(*d));
	int e;

	*d = (struct dumping){.recorder = r, .fd = -1, .client = client, .asked = asked, .cause = cause,
			      .reason = xstrdup(reason), .more = more, .at_unix_ns = at_unix_ns};
	vec_push(&r->dumps, d);
	e = start_dump(r, &q, d);
	if (e < 0) {
		buf_reset(&d->told);
		buf_printf(&d->told, "1no process can be started for it: %s", strerror(-e));
		dump_ended(r, d);
	}
}

void recorder_dump(struct recorder *r, const char *cause, const char *reason, int client)
{
	observation_drain(r->observation); /* what happened before the request belongs to it */
	dump(r, cause, reason, 0, clock_realtime_ns(), client, true);
}

/* ---- when ---- */

/*
 * One dump has all that asked for it until it is made. What cannot wait as long as what was there before (the end of a
 * process) is what it is called by.
 */
static void want_dump(struct recorder *r, const char *cause, const char *reason, unsigned more, uint64_t at_unix_ns,
		      uint64_t due_ns)
{
	struct due_dump *due = &r->due;
	_cleanup_(cleanup_free) char *before = NULL;

	if (due->any && due_ns >= due->due_ns) {
		due->more += 1 + more;
		return;
	}
	if (due->any && due->reason.len <= REASON_MAX)
		before = xstrdup(due->reason.data);
	if (due->any)
		more += due->more + !before;
	*due = (struct due_dump){.any = true, .more = more, .due_ns = due_ns, .cause = cause,
				 .at_unix_ns = due->any ? due->at_unix_ns : at_unix_ns, .reason = due->reason};
	buf_reset(&due->reason);
	buf_printf(&due->reason, "%s%s%s", reason, before ? "; before that " : "", before ? before : "");
}

static bool too_many(struct recorder *r)
{
	if (r->by_rules < r->o.most)
		return false;
	if (!r->told_most)
		observation_note(r->observation, "%" PRIu64 " dumps were made by --dump-on, as many as --dumps allows: "
				 "from now on they are made only when they are asked for", r->o.most);
	r->told_most = true;
	return true;
}

static void make_due(struct recorder *r)
{
	struct due_dump *due = &r->due;

	due->any = false;
	if (too_many(r))
		return;
	r->by_rules++;
	*(strcmp(due->cause, ENDED) ? &r->last_rule_ns : &r->last_exit_ns) = clock_monotonic_ns();
	dump(r, due->cause, due->reason.data, due->more, due->at_unix_ns, RECORDER_NOBODY, false);
}

/* now, or later where the last one of its kind is not long ago. */
static uint64_t not_before(const struct recorder *r, uint64_t last_ns, uint64_t due_ns)
{
	return last_ns ? MAX(due_ns, last_ns + r->o.every_ns) : due_ns;
}

static void on_rule(struct recorder *r, const struct span *s)
{
	_cleanup_(buf_done) struct buf reason = {0};
	char time[24];

	if (r->due.any) {
		r->due.more++;
		return;
	}
	format_duration(s->duration_ns, time);
	buf_printf(&reason, "%s of %s (pid %d), %s", s->name, s->resource->service, s->resource->pid, time);
	if (s->status == SPAN_STATUS_ERROR)
		buf_printf(&reason, ", %s", s->panicked ? "panicked" : "an error");
	want_dump(r, "rule", reason.data, 0, clock_realtime_ns(),
		  not_before(r, r->last_rule_ns, clock_monotonic_ns() + GRACE_NS));
}

/* ---- processes that end ---- */

static void print_end(const struct observed_process *p, bool known, int status, struct buf *out)
{
	buf_printf(out, "%s (pid %d) ", process_name(&p->process), p->process.pid);
	if (!known)
		buf_str(out, "has ended");
	else if (WIFSIGNALED(status))
		buf_printf(out, "was ended by signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		buf_printf(out, "exited with code %d", WEXITSTATUS(status));
}

static bool asks_for_end(struct recorder *r, bool known, int status)
{
	struct attr a[2] = {{.key = "exit", .kind = ATTR_BOOL, .b = true}};
	size_t n = 1;

	if (known && WIFSIGNALED(status))
		a[n++] = (struct attr){.key = "exit_signal", .kind = ATTR_INT, .i = WTERMSIG(status)};
	else if (known)
		a[n++] = (struct attr){.key = "exit_code", .kind = ATTR_INT, .i = WEXITSTATUS(status)};
	return span_rules_hold_of(&r->rules, a, n);
}

static void on_left(void *arg, const struct observed_process *p, int pidfd)
{
	_cleanup_(buf_done) struct buf reason = {0};
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	struct recorder *r = arg;
	int status = 0;
	bool known;

	if (!r->on_exit || poll(&ended, 1, 0) <= 0)
		return;
	known = process_exit_status(observation_procfs(r->observation), &p->process, pidfd, &status);
	if (!asks_for_end(r, known, status))
		return;
	print_end(p, known, status, &reason);
	want_dump(r, ENDED, reason.data, 0, clock_realtime_ns(),
		  not_before(r, r->last_exit_ns, clock_monotonic_ns()));
	if (r->due.due_ns <= clock_monotonic_ns())
		make_due(r);
}

bool recorder_observes(const struct recorder *r, int pid)
{
	struct observed_process *p;

	for (size_t pos = 0; (p = observation_next_process(r->observation, &pos));)
		if (p->process.pid == pid)
			return true;
	return pid == getpid();
}

/* ---- as a sink ---- */

static void on_span(struct sink *s, const struct span *span)
{
	struct recorder *r = self(s);

	recording_span(r->recording, span);
	if (r->rules.n && span_rules_hold(&r->rules, span))
		on_rule(r, span);
}

static void on_tick(struct sink *s)
{
	struct recorder *r = self(s);
	const uint64_t now = clock_monotonic_ns();
	const char *trouble;

	if (++r->ticks % LOSSES_TICKS == 0)
		look_for_losses(r);
	recording_tick(r->recording, now);
	if (r->due.any && r->due.due_ns <= now)
		make_due(r);
	trouble = recording_trouble(r->recording);
	if (trouble && !r->told_trouble)
		observation_note(r->observation, "%s", trouble);
	r->told_trouble = trouble != NULL;
}

/* Nothing comes any more: what is due is made now, and what is under way is waited for. */
static void on_finish(struct sink *s, unsigned timeout_ms)
{
	const uint64_t until = clock_monotonic_ns() + LAST_MS * UINT64_C(1000000);
	struct recorder *r = self(s);

	recording_tick(r->recording, clock_monotonic_ns());
	if (r->due.any)
		make_due(r);
	while (r->dumps.len && clock_monotonic_ns() < until) {
		struct pollfd p = {.fd = r->dumps.data[0]->fd, .events = POLLIN};

		r->dumps.data[0]->asked = true; /* it is not tried again */
		if (poll(&p, 1, 100) > 0)
			on_told(r->dumps.data[0], 0);
	}
}

static const char *on_trouble(struct sink *s)
{
	struct recorder *r = self(s);

	if (r->dumps.len)
		snprintf(r->trouble, sizeof(r->trouble), "a dump is still being written");
	else if (r->last_failure[0])
		snprintf(r->trouble, sizeof(r->trouble), "the last dump was not written: %s", r->last_failure);
	else
		return NULL;
	return r->trouble;
}

static void on_losses(struct sink *s, struct losses *ret)
{
	ret->count[LOSS_TOO_LARGE] += recording_too_large(self(s)->recording);
}

static void on_close(struct sink *s, unsigned timeout_ms)
{
	struct recorder *r = self(s);

	for (size_t i = 0; i < r->dumps.len; i++)
		dumping_free(r->dumps.data[i]);
	vec_done(&r->dumps);
	buf_done(&r->due.reason);
	span_rules_done(&r->rules);
	recording_free(r->recording);
	r->o.closed(r->o.arg);
	free(r);
}

static const struct sink_ops ops = {
	.name = "recorder",
	.span = on_span,
	.tick = on_tick,
	.finish = on_finish,
	.trouble = on_trouble,
	.losses = on_losses,
	.close = on_close,
};

/* ---- beginning ---- */

int recorder_new(const struct recorder_options *o, struct loop *loop, struct recorder **ret, struct err *err)
{
	struct recorder *r = xcalloc(1, sizeof(*r));
	bool kept = false;
	int e;

	*r = (struct recorder){.sink.ops = &ops, .o = *o, .loop = loop};
	e = recording_new(&o->recording, &r->recording, &kept, err);
	if (e < 0) {
		free(r);
		return e;
	}
	r->kept = kept;
	*ret = r;
	return 0;
}

void recorder_begin(struct recorder *r, struct observation *ob, const struct condition *const *rules, size_t nrules)
{
	static const char *const of_ends[] = {"exit", "exit_code", "exit_signal"};

	r->observation = ob;
	span_rules_init(&r->rules, rules, nrules);
	for (size_t i = 0; i < ARRAY_SIZE(of_ends); i++)
		r->on_exit |= span_rules_name(&r->rules, of_ends[i]);
	observation_on_left(ob, on_left, r);
	if (r->kept)
		observation_note(ob, "%s was there already and is now %s.old", r->o.recording.file,
				 r->o.recording.file);
}
