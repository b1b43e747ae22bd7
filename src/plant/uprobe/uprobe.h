/* The planter of uprobes: what is known of it outside of its folder. */
#ifndef PLANT_UPROBE_UPROBE_H
#define PLANT_UPROBE_UPROBE_H

#include "plant/plant.h"

extern const struct planter_ops planter_uprobe;

#endif
