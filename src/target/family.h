/*
 * Some processes and all that they start, now and later, however short it lives: the kernel tells of each fork of the
 * machine (perf's records), and what came before is looked up in a procfs.
 */
#ifndef TARGET_FAMILY_H
#define TARGET_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct family;

/*
 * An empty one. -EPERM, -errno with a sentence, where the kernel does not tell: it works for all that, but knows of a
 * process only as long as that lives.
 */
int family_new(const char *procfs, struct family **ret, struct err *err);
void family_free(struct family *f); /* NULL ok */
/* pid, and what it has started already. */
void family_add(struct family *f, int pid);
/* Whether pid is one of them, or was before it ended. */
bool family_has(struct family *f, int pid);
/* Reads what was told of forks until now, so that nothing of it is lost; now and then. */
void family_update(struct family *f);
/*
 * How many records the kernel had no room for: of processes that have ended since, it may not be known where they
 * belong.
 */
uint64_t family_lost(const struct family *f);

#endif
