#include "target/find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static bool glob_matches(const struct target_query *q, const struct process *p)
{
	for (size_t i = 0; i < q->nglobs; i++) {
		const char *what = strchr(q->globs[i], '/') ? p->exe : process_name(p);

		if (fnmatch(q->globs[i], what, 0) == 0)
			return true;
	}
	return false;
}

bool target_matches_name(const struct target_query *q, const char *name)
{
	for (size_t i = 0; i < q->nglobs; i++)
		if (!strchr(q->globs[i], '/') && fnmatch(q->globs[i], name, 0) == 0)
			return true;
	return false;
}

/* "socket:[INODE]" of each that the process holds, one a line. */
static void held_sockets(const char *procfs, int pid, struct buf *ret)
{
	char path[128], link[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%d/fd", procfs, pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n > 0 && link[0] == 's')
			buf_printf(ret, "%.*s\n", (int)n, link);
	}
	if (d)
		closedir(d);
}

static bool is_wanted(const struct target_query *q, unsigned port)
{
	for (size_t i = 0; i < q->nports; i++)
		if (q->ports[i] == port)
			return true;
	return false;
}

/* Whether one of the sockets listens on a port that is asked for (state 0A in /proc/net/tcp). */
static bool listens(const char *procfs, int pid, const char *table, const struct target_query *q,
		    const struct buf *sockets)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[128], *save = NULL;

	snprintf(path, sizeof(path), "%s/%d/net/%s", procfs, pid, table);
	if (file_read(path, &b, 0) < 0 || !b.data)
		return false;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned port, state;
		uint64_t inode;
		char name[64];

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, &port, &state,
			   &inode) != 3 || state != 0x0a || !is_wanted(q, port))
			continue;
		snprintf(name, sizeof(name), "socket:[%" PRIu64 "]\n", inode);
		if (strstr(sockets->data, name))
			return true;
	}
	return false;
}

/* The tables of a busy machine are long; of what has just executed, which is asked as well, few hold sockets. */
static bool port_matches(const char *procfs, const struct target_query *q, const struct process *p)
{
	_cleanup_(buf_done) struct buf sockets = {0};

	if (!q->nports)
		return false;
	held_sockets(procfs, p->pid, &sockets);
	return sockets.len && (listens(procfs, p->pid, "tcp", q, &sockets) ||
			       listens(procfs, p->pid, "tcp6", q, &sockets));
}

bool target_matches(const char *procfs, const struct target_query *q, const struct process *p)
{
	if (q->descendants_of && !process_descends(procfs, p->pid, q->descendants_of))
		return false;
	if (q->descendants_of && !q->nglobs && !q->nports)
		return true;
	return glob_matches(q, p) || port_matches(procfs, q, p);
}

int target_find(const char *procfs, const struct target_query *q, pid_vec *ret, struct err *err)
{
	DIR *d = opendir(procfs);
	struct dirent *e;

	if (!d)
		return err_set(err, -errno, "cannot list processes in %s: %s", procfs, strerror(errno));
	while ((e = readdir(d))) {
		struct process p;
		int pid = atoi(e->d_name);

		if (!isdigit((unsigned char)e->d_name[0]) || pid == getpid())
			continue;
		if (process_read(procfs, pid, &p, NULL) < 0)
			continue;
		if (target_matches(procfs, q, &p))
			vec_push(ret, pid);
		process_done(&p);
	}
	closedir(d);
	return 0;
}
