/*
 * What the packs' points do with marks, in real programs (tests/go/fanout, tests/go/dbs): without marks programs are as
 * they are without this file's subject; with them each has its regions, and captures what it did before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/go_binaries.h"
#include "probe/pack/join.h"

#define MAX_PACKS 64

static struct pack *packs[MAX_PACKS];
static size_t npacks;
static const struct planter_caps caps = {.follows_contexts = true, .keeps_marks = true},
				 none = {.follows_contexts = true};

struct joined {
	struct join *all;
	size_t n;
};

static struct joined joined(struct binary *b, const struct planter_caps *c, const struct join_marks *marks)
{
	const struct join_options o = {.caps = c, .marks = marks};
	struct joined j;

	assert_int_equal(join_packs(b, packs, npacks, &o, &j.all, &j.n, NULL), 0);
	return j;
}

static struct buf printed(const struct join *j)
{
	struct buf b = {0};

	buf_char(&b, '\n');
	if (j->variant)
		capture_print(&j->capture.program, &b);
	return b;
}

static void assert_same(const struct joined *a, const struct joined *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		_cleanup_(buf_done) struct buf x = printed(&a->all[i]), y = printed(&b->all[i]);

		assert_string_equal(x.data, y.data);
		assert_ptr_equal(a->all[i].variant, b->all[i].variant);
	}
}

/* Without its regions of marks and the slot that they add: that is the last one. */
static char *without_marks(const char *text)
{
	static char out[1 << 20];
	size_t n = 0;
	bool skip = false;
	char name[16];

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		size_t len = (size_t)(strchr(line, '\n') + 1 - line);

		skip |= !strncmp(line, "mark {", 6);
		skip |= sscanf(line, "slot %*u %15s", name) == 1 && !strcmp(name, "ids");
		if (!skip) {
			memcpy(out + n, line, len);
			n += len;
		}
		skip &= *line != '}';
	}
	out[n] = 0;
	return out;
}

static const char *op_of(const struct join *j)
{
	static const char *const ops[] = {
		[POINT_START] = "mark_begin", [POINT_END] = "mark_end", [POINT_NOTE] = "mark_goroutine of group",
		[POINT_UNWIND] = "mark_unwind", [POINT_EXIT] = "mark_unwind 1", [POINT_PANIC] = NULL,
		[POINT_JOIN] = "mark_find", [POINT_TIE] = "key group", [POINT_DETACH] = "mark_leave",
		[POINT_SDK] = NULL,
	};

	return ops[j->point->role];
}

/* Labels and registers are numbered anew. */
static void check_point(const struct join *plain, const struct join *marked)
{
	_cleanup_(buf_done) struct buf a = printed(plain), b = printed(marked);
	const char *op = op_of(marked);

	if (!marked->variant)
		return;
	assert_int_equal(capture_verify(&marked->capture.program, NULL), 0);
	assert_int_equal(capture_has_marks(&marked->capture.program), op != NULL);
	if (op && !strstr(b.data, op))
		fail_msg("%s/%s has no \"%s\" in\n%s", marked->pack->name, marked->point->name, op, b.data);
	if (marked->point->role == POINT_START)
		assert_int_equal(marked->capture.program.slots[marked->capture.program.nslots - 1].kind, VALUE_CONTEXT);
	if (!capture_has(&plain->capture.program, IR_JUMP_IF0))
		assert_string_equal(without_marks(b.data), a.data);
	/* an event that goes no further is let through by the last region, if not by one before */
	if (op && marked->span)
		assert_true(capture_has(&marked->capture.program, IR_MARK_ADMIT));
}

static void check_program(const char *path)
{
	const struct join_marks half = {.ratio = 0.5, .parent_based = true};
	struct joined plain, marked, unable;
	struct binary *b = NULL;

	assert_int_equal(binary_open(path, &b, NULL), 0);
	plain = joined(b, &caps, NULL);
	unable = joined(b, &none, &half);
	assert_same(&plain, &unable);
	for (size_t i = 0; i < plain.n; i++)
		assert_false(plain.all[i].variant && capture_has_marks(&plain.all[i].capture.program));
	marked = joined(b, &caps, &half);
	assert_int_equal(plain.n, marked.n);
	for (size_t i = 0; i < plain.n; i++) {
		assert_int_equal(!plain.all[i].variant, !marked.all[i].variant);
		check_point(&plain.all[i], &marked.all[i]);
	}
	binary_free(b);
}

