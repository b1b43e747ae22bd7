/* The recorder in package runtime: one file is added, and runtime's own start calls it. */
#include <errno.h>
#include <string.h>

#include "weave/package.h"
#include "weave/recorder.h"

/* The one function of that name, in whatever file; NULL: there is none, or it was not understood. */
static const struct go_function *function_of(struct weave_package *p, const char *name, struct weave_file **ret)
{
	for (size_t i = 0; i < p->nfiles; i++) {
		const struct go_source *s = p->files[i].source;

		for (size_t k = 0; s && k < s->nfunctions; k++) {
			const struct go_function *f = &s->functions[k];

			if (f->receiver || strcmp(f->name, name) || f->broken || f->body.start == f->body.end)
				continue;
			*ret = &p->files[i];
			return f;
		}
	}
	return NULL;
}

/*
 * The line of runtime.main that starts the garbage collector: behind what package runtime itself initializes (before
 * that the stack may not grow, in a build without optimization), before all other packages. 0: it is not there, or not
 * alone.
 */
static uint32_t start_of(const struct weave_file *file, const struct go_function *f)
{
	static const char line[] = "\n\tgcenable()\n";
	const char *from = file->text.data + f->body.start, *end = file->text.data + f->body.end;
	const char *at = memmem(from, (size_t)(end - from), line, strlen(line));
	const char *again = at ? memmem(at + 1, (size_t)(end - at - 1), line, strlen(line)) : NULL;

	return at && !again ? (uint32_t)(at + 2 - file->text.data) : 0;
}

int weave_runtime(struct weave_package *p, struct err *err)
{
	struct weave_file *file;
	const struct go_function *main_function = function_of(p, "main", &file);
	uint32_t at = main_function ? start_of(file, main_function) : 0;

	if (!at)
		return err_set(err, -ENOENT, "this Go's runtime.main does not start as others do");
	go_edits_insert(&file->edits, at, RECORDER_INIT "; ");
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_go);
	return 0;
}

void weave_runtime_noop(struct weave_package *p)
{
	weave_package_undo(p);
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_noop_go);
}
