/* What a hit costs here. */
#ifndef PLANT_UPROBE_PRICE_H
#define PLANT_UPROBE_PRICE_H

#include "binary/binary.h"
#include "plant/uprobe/bpf.h"

/* ns per hit of an empty program at a site of each class; 0 where it could not be measured. ~5 ms. */
void price_measure(const struct uprobe_means *m, double ret[PRICE_STEPPED + 1]);

#endif
