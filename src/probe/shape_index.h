/*
 * What a shape table knows beyond the shapes themselves: for building it (shape.c, shape_dynamic.c), and for reading
 * the chunks that were copied by it (src/call).
 */
#ifndef PROBE_SHAPE_INDEX_H
#define PROBE_SHAPE_INDEX_H

#include "base/map.h"
#include "probe/shape.h"

#define SHAPE_DEPTH_MAX 15

/* A type may have several shapes. Its variants are the roles (enum shape_role), and … */
enum {
	SHAPE_IN_INTERFACE = SHAPE_ITAB + 1, /* a pointer in an interface's data word: costs nothing more */
	SHAPE_LOCATION,                      /* a time.Location: only its `name` and `cacheZone` are followed */
	SHAPE_ZONE,                          /* the zone that this leads to: nothing is followed */
	SHAPE_C_TEXT, SHAPE_C_TEXT_START,    /* of C's char: as much as a text may have, and what lies in
					      * few pages' end */
	SHAPE_VARIANTS
};

struct shape_map {
	struct map_layout layout;
	const char *why;        /* its entries cannot be read, or NULL */
	bool counted;           /* … but how many there are (count_off): the header has a shape all the same */
};

struct shape_state {
	uint8_t variant, level; /* level: pointers that lead to it at least */
	bool reached, expanded;
	bool dynamic;           /* it is a dynamic type's */
};

struct shape_wanted {           /* an interface whose dynamic types are needed, or a shape of a type parameter's */
	const struct type *type;
	unsigned level;
	bool instances;
};

struct shape_index {
	struct map ids;         /* type and variant → shape */
	struct map maps;        /* map type → struct shape_map */
	VEC(struct shape_state) states; /* beside shape_table.shapes */
	VEC(uint32_t) levels[SHAPE_DEPTH_MAX + 1];
	VEC(struct shape_wanted) wanted;
	bool all_dynamic;       /* every type is among them: an `any` was met */
	uint32_t swiss_size, table_size, hmap_size;
	uint32_t chan_len_off, chan_cap_off, chan_size; /* chan_size 0: unknown */
};

/* 0 when there is none. */
uint32_t shape_find(const struct shape_table *t, const struct type *type, unsigned variant);
/* How the map keeps its entries; NULL when no shape of it was made. */
const struct shape_map *shape_map_of(const struct shape_table *t, const struct type *type);

/* ---- while the table is built ---- */

uint32_t shape_map_header(struct shape_table *t, const struct type *type);
void shape_want_dynamic(struct shape_table *t, const struct type *interface, unsigned level);
/* Adds the dynamic types of interfaces that want them at the level. */
void shape_add_wanted(struct shape_table *t, unsigned level);
void shape_add_dynamic(struct shape_table *t, const struct type *type, unsigned level);

#endif
