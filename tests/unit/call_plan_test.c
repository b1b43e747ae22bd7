/*
 * Questions against real programs (tests/go/calls, every Go version): what is planted, what is said where it cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "lib/go_binaries.h"
#include "probe/plan/call_plan.h"
#include "unit/ir_interp.h"

/* ---- asking ---- */

struct asked {
	struct binary *b;
	struct pack *packs[8];
	struct call_plan_options options;
	struct question questions[4];
	struct call_plans plans;
	struct err err;
};

static struct asked *open_asked(const char *path)
{
	struct asked *a = xcalloc(1, sizeof(*a));

	assert_int_equal(binary_open(path, &a->b, NULL), 0);
	for (const struct pack_source *s = pack_builtin; s->file; s++)
		if (!strcmp(s->file, "go-runtime.yaml") || strstr(s->file, "/go-runtime.yaml"))
			assert_int_equal(pack_parse(s->file, s->text, s->len, &a->packs[a->options.npacks++], NULL), 0);
	a->options.packs = a->packs;
	a->options.limits = (struct shape_limits)SHAPE_LIMITS_DEFAULT;
	return a;
}

static void asked_free(struct asked *a)
{
	shape_table_free(a->plans.shapes);
	for (size_t i = 0; i < a->options.npacks; i++)
		pack_free(a->packs[i]);
	binary_free(a->b);
	free(a);
}

static int ask(struct asked *a, const char *text)
{
	int r;

	a->err = (struct err){0};
	shape_table_free(a->plans.shapes);
	a->plans = (struct call_plans){0};
	r = question_parse(text, binary_arena(a->b), &a->questions[0], &a->err);
	return r ? r : call_plans_make(a->b, a->questions, 1, &a->options, &a->plans, &a->err);
}

static const struct call_plan *plan(struct asked *a, const char *text)
{
	if (ask(a, text))
		fail_msg("%s: %s", text, a->err.text);
	assert_true(a->plans.len >= 1);
	for (size_t i = 0; i < a->plans.len; i++) {
		const struct call_plan *p = &a->plans.data[i];

		if (!p->why && (capture_verify(&p->entry, &a->err) ||
				(p->has_return && capture_verify(&p->ret, &a->err))))
			fail_msg("%s: %s", text, a->err.text);
	}
	return &a->plans.data[0];
}

static void refused(struct asked *a, const char *text, int code, const char *sentence, const char *caret_at)
{
	int r = ask(a, text);
	const char *line, *caret;

	assert_int_equal(r, code);
	if (!strstr(a->err.text, sentence))
		fail_msg("%s gives %s, without %s", text, a->err.text, sentence);
	if (!caret_at)
		return;
	line = strchr(a->err.text, '\n');
	assert_non_null(line);
	caret = strrchr(a->err.text, '\n');
	if (strncmp(line + 1 + strcspn(caret + 1, "^"), caret_at, strlen(caret_at)))
		fail_msg("%s: the caret is not under %s:\n%s", text, caret_at, a->err.text);
}

static const struct shown *shown(const struct call_plan *p, const char *name)
{
	for (size_t i = 0; i < p->nshown; i++)
		if (!strcmp(p->shown[i].name, name))
			return &p->shown[i];
	fail_msg("%s is not shown", name);
	return NULL;
}

static const char *ir(struct asked *a, const struct capture_program *p)
{
	struct buf b = {0};
	const char *text;

	capture_print(p, &b);
	text = arena_strdup(binary_arena(a->b), b.data);
	buf_done(&b);
	return text;
}

static void each(const char *pattern, void (*fn)(struct asked *a))
{
	glob_t files;
	size_t n = go_binaries(pattern, &files);

	for (size_t i = 0; i < n; i++) {
		struct asked *a = open_asked(files.gl_pathv[i]);

		fn(a);
		asked_free(a);
	}
	globfree(&files);
}
#define PLAIN "bin/calls-go1.*-plain"
#define STRIPPED "bin/calls-go1.*-sw"

/* ---- what is shown and planted ---- */

