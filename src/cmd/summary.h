/* Words that the summaries of spans and of traced calls share. */
#ifndef CMD_SUMMARY_H
#define CMD_SUMMARY_H

#include <stdbool.h>

#include "base/buf.h"
#include "event/loss.h"

const char *plural(uint64_t n, const char *one, const char *many);
/* Appends "12 ring_full, 3 unpaired_end"; false when there is nothing. */
bool losses_list(const struct losses *l, struct buf *out);

#endif
