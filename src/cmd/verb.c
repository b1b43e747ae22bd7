/* What every verb says in the same way. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/verb.h"

int complain(int code, const char *fmt, ...)
{
	va_list ap;

	fputs("earshot: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

void verb_help(const struct verb *v)
{
	printf("usage: earshot %s %s\n\n%s\n", v->name, v->synopsis, v->summary);
	options_print(v->groups, stdout);
	printf("\nThe manual page earshot-%.*s(1) has examples.\n", (int)strcspn(v->name, " "), v->name);
}
