#include "probe/bind/print_point.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/event.h"
#include "event/inject.h"
#include "probe/bind/go_printer.h"
#include "probe/inject_form.h"
#include "probe/mark.h"

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
	struct buf rooms;    /* variables of the function: room for chains, pointers out of interfaces */
	const struct go_kept *kept;
	enum go_probe probe;
	size_t nkept;        /* slots of what it keeps for later points */
	struct arena *arena; /* the result's */
	VEC(struct go_point_slot) slots;
	VEC(struct go_point_left) left;
	bool *used, *by_address;
	const char **types;
	struct buf given; /* lines that give the call something else … */
	const char *made; /* … where this slot's value is not 0; or NULL */
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

/* What the recorder takes for that (weave/recorder/sent.go), a slot each, in this order. */
enum inject_slot {
	INJECT_SLOT_CARRIER,
	INJECT_SLOT_FORM,
	INJECT_SLOT_NEEDS,
	INJECT_SLOT_AGAINST,
	INJECT_SLOT_BUFFER,
	INJECT_SLOT_FILLED,
	INJECT_SLOT_BLOCK, /* of what is lent to a call: how many bytes the recorder has made */
	INJECT_SLOT_STREAM,
	INJECT_SLOT_STATE,
	INJECT_SLOTS
};
_Static_assert(INJECT_SLOTS == INJECT_WOVEN_SLOTS, "whoever listens looks for so many");

struct print_inject {
	struct printing *pr;
	const struct bound_inject *x;
	size_t first; /* slot */
};

static const char *slot_of(const struct print_inject *pi, enum inject_slot which)
{
	return arena_printf(pi->pr->g.arena, "earshotS[%zu]", pi->first + which);
}

/* 0 where there is none. */
static bool print_number(struct print_inject *pi, const struct bound *n)
{
	struct go_printer *g = &pi->pr->g;
	const char *e = n ? go_expr(g, n) : NULL;

	if (e)
		print_scalar(g, n->type, e);
	return e || !n;
}

/* What speaks against it, in the order in which planters ask. */
static bool print_against(struct print_inject *pi)
{
	const struct bound_inject *x = pi->x;
	struct go_printer *g = &pi->pr->g;
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
		if (!e)
			continue;
		go_line(g, "if %s.value == 0 && %s {", g->slot, e);
		go_line(g, "\t%s.value = %d", g->slot, all[i].outcome);
		go_line(g, "}");
	}
	return true;
}

static const char *pointer_to(struct go_printer *g, const char *e)
{
	return arena_printf(g->arena, "%s.Pointer(%s)", go_import(g->file, g->arena, "unsafe"), e);
}

/* Where the bytes of the slice in a variable lie, and how many there are. */
static bool print_bytes(struct go_printer *g, const char *e)
{
	if (!e)
		return false;
	go_line(g, "%s.text = *(*%s.Pointer)(%s)", g->slot, go_import(g->file, g->arena, "unsafe"),
	        pointer_to(g, arena_printf(g->arena, "&%s", e)));
	go_line(g, "%s.value = uint64(len(%s))", g->slot, e);
	return true;
}

/* Where a field lies, which may be one of a parameter: of the function's own, then. */
static const char *place_of(struct print_inject *pi, const struct bound *n)
{
	struct printing *pr = pi->pr;
	struct go_printer *g = &pr->g;

	if (n->op != BOUND_FIELD || n->a->op != BOUND_PARAM)
		return go_temp(g, go_address(g, n));
	if (!go_type(g, n->a->type))
		return NULL;
	pr->by_address[n->a->index] = true;
	return go_temp(g, pointer_to(g, arena_printf(g->arena, "&earshotA%zu.%s", n->a->index, n->field.name)));
}

/* How much of the buffer is filled is said elsewhere. */
static bool print_counted(struct print_inject *pi)
{
	const struct bound *filled = pi->x->filled.root;
	struct go_printer *g = &pi->pr->g;
	const char *at;

	if (filled->type->size != 8)
		return go_refuse(g, "what counts as filled is no int");
	g->slot = slot_of(pi, INJECT_SLOT_BUFFER);
	if (!print_bytes(g, go_temp(g, go_expr(g, pi->x->buffer.root))))
		return false;
	g->slot = slot_of(pi, INJECT_SLOT_FILLED);
	at = place_of(pi, filled);
	if (!at)
		return false;
	go_line(g, "%s.value = *(*uint64)(%s)", g->slot, at);
	go_line(g, "%s.text = %s", g->slot, at);
	return true;
}

