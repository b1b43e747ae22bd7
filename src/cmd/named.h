/*
 * Questions that go on in the background, by name: `earshot trace --name N` starts one, `earshot probes` lists,
 * extends and removes them. Each is a process; a small text file in /run/earshot (or $XDG_RUNTIME_DIR/earshot) tells
 * which, what was asked, where its output goes and until when. The file is a description only: when the process is
 * gone, however that came about, the kernel has removed its probes.
 */
#ifndef CMD_NAMED_H
#define CMD_NAMED_H

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

struct named {
	char *name;
	int pid;
	uint64_t start_ticks;     /* tells a reused PID apart */
	uint64_t began, until;    /* wall clock, seconds */
	char *definition;         /* the command line, but for --ttl */
	char *output;
};
typedef VEC(struct named) named_vec;

/* Letters, digits, - _ and . (not first). -EINVAL otherwise. */
int named_check(const char *name, struct err *err);
/* The path of a name's file with this ending (".probe", ".out"). The folder is made. Caller frees. */
int named_path(const char *name, const char *ending, char **ret, struct err *err);

/* -ENOENT: there is none of that name, or its process has ended (what it left is removed). */
int named_read(const char *name, struct named *ret, struct err *err);
int named_write(const struct named *n, struct err *err);
int named_remove_file(const char *name);
/* All that are running, by name. */
int named_list(named_vec *ret, struct err *err);
/* Asks the process to end, and waits until it has, and with it its probes. */
int named_stop(const struct named *n, struct err *err);
void named_done(struct named *n);

#endif
