/*
 * The OTLP sink against a collector in this process: one that answers well, later, never, slowly or with
 * nonsense. What matters most in each: spans given = spans delivered + spans counted as lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/clock.h"
#include "sink/otlp.h"
#include "otlp_trace.pb-c.h"
#include "unit/spans.h"

/* ---- a collector ---- */

struct collector {
	int fd, port;
	pthread_t thread;
	atomic_bool stop;
	/* The answers to give, one a request; the last one is repeated. */
	const char *const *answers;
	unsigned delay_ms;
	/* What came. */
	atomic_uint requests, spans, accepted, largest;
	atomic_bool gzip, bad;
	char request_line[128], head[4096];
	struct buf body; /* of the last request, decompressed */
};

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static bool fill(struct collector *c, int fd, struct buf *b)
{
	char chunk[16384];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	while (poll(&p, 1, 20) == 0)
		if (c->stop)
			return false;
	n = read(fd, chunk, sizeof(chunk));
	if (n <= 0)
		return false;
	buf_append(b, chunk, (size_t)n);
	return true;
}

static void gunzip(struct collector *c, const char *data, size_t n)
{
	z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned)n};

	buf_reset(&c->body);
	buf_reserve(&c->body, 16 << 20);
	z.next_out = (unsigned char *)c->body.data;
	z.avail_out = 16 << 20;
	if (inflateInit2(&z, 15 + 16) != Z_OK || inflate(&z, Z_FINISH) != Z_STREAM_END)
		c->bad = true;
	c->body.len = z.total_out;
	inflateEnd(&z);
}

static unsigned count_spans(struct collector *c)
{
	Otlp__ExportTraceServiceRequest *m =
		otlp__export_trace_service_request__unpack(NULL, c->body.len, (uint8_t *)c->body.data);
	unsigned n = 0;

	if (!m) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < m->n_resource_spans; i++)
		for (size_t k = 0; k < m->resource_spans[i]->n_scope_spans; k++)
			n += (unsigned)m->resource_spans[i]->scope_spans[k]->n_spans;
	otlp__export_trace_service_request__free_unpacked(m, NULL);
	return n;
}

static bool one_request(struct collector *c, int fd, struct buf *in)
{
	const char *end, *answer, *length;
	size_t head, body;
	unsigned n;

	while (!in->data || !(end = strstr(in->data, "\r\n\r\n")))
		if (!fill(c, fd, in))
			return false;
	head = (size_t)(end - in->data) + 4;
	length = strcasestr(in->data, "\r\nContent-Length:");
	body = length ? strtoul(length + 17, NULL, 10) : 0;
	while (in->len < head + body)
		if (!fill(c, fd, in))
			return false;
	snprintf(c->request_line, sizeof(c->request_line), "%.*s", (int)strcspn(in->data, "\r"), in->data);
	snprintf(c->head, sizeof(c->head), "%.*s", (int)head, in->data);
	c->gzip = strcasestr(c->head, "Content-Encoding: gzip");
	if (c->gzip) {
		gunzip(c, in->data + head, body);
	} else {
		buf_reset(&c->body);
		buf_append(&c->body, in->data + head, body);
	}
	n = count_spans(c);
	c->spans += n;
	c->largest = MAX(c->largest, n);
	for (unsigned i = 0; i < c->delay_ms && !c->stop; i += 10)
		nap(MIN(10u, c->delay_ms));
	answer = *c->answers;
	if (c->answers[1])
		c->answers++;
	if (!strncmp(answer, "HTTP/1.1 2", 10))
		c->accepted += n;
	c->requests++;
	buf_reset(in);
	n = (unsigned)strlen(answer);
	if (strstr(answer, "Content-Length: 0"))
		return write(fd, answer, n) == (ssize_t)n;
	/* With a body, which may hold NULs: "HTTP…\r\n\r\n" then its own text up to '$'. */
	return write(fd, answer, n) == (ssize_t)n && false;
}

