#include "plant/ring/pool.h"

#include <fcntl.h>
#include <string.h>

#define CALM_NS 1000000000u
#define GROW_BYTES (32u << 20)   /* in one step: some milliseconds */
#define SHRINK_CHUNKS 64u        /* in one step */

enum chunk_state { CHUNK_NONE, CHUNK_FREE, CHUNK_USED };

static uint32_t *link_of(const struct chunk_pool *p, uint32_t number)
{
	return (uint32_t *)(void *)((char *)p->area + p->links_off) + (number - 1);
}

static uint64_t *stack_of(const struct chunk_pool *p, uint32_t number)
{
	return &p->area->free[number > p->first];
}

/* The program only takes: between the look at the top and the exchange nothing can be put there. */
static void push(struct chunk_pool *p, uint32_t number)
{
	uint64_t *stack = stack_of(p, number), top = __atomic_load_n(stack, __ATOMIC_RELAXED);

	p->state[number - 1] = CHUNK_FREE;
	do
		__atomic_store_n(link_of(p, number), (uint32_t)top, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(stack, &top, ((top >> 32) + 1) << 32 | number, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED));
}

/* Of the second stack. 0: it is empty, or what is there cannot be. */
static uint32_t pop(struct chunk_pool *p)
{
	uint64_t *stack = &p->area->free[1], top = __atomic_load_n(stack, __ATOMIC_ACQUIRE);
	uint32_t number;

	do {
		number = (uint32_t)top;
		if (number <= p->first || number > p->chunks || p->state[number - 1] != CHUNK_FREE)
			return 0;
	} while (!__atomic_compare_exchange_n(stack, &top,
					      ((top >> 32) + 1) << 32 | __atomic_load_n(link_of(p, number),
											__ATOMIC_RELAXED),
					      false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return number;
}

void pool_take_over(struct chunk_pool *p, struct ring_area *area, const struct ring_area *layout, uint8_t *memory,
		    uint32_t first)
{
	*p = (struct chunk_pool){.area = area,
			   .memory = memory,
			   .chunks = layout->chunks,
			   .links_off = (uint32_t)layout->links_off,
			   .first = MIN(first, layout->chunks),
			   .fd = -1};
	p->state = xcalloc(layout->chunks, sizeof(*p->state));
	p->of_slot = xcalloc(layout->procs + layout->extra, sizeof(*p->of_slot));
	p->last_tsc = xcalloc(layout->procs + layout->extra, sizeof(*p->last_tsc));
	memset(p->state, CHUNK_FREE, p->first);
}

void pool_init(struct chunk_pool *p, struct ring_area *area, const struct ring_area *layout, uint8_t *memory,
	       uint32_t first)
{
	pool_take_over(p, area, layout, memory, first);
	for (uint32_t i = p->first; i; i--)
		push(p, i);
}

void pool_may_grow(struct chunk_pool *p, int fd, uint64_t off, uint64_t *budget)
{
	p->fd = fd;
	p->off = off;
	p->budget = budget;
}

void pool_done(struct chunk_pool *p)
{
	if (p->budget)
		*p->budget += (uint64_t)p->more * RING_CHUNK;
	free(p->state);
	free(p->of_slot);
	free(p->last_tsc);
	*p = (struct chunk_pool){.fd = -1};
}

static const uint8_t *address(const struct chunk_pool *p, uint32_t number)
{
	return p->memory + (uint64_t)(number - 1) * RING_CHUNK;
}

const uint8_t *pool_enter(struct chunk_pool *p, uint32_t slot, uint32_t number)
{
	if (!number || number > p->chunks || p->state[number - 1] != CHUNK_FREE || p->of_slot[slot])
		return NULL;
	p->state[number - 1] = CHUNK_USED;
	p->of_slot[slot] = number;
	return address(p, number);
}

const uint8_t *pool_current(const struct chunk_pool *p, uint32_t slot)
{
	return p->of_slot[slot] ? address(p, p->of_slot[slot]) : NULL;
}

void pool_leave(struct chunk_pool *p, uint32_t slot)
{
	uint32_t number = p->of_slot[slot];

	p->of_slot[slot] = 0;
	if (number)
		push(p, number);
}

void pool_pass_over(struct chunk_pool *p, const struct ring_area *layout, struct ring_slot *s, uint32_t slot)
{
	for (s->read -= s->read % RING_CHUNK; s->read + RING_CHUNK <= s->write; s->read += RING_CHUNK) {
		pool_enter(p, slot, *ring_slot_chunk(s, layout, s->read));
		pool_leave(p, slot);
	}
}

/* ---- more and less of them ---- */

/* From that number on, as many as follow one another and are not there, of `most`. */
static uint32_t run_of(const struct chunk_pool *p, uint32_t number, uint32_t most)
{
	uint32_t n = 0;

	while (n < most && number + n <= p->chunks && p->state[number + n - 1] == CHUNK_NONE)
		n++;
	return n;
}

static bool make_exist(const struct chunk_pool *p, uint32_t number, uint32_t n)
{
	const uint64_t at = p->off + (uint64_t)(number - 1) * RING_CHUNK;

	return fallocate(p->fd, 0, (off_t)at, (off_t)n * RING_CHUNK) == 0;
}

static void grow(struct chunk_pool *p, uint32_t wanted)
{
	uint32_t number = p->first + 1, n;

	for (; wanted && number <= p->chunks; number += MAX(n, 1u)) {
		n = run_of(p, number, wanted);
		if (!n)
			continue;
		if (!make_exist(p, number, n))
			return;
		for (uint32_t i = n; i; i--)
			push(p, number + i - 1);
		p->more += n;
		*p->budget -= (uint64_t)n * RING_CHUNK;
		wanted -= n;
	}
}

static void shrink(struct chunk_pool *p)
{
	for (uint32_t i = 0; i < SHRINK_CHUNKS && p->more; i++) {
		uint32_t number = pop(p);

		if (!number)
			return;
		fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)(p->off + (uint64_t)(number - 1) * RING_CHUNK), RING_CHUNK);
		p->state[number - 1] = CHUNK_NONE;
		p->more--;
		*p->budget += RING_CHUNK;
	}
}

/* Four times as much as waits: it may be as long again until the next look, and then some. */
void pool_adjust(struct chunk_pool *p, uint64_t waited, uint64_t now_ns)
{
	const uint64_t wanted = MIN(waited / RING_CHUNK * 4, p->chunks), have = p->first + p->more;

	if (p->fd < 0)
		return;
	if (wanted > p->first)
		p->busy_ns = now_ns;
	if (wanted > have)
		grow(p, (uint32_t)MIN(MIN(wanted - have, GROW_BYTES / RING_CHUNK), *p->budget / RING_CHUNK));
	else if (p->more && now_ns - p->busy_ns > CALM_NS)
		shrink(p);
}
