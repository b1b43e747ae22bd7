/* Spans made by hand. */
#ifndef TESTS_UNIT_SPANS_H
#define TESTS_UNIT_SPANS_H

#include "base/macro.h"
#include "probe/pack/pack.h"
#include "span/span.h"

#define STR(k, v) {.key = (k), .kind = ATTR_STRING, .s = (v), .len = sizeof(v) - 1}
#define INT(k, v) {.key = (k), .kind = ATTR_INT, .i = (v)}
#define SPAN_START UINT64_C(1700000000123456789) /* 22:13:20.123 UTC */

/* What the built-in pack for HTTP servers shows of a request. */
static inline const struct summary *http_summary(void)
{
	static struct pack *p;

	for (const struct pack_source *s = pack_builtin; !p && s->file; s++)
		if (strstr(s->file, "net-http.yaml") && pack_parse(s->file, s->text, s->len, &p, NULL) < 0)
			abort();
	return p->spans[0].summary;
}

static inline struct span span_make(const char *name, uint64_t duration_ns, const struct attr *attrs,
				    size_t nattrs)
{
	static const struct resource server = {.service = "shop", .pid = 4711};

	return (struct span){.trace_id = {0x4b, 0xf9, 0x2f, [15] = 0x36},
			     .span_id = {0x01, [7] = 0xab},
			     .name = name,
			     .pack = "net-http",
			     .summary = http_summary(),
			     .kind = SPAN_SERVER,
			     .start_unix_ns = SPAN_START,
			     .duration_ns = duration_ns,
			     .goid = 17,
			     .attrs = attrs,
			     .nattrs = nattrs,
			     .resource = &server};
}

#endif
