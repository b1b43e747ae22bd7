/*
 * B3 (https://github.com/openzipkin/b3-propagation), one header or several, hexadecimal:
 *
 *   b3: TRACE-SPAN-SAMPLED-PARENT       80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90
 *   X-B3-TraceId, X-B3-SpanId, X-B3-Sampled, X-B3-Flags
 *
 * the last two parts may be missing; "0" alone says not to sample and names no parent; "d", or flags 1, is a yes.
 *
 * Datadog (https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/): two decimal numbers, the
 * trace id's upper half as 16 hexadecimal digits among the tags (_dd.p.tid), and a priority: kept if it is above 0.
 */
#include "span/trace_headers.h"

#include <string.h>

#define TID "_dd.p.tid="

static bool hex_number(struct text_view t, uint64_t *ret)
{
	uint64_t n = 0;

	if (!t.s || t.len != 16)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		char c = t.s[i];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = n;
	return true;
}

static bool decimal_number(struct text_view t, uint64_t *ret)
{
	uint64_t n = 0;

	if (!t.s || !t.len)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.s[i] < '0' || t.s[i] > '9' || __builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(t.s[i] - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}

static void put_number(uint8_t *at, uint64_t n)
{
	for (unsigned i = 0; i < 8; i++)
		at[i] = (uint8_t)(n >> (56 - 8 * i));
}

static bool context_make(uint64_t high, uint64_t low, uint64_t span, struct trace_context *ret)
{
	if (!(high | low) || !span)
		return false;
	put_number(ret->trace_id, high);
	put_number(ret->trace_id + 8, low);
	put_number(ret->span_id, span);
	return true;
}

/* 16 or 32 digits. */
static bool b3_trace(struct text_view t, uint64_t *ret_high, uint64_t *ret_low)
{
	*ret_high = 0;
	if (t.len == 32) {
		if (!hex_number((struct text_view){t.s, 16}, ret_high))
			return false;
		t = (struct text_view){t.s + 16, 16};
	}
	return hex_number(t, ret_low);
}

static bool equals(struct text_view t, const char *text)
{
	return t.s && t.len == strlen(text) && !memcmp(t.s, text, t.len);
}

static bool b3_sampled(struct text_view t, struct trace_context *ret)
{
	ret->undecided = !t.s;
	ret->sampled = equals(t, "1") || equals(t, "d") || equals(t, "true");
	return !t.s || ret->sampled || equals(t, "0") || equals(t, "false");
}

bool b3_headers_parse(const struct b3_headers *h, struct trace_context *ret)
{
	struct trace_context c = {.sampled = false};
	uint64_t high, low, span;

	if (!b3_trace(h->trace, &high, &low) || !hex_number(h->span, &span) || !context_make(high, low, span, &c) ||
	    !b3_sampled(equals(h->flags, "1") ? h->flags : h->sampled, &c))
		return false;
	*ret = c;
	return true;
}

/* The part in front of the next "-", which is taken off. */
static struct text_view next_part(struct text_view *rest)
{
	struct text_view part = *rest;
	const char *dash = part.s ? memchr(part.s, '-', part.len) : NULL;

	if (!dash) {
		*rest = (struct text_view){NULL, 0};
		return part;
	}
	part.len = (size_t)(dash - part.s);
	*rest = (struct text_view){dash + 1, rest->len - part.len - 1};
	return part;
}

bool b3_parse(struct text_view single, struct trace_context *ret)
{
	struct b3_headers h = {.trace = next_part(&single)};
	struct text_view parent;
	uint64_t ignored;

	h.span = next_part(&single);
	h.sampled = next_part(&single);
	parent = next_part(&single);
	if (single.s || (parent.s && !hex_number(parent, &ignored)))
		return false;
	return b3_headers_parse(&h, ret);
}

/* False where the tags have it, but not as it must be. */
static bool datadog_high(struct text_view tags, uint64_t *ret)
{
	const size_t prefix = strlen(TID);

	*ret = 0;
	for (size_t i = 0; tags.s && i + prefix <= tags.len; i++) {
		struct text_view value = {tags.s + i + prefix, tags.len - i - prefix};
		const char *end = memchr(value.s, ',', value.len);

		if (memcmp(tags.s + i, TID, prefix) || (i && tags.s[i - 1] != ','))
			continue;
		if (end)
			value.len = (size_t)(end - value.s);
		return hex_number(value, ret);
	}
	return true;
}

static bool datadog_priority(struct text_view t, struct trace_context *ret)
{
	bool negative = t.len && t.s[0] == '-';
	uint64_t n = 0;

	ret->undecided = !t.s;
	if (t.s && !decimal_number((struct text_view){t.s + negative, t.len - negative}, &n))
		return false;
	ret->sampled = n > 0 && !negative;
	return true;
}

bool datadog_parse(const struct datadog_headers *h, struct trace_context *ret)
{
	struct trace_context c = {.sampled = false};
	uint64_t high, low, span;

	if (!decimal_number(h->trace, &low) || !low || !decimal_number(h->parent, &span) ||
	    !datadog_high(h->tags, &high) || !context_make(high, low, span, &c) || !datadog_priority(h->priority, &c))
		return false;
	*ret = c;
	return true;
}
