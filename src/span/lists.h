/*
 * Attributes that the program itself names: lists of them, somewhere in a value that a probe captured whole (an option,
 * an argument). What an element looks like says the pack (struct pack_lists).
 */
#ifndef SPAN_LISTS_H
#define SPAN_LISTS_H

#include "event/event.h"
#include "event/loss.h"
#include "probe/pack/pack.h"
#include "probe/slot.h"
#include "span/attr_list.h"
#include "span/interner.h"

#define LISTS_MAX_ATTRIBUTES 128   /* of a span: what is beyond is counted (LOSS_ATTRIBUTE) */
#define LISTS_MAX_NAMES 65536      /* names of attributes, in all: likewise */

struct list_reader;
/*
 * NULL where the variant captures no list, or the binary lacks what it takes to read one. The interner's memory; refers
 * to the others.
 */
const struct list_reader *list_reader_new(struct interner *in, const struct pack_lists *lists,
					  const struct pack_variant *v, const int *slot_of_item,
					  const struct capture_program *p, struct binary *b);
/* Sets all attributes that the record has in lists, in their order. */
void lists_capture(const struct list_reader *r, struct interner *in, const struct event *e,
		   const struct slot_source *src, struct attr_list *l, struct losses *losses);

#endif
