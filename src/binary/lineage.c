/*
 * How ids are given to goroutines: newproc1 takes the next one of its P's batch, or first a new batch from the
 * scheduler's counter (runtime/proc.go). Structs of the runtime have descriptors, sched has none; it is found where
 * newproc1 adds to it. In all Go versions since 1.21:
 *
 *   mov  $16, %id                the size of a batch
 *   lea  sched(%rip), %counter
 *   lock xadd %id, (%counter)
 *   …    a store to p.goidcache, a store to p.goidcacheend, by the same register
 *
 * What does not look so is not taken for it.
 */
#include <elf.h>
#include <errno.h>

#include "binary/internal.h"

enum { LOOK_BACK = 4, LOOK_AHEAD = 8 };

/* What instruction k does; false where control may leave or nothing is known. */
static bool plain_effect(const struct disasm *c, size_t k, struct insn_effect *ret)
{
	return k < c->n && c->insns[k].kind == INSN_PLAIN && insn_effect(c, &c->insns[k], ret);
}

/* The last instruction before k that writes the register, on the straight line to it. */
static bool last_write(const struct disasm *c, size_t k, uint8_t reg, struct insn_effect *ret, size_t *ret_at)
{
	for (size_t back = 0; k > 0 && back < LOOK_BACK; back++)
		if (!plain_effect(c, --k, ret))
			return false;
		else if (ret->written & 1u << reg)
			return *ret_at = k, true;
	return false;
}

static bool is_constant(const struct disasm *c, size_t k, uint8_t reg, int64_t number)
{
	struct insn_effect e;
	size_t at;

	return last_write(c, k, reg, &e, &at) && e.what == EFFECT_MOVE && !e.has_mem && e.reg2 == REG_NONE &&
	       e.imm == number;
}

/* The address in the register; 0: not known. */
static uint64_t address_in(const struct disasm *c, size_t k, uint8_t reg)
{
	struct insn_effect e;
	size_t at;

	if (!last_write(c, k, reg, &e, &at) || e.what != EFFECT_LEA || e.mem_base != REG_NONE || e.mem_indexed)
		return 0;
	return c->insns[at].addr + c->insns[at].len + (uint64_t)e.mem_disp;
}

/* Whether both words of the batch are stored right behind k. */
static bool stores_batch(const struct disasm *c, size_t k, const struct lineage_layout *l)
{
	uint8_t cache = REG_NONE, cache_end = REG_NONE;
	struct insn_effect e;

	for (size_t i = k + 1; i <= k + LOOK_AHEAD && plain_effect(c, i, &e); i++) {
		if (!e.stores || e.loads || e.mem_size != 8 || e.mem_indexed)
			continue;
		if (e.mem_disp == l->cache)
			cache = e.mem_base;
		if (e.mem_disp == l->cache_end)
			cache_end = e.mem_base;
	}
	return cache != REG_NONE && cache == cache_end;
}

/* The counter, where instruction k takes a batch from it; else 0. */
static uint64_t counter_at(const struct disasm *c, size_t k, const struct lineage_layout *l)
{
	struct insn_effect e;

	if (!plain_effect(c, k, &e) || !e.loads || !e.stores || e.mem_size != 8 || e.mem_indexed || e.mem_disp ||
	    e.mem_base >= REG_FLOAT || e.reg >= REG_FLOAT || !(e.written & 1u << e.reg))
		return 0;
	if (!is_constant(c, k, e.reg, LINEAGE_BATCH) || !stores_batch(c, k, l))
		return 0;
	return address_in(c, k, e.mem_base);
}

static bool is_variable(const struct image *img, uint64_t addr)
{
	for (size_t i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segments[i];

		if (s->flags & PF_W && addr >= s->vaddr && addr - s->vaddr + 8 <= s->memsz && !(addr & 7))
			return true;
	}
	return false;
}

static int find_counter(struct binary *b, struct lineage_layout *l, struct err *err)
{
	uint64_t found = 0, at;
	struct disasm code;
	struct func f;
	size_t n = 0;
	int r;

	if (!binary_func_find(b, "runtime.newproc1", &f, 1))
		return err_set(err, -ENODATA, "%s has no runtime.newproc1", b->name);
	r = func_disasm(b, &f, &code, err);
	if (r)
		return r;
	for (size_t k = 0; k < code.n; k++) {
		at = counter_at(&code, k, l);
		n += at && at != found;
		found = at ? at : found;
	}
	disasm_done(&code);
	if (n != 1 || !is_variable(&b->img, found))
		return err_set(err, -ENODATA, "the code of runtime.newproc1 in %s does not tell where the ids of new "
					      "goroutines come from", b->name);
	l->counter = found;
	return 0;
}

static int read_lineage(struct binary *b, struct lineage_layout *l, struct err *err)
{
	const struct wanted_field in_g[] = {{"parentGoid", &l->creator, 8}, {"startpc", &l->start_pc, 8}};
	const struct wanted_field in_m[] = {{"p", &l->m_p, 8}};
	const struct wanted_field in_p[] = {{"goidcache", &l->cache, 8}, {"goidcacheend", &l->cache_end, 8}};
	int r = read_offsets(b, binary_type(b, "runtime.g"), "runtime.g", in_g, ARRAY_SIZE(in_g), err);

	if (!r)
		r = read_offsets(b, binary_type(b, "runtime.m"), "runtime.m", in_m, ARRAY_SIZE(in_m), err);
	if (!r)
		r = read_offsets(b, binary_type(b, "runtime.p"), "runtime.p", in_p, ARRAY_SIZE(in_p), err);
	return r ? r : find_counter(b, l, err);
}

struct kept_lineage {
	struct lineage_layout layout;
	struct err err;
};

static void *lineage_new(struct binary *b)
{
	struct kept_lineage *k = xcalloc(1, sizeof(*k));

	read_lineage(b, &k->layout, &k->err);
	return k;
}

int binary_lineage_layout(struct binary *b, struct lineage_layout *ret, struct err *err)
{
	static const char key;
	const struct kept_lineage *k = binary_keep(b, &key, lineage_new, free);

	if (k->err.code)
		return err_set(err, k->err.code, "%s", k->err.text);
	*ret = k->layout;
	return 0;
}
