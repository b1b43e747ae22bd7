/*
 * A return that the probe's program runs itself. The kernel single-steps a RET under a probe, which costs more than all
 * the rest; from Linux 6.19 on a program may set the registers instead, and the kernel goes on from there.
 */
#ifndef PLANT_UPROBE_RETURNS_H
#define PLANT_UPROBE_RETURNS_H

#include <stdbool.h>

#include "binary/arch.h"
#include "plant/uprobe/bpf.h"

/* Whether this kernel lets programs do so. Asks it, by loading one that nothing runs. */
bool returns_work(const struct uprobe_means *m);

/* A program that does nothing else. Returns its fd or a negative errno. */
int returns_prog_load(const struct uprobe_means *m);

/* Where a program on a RET begins, ctx in REG_CTX: takes back what another one has done at this very hit. */
void returns_undo(struct emit *e, const struct arch *arch);
/*
 * Where it ends: the instruction pointer and SP are what they are behind the RET. Where the return address cannot be
 * read, or others have moved the instruction pointer, all stays as it is, and the kernel runs the RET.
 */
void returns_run(struct emit *e, const struct arch *arch);

#endif
