/*
 * Spans to OTLP's protobuf and answers back. A span is encoded once, when it comes, field by field; a request is the
 * framing around bytes encoded before (the Packed messages of otlp_trace.proto). Protobuf strings
 * must be UTF-8, and a collector throws the whole request away for one that is not: bad bytes
 * become U+FFFD here.
 */
#include "sink/otlp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text_view.h"
#include "base/vec.h"
#include "otlp_trace.pb-c.h"
#include "sink/protobuf.h"

/* Of Span.flags: whether the parent is of another process. */
#define FLAG_REMOTE_KNOWN 0x100
#define FLAG_REMOTE       0x200

void otlp_encoder_done(struct otlp_encoder *e)
{
	arena_done(&e->repaired);
	buf_done(&e->event);
}

/* Bytes of the last word may be looked at twice. */
static bool is_ascii(const char *s, size_t n)
{
	uint64_t eight, all = 0;
	size_t i = 0;

	for (; n - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, s + i, sizeof(eight));
		all |= eight;
	}
	if (n >= sizeof(eight)) {
		memcpy(&eight, s + n - sizeof(eight), sizeof(eight));
		return !((all | eight) & 0x8080808080808080u);
	}
	for (; i < n; i++)
		all |= (unsigned char)s[i];
	return !(all & 0x80);
}

static bool is_utf8(const char *s, size_t n)
{
	size_t i = 0, len;

	if (is_ascii(s, n))
		return true;
	for (; i < n; i += len) {
		len = utf8_valid(s + i, n - i);
		if (!len)
			return false;
	}
	return true;
}

static char *repair(struct arena *a, const char *s, size_t n, size_t *ret_len)
{
	char *d = arena_alloc(a, n * 3 + 1);
	size_t len, k = 0;

	for (size_t i = 0; i < n; i += len ? len : 1) {
		len = utf8_valid(s + i, n - i);
		memcpy(d + k, len ? s + i : "\xef\xbf\xbd", len ? len : 3);
		k += len ? len : 3;
	}
	*ret_len = k;
	return d;
}

static struct text_view text_of(struct arena *a, const char *s, size_t n)
{
	if (!is_utf8(s, n))
		s = repair(a, s, n, &n);
	return (struct text_view){s, n};
}

static struct text_view c_text(struct arena *a, const char *s)
{
	return s ? text_of(a, s, strlen(s)) : (struct text_view){"", 0};
}

static char *text(struct arena *a, const char *s)
{
	return s ? (char *)c_text(a, s).s : (char *)protobuf_c_empty_string;
}

/* ---- spans and resources: field numbers as in otlp_trace.proto ---- */

/* What a field of so many bytes takes at most, beside them: its tag and a varint. */
#define FIELD_MAX (2 + PROTOBUF_VARINT_MAX)

static uint8_t *put_text(uint8_t *p, unsigned field, struct text_view t)
{
	return t.len ? protobuf_put_bytes(p, field, t.s, t.len) : p;
}

static size_t value_size(const struct attr *at, size_t len)
{
	switch (at->kind) {
	case ATTR_STRING:
		return protobuf_length_size(len);
	case ATTR_INT:
		return 1 + protobuf_varint_size((uint64_t)at->i);
	case ATTR_DOUBLE:
		return 1 + sizeof(uint64_t);
	case ATTR_BOOL:
		break;
	}
	return 2;
}

/* An AnyValue's only field. */
static uint8_t *put_value(uint8_t *p, const struct attr *at, struct text_view t)
{
	uint64_t bits;

	switch (at->kind) {
	case ATTR_STRING:
		return protobuf_put_bytes(p, 1, t.s, t.len);
	case ATTR_INT:
		return protobuf_put_number(p, 3, (uint64_t)at->i);
	case ATTR_DOUBLE:
		memcpy(&bits, &at->d, sizeof(bits));
		return protobuf_put_fixed64(p, 4, bits);
	case ATTR_BOOL:
		break;
	}
	return protobuf_put_number(p, 2, at->b);
}

