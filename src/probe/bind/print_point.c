#include "probe/bind/print_point.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/event.h"
#include "event/inject.h"
#include "probe/bind/go_printer.h"

struct go_points {
	struct arena arena;
	struct go_file file;
};

struct go_points *go_points_new(const char *package, go_may_import_fn may_import, void *arg)
{
	struct go_points *p = xcalloc(1, sizeof(*p));

	p->file = (struct go_file){.package = package, .arena = &p->arena, .may_import = may_import, .arg = arg};
	go_import(&p->file, &p->arena, "unsafe");
	return p;
}

void go_points_free(struct go_points *p)
{
	if (!p)
		return;
	buf_done(&p->file.body);
	vec_done(&p->file.imports);
	arena_done(&p->arena);
	free(p);
}

/* A point on its way to Go. */
struct printing {
	struct go_printer g;
	struct buf captures; /* the part of the function that captures */
	struct buf rooms;    /* variables of the function: room for chains */
	const struct go_kept *kept;
	enum go_probe probe;
	size_t nkept;        /* slots of what it keeps for later points */
	struct arena *arena; /* the result's */
	VEC(struct go_point_slot) slots;
	VEC(struct go_point_left) left;
	bool *used;
	const char **types;
};

/* ---- which variables ---- */

static void mark_used(const struct bound *n, enum bound_op op, bool *used)
{
	if (!n)
		return;
	if (n->op == op)
		used[n->index] = true;
	mark_used(n->a, op, used);
	mark_used(n->b, op, used);
	mark_used(n->c, op, used);
	for (size_t i = 0; n->op == BOUND_LITERAL && i < n->nelements; i++)
		mark_used(n->elements[i].value, op, used);
}

static enum bound_op variable_op(const struct bound_program *p)
{
	return p->side == SIDE_RETURN ? BOUND_RESULT : BOUND_PARAM;
}

static void use(struct printing *pr, const struct bound *n)
{
	mark_used(n, variable_op(pr->g.program), pr->used);
}

static const struct bound_variable *variables(const struct bound_program *p, size_t *ret_n)
{
	bool at_return = p->side == SIDE_RETURN;

	*ret_n = at_return ? p->variables.nresults : p->variables.nparams;
	return at_return ? p->variables.results : p->variables.params;
}

/* ---- one value ---- */

static const char *scalar_kind(const struct type *t)
{
	if (t == &type_word_type)
		return "type";
	if (type_is_integer(t))
		return type_is_signed(t) ? "int" : "uint";
	if (t->kind == KIND_BOOL)
		return "bool";
	if (type_is_float(t))
		return t->kind == KIND_FLOAT32 ? "float32" : "float64";
	return "pointer";
}

/* A variable's first word, or as much of it as the type says. */
static const char *bits(struct go_printer *g, const char *e, const char *as)
{
	const char *name = arena_printf(g->arena, "_v%u", ++g->temps);

	go_line(g, "%s := %s", name, e);
	return arena_printf(g->arena, "*(*%s)(%s.Pointer(&%s))", as, go_import(g->file, g->arena, "unsafe"), name);
}

/* A scalar as the word of a slot. */
static void print_scalar(struct go_printer *g, const struct type *t, const char *e)
{
	if (t->kind == KIND_BOOL) {
		go_line(g, "if %s {", e);
		go_line(g, "\t%s.value = 1", g->slot);
		go_line(g, "}");
		return;
	}
	if (t == &type_word_type)
		e = bits(g, arena_printf(g->arena, "interface{}(%s)", e), "uintptr");
	else if (t->kind == KIND_FLOAT32)
		e = arena_printf(g->arena, "uint64(%s)", bits(g, arena_printf(g->arena, "float32(%s)", e), "uint32"));
	else if (type_is_float(t))
		e = bits(g, arena_printf(g->arena, "float64(%s)", e), "uint64");
	else if (!type_is_integer(t))
		e = bits(g, e, "uintptr");
	go_line(g, "%s.value = uint64(%s)", g->slot, e);
}

