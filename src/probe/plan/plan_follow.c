/*
 * The functions that a traced one calls, found in its code (--follow): those of direct calls, level by level. What is
 * called through an interface or a closure no code names; the runtime and assembly are left out. What is left out is
 * counted. Wrappers, which only pass a call on, stand for what they call.
 */
#include <ctype.h>
#include <string.h>

#include "base/map.h"
#include "probe/plan/call_plan_internal.h"

#define FOUND_MAX 2000

struct found {
	struct func func;
	unsigned level;
	const struct question *question; /* that it is planned for */
	bool planned;                    /* already, or it is a wrapper: only what it calls is wanted */
};

struct follower {
	struct question_compiler *qc;
	struct call_follow *report;
	struct map seen;                 /* entries of functions, planned or left out */
	VEC(struct found) queue;
};

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* What other packages use of the runtime bears their names (internal/sync.runtime_nanotime): its file tells. */
static bool is_lent_by_runtime(const struct binary *b, const struct func *f)
{
	const char *dot = strrchr(f->name, '.'), *file;
	int line;

	return dot && islower((unsigned char)dot[1]) && binary_pc_line(b, f->entry, &file, &line) &&
	       (has_prefix(file, "runtime/") || strstr(file, "/src/runtime/"));
}

static bool is_runtime(const char *name)
{
	return has_prefix(name, "runtime.") || has_prefix(name, "runtime/") || has_prefix(name, "internal/runtime/") ||
	       has_prefix(name, "type:") || has_prefix(name, "type..");
}

/* What a function that is found asks: everything, as a question that is nothing but its name. */
static const struct question *question_of(struct question_compiler *qc, const struct func *f)
{
	struct question *q = arena_new(qc->arena, struct question);

	*q = (struct question){.text = f->name, .pattern = f->name};
	return q;
}

static void add_callee(struct follower *fo, const struct found *from, uint64_t target)
{
	struct func f;

	if (map_set(&fo->seen, target, fo))
		return;
	if (!binary_func_at(fo->qc->binary, target, &f) || f.entry != target || f.flags & FUNC_NO_FUNCDATA) {
		fo->report->assembly++;
	} else if (is_runtime(f.name) || is_lent_by_runtime(fo->qc->binary, &f)) {
		fo->report->runtime++;
	} else if (f.flags & FUNC_ASM) {
		fo->report->assembly++;
	} else if (f.flags & FUNC_WRAPPER) {
		vec_push(&fo->queue, ((struct found){.func = f, .level = from->level, .planned = true}));
	} else if (fo->report->functions == FOUND_MAX) {
		fo->report->too_many++;
	} else {
		fo->report->functions++;
		vec_push(&fo->queue, ((struct found){.func = f, .level = from->level + 1,
						     .question = question_of(fo->qc, &f)}));
	}
}

static void look_into(struct follower *fo, const struct found *from)
{
	struct callees c;

	if (binary_callees(fo->qc->binary, &from->func, &c, NULL))
		return;
	fo->report->indirect += c.indirect;
	for (size_t i = 0; i < c.n; i++)
		add_callee(fo, from, c.targets[i]);
}

static void begin(struct follower *fo)
{
	for (size_t i = 0; i < fo->qc->plans.len; i++) {
		const struct call_plan *p = &fo->qc->plans.data[i];

		if (p->inlined)
			continue;
		map_set(&fo->seen, p->func.entry, fo);
		if (!p->why)
			vec_push(&fo->queue, ((struct found){.func = p->func, .planned = true}));
	}
}

void plan_follow(struct question_compiler *qc, unsigned levels, struct call_follow *report)
{
	struct follower fo = {.qc = qc, .report = report};

	begin(&fo);
	for (size_t i = 0; i < fo.queue.len; i++) {
		struct found f = fo.queue.data[i];

		if (!f.planned)
			plan_found(qc, f.question, &f.func, f.level);
		if (f.level < levels)
			look_into(&fo, &f);
	}
	map_done(&fo.seen);
	vec_done(&fo.queue);
}
