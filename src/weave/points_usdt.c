/* Points as USDT probes, and probes that the source asks for. */
#include "weave/points_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "probe/bind/bind.h"
#include "weave/go_scan.h"
#include "weave/paths.h"
#include "weave/usdt_directive.h"

/* ---- what points are ---- */

/* The first start of a span is SPAN_start, its first end SPAN_end; any other point is SPAN_POINT. */
static const char *probe_suffix(const struct weaving_point *wp)
{
	enum point_role role = wp->point->role;
	size_t i = 0;

	while (i < wp->part->npoints && wp->part->points[i].role != role)
		i++;
	if ((role != POINT_START && role != POINT_END) || &wp->part->points[i] != wp->point)
		return wp->point->name;
	return point_role_names[role];
}

static const char *probe_name(struct arena *arena, const char *text, const char *more)
{
	_cleanup_(buf_done) struct buf out = {0};

	usdt_name(arena_printf(arena, "%s_%s", text, more), &out);
	return arena_strdup(arena, out.len ? out.data : "");
}

/* Not what is the same at each hit, and not what is for our own reader. */
static bool is_argument(const struct weaving_point *wp, size_t capture)
{
	const struct bound_capture *c = &wp->program.captures[capture];

	if (wp->asked)
		return true;
	return wp->variant->captures[capture].use == USE_ATTRIBUTE &&
	       (c->when.root || c->alternatives[0].form != CAPTURE_MARK);
}

/* What a slot is to whoever traces: a text is where it lies and how long it is. */
static void add_arguments(const struct weaving_point *wp, struct weave_probe *p, size_t max)
{
	for (size_t i = 0; i < wp->printed.nslots; i++) {
		const struct go_point_slot *s = &wp->printed.slots[i];
		bool text = !strcmp(s->kind, "string");
		unsigned at = (unsigned)(i * 24);

		if (!is_argument(wp, s->capture) || p->narguments + 1 + text > max)
			continue;
		if (text)
			p->arguments[p->narguments++] = (struct usdt_argument){USDT_SLOTS, at, false};
		p->arguments[p->narguments++] =
		    (struct usdt_argument){USDT_SLOTS, at + 8, !strcmp(s->kind, "int")};
	}
}

void point_add_probe(struct points_weaver *w, const struct weaving_point *wp, size_t number)
{
	struct weave_package *p = w->package;
	struct weave_probe probe = {.arguments = {{.parameter = USDT_GOROUTINE}}};
	const char *id = arena_printf(&p->arena, "%s %zu %s", p->path, number, wp->func);

	if (wp->asked) {
		probe.provider = wp->asked->provider;
		probe.name = wp->asked->name;
	} else {
		probe.provider = probe_name(&p->arena, wp->pack->name, "");
		probe.name = probe_name(&p->arena, pack_woven_span(wp->part), probe_suffix(wp));
		probe.narguments = 1;
	}
	add_arguments(wp, &probe, wp->asked ? USDT_ARGUMENTS_MAX : USDT_ARGUMENTS_MAX - 1);
	if (!wp->asked)
		probe.arguments[probe.narguments++] = (struct usdt_argument){.parameter = USDT_CONTEXT};
	probe.key = fnv1a(FNV1A_BASIS, id, strlen(id));
	probe.symbol = arena_printf(&p->arena, "earshot.usdt_%016" PRIx64, probe.key);
	vec_push(&p->probes, probe);
	buf_printf(&w->variables,
	           "\nvar earshot_u%zu = earshotProbe{magic: [2]uint64{0x%llx, 0x%llx}, key: 0x%" PRIx64 "}\n\n"
	           "//go:linkname earshot_n%zu %s\n//go:noescape\n"
	           "func earshot_n%zu(slots *earshotSlot, goid uint64, context *[3]uint64)\n",
	           number, USDT_MAGIC_0 + 0ull, USDT_MAGIC_1 + 0ull, probe.key, number, probe.symbol, number);
}

/* ---- what the source asks for ---- */

/* Whether a name is declared between these places: then it may be another variable's at the end. */
static bool is_declared_again(const struct weave_file *f, const char *name, uint32_t from, uint32_t to)
{
	const struct go_scan g = {f->text.data, to};
	bool var = false;

	for (size_t at = from, behind; at < to; at = behind) {
		size_t list;

		behind = go_scan_opaque(&g, at);
		if (behind > at)
			continue;
		behind = MAX(go_scan_name(&g, at), at + 1);
		if (go_scan_is_word(&g, at, name)) {
			list = go_scan_blanks(&g, behind);
			while (go_scan_is(&g, list, ","))
				list = go_scan_blanks(&g, go_scan_name(&g, go_scan_blanks(&g, list + 1)));
			if (var || go_scan_is(&g, list, ":="))
				return true;
		}
		if (!isspace((unsigned char)g.text[at]))
			var = go_scan_is_word(&g, at, "var");
	}
	return false;
}

/* The function's parameters, and what Go looks up. */
static int asked_variables(struct points_weaver *w, const struct weaving_point *wp, const struct woven_function *fn,
                           struct bound_variables *ret, struct err *err)
{
	struct arena *arena = &w->package->arena;
	struct type_lookup *types = source_types_lookup(w->types);
	struct bound_variable *all;
	int r = points_read_signature(w, fn, &(struct func_ref){.name = wp->func}, ret, err);

