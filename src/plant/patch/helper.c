/*
 * Messages between earshot and its helper, over a stream socket: a request with an array behind it, then a reply,
 * to which helper_map's attaches the descriptor of the shared memory. One request at a time.
 */
#include "plant/patch/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "plant/patch/fault.h"
#include "plant/patch/remote.h"

#define PENDING_MS 10 /* how often we look for a thread that did not stop in time */

enum op { OP_MAP, OP_PATCH, OP_UNPATCH, OP_LEAVE, OP_CLEAN };

struct request {
	uint32_t op, handle;
	uint64_t n;             /* elements that follow */
	uint64_t bytes, existing, npatches, loans; /* of OP_MAP: struct helper_memory */
	struct helper_target target;
	uint64_t handlers[2];
};

struct reply {
	int32_t code;
	uint32_t handle;
	uint64_t next[2], pause_ns;
	struct err err;
};

struct helper {
	int socket;
	pid_t pid;
};

static bool read_all(int fd, void *p, size_t n)
{
	char *at = p;

	while (n) {
		ssize_t got = read(fd, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* ---- the helper's side ---- */

struct worker {
	int socket;
	VEC(struct remote *) remotes; /* by handle; NULL: ended */
};

static struct remote *remote_of(const struct worker *w, const struct request *q)
{
	return q->handle < w->remotes.len ? w->remotes.data[q->handle] : NULL;
}

static void forget(struct worker *w, struct remote *r)
{
	for (size_t i = 0; i < w->remotes.len; i++)
		if (w->remotes.data[i] == r)
			w->remotes.data[i] = NULL;
	remote_done(r);
	free(r);
}

static void do_map(struct worker *w, const struct request *q, const void *maps, struct reply *a, int *ret_fd)
{
	struct remote *r = xcalloc(1, sizeof(*r));

	a->code = remote_open(&q->target, r, &a->err);
	if (a->code) {
		free(r);
		return;
	}
	a->code = remote_map(r, &(struct helper_memory){maps, q->n, q->bytes, q->existing, q->npatches, q->loans},
			     &a->err);
	if (a->code) {
		remote_leave(r, NULL);
		remote_done(r);
		free(r);
		return;
	}
	a->handle = (uint32_t)w->remotes.len;
	vec_push(&w->remotes, r);
	for (int i = 0; i < 2; i++)
		a->next[i] = r->page.before[i].handler;
	*ret_fd = r->shared;
}

static void do_clean(const struct request *q, struct reply *a)
{
	struct remote r;
	bool found;

	a->code = remote_take_over(&q->target, &r, &found, &a->err);
	if (a->code || !found)
		return;
	a->code = remote_leave(&r, &a->err);
	remote_done(&r);
}

static void perform(struct worker *w, const struct request *q, void *array, struct reply *a, int *ret_fd)
{
	struct remote *r = remote_of(w, q);

	if (q->op == OP_MAP) {
		do_map(w, q, array, a, ret_fd);
	} else if (q->op == OP_CLEAN) {
		do_clean(q, a);
	} else if (!r) {
		a->code = err_set(&a->err, -EINVAL, "earshot's helper does not know process %d", q->target.pid);
	} else if (q->op == OP_PATCH) {
		remote_sort(array, q->n);
		a->code = remote_patch(r, array, q->n, q->handlers, &a->pause_ns, &a->err);
	} else if (q->op == OP_UNPATCH) {
		remote_sort(array, q->n);
		a->code = remote_unpatch(r, array, q->n, &a->err);
	} else {
		a->code = remote_leave(r, &a->err);
		forget(w, r);
	}
}

static bool send_reply(int sock, const struct reply *a, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)a, sizeof(*a)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*a);
}

static size_t element(uint32_t op)
{
	return op == OP_MAP ? sizeof(struct shared_map) : sizeof(struct shared_patch);
}

static bool serve(struct worker *w)
{
	_cleanup_(cleanup_free) void *array = NULL;
	struct request q;
	struct pollfd readable = {.fd = w->socket, .events = POLLIN};
	struct reply a = {0};
	int fd = -1;

	while (threads_detach_pending() && poll(&readable, 1, PENDING_MS) == 0)
		;
	if (!read_all(w->socket, &q, sizeof(q)))
		return false;
	array = xcalloc(q.n + 1, element(q.op));
	if (!read_all(w->socket, array, q.n * element(q.op)))
		return false;
	perform(w, &q, array, &a, &fd);
	return send_reply(w->socket, &a, fd);
}

static void leave_all(struct worker *w)
{
	for (size_t i = 0; i < w->remotes.len; i++) {
		if (!w->remotes.data[i])
			continue;
		remote_leave(w->remotes.data[i], NULL);
		remote_done(w->remotes.data[i]);
		free(w->remotes.data[i]);
	}
	vec_done(&w->remotes);
}

/*
 * Nothing of earshot's stays open but the socket, which becomes descriptor 3: whoever reads earshot's output must see
 * its end.
 */
static int close_other_fds(int sock)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(sock, 3) < 0)
		return -1;
	syscall(SYS_close_range, 4, ~0u, 0);
	return 3;
}

