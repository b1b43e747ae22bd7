/* Hash maps from a 64-bit integer or a byte string to a pointer. Zero-initialised is empty. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>

#include "base/macro.h"

/* Keys are 64-bit integers; the values are not owned. */
struct map_entry {
	uint64_t key;
	void *value; /* NULL: free */
};
struct map {
	struct map_entry *entries;
	size_t len, cap;
};

void *map_get(const struct map *m, uint64_t key);
void *map_set(struct map *m, uint64_t key, void *value); /* value not NULL; returns the old one */
void *map_del(struct map *m, uint64_t key);              /* returns the removed value or NULL */
void map_done(struct map *m);                            /* frees the table, not the values */

/* for (size_t i = 0; map_next(&m, &i, &key, &value);) ... ; do not change the map inside. */
bool map_next(const struct map *m, size_t *pos, uint64_t *ret_key, void **ret_value);

/* Keys are byte strings, not copied: they must outlive the map. */
struct strmap_entry {
	const char *key; /* NULL: free */
	size_t len;
	void *value;
};
struct strmap {
	struct strmap_entry *entries;
	size_t len, cap;
};

void *strmap_get(const struct strmap *m, const char *key, size_t len);
void *strmap_set(struct strmap *m, const char *key, size_t len, void *value);
void strmap_done(struct strmap *m);

#endif
