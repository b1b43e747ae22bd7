#include "weave/go_edit.h"

#include <stdarg.h>
#include <string.h>

static void add(struct go_edits *e, struct go_span at, const char *fmt, va_list ap)
{
	struct buf text = {0};

	buf_vprintf(&text, fmt, ap);
	vec_push(&e->all, ((struct go_edit){at, buf_take(&text)}));
}

void go_edits_insert(struct go_edits *e, uint32_t at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(e, (struct go_span){at, at}, fmt, ap);
	va_end(ap);
}

void go_edits_replace(struct go_edits *e, struct go_span at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(e, at, fmt, ap);
	va_end(ap);
}

/* Insertion sort: few, mostly in order, and those at one place stay in theirs. */
static void sort(struct go_edits *e)
{
	struct go_edit *all = e->all.data;

	for (size_t i = 1; i < e->all.len; i++)
		for (size_t k = i; k && all[k].at.start < all[k - 1].at.start; k--) {
			struct go_edit later = all[k];

			all[k] = all[k - 1];
			all[k - 1] = later;
		}
}

bool go_edits_apply(struct go_edits *e, const char *path, const char *text, size_t len, struct buf *out)
{
	size_t at = 0;

	sort(e);
	buf_printf(out, "//line %s:1\n", path);
	for (size_t i = 0; i < e->all.len; i++) {
		const struct go_edit *edit = &e->all.data[i];

		if (edit->at.start < at || edit->at.end > len || strchr(edit->text, '\n'))
			return false;
		buf_append(out, text + at, edit->at.start - at);
		buf_str(out, edit->text);
		at = edit->at.end;
	}
	buf_append(out, text + at, len - at);
	return true;
}

void go_edits_done(struct go_edits *e)
{
	for (size_t i = 0; i < e->all.len; i++)
		free(e->all.data[i].text);
	vec_done(&e->all);
}