static void *collect(void *arg)
{
	struct collector *c = arg;

	while (!c->stop) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		struct buf in = {0};
		int fd;

		if (poll(&p, 1, 20) <= 0)
			continue;
		fd = accept(c->fd, NULL, NULL);
		while (fd >= 0 && one_request(c, fd, &in))
			;
		close_fd(fd);
		buf_done(&in);
	}
	return NULL;
}

/* A port that nobody listens on until collector_start. */
static void collector_bind(struct collector *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	*c = (struct collector){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	assert_int_equal(bind(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&a, &len), 0);
	c->port = ntohs(a.sin_port);
}

static void collector_start(struct collector *c, const char *const *answers)
{
	c->answers = answers;
	assert_int_equal(listen(c->fd, 16), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, collect, c), 0);
}

static void collector_stop(struct collector *c)
{
	c->stop = true;
	if (c->answers)
		pthread_join(c->thread, NULL);
	close_fd(c->fd);
	assert_false(c->bad);
	buf_done(&c->body);
}

/* ---- spans ---- */

static const struct attr shop_attrs[] = {
	{.key = "service.name", .kind = ATTR_STRING, .s = "shop", .len = 4},
	{.key = "process.pid", .kind = ATTR_INT, .i = 7},
};
static const struct resource shop = {.service = "shop", .pid = 7, .attrs = shop_attrs, .nattrs = 2, .id = 1};
static const struct resource cart = {.service = "cart", .pid = 8, .attrs = shop_attrs, .nattrs = 1, .id = 2};

static const struct attr attrs[] = {
	{.key = "http.request.method", .kind = ATTR_STRING, .s = "GETxx", .len = 3},
	{.key = "http.response.status_code", .kind = ATTR_INT, .i = 503},
	{.key = "ratio", .kind = ATTR_DOUBLE, .d = 0.5},
	{.key = "flag", .kind = ATTR_BOOL, .b = true},
	{.key = "raw", .kind = ATTR_STRING, .s = "a\xff\0\xc3\xa4\xe2\x82", .len = 7},
};

static struct span span_of(const struct resource *r, const char *pack, unsigned n)
{
	struct span s = {.trace_id = {1, 2, 3}, .span_id = {9}, .name = "GET /cart", .pack = pack,
			 .kind = SPAN_SERVER, .status = SPAN_STATUS_ERROR, .status_text = "panic",
			 .start_unix_ns = 1700000000000000000u, .duration_ns = 5000,
			 .attrs = attrs, .nattrs = ARRAY_SIZE(attrs), .resource = r};

	memcpy(s.span_id + 4, &n, sizeof(n));
	return s;
}

static void give(struct sink *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct span span = span_of(&shop, "net-http", i);

		s->ops->span(s, &span);
	}
}

