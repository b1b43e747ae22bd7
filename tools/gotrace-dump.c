/*
 * The events of an execution trace of Go, as Earshot has them: a line each, in order. tests/e2e/gotrace compares them with
 * what Go's own reader says.
 *
 *   gotrace-dump FILE       TIME THREAD GOROUTINE NAME ARGUMENTS…, texts for the numbers of texts
 *   gotrace-dump -c FILE    how many there are of each kind
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gotrace/reader.h"

static void print_argument(const struct gotrace_event *e, unsigned i)
{
	const struct event_shape *shape = &gotrace_shapes[e->type];
	struct text_view text = generation_string(e->generation, e->args[i]);

	if (shape->strings >> i & 1)
		printf(" \"%.*s\"", (int)text.len, text.s ? text.s : "");
	else if (shape->stacks >> i & 1)
		printf(" stack:%zu", generation_stack(e->generation, e->args[i], (struct gotrace_frame[128]){{0}}, 128));
	else
		printf(" %" PRIu64, e->args[i]);
}

static void print_event(void *arg, const struct gotrace_event *e)
{
	printf("%" PRIu64 " %" PRId64 " %" PRIu64 " %s", e->ns, (int64_t)e->m, e->goid, gotrace_shapes[e->type].name);
	for (unsigned i = 1; i < gotrace_shapes[e->type].args; i++)
		print_argument(e, i);
	putchar('\n');
}

static void count_event(void *arg, const struct gotrace_event *e)
{
	((uint64_t *)arg)[e->type]++;
}

int main(int argc, char **argv)
{
	static uint64_t counts[256];
	bool count = argc == 3 && !strcmp(argv[1], "-c");
	struct gotrace_reader *reader = NULL;
	const struct generation *g;
	struct err err = {0};
	int fd = argc >= 2 ? open(argv[argc - 1], O_RDONLY) : -1, r;

	r = fd < 0 ? err_set(&err, -1, "usage: gotrace-dump [-c] FILE") : gotrace_reader_open(fd, &reader, &err);
	while (r >= 0 && (r = gotrace_reader_next(reader, &g, &err)) > 0) {
		if (!count)
			printf("generation %" PRIu64 "\n", g->number);
		gotrace_reader_events(reader, count ? count_event : print_event, counts);
	}
	for (unsigned i = 0; count && i < 256; i++)
		if (counts[i])
			printf("%" PRIu64 " %s\n", counts[i], gotrace_shapes[i].name);
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	else if (gotrace_reader_rest(reader)->bytes)
		fprintf(stderr, "%" PRIu64 " bytes left: %s\n", gotrace_reader_rest(reader)->bytes,
			gotrace_reader_rest(reader)->why);
	gotrace_reader_free(reader);
	close_fd(fd);
	return r < 0;
}
