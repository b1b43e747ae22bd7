/*
 * Where the source of a build's packages lies and which of its files count, as the go command has it (`go list`). It is
 * asked only when somebody needs what lies nowhere else, once for each package at work, and what it says is kept for
 * the other tools of the same build. It fetches nothing. Where it cannot be asked, nothing is known of other packages.
 */
#ifndef WEAVE_GO_LIST_H
#define WEAVE_GO_LIST_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"

struct go_list_package {
	const char *path, *dir;
	const char *const *files; /* their names in dir; NULL-terminated */
};

struct go_list {
	const char *go;              /* the command */
	const char *package;         /* whose imports are asked for */
	const char *kept;            /* a file that the tools of a build share; NULL: there is none */
	const char *const *flags;    /* of the build, NULL-terminated: those that choose packages and files */
	/* filled here */
	bool read, asked;
	struct strmap packages;
	struct arena arena;
};

/* NULL: nothing is known of it. */
const struct go_list_package *go_list_find(struct go_list *l, const char *path);
void go_list_done(struct go_list *l);
/* Takes lines over as `go list` prints them. What is no such line is passed over. */
void go_list_read(struct go_list *l, const char *text, size_t len);

#endif