static void default_shows_all(struct asked *a)
{
	static const char *const args[] = {"n", "user", "vip", "p", "items", "attrs", "any"};
	const struct call_plan *p = plan(a, "main.Login");

	assert_int_equal(a->plans.len, 1);
	assert_true(p->has_return && p->prints && !p->inlined);
	assert_int_equal(p->nshown, 9);
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		assert_string_equal(p->shown[i].name, args[i]);
		assert_int_equal(p->shown[i].kind, SHOWN_ARG);
		assert_true(p->shown[i].at_entry && p->shown[i].slot >= 0);
	}
	assert_string_equal(p->shown[7].name, "id");
	assert_string_equal(p->shown[8].name, "err");
	assert_true(!p->shown[8].at_entry && p->shown[8].kind == SHOWN_RESULT && p->shown[8].slot >= 0);
	assert_int_equal(p->entry.role, PROGRAM_ENTRY);
	assert_int_equal(p->ret.role, PROGRAM_RETURN);
	assert_true(p->entry.call_group && p->entry.call_group == p->ret.call_group);
	assert_true(p->entry.controlled && !p->ret.controlled && !p->entry.no_record);
	assert_int_equal(join_point_probes(&p->at_entry), 1);
	assert_true(p->at_return.nspots >= 1 && p->stack_slot == -1 && a->plans.shapes);
	assert_int_equal(a->plans.nhooks, 2);
	assert_int_equal(a->plans.hooks[0].program.role, PROGRAM_UNWIND);
	assert_int_equal(a->plans.hooks[1].program.role, PROGRAM_EXIT);
	assert_null(a->plans.hooks_why);
}

/* Without retpc it was already taken off the goroutine's list: the stack pointer is in sigcode0 then. */
static void unwinding(struct asked *a)
{
	const struct type *panic = binary_type(a->b, "runtime._panic");
	struct field_path f;
	const char *text;

	assert_non_null(panic);
	plan(a, "main.Recovers");
	text = ir(a, &a->plans.hooks[0].program);
	assert_int_equal(strstr(text, "= [r2") != NULL, type_field_find(a->b, panic, "retpc", &f));
}

static void entry_only(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.Login if vip { print(user, len(items), pid, func); stack }");

	assert_true(!p->has_return && p->at_return.nspots == 0 && p->prints);
	assert_int_equal(p->entry.role, PROGRAM_POINT);
	assert_int_equal(a->plans.nhooks, 0);
	assert_int_equal(p->nshown, 4);
	assert_int_equal(shown(p, "user")->kind, SHOWN_EXPR);
	assert_string_equal(shown(p, "len(items)")->type->name, "int");
	assert_true(shown(p, "pid")->slot == -1 && !shown(p, "pid")->why && !shown(p, "func")->why);
	assert_int_equal(p->entry.slots[p->stack_slot].kind, VALUE_STACK);
	a->options.wants_return = a->options.wants_stack = true;
	p = plan(a, "main.Login { count() }");
	assert_true(p->has_return && p->prints && p->stack_slot >= 0 && p->nshown == 0);
	a->options.wants_return = a->options.wants_stack = false;
	assert_true(plan(a, "main.Login { print(panicked) }")->has_return);
	p = plan(a, "main.Login if vip && (panicked || err != nil) { print(user) }");
	assert_non_null(strstr(ir(a, &p->entry), "filter"));
	assert_null(strstr(ir(a, &p->entry), "save "));
}

static void what_cannot_be_read(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.Floats");

	assert_non_null(strstr(shown(p, "a")->why, "floating-point register"));
	assert_true(shown(p, "n")->slot >= 0 && shown(p, "r")->why);
	a->options.caps = &(struct planter_caps){.reads_float_regs = true};
	p = plan(a, "main.Floats if b > 1.5 { print(a, r) }");
	assert_true(shown(p, "a")->slot >= 0 && shown(p, "r")->slot >= 0);
	a->options.caps = NULL;
	p = plan(a, "main.Floats { print(a) }");
	assert_non_null(shown(p, "a")->why);
	refused(a, "main.Floats if b > 1.5", -ENODATA, "floating-point register", "b > 1.5");
	refused(a, "main.Floats { sum(b) }", -EINVAL, "floating-point register", "b)");
}

/* ---- conditions ---- */

