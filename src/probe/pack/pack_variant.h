/* The variants of a pack's point, with their captures, as YAML has them (docs/packs.md). */
#ifndef PROBE_PACK_VARIANT_H
#define PROBE_PACK_VARIANT_H

#include "probe/pack/pack.h"
#include "probe/pack/pack_yaml.h"

/* Into a struct pack_point. */
int pack_read_variants(struct yaml *y, const yaml_node_t *node, void *into);
/* Its variants capture which goroutine created their own, too. */
void point_add_creator(struct arena *arena, const struct pack_point *p);
/* Whether a variant of the point has a capture of that use. */
bool point_captures(const struct pack_point *p, enum capture_use use);

#endif
