/*
 * `--otlp`: spans to an OpenTelemetry collector. The observing thread encodes a span and queues the bytes;
 * a thread of its own sends them in batches, by count or by age, whichever is first. A collector that is
 * down or slow costs the observing thread nothing: the queue fills, and what does not fit is counted.
 * A batch stays in the queue until the collector has taken or refused it, so the bound holds for all
 * that is in memory, and every span that came is delivered or counted once.
 */
#include "sink/otlp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sink/otel_env.h"

#define QUEUE_BYTES    (24u << 20) /* for the sake of memory; some 40,000 spans of HTTP requests */
#define BATCH_BYTES    (2u << 20) /* gRPC servers take 4 MiB in one message */
#define FIRST_RETRY_MS 500
#define LAST_RETRY_MS  15000
#define MS             1000000ull

struct otlp {
	struct sink sink;
	struct otlp_transport *transport;
	size_t batch_spans;
	uint64_t interval_ns;
	struct otlp_encoder encoder; /* of the observing thread */
	struct buf scratch;
	pthread_t thread;
	bool joined;

	atomic_bool full;            /* nothing is taken now: spans need not be encoded. Changed under the lock */

	pthread_mutex_t lock;        /* guards what follows */
	pthread_cond_t wake;
	struct otlp_queue *queue;
	uint64_t due_ns;             /* when what waits is to be sent even if it is no full batch */
	bool closing;
	uint64_t close_ns;
	uint64_t delivered, refused, overflow;
	unsigned tries;              /* of the batch that cannot be sent now; 0: all is well */
	char text[400];              /* what the collector did last that was not well */
	char sentence[700];
};

/* ---- the sending thread ---- */

static void wait_until(struct otlp *o, uint64_t at_ns)
{
	struct timespec ts = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)};

	pthread_cond_timedwait(&o->wake, &o->lock, &ts);
}

/* Waits for a batch; 0 when there will be none. The items stay where they are. */
static size_t next_batch(struct otlp *o, const struct otlp_item **items)
{
	size_t n;

	pthread_mutex_lock(&o->lock);
	while (!o->closing && otlp_queue_len(o->queue) < o->batch_spans) {
		if (!otlp_queue_len(o->queue))
			pthread_cond_wait(&o->wake, &o->lock);
		else if (clock_monotonic_ns() < o->due_ns)
			wait_until(o, o->due_ns);
		else
			break;
	}
	n = otlp_queue_peek(o->queue, o->batch_spans, BATCH_BYTES, items);
	pthread_mutex_unlock(&o->lock);
	return n;
}

static void batch_done(struct otlp *o, size_t n, uint64_t refused, const char *text)
{
	pthread_mutex_lock(&o->lock);
	otlp_queue_drop(o->queue, n);
	atomic_store_explicit(&o->full, o->closing || otlp_queue_full(o->queue), memory_order_relaxed);
	refused = MIN(refused, n);
	o->refused += refused;
	o->delivered += n - refused;
	o->tries = 0;
	o->due_ns = clock_monotonic_ns() + o->interval_ns;
	if (*text)
		memcpy(o->text, text, strlen(text) + 1);
	pthread_mutex_unlock(&o->lock);
}

/* Doubles from try to try; half of it is left to chance, so that many senders do not come at once. */
static uint64_t backoff_ms(unsigned tries)
{
	uint64_t full = MIN((uint64_t)FIRST_RETRY_MS << MIN(tries - 1, 10u), (uint64_t)LAST_RETRY_MS);

	return full / 2 + clock_monotonic_ns() / 1000 % (full / 2 + 1);
}

/*
 * Waits before the next try; false: there is to be none. When the end is asked for, one more try is made
 * at once; a collector that was well until then may have more, as time allows.
 */
static bool wait_to_retry(struct otlp *o, const struct otlp_outcome *out)
{
	uint64_t now = clock_monotonic_ns(), until;
	bool again;

	pthread_mutex_lock(&o->lock);
	o->tries++;
	memcpy(o->text, out->text, sizeof(o->text));
	until = now + (out->wait_ms ? out->wait_ms : backoff_ms(o->tries)) * MS;
	if (o->closing) {
		again = o->tries < 3 && until < o->close_ns;
		while (again && clock_monotonic_ns() < until)
			wait_until(o, until);
	} else {
		while (!o->closing && clock_monotonic_ns() < until)
			wait_until(o, until);
		again = true;
	}
	pthread_mutex_unlock(&o->lock);
	return again;
}

/* False: it is the end, and what is left stays in the queue. */
static bool deliver(struct otlp *o, const struct otlp_item **items, size_t n, struct buf *request)
{
	struct otlp_outcome out;

	buf_reset(request);
	otlp_encode_request(items, n, request);
	for (;;) {
		otlp_exchange(o->transport, request, &out);
		if (out.verdict == OTLP_DELIVERED || out.verdict == OTLP_REFUSED) {
			batch_done(o, n, out.verdict == OTLP_REFUSED ? n : out.rejected, out.text);
			return true;
		}
		if (out.verdict == OTLP_CANCELLED || !wait_to_retry(o, &out))
			return false;
	}
}

