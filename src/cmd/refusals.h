/* What of a process's probes could not be planted, and why: one by one, or by reason where there are many. */
#ifndef CMD_REFUSALS_H
#define CMD_REFUSALS_H

#include "cmd/observe.h"

void refusals_tell(struct observer *ob, const struct observed *o, const struct err *errs); /* by probe */

#endif
