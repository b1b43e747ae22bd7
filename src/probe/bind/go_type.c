/* Types as a package writes them: names have import paths in a binary, and qualifiers in Go. */
#include <ctype.h>

#include "probe/bind/go_printer.h"

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_./-~%$", c)) || (unsigned char)c >= 0x80;
}

/* "net/http.Request" is a path and a name; a name without a path is predeclared, a keyword, a field. */
static size_t path_length(const char *text, size_t n)
{
	const char *slash = memrchr(text, '/', n), *from = slash ? slash : text, *dot;

	dot = memrchr(from, '.', n - (size_t)(from - text));
	return dot ? (size_t)(dot - text) : 0;
}

/* The last element names the package, but for a version behind it. */
const char *go_package_name(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t n;

	if (slash && name[0] == 'v' && isdigit((unsigned char)name[1]) &&
	    strspn(name + 1, "0123456789") == strlen(name + 1))
		return go_package_name(arena, arena_strndup(arena, path, (size_t)(slash - path)));
	n = strcspn(name, ".");
	return arena_strndup(arena, name, n);
}

/* A parameter has the package's own name, often; and two packages may be called alike. */
const char *go_import_name(const struct go_file *f, struct arena *arena, size_t i)
{
	const char *name = go_package_name(arena, f->imports.data[i]);
	size_t others = 0;

	for (size_t k = 0; k < i; k++)
		others += !strcmp(go_package_name(arena, f->imports.data[k]), name);
	return others ? arena_printf(arena, "%s_%zu", name, others + 1) : arena_printf(arena, "%s_", name);
}

const char *go_import(struct go_file *f, struct arena *arena, const char *path)
{
	size_t i = 0;

	while (i < f->imports.len && strcmp(f->imports.data[i], path))
		i++;
	if (i == f->imports.len)
		vec_push(&f->imports, arena_strdup(f->arena, path));
	return go_import_name(f, arena, i);
}

static const char *qualified(struct go_printer *g, const char *path, const char *name)
{
	if (!strcmp(path, g->file->package))
		return name;
	if (!strcmp(path, "go.shape"))
		return go_refuse(g, "the type is a type argument of the call");
	if (!isupper((unsigned char)*name) && strcmp(path, "unsafe"))
		return go_refuse(g, "%s.%s is not exported", path, name);
	if (g->file->may_import && strcmp(path, "unsafe") && !g->file->may_import(g->file->arg, path))
		return go_refuse(g, "%s does not import %s", g->file->package, path);
	return arena_printf(g->arena, "%s.%s", go_import(g->file, g->arena, path), name);
}

const char *go_type(struct go_printer *g, const struct type *t)
{
	_cleanup_(buf_done) struct buf out = {0};

	if (strchr(t->name, '?')) /* read from source, where it has no name */
		return go_refuse(g, "it looks into a type without a name");
	for (const char *p = t->name; *p;) {
		size_t n = 0, path;

		if (!isalpha((unsigned char)*p) && *p != '_') {
			buf_printf(&out, "%c", *p++);
			continue;
		}
		while (in_path(p[n]) && strncmp(p + n, "...", 3))
			n++;
		path = path_length(p, n);
		if (path) {
			const char *name = qualified(g, arena_strndup(g->arena, p, path),
						     arena_strndup(g->arena, p + path + 1, n - path - 1));

			if (!name)
				return NULL;
			buf_printf(&out, "%s", name);
		} else {
			buf_printf(&out, "%.*s", (int)n, p);
		}
		p += n;
	}
	return arena_strdup(g->arena, out.data ? out.data : "");
}

const char *go_package_of(struct arena *arena, const struct type *t)
{
	size_t n;
	const char *name;

	while (t->elem && !t->named && t->kind != KIND_MAP)
		t = t->elem;
	if (t->package)
		return t->package;
	name = t->name;
	n = strcspn(name, "[{( ");
	n = path_length(name, n);
	return n ? arena_strndup(arena, name, n) : NULL;
}

static bool names_package(const struct bound_variable *v, size_t n, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n; i++) {
		const char *at = v[i].type ? strstr(v[i].type->name, path) : NULL;

		if (at && at[len] == '.' && (at == v[i].type->name || !in_path(at[-1])))
			return true;
	}
	return false;
}

bool go_may_import(const struct go_printer *g, const char *path)
{
	const struct bound_variables *v = &g->program->variables;

	return !strcmp(path, g->file->package) || names_package(v->params, v->nparams, path) ||
	       names_package(v->results, v->nresults, path);
}
