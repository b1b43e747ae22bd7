#include "probe/pack/pack_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "probe/lang/nearest.h"

enum { MAX_BYTES = 1 << 20, MAX_VISITED = 20000, MAX_PAIRS = 1000, MAX_KEYS = 64 };

static int fail_mark(struct yaml *y, yaml_mark_t mark, const char *fmt, va_list ap)
{
	char sentence[520];

	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	return err_set(y->err, -EINVAL, "%s:%zu:%zu: %s", y->file, mark.line + 1, mark.column + 1,
		       sentence);
}

int yaml_fail(struct yaml *y, const yaml_node_t *at, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_mark(y, at->start_mark, fmt, ap);
	va_end(ap);
	return r;
}

static int PRINTF_LIKE(3, 4) fail_parser(struct yaml *y, const yaml_parser_t *p, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_mark(y, p->problem_mark, fmt, ap);
	va_end(ap);
	return r;
}

int yaml_line(const yaml_node_t *node)
{
	return (int)node->start_mark.line + 1;
}

/* ---- loading ---- */

static int load_next(struct yaml *y, yaml_parser_t *p, yaml_document_t *doc)
{
	if (yaml_parser_load(p, doc))
		return 0;
	if (p->error == YAML_READER_ERROR)
		return err_set(y->err, -EINVAL, "%s: this is not UTF-8 text (byte %zu)", y->file,
			       p->problem_offset);
	return fail_parser(y, p, "the YAML cannot be read: %s",
			   p->problem ? p->problem : "out of memory");
}

static int load_only(struct yaml *y, yaml_parser_t *p)
{
	yaml_document_t more = {0};
	int r = load_next(y, p, &y->doc);

	if (r)
		return r;
	r = load_next(y, p, &more);
	if (!r && yaml_document_get_root_node(&more))
		r = yaml_fail(y, yaml_document_get_root_node(&more),
			      "a second document begins here; a file holds one pack");
	yaml_document_delete(&more);
	if (r)
		yaml_document_delete(&y->doc);
	return r;
}

int yaml_load(struct yaml *y, const char *file, const char *text, size_t len)
{
	yaml_parser_t p;
	int r;

	y->file = file;
	if (len > MAX_BYTES)
		return err_set(y->err, -EINVAL, "%s: larger than a pack can be (%d bytes)", file,
			       MAX_BYTES);
	if (!yaml_parser_initialize(&p))
		return err_set(y->err, -ENOMEM, "%s: out of memory", file);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	r = load_only(y, &p);
	yaml_parser_delete(&p);
	return r;
}

void yaml_done(struct yaml *y)
{
	yaml_document_delete(&y->doc);
}

const yaml_node_t *yaml_root(struct yaml *y)
{
	return yaml_document_get_root_node(&y->doc);
}

const yaml_node_t *yaml_node(struct yaml *y, int index)
{
	return yaml_document_get_node(&y->doc, index);
}

static int visit(struct yaml *y, const yaml_node_t *node)
{
	y->visited++;
	if (node->type == YAML_SCALAR_NODE)
		y->visited += (unsigned)(node->data.scalar.length / 64);
	if (y->visited > MAX_VISITED)
		return yaml_fail(y, node, "the pack says more than %d things; are aliases nested?",
				 MAX_VISITED);
	return 0;
}

/* ---- scalars ---- */

static bool is_null(const yaml_node_t *node)
{
	const char *s = (const char *)node->data.scalar.value;

	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*s || !strcmp(s, "~") || !strcmp(s, "null"));
}

/* The scalar's text, still the document's. */
static int scalar(struct yaml *y, const yaml_node_t *node, const char *what, const char **ret)
{
	int r = visit(y, node);

	if (r)
		return r;
	if (node->type != YAML_SCALAR_NODE)
		return yaml_fail(y, node, "%s is expected here, not a %s", what,
				 node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
	if (is_null(node))
		return yaml_fail(y, node, "%s is expected here, but there is nothing", what);
	*ret = (const char *)node->data.scalar.value;
	if (strlen(*ret) != node->data.scalar.length)
		return yaml_fail(y, node, "a text here cannot hold the byte 0");
	return 0;
}

int yaml_text(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char *s;
	int r = scalar(y, node, "a text", &s);

	if (!r)
		*(const char **)into = arena_strdup(y->arena, s);
	return r;
}

int yaml_word(struct yaml *y, const yaml_node_t *node, const char *const *words, int *ret)
{
	_cleanup_(buf_done) struct buf all = {0};
	const char *s;
	int r = scalar(y, node, "a word", &s);

	if (r)
		return r;
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], s)) {
			*ret = i;
			return 0;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", words[i]);
	}
	return yaml_fail(y, node, "\"%.60s\" is not one of: %s", s, all.data);
}

int yaml_bool(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const words[] = {"false", "true", NULL};
	int value = 0, r = yaml_word(y, node, words, &value);

	if (!r)
		*(bool *)into = value;
	return r;
}

int yaml_int(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char *s;
	char *end;
	long long v;
	int r = scalar(y, node, "a number", &s);

	if (r)
		return r;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end || end == s || errno)
		return yaml_fail(y, node, "a number is expected here, not \"%.60s\"", s);
	*(int64_t *)into = v;
	return 0;
}

/* ---- lists ---- */