/* The buffer is filled to its length, and has room up to its capacity. */
static bool print_whole(struct print_inject *pi)
{
	struct go_printer *g = &pi->pr->g;
	const char *at, *words;

	g->slot = slot_of(pi, INJECT_SLOT_BUFFER);
	at = place_of(pi, pi->x->buffer.root);
	if (!at)
		return false;
	words = go_temp(g, arena_printf(g->arena, "(*[3]uint64)(%s)", at));
	go_line(g, "%s.text = *(*%s.Pointer)(%s)", g->slot, go_import(g->file, g->arena, "unsafe"), at);
	go_line(g, "%s.value = %s[2]", g->slot, words);
	go_line(g, "%s.value = %s[1]", slot_of(pi, INJECT_SLOT_FILLED), words);
	go_line(g, "%s.text = %s", slot_of(pi, INJECT_SLOT_FILLED),
	        pointer_to(g, arena_printf(g->arena, "&%s[1]", words)));
	return true;
}

/* ---- what a call is given instead of its own ---- */

static bool lends(const struct bound_inject *x)
{
	return x->form >= INJECT_FORMS;
}

/* Memory for what the recorder makes, in Go as text; nothing is made where something speaks against it. */
static void print_memory(struct print_inject *pi, const char *bytes)
{
	struct go_printer *g = &pi->pr->g;

	buf_str(&pi->pr->rooms, "\tvar earshotL []byte\n");
	go_line(g, "if %s.value != 0 {", slot_of(pi, INJECT_SLOT_AGAINST));
	go_line(g, "\treturn");
	go_line(g, "}");
	go_line(g, "earshotL = make([]byte, %s)", bytes);
	g->slot = slot_of(pi, INJECT_SLOT_FILLED);
	print_bytes(g, "earshotL");
}

static bool print_message(struct print_inject *pi)
{
	const struct bound *n = pi->x->buffer.root;
	struct go_printer *g = &pi->pr->g;
	const char *e = go_expr(g, n);

	g->slot = slot_of(pi, INJECT_SLOT_BUFFER);
	if (!print_bytes(g, e))
		return false;
	print_memory(pi, arena_printf(g->arena, "len(%s)+%d", e, INJECT_MESSAGE_BYTES));
	buf_printf(&pi->pr->given, "\t\t*earshotA%zu = earshotL[:%s.value]\n", n->index,
	           slot_of(pi, INJECT_SLOT_BLOCK));
	return true;
}

/* The list's type, and our header as an element of it. False: refused. */
static bool header_of(struct print_inject *pi, const char **ret_list, const char **ret_header)
{
	const struct bound_inject *x = pi->x;
	struct go_printer *g = &pi->pr->g;
	const char *header;

	if (!x->list_type)
		return go_refuse(g, "%s is no list of headers: a text and a []byte each", x->list);
	*ret_list = go_type(g, x->list_type);
	header = *ret_list ? go_type(g, x->list_type->elem) : NULL;
	*ret_header = arena_printf(g->arena, "%s{%s: \"" INJECT_NAME "\", %s: earshotL}", header, x->header_name,
	                           x->header_value);
	return header;
}

static bool print_record(struct print_inject *pi)
{
	const struct bound *n = pi->x->buffer.root;
	struct go_printer *g = &pi->pr->g;
	const char *header = NULL, *list = NULL, *e = go_expr(g, n);

	if (!e || !header_of(pi, &list, &header))
		return false;
	g->slot = slot_of(pi, INJECT_SLOT_BUFFER);
	go_line(g, "if %s == nil {", e);
	go_line(g, "\treturn");
	go_line(g, "}");
	go_line(g, "if len(%s.%s) > %d && %s.value == 0 {", e, pi->x->list, INJECT_RECORD_HEADERS,
	        slot_of(pi, INJECT_SLOT_AGAINST));
	go_line(g, "\t%s.value = %d", slot_of(pi, INJECT_SLOT_AGAINST), INJECT_TOO_LARGE);
	go_line(g, "}");
	print_memory(pi, arena_printf(g->arena, "%d", MARK_TRACEPARENT));
	buf_printf(&pi->pr->given,
	           "\t\tearshotR := *%s\n"
	           "\t\tearshotR.%s = append(append(make(%s, 0, len(%s.%s)+1), %s.%s...), %s)\n"
	           "\t\t*earshotA%zu = &earshotR\n",
	           e, pi->x->list, list, e, pi->x->list, e, pi->x->list, header, n->index);
	return true;
}

static bool print_lent(struct print_inject *pi)
{
	const struct bound *n = pi->x->buffer.root;

	if (n->op != BOUND_PARAM)
		return go_refuse(&pi->pr->g, "only a parameter can be another one");
	pi->pr->by_address[n->index] = true;
	pi->pr->made = slot_of(pi, INJECT_SLOT_BLOCK);
	return pi->x->form == INJECT_MESSAGE ? print_message(pi) : print_record(pi);
}

