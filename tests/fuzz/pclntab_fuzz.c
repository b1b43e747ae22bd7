/* The input takes the place of the pclntab and of the funcdata behind it. */
#include "fuzz/replay.h"
#include "lib/tiny_binary.h"
#include "lib/touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary *b =
		tiny_open_input(tiny_form(size), TINY_PCLNTAB, TINY_TYPES - TINY_PCLNTAB, data, size);

	if (b)
		touch_binary(b, 1, 1000, true);
	binary_free(b);
	return 0;
}
