/* What a variant of a point wants of the program, as far as the source of one package tells. */
#include "weave/points_internal.h"

#include <errno.h>
#include <string.h>

#include "weave/calls.h"

/* "pkg.Type.field": 1 it exists, 0 it does not; -ENODATA with a sentence: that cannot be told. */
static int field_exists(struct points_weaver *w, const char *path, struct err *err)
{
	struct type_lookup *types = source_types_lookup(w->types);
	const char *dot = strrchr(path, '.');
	struct field_path found;
	const struct type *t;
	struct err why = {0};

	if (!dot)
		return err_set(err, -ENODATA, "%s is no field", path);
	t = types->ops->parse(types, "", arena_strndup(&w->package->arena, path, (size_t)(dot - path)), &why);
	if (!t && why.code == -ENOENT)
		return 0;
	if (!t || t->kind == KIND_INVALID)
		return err_set(err, -ENODATA, "whether there is %s cannot be told from source", path);
	return types->ops->find_field(types, t, dot + 1, &found);
}

/* As above; -ESRCH: only of this package is it known which functions there are. */
static int function_exists(struct points_weaver *w, const char *name)
{
	struct woven_function found;
	int r = woven_function_find(w->package, name, &found, NULL);

	return r == -ESRCH ? r : r != -ENOENT;
}

/*
 * 0: the source of names[0] calls names[1], …: all of them, or none. -ENOENT: it does not. As above; 1: names[0] is
 * another package's.
 */
static int check_calls(struct points_weaver *w, const char *const *names, bool all, struct err *err)
{
	struct woven_function caller;
	int r = woven_function_find(w->package, names[0], &caller, err);

	if (r == -ESRCH)
		return 1; /* another package's: whoever listens knows */
	if (r)
		return r == -ENOENT ? r : err_set(err, -ENODATA, "what %s calls cannot be told", names[0]);
	for (size_t i = 1; names[i]; i++) {
		const char *own = names[i] + strlen(package_of(&w->package->arena, names[i])) + 1;
		struct woven_function called;

		r = woven_function_find(w->package, names[i], &called, NULL);
		if (r == -ESRCH)
			return err_set(err, -ENODATA, "what it calls of other packages is not looked up");
		r = r == -ENOENT ? 0 : source_calls(w->types, &caller, own, err);
		if (r < 0)
			return r;
		if ((r > 0) != all)
			return err_set(err, -ENOENT, "not needed here: %s calls %s%s", names[0], all ? "no " : "",
			               names[i]);
	}
	return 0;
}

int point_check_needs(struct points_weaver *w, const struct pack_variant *v, struct err *err)
{
	int is = v->needs_call ? check_calls(w, v->needs_call, true, err) : 0;
	bool in_case = is > 0;

	if (is >= 0 && v->needs_no_call) {
		is = check_calls(w, v->needs_no_call, false, err);
		in_case |= is > 0;
	}
	if (is < 0)
		return is;
	is = v->needs_absent ? field_exists(w, v->needs_absent, err) : 0;
	if (is > 0)
		return err_set(err, -ENOENT, "not needed here: there is %s", v->needs_absent);
	if (is >= 0 && v->needs_present) {
		is = field_exists(w, v->needs_present, err);
		if (!is)
			return err_set(err, -ENOENT, "not needed here: there is no %s", v->needs_present);
	}
	if (is < 0)
		return is;
	if (v->needs_func) {
		is = function_exists(w, v->needs_func);
		in_case |= is == -ESRCH;
		if (!is)
			return err_set(err, -ENOENT, "not needed here: there is no %s", v->needs_func);
	}
	if (v->needs_no_func) {
		is = function_exists(w, v->needs_no_func);
		in_case |= is == -ESRCH;
		if (is > 0)
			return err_set(err, -ENOENT, "not needed here: there is %s", v->needs_no_func);
	}
	return in_case;
}
