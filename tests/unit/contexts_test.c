/*
 * Contexts of a real program (tests/go/contexts), which says where they lie: the table of their types, and what probes
 * report. Without arguments only what needs no planter; with the name of a build and of a planter that one
 * (tests/e2e/contexts.py), or "woven" and the path of one that was built with the pack, which "pack" prints
 * (tests/e2e/weave.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "binary/context_types.h"
#include "cmd/woven_match.h"
#include "lib/go_binaries.h"
#include "plant/planters.h"
#include "plant/woven.h"
#include "probe/pack/join.h"
#include "target/process.h"

static const char pack_text[] =
	"pack: contexts\nabout: contexts\npackages: [main]\nspans:\n"
	"- name: join\n  kind: internal\n  titles: [join]\n  points:\n"
	"  - name: start\n    role: start\n    variants:\n"
	"    - func: main.join(n int, ctx context.Context)\n"
	"      capture: {n: n}\n      parent: ctx\n      context: ctx\n"
	"  - {name: end, role: end, variants: [{func: main.done()}]}\n"
	"- name: pointer\n  kind: client\n  titles: [pointer]\n  points:\n"
	"  - name: start\n    role: start\n    variants:\n"
	"    - func: main.joinPointer(n int, c *embeds)\n"
	"      capture: {n: n}\n      parent: [c.nothing, c]\n      context: {expr: c, when: n > 0}\n"
	"  - {name: end, role: end, variants: [{func: main.done()}]}\n";

enum { CASES_MAX = 64, LINKS_MAX = EVENT_MAX_CHAIN, PROBES = 2, GOROUTINES = 40 };
static const char *binary_arg, *planter_arg;

struct told {                /* by the program */
	char name[32], flags[LINKS_MAX + 2];
	uint64_t links[LINKS_MAX];
	size_t n;
	enum event_chain_end end;
};

struct program {
	pid_t pid;
	FILE *in, *out;
	struct binary *b;
	struct process process;
	struct plant_target target;
	struct pack *pack;
	struct join *starts[PROBES];
	const struct planter_ops *ops;
	struct planter *planter; /* or */
	struct woven *woven;
	struct woven_set own;
	struct told cases[CASES_MAX + 1]; /* from 1 on */
	size_t ncases;
	VEC(char *) records;
};

/* ---- the program ---- */

static void start(const char *path, struct program *p)
{
	int out[2], in[2];
	char line[256];

	assert_int_equal(pipe(out) | pipe(in), 0);
	p->pid = fork();
	if (!p->pid) {
		dup2(out[1], 1);
		dup2(in[0], 0);
		close(out[0]);
		close(in[1]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	close(in[0]);
	p->out = fdopen(out[0], "r");
	p->in = fdopen(in[1], "w");
	assert_non_null(fgets(line, sizeof(line), p->out));
	assert_string_equal(line, "ready\n");
}

static void stop(struct program *p)
{
	fclose(p->in);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	fclose(p->out);
	process_done(&p->process);
	pack_free(p->pack);
	binary_free(p->b);
	for (size_t i = 0; i < p->records.len; i++)
		free(p->records.data[i]);
	vec_done(&p->records);
}

static enum event_chain_end end_named(const char *s)
{
	static const char *const names[] = {[CHAIN_ROOT] = "root", [CHAIN_UNKNOWN_TYPE] = "unknown",
					    [CHAIN_TOO_LONG] = "long"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], s))
			return (enum event_chain_end)i;
	fail_msg("no end of a chain: %s", s);
	return CHAIN_ROOT;
}

/* "case NAME FLAGS. ADDRESS… END" */
static void read_case(struct program *p, char *line)
{
	struct told *t = &p->cases[++p->ncases];
	char *save = NULL, *word;

	assert_true(p->ncases <= CASES_MAX);
	assert_non_null(strtok_r(line, " \n", &save));
	snprintf(t->name, sizeof(t->name), "%s", strtok_r(NULL, " \n", &save));
	snprintf(t->flags, sizeof(t->flags), "%s", strtok_r(NULL, " \n", &save));
	while ((word = strtok_r(NULL, " \n", &save)))
		if (word[0] == '0' && t->n < LINKS_MAX)
			t->links[t->n++] = strtoull(word, NULL, 16);
		else
			t->end = end_named(word);
	assert_int_equal(strlen(t->flags), t->n + 1);
}

