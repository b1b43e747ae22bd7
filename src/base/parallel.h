/* One function for many items, side by side: for system calls that wait. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/*
 * Calls fn(arg, i) for each i below n, in this thread and up to `threads` more, and returns when all have
 * returned. Without threads to be had, this one does it all. They take no signals.
 */
void parallel_each(size_t n, unsigned threads, void (*fn)(void *arg, size_t i), void *arg);

#endif
