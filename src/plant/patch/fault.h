/*
 * Faults on purpose, for tests only: EARSHOT_FAULT=NAME:N, read by the helper and by nobody else.
 *
 *   call:N       the Nth system call made in the process fails (0: each)
 *   write:N      the Nth write to its data fails
 *   code:N       the Nth write to its code fails
 *   forced:0     its code cannot be written by /proc/PID/mem
 *   allocate:N   there is no memory for the rings
 *   stuck:N      at the Nth stop, a thread does not stop
 *   unsafe:N     at the Nth look, no thread waits where it can make system calls without danger
 *   die:N        the process is killed at the Nth step
 *   slow:MS      each step takes that much longer while the process is stopped,
 *   slow-call:MS each system call made in the process,
 *   running:MS   each moment between two stops
 */
#ifndef PLANT_PATCH_FAULT_H
#define PLANT_PATCH_FAULT_H

#include <stdbool.h>

void fault_init(void);             /* without it there are none */
bool fault_now(const char *name);  /* counts; whether it is the time */
void fault_slow(const char *name); /* sleeps */
void fault_die(int pid);

#endif
