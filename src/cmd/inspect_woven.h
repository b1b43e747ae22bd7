/* What `earshot inspect` says of the points that an executable was built with. */
#ifndef CMD_INSPECT_WOVEN_H
#define CMD_INSPECT_WOVEN_H

#include "base/json.h"
#include "binary/binary.h"

void inspect_woven_print(struct binary *b); /* nothing where it has none */
void inspect_woven_json(struct json *j, struct binary *b); /* an array, as the value of a key "woven" */

#endif
