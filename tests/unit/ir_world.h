/* A small world of memory that capture programs read in tests: strings, maps, nil, unmapped pages, a g. */
#ifndef TESTS_IR_WORLD_H
#define TESTS_IR_WORLD_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event/event.h"
#include "probe/ir.h"

#define BIAS UINT64_C(0x555555554000)
static uint64_t world_pc_ret; /* the return address of the call, see IR_PC_RET */

struct regs { /* in the order of Go's integer argument registers, then R14 */
	uint64_t r[9];
	uint64_t g;
};

/*
 * What programs read, and may stray into, stays constant and lies within one aligned megabyte of its own: sums and
 * conjunctions of its addresses lead into it, or nowhere.
 */
#define WORLD_WORDS 64
#define CONSTANT_AT UINT64_C(0x200000100000)
static struct constant {
	struct {
		uint64_t lo, hi, pad[4], m, pad2[12], goid, behind[2000];
	} g;
	char pool[1 << 18];
	struct {
		uint64_t words[WORLD_WORDS]; /* pointers into it, strings, numbers, nil, unmapped addresses */
		char text[16384];
		char *hole;            /* an address without memory */
		char behind[8192];
	} world;
} *constant;
#define HOLE_OFF (512u << 10)
_Static_assert(sizeof(struct constant) < HOLE_OFF - 16384, "the hole comes behind");
#define fake_g (constant->g)
#define world_pool (constant->pool)
#define world (constant->world)
static size_t pool_used;
static void *pool_alloc(size_t n)
{
	void *ret = world_pool + pool_used;

	pool_used += (n + 15) & ~(size_t)15;
	if (pool_used + 8192 > sizeof(world_pool))
		abort();
	return ret;
}
static const char *pool_text(const char *s)
{
	return memcpy(pool_alloc(strlen(s) + 1), s, strlen(s) + 1);
}
#define FAKE_LAYOUT                                                                                \
	{                                                                                          \
		.goid = 152, .stack_hi = 8, .m = 48                                                \
	}

/* ---- the world that programs read ---- */

static uint64_t seed = 1;
static uint64_t rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

/* The swiss and the old map, as their images lie in memory: key string, element string. */
struct swiss_slot {
	const char *key;
	uint64_t key_len;
	const char *elem;
	uint64_t elem_len;
};
struct swiss_group {
	uint8_t ctrl[8];
	struct swiss_slot slots[8];
};
struct swiss_table {
	uint16_t used, capacity, growth_left;
	uint8_t local_depth;
	int64_t index;
	struct swiss_group *groups;
	uint64_t mask;
};
struct swiss_map {
	uint64_t used, seed;
	void *dir;
	uint64_t dir_len;
	uint8_t depth, shift, writing;
};
static const struct map_layout swiss_layout = {
	.swiss = true, .slots = 8, .slot_size = 32, .key_stride = 32, .elem_stride = 32,
	.key_off = 0, .elem_off = 16, .key_size = 16,
	.elem_size = 16, .count_off = 0, .dir_ptr_off = offsetof(struct swiss_map, dir),
	.dir_len_off = offsetof(struct swiss_map, dir_len),
	.table_groups_off = offsetof(struct swiss_table, groups),
	.table_mask_off = offsetof(struct swiss_table, mask),
	.table_index_off = offsetof(struct swiss_table, index),
	.group_slots_off = 8, .group_size = sizeof(struct swiss_group),
};

struct old_bucket {
	uint8_t tophash[8];
	struct {
		const char *s;
		uint64_t len;
	} keys[8], elems[8];
	struct old_bucket *overflow;
};
struct old_map {
	uint64_t count;
	uint8_t flags, b;
	uint16_t noverflow;
	uint32_t hash0;
	struct old_bucket *buckets, *old;
	uint64_t nevacuate;
};
static const struct map_layout old_layout = {
	.slots = 8, .key_off = offsetof(struct old_bucket, keys),
	.elem_off = offsetof(struct old_bucket, elems), .key_stride = 16, .elem_stride = 16,
	.key_size = 16, .elem_size = 16,
	.count_off = 0, .b_off = offsetof(struct old_map, b),
	.buckets_off = offsetof(struct old_map, buckets),
	.oldbuckets_off = offsetof(struct old_map, old),
	.nevacuate_off = offsetof(struct old_map, nevacuate),
	.flags_off = offsetof(struct old_map, flags),
	.overflow_off = offsetof(struct old_bucket, overflow),
	.bucket_size = sizeof(struct old_bucket),
};

static const char *const header_keys[] = {"Accept", "Accept-Encoding", "Authorization", "Cache-Control",
	"Connection", "Content-Length", "Content-Type", "Cookie", "Date", "Forwarded", "Origin", "Range",
	"Referer", "Te", "Traceparent", "Upgrade", "User-Agent", "Via", "X-Forwarded-For", "X-Request-Id"};

static const char *elem_of(const char *key)
{
	char *ret = pool_alloc(64);

	snprintf(ret, 64, "value of %s", key);
	return ret;
}

static struct swiss_map *swiss_new(size_t nkeys)
{
	struct swiss_map *m = pool_alloc(1 * sizeof(*m));
	size_t ngroups = nkeys <= 8 ? 1 : nkeys <= 14 ? 2 : nkeys <= 28 ? 4 : 32;
	struct swiss_group *gs = pool_alloc(ngroups * sizeof(*gs));
	struct swiss_table *t = pool_alloc(1 * sizeof(*t));