static void print_text(struct go_printer *g, const struct type *t, const char *e)
{
	const char *name = arena_printf(g->arena, "_v%u", ++g->temps);

	go_line(g, "%s := %s(%s)", name, t->kind == KIND_STRING ? "string" : "[]byte", e);
	go_line(g, "%s.value = uint64(len(%s))", g->slot, name);
	go_line(g, "%s.text = *(*%s.Pointer)(%s.Pointer(&%s))", g->slot, go_import(g->file, g->arena, "unsafe"),
	        go_import(g->file, g->arena, "unsafe"), name);
	go_line(g, "%s.kind = 1", g->slot);
}

/*
 * A context with those that it was made of. As a value of an interface without methods it is its type and where it
 * lies, whatever the expression's own type is. The recorder says what became of it, and needs room.
 */
static void print_chain(struct printing *pr, const struct bound_capture *c, const char *e)
{
	struct go_printer *g = &pr->g;
	unsigned links = MIN(c->links, (unsigned)EVENT_MAX_CHAIN);

	buf_printf(&pr->rooms, "\tvar earshotC%zu [%zu]uint64\n", pr->slots.len,
	           links + 1 + sizeof(struct event_chain_span) / 8);
	go_line(g, "%s.text = %s.Pointer(&earshotC%zu)", g->slot, go_import(g->file, g->arena, "unsafe"),
	        pr->slots.len);
	go_line(g, "earshotChain(&%s, interface{}(%s), %u)", g->slot, e, links);
}

/* A pointer is kept where the collector sees it. */
static const char *print_kept(struct go_printer *g, const struct type *t, const char *e)
{
	if (!is_pointer_shaped(t)) {
		print_scalar(g, t, e);
		return "uint";
	}
	go_line(g, "%s.text = %s", g->slot,
	        bits(g, e, arena_printf(g->arena, "%s.Pointer", go_import(g->file, g->arena, "unsafe"))));
	return "pointer";
}

/* The kind of the slot; NULL: it is none that woven code writes (g->why). */
static const char *print_form(struct printing *pr, const struct bound_capture *c, const struct bound_alternative *a)
{
	struct go_printer *g = &pr->g;
	const struct bound *n = a->value.root;
	const char *e = n ? go_expr(g, n) : NULL;

	if (n && !e)
		return NULL;
	switch (a->form) {
	case CAPTURE_MARK:
		go_line(g, "%s.value = 1", g->slot);
		return "uint";
	case CAPTURE_WORD:
		if (!n->type || n->type == &code_address_type)
			return go_refuse(g, "only the machine code has it");
		if (c->carry)
			return print_kept(g, n->type, e);
		print_scalar(g, n->type, e);
		return scalar_kind(n->type);
	case CAPTURE_BYTES:
		if (!n->type)
			return go_refuse(g, "it is a constant");
		print_text(g, n->type, e);
		return "string";
	case CAPTURE_CHAIN:
		if (n->type->kind == KIND_POINTER && !go_type(g, n->type))
			return NULL;
		print_chain(pr, c, e);
		return "chain";
	default:
		return go_refuse(g, "woven code writes no such values");
	}
}

/* ---- one capture ---- */

struct go_mark {
	size_t out, imports, facts;
};

static struct go_mark mark(const struct go_printer *g)
{
	return (struct go_mark){g->out->len, g->file->imports.len, g->facts.len};
}

static void take_back(struct go_printer *g, struct go_mark m)
{
	g->out->len = m.out;
	g->facts.len = m.facts;
	g->file->imports.len = m.imports;
}

/* A condition that cannot be followed is false, and what it is about is absent. */
static bool print_when(struct go_printer *g, const struct bound *when)
{
	const char *slot = g->slot, *e;

	if (!when)
		return true;
	g->slot = NULL;
	e = go_expr(g, when);
	g->slot = slot;
	if (!e)
		return false;
	go_line(g, "if !%s {", e);
	go_line(g, "\treturn");
	go_line(g, "}");
	return true;
}

static const char *try_alternative(struct printing *pr, const struct bound_capture *c,
                                   const struct bound_alternative *a)
{
	struct go_printer *g = &pr->g;
	struct go_mark before = mark(g);
	const char *kind = NULL;

	go_line(g, "func() { // %s", c->name);
	g->indent++;
	if (print_when(g, c->when.root))
		kind = print_form(pr, c, a);
	if (kind && a->form != CAPTURE_CHAIN)
		go_line(g, "%s.status = %d", g->slot, SLOT_OK);
	g->indent--;
	go_line(g, "}()");
	if (!kind)
		take_back(g, before);
	return kind;
}

