/* Groups of aggregates made by hand. */
#ifndef TESTS_UNIT_GROUPS_H
#define TESTS_UNIT_GROUPS_H

#include "unit/calls.h"

static const struct expr latency_expr = {.op = EXPR_NAME, .text = "latency"};
static const struct expr size_expr = {.op = EXPR_NAME, .text = "size"};
static const struct expr *const latency_args[] = {&latency_expr};
static const struct expr *const size_args[] = {&size_expr};

static const struct action count_by_func = {.kind = ACTION_AGGREGATE, .text = "count() by func",
					    .aggregate = AGG_COUNT, .by_texts = {"func"}, .nby = 1};
static const struct action count_by_user = {.kind = ACTION_AGGREGATE, .text = "count() by user",
					    .aggregate = AGG_COUNT, .by_texts = {"user"}, .nby = 1};
static const struct action avg_latency = {.kind = ACTION_AGGREGATE, .text = "avg(latency) by user",
					  .aggregate = AGG_AVG, .args = (const struct expr **)latency_args, .nargs = 1,
					  .by_texts = {"user"}, .nby = 1};
static const struct action hist_latency = {.kind = ACTION_AGGREGATE, .text = "hist(latency) by user",
					   .aggregate = AGG_HIST, .args = (const struct expr **)latency_args,
					   .nargs = 1, .by_texts = {"user"}, .nby = 1};
static const struct action hist_size = {.kind = ACTION_AGGREGATE, .text = "hist(size)", .aggregate = AGG_HIST,
					.args = (const struct expr **)size_args, .nargs = 1};
static const struct action linear_size = {.kind = ACTION_AGGREGATE, .text = "hist(size, 0, 100, 25)",
					  .aggregate = AGG_LINEAR, .args = (const struct expr **)size_args,
					  .nargs = 1, .low = 0, .high = 100, .step = 25};
static const struct action max_size = {.kind = ACTION_AGGREGATE, .text = "max(size)", .aggregate = AGG_MAX,
				       .args = (const struct expr **)size_args, .nargs = 1};

static const struct call_plan total_plan = {.name = "main.(*Cart).Total", .stack_slot = -1};

#define GROUP(p, a, ...)                                                                                               \
	((struct call_group){.plan = (p), .process = &shop, __VA_ARGS__,                                               \
			     .aggregate = &(struct plan_aggregate){.action = (a)}})

#endif
