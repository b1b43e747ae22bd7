/*
 * The sites are taken in the order of their windows. A new region is put at the upper end of the window of its
 * first site, so that the sites behind it, whose windows lie a little higher, reach it as well.
 */
#include "plant/patch/place.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

#define PAGE 4096u
#define WINDOW (1u << 24)
#define FAR 0x7e000000ll               /* without a pun: what a jump, and the jump back, reach */
#define LOWEST (1u << 16)              /* vm.mmap_min_addr */
#define HIGHEST 0x7ffffffff000ull
#define REGION_MAX (4u << 20)
#define FAR_REGION_MAX (1u << 30)
#define ALIGN 16u
#define LANDING_PAD 8u                 /* bytes, for PATCH_JUMP */

int occupied_read(const char *procfs, int pid, range_vec *ret)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;
	int r;

	snprintf(path, sizeof(path), "%.30s/%d/maps", procfs, pid);
	r = file_read(path, &maps, 64u << 20);
	if (r < 0 || !maps.data)
		return r < 0 ? r : -ESRCH;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct range g;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &g.start, &g.end) == 2)
			vec_push(ret, g);
	}
	return 0;
}

/* What a jump at `from`, and one back, reach; a range of starts, both ends included. False when that is nowhere. */
static bool reach(int64_t low, int64_t high, struct range *ret)
{
	low = MAX(low, (int64_t)LOWEST);
	high = MIN(high, (int64_t)HIGHEST);
	*ret = (struct range){(uint64_t)low, (uint64_t)high};
	return low <= high;
}

/* Where what the site's jump leads to may begin, when that is `entry` bytes into it. */
static bool window_of(const struct trampoline *t, uint64_t bias, uint32_t entry, struct range *ret)
{
	int64_t from = (int64_t)(t->site->addr + bias) + PATCH_JUMP - (int64_t)entry, low;

	if (!patch_punned(t->site))
		return reach(from - FAR, from + FAR, ret);
	low = from + (int64_t)(int8_t)t->site->pun * WINDOW;
	return reach(low, low + WINDOW - 1, ret);
}

/* Where a trampoline may begin that its landing pad leads to. */
static bool window_behind_landing_pad(const struct trampoline *t, uint64_t bias, struct range *ret)
{
	int64_t site = (int64_t)(t->site->addr + bias), landing_pad = (int64_t)t->landing_pad;

	return reach(MAX(site, landing_pad) - FAR, MIN(site, landing_pad) + FAR, ret);
}

/* The place in the region for n bytes; 0: none. */
static uint64_t into_region(const struct range *window, uint32_t n, uint32_t align, struct region *r)
{
	uint64_t at = ALIGN_UP(r->addr + r->used, (uint64_t)align);

	if (at < window->start || at > window->end || at + n > r->addr + r->size)
		return 0;
	r->used = at + n - r->addr;
	return at;
}

/* The highest start of size free bytes in [low, high + size) outside of what is occupied; 0: none. */
static uint64_t highest_gap(const range_vec *o, uint64_t low, uint64_t high, uint64_t size)
{
	uint64_t end = HIGHEST;

	low = ALIGN_UP(low, PAGE);
	for (size_t i = o->len + 1; i-- > 0;) {
		/* A free page at either end: nothing grows into ours, or ours into it. */
		uint64_t start = i ? o->data[i - 1].end + PAGE : LOWEST, at;

		if (end > size + PAGE && end - size - PAGE >= start) {
			at = MIN(end - size - PAGE, high) / PAGE * PAGE;
			if (at >= start && at >= low)
				return at;
		}
		if (i)
			end = o->data[i - 1].start;
		if (end < low)
			break;
	}
	return 0;
}

static void occupy(range_vec *o, uint64_t start, uint64_t end)
{
	size_t i = o->len;

	vec_push(o, ((struct range){0}));
	for (; i && o->data[i - 1].start > start; i--)
		o->data[i] = o->data[i - 1];
	o->data[i] = (struct range){start, end};
}

static bool new_region(range_vec *o, const struct range *window, uint64_t wanted, struct region *ret)
{
	for (uint64_t size = ALIGN_UP(wanted, PAGE); size >= PAGE;
	     size = ALIGN_UP(size / 2, PAGE)) {
		uint64_t high = window->end - MIN(size, window->end - window->start), at;

		at = highest_gap(o, window->start, high, size);
		if (at) {
			*ret = (struct region){.addr = at, .size = size};
			occupy(o, at, at + size);
			return true;
		}
		if (size == PAGE)
			break;
	}
	return false;
}

