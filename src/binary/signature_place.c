/*
 * From types to places: the shape of each parameter and result, by its type or else by the words
 * that ArgInfo lists for it, and where the calling convention (abi.c) puts it. Apart from the
 * sources because it is the same for all of them.
 *
 * A declared type that the binary does not describe is taken as the words that ArgInfo lists for
 * it. Whether such a word is an integer or a float is seen from the register that is saved to its
 * place.
 */
#include "binary/signature.h"

static bool pieces_saved(const struct work *w, uint32_t frame_offset, uint8_t *ret_reg)
{
	for (size_t i = 0; i < w->prologue.nspills; i++)
		if (w->prologue.spills[i].stack == (int32_t)frame_offset + w->b->img.arch->stack_args) {
			*ret_reg = w->prologue.spills[i].reg;
			return true;
		}
	return false;
}

/* The class of a word known by size only. False when an integer cannot be told from a float. */
static bool guess_class(const struct work *w, const struct arg_component *c, bool aggregate,
                        struct word *ret, bool *ret_memory)
{
	uint8_t reg;

	if (pieces_saved(w, c->offset, &reg)) {
		ret->class = reg >= REG_FLOAT ? WORD_FLOAT : WORD_UNKNOWN;
		return true;
	}
	ret->class = WORD_UNKNOWN;
	if (w->prologue.nspills) {
		*ret_memory = true;
		return true;
	}
	return ret->size < 4 || aggregate || (w->has_map && ptrmap_get(&w->map, c->offset));
}

static const char *shape_from_item(struct work *w, const struct arg_item *it, struct abi_shape *ret)
{
	const struct arg_component *c = &w->info.components[it->first];
	struct abi_shape s = {.align = 1};

	if (it->cut)
		return "its type is not in the binary and it has more parts than the binary lists";
	for (size_t i = 0; i < it->n; i++) {
		struct word *word = &s.words[s.nwords++];

		*word = (struct word){.offset = (uint32_t)(c[i].offset - c[0].offset),
		                      .size = c[i].size};
		if (c[i].offset < c[0].offset ||
		    !guess_class(w, &c[i], it->aggregate, word, &s.memory))
			return "its type is not in the binary and an integer cannot be told from a "
			       "float here";
		s.align = MAX(s.align, (uint32_t)c[i].size);
		s.size = word->offset + c[i].size;
	}
	if (s.align > 8)
		return "the binary describes it in a way that cannot be right";
	s.size = ALIGN_UP(s.size, (uint64_t)MAX(s.align, 1u));
	*ret = s;
	return NULL;
}

const struct arg_item *slot_item(const struct work *w, size_t i)
{
	size_t skip = w->name.generic ? 1 : 0;

	if (!w->has_info || i < skip || i - skip >= w->info.nitems)
		return NULL;
	return &w->info.items[i - skip];
}

static const char *shape_param(struct work *w, size_t i)
{
	struct slot *s = &w->params.v[i];
	const struct arg_item *it = slot_item(w, i);

	if (s->hidden) {
		shape_word(&s->shape, 8, WORD_UNKNOWN);
		return NULL;
	}
	if (s->type && type_shape(w->b, s->type, &s->shape))
		return NULL;
	if (!it)
		return s->text ? "its type is not in the binary and neither is its shape"
		               : "neither its type nor its shape is in the binary";
	return shape_from_item(w, it, &s->shape);
}

static void place_params(struct work *w, struct assign *a)
{
	const char *why = NULL;

	for (size_t i = 0; i < w->params.n; i++) {
		struct slot *s = &w->params.v[i];

		if (!why) {
			why = shape_param(w, i);
			s->why = why;
		} else {
			s->why = "a parameter before it has an unknown shape";
		}
		s->shaped = !s->why;
		if (s->shaped)
			abi_assign(a, &s->shape, false, &s->place);
	}
}

static void place_results(struct work *w, struct assign *a)
{
	const char *why = NULL;

	for (size_t i = 0; i < w->results.n; i++) {
		struct slot *s = &w->results.v[i];

		if (why)
			s->why = "a result before it has an unknown shape";
		else if (!s->type || !type_shape(w->b, s->type, &s->shape))
			s->why = why = "its type is not in the binary";
		s->shaped = !s->why;
		if (s->shaped)
			abi_assign(a, &s->shape, true, &s->place);
	}
}

/* Without known results the start of the spill area is seen from the first saved register. */
static void find_spill_base(struct work *w, const struct assign *a)
{
	bool results = w->results_known;

	for (size_t i = 0; i < w->results.n; i++)
		results &= w->results.v[i].shaped;
	w->spill_base_known = results;
	w->spill_base = ALIGN_UP(a->stack, (uint64_t)8);
	for (size_t i = 0; !w->spill_base_known && i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];
		const struct arg_item *it = slot_item(w, i);
		uint64_t at;

		if (!it || !it->n || !s->shaped || !s->place.registers || !s->shape.nwords)
			continue;
		at = s->place.offset + s->shape.words[0].offset;
		if (w->info.components[it->first].offset < at)
			continue;
		w->spill_base = w->info.components[it->first].offset - at;
		w->spill_base_known = true;
	}
}

void signature_place(struct work *w)
{
	struct assign in = {.arch = w->b->img.arch}, out = in;

	place_params(w, &in);
	out.stack = ALIGN_UP(in.stack, (uint64_t)8);
	place_results(w, &out);
	find_spill_base(w, &out);
}

uint64_t slot_offset(const struct work *w, const struct slot *s)
{
	return s->place.registers ? w->spill_base + s->place.offset : s->place.offset;
}
