/*
 * The planter that patches, on real programs that count their own calls (tests/go/seq): between attaching and
 * detaching every number comes exactly once, in order, whatever else the program does; and it lives on.
 * EARSHOT_PATCH_CYCLES and EARSHOT_PATCH_MS make it longer. Needs no root: the program is our child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "binary/arch_x86_64.h"
#include "base/clock.h"
#include "base/file.h"
#include "binary/image.h"
#include "lib/go_binaries.h"
#include "plant/patch/planter.h"
#include "target/process.h"

enum { SMALL, LARGE, TEXT, CHOOSE, LEAF, FAIL, SMALL_BACK, LARGE_BACK, TEXT_BACK, CHOOSE_BACK, LEAF_BACK, NPROBES };
#define CYCLES_EACH 10 /* of one planter, which analyses the program once */
static unsigned refused; /* cycles of a program */

static const struct {
	const char *func;
	enum site_kind kind;
} wanted[NPROBES] = {
	[SMALL] = {"main.small", SITE_ENTRY},       [LARGE] = {"main.large", SITE_ENTRY},
	[TEXT] = {"main.text", SITE_ENTRY},         [CHOOSE] = {"main.choose", SITE_ENTRY},
	[LEAF] = {"main.leaf", SITE_ENTRY},         [FAIL] = {"main.fail", SITE_ENTRY},
	[SMALL_BACK] = {"main.small", SITE_RETURN}, [LARGE_BACK] = {"main.large", SITE_RETURN},
	[TEXT_BACK] = {"main.text", SITE_RETURN},   [CHOOSE_BACK] = {"main.choose", SITE_RETURN},
	[LEAF_BACK] = {"main.leaf", SITE_RETURN},
};
static const char *const words[] = {"", "a", "some words", "a text that is longer than thirty-two bytes, to be cut"};

struct program {
	pid_t pid;
	int out;
	struct binary *b;
	struct process process;
	struct plant_probe probes[NPROBES];
	struct capture_program programs[NPROBES];
	struct ir_insn insns[NPROBES][16];
	struct ir_slot slots[NPROBES][3];
	struct plant_target target;
};

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

/* ---- the program ---- */

static void wait_line(int fd, const char *word)
{
	char buf[4096];
	size_t n = 0;

	for (;;) {
		ssize_t got = read(fd, buf + n, sizeof(buf) - 1 - n);

		assert_true(got > 0);
		n += (size_t)got;
		buf[n] = 0;
		if (strstr(buf, word))
			return;
		if (n > sizeof(buf) / 2)
			n = 0;
	}
}

