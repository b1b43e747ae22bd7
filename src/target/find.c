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

/* Inodes of the sockets listening on one of the ports (state 0A in /proc/net/tcp). */
static void listening_inodes(const char *procfs, int pid, const char *table, const struct target_query *q,
			     struct buf *inodes)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[128], *save = NULL;

	snprintf(path, sizeof(path), "%s/%d/net/%s", procfs, pid, table);
	if (file_read(path, &b, 0) < 0 || !b.data)
		return;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned port, state;
		uint64_t inode;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, &port, &state,
			   &inode) != 3 || state != 0x0a)
			continue;
		for (size_t i = 0; i < q->nports; i++)
			if (q->ports[i] == port)
				buf_printf(inodes, "socket:[%" PRIu64 "]\n", inode);
	}
}

static bool holds_socket(const char *procfs, int pid, const struct buf *inodes)
{
	char path[128], link[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%d/fd", procfs, pid);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 2);

		if (n <= 0 || link[0] != 's')
			continue;
		link[n] = '\n';
		link[n + 1] = 0;
		found = strstr(inodes->data, link) != NULL;
	}
	closedir(d);
	return found;
}

static bool port_matches(const char *procfs, const struct target_query *q, const struct process *p)
{
	_cleanup_(buf_done) struct buf inodes = {0};

	if (!q->nports)
		return false;
	listening_inodes(procfs, p->pid, "tcp", q, &inodes);
	listening_inodes(procfs, p->pid, "tcp6", q, &inodes);
	return inodes.len && holds_socket(procfs, p->pid, &inodes);
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
