/*
 * A captured value becomes an attribute in these steps, each optional (struct transform, probe/pack/pack.h):
 *
 *   default     0 or "" is replaced           status 0 → 200
 *   from        a prefix is cut off           "GET example.org/x" → "/x"; dropped when nothing is left
 *   prefix_of   dropped unless an attribute begins with it    /inner, when the path is /outer/inner
 *   map         text for text                 true → https
 *   known       what is not known is "other"  BREW → _OTHER, the original in an attribute of its own
 *   port        host:port is split            "[::1]:80" → "::1" and 80
 *   min, empty  no attribute at all           content length -1
 *
 * What is not there (a nil pointer, a missing key, a condition that did not hold, unreadable memory)
 * stays away: a default is for values that are known to be nothing.
 *
 * A string that was cut on the way gets a second attribute, earshot.truncated.KEY, with its full length. It and the
 * other attributes that a value brings along (its port, what became "other") go when a later point gives another value.
 * A literal of the program may not be resident, so that the planter could not read it; its bytes are in
 * the file, provided the address lies in a segment that the program cannot write.
 */
#include "span/attributes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_KEEP (16 * 1024) /* a larger buffer is not kept for the next span */

/* ---- the list ---- */

void attr_list_reset(struct attr_list *l)
{
	l->values.len = 0;
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
}

