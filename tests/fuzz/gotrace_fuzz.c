/*
 * Any execution trace, with known spans beside it: nothing is read outside of it, each span's times are its duration,
 * and there are no more spans than events and known ones.
 */
#include "fuzz/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gotrace/activity.h"
#include "gotrace/reader.h"

static size_t spans;

/* Times that lie beside each other: those within others are no part of the sum. */
static uint64_t sum_of(const struct span *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->nattrs; i++) {
		const char *key = s->attrs[i].key;
		size_t n = strlen(key);

		if (!strncmp(key, "earshot.go.", 11) && n > 3 && !strcmp(key + n - 3, "_ns") &&
		    !strstr(key, ".within.") && strcmp(key, "earshot.go.longest_ns"))
			sum += (uint64_t)s->attrs[i].i;
	}
	return sum;
}

/* All bytes of texts are there. */
static void read_texts(const struct attr *attrs, size_t n)
{
	static volatile char last;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; attrs[i].kind == ATTR_STRING && k < attrs[i].len; k++)
			last = attrs[i].s[k];
	(void)last;
}

static void look_at(void *arg, const struct span *s)
{
	spans++;
	read_texts(s->attrs, s->nattrs);
	for (size_t i = 0; i < s->nevents; i++)
		read_texts(s->events[i].attrs, s->events[i].nattrs);
	if (s->duration_ns < INT64_MAX && sum_of(s) != s->duration_ns && sum_of(s) != 0)
		abort();
}

static struct known_spans *known(void)
{
	static const char line[] =
		"{\"trace_id\":\"0123456789abcdef0123456789abcdef\",\"span_id\":\"0123456789abcdef\",\"name\":\"x\","
		"\"start_unix_ns\":1000000000002000,\"duration_ns\":5000,\"pid\":1,\"goid\":7,"
		"\"attributes\":{\"a\":1.5}}\n";
	struct known_spans *ret = NULL;
	char path[40];
	int fd = memfd_create("spans", MFD_CLOEXEC);

	if (fd < 0 || write(fd, line, sizeof(line) - 1) != sizeof(line) - 1)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	known_spans_read(path, 0, &ret, NULL);
	close(fd);
	return ret;
}

static void read_all(struct gotrace_reader *r, struct activity *a)
{
	struct activity_counts counts;
	const struct generation *g;

	while (gotrace_reader_next(r, &g, NULL) > 0) {
		activity_generation(a, g);
		gotrace_reader_events(r, activity_event, a);
		activity_generation_over(a);
	}
	activity_finish(a);
	activity_counts(a, &counts, NULL);
	if (spans > counts.events + 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct resource resource = {.id = 1, .service = "fuzz", .name = "fuzz"};
	struct known_spans *k = known();
	int fd = memfd_create("trace", MFD_CLOEXEC);
	struct gotrace_reader *r;

	spans = 0;
	if (!k || fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	if (gotrace_reader_open(fd, &r, NULL) >= 0) {
		struct activity *a =
		    activity_new(&(struct activity_setup){.span = look_at, .resource = &resource, .known = k});

		read_all(r, a);
		activity_free(a);
		gotrace_reader_free(r);
	}
	known_spans_free(k);
	close(fd);
	return 0;
}