static void run_cases(struct program *p)
{
	char line[8192];

	fputs("go\n", p->in);
	fflush(p->in);
	while (fgets(line, sizeof(line), p->out) && strcmp(line, "end\n"))
		if (!strncmp(line, "case ", 5))
			read_case(p, line);
	assert_string_equal(line, "end\n");
	assert_true(p->ncases > 25);
}

/* ---- the probes ---- */

static void join_starts(struct program *p)
{
	struct join *all = NULL;
	struct err err = {0};
	size_t n = 0, k = 0;

	if (pack_parse("contexts.yaml", pack_text, strlen(pack_text), &p->pack, &err) ||
	    join_packs(p->b, &p->pack, 1, &(struct join_options){.caps = &p->ops->caps}, &all, &n, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < n; i++) {
		if (!all[i].variant)
			fail_msg("%s: %s", all[i].point->name, all[i].why);
		if (all[i].point->role == POINT_START)
			p->starts[k++] = &all[i];
	}
	assert_int_equal(k, PROBES);
}

static void prepare(struct program *p, const char *path)
{
	struct err err = {0};

	if (binary_open(path, &p->b, &err) || process_read("/proc", p->pid, &p->process, &err))
		fail_msg("%s", err.text);
	p->target = (struct plant_target){.id = 7, .pid = p->pid, .path = p->process.exe_path, .binary = p->b,
					  .binary_key = 1};
	if (process_bias("/proc", &p->process, binary_image(p->b), &p->target.bias, &err))
		fail_msg("%s", err.text);
	join_starts(p);
}

static struct event_source *plant(struct program *p)
{
	struct plant_probe probes[PROBES] = {0};
	struct plant *plants[PROBES];
	struct err errs[PROBES] = {0}, err = {0};
	struct planter *pl = NULL;

	if (p->ops->open(&(struct planter_options){.procfs = "/proc"}, &pl, &err))
		fail_msg("%s", err.text);
	for (uint32_t i = 0; i < PROBES; i++) {
		probes[i] = (struct plant_probe){.id = i, .label = "join",
						 .program = &p->starts[i]->capture.program};
		plant_probe_locate(&probes[i], p->ops, p->b, &p->starts[i]->at);
	}
	p->ops->plant(pl, &p->target, probes, PROBES, plants, errs);
	for (size_t i = 0; i < PROBES; i++)
		if (!plants[i])
			fail_msg("%s", errs[i].text);
	p->planter = pl;
	return pl->source;
}

/* It has the points itself. */
static struct event_source *listen_to(struct program *p)
{
	const struct woven_target target = {
		.id = p->target.id, .pid = p->pid, .bias = p->target.bias, .image = binary_image(p->b)};
	struct woven_probe probes[PROBES] = {0};
	struct err err = {0};

	woven_set_read(p->b, &p->own);
	for (uint32_t i = 0; i < PROBES; i++) {
		const struct woven_point *w = woven_match(&p->own, p->starts[i], NULL, &probes[i].slots);

		assert_non_null(w);
		probes[i].key = w->key;
		probes[i].id = i;
		probes[i].program = &p->starts[i]->capture.program;
	}
	if (woven_open(&(struct woven_options){.procfs = "/proc", .sysfs = "/sys"}, &p->woven, &err) ||
	    woven_attach(p->woven, &target, probes, PROBES, &err))
		fail_msg("%s", err.text);
	return woven_source(p->woven);
}

static void take(void *arg, const void *record, size_t size)
{
	struct program *p = arg;
	char *copy = xmalloc(size);
	struct event e;

	memcpy(copy, record, size);
	assert_true(event_decode(copy, size, &e));
	vec_push(&p->records, copy);
}

/* Records of a planter that lives in the program come a little later. */
static void drain(struct program *p, struct event_source *source)
{
	uint64_t end = clock_monotonic_ns() + 5000000000u;
	size_t wanted = p->ncases + 2 * GOROUTINES + 3;

	while (p->records.len < wanted && clock_monotonic_ns() < end) {
		source->ops->drain(source, take, p);
		usleep(10000);
	}
	assert_int_equal(p->records.len, wanted);
}

/* ---- what they say ---- */

static int slot_of(const struct join *j, enum capture_use use)
{
	for (size_t i = 0; i < j->variant->ncaptures; i++)
		if (j->variant->captures[i].use == use)
			return j->capture.slot_of_item[i];
	return -1;
}

static struct event event_at(const struct program *p, size_t i)
{
	struct event e;

	assert_true(event_decode(p->records.data[i], ((struct event_header *)(void *)p->records.data[i])->size, &e));
	return e;
}

static uint64_t word_of(const struct program *p, const struct event *e, enum capture_use use)
{
	int slot = slot_of(p->starts[e->head->probe], use);

	assert_true(slot >= 0);
	assert_int_equal(e->slots[slot].status, SLOT_OK);
	return e->slots[slot].value;
}

static void check_chain(const struct told *t, const struct event *e, int slot, size_t max)
{
	struct event_chain_link l;
	struct event_chain c;

	assert_true(slot >= 0 && event_chain(e, (size_t)slot, &c));
	if (c.n != MIN(t->n, max))
		fail_msg("%s: %zu links instead of %zu", t->name, c.n, MIN(t->n, max));
	for (size_t i = 0; event_chain_link(&c, i, &l); i++)
		if (l.addr != t->links[i] || l.pooled != (t->flags[i] == 'p'))
			fail_msg("%s: link %zu is 0x%" PRIx64 "%s instead of 0x%" PRIx64 " %c", t->name, i, l.addr,
				 l.pooled ? ", pooled" : "", t->links[i], t->flags[i]);
	if (max == LINKS_MAX && c.end != t->end)
		fail_msg("%s: ends as %d instead of %d", t->name, c.end, t->end);
}

static void check_chains(const struct program *p)
{
	size_t seen = 0;

	for (size_t i = 0; i < p->records.len; i++) {
		struct event e = event_at(p, i);
		const struct join *j = p->starts[e.head->probe];
		int64_t n = (int64_t)word_of(p, &e, USE_ATTRIBUTE);

		if (n < 1)
			continue;
		assert_true((size_t)n <= p->ncases);
		check_chain(&p->cases[n], &e, slot_of(j, USE_PARENT_CHAIN), LINKS_MAX);
		check_chain(&p->cases[n], &e, slot_of(j, USE_OWN_CHAIN), 1);
		seen++;
	}
	assert_int_equal(seen, p->ncases);
}

/* Whether the goroutine was created after e, as pack.h says it. */
static bool created_after(const struct program *p, const struct event *e, uint64_t goid)
{
	uint64_t cache = word_of(p, e, USE_GOID_CACHE), end = word_of(p, e, USE_GOID_CACHE_END);

	return goid > word_of(p, e, USE_GOIDGEN) || (end - cache <= LINEAGE_BATCH && goid >= cache && goid < end);
}

static void check_function(const struct program *p, const struct event *e)
{
	uint64_t pc = word_of(p, e, USE_START_PC) - p->target.bias;
	struct func f;

	assert_true(binary_func_at(p->b, pc, &f));
	if (e->head->goid == 1)
		assert_string_equal(f.name, "runtime.main");
	else
		assert_non_null(strstr(f.name, "main.goroutines"));
}

/* With one P nothing is in doubt: 40 goroutines are older than the record, 40 younger. */
static void check_lineage(const struct program *p)
{
	struct event epoch = {0};
	size_t older = 0, younger = 0;

	for (size_t i = 0; i < p->records.len; i++) {
		struct event e = event_at(p, i);

		if ((int64_t)word_of(p, &e, USE_ATTRIBUTE) == -1)
			epoch = e;
	}
	assert_non_null(epoch.head);
	assert_int_equal(epoch.head->goid, 1);
	assert_int_equal(word_of(p, &epoch, USE_CREATOR), 0);
	assert_false(created_after(p, &epoch, 1));
	for (size_t i = 0; i < p->records.len; i++) {
		struct event e = event_at(p, i);

		if (word_of(p, &e, USE_ATTRIBUTE))
			continue;
		assert_int_equal(word_of(p, &e, USE_CREATOR), 1);
		check_function(p, &e);
		*(created_after(p, &epoch, e.head->goid) ? &younger : &older) += 1;
	}
	assert_int_equal(older, GOROUTINES);
	assert_int_equal(younger, GOROUTINES);
}

static void test_program(void **state)
{
	bool is_woven = !strcmp(planter_arg, "woven");
	struct program p = {.ops = planter_named(is_woven ? "uprobe" : planter_arg)};
	struct losses lost = {0};
	struct event_source *source;
	char path[4096];

	assert_non_null(p.ops);
	snprintf(path, sizeof(path), "%s/bin/%s", cache_dir(), binary_arg);
	start(is_woven ? binary_arg : path, &p);
	prepare(&p, is_woven ? binary_arg : path);
	source = is_woven ? listen_to(&p) : plant(&p);
	run_cases(&p);
	drain(&p, source);
	if (p.ops->caps.follows_contexts)
		check_chains(&p);
	check_lineage(&p);
	source->ops->losses(source, &lost);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		assert_int_equal(lost.count[i], 0);
	printf("%zu chains, %d goroutines%s\n", p.ncases, 2 * GOROUTINES,
	       p.ops->caps.follows_contexts ? "" : " (this planter does not follow contexts)");
	if (p.planter)
		planter_close(p.planter);
	woven_close(p.woven);
	woven_set_done(&p.own);
	stop(&p);
}

/* ---- the table ---- */

static void expect(struct binary *b, const struct context_table *t, const char *type, const struct context_type *want)
{
	const struct type *have = binary_type(b, type[0] == '*' ? type + 1 : type);
	const struct context_type *c;

	if (have && type[0] == '*')
		have = binary_type_pointer_to(b, have);
	c = have && have->rtype ? context_type_find(t, have->rtype) : NULL;
	if (!c)
		fail_msg("%s is not in the table", type);
	if (c->parent != want->parent || c->offset != want->offset || c->via != want->via ||
	    c->is_link != want->is_link || c->is_pooled != want->is_pooled)
		fail_msg("%s: parent %d at %u via %u, link %d, pooled %d", type, c->parent, c->offset, c->via,
			 c->is_link, c->is_pooled);
}

#define EXPECT(type, ...) expect(b, t, type, &(struct context_type){__VA_ARGS__})

static void check_table(const char *path)
{
	const struct context_table *t = NULL;
	struct binary *b = NULL;
	struct err err = {0};

	if (binary_open(path, &b, &err) || binary_contexts(b, &t, &err))
		fail_msg("%s: %s", path, err.text);
	EXPECT("context.backgroundCtx", .parent = CONTEXT_ROOT);
	EXPECT("context.todoCtx", .parent = CONTEXT_ROOT);
	EXPECT("*context.valueCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("*context.cancelCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("*context.timerCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("*context.afterFuncCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("context.stopCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("context.withoutCancelCtx", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("*main.embeds", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("main.embeds", .parent = CONTEXT_FIELD, .is_link = true);
	EXPECT("*main.behind", .parent = CONTEXT_FIELD, .offset = 40, .is_link = true);
	EXPECT("main.shaped", .parent = CONTEXT_FIELD, .offset = 8, .is_link = true);
	EXPECT("*main.shaped", .parent = CONTEXT_VIA, .offset = 8, .is_link = true);
	EXPECT("*main.named", .parent = CONTEXT_FIELD, .offset = 8, .is_link = true);
	EXPECT("*main.holdsWider", .parent = CONTEXT_FIELD, .offset = 8, .is_link = true);
	EXPECT("*main.several", .parent = CONTEXT_UNKNOWN, .is_link = true, .is_pooled = true);
	EXPECT("*main.rooted", .parent = CONTEXT_UNKNOWN, .is_link = true, .is_pooled = true);
	EXPECT("*main.plain", .parent = CONTEXT_ROOT, .is_link = true, .is_pooled = true);
	assert_null(context_type_find(t, 0));
	assert_null(context_type_find(t, UINT64_MAX));
	for (size_t i = 1; i < t->types.len; i++)
		assert_true(t->types.data[i - 1].rtype < t->types.data[i].rtype);
	binary_free(b);
}

static void test_table(void **state)
{
	if (!go_binaries_each("bin/contexts-go1.*-*", check_table))
		skip();
}

/* The request's context lies where its own type says: at another place in each version. */
static void check_request(const char *path)
{
	const struct context_table *t = NULL;
	const struct type *request, *handles;
	const struct context_type *c;
	struct field_path ctx;
	struct binary *b = NULL;

	assert_int_equal(binary_open(path, &b, NULL) | binary_contexts(b, &t, NULL), 0);
	request = binary_type(b, "net/http.Request");
	assert_true(request && type_field_find(b, request, "ctx", &ctx));
	handles = binary_type_pointer_to(b, binary_type(b, "main.handles"));
	c = context_type_find(t, handles->rtype);
	assert_true(c && c->parent == CONTEXT_VIA && c->via == 32 && c->is_link && c->is_pooled);
	assert_int_equal(c->offset, ctx.steps[0].offset);
	c = context_type_find(t, binary_type(b, "main.wrapsHandles")->rtype);
	assert_true(c && c->parent == CONTEXT_VIA && c->via == 32 && c->offset == ctx.steps[0].offset && c->is_pooled);
	binary_free(b);
}

static void test_request(void **state)
{
	if (!go_binaries_each("bin/contexts-go1.*-*", check_request))
		skip();
}

/* What is no context refuses the point; a planter that follows none does without. */
static void check_refused(const char *path)
{
	static const struct {
		const char *func, *parent, *why;
	} cases[] = {{"joinPointer(n int, c *embeds)", "n", "n is an int; a context.Context is expected here"},
		     {"joinPointer(n int, c *embeds)", "c.n", "c.n is an int; a context.Context is expected here"},
		     {"joinPointer(n int, c *embeds)", "7", "7 is a constant"},
		     {"join(n int, c error)", "c", "c is an error; a context.Context is expected here"},
		     {"joinPointer(n int, c *net/http.Request)", "c",
		      "c is a *net/http.Request; a context.Context is expected here"},
		     {"joinPointer(n int, c *net/http.Request)", "c.ctx", NULL},
		     {"joinPointer(n int, c *embeds)", "c", NULL}};
	static const struct planter_caps caps = {.follows_contexts = true};
	struct join_options options = {0};
	struct binary *b = NULL;
	char text[1024];

	assert_int_equal(binary_open(path, &b, NULL), 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const char *why = cases[i / 2].why;
		struct join *all = NULL;
		struct pack *p = NULL;
		size_t n = 0;

		snprintf(text, sizeof(text), "pack: p\nabout: p\npackages: [main]\nspans:\n- name: s\n  kind: client\n"
			 "  titles: [s]\n  points:\n  - {name: e, role: end, variants: [{func: main.done()}]}\n"
			 "  - name: b\n    role: start\n    variants:\n    - func: main.%s\n      parent: %s\n",
			 cases[i / 2].func, cases[i / 2].parent);
		assert_int_equal(pack_parse("p.yaml", text, strlen(text), &p, NULL), 0);
		options.caps = i % 2 ? &caps : NULL;
		assert_int_equal(join_packs(b, &p, 1, &options, &all, &n, NULL), 0);
		assert_int_equal(n, 2);
		if (i % 2 && !why)
			assert_true(all[1].variant && all[1].capture.slot_of_item[0] == 0);
		else if (i % 2)
			assert_true(!all[1].variant && strstr(all[1].why, why));
		else
			assert_true(all[1].variant && all[1].capture.slot_of_item[0] == -1);
		pack_free(p);
	}
	binary_free(b);
}

static void test_refused(void **state)
{
	if (!go_binaries_each("bin/contexts-go1.*-sw", check_refused))
		skip();
}

/* With a program and a planter (tests/e2e/contexts.py): what probes in it report. */
int main(int argc, char **argv)
{
	const struct CMUnitTest in_program[] = {cmocka_unit_test(test_program)};
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_request),
					  cmocka_unit_test(test_refused)};

	if (argc == 2 && !strcmp(argv[1], "pack"))
		return fputs(pack_text, stdout) < 0;
	if (argc != 3)
		return cmocka_run_group_tests(tests, NULL, NULL);
	binary_arg = argv[1];
	planter_arg = argv[2];
	return cmocka_run_group_tests(in_program, NULL, NULL);
}
