/*
 * The options of sinks in the manual pages, from the sinks' own rows: between the two lines of comment below.
 *
 *   manual-outputs --write PAGE...   puts them there
 *   manual-outputs --check PAGE...   1, with a sentence, where a page has others
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cmd/outputs.h"

#define BEGIN ".\\\" Made by `make man` from the sinks' options.\n"
#define END ".\\\" End of what is made.\n"

static void print_page(const char *path, const char *before, const char *after, struct buf *out)
{
	buf_append(out, before, (size_t)(after - before));
	if (strstr(path, "earshot-trace"))
		outputs_call_manual(out);
	else if (strstr(path, "earshot-record"))
		outputs_dump_manual(out);
	else
		outputs_span_manual(out);
}

static int write_page(const char *path, const struct buf *page)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fwrite(page->data, 1, page->len, f) == page->len;

	if ((f && fclose(f) != 0) || !ok) {
		perror(path);
		return 1;
	}
	return 0;
}

static int do_page(const char *path, bool check)
{
	_cleanup_(buf_done) struct buf old = {0}, page = {0};
	const char *begin, *end;

	if (file_read(path, &old, 0) < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 1;
	}
	begin = strstr(old.data, BEGIN);
	end = begin ? strstr(begin, END) : NULL;
	if (!end) /* a page without options of sinks */
		return 0;
	print_page(path, old.data, begin + strlen(BEGIN), &page);
	buf_str(&page, end);
	if (!strcmp(page.data, old.data))
		return 0;
	if (!check)
		return write_page(path, &page);
	printf("%s has other options of sinks than these have: `make man`\n", path);
	return 1;
}

int main(int argc, char **argv)
{
	bool check = argc > 1 && !strcmp(argv[1], "--check");
	int rc = 0;

	if (argc < 3 || (!check && strcmp(argv[1], "--write") != 0)) {
		fprintf(stderr, "usage: manual-outputs --write|--check PAGE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		rc |= do_page(argv[i], check);
	return rc;
}
