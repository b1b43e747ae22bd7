/* A verb: one file under cmd/, one row in main.c. Usage and completion come from these tables. */
#ifndef CMD_VERB_H
#define CMD_VERB_H

#include <stdarg.h>

#include "base/options.h"

/* Exit codes: a contract with scripts (docs/man/earshot.1). */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

struct verb {
	const char *name, *synopsis, *summary;
	const struct option_group *groups; /* ends with a NULL title */
	int (*run)(const struct verb *v, int argc, char **argv); /* argv[0] is the verb; returns an exit code */
};

extern const struct verb verb_run, verb_attach, verb_trace, verb_probes, verb_inspect, verb_build,
	verb_convert, verb_usdt, verb_record, verb_doctor;

/* Prints usage, summary and options of v to standard output. */
void verb_help(const struct verb *v);
/*
 * "earshot: " and the sentence, on standard error. What names of files, processes and probes would tell a terminal is
 * shown, not done.
 */
void say(const char *fmt, va_list ap);
/* "earshot: sentence" on standard error; returns code. */
int complain(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
