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
