/*
 * One exchange with a collector, over HTTP or gRPC, told as a verdict and a sentence.
 *
 * OTLP/HTTP is a POST of the protobuf, maybe gzipped. Later again: 429, 502, 503, 504 and any failure of
 * the connection, after Retry-After if there is one. Every other answer but 200 is for good. A 200
 * may carry a partial_success with the number of spans that were rejected for good.
 *
 * gRPC is a POST over HTTP/2 of one message behind five bytes (compressed?, length big-endian). The
 * answer is always 200 unless a proxy gave it; what happened is in grpc-status and grpc-message, in the
 * trailers, or in the headers when there is no body. Which codes mean "later": OTLP's specification,
 * "Failures" (RESOURCE_EXHAUSTED only when the details say how long to wait).
 *
 * curl's multi interface is used for one reason: an exchange can be ended at a deadline that is set
 * while it is under way.
 */
#include "sink/otlp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/text_view.h"
#include "sink/curl_load.h"

#define GRPC_PATH     "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define ANSWER_LIMIT  (64 * 1024) /* of an answer's body; more is not read */
#define WAIT_LIMIT_MS (3600 * 1000)
#define UPLOAD_BYTES  (256 * 1024L) /* at once: a batch of usual spans */

static const struct curl_api *curl; /* set before the first transport is made */

struct otlp_transport {
	char *url;     /* what is posted to */
	char *shown;   /* what the user knows it as */
	bool grpc, gzip, loopback; /* loopback: the collector is on this machine */
	unsigned timeout_ms;
	struct curl_slist *headers;
	CURLM *multi;  /* made at the first exchange, so that a program started before inherits nothing */
	CURL *easy;
	z_stream *deflate;
	atomic_uint_least64_t deadline_ns;

	struct buf body, answer; /* body: where it is not the request itself */
	char error[CURL_ERROR_SIZE];
	int grpc_status; /* -1: not seen */
	char grpc_message[200];
	bool grpc_details;
};

/* ---- the address ---- */

static bool url_part(CURLU *u, CURLUPart part, char **ret)
{
	return curl->url_get(u, part, ret, 0) == CURLUE_OK;
}

static void cleanup_url(CURLU **u)
{
	curl->url_cleanup(*u);
}

static void cleanup_curl_string(char **s)
{
	curl->free(*s);
}

static int bad_endpoint(const char *endpoint, struct err *err)
{
	return err_set(err, -EINVAL,
		       "expected a collector's address like http://host:4318 or grpc://host:4317, found \"%s\"",
		       endpoint);
}

/* "grpc://host" → its scheme for curl, and how many bytes of it to replace. */
static const char *grpc_scheme(const char *endpoint, size_t *ret_skip)
{
	if (!strncasecmp(endpoint, "grpc://", 7))
		return *ret_skip = 7, "http://";
	if (!strncasecmp(endpoint, "grpcs://", 8))
		return *ret_skip = 8, "https://";
	return NULL;
}

static bool set_path(CURLU *u, const char *path)
{
	return curl->url_set(u, CURLUPART_PATH, path, 0) == CURLUE_OK;
}

/* A URL of only scheme and authority; "http://host/" has a path. */
static bool has_path(const char *endpoint)
{
	const char *authority = strstr(endpoint, "://");

	return authority && strchr(authority + 3, '/');
}

static char *without_credentials(const char *endpoint)
{
	const char *start = strstr(endpoint, "://") + 3;
	size_t authority = strcspn(start, "/?#");
	const char *at = memrchr(start, '@', authority);

	return at ? xasprintf("%.*s%s", (int)(start - endpoint), endpoint, at + 1) : xstrdup(endpoint);
}

