#include "probe/slot.h"

const void *slot_constant(const struct slot_source *src, uint64_t addr, uint64_t max, uint64_t *ret_n)
{
	const void *p = src->binary ? image_constant(binary_image(src->binary), addr - src->bias, max, ret_n) : NULL;
	const void *copy = p ? arena_memdup(src->arena, p, *ret_n) : NULL;

	return copy && binary_intact(src->binary) ? copy : NULL;
}

const char *slot_type_name(const struct slot_source *src, uint64_t word)
{
	const struct type *t = src->binary && word ? binary_type_at(src->binary, word - src->bias) : NULL;

	return t ? t->name : NULL;
}

/*
 * A text that could not be read to its end where the probe fired. A literal may not be resident, but it is in the file;
 * else there is what could be read.
 */
static void read_part(const struct event *e, size_t slot, const struct slot_source *src, struct slot_value *ret)
{
	uint64_t all = e->slots[slot].len, wanted = MIN(all, src->max_text), have = 0;
	const char *constant, *part = event_part(e, slot, &ret->len, &ret->word);

	constant = wanted ? slot_constant(src, ret->word, wanted, &have) : "";
	ret->lost = !constant || have < wanted;
	ret->text = ret->lost ? part : constant;
	ret->full_len = all;
	if (ret->lost)
		return;
	ret->len = wanted;
	ret->status = wanted < all ? SLOT_CUT : SLOT_OK;
}

static void read_text(const struct event *e, size_t slot, struct slot_value *ret)
{
	const struct event_slot *s = &e->slots[slot];

	ret->text = event_bytes(e, slot, &ret->len);
	ret->full_len = s->len;
	ret->word = s->copied || s->value;
}

void slot_read(const struct event *e, size_t slot, enum value_kind kind, const struct slot_source *src,
	       struct slot_value *ret)
{
	const struct event_slot *s = &e->slots[slot];

	*ret = (struct slot_value){.status = s->status, .lost = slot_lost(s->status), .word = s->value, .text = ""};
	if (s->status == SLOT_OK || s->status == SLOT_CUT) {
		if (kind == VALUE_STRING || kind == VALUE_STACK)
			read_text(e, slot, ret);
	} else if (s->status == SLOT_NOT_RESIDENT && kind == VALUE_STRING) {
		read_part(e, slot, src, ret);
	}
}