static void leave(struct printing *pr, size_t number, const char *why)
{
	vec_push(&pr->left, ((struct go_point_left){number, arena_strdup(pr->arena, why)}));
}

/* Whether capture number and those behind it are the n facts from first on. */
static bool are_facts(const struct bound_program *p, size_t number, enum runtime_fact first, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (number + i >= p->ncaptures || p->captures[number + i].fact != first + i ||
		    p->captures[number + i].alternatives[0].why)
			return false;
	return true;
}

/* The recorder knows the facts of the running goroutine, in two groups: it fills the slots of one at once. */
static bool print_fact(struct printing *pr, size_t number)
{
	static const struct {
		enum runtime_fact first;
		size_t n;
		const char *call;
	} groups[] = {{FACT_CREATOR, FACT_START_PC - FACT_CREATOR + 1, "earshotLineage"},
	              {FACT_ID_COUNTER, FACT_ID_CACHE_END - FACT_ID_COUNTER + 1, "earshotEpoch"}};
	const struct bound_program *p = pr->g.program;
	enum runtime_fact fact = p->captures[number].fact;
	size_t which = fact >= groups[1].first, before = fact - groups[which].first;

	if (p->goroutine.root || before > number ||
	    !are_facts(p, number - before, groups[which].first, groups[which].n)) {
		leave(pr, number, p->goroutine.root ? "it is another goroutine's"
		                                   : "the others of its kind are not wanted");
		return p->captures[number].optional;
	}
	if (!before)
		go_line(&pr->g, "%s(&earshotS[%zu])", groups[which].call, pr->slots.len);
	vec_push(&pr->slots, ((struct go_point_slot){number, fact == FACT_START_PC ? "pc" : "uint"}));
	return true;
}

/* ---- a trace context in what is sent ---- */

/* What the recorder takes for that, a slot each, in this order. */
enum inject_slot { INJECT_SLOT_CARRIER, INJECT_SLOT_AGAINST, INJECT_SLOT_BUFFER, INJECT_SLOT_FILLED, INJECT_SLOTS };

static bool print_carrier(struct go_printer *g, const struct bound *n)
{
	const char *e = go_expr(g, n);

	if (e)
		print_scalar(g, n->type, e);
	return e;
}

/* What speaks against it, in the order in which planters ask. */
static bool print_against(struct go_printer *g, const struct bound_inject *x)
{
	const struct {
		const struct bound *holds;
		enum inject_outcome outcome;
	} all[] = {{x->present.root, INJECT_PRESENT},
	           {x->limited.root, INJECT_LIMITED},
	           {x->split.root, INJECT_TOO_LARGE}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const char *e = all[i].holds ? go_expr(g, all[i].holds) : NULL;

		if (all[i].holds && !e)
			return false;
		if (e)
			go_line(g, "if %s.value == 0 && %s {", g->slot, e);
		if (e) {
			go_line(g, "\t%s.value = %d", g->slot, all[i].outcome);
			go_line(g, "}");
		}
	}
	return true;
}

static bool print_buffer(struct go_printer *g, const struct bound *n)
{
	const char *e = go_temp(g, go_expr(g, n));

	if (!e)
		return false;
	go_line(g, "%s.value = uint64(len(%s))", g->slot, e);
	go_line(g, "%s.text = *(*%s.Pointer)(%s.Pointer(&%s))", g->slot, go_import(g->file, g->arena, "unsafe"),
	        go_import(g->file, g->arena, "unsafe"), e);
	return true;
}

static bool print_filled(struct go_printer *g, const struct bound *n)
{
	const char *at = go_temp(g, go_address(g, n));

	if (!at)
		return false;
	go_line(g, "%s.value = *(*uint64)(%s)", g->slot, at);
	go_line(g, "%s.text = %s", g->slot, at);
	return true;
}

