#include "weave/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CANNOT_RUN = 127 };

static void read_to_end(int fd, struct buf *out)
{
	char part[8192];
	ssize_t n;

	do {
		n = read(fd, part, sizeof(part));
		if (n > 0)
			buf_append(out, part, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
}

int spawn_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CANNOT_RUN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int spawn_capture(char *const *argv, enum spawn_errors errors, struct buf *output)
{
	posix_spawn_file_actions_t actions;
	int ends[2], code = CANNOT_RUN;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return CANNOT_RUN;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (errors == SPAWN_TAKEN)
		posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	else if (errors == SPAWN_QUIET)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ)) {
		close(ends[1]);
		ends[1] = -1;
		read_to_end(ends[0], output);
		code = spawn_wait(pid);
	}
	posix_spawn_file_actions_destroy(&actions);
	close_fd(ends[0]);
	close_fd(ends[1]);
	return code;
}
