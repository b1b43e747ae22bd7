/*
 * Breakpoints (int3) in the process are no difference where a place says so: the kernel shares its own among all who
 * ask for them (another earshot, bpftrace, perf), takes the instruction below from the file, and puts it back when the
 * last has gone. A debugger's looks the same; a uprobe works on top of it, too.
 */
#include "plant/code_check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#include "base/vec.h"
#include "binary/binary.h"

#define BREAKPOINT 0xcc
#define BREAKPOINTS_MAX 2  /* in one place; what looks like more of them is other code, or the
			    * padding between functions */
#define MERGE_GAP 128      /* places so near are read at once */
#define PAGE 4096
#define BATCH 512          /* ranges in a system call; 1024 are allowed */

struct range {
	uint64_t addr, n;  /* in the image */
	size_t at;         /* in the bytes read */
	bool read;
};

struct check {
	const struct plant_target *t;
	VEC(struct range) ranges;
	unsigned char *bytes;
	size_t nbytes;
};

static int by_address(const void *pa, const void *pb)
{
	const struct code_place *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* Places that are near each other in one range; none goes over the end of a page, where memory may end. */
static void add_range(struct check *c, uint64_t addr, uint64_t n)
{
	struct range *last = c->ranges.len ? &c->ranges.data[c->ranges.len - 1] : NULL;
	uint64_t left = PAGE - addr % PAGE;

	if (n > left) {
		add_range(c, addr, left);
		add_range(c, addr + left, n - left);
		return;
	}
	if (last && addr <= last->addr + last->n + MERGE_GAP && addr / PAGE == last->addr / PAGE) {
		n = MAX(last->addr + last->n, addr + n) - last->addr;
		c->nbytes += n - last->n;
		last->n = n;
		return;
	}
	vec_push(&c->ranges, ((struct range){.addr = addr, .n = n, .at = c->nbytes}));
	c->nbytes += n;
}

/* Reads ranges from the first on. Returns how many it has dealt with, or -errno when nothing may be read. */
static int read_batch(struct check *c, size_t first)
{
	size_t n = MIN(c->ranges.len - first, (size_t)BATCH), done = 0;
	struct iovec remote[BATCH] = {0}, local = {.iov_base = c->bytes + c->ranges.data[first].at};
	ssize_t got;

	for (size_t i = 0; i < n; i++) {
		const struct range *r = &c->ranges.data[first + i];

		remote[i] = (struct iovec){(void *)(uintptr_t)(r->addr + c->t->bias), r->n};
		local.iov_len += r->n;
	}
	got = process_vm_readv(c->t->pid, &local, 1, remote, n, 0);
	if (got < 0 && errno != EFAULT)
		return -errno;
	for (; done < n && got >= (ssize_t)remote[done].iov_len; done++) {
		c->ranges.data[first + done].read = true;
		got -= (ssize_t)remote[done].iov_len;
	}
	return (int)(done < n ? done + 1 : done); /* it stops at what is not there: the rest comes next */
}

static int read_ranges(struct check *c)
{
	size_t first = 0;

	c->bytes = xmalloc(c->nbytes + 1);
	while (first < c->ranges.len) {
		int n = read_batch(c, first);

		if (n < 0)
			return n;
		first += (size_t)n;
	}
	return 0;
}

static const struct range *range_at(const struct check *c, uint64_t addr)
{
	size_t lo = 0, hi = c->ranges.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct range *r = &c->ranges.data[mid];

		if (addr < r->addr)
			hi = mid;
		else if (addr - r->addr >= r->n)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

/* Bytes of the process; false when not all could be read. */
static bool bytes_at(const struct check *c, uint64_t addr, size_t n, unsigned char *ret)
{
	while (n) {
		const struct range *r = range_at(c, addr);
		size_t part = r ? MIN(n, r->n - (addr - r->addr)) : 0;

		if (!r || !r->read)
			return false;
		memcpy(ret, c->bytes + r->at + (addr - r->addr), part);
		addr += part;
		ret += part;
		n -= part;
	}
	return true;
}

enum finding { SAME, UNREADABLE, BREAKPOINT_THERE, JUMP_THERE, DIFFERENT };

/* Five bytes of nop become a call in newer kernels' uprobes. */
static bool optimised_uprobe(const unsigned char *file, const unsigned char *now, size_t n)
{
	static const unsigned char nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

	return n >= sizeof(nop5) && !memcmp(file, nop5, sizeof(nop5)) && now[0] == 0xe8;
}

/* jmp rel32, or jmp through memory: how functions are patched. */
static bool begins_with_jump(const unsigned char *now, size_t n)
{
	return (n >= 5 && now[0] == 0xe9) || (n >= 6 && now[0] == 0xff && now[1] == 0x25);
}

static enum finding compare(const struct check *c, struct code_place *p)
{
	const unsigned char *file = image_at(c->t->image, p->addr, p->n);
	unsigned char now[CODE_PLACE_MAX];
	unsigned breakpoints = 0;

	if (!bytes_at(c, p->addr, p->n, now))
		return UNREADABLE;
	if (!memcmp(now, file, p->n))
		return SAME;
	for (uint32_t i = 0; i < p->n; i++) {
		if (now[i] == file[i])
			continue;
		p->shared |= i == p->site && (now[i] == BREAKPOINT || optimised_uprobe(file + i, now + i, p->n - i));
		if (!p->strict && optimised_uprobe(file + i, now + i, p->n - i)) {
			i += 4;
			continue;
		}
		if (!i && begins_with_jump(now, p->n))
			return JUMP_THERE;
		if (now[i] != BREAKPOINT || ++breakpoints > BREAKPOINTS_MAX)
			return DIFFERENT;
		if (i < p->strict)
			return BREAKPOINT_THERE;
	}
	return SAME;
}

static void refuse(const struct check *c, struct verdicts *verdicts, const struct code_place *p, enum finding f)
{
	static const char *const texts[] = {
		[UNREADABLE] = "cannot be read",
		[BREAKPOINT_THERE] = "has a breakpoint of another tool (uprobes, as those of OBI, Datadog or bpftrace; "
				     "or a debugger)",
		[JUMP_THERE] = "begins with a jump that is not in the file: another tool seems to have patched it "
			       "(Dyninst, Frida, another earshot)",
		[DIFFERENT] = "is not that of the file that was analysed: it is another build, or another tool has "
			      "changed it",
	};
	struct err why;

	err_set(&why, -ESTALE, "%s is not probed: the code of process %d at %#" PRIx64 " %s",
		verdicts->probes[p->probe].label, c->t->pid, p->addr + c->t->bias, texts[f]);
	verdict_refuse(verdicts, p->probe, &why);
}

/* Every probe is refused for one reason. */
static void refuse_all(struct verdicts *verdicts, const struct code_place *places, size_t n, const char *reason)
{
	for (size_t i = 0; i < n; i++) {
		struct err why;

		err_set(&why, -ESTALE, "%s is not probed: %s", verdicts->probes[places[i].probe].label, reason);
		verdict_refuse(verdicts, places[i].probe, &why);
	}
}

/* What lies in the file at least; empty where the place is in none of its segments. */
static void clip(const struct image *img, struct code_place *p)
{
	uint64_t have = image_extent(img, p->addr);

	p->n = (uint32_t)MIN(MIN(p->n, (uint32_t)CODE_PLACE_MAX), have);
	p->strict = MIN(p->strict, p->n);
}

void code_check(const struct plant_target *t, struct code_place *places, size_t n, struct verdicts *verdicts)
{
	struct check c = {.t = t};
	int r;

	if (!t->image || !n)
		return;
	qsort(places, n, sizeof(*places), by_address);
	for (size_t i = 0; i < n; i++) {
		clip(t->image, &places[i]);
		if (places[i].n)
			add_range(&c, places[i].addr, places[i].n);
	}
	r = read_ranges(&c);
	for (size_t i = 0; i < n && !r; i++) {
		enum finding f = compare(&c, &places[i]);

		if (f != SAME)
			refuse(&c, verdicts, &places[i], f);
	}
	/* Our own view of the file follows what is written to it: only now is it known that it was the one analysed. */
	if (!image_intact(t->image))
		refuse_all(verdicts, places, n, "its file has changed since it was analysed");
	vec_done(&c.ranges);
	free(c.bytes);
}

/* The bytes from an entry's site on, and those up to a return's: both within the function, as a rule. */
static struct code_place place_of(const struct site *s, size_t probe)
{
	uint32_t back = s->kind == JOIN_RETURN ? CODE_PLACE_BYTES - 1 : 0;

	return (struct code_place){.addr = s->addr - back, .n = CODE_PLACE_BYTES, .probe = probe, .site = back};
}

static size_t count_shared(const struct code_place *places, size_t n, const struct verdicts *verdicts,
			   size_t *ret_first)
{
	_cleanup_(cleanup_free) bool *seen = xcalloc(verdicts->n + 1, sizeof(*seen));
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		size_t probe = places[i].probe;

		if (!places[i].shared || seen[probe] || verdicts->refused[probe])
			continue;
		seen[probe] = true;
		if (!count++)
			*ret_first = probe;
	}
	return count;
}

size_t code_check_sites(const struct plant_target *t, struct verdicts *verdicts, size_t *ret_first)
{
	VEC(struct code_place) places = {0};
	size_t shared;

	for (size_t i = 0; i < verdicts->n && t->image; i++)
		for (const struct site *s = verdicts->probes[i].sites; s; s = s->next)
			vec_push(&places, place_of(s, i));
	code_check(t, places.data, places.len, verdicts);
	shared = count_shared(places.data, places.len, verdicts, ret_first);
	vec_done(&places);
	return shared;
}