static uint8_t *put_key_value(uint8_t *p, unsigned field, struct text_view key, const struct attr *at,
			      struct text_view t)
{
	const size_t value = value_size(at, t.len);

	p = protobuf_put_length(p, field, (key.len ? protobuf_length_size(key.len) : 0) + protobuf_length_size(value));
	p = put_text(p, 1, key);
	return put_value(protobuf_put_length(p, 2, value), at, t);
}

/* A KeyValue, as a field of a span or a resource. */
static void put_attr(struct arena *a, unsigned field, const struct attr *at, struct buf *out)
{
	const struct text_view key = text_of(a, at->key, at->key_len ? at->key_len : strlen(at->key));
	const struct text_view t = at->kind == ATTR_STRING ? text_of(a, at->s, at->len) : (struct text_view){"", 0};
	uint8_t *p;

	buf_reserve(out, key.len + t.len + 5 * FIELD_MAX);
	p = put_key_value((uint8_t *)out->data + out->len, field, key, at, t);
	out->len = (size_t)(p - (uint8_t *)out->data);
}

static void put_attrs(struct arena *a, unsigned field, const struct attr *attrs, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		put_attr(a, field, &attrs[i], out);
}

static uint8_t *put_head(uint8_t *p, const struct span *s, struct text_view state, struct text_view name)
{
	const uint64_t end = s->start_unix_ns + s->duration_ns;

	p = protobuf_put_bytes(p, 1, s->trace_id, sizeof(s->trace_id));
	p = protobuf_put_bytes(p, 2, s->span_id, sizeof(s->span_id));
	p = put_text(p, 3, state);
	if (span_has_parent(s))
		p = protobuf_put_bytes(p, 4, s->parent_id, sizeof(s->parent_id));
	p = put_text(p, 5, name);
	if (s->kind)
		p = protobuf_put_number(p, 6, s->kind);
	if (s->start_unix_ns)
		p = protobuf_put_fixed64(p, 7, s->start_unix_ns);
	return end ? protobuf_put_fixed64(p, 8, end) : p;
}

static uint8_t *put_status(uint8_t *p, const struct span *s, struct text_view message)
{
	const size_t size = (message.len ? protobuf_length_size(message.len) : 0) + 1 + protobuf_varint_size(s->status);

	if (s->status == SPAN_STATUS_UNSET)
		return p;
	p = put_text(protobuf_put_length(p, 15, size), 2, message);
	return protobuf_put_number(p, 3, s->status);
}

static void put_source(struct arena *a, const struct span *s, struct buf *out)
{
	const char *source = parent_source_text(s->parent_source);

	put_attr(a, 9, &(struct attr){.key = PARENT_SOURCE_KEY, .kind = ATTR_STRING,
				      .key_len = sizeof(PARENT_SOURCE_KEY) - 1, .s = source,
				      .len = strlen(source)}, out);
}

/* An Event, whose length stands before what it has. */
static void put_event(struct otlp_encoder *e, const struct span_event *ev, struct buf *out)
{
	const struct text_view name = c_text(&e->repaired, ev->name);
	struct buf *body = &e->event;
	uint8_t *p;

	buf_reset(body);
	buf_reserve(body, name.len + 2 * FIELD_MAX);
	p = protobuf_put_fixed64((uint8_t *)body->data, 1, ev->unix_ns);
	body->len = (size_t)(put_text(p, 2, name) - (uint8_t *)body->data);
	put_attrs(&e->repaired, 3, ev->attrs, ev->nattrs, body);
	buf_reserve(out, body->len + FIELD_MAX);
	p = protobuf_put_bytes((uint8_t *)out->data + out->len, 11, body->data, body->len);
	out->len = (size_t)(p - (uint8_t *)out->data);
}