/* As a URL has it: [::1] too. A name is one only if it is always one (RFC 6761). */
static bool is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;
	char text[64];
	size_t n = strlen(host), skip = host[0] == '[' && n > 2 ? 1 : 0;
	const char *last = n > 9 ? strrchr(host, '.') : NULL;

	if (!strcasecmp(host, "localhost") || (last && !strcasecmp(last, ".localhost")))
		return true;
	snprintf(text, sizeof(text), "%.*s", (int)MIN(n - 2 * skip, sizeof(text) - 1), host + skip);
	if (inet_pton(AF_INET, text, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static int parse_endpoint(struct otlp_transport *t, const char *endpoint, struct err *err)
{
	_cleanup_(cleanup_url) CURLU *u = curl->url();
	_cleanup_(cleanup_curl_string) char *scheme = NULL;
	_cleanup_(cleanup_curl_string) char *host = NULL;
	_cleanup_(cleanup_curl_string) char *url = NULL;
	_cleanup_(cleanup_free) char *plain = NULL;
	size_t skip = 0;
	const char *prefix = grpc_scheme(endpoint, &skip);

	t->grpc = prefix;
	plain = xasprintf("%s%s", prefix ? prefix : "", endpoint + skip);
	if (!strstr(plain, "://") || curl->url_set(u, CURLUPART_URL, plain, 0) != CURLUE_OK)
		return bad_endpoint(endpoint, err);
	if (!url_part(u, CURLUPART_SCHEME, &scheme) || !url_part(u, CURLUPART_HOST, &host) || !*host)
		return bad_endpoint(endpoint, err);
	if (strcmp(scheme, "http") && strcmp(scheme, "https"))
		return bad_endpoint(endpoint, err);
	if (t->grpc && !set_path(u, GRPC_PATH))
		return bad_endpoint(endpoint, err);
	if (!t->grpc && !has_path(endpoint) && !set_path(u, "/v1/traces"))
		return bad_endpoint(endpoint, err);
	if (!url_part(u, CURLUPART_URL, &url))
		return bad_endpoint(endpoint, err);
	t->loopback = is_loopback(host);
	t->url = xstrdup(url);
	t->shown = without_credentials(t->grpc ? endpoint : url);
	return 0;
}

/* ---- set-up ---- */

static void add_header(struct otlp_transport *t, const char *h)
{
	struct curl_slist *l = curl->slist_append(t->headers, h);

	if (l)
		t->headers = l;
}

static void add_headers(struct otlp_transport *t, const char *const *own)
{
	add_header(t, t->grpc ? "Content-Type: application/grpc" : "Content-Type: application/x-protobuf");
	add_header(t, "User-Agent: earshot/" EARSHOT_VERSION);
	add_header(t, "Expect:"); /* curl would ask first for large bodies: a round trip each */
	if (t->grpc)
		add_header(t, "TE: trailers");
	if (t->gzip)
		add_header(t, t->grpc ? "grpc-encoding: gzip" : "Content-Encoding: gzip");
	for (; own && *own; own++)
		add_header(t, *own);
}

int otlp_transport_new(const struct otlp_options *o, struct otlp_transport **ret, struct err *err)
{
	struct otlp_transport *t;
	int r = curl_load(&curl, err);

	if (r < 0)
		return r;
	t = xcalloc(1, sizeof(*t));
	t->timeout_ms = o->timeout_ms;
	atomic_init(&t->deadline_ns, UINT64_MAX);
	r = parse_endpoint(t, o->endpoint, err);
	if (r < 0) {
		otlp_transport_free(t);
		return r;
	}
	t->gzip = o->compression == OTLP_COMPRESSION_GZIP ||
		  (o->compression == OTLP_COMPRESSION_UNSET && !t->loopback);
	add_headers(t, o->headers);
	*ret = t;
	return 0;
}

void otlp_transport_free(struct otlp_transport *t)
{
	if (!t)
		return;
	if (t->easy)
		curl->easy_cleanup(t->easy);
	if (t->multi)
		curl->multi_cleanup(t->multi);
	if (t->deflate)
		deflateEnd(t->deflate);
	free(t->deflate);
	if (t->headers)
		curl->slist_free_all(t->headers);
	buf_done(&t->body);
	buf_done(&t->answer);
	free(t->url);
	free(t->shown);
	free(t);
}

const char *otlp_transport_url(const struct otlp_transport *t)
{
	return t->shown;
}

bool otlp_transport_gzips(const struct otlp_transport *t)
{
	return t->gzip;
}

void otlp_transport_deadline(struct otlp_transport *t, uint64_t at_ns)
{
	atomic_store(&t->deadline_ns, at_ns);
}

/* A program that earshot starts must not inherit the connection. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct otlp_transport *t = arg;

	buf_append(&t->answer, data, MIN(n, ANSWER_LIMIT - MIN(t->answer.len, ANSWER_LIMIT)));
	return n;
}

static bool header_value(const char *line, size_t n, const char *name, const char **ret, size_t *ret_n)
{
	size_t k = strlen(name);

	if (n <= k || line[k] != ':' || strncasecmp(line, name, k))
		return false;
	for (k++; k < n && (line[k] == ' ' || line[k] == '\t'); k++)
		;
	*ret = line + k;
	*ret_n = n - k;
	return true;
}

/* grpc-message is percent-encoded. */
static void grpc_message(struct otlp_transport *t, const char *s, size_t n)
{
	char plain[sizeof(t->grpc_message)];
	size_t k = 0;

	for (size_t i = 0; i < n && k < sizeof(plain); i++)
		if (s[i] == '%' && n - i > 2 && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
			plain[k++] = (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]));
			i += 2;
		} else {
			plain[k++] = s[i];
		}
	otlp_printable(plain, k, t->grpc_message, sizeof(t->grpc_message));
}

