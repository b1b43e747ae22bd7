/*
 * A signature against what the compiler left in the binary for other purposes: ArgInfo (for
 * tracebacks), the argument registers that the morestack block saves, the pointer bitmap (for the
 * garbage collector). Apart from the sources because it must not believe any of them.
 *
 * All argument registers are saved or none: none also when the function uses no argument at all.
 * ArgInfo leaves out the first parameter of everything with a bracket in its name.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "binary/signature.h"

static const char *slot_label(struct work *w, size_t i)
{
	const struct slot *s = &w->params.v[i];
	const char *type = s->text ? s->text : s->type ? s->type->name : "of unknown type";

	if (i == 0 && w->name.receiver)
		return arena_printf(&w->b->arena, "the receiver (%s)", type);
	return arena_printf(&w->b->arena, "parameter %zu (%s%s%s)", i + (w->name.receiver ? 0 : 1),
	                    s->name, *s->name ? " " : "", type);
}

static const char *item_text(struct work *w, const struct arginfo *a, const struct arg_item *it)
{
	struct buf s = {0};
	const char *text;

	for (size_t k = 0; k < it->n; k++)
		buf_printf(&s, "%s%u", k ? "+" : "", a->components[it->first + k].size);
	text = arena_printf(&w->b->arena, "%s%s%s%s", it->aggregate ? "{" : "",
	                    s.data ? s.data : "", it->cut ? "…" : "", it->aggregate ? "}" : "");
	buf_done(&s);
	return text;
}

static bool same_item(const struct work *w, const struct arginfo *want, const struct arg_item *a,
                      const struct arg_item *b, bool absolute)
{
	const struct arg_component *x = &want->components[a->first];
	const struct arg_component *y = &w->info.components[b->first];

	if (a->aggregate != b->aggregate || (a->n != b->n && !a->cut && !b->cut))
		return false;
	for (size_t k = 0; k < MIN(a->n, b->n); k++) {
		int dx = absolute ? 0 : x[0].offset, dy = absolute ? 0 : y[0].offset;

		if (x[k].size != y[k].size || x[k].offset - dx != y[k].offset - dy)
			return false;
	}
	return true;
}

static int check_count(struct work *w, struct err *err)
{
	size_t skip = w->name.generic ? 1 : 0, n = w->params.n;
	size_t want = n > skip ? n - skip : 0;

	if (!w->has_info) {
		if (n == skip || w->f->flags & FUNC_WRAPPER)
			return 0;
		return err_set(err, -EPROTO,
		               "%s has %zu parameter%s by its %s, but the binary shows "
		               "that it takes none",
		               w->f->name, n, n == 1 ? "" : "s",
		               w->sources & SIG_DECLARED ? "declaration" : "type");
	}
	if (w->info.nitems == want || (w->info.cut && w->info.nitems <= want))
		return 0;
	return err_set(err, -EPROTO,
	               "%s has %zu parameters%s by its %s, but the binary shows %zu%s", w->f->name,
	               want, w->name.receiver ? " (with the receiver)" : "",
	               w->sources & SIG_DECLARED ? "declaration" : "type", w->info.nitems,
	               w->info.cut ? " or more" : "");
}

static int check_items(struct work *w, struct err *err)
{
	struct arginfo want = {0};

	for (size_t i = w->name.generic ? 1 : 0; i < w->params.n; i++) {
		const struct arg_item *it = slot_item(w, i), *x;
		struct slot *s = &w->params.v[i];

		if (!it)
			return 0;
		if (!s->type || !s->shaped)
			return 0;
		arginfo_expect(w->b, s->type, slot_offset(w, s), &want);
		if (want.cut || !want.nitems)
			return 0;
		x = &want.items[want.nitems - 1];
		if (!same_item(w, &want, x, it, w->spill_base_known || !s->place.registers))
			return err_set(err, -EPROTO,
			               "%s of %s should be %s bytes at offset %" PRIu64
			               ", but the binary shows %s at %u",
			               slot_label(w, i), w->f->name, item_text(w, &want, x),
			               slot_offset(w, s), item_text(w, &w->info, it),
			               it->n ? w->info.components[it->first].offset : 0);
	}
	return 0;
}

static const char *register_name(const struct work *w, uint8_t reg)
{
	char name[ARCH_REGISTER_TEXT];

	arch_register_text(w->b->img.arch, reg, name);
	return arena_strdup(&w->b->arena, name);
}

static const char *spills_text(struct work *w)
{
	struct buf s = {0};
	const char *text;

	for (size_t i = 0; i < w->prologue.nspills; i++)
		buf_printf(&s, "%s%s:%u", i ? " " : "", register_name(w, w->prologue.spills[i].reg),
		           w->prologue.spills[i].size);
	text = arena_strdup(&w->b->arena, s.data ? s.data : "none");
	buf_done(&s);
	return text;
}

static bool spill_matches(const struct work *w, const struct slot *s, size_t k)
{
	for (size_t i = 0; i < w->prologue.nspills; i++) {
		const struct spill *p = &w->prologue.spills[i];

		if (p->reg != s->place.regs[k])
			continue;
		return p->size == s->shape.words[k].size &&
		       (!w->spill_base_known ||
		        (uint64_t)p->stack ==
		            w->b->img.arch->stack_args + slot_offset(w, s) + s->shape.words[k].offset);
	}
	return false;
}

static int check_spills(struct work *w, struct err *err)
{
	size_t expected = 0;
	bool all = true;

	for (size_t i = 0; i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];

		all &= s->shaped;
		if (!s->shaped || !s->place.registers)
			continue;
		for (size_t k = 0; k < s->shape.nwords; k++, expected++)
			if (!spill_matches(w, s, k))
				return err_set(
				    err, -EPROTO,
				    "%s of %s should have %u bytes in %s, but the binary saves "
				    "these argument registers (with their bytes): %s",
				    slot_label(w, i), w->f->name, s->shape.words[k].size,
				    register_name(w, s->place.regs[k]), spills_text(w));
	}
	if (!all || expected == w->prologue.nspills)
		return 0;
	return err_set(err, -EPROTO,
	               "the parameters of %s fill %zu registers by its %s, but the binary "
	               "saves %zu: %s",
	               w->f->name, expected, w->sources & SIG_DECLARED ? "declaration" : "type",
	               w->prologue.nspills, spills_text(w));
}

static int check_pointers(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];

		if (!s->shaped || s->hidden || (s->place.registers && !w->spill_base_known))
			continue;
		for (size_t k = 0; k < s->shape.nwords; k++) {
			const struct word *word = &s->shape.words[k];
			uint64_t at = slot_offset(w, s) + word->offset;

			if (word->class == WORD_INT && !(at % 8) && at < UINT32_MAX &&
			    ptrmap_get(&w->map, (uint32_t)at))
				return err_set(err, -EPROTO,
				               "%s of %s has no pointer at byte %u, but "
				               "the binary says that there is one",
				               slot_label(w, i), w->f->name, word->offset);
		}
	}
	return 0;
}

int signature_check(struct work *w, struct err *err)
{
	int r = check_count(w, err);

	if (!r && w->has_info)
		r = check_items(w, err);
	if (!r && w->prologue.nspills)
		r = check_spills(w, err);
	if (!r && w->has_map)
		r = check_pointers(w, err);
	if (r)
		return r;
	if (w->has_info)
		w->sources |= SIG_ARGINFO;
	if (w->prologue.nspills)
		w->sources |= SIG_SPILLS;
	if (w->has_map)
		w->sources |= SIG_PTRMAP;
	return 0;
}
