/* The options that every verb has which observes. */
#include "cmd/observation.h"
#include "cmd/planter.h"

const struct option_def observation_for_defs[] = {
	{0, "for", "DURATION", "stop after this time: 10s, 1m30s", OPT_DURATION,
	 offsetof(struct observation_options, for_ns)},
	{0},
};

const struct option_def observation_planter_defs[] = {
	PLANTER_OPTION(offsetof(struct observation_options, planter)),
	{0, "ring-size", "BYTES", "size of the event ring (default 4 MiB); with patch what it may grow to", OPT_UINT,
	 offsetof(struct observation_options, ring_bytes)},
	{0},
};

const struct option_def observation_quiet_defs[] = {
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
	 offsetof(struct observation_options, quiet)},
	{0},
};
