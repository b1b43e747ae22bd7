/*
 * Between the go command and its tools (`go build -toolexec`): compile and asm get woven files, every other tool runs
 * at once. A build never fails because of this: on any error the original files are compiled, with one warning.
 */
#ifndef WEAVE_TOOLEXEC_H
#define WEAVE_TOOLEXEC_H

#include "weave/package.h"

struct weaver {
	/*
	 * All that decides what is woven, as one word: the go command takes what it has built for the same as long as
	 * this is the same.
	 */
	const char *key;
	/* Whether there may be something to weave in a package of that import path. It is asked for each, so it is
	 * quick. */
	bool (*concerns)(void *arg, const char *path, char *const *files, size_t n);
	/* Weaves. -errno with a sentence: nothing of the package is. */
	int (*weave)(void *arg, struct weave_package *p, struct err *err);
	void *arg;
	bool usdt;        /* programs get notes of their USDT probes */
	const char *next; /* another program for -toolexec, which runs each tool; or NULL */
};

/* argv: the tool and its arguments. The exit code; does not return where the tool takes this process's place. */
int toolexec(const struct weaver *w, char **argv);

#endif
