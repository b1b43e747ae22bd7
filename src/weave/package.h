/* A package on its way to the compiler: its files, what is changed in them, what is added. */
#ifndef WEAVE_PACKAGE_H
#define WEAVE_PACKAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "weave/go_edit.h"
#include "weave/go_source.h"
#include "weave/usdt.h"

struct weave_file {
	const char *path; /* absolute */
	struct buf text;
	struct go_source *source; /* NULL: it could not be parsed, and stays as it is */
	struct go_edits edits;
};

struct weave_added {
	const char *name; /* ends in .go; unique in the package */
	struct buf text;
};

struct weave_package {
	const char *path; /* import path, as the compiler is told it */
	const char *name; /* of the package clause */
	struct weave_file *files;
	size_t nfiles;
	VEC(struct weave_added) added; /* files that are compiled with the others */
	VEC(struct weave_probe) probes; /* those of USDT, in arena */
	VEC(const char *) warnings;    /* sentences, in arena */
	struct arena arena;
};

/* Reads and parses all files. -errno with a sentence. What of a file cannot be understood is a warning of p. */
int weave_package_open(struct weave_package *p, const char *path, char *const *files, size_t n, struct err *err);
void weave_package_done(struct weave_package *p);
/* Its text, to be filled in. It is valid until the next one is added. */
struct buf *weave_package_add(struct weave_package *p, const char *name);
/* Takes back all changes. */
void weave_package_undo(struct weave_package *p);
void weave_package_warn(struct weave_package *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * The recorder goes into package runtime. -ENOENT with a sentence: it cannot (p is as before), and what does nothing
 * has to go there instead (weave_runtime_noop).
 */
int weave_runtime(struct weave_package *p, struct err *err);
void weave_runtime_noop(struct weave_package *p);

#endif
