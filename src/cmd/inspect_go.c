#include "cmd/inspect_go.h"

#include <stdio.h>

#include "probe/bind/print_go.h"

void inspect_go(const struct join *joins, size_t n)
{
	struct go_files *files = go_files_new();
	_cleanup_(buf_done) struct buf text = {0};

	for (size_t i = 0; i < n; i++) {
		const struct join *j = &joins[i];
		char name[160];

		snprintf(name, sizeof(name), "%s/%s", j->span ? j->span->name : j->pack->name, j->point->name);
		if (j->variant)
			go_files_add(files, name, j->capture.bound);
	}
	go_files_print(files, &text);
	fputs(text.data ? text.data : "", stdout);
	go_files_free(files);
}
