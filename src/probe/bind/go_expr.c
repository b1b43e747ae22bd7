/*
 * A bound tree as Go: lines for each step that may not be possible, which return from the function around the capture,
 * and an expression that can do nothing wrong behind them.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "event/event.h"
#include "probe/bind/go_printer.h"

const char *go_refuse(struct go_printer *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->why, sizeof(g->why), fmt, ap);
	va_end(ap);
	return NULL;
}

void go_line(struct go_printer *g, const char *fmt, ...)
{
	va_list ap;

	for (int i = 0; i < g->indent; i++)
		buf_char(g->out, '\t');
	va_start(ap, fmt);
	buf_vprintf(g->out, fmt, ap);
	va_end(ap);
	buf_char(g->out, '\n');
}

static const char *new_name(struct go_printer *g)
{
	return arena_printf(g->arena, "_%u", ++g->temps);
}

static bool is_name(const char *e)
{
	while (isalnum((unsigned char)*e) || *e == '_')
		e++;
	return !*e;
}

const char *go_temp(struct go_printer *g, const char *e)
{
	const char *name;

	if (!e || is_name(e))
		return e;
	name = new_name(g);
	go_line(g, "%s := %s", name, e);
	return name;
}

/* Here the step cannot be taken. */
static void stop_if(struct go_printer *g, enum slot_status status, const char *condition)
{
	go_line(g, "if %s {", condition);
	if (g->slot && status)
		go_line(g, "\t%s.status = %d // %s", g->slot, status, slot_status_text(status));
	go_line(g, "\treturn");
	go_line(g, "}");
}

#define STOP_IF(g, status, ...) stop_if(g, status, arena_printf((g)->arena, __VA_ARGS__))

/* ---- constants ---- */

