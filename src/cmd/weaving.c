#include "cmd/weaving.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cmd/local_packs.h"
#include "cmd/verb.h"
#include "weave/paths.h"
#include "weave/points.h"
#include "weave/spans.h"

#define PACKS_VARIABLE "EARSHOT_BUILD_PACKS"
#define SPANS_VARIABLE "EARSHOT_BUILD_SPANS"
#define TRACE_VARIABLE "EARSHOT_BUILD_TRACE"
#define NEXT_VARIABLE  "EARSHOT_BUILD_TOOLEXEC"
#define FLAGS_VARIABLE "EARSHOT_BUILD_FLAGS"
#define LIST_VARIABLE  "EARSHOT_BUILD_LIST"
#define USDT_VARIABLE  "EARSHOT_BUILD_USDT"

/* ---- the environment ---- */

static void split_lines(struct arena *arena, const char *text, string_list *out)
{
	while (text && *text) {
		size_t n = strcspn(text, "\n");

		if (n)
			vec_push(out, arena_strndup(arena, text, n));
		text += n + (text[n] == '\n');
	}
}

/* The go command's tools run in other folders: packs are named from the root. */
static void set_lines(const char *variable, const string_list *lines, bool packs)
{
	_cleanup_(buf_done) struct buf text = {0};

	for (size_t i = 0; i < lines->len; i++) {
		_cleanup_(cleanup_free) char *path = NULL;

		if (packs && is_pack_path(lines->data[i]))
			path = realpath(lines->data[i], NULL);
		buf_printf(&text, "%s%s", i ? "\n" : "", path ? path : lines->data[i]);
	}
	if (text.len)
		setenv(variable, text.data, 1);
	else
		unsetenv(variable);
}

static void set_or_not(const char *variable, const char *value)
{
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
}

void weaving_pass_on(const struct weaving *w, const char *next, const char *list)
{
	set_lines(PACKS_VARIABLE, &w->packs, true);
	set_lines(SPANS_VARIABLE, &w->spans, false);
	set_lines(TRACE_VARIABLE, &w->traced, false);
	set_lines(FLAGS_VARIABLE, &w->flags, false);
	set_or_not(USDT_VARIABLE, w->usdt ? "1" : NULL);
	set_or_not(NEXT_VARIABLE, next);
	set_or_not(LIST_VARIABLE, list);
}

/* ---- the key ---- */

/* The linker's build ID, which covers all of this program: code, packs, the recorder. */
static int add_build_id(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64_t *hash = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_NOTE)
			*hash = fnv1a(*hash, (const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz);
	}
	return 1; /* the first one is the program itself */
}

static int add_file(const char *path, uint64_t *hash, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	int r = file_read(path, &text, 0);

	if (r < 0)
		return err_set(err, r, "cannot read the pack %s: %s", path, strerror(-r));
	*hash = fnv1a(*hash, text.data ? text.data : "", text.len);
	return 0;
}

static int make_key(struct weaving *w, struct err *err)
{
	uint64_t hash = FNV1A_BASIS;
	int r = 0;

	dl_iterate_phdr(add_build_id, &hash);
	for (size_t i = 0; r >= 0 && i < w->packs.len; i++) {
		if (is_pack_path(w->packs.data[i])) /* wherever it lies */
			r = add_file(w->packs.data[i], &hash, err);
		else
			hash = fnv1a(hash, w->packs.data[i], strlen(w->packs.data[i]) + 1);
	}
	hash = fnv1a(hash, "", 1);
	for (size_t i = 0; i < w->spans.len; i++)
		hash = fnv1a(hash, w->spans.data[i], strlen(w->spans.data[i]) + 1);
	hash = w->usdt ? fnv1a(hash, "usdt", 4) : hash;
	hash = fnv1a(hash, "", 1);
	for (size_t i = 0; i < w->traced.len; i++)
		hash = fnv1a(hash, w->traced.data[i], strlen(w->traced.data[i]) + 1);
	snprintf(w->key, sizeof(w->key), EARSHOT_VERSION "-%016" PRIx64, hash);
	return r;
}

int weaving_read(struct weaving *w, struct err *err)
{
	split_lines(&w->arena, getenv(PACKS_VARIABLE), &w->packs);
	split_lines(&w->arena, getenv(SPANS_VARIABLE), &w->spans);
	split_lines(&w->arena, getenv(TRACE_VARIABLE), &w->traced);
	split_lines(&w->arena, getenv(FLAGS_VARIABLE), &w->flags);
	w->usdt = getenv(USDT_VARIABLE) && *getenv(USDT_VARIABLE);
	return make_key(w, err);
}

