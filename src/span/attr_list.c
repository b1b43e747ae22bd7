#include "span/attr_list.h"

#include <string.h>

#include "base/copy.h"

#define TEXT_KEEP (16 * 1024) /* a larger buffer is not kept for the next span */

void attr_list_reset(struct attr_list *l)
{
	l->values.len = 0;
	l->keys = 0;
	if (l->text.cap > TEXT_KEEP)
		buf_done(&l->text);
	else
		buf_reset(&l->text);
}

void attr_list_done(struct attr_list *l)
{
	vec_done(&l->values);
	buf_done(&l->text);
	buf_done(&l->decoded);
	buf_done(&l->redacted);
	sql_statement_done(&l->own_sql);
	buf_done(&l->built);
	buf_done(&l->path);
	buf_done(&l->mounted);
}

static uint64_t bit_of(const struct attr_key *key)
{
	return UINT64_C(1) << (key->hash & 63);
}

static bool is_key(const struct attr_value *v, const struct attr_key *key)
{
	return v->hash == key->hash && v->key_len == key->len &&
	       (v->key == key->s || !memcmp(v->key, key->s, key->len));
}

const struct attr_value *attr_list_look(const struct attr_list *l, struct attr_key key)
{
	const struct attr_value *v = l->values.data, *end = v + l->values.len;

	if (!(l->keys & bit_of(&key)))
		return NULL;
	while (v < end && !is_key(v, &key))
		v++;
	return v < end && !v->gone ? v : NULL;
}

const struct attr_value *attr_list_find(const struct attr_list *l, const char *key, size_t len)
{
	return attr_list_look(l, attr_key(key, len));
}

bool attr_list_has(const struct attr_list *l, const char *key)
{
	return key && attr_list_look(l, attr_key_of(key));
}

const char *attr_list_text(const struct attr_list *l, const struct attr_value *v)
{
	return v->len ? l->text.data + v->off : "";
}

void attr_list_print(const struct attr_list *l, const struct attr_value *v, struct buf *out)
{
	switch (v->kind) {
	case ATTR_STRING:
		buf_append(out, attr_list_text(l, v), v->len);
		break;
	case ATTR_INT:
		buf_int(out, v->i);
		break;
	case ATTR_DOUBLE:
		buf_printf(out, "%g", v->d);
		break;
	case ATTR_BOOL:
		buf_str(out, v->b ? "true" : "false");
		break;
	}
}

bool attr_list_get(const struct attr_list *l, size_t i, struct attr *ret)
{
	const struct attr_value *v = &l->values.data[i];

	if (v->hidden || v->gone)
		return false;
	ret->key = v->key;
	ret->kind = v->kind;
	ret->key_len = v->key_len;
	switch (v->kind) {
	case ATTR_STRING:
		ret->s = attr_list_text(l, v);
		ret->len = v->len;
		break;
	case ATTR_INT:
		ret->i = v->i;
		break;
	case ATTR_DOUBLE:
		ret->d = v->d;
		break;
	case ATTR_BOOL:
		ret->b = v->b;
		break;
	}
	return true;
}

/* Room doubles when a value is replaced by a longer one, so that notes in a loop cannot grow the text
 * for ever. */
void attr_list_store_text(struct attr_list *l, struct attr_value *v, const char *s, size_t len)
{
	if (len > v->room || !l->text.data) {
		size_t room = MAX(len, 2 * (size_t)v->room);

		v->off = (uint32_t)l->text.len;
		v->room = (uint32_t)room;
		buf_reserve(&l->text, room);
		if (room > len)
			memset(l->text.data + l->text.len + len, 0, room - len);
		l->text.len += room;
		l->text.data[l->text.len] = 0;
	}
	copy_short(l->text.data + v->off, s, len);
	v->len = (uint32_t)len;
}

static void forget_brought(struct attr_list *l, const char *about)
{
	for (size_t i = 0; i < l->values.len; i++)
		if (l->values.data[i].about == about)
			l->values.data[i].gone = true;
}

/* NULL: there is none. */
static struct attr_value *place_of(struct attr_list *l, const struct attr_key *key)
{
	struct attr_value *v = l->values.data, *end = v + l->values.len;

	if (!(l->keys & bit_of(key)))
		return NULL;
	while (v < end && v->key != key->s)
		v++;
	return v < end ? v : NULL;
}

struct attr_value *attr_list_put(struct attr_list *l, struct attr_key key, enum attr_kind kind)
{
	struct attr_value *v = place_of(l, &key);
	uint32_t off = 0, room = 0;

	if (v) {
		forget_brought(l, key.s);
		off = v->off;
		room = v->room;
	} else {
		v = vec_add(&l->values);
		l->keys |= bit_of(&key);
	}
	*v = (struct attr_value){.key = key.s, .kind = kind, .key_len = key.len, .hash = key.hash, .off = off,
				 .room = room};
	return v;
}

struct attr_value *attr_list_set(struct attr_list *l, const char *key, enum attr_kind kind)
{
	return attr_list_put(l, attr_key_of(key), kind);
}

void attr_list_set_string(struct attr_list *l, const char *key, const char *s, size_t len)
{
	attr_list_store_text(l, attr_list_set(l, key, ATTR_STRING), s, len);
}

void attr_list_bring_int(struct attr_list *l, const char *about, struct attr_key key, int64_t i)
{
	struct attr_value *v = attr_list_put(l, key, ATTR_INT);

	v->about = about;
	v->i = i;
}

void attr_list_bring_string(struct attr_list *l, const char *about, struct attr_key key, const char *s, size_t len)
{
	struct attr_value *v = attr_list_put(l, key, ATTR_STRING);

	v->about = about;
	attr_list_store_text(l, v, s, len);
}
