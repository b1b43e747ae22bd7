#include "sink/kinds.h"

#define ROW(name) &sink_##name,
const struct sink_kind *const sink_kinds[] = {SINK_KINDS(ROW) NULL};