static void split(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.Login if user == \"x\" && err != nil && vip { print(n) }");
	const char *text = ir(a, &p->entry);

	assert_non_null(strstr(text, "str_eq"));
	assert_null(strstr(text, "save "));
	assert_null(strstr(ir(a, &p->ret), "saved"));
	p = plan(a, "main.Login if vip && err != nil || vip && latency > 10ms || id > n { print(n) }");
	text = ir(a, &p->entry);
	assert_non_null(strstr(text, "as 0"));
	assert_non_null(strstr(text, "as 1"));
	assert_null(strstr(text, "as 2")); /* vip is kept once */
	assert_null(strstr(text, "filter"));
	text = ir(a, &p->ret);
	assert_non_null(strstr(text, "latency"));
	assert_non_null(strstr(text, "saved 0"));
	p = plan(a, "main.Login if user == \"x\" || err != nil { count() }");
	assert_non_null(strstr(ir(a, &p->entry), "save "));
	plan(a, "main.Login if user == \"a\" && id == len(user) && err == nil || p.Name == user");
	p = plan(a, "main.Login if contains(err, \"x\") && vip { count() }");
	assert_non_null(p->late);
	assert_int_equal(p->late->op, LATE_CONTAINS);
	assert_false(p->late_at_entry);
	assert_true(p->counted && p->counted->naggregates == 1 && p->counted->no_record);
	assert_int_equal(p->ret.naggregates, 0);
	assert_false(p->ret.no_record);
	assert_non_null(strstr(ir(a, &p->ret), "filter")); /* a call without an error is no record */
	p = plan(a, "main.Login if vip && (n > 3 || err == \"x\" || panicked) { print(n) }");
	assert_int_equal(p->late->op, LATE_OR);
	assert_int_equal(p->late->a->op, LATE_OR);
	assert_int_equal(p->late->a->a->op, LATE_BOOL);
	assert_true(p->late->a->a->value.at_entry);
	assert_int_equal(p->late->a->b->op, LATE_EQUAL);
	assert_int_equal(p->late->b->op, LATE_PANICKED);
	assert_null(p->counted);
	p = plan(a, "main.Errors if given != \"x\" { print(n) }");
	assert_int_equal(p->late->op, LATE_NOT);
	assert_true(p->late_at_entry);
	assert_false(p->has_return);
	assert_null(plan(a, "main.Login if user == \"x\" && err != nil { print(n) }")->late);
	refused(a, "main.Login if (err == \"x\") == vip", -EINVAL, "part of &&, || and ! only", "==");
	p = plan(a, "main.Login if goid == 7 || err != nil || func == \"main.Login\" { count() }");
	assert_null(strstr(ir(a, &p->entry), "save "));
}

static void wrong(struct asked *a)
{
	refused(a, "main.Lgin", -ENOENT, "did you mean main.Login or main.login?", NULL);
	refused(a, "mian.Login", -ENOENT, "did you mean main.Login?", NULL);
	refused(a, "main.(*Person).Renam", -ENOENT, "did you mean main.(*Person).Rename?", NULL);
	refused(a, "qqqqqqqq.Zzzzzzzzzz", -ENOENT, "none with a similar name", NULL);
	refused(a, "nothere.*", -ENOENT, "matches nothere.*", NULL);
	refused(a, "Get", -EINVAL, "ambiguous: main.(*Inner).Get", NULL);
	refused(a, "main.Login if p.Nme == \"x\"", -EINVAL, "did you mean Name?", "Nme");
	refused(a, "main.Login if usr == \"x\"", -EINVAL, "did you mean user?", "usr");
	refused(a, "main.Login if user == \"x\" && er != nil", -EINVAL, "did you mean err?", "er ");
	refused(a, "main.Login if n == \"x\"", -EINVAL, "n is an int, it cannot be compared with a text", "== \"x\"");
	refused(a, "main.Login if vip && n", -EINVAL, "a condition is expected here", "n");
	refused(a, "main.Login { print(user, p.Nme) }", -EINVAL, "did you mean Name?", "Nme");
	refused(a, "main.Login { count() by p.Nme }", -EINVAL, "did you mean Name?", "Nme");
	refused(a, "main.Login { hist(user) }", -EINVAL, "only integers", "user");
	refused(a, "main.Login { count() by panicked }", -EINVAL, "cannot be counted", "panicked");
	refused(a, "main.Login { print(1) }", -EINVAL, "1 is a constant; there is nothing to capture", "1)");
	refused(a, "main.Login { print(nil) }", -EINVAL, "nil is a constant", "nil");
	refused(a, "main.Login if panicked { count() }", -EINVAL, "cannot be counted", "panicked");
	refused(a, "main.Login if vip && panicked == true", -EINVAL, "parts of &&, || and !", "== true");
	refused(a, "main.Login if pid == 3", -EINVAL, "-p and -x", "pid");
	refused(a, "main.Login if err != nil && stack == 1", -EINVAL, "cannot be used as a stack", "1");
	refused(a, "main.Sleeper if err != nil", -EINVAL, "main.Sleeper has none", "err");
	refused(a, "main.Errors if err == given", -EINVAL, "", NULL);
	refused(a, "main.Strings if joined == a", -EINVAL, "known at the entry", "a");
	refused(a, "main.Login if id == n || id == n+1 || id == n+2 || id == n+3 || id == n+4", -EINVAL,
		"more than 4 values", "+4");
	refused(a, "main.Signed(a string) (b string)", -EPROTO, "main.Signed", NULL);
	a->options.max_functions = 3;
	refused(a, "main.*", -E2BIG, "matches", NULL);
	a->options.max_functions = 0;
}

