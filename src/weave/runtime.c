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

int weave_runtime(struct weave_package *p, struct err *err)
{
	struct weave_file *file;
	const struct go_function *main_function = function_of(p, "main", &file);

	if (!main_function)
		return err_set(err, -ENOENT, "package runtime has no function main");
	go_edits_insert(&file->edits, main_function->body.start + 1, " " RECORDER_INIT ";");
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_go);
	return 0;
}

void weave_runtime_noop(struct weave_package *p)
{
	weave_package_undo(p);
	buf_str(weave_package_add(p, "earshot_recorder.go"), recorder_noop_go);
}
