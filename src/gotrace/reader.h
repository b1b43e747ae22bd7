/*
 * What is read of an execution trace: generation by generation, each only as a whole. Of one in which anything is wrong
 * no event is given, and nothing behind it.
 */
#ifndef GOTRACE_READER_H
#define GOTRACE_READER_H

#include "gotrace/ordering.h"

struct gotrace_reader;
/* As gotrace_file_open. */
int gotrace_reader_open(int fd, struct gotrace_reader **ret, struct err *err);
void gotrace_reader_free(struct gotrace_reader *r);
unsigned gotrace_reader_version(const struct gotrace_reader *r);

/* As gotrace_file_next; its events can have happened, and all they name is there. */
int gotrace_reader_next(struct gotrace_reader *r, const struct generation **ret, struct err *err);
/* Gives the events of the generation that next has given. To be called once for each. */
void gotrace_reader_events(struct gotrace_reader *r, gotrace_event_fn fn, void *arg);
/* After 0. */
const struct gotrace_rest *gotrace_reader_rest(const struct gotrace_reader *r);

#endif
