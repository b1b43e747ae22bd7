#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/macro.h"

struct loop_source {
	int fd;
	bool own_fd, is_timer, dead;
	int signal;              /* 0: it is none */
	loop_fn fn;
	void *arg;
	struct loop_source *next;
};

struct loop {
	int epoll;
	bool quit;
	struct loop_source *sources;
};

int loop_new(struct loop **ret)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->epoll = fd;
	return 0;
}

static int add_source(struct loop *l, struct loop_source model, uint32_t events,
		      struct loop_source **ret)
{
	struct loop_source *s = xmalloc(sizeof(*s));
	struct epoll_event ev = {.events = events, .data.ptr = s};

	*s = model;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev) < 0) {
		int r = -errno;

		if (s->own_fd)
			close_fd(s->fd);
		free(s);
		return r;
	}
	s->next = l->sources;
	l->sources = s;
	if (ret)
		*ret = s;
	return 0;
}

int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg,
		struct loop_source **ret)
{
	return add_source(l, (struct loop_source){.fd = fd, .fn = fn, .arg = arg}, events, ret);
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

int loop_add_timer(struct loop *l, uint64_t first_ns, uint64_t interval_ns, loop_fn fn, void *arg,
		   struct loop_source **ret)
{
	struct itimerspec t = {.it_value = to_timespec(first_ns ? first_ns : 1),
			       .it_interval = to_timespec(interval_ns)};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, 0, &t, NULL) < 0) {
		close_fd(fd);
		return -errno;
	}
	return add_source(
		l,
		(struct loop_source){.fd = fd, .own_fd = true, .is_timer = true, .fn = fn, .arg = arg},
		EPOLLIN, ret);
}

int loop_add_signal(struct loop *l, int sig, loop_fn fn, void *arg)
{
	sigset_t set;
	int fd;

	for (const struct loop_source *s = l->sources; s; s = s->next)
		if (s->signal == sig && !s->dead)
			return -EEXIST;
	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return add_source(
		l,
		(struct loop_source){.fd = fd, .own_fd = true, .signal = sig, .fn = fn, .arg = arg},
		EPOLLIN, NULL);
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	if (!s || s->dead)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->own_fd)
		close_fd(s->fd);
	s->dead = true; /* freed between rounds: events already fetched may still name it */
}

static void sweep(struct loop *l)
{
	for (struct loop_source **p = &l->sources; *p;) {
		struct loop_source *s = *p;

		if (s->dead) {
			*p = s->next;
			free(s);
		} else {
			p = &s->next;
		}
	}
}

static void dispatch(struct loop_source *s, uint32_t events)
{
	struct signalfd_siginfo si;
	uint64_t ticks;

	if (s->dead)
		return;
	if (s->is_timer && read(s->fd, &ticks, sizeof(ticks)) < 0)
		return;
	if (s->signal) {
		while (!s->dead && read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
			s->fn(s->arg, si.ssi_signo | (si.ssi_code > 0 ? LOOP_SIGNAL_FROM_KERNEL : 0));
		return;
	}
	s->fn(s->arg, events);
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[16];

	l->quit = false;
	while (!l->quit) {
		int n = epoll_wait(l->epoll, ev, ARRAY_SIZE(ev), -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			dispatch(ev[i].data.ptr, ev[i].events);
		sweep(l);
	}
	return 0;
}

void loop_quit(struct loop *l)
{
	l->quit = true;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (struct loop_source *s = l->sources; s; s = s->next)
		loop_remove(l, s);
	sweep(l);
	close_fd(l->epoll);
	free(l);
}
