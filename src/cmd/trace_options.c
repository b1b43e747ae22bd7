/* The options of trace, but for which processes it is asked of. */
#include <errno.h>

#include "cmd/budget.h"
#include "cmd/planter.h"
#include "cmd/trace_session.h"

const struct option_def trace_what_defs[] = {
	{'l', "list", NULL, "only list what would be traced, with signatures and prices", OPT_FLAG,
	 offsetof(struct trace_options, list)},
	{0, "depth", "N", "pointers followed within a value (default 1)", OPT_UINT,
	 offsetof(struct trace_options, depth)},
	{0, "max-string", "N", "bytes shown of a string (default 256, at most 4096)", OPT_UINT,
	 offsetof(struct trace_options, max_string)},
	{0, "max-items", "N", "elements shown of a slice, an array, a map (default 16)", OPT_UINT,
	 offsetof(struct trace_options, max_items)},
	{0, "packs", "GLOB|FILE", "packs that say how panics end calls and errors are read (repeatable)", OPT_LIST,
	 offsetof(struct trace_options, packs)},
	{0},
};

const struct option_def trace_bound_defs[] = {
	{0, "for", "DURATION", "stop after this time: 10s, 1m30s", OPT_DURATION,
	 offsetof(struct trace_options, for_ns)},
	{0, "limit", "N", "stop after N calls", OPT_UINT, offsetof(struct trace_options, limit)},
	{0, "every", "N", "of the calls that pass the condition take each Nth", OPT_UINT,
	 offsetof(struct trace_options, every)},
	{0, "rate", "N", "take at most N calls a second of each function", OPT_UINT,
	 offsetof(struct trace_options, rate)},
	{0, "budget", "PERCENT", "keep what the probes cost below this share of the program's CPU time: 5%", OPT_STRING,
	 offsetof(struct trace_options, budget)},
	{0, "yes", NULL, "plant more than 1,000 sites without asking back", OPT_FLAG,
	 offsetof(struct trace_options, yes)},
	PLANTER_OPTION(offsetof(struct trace_options, planter)),
	{0, "ring-size", "BYTES", "size of the event ring (default 4 MiB); with patch what it may grow to", OPT_UINT,
	 offsetof(struct trace_options, ring_bytes)},
	{0},
};

const struct option_def trace_output_defs[] = {
	{0, "follow", "N", "with --graph: also what the functions call, found in their code, N levels down", OPT_UINT,
	 offsetof(struct trace_options, follow)},
	{0, "interval", "DURATION", "print aggregates this often, each time anew", OPT_DURATION,
	 offsetof(struct trace_options, interval_ns)},
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
	 offsetof(struct trace_options, quiet)},
	{0},
};

static int at_most(const char *name, uint64_t value, uint64_t low, uint64_t high, struct err *err)
{
	if (value >= low && value <= high)
		return 0;
	return err_set(err, -EINVAL, "--%s expects a number from %llu to %llu, not %llu", name, (unsigned long long)low,
		       (unsigned long long)high, (unsigned long long)value);
}

int trace_options_check(const struct trace_options *o, struct err *err)
{
	double share;
	int r = at_most("depth", o->depth, 0, 64, err);

	if (r == 0)
		r = at_most("max-string", o->max_string, 1, EVENT_MAX_STRING, err);
	if (r == 0)
		r = at_most("max-items", o->max_items, 1, 4096, err);
	if (r == 0 && o->budget)
		r = budget_parse(o->budget, &share, err);
	if (r == 0)
		r = at_most("follow", o->follow, 0, 64, err);
	if (r == 0 && o->follow && !outputs_ask_for(&o->out, "tree"))
		r = err_set(err, -EINVAL, "--follow goes with --graph");
	if (r == 0 && !o->list)
		r = outputs_check(&o->out, err);
	return r;
}
