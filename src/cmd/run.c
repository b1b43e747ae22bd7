/*
 * earshot run: start a program and observe it from its first instruction.
 *
 * The child waits on a pipe until it is traced (PTRACE_SEIZE), then executes; the stop that its exec reports
 * is where the probes are planted. That stop is no signal delivery, so a program whose earshot is killed right
 * then just goes on. Tracing ends before the program runs a single instruction.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/session.h"
#include "cmd/verb.h"

struct run_options {
	struct session_options session;
};

static const struct option_group run_groups[] = {
	{"what comes out", session_option_defs, offsetof(struct run_options, session)},
	{0},
};

struct runner {
	struct session *session;
	struct loop *loop;
	struct target_query query;
	pid_t child;
	int status;
	bool child_gone;
};

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* The child's side: waits for a byte on go, executes, reports errno on the pipe that exec closes. */
static void child_main(char **argv, int go, int report)
{
	char byte;
	int e;

	reset_signals();
	if (read(go, &byte, 1) != 1)
		_exit(127);
	execvp(argv[0], argv);
	e = errno;
	e = write(report, &e, sizeof(e)) == (ssize_t)sizeof(e) ? 127 : 126;
	_exit(e);
}

static int exec_failed(const char *name, int report, struct err *err)
{
	int e = 0;

	if (read(report, &e, sizeof(e)) != (ssize_t)sizeof(e))
		return err_set(err, -ECHILD, "%s could not be started", name);
	return err_set(err, -e, "cannot start %s: %s", name, strerror(e));
}

/* Returns with the program stopped at its exec. */
static int start_stopped(char **argv, pid_t *ret, struct err *err)
{
	int go[2], report[2], status, r = 0;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(report, O_CLOEXEC) < 0) {
		close_fd(go[0]);
		close_fd(go[1]);
		return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child_main(argv, go[0], report[1]);
	close_fd(report[1]);
	if (pid < 0)
		r = err_set(err, -errno, "cannot start a process: %s", strerror(errno));
	else if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXEC) < 0)
		r = err_set(err, -errno, "cannot hold %s at its start (ptrace: %s); use attach instead", argv[0],
			    strerror(errno));
	else if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		r = exec_failed(argv[0], report[0], err);
	close_fd(go[0]);
	close_fd(go[1]); /* without the byte the child ends by itself */
	close_fd(report[0]);
	*ret = pid;
	return r;
}

static void maybe_quit(struct runner *r)
{
	if (r->child_gone && (!r->session || !session_processes(r->session)))
		loop_quit(r->loop);
}

static void on_idle(void *arg)
{
	maybe_quit(arg);
}

static void on_child(void *arg, uint32_t sig)
{
	struct runner *r = arg;
	int status;
	pid_t pid;

	(void)sig;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != r->child || WIFSTOPPED(status) || WIFCONTINUED(status))
			continue;
		r->status = status;
		r->child_gone = true;
	}
	maybe_quit(r);
}

/*
 * Passed on to the program, unless the terminal sent it: then the program has it already, being in the same
 * foreground group. Either way it is the program that decides whether to end.
 */
static void on_signal(void *arg, uint32_t sig)
{
	struct runner *r = arg;

	if (!(sig & LOOP_SIGNAL_FROM_KERNEL) && !r->child_gone)
		kill(r->child, (int)(sig & ~LOOP_SIGNAL_FROM_KERNEL));
	if (r->child_gone)
		loop_quit(r->loop);
}

static void catch_signals(struct runner *r)
{
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		loop_add_signal(r->loop, passed[i], on_signal, r);
	loop_add_signal(r->loop, SIGCHLD, on_child, r);
}

static int exit_code(const struct runner *r)
{
	return WIFSIGNALED(r->status) ? 128 + WTERMSIG(r->status) : WEXITSTATUS(r->status);
}

/*
 * Attaches to the child, which is held at its exec. A planter that traces by itself needs it without a tracer: a stop
 * signal holds it meanwhile, before its first instruction.
 */
static int attach_child(struct runner *r, struct err *err)
{
	bool traces = session_traces(r->session);
	int code;

	if (traces) {
		kill(r->child, SIGSTOP);
		ptrace(PTRACE_DETACH, r->child, NULL, 0);
	}
	code = session_attach(r->session, r->child, err);
	if (traces)
		kill(r->child, SIGCONT);
	return code;
}

static int observe_child(struct runner *r, char **argv)
{
	struct err err = {0};

	if (start_stopped(argv, &r->child, &err) < 0) {
		session_cancel(r->session);
		return complain(err.code == -ENOENT ? 127 : err.code == -EACCES ? 126 : EXIT_FAILED, "%s", err.text);
	}
	if (attach_child(r, &err) < 0)
		session_note(r->session, "%s; what it starts is observed", err.text);
	r->query.descendants_of = r->child;
	if (session_watch(r->session, &r->query, &err) < 0)
		session_note(r->session, "%s", err.text);
	session_on_idle(r->session, on_idle, r);
	ptrace(PTRACE_DETACH, r->child, NULL, 0);
	loop_run(r->loop);
	session_finish(TAKE(r->session));
	if (!r->child_gone) /* --for ended the observation; the program goes on */
		loop_run(r->loop);
	return exit_code(r);
}

static int run(const struct verb *v, int argc, char **argv)
{
	struct run_options o = {.session = SESSION_DEFAULTS};
	struct runner r = {0};
	struct err err = {0};
	int rest, code, parsed = options_parse(v->groups, OPTIONS_STOP_AT_OPERAND, &o, argc, argv, &rest, &err);

	if (parsed == 1) {
		verb_help(v);
		return EXIT_DONE;
	}
	if (parsed >= 0 && rest >= argc)
		parsed = err_set(&err, -EINVAL, "say which program to run: earshot run -- ./server");
	if (parsed < 0)
		return complain(EXIT_USAGE, "%s", err.text);
	if (loop_new(&r.loop) < 0)
		return complain(EXIT_FAILED, "cannot make an event loop");
	catch_signals(&r);
	o.session.show_service = true;
	if (session_new(&o.session, r.loop, &r.session, &err) < 0)
		code = complain(err.code == -EINVAL ? EXIT_USAGE : EXIT_NOTHING, "%s", err.text);
	else
		code = observe_child(&r, argv + rest);
	loop_free(r.loop);
	session_options_done(&o.session);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.synopsis = "[options] -- COMMAND [ARG]...",
	.summary = "start a program and observe it from its first instruction",
	.groups = run_groups,
	.run = run,
};
