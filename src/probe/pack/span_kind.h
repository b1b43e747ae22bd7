/* What a span stands for: packs say it, spans carry it. */
#ifndef PROBE_PACK_SPAN_KIND_H
#define PROBE_PACK_SPAN_KIND_H

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER }; /* OTLP's numbers */

/* As packs and users write them, from SPAN_INTERNAL on; ends with NULL. */
extern const char *const span_kind_names[];

#endif