/* ---- calls that do not return ---- */

/* What the question says of a call that panicked (or is open) after so many ns, with this first entry slot. */
static bool ends(struct asked *a, const char *text, bool panicked, uint64_t ns, uint64_t kept)
{
	const struct call_plan *p = plan(a, text);
	struct {
		struct event_header head;
		struct event_slot slots[EVENT_MAX_SLOTS];
	} r = {.head = {.slots = (uint16_t)p->entry.nslots}};
	struct event e = {.head = &r.head, .slots = r.slots};

	for (size_t i = 0; i < p->entry.nslots; i++)
		r.slots[i] = (struct event_slot){.status = SLOT_OK, .value = kept};
	if (p->entry.unwound_unseen)
		assert_false(plan_ending_holds(p, &p->panicked, &e, ns));
	return plan_ending_holds(p, panicked ? &p->panicked : &p->open, &e, ns);
}

static void endings(struct asked *a)
{
	assert_true(ends(a, "main.Login", true, 0, 0) && ends(a, "main.Login", false, 0, 0));
	assert_true(ends(a, "main.Login if vip", true, 0, 0));
	assert_false(ends(a, "main.Login if err != nil", true, 0, 0) ||
		     ends(a, "main.Login if err == nil", true, 0, 0));
	assert_false(ends(a, "main.Login if id == 0", true, 0, 0) || ends(a, "main.Login if !(id == 0)", true, 0, 0));
	assert_false(ends(a, "main.Login if id == 0", false, 0, 0));
	assert_true(plan(a, "main.Login if id == 0")->entry.unwound_unseen);
	assert_true(ends(a, "main.Login if panicked", true, 0, 0));
	assert_false(ends(a, "main.Login if panicked", false, 0, 0) || ends(a, "main.Login if !panicked", true, 0, 0));
	assert_true(ends(a, "main.Login if !panicked", false, 0, 0));
	assert_true(ends(a, "main.Login if err != nil || panicked", true, 0, 0));
	assert_false(ends(a, "main.Login if !(!panicked || err != nil)", true, 0, 0));
	assert_true(ends(a, "main.Login if latency > 1us", true, 1001, 0));
	assert_false(ends(a, "main.Login if latency > 1us", true, 1000, 0));
	assert_false(plan(a, "main.Login if latency > 1us")->entry.unwound_unseen);
	assert_true(ends(a, "main.Login if err != nil || latency > 1us", true, 1001, 0));
	assert_false(ends(a, "main.Login if err != nil && latency > 1us", true, 1001, 0));
	assert_true(ends(a, "main.Login if !(latency > 1us)", true, 1000, 0));
	assert_true(ends(a, "main.Login if err != nil || vip", true, 0, 1));
	assert_false(ends(a, "main.Login if err != nil || vip", true, 0, 0));
	assert_true(ends(a, "main.Login if err != nil || latency > 1us && goid == 7", true, 1001, 1));
	assert_false(ends(a, "main.Login if err != nil || latency > 1us && goid == 7", true, 1001, 0));
	assert_true(ends(a, "main.Sleeper if latency > for_", true, 500, 499));
	assert_false(ends(a, "main.Sleeper if latency > for_", true, 500, 500));
}

