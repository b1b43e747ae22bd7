/*
 * Signatures. Types come from the method table of the receiver's type, from DWARF, or from a
 * declaration, in this order (DWARF leaves out parameters that are not used and, now and then, a
 * result); the calling convention says where values of these types lie (signature_place.c); and
 * that is compared with the binary (signature_check.c). A source that does not agree is not used; a
 * declaration that does not agree is an error with the reason.
 *
 * Results of a plain function leave no trace, so a declaration of them is believed as far as their
 * place on the stack, which moves the spill area, does not speak against it.
 *
 * Generic functions take a dictionary that no declaration mentions: first, or after the receiver
 * since the compiler's unified IR. Which one (or none, in wrappers) is found by trying.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "binary/dwarf.h"
#include "binary/signature.h"

/* ---- where types come from ---- */

static const struct type *receiver_type(struct binary *b, const struct func_name *n)
{
	const struct type *t = NULL;
	const char *full = arena_printf(&b->arena, "%s.%s", n->package, n->receiver);

	if (!n->generic)
		t = binary_type(b, full);
	if (!n->pointer)
		return t;
	if (t)
		return binary_type_pointer_to(b, t);
	return type_compose(b, KIND_POINTER, NULL, NULL, 0, arena_printf(&b->arena, "*%s", full));
}

static struct slot *add_slot(struct slots *s, const char *name, const struct type *type)
{
	static struct slot spare; /* more parameters than anyone writes: the comparison will fail */
	struct slot *x = s->n < SLOTS_MAX ? &s->v[s->n++] : &spare;

	*x = (struct slot){.name = name ? name : "", .type = type};
	return x;
}

static void add_dwarf_slot(struct slots *s, const struct dwarf_param *p)
{
	add_slot(s, p->name, p->type)->dict_word = p->dict_word;
}

/* The dictionary's place in DWARF's list is not its place among the parameters: it is tried. */
static bool from_dwarf_params(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (dwarf_function(w->b, w->f, &p, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!p[i].result && strcmp(p[i].name, ".dict"))
			add_dwarf_slot(&w->params, &p[i]);
	w->sources |= SIG_DWARF;
	return true;
}

/* Nothing but what ArgInfo lists: words without types. */
static bool from_arginfo(struct work *w)
{
	if (!w->has_info || w->name.generic)
		return false;
	for (size_t i = 0; i < w->info.nitems; i++)
		add_slot(&w->params, "", i || !w->name.receiver ? NULL : receiver_type(w->b, &w->name));
	return true;
}

/* All of them or none are written; of a wrapper, none need not mean that there are none. */
static void dwarf_results(struct work *w, const struct dwarf_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i].result)
			add_dwarf_slot(&w->results, &p[i]);
	w->results_known = w->results.n || !(w->f->flags & FUNC_WRAPPER);
}

static bool from_dwarf(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (!from_dwarf_params(w) || dwarf_function(w->b, w->f, &p, &n))
		return false;
	dwarf_results(w, p, n);
	return true;
}

static bool lies_at(const struct work *w, const struct slot *s, const struct piece *x)
{
	if (!s->shaped)
		return false;
	if (x->where == ON_STACK)
		return !s->place.registers && (int32_t)(w->b->img.arch->stack_args + s->place.offset) == x->stack;
	return s->place.registers && s->place.regs[0] == x->reg;
}

/*
 * Before Go 1.22 DWARF leaves out parameters named "_": those it has are told by where it says that
 * they are, the others are words without types, as ArgInfo lists them.
 */
static bool from_dwarf_places(struct work *w)
{
	const struct dwarf_param *p;
	size_t n, at = 0;

	if (w->name.generic || !from_arginfo(w) || dwarf_function(w->b, w->f, &p, &n))
		return false;
	signature_place(w);
	for (size_t i = 0; i < n; i++) {
		if (p[i].result)
			continue;
		while (p[i].located && at < w->params.n &&
		       !lies_at(w, &w->params.v[at], &p[i].pieces[0]))
			at++;
		if (!p[i].located || !p[i].npieces || at == w->params.n)
			return false;
		w->params.v[at].name = p[i].name;
		w->params.v[at++].type = p[i].type;
	}
	dwarf_results(w, p, n);
	w->sources |= SIG_DWARF;
	return true;
}

