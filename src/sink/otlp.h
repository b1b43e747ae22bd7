/* Inside the OTLP sink: encoding, the queue, the exchange with a collector. Others want kinds.h. */
#ifndef SINK_OTLP_H
#define SINK_OTLP_H

#include "base/arena.h"
#include "base/buf.h"
#include "sink/kinds.h"
#include "sink/otel_env.h"

struct otlp_options {
	const char *endpoint;       /* "http://host:4318"; /v1/traces is appended when there is no path */
	const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
	enum otlp_compression compression;
	size_t queue_spans;         /* default 65536 */
	size_t batch_spans;         /* default 512 */
	unsigned interval_ms;       /* default 1000 */
	unsigned timeout_ms;        /* of a request, default 10000 */
};

/* ---- where spans come from (otlp_queue.c) ---- */

/* One resource and one scope. Owned by the queue, which keeps it while one of its spans waits. */
struct otlp_origin {
	uint32_t resource_id;
	char *scope;          /* "earshot/<pack>" */
	struct buf resource;  /* encoded */
	size_t waiting;
};

/* An encoded span. */
struct otlp_item {
	struct otlp_origin *origin;
	size_t len;
	uint8_t bytes[];
};

/* A bounded queue in blocks of its own. The caller locks; items stay in place until dropped. */
struct otlp_queue;
struct otlp_queue *otlp_queue_new(size_t max_spans, size_t max_bytes);
void otlp_queue_free(struct otlp_queue *q);
bool otlp_queue_push(struct otlp_queue *q, struct otlp_origin *origin, const struct buf *span); /* false: full */
bool otlp_queue_full(const struct otlp_queue *q);
size_t otlp_queue_len(const struct otlp_queue *q);
/* The oldest items: as many as there are, up to max and about max_bytes, at least one if there is one. */
size_t otlp_queue_peek(const struct otlp_queue *q, size_t max, size_t max_bytes,
		       const struct otlp_item **ret);
void otlp_queue_drop(struct otlp_queue *q, size_t n);
/* Finds or makes. Pushing is what keeps it: the pointer is good until the next call. */
struct otlp_origin *otlp_queue_origin(struct otlp_queue *q, const struct span *s);

/* ---- encoding (otlp_encode.c) ---- */

/* Scratch memory of one encoding thread. Zero-initialised is valid. */
struct otlp_encoder {
	struct arena repaired;
	struct buf event;
};
void otlp_encoder_done(struct otlp_encoder *e);
void otlp_encode_span(struct otlp_encoder *e, const struct span *s, struct buf *out);
void otlp_encode_resource(const struct resource *r, struct buf *out);
/* The export request of these items, grouped by resource and scope. Reorders items. */
void otlp_encode_request(const struct otlp_item **items, size_t n, struct buf *out);

struct otlp_reply {
	uint64_t rejected;
	char message[200];    /* "" if none; printable */
};
/* An ExportTraceServiceResponse; -EBADMSG when it is none. */
int otlp_decode_response(const void *data, size_t n, struct otlp_reply *ret);
/* The message of a google.rpc.Status. */
int otlp_decode_status(const void *data, size_t n, struct otlp_reply *ret);
/* Copies what is printable UTF-8 of s to ret, cut to size. */
void otlp_printable(const char *s, size_t n, char *ret, size_t size);

/* ---- the exchange (otlp_send.c) ---- */

enum otlp_verdict {
	OTLP_DELIVERED,
	OTLP_RETRY,           /* nobody there, or the collector said: later */
	OTLP_REFUSED,         /* for good */
	OTLP_CANCELLED,
};
struct otlp_outcome {
	enum otlp_verdict verdict;
	uint64_t rejected;    /* delivered, but for so many spans */
	uint64_t wait_ms;     /* the collector's Retry-After, 0 if it gave none */
	char text[400];       /* "refused the connection": what the URL did. "" when all went well */
};

struct otlp_transport;
int otlp_transport_new(const struct otlp_options *o, struct otlp_transport **ret, struct err *err);
void otlp_transport_free(struct otlp_transport *t);
const char *otlp_transport_url(const struct otlp_transport *t); /* without credentials */
bool otlp_transport_gzips(const struct otlp_transport *t);
/* Sends one encoded request and waits for the answer. For one thread. */
void otlp_exchange(struct otlp_transport *t, const struct buf *request, struct otlp_outcome *ret);
/* From any thread: an exchange under way or begun later ends at this time (clock_monotonic_ns). */
void otlp_transport_deadline(struct otlp_transport *t, uint64_t at_ns);

/* ---- the sink (otlp.c) ---- */

/* A thread of its own sends; -EINVAL when the endpoint is no http(s) URL. */
int sink_otlp_new(const struct otlp_options *o, struct sink **ret, struct err *err);
/*
 * Sends what waits for at most timeout_ms, ends the thread and counts what is left: losses and trouble
 * are final then. Spans that come later are counted as lost. close does it where nobody has before.
 */
void sink_otlp_finish(struct sink *s, unsigned timeout_ms);
uint64_t sink_otlp_delivered(struct sink *s);

#endif
