#include "span/title.h"

#include <string.h>

static bool title_try(const struct attr_list *l, const char *t, struct buf *out)
{
	while (*t) {
		const char *close = *t == '{' ? strchr(t, '}') : NULL;
		const struct attr_value *v;

		if (!close) {
			size_t len = 1 + strcspn(t + 1, "{");

			buf_append(out, t, len);
			t += len;
			continue;
		}
		v = attr_list_find(l, t + 1, (size_t)(close - t - 1));
		if (!v)
			return false;
		if (v->title)
			buf_str(out, v->title);
		else
			attr_list_print(l, v, out);
		t = close + 1;
	}
	return true;
}

void title_render(const struct attr_list *l, const char *const *titles, const char *fallback,
		  struct buf *out)
{
	for (; titles && *titles; titles++) {
		buf_reset(out);
		if (title_try(l, *titles, out))
			return;
	}
	buf_reset(out);
	buf_str(out, fallback);
}
