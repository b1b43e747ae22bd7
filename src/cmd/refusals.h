/* What of a process's probes could not be planted, and why: one by one, or by reason where there are many. */
#ifndef CMD_REFUSALS_H
#define CMD_REFUSALS_H

#include "cmd/observation.h"

void refusals_tell(struct observation *ob, const struct observed_process *p, const struct err *errs); /* by probe */

#endif