void otlp_encode_span(struct otlp_encoder *e, const struct span *s, struct buf *out)
{
	struct arena *a = &e->repaired;
	const struct text_view state = c_text(a, s->trace_state), name = c_text(a, s->name);
	const struct text_view message = c_text(a, s->status_text);
	uint8_t *p;

	buf_reserve(out, state.len + name.len + sizeof(s->trace_id) + 2 * sizeof(s->span_id) + 8 * FIELD_MAX);
	p = put_head((uint8_t *)out->data + out->len, s, state, name);
	out->len = (size_t)(p - (uint8_t *)out->data);
	put_attrs(a, 9, s->attrs, s->nattrs, out);
	put_source(a, s, out);
	for (size_t i = 0; i < s->nevents; i++)
		put_event(e, &s->events[i], out);
	buf_reserve(out, message.len + 4 * FIELD_MAX);
	p = put_status((uint8_t *)out->data + out->len, s, message);
	if (span_has_parent(s))
		p = protobuf_put_fixed32(p, 16,
					 FLAG_REMOTE_KNOWN | (s->parent == SPAN_PARENT_REMOTE ? FLAG_REMOTE : 0));
	*p = 0;
	out->len = (size_t)(p - (uint8_t *)out->data);
	arena_done(a);
}

void otlp_encode_resource(const struct resource *r, struct buf *out)
{
	struct arena a = {0};

	buf_reserve(out, 0);
	put_attrs(&a, 1, r->attrs, r->nattrs, out);
	out->data[out->len] = 0;
	arena_done(&a);
}

/* ---- requests ---- */

static void pack_to(const ProtobufCMessage *m, struct buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	buf_reserve(out, n);
	protobuf_c_message_pack(m, (uint8_t *)out->data + out->len);
	out->len += n;
	out->data[out->len] = 0;
}

/* The items of an origin: n, which are to lie from `at` on. */
struct origin_run {
	const struct otlp_origin *origin;
	size_t n, at;
};
typedef VEC(struct origin_run) run_list;

static struct origin_run *run_of(run_list *runs, const struct otlp_origin *o)
{
	struct origin_run *r;

	for (size_t i = 0; i < runs->len; i++)
		if (runs->data[i].origin == o)
			return &runs->data[i];
	r = vec_add(runs);
	r->origin = o;
	return r;
}

/* By resource, then scope. */
static int by_origin(const void *a, const void *b)
{
	const struct otlp_origin *x = ((const struct origin_run *)a)->origin;
	const struct otlp_origin *y = ((const struct origin_run *)b)->origin;

	if (x->resource_id != y->resource_id)
		return x->resource_id < y->resource_id ? -1 : 1;
	return (x > y) - (x < y);
}

/* By origin, then age. There are few origins: they are sorted, not the items. */
static void group_items(const struct otlp_item **items, size_t n)
{
	_cleanup_(cleanup_free) const struct otlp_item **as_they_came = NULL;
	run_list runs = {0};
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		run_of(&runs, items[i]->origin)->n++;
	if (runs.len > 1) {
		qsort(runs.data, runs.len, sizeof(*runs.data), by_origin);
		as_they_came = xmalloc(n * sizeof(*items));
		memcpy(as_they_came, items, n * sizeof(*items));
	}
	for (size_t i = 0; i < runs.len; i++) {
		runs.data[i].at = at;
		at += runs.data[i].n;
	}
	for (size_t i = 0; as_they_came && i < n; i++)
		items[run_of(&runs, as_they_came[i]->origin)->at++] = as_they_came[i];
	vec_done(&runs);
}

