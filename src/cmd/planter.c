#include "cmd/planter.h"

#include <errno.h>
#include <string.h>

/* The first that can be opened. */
static int open_any(struct observer *ob, const struct planter_options *o, const struct planter_ops **ret_ops,
		    struct err *err)
{
	int r = -ENOSYS;

	for (size_t i = 0; planters[i]; i++) {
		struct err why = {0};

		*ret_ops = planters[i];
		r = planters[i]->open(o, &ob->planter, &why);
		if (r >= 0)
			return r;
		if (planters[i + 1])
			ob->ops->note(ob->arg, "%s, since %s cannot be used: %s", planters[i + 1]->doing,
				      planters[i]->means, why.text);
		else
			err_set(err, r, "%s", why.text);
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

int planter_open(struct observer *ob, const char *name, const struct planter_options *o,
		 const struct planter_ops **ret_ops, struct err *err)
{
	struct planter_options with_note = *o;
	int r;

	with_note.note = ob->ops->note;
	with_note.note_arg = ob->arg;
	*ret_ops = name ? planter_named(name) : planters[0];
	if (name && !strcmp(name, "auto"))
		r = open_any(ob, &with_note, ret_ops, err);
	else if (!*ret_ops)
		return bad_name(name, err);
	else
		r = (*ret_ops)->open(&with_note, &ob->planter, err);
	if (r >= 0)
		observer_add_source(ob, ob->planter->source);
	return r;
}
