/*
 * Packs in the working directory: files named *.earshot.yaml. Whoever stands there may be root, so a file counts only
 * if nobody else could have written it: a regular file, no link, of the user's or of root's, that only its owner may
 * write to. The user is also the one who became root by sudo.
 */
#ifndef CMD_LOCAL_PACKS_H
#define CMD_LOCAL_PACKS_H

#include "cmd/packs.h"

#define LOCAL_PACK_END ".earshot.yaml" /* of their files' names */

struct local_packs {
	const char *directory;     /* NULL: none are looked for */
	/* A sentence for the user; trouble: a file that is not used. NULL: on standard error. */
	void (*tell)(void *arg, bool trouble, const char *sentence);
	void *arg;
};

/*
 * Adds those of the directory, in the order of their names, to the packs that there are, and tells of each that it is
 * used, or why not. wanted: as in packs_load; a file that it names by path is left out here. What is not used is no
 * error.
 */
void local_packs_add(const struct local_packs *from, const string_list *wanted, pack_set *packs);
/* Whether a file is there that is named like one. */
bool local_packs_any(const char *directory);

#endif
