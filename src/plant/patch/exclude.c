/*
 * Functions that a signal handler runs can interrupt a trampoline on their own thread, and those between fork
 * and exec run in a child that shares the rings: both are left alone. They are what the roots below reach
 * by direct calls and jumps. A stack that must grow, or a panic, ends the program in either place, so what lies
 * behind those counts for nothing.
 */
#include "plant/patch/site.h"

#include <string.h>

#include "base/vec.h"
#include "binary/insn.h"

enum { IN_HANDLER = 1, IN_CHILD = 2, CUT = 4 };

struct patch_exclusion {
	struct binary *b;
	size_t n;
	uint8_t *marks; /* by function index */
};

static void mark_all(struct patch_exclusion *x, const char *const *names, size_t n, uint8_t mark)
{
	struct func f[8];

	for (size_t i = 0; i < n; i++)
		for (size_t k = MIN(binary_func_find(x->b, names[i], f, ARRAY_SIZE(f)), ARRAY_SIZE(f)); k-- > 0;)
			x->marks[f[k].index] |= mark;
}

typedef VEC(struct func) func_vec;

static void visit(struct patch_exclusion *x, uint64_t target, uint8_t mark, func_vec *todo)
{
	struct func f;

	if (!target || !binary_func_at(x->b, target, &f) || f.index >= x->n || x->marks[f.index] & (mark | CUT))
		return;
	x->marks[f.index] |= mark;
	vec_push(todo, f);
}

static void follow(struct patch_exclusion *x, const struct func *f, uint8_t mark, func_vec *todo)
{
	struct disasm c;

	if (func_disasm(x->b, f, &c, NULL))
		return;
	for (size_t k = 0; k < c.n; k++)
		if (!disasm_contains(&c, c.insns[k].target))
			visit(x, c.insns[k].target, mark, todo);
	disasm_done(&c);
}

static void reach(struct patch_exclusion *x, const char *const *roots, size_t n, uint8_t mark)
{
	func_vec todo = {0};
	struct func f[8];

	for (size_t i = 0; i < n; i++)
		for (size_t k = MIN(binary_func_find(x->b, roots[i], f, ARRAY_SIZE(f)), ARRAY_SIZE(f)); k-- > 0;)
			visit(x, f[k].entry, mark, &todo);
	while (todo.len) {
		struct func next = todo.data[--todo.len];

		follow(x, &next, mark, &todo);
	}
	vec_done(&todo);
}

struct patch_exclusion *patch_exclusion_new(struct binary *b)
{
	static const char *const cut[] = {"runtime.morestack", "runtime.morestack_noctxt", "runtime.newstack",
					  "runtime.gopanic"};
	static const char *const handler[] = {"runtime.sigtramp", "runtime.cgoSigtramp", "runtime.sigtrampgo",
					      "runtime.sighandler", "runtime.sigprofNonGo",
					      "runtime.sigprofNonGoWrapper"};
	static const char *const child[] = {"syscall.forkAndExecInChild", "syscall.forkAndExecInChild1",
					    "syscall.runtime_AfterForkInChild", "syscall.rawVforkSyscall"};
	struct patch_exclusion *x = xcalloc(1, sizeof(*x));

	x->b = b;
	x->n = binary_func_count(b);
	x->marks = xcalloc(x->n + 1, 1);
	mark_all(x, cut, ARRAY_SIZE(cut), CUT);
	reach(x, handler, ARRAY_SIZE(handler), IN_HANDLER);
	reach(x, child, ARRAY_SIZE(child), IN_CHILD);
	return x;
}

void patch_exclusion_free(struct patch_exclusion *x)
{
	if (!x)
		return;
	free(x->marks);
	free(x);
}

const char *patch_excluded(const struct patch_exclusion *x, const struct func *f)
{
	uint8_t mark = f->index < x->n ? x->marks[f->index] : 0;

	if (mark & IN_HANDLER)
		return "the runtime's signal handler may run it, also in the middle of a probe";
	if (mark & IN_CHILD)
		return "it runs in the child between fork and exec, which shares the probes' memory";
	return NULL;
}
