/* The pack loader: any bytes; a refusal names a place. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "probe/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct pack *p = NULL;

	if (pack_parse("fuzz.yaml", (const char *)data, size, &p, &err) < 0 &&
	    strncmp(err.text, "fuzz.yaml:", 10))
		abort();
	pack_free(p);
	return 0;
}