/* Trailers come this way too. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct otlp_transport *t = arg;
	const char *v;
	size_t len;

	if (!t->grpc)
		return n;
	if (header_value(line, n, "grpc-status", &v, &len))
		t->grpc_status = len && v[0] >= '0' && v[0] <= '9' ? atoi(v) : -1;
	else if (header_value(line, n, "grpc-message", &v, &len))
		grpc_message(t, v, len);
	else if (header_value(line, n, "grpc-status-details-bin", &v, &len))
		t->grpc_details = true;
	return n;
}

static void set_options(struct otlp_transport *t)
{
	bool tls = !strncmp(t->url, "https:", 6);

	curl->easy_setopt(t->easy, CURLOPT_URL, t->url);
	curl->easy_setopt(t->easy, CURLOPT_POST, 1L);
	curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	curl->easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl->easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
	curl->easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(t->timeout_ms, 5000u));
	curl->easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl->easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl->easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl->easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl->easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl->easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
	curl->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
	if (t->grpc)
		curl->easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
				 tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	/* curl 7.88 fails the second request on a connection that was HTTP/2 by prior knowledge. */
	curl->easy_setopt(t->easy, CURLOPT_FORBID_REUSE, (long)(t->grpc && !tls));
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Else the end waits for a resolver thread that waits for a name server. */
	curl->easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static bool open_curl(struct otlp_transport *t)
{
	if (!t->multi)
		t->multi = curl->multi_init();
	if (!t->easy) {
		t->easy = curl->easy_init();
		if (t->easy)
			set_options(t);
	}
	return t->multi && t->easy;
}

/* ---- the body ---- */

