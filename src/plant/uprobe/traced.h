/* What traced calls need of a planter beside the ring: their maps, made when the first program asks for them. */
#ifndef PLANT_UPROBE_TRACED_H
#define PLANT_UPROBE_TRACED_H

#include "plant/plant.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/compile.h"

struct traced;

struct traced *traced_new(const struct planter_options *o); /* o may be NULL */
void traced_free(struct traced *t); /* NULL ok */
/* Makes what the probe's program needs and puts its descriptors into env and btf. -ENOSYS, -E2BIG, -ENOMEM. */
int traced_prepare(struct traced *t, struct uprobe_env *env, struct uprobe_btf *btf, const struct plant_probe *probe,
		   struct err *err);

/* As in planter_ops. */
int traced_open_calls(struct traced *t, uint32_t target, bool take, plant_event_fn fn, void *arg);
void traced_forget(struct traced *t, uint32_t target);

#endif