static bool print_inject_slot(struct go_printer *g, const struct bound_inject *x, enum inject_slot which)
{
	switch (which) {
	case INJECT_SLOT_CARRIER:
		return print_carrier(g, x->carrier.root);
	case INJECT_SLOT_AGAINST:
		return print_against(g, x);
	case INJECT_SLOT_BUFFER:
		return print_buffer(g, x->buffer.root);
	default:
		return print_filled(g, x->filled.root);
	}
}

static void use_inject(struct printing *pr, const struct bound_inject *x)
{
	const struct bound_text *const all[] = {&x->carrier, &x->present, &x->limited,
	                                        &x->split,   &x->buffer,  &x->filled};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		use(pr, all[i]->root);
}

static bool print_inject(struct printing *pr, size_t number)
{
	const struct bound_capture *c = &pr->g.program->captures[number];
	const struct bound_inject *x = c->inject;
	struct go_printer *g = &pr->g;
	bool good = !c->alternatives[0].why && x->filled.root && !x->block.root; /* a line */

	if (!good)
		go_refuse(g, "%s", c->alternatives[0].why ? c->alternatives[0].why->text
		                                         : "woven code writes into requests of HTTP/1 alone");
	for (unsigned i = 0; good && i < INJECT_SLOTS; i++) {
		g->slot = arena_printf(g->arena, "earshotS[%zu]", pr->slots.len);
		go_line(g, "func() { // %s", c->name);
		g->indent++;
		good = print_when(g, c->when.root) && print_inject_slot(g, x, (enum inject_slot)i);
		go_line(g, "%s.status = %d", g->slot, SLOT_OK);
		g->indent--;
		go_line(g, "}()");
		vec_push(&pr->slots, ((struct go_point_slot){number, "uint"}));
	}
	use(pr, c->when.root);
	use_inject(pr, x);
	if (!good)
		leave(pr, number, g->why);
	return good;
}

/* The first alternative that Go can say. */
static bool print_capture(struct printing *pr, size_t number)
{
	const struct bound_capture *c = &pr->g.program->captures[number];
	const char *why = NULL, *kind;

	if (c->fact && !c->alternatives[0].why)
		return print_fact(pr, number);
	if (c->inject)
		return print_inject(pr, number);
	pr->g.slot = c->carry ? arena_printf(pr->g.arena, "earshotW[%d]", c->carry - 1)
	                      : arena_printf(pr->g.arena, "earshotS[%zu]", pr->slots.len);
	for (size_t i = 0; i < c->nalternatives; i++) {
		const struct bound_alternative *a = &c->alternatives[i];

		if (a->why) {
			why = why ? why : a->why->text;
			continue;
		}
		kind = try_alternative(pr, c, a);
		if (kind) {
			use(pr, c->when.root);
			use(pr, a->value.root);
			if (c->carry)
				pr->nkept = MAX(pr->nkept, (size_t)c->carry);
			else
				vec_push(&pr->slots, ((struct go_point_slot){number, kind}));
			return true;
		}
		why = arena_strdup(pr->g.arena, pr->g.why);
	}
	leave(pr, number, why ? why : "");
	return c->optional;
}

/* ---- the function ---- */

static bool print_filter(struct go_printer *g)
{
	const char *e;

	if (!g->program->filter.root)
		return true;
	g->slot = NULL;
	go_line(g, "if !func() (passes bool) {");
	g->indent++;
	e = go_expr(g, g->program->filter.root);
	if (e)
		go_line(g, "return %s", e);
	g->indent--;
	go_line(g, "}() {");
	go_line(g, "\treturn");
	go_line(g, "}");
	return e;
}

/* Where the event is another goroutine's: its g and its stack pointer. */
static bool print_elsewhere(struct printing *pr, const char **ret_g, const char **ret_sp)
{
	const struct bound_program *p = pr->g.program;

	*ret_g = *ret_sp = NULL;
	if (!p->goroutine.root)
		return true;
	use(pr, p->goroutine.root);
	use(pr, p->sp.root);
	*ret_g = go_temp(&pr->g, go_expr(&pr->g, p->goroutine.root));
	*ret_sp = *ret_g && p->sp.root ? go_expr(&pr->g, p->sp.root) : NULL;
	if (*ret_sp)
		return true;
	if (*ret_g)
		go_refuse(&pr->g, "its goroutine has no stack pointer");
	return false;
}

