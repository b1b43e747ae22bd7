/* Which running processes a user means: by glob over the executable, by listening port. */
#ifndef TARGET_FIND_H
#define TARGET_FIND_H

#include "base/err.h"
#include "base/vec.h"
#include "target/process.h"

struct target_query {
	const char *const *globs; /* of the executable: the whole path if the glob has a '/', else its name */
	size_t nglobs;
	const uint16_t *ports;    /* TCP ports listened on */
	size_t nports;
	int descendants_of;       /* 0, or: only this process and what it started */
};

typedef VEC(int) pid_vec;

/* Of a program that is gone only its name is known: whether a glob over names matches it. */
bool target_matches_name(const struct target_query *q, const char *name);
/* Whether p is meant. Ports are looked up in the process's own network namespace. */
bool target_matches(const char *procfs, const struct target_query *q, const struct process *p);
/* All processes that match now; never ourselves. 0 or -errno (procfs unreadable). */
int target_find(const char *procfs, const struct target_query *q, pid_vec *ret, struct err *err);

#endif
