/* Where the source of a package lies, and which of its files count. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "weave/paths.h"
#include "weave/source_types_internal.h"

/* ---- files ---- */

static const char *const systems[] = {"aix",     "android", "darwin",  "dragonfly", "freebsd", "hurd",
                                      "illumos", "ios",     "js",      "linux",     "nacl",    "netbsd",
                                      "openbsd", "plan9",   "solaris", "wasip1",    "windows", "zos"};
static const char *const machines[] = {"386",      "amd64",  "arm",   "arm64",   "loong64", "mips",  "mips64",
                                       "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"};

static bool is_listed(const char *const *list, size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(list[i]) == len && !memcmp(list[i], word, len))
			return true;
	return false;
}

/* By the file's name: x_linux.go, x_amd64.go, x_linux_amd64.go. Constraints within the file are not looked at. */
static bool is_for_others(const char *name)
{
	const char *os = getenv("GOOS"), *arch = getenv("GOARCH");
	const char *end = name + strlen(name) - strlen(".go");

	for (int i = 0; i < 2; i++) {
		const char *bar = memrchr(name, '_', (size_t)(end - name)), *word = bar ? bar + 1 : NULL;
		size_t n = word ? (size_t)(end - word) : 0;

		if (!word)
			return false;
		if (is_listed(systems, ARRAY_SIZE(systems), word, n))
			return !os || strlen(os) != n || memcmp(os, word, n);
		if (!is_listed(machines, ARRAY_SIZE(machines), word, n))
			return false;
		if (!arch || strlen(arch) != n || memcmp(arch, word, n))
			return true;
		end = bar;
	}
	return false;
}

static bool is_source_name(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && !strcmp(name + n - 3, ".go") && *name != '_' && *name != '.' &&
	       !(n > 8 && !strcmp(name + n - 8, "_test.go")) && !is_for_others(name);
}

static void read_source(struct source_types *at, struct source_package *p, const char *dir, const char *name)
{
	const char *path = arena_printf(&at->arena, "%s/%s", dir, name);
	struct go_source *s = NULL;
	struct buf text = {0};

	if (!file_read(path, &text, 0) && text.len && !go_source_parse(text.data, text.len, &s, NULL)) {
		vec_push(&p->texts, text);
		vec_push(&p->owned, s);
		vec_push(&p->names, arena_strdup(&at->arena, name));
		return;
	}
	buf_done(&text);
}

static bool has_name(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

/* Those of that names, or all. */
static void take_files(struct source_types *s, struct source_package *p, const char *const *names)
{
	p->nfiles = 0;
	p->files = arena_array(&s->arena, const struct go_source *, p->owned.len + 1);
	for (size_t i = 0; i < p->owned.len; i++) {
		/* `package documentation` and commands that make the package's own files lie beside it, and are
		 * ignored. */
		if (!p->name && p->owned.data[i]->package && strcmp(p->owned.data[i]->package, "main"))
			p->name = p->owned.data[i]->package;
		if (!names || has_name(names, p->names.data[i]))
			p->files[p->nfiles++] = p->owned.data[i];
	}
	p->known = p->nfiles > 0;
}

static void read_folder(struct source_types *s, struct source_package *p, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (is_source_name(e->d_name))
			read_source(s, p, dir, e->d_name);
	if (d)
		closedir(d);
	take_files(s, p, NULL);
}

/* ---- folders ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The rest of path behind prefix: "" or "/…"; NULL: it does not begin with it. */
static const char *behind(const char *path, const char *prefix)
{
	size_t n = prefix ? strlen(prefix) : 0;

	return prefix && !strncmp(path, prefix, n) && (!path[n] || path[n] == '/') ? path + n : NULL;
}

/* A go.mod between the module's root and the folder makes it another module's. */
static bool is_of_module(struct source_types *s, const char *dir)
{
	for (const char *at = dir; strlen(at) > strlen(s->root); at = path_folder(&s->arena, at))
		if (!access(arena_printf(&s->arena, "%s/go.mod", at), F_OK))
			return false;
	return true;
}

static const char *folder_of(struct source_types *s, const char *path)
{
	const char *rest = behind(path, s->module), *dir;

	if (s->goroot) {
		dir = arena_printf(&s->arena, "%s/src/%s", s->goroot, path);
		if (is_folder(dir))
			return dir;
	}
	if (!rest)
		return NULL;
	dir = arena_printf(&s->arena, "%s%s", s->root, rest);
	return is_folder(dir) && is_of_module(s, dir) ? dir : NULL;
}

/* The line "module PATH" of go.mod. */
static const char *module_path(struct source_types *s, const char *go_mod)
{
	_cleanup_(buf_done) struct buf text = {0};
	const char *path = NULL;

	if (file_read(go_mod, &text, 0) || !text.len)
		return NULL;
	for (const char *line = text.data; line && !path; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "module", 6) && (line[6] == ' ' || line[6] == '\t')) {
			line += 6 + strspn(line + 6, " \t\"");
			path = arena_strndup(&s->arena, line, strcspn(line, " \t\r\n\""));
		}
	}
	return path;
}

