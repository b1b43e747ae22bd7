/* What stands behind //earshot:usdt. */
#include "fuzz/replay.h"
#include "weave/usdt_directive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct usdt_asked asked;
	struct err err = {0};

	if (usdt_directive_read(arena_strndup(&arena, (const char *)data, size), &arena, &asked, &err) < 0) {
		if (!err.text[0])
			__builtin_trap();
	} else {
		for (size_t i = 0; i < asked.n; i++)
			if (!*asked.expressions[i].text)
				__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
