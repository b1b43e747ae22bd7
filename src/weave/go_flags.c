#include "weave/go_flags.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

const char *go_flag_toolexec(const char *flag)
{
	static const char name[] = "toolexec";
	size_t dashes = strspn(flag, "-");

	if (!dashes || dashes > 2 || strncmp(flag + dashes, name, strlen(name)))
		return NULL;
	flag += dashes + strlen(name);
	return !*flag || *flag == '=' ? flag : NULL;
}

void go_flags_read(const char *flags, struct buf *rest, char **ret_toolexec)
{
	for (const char *p = flags + strspn(flags, BLANKS); *p; p += strspn(p, BLANKS)) {
		char quote = *p == '\'' || *p == '"' ? *p : 0; /* around a flag as a whole */
		const char *flag = p + !!quote, *value;
		size_t n = quote ? strcspn(flag, (char[]){quote, 0}) : strcspn(flag, BLANKS);
		const char *end = flag + n + (quote && flag[n]);
		_cleanup_(cleanup_free) char *one = xstrndup(flag, n);

		value = go_flag_toolexec(one);
		if (value && *value) {
			free(*ret_toolexec);
			*ret_toolexec = value[1] ? xstrdup(value + 1) : NULL;
		} else {
			buf_append(rest, p, (size_t)(end - p));
			buf_char(rest, ' ');
		}
		p = end;
	}
}
