/* GOFLAGS, as `go env` prints it. */
#ifndef WEAVE_GO_FLAGS_H
#define WEAVE_GO_FLAGS_H

#include "base/buf.h"

/*
 * Appends the flags to rest as they are written, each with a space behind it, without -toolexec: what the last of these
 * says is *ret_toolexec, which the caller frees. It stays as it is where there is none; NULL: it says nothing.
 */
void go_flags_read(const char *flags, struct buf *rest, char **ret_toolexec);
/* What -toolexec, or --toolexec, says, with the = before it; "": the next word says it. NULL: it is another flag. */
const char *go_flag_toolexec(const char *flag);

#endif
