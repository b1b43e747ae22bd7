/*
 * Values of real Go programs: tests/go/values says where its values are and how each must be shown. They are captured
 * from its memory by the reference interpreter, as a planter would, and read from the record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call/value_slot.h"
#include "call/value_float.h"
#include "target/process.h"
#include "unit/ir_interp.h"

/* ---- a running program ---- */

struct program {
	pid_t pid;
	int in;
	FILE *out;
};

static void program_start(struct program *p, const char *path)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (!p->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(path, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = fdopen(out[0], "r");
}

static void program_stop(struct program *p)
{
	close(p->in);
	fclose(p->out);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
}

static bool program_read(void *arg, uint64_t addr, void *out, size_t n)
{
	const struct program *p = arg;
	struct iovec local = {out, n}, remote = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(p->pid, &local, 1, &remote, 1, 0) == (ssize_t)n;
}

/* ---- capturing ---- */

enum { DAMAGED = 10 }; /* records a value */

struct world {
	struct binary *b;
	struct shape_table *shapes;
	const struct type *any;
	struct program program;
	struct arena arena;
	uint64_t seed;
	struct interp_input in;
	struct interp_result out;
	_Alignas(8) char record[EVENT_MAX_SIZE + EVENT_MAX_DATA];
};

static struct ir_slot image_slot = {.name = "v", .kind = VALUE_IMAGE};

/* The `any` at addr, captured into w->record. */
static void capture(struct world *w, uint64_t addr, struct event *ret)
{
	struct ir_insn insns[] = {
		{.op = IR_REGION},
		{.op = IR_CONST, .imm = (int64_t)addr},
		{.op = IR_IMAGE, .shape = shape_of(w->shapes, w->any), .imm = 16},
		{.op = IR_IMAGE_COPY, .imm = 16},
		{.op = IR_END},
	};
	struct capture_program p = {.insns = insns, .ninsns = ARRAY_SIZE(insns), .slots = &image_slot, .nslots = 1,
				    .nregs = 1, .shapes = w->shapes};
	struct err err = {0};
	size_t n;

	image_slot.type = w->any;
	if (capture_verify(&p, &err))
		fail_msg("%s", err.text);
	w->in.read = program_read;
	w->in.arg = &w->program;
	interp_run(&p, &w->in, &w->out);
	assert_int_equal(w->out.slots[0].status, SLOT_OK);
	n = interp_record(&p, &w->out, w->record);
	assert_true(event_decode(w->record, n, ret));
}

static void show(struct world *w, uint64_t addr, struct buf *text, struct buf *json)
{
	struct value_context c = {.binary = w->b, .shapes = w->shapes, .bias = w->in.bias, .arena = &w->arena};
	struct json j = {.out = json};
	struct value_node v;
	struct event e;

	capture(w, addr, &e);
	value_from_slot(&c, &e, 0, &image_slot, NULL, &v);
	buf_reset(text);
	buf_reset(json);
	value_print(&v, text);
	value_json(&v, &j);
	arena_done(&w->arena);
}

/*
 * The record of a value with some of its bytes changed, as a program that is being written to, or a damaged ring, might
 * give it: whatever decodes must be shown somehow.
 */
static void show_damaged(struct world *w, uint64_t addr, uint64_t seed)
{
	struct value_context c = {.binary = w->b, .shapes = w->shapes, .bias = w->in.bias, .arena = &w->arena};
	size_t size;
	struct buf text = {0};
	struct json j = {.out = &text};
	struct value_node v;
	struct event e;

	capture(w, addr, &e);
	size = e.head->size;
	for (unsigned i = 0; i < 4; i++) {
		seed = seed * 0x5851f42d4c957f2dull + 0x14057b7ef767814full;
		w->record[sizeof(*e.head) + (seed >> 33) % (size - sizeof(*e.head))] = (char)(seed >> 20);
	}
	if (event_decode(w->record, size, &e)) {
		value_from_slot(&c, &e, 0, &image_slot, NULL, &v);
		value_print(&v, &text);
		value_json(&v, &j);
	}
	buf_done(&text);
	arena_done(&w->arena);
}

/* An empty want is not compared. */
static size_t differs(const char *what, const char *have, const char *want)
{
	if (!*want || !strcmp(have, want))
		return 0;
	print_message("%s: have %.400s\n%*s  want %.400s\n", what, have, (int)strlen(what) - 2, "", want);
	return 1;
}

/* One line of the program: address, text, JSON. */
static size_t check_line(struct world *w, char *line)
{
	struct buf text = {0}, json = {0};
	char *save, *addr, *want_text, *want_json;
	size_t bad;

	line[strcspn(line, "\n")] = '\0';
	addr = line;
	want_text = strchr(addr, '\t');
	assert_non_null(want_text);
	*want_text++ = '\0';
	want_json = strchr(want_text, '\t');
	assert_non_null(want_json);
	*want_json++ = '\0';
	show(w, strtoull(addr, &save, 16), &text, &json);
	for (uint64_t i = 0; i < DAMAGED; i++)
		show_damaged(w, strtoull(addr, NULL, 16), w->seed++);
	bad = differs("text", text.data, want_text) + differs("json", json.data, want_json);
	buf_done(&text);
	buf_done(&json);
	return bad;
}

static void world_open(struct world *w, const char *path, unsigned max_items)
{
	struct shape_limits limits = {.depth = 5, .max_string = 256, .max_items = max_items};
	struct err err = {0};

	if (binary_open(path, &w->b, &err) || shape_table_new(w->b, &limits, &w->shapes, &err))
		fail_msg("%s", err.text);
	w->any = binary_type_parse(w->b, "", "any", &err);
	assert_non_null(w->any);
	assert_true(shape_of(w->shapes, w->any) > 0);
	shape_table_finish(w->shapes);
	program_start(&w->program, path);
}

/* Once the program has written something, it is what it was started as. */
static void read_bias(struct world *w)
{
	struct process p;
	struct err err = {0};

	if (process_read("/proc", w->program.pid, &p, &err) ||
	    process_bias("/proc", &p, binary_image(w->b), &w->in.bias, &err))
		fail_msg("%s", err.text);
	process_done(&p);
}

static void world_close(struct world *w)
{
	program_stop(&w->program);
	shape_table_free(w->shapes);
	binary_free(w->b);
}

static size_t check_program(const char *path)
{
	struct world *w = xcalloc(1, sizeof(*w));
	char *line = NULL;
	size_t cap = 0, n = 0, bad = 0;

	world_open(w, path, 64);
	assert_true(getline(&line, &cap, w->program.out) > 0);
	read_bias(w);
	for (size_t all = strtoul(line, NULL, 10); n < all; n++) {
		assert_true(getline(&line, &cap, w->program.out) > 0);
		bad += check_line(w, line);
	}
	free(line);
	world_close(w);
	free(w);
	print_message("%s: %zu values\n", strrchr(path, '/') + 1, n);
	assert_true(n > 1000);
	return bad;
}

static void test_programs(void **state)
{
	const char *cache = getenv("EARSHOT_CACHE");
	char *pattern = xasprintf("%s/bin/values-go1.*-sw", cache ? cache : "/var/cache/earshot");
	size_t bad = 0;
	glob_t g;

	if (glob(pattern, 0, NULL, &g))
		print_message("skipped: no %s (tests/lib/build.sh makes them)\n", pattern);
	else
		for (size_t i = 0; i < g.gl_pathc; i++)
			bad += check_program(g.gl_pathv[i]);
	globfree(&g);
	free(pattern);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