static void *sender(void *arg)
{
	struct otlp *o = arg;
	const struct otlp_item **items = xcalloc(o->batch_spans, sizeof(*items));
	struct buf request = {0};
	size_t n;

	do
		n = next_batch(o, items);
	while (n && deliver(o, items, n, &request));
	buf_done(&request);
	free(items);
	return NULL;
}

/* ---- the observing thread ---- */

static void otlp_span(struct sink *s, const struct span *span)
{
	struct otlp *o = (struct otlp *)s;
	const bool full = atomic_load_explicit(&o->full, memory_order_relaxed);
	size_t len;

	buf_reset(&o->scratch);
	if (!full)
		otlp_encode_span(&o->encoder, span, &o->scratch);

	pthread_mutex_lock(&o->lock);
	if (full || !otlp_queue_push(o->queue, otlp_queue_origin(o->queue, span), &o->scratch))
		o->overflow++;
	len = otlp_queue_len(o->queue);
	atomic_store_explicit(&o->full, o->closing || otlp_queue_full(o->queue), memory_order_relaxed);
	if (len == 1)
		o->due_ns = clock_monotonic_ns() + o->interval_ns;
	pthread_mutex_unlock(&o->lock);
	if (len == 1 || len == o->batch_spans)
		pthread_cond_signal(&o->wake);
}

static bool otlp_full(struct sink *s)
{
	struct otlp *o = (struct otlp *)s;
	bool full;

	pthread_mutex_lock(&o->lock);
	full = otlp_queue_full(o->queue);
	pthread_mutex_unlock(&o->lock);
	return full;
}

static const char *otlp_trouble(struct sink *s)
{
	struct otlp *o = (struct otlp *)s;
	const char *url = otlp_transport_url(o->transport), *ret = o->sentence;
	size_t waiting;

	pthread_mutex_lock(&o->lock);
	waiting = otlp_queue_len(o->queue);
	if (o->tries)
		snprintf(o->sentence, sizeof(o->sentence), "%s %s (%u %s, %llu spans %s)", url, o->text,
			 o->tries, o->tries == 1 ? "try" : "tries",
			 o->joined ? (unsigned long long)o->refused : (unsigned long long)waiting,
			 o->joined ? "lost" : "waiting");
	else if (o->refused)
		snprintf(o->sentence, sizeof(o->sentence), "%s %s (%llu spans lost)", url,
			 *o->text ? o->text : "did not answer in time", (unsigned long long)o->refused);
	else if (o->overflow)
		snprintf(o->sentence, sizeof(o->sentence), "%s is too slow: %llu spans did not fit the queue",
			 url, (unsigned long long)o->overflow);
	else
		ret = NULL;
	pthread_mutex_unlock(&o->lock);
	return ret;
}

static void otlp_losses(struct sink *s, struct losses *ret)
{
	struct otlp *o = (struct otlp *)s;

	pthread_mutex_lock(&o->lock);
	ret->count[LOSS_SINK_QUEUE] += o->overflow;
	ret->count[LOSS_SINK_REFUSED] += o->refused;
	pthread_mutex_unlock(&o->lock);
}

uint64_t sink_otlp_delivered(struct sink *s)
{
	struct otlp *o = (struct otlp *)s;
	uint64_t n;

	pthread_mutex_lock(&o->lock);
	n = o->delivered;
	pthread_mutex_unlock(&o->lock);
	return n;
}

void sink_otlp_finish(struct sink *s, unsigned timeout_ms)
{
	struct otlp *o = (struct otlp *)s;
	size_t left;

	if (o->joined)
		return;
	pthread_mutex_lock(&o->lock);
	o->closing = true;
	atomic_store_explicit(&o->full, true, memory_order_relaxed);
	o->close_ns = clock_monotonic_ns() + timeout_ms * MS;
	otlp_transport_deadline(o->transport, o->close_ns);
	pthread_mutex_unlock(&o->lock);
	pthread_cond_signal(&o->wake);
	pthread_join(o->thread, NULL);
	o->joined = true;
	left = otlp_queue_len(o->queue);
	otlp_queue_drop(o->queue, left);
	o->refused += left;
}

