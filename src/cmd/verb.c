/* What every verb says in the same way. */
#include "cmd/verb.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "sink/text.h"

void say(const char *fmt, va_list ap)
{
	_cleanup_(buf_done) struct buf text = {0}, out = {0};
	_cleanup_(cleanup_free) char *made = NULL;
	const char *line;
	size_t n;

	if (vasprintf(&made, fmt, ap) < 0)
		made = xstrdup(fmt);
	buf_printf(&text, "earshot: %s", made);
	for (line = text.data;; line += n + 1) {
		struct row row = row_begin(&out, 0, false);

		n = strcspn(line, "\n");
		row_text(&row, STYLE_PLAIN, line, n);
		row_end(&row);
		if (!line[n])
			break;
	}
	fputs(out.data, stderr);
}

int complain(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return code;
}

void verb_help(const struct verb *v)
{
	printf("usage: earshot %s %s\n\n%s\n", v->name, v->synopsis, v->summary);
	options_print(v->groups, stdout);
	printf("\nThe manual page earshot-%.*s(1) has examples.\n", (int)strcspn(v->name, " "), v->name);
}
