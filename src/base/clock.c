#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"

#define WALL_OFFSET_AGE_NS INT64_C(1000000000)

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_wall_offset_ns(void)
{
	uint64_t best = UINT64_MAX;
	int64_t offset = 0;

	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_monotonic_ns();
		uint64_t wall = clock_realtime_ns();
		uint64_t after = clock_monotonic_ns();

		if (after - before < best) {
			best = after - before;
			offset = (int64_t)(wall - (before + (after - before) / 2));
		}
	}
	return offset;
}

uint64_t wall_clock_ns(struct wall_clock *c, uint64_t monotonic_ns, uint64_t now_ns)
{
	if (!c->measured_at || (int64_t)(now_ns - c->measured_at) > WALL_OFFSET_AGE_NS) {
		c->offset = clock_wall_offset_ns();
		c->measured_at = clock_monotonic_ns();
	}
	return monotonic_ns + (uint64_t)c->offset;
}

int duration_parse(const char *s, uint64_t *ret_ns, struct err *err)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1},   {"us", 1e3},    {"\xc2\xb5s", 1e3}, {"ms", 1e6},
		     {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
	const char *p = s;
	double total = 0;

	while (*p) {
		char *end;
		double v = strtod(p, &end);
		size_t n, i;

		n = strcspn(end, "0123456789.");
		if (end == p || v < 0)
			goto bad;
		for (i = 0; i < ARRAY_SIZE(units); i++)
			if (strlen(units[i].unit) == n && !strncmp(units[i].unit, end, n))
				break;
		if (i == ARRAY_SIZE(units))
			goto bad;
		total += v * units[i].ns;
		p = end + n;
	}
	if (p == s || total >= 9e18)
		goto bad;
	*ret_ns = (uint64_t)total;
	return 0;
bad:
	return err_set(err, -EINVAL, "\"%s\" is not a duration; write it like 500ms, 10s or 1m30s", s);
}

/* ns in the unit, with three digits, however large. Without printf: summaries have many of them. */
static void three_digits(uint64_t ns, uint64_t unit, const char *name, char ret[24])
{
	const uint64_t scale = ns < 10 * unit - unit / 200 ? 100 : ns < 100 * unit - unit / 20 ? 10 : 1;
	const uint64_t v = (ns + unit / scale / 2) / (unit / scale);
	size_t n = int_text((int64_t)(v / scale), ret);

	if (scale > 1) {
		ret[n++] = '.';
		if (scale == 100)
			ret[n++] = (char)('0' + v / 10 % 10);
		ret[n++] = (char)('0' + v % 10);
	}
	ret[n++] = ' ';
	strcpy(ret + n, name);
}

void format_duration(uint64_t ns, char ret[24])
{
	double s = (double)ns / 1e9;

	if (ns < 1000)
		snprintf(ret, 24, "%u ns", (unsigned)ns);
	else if (ns < 999500)
		three_digits(ns, 1000, "µs", ret);
	else if (ns < 999500000)
		three_digits(ns, 1000000, "ms", ret);
	else if (s < 99.95)
		three_digits(ns, 1000000000, "s", ret);
	else if (s < 3600)
		snprintf(ret, 24, "%um%02us", (unsigned)(s / 60), (unsigned)s % 60);
	else
		snprintf(ret, 24, "%" PRIu64 "h%02um", (uint64_t)(s / 3600),
			 (unsigned)((uint64_t)(s / 60) % 60));
}
