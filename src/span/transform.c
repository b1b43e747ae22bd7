/*
 * A captured value becomes an attribute in these steps, each optional (struct transform, probe/pack/pack.h):
 *
 *   default     0 or "" is replaced           status 0 → 200
 *   ip          the text of an IP's bytes      7f 00 00 01 → "127.0.0.1"
 *   until       an end is cut off             "/x?a=1" → "/x"
 *   escape      a path as URLs have it        "/a b" → "/a%20b"; unescape is the other way
 *   from        a prefix is cut off           "GET example.org/x" → "/x"; dropped when nothing is left
 *   after       likewise, and the text itself   "/shop.Cart/Add" → "shop.Cart/Add"
 *   upper       capitals                      get → GET
 *   trailing_number  the number at the end    "INSERT 0 3" → 3; dropped when there is none
 *   append      attributes' texts are added   "/users" and "/{id}"
 *   replace     text for text, within         "/users//{id}" → "/users/{id}"
 *   parameters  parts of a path are named     "/users/7" → "/users/:id"
 *   mounted     a route is put in front       "/{id}" → "/users/{id}"
 *   prefix_of   dropped unless an attribute begins with it    /inner, when the path is /outer/inner
 *   sql         literals are hidden           SELECT 'x' → SELECT ?
 *   map         text for text                 true → https
 *   known       what is not known is "other"  BREW → _OTHER, the original in an attribute of its own
 *   port        host:port is split            "[::1]:80" → "::1" and 80
 *   min, empty  no attribute at all           content length -1
 */
#include "span/transform.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text_view.h"
#include "span/address.h"
#include "span/route.h"

void captured_set_text(struct captured_value *v, const char *s, size_t len)
{
	v->kind = ATTR_STRING;
	v->s = s;
	v->len = len;
	v->full_len = 0;
}

void captured_set_constant(struct captured_value *v, const char *text, bool number)
{
	long long i;
	char *end;

	captured_set_text(v, text, strlen(text));
	if (!number || !*text)
		return;
	i = strtoll(text, &end, 10);
	if (!*end) {
		v->kind = ATTR_INT;
		v->i = i;
	}
}

static const char *captured_text(struct captured_value *v, size_t *ret_len)
{
	if (v->kind == ATTR_STRING) {
		*ret_len = v->len;
		return v->s;
	}
	if (v->kind == ATTR_BOOL) {
		*ret_len = v->b ? 4 : 5;
		return v->b ? "true" : "false";
	}
	*ret_len = v->kind == ATTR_INT ? int_text(v->i, v->scratch)
				       : (size_t)snprintf(v->scratch, sizeof(v->scratch), "%g", v->d);
	return v->scratch;
}

/* Go keeps IPv4 in 4 bytes or, after ::ffff:, in 16; both are one address and have one text. */
static bool apply_ip(struct captured_value *v)
{
	char text[INET6_ADDRSTRLEN];
	size_t len;

	if (v->kind != ATTR_STRING || v->full_len || !ip_print(v->s, v->len, text))
		return false;
	len = strlen(text);
	memcpy(v->scratch, text, len);
	captured_set_text(v, v->scratch, len);
	return true;
}

/* ---- the steps: each returns false when no attribute is left ---- */

static bool value_is_zero(const struct captured_value *v)
{
	return (v->kind == ATTR_STRING && v->len == 0 && !v->full_len) || (v->kind == ATTR_INT && v->i == 0) ||
	       (v->kind == ATTR_DOUBLE && v->d == 0);
}

static bool apply_from(struct captured_value *v, const char *from)
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

static bool apply_after(struct captured_value *v, const char *after)
{
	size_t len = strlen(after);

	if (!apply_from(v, after))
		return false;
	if (v->kind == ATTR_STRING) {
		v->s += len;
		v->len -= len;
	}
	return true;
}

static void apply_until(struct captured_value *v, const char *until)
{
	const char *at = v->kind == ATTR_STRING && v->len ? memmem(v->s, v->len, until, strlen(until)) : NULL;

	if (!at)
		return;
	v->len = (size_t)(at - v->s);
	v->full_len = 0; /* nothing that belongs to it was cut */
}

static bool apply_trailing_number(struct captured_value *v)
{
	int64_t n = 0, unit = 1;
	size_t digits = 0;

	if (v->kind != ATTR_STRING || v->full_len)
		return false;
	for (; digits < v->len && digits < 18; digits++, unit *= 10) {
		char c = v->s[v->len - 1 - digits];

		if (c < '0' || c > '9')
			break;
		n += (c - '0') * unit;
	}
	v->kind = ATTR_INT;
	v->i = n;
	return digits > 0;
}

