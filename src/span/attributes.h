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
	int slot;
	enum value_kind kind;                  /* of the slot; of a constant: what it stands for */
	uint32_t steps;                        /* of the transform; 0: it leaves all values as they are */
	bool unless_known, keep_empty, hidden; /* as in struct transform */
	bool may_be_gone;                      /* as in struct pack_capture */
	struct attr_key key;
	const char *constant;                  /* or NULL */
	const struct transform *transform;
	struct attr_key cut_key;               /* "earshot.truncated." + key */
	struct attr_key original_key, original_cut_key, port_key;
	struct attr_key operation_key, collection_key, summary_key; /* of a statement of SQL */
	struct transform_wishes wishes;        /* the pack's; the user may have others */
};

/* Those of a probe that have a slot. */
struct capture_rules {
	struct capture_rule *rules;
	const int *slots;                      /* theirs, together: of most rules a record has no value */
	size_t n;
};

/* The memory is the interner's. */
struct capture_rules capture_rules_new(struct interner *in, const struct pack_variant *v,
				       const struct capture_program *p, const int *slot_of_item);

/* Applies the rules to the record: values that are there are set, others left as they were. Values that could not be
 * read are counted. */
void attributes_capture(struct attr_list *l, const struct capture_rules *rules, const struct event *e,
			const struct slot_source *src, uint64_t *unreadable);

#endif
