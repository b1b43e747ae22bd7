/* An event loop over epoll: descriptors, timers and signals, each with a callback. One thread. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

struct loop;
struct loop_source;

/* events: EPOLL bits; for signals the number, with LOOP_SIGNAL_FROM_KERNEL when no process sent it (a terminal). */
typedef void (*loop_fn)(void *arg, uint32_t events);
#define LOOP_SIGNAL_FROM_KERNEL (1u << 16)

int loop_new(struct loop **ret); /* 0 or -errno */
void loop_free(struct loop *l);  /* closes timers and signal descriptors it made, not fds given to it */

/* The fd stays the caller's. Each add returns 0 or -errno; ret_source may be NULL. */
int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg,
		struct loop_source **ret_source);
/* Fires first after first_ns, then each interval_ns (0: once). */
int loop_add_timer(struct loop *l, uint64_t first_ns, uint64_t interval_ns, loop_fn fn, void *arg,
		   struct loop_source **ret_source);
/* Blocks sig for the process and delivers it to fn. -EEXIST: somebody else in this loop has it already. */
int loop_add_signal(struct loop *l, int sig, loop_fn fn, void *arg);
void loop_remove(struct loop *l, struct loop_source *s); /* safe from inside callbacks; NULL ok */

int loop_run(struct loop *l); /* until loop_quit; 0 or -errno */
void loop_quit(struct loop *l);

#endif
