/* Inside the printing of Go (print_go.c, go_type.c, go_expr.c): nothing else includes this. */
#ifndef PROBE_GO_PRINTER_H
#define PROBE_GO_PRINTER_H

#include <string.h>

#include "base/buf.h"
#include "base/vec.h"
#include "probe/bind/bound.h"

/* One package's file. */
struct go_file {
	const char *package;      /* import path */
	struct arena *arena;
	VEC(const char *) imports;
	struct buf body;
	bool contains, equal, named; /* helpers that are used */
	/* Whether it may import that package, too; NULL: it may. */
	bool (*may_import)(void *arg, const char *path);
	void *arg;
};

/* A function at work. */
struct go_printer {
	struct go_file *file;
	const struct bound_program *program;
	struct buf *out;
	struct arena *arena;
	unsigned temps;
	int indent;
	char why[200];            /* it cannot be written in Go */
	const char *slot;         /* of a woven point: what is captured goes there. NULL: earshotProbe takes it */
	bool woven;               /* a woven point's: there is no earshotProbe to ask */
	bool asks_kept;           /* … it uses what an earlier point has kept: slots, in earshotV */
	/*
	 * Of a woven point: what the package cannot say in Go, and the program is told by whoever reads its types.
	 * Texts, in the file's arena.
	 */
	VEC(const char *) facts;
};

/* The functions that a file declares where it uses them: `contains`, `equal`, `hasname`. */
void go_helpers_print(const struct go_file *f, struct buf *out);

/* NULL, with the reason. */
const char *go_refuse(struct go_printer *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line of the function. */
void go_line(struct go_printer *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A variable that holds e, unless e is a name already. */
const char *go_temp(struct go_printer *g, const char *e);

/* A type as the package writes it, and what it needs is imported. */
const char *go_type(struct go_printer *g, const struct type *t);
/*
 * The Go type of a variable for it, which the package may not be able to name: a pointer (a map, a channel, a function)
 * is one to anything then, a number or a text has no name, and an interface with methods is laid out as any other such.
 */
const char *go_holder(struct go_printer *g, const struct type *t);
const char *go_package_name(struct arena *arena, const char *path);
/* What the file calls import number i of its own. */
const char *go_import_name(const struct go_file *f, struct arena *arena, size_t i);
/* What the file calls another package, which it imports. */
const char *go_import(struct go_file *f, struct arena *arena, const char *path);
/* Whether package may be named in the file: its own, or one that the function's own variables name. */
bool go_may_import(const struct go_printer *g, const char *path);
/* The import path of the named type that t is made of; NULL: none. */
const char *go_package_of(struct arena *arena, const struct type *t);

/* The lines that n needs before (a step that cannot be taken returns), and n as an expression; NULL: refused. */
const char *go_expr(struct go_printer *g, const struct bound *n);
/* Where a field lies, as a pointer to anything. */
const char *go_address(struct go_printer *g, const struct bound *n);
/* What a variable of the function is called. */
const char *go_variable(struct arena *arena, const struct bound_variables *v, enum bound_op op, size_t i);

#endif