static const struct attr_value *find_text(const struct attr_list *l, const char *key, struct text_view *ret)
{
	const struct attr_value *a = attr_list_find(l, key, strlen(key));

	if (!a || a->kind != ATTR_STRING)
		return NULL;
	*ret = (struct text_view){attr_list_text(l, a), a->len};
	return a;
}

static void set_built(struct attr_list *l, struct captured_value *v)
{
	v->s = l->built.len ? l->built.data : "";
	v->len = l->built.len;
}

/* Takes v's text into l->built, where it can be changed. */
static void build(struct attr_list *l, struct captured_value *v)
{
	if (v->s == l->built.data && v->len == l->built.len)
		return;
	buf_reset(&l->built);
	buf_append(&l->built, v->s, v->len);
	set_built(l, v);
}

static void apply_upper(struct attr_list *l, struct captured_value *v)
{
	if (v->kind != ATTR_STRING || !v->len)
		return;
	build(l, v);
	for (char *c = l->built.data; c < l->built.data + l->built.len; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
}

static void apply_append(struct attr_list *l, struct captured_value *v, const char *const *names)
{
	struct text_view text;

	if (v->kind != ATTR_STRING)
		return;
	build(l, v);
	for (; *names; names++)
		if (find_text(l, *names, &text))
			buf_append(&l->built, text.s, text.len);
	set_built(l, v);
}

/* Where text, or text at the end, is in b; else NULL. */
static char *find_replaced(const struct buf *b, const char *text, size_t len)
{
	if (!len || b->len < len)
		return NULL;
	if (text[len - 1] != '$')
		return memmem(b->data, b->len, text, len);
	return b->len >= --len && !memcmp(b->data + b->len - len, text, len) ? b->data + b->len - len : NULL;
}

static void replace_one(struct buf *b, const char *text, const char *with)
{
	size_t len = strlen(text), found = len && text[len - 1] == '$' ? len - 1 : len, n = strlen(with);
	char *at;

	if (n >= found) /* it would not end */
		return;
	while ((at = find_replaced(b, text, len)) && b->len - found + n) {
		memcpy(at, with, n);
		memmove(at + n, at + found, b->len - (size_t)(at - b->data) - found);
		b->len -= found - n;
	}
}

static void apply_replace(struct attr_list *l, struct captured_value *v, const char *const *pairs)
{
	if (v->kind != ATTR_STRING)
		return;
	build(l, v);
	for (; pairs[0] && pairs[1]; pairs += 2)
		replace_one(&l->built, pairs[0], pairs[1]);
	set_built(l, v);
}

static bool find_number(const struct attr_list *l, const char *prefix, int i, const char *what, size_t *ret)
{
	char key[128];
	const struct attr_value *a;
	int n = i < 0 ? snprintf(key, sizeof(key), "%s.%s", prefix, what)
		      : snprintf(key, sizeof(key), "%s.%d.%s", prefix, i, what);

	a = n > 0 && (size_t)n < sizeof(key) ? attr_list_find(l, key, (size_t)n) : NULL;
	if (!a || a->kind != ATTR_INT || a->i < 0)
		return false;
	*ret = (size_t)a->i;
	return true;
}

#define MAX_PARAMETERS 8

static bool apply_parameters(struct attr_list *l, struct captured_value *v, const char *prefix)
{
	struct route_parameter p[MAX_PARAMETERS];
	struct text_view path = {v->s, v->len};
	size_t n;

	if (v->kind != ATTR_STRING || v->full_len || !find_number(l, prefix, -1, "n", &n) || n > MAX_PARAMETERS)
		return false;
	for (size_t i = 0; i < n; i++) {
		char name[128];

		snprintf(name, sizeof(name), "%s.%zu.name", prefix, i);
		if (!find_number(l, prefix, (int)i, "at", &p[i].at) ||
		    !find_number(l, prefix, (int)i, "len", &p[i].len) || !find_text(l, name, &p[i].name))
			return false;
	}
	buf_reset(&l->path);
	if (!route_of_parameters(path, p, n, &l->path))
		return false;
	v->s = l->path.len ? l->path.data : "";
	v->len = l->path.len;
	return true;
}

/* As with `same`, without the paths there is nothing to say against the value. */
static bool apply_mounted(struct attr_list *l, struct captured_value *v, const char *const *names)
{
	struct text_view route = {"", 0}, path, whole;
	const struct attr_value *p = find_text(l, names[1], &path), *w = find_text(l, names[2], &whole);
	size_t len, front;

	if (!p || !w || v->kind != ATTR_STRING)
		return true;
	len = MIN(path.len, whole.len);
	if ((path.len == len || w->cut) && (whole.len == len || p->cut) && !memcmp(path.s, whole.s, len))
		return true;
	find_text(l, names[0], &route);
	if (p->cut || w->cut || !v->len || *v->s != '/' || !route_before(route, path, whole, &front))
		return false;
	buf_reset(&l->mounted);
	buf_append(&l->mounted, route.s, front);
	buf_append(&l->mounted, v->s, v->len);
	v->s = l->mounted.data;
	v->len = l->mounted.len;
	return true;
}

/* Without that attribute there is nothing to say against the value. */
static bool apply_prefix_of(const struct attr_list *l, const struct captured_value *v, const char *key)
{
	const struct attr_value *whole = attr_list_find(l, key, strlen(key));
	const char *wildcard = v->kind == ATTR_STRING && v->len ? memchr(v->s, '{', v->len) : NULL;
	size_t len = wildcard ? (size_t)(wildcard - v->s) : v->len;

	if (!whole || whole->kind != ATTR_STRING || v->kind != ATTR_STRING)
		return true;
	return len <= whole->len && (!len || !memcmp(attr_list_text(l, whole), v->s, len));
}

/* Go's shouldEscape for a path. */
static bool is_path_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("-_.~$&+,/:;=@", c));
}

