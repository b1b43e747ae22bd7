/*
 * Groups of aggregates: how they lie in the kernel's maps, and what comes back from there. Aggregates whose keys and
 * values have the same sizes share a map.
 */
#ifndef PLANT_UPROBE_GROUPS_H
#define PLANT_UPROBE_GROUPS_H

#include "plant/plant.h"
#include "plant/uprobe/bpf.h"

#define GROUP_KEY_MAX 512    /* of a map's key, on older kernels */
#define GROUP_BUCKETS_MAX 1024
struct group_key_head {
	uint32_t probe, target, aggregate, reserved;
};
struct group_part {          /* of the key; behind it the bytes of a text */
	uint8_t status, reserved;
	uint16_t len;
	uint32_t reserved2;
	uint64_t word;
};
struct group_value {
	uint64_t count;
	uint64_t sum, sum_high;  /* 128 bits */
	uint64_t min, max;       /* signed or not, as the aggregate says */
	uint64_t buckets[];
};

enum group_init { GROUP_SIGNED, GROUP_UNSIGNED, GROUP_INITS };

struct group_layout {
	uint32_t key_size, value_size;
	size_t nbuckets;
	struct {
		uint32_t off;    /* of the struct group_part in the key */
		uint32_t text;   /* bytes behind it, 0 for scalars */
	} keys[AGG_MAX_KEYS];
};

/* entry: the program whose record at_entry means, NULL if there is none. -E2BIG, -EINVAL. */
int group_layout_of(const struct ir_aggregate *a, const struct capture_program *p, const struct capture_program *entry,
		    struct group_layout *ret, struct err *err);

/* What a program with aggregates is compiled with. */
struct group_maps {
	int init;            /* array map: a new group's value, by enum group_init */
	int outer[];         /* for each aggregate an array of one map, the hash map of groups */
};

struct groups;
struct groups *groups_new(size_t max_groups); /* 0: the default */
void groups_free(struct groups *g);           /* NULL ok */
/* Makes the maps that the program needs, and remembers it. Idempotent. */
int groups_add(struct groups *g, uint32_t probe, const struct capture_program *p, const struct capture_program *entry,
	       struct err *err);
const struct group_maps *groups_of(const struct groups *g, uint32_t probe); /* NULL: none */
/* As in planter_ops. */
int groups_read(struct groups *g, bool clear, plant_group_fn fn, void *arg);
/* Drops the groups of a probe in a target, where it is not planted. */
void groups_discard(struct groups *g, uint32_t target, uint32_t probe);

#endif
