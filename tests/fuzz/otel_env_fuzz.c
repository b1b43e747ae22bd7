/* OpenTelemetry's environment variables: the input is NAME=VALUE lines. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "sink/otel_env.h"
#include "sink/otlp.h"

static const char *from_lines(void *arg, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = arg, *end; *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		if (!strncmp(p, name, n) && p[n] == '=') {
			static char value[4096];
			size_t len = (size_t)(end - p) - n - 1;

			len = len < sizeof(value) ? len : sizeof(value) - 1;
			memcpy(value, p + n + 1, len);
			value[len] = 0;
			return value;
		}
	}
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct otlp_transport *t;
	struct otel_env e;
	struct err err;

	if (otel_env_read(&e, from_lines, text, &err) == 0 && e.endpoint) {
		struct otlp_options o = {.endpoint = e.endpoint, .headers = e.headers,
					 .compression = e.compression};

		if (otlp_transport_new(&o, &t, &err) == 0)
			otlp_transport_free(t);
	}
	otel_env_done(&e);
	free(text);
	return 0;
}
