/*
 * A YAML document read against tables of keys. Every reader reports what it does not understand as
 * "file:line:column: sentence" and returns -EINVAL.
 */
#ifndef PROBE_PACK_YAML_H
#define PROBE_PACK_YAML_H

#include <stdbool.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/err.h"

struct yaml {
	yaml_document_t doc;
	const char *file;
	struct arena *arena;   /* owns the texts and lists that readers return */
	struct err *err;
	unsigned visited;      /* nodes read so far: aliases must not make a small file large */
};

/* A reader stores what node says at `into`, a field whose type it knows. */
typedef int (*yaml_read_fn)(struct yaml *y, const yaml_node_t *node, void *into);

struct yaml_key {
	const char *name;      /* NULL ends a table */
	yaml_read_fn read;
	size_t offset;         /* of the field, from the `into` that yaml_map got */
	bool required;
};
#define FIELD(key, T, field, read) {key, read, offsetof(T, field), false}
#define NEEDED(key, T, field, read) {key, read, offsetof(T, field), true}

/* One document and nothing else. yaml_done is due only after 0. */
int yaml_load(struct yaml *y, const char *file, const char *text, size_t len);
void yaml_done(struct yaml *y);
const yaml_node_t *yaml_root(struct yaml *y); /* NULL: empty */
const yaml_node_t *yaml_node(struct yaml *y, int index);

int yaml_fail(struct yaml *y, const yaml_node_t *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
int yaml_line(const yaml_node_t *node); /* 1-based */

/* A mapping with the keys of the table; `what` names it in messages ("a point"). */
int yaml_map(struct yaml *y, const yaml_node_t *node, const char *what, const struct yaml_key *keys,
	     void *into);
/* The sequence's items through `item`, each into a zeroed element of `size` bytes. */
int yaml_list(struct yaml *y, const yaml_node_t *node, const char *what, size_t size,
	      yaml_read_fn item, void **ret, size_t *ret_n);
/* Index into words (NULL-terminated) of the scalar. */
int yaml_word(struct yaml *y, const yaml_node_t *node, const char *const *words, int *ret);
/* Readers of mappings with free keys begin with yaml_mapping; then i counts up: the i-th key, refused when
 * it is there already, and the value's node. */
int yaml_mapping(struct yaml *y, const yaml_node_t *node, const char *what);
int yaml_pair(struct yaml *y, const yaml_node_t *map, size_t i, const char **ret_key,
	      const yaml_node_t **ret_value);
size_t yaml_pair_count(const yaml_node_t *map);

/* Readers for tables. */
int yaml_text(struct yaml *y, const yaml_node_t *node, void *into);      /* const char * */
int yaml_texts(struct yaml *y, const yaml_node_t *node, void *into);     /* const char *const *: NULL-terminated */
int yaml_text_or_texts(struct yaml *y, const yaml_node_t *node, void *into); /* as yaml_texts */
int yaml_text_pairs(struct yaml *y, const yaml_node_t *node, void *into);/* key, value, …, NULL of a mapping */
int yaml_bool(struct yaml *y, const yaml_node_t *node, void *into);      /* bool */
int yaml_int(struct yaml *y, const yaml_node_t *node, void *into);       /* int64_t */

#endif
