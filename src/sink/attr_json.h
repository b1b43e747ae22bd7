/* What of spans is the same in all JSON: ids and attributes, as members of the object that is open. */
#ifndef SINK_ATTR_JSON_H
#define SINK_ATTR_JSON_H

#include "base/json.h"
#include "span/span.h"

void json_hex(struct json *j, const char *key, const uint8_t *p, size_t n); /* at most 16 bytes */
void json_attr(struct json *j, const struct attr *a);

#endif