	for (size_t i = 0; i < ngroups; i++)
		memset(gs[i].ctrl, 0x80, 8);
	for (size_t i = 0; i < nkeys; i++) {
		const char *key = i < ARRAY_SIZE(header_keys) ? header_keys[i] : elem_of("filler");
		size_t g = i * 7 % ngroups, s = 0;

		for (; gs[g].ctrl[s] != 0x80; s++)
			if (s == 7)
				g = (g + 1) % ngroups, s = (size_t)-1;
		gs[g].ctrl[s] = (uint8_t)(i * 11 & 0x7f);
		gs[g].slots[s] = (struct swiss_slot){pool_text(key), strlen(key), elem_of(key), strlen(elem_of(key))};
	}
	*t = (struct swiss_table){.groups = gs, .mask = ngroups - 1};
	m->used = nkeys;
	m->dir = gs;
	if (nkeys > 8) {
		void **dir = pool_alloc(1 * sizeof(*dir));

		dir[0] = t;
		m->dir = dir;
		m->dir_len = 1;
	}
	return m;
}

static void old_put(struct old_bucket *b, size_t i)
{
	const char *key = i < ARRAY_SIZE(header_keys) ? header_keys[i] : elem_of("filler");

	for (;;) {
		for (size_t s = 0; s < 8; s++) {
			if (b->tophash[s])
				continue;
			b->tophash[s] = (uint8_t)(5 + i);
			b->keys[s].s = pool_text(key);
			b->keys[s].len = strlen(key);
			b->elems[s].s = elem_of(key);
			b->elems[s].len = strlen(elem_of(key));
			return;
		}
		if (!b->overflow)
			b->overflow = pool_alloc(1 * sizeof(*b));
		b = b->overflow;
	}
}

/* growing: the second half of the keys is still in the old buckets. */
static struct old_map *old_new(size_t nkeys, uint8_t b, bool growing)
{
	struct old_map *m = pool_alloc(1 * sizeof(*m));
	size_t nb = (size_t)1 << b, nold = nb > 1 ? nb / 2 : 1;

	m->count = nkeys;
	m->b = b;
	m->flags = growing && nb == 1 ? 8 : 0;
	m->buckets = pool_alloc(nb * sizeof(*m->buckets));
	if (growing) {
		m->old = pool_alloc(nold * sizeof(*m->old));
		for (size_t i = 0; i < nold; i++) /* moved: what lies there is stale */
			memset(m->old[i].tophash, 2, 2);
		m->old[0].keys[0].s = "Accept";
		m->old[0].keys[0].len = 6;
	}
	for (size_t i = 0; i < nkeys; i++)
		if (growing && i >= nkeys / 2)
			old_put(&m->old[i * 5 % nold], i);
		else
			old_put(&m->buckets[i * 3 % nb], i);
	return m;
}

static struct swiss_map *swiss_maps[6];
static struct old_map *old_maps[6];

static void world_init(void)
{
	static const char *const words[] = {"GET", "/cart", "alice", "alice and bob", "", "\0\1\2\xff"};

	constant = mmap((void *)CONSTANT_AT, 1 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if ((uintptr_t)constant != CONSTANT_AT)
		abort();
	memset(constant, 0, 1 << 20); /* resident: programs cannot fault pages in, the interpreter can */
	fake_g.hi = UINT64_C(0x7fffffffff00);
	fake_g.goid = 4711;
	world.hole = (char *)constant + HOLE_OFF;
	mprotect(world.hole, 128 << 10, PROT_NONE);
	for (size_t i = 0; i < sizeof(world.text); i++)
		world.text[i] = "abcdefghijklmnopqrstuvwxyz/?=&%"[i * i % 31];
	memcpy(world.text + 100, "needle", 6);
	for (size_t i = 0; i < WORLD_WORDS; i += 2) {
		uint64_t *w = &world.words[i];
		const char *s = words[rnd(ARRAY_SIZE(words))];

		switch (rnd(8)) {
		case 0: case 1:
			w[0] = (uintptr_t)pool_text(s), w[1] = strlen(s);
			break;
		case 2:
			w[0] = (uintptr_t)world.text + rnd(64), w[1] = rnd(8000);
			break;
		case 3:
			w[0] = (uintptr_t)&world.words[rnd(WORLD_WORDS / 2)], w[1] = rnd(10);
			break;
		case 4:
			w[0] = 0, w[1] = rnd(2);
			break;
		case 5:
			w[0] = (uintptr_t)world.hole + rnd(100), w[1] = rnd(100);
			break;
		case 6:
			w[0] = seed, w[1] = ~seed << rnd(40);
			break;
		case 7:
			w[0] = (uintptr_t)world.hole - 3, w[1] = 2 + rnd(3); /* up to or over the edge */
			break;
		}
	}
	static const size_t sizes[] = {0, 1, 8, 14, 20, 60};

	for (size_t i = 0; i < 6; i++) {
		swiss_maps[i] = swiss_new(sizes[i]);
		old_maps[i] = old_new(sizes[i], (uint8_t)(i > 1 ? i - 1 : 0), i & 1);
	}
	old_maps[5]->b = 6; /* more buckets than are searched (and than there are keys in) */
	old_maps[5]->buckets = pool_alloc(64 * sizeof(struct old_bucket));
	old_maps[5]->old = NULL;
}

#endif
