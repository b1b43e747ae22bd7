/*
 * From the slots of a record to attributes, by a pack's rules. The attributes of an open span are kept
 * in a list that is reused from span to span: no allocation once it has its size.
 */
#ifndef SPAN_ATTRIBUTES_H
#define SPAN_ATTRIBUTES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"
#include "event/event.h"
#include "probe/ir.h"
#include "probe/pack/pack.h"
#include "span/span.h"

/* An attribute of an open span. Strings lie in the list's text, which may move: at off. */
struct attr_value {
	const char *key;    /* interned: equal keys are equal pointers */
	const char *title;  /* how titles write it, or NULL: as it is */
	enum attr_kind kind;
	const char *about;  /* NULL, or the attribute that this one came with: it says how it was cut, its port, … */
	bool hidden, cut;   /* cut: the program's text is longer */
	bool gone;          /* its attribute has another value now: no attribute any more, only room for one */
	uint32_t off, len, room; /* room is kept when the value is replaced */
	union {
		int64_t i;
		double d;
		bool b;
	};
};

struct attr_list {
	VEC(struct attr_value) values;
	struct buf text;
	struct buf decoded, redacted; /* of the value that is being set */
};
void attr_list_reset(struct attr_list *l); /* empties; keeps the memory unless it is large */
void attr_list_done(struct attr_list *l);
const struct attr_value *attr_list_find(const struct attr_list *l, const char *key, size_t len);
const char *attr_list_text(const struct attr_list *l, const struct attr_value *v);
/* Appends the value as text. */
void attr_list_print(const struct attr_list *l, const struct attr_value *v, struct buf *out);
/* key must be interned. */
void attr_list_set_string(struct attr_list *l, const char *key, const char *s, size_t len);
/* The i-th value as sinks see it; false when it is hidden. Valid until the list changes. */
bool attr_list_get(const struct attr_list *l, size_t i, struct attr *ret);

/* The keys of all packs, each once. */
struct interner {
	struct strmap keys;
	struct arena arena;
};
const char *intern(struct interner *in, const char *s);
void interner_done(struct interner *in);

/* A capture of a probe, prepared: what attribute it becomes and where its slot is. */
struct capture_rule {
	const struct transform *transform;
	const char *key, *cut_key;             /* cut_key: "earshot.truncated." + key */
	const char *original_key, *original_cut_key, *port_key;
	const char *constant;                  /* or NULL */
	const char *const *redact;             /* as in struct transform, or the user's own list */
	bool may_be_gone;                      /* as in struct pack_capture */
	int slot;                              /* -1: left out */
	enum value_kind kind;                  /* of the slot; of a constant: what it stands for */
};
struct capture_rule *capture_rules_new(struct interner *in, const struct pack_variant *v,
				       const struct capture_program *p, const int *slot_of_item,
				       size_t *ret_n);

/* What completes a value that the record only names by address. binary may be NULL. */
struct value_source {
	struct binary *binary;
	uint64_t bias;
	uint64_t *unreadable; /* counts values that could not be read */
};
/* Applies the rules to the record: values that are there are set, others left as they were. */
void attributes_capture(struct attr_list *l, const struct capture_rule *rules, size_t n,
			const struct event *e, const struct value_source *src);
/* A type word (VALUE_TYPE) as a Go type name; NULL if it is none. */
const char *type_word_name(const struct value_source *src, uint64_t word);

/*
 * Renders the first of the titles ("{http.request.method} {http.route}") whose parts are all there, or
 * fallback, into out.
 */
void title_render(const struct attr_list *l, const char *const *titles, const char *fallback,
		  struct buf *out);

#endif
