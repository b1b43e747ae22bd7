/*
 * Whether the kernel has put a breakpoint where a link says so. There are instructions that it only refuses where a
 * process has the file mapped, and passes over in silence where none has: so we map the places ourselves, which makes
 * us one of the processes that a link without a process is for, and look at what lies there then. Nobody runs that.
 */
#ifndef PLANT_UPROBE_PLANTED_H
#define PLANT_UPROBE_PLANTED_H

#include "plant/uprobe/bpf.h"

struct uprobe_view {
	void **pages;         /* where each place lies in our memory */
	unsigned char *bytes; /* what lay there before */
	size_t n;
};

/* Maps the places; before they are linked. -errno, a sentence. */
int uprobe_view_open(const struct uprobe_places *at, struct uprobe_view *ret, struct err *err);
/* Whether all have their breakpoints by now: 0, or -ENOTSUP with a sentence. */
int uprobe_view_check(const struct uprobe_view *v, const struct uprobe_places *at, struct err *err);
void uprobe_view_done(struct uprobe_view *v);

#endif
