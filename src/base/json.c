#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void separate(struct json *j)
{
	if (j->comma)
		buf_char(j->out, ',');
	j->comma = true;
}

void json_open(struct json *j, char bracket)
{
	separate(j);
	buf_char(j->out, bracket);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	buf_char(j->out, bracket);
	j->comma = true;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t utf8_valid(const char *str, size_t n)
{
	const unsigned char *s = (const unsigned char *)str;
	static const unsigned char low[] = {0x80, 0xa0, 0x80, 0x90, 0x80};
	static const unsigned char high[] = {0xbf, 0xbf, 0x9f, 0xbf, 0x8f};
	size_t len, k = 0;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	k = s[0] == 0xe0 ? 1 : s[0] == 0xed ? 2 : s[0] == 0xf0 ? 3 : s[0] == 0xf4 ? 4 : 0;
	if (s[1] < low[k] || s[1] > high[k])
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void escape(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		buf_str(b, "\\\"");
		break;
	case '\\':
		buf_str(b, "\\\\");
		break;
	case '\n':
		buf_str(b, "\\n");
		break;
	case '\r':
		buf_str(b, "\\r");
		break;
	case '\t':
		buf_str(b, "\\t");
		break;
	default:
		buf_printf(b, "\\u%04x", c);
	}
}

void json_strn(struct json *j, const char *s, size_t n)
{
	struct buf *b = j->out;
	size_t i = 0, plain = 0, len;

	separate(j);
	buf_char(b, '"');
	while (i < n) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		buf_append(b, s + plain, i - plain);
		len = c < 0x80 ? 0 : utf8_valid(s + i, n - i);
		if (c < 0x80)
			escape(b, c);
		else if (len)
			buf_append(b, s + i, len);
		else
			buf_str(b, "\xef\xbf\xbd");
		i += len ? len : 1;
		plain = i;
	}
	buf_append(b, s + plain, n - plain);
	buf_char(b, '"');
}

void json_str(struct json *j, const char *s)
{
	if (s)
		json_strn(j, s, strlen(s));
	else
		json_null(j);
}

void json_key(struct json *j, const char *key)
{
	json_str(j, key);
	buf_char(j->out, ':');
	j->comma = false;
}

void json_int(struct json *j, int64_t v)
{
	separate(j);
	buf_int(j->out, v);
}

void json_uint(struct json *j, uint64_t v)
{
	separate(j);
	buf_printf(j->out, "%" PRIu64, v);
}

void json_double(struct json *j, double v)
{
	if (!isfinite(v)) {
		json_str(j, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	separate(j);
	buf_printf(j->out, "%.17g", v);
}

void json_number(struct json *j, const char *text)
{
	separate(j);
	buf_str(j->out, text);
}

void json_bool(struct json *j, bool v)
{
	separate(j);
	buf_str(j->out, v ? "true" : "false");
}

void json_null(struct json *j)
{
	separate(j);
	buf_str(j->out, "null");
}