/* The scope of the run of items that begins at items[0]; returns the run's length. */
static size_t scope_spans(struct arena *a, const struct otlp_item **items, size_t n,
			  Otlp__PackedScopeSpans **ret)
{
	Otlp__PackedScopeSpans *m = arena_new(a, Otlp__PackedScopeSpans);
	size_t k = 0;

	otlp__packed_scope_spans__init(m);
	m->scope = arena_new(a, Otlp__InstrumentationScope);
	otlp__instrumentation_scope__init(m->scope);
	m->scope->name = text(a, items[0]->origin->scope);
	m->scope->version = (char *)EARSHOT_VERSION;
	while (k < n && items[k]->origin == items[0]->origin)
		k++;
	m->spans = arena_array(a, ProtobufCBinaryData, k);
	m->n_spans = k;
	for (size_t i = 0; i < k; i++)
		m->spans[i] = (ProtobufCBinaryData){items[i]->len, (uint8_t *)items[i]->bytes};
	*ret = m;
	return k;
}

static size_t resource_spans(struct arena *a, const struct otlp_item **items, size_t n,
			     Otlp__PackedResourceSpans **ret)
{
	Otlp__PackedResourceSpans *m = arena_new(a, Otlp__PackedResourceSpans);
	const struct otlp_origin *o = items[0]->origin;
	size_t k = 0, runs = 1, end = 1;

	otlp__packed_resource_spans__init(m);
	m->resource = (ProtobufCBinaryData){o->resource.len, (uint8_t *)o->resource.data};
	for (; end < n && items[end]->origin->resource_id == o->resource_id; end++)
		runs += items[end]->origin != items[end - 1]->origin;
	m->scope_spans = arena_array(a, Otlp__PackedScopeSpans *, runs);
	while (k < end)
		k += scope_spans(a, items + k, end - k, &m->scope_spans[m->n_scope_spans++]);
	*ret = m;
	return end;
}

void otlp_encode_request(const struct otlp_item **items, size_t n, struct buf *out)
{
	Otlp__PackedRequest m = OTLP__PACKED_REQUEST__INIT;
	struct arena a = {0};
	size_t k = 0;

	group_items(items, n);
	m.resource_spans = arena_array(&a, Otlp__PackedResourceSpans *, n);
	while (k < n)
		k += resource_spans(&a, items + k, n - k, &m.resource_spans[m.n_resource_spans++]);
	pack_to(&m.base, out);
	arena_done(&a);
}

void otlp_printable(const char *s, size_t n, char *ret, size_t size)
{
	size_t k = 0, len;

	for (size_t i = 0; i < n; i += len ? len : 1) {
		len = utf8_valid(s + i, n - i);
		if (k + MAX(len, 1) >= size)
			break;
		if (len > 1 || (len == 1 && s[i] >= ' ' && s[i] != 0x7f)) {
			memcpy(ret + k, s + i, len);
			k += len;
		} else if (k && ret[k - 1] != ' ') {
			ret[k++] = ' ';
		}
	}
	while (k && ret[k - 1] == ' ')
		k--;
	ret[k] = 0;
}

int otlp_decode_response(const void *data, size_t n, struct otlp_reply *ret)
{
	Otlp__ExportTraceServiceResponse *m =
		otlp__export_trace_service_response__unpack(NULL, n, data);
	const Otlp__ExportTracePartialSuccess *p;

	if (!m)
		return -EBADMSG;
	*ret = (struct otlp_reply){0};
	p = m->partial_success;
	if (p) {
		ret->rejected = p->rejected_spans > 0 ? (uint64_t)p->rejected_spans : 0;
		otlp_printable(p->error_message, strlen(p->error_message), ret->message,
			       sizeof(ret->message));
	}
	otlp__export_trace_service_response__free_unpacked(m, NULL);
	return 0;
}

int otlp_decode_status(const void *data, size_t n, struct otlp_reply *ret)
{
	Otlp__RpcStatus *m = otlp__rpc_status__unpack(NULL, n, data);

	if (!m)
		return -EBADMSG;
	*ret = (struct otlp_reply){0};
	otlp_printable(m->message, strlen(m->message), ret->message, sizeof(ret->message));
	otlp__rpc_status__free_unpacked(m, NULL);
	return 0;
}