/* A function without a return instruction: its calls end by a panic, and that may be asked for. */
static void never_returns(struct asked *a)
{
	static const char *const answered[] = {"main.Reject", "main.Reject if panicked",
					       "main.Reject if n > 1 && panicked",
					       "main.Reject if latency > 1ms",
					       "main.Reject if panicked { print(n, panicked) }",
					       "main.Reject if ret0 == 1 || panicked"};
	static const char *const not_answered[] = {"main.Reject if ret0 == 1", "main.Reject { print(ret0) }",
						   "main.Reject { hist(latency) }",
						   "main.Reject if latency > 1ms { count() }"};

	for (size_t i = 0; i < ARRAY_SIZE(answered); i++) {
		const struct call_plan *p = plan(a, answered[i]);

		assert_true(p->has_return && !p->at_return.nspots && p->entry.role == PROGRAM_ENTRY && a->plans.nhooks);
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_answered); i++)
		refused(a, not_answered[i], -EINVAL, "never returns", NULL);
	assert_int_equal(plan(a, "main.Reject { count() }")->entry.role, PROGRAM_POINT);
	a->options.wants_return = true;
	assert_false(plan(a, "main.Reject { count() }")->has_return);
	a->options.wants_return = false;
}

/* ---- several questions ---- */

static int ask_two(struct asked *a, const char *first, const char *second)
{
	a->err = (struct err){0};
	shape_table_free(a->plans.shapes);
	a->plans = (struct call_plans){0};
	assert_int_equal(question_parse(first, binary_arena(a->b), &a->questions[0], &a->err), 0);
	assert_int_equal(question_parse(second, binary_arena(a->b), &a->questions[1], &a->err), 0);
	return call_plans_make(a->b, a->questions, 2, &a->options, &a->plans, &a->err);
}

/* One that is refused does not keep the others from being asked. */
static void refused_beside_others(struct asked *a)
{
	assert_int_equal(ask_two(a, "main.Nosuch", "main.Login"), 0);
	assert_int_equal(a->plans.len, 2);
	assert_string_equal(a->plans.data[0].name, "main.Nosuch");
	assert_non_null(strstr(a->plans.data[0].why, "no function main.Nosuch"));
	assert_null(a->plans.data[1].why);
	assert_int_equal(ask_two(a, "main.Login", "main.Floats if b > 1.5"), 0);
	assert_int_equal(a->plans.len, 2);
	assert_null(a->plans.data[0].why);
	assert_non_null(strstr(a->plans.data[1].why, "floating-point register"));
	assert_int_equal(ask_two(a, "main.Floats if b > 1.5", "main.Nosuch"), -ENODATA);
	assert_non_null(strstr(a->err.text, "floating-point register"));
	assert_non_null(strstr(a->err.text, "\n"));
	assert_non_null(strstr(a->err.text, "no function main.Nosuch"));
}

/* ---- aggregates ---- */

