/* Packs in the working directory: which files count, and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/local_packs.h"

#define PACK(name) "pack: " name "\nabout: of the test\npackages: [main]\ntexts: {main.E: text}\n"
#define SPANS(name) \
	"pack: " name "\nabout: of the test\npackages: [main]\nspans:\n- name: s\n  kind: internal\n  titles: [s]\n" \
	"  points:\n  - {name: b, role: start, variants: [{func: main.F}]}\n" \
	"  - {name: e, role: end, variants: [{func: main.G}]}\n"
#define EXTENDS(name, of) \
	"pack: " name "\nabout: of the test\npackages: [main]\nspans:\n- extends: " of "\n  points:\n" \
	"  - {name: n, role: note, variants: [{func: main.H}]}\n"

struct world {
	char directory[64];
	char file[96];
	pack_set packs;
	string_list wanted;
	VEC(char *) said;
};

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	strcpy(w->directory, "/tmp/local_packs_test.XXXXXX");
	*state = w;
	return mkdtemp(w->directory) ? 0 : -1;
}

static void forget(struct world *w)
{
	packs_done(&w->packs);
	for (size_t i = 0; i < w->said.len; i++)
		free(w->said.data[i]);
	vec_done(&w->said);
	vec_done(&w->wanted);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	forget(w);
	snprintf(command, sizeof(command), "rm -r %s", w->directory);
	free(w);
	return system(command);
}

static const char *path(struct world *w, const char *name)
{
	snprintf(w->file, sizeof(w->file), "%s/%s.earshot.yaml", w->directory, name);
	return w->file;
}

static void put(struct world *w, const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(path(w, name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(w->file, mode), 0);
}

static void remember(void *arg, bool trouble, const char *sentence)
{
	struct world *w = arg;

	assert_int_equal(trouble, !strncmp(sentence, "not used: ", 10));
	vec_push(&w->said, strdup(sentence));
}

static void read_all(struct world *w)
{
	const struct local_packs from = {.directory = w->directory, .tell = remember, .arg = w};

	local_packs_add(&from, &w->wanted, &w->packs);
}

static bool was_said(const struct world *w, const char *words)
{
	size_t n = 0;

	for (size_t i = 0; i < w->said.len; i++)
		n += strstr(w->said.data[i], words) != NULL;
	return n == 1;
}

static void test_files(void **state)
{
	struct world *w = *state;

	put(w, "b", PACK("b"), 0644);
	put(w, "a", PACK("a"), 0600);
	put(w, "group", PACK("group"), 0664);
	put(w, "others", PACK("others"), 0602);
	put(w, "broken", "pack: broken\nabout: x\n", 0644);
	put(w, "twice", PACK("b"), 0644);
	put(w, ".hidden", PACK("hidden"), 0644);
	assert_int_equal(symlink("a.earshot.yaml", path(w, "link")), 0);
	assert_int_equal(mkfifo(path(w, "fifo"), 0600), 0);
	assert_int_equal(mkdir(path(w, "directory"), 0700), 0);
	read_all(w);
	assert_int_equal(w->packs.len, 2);
	assert_string_equal(w->packs.data[0]->name, "a");
	assert_string_equal(w->packs.data[1]->name, "b");
	assert_true(was_said(w, "using the pack a of a.earshot.yaml"));
	assert_true(was_said(w, "using the pack b of b.earshot.yaml"));
	assert_true(was_said(w, "group.earshot.yaml: others may write to it (mode 664)"));
	assert_true(was_said(w, "others.earshot.yaml: others may write to it (mode 602)"));
	assert_true(was_said(w, "not used: broken.earshot.yaml:1:1: "));
	assert_true(was_said(w, "twice.earshot.yaml: there is a pack b already (b.earshot.yaml)"));
	assert_true(was_said(w, "link.earshot.yaml: it is a symbolic link"));
	assert_true(was_said(w, "fifo.earshot.yaml: it is no regular file"));
	assert_true(was_said(w, "directory.earshot.yaml: it is no regular file"));
	assert_int_equal(w->said.len, 9);
}

/* What is selected by name counts; a file that is named itself is somebody else's to read. */
static void test_selected(void **state)
{
	struct world *w = *state;

	put(w, "one", SPANS("one"), 0644);
	put(w, "two", SPANS("two"), 0644);
	put(w, "three", SPANS("three"), 0644);
	vec_push(&w->wanted, "t*");
	vec_push(&w->wanted, path(w, "two"));
	read_all(w);
	assert_int_equal(w->packs.len, 1);
	assert_string_equal(w->packs.data[0]->name, "three");
	assert_int_equal(w->said.len, 1);
}

/* One that adds to a span that is not there goes, and then what adds to it; the rest stays. */
static void test_extensions(void **state)
{
	struct world *w = *state;

	put(w, "a", EXTENDS("a", "b/s"), 0644); /* of one that comes later */
	put(w, "b", SPANS("b"), 0644);
	put(w, "c", EXTENDS("c", "nobody/s"), 0644);
	put(w, "d", EXTENDS("d", "b/none"), 0644);
	read_all(w);
	assert_int_equal(w->packs.len, 2);
	assert_ptr_equal(w->packs.data[0]->spans[0].of, &w->packs.data[1]->spans[0]);
	assert_true(was_said(w, "not used: c.earshot.yaml: the pack c adds to spans of the pack nobody"));
	assert_true(was_said(w, "not used: d.earshot.yaml:5:"));
	assert_int_equal(w->said.len, 4);
}

static void test_none(void **state)
{
	struct world *w = *state;
	const struct local_packs nowhere = {.directory = "/nonexistent", .tell = remember, .arg = w};

	read_all(w);
	local_packs_add(&nowhere, &w->wanted, &w->packs);
	assert_int_equal(w->packs.len + w->said.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_selected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_extensions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
