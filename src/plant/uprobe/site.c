/*
 * A uprobe replaces an instruction by a breakpoint. What it costs depends on how the kernel then does that instruction
 * (Linux, arch/x86/kernel/uprobes.c): relative jumps, branches and calls, nops and pushes are emulated in the
 * breakpoint's handler; the rest is executed out of line under single-step. Not probed at all: segment and LOCK
 * prefixes, VEX and EVEX, three-byte opcodes, privileged and I/O instructions. Kernels differ a little in that list;
 * the one here is the strictest of them.
 *
 * Of the spots of an entry the cheapest is taken. The usual winners are `push rbp` after the stack check, and, where
 * the compiler saves the frame pointer with a mov (before Go 1.21), the check's own branch: when that is about to be
 * taken the hit is ignored, for the function will be entered again.
 */
#include "plant/uprobe/site.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "binary/insn.h"

/* ---- prices ---- */

static bool is_prefix(uint8_t c)
{
	return c == 0x66 || c == 0x67 || c == 0x64 || c == 0x65 || c == 0xf2 || c == 0xf3;
}

static bool in_ranges(uint8_t c, const uint8_t (*r)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i][0] && c <= r[i][1])
			return true;
	return false;
}

static bool one_byte_refused(uint8_t c)
{
	static const uint8_t bad[][2] = {
	    {0x06, 0x07}, {0x0e, 0x0e}, {0x16, 0x17}, {0x1e, 0x1f}, {0x26, 0x27}, {0x2e, 0x2f},
	    {0x36, 0x37}, {0x3e, 0x3f}, {0x60, 0x62}, {0x6c, 0x6f}, {0x82, 0x82}, {0x8e, 0x8e},
	    {0x9a, 0x9a}, {0xc4, 0xc5}, {0xcc, 0xcf}, {0xd4, 0xd6}, {0xe0, 0xe7}, {0xea, 0xea},
	    {0xec, 0xf1}, {0xf4, 0xf4}, {0xfa, 0xfb},
	};
	return in_ranges(c, bad, ARRAY_SIZE(bad));
}

static bool two_byte_refused(uint8_t c)
{
	static const uint8_t bad[][2] = {
	    {0x00, 0x0e}, {0x18, 0x18}, {0x24, 0x27}, {0x30, 0x30}, {0x34, 0x3f}, {0x78, 0x7d},
	    {0xa6, 0xa7}, {0xae, 0xae}, {0xb8, 0xb8}, {0xd0, 0xd0}, {0xf0, 0xf0}, {0xff, 0xff},
	};
	return in_ranges(c, bad, ARRAY_SIZE(bad));
}

static bool emulated(const unsigned char *p, size_t len, size_t prefixes, uint8_t rex)
{
	const unsigned char *o = p + prefixes;

	if (o[0] == 0x90 && !rex)
		return true;
	if (o[0] >= 0x50 && o[0] <= 0x57)
		return len == 1 || (len == 2 && rex == 0x41);
	if (prefixes)
		return false;
	if (o[0] == 0xeb || o[0] == 0xe9 || o[0] == 0xe8 || (o[0] & 0xf0) == 0x70)
		return true;
	return o[0] == 0x0f && len > 1 && (o[1] & 0xf0) == 0x80;
}

uint8_t uprobe_price(const unsigned char *p, size_t len)
{
	static const unsigned char nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
	bool wide = false;
	uint8_t rex = 0;
	size_t n = 0;

	while (n < len && is_prefix(p[n]))
		wide |= p[n++] == 0x66;
	if (n < len && (p[n] & 0xf0) == 0x40)
		rex = p[n++];
	if (n == len)
		return PRICE_REFUSED;
	if (p[n] == 0x0f ? n + 1 == len || two_byte_refused(p[n + 1]) : one_byte_refused(p[n]))
		return PRICE_REFUSED;
	if (wide && (p[n] == 0xe8 || p[n] == 0xe9))
		return PRICE_REFUSED;
	if (len == sizeof(nop5) && !memcmp(p, nop5, len))
		return PRICE_NOP5;
	if (len == 1 && p[0] == 0xc3)
		return PRICE_RETURN;
	return emulated(p, len, n, rex) ? PRICE_EMULATED : PRICE_STEPPED;
}

/* ---- sites ---- */

struct locating {
	struct binary *b;
	enum join_kind kind;
	struct func func;
	struct err *err;
};

static uint64_t addr_of(const struct locating *l, const struct spot *s)
{
	return l->func.entry + s->offset;
}

static uint8_t price_of(const struct locating *l, const struct spot *s)
{
	const unsigned char *p = image_at(binary_image(l->b), addr_of(l, s), s->len);

	return p ? uprobe_price(p, s->len) : PRICE_REFUSED;
}

