/* Command-line options as data: parsing, --help and completion all read the same rows. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/vec.h"

enum option_kind { OPT_FLAG, OPT_STRING, OPT_LIST, OPT_UINT, OPT_DURATION, OPT_RATIO };

typedef VEC(const char *) string_list;

struct option_def {
	char letter;            /* 0: long only */
	const char *name, *arg; /* arg: what --help calls the value, NULL for flags */
	const char *help;
	enum option_kind kind;
	size_t offset;          /* of bool, const char *, string_list, uint64_t, uint64_t (ns), double */
};
/* Takes rows (the last has a NULL name) of a struct that lies at base. */
typedef void (*option_rows_fn)(void *arg, const struct option_def *defs, size_t base);
struct option_group {
	const char *title;             /* groups of one title that follow each other are shown as one */
	const struct option_def *defs; /* ends with a NULL name; NULL: none */
	size_t base;                   /* added to the offsets: groups are embedded in the verb's struct */
	void (*rows)(size_t base, option_rows_fn give, void *arg); /* NULL, or: gives more rows, those of a table */
};

/*
 * Stores what argv (argv[0] skipped) says into the struct at `into`; *ret_rest is the index of the first
 * operand (argv is reordered so that they come last). 1: --help was asked for. -EINVAL with a sentence
 * otherwise.
 */
enum options_flags { OPTIONS_STOP_AT_OPERAND = 1 /* what follows the first operand belongs to it */ };
int options_parse(const struct option_group *groups, enum options_flags flags, void *into, int argc, char **argv,
		  int *ret_rest, struct err *err);
void options_print(const struct option_group *groups, FILE *out);
/* Frees the lists. */
void options_done(const struct option_group *groups, void *into);

/* Cuts argv at "--": what follows is a program to start, with its arguments. Returns the number of those before. */
int options_split(int argc, char **argv, char ***ret_command);

#endif
