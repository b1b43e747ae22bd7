#include "sink/losses_json.h"

void losses_json(struct json *j, const char *key, const struct losses *l, bool all)
{
	json_key(j, key);
	json_open(j, '{');
	for (size_t i = 0; i < LOSS_COUNT; i++) {
		const char *name = loss_name((enum loss)i);

		if (!name || !(all || l->count[i]))
			continue;
		json_key(j, name);
		json_uint(j, l->count[i]);
	}
	json_close(j, '}');
}