/* The module of the package at work, by the nearest go.mod above its files. */
static void find_module(struct source_types *s)
{
	const char *dir = s->home->nfiles ? path_folder(&s->arena, s->home->files[0].path) : ".";

	for (; strlen(dir) > 1; dir = path_folder(&s->arena, dir)) {
		const char *go_mod = arena_printf(&s->arena, "%s/go.mod", dir);

		if (access(go_mod, F_OK))
			continue;
		s->module = module_path(s, go_mod);
		s->root = dir;
		return;
	}
}

/* ---- packages ---- */

static struct source_package *add_package(struct source_types *s, const char *path)
{
	struct source_package *p = arena_new(&s->arena, struct source_package);

	p->path = arena_strdup(&s->arena, path);
	strmap_set(&s->packages, p->path, strlen(p->path), p);
	vec_push(&s->all, p);
	return p;
}

void source_packages_open(struct source_types *s)
{
	struct source_package *p = add_package(s, s->home->path);

	p->name = s->home->name;
	p->files = arena_array(&s->arena, const struct go_source *, s->home->nfiles + 1);
	for (size_t i = 0; i < s->home->nfiles; i++)
		if (s->home->files[i].source)
			p->files[p->nfiles++] = s->home->files[i].source;
	p->known = p->nfiles == s->home->nfiles;
	s->own = p;
	find_module(s);
}

void source_packages_done(struct source_types *s)
{
	for (size_t i = 0; i < s->all.len; i++) {
		struct source_package *p = s->all.data[i];

		for (size_t k = 0; k < p->owned.len; k++) {
			go_source_free(p->owned.data[k]);
			buf_done(&p->texts.data[k]);
		}
		vec_done(&p->owned);
		vec_done(&p->texts);
		vec_done(&p->names);
	}
	vec_done(&s->all);
	strmap_done(&s->packages);
}

/* What is built is the standard library's, which uses nothing but itself. */
static bool within_std(const struct source_types *s)
{
	return s->goroot && s->module && !strcmp(s->module, "std");
}

struct source_package *source_package(struct source_types *s, const char *path)
{
	struct source_package *p = strmap_get(&s->packages, path, strlen(path));
	const char *dir;

	if (p)
		return p;
	p = add_package(s, path);
	dir = folder_of(s, p->path);
	if (dir)
		read_folder(s, p, dir);
	else if (!within_std(s) && strcmp(path, "unsafe") != 0 && strcmp(path, "C") != 0)
		source_package_choose(s, p);
	return p;
}

bool source_package_choose(struct source_types *s, struct source_package *p)
{
	const struct go_list_package *l = s->list && p != s->own && !p->listed ? go_list_find(s->list, p->path) : NULL;

	if (!l)
		return false;
	p->listed = true;
	if (!p->owned.len) /* else its folder was read */
		for (size_t i = 0; l->files[i]; i++)
			read_source(s, p, l->dir, l->files[i]);
	take_files(s, p, l->files);
	return true;
}

/* The standard library's own dependencies have other paths than they are imported by. */
static const char *real_path(struct source_types *s, const char *path)
{
	return within_std(s) && strchr(path, '.') ? arena_printf(&s->arena, "vendor/%s", path) : path;
}

/* Without its source a package is taken to be called as its path ends. */
static bool is_called(struct source_types *s, const char *path, const char *name)
{
	const struct source_package *p = source_package(s, path);

	return p->known && p->name ? !strcmp(p->name, name) : !strcmp(path_base(path), name);
}

const char *source_import(struct source_types *s, const struct go_source *file, const char *name)
{
	for (size_t i = 0; i < file->nimports; i++)
		if (file->imports[i].name && !strcmp(file->imports[i].name, name))
			return real_path(s, file->imports[i].path);
	/* Most are called as their path ends: the source of the others is not read for nothing. */
	for (int likely = 1; likely >= 0; likely--)
		for (size_t i = 0; i < file->nimports; i++) {
			const struct go_import_decl *d = &file->imports[i];

			if (!d->name && (strcmp(path_base(d->path), name) == 0) == likely &&
			    is_called(s, real_path(s, d->path), name))
				return real_path(s, d->path);
		}
	return NULL;
}

bool source_types_imported(const struct source_types *s, const char *path)
{
	for (size_t i = 0; i < s->home->nfiles; i++) {
		const struct go_source *f = s->home->files[i].source;

		for (size_t k = 0; f && k < f->nimports; k++)
			if (!strcmp(f->imports[k].path, path))
				return true;
	}
	return false;
}
