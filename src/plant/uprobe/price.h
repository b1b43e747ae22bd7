/* What a hit costs here. */
#ifndef PLANT_UPROBE_PRICE_H
#define PLANT_UPROBE_PRICE_H

#include "plant/uprobe/bpf.h"
#include "plant/uprobe/site.h"

/* ns per hit of an empty program at a site of each class; 0 where it could not be measured. ~5 ms. */
void price_measure(const struct uprobe_means *m, double ret[PRICES]);

#endif
