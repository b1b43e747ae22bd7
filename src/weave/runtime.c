/* The recorder in package runtime: files are added, and runtime's own start calls it. */
#include <errno.h>
#include <string.h>

#include "weave/package.h"
#include "weave/recorder.h"
#include "weave/woven_function.h"

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
	struct woven_function start;
	uint32_t at = woven_function_find(p, "runtime.main", &start, NULL) ? 0 : start_of(start.file, start.function);

	if (!at)
		return err_set(err, -ENOENT, "this Go's runtime.main does not start as others do");
	go_edits_insert(&start.file->edits, at, RECORDER_INIT "; ");
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_go);
	buf_str(weave_package_add(p, "earshot_marks.go"), recorder_marks_go);
	buf_str(weave_package_add(p, "earshot_asked.go"), recorder_asked_go);
	buf_str(weave_package_add(p, "earshot_sent.go"), recorder_sent_go);
	return 0;
}

void weave_runtime_noop(struct weave_package *p)
{
	weave_package_undo(p);
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_noop_go);
}
