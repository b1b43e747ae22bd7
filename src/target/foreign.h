/* What can be said of a process whose executable is no Go program. */
#ifndef TARGET_FOREIGN_H
#define TARGET_FOREIGN_H

#include "base/buf.h"

/*
 * Appends to out what the mappings of process pid tell: that a library made by Go is loaded ("; but it has loaded …"),
 * or that it runs code that lies in no file (packed, or made while it runs). Nothing when there is neither.
 */
void foreign_explain(const char *procfs, int pid, struct buf *out);

#endif
