/*
 * A generation is put in order twice: once to see whether it can be, before anybody has got an event of it, and once to
 * give them. Keeping the order would take a multiple of the generation's memory, and undoing what was given cannot be
 * done.
 */
#include "gotrace/reader.h"

#include <errno.h>

struct gotrace_reader {
	struct gotrace_file *file;
	const struct generation *generation;
	struct gotrace_ordering checked, given;
};

int gotrace_reader_open(int fd, struct gotrace_reader **ret, struct err *err)
{
	struct gotrace_file *file;
	int r = gotrace_file_open(fd, &file, err);

	if (r < 0)
		return r;
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->file = file;
	return 0;
}

void gotrace_reader_free(struct gotrace_reader *r)
{
	if (!r)
		return;
	gotrace_file_free(r->file);
	gotrace_ordering_done(&r->checked);
	gotrace_ordering_done(&r->given);
	free(r);
}

unsigned gotrace_reader_version(const struct gotrace_reader *r)
{
	return gotrace_file_version(r->file);
}

int gotrace_reader_next(struct gotrace_reader *r, const struct generation **ret, struct err *err)
{
	struct err why = {0};
	int n = gotrace_file_next(r->file, &r->generation, err);

	if (n > 0 && gotrace_order(&r->checked, r->generation, NULL, NULL, &why) < 0)
		n = gotrace_file_refuse(r->file, why.text, err);
	if (n > 0)
		*ret = r->generation;
	return n;
}

void gotrace_reader_events(struct gotrace_reader *r, gotrace_event_fn fn, void *arg)
{
	gotrace_order(&r->given, r->generation, fn, arg, NULL);
}

const struct gotrace_rest *gotrace_reader_rest(const struct gotrace_reader *r)
{
	return gotrace_file_rest(r->file);
}
