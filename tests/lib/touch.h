/* Asks a binary everything its header offers, for tests with damaged files; answers do not matter.
 */
#ifndef TESTS_TOUCH_H
#define TESTS_TOUCH_H

#include <string.h>

#include "binary/context_types.h"
#include "plant/planters.h"

/* Every planter's sites of a join point; NULL ok. */
static inline void touch_point(struct binary *b, const struct func *f, const struct join_point *at)
{
	for (size_t i = 0; at && planters[i]; i++) {
		const struct site *s = NULL;

		if (planters[i]->locate(b, at, &s, NULL))
			continue;
		for (; s; s = s->next)
			if (s->addr < f->entry || s->addr >= f->end)
				__builtin_trap();
	}
}

static inline void touch_func(struct binary *b, const struct func *f, bool code)
{
	struct signature sig;
	struct join_point point;
	struct func at;
	struct pc_frame frames[64];
	const struct closure_var *vars;
	const char *file;
	size_t n;
	int line;

	for (unsigned i = 0; i < 8; i++)
		binary_funcdata(b, f, i);
	binary_pc_line(b, f->entry, &file, &line);
	binary_func_at(b, f->end - 1, &at);
	for (uint64_t pc = f->entry; pc < f->end; pc += 1 + (f->end - f->entry) / 3)
		binary_pc_frames(b, pc, frames, sizeof(frames) / sizeof(*frames));
	if (!code)
		return;
	if (!binary_signature(b, f, NULL, &sig, NULL) && sig.dictionary)
		binary_dictionary_type(b, f->entry, 1);
	binary_instance_name(b, f, f->entry);
	if (!binary_closure_vars(b, f, &vars, &n, NULL))
		for (size_t i = 0; i < n; i++)
			if (!vars[i].name)
				__builtin_trap();
	binary_returns_complete(b, f, NULL);
	touch_point(b, f, join_point_entry(b, f, &point, NULL) ? NULL : &point);
	touch_point(b, f, join_point_returns(b, f, &point, NULL) ? NULL : &point);
}

/* The first instances of every step-th function that was inlined. */
static inline void touch_inlined(struct binary *b, size_t step)
{
	const char *name;
	struct inlined in[4];
	struct join_point at;
	struct signature sig;
	size_t pos = 0;

	while (binary_inlined_next(b, &pos, &name)) {
		size_t n = pos % step ? 0 : binary_inlined(b, name, in, 4);

		for (size_t i = 0; i < (n < 4 ? n : 4); i++) {
			if (join_point_inlined(b, &in[i], &at, NULL))
				continue;
			touch_point(b, &in[i].host, &at);
			if (binary_inlined_signature(b, &in[i], in[i].host.entry + at.spots->offset, &sig, NULL))
				continue;
			for (size_t k = 0; k < sig.nparams; k++)
				if (!sig.params[k].name)
					__builtin_trap();
		}
	}
}

static inline void touch_type(struct binary *b, const struct type *t)
{
	struct type_field field;
	struct type_method method;
	struct map_layout layout;
	struct field_path path;
	struct err err = {0};

	if (context_type_of(b, t).parent > CONTEXT_VIA)
		__builtin_trap();
	for (size_t i = 0; type_field(b, t, i, &field); i++)
		if (!field.name || !field.type)
			__builtin_trap();
	for (size_t i = 0; type_method(b, t, i, &method); i++)
		if (!method.name)
			__builtin_trap();
	for (size_t i = 0; i < type_param_count(b, t); i++)
		if (!type_param(b, t, i))
			__builtin_trap();
	for (size_t i = 0; i < type_result_count(b, t); i++)
		if (!type_result(b, t, i))
			__builtin_trap();
	if (!t->name || (!t->elem && (t->kind == KIND_SLICE || t->kind == KIND_ARRAY)))
		__builtin_trap();
	type_field_find(b, t, "nothing", &path);
	(void)context_type_of(b, t);
	binary_type_pointer_to(b, t);
	if (t->kind == KIND_MAP && !type_map_layout(b, t, &layout, &err) && !err.text[0])
		__builtin_trap();
}

/* Every funcs-th function and the first types types; code: instructions and signatures too. */
static inline void touch_binary(struct binary *b, size_t funcs, size_t types, bool code)
{
	static const char *const names[] = {"main.main", "net/http.serverHandler.ServeHTTP",
					    "runtime.newproc1"};
	static const char *const exprs[] = {"*Point", "map[string][]byte", "http.Header",
					    "func(*url.URL) error"};
	const struct context_table *contexts;
	struct lineage_layout lineage;
	struct goroutine_layout g;
	const struct type *t;
	struct func f;
	int64_t at[3];
	size_t pos = 0;

	binary_build_info(b);
	binary_func_find_all(b, names, 3, at);
	binary_func_find(b, names[0], &f, 1);
	binary_has_package(b, "net/http");
	for (size_t i = 0; i < binary_func_count(b); i += funcs)
		if (binary_func(b, i, &f))
			touch_func(b, &f, code);
	touch_inlined(b, funcs);
	for (size_t i = 0; i < 4; i++)
		binary_type_parse(b, "main", exprs[i], NULL);
	binary_goroutine_layout(b, &g, NULL);
	binary_lineage_layout(b, &lineage, NULL);
	binary_contexts(b, &contexts, NULL);
	for (size_t i = 0; i < types && binary_type_next(b, &pos, &t); i++)
		touch_type(b, t);
}

#endif
