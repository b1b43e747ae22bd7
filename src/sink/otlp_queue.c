/*
 * The queue between the thread that observes and the one that sends: encoded spans, back to back in blocks,
 * oldest first. Blocks are mapped, not allocated from the heap, so that the memory of a backlog goes back to
 * the system when the collector has caught up. Items never move: the sender reads them without the
 * lock while new ones are appended behind.
 */
#include "sink/otlp.h"

#include <string.h>
#include <sys/mman.h>

#include "base/vec.h"

#define BLOCK_SIZE   (64 * 1024)
#define KEEP_BLOCKS  16  /* that are empty: what a drain of a busy program fills. Mapping them anew costs page faults */
#define KEEP_ORIGINS 128 /* that no waiting span has; more are forgotten */

struct block {
	struct block *next;
	size_t size, used, dropped;
	char data[];
};

struct otlp_queue {
	size_t max_spans, max_bytes, len, bytes;
	struct block *head, *tail, *spare; /* spare: nspare that are linked */
	size_t nspare;
	struct otlp_origin *last;
	VEC(struct otlp_origin *) origins;
};

static size_t item_size(size_t len)
{
	return ALIGN_UP(sizeof(struct otlp_item) + len, _Alignof(struct otlp_item));
}

struct otlp_queue *otlp_queue_new(size_t max_spans, size_t max_bytes)
{
	struct otlp_queue *q = xcalloc(1, sizeof(*q));

	q->max_spans = max_spans;
	q->max_bytes = max_bytes;
	return q;
}

static void block_free(struct block *b)
{
	if (b)
		munmap(b, b->size);
}

static void origin_free(struct otlp_origin *o)
{
	free(o->scope);
	buf_done(&o->resource);
	free(o);
}

void otlp_queue_free(struct otlp_queue *q)
{
	struct block *b, *next;

	if (!q)
		return;
	for (b = q->head; b; b = next) {
		next = b->next;
		block_free(b);
	}
	for (b = q->spare; b; b = next) {
		next = b->next;
		block_free(b);
	}
	for (size_t i = 0; i < q->origins.len; i++)
		origin_free(q->origins.data[i]);
	vec_done(&q->origins);
	free(q);
}

static struct block *take_spare(struct otlp_queue *q)
{
	struct block *b = q->spare;

	if (b) {
		q->spare = b->next;
		q->nspare--;
	}
	return b;
}

/* NULL when there is no memory: the span is lost like one that finds the queue full. */
static struct block *block_new(struct otlp_queue *q, size_t need)
{
	size_t size = MAX(ALIGN_UP(sizeof(struct block) + need, 4096), BLOCK_SIZE);
	struct block *b = size == BLOCK_SIZE ? take_spare(q) : NULL;

	if (!b)
		b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED)
		return NULL;
	*b = (struct block){.size = size};
	if (q->tail)
		q->tail->next = b;
	else
		q->head = b;
	q->tail = b;
	return b;
}

bool otlp_queue_full(const struct otlp_queue *q)
{
	return q->len >= q->max_spans || q->bytes >= q->max_bytes;
}

size_t otlp_queue_len(const struct otlp_queue *q)
{
	return q->len;
}

bool otlp_queue_push(struct otlp_queue *q, struct otlp_origin *origin, const struct buf *span)
{
	size_t need = item_size(span->len);
	struct block *b = q->tail;
	struct otlp_item *it;

	if (otlp_queue_full(q))
		return false;
	if (!b || b->size - sizeof(*b) - b->used < need)
		b = block_new(q, need);
	if (!b)
		return false;
	it = (struct otlp_item *)(b->data + b->used);
	*it = (struct otlp_item){.origin = origin, .len = span->len};
	if (span->len)
		memcpy(it->bytes, span->data, span->len);
	b->used += need;
	origin->waiting++;
	q->len++;
	q->bytes += need;
	return true;
}

size_t otlp_queue_peek(const struct otlp_queue *q, size_t max, size_t max_bytes,
		       const struct otlp_item **ret)
{
	size_t n = 0, bytes = 0;

	for (const struct block *b = q->head; b; b = b->next)
		for (size_t pos = b->dropped; pos < b->used; n++) {
			const struct otlp_item *it = (const struct otlp_item *)(b->data + pos);

			if (n == max || (n && bytes + it->len > max_bytes))
				return n;
			ret[n] = it;
			bytes += it->len;
			pos += item_size(it->len);
		}
	return n;
}

static void drop_head(struct otlp_queue *q)
{
	struct block *b = q->head;

	q->head = b->next;
	if (!q->head)
		q->tail = NULL;
	if (b->size != BLOCK_SIZE || q->nspare == KEEP_BLOCKS) {
		block_free(b);
		return;
	}
	b->next = q->spare;
	q->spare = b;
	q->nspare++;
}

void otlp_queue_drop(struct otlp_queue *q, size_t n)
{
	while (n-- && q->head) {
		struct block *b = q->head;
		struct otlp_item *it = (struct otlp_item *)(b->data + b->dropped);
		size_t size = item_size(it->len);

		it->origin->waiting--;
		q->len--;
		q->bytes -= size;
		b->dropped += size;
		if (b->dropped == b->used)
			drop_head(q);
	}
}

static bool origin_is(const struct otlp_origin *o, const struct span *s)
{
	return o->resource_id == s->resource->id && !strcmp(o->scope + strlen("earshot/"), s->pack);
}

/* Programs come and go for as long as earshot runs; their resources must not pile up. */
static void forget_origins(struct otlp_queue *q)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->origins.len; i++) {
		struct otlp_origin *o = q->origins.data[i];

		if (o->waiting)
			q->origins.data[kept++] = o;
		else
			origin_free(o);
	}
	q->origins.len = kept;
	q->last = NULL;
}

struct otlp_origin *otlp_queue_origin(struct otlp_queue *q, const struct span *s)
{
	struct otlp_origin *o;

	if (q->last && origin_is(q->last, s))
		return q->last;
	for (size_t i = 0; i < q->origins.len; i++)
		if (origin_is(q->origins.data[i], s))
			return q->last = q->origins.data[i];
	if (q->origins.len >= KEEP_ORIGINS)
		forget_origins(q);
	o = xcalloc(1, sizeof(*o));
	o->resource_id = s->resource->id;
	o->scope = xasprintf("earshot/%s", s->pack);
	otlp_encode_resource(s->resource, &o->resource);
	vec_push(&q->origins, o);
	return q->last = o;
}
