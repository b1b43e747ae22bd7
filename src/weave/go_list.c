#include "weave/go_list.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "weave/spawn.h"

#define FORMAT "{{.ImportPath}}\t{{.Dir}}{{range .GoFiles}}\t{{.}}{{end}}{{range .CgoFiles}}\t{{.}}{{end}}"

enum { FILES_MAX = 4096 };

/* ---- lines ---- */

static void read_line(struct go_list *l, const char *line, const char *end)
{
	struct go_list_package *p = arena_new(&l->arena, struct go_list_package);
	VEC(const char *) files = {0};
	const char *fields[2] = {0};

	for (size_t i = 0; line <= end && i < FILES_MAX; i++) {
		const char *tab = memchr(line, '\t', (size_t)(end - line)), *to = tab ? tab : end;
		const char *text = arena_strndup(&l->arena, line, (size_t)(to - line));

		if (i < 2)
			fields[i] = text;
		else
			vec_push(&files, text);
		line = to + 1;
	}
	vec_push(&files, NULL);
	*p = (struct go_list_package){fields[0], fields[1],
	                              arena_memdup(&l->arena, files.data, files.len * sizeof(*files.data))};
	vec_done(&files);
	if (p->dir && *p->dir == '/' && *p->path)
		strmap_set(&l->packages, p->path, strlen(p->path), p);
}

void go_list_read(struct go_list *l, const char *text, size_t len)
{
	for (const char *line = text, *end; line < text + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + len - line));
		if (!end)
			return; /* half of a line */
		read_line(l, line, end);
	}
}

/* ---- the go command ---- */

/* What it would have to fetch it does without. */
static void without_network(bool begin)
{
	static char *before;

	if (begin) {
		before = getenv("GOPROXY") ? xstrdup(getenv("GOPROXY")) : NULL;
		setenv("GOPROXY", "off", 1);
	} else if (before) {
		setenv("GOPROXY", before, 1);
		free(before);
	} else {
		unsetenv("GOPROXY");
	}
}

static void ask(struct go_list *l, struct buf *out)
{
	VEC(char *) argv = {0};

	vec_push(&argv, (char *)l->go);
	vec_push(&argv, (char *)"list");
	vec_push(&argv, (char *)"-e");
	vec_push(&argv, (char *)"-deps");
	vec_push(&argv, (char *)"-f=" FORMAT);
	for (size_t i = 0; l->flags && l->flags[i]; i++)
		vec_push(&argv, (char *)l->flags[i]);
	vec_push(&argv, (char *)"--");
	vec_push(&argv, (char *)l->package);
	vec_push(&argv, NULL);
	without_network(true);
	/* What is wrong with the packages the build itself says. */
	if (spawn_capture(argv.data, SPAWN_QUIET, out))
		out->len = 0;
	without_network(false);
	vec_done(&argv);
}

/* Tools run side by side: one asks, the others wait for what it says. */
static void ask_once(struct go_list *l, const char *path)
{
	_cleanup_(cleanup_fd) int fd = l->kept ? open(l->kept, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	_cleanup_(buf_done) struct buf text = {0}, out = {0};

	l->asked = true;
	if (fd >= 0 && !flock(fd, LOCK_EX) && !file_read_fd(fd, &text, 0) && text.len)
		go_list_read(l, text.data, text.len);
	if (strmap_get(&l->packages, path, strlen(path)))
		return;
	ask(l, &out);
	if (!out.len)
		return;
	go_list_read(l, out.data, out.len);
	if (fd >= 0)
		write_all(fd, out.data, out.len);
}

const struct go_list_package *go_list_find(struct go_list *l, const char *path)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct go_list_package *p;

	if (!l->read && l->kept && !file_read(l->kept, &text, 0) && text.len)
		go_list_read(l, text.data, text.len);
	l->read = true;
	p = strmap_get(&l->packages, path, strlen(path));
	if (!p && !l->asked) {
		ask_once(l, path);
		p = strmap_get(&l->packages, path, strlen(path));
	}
	return p;
}

void go_list_done(struct go_list *l)
{
	strmap_done(&l->packages);
	arena_done(&l->arena);
}
