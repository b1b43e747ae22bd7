/* Where a uprobe goes, and what it costs there. */
#ifndef PLANT_UPROBE_SITE_H
#define PLANT_UPROBE_SITE_H

#include "plant/plant.h"

enum uprobe_price {
	PRICE_EMULATED,          /* cheap everywhere, so these are chosen first */
	PRICE_NOP5,              /* cheaper still on Linux 6.18; 6.1 steps it */
	PRICE_STEPPED,           /* some ten times dearer than what is emulated */
	PRICE_RETURN,            /* stepped, or emulated by kernels from 6.19 on: measured, not told by the version */
	PRICES
};
#define PRICE_REFUSED 0xff  /* the kernel puts no uprobe here */

struct uprobe_site {
	struct site site;
	uint64_t offset;         /* in the file */
	int32_t sp_delta;        /* SP at the site + sp_delta = SP at function entry */
	uint64_t semaphore;      /* in the file: a counter of those that listen, 2 bytes; 0: none */
	uint8_t flags_skip;      /* entry on a jbe: ignore the hit when FLAGS & this (the stack grows) */
};

static inline const struct uprobe_site *uprobe_site_of(const struct site *s)
{
	return (const struct uprobe_site *)s;
}

/* Price of a uprobe on the instruction in these bytes (len of them). */
uint8_t uprobe_price(const unsigned char *p, size_t len);
/*
 * planter_ops.locate: the cheapest spot of an entry; all returns; of an inlined call the first spot that can carry a
 * probe.
 */
int uprobe_locate(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err);
/* planter_ops.locate_place */
int uprobe_locate_place(struct arena *arena, const struct plant_place *at, const struct site **ret, struct err *err);

#endif
