/* The planter that patches from inside: what is known of it outside of its folder. */
#ifndef PLANT_PATCH_PLANTER_H
#define PLANT_PATCH_PLANTER_H

#include "plant/plant.h"

extern const struct planter_ops planter_patch;

#endif
