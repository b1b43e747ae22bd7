/*
 * The child waits on a pipe until it is traced (PTRACE_SEIZE), then executes; the stop that its exec reports
 * is where the probes are planted. That stop is no signal delivery, so a program whose earshot is killed right
 * then just goes on. Tracing ends before the program runs a single instruction.
 */
#include "cmd/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

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

int child_start(struct child *c, char **argv, struct err *err)
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
	c->pid = pid;
	return r;
}

static void on_child(void *arg, uint32_t sig)
{
	struct child *c = arg;
	int status;
	pid_t pid;

	(void)sig;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != c->pid || WIFSTOPPED(status) || WIFCONTINUED(status))
			continue;
		c->status = status;
		c->gone = true;
	}
	if (c->gone)
		c->exited(c->arg);
}

/*
 * Passed on to the program, unless the terminal sent it: then the program has it already, being in the same
 * foreground group. Either way it is the program that decides whether to end.
 */
static void on_signal(void *arg, uint32_t sig)
{
	struct child *c = arg;

	if (!(sig & LOOP_SIGNAL_FROM_KERNEL) && !c->gone)
		kill(c->pid, (int)(sig & ~LOOP_SIGNAL_FROM_KERNEL));
	if (c->gone)
		loop_quit(c->loop);
}

void child_watch(struct child *c)
{
	static const int passed[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		loop_add_signal(c->loop, passed[i], on_signal, c);
	loop_add_signal(c->loop, SIGCHLD, on_child, c);
}

void child_hand_over(struct child *c)
{
	kill(c->pid, SIGSTOP);
	ptrace(PTRACE_DETACH, c->pid, NULL, 0);
	c->stopped = true;
}

void child_go(struct child *c)
{
	if (c->stopped)
		kill(c->pid, SIGCONT);
	else
		ptrace(PTRACE_DETACH, c->pid, NULL, 0);
}

int child_exit_code(const struct child *c)
{
	return WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

int child_start_exit_code(const struct err *err)
{
	return err->code == -ENOENT ? 127 : err->code == -EACCES ? 126 : 1;
}
