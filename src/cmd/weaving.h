/*
 * What a build weaves: packs and functions as spans. `earshot build` hands it on to the earshot-toolexec that the go
 * command runs, in the environment: so it can also be set by hand, beside `go build -toolexec=earshot-toolexec`.
 *
 *	EARSHOT_BUILD_PACKS      as --packs, a line each; not set: all packs there are
 *	EARSHOT_BUILD_SPANS      as --span, a line each
 *	EARSHOT_BUILD_TRACE      as --trace, likewise
 *	EARSHOT_BUILD_TOOLEXEC   another program for -toolexec, which runs each tool
 *	EARSHOT_BUILD_FLAGS      flags of the build that choose packages and files (-tags …), a line each
 *	EARSHOT_BUILD_USDT       as --usdt: anything
 *	EARSHOT_BUILD_LIST       a file for what the go command says of packages, for all tools of the build
 */
#ifndef CMD_WEAVING_H
#define CMD_WEAVING_H

#include "cmd/packs.h"
#include "probe/lang/question.h"
#include "weave/toolexec.h"

struct weaving {
	string_list packs, spans, traced;
	bool usdt; /* points are USDT probes as well */
	char key[40];
	pack_set all; /* once they are needed */
	bool loaded;
	VEC(struct span_question) questions; /* what the spans mean */
	VEC(struct span_question) calls;     /* which functions are traced */
	string_list flags;
	struct arena arena;
};

/* From the environment. Errors: -EINVAL with a sentence. */
int weaving_read(struct weaving *w, struct err *err);
/* What the user asks for can be had: packs and functions parse, and packs in the module's folder (local_packs.h) are
 * among them from then on. Errors: -EINVAL with a sentence. */
int weaving_check(struct weaving *w, struct err *err);
/* Into the environment. list: NULL: there is no such file. */
void weaving_pass_on(const struct weaving *w, const char *next, const char *list);
void weaving_done(struct weaving *w);

/* What earshot is when it is called by the name of earshot-toolexec. */
int toolexec_main(int argc, char **argv);
#define TOOLEXEC_NAME "earshot-toolexec"

#endif