/* NULL where the spot is not in the file. */
static struct uprobe_site *site_new(const struct locating *l, const struct spot *s)
{
	struct uprobe_site *site = arena_new(binary_arena(l->b), struct uprobe_site);

	*site = (struct uprobe_site){.site = {.addr = addr_of(l, s), .kind = l->kind,
					      .price = price_of(l, s)},
				     .sp_delta = s->sp_delta,
				     .flags_skip = s->flags_skip};
	return image_offset(binary_image(l->b), site->site.addr, &site->offset) ? site : NULL;
}

static int locate_entry(const struct locating *l, const struct join_point *at, const struct site **ret)
{
	const struct spot *best = NULL;
	const struct uprobe_site *site;
	unsigned lowest = UINT32_MAX;

	for (uint32_t i = 0; i < at->nspots; i++) {
		unsigned price = price_of(l, &at->spots[i]), rank = price * 4 + at->spots[i].rank;

		if (price == PRICE_REFUSED || rank >= lowest)
			continue;
		best = &at->spots[i];
		lowest = rank;
	}
	if (!best)
		return err_set(l->err, -ENOTSUP,
			       "no instruction at the entry of %s can carry a probe with the arguments still in place",
			       l->func.name);
	site = site_new(l, best);
	if (!site)
		return err_set(l->err, -EPROTO, "the entry of %s is not in the file", l->func.name);
	*ret = &site->site;
	return 0;
}

static int locate_returns(const struct locating *l, const struct join_point *at, const struct site **ret)
{
	const struct site *all = NULL;

	for (uint32_t i = at->nspots; i-- > 0;) {
		struct uprobe_site *site = site_new(l, &at->spots[i]);

		if (!site)
			return err_set(l->err, -EPROTO, "a return of %s is not in the file", l->func.name);
		if (site->site.price == PRICE_REFUSED)
			return err_set(l->err, -ENOTSUP, "%s returns with an instruction that cannot carry a probe",
				       l->func.name);
		site->site.next = all;
		all = &site->site;
	}
	*ret = all;
	return 0;
}

static int locate_inlined(const struct locating *l, const struct join_point *at, const struct site **ret)
{
	const struct spot *spot = at->spots;
	struct uprobe_site *site;

	while (spot < at->spots + at->nspots && price_of(l, spot) == PRICE_REFUSED)
		spot++;
	if (spot == at->spots + at->nspots)
		return err_set(l->err, -ENOTSUP, "the instruction at %#" PRIx64 " in %s cannot carry a probe",
			       addr_of(l, at->spots), l->func.name);
	site = site_new(l, spot);
	if (!site)
		return err_set(l->err, -EPROTO, "%#" PRIx64 " in %s is not in the file", addr_of(l, spot),
			       l->func.name);
	if (!func_sp_delta(l->b, &l->func, site->site.addr, &site->sp_delta))
		return err_set(l->err, -EPROTO, "the binary does not say where SP is at %#" PRIx64 " in %s",
			       site->site.addr, l->func.name);
	*ret = &site->site;
	return 0;
}

int uprobe_locate(struct binary *b, const struct join_point *at, const struct site **ret, struct err *err)
{
	struct locating l = {.b = b, .kind = at->kind, .err = err};

	if (!at->nspots || !binary_func(b, at->func, &l.func))
		return err_set(err, -EINVAL, "there is no instruction that a probe could be put on");
	switch (at->kind) {
	case JOIN_ENTRY: return locate_entry(&l, at, ret);
	case JOIN_RETURN: return locate_returns(&l, at, ret);
	case JOIN_INLINED: return locate_inlined(&l, at, ret);
	case JOIN_PLACE: break;
	}
	return err_set(err, -EOPNOTSUPP, "uprobes have no such site");
}

/* Whoever wrote the file chose the instruction. Where the kernel cannot do it, that is seen when it is planted. */
int uprobe_locate_place(struct arena *arena, const struct plant_place *at, const struct site **ret, struct err *err)
{
	const struct arch *arch = arch_host();
	const struct disasm code = {.arch = arch, .bytes = at->code, .size = at->n, .addr = at->addr};
	struct uprobe_site *site = arena_new(arena, struct uprobe_site);
	struct insn i;

	*site = (struct uprobe_site){.site = {.addr = at->addr, .kind = JOIN_PLACE, .price = PRICE_STEPPED},
				     .offset = at->offset, .semaphore = at->semaphore};
	if (arch->decode(&code, 0, &i) && uprobe_price(at->code, i.len) != PRICE_REFUSED)
		site->site.price = uprobe_price(at->code, i.len);
	*ret = &site->site;
	return 0;
}
