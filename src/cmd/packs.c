#include "cmd/packs.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/file.h"
#include "cmd/local_packs.h"

bool is_pack_path(const char *s)
{
	size_t n = strlen(s);

	return strchr(s, '/') || (n > 5 && !strcmp(s + n - 5, ".yaml"));
}

bool pack_is_wanted(const string_list *wanted, const struct pack *p)
{
	for (size_t i = 0; i < wanted->len && p->on_request; i++)
		if (!strcmp(wanted->data[i], p->name))
			return true;
	if (!wanted->len || !p->nspans || p->on_request)
		return !p->on_request;
	for (size_t i = 0; i < wanted->len; i++)
		if (!is_pack_path(wanted->data[i]) && !fnmatch(wanted->data[i], p->name, 0))
			return true;
	return false;
}

static int load_builtin(const string_list *wanted, pack_set *ret, struct err *err)
{
	for (const struct pack_source *src = pack_builtin; src->file; src++) {
		struct pack *p;
		int r = pack_parse(src->file, src->text, src->len, &p, err);

		if (r < 0)
			return r;
		if (pack_is_wanted(wanted, p))
			vec_push(ret, p);
		else
			pack_free(p);
	}
	return 0;
}

static int load_file(const char *path, pack_set *ret, struct err *err)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct pack *p;
	int r = file_read(path, &text, 0);

	if (r < 0)
		return err_set(err, r, "cannot read the pack %s: %s", path, strerror(-r));
	r = pack_parse(path, text.data ? text.data : "", text.len, &p, err);
	if (r >= 0)
		vec_push(ret, p);
	return r;
}

static int check_glob(const char *glob, const pack_set *packs, struct err *err)
{
	for (size_t i = 0; i < packs->len; i++)
		if (!fnmatch(glob, packs->data[i]->name, 0))
			return 0;
	return err_set(err, -EINVAL, "--packs `%s` matches no pack; `earshot inspect --list-packs` lists them", glob);
}

static int load_named(const string_list *wanted, pack_set *ret, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < wanted->len; i++)
		if (is_pack_path(wanted->data[i]))
			r = load_file(wanted->data[i], ret, err);
	return r;
}

static int check_globs(const string_list *wanted, const pack_set *packs, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < wanted->len; i++)
		if (!is_pack_path(wanted->data[i]))
			r = check_glob(wanted->data[i], packs, err);
	return r;
}

int packs_load(const string_list *wanted, const struct local_packs *local, pack_set *ret, struct err *err)
{
	int r = load_builtin(wanted, ret, err);

	if (r >= 0)
		r = load_named(wanted, ret, err);
	if (r >= 0)
		r = packs_resolve(ret->data, ret->len, err);
	if (r >= 0 && local && local->directory)
		local_packs_add(local, wanted, ret);
	if (r >= 0)
		r = check_globs(wanted, ret, err);
	if (r < 0)
		packs_done(ret);
	return r;
}

void packs_done(pack_set *packs)
{
	for (size_t i = 0; i < packs->len; i++)
		pack_free(packs->data[i]);
	vec_done(packs);
}
