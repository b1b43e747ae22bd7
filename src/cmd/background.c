#include "cmd/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/named.h"
#include "target/process.h"

#define LOOK_NS 500000000u /* how often it looks whether its end has moved */

struct background {
	struct named named;
	struct loop *loop;
	int report;            /* to the process that started it; -1 once ready */
};

static uint64_t end_of(uint64_t ttl_ns)
{
	return (uint64_t)time(NULL) + ttl_ns / 1000000000;
}

int background_extend(const char *name, const char *definition, uint64_t ttl_ns, struct err *err)
{
	struct named n = {0};
	int r = named_check(name, err);

	if (r < 0)
		return r;
	if (named_read(name, &n, NULL) < 0)
		return 1;
	if (strcmp(n.definition, definition)) {
		r = err_set(err, -EEXIST, "%s asks something else already: %s; `earshot probes remove %s` ends it",
			    name, n.definition, name);
	} else {
		n.until = MAX(n.until, end_of(ttl_ns));
		r = named_write(&n, err);
	}
	named_done(&n);
	return r;
}

static int wait_for(int fd)
{
	int code;

	return read(fd, &code, sizeof(code)) == (ssize_t)sizeof(code) ? code : 1;
}

int background_start(const char *name, const char *definition, uint64_t ttl_ns, const char **ret_output,
		     struct background **ret, int *ret_code, struct err *err)
{
	struct background *b;
	int ends[2], pid;
	char *path = NULL;

	if (!*ret_output && named_path(name, ".out", &path, err) < 0)
		return err->code;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "cannot start a process: %s", strerror(errno));
	if (pid > 0) {
		close_fd(ends[1]);
		*ret_code = wait_for(ends[0]);
		close_fd(ends[0]);
		free(path);
		return 1;
	}
	close_fd(ends[0]);
	setsid();
	b = xcalloc(1, sizeof(*b));
	*b = (struct background){.report = ends[1],
				 .named = {.name = xstrdup(name),
					   .pid = getpid(),
					   .start_ticks = process_start_ticks("/proc", getpid()),
					   .began = (uint64_t)time(NULL),
					   .until = end_of(ttl_ns),
					   .definition = xstrdup(definition),
					   .output = path ? path : xstrdup(*ret_output)}};
	*ret_output = b->named.output;
	*ret = b;
	return 0;
}

static void on_look(void *arg, uint32_t events)
{
	struct background *b = arg;
	struct named now = {0};

	(void)events;
	if (named_read(b->named.name, &now, NULL) == 0 && now.pid == b->named.pid)
		b->named.until = now.until;
	named_done(&now);
	if ((uint64_t)time(NULL) >= b->named.until)
		loop_quit(b->loop);
}

static void tell(struct background *b, int code)
{
	if (b->report >= 0 && write(b->report, &code, sizeof(code)) < 0)
		code = -1; /* who waited has gone */
	close_fd(b->report);
	b->report = -1;
}

int background_ready(struct background *b, struct loop *loop, struct err *err)
{
	int null, r = named_write(&b->named, err);

	b->loop = loop;
	if (r >= 0)
		r = loop_add_timer(loop, LOOK_NS, LOOK_NS, on_look, b, NULL);
	if (r < 0)
		return r;
	fprintf(stderr, "earshot: %s goes on in the background (pid %d) and writes to %s\n", b->named.name,
		b->named.pid, b->named.output);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	close_fd(null);
	tell(b, 0);
	return 0;
}

void background_done(struct background *b, int code)
{
	if (!b)
		return;
	if (b->report < 0)
		named_remove_file(b->named.name);
	tell(b, code);
	named_done(&b->named);
	free(b);
}