/* ---- both ---- */

static bool print_buffer(struct print_inject *pi)
{
	if (lends(pi->x))
		return print_lent(pi);
	return pi->x->filled.root ? print_counted(pi) : print_whole(pi);
}

/* Whether the program has one of its own; without that condition none is written. */
static bool print_state(struct print_inject *pi)
{
	const struct bound *there = pi->x->state_present.root;
	struct go_printer *g = &pi->pr->g;
	const char *e = there ? go_expr(g, there) : NULL;

	if (!e)
		return !there;
	go_line(g, "%s.value = %d", g->slot, INJECT_STATE_WANTED);
	go_line(g, "if %s {", e);
	go_line(g, "\t%s.value = %d", g->slot, INJECT_STATE_THERE);
	go_line(g, "}");
	return true;
}

static bool print_inject_slot(struct print_inject *pi, enum inject_slot which)
{
	struct go_printer *g = &pi->pr->g;

	switch (which) {
	case INJECT_SLOT_FORM:
		go_line(g, "%s.value = %u", g->slot, pi->x->form);
		return true;
	case INJECT_SLOT_CARRIER:
		return print_number(pi, pi->x->carrier.root);
	case INJECT_SLOT_NEEDS:
		return print_number(pi, pi->x->needs.root);
	case INJECT_SLOT_AGAINST:
		return print_against(pi);
	case INJECT_SLOT_BUFFER:
		return print_buffer(pi);
	case INJECT_SLOT_BLOCK:
		return print_number(pi, pi->x->block.root);
	case INJECT_SLOT_STREAM:
		return print_number(pi, pi->x->stream.root);
	case INJECT_SLOT_STATE:
		return print_state(pi);
	default:
		return true;
	}
}

static void use_inject(struct printing *pr, const struct bound_inject *x)
{
	const struct bound_text *const all[] = {&x->carrier, &x->needs,  &x->present, &x->limited, &x->split,
	                                        &x->buffer,  &x->filled, &x->block,   &x->stream,  &x->state_present};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		use(pr, all[i]->root);
}

/* What cannot be looked at leaves its slot, and those behind it, as they are. */
static bool print_inject(struct printing *pr, size_t number)
{
	const struct bound_capture *c = &pr->g.program->captures[number];
	struct print_inject pi = {pr, c->inject, pr->slots.len};
	struct go_printer *g = &pr->g;
	bool good = !c->alternatives[0].why;

	if (!good)
		go_refuse(g, "%s", c->alternatives[0].why->text);
	go_line(g, "func() { // %s", c->name);
	g->indent++;
	good = good && print_when(g, c->when.root);
	for (unsigned i = 0; good && i < INJECT_SLOTS; i++) {
		g->slot = slot_of(&pi, (enum inject_slot)i);
		good = print_inject_slot(&pi, (enum inject_slot)i);
		go_line(g, "%s.status = %d", slot_of(&pi, (enum inject_slot)i), SLOT_OK);
		vec_push(&pr->slots, ((struct go_point_slot){number, "uint"}));
	}
	g->indent--;
	go_line(g, "}()");
	use(pr, c->when.root);
	use_inject(pr, c->inject);
	if (!good)
		leave(pr, number, g->why);
	return good;
}

/* Which of a foreign package's types there are shows in the program: where one is not held, the next may be. */
static void print_others(struct printing *pr, const struct bound_capture *c, size_t i, const char *kind)
{
	struct go_printer *g = &pr->g;

	for (; i < c->nalternatives; i++) {
		const struct bound_alternative *a = &c->alternatives[i];
		struct go_mark before = mark(g);
		const char *other;

		if (a->why)
			continue;
		go_line(g, "if %s.status != %d {", g->slot, SLOT_OK);
		g->indent++;
		other = try_alternative(pr, c, a);
		g->indent--;
		go_line(g, "}");
		if (other && !strcmp(other, kind))
			use(pr, a->value.root);
		else
			take_back(g, before);
	}
}

