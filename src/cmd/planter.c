#include "cmd/planter.h"

#include <errno.h>
#include <string.h>

int planter_open(struct observer *ob, const char *name, const struct planter_options *o, struct err *err)
{
	struct planter_options with_note = *o;
	struct err why = {0};

	with_note.note = ob->ops->note;
	with_note.note_arg = ob->arg;
	o = &with_note;
	ob->planting = &planter_uprobe;
	if (!name || !strcmp(name, planter_uprobe.name))
		return ob->planting->open(o, &ob->planter, err);
	if (!strcmp(name, "auto")) {
		if (ob->planting->open(o, &ob->planter, &why) >= 0)
			return 0;
		ob->ops->note(ob->arg, "patching programs from inside, since uprobes cannot be used: %s", why.text);
	} else if (strcmp(name, planter_patch.name)) {
		return err_set(err, -EINVAL, "--planter expects uprobe, patch or auto, not \"%s\"", name);
	}
	ob->planting = &planter_patch;
	return ob->planting->open(o, &ob->planter, err);
}