static void print_probe(struct printing *pr, unsigned number, const char *slots)
{
	struct go_printer *g = &pr->g;

	if (pr->probe == GO_PROBE_ALONE) { /* whoever calls has seen that somebody listens */
		go_line(g, "earshot_n%u(%s, 0, nil)", number, slots);
		return;
	}
	go_line(g, "if earshot_u%u.listening != 0 {", number);
	go_line(g, "\tvar earshotI [3]uint64");
	go_line(g, "\tearshot_n%u(%s, earshotGoid(), earshotIdsAt(earshotD, &earshotI))", number, slots);
	go_line(g, "}");
}

/* The depth is 0 where only the probe is wanted. */
static void print_probed(struct printing *pr, unsigned number, const char *slots)
{
	struct go_printer *g = &pr->g;

	if (pr->probe != GO_PROBE_BEHIND)
		print_probe(pr, number, slots);
	if (pr->probe != GO_PROBE_ALONE)
		go_line(g, "written = earshotD != 0 && earshotWrite(&earshot_p%u, earshotD, %s, %zu)", number, slots,
		        pr->slots.len);
	if (pr->probe == GO_PROBE_BEHIND)
		print_probe(pr, number, slots);
	go_line(g, "return written");
}

static void print_write(struct printing *pr, unsigned number, const char *elsewhere, const char *sp)
{
	struct go_printer *g = &pr->g;
	const char *slots = pr->slots.len ? "&earshotS[0]" : "nil";

	if (elsewhere)
		go_line(g, "return earshotWriteFor(%s, uintptr(%s), &earshot_p%u, %s, %zu)", elsewhere, sp, number,
		        slots, pr->slots.len);
	else if (pr->probe)
		print_probed(pr, number, slots);
	else
		go_line(g, "return earshotWrite(&earshot_p%u, earshotD, %s, %zu)", number, slots, pr->slots.len);
}

static bool print_body(struct printing *pr, unsigned number)
{
	const struct bound_program *p = pr->g.program;
	struct go_printer *g = &pr->g;
	const char *elsewhere, *sp;

	use(pr, p->filter.root);
	if (!print_filter(g) || !print_elsewhere(pr, &elsewhere, &sp))
		return false;
	for (size_t i = 0; i < p->ncaptures; i++)
		if (!print_capture(pr, i))
			return false;
	if (pr->slots.len > EVENT_MAX_SLOTS) {
		go_refuse(g, "it captures more than %d values", EVENT_MAX_SLOTS);
		return false;
	}
	if (pr->nkept)
		go_line(g, "earshotKeep(0x%" PRIx64 ", &earshotW[0], %zu)", pr->kept->key, pr->nkept);
	else if (pr->kept && pr->kept->forgets)
		go_line(g, "earshotForget(0x%" PRIx64 ")", pr->kept->key);
	print_write(pr, number, elsewhere, sp);
	return true;
}

static int print_params(struct printing *pr, struct buf *out, struct err *err)
{
	size_t n;
	const struct bound_variable *v = variables(pr->g.program, &n);

	for (size_t i = 0; i < n; i++) {
		const char *type = pr->used[i] ? go_type(&pr->g, v[i].type) : NULL;

		if (pr->used[i] && !type)
			return err_set(err, -EINVAL, "%s", pr->g.why);
		pr->types[i] = type ? arena_strdup(pr->arena, type) : NULL;
		if (type)
			buf_printf(out, ", %s %s",
			           go_variable(pr->g.arena, &pr->g.program->variables, variable_op(pr->g.program), i),
			           type);
	}
	return 0;
}

/* What could not be captured and is not optional. */
static int refused(const struct printing *pr, struct err *err)
{
	const struct go_point_left *l = pr->left.len ? &pr->left.data[pr->left.len - 1] : NULL;
	const struct bound_program *p = pr->g.program;

	if (l && !p->captures[l->capture].optional)
		return err_set(err, -EINVAL, "%s: %s", p->captures[l->capture].name, l->why);
	return err_set(err, -EINVAL, "%s", pr->g.why);
}

