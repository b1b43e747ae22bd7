/*
 * The attributes of an open span. The list is reused from span to span: no allocation once it has its size.
 */
#ifndef SPAN_ATTR_LIST_H
#define SPAN_ATTR_LIST_H

#include <string.h>

#include "base/buf.h"
#include "base/vec.h"
#include "span/span.h"
#include "span/sql.h"

/* A key and what it is looked for by. Made once of those that come again. */
struct attr_key {
	const char *s;      /* NULL: no key */
	uint32_t len, hash;
};

/* Names of attributes differ at their ends, or have the same length seldom: eight bytes of both are enough. */
static inline struct attr_key attr_key(const char *s, size_t len)
{
	uint64_t first = 0, last = 0;

	if (len >= sizeof(first)) {
		memcpy(&first, s, sizeof(first));
		memcpy(&last, s + len - sizeof(last), sizeof(last));
	} else {
		for (size_t i = 0; i < len; i++)
			first = first << 8 | (unsigned char)s[i];
	}
	first = (first + len) * UINT64_C(0x9e3779b97f4a7c15) ^ last;
	return (struct attr_key){s, (uint32_t)len, (uint32_t)(first * UINT64_C(0xd6e8feb86659fd93) >> 32)};
}

static inline struct attr_key attr_key_of(const char *s) /* NULL: no key */
{
	return s ? attr_key(s, strlen(s)) : (struct attr_key){0};
}

/* Strings lie in the list's text, which may move: at off. */
struct attr_value {
	const char *key;    /* interned: equal keys are equal pointers */
	const char *title;  /* how titles write it, or NULL: as it is */
	const char *about;  /* NULL, or the attribute that this one came with: it says how it was cut, its port, … */
	enum attr_kind kind;
	uint32_t key_len, hash;
	bool summed;        /* of values of several records: without one of them it is wrong */
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
	uint64_t keys;      /* a bit for each key, by its hash: where it is 0 there is no such attribute */
	struct buf text;
	struct buf decoded, redacted, built, path, mounted; /* of the value that is being set */
	struct sql_statement own_sql;
	const struct sql_statement *sql; /* of the value that is being set, if it is one: own_sql, or a cache's */
};
void attr_list_reset(struct attr_list *l); /* empties; keeps the memory unless it is large */
void attr_list_done(struct attr_list *l);
const struct attr_value *attr_list_find(const struct attr_list *l, const char *key, size_t len);
const struct attr_value *attr_list_look(const struct attr_list *l, struct attr_key key); /* likewise */
bool attr_list_has(const struct attr_list *l, const char *key); /* key NULL: false */
const char *attr_list_text(const struct attr_list *l, const struct attr_value *v);
/* Appends the value as text. */
void attr_list_print(const struct attr_list *l, const struct attr_value *v, struct buf *out);
/*
 * An attribute of that key and kind, new or in the old one's place; the value is the caller's to set. What the old one
 * brought along is forgotten. All keys must be interned. Valid until the list changes.
 */
struct attr_value *attr_list_put(struct attr_list *l, struct attr_key key, enum attr_kind kind);
struct attr_value *attr_list_set(struct attr_list *l, const char *key, enum attr_kind kind);
void attr_list_store_text(struct attr_list *l, struct attr_value *v, const char *s, size_t len); /* of an ATTR_STRING */
void attr_list_set_string(struct attr_list *l, const char *key, const char *s, size_t len);
/* What another attribute's value (of the key about) brings along: forgotten when that gets another value. */
void attr_list_bring_int(struct attr_list *l, const char *about, struct attr_key key, int64_t i);
void attr_list_bring_string(struct attr_list *l, const char *about, struct attr_key key, const char *s, size_t len);
/* The i-th value as sinks see it; false when it is hidden. Valid until the list changes. */
bool attr_list_get(const struct attr_list *l, size_t i, struct attr *ret);

#endif