void weaving_done(struct weaving *w)
{
	packs_done(&w->all);
	vec_done(&w->packs);
	vec_done(&w->spans);
	vec_done(&w->traced);
	vec_done(&w->flags);
	vec_done(&w->questions);
	vec_done(&w->calls);
	arena_done(&w->arena);
}

/* ---- what is asked for ---- */

/* What is asked of a function is asked when the program runs. */
static int parse_traced(struct weaving *w, const char *text, struct err *err)
{
	struct span_question *q = vec_add(&w->calls);
	int r = span_question_parse(text, &w->arena, q, err);

	if (r >= 0 && (q->when || q->chosen || q->function.ref.declared))
		r = err_set(err, -EINVAL,
			    "--trace takes a function's name or a pattern: `earshot trace` asks the rest of \"%s\"",
			    text);
	return r;
}

static int parse_functions(struct weaving *w, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < w->spans.len; i++) {
		struct span_question *q = vec_add(&w->questions);

		r = span_question_parse(w->spans.data[i], &w->arena, q, err);
	}
	for (size_t i = 0; r >= 0 && i < w->traced.len; i++)
		r = parse_traced(w, w->traced.data[i], err);
	return r;
}

/* The nearest folder, from the working one upwards, that has a go.mod; or the working one. */
static const char *module_folder(struct arena *arena)
{
	_cleanup_(cleanup_free) char *cwd = realpath(".", NULL);
	const char *dir = cwd ? arena_strdup(arena, cwd) : ".", *at = dir;

	for (; strlen(at) > 1; at = path_folder(arena, at))
		if (!access(arena_printf(arena, "%s/go.mod", at), F_OK))
			return at;
	return dir;
}

/* Those of the folder become packs that are named: the go command's tools run in other folders. */
static void name_local(struct weaving *w, const char *folder, const pack_set *packs)
{
	size_t named = w->packs.len;

	for (size_t i = 0; i < packs->len; i++) {
		const char *file = packs->data[i]->file;
		bool own = strstr(file, LOCAL_PACK_END) && !strchr(file, '/');

		for (size_t k = 0; k < named; k++)
			own &= strcmp(w->packs.data[k], file) != 0;
		if (own)
			vec_push(&w->packs, arena_printf(&w->arena, "%s/%s", folder, file));
	}
	if (!named && w->packs.len)
		vec_push(&w->packs, (char *)"*"); /* a path alone chooses it alone */
}

static int check_packs(struct weaving *w, const char *folder, struct err *err)
{
	pack_set packs = {0};
	int r = packs_load(&w->packs, &(struct local_packs){.directory = folder}, &packs, err);

	for (size_t i = 0; r >= 0 && i < packs.len; i++)
		if (packs.data[i]->on_request)
			r = err_set(err, -EINVAL, "--packs %s: what is in this pack cannot be woven; it can be planted "
						  "(attach)", packs.data[i]->name);
	if (r >= 0)
		name_local(w, folder, &packs);
	packs_done(&packs);
	return r;
}

/* The built-in packs are sound (tests/unit/pack_test): reading them takes a tenth of a build that has nothing to do. */
int weaving_check(struct weaving *w, struct err *err)
{
	const char *folder = module_folder(&w->arena);
	int r = w->packs.len || local_packs_any(folder) ? check_packs(w, folder, err) : 0;

	return r < 0 ? r : parse_functions(w, err);
}

/* ---- the tool ---- */

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("/._-~%", c));
}

/* Whether a text may name a function of the package: behind that word its path stands there, and a dot behind it. */
static bool names_package(const char *text, size_t len, const char *word, const char *path)
{
	size_t n = strlen(path), before = strlen(word);

	for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), path, n)); at++)
		if ((size_t)(at - text) + n < len && at[n] == '.' && (at == text || !in_path(at[-1])) &&
		    (size_t)(at - text) >= before && !memcmp(at - before, word, before))
			return true;
	return false;
}

static bool file_names(const char *file, const char *path)
{
	_cleanup_(buf_done) struct buf text = {0};

	return !file_read(file, &text, 0) && text.len && names_package(text.data, text.len, "", path);
}

