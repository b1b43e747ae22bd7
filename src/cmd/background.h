/*
 * A named question's process: started by `earshot trace --name`, it reports once whether it could begin, then goes on
 * without a terminal until its time is up, which `earshot probes extend` moves.
 */
#ifndef CMD_BACKGROUND_H
#define CMD_BACKGROUND_H

#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct background;

/*
 * Of a question of that name that runs already: with the same definition its end is moved, and *ret_code is what the
 * verb returns; with another -EEXIST. 1: there is none, go on.
 */
int background_extend(const char *name, const char *definition, uint64_t ttl_ns, struct err *err);
/*
 * Returns 0 in the new process, and in the old one 1 once the new one has begun or failed, with its exit code.
 * The new process writes its calls to *ret_output (if that is NULL, a file beside the description is named there).
 */
int background_start(const char *name, const char *definition, uint64_t ttl_ns, const char **ret_output,
		     struct background **ret, int *ret_code, struct err *err);
/* It runs: the terminal is given back. */
int background_ready(struct background *b, struct loop *loop, struct err *err);
/* It ends, with this exit code (told to who waits, if it was never ready). Removes the description. */
void background_done(struct background *b, int code);

#endif
