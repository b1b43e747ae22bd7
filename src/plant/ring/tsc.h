/* The clock of records in rings: the time-stamp counter. It must be steady (constant_tsc and nonstop_tsc). */
#ifndef PLANT_RING_TSC_H
#define PLANT_RING_TSC_H

#include <stdint.h>

#include "base/err.h"

/* Time stamps → CLOCK_MONOTONIC. */
struct tsc_clock {
	uint64_t mult;            /* ns = tsc * mult >> 32 */
	uint64_t tsc, ns;         /* taken together */
	uint64_t first_tsc, first_ns;
};
int tsc_clock_start(const char *procfs, struct tsc_clock *ret, struct err *err);
void tsc_clock_tick(struct tsc_clock *c);  /* takes the pair anew; the rate gets better */
uint64_t tsc_clock_ns(const struct tsc_clock *c, uint64_t tsc);
uint64_t tsc_now(void);

#endif
