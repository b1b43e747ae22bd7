/*
 * traceparent (https://www.w3.org/TR/trace-context/#traceparent-header):
 *
 *   version "-" trace-id "-" parent-id "-" flags        00-4bf9…4736-00f0…02b7-01
 *
 * all of it lower-case hex of fixed width. Version ff is forbidden, as are ids of zeroes. Version 00 is
 * exactly these 55 bytes; a later version may go on after another "-" and is read as if it were 00.
 */
#include "span/trace_context.h"

#include <string.h>

#define TRACEPARENT_LEN 55

static bool hex_nibble(char c, uint8_t *ret)
{
	if (c >= '0' && c <= '9')
		*ret = (uint8_t)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*ret = (uint8_t)(c - 'a' + 10);
	else
		return false;
	return true;
}

static bool hex_bytes(const char *s, uint8_t *ret, size_t n)
{
	uint8_t high, low;

	for (size_t i = 0; i < n; i++) {
		if (!hex_nibble(s[2 * i], &high) || !hex_nibble(s[2 * i + 1], &low))
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return n == 0;
}

bool traceparent_parse(const char *s, size_t len, struct trace_context *ret)
{
	struct trace_context c = {.sampled = false};
	uint8_t version, flags;

	if (len < TRACEPARENT_LEN || s[2] != '-' || s[35] != '-' || s[52] != '-')
		return false;
	if (!hex_bytes(s, &version, 1) || !hex_bytes(s + 3, c.trace_id, 16) ||
	    !hex_bytes(s + 36, c.span_id, 8) || !hex_bytes(s + 53, &flags, 1))
		return false;
	if (version == 0xff || (version == 0 && len != TRACEPARENT_LEN))
		return false;
	if (len > TRACEPARENT_LEN && s[TRACEPARENT_LEN] != '-')
		return false;
	if (all_zero(c.trace_id, 16) || all_zero(c.span_id, 8))
		return false;
	c.sampled = flags & 1;
	*ret = c;
	return true;
}

struct trace_context trace_context_of(const struct event_context *c)
{
	struct trace_context ret = {.sampled = c->flags & EVENT_CONTEXT_SAMPLED};

	memcpy(ret.trace_id, c->trace_id, sizeof(ret.trace_id));
	memcpy(ret.span_id, c->span_id, sizeof(ret.span_id));
	return ret;
}

/*
 * tracestate (https://www.w3.org/TR/trace-context-2/#tracestate-header): up to 32 members key=value with commas between
 * them, and blanks around those; a list that breaks a rule is no list. Who shortens it gives up members of more than
 * 128 bytes first, and then from the end: new ones are put in front.
 */
enum { MAX_MEMBERS = 32, MAX_KEY = 256, MAX_VALUE = 256, LONG_MEMBER = 128 };

struct members {
	struct member {
		const char *s;
		size_t len;
	} of[MAX_MEMBERS];
	size_t n, len; /* len: of all of them with their commas */
};

static bool key_valid(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool first = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');

		if (!first && (i == 0 || !s[i] || !strchr("_-*/@", s[i])))
			return false;
	}
	return len > 0 && len <= MAX_KEY;
}

static bool member_valid(const char *s, size_t len)
{
	const char *equals = memchr(s, '=', len);
	size_t key = equals ? (size_t)(equals - s) : len;

	if (!equals || !key_valid(s, key) || key + 1 == len || len - key - 1 > MAX_VALUE)
		return false;
	for (size_t i = key + 1; i < len; i++)
		if (s[i] < ' ' || s[i] > '~' || s[i] == '=')
			return false;
	return true;
}

static bool add_member(struct members *m, const char *s, size_t len)
{
	while (len && (*s == ' ' || *s == '\t'))
		s++, len--;
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	if (!len)
		return true; /* allowed, and nothing */
	if (m->n == MAX_MEMBERS || !member_valid(s, len))
		return false;
	m->len += len + (m->n > 0);
	m->of[m->n++] = (struct member){s, len};
	return true;
}

static void give_up_member(struct members *m)
{
	size_t which = m->n - 1;

	for (size_t i = m->n; i-- > 0;)
		if (m->of[i].len > LONG_MEMBER) {
			which = i;
			break;
		}
	m->len -= m->of[which].len + (m->n > 1);
	m->n--;
	memmove(&m->of[which], &m->of[which + 1], (m->n - which) * sizeof(*m->of));
}

bool tracestate_read(const char *s, size_t len, bool cut, struct buf *out)
{
	struct members m = {.n = 0};
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len ? s[i] != ',' : cut) /* the last member of a text that is cut is a part of one */
			continue;
		if (!add_member(&m, s + start, i - start))
			return false;
		start = i + 1;
	}
	while (m.len > TRACESTATE_MAX)
		give_up_member(&m);
	for (size_t i = 0; i < m.n; i++) {
		buf_str(out, i ? "," : "");
		buf_append(out, m.of[i].s, m.of[i].len);
	}
	return m.n > 0;
}

/*
 * https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/: the last 56 bits of
 * the trace id are its randomness; kept are those at or above (1 - ratio) * 2^56.
 */
bool trace_sampled(const uint8_t trace_id[16], double ratio)
{
	uint64_t randomness = 0;

	if (ratio >= 1)
		return true;
	if (!(ratio > 0))
		return false;
	for (int i = 9; i < 16; i++)
		randomness = randomness << 8 | trace_id[i];
	return (double)randomness >= (1 - ratio) * 0x1p56;
}
