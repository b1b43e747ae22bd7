/*
 * Generic functions. The compiler makes one body for all type arguments of the same shape and gives
 * it a dictionary for each list of arguments: words in read-only data, among them pointers to the
 * descriptors of the types that the body needs to know
 * (cmd/compile/internal/noder/reader.go: readerDict). Which word belongs to which parameter only
 * DWARF knows.
 *
 * The type arguments themselves are in the name of the dictionary's symbol, where there is a symbol
 * table: "main..dict.Map[int,string]".
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "binary/internal.h"

#define NAME_BYTES 4096 /* longer names are of no use to a reader */

const struct type *binary_dictionary_type(struct binary *b, uint64_t dict, unsigned dict_word)
{
	uint64_t at;

	if (!dict_word || !image_u64(&b->img, dict + (dict_word - 1) * 8ull, &at))
		return NULL;
	return binary_type_at(b, at);
}

/* ---- shapes ---- */

static const char shape_prefix[] = "go.shape.";

/* What follows the prefix, without the number of the type parameter behind it; NULL for other names. */
static const char *shape_underlying(const char *name, size_t *ret_len)
{
	size_t len, digits = 0;

	if (strncmp(name, shape_prefix, strlen(shape_prefix)) != 0)
		return NULL;
	name += strlen(shape_prefix);
	len = strlen(name);
	while (digits < len && name[len - digits - 1] >= '0' && name[len - digits - 1] <= '9')
		digits++;
	if (digits && digits < len && name[len - digits - 1] == '_')
		len -= digits + 1;
	*ret_len = len;
	return name;
}

static bool text_is(const char *s, size_t len, const char *text)
{
	return len == strlen(text) && !memcmp(s, text, len);
}

bool shape_is_any_pointer(const char *name)
{
	size_t len;
	const char *s = shape_underlying(name, &len);

	return s && text_is(s, len, "*uint8");
}

/* "map[go.shape.string]go.shape.*uint8" */
static bool has_any_pointer(const char *s)
{
	static const char pointer[] = "go.shape.*uint8";

	for (s = strstr(s, pointer); s; s = strstr(s, pointer)) {
		s += strlen(pointer);
		if (!*s || strchr("],_ })", *s))
			return true;
	}
	return false;
}

/* "map[string]int" of "map[go.shape.string_0]go.shape.int_1". */
static const char *without_shapes(struct binary *b, const char *s, size_t len)
{
	char *out = arena_alloc(&b->arena, len + 1), *w = out;
	const char *end = s + len;
	bool shape = false;

	while (s < end) {
		if (!strncmp(s, shape_prefix, strlen(shape_prefix))) {
			s += strlen(shape_prefix);
			shape = true;
		} else if (shape && *s == '_' && s[1] >= '0' && s[1] <= '9') {
			s += 1 + strspn(s + 1, "0123456789");
			shape = false;
		} else {
			*w++ = *s++;
		}
	}
	*w = '\0';
	return out;
}

/*
 * Maps and interfaces need a descriptor to be read. That of a type with the same underlying type serves: the names of
 * shapes are those of underlying types. Other types are read by what DWARF says of the shape itself.
 */
const struct type *shape_certain(struct binary *b, const char *name)
{
	size_t len;
	const char *s = shape_underlying(name, &len);
	const struct type *t;

	if (s && text_is(s, len, "interface {}"))
		return type_builtin(b, "any");
	if (s && text_is(s, len, "interface { Error() string }"))
		return type_builtin(b, "error");
	if (!s && strstr(name, shape_prefix)) { /* a composite of shapes */
		s = name;
		len = strlen(name);
	}
	if (!s || strncmp(s, "map[", 4) != 0 || has_any_pointer(s))
		return NULL;
	t = binary_type_parse(b, "", without_shapes(b, s, len), NULL);
	return t && t->kind == KIND_MAP && t->rtype ? t : NULL;
}

