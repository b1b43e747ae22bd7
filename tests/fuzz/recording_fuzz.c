/*
 * Any bytes in the place of a recording: whole spans that every sink can show, or none. As they are, and with checksums
 * that fit, or nothing behind them would be reached.
 */
#include "fuzz/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/recording_file.h"
#include "record/segment_format.h"

static uint64_t sum;

static void look_at(const char *s)
{
	sum += s ? strlen(s) : 0;
}

static void look_at_attrs(const struct attr *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		look_at(a[i].key);
		if (a[i].kind == ATTR_STRING && a[i].s[a[i].len])
			abort();
	}
}

static void take_span(void *arg, const struct span *s)
{
	size_t bytes;

	free(span_copy(s, &bytes));
	look_at(s->name);
	look_at(s->pack);
	look_at(s->resource->name);
	look_at(s->resource->service);
	look_at(span_kind_text(s->kind));
	look_at_attrs(s->resource->attrs, s->resource->nattrs);
	look_at_attrs(s->attrs, s->nattrs);
	for (size_t i = 0; i < s->nevents; i++)
		look_at_attrs(s->events[i].attrs, s->events[i].nattrs);
	for (size_t i = 0; s->summary && i < s->summary->n; i++)
		for (size_t j = 0; j < s->summary->parts[i].n; j++)
			look_at(s->summary->parts[i].items[j].text);
}

/* Gives the segment of the only place, and its records, the checksums that they should have. */
static void mend(uint8_t *bytes, size_t size)
{
	uint64_t seed, sequence, recording;
	uint32_t n, check;

	if (size < SEGMENT_HEADER)
		return;
	check = segment_checksum(0, bytes + 8, 24);
	memcpy(bytes + 4, &check, 4);
	memcpy(&sequence, bytes + 8, 8);
	memcpy(&recording, bytes + 24, 8);
	seed = segment_seed(sequence, recording);
	for (size_t at = SEGMENT_HEADER; size - at > RECORD_HEADER; at += RECORD_HEADER + n) {
		memcpy(&n, bytes + at, 4);
		if (!n || n > size - at - RECORD_HEADER)
			return;
		check = segment_checksum(seed, bytes + at + RECORD_HEADER, n);
		memcpy(bytes + at + 4, &check, 4);
	}
}

static void read_segment(const uint8_t *bytes, size_t size)
{
	struct segment_memory memory = {0};

	segment_read(bytes, size, &(struct segment_reading){.span = take_span, .memory = &memory});
	segment_memory_done(&memory);
}

static void read_file(const uint8_t *data, size_t size)
{
	struct segment_memory memory = {0};
	struct recording_about about;
	struct recording_file *f;
	char path[40];
	int fd = memfd_create("recording", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (recording_file_open(path, &f, NULL) >= 0) {
		recording_file_read(f, 0, &(struct segment_reading){.span = take_span, .memory = &memory}, &about,
				    NULL);
		recording_file_free(f);
	}
	segment_memory_done(&memory);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	read_file(data, size);
	if (size <= RECORDING_HEADER)
		return 0;
	data += RECORDING_HEADER;
	size -= RECORDING_HEADER;
	read_segment(data, size);
	copy = malloc(size);
	memcpy(copy, data, size);
	mend(copy, size);
	read_segment(copy, size);
	free(copy);
	return 0;
}
