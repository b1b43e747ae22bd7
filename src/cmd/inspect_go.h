/* `inspect BINARY --go-probe`: what the packs capture, as Go source. */
#ifndef CMD_INSPECT_GO_H
#define CMD_INSPECT_GO_H

#include "probe/pack/join.h"

/* Prints a txtar archive with a file for each package (probe/bind/print_go.h). */
void inspect_go(const struct join *joins, size_t n);

#endif
