/*
 * Bound programs as Go source: for each a function that captures, in the terms of the function's own package, what the
 * probe would. It takes the receiver, the parameters or the results, and who takes the values (earshotProbe, which the
 * file declares); it gives false where the filter does not hold.
 *
 * What Go does not let a package write has no function there, and a comment says why: fields and types of other
 * packages that are not exported, carried values of packages that this one may not import.
 */
#ifndef PROBE_PRINT_GO_H
#define PROBE_PRINT_GO_H

#include "base/buf.h"
#include "probe/bind/bound.h"

/* Files, one a package, that grow as functions are printed into them. */
struct go_files;

struct go_files *go_files_new(void);
void go_files_free(struct go_files *f); /* NULL ok */
/*
 * name: of the function, any text. What looks into carried values alone is a function of the package of their types:
 * so the points at a panic can look into what another package has saved.
 */
void go_files_add(struct go_files *f, const char *name, const struct bound_program *p);
/* All as one txtar archive: "-- net/http/earshot_probes.go --" before each file. */
void go_files_print(const struct go_files *f, struct buf *out);

#endif
