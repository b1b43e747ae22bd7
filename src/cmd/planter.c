#include "cmd/planter.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

/* The first that can be opened. */
static int open_any(const struct planter_options *o, struct planter **ret, const struct planter_ops **ret_ops,
		    struct err *err)
{
	int r = -ENOSYS;

	for (size_t i = 0; planters[i]; i++) {
		struct err why = {0};

		*ret_ops = planters[i];
		r = planters[i]->open(o, ret, &why);
		if (r >= 0)
			return r;
		if (!planters[i + 1])
			err_set(err, r, "%s", why.text);
		else if (o->note)
			o->note(o->note_arg, "%s, since %s cannot be used: %s", planters[i + 1]->doing,
				planters[i]->means, why.text);
	}
	return r;
}

static int bad_name(const char *name, struct err *err)
{
	_cleanup_(buf_done) struct buf names = {0};

	for (size_t i = 0; planters[i]; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", planters[i]->name);
	return err_set(err, -EINVAL, "--planter expects %s or auto, not \"%s\"", names.data, name);
}

int planter_open(const char *name, const struct planter_options *o, struct planter **ret,
		 const struct planter_ops **ret_ops, struct err *err)
{
	*ret_ops = name ? planter_named(name) : planters[0];
	if (name && !strcmp(name, "auto"))
		return open_any(o, ret, ret_ops, err);
	return *ret_ops ? (*ret_ops)->open(o, ret, err) : bad_name(name, err);
}
