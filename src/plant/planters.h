/* All planters there are. A new one is a folder here, and a row in planters.c. */
#ifndef PLANT_PLANTERS_H
#define PLANT_PLANTERS_H

#include "plant/plant.h"

/* For help texts. */
#define PLANTER_NAMES "uprobe (default), patch (from inside the program)"

/* In the order in which they are tried where nobody says which; the first is the default. Ends with NULL. */
extern const struct planter_ops *const planters[];

/* NULL: there is none of that name. */
const struct planter_ops *planter_named(const char *name);

#endif
