/* Clocks. BPF time stamps are CLOCK_MONOTONIC; spans carry wall-clock time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct err;

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);

/* Wall-clock minus monotonic, in ns, from the tightest of several paired readings. */
int64_t clock_wall_offset_ns(void);

/*
 * Converts many time stamps: the offset is measured again once a second, since clocks are adjusted. Zero-initialised is
 * not measured yet. now_ns: CLOCK_MONOTONIC as it is or was shortly before, so that not each stamp has the clock read.
 */
struct wall_clock {
	int64_t offset;
	uint64_t measured_at;
};
uint64_t wall_clock_ns(struct wall_clock *c, uint64_t monotonic_ns, uint64_t now_ns);

/* "10s", "1m30s", "250ms", "1.5h" as Go writes durations; a bare number is refused. 0 or -EINVAL. */
int duration_parse(const char *s, uint64_t *ret_ns, struct err *err);
/* "850 ns", "12.3 µs", "345 ms", "1.23 s", "2m03s" */
void format_duration(uint64_t ns, char ret[24]);

#endif