static void aggregates(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.Login { count() by user, func, vip; sum(n) by pid; hist(n, 0, 50, "
					    "10) }");
	const struct ir_aggregate *g = p->entry.aggregates;

	assert_true(!p->prints && p->entry.no_record && !p->has_return);
	assert_int_equal(p->naggregates, 3);
	assert_int_equal(p->entry.naggregates, 3);
	assert_int_equal(g[0].nkeys, 2);
	assert_true(!p->aggregates[0].constant_key[0] && p->aggregates[0].constant_key[1] &&
		    !p->aggregates[0].constant_key[2]);
	assert_int_equal(p->aggregates[0].keys[0]->kind, VALUE_STRING);
	assert_int_equal(p->entry.slots[g[0].keys[1].slot].kind, VALUE_BOOL);
	assert_int_equal(g[1].nkeys, 0);
	assert_true(g[2].kind == AGG_LINEAR && g[2].high == 50 && g[2].step == 10);
	p = plan(a, "main.Login if err != nil { hist(latency) by user, caller, stack; max(id) }");
	g = p->ret.aggregates;
	assert_int_equal(p->entry.naggregates, 0);
	assert_int_equal(p->ret.naggregates, 2);
	assert_true(g[0].keys[0].at_entry && g[0].keys[1].at_entry && g[0].keys[2].at_entry && !g[0].value.at_entry);
	assert_int_equal(p->entry.slots[g[0].keys[1].slot].kind, VALUE_PC);
	assert_int_equal(p->entry.slots[g[0].keys[2].slot].kind, VALUE_STACK);
	assert_non_null(strstr(ir(a, &p->entry), "up to 64")); /* of a text that is a key only */
}

/* ---- names ---- */

static void names(struct asked *a)
{
	struct buf b = {0};
	uint32_t *found;
	size_t n, all;

	assert_string_equal(plan(a, "Person.Rename")->name, "main.(*Person).Rename");
	assert_string_equal(plan(a, "(*Person).Rename")->name, "main.(*Person).Rename");
	assert_string_equal(plan(a, "main.Logi?")->name, "main.Login");
	functions_match(a->b, "main.*", binary_arena(a->b), &found, &all);
	functions_match(a->b, "main.Log*", binary_arena(a->b), &found, &n);
	assert_true(n >= 1 && all > 30);
	functions_match(a->b, "main.(*Person).*", binary_arena(a->b), &found, &n);
	assert_true(n >= 1 && n < 5);
	signature_print("main.Login", &plan(a, "main.Login")->signature, &b);
	assert_string_equal(b.data, "main.Login(n int, user string, vip bool, p *main.Person, items []main.Item, "
				    "attrs map[string]string, any interface {}) (id int, err error)");
	buf_done(&b);
	plan(a, "main.* { count() by func }");
	assert_true(a->plans.len >= all);
	plan(a, "runtime.* { count() }");
	for (size_t i = 0; i < a->plans.len; i++)
		assert_true(a->plans.data[i].why || a->plans.data[i].at_entry.nspots);
}

static void inlined(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.tiny");

	for (size_t i = 0; i < a->plans.len; i++) {
		assert_true(p[i].inlined && !p[i].has_return && p[i].entry.role == PROGRAM_POINT);
		assert_string_equal(p[i].name, "main.tiny");
		assert_string_equal(p[i].func.name, "main.Tinies");
		assert_true(p[i].call_pc >= p[i].func.entry && p[i].call_pc < p[i].func.end);
		assert_true(p[i].inexact || !p[i].approximate);
	}
	p = plan(a, "main.tiny { count() by caller }");
	assert_true(p->aggregates[0].constant_key[0] && !p->aggregates[0].keys[0]);
	refused(a, "main.tiny if caller == 7", -EINVAL, "its caller can only be printed and grouped by", "caller");
	refused(a, "main.tiny if latency > 1ms", -EINVAL, "inlined into main.Tinies", "> 1ms");
}

/* ---- without DWARF ---- */

static void stripped(struct asked *a)
{
	const struct call_plan *p = plan(a, "main.Login");

	assert_true(p->has_return && p->prints);
	for (size_t i = 0; i < p->nshown; i++)
		assert_true(p->shown[i].slot >= 0 || p->shown[i].why);
	refused(a, "main.Login if user == \"x\"", -EINVAL, "Declare them", "user");
	refused(a, "main.Login if err != nil", -EINVAL, "declare it", "err");
	refused(a, "main.tinyy", -ENOENT, "may have left no trace", NULL);
	p = plan(a, "main.tiny(n int) (int) { count() by caller; stack }");
	assert_true(p->inlined && p->aggregates[0].constant_key[0] && p->stack_slot >= 0);
	assert_string_equal(p->func.name, "main.Tinies");
	refused(a, "main.tiny if latency > 1ms", -EINVAL, "inlined into main.Tinies", "> 1ms");
	refused(a, "main.tiny(n int) if n == 1", -EINVAL, "does not say where the arguments of an inlined call are",
		NULL);
	p = plan(a, "main.tiny(n int)");
	assert_true(p->inlined && p->shown[0].why && strstr(p->shown[0].why, "arguments of an inlined call"));
	assert_true(plan(a, "main.Login if latency > 1ms { hist(latency) by caller }")->has_return);
	p = plan(a, "main.Signed(first int8, second int16, ?, ?, ?) (total int64) if first == 1");
	assert_true(shown(p, "first")->slot >= 0 && shown(p, "total")->slot >= 0);
	p = plan(a, "main.Login(n int, user string, vip bool, p *Person, items []Item, attrs map[string]string, any "
		    "any) (id int, err error) if p.Name == \"alice\" && err != nil");
	assert_int_equal(p->nshown, 9);
	for (size_t i = 0; i < p->nshown; i++)
		assert_true(p->shown[i].slot >= 0);
	p = plan(a, "main.Login(n int, user string, vip bool, p *Nowhere, items []Item, attrs map[string]string, any "
		    "any)");
	assert_true(shown(p, "user")->slot >= 0);
	refused(a, "main.Login(n int, user string, vip bool, p *Nowhere, items []Item, attrs map[string]string, any "
		   "any) if p.X == 1",
		-EINVAL, "Nowhere", "X");
	plan(a, "main.* { count() by func }");
}

/* ---- floats, without floating-point arithmetic ---- */

struct memory {
	uint64_t base;
	uint8_t bytes[256];
};

static bool read_memory(void *arg, uint64_t addr, void *out, size_t n)
{
	const struct memory *m = arg;

	if (addr < m->base || addr + n > m->base + sizeof(m->bytes))
		return false;
	memcpy(out, m->bytes + (addr - m->base), n);
	return true;
}

static bool holds(struct asked *a, const struct call_plan *p, double f64, float f32)
{
	static struct interp_result out;
	struct memory m = {.base = 0xc000000000};
	struct interp_input in = {.read = read_memory, .arg = &m, .g = 0xc000001000};
	const struct type *t = binary_type(a->b, "main.Widths");
	struct field_path f;

	assert_true(type_field_find(a->b, t, "F64", &f));
	memcpy(m.bytes + f.steps[0].offset, &f64, 8);
	assert_true(type_field_find(a->b, t, "F32", &f));
	memcpy(m.bytes + f.steps[0].offset, &f32, 4);
	in.regs[GPR_RBX] = m.base;
	interp_run(&p->entry, &in, &out);
	return !out.dropped;
}

static void floats(struct asked *a)
{
	static const double values[] = {0.0, -0.0, 1.5, -1.5, 2.25, -2.25, 1e300, -1e300, DBL_MIN, -DBL_MIN, 4.9e-324,
					INFINITY, -INFINITY, NAN};
	static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
	static const double constants[] = {0, 1.5, -1.5, 2.25};

	for (size_t o = 0; o < ARRAY_SIZE(operators); o++)
		for (size_t k = 0; k < ARRAY_SIZE(constants); k++)
			for (unsigned narrow = 0; narrow < 2; narrow++) {
				const char *text = arena_printf(binary_arena(a->b),
								"main.Compared if w.F%s %s %g { count() }",
								narrow ? "32" : "64", operators[o], constants[k]);
				const struct call_plan *p = plan(a, text);

				for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
					double x = narrow ? (double)(float)values[i] : values[i], y = constants[k];
					bool want[] = {x == y, x != y, x < y, x <= y, x > y, x >= y};

					if (holds(a, p, x, (float)x) != want[o])
						fail_msg("%s is wrong for %g", text, x);
				}
			}
	assert_false(holds(a, plan(a, "main.Compared if w.F64 > w.F64 { count() }"), 1, 1));
	assert_true(holds(a, plan(a, "main.Compared if w.F64 != w.F64 { count() }"), NAN, 1));
	refused(a, "main.Compared if w.F64 > w.F32", -EINVAL, "mismatched types", ">");
	refused(a, "main.Compared if w.F32 > 1e300", -EINVAL, "does not fit", "1e300");
}

