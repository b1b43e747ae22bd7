#include "probe/lower/no_types.h"

#include <errno.h>

static const struct type *parse(struct type_lookup *s, const char *pkg, const char *go_syntax, struct err *err)
{
	(void)s, (void)pkg;
	err_set(err, -ENOENT, "this program has no type %s", go_syntax);
	return NULL;
}

static const struct type *named(struct type_lookup *s, const char *full_name)
{
	(void)s, (void)full_name;
	return NULL;
}

static size_t field_count(struct type_lookup *s, const struct type *t)
{
	(void)s, (void)t;
	return 0;
}

static bool field(struct type_lookup *s, const struct type *t, size_t i, struct type_field *ret)
{
	(void)s, (void)t, (void)i, (void)ret;
	return false;
}

static bool find_field(struct type_lookup *s, const struct type *t, const char *name, struct field_path *ret)
{
	(void)s, (void)t, (void)name, (void)ret;
	return false;
}

static bool holdable(struct type_lookup *s, const struct type *t)
{
	(void)s, (void)t;
	return false;
}

static int global(struct type_lookup *s, const char *name, struct global *ret, struct err *err)
{
	(void)s, (void)ret;
	return err_set(err, -ENOENT, "this program has no variable %s", name);
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

struct type_lookup no_types = {.ops = &ops};
