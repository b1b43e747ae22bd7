#include "cmd/named.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "target/process.h"

#define FILE_ENDING ".probe"
#define STOP_MS 10000

int named_check(const char *name, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (*name && *name != '.' && strlen(name) <= 64 && strspn(name, allowed) == strlen(name))
		return 0;
	return err_set(err, -EINVAL, "--name expects letters, digits, - _ and . (up to 64), not \"%s\"", name);
}

static int folder(char *ret, size_t size, struct err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() != 0 && (!runtime || *runtime != '/'))
		return err_set(err, -ENOENT, "there is no folder for what is found by a name: XDG_RUNTIME_DIR is not "
			       "set");
	snprintf(ret, size, "%s/earshot", geteuid() == 0 ? "/run" : runtime);
	if (mkdir(ret, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make %s: %s", ret, strerror(errno));
	return 0;
}

int named_path(const char *name, const char *ending, char **ret, struct err *err)
{
	char dir[4096];
	int r = folder(dir, sizeof(dir), err);

	if (r == 0)
		*ret = xasprintf("%s/%s%s", dir, name, ending);
	return r;
}

void named_done(struct named *n)
{
	free(n->name);
	free(n->definition);
	free(n->output);
	*n = (struct named){0};
}

/* One "key value" a line. */
static void take_line(struct named *n, const char *key, const char *value)
{
	if (!strcmp(key, "pid"))
		n->pid = atoi(value);
	else if (!strcmp(key, "start"))
		n->start_ticks = strtoull(value, NULL, 10);
	else if (!strcmp(key, "began"))
		n->began = strtoull(value, NULL, 10);
	else if (!strcmp(key, "until"))
		n->until = strtoull(value, NULL, 10);
	else if (!strcmp(key, "output") && !n->output)
		n->output = xstrdup(value);
	else if (!strcmp(key, "definition") && !n->definition)
		n->definition = xstrdup(value);
}

static void parse(struct named *n, char *text)
{
	char *save, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = '\0';
		take_line(n, line, space + 1);
	}
}

static bool runs(const struct named *n)
{
	return n->pid > 0 && n->start_ticks && n->definition && n->output &&
	       process_start_ticks("/proc", n->pid) == n->start_ticks;
}

int named_read(const char *name, struct named *ret, struct err *err)
{
	_cleanup_(cleanup_free) char *path = NULL;
	_cleanup_(buf_done) struct buf text = {0};
	struct named n = {0};
	int r = named_path(name, FILE_ENDING, &path, err);

	if (r < 0)
		return r;
	r = file_read(path, &text, 1 << 20);
	if (r < 0)
		return err_set(err, -ENOENT, "there is no question named %s; `earshot probes` lists them", name);
	buf_char(&text, '\n');
	n.name = xstrdup(name);
	parse(&n, text.data);
	if (!runs(&n)) {
		unlink(path);
		named_done(&n);
		return err_set(err, -ENOENT, "the question %s has ended already", name);
	}
	*ret = n;
	return 0;
}

int named_write(const struct named *n, struct err *err)
{
	_cleanup_(cleanup_free) char *path = NULL, *temporary = NULL;
	_cleanup_(buf_done) struct buf text = {0};
	FILE *f;
	int r = named_path(n->name, FILE_ENDING, &path, err);

	if (r < 0)
		return r;
	buf_printf(&text, "pid %d\nstart %" PRIu64 "\nbegan %" PRIu64 "\nuntil %" PRIu64 "\noutput %s\ndefinition %s\n",
		   n->pid, n->start_ticks, n->began, n->until, n->output, n->definition);
	temporary = xasprintf("%s.%d", path, getpid());
	f = fopen(temporary, "we");
	if (!f)
		return err_set(err, -errno, "cannot write %s: %s", temporary, strerror(errno));
	r = fwrite(text.data, 1, text.len, f) == text.len ? 0 : -EIO;
	if (fclose(f) != 0 || r < 0 || rename(temporary, path) < 0) {
		r = err_set(err, -EIO, "cannot write %s: %s", path, strerror(errno));
		unlink(temporary);
	}
	return r;
}

int named_remove_file(const char *name)
{
	_cleanup_(cleanup_free) char *path = NULL;
	int r = named_path(name, FILE_ENDING, &path, NULL);

	return r < 0 ? r : unlink(path) < 0 ? -errno : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

int named_list(named_vec *ret, struct err *err)
{
	const size_t ending = strlen(FILE_ENDING);
	char dir[4096];
	struct dirent *e;
	DIR *d;
	int r = folder(dir, sizeof(dir), err);

	if (r < 0)
		return r;
	d = opendir(dir);
	if (!d)
		return err_set(err, -errno, "cannot read %s: %s", dir, strerror(errno));
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name);
		struct named n;

		if (len <= ending || strcmp(e->d_name + len - ending, FILE_ENDING))
			continue;
		e->d_name[len - ending] = '\0';
		if (named_read(e->d_name, &n, NULL) == 0)
			vec_push(ret, n);
	}
	closedir(d);
	if (ret->len)
		qsort(ret->data, ret->len, sizeof(ret->data[0]), by_name);
	return 0;
}

int named_stop(const struct named *n, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = (int)syscall(SYS_pidfd_open, n->pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0 || !runs(n))
		return 0;
	if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) < 0)
		return err_set(err, -errno, "cannot end %s (pid %d): %s", n->name, n->pid, strerror(errno));
	if (poll(&p, 1, STOP_MS) != 1)
		return err_set(err, -ETIMEDOUT,
			       "%s (pid %d) has not ended after %d s; its probes may still be in place", n->name,
			       n->pid, STOP_MS / 1000);
	return 0;
}
