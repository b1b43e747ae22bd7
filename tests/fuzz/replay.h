/*
 * Runs a fuzz target without a fuzzing engine. Under -DFUZZ_REPLAY this header supplies main():
 *
 *   prog FILE…               each file once
 *   prog --mutate N FILE…    and N mutations of each, the same ones at every run
 *   prog --only K FILE…      mutation K alone, to look at a failure
 *
 * Inputs lie in blocks of exactly their size, so that a sanitizer sees the first byte read too
 * many. An input that runs for more than 20 seconds counts as a failure. A failing input is named
 * by file and mutation on standard error (crashes only with a sanitizer, which calls back).
 */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FUZZ_REPLAY
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLAY_SECONDS 20

struct replay_input {
	uint8_t *data;
	size_t size;
};

static char replay_label[512];
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void replay_text(const char *s)
{
	ssize_t ignored = write(STDERR_FILENO, s, strlen(s));

	(void)ignored;
}

static void replay_blame(void)
{
	replay_text(replay_label);
}

/* Ends the process when one input runs for too long. */
static void *replay_watch(void *arg)
{
	const volatile long *runs = arg;
	long last = -1;

	for (unsigned seconds = 0; seconds < REPLAY_SECONDS; seconds++) {
		if (*runs != last)
			seconds = 0;
		last = *runs;
		sleep(1);
	}
	replay_blame();
	replay_text("it does not end\n");
	_exit(1);
}

static uint64_t replay_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Overwrites 1, 2, 4 or 8 bytes with a number that tends to break things. */
static void replay_number(struct replay_input *in, uint64_t *rng)
{
	static const uint64_t numbers[] = {0,	     1,		 2,	     7,		0x7f,
					   0x80,     0xff,	 0x7fff,     0xffff,	0x7fffffff,
					   1u << 31, 0xffffffff, 1ull << 32, INT64_MAX, UINT64_MAX};
	uint64_t v = numbers[replay_random(rng) % (sizeof(numbers) / sizeof(*numbers))];
	size_t n = (size_t)1 << replay_random(rng) % 4, at;

	if (in->size < n)
		return;
	at = replay_random(rng) % (in->size - n + 1);
	if (replay_random(rng) % 4 == 0) { /* near what was there */
		memcpy(&v, in->data + at, n);
		v += replay_random(rng) % 17 - 8;
	}
	memcpy(in->data + at, &v, n);
}

/* Copies a stretch of the input over another place of it. */
static void replay_copy(struct replay_input *in, uint64_t *rng)
{
	size_t n = 1 + replay_random(rng) % 64;

	if (in->size > n)
		memmove(in->data + replay_random(rng) % (in->size - n),
			in->data + replay_random(rng) % (in->size - n), n);
}

static void replay_insert(struct replay_input *in, uint64_t *rng)
{
	size_t n = 1 + replay_random(rng) % 16, at = in->size ? replay_random(rng) % in->size : 0;

	in->data = realloc(in->data, in->size + n);
	memmove(in->data + at + n, in->data + at, in->size - at);
	for (size_t i = 0; i < n; i++)
		in->data[at + i] = (uint8_t)replay_random(rng);
	in->size += n;
}

static void replay_delete(struct replay_input *in, uint64_t *rng)
{
	size_t n = 1 + replay_random(rng) % 16, at;

	if (in->size <= n)
		return;
	at = replay_random(rng) % (in->size - n);
	memmove(in->data + at, in->data + at + n, in->size - at - n);
	in->size -= n;
}

static void replay_mutate(struct replay_input *in, uint64_t *rng)
{
	switch (replay_random(rng) % 12) {
	case 0:
		in->size = in->size ? replay_random(rng) % in->size : 0;
		break;
	case 1:
		replay_insert(in, rng);
		break;
	case 2:
		replay_delete(in, rng);
		break;
	case 3:
	case 4:
		replay_copy(in, rng);
		break;
	case 5:
	case 6:
	case 7:
		replay_number(in, rng);
		break;
	default:
		if (in->size)
			in->data[replay_random(rng) % in->size] ^=
				(uint8_t)(1u << replay_random(rng) % 8);
	}
}

static void replay_run(const char *name, long k, const struct replay_input *seed)
{
	struct replay_input in = {malloc(seed->size + 1), seed->size};
	uint64_t rng = (uint64_t)k * 0x2545f4914f6cdd1du;
	uint8_t *exact;

	snprintf(replay_label, sizeof(replay_label), "failing input: %s, mutation %ld\n", name, k);
	if (seed->size)
		memcpy(in.data, seed->data, seed->size);
	for (uint64_t i = k > 0 ? 1 + replay_random(&rng) % 6 : 0; i; i--)
		replay_mutate(&in, &rng);
	exact = malloc(in.size ? in.size : 1);
	if (in.size)
		memcpy(exact, in.data, in.size);
	LLVMFuzzerTestOneInput(exact, in.size);
	free(exact);
	free(in.data);
}

static int replay_load(const char *path, struct replay_input *ret)
{
	FILE *f = fopen(path, "rb");
	struct replay_input in = {0};
	size_t n;

	if (!f) {
		perror(path);
		return -1;
	}
	do {
		in.data = realloc(in.data, in.size + 65536);
		n = fread(in.data + in.size, 1, 65536, f);
		in.size += n;
	} while (n);
	fclose(f);
	*ret = in;
	return 0;
}

int main(int argc, char **argv)
{
	static volatile long runs;
	long from = 0, to = 0;
	pthread_t watch;
	int i = 1;

	if (argc > 2 && !strcmp(argv[1], "--mutate")) {
		to = strtol(argv[2], NULL, 10);
		i = 3;
	} else if (argc > 2 && !strcmp(argv[1], "--only")) {
		from = to = strtol(argv[2], NULL, 10);
		i = 3;
	}
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(replay_blame);
	if (pthread_create(&watch, NULL, replay_watch, (void *)&runs) != 0)
		return 1;
	for (; i < argc; i++) {
		struct replay_input seed;

		if (replay_load(argv[i], &seed) < 0)
			return 1;
		for (long k = from; k <= to; k++, runs++)
			replay_run(argv[i], k, &seed);
		free(seed.data);
	}
	printf("%ld inputs, no failure\n", runs);
	return 0;
}
#endif /* FUZZ_REPLAY */
#endif
