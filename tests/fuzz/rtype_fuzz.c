/* The input takes the place of the type descriptors and their names. */
#include "fuzz/replay.h"
#include "lib/tiny_binary.h"
#include "lib/touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary *b =
		tiny_open_input(tiny_form(size), TINY_TYPES, TINY_ETYPES - TINY_TYPES, data, size);

	if (b)
		touch_binary(b, 1, 1000, true);
	binary_free(b);
	return 0;
}
