#include "base/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/macro.h"

#define THREADS_MAX 64

struct work {
	size_t n;
	atomic_size_t next;
	void (*fn)(void *arg, size_t i);
	void *arg;
};

static void *work_some(void *arg)
{
	struct work *w = arg;

	for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;)
		w->fn(w->arg, i);
	return NULL;
}

void parallel_each(size_t n, unsigned threads, void (*fn)(void *arg, size_t i), void *arg)
{
	struct work w = {.n = n, .fn = fn, .arg = arg};
	pthread_t others[THREADS_MAX];
	size_t want = n ? MIN(n - 1, MIN(threads, THREADS_MAX)) : 0, made = 0;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (made < want && pthread_create(&others[made], NULL, work_some, &w) == 0)
		made++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	work_some(&w);
	while (made)
		pthread_join(others[--made], NULL);
}