/*
 * Texts are searched, and packs only parsed where that may be of use: this is asked for each package of a build. Ours
 * have all functions behind the word (tests/unit/pack_test), and name many packages by their types alone.
 */
static bool packs_name(const struct weaving *w, const char *path)
{
	for (const struct pack_source *src = pack_builtin; src->file; src++)
		if (names_package(src->text, src->len, "func: ", path))
			return true;
	for (size_t i = 0; i < w->packs.len; i++)
		if (is_pack_path(w->packs.data[i]) && file_names(w->packs.data[i], path))
			return true;
	return false;
}

/* A directive stands in one of the files; the standard library has none. */
static bool asks_itself(const struct weaving *w, char *const *files, size_t n)
{
	const char *root = getenv("GOROOT");
	size_t len = root ? strlen(root) : 0;

	for (size_t i = 0; i < n && !(len && !strncmp(files[i], root, len)); i++) {
		_cleanup_(buf_done) struct buf text = {0};

		if (file_read(files[i], &text, 0) || !text.len)
			continue;
		if (memmem(text.data, text.len, "//earshot:span", 14) ||
		    (w->usdt && memmem(text.data, text.len, "//earshot:usdt", 14)))
			return true;
	}
	return false;
}

/*
 * In `go test` package main is compiled under its import path, so what names main may be about any package: that is
 * seen when its files are read.
 */
static bool concerns(void *arg, const char *path, char *const *files, size_t n)
{
	const struct weaving *w = arg;

	for (size_t i = 0; i < w->questions.len; i++)
		if (span_concerns(&w->questions.data[i], path))
			return true;
	for (size_t i = 0; i < w->calls.len; i++)
		if (span_concerns(&w->calls.data[i], path))
			return true;
	/* The linker's word for a dot of the path's last element is %2e. */
	return packs_name(w, "main") || packs_name(w, path) || strchr(path_base(path), '.') || asks_itself(w, files, n);
}

/* The package at work, as the go command calls it: in a test "path [path.test]" is asked for as it is without. */
static const char *listed_package(struct weaving *w, const struct weave_package *p)
{
	const char *path = getenv("TOOLEXEC_IMPORTPATH");

	path = path && *path ? path : p->path;
	return arena_strndup(&w->arena, path, strcspn(path, " "));
}

static void open_list(struct weaving *w, const struct weave_package *p, struct go_list *ret)
{
	const char *root = getenv("GOROOT");

	if (!w->flags.len || w->flags.data[w->flags.len - 1])
		vec_push(&w->flags, NULL);
	*ret = (struct go_list){.go = root ? arena_printf(&w->arena, "%s/bin/go", root) : "go",
	                        .package = listed_package(w, p),
	                        .kept = getenv(LIST_VARIABLE),
	                        .flags = (const char *const *)w->flags.data};
}

static int weave(void *arg, struct weave_package *p, struct err *err)
{
	struct weaving *w = arg;
	struct go_list list;
	int r;

	if (!w->loaded) {
		r = packs_load(&w->packs, NULL, &w->all, err);
		if (r < 0)
			return r;
		w->loaded = true;
	}
	open_list(w, p, &list);
	r = weave_points(p,
	                 &(struct weave_wanted){.packs = w->all.data,
	                                        .npacks = w->all.len,
	                                        .spans = w->questions.data,
	                                        .nspans = w->questions.len,
	                                        .calls = w->calls.data,
	                                        .ncalls = w->calls.len,
	                                        .goroot = getenv("GOROOT"),
	                                        .list = &list,
	                                        .usdt = w->usdt},
	                 err);
	go_list_done(&list);
	return r;
}

int toolexec_main(int argc, char **argv)
{
	struct weaving w = {0};
	struct weaver weaver = {
	    .key = w.key, .concerns = concerns, .weave = weave, .arg = &w, .next = getenv(NEXT_VARIABLE)};
	struct err err = {0};

	if (argc < 2)
		return complain(EXIT_USAGE, "%s is for the go command: go build -toolexec=%s", TOOLEXEC_NAME, argv[0]);
	if (weaving_read(&w, &err) < 0 || parse_functions(&w, &err) < 0)
		return complain(EXIT_FAILED, "%s", err.text);
	weaver.usdt = w.usdt;
	return toolexec(&weaver, argv + 1);
}
