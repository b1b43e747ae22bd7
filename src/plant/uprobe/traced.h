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
		   uint64_t binary_key, struct err *err);
/* Told of every probe before the first of a plant is prepared: entries say what the records of their calls are. */
void traced_know(struct traced *t, const struct plant_probe *probe, uint64_t binary_key);

/* Of env, what is this program's own. */
void traced_env(struct traced *t, const struct plant_probe *probe, uint64_t binary_key, struct uprobe_env *env);

/* As in planter_ops. */
int traced_open_calls(struct traced *t, uint32_t target, bool take, plant_event_fn fn, void *arg);
int traced_control(struct traced *t, uint32_t probe, const struct plant_control *c);
uint64_t traced_hits(struct traced *t, uint32_t probe);
int traced_aggregates(struct traced *t, bool clear, plant_group_fn fn, void *arg);
void traced_forget(struct traced *t, uint32_t target);
/* What the probe has added to aggregates in the target is taken out of them. It is not planted there. */
void traced_discard(struct traced *t, uint32_t target, uint32_t probe);

#endif