/* The first alternative that Go can say. */
static bool print_capture(struct printing *pr, size_t number)
{
	const struct bound_capture *c = &pr->g.program->captures[number];
	const char *why = NULL, *kind;
	const size_t facts = pr->g.facts.len;

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
			if (pr->g.facts.len > facts)
				print_others(pr, c, i + 1, kind);
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

/* Whether the function says that its condition does not hold: then nobody is told of the end, either. */
static bool says_out(const struct printing *pr)
{
	return pr->probe == GO_PROBE_BEHIND && pr->g.program->filter.root && !pr->g.program->goroutine.root;
}

static bool print_filter(struct printing *pr)
{
	struct go_printer *g = &pr->g;
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
	go_line(g, "\treturn%s", says_out(pr) ? " false, true" : "");
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
	go_line(g, "return written%s", says_out(pr) ? ", false" : "");
}

static void print_write(struct printing *pr, unsigned number, const char *elsewhere, const char *sp)
{
	struct go_printer *g = &pr->g;
	const char *slots = pr->slots.len ? "&earshotS[0]" : "nil", *write = pr->made ? "written =" : "return";

	if (elsewhere)
		go_line(g, "%s earshotWriteFor(%s, uintptr(%s), &earshot_p%u, %s, %zu)", write, elsewhere, sp, number,
		        slots, pr->slots.len);
	else if (pr->probe)
		print_probed(pr, number, slots);
	else
		go_line(g, "%s earshotWrite(&earshot_p%u, earshotD, %s, %zu)", write, number, slots, pr->slots.len);
}

static bool print_body(struct printing *pr, unsigned number)
{
	const struct bound_program *p = pr->g.program;
	struct go_printer *g = &pr->g;
	const char *elsewhere, *sp;

	use(pr, p->filter.root);
	if (!print_filter(pr) || !print_elsewhere(pr, &elsewhere, &sp))
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

static const char *variable_name(struct printing *pr, size_t i)
{
	return go_variable(pr->g.arena, &pr->g.program->variables, variable_op(pr->g.program), i);
}

static void print_copies(struct printing *pr, struct buf *out)
{
	size_t n;

	variables(pr->g.program, &n);
	for (size_t i = 0; i < n; i++)
		if (pr->by_address[i])
			buf_printf(out, "\t%s := *earshotA%zu\n\t_ = %s\n", variable_name(pr, i), i,
			           variable_name(pr, i));
}

/* A pointer to what the package cannot name is handed over in an interface. What the parameter is called then. */
static const char *unpacked(struct printing *pr, const char *name, size_t i)
{
	const char *param = arena_printf(pr->g.arena, "earshotI%zu", i), *unsafe;

	unsafe = go_import(pr->g.file, pr->g.arena, "unsafe");
	buf_printf(&pr->rooms, "\t%s := (*[2]%s.Pointer)(%s.Pointer(&%s))[1]\n\t_ = %s\n", name, unsafe, unsafe, param,
	           name);
	return param;
}

static int print_params(struct printing *pr, struct buf *out, struct err *err)
{
	size_t n;
	const struct bound_variable *v = variables(pr->g.program, &n);

	for (size_t i = 0; i < n; i++) {
		const char *name, *type = pr->used[i] ? go_type(&pr->g, v[i].type) : NULL;

		if (!pr->used[i])
			continue;
		name = variable_name(pr, i);
		if (!type && !pr->by_address[i] && pr->g.program->side == SIDE_ENTRY &&
		    v[i].type->kind == KIND_POINTER) {
			type = "interface{}";
			name = unpacked(pr, name, i);
		}
		if (!type)
			return err_set(err, -EINVAL, "%s", pr->g.why);
		pr->types[i] = arena_strdup(pr->arena, type);
		if (pr->by_address[i])
			buf_printf(out, ", earshotA%zu *%s", i, type);
		else
			buf_printf(out, ", %s %s", name, type);
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
	if (!print_body(pr, number))
		return refused(pr, err);
	/* What it reads may be another goroutine's business: the program is not to be blamed for that. */
	buf_printf(out, "\n// %s of %s\n//\n//go:norace\nfunc earshot_f%u(earshotD uintptr",
	           g->program->side == SIDE_RETURN ? "the return" : "the entry", g->program->func, number);
	r = print_params(pr, out, err);
	if (r < 0)
		return r;
	buf_printf(out, ") (written%s bool) {\n", says_out(pr) ? ", out" : "");
	print_copies(pr, out);
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
	if (pr->made)
		buf_printf(out, "\tif %s.value != 0 {\n%s\t}\n\treturn written\n", pr->made, pr->given.data);
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
	pr.by_address = arena_array(arena, bool, n + 1);
	pr.types = arena_array(arena, const char *, n + 1);
	pr.g = (struct go_printer){
	    .file = &p->file, .program = program, .out = &pr.captures, .arena = &work, .woven = true};
	r = print_function(&pr, number, &out, err);
	if (r >= 0) {
		buf_append(&p->file.body, out.data, out.len);
		*ret = (struct go_point){
		    .used = pr.used, .by_address = pr.by_address, .types = pr.types,
		    .nslots = pr.slots.len, .nleft = pr.left.len, .says_out = says_out(&pr)};
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
	buf_done(&pr.given);
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