/* The method's own entry, else the one of its name: tables may lead to a wrapper. */
static const struct type *method_type(struct work *w, const struct type *recv)
{
	const struct type *by_name = NULL;
	struct type_method m;

	for (size_t i = 0; recv && i < type_method_count(w->b, recv); i++) {
		if (!type_method(w->b, recv, i, &m) || !m.type || m.type->kind != KIND_FUNC)
			continue;
		if (strcmp(m.name, w->name.method))
			continue;
		if (m.tfn == w->f->entry || m.ifn == w->f->entry)
			return m.type;
		by_name = m.type;
	}
	return by_name;
}

static bool from_method(struct work *w)
{
	const struct type *recv, *t;

	if (!w->name.receiver || w->name.generic)
		return false;
	recv = receiver_type(w->b, &w->name);
	t = method_type(w, recv);
	if (!t)
		return false;
	add_slot(&w->params, "", recv);
	for (size_t i = 0; i < type_param_count(w->b, t); i++)
		add_slot(&w->params, "", type_param(w->b, t, i));
	for (size_t i = 0; i < type_result_count(w->b, t); i++)
		add_slot(&w->results, "", type_result(w->b, t, i));
	w->results_known = true;
	w->sources |= SIG_METHOD;
	return true;
}

static const struct type *declared_type(struct work *w, const char *text, struct err *err)
{
	if (!strncmp(text, "...", 3))
		text = arena_printf(&w->b->arena, "[]%s", text + 3);
	return binary_type_parse_in(w->b, w->name.package, &w->scope, text, err);
}

static void add_declared(struct work *w, struct slots *s, const struct declared_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};
		struct slot *x = add_slot(s, p[i].name, NULL);

		x->text = p[i].type;
		if (p[i].type)
			x->type = declared_type(w, p[i].type, &e);
		if (p[i].type && !x->type)
			x->untyped = arena_strdup(&w->b->arena, e.text);
	}
}

static int check_declared_syntax(struct work *w, const struct declared_param *p, size_t n, struct err *err)
{
	struct err e = {0};

	for (size_t i = 0; i < n; i++, e = (struct err){0})
		if (p[i].type && !declared_type(w, p[i].type, &e) && e.code != -ENOENT)
			return err_set(err, e.code, "%s", e.text);
	return 0;
}

/* Binds the names of the declaration; what is wrong in it is wrong whatever the binary says itself. */
static int check_declaration(struct work *w, struct err *err)
{
	const struct declared_signature *d = w->decl;
	int r = 0;

	if (!d)
		return 0;
	w->scope = (struct type_scope){.types = d->types, .ntypes = d->ntypes, .params = d->type_params};
	if (d->ntype_params)
		r = shape_arguments(w->b, w->f, d->ntype_params, &w->scope.args, err);
	w->scope.nparams = r ? 0 : d->ntype_params;
	if (!r)
		r = check_declared_syntax(w, d->params, d->nparams, err);
	return r ? r : check_declared_syntax(w, d->results, d->nresults, err);
}

/* Nothing but the declaration tells the types. */
static int check_generic(struct work *w, struct err *err)
{
	const struct declared_signature *d = w->decl;

	if (!w->name.generic || w->name.closure || d->ntype_params || !(d->nparams || d->nresults) ||
	    (d->instance && shape_is_instance(w->f)))
		return 0;
	return err_set(err, -EPROTO,
		       "%s is generic: one body serves all types of a shape, so that a stripped binary does not tell "
		       "which a call has. Name its type parameters in the declaration, as in main.Map[K, V](m "
		       "map[K]V): they are shown as far as the shape tells",
		       w->f->name);
}

static bool from_declaration(struct work *w)
{
	if (!w->decl)
		return false;
	if (w->name.receiver)
		add_slot(&w->params, "", receiver_type(w->b, &w->name));
	add_declared(w, &w->params, w->decl->params, w->decl->nparams);
	if (w->decl->has_results)
		add_declared(w, &w->results, w->decl->results, w->decl->nresults);
	w->results_known = w->decl->has_results;
	w->sources |= SIG_DECLARED;
	return true;
}

/* ---- a declaration beside types that the binary has ---- */

