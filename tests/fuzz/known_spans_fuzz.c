/* Any lines in the place of spans as JSON: refused, or each span can be read again, with the ids and times of before.
 */
#include "fuzz/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gotrace/known_spans.h"

static void load(struct known_spans *k, const struct known_span *s)
{
	struct arena arena = {0};
	struct attr *attrs;
	struct span span;

	if (known_spans_load(k, s, 3, &arena, &span, &attrs, NULL) < 0 || memcmp(span.span_id, s->span_id, 8) ||
	    span.start_unix_ns != s->start_unix_ns)
		abort();
	memset(attrs + span.nattrs, 0, 3 * sizeof(*attrs));
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct known_spans *k;
	struct known_span *all;
	char path[40];
	size_t n;
	int fd = memfd_create("spans", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (known_spans_read(path, 0, &k, NULL) >= 0) {
		all = known_spans_all(k, &n);
		for (size_t i = 0; i < n; i++)
			load(k, &all[i]);
		known_spans_free(k);
	}
	close(fd);
	return 0;
}