/* The type arguments in f's name, NULL at the end; *s begins behind the opening bracket. */
static const char *next_argument(struct binary *b, const char **s)
{
	const char *from = *s, *at = from;
	unsigned depth = 0;
	bool end;

	for (; *at && (depth || (*at != ',' && *at != ']')); at++) {
		depth += strchr("[({", *at) != NULL;
		depth -= strchr("])}", *at) != NULL;
	}
	end = at == from;
	*s = *at == ',' ? at + 1 : at;
	return end ? NULL : arena_strndup(&b->arena, from, (size_t)(at - from));
}

static const struct type *argument_type(struct binary *b, const char *name)
{
	const struct type *t;
	const char *s;
	size_t len;

	if (shape_is_any_pointer(name))
		return type_compose(b, KIND_POINTER, NULL, NULL, 0, "go.shape.*uint8");
	s = shape_underlying(name, &len);
	/* the names of wrappers have the types themselves */
	t = binary_type_parse(b, "", s ? arena_strndup(&b->arena, s, len) : name, NULL);
	return t ? t : type_unknown(b);
}

int shape_arguments(struct binary *b, const struct func *f, size_t n, const struct type *const **ret, struct err *err)
{
	const struct type **args = arena_array(&b->arena, const struct type *, n + 1);
	const char *s = strchr(f->name, '['), *name;
	size_t have = 0;

	if (s && !strncmp(s, "[...]", 5)) {
		for (; have < n; have++)
			args[have] = type_unknown(b);
	} else if (s) {
		for (s++; (name = next_argument(b, &s)); have++)
			if (have < n)
				args[have] = argument_type(b, name);
	}
	if (have != n)
		return err_set(err, -EPROTO, "%s was declared with %zu type parameter%s, but has %zu", f->name, n,
			       n == 1 ? "" : "s", have);
	*ret = args;
	return 0;
}

bool shape_is_instance(const struct func *f)
{
	const char *s = strchr(f->name, '[');

	return s && !strstr(s, "go.shape.*uint8") && !strstr(s, "[...]");
}

/* ---- names ---- */

/* A section that is not loaded; NULL when it does not lie in the file. */
static const uint8_t *section_bytes(const struct image *img, const char *name, uint64_t *ret_size)
{
	struct section s;

	if (!image_section(img, name, &s) || s.offset > img->size || s.size > img->size - s.offset)
		return NULL;
	*ret_size = s.size;
	return img->data + s.offset;
}

/* A string in the table that is a dictionary's name; NULL for any other. */
static char *dictionary_name(const uint8_t *strings, uint64_t len, uint64_t at)
{
	size_t max = MIN(len - at, (uint64_t)NAME_BYTES);
	char *name = (char *)strings + at;

	return memchr(name, 0, max) && strstr(name, "..dict.") ? name : NULL;
}

static void read_dictionaries(struct binary *b)
{
	uint64_t size = 0, len = 0;
	const uint8_t *symbols = section_bytes(&b->img, ".symtab", &size);
	const uint8_t *strings = section_bytes(&b->img, ".strtab", &len);
	Elf64_Sym sym;

	b->dictionaries_read = true;
	if (!symbols || !strings)
		return;
	for (uint64_t at = 0; at + sizeof(sym) <= size; at += sizeof(sym)) {
		char *name;

		memcpy(&sym, symbols + at, sizeof(sym));
		if (!sym.st_value || sym.st_name >= len)
			continue;
		name = dictionary_name(strings, len, sym.st_name);
		if (name)
			map_set(&b->dictionaries, sym.st_value, name);
	}
}

const char *binary_instance_name(struct binary *b, const struct func *f, uint64_t dict)
{
	const char *from = strchr(f->name, '['), *to = strrchr(f->name, ']'), *name, *args, *end;

	if (!b->dictionaries_read)
		read_dictionaries(b);
	name = map_get(&b->dictionaries, dict);
	args = name ? strchr(name, '[') : NULL;
	end = name ? strrchr(name, ']') : NULL;
	if (!from || to < from || !args || end < args)
		return NULL;
	name = arena_printf(&b->arena, "%.*s%.*s%s", (int)(from - f->name), f->name,
	                    (int)(end - args + 1), args, to + 1);
	return image_intact(&b->img) ? name : NULL;
}
