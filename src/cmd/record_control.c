#include "cmd/record_control.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/named.h"

#define ENDING ".record"
#define REQUEST_MAX 64

struct record_control {
	struct recorder *recorder;
	struct loop *loop;
	struct loop_source *source;
	int fd;
	char *path;
};

static int address_of(const char *name, struct sockaddr_un *ret, struct err *err)
{
	_cleanup_(cleanup_free) char *path = NULL;
	int r = named_path(name, ENDING, &path, err);

	if (r < 0)
		return r;
	if (strlen(path) >= sizeof(ret->sun_path))
		return err_set(err, -ENAMETOOLONG, "%s is too long for the name of a socket", path);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(ret->sun_path, path);
	return 0;
}

static int connect_to(const struct sockaddr_un *a)
{
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return fd;
	close_fd(fd);
	return -1;
}

/* ---- the recorder's side ---- */

/* A request is there when its sender connects: nobody who keeps us waiting is waited for. */
static void serve(struct record_control *c, int client)
{
	const struct timeval patience = {.tv_usec = 100000};
	char request[REQUEST_MAX + 1], reason[64];
	struct ucred who = {0};
	socklen_t len = sizeof(who);
	ssize_t n;
	int pid = 0;

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = recv(client, request, REQUEST_MAX, 0);
	request[MAX(n, 0)] = 0;
	if (n < 4 || strncmp(request, "dump", 4) || (request[4] && sscanf(request + 4, " %d", &pid) != 1)) {
		close_fd(client);
	} else if (pid && !recorder_observes(c->recorder, pid)) {
		if (write_all(client, "-", 1) < 0)
			pid = 0; /* who asked has gone */
		close_fd(client);
	} else {
		getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &len);
		snprintf(reason, sizeof(reason), "asked for by process %d", who.pid);
		recorder_dump(c->recorder, "request", reason, client);
	}
}

static void on_client(void *arg, uint32_t events)
{
	struct record_control *c = arg;
	const int client = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

	if (client >= 0)
		serve(c, client);
}

/* A socket whose recorder was killed is in nobody's way. */
static int bind_to(struct record_control *c, const char *name, const struct sockaddr_un *a, struct err *err)
{
	const int other = connect_to(a);
	const mode_t mask = umask(0177);
	int r = 0;

	if (other < 0)
		unlink(a->sun_path);
	if (other >= 0)
		r = err_set(err, -EADDRINUSE, "there is a recorder named %s already: give this one another --name",
			    name);
	else if (bind(c->fd, (const struct sockaddr *)a, sizeof(*a)) < 0 || listen(c->fd, 16) < 0)
		r = err_set(err, -errno, "the recorder cannot listen on %s: %s", a->sun_path, strerror(errno));
	umask(mask);
	close_fd(other);
	return r;
}

int record_control_new(const char *name, struct recorder *rec, struct loop *loop, struct record_control **ret,
		       struct err *err)
{
	struct record_control *c;
	struct sockaddr_un a;
	int r = address_of(name, &a, err);

	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	*c = (struct record_control){.recorder = rec, .loop = loop,
				     .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
	r = c->fd < 0 ? err_set(err, -errno, "there is no socket to be had: %s", strerror(errno))
		      : bind_to(c, name, &a, err);
	if (r >= 0) {
		c->path = xstrdup(a.sun_path);
		r = loop_add_fd(loop, c->fd, EPOLLIN, on_client, c, &c->source);
	}
	if (r < 0)
		record_control_free(c);
	else
		*ret = c;
	return r;
}

void record_control_free(struct record_control *c)
{
	if (!c)
		return;
	loop_remove(c->loop, c->source);
	close_fd(c->fd);
	if (c->path)
		unlink(c->path);
	free(c->path);
	free(c);
}

/* ---- who asks ---- */

/* 1: it does not observe that process, or is not there. */
static int ask(const char *name, const char *request, struct buf *ret_text, struct err *err)
{
	_cleanup_(cleanup_fd) int fd = -1;
	struct sockaddr_un a;
	char answer[8192];
	ssize_t n;
	int r = address_of(name, &a, err);

	if (r < 0)
		return r;
	fd = connect_to(&a);
	if (fd < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 1;
	while ((n = recv(fd, answer, sizeof(answer), 0)) > 0)
		buf_append(ret_text, answer, (size_t)n);
	if (!ret_text->len)
		return err_set(err, -EIO, "the recorder %s has ended without an answer", name);
	if (ret_text->data[0] == '-') {
		buf_reset(ret_text);
		return 1;
	}
	return ret_text->data[0] == '0' ? 0 : err_set(err, -EIO, "%s", ret_text->data + 1);
}

static int is_recorder(const struct dirent *d)
{
	const size_t len = strlen(d->d_name), ending = strlen(ENDING);

	return len > ending && !strcmp(d->d_name + len - ending, ENDING);
}

typedef VEC(char *) name_list;

/* Those that listen. */
static int recorders(name_list *ret, struct err *err)
{
	_cleanup_(cleanup_free) char *folder = NULL;
	struct dirent **all = NULL;
	struct sockaddr_un a;
	int n, r = named_path("", "", &folder, err);

	if (r < 0)
		return r;
	n = scandir(folder, &all, is_recorder, alphasort);
	for (int i = 0; i < n; i++) {
		all[i]->d_name[strlen(all[i]->d_name) - strlen(ENDING)] = 0;
		r = address_of(all[i]->d_name, &a, NULL) < 0 ? -1 : connect_to(&a);
		if (r >= 0)
			vec_push(ret, xstrdup(all[i]->d_name));
		close_fd(r);
		free(all[i]);
	}
	free(all);
	return 0;
}

static void names_done(name_list *all)
{
	for (size_t i = 0; i < all->len; i++)
		free(all->data[i]);
	vec_done(all);
}

/* -ESRCH, and who there is. */
static int none(const char *who, struct err *err)
{
	_cleanup_(names_done) name_list all = {0};
	_cleanup_(buf_done) struct buf names = {0};
	int r = recorders(&all, err);

	for (size_t i = 0; i < all.len; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", all.data[i]);
	return r < 0 ? r : err_set(err, -ESRCH, "no recorder is named %s, or observes that process; %s%s", who,
				   all.len ? "there are: " : "none runs", all.len ? names.data : "");
}

static int ask_all(const char *pid, struct buf *ret_text, struct err *err)
{
	_cleanup_(names_done) name_list all = {0};
	char request[REQUEST_MAX];
	int r = recorders(&all, err);

	snprintf(request, sizeof(request), "dump %.20s", pid);
	r = r < 0 ? r : 1;
	for (size_t i = 0; i < all.len && r == 1; i++)
		r = ask(all.data[i], request, ret_text, err);
	return r;
}

int record_control_ask(const char *who, struct buf *ret_text, struct err *err)
{
	const bool is_pid = *who && strspn(who, "0123456789") == strlen(who);
	int r = is_pid ? 0 : named_check(who, err);

	if (r >= 0)
		r = is_pid ? ask_all(who, ret_text, err) : ask(who, "dump", ret_text, err);
	return r == 1 ? none(who, err) : r;
}
