/* Whether uprobe programs may write to the memory of the process that they run in (bpf_probe_write_user). */
#ifndef PLANT_UPROBE_WRITES_H
#define PLANT_UPROBE_WRITES_H

#include <stdint.h>

#include "base/err.h"

#define UPROBE_WRITES_HELPER "bpf_probe_write_user" /* as the verifier calls it */

/*
 * What a kernel's answer to such a program means: loaded is bpf_prog_load's result (0 or more: it was loaded), log the
 * verifier's, lockdown what /sys/kernel/security/lockdown has ("" where it is not there). Returns 0 where writing is
 * allowed, or says why not: -EPERM for lack of CAP_SYS_ADMIN, which is named, -EACCES for lockdown, else what the
 * kernel said.
 */
int uprobe_writes_verdict(int loaded, const char *log, uint64_t caps, const char *lockdown, struct err *err);

/* The same of a program that was not loaded, here and now. */
int uprobe_writes_explain(int code, const char *log, struct err *err);
/*
 * Asks the kernel by loading a program, which is run nowhere. Each time that this works the kernel writes a warning
 * into its log: so only for who asks for it.
 */
int uprobe_writes_check(struct err *err);

#endif
