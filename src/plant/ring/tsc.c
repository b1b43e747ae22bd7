/* The time-stamp counter, as the probes read it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/file.h"
#include "plant/ring/tsc.h"

#define CALIBRATION_US 10000

uint64_t tsc_now(void)
{
	return __rdtsc();
}

/* The tightest of a few tries, since we may be preempted between the two. */
static void take_pair(uint64_t *ret_tsc, uint64_t *ret_ns)
{
	uint64_t best = UINT64_MAX;

	*ret_tsc = *ret_ns = 0;

	for (int i = 0; i < 5; i++) {
		uint64_t before = __rdtsc(), ns = clock_monotonic_ns(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*ret_tsc = before + best / 2;
		*ret_ns = ns;
	}
}

static uint64_t rate(uint64_t ns, uint64_t tsc)
{
	return (uint64_t)(((unsigned __int128)ns << 32) / (tsc ? tsc : 1));
}

int tsc_clock_start(const char *procfs, struct tsc_clock *ret, struct err *err)
{
	_cleanup_(buf_done) struct buf b = {0};
	uint64_t tsc, ns;
	char path[64];

	snprintf(path, sizeof(path), "%.30s/cpuinfo", procfs);
	if (file_read(path, &b, 0) < 0 || !b.data || !strstr(b.data, " constant_tsc") ||
	    !strstr(b.data, " nonstop_tsc"))
		return err_set(err, -ENOSYS,
			       "this machine's time-stamp counter is not steady (constant_tsc and nonstop_tsc in "
			       "/proc/cpuinfo), and probes inside a program have no other clock; use --planter uprobe");
	take_pair(&tsc, &ns);
	usleep(CALIBRATION_US);
	take_pair(&ret->tsc, &ret->ns);
	ret->mult = rate(ret->ns - ns, ret->tsc - tsc);
	ret->first_tsc = tsc;
	ret->first_ns = ns;
	ret->monotonic = false;
	return 0;
}

void tsc_clock_monotonic(struct tsc_clock *ret)
{
	*ret = (struct tsc_clock){.mult = UINT64_C(1) << 32, .monotonic = true};
}

uint64_t tsc_clock_now(const struct tsc_clock *c)
{
	return c->monotonic ? clock_monotonic_ns() : tsc_now();
}

uint64_t tsc_clock_units(const struct tsc_clock *c, uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns << 32) / (c->mult ? c->mult : 1));
}

void tsc_clock_tick(struct tsc_clock *c)
{
	if (c->monotonic)
		return;
	take_pair(&c->tsc, &c->ns);
	c->mult = rate(c->ns - c->first_ns, c->tsc - c->first_tsc);
}

uint64_t tsc_clock_ns(const struct tsc_clock *c, uint64_t tsc)
{
	__int128 d = (int64_t)(tsc - c->tsc), ns = c->ns + (d * (__int128)c->mult >> 32);

	return ns < 0 ? 0 : (uint64_t)ns;
}