static int sequence(struct yaml *y, const yaml_node_t *node, const char *what)
{
	int r = visit(y, node);

	if (!r && node->type != YAML_SEQUENCE_NODE)
		r = yaml_fail(y, node, "a list of %s is expected here", what);
	return r;
}

int yaml_list(struct yaml *y, const yaml_node_t *node, const char *what, size_t size,
	      yaml_read_fn item, void **ret, size_t *ret_n)
{
	size_t n;
	char *items;
	int r = sequence(y, node, what);

	if (r)
		return r;
	n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (y->visited + n > MAX_VISITED)
		return visit(y, node);
	items = arena_alloc(y->arena, (n + 1) * size);
	for (size_t i = 0; i < n && !r; i++)
		r = item(y, yaml_node(y, node->data.sequence.items.start[i]), items + i * size);
	if (!r) {
		*ret = items;
		*ret_n = n;
	}
	return r;
}

int yaml_texts(struct yaml *y, const yaml_node_t *node, void *into)
{
	size_t n;

	/* yaml_list leaves a zeroed element at the end */
	return yaml_list(y, node, "texts", sizeof(char *), yaml_text, into, &n);
}

int yaml_text_or_texts(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char **one;
	int r;

	if (node->type == YAML_SEQUENCE_NODE)
		return yaml_texts(y, node, into);
	one = arena_array(y->arena, const char *, 2);
	r = yaml_text(y, node, one);
	if (!r)
		*(const char *const **)into = one;
	return r;
}

/* ---- mappings ---- */

size_t yaml_pair_count(const yaml_node_t *map)
{
	return (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
}

static const yaml_node_t *key_node(struct yaml *y, const yaml_node_t *map, size_t i)
{
	return yaml_node(y, map->data.mapping.pairs.start[i].key);
}

int yaml_pair(struct yaml *y, const yaml_node_t *map, size_t i, const char **ret_key,
	      const yaml_node_t **ret_value)
{
	const yaml_node_t *key = key_node(y, map, i);
	const char *text;
	int r = scalar(y, key, "a name", &text);

	for (size_t j = 0; j < i && !r; j++)
		if (!strcmp(text, (const char *)key_node(y, map, j)->data.scalar.value))
			r = yaml_fail(y, key, "`%.60s` is here twice", text);
	if (r)
		return r;
	*ret_key = text;
	*ret_value = yaml_node(y, map->data.mapping.pairs.start[i].value);
	return 0;
}

int yaml_mapping(struct yaml *y, const yaml_node_t *node, const char *what)
{
	int r = visit(y, node);

	if (!r && node->type != YAML_MAPPING_NODE)
		r = yaml_fail(y, node, "%s is expected here: a mapping", what);
	if (!r && yaml_pair_count(node) > MAX_PAIRS)
		r = yaml_fail(y, node, "this mapping has more than %d keys", MAX_PAIRS);
	return r;
}

int yaml_text_pairs(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char **pairs;
	int r = yaml_mapping(y, node, "pairs of texts");

	if (r)
		return r;
	pairs = arena_array(y->arena, const char *, 2 * yaml_pair_count(node) + 1);
	for (size_t i = 0; i < yaml_pair_count(node); i++) {
		const yaml_node_t *value;
		const char *key;

		r = yaml_pair(y, node, i, &key, &value);
		if (!r)
			r = yaml_text(y, value, &pairs[2 * i + 1]);
		if (r)
			return r;
		pairs[2 * i] = arena_strdup(y->arena, key);
	}
	*(const char *const **)into = pairs;
	return 0;
}

static int unknown_key(struct yaml *y, const yaml_node_t *at, const char *what, const char *key,
		       const struct yaml_key *keys)
{
	_cleanup_(buf_done) struct buf all = {0};
	const char *names[MAX_KEYS], *near;
	size_t n = 0;

	for (; keys[n].name && n < MAX_KEYS; n++) {
		names[n] = keys[n].name;
		buf_printf(&all, "%s%s", n ? ", " : "", names[n]);
	}
	near = nearest_name(key, names, n);
	if (near)
		return yaml_fail(y, at, "%s has no key `%.60s`; did you mean `%s`?", what, key, near);
	return yaml_fail(y, at, "%s has no key `%.60s`; it may have %s", what, key, all.data);
}

static int read_pair(struct yaml *y, const yaml_node_t *map, size_t i, const char *what,
		     const struct yaml_key *keys, uint64_t *seen, void *into)
{
	const yaml_node_t *value;
	const char *key;
	int r = yaml_pair(y, map, i, &key, &value);

	if (r)
		return r;
	for (size_t k = 0; keys[k].name; k++) {
		if (strcmp(keys[k].name, key))
			continue;
		*seen |= (uint64_t)1 << k;
		return keys[k].read(y, value, (char *)into + keys[k].offset);
	}
	return unknown_key(y, key_node(y, map, i), what, key, keys);
}

int yaml_map(struct yaml *y, const yaml_node_t *node, const char *what, const struct yaml_key *keys,
	     void *into)
{
	uint64_t seen = 0;       /* a bit a key: no table has more than 64 */
	int r = yaml_mapping(y, node, what);

	for (size_t i = 0; !r && i < yaml_pair_count(node); i++)
		r = read_pair(y, node, i, what, keys, &seen, into);
	for (size_t k = 0; !r && keys[k].name; k++)
		if (keys[k].required && !(seen & (uint64_t)1 << k))
			r = yaml_fail(y, node, "%s needs the key `%s`", what, keys[k].name);
	return r;
}