static int by_window(const void *pa, const void *pb)
{
	const struct trampoline *a = *(struct trampoline *const *)pa, *b = *(struct trampoline *const *)pb;
	int ca = patch_punned(a->site) ? a->site->pun : 256, cb = patch_punned(b->site) ? b->site->pun : 256;

	if (ca != cb)
		return ca < cb ? -1 : 1;
	return a->site->addr < b->site->addr ? -1 : a->site->addr > b->site->addr;
}

struct placing {
	range_vec occupied;
	uint64_t bias;
	region_vec *regions;
	size_t first; /* of the regions, that may be used */
	size_t max;
};

/* Room for n bytes that begins in the window; a new region is to have `wanted` bytes. 0: none. */
static uint64_t place(struct placing *p, const struct range *window, uint32_t n, uint32_t align, uint64_t wanted)
{
	struct region r;
	uint64_t at = 0;

	for (size_t i = p->regions->len; i-- > p->first && !at;)
		at = into_region(window, n, align, &p->regions->data[i]);
	if (at || p->regions->len >= p->max || !new_region(&p->occupied, window, MAX(wanted, n + align), &r))
		return at;
	vec_push(p->regions, r);
	return into_region(window, n, align, &p->regions->data[p->regions->len - 1]);
}

static uint64_t bytes_of(struct trampoline *const *t, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ALIGN_UP(t[i]->bytes, ALIGN);
	return sum;
}

/* Each in the window of its site. How many. */
static size_t place_near(struct placing *p, struct trampoline *const *t, size_t n)
{
	const uint64_t wanted = MIN(bytes_of(t, n), (uint64_t)REGION_MAX);
	size_t placed = 0;

	for (size_t i = 0; i < n; i++) {
		struct range window;

		t[i]->addr = window_of(t[i], p->bias, t[i]->entry, &window)
				     ? place(p, &window, t[i]->bytes, ALIGN, wanted)
				     : 0;
		t[i]->landing_pad = t[i]->addr + t[i]->entry;
		t[i]->placed = t[i]->addr;
		placed += t[i]->placed;
	}
	return placed;
}

static size_t place_landing_pads(struct placing *p, struct trampoline *const *t, size_t n)
{
	const uint64_t wanted = MIN(n * LANDING_PAD, (uint64_t)REGION_MAX);
	size_t placed = 0;

	for (size_t i = 0; i < n; i++) {
		struct range window;

		t[i]->landing_pad = patch_punned(t[i]->site) && window_of(t[i], p->bias, 0, &window)
					? place(p, &window, PATCH_JUMP, LANDING_PAD, wanted)
					: 0;
		placed += t[i]->landing_pad != 0;
	}
	return placed;
}

/* Landing pads, and then all trampolines wherever there is room. */
static size_t place_far(struct placing *p, struct trampoline *const *t, size_t n)
{
	uint64_t wanted = bytes_of(t, n);
	size_t placed = 0;

	place_landing_pads(p, t, n);
	p->first = p->regions->len;
	for (size_t i = 0; i < n; i++) {
		const bool lands = t[i]->landing_pad;
		struct range window;
		bool can = lands ? window_behind_landing_pad(t[i], p->bias, &window)
				 : !patch_punned(t[i]->site) && window_of(t[i], p->bias, t[i]->entry, &window);

		t[i]->addr = can ? place(p, &window, t[i]->bytes, ALIGN, MIN(wanted, (uint64_t)FAR_REGION_MAX)) : 0;
		t[i]->placed = t[i]->addr;
		if (!lands)
			t[i]->landing_pad = t[i]->addr + t[i]->entry;
		wanted -= ALIGN_UP(t[i]->bytes, ALIGN);
		placed += t[i]->placed;
	}
	return placed;
}

static void begin(struct placing *p, const range_vec *occupied)
{
	p->occupied.len = p->regions->len = p->first = 0;
	for (size_t i = 0; i < occupied->len; i++)
		vec_push(&p->occupied, occupied->data[i]);
}

void trampolines_place(const range_vec *occupied, uint64_t bias, struct trampoline *t, size_t n, size_t max,
		       region_vec *ret)
{
	struct trampoline **order = xcalloc(n + 1, sizeof(struct trampoline *));
	struct placing p = {.bias = bias, .regions = ret, .max = max};
	size_t near;

	for (size_t i = 0; i < n; i++)
		order[i] = &t[i];
	qsort(order, n, sizeof(struct trampoline *), by_window);
	begin(&p, occupied);
	near = place_near(&p, order, n);
	if (near < n) {
		begin(&p, occupied);
		if (place_far(&p, order, n) < near) {
			begin(&p, occupied);
			place_near(&p, order, n);
		}
	}
	free(order);
	vec_done(&p.occupied);
}