	if (r < 0)
		return r;
	all = arena_array(arena, struct bound_variable, ret->nparams + wp->asked->n + 1);
	if (ret->nparams)
		memcpy(all, ret->params, ret->nparams * sizeof(*all));
	for (size_t i = 0; i < wp->asked->n; i++) {
		const char *type = wp->asked->expressions[i].type;

		if (type)
			all[ret->nparams++] = (struct bound_variable){.name = arena_printf(arena, "earshotT%zu", i),
			                                              .type = types->ops->parse(types, "", type, NULL)};
	}
	ret->params = all;
	return 0;
}

static int bind_asked(struct points_weaver *w, struct weaving_point *wp, const struct bound_variables *variables,
                      struct err *err)
{
	struct arena *arena = &w->package->arena;
	struct capture_item *items = arena_array(arena, struct capture_item, wp->asked->n + 1);
	struct bind_scope scope = {.types = source_types_lookup(w->types),
	                           .func = wp->func,
	                           .symbol = wp->func,
	                           .variables = *variables,
	                           .known = true,
	                           .at = SIDE_ENTRY};
	struct err why = {0};
	int r;

	for (size_t i = 0; i < wp->asked->n; i++) {
		const char **alternatives = arena_array(arena, const char *, 2);

		alternatives[0] = wp->asked->expressions[i].type ? arena_printf(arena, "earshotT%zu", i)
		                                                 : wp->asked->expressions[i].text;
		items[i] = (struct capture_item){.name = wp->asked->expressions[i].text, .alternatives = alternatives};
	}
	r = bind_program(&scope, &(struct bind_request){.items = items, .nitems = wp->asked->n}, arena, &wp->program,
	                 &why);
	return r >= 0 ? 0
	              : err_set(err, r,
	                        "%.*s (what is no parameter is written as string(x), int64(x), []byte(x), len(x))",
	                        (int)strcspn(why.text, "\n"), why.text);
}

static int check_asked(const struct woven_function *fn, const struct go_usdt *u, struct err *err)
{
	const struct go_function *f = fn->function;

	if (f->broken)
		return err_set(err, -EINVAL, "not all of its function could be read");
	if (f->directives & (GO_NOSPLIT | GO_RUNTIME_ONLY))
		return err_set(err, -EINVAL, "its function must not use more of the stack (go:nosplit)");
	if (u->misplaced)
		return err_set(err, -EINVAL, "no statement may stand there");
	if (u->behind_end && f->nresults)
		return err_set(err, -EINVAL, "its function may have ended there: put it before that statement");
	return 0;
}

static int ask_probe(struct points_weaver *w, struct weaving_point *wp, struct woven_function *fn,
                     const struct go_usdt *u, struct err *err)
{
	struct arena *arena = &w->package->arena;
	struct go_points_mark mark = go_points_mark(w->printed);
	struct usdt_asked *asked = arena_new(arena, struct usdt_asked);
	struct bound_variables variables;
	int r = check_asked(fn, u, err);

	if (r >= 0)
		r = usdt_directive_read(u->text, arena, asked, err);
	wp->asked = asked;
	if (r >= 0)
		r = asked_variables(w, wp, fn, &variables, err);
	if (r >= 0)
		r = bind_asked(w, wp, &variables, err);
	if (r >= 0)
		r = go_points_add(w->printed, (unsigned)w->points.len, &wp->program, &wp->kept.of_point, wp->probe,
		                  arena, &wp->printed, err);
	for (size_t i = 0; r >= 0 && u->in_body && i < fn->function->nparams; i++) {
		const char *name = fn->function->params[i].name;

		if (wp->printed.used[i] && name && is_declared_again(fn->file, name, fn->function->body.start, u->at))
			r = err_set(err, -EINVAL, "%s is declared again before it", name);
	}
	if (r < 0)
		go_points_take_back(w->printed, mark);
	return r;
}

/* Those of a function, and of the literals in it. */
static void weave_asked_of(struct points_weaver *w, struct weave_file *file, const struct go_function *f,
                           const struct go_function *outer, const char *name)
{
	struct woven_function fn = {.file = file, .function = f, .outer = outer};
	struct arena *arena = &w->package->arena;

	for (size_t i = 0; i < f->nusdt; i++) {
		const struct go_usdt *u = &f->usdt[i];
		struct weaving_point wp = {.func = name, .probe = GO_PROBE_ALONE, .at = u->at};
		struct err err = {0};

		wp.function = points_function(w, &fn);
		if (ask_probe(w, &wp, &w->functions.data[wp.function], u, &err) >= 0)
			vec_push(&w->points, wp);
		else
			weave_package_warn(w->package, "%s:%u: //earshot:usdt %s is no probe: %s",
			                   path_base(file->path), go_source_line(file->source, u->at), u->text,
			                   err.text);
	}
	for (size_t i = 0; i < f->nliterals; i++)
		weave_asked_of(w, file, &f->literals[i], f, arena_printf(arena, "%s.%s", name, f->literals[i].name));
}

void points_weave_asked(struct points_weaver *w)
{
	struct weave_package *p = w->package;
	const char *prefix = span_symbol_prefix(p, &p->arena);

	for (size_t i = 0; i < p->nfiles; i++)
		for (size_t k = 0; p->files[i].source && k < p->files[i].source->nfunctions; k++) {
			struct go_function *f = &p->files[i].source->functions[k];

			if (memmem(p->files[i].text.data + f->body.start, f->body.end - f->body.start, "//earshot:usdt",
			           strlen("//earshot:usdt")))
				go_function_read(p->files[i].source, f);
			weave_asked_of(w, &p->files[i], f, NULL,
			               arena_printf(&p->arena, "%s.%s", prefix, go_function_symbol(&p->arena, f)));
		}
}
