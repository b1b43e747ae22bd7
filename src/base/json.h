/*
 * A streaming JSON writer. It only appends to a buffer: the caller opens and closes what it nests,
 * commas are placed by the writer. Strings that are not valid UTF-8 get U+FFFD for the bad bytes.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>

#include "base/buf.h"

struct json {
	struct buf *out;
	bool comma; /* a value precedes at this level */
};

void json_open(struct json *j, char bracket);                  /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
void json_key(struct json *j, const char *key);                /* then one value follows */
void json_strn(struct json *j, const char *s, size_t n);
void json_str(struct json *j, const char *s);                  /* NULL writes null */
void json_int(struct json *j, int64_t v);
void json_uint(struct json *j, uint64_t v);
void json_double(struct json *j, double v);                    /* NaN and infinities as strings */
void json_number(struct json *j, const char *text);             /* as it is: the caller knows it is one */
void json_bool(struct json *j, bool v);
void json_null(struct json *j);

/* Length of the valid UTF-8 sequence at s (n bytes left), 0 if it is none. */
size_t utf8_valid(const char *s, size_t n);

#endif
