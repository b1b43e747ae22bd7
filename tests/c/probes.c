/*
 * USDT probes with operands of every form, by <sys/sdt.h>, with semaphores. For each line of its input it does one round,
 * and says how many listen.
 */
#define _SDT_HAS_SEMAPHORES 1
#include <pthread.h>
#include <stdio.h>
#include <sys/sdt.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEMAPHORE(name) unsigned short shop_##name##_semaphore __attribute__((section(".probes")))
SEMAPHORE(order);
SEMAPHORE(numbers);
SEMAPHORE(work__start);
SEMAPHORE(work__done);
SEMAPHORE(job__begin);
SEMAPHORE(job__end);
SEMAPHORE(tick);

static int total = -5;
static long table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
struct stats {
	char pad[40];
	int written;
} stats = {.written = 77};

__attribute__((noinline)) static void order(const char *user, int n, signed char c, double price, long i)
{
	long *p = table;

	__asm__("" : "+r"(p), "+r"(i));
	STAP_PROBE5(shop, order, user, n, c, price, p[i]);
	STAP_PROBE5(shop, numbers, total, stats.written, (unsigned short)n, 12345678901L, -3);
}

/* A job begins on one thread, and ends on another. */
static void *end_job(void *job)
{
	STAP_PROBE2(shop, job__end, (long)job, 7);
	return NULL;
}

static void round_of(char *line)
{
	pthread_t thread;

	STAP_PROBE1(shop, work__start, line);
	order("alice", 7, -5, 2.5, 3);
	STAP_PROBE1(shop, job__begin, 4711L);
	pthread_create(&thread, NULL, end_job, (void *)4711L);
	pthread_join(thread, NULL);
	STAP_PROBE1(shop, work__done, 2);
	for (int i = 0; i < 3; i++) /* one site, with another operand than the others */
		STAP_PROBE1(shop, tick, i);
	STAP_PROBE1(shop, tick, 100);
}

int main(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		round_of(line);
		if (fork() == 0) {
			order("child", 11, 1, 0, 1);
			_exit(0);
		}
		wait(NULL);
		printf("%d\n", shop_order_semaphore);
		fflush(stdout);
	}
	return 0;
}