const struct attr_value *attr_list_find(const struct attr_list *l, const char *key, size_t len)
{
	for (size_t i = 0; i < l->values.len; i++) {
		const struct attr_value *v = &l->values.data[i];

		if (!strncmp(v->key, key, len) && !v->key[len])
			return v->gone ? NULL : v;
	}
	return NULL;
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
		buf_printf(out, "%" PRId64, v->i);
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
	*ret = (struct attr){.key = v->key, .kind = v->kind};
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
static void store_text(struct attr_list *l, struct attr_value *v, const char *s, size_t len)
{
	if (len > v->room || !l->text.data) {
		size_t room = MAX(len, 2 * (size_t)v->room);

		v->off = (uint32_t)l->text.len;
		v->room = (uint32_t)room;
		buf_reserve(&l->text, room);
		memset(l->text.data + l->text.len, 0, room + 1);
		l->text.len += room;
	}
	if (len)
		memcpy(l->text.data + v->off, s, len);
	v->len = (uint32_t)len;
}

static struct attr_value *slot_for(struct attr_list *l, const char *key, enum attr_kind kind)
{
	struct attr_value *v = NULL;

	for (size_t i = 0; i < l->values.len && !v; i++)
		if (l->values.data[i].key == key)
			v = &l->values.data[i];
	if (!v)
		v = vec_add(&l->values);
	*v = (struct attr_value){.key = key, .kind = kind, .off = v->off, .room = v->room};
	return v;
}

void attr_list_set_string(struct attr_list *l, const char *key, const char *s, size_t len)
{
	store_text(l, slot_for(l, key, ATTR_STRING), s, len);
}

/* What a value brings along, when that is a number. */
static void bring_int(struct attr_list *l, const char *about, const char *key, int64_t i)
{
	struct attr_value *v = slot_for(l, key, ATTR_INT);

	v->about = about;
	v->i = i;
}

static void bring_string(struct attr_list *l, const char *about, const char *key, const char *s, size_t len)
{
	struct attr_value *v = slot_for(l, key, ATTR_STRING);

	v->about = about;
	store_text(l, v, s, len);
}

static void forget_brought(struct attr_list *l, const char *about)
{
	for (size_t i = 0; i < l->values.len; i++)
		if (l->values.data[i].about == about)
			l->values.data[i].gone = true;
}

/* ---- rules ---- */

const char *intern(struct interner *in, const char *s)
{
	size_t len = strlen(s);
	char *copy = strmap_get(&in->keys, s, len);

	if (!copy) {
		copy = arena_strndup(&in->arena, s, len);
		strmap_set(&in->keys, copy, len, copy);
	}
	return copy;
}

void interner_done(struct interner *in)
{
	strmap_done(&in->keys);
	arena_done(&in->arena);
}

static const char *intern_cut(struct interner *in, const char *key)
{
	return intern(in, arena_printf(&in->arena, "earshot.truncated.%s", key));
}

/* A constant stands beside expressions of the same name: it is of their kind. */
static enum value_kind constant_kind(const struct pack_variant *v, const struct capture_program *p,
				     const int *slot_of_item, const char *name)
{
	for (size_t i = 0; i < v->ncaptures; i++) {
		const struct pack_capture *c = &v->captures[i];
		int slot = slot_of_item[i];

		if (!c->constant && !strcmp(c->name, name) && slot >= 0 && (size_t)slot < p->nslots)
			return p->slots[slot].kind;
	}
	return VALUE_STRING;
}

static struct capture_rule rule_of(struct interner *in, const struct pack_variant *v,
				   const struct capture_program *p, const int *slot_of_item, size_t i)
{
	const struct pack_capture *c = &v->captures[i];
	const struct transform *t = &c->transform;
	struct capture_rule r = {.transform = t,
				 .key = intern(in, c->name),
				 .cut_key = intern_cut(in, c->name),
				 .constant = c->constant,
				 .redact = t->redact,
				 .may_be_gone = c->may_be_gone,
				 .slot = slot_of_item[i]};

	if (t->original) {
		r.original_key = intern(in, t->original);
		r.original_cut_key = intern_cut(in, t->original);
	}
	if (t->port_attribute)
		r.port_key = intern(in, t->port_attribute);
	if (r.slot < 0 || (size_t)r.slot >= p->nslots)
		r.slot = -1;
	else if (c->constant)
		r.kind = c->number ? VALUE_INT : constant_kind(v, p, slot_of_item, c->name);
	else
		r.kind = p->slots[r.slot].kind;
	return r;
}

struct capture_rule *capture_rules_new(struct interner *in, const struct pack_variant *v,
				       const struct capture_program *p, const int *slot_of_item,
				       size_t *ret_n)
{
	struct capture_rule *rules = arena_array(&in->arena, struct capture_rule, v->ncaptures);

	for (size_t i = 0; i < v->ncaptures; i++)
		rules[i] = rule_of(in, v, p, slot_of_item, i);
	*ret_n = v->ncaptures;
	return rules;
}

/* ---- values ---- */

struct value {
	enum attr_kind kind;
	const char *s;
	size_t len, full_len;        /* full_len: of a string that was cut, else 0 */
	bool lost;                   /* the rest could not be read */
	int64_t i;
	double d;
	bool b;
	const char *title;
	const char *original;        /* what "other" replaced */
	size_t original_len;
	int port;                    /* -1: none */
	char scratch[32];
};

static void value_string(struct value *v, const char *s, size_t len)
{
	v->kind = ATTR_STRING;
	v->s = s;
	v->len = len;
	v->full_len = 0;
}

/* A number in a pack's text stays a number where it stands for one. */
static void value_from_text(struct value *v, const char *text, bool number)
{
	char *end;
	long long i = strtoll(text, &end, 10);

	value_string(v, text, strlen(text));
	if (number && *text && !*end) {
		v->kind = ATTR_INT;
		v->i = i;
	}
}

static const char *value_text(struct value *v, size_t *ret_len)
{
	int n = 0;

	if (v->kind == ATTR_STRING) {
		*ret_len = v->len;
		return v->s;
	}
	if (v->kind == ATTR_BOOL)
		n = snprintf(v->scratch, sizeof(v->scratch), "%s", v->b ? "true" : "false");
	else if (v->kind == ATTR_INT)
		n = snprintf(v->scratch, sizeof(v->scratch), "%" PRId64, v->i);
	else
		n = snprintf(v->scratch, sizeof(v->scratch), "%g", v->d);
	*ret_len = (size_t)n;
	return v->scratch;
}

const char *type_word_name(const struct value_source *src, uint64_t word)
{
	const struct type *t;

	if (!src->binary || !word)
		return NULL;
	t = binary_type_at(src->binary, word - src->bias);
	return t ? t->name : NULL;
}

static bool read_scalar(const struct capture_rule *r, uint64_t word, const struct value_source *src,
			struct value *v)
{
	float f;
	uint32_t low = (uint32_t)word;
	const char *name;

	switch (r->kind) {
	case VALUE_BOOL:
		v->kind = ATTR_BOOL;
		v->b = word != 0;
		return true;
	case VALUE_FLOAT32:
		memcpy(&f, &low, sizeof(f));
		v->kind = ATTR_DOUBLE;
		v->d = f;
		return true;
	case VALUE_FLOAT64:
		v->kind = ATTR_DOUBLE;
		memcpy(&v->d, &word, sizeof(v->d));
		return true;
	case VALUE_TYPE:
		name = type_word_name(src, word);
		value_string(v, name, name ? strlen(name) : 0);
		return name;
	case VALUE_POINTER:
		value_string(v, v->scratch,
			     (size_t)snprintf(v->scratch, sizeof(v->scratch), "0x%" PRIx64, word));
		return true;
	case VALUE_UINT:
		if (word > INT64_MAX) { /* no attribute can hold it as a number */
			value_string(v, v->scratch,
				     (size_t)snprintf(v->scratch, sizeof(v->scratch), "%" PRIu64, word));
			return true;
		}
		break;
	case VALUE_INT:
	case VALUE_STRING:
	case VALUE_PC:
	case VALUE_STACK:
	case VALUE_IMAGE:
		break;
	}
	v->kind = ATTR_INT;
	v->i = (int64_t)word;
	return r->kind != VALUE_STRING;
}

static bool read_literal(const struct event_slot *s, uint64_t addr, const struct value_source *src, struct value *v)
{
	static char literal[EVENT_MAX_STRING]; /* a value is stored before the next is read */
	size_t len = MIN(s->len, EVENT_MAX_STRING);
	uint64_t n = 0;
	const char *bytes = NULL;

	if (src->binary)
		bytes = image_constant(binary_image(src->binary), addr - src->bias, len, &n);
	if (n < len || (len && !bytes))
		return false;
	if (len)
		memcpy(literal, bytes, len);
	if (len && !binary_intact(src->binary))
		return false;
	value_string(v, literal, len);
	v->full_len = s->len > len ? s->len : 0;
	return true;
}

/* A string that could not be read to its end: it is in the file, or else it is cut there. */
static bool read_part(const struct event *e, size_t slot, const struct value_source *src, struct value *v)
{
	uint64_t addr;
	size_t n;
	const char *bytes = event_part(e, slot, &n, &addr);

	if (read_literal(&e->slots[slot], addr, src, v))
		return true;
	if (!n)
		return false;
	value_string(v, bytes, n);
	v->full_len = e->slots[slot].len;
	v->lost = true;
	return true;
}

static bool read_slot(const struct capture_rule *r, const struct event *e,
		      const struct value_source *src, struct value *v)
{
	const struct event_slot *s;
	const char *bytes;
	size_t len;

	if (r->slot < 0 || r->slot >= e->head->slots)
		return false;
	s = &e->slots[r->slot];
	if (r->constant) {
		value_from_text(v, r->constant, r->kind == VALUE_INT || r->kind == VALUE_UINT);
		return s->status == SLOT_OK;
	}
	if (s->status == SLOT_NOT_RESIDENT && r->kind == VALUE_STRING)
		return read_part(e, (size_t)r->slot, src, v);
	if (s->status != SLOT_OK && s->status != SLOT_CUT)
		return false;
	if (r->kind != VALUE_STRING)
		return s->status == SLOT_OK && read_scalar(r, s->value, src, v);
	bytes = event_bytes(e, (size_t)r->slot, &len);
	if (!bytes)
		return false;
	value_string(v, bytes, len);
	v->full_len = s->status == SLOT_CUT ? s->len : 0;
	return true;
}

/* ---- transforms: each returns false when no attribute is left ---- */

static bool value_is_zero(const struct value *v)
{
	return (v->kind == ATTR_STRING && v->len == 0 && !v->full_len) || (v->kind == ATTR_INT && v->i == 0) ||
	       (v->kind == ATTR_DOUBLE && v->d == 0);
}

static bool apply_from(struct value *v, const char *from)
{
	const char *at;

	if (v->kind != ATTR_STRING)
		return true;
	at = v->len ? memmem(v->s, v->len, from, strlen(from)) : NULL;
	if (!at)
		return false;
	v->len -= (size_t)(at - v->s);
	v->s = at;
	return true;
}

/* Without that attribute there is nothing to say against the value. */
static bool apply_prefix_of(const struct attr_list *l, const struct value *v, const char *key)
{
	const struct attr_value *whole = attr_list_find(l, key, strlen(key));
	const char *wildcard = v->kind == ATTR_STRING && v->len ? memchr(v->s, '{', v->len) : NULL;
	size_t len = wildcard ? (size_t)(wildcard - v->s) : v->len;

	if (!whole || whole->kind != ATTR_STRING || v->kind != ATTR_STRING)
		return true;
	return len <= whole->len && (!len || !memcmp(attr_list_text(l, whole), v->s, len));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As url.PathUnescape (and, with plus, QueryUnescape) would; what is no escape stays as it is. */
static void unescape(const char *s, size_t len, bool plus, struct buf *out)
{
	buf_reset(out);
	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len && s[i] == '%' ? hex_digit(s[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(s[i + 2]) : -1;

		if (low < 0) {
			buf_char(out, plus && s[i] == '+' ? ' ' : s[i]);
			continue;
		}
		buf_char(out, (char)(high << 4 | low));
		i += 2;
	}
}

/* Of a text that was cut, an escape at the end may be half there. */
static void apply_unescape(struct attr_list *l, struct value *v)
{
	if (v->kind != ATTR_STRING || !v->len)
		return;
	for (int i = 0; v->full_len && i < 2 && v->len > (size_t)i; i++)
		if (v->s[v->len - 1 - (size_t)i] == '%')
			v->len -= (size_t)i + 1;
	unescape(v->s, v->len, false, &l->decoded);
	v->s = l->decoded.len ? l->decoded.data : "";
	v->len = l->decoded.len;
}

/* Where one of them is not known there is nothing to say against the value. */
static bool apply_same(const struct attr_list *l, const char *const *names)
{
	const struct attr_value *a = attr_list_find(l, names[0], strlen(names[0]));
	const struct attr_value *b = attr_list_find(l, names[1], strlen(names[1]));
	size_t len;

	if (!a || !b || a->kind != ATTR_STRING || b->kind != ATTR_STRING)
		return true;
	len = MIN(a->len, b->len);
	if ((a->len > len && !b->cut) || (b->len > len && !a->cut))
		return false;
	return !memcmp(attr_list_text(l, a), attr_list_text(l, b), len);
}

static bool text_equals(const char *s, size_t len, const char *other)
{
	return strlen(other) == len && !memcmp(s, other, len);
}

static bool is_listed(const char *const *list, const char *s, size_t len)
{
	for (; *list; list++)
		if (text_equals(s, len, *list))
			return true;
	return false;
}

/* A name may be percent-encoded as well: %73ig is sig to whoever parses the query. */
static bool is_secret(struct attr_list *l, const char *const *names, const char *s, size_t len)
{
	unescape(s, len, true, &l->decoded);
	return is_listed(names, l->decoded.len ? l->decoded.data : "", l->decoded.len);
}

/*
 * a=1&sig=x → a=1&sig=REDACTED. Some parsers take ; for a separator, others for a part of the value: a name may follow
 * one, a secret goes on behind it.
 */
static void apply_redact(struct attr_list *l, struct value *v, const char *const *names)
{
	size_t start = 0, done = 0;

	if (v->kind != ATTR_STRING)
		return;
	buf_reset(&l->redacted);
	for (size_t i = 0; i < v->len; i++) {
		const char *end;

		if (v->s[i] == '&' || v->s[i] == ';')
			start = i + 1;
		if (v->s[i] != '=' || start > i || !is_secret(l, names, v->s + start, i - start))
			continue;
		end = memchr(v->s + i, '&', v->len - i);
		buf_append(&l->redacted, v->s + done, i + 1 - done);
		buf_str(&l->redacted, "REDACTED");
		done = end ? (size_t)(end - v->s) : v->len;
		i = done - 1;
	}
	if (!done)
		return;
	buf_append(&l->redacted, v->s + done, v->len - done);
	v->s = l->redacted.data;
	v->len = l->redacted.len;
}

static void apply_map(struct value *v, const char *const *map)
{
	size_t len;
	const char *s = value_text(v, &len);

	for (; map[0] && map[1]; map += 2) {
		if (text_equals(s, len, map[0])) {
			value_string(v, map[1], strlen(map[1]));
			return;
		}
	}
}

static void apply_known(struct value *v, const struct transform *t)
{
	size_t len;
	const char *s = value_text(v, &len);

	if (is_listed(t->known, s, len) || !t->other)
		return;
	v->original = s;
	v->original_len = len;
	v->title = t->title_other;
	v->kind = ATTR_STRING;
	v->s = t->other;
	v->len = strlen(t->other);
}

/* "host:port", "[v6]:port", "host", "v6" (two colons and no brackets: no port). */
static void apply_port(struct value *v)
{
	const char *colon, *end = v->s + v->len, *host_end;
	int port = 0;

	if (v->kind != ATTR_STRING || !v->len || v->s[0] == '/' || v->s[0] == '@') /* a Unix socket's name */
		return;
	colon = memrchr(v->s, ':', v->len);
	host_end = colon ? colon : end;
	if (v->s[0] == '[') {
		const char *bracket = memchr(v->s, ']', v->len);

		if (!bracket || (bracket + 1 != end && bracket + 1 != colon))
			return;
		host_end = bracket;
	} else if (!colon || memchr(v->s, ':', (size_t)(colon - v->s))) {
		return;
	}
	if (colon && colon >= host_end) {
		if (colon + 1 == end)
			return;
		for (const char *p = colon + 1; p < end; p++) {
			if (*p < '0' || *p > '9' || port > 65535)
				return;
			port = port * 10 + (*p - '0');
		}
		if (port > 65535)
			return;
		v->port = port;
	}
	if (v->s[0] == '[')
		v->s++;
	v->len = (size_t)(host_end - v->s);
}

static bool apply_transform(struct attr_list *l, struct value *v, const struct capture_rule *r)
{
	const struct transform *t = r->transform;
	bool number = v->kind != ATTR_STRING;

	if (t->default_value && value_is_zero(v))
		value_from_text(v, t->default_value, number);
	if (t->unescape)
		apply_unescape(l, v);
	if (t->drop && v->kind == ATTR_STRING && is_listed(t->drop, v->s, v->len))
		return false;
	if (t->from && !apply_from(v, t->from))
		return false;
	if (t->prefix_of && !apply_prefix_of(l, v, t->prefix_of))
		return false;
	if (t->same && !apply_same(l, t->same))
		return false;
	if (r->redact)
		apply_redact(l, v, r->redact);
	if (t->map)
		apply_map(v, t->map);
	if (t->known)
		apply_known(v, t);
	if (t->port_attribute)
		apply_port(v);
	if (t->min_set && v->kind == ATTR_INT && v->i < t->min)
		return false;
	return v->kind != ATTR_STRING || v->len > 0 || v->full_len || t->keep_empty;
}

static void store(struct attr_list *l, const struct capture_rule *r, const struct value *v)
{
	struct attr_value *a;

	forget_brought(l, r->key);
	a = slot_for(l, r->key, v->kind);
	a->hidden = r->transform->hidden;
	a->title = v->title;
	a->cut = v->full_len != 0;
	if (v->kind == ATTR_STRING)
		store_text(l, a, v->s, v->len);
	else if (v->kind == ATTR_INT)
		a->i = v->i;
	else if (v->kind == ATTR_DOUBLE)
		a->d = v->d;
	else
		a->b = v->b;
	if (r->transform->hidden)
		return;
	if (v->original && r->original_key)
		bring_string(l, r->key, r->original_key, v->original, v->original_len);
	if (v->full_len && !v->original)
		bring_int(l, r->key, r->cut_key, (int64_t)v->full_len);
	else if (v->full_len && r->original_key)
		bring_int(l, r->key, r->original_cut_key, (int64_t)v->full_len);
	if (v->port >= 0 && r->port_key)
		bring_int(l, r->key, r->port_key, v->port);
}

static bool known(const struct attr_list *l, const struct capture_rule *r)
{
	return attr_list_find(l, r->key, strlen(r->key));
}

static bool unreadable(const struct capture_rule *r, const struct event *e)
{
	return r->slot >= 0 && r->slot < e->head->slots && slot_lost(e->slots[r->slot].status);
}

void attributes_capture(struct attr_list *l, const struct capture_rule *rules, size_t n,
			const struct event *e, const struct value_source *src)
{
	for (size_t i = 0; i < n; i++) {
		struct value v = {.port = -1};

		if (rules[i].transform->unless_known && known(l, &rules[i]))
			continue;
		if (read_slot(&rules[i], e, src, &v)) {
			if (v.lost && src->unreadable)
				(*src->unreadable)++;
			if (apply_transform(l, &v, &rules[i]))
				store(l, &rules[i], &v);
		} else if (src->unreadable && unreadable(&rules[i], e) &&
			   !(rules[i].may_be_gone && known(l, &rules[i]))) {
			(*src->unreadable)++;
		}
	}
}

/* ---- titles ---- */

static bool title_try(const struct attr_list *l, const char *t, struct buf *out)
{
	while (*t) {
		const char *close = *t == '{' ? strchr(t, '}') : NULL;
		const struct attr_value *v;

		if (!close) {
			buf_char(out, *t++);
			continue;
		}
		v = attr_list_find(l, t + 1, (size_t)(close - t - 1));
		if (!v)
			return false;
		if (v->title)
			buf_str(out, v->title);
		else
			attr_list_print(l, v, out);
		t = close + 1;
	}
	return true;
}

void title_render(const struct attr_list *l, const char *const *titles, const char *fallback,
		  struct buf *out)
{
	for (; titles && *titles; titles++) {
		buf_reset(out);
		if (title_try(l, *titles, out))
			return;
	}
	buf_reset(out);
	buf_str(out, fallback);
}
