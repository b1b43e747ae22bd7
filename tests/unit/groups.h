/* Groups of aggregates made by hand. */
#ifndef TESTS_UNIT_GROUPS_H
#define TESTS_UNIT_GROUPS_H

#include "unit/calls.h"

static const struct call_aggregate count_by_func = {.action = 1, .text = "count() by func", .kind = AGG_COUNT,
						    .keys = {{.text = "func", .constant = true}}, .nkeys = 1};
static const struct call_aggregate count_by_user = {.action = 2, .text = "count() by user", .kind = AGG_COUNT,
						    .keys = {{.text = "user"}}, .nkeys = 1};
static const struct call_aggregate avg_latency = {.action = 3, .text = "avg(latency) by user", .kind = AGG_AVG,
						  .duration = true, .keys = {{.text = "user"}}, .nkeys = 1};
static const struct call_aggregate hist_latency = {.action = 4, .text = "hist(latency) by user", .kind = AGG_HIST,
						   .duration = true, .keys = {{.text = "user"}}, .nkeys = 1};
static const struct call_aggregate hist_size = {.action = 5, .text = "hist(size)", .kind = AGG_HIST};
static const struct call_aggregate linear_size = {.action = 6, .text = "hist(size, 0, 100, 25)", .kind = AGG_LINEAR,
						  .low = 0, .high = 100, .step = 25};
static const struct call_aggregate max_size = {.action = 7, .text = "max(size)", .kind = AGG_MAX};

static const struct call_function total_function = {.name = "main.(*Cart).Total"};

#define GROUP(f, a, ...) ((struct call_group){.function = (f), .resource = &shop, .aggregate = (a), __VA_ARGS__})

#endif