static bool deflate_begin(struct otlp_transport *t)
{
	if (t->deflate)
		return deflateReset(t->deflate) == Z_OK;
	t->deflate = xcalloc(1, sizeof(*t->deflate));
	/* 16: with gzip's header. The cheapest level: this runs beside the program observed. */
	return deflateInit2(t->deflate, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool append_gzip(struct otlp_transport *t, const struct buf *in)
{
	struct buf *b = &t->body;
	z_stream *z;

	if (!deflate_begin(t))
		return false;
	z = t->deflate;
	buf_reserve(b, deflateBound(z, in->len));
	z->next_in = (unsigned char *)in->data;
	z->avail_in = (unsigned)in->len;
	z->next_out = (unsigned char *)b->data + b->len;
	z->avail_out = (unsigned)(b->cap - b->len - 1);
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return false;
	b->len += z->total_out;
	return true;
}

/* *ret: the request itself, or t's body. */
static bool make_body(struct otlp_transport *t, const struct buf *request, const struct buf **ret)
{
	size_t n;

	*ret = request;
	if (!t->grpc && !t->gzip)
		return true;
	*ret = &t->body;
	buf_reset(&t->body);
	if (t->grpc)
		buf_append(&t->body, t->gzip ? "\1\0\0\0\0" : "\0\0\0\0\0", 5);
	if (!t->gzip)
		buf_append(&t->body, request->data, request->len);
	else if (!append_gzip(t, request))
		return false;
	if (t->grpc) {
		n = t->body.len - 5;
		for (int i = 0; i < 4; i++)
			t->body.data[1 + i] = (char)(n >> (24 - 8 * i));
	}
	return true;
}

/* ---- the answer ---- */

static void PRINTF_LIKE(3, 4) settle(struct otlp_outcome *ret, enum otlp_verdict v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret->text, sizeof(ret->text), fmt, ap);
	va_end(ap);
	ret->verdict = v;
}

static void judge_failure(struct otlp_transport *t, CURLcode c, struct otlp_outcome *ret)
{
	long os = 0;

	curl->easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os);
	if (c == CURLE_COULDNT_CONNECT && os == ECONNREFUSED)
		settle(ret, OTLP_RETRY, "refused the connection");
	else if (c == CURLE_COULDNT_CONNECT)
		settle(ret, OTLP_RETRY, "cannot be connected to%s%s", os ? ": " : "",
		       os ? strerror((int)os) : "");
	else if (c == CURLE_COULDNT_RESOLVE_HOST)
		settle(ret, OTLP_RETRY, "has a host name that does not resolve");
	else if (c == CURLE_OPERATION_TIMEDOUT)
		settle(ret, OTLP_RETRY, "did not answer within %u ms", t->timeout_ms);
	else if (c == CURLE_GOT_NOTHING || c == CURLE_RECV_ERROR || c == CURLE_SEND_ERROR)
		settle(ret, OTLP_RETRY, "closed the connection without an answer%s",
		       t->grpc ? "; is it a gRPC port (4317)?" : "");
	else if (c == CURLE_HTTP2 || c == CURLE_HTTP2_STREAM || c == CURLE_UNSUPPORTED_PROTOCOL ||
		 c == CURLE_WEIRD_SERVER_REPLY)
		settle(ret, OTLP_RETRY, "does not speak %s; collectors take http:// on port 4318, grpc:// on 4317",
		       t->grpc ? "gRPC" : "HTTP/1.1");
	else
		settle(ret, OTLP_RETRY, "failed: %s", *t->error ? t->error : curl->easy_strerror(c));
}

static const char *status_hint(long status)
{
	switch (status) {
	case 401:
	case 403:
		return "; does it want a header (OTEL_EXPORTER_OTLP_HEADERS)?";
	case 404:
	case 405:
		return "; is the path right? Collectors take /v1/traces";
	case 413:
		return "; its limit on a request's size is too low";
	case 415:
		return "; it does not take gzipped protobuf";
	}
	return "";
}

/* What the answer itself says of why: a google.rpc.Status, or plain text. */
static void answer_message(const struct otlp_transport *t, struct otlp_reply *ret)
{
	*ret = (struct otlp_reply){0};
	if (otlp_decode_status(t->answer.data, t->answer.len, ret) == 0 && *ret->message)
		return;
	if (t->answer.len && t->answer.data[0] != '<')
		otlp_printable(t->answer.data, t->answer.len, ret->message, sizeof(ret->message));
}

