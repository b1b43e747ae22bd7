/*
 * What rules make of a text of the program, whatever its bytes: four bytes choose rules, then come the value and the
 * texts of three other attributes, a line each, and what is left tells where a path's parameters lie. No read outside
 * of them; a path that was escaped has no byte that a URL must not have; what was replaced is not there any more.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/text_view.h"
#include "span/address.h"
#include "span/transform.h"

static const char *const mounted[] = {"route", "path", "whole", NULL}, *const same[] = {"path", "whole", NULL},
		  *const append[] = {"path", "none", NULL}, *const replace[] = {"//", "/", "/$", "", "ab", "a", NULL},
		  *const redact[] = {"sig", "token", NULL}, *const drop[] = {"", "@", NULL},
		  *const known[] = {"GET", "POST", NULL};

static struct transform rules_of(uint32_t bits)
{
#define IF(n, x) ((bits & 1u << (n)) ? (x) : 0)
	return (struct transform){
		.default_value = IF(0, "x"), .ip = IF(1, 1), .until = IF(2, "?"), .escape = IF(3, 1) && !IF(4, 1),
		.unescape = IF(4, 1), .drop = IF(5, drop), .from = IF(6, "/"), .after = IF(7, "/"), .upper = IF(8, 1),
		.trailing_number = IF(9, 1), .append = IF(10, append), .replace = IF(11, replace),
		.parameters = IF(12, "params"), .mounted = IF(13, mounted), .prefix_of = IF(14, "route"),
		.same = IF(15, same), .redact = !IF(3, 1) && !IF(4, 1) ? IF(16, redact) : NULL,
		.field = IF(19, "a"), .known = IF(17, known), .other = IF(17, "_OTHER"), .original = IF(17, "original"),
		.port_attribute = IF(18, "port"),
	};
#undef IF
}

/* Cuts a line off. */
static struct text_view line(const uint8_t **data, size_t *size)
{
	struct text_view t = {(const char *)*data, *size};
	const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;

	if (end)
		t.len = (size_t)(end - *data);
	*data += t.len + (end != NULL);
	*size -= t.len + (end != NULL);
	return t;
}

/* Triples: where, how long, how the parameter is called (a letter). */
static void set_parameters(struct attr_list *l, const uint8_t *data, size_t size)
{
	static const char *const keys[][3] = {{"params.0.at", "params.0.len", "params.0.name"},
					      {"params.1.at", "params.1.len", "params.1.name"},
					      {"params.2.at", "params.2.len", "params.2.name"}};
	size_t n = MIN(size / 3, ARRAY_SIZE(keys));

	attr_list_set(l, "params.n", ATTR_INT)->i = (int64_t)(size ? data[0] % 10 : 0);
	for (size_t i = 0; i < n; i++) {
		attr_list_set(l, keys[i][0], ATTR_INT)->i = (int8_t)data[3 * i];
		attr_list_set(l, keys[i][1], ATTR_INT)->i = (int8_t)data[3 * i + 1];
		attr_list_set_string(l, keys[i][2], (const char *)&data[3 * i + 2], 1);
	}
}

static void check(const struct transform *t, const struct captured_value *v)
{
	static volatile unsigned char seen; /* so that all is read */

	for (size_t i = 0; i < v->len; i++) {
		unsigned char c = (unsigned char)v->s[i];

		seen = c;
		/* Other rules may put a text in that was not escaped. */
		if (t->escape && !t->append && !t->mounted && !t->parameters && !t->known && (c <= ' ' || c > '~'))
			abort();
	}
	if (t->replace && !t->parameters && !t->mounted && !t->known && !t->port_attribute && v->len > 1 &&
	    memmem(v->s, v->len, "//", 2))
		abort();
	(void)seen;
}

static void read_address(struct text_view text)
{
	struct host_port hp;
	uint8_t ip[16];

	if (host_port_split(text.s, text.len, &hp) && (hp.len > text.len || hp.port > 65535))
		abort();
	(void)ip_read(text.s, text.len, ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"route", "path", "whole"};
	struct transform_wishes wishes = {.sql_full = false};
	struct attr_list attrs = {0};
	struct captured_value v = {.port = -1};
	struct text_view value;
	struct transform t;
	uint32_t bits;

	if (size < sizeof(bits))
		return 0;
	memcpy(&bits, data, sizeof(bits));
	data += sizeof(bits);
	size -= sizeof(bits);
	t = rules_of(bits);
	wishes.redact = t.redact;
	value = line(&data, &size);
	read_address(value);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct text_view text = line(&data, &size);

		attr_list_set_string(&attrs, names[i], text.s, text.len);
	}
	set_parameters(&attrs, data, size);
	captured_set_text(&v, value.s, value.len);
	if (transform_apply(&t, transform_steps(&t, &wishes), &wishes, &attrs, &v) && v.kind == ATTR_STRING)
		check(&t, &v);
	attr_list_done(&attrs);
	return 0;
}