static void test_points(void **state)
{
	if (!go_binaries_each("bin/fanout-go1.*", check_program) | !go_binaries_each("bin/dbs-go1.*-sw", check_program))
		skip();
}

static const struct join *point_of(const struct joined *j, const char *pack, const char *point)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->all[i].variant && !strcmp(j->all[i].pack->name, pack) && !strcmp(j->all[i].point->name, point))
			return &j->all[i];
	return NULL;
}

static struct ir_insn insn_of(const struct joined *j, const char *pack, const char *point, enum ir_op op)
{
	const struct join *found = point_of(j, pack, point);
	const struct ir_insn *i = found ? capture_find(&found->capture.program, op) : NULL;

	if (!i)
		fail_msg("%s/%s has no instruction %u", pack, point, op);
	return *i;
}

/* Whose decision counts, and which spans are one definition's. */
static void check_options(const char *path)
{
	struct join_marks asked = {.ratio = 0.25};
	struct binary *b = NULL;
	struct joined j;
	struct ir_insn server, client, end;

	assert_int_equal(binary_open(path, &b, NULL), 0);
	j = joined(b, &caps, &asked);
	server = insn_of(&j, "net-http", "serve", IR_MARK_BEGIN);
	client = insn_of(&j, "net-http-client", "send", IR_MARK_BEGIN);
	end = insn_of(&j, "net-http", "hijacked", IR_MARK_GOROUTINE);
	assert_int_equal(server.imm, 3 * (MARK_KEEP_NONE / 4));
	assert_int_equal(server.flags, IR_MARK_BY_RATIO);
	assert_int_equal(client.flags, IR_MARK_BY_RATIO | IR_MARK_CHILD);
	assert_int_not_equal(server.a, IR_NO_REG);
	assert_int_not_equal(server.group, client.group);
	assert_int_equal(server.group, end.group);
	assert_int_equal(end.imm, MARK_OF_GROUP);
	assert_int_equal(insn_of(&j, "net-http-client", "response", IR_MARK_GOROUTINE).imm, MARK_OF_CALL);
	assert_int_equal(insn_of(&j, "net-http-client", "response", IR_MARK_END).flags, IR_MARK_UNLESS_KEYED);
	assert_int_equal(insn_of(&j, "net-http-client", "read", IR_MARK_FIND).flags, IR_MARK_ONLY);
	assert_null(capture_find(&point_of(&j, "net-http", "serve")->capture.program, IR_MARK_CREATOR));
	assert_non_null(capture_find(&point_of(&j, "net-http-client", "send")->capture.program, IR_MARK_CREATOR));
	assert_int_equal(insn_of(&j, "net-http", "serve", IR_EMIT_MARK).imm, EVENT_CONTEXT_LOOSE);
	asked.parent_based = asked.sent = true;
	j = joined(b, &caps, &asked);
	assert_int_equal(insn_of(&j, "net-http", "serve", IR_MARK_BEGIN).flags, 0);
	assert_int_equal(insn_of(&j, "net-http", "serve", IR_EMIT_MARK).imm, 0);
	binary_free(b);
}

static void test_options(void **state)
{
	if (!go_binaries_each("bin/fanout-go1.*", check_options))
		skip();
}

static int load_packs(void **state)
{
	for (const struct pack_source *s = pack_builtin; s->file; s++)
		assert_int_equal(pack_parse(s->file, s->text, s->len, &packs[npacks++], NULL), 0);
	return packs_resolve(packs, npacks, NULL);
}

static int free_packs(void **state)
{
	while (npacks)
		pack_free(packs[--npacks]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_points), cmocka_unit_test(test_options)};

	return cmocka_run_group_tests(tests, load_packs, free_packs);
}
