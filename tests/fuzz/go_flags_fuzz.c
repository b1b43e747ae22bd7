/* Whatever GOFLAGS is: no -toolexec is among the flags that are kept, and nothing is among them that was not there. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "weave/go_flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(cleanup_free) char *text = strndup((const char *)data, size);
	_cleanup_(buf_done) struct buf rest = {0}, again = {0};
	_cleanup_(cleanup_free) char *toolexec = NULL, *none = NULL;

	go_flags_read(text, &rest, &toolexec);
	if ((toolexec && !strstr(text, toolexec)) || rest.len > 2 * strlen(text))
		abort();
	if (!rest.len)
		return 0;
	go_flags_read(rest.data, &again, &none);
	/* a quote that nothing closes takes the space behind it, too */
	if (none || again.len - rest.len > 1 || memcmp(again.data, rest.data, rest.len) != 0)
		abort();
	return 0;
}
