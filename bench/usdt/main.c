/* For each line with a number: so many calls, and what one took in ns. With an argument they have no probe. */
#include <stdio.h>
#include <sys/sdt.h>
#include <time.h>

static long sum;

__attribute__((noinline, used)) static void observed(const char *text, long n)
{
	__asm__ volatile("" : "+r"(n));
	STAP_PROBE2(bench, hit, text, n);
	sum += n;
}

__attribute__((noinline, used)) static void bare(const char *text, long n)
{
	__asm__ volatile("" : "+r"(n) : "r"(text));
	sum += n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	void (*volatile call)(const char *, long) = argc > 1 ? bare : observed;
	long n;

	(void)argv;
	while (scanf("%ld", &n) == 1) {
		double from = now();

		for (long i = 0; i < n; i++)
			call("a text of some length", i);
		printf("%.2f\n", (now() - from) / (double)n);
		fflush(stdout);
	}
	return 0;
}
