#include "target/foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "binary/binary.h"

#define LEAST_CODE 65536 /* bytes of code without a file; the kernel's own pages are fewer */

struct mapping {
	uint64_t start, end, inode;
	char perms[8];
	const char *path; /* "" where there is none */
};

static bool parse_mapping(const char *line, struct mapping *ret)
{
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %*s %" SCNu64 "%n", &ret->start, &ret->end, ret->perms,
		   &ret->inode, &at) != 4)
		return false;
	ret->path = line + at + strspn(line + at, " ");
	return ret->perms[2] == 'x';
}

/*
 * Memory that a program has made executable: bare, shared, or of a memfd. The kernel's own pages have
 * names in brackets.
 */
static bool is_bare(const struct mapping *m)
{
	return m->inode ? !strncmp(m->path, "/memfd:", 7) || !strcmp(m->path, "/dev/zero (deleted)")
			: m->path[0] != '[';
}

/* The library as the process sees it, through its own root. */
static bool is_go_library(const char *procfs, int pid, const char *path)
{
	char full[4200];

	snprintf(full, sizeof(full), "%s/%d/root%s", procfs, pid, path);
	return binary_file_is_go(full);
}

void foreign_explain(const char *procfs, int pid, struct buf *out)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;
	bool first = true;
	uint64_t bare = 0;

	snprintf(path, sizeof(path), "%.30s/%d/maps", procfs, pid);
	if (file_read(path, &maps, 0) < 0 || !maps.data)
		return;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct mapping m;

		if (!parse_mapping(line, &m))
			continue;
		if (is_bare(&m))
			bare += m.end - m.start;
		/* The first one is the executable itself. */
		else if (m.inode && !first && is_go_library(procfs, pid, m.path)) {
			buf_printf(out, "; it has loaded %s, which Go made, but libraries are not observed, only "
					"programs", m.path);
			return;
		}
		first &= !m.inode;
	}
	if (bare >= LEAST_CODE)
		buf_printf(out, "; it runs %" PRIu64 " KiB of code that lies in no file: it is packed, or makes code "
						     "as it runs",
			   bare / 1024);
}