static int check_declared_types(struct work *w, const struct slots *have, size_t first,
                                const struct declared_param *p, size_t n, const char *what,
                                struct err *err)
{
	size_t count = have->n - MIN(first, have->n);

	if (count != n)
		return err_set(err, -EPROTO,
		               "%s was declared with %zu %s%s, but the binary says that it "
		               "has %zu",
		               w->f->name, n, what, n == 1 ? "" : "s", count);
	for (size_t i = 0; i < n; i++) {
		const struct type *known = have->v[first + i].type, *t;
		struct err e = {0};

		if (known && strstr(known->name, "go.shape.")) /* the declaration has what it stands for */
			continue;
		t = p[i].type && known ? declared_type(w, p[i].type, &e) : NULL;
		if (t && t != known && strcmp(t->name, known->name))
			return err_set(err, -EPROTO,
			               "%s %zu of %s was declared as %s, but the binary "
			               "says that it is %s",
			               what, i + 1, w->f->name, p[i].type, known->name);
	}
	return 0;
}

static size_t first_param(const struct work *w)
{
	size_t first = w->name.receiver ? 1 : 0;

	for (size_t i = 0; i < w->params.n; i++)
		first += w->params.v[i].hidden;
	return first;
}

static int merge_declaration(struct work *w, struct err *err)
{
	size_t first = first_param(w);
	const struct declared_signature *d = w->decl;
	int r = check_declared_types(w, &w->params, first, d->params, d->nparams, "parameter", err);

	if (!r && d->has_results)
		r = check_declared_types(w, &w->results, 0, d->results, d->nresults, "result", err);
	if (r)
		return r;
	for (size_t i = 0; i < d->nparams; i++)
		if (d->params[i].name && *d->params[i].name)
			w->params.v[first + i].name = d->params[i].name;
	for (size_t i = 0; d->has_results && i < d->nresults; i++)
		if (d->results[i].name && *d->results[i].name)
			w->results.v[i].name = d->results[i].name;
	w->sources |= SIG_DECLARED;
	return 0;
}

/* ---- attempts ---- */

typedef bool (*source_fn)(struct work *w);

static void insert_hidden(struct slots *s, size_t at)
{
	if (s->n == SLOTS_MAX || at > s->n)
		return;
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(s->v[0]));
	s->v[at] = (struct slot){.name = ".dict", .hidden = true};
	s->n++;
}

/* -ENODATA when the source has nothing, -EPROTO when it does not agree. hidden: place of the
 * dictionary. */
static int attempt(struct work *w, source_fn source, int hidden, struct err *err)
{
	w->params.n = w->results.n = 0;
	w->results_known = false;
	w->sources = 0;
	if (!source(w))
		return -ENODATA;
	if (hidden >= 0)
		insert_hidden(&w->params, (size_t)hidden);
	signature_place(w);
	return signature_check(w, err);
}

/* Where DWARF says that the receiver begins: 0 the first integer register, 1 another, -1 unknown. */
static int receiver_register(const struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (dwarf_function(w->b, w->f, &p, &n) || !n || p[0].result || !p[0].located || !p[0].npieces ||
	    p[0].pieces[0].where != IN_REG || !strcmp(p[0].name, ".dict"))
		return -1;
	return p[0].pieces[0].reg != w->b->img.arch->int_args[0];
}

/* Before the unified IR the dictionary was a uintptr and came first; since, it is a pointer and
 * second. Of a receiver that is not used the bitmap says nothing. */
static int usual_hidden(const struct work *w)
{
	int at;

	if (!w->name.generic || w->name.closure || w->f->flags & FUNC_WRAPPER)
		return -1;
	if (!w->name.receiver)
		return 0;
	at = receiver_register(w);
	if (at >= 0)
		return !at;
	if (!strstr(w->f->name, "[...]")) /* since Go 1.21 names tell the shapes: this is the unified IR's */
		return 1;
	return w->has_map && !ptrmap_get(&w->map, 0) && ptrmap_get(&w->map, 8) ? 0 : 1;
}

static int attempt_generic(struct work *w, source_fn source, struct err *err)
{
	int usual = usual_hidden(w), r = attempt(w, source, usual, err);

	for (int hidden = -1; r == -EPROTO && w->name.generic && hidden <= 1; hidden++) {
		struct err e = {0};

		if (hidden != usual && !attempt(w, source, hidden, &e))
			return 0;
	}
	return r;
}

