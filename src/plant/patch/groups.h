/*
 * Aggregates that the patched program keeps itself: no record is written for them, so they are exact at any rate.
 *
 * Each slot (ring/ring.h) has two tables of groups, one behind the other, which only the thread that has the slot
 * writes to; area.turn says which. The code asks for that once in each search and stays with that table, since it may
 * change meanwhile. The reader turns it over, waits until no thread can be in the code with the other one, and has
 * that one to itself: it reads it and empties it. So what is read is whole, nothing is counted twice, and a slot whose
 * thread does not come out is simply read the next time. Groups of all slots, and of all times, are merged in
 * plant/aggregate.c.
 *
 * A program that only counts its hits, all of them, uses no table: the slot has that number anyway.
 *
 * An aggregate at a return that needs something of the entry finds it where the call is kept (saved.c): behind each
 * struct patch_saved belong patch_area.kept_bytes, the parts of the entry's slots that keys or values are made of.
 */
#ifndef PLANT_PATCH_GROUPS_H
#define PLANT_PATCH_GROUPS_H

#include "base/vec.h"
#include "plant/aggregate.h"
#include "plant/patch/area.h"

struct patch_table {
	uint64_t used;           /* bytes of groups, the free ones come then; from entries_off on */
	uint64_t ngroups, room;  /* room: bytes for groups */
	uint64_t reserved[5];
	uint32_t index[];        /* nindex of them (power of two), by hash: the group's offset in the table / 8;
	                          * 0: free */
};
struct patch_group {             /* made of zeros when it is new */
	uint64_t hash;           /* checksum of the key, and the form above it */
	uint32_t size, form;     /* size: of all of it, the key too */
	uint64_t count;
	uint64_t sum, sum_high;  /* 128 bits; not for AGG_COUNT, as what follows */
	uint64_t min, max;       /* in an order that begins with 0: see patch_extreme */
	uint64_t buckets[];      /* then the key: of each of its parts the first word of the slot, then the slot's value
	                          * or, padded, the bytes of the text */
};
#define PATCH_COUNT_BYTES offsetof(struct patch_group, sum)

/* min and max are unsigned numbers that only grow: the same transformation makes and undoes them. */
static inline uint64_t patch_extreme(uint64_t v, bool is_unsigned, bool is_min)
{
	v ^= is_unsigned ? 0 : UINT64_C(1) << 63;
	return is_min ? ~v : v;
}

struct patch_form {              /* an aggregate of a probe */
	uint32_t counts, aggregate; /* the probe's index, and of its program */
	const struct ir_aggregate *a;
	const struct capture_program *program, *entry; /* entry: where it is of a return */
	uint32_t number;
	uint32_t nbuckets;
	uint32_t key_off, longest; /* of the key in a group, of a group */
	uint32_t fixed;          /* without keys: the offset of its group in the table */
};

/*
 * A slot of an entry, as it is kept: the parts' slots, in order, then the texts, padded, each with room for the
 * longest. Instead of a text's place the slot has a checksum of it. Where all slots of an entry are parts, and no
 * record wants them, they are captured there at once.
 */
struct patch_kept {
	uint16_t slot;
	uint32_t text, bytes;    /* of a text: where it is, room; 0 for scalars */
};
struct patch_parts {
	struct patch_kept part[EVENT_MAX_SLOTS];
	uint32_t n, bytes;
};

/* What a program with aggregates, or the entry of one, is compiled with. */
struct patch_sums {
	bool hits;                      /* it counts its hits, nothing else */
	bool refused;                   /* its code may run in front of another's: what it counts is nobody's */
	const struct patch_form *forms; /* of each of its aggregates */
	struct patch_parts kept;        /* ENTRY and RETURN */
	struct plant_control control;
};

/* All of what is planted into a process at once. Programs outlive it. */
struct patch_forms {
	VEC(struct patch_form) list;
	struct patch_sums **of;         /* by probe; NULL: it has none to do with aggregates */
	size_t nprobes;
	uint32_t fixed_bytes, largest, kept_bytes, scratch_bytes;
	bool keyed;
};

/* control: what applies to a probe, or NULL. -EINVAL: an aggregate refers to a slot that cannot be had. */
int patch_forms_make(const struct plant_probe *probes, size_t n,
		     const struct plant_control *(*control)(void *, uint32_t), void *arg, struct patch_forms *ret,
		     struct err *err);
void patch_forms_done(struct patch_forms *f);

/*
 * Room for them, behind all else: adds to the layout. max_groups: of a table; 0: the default. There are fewer where
 * they are large: a table has some MiB, that of an extra slot much less, since all memory is allocated beforehand.
 */
void patch_forms_layout(const struct patch_forms *f, size_t max_groups, struct patch_area *layout);
/* Into an area that is otherwise ready, which lies at addr in the program. */
void patch_forms_begin(const struct patch_forms *f, struct patch_area *area, const struct patch_area *layout,
		       uint64_t addr);

/* Bytes of the text of a part of a key; 0: a scalar. */
uint32_t patch_text_bytes(const struct capture_program *p, uint16_t slot);

/*
 * Reads the groups of table `turn` of a slot and empties it. ids: of the probes, by index. damaged grows by what made
 * no sense.
 */
void patch_table_take(const struct patch_forms *f, struct patch_area *area, const struct patch_area *layout,
		      uint32_t slot, uint32_t turn, const uint32_t *ids, uint32_t target, struct aggregates *into,
		      uint64_t *damaged);

#endif
