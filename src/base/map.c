/* Open addressing with linear probing; deletion shifts the cluster back, so there are no tombstones. */
#include "base/map.h"

#include <string.h>

#include "base/hash.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	return x;
}

static size_t map_slot(const struct map *m, uint64_t key)
{
	size_t i = mix(key) & (m->cap - 1);

	while (m->entries[i].value && m->entries[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

static void map_grow(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap ? old.cap * 2 : 16;
	m->entries = xcalloc(m->cap, sizeof(*m->entries));
	for (size_t i = 0; i < old.cap; i++)
		if (old.entries[i].value)
			m->entries[map_slot(m, old.entries[i].key)] = old.entries[i];
	free(old.entries);
}

void *map_get(const struct map *m, uint64_t key)
{
	return m->cap ? m->entries[map_slot(m, key)].value : NULL;
}

void *map_set(struct map *m, uint64_t key, void *value)
{
	void *old;
	size_t i;

	if (m->len * 4 >= m->cap * 3)
		map_grow(m);
	i = map_slot(m, key);
	old = m->entries[i].value;
	m->entries[i] = (struct map_entry){key, value};
	m->len += !old;
	return old;
}

void *map_del(struct map *m, uint64_t key)
{
	size_t i, j, mask = m->cap - 1;
	void *old;

	if (!m->cap)
		return NULL;
	i = map_slot(m, key);
	old = m->entries[i].value;
	if (!old)
		return NULL;
	for (j = (i + 1) & mask; m->entries[j].value; j = (j + 1) & mask) {
		size_t home = mix(m->entries[j].key) & mask;

		if (((j - home) & mask) >= ((j - i) & mask)) {
			m->entries[i] = m->entries[j];
			i = j;
		}
	}
	m->entries[i].value = NULL;
	m->len--;
	return old;
}

void map_done(struct map *m)
{
	free(m->entries);
	*m = (struct map){0};
}

bool map_next(const struct map *m, size_t *pos, uint64_t *ret_key, void **ret_value)
{
	for (; *pos < m->cap; (*pos)++) {
		if (!m->entries[*pos].value)
			continue;
		if (ret_key)
			*ret_key = m->entries[*pos].key;
		if (ret_value)
			*ret_value = m->entries[*pos].value;
		(*pos)++;
		return true;
	}
	return false;
}

static uint64_t hash_bytes(const char *s, size_t n)
{
	return hash_of_bytes(s, n);
}

static size_t strmap_slot(const struct strmap *m, const char *key, size_t len)
{
	size_t i = hash_bytes(key, len) & (m->cap - 1);
	struct strmap_entry *e;

	for (;; i = (i + 1) & (m->cap - 1)) {
		e = &m->entries[i];
		if (!e->key || (e->len == len && !memcmp(e->key, key, len)))
			return i;
	}
}

void *strmap_get(const struct strmap *m, const char *key, size_t len)
{
	return m->cap ? m->entries[strmap_slot(m, key, len)].value : NULL;
}

void *strmap_set(struct strmap *m, const char *key, size_t len, void *value)
{
	void *old;
	size_t i;

	if (m->len * 4 >= m->cap * 3) {
		struct strmap bigger = {.cap = m->cap ? m->cap * 2 : 16, .len = m->len};

		bigger.entries = xcalloc(bigger.cap, sizeof(*bigger.entries));
		for (i = 0; i < m->cap; i++) {
			struct strmap_entry *e = &m->entries[i];

			if (e->key)
				bigger.entries[strmap_slot(&bigger, e->key, e->len)] = *e;
		}
		free(m->entries);
		*m = bigger;
	}
	i = strmap_slot(m, key, len);
	old = m->entries[i].value;
	m->len += !m->entries[i].key;
	m->entries[i] = (struct strmap_entry){key, len, value};
	return old;
}

void strmap_done(struct strmap *m)
{
	free(m->entries);
	*m = (struct strmap){0};
}
