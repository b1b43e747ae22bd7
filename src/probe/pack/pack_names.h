/* Whether the attributes that a span's rules name are captured by its points: one that is not is a slip of the pen. */
#ifndef PROBE_PACK_NAMES_H
#define PROBE_PACK_NAMES_H

#include "probe/pack/pack.h"
#include "probe/pack/pack_yaml.h"

/* node: what a message points at. Errors: -EINVAL, which may say what was meant. */
int pack_check_names(struct yaml *y, const yaml_node_t *node, const struct pack_span *s);
/* Of what extends another pack's span, which is known (s->of): captured there or here. */
int pack_check_extension(struct yaml *y, const yaml_node_t *node, const struct pack_span *s);

/* The attributes that spans of p may have, by its points and rules; hidden ones, too. Both are the arena's. */
size_t pack_attribute_names(const struct pack *p, struct arena *arena, const char *const **ret);

#endif