static void apply_escape(struct attr_list *l, struct captured_value *v)
{
	if (v->kind != ATTR_STRING || !v->len)
		return;
	buf_reset(&l->decoded);
	for (size_t i = 0; i < v->len; i++)
		if (is_path_char(v->s[i]))
			buf_char(&l->decoded, v->s[i]);
		else
			buf_printf(&l->decoded, "%%%02X", (unsigned char)v->s[i]);
	v->s = l->decoded.data;
	v->len = l->decoded.len;
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
static void apply_unescape(struct attr_list *l, struct captured_value *v)
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

/* Most are told apart by their first byte. */
static bool text_equals(const char *s, size_t len, const char *other)
{
	return !len ? !*other : *s == *other && strlen(other) == len && !memcmp(s, other, len);
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
static void apply_redact(struct attr_list *l, struct captured_value *v, const char *const *names)
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

/* Of a statement that was cut its full length stays, though what is shown has another one. */
static void apply_sql(const struct sql_attributes *sql, const struct transform_wishes *wishes, struct attr_list *l,
		      struct captured_value *v)
{
	const struct attr_value *known = sql->system ? attr_list_find(l, sql->system, strlen(sql->system)) : NULL;
	char system[32] = "";

	if (v->kind != ATTR_STRING)
		return;
	if (known && known->kind == ATTR_STRING && known->len < sizeof(system))
		memcpy(system, attr_list_text(l, known), known->len);
	l->sql = &l->own_sql;
	if (wishes->statements)
		l->sql = sql_cache_read(wishes->statements, system, v->len ? v->s : "", v->len);
	else
		sql_read(&l->own_sql, system, v->len ? v->s : "", v->len);
	v->is_sql = true;
	if (wishes->sql_full)
		return;
	v->s = l->sql->text.len ? l->sql->text.data : "";
	v->len = l->sql->text.len;
}

static void apply_map(struct captured_value *v, const char *const *map)
{
	size_t len;
	const char *s = captured_text(v, &len);

	for (; map[0] && map[1]; map += 2) {
		if (text_equals(s, len, map[0])) {
			captured_set_text(v, map[1], strlen(map[1]));
			return;
		}
	}
}

static void apply_known(struct captured_value *v, const struct transform *t)
{
	size_t len;
	const char *s = captured_text(v, &len);

	if (is_listed(t->known, s, len) || !t->other)
		return;
	v->original = s;
	v->original_len = len;
	v->title = t->title_other;
	v->kind = ATTR_STRING;
	v->s = t->other;
	v->len = strlen(t->other);
}

/* What has no port stays as it is. */
static void apply_port(struct captured_value *v)
{
	struct host_port hp;

	if (v->kind != ATTR_STRING || !host_port_split(v->s, v->len, &hp))
		return;
	v->s = hp.host;
	v->len = hp.len;
	v->port = hp.port;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

bool header_field(struct text_view lines, const char *name, struct text_view *ret)
{
	const size_t n = strlen(name);
	const char *p = lines.s, *all = lines.s ? lines.s + lines.len : NULL, *end;

	for (; p && (end = memchr(p, '\n', (size_t)(all - p))); p = end + 1) {
		if ((size_t)(end - p) <= n || strncasecmp(p, name, n) || p[n] != ':')
			continue;
		for (p += n + 1; p < end && is_blank(*p);)
			p++;
		while (end > p && is_blank(end[-1]))
			end--;
		*ret = (struct text_view){p, (size_t)(end - p)};
		return true;
	}
	return false;
}

static bool apply_field(struct captured_value *v, const char *name)
{
	struct text_view found;

	if (v->kind != ATTR_STRING || !header_field((struct text_view){v->s, v->len}, name, &found))
		return false;
	captured_set_text(v, found.s, found.len);
	v->full_len = 0;
	return true;
}

/* In the order in which they are applied. */
enum step {
	STEP_DEFAULT, STEP_FIELD, STEP_IP, STEP_UNTIL, STEP_ESCAPE, STEP_UNESCAPE, STEP_DROP, STEP_FROM, STEP_AFTER,
	STEP_UPPER, STEP_TRAILING_NUMBER, STEP_APPEND, STEP_REPLACE, STEP_PARAMETERS, STEP_MOUNTED, STEP_PREFIX_OF,
	STEP_SAME, STEP_REDACT, STEP_SQL, STEP_MAP, STEP_KNOWN, STEP_PORT, STEP_MIN,
};

uint32_t transform_steps(const struct transform *t, const struct transform_wishes *wishes)
{
	const bool has[] = {
		[STEP_DEFAULT] = t->default_value, [STEP_FIELD] = t->field,
		[STEP_IP] = t->ip,		   [STEP_UNTIL] = t->until,
		[STEP_ESCAPE] = t->escape,	   [STEP_UNESCAPE] = t->unescape,
		[STEP_DROP] = t->drop,		   [STEP_FROM] = t->from,
		[STEP_AFTER] = t->after,	   [STEP_UPPER] = t->upper,
		[STEP_TRAILING_NUMBER] = t->trailing_number, [STEP_APPEND] = t->append,
		[STEP_REPLACE] = t->replace,	   [STEP_PARAMETERS] = t->parameters,
		[STEP_MOUNTED] = t->mounted,	   [STEP_PREFIX_OF] = t->prefix_of,
		[STEP_SAME] = t->same,		   [STEP_REDACT] = wishes->redact,
		[STEP_SQL] = t->sql,		   [STEP_MAP] = t->map,
		[STEP_KNOWN] = t->known,	   [STEP_PORT] = t->port_attribute,
		[STEP_MIN] = t->min_set,
	};
	uint32_t steps = 0;

	for (size_t i = 0; i < ARRAY_SIZE(has); i++)
		steps |= (uint32_t)has[i] << i;
	return steps;
}

static bool apply_step(enum step step, const struct transform *t, const struct transform_wishes *wishes,
		       struct attr_list *l, struct captured_value *v)
{
	switch (step) {
	case STEP_DEFAULT:
		if (value_is_zero(v))
			captured_set_constant(v, t->default_value, v->kind != ATTR_STRING);
		return true;
	case STEP_FIELD:
		return apply_field(v, t->field);
	case STEP_IP:
		return apply_ip(v);
	case STEP_UNTIL:
		return apply_until(v, t->until), true;
	case STEP_ESCAPE:
		return apply_escape(l, v), true;
	case STEP_UNESCAPE:
		return apply_unescape(l, v), true;
	case STEP_DROP:
		return v->kind != ATTR_STRING || !is_listed(t->drop, v->s, v->len);
	case STEP_FROM:
		return apply_from(v, t->from);
	case STEP_AFTER:
		return apply_after(v, t->after);
	case STEP_UPPER:
		return apply_upper(l, v), true;
	case STEP_TRAILING_NUMBER:
		return apply_trailing_number(v);
	case STEP_APPEND:
		return apply_append(l, v, t->append), true;
	case STEP_REPLACE:
		return apply_replace(l, v, t->replace), true;
	case STEP_PARAMETERS:
		return apply_parameters(l, v, t->parameters);
	case STEP_MOUNTED:
		return apply_mounted(l, v, t->mounted);
	case STEP_PREFIX_OF:
		return apply_prefix_of(l, v, t->prefix_of);
	case STEP_SAME:
		return apply_same(l, t->same);
	case STEP_REDACT:
		return apply_redact(l, v, wishes->redact), true;
	case STEP_SQL:
		return apply_sql(t->sql, wishes, l, v), true;
	case STEP_MAP:
		return apply_map(v, t->map), true;
	case STEP_KNOWN:
		return apply_known(v, t), true;
	case STEP_PORT:
		return apply_port(v), true;
	case STEP_MIN:
		return v->kind != ATTR_INT || v->i >= t->min;
	}
	return true;
}

bool transform_apply(const struct transform *t, uint32_t steps, const struct transform_wishes *wishes,
		     struct attr_list *l, struct captured_value *v)
{
	for (; steps; steps &= steps - 1)
		if (!apply_step((enum step)__builtin_ctz(steps), t, wishes, l, v))
			return false;
	return captured_is_something(v, t->keep_empty);
}
