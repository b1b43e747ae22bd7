#include "span/random_word.h"

#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

/* Without getrandom (a seccomp filter may refuse it) ids need only be different. */
static void seed(struct random_words *r)
{
	if (getrandom(r->seed, sizeof(r->seed), 0) == sizeof(r->seed) && (r->seed[0] | r->seed[1]))
		return;
	r->seed[0] = clock_monotonic_ns() * 0x9e3779b97f4a7c15u;
	r->seed[1] = (uint64_t)getpid() << 32 | 1;
}

/* xorshift128+ */
uint64_t random_word(struct random_words *r)
{
	uint64_t x, y;

	if (!(r->seed[0] | r->seed[1]))
		seed(r);
	x = r->seed[0];
	y = r->seed[1];
	r->seed[0] = y;
	x ^= x << 23;
	r->seed[1] = x ^ y ^ x >> 17 ^ y >> 26;
	return r->seed[1] + y;
}
