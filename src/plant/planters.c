#include "plant/planters.h"

#include <string.h>

#include "plant/patch/planter.h"
#include "plant/uprobe/uprobe.h"

const struct planter_ops *const planters[] = {&planter_uprobe, &planter_patch, NULL};

const struct planter_ops *planter_named(const char *name)
{
	for (size_t i = 0; planters[i]; i++)
		if (!strcmp(planters[i]->name, name))
			return planters[i];
	return NULL;
}
