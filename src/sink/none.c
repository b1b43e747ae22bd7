/* `-o none`: nothing is printed. */
#include "sink/kinds.h"

static int none_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	close_fd(setup->fd);
	return 0;
}

const struct sink_kind sink_none = {
	.name = "none", .takes = SINK_SPANS | SINK_CALLS, .prints = true, .open = none_open};
