/* What identifies an observed process in its spans (OpenTelemetry resource attributes). */
#ifndef CMD_RESOURCE_H
#define CMD_RESOURCE_H

#include "cmd/consumer.h"
#include "span/span.h"

/* Everything returned lives in p's arena. service: NULL to name it after the executable. extra: attributes to add. */
const struct resource *resource_new(struct observed_process *p, const char *service, const struct attr *extra,
				    size_t nextra);
/* Likewise of a process that need not be Go's, in arena: nobody knows what its addresses mean. */
const struct resource *resource_of_any(struct arena *arena, const struct process *proc, uint32_t id,
				       const char *service, const struct attr *extra, size_t nextra);

#endif