static int print_function(struct printing *pr, unsigned number, struct buf *out, struct err *err)
{
	struct go_printer *g = &pr->g;
	int r;

	g->indent = 1;
	/* A span's points would lose what only planted ones can capture; what is written is no span's value. */
	for (size_t i = 0; i < g->program->ncaptures; i++)
		g->compares_foreign |= g->program->captures[i].inject != NULL;
	if (!print_body(pr, number))
		return refused(pr, err);
	/* What it reads may be another goroutine's business: the program is not to be blamed for that. */
	buf_printf(out, "\n// %s of %s\n//\n//go:norace\nfunc earshot_f%u(earshotD uintptr",
	           g->program->side == SIDE_RETURN ? "the return" : "the entry", g->program->func, number);
	r = print_params(pr, out, err);
	if (r < 0)
		return r;
	buf_printf(out, ") (written bool) {\n");
	if (pr->slots.len)
		buf_printf(out, "\tvar earshotS [%zu]earshotSlot\n", pr->slots.len);
	if (pr->rooms.len)
		buf_append(out, pr->rooms.data, pr->rooms.len);
	if (pr->nkept)
		buf_printf(out, "\tvar earshotW [%zu]earshotSlot\n", pr->nkept);
	if (g->asks_kept)
		buf_printf(out, "\tvar earshotV [%d]earshotSlot\n\tearshotSaved(0x%" PRIx64 ", &earshotV[0])\n",
		           GO_KEPT_MAX, pr->kept->key);
	buf_append(out, g->out->data, g->out->len);
	buf_str(out, "}\n");
	return 0;
}

int go_points_add(struct go_points *p, unsigned number, const struct bound_program *program,
                  const struct go_kept *kept, enum go_probe probe, struct arena *arena, struct go_point *ret,
                  struct err *err)
{
	_cleanup_(buf_done) struct buf out = {0};
	struct arena work = {0};
	struct printing pr = {.arena = arena, .kept = kept, .probe = probe};
	size_t n, imports = p->file.imports.len;
	int r;

	variables(program, &n);
	pr.used = arena_array(arena, bool, n + 1);
	pr.types = arena_array(arena, const char *, n + 1);
	pr.g = (struct go_printer){
	    .file = &p->file, .program = program, .out = &pr.captures, .arena = &work, .woven = true};
	r = print_function(&pr, number, &out, err);
	if (r >= 0) {
		buf_append(&p->file.body, out.data, out.len);
		*ret = (struct go_point){
		    .used = pr.used, .types = pr.types, .nslots = pr.slots.len, .nleft = pr.left.len};
		ret->slots =
		    pr.slots.len ? arena_memdup(arena, pr.slots.data, pr.slots.len * sizeof(*pr.slots.data)) : NULL;
		ret->left = pr.left.len ? arena_memdup(arena, pr.left.data, pr.left.len * sizeof(*pr.left.data)) : NULL;
	} else {
		p->file.imports.len = imports;
	}
	if (r >= 0 && pr.g.facts.len) {
		ret->facts = arena_memdup(arena, pr.g.facts.data, pr.g.facts.len * sizeof(*pr.g.facts.data));
		ret->nfacts = pr.g.facts.len;
	}
	vec_done(&pr.g.facts);
	vec_done(&pr.slots);
	vec_done(&pr.left);
	buf_done(&pr.captures);
	buf_done(&pr.rooms);
	arena_done(&work);
	return r;
}

struct go_points_mark go_points_mark(const struct go_points *p)
{
	return (struct go_points_mark){p->file.body.len, p->file.imports.len};
}

void go_points_take_back(struct go_points *p, struct go_points_mark mark)
{
	p->file.body.len = mark.text;
	p->file.imports.len = mark.imports;
}

void go_points_print(const struct go_points *p, const char *clause, struct buf *out)
{
	struct arena arena = {0};

	buf_printf(out, "// Woven in by earshot build.\n\npackage %s\n\n", clause);
	for (size_t i = 0; i < p->file.imports.len; i++)
		buf_printf(out, "import %s \"%s\"\n", go_import_name(&p->file, &arena, i), p->file.imports.data[i]);
	buf_printf(out, "\nvar _ unsafe_.Pointer\n");
	go_helpers_print(&p->file, out);
	if (p->file.body.len)
		buf_append(out, p->file.body.data, p->file.body.len);
	arena_done(&arena);
}
