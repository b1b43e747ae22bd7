#include "sink/attr_json.h"

void json_hex(struct json *j, const char *key, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char text[32];

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	json_key(j, key);
	json_strn(j, text, 2 * n);
}

void json_attr(struct json *j, const struct attr *a)
{
	json_key(j, a->key);
	if (a->kind == ATTR_STRING)
		json_strn(j, a->s, a->len);
	else if (a->kind == ATTR_INT)
		json_int(j, a->i);
	else if (a->kind == ATTR_DOUBLE)
		json_double(j, a->d);
	else
		json_bool(j, a->b);
}
