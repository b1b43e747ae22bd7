#include "probe/lower/binary_types.h"

static struct binary *binary_of(struct type_lookup *s)
{
	return ((struct binary_types *)s)->binary;
}

static const struct type *parse(struct type_lookup *s, const char *pkg, const char *go_syntax, struct err *err)
{
	return binary_type_parse(binary_of(s), pkg, go_syntax, err);
}

static const struct type *named(struct type_lookup *s, const char *full_name)
{
	return binary_type(binary_of(s), full_name);
}

static size_t field_count(struct type_lookup *s, const struct type *t)
{
	return type_field_count(binary_of(s), t);
}

static bool field(struct type_lookup *s, const struct type *t, size_t i, struct type_field *ret)
{
	return type_field(binary_of(s), t, i, ret);
}

static bool find_field(struct type_lookup *s, const struct type *t, const char *name, struct field_path *ret)
{
	return type_field_find(binary_of(s), t, name, ret);
}

/* The linker leaves out the descriptors of types that no interface can come to hold. */
static bool holdable(struct type_lookup *s, const struct type *t)
{
	return t->rtype != 0;
}

static int global(struct type_lookup *s, const char *name, struct global *ret, struct err *err)
{
	return binary_global(binary_of(s), name, ret, err);
}

static const struct type_lookup_ops ops = {
	.parse = parse,
	.named = named,
	.field_count = field_count,
	.field = field,
	.find_field = find_field,
	.holdable = holdable,
	.global = global,
};

struct binary_types binary_types(struct binary *b)
{
	return (struct binary_types){.lookup = {.ops = &ops}, .binary = b};
}
