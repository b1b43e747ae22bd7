/* Whatever the go command prints of packages: what is taken over has an absolute folder and names that stand there. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "weave/go_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct go_list l = {.asked = true};
	const struct go_list_package *p;

	go_list_read(&l, (const char *)data, size);
	p = go_list_find(&l, "a/b");
	if (p && (strcmp(p->path, "a/b") != 0 || *p->dir != '/'))
		abort();
	for (size_t i = 0; p && p->files[i]; i++)
		if (!memmem(data, size, p->files[i], strlen(p->files[i])))
			abort();
	go_list_done(&l);
	return 0;
}
