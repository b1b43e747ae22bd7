/*
 * Expressions → capture program, both steps at once: bound in a binary's types (bind/), lowered to where its values
 * lie.
 */
#ifndef PROBE_COMPILE_H
#define PROBE_COMPILE_H

#include "probe/bind/bind.h"
#include "probe/lower/lower.h"

struct capture_scope {
	struct binary *binary;
	const struct func *func;
	const struct signature *signature;
	enum site_kind at;      /* SITE_ENTRY: parameters by name; SITE_RETURN: results by name */
	const struct carried_value *carried;
	size_t ncarried;
	const struct closure_var *captured; /* variables of a closure, known at its entry */
	size_t ncaptured;
	bool traced, inlined;   /* as in struct bind_scope */
	const struct usdt_site *usdt; /* not NULL: it is one of these, and there is no binary */
};

/* Whether it is known at the entry: an argument, or, of a closure, a captured variable. */
bool scope_has_dictionary(const struct signature *s, const struct closure_var *captured, size_t ncaptured);

/* What is asked for (struct bind_request), and of which kind of program (struct lower_options). */
struct capture_request {
	const char *filter;
	const char *goroutine, *sp;
	const struct capture_item *items;
	size_t nitems;
	const struct planter_caps *caps;
	enum program_role role;
	uint32_t call_group;
	const char *text;
	const struct expr *filter_expr;
	struct shape_table *shapes;
	const struct lower_marks *marks; /* as in struct lower_options; captures are items */
};

/*
 * Everything returned lives in arena. Errors: as bind_program and lower_program. An item that is optional, or whose
 * value lies where nothing can read it, is left out.
 */
int capture_compile(const struct capture_scope *scope, const struct capture_request *request,
		    struct arena *arena, struct capture_result *ret, struct err *err);

/* The type of a value, NULL if it has none or does not bind. */
const struct type *capture_type(const struct capture_scope *scope, const struct expr *e, struct arena *arena);

#endif