static const char *quoted(struct arena *arena, const char *text, size_t len)
{
	_cleanup_(buf_done) struct buf out = {0};

	buf_printf(&out, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			buf_printf(&out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			buf_printf(&out, "\\x%02x", c);
		else
			buf_printf(&out, "%c", c);
	}
	buf_printf(&out, "\"");
	return arena_strdup(arena, out.data);
}

static const char *constant_text(struct go_printer *g, const struct constant *k)
{
	switch (k->kind) {
	case EXPR_INT:
		return k->big ? arena_printf(g->arena, "%" PRIu64, (uint64_t)k->number)
			      : arena_printf(g->arena, k->number < 0 ? "(%" PRId64 ")" : "%" PRId64, k->number);
	case EXPR_FLOAT:
		return arena_printf(g->arena, "float64(%.17g)", k->real);
	case EXPR_STRING:
		return quoted(g->arena, k->text, k->len);
	case EXPR_BOOL:
		return k->number ? "true" : "false";
	default:
		return "nil";
	}
}

/* As a value that has a type by itself. */
static const char *typed(struct go_printer *g, const struct bound *n, const char *e)
{
	const struct type *t = n->type ? n->type : n->held;
	const char *name = e && n->constant && t ? go_type(g, t) : NULL;

	if (!e || !n->constant || !t)
		return e;
	return name ? arena_printf(g->arena, "%s(%s)", name, e) : NULL;
}

/* ---- variables ---- */

/* What Go itself calls so, and what is printed may want: a variable must not hide it. */
static bool is_predeclared(const char *name)
{
	static const char *const all[] = {
	    "any",     "append",  "bool", "byte",   "cap",   "complex128", "complex64", "error",  "false",
	    "float32", "float64", "int",  "int16",  "int32", "int64",      "int8",      "len",    "make",
	    "new",     "nil",     "rune", "string", "true",  "uint",       "uint16",    "uint32", "uint64",
	    "uint8",   "uintptr",
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(name, all[i]))
			return true;
	return false;
}

const char *go_variable(struct arena *arena, const struct bound_variables *v, enum bound_op op, size_t i)
{
	const struct bound_variable *all = op == BOUND_PARAM    ? v->params
					   : op == BOUND_RESULT ? v->results
								: v->captured;
	size_t skip = op == BOUND_PARAM && v->has_receiver ? 1 : 0;
	const char *name = all[i].name;

	if (name && *name && strcmp(name, "_") && is_name(name))
		return is_predeclared(name) ? arena_printf(arena, "earshot_%s", name) : name;
	if (i < skip)
		return "recv";
	return arena_printf(arena, "%s%zu",
			    op == BOUND_RESULT  ? "ret"
			    : op == BOUND_PARAM ? "arg"
						: "captured",
			    i - skip);
}

/* ---- what the package cannot name ---- */

static const char *unsafe_pointer(struct go_printer *g, const char *e)
{
	return arena_printf(g->arena, "%s.Pointer(%s)", go_import(g->file, g->arena, "unsafe"), e);
}

static bool is_nameable(struct go_printer *g, const struct type *t)
{
	size_t imports = g->file->imports.len;
	bool is = go_type(g, t);

	g->file->imports.len = imports;
	return is;
}

const char *go_holder(struct go_printer *g, const struct type *t)
{
	if (!g->woven || is_nameable(g, t))
		return go_type(g, t);
	if (is_pointer_shaped(t))
		return arena_printf(g->arena, "%s.Pointer", go_import(g->file, g->arena, "unsafe"));
	if (t->kind == KIND_INTERFACE && t->has_methods)
		return "interface{ earshotAny() }";
	return type_is_basic(t) ? type_kind_name(t->kind) : go_type(g, t);
}

/* ---- names ---- */

/* What an earlier point has kept, in the slot of its number. A pointer lies where the collector sees it. */
static const char *kept(struct go_printer *g, const struct bound *n)
{
	const char *type = go_holder(g, n->type), *slot = arena_printf(g->arena, "earshotV[%zu]", n->index);

	if (!type)
		return NULL;
	g->asks_kept = true;
	go_line(g, "if %s.status != %d {", slot, SLOT_OK);
	if (g->slot)
		go_line(g, "\t%s.status = %s.status", g->slot, slot);
	go_line(g, "\treturn");
	go_line(g, "}");
	if (n->type->kind == KIND_BOOL)
		return arena_printf(g->arena, "(%s.value != 0)", slot);
	if (!is_pointer_shaped(n->type))
		return arena_printf(g->arena, "%s(%s.value)", type, slot);
	return arena_printf(g->arena, "(*(*%s)(%s))", type,
	                    unsafe_pointer(g, arena_printf(g->arena, "&%s.text", slot)));
}

static const char *carried(struct go_printer *g, const struct bound *n)
{
	const char *package = go_package_of(g->arena, n->type), *type, *value = new_name(g), *is = new_name(g);

	if (g->woven)
		return kept(g, n);
	if (package && !go_may_import(g, package))
		return go_refuse(g, "it looks into a value of %s, which %s may not import", package, g->file->package);
	type = go_type(g, n->type);
	if (!type)
		return NULL;
	go_line(g, "%s, %s := earshot.Carried(%zu).(%s)", value, is, n->index, type);
	STOP_IF(g, SLOT_ABSENT, "!%s", is);
	return value;
}

/* What the source of the values knows, and woven code does not ask for. */
static const char *asked(struct go_printer *g, const char *call)
{
	return g->woven ? go_refuse(g, "woven code does not know the stack, or how long the call took") : call;
}

static const char *name_of(struct go_printer *g, const struct bound *n)
{
	switch (n->op) {
	case BOUND_PARAM:
	case BOUND_RESULT:
	case BOUND_CAPTURED:
		return go_variable(g->arena, &g->program->variables, n->op, n->index);
	case BOUND_CARRIED:
		return carried(g, n);
	case BOUND_GOID:
		return g->woven ? "earshotGoid()" : "earshot.GoID()";
	case BOUND_CALLER:
		return g->woven ? go_refuse(g, "woven code only compares its caller") : "earshot.Caller()";
	case BOUND_STACK:
		return asked(g, "earshot.Stack()");
	case BOUND_LATENCY:
		return asked(g, arena_printf(g->arena, "%s(earshot.Latency())", go_type(g, n->type)));
	case BOUND_GLOBAL:
		return n->expr->op == EXPR_NAME ? n->expr->text
						: go_refuse(g, "it looks into a variable of another package");
	default:
		return go_refuse(g, "only the machine code has it");
	}
}

/* ---- what the program is told ---- */

/* A number that the program is told, as a variable; unless it has not been yet. Tabs separate the words of text. */
static const char *fact(struct go_printer *g, const char *text)
{
	const char *name = new_name(g);
	size_t i = 0;

	while (i < g->facts.len && strcmp(g->facts.data[i], text))
		i++;
	if (i == g->facts.len)
		vec_push(&g->facts, arena_strdup(g->file->arena, text));
	go_line(g, "%s := earshotKnown(0x%" PRIx64 ")", name, fnv1a(FNV1A_BASIS, text, strlen(text)));
	STOP_IF(g, SLOT_UNREADABLE, "%s == 0", name);
	return name;
}

/* The two words of the interface e, and in ret_is whether it holds t, which the package cannot name. */
static const char *foreign_words(struct go_printer *g, const char *e, const struct type *t, const char **ret_is)
{
	const char *type = fact(g, arena_printf(g->arena, "type\t%s", t->name));
	const char *held = new_name(g), *words = new_name(g);

	go_line(g, "%s := interface{}(%s)", held, e);
	go_line(g, "%s := (*[2]%s.Pointer)(%s)", words, go_import(g->file, g->arena, "unsafe"),
	        unsafe_pointer(g, arena_printf(g->arena, "&%s", held)));
	*ret_is = arena_printf(g->arena, "(uint64(uintptr(%s[0])) == %s)", words, type);
	return words;
}

static const char *address_of(struct go_printer *g, const char *e)
{
	return e ? arena_printf(g->arena, "&%s", e) : NULL;
}

/* x.(T) for such a T: the interface's second word, as a pointer to anything. */
static const char *assert_foreign(struct go_printer *g, const struct bound *n)
{
	const char *e = go_expr(g, n->a), *words, *is;

	if (!e)
		return NULL;
	words = foreign_words(g, e, n->type, &is);
	STOP_IF(g, SLOT_OTHER_TYPE, "!%s", is);
	return arena_printf(g->arena, "%s[1]", words);
}

static const char *pointer(struct go_printer *g, const struct bound *n);

/* Where a field lies that the package may not name: in memory that is behind a pointer. */
static const char *foreign_field(struct go_printer *g, const struct bound *n)
{
	const struct type *t = n->a->type;
	const char *base, *at;

	if (!t->named || !n->type || n->type->kind == KIND_INVALID || strchr(n->type->name, '?'))
		return go_refuse(g, "the field %s of %s is not exported", n->field.name, t->name);
	if (n->a->op == BOUND_DEREF)
		base = pointer(g, n->a->a);
	else if (n->a->op == BOUND_FIELD)
		base = foreign_field(g, n->a);
	else if (n->a->op == BOUND_ASSERT && t->direct_iface) /* the second word is the struct */
		base = address_of(g, assert_foreign(g, n->a));
	else if (n->a->op == BOUND_PARAM || n->a->op == BOUND_RESULT)
		base = arena_printf(g->arena, "&%s", name_of(g, n->a));
	else
		return go_refuse(g, "the field %s of %s is not exported", n->field.name, t->name);
	if (!base)
		return NULL;
	at = fact(g, arena_printf(g->arena, "field\t%s\t%s\t%s", t->name, n->field.name,
	                          type_is_basic(n->type) ? type_kind_name(n->type->kind) : n->type->name));
	return go_temp(g, arena_printf(g->arena, "%s.Pointer(uintptr(%s) + uintptr(%s-1))",
	                               go_import(g->file, g->arena, "unsafe"), unsafe_pointer(g, base), at));
}

static const char *foreign_value(struct go_printer *g, const struct bound *n)
{
	const char *type = go_holder(g, n->type), *at = type ? foreign_field(g, n) : NULL;

	if (at && n->type->kind == KIND_INTERFACE) /* what it holds has none of its methods */
		return arena_printf(g->arena, "interface{}(*(*%s)(%s))", type, at);
	return at ? arena_printf(g->arena, "(*(*%s)(%s))", type, at) : NULL;
}

/* What stands for a pointer of another type only as long as nobody asks for its type, or looks into a map. */
static bool check_nameable(struct go_printer *g, const struct bound *n)
{
	return !n->type || n->constant || is_made_here(n->type) || !g->woven || !is_pointer_shaped(n->type) ||
	       is_nameable(g, n->type);
}

/* ---- steps ---- */

static const char *pointer(struct go_printer *g, const struct bound *n)
{
	const char *p = go_temp(g, go_expr(g, n));

	if (p)
		STOP_IF(g, SLOT_NIL, "%s == nil", p);
	return p;
}

static const char *field(struct go_printer *g, const struct bound *n)
{
	const char *package = n->a->type->package, *base;
	bool atomic = n->type != n->field.type && package && !strcmp(package, "sync/atomic");

	bool hidden = !isupper((unsigned char)*n->field.name) && package && strcmp(package, g->file->package);

	if (g->woven && !atomic && (hidden || !is_nameable(g, n->a->type)))
		return foreign_value(g, n);
	if (!atomic && hidden)
		return go_refuse(g, "the field %s of %s is not exported", n->field.name, n->a->type->name);
	base = n->a->op == BOUND_DEREF ? pointer(g, n->a->a) : go_expr(g, n->a);
	return base ? arena_printf(g->arena, "%s.%s", base, atomic ? "Load()" : n->field.name) : NULL;
}

const char *go_address(struct go_printer *g, const struct bound *n)
{
	const char *package = n->op == BOUND_FIELD ? n->a->type->package : NULL, *base;

	if (n->op != BOUND_FIELD || n->a->op != BOUND_DEREF)
		return go_refuse(g, "it is no field of a struct that a pointer leads to");
	if (!is_nameable(g, n->a->type) ||
	    (!isupper((unsigned char)*n->field.name) && package && strcmp(package, g->file->package) != 0))
		return foreign_field(g, n);
	base = pointer(g, n->a->a);
	return base ? unsafe_pointer(g, arena_printf(g->arena, "&%s.%s", base, n->field.name)) : NULL;
}

static const char *deref(struct go_printer *g, const struct bound *n)
{
	const char *p = check_nameable(g, n->a) ? pointer(g, n->a) : NULL;

	return p ? arena_printf(g->arena, "(*%s)", p) : NULL;
}

static const char *element(struct go_printer *g, const struct bound *n)
{
	bool known = n->a->type->kind == KIND_ARRAY && n->b->constant;
	const char *list = go_expr(g, n->a), *i;

	if (!known)
		list = go_temp(g, list);
	i = list ? go_expr(g, n->b) : NULL;
	if (!i)
		return NULL;
	if (!n->b->constant) {
		i = go_temp(g, i);
		STOP_IF(g, SLOT_RANGE, "uint64(%s) >= uint64(len(%s))", i, list);
	} else if (!known) {
		STOP_IF(g, SLOT_RANGE, "%s >= len(%s)", i, list);
	}
	return arena_printf(g->arena, "%s[%s]", list, i);
}

static const char *key(struct go_printer *g, const struct bound *n)
{
	const char *map = check_nameable(g, n->a) ? go_expr(g, n->a) : NULL, *k = map ? go_expr(g, n->b) : NULL;
	const char *value = new_name(g), *is = new_name(g);

	if (!k)
		return NULL;
	go_line(g, "%s, %s := %s[%s]", value, is, map, k);
	STOP_IF(g, SLOT_NO_KEY, "!%s", is);
	return value;
}

static const char *limit(struct go_printer *g, const struct bound *n, const char *none)
{
	const char *e = n ? go_expr(g, n) : none;

	return e && n && !n->constant ? go_temp(g, arena_printf(g->arena, "int(%s)", e)) : e;
}

static const char *part(struct go_printer *g, const struct bound *n)
{
	bool behind = n->a->op == BOUND_DEREF && n->a->type->kind == KIND_ARRAY;
	const char *list = behind ? pointer(g, n->a->a) : go_expr(g, n->a), *low, *high;

	if (n->a->type->kind != KIND_ARRAY)
		list = go_temp(g, list);
	low = list ? limit(g, n->b, "0") : NULL;
	high = low ? limit(g, n->c, arena_printf(g->arena, "len(%s)", list)) : NULL;
	if (!high)
		return NULL;
	STOP_IF(g, SLOT_RANGE, "%s < 0 || %s > %s || %s > %s(%s)", low, low, high, high,
	     n->a->type->kind == KIND_STRING ? "len" : "cap", list);
	return arena_printf(g->arena, "%s[%s:%s]", list, low, high);
}

/* x.(T): the value, and whether it is one. */
static bool assert_type(struct go_printer *g, const struct bound *x, const struct type *t, const char **ret,
			const char **ret_is)
{
	const char *e = go_expr(g, x), *type = e ? go_type(g, t) : NULL;

	if (!type)
		return false;
	*ret = *ret ? new_name(g) : "_";
	*ret_is = new_name(g);
	go_line(g, "%s, %s := %s.(%s)", *ret, *ret_is, e, type);
	return true;
}

static const char *asserted(struct go_printer *g, const struct bound *n)
{
	const char *value = "", *is;

	if (g->woven && !is_nameable(g, n->type) && is_pointer_shaped(n->type))
		return assert_foreign(g, n);
	if (g->woven && !is_nameable(g, n->type) && type_is_basic(n->type)) {
		value = assert_foreign(g, n);
		return value ? arena_printf(g->arena, "(*(*%s)(%s))", type_kind_name(n->type->kind), value) : NULL;
	}
	if (!assert_type(g, n->a, n->type, &value, &is))
		return NULL;
	STOP_IF(g, SLOT_OTHER_TYPE, "!%s", is);
	return value;
}

/* ---- functions ---- */

/* A pointer as an address: maps, channels and functions are pointers that Go does not convert. */
static const char *address(struct go_printer *g, const struct bound *n)
{
	const char *e = go_expr(g, n), *name;

	if (!e)
		return NULL;
	if (n->type->kind == KIND_POINTER || n->type->kind == KIND_UNSAFE_POINTER)
		return arena_printf(g->arena, "uintptr(%s)", unsafe_pointer(g, e));
	name = new_name(g);
	go_line(g, "%s := %s", name, e);
	return arena_printf(g->arena, "*(*uintptr)(%s)", unsafe_pointer(g, arena_printf(g->arena, "&%s", name)));
}

static const char *convert(struct go_printer *g, const struct bound *n)
{
	const char *e;

	/* of elements that the package cannot name */
	if (g->woven && n->a->op == BOUND_FIELD && n->a->type && n->a->type->kind == KIND_SLICE &&
	    n->type->kind == KIND_UINTPTR && !is_nameable(g, n->a->type)) {
		e = foreign_field(g, n->a);
		return e ? arena_printf(g->arena, "*(*uintptr)(%s)", e) : NULL;
	}
	if (is_pointer_shaped(n->a->type))
		return address(g, n->a);
	e = go_expr(g, n->a);
	if (e && n->a->type && (n->a->type->kind == KIND_STRING || n->a->type->kind == KIND_SLICE) &&
	    n->type->kind == KIND_UINTPTR) {
		e = go_temp(g, e); /* its first word; unsafe.StringData is newer than the oldest Go */
		return arena_printf(g->arena, "*(*uintptr)(%s)", unsafe_pointer(g, arena_printf(g->arena, "&%s", e)));
	}
	if (e && n->a->type && n->a->type->kind == KIND_INTERFACE) {
		e = go_temp(g, e); /* its second word */
		return arena_printf(g->arena, "(*[2]uintptr)(%s)[1]",
				    unsafe_pointer(g, arena_printf(g->arena, "&%s", e)));
	}
	return e ? arena_printf(g->arena, "%s(%s)", n->type->name, e) : NULL;
}

/* A text in a variable, so that it can be looked at twice. */
static const char *as_text(struct go_printer *g, const struct bound *n, const char *e)
{
	if (!e || n->constant)
		return e;
	return go_temp(g, n->type->kind == KIND_STRING ? e : arena_printf(g->arena, "string(%s)", e));
}

static const char *looks_into(struct go_printer *g, enum text_function f, const char *s, const char *t)
{
	switch (f) {
	case TEXT_PREFIX:
		return arena_printf(g->arena, "(len(%s) >= len(%s) && %s[:len(%s)] == %s)", s, t, s, t, t);
	case TEXT_SUFFIX:
		return arena_printf(g->arena, "(len(%s) >= len(%s) && %s[len(%s)-len(%s):] == %s)", s, t, s, s, t, t);
	default:
		g->file->contains = true;
		return arena_printf(g->arena, "earshotContains(%s, %s)", s, t);
	}
}

/* How the recorder compares a name: earshotCalledBy. 0: the whole of it; 1 + enum text_function. */
static const char *called_by(struct go_printer *g, const struct bound *text, unsigned how)
{
	return arena_printf(g->arena, "earshotCalledBy(%s, %u)",
	                    quoted(g->arena, text->constant->text, text->constant->len), how);
}

static const char *text_call(struct go_printer *g, const struct bound *n)
{
	const char *s = "", *is = NULL, *t, *found;

	if (n->a->type == &code_address_type && g->woven)
		return called_by(g, n->b, n->text + 1);
	if (n->a->type == &code_address_type)
		s = go_temp(g, asked(g, "earshot.Caller()"));
	else if (n->held && !assert_type(g, n->a, n->held, &s, &is))
		return NULL;
	else if (!n->held)
		s = as_text(g, n->a, go_expr(g, n->a));
	t = s ? as_text(g, n->b, go_expr(g, n->b)) : NULL;
	if (!t)
		return NULL;
	found = looks_into(g, n->text, s, t);
	return is ? arena_printf(g->arena, "(%s && %s)", is, found) : found;
}

/* Keys of a map, or what the elements of a list begin with. The text is of small letters. */
static const char *has_name(struct go_printer *g, const struct bound *n)
{
	const char *list = check_nameable(g, n->a) ? go_temp(g, go_expr(g, n->a)) : NULL, *found = new_name(g);
	const char *each = new_name(g), *name;

	if (!list)
		return NULL;
	g->file->named = true;
	name = n->a->type->kind == KIND_MAP
	           ? arena_printf(g->arena, "string(%s)", each)
	           : arena_printf(g->arena, "*(*string)(%s)",
	                          unsafe_pointer(g, arena_printf(g->arena, "&%s[%s]", list, each)));
	go_line(g, "%s := false", found);
	go_line(g, "for %s := range %s {", each, list);
	go_line(g, "\t%s = %s || earshotNamed(%s, %s)", found, found, name,
	        quoted(g->arena, n->b->constant->text, n->b->constant->len));
	go_line(g, "}");
	return found;
}

static const char *literal(struct go_printer *g, const struct bound *n)
{
	_cleanup_(buf_done) struct buf out = {0};
	const char *type = go_type(g, n->type);

	if (!type)
		return NULL;
	buf_printf(&out, "(%s{", type);
	for (size_t i = 0; i < n->nelements; i++) {
		const struct bound_element *x = &n->elements[i];
		const char *e = x->value ? go_expr(g, x->value) : NULL;

		if (x->value && !e)
			return NULL;
		if (e)
			buf_printf(&out, "%s%s%s, ", x->name ? x->name : "", x->name ? ": " : "", e);
	}
	buf_printf(&out, "})");
	return arena_strdup(g->arena, out.data);
}

/* ---- operators ---- */

static const char *logic(struct go_printer *g, const struct bound *n)
{
	const char *a = go_expr(g, n->a), *b, *name;

	if (!a)
		return NULL;
	name = new_name(g);
	go_line(g, "%s := %s", name, a);
	go_line(g, "if %s%s {", n->op == BOUND_OR ? "!" : "", name);
	g->indent++;
	b = go_expr(g, n->b);
	if (b)
		go_line(g, "%s = %s", name, b);
	g->indent--;
	go_line(g, "}");
	return b ? name : NULL;
}

static const char *unary(struct go_printer *g, const struct bound *n, const char *sign)
{
	const char *a = go_expr(g, n->a);

	return a ? arena_printf(g->arena, "(%s%s)", sign, a) : NULL;
}

/* Integers of different types: as one that holds both. */
static const char *wide(struct go_printer *g, const struct bound *n, const char *e)
{
	return n->constant ? e : arena_printf(g->arena, "%s(%s)", type_is_signed(n->type) ? "int64" : "uint64", e);
}

static bool same_type(const struct bound *a, const struct bound *b)
{
	return a->constant || b->constant || !strcmp(a->type->name, b->type->name);
}

static const char *arithmetic(struct go_printer *g, const struct bound *n)
{
	const char *a = go_expr(g, n->a), *b = a ? go_expr(g, n->b) : NULL, *type;

	if (!b)
		return NULL;
	if (strchr("/%", *n->sign) && !n->b->constant) {
		b = go_temp(g, b);
		STOP_IF(g, SLOT_ABSENT, "%s == 0", b);
	}
	if (same_type(n->a, n->b))
		return arena_printf(g->arena, "(%s %s %s)", a, n->sign, b);
	type = go_type(g, n->type);
	return type ? arena_printf(g->arena, "%s(%s %s %s)", type, wide(g, n->a, a), n->sign, wide(g, n->b, b)) : NULL;
}

static const char *shift(struct go_printer *g, const struct bound *n)
{
	const char *a = typed(g, n->a, go_expr(g, n->a)), *b = a ? go_expr(g, n->b) : NULL;

	if (!b)
		return NULL;
	if (!n->b->constant && type_is_signed(n->b->type)) {
		b = go_temp(g, b);
		STOP_IF(g, SLOT_ABSENT, "%s < 0", b);
	}
	return arena_printf(g->arena, "(%s %s %s)", a, n->sign, b);
}

/* ---- comparisons ---- */

static const char *compare_type(struct go_printer *g, const struct bound *n)
{
	const struct bound *x = n->a->type == &type_word_type ? n->a : n->b, *y = x == n->a ? n->b : n->a;
	const char *value = NULL, *is, *other;
	bool equal = *n->sign == '=';

	is = go_temp(g, go_expr(g, x->a));
	if (!is)
		return NULL;
	STOP_IF(g, SLOT_NIL, "%s == nil", is);
	if (y->type == &type_word_type && g->woven)
		return go_refuse(g, "woven code compares no two types that only the call knows");
	if (y->type == &type_word_type) {
		other = go_temp(g, go_expr(g, y->a));
		return other ? arena_printf(g->arena, "(earshot.SameType(%s, %s) == %s)", is, other,
					    equal ? "true" : "false")
			     : NULL;
	}
	if (!n->held)
		return equal ? "false" : "true";
	if (g->woven && !is_nameable(g, n->held))
		foreign_words(g, is, n->held, &is);
	else if (!assert_type(g, x->a, n->held, &value, &is))
		return NULL;
	return equal ? is : arena_printf(g->arena, "!%s", is);
}

static const char *compare_asserted_nil(struct go_printer *g, const struct bound *n)
{
	const struct bound *x = is_const(n->b, EXPR_NIL) ? n->a : n->b;
	const char *value = "", *is;

	if (g->woven && x->type->kind == KIND_POINTER && !is_nameable(g, x->type)) {
		const char *e = go_expr(g, x->a);

		if (!e)
			return NULL;
		value = arena_printf(g->arena, "%s[1]", foreign_words(g, e, x->type, &is));
	} else if (!assert_type(g, x->a, x->type, &value, &is)) {
		return NULL;
	}
	return arena_printf(g->arena, "(%s && %s %s nil)", is, value, n->sign);
}

/* Values whose comparison panics where an interface holds what Go does not compare. */
static const char *compare_by_helper(struct go_printer *g, const struct bound *n, const char *a, const char *b)
{
	const char *equal = new_name(g), *known = new_name(g);

	if (!check_nameable(g, n->a) || !check_nameable(g, n->b))
		return NULL;
	g->file->equal = true;
	go_line(g, "%s, %s := earshotEqual(%s, %s)", equal, known, typed(g, n->a, a), typed(g, n->b, b));
	STOP_IF(g, SLOT_ABSENT, "!%s", known);
	return *n->sign == '=' ? equal : arena_printf(g->arena, "!%s", equal);
}

static const char *compare(struct go_printer *g, const struct bound *n)
{
	const char *a, *b;
	bool pointers;

	if (n->how == COMPARE_TYPE)
		return compare_type(g, n);
	if (n->how == COMPARE_ASSERTED_NIL)
		return compare_asserted_nil(g, n);
	if (n->how == COMPARE_CALLER && g->woven)
		return arena_printf(g->arena, "(%s == %s)",
		                    called_by(g, n->a->type == &code_address_type ? n->b : n->a, 0),
		                    *n->sign == '=' ? "true" : "false");
	a = go_expr(g, n->a);
	b = a ? go_expr(g, n->b) : NULL;
	if (!b)
		return NULL;
	if (n->how == COMPARE_INTERFACE || n->how == COMPARE_PARTS)
		return compare_by_helper(g, n, a, b);
	if (n->how != COMPARE_SCALARS || same_type(n->a, n->b))
		return arena_printf(g->arena, "(%s %s %s)", a, n->sign, b);
	pointers = is_pointer_shaped(n->a->type);
	return arena_printf(g->arena, "(%s %s %s)", pointers ? unsafe_pointer(g, a) : wide(g, n->a, a), n->sign,
			    pointers ? unsafe_pointer(g, b) : wide(g, n->b, b));
}

/* ---- all of it ---- */

static const char *operation(struct go_printer *g, const struct bound *n)
{
	const char *a;

	switch (n->op) {
	case BOUND_FIELD:
		return field(g, n);
	case BOUND_DEREF:
		return deref(g, n);
	case BOUND_INDEX:
		return element(g, n);
	case BOUND_KEY:
		return key(g, n);
	case BOUND_SLICE:
		return part(g, n);
	case BOUND_ASSERT:
		return asserted(g, n);
	case BOUND_TYPEOF: /* who captures it asks for the type */
		a = go_temp(g, go_expr(g, n->a));
		if (a)
			STOP_IF(g, SLOT_NIL, "%s == nil", a);
		return a;
	case BOUND_LEN:
	case BOUND_CAP:
		a = check_nameable(g, n->a) ? go_expr(g, n->a) : NULL;
		return a ? arena_printf(g->arena, "%s(%s)", n->op == BOUND_LEN ? "len" : "cap", a) : NULL;
	case BOUND_CONVERT:
		return convert(g, n);
	case BOUND_TEXT:
		return text_call(g, n);
	case BOUND_HAS_NAME:
		return has_name(g, n);
	case BOUND_LITERAL:
		return literal(g, n);
	case BOUND_NOT:
		return unary(g, n, "!");
	case BOUND_NEGATE:
		return unary(g, n, "-");
	case BOUND_COMPLEMENT:
		return unary(g, n, "^");
	case BOUND_AND:
	case BOUND_OR:
		return logic(g, n);
	case BOUND_ARITHMETIC:
		return arithmetic(g, n);
	case BOUND_SHIFT:
		return shift(g, n);
	case BOUND_COMPARE:
		return compare(g, n);
	default:
		return name_of(g, n);
	}
}

/* The steps alone: Go wants each variable used. */
static bool steps(struct go_printer *g, const struct bound *n)
{
	const char *e = n ? go_expr(g, n) : NULL;

	if (e && !n->constant)
		go_line(g, "_ = %s", e);
	return e || !n;
}

/* Known without a look; what it comes from may fail for all that. */
static bool operands(struct go_printer *g, const struct bound *n)
{
	return steps(g, n->a) && steps(g, n->b) && steps(g, n->c);
}

const char *go_expr(struct go_printer *g, const struct bound *n)
{
	if (!n->constant)
		return operation(g, n);
	return operands(g, n) ? constant_text(g, n->constant) : NULL;
}
