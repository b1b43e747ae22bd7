/*
 * How a recorder is asked for a dump while it runs: a socket in the folder of named questions (cmd/named.h), which
 * nobody else may open. A request is one message, "dump PID" or "dump" (whoever is asked); the answer is one line:
 * "0TEXT", "1TEXT" (it failed), or "-": it does not observe that process.
 */
#ifndef CMD_RECORD_CONTROL_H
#define CMD_RECORD_CONTROL_H

#include "cmd/recorder.h"

struct record_control;

/*
 * Listens as `name` until it is freed. -EADDRINUSE: another recorder has this name; -errno, each with a sentence.
 */
int record_control_new(const char *name, struct recorder *r, struct loop *loop, struct record_control **ret,
		       struct err *err);
void record_control_free(struct record_control *c); /* NULL ok */

/*
 * Asks the recorder of that name, or the one that observes the process of that number (or is it), and waits. 0: dumped;
 * ret_text says what. -ESRCH: there is none, with a sentence that names those that there are; -EIO: it failed.
 */
int record_control_ask(const char *who, struct buf *ret_text, struct err *err);

#endif
