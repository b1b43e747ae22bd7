/* From the slots of a record to attributes, by a pack's rules. */
#ifndef SPAN_ATTRIBUTES_H
#define SPAN_ATTRIBUTES_H

#include "event/event.h"
#include "probe/pack/pack.h"
#include "probe/slot.h"
#include "span/attr_list.h"
#include "span/interner.h"
#include "span/transform.h"

/* A capture of a probe, prepared: what attribute it becomes and where its slot is. */
struct capture_rule {
	const struct transform *transform;
	const char *key, *cut_key;             /* cut_key: "earshot.truncated." + key */
	const char *original_key, *original_cut_key, *port_key;
	const char *operation_key, *collection_key, *summary_key; /* of a statement of SQL */
	const char *constant;                  /* or NULL */
	struct transform_wishes wishes;        /* the pack's; the user may have others */
	bool may_be_gone;                      /* as in struct pack_capture */
	int slot;                              /* -1: left out */
	enum value_kind kind;                  /* of the slot; of a constant: what it stands for */
};
struct capture_rule *capture_rules_new(struct interner *in, const struct pack_variant *v,
				       const struct capture_program *p, const int *slot_of_item,
				       size_t *ret_n);

/* Applies the rules to the record: values that are there are set, others left as they were. Values that could not be
 * read are counted. */
void attributes_capture(struct attr_list *l, const struct capture_rule *rules, size_t n,
			const struct event *e, const struct slot_source *src, uint64_t *unreadable);

#endif
