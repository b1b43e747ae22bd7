/* A process as those see it who get its spans and calls (OpenTelemetry's resource). */
#ifndef TARGET_RESOURCE_H
#define TARGET_RESOURCE_H

#include <stddef.h>
#include <stdint.h>

struct attr;       /* span/span.h */
struct symbolizer; /* call/symbolize.h */

/* Outlives its spans and calls. Who makes it owns it. */
struct resource {
	uint32_t id;                     /* small number, unique in this run */
	int pid;
	const char *name;                /* of its executable, without the path */
	const char *service;             /* service.name */
	const struct attr *attrs;        /* all, service.name and process.* included */
	size_t nattrs;
	const struct symbolizer *symbolizer; /* what its addresses mean; NULL: nobody knows */
};

#endif