static void judge_status(struct otlp_transport *t, long status, struct otlp_outcome *ret)
{
	struct otlp_reply reply;
	curl_off_t after = 0;
	bool later = status == 429 || status == 502 || status == 503 || status == 504;

	answer_message(t, &reply);
	if (later && curl->easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		ret->wait_ms = (uint64_t)MIN(after, WAIT_LIMIT_MS / 1000) * 1000;
	settle(ret, later ? OTLP_RETRY : OTLP_REFUSED, "answered %ld%s%s%s%s", status,
	       *reply.message ? " (" : "", reply.message, *reply.message ? ")" : "", status_hint(status));
}

static void judge_delivered(const void *data, size_t n, struct otlp_outcome *ret)
{
	struct otlp_reply reply;

	ret->verdict = OTLP_DELIVERED;
	if (otlp_decode_response(data, n, &reply) < 0 || (!reply.rejected && !*reply.message))
		return; /* the status said success; some receivers answer with JSON or nothing */
	ret->rejected = reply.rejected;
	snprintf(ret->text, sizeof(ret->text), "%s%s%s", reply.rejected ? "rejected spans" : "warned",
		 *reply.message ? ": " : "", reply.message);
}

static bool grpc_later(const struct otlp_transport *t)
{
	switch (t->grpc_status) {
	case 1:  /* CANCELLED */
	case 4:  /* DEADLINE_EXCEEDED */
	case 10: /* ABORTED */
	case 11: /* OUT_OF_RANGE */
	case 14: /* UNAVAILABLE */
	case 15: /* DATA_LOSS */
		return true;
	case 8: /* RESOURCE_EXHAUSTED; without details it means that the message is too large */
		return t->grpc_details;
	}
	return false;
}

static void judge_grpc(struct otlp_transport *t, struct otlp_outcome *ret)
{
	bool framed = t->answer.len >= 5 && t->answer.data[0] == 0;

	if (t->grpc_status == 0)
		judge_delivered(framed ? t->answer.data + 5 : "", framed ? t->answer.len - 5 : 0, ret);
	else if (t->grpc_status < 0)
		settle(ret, OTLP_REFUSED, "answered without a gRPC status; is it a gRPC port (4317)?");
	else
		settle(ret, grpc_later(t) ? OTLP_RETRY : OTLP_REFUSED, "answered with gRPC status %d%s%s%s",
		       t->grpc_status, *t->grpc_message ? " (" : "", t->grpc_message,
		       *t->grpc_message ? ")" : "");
}

static void judge(struct otlp_transport *t, CURLcode c, struct otlp_outcome *ret)
{
	long status = 0;

	if (c != CURLE_OK) {
		judge_failure(t, c, ret);
		return;
	}
	curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
		judge_status(t, status, ret);
	else if (t->grpc)
		judge_grpc(t, ret);
	else
		judge_delivered(t->answer.data ? t->answer.data : "", t->answer.len, ret);
}

/* ---- the exchange ---- */

/* Milliseconds to the deadline, at most 100: it may be moved closer meanwhile. */
static int next_look_ms(struct otlp_transport *t)
{
	uint64_t at = atomic_load(&t->deadline_ns), now = clock_monotonic_ns();

	return at <= now ? 0 : (int)MIN((at - now) / 1000000 + 1, 100u);
}

/* False: the deadline came first. */
static bool run(struct otlp_transport *t, CURLcode *ret)
{
	int running = 1, left, ms;
	CURLMsg *msg;

	*ret = CURLE_FAILED_INIT;
	for (;;) {
		if (curl->multi_perform(t->multi, &running) != CURLM_OK)
			return true;
		while ((msg = curl->multi_info_read(t->multi, &left)))
			if (msg->msg == CURLMSG_DONE)
				return *ret = msg->data.result, true;
		ms = next_look_ms(t);
		if (ms == 0)
			return false;
		if (curl->multi_poll(t->multi, NULL, 0, ms, NULL) != CURLM_OK)
			return true;
	}
}

void otlp_exchange(struct otlp_transport *t, const struct buf *request, struct otlp_outcome *ret)
{
	const struct buf *body;
	CURLcode c;

	*ret = (struct otlp_outcome){0};
	if (!open_curl(t) || !make_body(t, request, &body)) {
		settle(ret, OTLP_RETRY, "cannot be sent to: out of memory");
		return;
	}
	buf_reset(&t->answer);
	t->error[0] = 0;
	t->grpc_status = -1;
	t->grpc_message[0] = 0;
	t->grpc_details = false;
	curl->easy_setopt(t->easy, CURLOPT_POSTFIELDS, body->data);
	curl->easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
	curl->multi_add_handle(t->multi, t->easy);
	if (run(t, &c))
		judge(t, c, ret);
	else
		ret->verdict = OTLP_CANCELLED;
	curl->multi_remove_handle(t->multi, t->easy);
}