static struct sink *sink_to(const struct collector *c, struct otlp_options o)
{
	char url[64];
	struct sink *s;
	struct err err = {0};

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", c->port);
	o.endpoint = url;
	if (sink_otlp_new(&o, &s, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static struct losses losses_of(struct sink *s)
{
	struct losses l = {0};

	s->ops->losses(s, &l);
	return l;
}

static void wait_for(atomic_uint *v, unsigned n)
{
	for (int i = 0; i < 1000 && *v < n; i++)
		nap(10);
	assert_true(*v >= n);
}

/* ---- encoding ---- */

static void test_bytes(void **state)
{
	/* By hand from the specification's field numbers. */
	static const uint8_t expected[] = {
		0x0a, 16, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* trace_id */
		0x12, 8, 9, 0, 0, 0, 0, 0, 0, 0,                          /* span_id */
		0x1a, 7, 'a', '=', '1', ',', 'b', '=', '2',               /* trace_state */
		0x22, 8, 5, 0, 0, 0, 0, 0, 0, 0,                          /* parent_span_id */
		0x2a, 1, 'x',                                             /* name */
		0x30, 2,                                                  /* kind server */
		0x39, 1, 0, 0, 0, 0, 0, 0, 0,                             /* start */
		0x41, 3, 0, 0, 0, 0, 0, 0, 0,                             /* end */
		0x4a, 8, 0x0a, 1, 'k', 0x12, 3, 0x0a, 1, 'v',             /* attribute k = "v" */
		0x4a, 7, 0x0a, 1, 'i', 0x12, 2, 0x18, 5,                  /* attribute i = 5 */
		0x4a, 34, 0x0a, 21, 'e', 'a', 'r', 's', 'h', 'o', 't', '.', 'p', 'a', 'r', 'e', 'n', 't', '.',
		's', 'o', 'u', 'r', 'c', 'e', 0x12, 9, 0x0a, 7, 'c', 'o', 'n', 't', 'e', 'x', 't', /* how it is known */
		0x7a, 2, 0x18, 2,                                         /* status error */
		0x85, 1, 0, 3, 0, 0,                                      /* flags: the parent is remote */
	};
	const struct attr a[] = {{.key = "k", .kind = ATTR_STRING, .s = "v", .len = 1},
				 {.key = "i", .kind = ATTR_INT, .i = 5}};
	struct span s = {.trace_id = {1, 2, 3}, .span_id = {9}, .parent_id = {5}, .parent = SPAN_PARENT_REMOTE,
			 .parent_source = PARENT_CONTEXT, .trace_state = "a=1,b=2", .name = "x", .pack = "p",
			 .kind = SPAN_SERVER,
			 .status = SPAN_STATUS_ERROR, .start_unix_ns = 1, .duration_ns = 2,
			 .attrs = a, .nattrs = 2, .resource = &shop};
	struct otlp_encoder e = {0};
	struct buf b = {0};

	otlp_encode_span(&e, &s, &b);
	assert_int_equal(b.len, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
	buf_done(&b);
	otlp_encoder_done(&e);
}

/* Each length and number takes the bytes that protobuf-c gives it. */
static void test_sizes(void **state)
{
	static const size_t lengths[] = {0, 1, 7, 8, 9, 120, 127, 128, 129, 16383, 16384, 70000};
	static const int64_t numbers[] = {0, 1, 127, 128, -1, 1ll << 35, INT64_MAX, INT64_MIN, 16384, 99, 300, -300};
	struct otlp_encoder e = {0};
	struct buf b = {0};
	char *text = malloc(70001);

	memset(text, 'x', 70000);
	text[70000] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		const char *part = text + 70000 - lengths[i];
		const struct attr a[] = {{.key = part, .kind = ATTR_STRING, .s = part, .len = lengths[i]},
					 {.key = "n", .kind = ATTR_INT, .i = numbers[i]},
					 {.key = "d", .kind = ATTR_DOUBLE, .d = (double)i},
					 {.key = "", .kind = ATTR_BOOL, .b = i & 1}};
		struct span s = {.span_id = {9}, .name = part, .trace_state = part, .status_text = part,
				 .status = i % 3, .kind = i % 6, .parent = i % 4, .start_unix_ns = i,
				 .duration_ns = i / 2, .attrs = a, .nattrs = ARRAY_SIZE(a)};
		uint8_t *packed;
		Otlp__Span *m;

		buf_reset(&b);
		otlp_encode_span(&e, &s, &b);
		m = otlp__span__unpack(NULL, b.len, (uint8_t *)b.data);
		assert_non_null(m);
		assert_int_equal(m->n_attributes, ARRAY_SIZE(a) + 1);
		assert_true(m->attributes[1]->value->int_value == numbers[i]);
		assert_int_equal(otlp__span__get_packed_size(m), b.len);
		packed = malloc(b.len);
		otlp__span__pack(m, packed);
		assert_memory_equal(packed, b.data, b.len);
		otlp__span__free_unpacked(m, NULL);
		free(packed);
	}
	free(text);
	buf_done(&b);
	otlp_encoder_done(&e);
}

static void test_events(void **state)
{
	const struct attr message[] = {STR("message", "bad \xff byte"), INT("n", 3)}, one[] = {STR("a", "b")};
	const struct span_event events[] = {{.name = "first", .unix_ns = SPAN_START + 5, .attrs = message, .nattrs = 2},
					    {.name = "second", .unix_ns = SPAN_START + 7}};
	struct span s = span_make("GET /cart", 10, one, 1), *copy;
	struct otlp_encoder e = {0};
	struct buf b = {0};
	Otlp__Span *m;
	size_t bytes;

	s.events = events;
	s.nevents = 2;
	copy = span_copy(&s, &bytes); /* which sinks keep, for a while */
	otlp_encode_span(&e, copy, &b);
	m = otlp__span__unpack(NULL, b.len, (uint8_t *)b.data);
	assert_non_null(m);
	assert_int_equal(m->n_events, 2);
	assert_string_equal(m->events[0]->name, "first");
	assert_true(m->events[0]->time_unix_nano == SPAN_START + 5);
	assert_int_equal(m->events[0]->n_attributes, 2);
	assert_int_equal(m->events[0]->attributes[0]->value->string_value.len, 12);
	assert_memory_equal(m->events[0]->attributes[0]->value->string_value.data, "bad \xef\xbf\xbd byte", 12);
	assert_true(m->events[0]->attributes[1]->value->int_value == 3);
	assert_string_equal(m->events[1]->name, "second");
	assert_int_equal(m->events[1]->n_attributes, 0);
	assert_int_equal(m->n_attributes, 2);
	otlp__span__free_unpacked(m, NULL);
	otlp_encoder_done(&e);
	buf_done(&b);
	free(copy);
}

static const Otlp__KeyValue *attr_of(const Otlp__Span *s, const char *key)
{
	for (size_t i = 0; i < s->n_attributes; i++)
		if (!strcmp(s->attributes[i]->key, key))
			return s->attributes[i];
	fail_msg("no attribute %s", key);
	return NULL;
}

static void check_span(const Otlp__Span *s)
{
	const Otlp__AnyValue *raw = attr_of(s, "raw")->value;

	assert_string_equal(s->name, "GET /cart");
	assert_int_equal(s->kind, OTLP__SPAN_KIND__SPAN_KIND_SERVER);
	assert_int_equal(s->trace_id.len, 16);
	assert_int_equal(s->parent_span_id.len, 0);
	assert_true(s->end_time_unix_nano - s->start_time_unix_nano == 5000);
	assert_int_equal(s->status->code, OTLP__STATUS_CODE__STATUS_CODE_ERROR);
	assert_string_equal(s->status->message, "panic");
	assert_int_equal(attr_of(s, "http.request.method")->value->string_value.len, 3);
	assert_true(attr_of(s, "http.response.status_code")->value->int_value == 503);
	assert_true(attr_of(s, "ratio")->value->double_value == 0.5);
	assert_true(attr_of(s, "flag")->value->bool_value);
	assert_int_equal(attr_of(s, "earshot.parent.source")->value->string_value.len, strlen("unknown"));
	/* Two bytes that are no UTF-8 at the end, one in front; the NUL stays. */
	assert_int_equal(raw->string_value.len, 1 + 3 + 1 + 2 + 6);
	assert_memory_equal(raw->string_value.data, "a\xef\xbf\xbd\0\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd", 13);
}

static void test_round_trip(void **state)
{
	/* Two resources; two scopes in the first; interleaved. */
	static const struct {
		const struct resource *r;
		const char *pack;
	} from[] = {{&cart, "net-http"}, {&shop, "net-http"}, {&shop, "redis"}, {&cart, "net-http"},
		    {&shop, "net-http"}};
	struct otlp_queue *q = otlp_queue_new(10, 1 << 20);
	const struct otlp_item *items[ARRAY_SIZE(from)];
	Otlp__ExportTraceServiceRequest *m;
	struct otlp_encoder e = {0};
	struct buf b = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
		struct span s = span_of(from[i].r, from[i].pack, i);

		buf_reset(&b);
		otlp_encode_span(&e, &s, &b);
		assert_true(otlp_queue_push(q, otlp_queue_origin(q, &s), &b));
	}
	assert_int_equal(otlp_queue_peek(q, ARRAY_SIZE(items), 1 << 20, items), ARRAY_SIZE(items));
	buf_reset(&b);
	otlp_encode_request(items, ARRAY_SIZE(items), &b);
	m = otlp__export_trace_service_request__unpack(NULL, b.len, (uint8_t *)b.data);
	assert_non_null(m);
	assert_int_equal(m->n_resource_spans, 2);
	for (size_t i = 0; i < 2; i++) {
		Otlp__ResourceSpans *rs = m->resource_spans[i];
		bool is_shop = rs->n_scope_spans == 2;

		assert_int_equal(rs->resource->n_attributes, is_shop ? 2 : 1);
		assert_string_equal(rs->resource->attributes[0]->key, "service.name");
		assert_memory_equal(rs->scope_spans[0]->scope->name, "earshot/", 8);
		assert_string_equal(rs->scope_spans[0]->scope->version, EARSHOT_VERSION);
		for (size_t k = 0; k < rs->n_scope_spans; k++)
			check_span(rs->scope_spans[k]->spans[0]);
		assert_int_equal(rs->scope_spans[0]->n_spans + (is_shop ? rs->scope_spans[1]->n_spans : 0),
				 is_shop ? 3 : 2);
	}
	otlp__export_trace_service_request__free_unpacked(m, NULL);
	otlp_queue_free(q);
	otlp_encoder_done(&e);
	buf_done(&b);
}

static void test_queue(void **state)
{
	struct otlp_queue *q = otlp_queue_new(3000, 1 << 20);
	const struct otlp_item *items[1000];
	struct buf b = {0};
	struct span s = span_of(&shop, "p", 0);
	size_t pushed = 0, dropped = 0, n;

	/* Many sizes, one larger than a block, and resources that come and go. */
	for (unsigned i = 0; i < 20000; i++) {
		struct resource r = shop;

		r.id = i / 10;
		s.resource = &r;
		buf_reset(&b);
		for (unsigned k = 0; k < (i % 997 ? i * 7 % 600 : 100000); k++)
			buf_char(&b, (char)i);
		pushed += otlp_queue_push(q, otlp_queue_origin(q, &s), &b);
		n = i % 9 ? 0 : otlp_queue_peek(q, i % 10, 4000, items);
		for (size_t k = 0; k < n; k++)
			assert_true(!items[k]->len || items[k]->bytes[0] == items[k]->bytes[items[k]->len - 1]);
		otlp_queue_drop(q, n);
		dropped += n;
		assert_int_equal(otlp_queue_len(q), pushed - dropped);
	}
	assert_true(pushed > 1000 && pushed < 20000);
	otlp_queue_drop(q, 100000);
	assert_int_equal(otlp_queue_len(q), 0);
	assert_false(otlp_queue_full(q));
	otlp_queue_free(q);
	buf_done(&b);
}

static void test_printable(void **state)
{
	char t[8];

	otlp_printable("a\x1b[31m\n\n\xff""b", 9, t, sizeof(t));
	assert_string_equal(t, "a [31m");
	otlp_printable("123456\xe2\x82\xac", 9, t, sizeof(t));
	assert_string_equal(t, "123456");
	otlp_printable("  ", 2, t, sizeof(t));
	assert_string_equal(t, "");
}

static void test_endpoints(void **state)
{
	static const char *const bad[] = {"", "localhost", "localhost:4318", "ftp://h", "http://", "http://h:99999",
					  "http://h h/", "grpc://", "unix:///x"};
	static const char *const good[][2] = {
		{"http://h:4318", "http://h:4318/v1/traces"}, {"http://h/", "http://h/"},
		{"https://u:p@h/x", "https://h/x"}, {"grpc://h:4317", "grpc://h:4317"},
		{"HTTP://[::1]:4318", "http://[::1]:4318/v1/traces"}, {"grpcs://h", "grpcs://h"}};
	struct otlp_transport *t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		struct otlp_options o = {.endpoint = bad[i]};

		if (otlp_transport_new(&o, &t, &err) != -EINVAL)
			fail_msg("accepted \"%s\"", bad[i]);
		assert_non_null(strstr(err.text, "http://host:4318"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct otlp_options o = {.endpoint = good[i][0]};

		assert_int_equal(otlp_transport_new(&o, &t, NULL), 0);
		assert_string_equal(otlp_transport_url(t), good[i][1]);
		otlp_transport_free(t);
	}
}

/* ---- sending ---- */

/* Nobody said whether to compress: bytes that do not leave the machine are not worth it. */
static void test_compression(void **state)
{
	static const struct {
		const char *endpoint;
		enum otlp_compression asked;
		bool gzips;
	} cases[] = {
		{"http://localhost:4318", OTLP_COMPRESSION_UNSET, false},
		{"http://LOCALHOST", OTLP_COMPRESSION_UNSET, false},
		{"https://otel.localhost:4318/v1/traces", OTLP_COMPRESSION_UNSET, false},
		{"http://127.0.0.1:4318", OTLP_COMPRESSION_UNSET, false},
		{"grpc://127.8.0.3:4317", OTLP_COMPRESSION_UNSET, false},
		{"http://[::1]:4318", OTLP_COMPRESSION_UNSET, false},
		{"http://[::1]:4318", OTLP_COMPRESSION_NONE, false},
		{"http://[::1]:4318", OTLP_COMPRESSION_GZIP, true},
		{"http://localhost.example.org", OTLP_COMPRESSION_UNSET, true},
		{"http://notlocalhost", OTLP_COMPRESSION_UNSET, true},
		{"http://127.example.org", OTLP_COMPRESSION_UNSET, true},
		{"http://128.0.0.1", OTLP_COMPRESSION_UNSET, true},
		{"http://[::2]", OTLP_COMPRESSION_UNSET, true},
		{"grpc://collector:4317", OTLP_COMPRESSION_UNSET, true},
		{"grpc://collector:4317", OTLP_COMPRESSION_NONE, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct otlp_options o = {.endpoint = cases[i].endpoint, .compression = cases[i].asked};
		struct otlp_transport *t;
		struct err err = {0};

		if (otlp_transport_new(&o, &t, &err) < 0)
			fail_msg("%s: %s", cases[i].endpoint, err.text);
		if (otlp_transport_gzips(t) != cases[i].gzips)
			fail_msg("%s, %d: %d", cases[i].endpoint, cases[i].asked, !cases[i].gzips);
		otlp_transport_free(t);
	}
}

static void test_delivers(void **state)
{
	const char *const answers[] = {OK_ANSWER, NULL}, *const headers[] = {"X-Tenant: shop", NULL};
	struct collector c;
	struct sink *s;

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.compression = OTLP_COMPRESSION_GZIP, .headers = headers,
					      .batch_spans = 100, .interval_ms = 60000});
	give(s, 250);
	wait_for(&c.accepted, 200); /* two by count … */
	nap(100);
	assert_int_equal(c.requests, 2);
	sink_otlp_finish(s, 2000); /* … and the rest at the end */
	assert_int_equal(c.accepted, 250);
	assert_int_equal(c.largest, 100);
	assert_true(c.gzip);
	assert_string_equal(c.request_line, "POST /v1/traces HTTP/1.1");
	assert_non_null(strstr(c.head, "Content-Type: application/x-protobuf\r\n"));
	assert_non_null(strstr(c.head, "X-Tenant: shop\r\n"));
	assert_int_equal(sink_otlp_delivered(s), 250);
	assert_null(s->ops->trouble(s));
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_interval(void **state)
{
	const char *const answers[] = {OK_ANSWER, NULL};
	uint64_t before = clock_monotonic_ns();
	struct collector c;
	struct sink *s;

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.interval_ms = 200});
	give(s, 3);
	wait_for(&c.accepted, 3);
	assert_in_range((clock_monotonic_ns() - before) / 1000000, 150, 2000);
	assert_int_equal(c.requests, 1);
	assert_false(c.gzip);
	s->ops->close(s, 1000);
	collector_stop(&c);
}

static void test_down_then_up(void **state)
{
	const char *const answers[] = {OK_ANSWER, NULL};
	struct collector c;
	struct sink *s;
	char expected[128];

	collector_bind(&c);
	s = sink_to(&c, (struct otlp_options){.batch_spans = 5, .interval_ms = 50});
	give(s, 12);
	for (int i = 0; i < 300 && !s->ops->trouble(s); i++)
		nap(10);
	snprintf(expected, sizeof(expected),
		 "http://127.0.0.1:%d/v1/traces refused the connection (1 try, 12 spans waiting)", c.port);
	assert_string_equal(s->ops->trouble(s), expected);
	collector_start(&c, answers);
	wait_for(&c.accepted, 12);
	sink_otlp_finish(s, 1000);
	assert_int_equal(sink_otlp_delivered(s), 12);
	assert_null(s->ops->trouble(s));
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_down_to_the_end(void **state)
{
	struct collector c;
	struct sink *s;
	struct losses l;
	uint64_t before;

	collector_bind(&c);
	s = sink_to(&c, (struct otlp_options){.interval_ms = 10, .queue_spans = 50});
	give(s, 80);
	nap(50);
	before = clock_monotonic_ns();
	sink_otlp_finish(s, 2000);
	assert_true((clock_monotonic_ns() - before) / 1000000 < 2100);
	l = losses_of(s);
	assert_int_equal(l.count[LOSS_SINK_QUEUE], 30);
	assert_int_equal(l.count[LOSS_SINK_REFUSED], 50);
	assert_non_null(strstr(s->ops->trouble(s), "refused the connection ("));
	assert_non_null(strstr(s->ops->trouble(s), ", 50 spans lost)"));
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_retry_after(void **state)
{
	const char *const answers[] = {
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", OK_ANSWER, NULL};
	uint64_t before = clock_monotonic_ns();
	struct collector c;
	struct sink *s;

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.compression = OTLP_COMPRESSION_GZIP, .interval_ms = 10});
	give(s, 4);
	wait_for(&c.accepted, 4);
	assert_in_range((clock_monotonic_ns() - before) / 1000000, 1250, 4000);
	assert_int_equal(c.requests, 3);
	sink_otlp_finish(s, 500);
	assert_int_equal(sink_otlp_delivered(s), 4);
	assert_int_equal(losses_of(s).count[LOSS_SINK_REFUSED], 0);
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_retry_after_date(void **state)
{
	char answer[200], date[64];
	const char *const answers[] = {answer, OK_ANSWER, NULL};
	time_t at = time(NULL) + 3;
	struct collector c;
	struct sink *s;
	struct tm tm;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
	snprintf(answer, sizeof(answer), "HTTP/1.1 503 x\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.interval_ms = 10});
	give(s, 1);
	wait_for(&c.accepted, 1);
	assert_true(time(NULL) >= at - 1);
	s->ops->close(s, 500);
	collector_stop(&c);
}

static void test_refused(void **state)
{
	/* A google.rpc.Status: message "no such \x1btenant". */
	const char *const answers[] = {
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-protobuf\r\nConnection: close\r\n\r\n"
		"\x08\x03\x12\x0fno such \x1btenant",
		OK_ANSWER, NULL};
	struct collector c;
	struct sink *s;
	char expected[160];

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.batch_spans = 10, .interval_ms = 20});
	give(s, 10);
	wait_for(&c.requests, 1);
	give(s, 5);
	wait_for(&c.requests, 2);
	sink_otlp_finish(s, 1000);
	assert_int_equal(c.accepted, 5);
	assert_int_equal(sink_otlp_delivered(s), 5);
	assert_int_equal(losses_of(s).count[LOSS_SINK_REFUSED], 10);
	snprintf(expected, sizeof(expected),
		 "http://127.0.0.1:%d/v1/traces answered 400 (no such tenant) (10 spans lost)", c.port);
	assert_string_equal(s->ops->trouble(s), expected);
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_partial_success(void **state)
{
	const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nConnection: close\r\n\r\n"
		"\x0a\x0b\x08\x03\x12\x07too old", NULL};
	struct collector c;
	struct sink *s;

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.interval_ms = 10});
	give(s, 8);
	wait_for(&c.requests, 1);
	sink_otlp_finish(s, 1000);
	assert_int_equal(sink_otlp_delivered(s), 5);
	assert_int_equal(losses_of(s).count[LOSS_SINK_REFUSED], 3);
	assert_non_null(strstr(s->ops->trouble(s), "rejected spans: too old (3 spans lost)"));
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_nonsense(void **state)
{
	const char *const answers[] = {"SSH-2.0-x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le",
				       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\xff\xff\xff", NULL};
	struct collector c;
	struct sink *s;

	collector_bind(&c);
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.interval_ms = 10});
	give(s, 8);
	wait_for(&c.requests, 2);
	sink_otlp_finish(s, 3000);
	assert_int_equal(sink_otlp_delivered(s) + losses_of(s).count[LOSS_SINK_REFUSED], 8);
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_slow_and_full(void **state)
{
	const char *const answers[] = {OK_ANSWER, NULL};
	uint64_t before, longest = 0;
	struct collector c;
	struct sink *s;
	struct losses l;

	collector_bind(&c);
	c.delay_ms = 30;
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.compression = OTLP_COMPRESSION_GZIP,
					      .queue_spans = 500, .batch_spans = 50});
	for (unsigned i = 0; i < 20000; i++) {
		before = clock_monotonic_ns();
		give(s, 1);
		longest = MAX(longest, clock_monotonic_ns() - before);
		if (i % 100 == 0)
			nap(1);
	}
	sink_otlp_finish(s, 5000);
	l = losses_of(s);
	assert_true(l.count[LOSS_SINK_QUEUE] > 0);
	assert_int_equal(l.count[LOSS_SINK_REFUSED], 0);
	assert_int_equal(sink_otlp_delivered(s), c.accepted);
	assert_int_equal(sink_otlp_delivered(s) + l.count[LOSS_SINK_QUEUE], 20000);
	assert_true(longest < 500000000); /* never waits for the collector (the machine may be busy) */
	s->ops->close(s, 0);
	collector_stop(&c);
}