static void take_names(struct slots *s, const struct dwarf_param *p, size_t n, bool results)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += p[i].result == results && strcmp(p[i].name, ".dict");
	if (count != s->n)
		return;
	for (size_t i = 0, k = 0; i < n; i++)
		if (p[i].result == results && strcmp(p[i].name, ".dict"))
			s->v[k++].name = p[i].name;
}

/* A method's type has no names; DWARF may. */
static void names_from_dwarf(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (dwarf_function(w->b, w->f, &p, &n))
		return;
	take_names(&w->params, p, n, false);
	take_names(&w->results, p, n, true);
	w->sources |= SIG_DWARF;
}

/* DWARF proves nothing about a result that it does not mention. */
static int resolve_declared(struct work *w, struct err *err)
{
	int r = merge_declaration(w, err);
	struct err e = {0};

	if (r == -EPROTO && !(w->sources & SIG_METHOD) && w->decl->has_results &&
	    w->results.n < w->decl->nresults && !attempt_generic(w, from_declaration, &e))
		return 0;
	return r;
}

static int resolve(struct work *w, struct err *err)
{
	struct err e = {0};
	bool found = !attempt_generic(w, from_method, &e);

	if (found)
		names_from_dwarf(w);
	if (found || !attempt_generic(w, from_dwarf, &e) ||
	    !attempt_generic(w, from_dwarf_params, &e) ||
	    (!w->decl && !attempt(w, from_dwarf_places, -1, &e)))
		return w->decl ? resolve_declared(w, err) : 0;
	if (w->decl) {
		int r = check_generic(w, err);

		return r ? r : attempt_generic(w, from_declaration, err);
	}
	if (attempt(w, from_arginfo, -1, &e)) {
		w->params.n = w->results.n = 0;
		w->results_known = false;
		w->sources = 0;
	}
	return 0;
}

/* ---- the answer ---- */

static void register_pieces(const struct slot *s, struct piece *ret)
{
	for (size_t k = 0; k < s->shape.nwords; k++)
		ret[k] = (struct piece){
		    .where = s->place.regs[k] >= REG_FLOAT ? IN_FLOAT_REG : IN_REG,
		    .reg = s->place.regs[k],
		    .size = s->shape.words[k].size,
		    .bytes = s->shape.words[k].size,
		    .offset = s->shape.words[k].offset,
		};
}

static void write_param(struct work *w, const struct slot *s, struct param *ret)
{
	struct piece *pieces;

	ret->name = arena_strdup(&w->b->arena, s->name);
	ret->type = s->type;
	ret->untyped = s->untyped;
	ret->why = s->why;
	ret->dict_word = s->dict_word;
	if (s->why || !s->shape.size)
		return;
	ret->npieces = s->place.registers ? s->shape.nwords : 1;
	pieces = arena_array(&w->b->arena, struct piece, ret->npieces);
	if (s->place.registers)
		register_pieces(s, pieces);
	else
		pieces[0] = (struct piece){.where = ON_STACK,
		                           .size = (uint8_t)MIN(s->shape.size, 255u),
		                           .bytes = (uint32_t)s->shape.size,
		                           .stack = (int32_t)(w->b->img.arch->stack_args + s->place.offset)};
	ret->pieces = pieces;
}

static const struct param *write_params(struct work *w, const struct slots *s, size_t *ret_n)
{
	struct param *p = arena_array(&w->b->arena, struct param, s->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].hidden)
			write_param(w, &s->v[i], &p[n++]);
	*ret_n = n;
	return p;
}

static const struct param *write_dictionary(struct work *w)
{
	struct param *p;

	for (size_t i = 0; i < w->params.n; i++) {
		if (!w->params.v[i].hidden)
			continue;
		p = arena_new(&w->b->arena, struct param);
		write_param(w, &w->params.v[i], p);
		return p;
	}
	return NULL;
}

/*
 * morestack returns to the function's entry, and of the argument registers only those that its
 * block saved hold what the caller passed. A function that uses none of those arguments saves none:
 * what a probe finds there is right until the stack grows or the goroutine is preempted.
 */
