/*
 * A trampoline, in this order:
 *	tail:  the instructions behind the record, and the jump back (or ret)
 *	probes, each going on at the one before it, the first at the tail. In front of the last, where the jump leads:
 *	       the instructions before the record, and the stack check's branch
 * Where an entry and a return are one place, the return's part lies before the entry's and is what that goes on at.
 */
#include "plant/patch/plan.h"

#include <errno.h>
#include <string.h>

static void put_rel32(struct buf *b, uint64_t at, uint64_t to)
{
	int32_t d = (int32_t)(int64_t)(to - (at + 4));

	buf_append(b, &d, sizeof(d));
}

static bool near(uint64_t a, uint64_t b)
{
	int64_t d = (int64_t)(a - b);

	return d > -0x7fffff00ll && d < 0x7fffff00ll;
}

static void put_tail(const struct patch_site *s, uint64_t addr, uint64_t bias, struct buf *b)
{
	size_t start = b->len;

	buf_append(b, s->after, s->nafter);
	if (!s->resume) {
		buf_char(b, (char)0xc3);
		return;
	}
	buf_char(b, (char)0xe9);
	put_rel32(b, addr + (b->len - start), s->resume + bias);
}

/* The address of a table in the program; 0: it has none. */
static uint64_t table_addr(const struct plan *pl, const void *table)
{
	uintptr_t at = (uintptr_t)map_get(&pl->tables, (uintptr_t)table);

	return at ? pl->tables_addr + at - 1 : 0;
}

int plan_probe_code(const struct plan *pl, size_t probe, const struct patch_site *site, uint64_t addr, uint64_t back,
		    struct buf *out, struct err *err)
{
	const struct capture_program *program = pl->probes[probe].program;
	const struct patch_env env = {.code = addr,
				      .back = back,
				      .area = pl->area_addr,
				      .fork_guard = pl->fork_guard_addr,
				      .layout = &pl->layout,
				      .counts = (uint32_t)probe,
				      .sp_delta = site->sp_delta,
				      .bias = pl->t->bias,
				      .m_p = pl->facts->m_p,
				      .p_id = pl->facts->p_id,
				      .shapes = table_addr(pl, program->shapes),
				      .contexts = table_addr(pl, program->contexts),
				      .chain = pl->chain_addr,
				      .loans = pl->loans_addr,
				      .calls_apart = pl->apart[probe],
				      .tsc_mult = pl->p->reader.clock.mult,
				      .sums = pl->forms.of[probe]};

	return patch_compile(program, pl->probes[probe].id, &env, out, err);
}

static void align_code(struct buf *out, size_t start)
{
	while ((out->len - start) % 16)
		buf_char(out, (char)0xcc);
}

static void put_check(const struct patch_site *s, uint64_t addr, uint64_t bias, struct buf *out)
{
	size_t start = out->len;

	buf_append(out, s->before, s->nbefore);
	if (!s->checked)
		return;
	buf_char(out, 0x0f);
	buf_char(out, (char)(0x80 | s->cond));
	put_rel32(out, addr + (out->len - start), s->morestack + bias);
}

/* The code of a part's probes, which goes on at *back; that becomes where it begins. */
static int part_code(const struct plan *pl, const struct patch_part *part, uint64_t addr, size_t start, uint64_t *back,
		     struct buf *out, struct err *err)
{
	for (size_t i = 0; i < part->probes.len; i++) {
		uint64_t here;
		int r;

		align_code(out, start);
		here = addr + (out->len - start);
		if (i + 1 == part->probes.len)
			put_check(part->site, here, pl->t->bias, out);
		r = plan_probe_code(pl, part->probes.data[i], part->site, addr + (out->len - start), *back, out, err);
		if (r)
			return r;
		*back = here;
	}
	return 0;
}

/* The last to run comes first. */
int plan_trampoline(const struct plan *pl, const struct planned *s, uint64_t addr, struct buf *out, uint32_t *ret_entry,
		    struct err *err)
{
	const struct patch_site *last = s->parts[s->parts[SITE_RETURN].probes.len ? SITE_RETURN : SITE_ENTRY].site;
	const struct patch_site *first = site_of(s);
	uint64_t back = addr;
	size_t start = out->len;
	int r;

	if ((last->resume && !near(addr, last->resume + pl->t->bias)) ||
	    (first->checked && !near(addr, first->morestack + pl->t->bias)))
		return err_set(err, -ERANGE,
			       "%s cannot be patched in the process: the code of its probes lies too far away",
			       site_label(pl, s));
	put_tail(last, addr, pl->t->bias, out);
	r = part_code(pl, &s->parts[SITE_RETURN], addr, start, &back, out, err);
	if (!r)
		r = part_code(pl, &s->parts[SITE_ENTRY], addr, start, &back, out, err);
	*ret_entry = (uint32_t)(back - addr);
	return r;
}