static void start(const char *path, struct program *p)
{
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	p->pid = fork();
	if (!p->pid) {
		dup2(out[1], 1);
		execl(path, path, "-workers", "3", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	p->out = out[0];
	wait_line(p->out, "ready");
	fcntl(p->out, F_SETFL, O_NONBLOCK);
}

static bool alive(const struct program *p)
{
	char buf[65536];

	while (read(p->out, buf, sizeof(buf)) > 0)
		;
	return waitpid(p->pid, NULL, WNOHANG) == 0;
}

/* How it ended, if it did. */
static const char *fate(const struct program *p)
{
	static char text[64];
	int status;

	text[0] = 0;
	if (waitpid(p->pid, &status, WNOHANG) > 0)
		snprintf(text, sizeof(text), WIFSIGNALED(status) ? " (killed by signal %d)" : " (exited: %d)",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return text;
}

static void stop(struct program *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->out);
	process_done(&p->process);
	binary_free(p->b);
}

/* ---- the probes ---- */

static void emit_register(struct capture_program *c, uint16_t slot, uint8_t reg)
{
	struct ir_insn *i = c->insns + c->ninsns;

	i[0] = (struct ir_insn){.op = IR_REGION, .slot = slot};
	i[1] = (struct ir_insn){.op = IR_ARG_REG, .reg = reg, .size = 8, .dst = 0};
	i[2] = (struct ir_insn){.op = IR_EMIT, .slot = slot, .a = 0};
	i[3] = (struct ir_insn){.op = IR_END};
	c->ninsns += 4;
}

static void emit_text(struct capture_program *c, uint16_t slot)
{
	struct ir_insn *i = c->insns + c->ninsns;

	i[0] = (struct ir_insn){.op = IR_REGION, .slot = slot};
	i[1] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RCX, .size = 8, .dst = 0};
	i[2] = (struct ir_insn){.op = IR_ARG_REG, .reg = GPR_RDI, .size = 8, .dst = 1};
	i[3] = (struct ir_insn){.op = IR_EMIT_STR, .slot = slot, .a = 0, .b = 1, .imm = 32};
	i[4] = (struct ir_insn){.op = IR_END};
	c->slots[slot].kind = VALUE_STRING;
	c->ninsns += 5;
}

static void make_program(struct program *p, int k)
{
	struct capture_program *c = &p->programs[k];
	struct err err = {0};

	*c = (struct capture_program){.insns = p->insns[k], .slots = p->slots[k], .nregs = 2};
	if (binary_goroutine_layout(p->b, &c->g, &err))
		fail_msg("%s", err.text);
	if (wanted[k].kind == SITE_RETURN) {
		c->nslots = 1;
		emit_register(c, 0, GPR_RAX);
		return;
	}
	c->nslots = 2 + (k == TEXT);
	emit_register(c, 0, GPR_RAX);
	emit_register(c, 1, GPR_RBX);
	if (k == TEXT)
		emit_text(c, 2);
}

static void make_probe(struct program *p, int k)
{
	struct plant_probe *probe = &p->probes[k];
	struct err err = {0};
	struct join_point at;
	struct func f;
	int r;

	*probe = (struct plant_probe){.id = (uint32_t)k + 1, .label = wanted[k].func, .program = &p->programs[k]};
	make_program(p, k);
	assert_true(binary_func_find(p->b, wanted[k].func, &f, 1) > 0);
	r = (wanted[k].kind == SITE_RETURN ? join_point_returns : join_point_entry)(p->b, &f, &at, &err);
	if (r)
		fail_msg("%s", err.text);
	plant_probe_locate(probe, &planter_patch, p->b, &at);
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
	for (int k = 0; k < NPROBES; k++)
		make_probe(p, k);
}

/* ---- what comes ---- */

struct line {              /* of numbers that follow each other */
	uint64_t key, next;
	bool seen;
};
struct counts {
	struct line lines[NPROBES][64];
	uint64_t n[NPROBES];
	uint64_t missing[NPROBES]; /* numbers that were passed over */
	uint64_t lost[NPROBES];    /* before */
	uint64_t bad;
	char first_bad[200];
};

static void complain(struct counts *c, int k, const char *what, uint64_t got, uint64_t want)
{
	if (!c->bad++)
		snprintf(c->first_bad, sizeof(c->first_bad), "%s of %s: %" PRIu64 " instead of %" PRIu64, what,
			 wanted[k].func, got, want);
}

static struct line *line_of(struct counts *c, int k, uint64_t key)
{
	for (size_t i = 0; i < 64; i++) {
		struct line *l = &c->lines[k][i];

		if (!l->seen || l->key == key) {
			l->key = key;
			return l;
		}
	}
	return NULL;
}

static void follow(struct counts *c, int k, uint64_t key, uint64_t n)
{
	struct line *l = line_of(c, k, key);

	if (!l)
		return;
	if (l->seen && l->next > n)
		complain(c, k, wanted[k].kind == SITE_RETURN ? "return" : "entry", n, l->next);
	else if (l->seen)
		c->missing[k] += n - l->next;
	l->seen = true;
	l->next = n + 1;
}

static void on_event(void *arg, const void *sample, size_t size)
{
	struct counts *c = arg;
	struct event e;
	size_t len;
	int k;

	if (!event_decode(sample, size, &e) || !e.head->probe || e.head->probe > NPROBES) {
		c->bad++;
		return;
	}
	k = (int)e.head->probe - 1;
	c->n[k]++;
	if (e.head->target != 7)
		complain(c, k, "target", e.head->target, 7);
	if (wanted[k].kind == SITE_ENTRY)
		follow(c, k, e.slots[0].value, e.slots[1].value);
	else if (k != SMALL_BACK) /* which other goroutines call, too */
		follow(c, k, e.head->goid, e.slots[0].value);
	if (k == TEXT) {
		const char *want = words[e.slots[1].value % 4], *got = event_bytes(&e, 2, &len);

		if (e.slots[2].len != strlen(want) || len != MIN(strlen(want), 32u) || (len && memcmp(got, want, len)))
			complain(c, k, "text", e.slots[2].len, strlen(want));
	}
}

static void observe(struct planter *pl, struct counts *c, uint64_t ns)
{
	uint64_t until = clock_monotonic_ns() + ns;

	while (clock_monotonic_ns() < until) {
		pl->source->ops->drain(pl->source, on_event, c);
		usleep(1000);
	}
}

static uint64_t lost_altogether(struct planter *pl, int k)
{
	struct losses l = {0};

	pl->source->ops->probe_losses(pl->source, (uint32_t)k + 1, &l);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		if (l.count[i] && i != LOSS_RING_FULL)
			fail_msg("%s: %" PRIu64 " %s", wanted[k].func, l.count[i], loss_name((enum loss)i));
	return l.count[LOSS_RING_FULL];
}

static uint64_t lost_of(struct planter *pl, const struct counts *c, int k)
{
	return lost_altogether(pl, k) - c->lost[k];
}

/* A machine that is busy elsewhere can let a ring fill up; each number that is missing was counted then. */
static void compare(struct planter *pl, const struct counts *c)
{
	if (c->bad)
		fail_msg("%" PRIu64 " numbers are wrong, the first: %s", c->bad, c->first_bad);
	for (int k = 0; k < NPROBES; k++)
		if (c->missing[k] > lost_of(pl, c, k))
			fail_msg("%s: %" PRIu64 " numbers are missing, %" PRIu64 " were counted as lost",
				 wanted[k].func, c->missing[k], lost_of(pl, c, k));
	for (int k = SMALL; k <= LEAF; k++) { /* in flight at the beginning and at the end */
		uint64_t in = c->n[k] + lost_of(pl, c, k), out = c->n[SMALL_BACK + k] + lost_of(pl, c, SMALL_BACK + k);

		if (in > out + 8 || out > in + 8)
			fail_msg("%s: %" PRIu64 " entries, %" PRIu64 " returns", wanted[k].func, in, out);
	}
}

static struct planter *open_planter(void)
{
	const struct planter_options o = {.procfs = "/proc", .ring_bytes = 8u << 20};
	struct planter *pl;
	struct err err = {0};

	if (planter_patch.open(&o, &pl, &err))
		fail_msg("%s", err.text);
	return pl;
}

static void cycle(struct program *p, struct planter *pl, uint64_t ns, uint64_t ret_n[NPROBES])
{
	struct counts *c = calloc(1, sizeof(*c));
	struct plant *plants[NPROBES];
	struct err errs[NPROBES] = {0};

	for (int k = 0; k < NPROBES; k++)
		c->lost[k] = lost_altogether(pl, k);
	pl->ops->plant(pl, &p->target, p->probes, NPROBES, plants, errs);
	if (errs[0].code == -ETIMEDOUT) { /* a program that it starts takes its time, on a busy machine */
		free(c);
		refused++;
		return;
	}
	for (int k = 0; k < NPROBES; k++)
		if (!plants[k])
			fail_msg("%s%s", errs[k].text, fate(p));
	observe(pl, c, ns);
	pl->ops->remove(pl, plants, NPROBES);
	while (pl->source->ops->drain(pl->source, on_event, c) > 0)
		;
	for (int k = 0; k < NPROBES; k++)
		ret_n[k] += c->n[k];
	compare(pl, c);
	pl->source->ops->forget_target(pl->source, 7);
	free(c);
}

/* Nothing of ours may be left. */
static void check_clean(const struct program *p)
{
	struct buf b = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	assert_int_equal(file_read(path, &b, 0), 0);
	assert_null(strstr(b.data, "memfd:earshot"));
	buf_done(&b);
}

static void each_program(const char *path)
{
	unsigned long cycles = setting("EARSHOT_PATCH_CYCLES", 4), ms = setting("EARSHOT_PATCH_MS", 100);
	struct program *p = calloc(1, sizeof(*p));
	struct planter *pl = NULL;
	uint64_t n[NPROBES] = {0}, all = 0;

	refused = 0;
	start(path, p);
	prepare(p, path);
	for (unsigned long i = 0; i < cycles; i++) {
		if (i % CYCLES_EACH == 0) {
			planter_close(pl);
			pl = open_planter();
		}
		cycle(p, pl, ms * 1000000, n);
		assert_true(alive(p));
		check_clean(p);
	}
	planter_close(pl);
	usleep(50000);
	assert_true(alive(p));
	for (int k = 0; k < NPROBES; k++) {
		if (!n[k])
			fail_msg("no event of %s (%d)", wanted[k].func, k);
		all += n[k];
	}
	printf("%s: %lu cycles, %" PRIu64 " events, %u refused\n", path, cycles - refused, all, refused);
	assert_true(refused <= 1 + cycles / 20);
	stop(p);
	free(p);
}

static void test_sequence(void **state)
{
	const char *only = getenv("EARSHOT_PATCH_BINARIES");

	if (!go_binaries_each(only && *only ? only : "bin/seq-go1.*-*", each_program))
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sequence)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
