/* What identifies an observed process in its spans (OpenTelemetry resource attributes). */
#ifndef CMD_RESOURCE_H
#define CMD_RESOURCE_H

#include "base/arena.h"
#include "binary/binary.h"
#include "span/span.h"
#include "target/process.h"

/* Everything returned lives in arena. service: NULL to name it after the executable. */
struct resource *resource_new(struct arena *arena, const struct process *p, struct binary *b,
			      const char *service, const struct attr *extra, size_t nextra, uint32_t id);

#endif