static void refuse_unsaved(struct work *w)
{
	if (!w->prologue.checked || w->prologue.nspills)
		return;
	for (size_t i = 0; i < w->params.n; i++) {
		struct slot *s = &w->params.v[i];

		if (!s->why && s->place.registers && s->shape.nwords)
			s->why = "the function uses no argument that it gets in a register, so Go "
			         "does not keep them when the stack grows";
	}
}

/* Neither DWARF nor the bitmap tells which of a method's first two words is the dictionary. */
static void refuse_unordered(struct work *w)
{
	bool told = receiver_register(w) >= 0 || !strstr(w->f->name, "[...]") ||
		    (w->has_map && (ptrmap_get(&w->map, 0) || ptrmap_get(&w->map, 8)));

	if (told || !w->name.generic || !w->name.receiver || w->name.closure)
		return;
	for (size_t i = 0; i < w->params.n && i < 2; i++)
		if (!w->params.v[i].why)
			w->params.v[i].why = "the binary does not tell whether the receiver or the dictionary of "
					     "type arguments comes first";
}

static void write_signature(struct work *w, struct signature *ret)
{
	struct signature s = {.results_known = w->results_known, .sources = w->sources};

	refuse_unsaved(w);
	refuse_unordered(w);
	s.params = write_params(w, &w->params, &s.nparams);
	s.results = write_params(w, &w->results, &s.nresults);
	s.has_receiver = w->name.receiver && s.nparams;
	s.dictionary = write_dictionary(w);
	*ret = s;
}

/*
 * A wrapper stands beside the function that it wraps, under the same name. Alone are the stubs that cgo generates,
 * which hand the address of their arguments to C.
 */
const char *binary_abi0_text(const struct binary *b, const struct func *f)
{
	return binary_func_find(b, f->symbol, &(struct func){0}, 0) > 1
		       ? "an ABI0 wrapper: probe the function of the same name that it calls"
		       : "a stub with its arguments in memory (ABI0), as cgo makes them for C functions: probe the Go "
			 "function that calls it";
}

/* Assembly and the wrappers around it take all arguments on the stack, by other rules. */
static int refuse_abi0(const struct work *w, struct signature *ret, struct err *err)
{
	if (w->decl && (w->decl->nparams || w->decl->nresults))
		return err_set(err, -ENODATA,
		               "%s %s, so its arguments are not where Go's register "
		               "convention puts them; probe a Go function instead",
		               w->f->name,
		               w->f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA)
		                   ? "is written in assembly or not in Go"
		                   : "is an ABI0 wrapper");
	*ret = (struct signature){0};
	return 0;
}

int binary_signature(struct binary *b, const struct func *f, const struct declared_signature *decl,
                     struct signature *ret, struct err *err)
{
	struct work *w = xcalloc(1, sizeof(*w));
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	if (r)
		goto out;
	*w = (struct work){.b = b, .f = f, .decl = decl};
	disasm_prologue(&c, &w->prologue);
	disasm_done(&c);
	func_name_split(&b->arena, f->symbol, &w->name);
	if (w->prologue.abi0 || f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA)) {
		r = refuse_abi0(w, ret, err);
		goto out;
	}
	w->has_info = func_arginfo(b, f, &w->info);
	w->has_map = func_ptrmap(b, f, &w->map);
	r = check_declaration(w, err);
	if (!r)
		r = resolve(w, err);
	if (!r)
		write_signature(w, ret);
out:
	free(w);
	return r;
}

/* ---- closures ---- */

bool binary_is_closure(struct binary *b, const struct func *f)
{
	struct func_name n = {0};

	if (f->symbol) /* of a function that a test made up there is none */
		func_name_split(&b->arena, f->symbol, &n);
	return n.closure;
}

bool binary_method_value(struct binary *b, const struct func *f, struct closure_var *ret)
{
	static const char suffix[] = "-fm";
	size_t len = strlen(f->symbol);
	struct func_name n;

	if (len < strlen(suffix) || strcmp(f->symbol + len - strlen(suffix), suffix))
		return false;
	func_name_split(&b->arena, arena_strndup(&b->arena, f->symbol, len - strlen(suffix)), &n);
	if (!n.receiver)
		return false;
	*ret = (struct closure_var){.name = "recv", .type = receiver_type(b, &n), .offset = 8};
	return true;
}