static void test_close_in_time(void **state)
{
	const char *const answers[] = {OK_ANSWER, NULL};
	struct collector c;
	struct sink *s;
	uint64_t before;

	collector_bind(&c);
	c.delay_ms = 60000;
	collector_start(&c, answers);
	s = sink_to(&c, (struct otlp_options){.batch_spans = 10});
	give(s, 25);
	nap(100);
	before = clock_monotonic_ns();
	sink_otlp_finish(s, 300);
	assert_in_range((clock_monotonic_ns() - before) / 1000000, 250, 1500);
	assert_int_equal(sink_otlp_delivered(s), 0);
	assert_int_equal(losses_of(s).count[LOSS_SINK_REFUSED], 25);
	give(s, 2); /* too late */
	assert_int_equal(losses_of(s).count[LOSS_SINK_QUEUE], 2);
	s->ops->close(s, 1000);
	collector_stop(&c);
}

static void test_close_idle(void **state)
{
	struct sink *s;
	struct otlp_options o = {.endpoint = "http://127.0.0.1:1"};
	uint64_t before = clock_monotonic_ns();

	assert_int_equal(sink_otlp_new(&o, &s, NULL), 0);
	s->ops->close(s, 5000);
	assert_true(clock_monotonic_ns() - before < 1000000000);
	o.endpoint = "nowhere";
	assert_int_equal(sink_otlp_new(&o, &s, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_queue),          cmocka_unit_test(test_printable),
		cmocka_unit_test(test_endpoints),      cmocka_unit_test(test_compression),
		cmocka_unit_test(test_delivers),
		cmocka_unit_test(test_interval),       cmocka_unit_test(test_down_then_up),
		cmocka_unit_test(test_down_to_the_end), cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_retry_after_date), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_partial_success), cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_slow_and_full),  cmocka_unit_test(test_close_in_time),
		cmocka_unit_test(test_close_idle),
	};

	setenv("NO_PROXY", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