static void otlp_close(struct sink *s, unsigned timeout_ms)
{
	struct otlp *o = (struct otlp *)s;

	if (!o)
		return;
	sink_otlp_finish(s, timeout_ms);
	otlp_transport_free(o->transport);
	otlp_queue_free(o->queue);
	otlp_encoder_done(&o->encoder);
	buf_done(&o->scratch);
	pthread_cond_destroy(&o->wake);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static const struct sink_ops otlp_ops = {
	.name = "otlp",
	.span = otlp_span,
	.full = otlp_full,
	.trouble = otlp_trouble,
	.losses = otlp_losses,
	.finish = sink_otlp_finish,
	.close = otlp_close,
};

/* ---- the making ---- */

/* Signals are the main thread's: it reads them from a descriptor. */
static int start_thread(struct otlp *o)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&o->thread, NULL, sender, o);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void init_locks(struct otlp *o)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&o->lock, NULL);
}

int sink_otlp_new(const struct otlp_options *given, struct sink **ret, struct err *err)
{
	struct otlp_options op = *given;
	struct otlp *o;
	int r;

	op.queue_spans = op.queue_spans ? op.queue_spans : 65536;
	op.batch_spans = MIN(op.batch_spans ? op.batch_spans : 512, op.queue_spans);
	op.interval_ms = op.interval_ms ? op.interval_ms : 1000;
	op.timeout_ms = op.timeout_ms ? op.timeout_ms : 10000;
	o = xcalloc(1, sizeof(*o));
	o->sink.ops = &otlp_ops;
	o->batch_spans = op.batch_spans;
	o->interval_ns = op.interval_ms * MS;
	o->queue = otlp_queue_new(op.queue_spans, QUEUE_BYTES);
	o->joined = true; /* not running yet */
	init_locks(o);
	r = otlp_transport_new(&op, &o->transport, err);
	if (r == 0) {
		r = start_thread(o);
		if (r < 0)
			err_set(err, r, "the thread that sends to %s could not be started: %s", op.endpoint,
				strerror(-r));
	}
	if (r < 0) {
		otlp_close(&o->sink, 0);
		return r;
	}
	o->joined = false;
	*ret = &o->sink;
	return 0;
}

/* ---- from the command line and the environment ---- */

struct otlp_asked {
	const char *endpoint;
	string_list headers;
};

static const struct option_def rows[] = {
	{0, "otlp", "URL", "send spans to a collector: http://host:4318 or grpc://host:4317", OPT_STRING,
	 offsetof(struct otlp_asked, endpoint)},
	{0, "otlp-header", "NAME=VALUE", "add a header to what is sent (repeatable)", OPT_LIST,
	 offsetof(struct otlp_asked, headers)},
	{0},
};

static const char *const manual[] = {
	"send spans to an OpenTelemetry collector:\n"
	".I http://host:4318\n"
	"(protobuf over HTTP) or\n"
	".I grpc://host:4317\n"
	"(gRPC). A collector that is down delays nothing; what cannot be kept is counted.\n"
	"What is sent is gzipped, unless the collector is on this machine (localhost, 127.0.0.0/8, ::1), where that\n"
	"costs more than the bytes; OTEL_EXPORTER_OTLP_COMPRESSION (gzip or none) decides for all collectors.",
	"add a header to what is sent; repeatable.",
};

/* "--otlp-header NAME=VALUE" → "NAME: VALUE", after those of the environment. NULL: one is none. */
static const char *const *make_headers(const string_list *given, const char *const *of_env, struct arena *arena,
				       struct err *err)
{
	const char **all;
	size_t n = 0;

	while (of_env && of_env[n])
		n++;
	all = arena_array(arena, const char *, n + given->len + 1);
	if (n)
		memcpy(all, of_env, n * sizeof(*all));
	for (size_t i = 0; i < given->len; i++) {
		const char *eq = strchr(given->data[i], '=');

		if (!eq || eq == given->data[i]) {
			err_set(err, -EINVAL, "--otlp-header expects NAME=VALUE, not \"%s\"", given->data[i]);
			return NULL;
		}
		all[n++] = arena_printf(arena, "%.*s: %s", (int)(eq - given->data[i]), given->data[i], eq + 1);
	}
	return all;
}

static int otlp_open(const struct sink_setup *s, struct sink **ret, struct err *err)
{
	const struct otlp_asked *asked = s->options;
	struct otlp_options o = {.endpoint = asked->endpoint};
	struct arena arena = {0};
	int r = 0;

	if (s->env) {
		o.compression = s->env->compression;
		o.timeout_ms = s->env->timeout_ms;
		if (!o.endpoint && !s->env->disabled)
			o.endpoint = s->env->endpoint;
	}
	if (!o.endpoint)
		return 0;
	o.headers = make_headers(&asked->headers, s->env ? s->env->headers : NULL, &arena, err);
	r = o.headers ? sink_otlp_new(&o, ret, err) : -EINVAL;
	arena_done(&arena);
	return r;
}

const struct sink_kind sink_otlp = {
	.name = "otlp",
	.takes = SINK_SPANS,
	.by_env = true,
	.options = rows,
	.options_size = sizeof(struct otlp_asked),
	.manual = manual,
	.open = otlp_open,
};
