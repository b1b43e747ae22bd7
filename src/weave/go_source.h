/*
 * What one Go source file declares, as far as it matters to whoever weaves into it: functions, types, imports. All
 * places are byte offsets into the text. The text stays the caller's and must outlive this.
 *
 * The parser is tree-sitter's, over a masked copy (go_mask.h). It is one that goes on after an error, so each function
 * says whether all of it was understood; and functions that stand at the beginning of a line but were not found are
 * counted, with the first one's name. What stands in bodies is parsed for those functions alone of which it is asked
 * (go_function_read): few of a package's are woven.
 */
#ifndef WEAVE_GO_SOURCE_H
#define WEAVE_GO_SOURCE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

struct go_span {
	uint32_t start, end; /* end == start: it is not there */
};

/* A parameter, a receiver, a result. */
struct go_param {
	const char *name;  /* NULL: it has none; "_" */
	struct go_span at; /* the name, or where one would go, before the type */
	struct go_span type;
	bool variadic; /* the type is that of its elements */
};

enum go_directive {
	GO_NOSPLIT = 1,
	GO_NOINLINE = 2,
	GO_LINKNAME = 4,
	GO_RUNTIME_ONLY = 8,     /* systemstack, nowritebarrier…, yeswritebarrierrec: of package runtime */
	GO_OTHER_DIRECTIVE = 16, /* a //go: line that is none of these */
};

/* A comment //earshot:usdt: above a function, or in its body. */
struct go_usdt {
	const char *text; /* behind the word */
	uint32_t at;      /* where its statement goes: the body's beginning, or before the comment */
	bool in_body;
	bool misplaced;   /* no statement may stand there */
	bool behind_end;  /* it is the last of its block, behind a statement that may be one that ends the function */
};

struct go_function {
	const char *name;
	const char *receiver; /* the name of its type, without its type parameters; NULL: it has none */
	bool by_pointer;      /* the receiver is a pointer */
	bool generic;         /* type parameters of its own or of its receiver, or of what a literal stands in */
	bool of_generic;      /* the receiver's type has type parameters */
	struct go_span type_params[2]; /* the receiver's and its own, with their brackets */
	bool broken;          /* part of it was not understood, of its body once that is read */
	bool read;            /* its body is */
	struct go_param *params, *results;
	size_t nparams, nresults;   /* params[0] is the receiver where there is one */
	struct go_span all, result; /* result: the results as they are written, with their parentheses */
	struct go_span body;        /* from { to behind }; empty: it has none */
	unsigned directives;        /* enum go_directive */
	const char *span;           /* what stands behind //earshot:span; "": nothing does; NULL: that is not there */
	struct go_usdt *usdt;       /* those above it; once its body is read those in it, but not in literals */
	size_t nusdt;
	/* Of the body, without function literals in it: */
	unsigned returns, defers, gotos, labels;
	bool loops_defer;    /* a defer within a loop */
	bool recovers;       /* recover() */
	bool asks_caller;    /* runtime.Caller or Callers, anywhere in it */
	bool ends_in_return; /* its last statement is one */
	/* Function literals in its body but not in each other, called func1, func2, … as the compiler does; those of a
	 * literal 1, 2, …; down to eight of them in each other. */
	struct go_function *literals;
	size_t nliterals;
};

struct go_type_decl {
	const char *name;
	struct go_span type;
	struct go_span params; /* of types, between their brackets; empty: it is not generic */
	bool alias;
};

struct go_import_decl {
	const char *name; /* NULL: the package's own; "." and "_" as they are written */
	const char *path;
};

struct go_source {
	const char *text;
	size_t len;
	const char *package;       /* of the package clause; NULL: none was found */
	struct go_span package_at; /* its name */
	struct go_import_decl *imports;
	size_t nimports;
	struct go_function *functions;
	size_t nfunctions;
	struct go_type_decl *types;
	size_t ntypes;
	size_t nmissing;     /* functions at the beginning of a line that were not found */
	const char *missing; /* the name of the first one */
	uint32_t missing_line;
	bool clean; /* everything was understood, but for bodies that are not read */
	struct arena arena;
};

/* -EFBIG from 16 MiB on; -ENOMEM, -EINVAL with a sentence: nothing was parsed. Anything else is said per function. */
int go_source_parse(const char *text, size_t len, struct go_source **ret, struct err *err);
void go_source_free(struct go_source *s); /* NULL ok */
/* Fills in what its body has. f is one of s->functions. */
void go_function_read(struct go_source *s, struct go_function *f);
DEFINE_CLEANUP(struct go_source *, go_source, go_source_free)

/* The line, from 1, that an offset lies on. */
uint32_t go_source_line(const struct go_source *s, uint32_t at);
/* As people and stack traces write it behind the package: "(*conn).serve", "conn.serve", "serve". */
const char *go_function_name(struct arena *a, const struct go_function *f);
/* As the compiler calls it behind the package: "(*List[...]).Add", "Map[...]". */
const char *go_function_symbol(struct arena *a, const struct go_function *f);
/* Whether a type parameter of the function stands in what is written there. */
bool go_function_is_parameter(const struct go_source *s, const struct go_function *f, struct go_span type);

#endif