static void helper_main(int sock)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM};
	struct worker w = {.socket = close_other_fds(sock)};

	setsid();
	fault_init();
	prctl(PR_SET_NAME, "earshot-helper");
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	setpriority(PRIO_PROCESS, 0, -20); /* where allowed: a program waits whenever we work */
	if (w.socket < 0)
		_exit(1);
	while (serve(&w))
		;
	leave_all(&w);
	_exit(0);
}

/* ---- our side ---- */

int helper_start(struct helper **ret, struct err *err)
{
	struct helper *h;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, -errno, "cannot make a pair of sockets: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		helper_main(pair[1]);
	}
	close_fd(pair[1]);
	if (pid < 0) {
		close_fd(pair[0]);
		return err_set(err, -errno, "cannot start a process: %s", strerror(errno));
	}
	h = xcalloc(1, sizeof(*h));
	*h = (struct helper){pair[0], pid};
	*ret = h;
	return 0;
}

void helper_stop(struct helper *h)
{
	if (!h)
		return;
	close_fd(h->socket);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(h);
}

static int receive(struct helper *h, struct reply *a, int *ret_fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {a, sizeof(*a)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(h->socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return read_all(h->socket, (char *)a + n, sizeof(*a) - (size_t)n) ? 0 : -EPIPE;
}

static int ask(struct helper *h, const struct request *q, const void *array, struct reply *a, int *ret_fd,
	       struct err *err)
{
	int fd = -1;

	if (write_all(h->socket, q, sizeof(*q)) < 0 || write_all(h->socket, array, q->n * element(q->op)) < 0 ||
	    receive(h, a, &fd) < 0)
		return err_set(err, -EPIPE,
			       "earshot's helper process is gone (was it killed?); the next earshot that attaches "
			       "with --planter patch takes out what it left in programs");
	if (ret_fd)
		*ret_fd = fd;
	else
		close_fd(fd);
	return a->code ? err_set(err, a->code, "%s", a->err.text) : 0;
}

int helper_map(struct helper *h, const struct helper_target *t, const struct helper_memory *m,
	       struct helper_mapped *ret, struct err *err)
{
	const struct request q = {
		.op = OP_MAP, .n = m->nmaps, .bytes = m->bytes, .existing = m->existing, .npatches = m->npatches,
		.loans = m->loans, .target = *t};
	struct reply a = {0};
	int fd = -1, code;

	if (m->nmaps > SHARED_MAPS_MAX)
		return err_set(err, -E2BIG, "the probes of process %d would lie in %zu places; %d is the limit", t->pid,
			       m->nmaps, SHARED_MAPS_MAX);
	code = ask(h, &q, m->maps, &a, &fd, err);
	if (!code)
		*ret = (struct helper_mapped){fd, a.handle, {a.next[0], a.next[1]}};
	return code;
}

int helper_patch(struct helper *h, uint32_t handle, const struct shared_patch *patches, size_t n,
		 const uint64_t handlers[2], uint64_t *ret_pause_ns, struct err *err)
{
	const struct request q = {
		.op = OP_PATCH, .handle = handle, .n = n, .handlers = {handlers[0], handlers[1]}};
	struct reply a = {0};
	int code = ask(h, &q, patches, &a, NULL, err);

	if (!code)
		*ret_pause_ns = a.pause_ns;
	return code;
}

int helper_unpatch(struct helper *h, uint32_t handle, const struct shared_patch *patches, size_t n, struct err *err)
{
	const struct request q = {.op = OP_UNPATCH, .handle = handle, .n = n};
	struct reply a = {0};

	return ask(h, &q, patches, &a, NULL, err);
}

int helper_leave(struct helper *h, uint32_t handle, struct err *err)
{
	const struct request q = {.op = OP_LEAVE, .handle = handle};
	struct reply a = {0};

	return ask(h, &q, NULL, &a, NULL, err);
}

int helper_clean(struct helper *h, const struct helper_target *t, struct err *err)
{
	const struct request q = {.op = OP_CLEAN, .target = *t};
	struct reply a = {0};

	return ask(h, &q, NULL, &a, NULL, err);
}
