/*
 * Spans to OTLP's protobuf and answers back. A span is encoded once, when it comes; a request is the
 * framing around bytes encoded before (the Packed messages of otlp_trace.proto). Protobuf strings
 * must be UTF-8, and a collector throws the whole request away for one that is not: bad bytes
 * become U+FFFD here.
 */
#include "sink/otlp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "otlp_trace.pb-c.h"

/* Of Span.flags: whether the parent is of another process. */
#define FLAG_REMOTE_KNOWN 0x100
#define FLAG_REMOTE       0x200

struct otlp_attrs {
	size_t cap;
	Otlp__KeyValue **pointers, *pairs;
	Otlp__AnyValue *values;
};

void otlp_encoder_done(struct otlp_encoder *e)
{
	if (e->attrs) {
		free(e->attrs->pointers);
		free(e->attrs->pairs);
		free(e->attrs->values);
		free(e->attrs);
	}
	arena_done(&e->repaired);
	*e = (struct otlp_encoder){0};
}

static bool is_utf8(const char *s, size_t n)
{
	size_t i = 0, len;

	while (i < n) {
		uint64_t eight;

		if (n - i >= sizeof(eight)) {
			memcpy(&eight, s + i, sizeof(eight));
			if (!(eight & 0x8080808080808080u)) {
				i += sizeof(eight);
				continue;
			}
		}
		len = utf8_valid(s + i, n - i);
		if (!len)
			return false;
		i += len;
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

static ProtobufCBinaryData text_bytes(struct arena *a, const char *s, size_t n)
{
	if (!is_utf8(s, n))
		s = repair(a, s, n, &n);
	return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)s};
}

static char *text(struct arena *a, const char *s)
{
	return s ? (char *)text_bytes(a, s, strlen(s)).data : (char *)protobuf_c_empty_string;
}

static void encode_value(struct arena *a, const struct attr *at, Otlp__AnyValue *v)
{
	switch (at->kind) {
	case ATTR_STRING:
		v->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
		v->string_value = text_bytes(a, at->s, at->len);
		break;
	case ATTR_INT:
		v->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
		v->int_value = at->i;
		break;
	case ATTR_DOUBLE:
		v->value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
		v->double_value = at->d;
		break;
	case ATTR_BOOL:
		v->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
		v->bool_value = at->b;
		break;
	}
}

static struct otlp_attrs *attrs_reserve(struct otlp_encoder *e, size_t n)
{
	struct otlp_attrs *s = e->attrs;

	if (!s)
		s = e->attrs = xcalloc(1, sizeof(*s));
	if (n <= s->cap)
		return s;
	s->cap = MAX(n, 32);
	s->pointers = xrealloc(s->pointers, s->cap * sizeof(*s->pointers));
	s->pairs = xrealloc(s->pairs, s->cap * sizeof(*s->pairs));
	s->values = xrealloc(s->values, s->cap * sizeof(*s->values));
	return s;
}

static void encode_attr(struct otlp_encoder *e, size_t i, const struct attr *attr)
{
	struct otlp_attrs *s = e->attrs;

	otlp__any_value__init(&s->values[i]);
	encode_value(&e->repaired, attr, &s->values[i]);
	otlp__key_value__init(&s->pairs[i]);
	s->pairs[i].key = text(&e->repaired, attr->key);
	s->pairs[i].value = &s->values[i];
	s->pointers[i] = &s->pairs[i];
}

/* more: room for so many that come behind. */
static Otlp__KeyValue **encode_attrs(struct otlp_encoder *e, const struct attr *attrs, size_t n, size_t more)
{
	struct otlp_attrs *s = attrs_reserve(e, n + more);

	for (size_t i = 0; i < n; i++)
		encode_attr(e, i, &attrs[i]);
	return s->pointers;
}

static void encode_span_attrs(struct otlp_encoder *e, const struct span *s, Otlp__Span *m)
{
	const char *source = parent_source_text(s->parent_source);

	m->attributes = encode_attrs(e, s->attrs, s->nattrs, 1);
	m->n_attributes = s->nattrs + 1;
	encode_attr(e, s->nattrs, &(struct attr){.key = PARENT_SOURCE_KEY, .kind = ATTR_STRING, .s = source,
						 .len = strlen(source)});
}

static void pack_to(const ProtobufCMessage *m, struct buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	buf_reserve(out, n);
	protobuf_c_message_pack(m, (uint8_t *)out->data + out->len);
	out->len += n;
	out->data[out->len] = 0;
}

void otlp_encode_span(struct otlp_encoder *e, const struct span *s, struct buf *out)
{
	Otlp__Span m = OTLP__SPAN__INIT;
	Otlp__Status status = OTLP__STATUS__INIT;

	m.trace_id = (ProtobufCBinaryData){sizeof(s->trace_id), (uint8_t *)s->trace_id};
	m.span_id = (ProtobufCBinaryData){sizeof(s->span_id), (uint8_t *)s->span_id};
	if (span_has_parent(s)) {
		m.parent_span_id = (ProtobufCBinaryData){sizeof(s->parent_id), (uint8_t *)s->parent_id};
		m.flags = FLAG_REMOTE_KNOWN | (s->parent == SPAN_PARENT_REMOTE ? FLAG_REMOTE : 0);
	}
	m.trace_state = text(&e->repaired, s->trace_state);
	m.name = text(&e->repaired, s->name);
	m.kind = (Otlp__SpanKind)s->kind;
	m.start_time_unix_nano = s->start_unix_ns;
	m.end_time_unix_nano = s->start_unix_ns + s->duration_ns;
	encode_span_attrs(e, s, &m);
	status.code = (Otlp__StatusCode)s->status;
	status.message = text(&e->repaired, s->status_text);
	if (s->status != SPAN_STATUS_UNSET)
		m.status = &status;
	pack_to(&m.base, out);
	arena_done(&e->repaired);
}

void otlp_encode_resource(const struct resource *r, struct buf *out)
{
	struct otlp_encoder e = {0};
	Otlp__Resource m = OTLP__RESOURCE__INIT;

	m.attributes = encode_attrs(&e, r->attrs, r->nattrs, 0);
	m.n_attributes = r->nattrs;
	pack_to(&m.base, out);
	otlp_encoder_done(&e);
}

/* By resource, then scope, then age. */
static int by_origin(const void *a, const void *b)
{
	const struct otlp_item *x = *(const struct otlp_item *const *)a;
	const struct otlp_item *y = *(const struct otlp_item *const *)b;

	if (x->origin->resource_id != y->origin->resource_id)
		return x->origin->resource_id < y->origin->resource_id ? -1 : 1;
	return (x->origin > y->origin) - (x->origin < y->origin);
}

static bool one_origin(const struct otlp_item **items, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (items[i]->origin != items[0]->origin)
			return false;
	return true;
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

	if (!one_origin(items, n))
		qsort(items, n, sizeof(*items), by_origin);
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
