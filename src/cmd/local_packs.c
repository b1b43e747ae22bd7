#include "cmd/local_packs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/verb.h"

struct local_reader {
	const struct local_packs *from;
	const string_list *wanted;
	pack_set *packs;
	size_t first;              /* of the packs: where the directory's begin */
};

static void tell(const struct local_reader *l, bool trouble, const char *sentence)
{
	if (l->from->tell)
		l->from->tell(l->from->arg, trouble, sentence);
	else
		complain(0, "%s", sentence);
}

static void tell_refusal(const struct local_reader *l, const char *file, const struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};

	if (!strncmp(err->text, file, strlen(file)))
		buf_printf(&text, "not used: %s", err->text);
	else
		buf_printf(&text, "not used: %s: %s", file, err->text);
	tell(l, true, text.data);
}

/* ---- the file ---- */

static bool is_users(uid_t owner)
{
	const char *sudo = getenv("SUDO_UID");

	return owner == 0 || owner == geteuid() ||
	       (geteuid() == 0 && sudo && *sudo && owner == (uid_t)strtoul(sudo, NULL, 10));
}

static int check_file(const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, -EPERM, "it is no regular file");
	if (!is_users(st->st_uid))
		return err_set(err, -EPERM, "it belongs to the user %u, and only files of your own or of root's count",
			       (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM, "others may write to it (mode %03o); `chmod go-w` it, or name it with "
			       "--packs", (unsigned)st->st_mode & 0777u);
	return 0;
}

static bool is_named(const struct local_reader *l, const struct stat *st)
{
	for (size_t i = 0; i < l->wanted->len; i++) {
		struct stat other;

		if (is_pack_path(l->wanted->data[i]) && !stat(l->wanted->data[i], &other) &&
		    other.st_dev == st->st_dev && other.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* What is checked is what is read: both are of the open file. 1: it is to be left out without a word. */
static int read_file(const struct local_reader *l, int directory, const char *file, struct buf *ret, struct err *err)
{
	int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 && errno == ELOOP)
		return err_set(err, -EPERM, "it is a symbolic link");
	if (fd < 0 || fstat(fd, &st)) {
		r = err_set(err, -errno, "%s", strerror(errno));
	} else if (is_named(l, &st)) {
		r = 1;
	} else {
		r = check_file(&st, err);
		if (r >= 0)
			r = file_read_fd(fd, ret, 0);
		if (r < 0 && !err->text[0])
			err_set(err, r, "%s", strerror(-r));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* ---- the pack ---- */

static const struct pack *same_name(const pack_set *packs, const char *name)
{
	for (size_t i = 0; i < packs->len; i++)
		if (!strcmp(packs->data[i]->name, name))
			return packs->data[i];
	return NULL;
}

static void add_file(struct local_reader *l, int directory, const char *file)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct pack *p = NULL;
	const struct pack *other;
	struct err err = {0};
	int r = read_file(l, directory, file, &text, &err);

	if (r == 0)
		r = pack_parse(file, text.data ? text.data : "", text.len, &p, &err);
	if (r < 0)
		tell_refusal(l, file, &err);
	if (r)
		return;
	other = same_name(l->packs, p->name);
	if (other) {
		err_set(&err, -EEXIST, "there is a pack %s already (%s); give it another name", p->name, other->file);
		tell_refusal(l, file, &err);
	}
	if (!other && pack_is_wanted(l->wanted, p))
		vec_push(l->packs, p);
	else
		pack_free(p);
}

/* Those that add to spans that are not there go; then those that added to these. */
static void drop_orphans(struct local_reader *l)
{
	pack_set *s = l->packs;
	bool dropped;

	do {
		dropped = false;
		for (size_t i = l->first; i < s->len; i++) {
			struct err err = {0};

			if (pack_resolve(s->data, s->len, s->data[i], &err) >= 0)
				continue;
			tell_refusal(l, s->data[i]->file, &err);
			pack_free(s->data[i]);
			memmove(&s->data[i], &s->data[i + 1], (s->len - i - 1) * sizeof(*s->data));
			s->len--;
			i--;
			dropped = true;
		}
	} while (dropped);
}

static int is_pack_file(const struct dirent *e)
{
	size_t n = strlen(e->d_name), m = strlen(LOCAL_PACK_END);

	return n > m && e->d_name[0] != '.' && !strcmp(e->d_name + n - m, LOCAL_PACK_END);
}

bool local_packs_any(const char *directory)
{
	DIR *d = opendir(directory);
	const struct dirent *e;
	bool any = false;

	while (d && !any && (e = readdir(d)))
		any = is_pack_file(e);
	if (d)
		closedir(d);
	return any;
}

void local_packs_add(const struct local_packs *from, const string_list *wanted, pack_set *packs)
{
	struct local_reader l = {.from = from, .wanted = wanted, .packs = packs, .first = packs->len};
	int directory = open(from->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **files = NULL;
	int n = directory < 0 ? -1 : scandirat(directory, ".", &files, is_pack_file, alphasort);

	for (int i = 0; i < n; i++) {
		add_file(&l, directory, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	if (directory >= 0)
		close(directory);
	drop_orphans(&l);
	for (size_t i = l.first; i < packs->len; i++) {
		_cleanup_(buf_done) struct buf text = {0};

		buf_printf(&text, "using the pack %s of %s", packs->data[i]->name, packs->data[i]->file);
		tell(&l, false, text.data);
	}
}
