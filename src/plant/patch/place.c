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
#define ALIGN 16u

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

/* Where the trampoline may begin, both ends included. False when that is nowhere. */
static bool window_of(const struct trampoline *t, uint64_t bias, struct range *ret)
{
	int64_t from = (int64_t)(t->site->addr + bias) + PATCH_JUMP - (int64_t)t->entry, low, high;

	if (patch_punned(t->site)) {
		low = from + (int64_t)(int8_t)t->site->pun * WINDOW;
		high = low + WINDOW - 1;
	} else {
		low = from - FAR;
		high = from + FAR;
	}
	low = MAX(low, (int64_t)LOWEST);
	high = MIN(high, (int64_t)HIGHEST);
	*ret = (struct range){(uint64_t)low, (uint64_t)high};
	return low <= high;
}

static bool into_region(const struct range *window, struct trampoline *t, struct region *r)
{
	uint64_t at = ALIGN_UP(r->addr + r->used, ALIGN);

	if (at < window->start || at > window->end || at + t->bytes > r->addr + r->size)
		return false;
	t->addr = at;
	t->placed = true;
	r->used = at + t->bytes - r->addr;
	return true;
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
	for (uint64_t size = MIN(ALIGN_UP(wanted, PAGE), (uint64_t)REGION_MAX); size >= PAGE;
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

static void place(range_vec *o, uint64_t bias, struct trampoline *t, uint64_t wanted, size_t max, region_vec *regions)
{
	struct range window;
	struct region r;

	if (!window_of(t, bias, &window))
		return;
	for (size_t i = regions->len; i-- > 0 && !t->placed;) {
		t->region = i;
		into_region(&window, t, &regions->data[i]);
	}
	if (t->placed || regions->len >= max || !new_region(o, &window, MAX(wanted, t->bytes + ALIGN), &r))
		return;
	t->region = regions->len;
	vec_push(regions, r);
	into_region(&window, t, &regions->data[t->region]);
}

void trampolines_place(const range_vec *occupied, uint64_t bias, struct trampoline *t, size_t n, size_t max,
		       region_vec *ret)
{
	struct trampoline **order = xcalloc(n + 1, sizeof(struct trampoline *));
	uint64_t wanted = 0;
	range_vec o = {0};

	for (size_t i = 0; i < occupied->len; i++)
		vec_push(&o, occupied->data[i]);
	for (size_t i = 0; i < n; i++) {
		order[i] = &t[i];
		wanted += ALIGN_UP(t[i].bytes, ALIGN);
	}
	qsort(order, n, sizeof(struct trampoline *), by_window);
	for (size_t i = 0; i < n; i++)
		place(&o, bias, order[i], wanted, max, ret);
	free(order);
	vec_done(&o);
}
