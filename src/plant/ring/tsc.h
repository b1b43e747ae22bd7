/*
 * The clock of records in rings: the time-stamp counter. It must be steady (constant_tsc and nonstop_tsc). Where a
 * program has its own code for records, that may take CLOCK_MONOTONIC instead: time stamps are nanoseconds then.
 */
#ifndef PLANT_RING_TSC_H
#define PLANT_RING_TSC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Time stamps → CLOCK_MONOTONIC. */
struct tsc_clock {
	uint64_t mult;            /* ns = tsc * mult >> 32 */
	uint64_t tsc, ns;         /* taken together */
	uint64_t first_tsc, first_ns;
	bool monotonic;           /* time stamps are CLOCK_MONOTONIC themselves */
};
int tsc_clock_start(const char *procfs, struct tsc_clock *ret, struct err *err);
void tsc_clock_monotonic(struct tsc_clock *ret); /* one whose time stamps are CLOCK_MONOTONIC */
uint64_t tsc_clock_now(const struct tsc_clock *c); /* a time stamp */
/* As many of its units as that, to compare time stamps with. */
uint64_t tsc_clock_units(const struct tsc_clock *c, uint64_t ns);
void tsc_clock_tick(struct tsc_clock *c);  /* takes the pair anew; the rate gets better */
uint64_t tsc_clock_ns(const struct tsc_clock *c, uint64_t tsc); /* 0: of what was before that clock began */
uint64_t tsc_now(void);

#endif
