/* What a collector answers: an export response, a status, or anything. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sink/otlp.h"

static void must_be_clean(const struct otlp_reply *r)
{
	size_t n = strlen(r->message), len;

	for (size_t i = 0; i < n; i += len) {
		len = utf8_valid(r->message + i, n - i);
		if (!len || (unsigned char)r->message[i] < ' ')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct otlp_reply reply = {0};

	if (otlp_decode_response(data, size, &reply) == 0)
		must_be_clean(&reply);
	if (otlp_decode_status(data, size, &reply) == 0)
		must_be_clean(&reply);
	otlp_printable((const char *)data, size, reply.message, sizeof(reply.message));
	must_be_clean(&reply);
	return 0;
}
