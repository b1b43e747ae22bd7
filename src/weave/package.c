#include "weave/package.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/file.h"
#include "weave/paths.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

void weave_package_warn(struct weave_package *p, const char *fmt, ...)
{
	struct buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	/* What points at a column has more lines; the go command shows one of each package best. */
	vec_push(&p->warnings, arena_strndup(&p->arena, text.data, strcspn(text.data, "\n")));
	buf_done(&text);
}

static int open_file(struct weave_package *p, struct weave_file *f, struct err *err)
{
	struct err why = {0};
	int r = file_read(f->path, &f->text, FILE_MAX);

	if (r < 0)
		return err_set(err, r, "cannot read %s: %s", f->path, strerror(-r));
	if (go_source_parse(f->text.data ? f->text.data : "", f->text.len, &f->source, &why) < 0)
		weave_package_warn(p, "%s: %s", path_base(f->path), why.text);
	else if (f->source->nmissing)
		weave_package_warn(p, "%s:%u: func %s%s could not be read, and cannot be woven", path_base(f->path),
		                   f->source->missing_line, f->source->missing,
		                   f->source->nmissing > 1 ? " and others behind it" : "");
	if (f->source && !p->name)
		p->name = f->source->package;
	return 0;
}

int weave_package_open(struct weave_package *p, const char *path, char *const *files, size_t n, struct err *err)
{
	int r = 0;

	p->path = arena_strdup(&p->arena, path);
	p->files = arena_array(&p->arena, struct weave_file, n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		char *cwd = *files[i] == '/' ? NULL : realpath(".", NULL);

		/* A link's own path is what the compiler shows. */
		p->files[i].path =
		    cwd ? arena_printf(&p->arena, "%s/%s", cwd, strncmp(files[i], "./", 2) ? files[i] : files[i] + 2)
		        : arena_strdup(&p->arena, files[i]);
		free(cwd);
		p->nfiles++;
		r = open_file(p, &p->files[i], err);
	}
	return r;
}

struct buf *weave_package_add(struct weave_package *p, const char *name)
{
	struct weave_added *a = vec_add(&p->added);

	a->name = name;
	return &a->text;
}

void weave_package_undo(struct weave_package *p)
{
	for (size_t i = 0; i < p->nfiles; i++)
		go_edits_done(&p->files[i].edits);
	for (size_t i = 0; i < p->added.len; i++)
		buf_done(&p->added.data[i].text);
	p->added.len = 0;
	p->probes.len = 0;
}

void weave_package_done(struct weave_package *p)
{
	weave_package_undo(p);
	for (size_t i = 0; i < p->nfiles; i++) {
		buf_done(&p->files[i].text);
		go_source_free(p->files[i].source);
	}
	vec_done(&p->added);
	vec_done(&p->probes);
	vec_done(&p->warnings);
	arena_done(&p->arena);
}