/* ---- the tests ---- */

static void test_default(void **state) { each(PLAIN, default_shows_all); }
static void test_unwinding(void **state) { each(PLAIN, unwinding); }
static void test_entry_only(void **state) { each(PLAIN, entry_only); }
static void test_unreadable(void **state) { each(PLAIN, what_cannot_be_read); }
static void test_split(void **state) { each(PLAIN, split); }
static void test_endings(void **state) { each(PLAIN, endings); }
static void test_never_returns(void **state) { each("bin/holes-go1.*-plain", never_returns); }
static void test_refused_beside_others(void **state) { each(PLAIN, refused_beside_others); }
static void test_wrong(void **state) { each(PLAIN, wrong); }
static void test_aggregates(void **state) { each(PLAIN, aggregates); }
static void test_names(void **state) { each(PLAIN, names); }
static void test_inlined(void **state) { each(PLAIN, inlined); }
static void test_stripped(void **state) { each(STRIPPED, stripped); }
static void test_floats(void **state) { each("bin/calls-go1.2[16]-plain", floats); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),    cmocka_unit_test(test_entry_only), cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_split),      cmocka_unit_test(test_wrong),      cmocka_unit_test(test_aggregates),
		cmocka_unit_test(test_names),      cmocka_unit_test(test_inlined),    cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_floats),     cmocka_unit_test(test_unwinding),
		cmocka_unit_test(test_endings),    cmocka_unit_test(test_refused_beside_others),
		cmocka_unit_test(test_never_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
