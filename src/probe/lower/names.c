#include "probe/lower/compiler.h"

#include <ctype.h>
#include <string.h>

#include "probe/lang/nearest.h"

enum { MAX_NAMES = 64 };

struct name_list {
	const char *names[MAX_NAMES];
	size_t n;
};

static void add_name(struct name_list *l, const char *name)
{
	if (l->n < MAX_NAMES && *name)
		l->names[l->n++] = name;
}

const char *func_package(struct compiler *c)
{
	return package_of(c->arena, c->scope->func->symbol);
}

const char *package_of(struct arena *arena, const char *name)
{
	const char *slash = name, *dot;
	size_t n = strcspn(name, "([");

	for (const char *p = name; p < name + n; p++)
		if (*p == '/')
			slash = p;
	dot = strchr(slash, '.');
	if (dot && (size_t)(dot - name) < n)
		n = (size_t)(dot - name);
	return func_name_unescape(arena, name, n);
}

/* The parameters at an entry, the results at a return; without the receiver. */
static const struct param *visible(const struct capture_scope *s, size_t *ret_n)
{
	size_t skip = s->signature->has_receiver ? 1 : 0;

	if (s->at == SITE_RETURN) {
		*ret_n = s->signature->nresults;
		return s->signature->results;
	}
	*ret_n = s->signature->nparams > skip ? s->signature->nparams - skip : 0;
	return s->signature->params + skip;
}

static const struct param *find_named(const struct param *params, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (params[i].name && *params[i].name && !strcmp(params[i].name, name))
			return &params[i];
	return NULL;
}

/* arg0…, ret0… */
static const struct param *find_numbered(const struct param *params, size_t n, const char *prefix,
					 const char *name)
{
	char *end;
	unsigned long i;

	if (strncmp(name, prefix, 3) || !isdigit((unsigned char)name[3]))
		return NULL;
	i = strtoul(name + 3, &end, 10);
	return !*end && i < n ? &params[i] : NULL;
}

static const struct param *find_param(const struct capture_scope *s, const char *name)
{
	size_t n;
	const struct param *params = visible(s, &n), *hit;
	bool at_return = s->at == SITE_RETURN;

	hit = find_named(params, n, name);
	if (!hit && !at_return && s->signature->has_receiver && s->signature->nparams &&
	    (!strcmp(name, "recv") || find_named(s->signature->params, 1, name)))
		hit = &s->signature->params[0];
	if (!hit)
		hit = find_numbered(params, n, at_return ? "ret" : "arg", name);
	if (!hit && at_return && !strcmp(name, "err"))
		for (size_t i = 0; i < n; i++)
			if (params[i].type && !strcmp(params[i].type->name, "error"))
				hit = &params[i];
	return hit;
}

static const struct type *unsigned_of(unsigned size)
{
	return basic_type(size == 1   ? KIND_UINT8
			  : size == 2 ? KIND_UINT16
			  : size == 4 ? KIND_UINT32
				      : KIND_UINT64);
}

static int param_value(struct compiler *c, const struct expr *e, const struct param *p,
		       struct value *ret)
{
	if (p->untyped)
		return fail_unreadable(c, e, "%s", p->untyped);
	if (p->why)
		return fail_unreadable(c, e, "%s cannot be read: %s", e->text, p->why);
	*ret = (struct value){.place = PLACE_PARAM, .type = p->type, .expr = e, .param = p, .dict_word = p->dict_word};
	if (p->type)
		return 0;
	/* all that is known is where it lies: a number is the honest reading of one register */
	if (p->npieces != 1 || p->pieces[0].where == IN_XMM)
		return fail_unreadable(c, e, "the type of %s is not known; declare the function's parameters, "
				       "as in %s(name type, …)", e->text, c->scope->func->name);
	ret->type = unsigned_of(p->pieces[0].where == ON_STACK ? p->pieces[0].bytes
							       : p->pieces[0].size);
	return 0;
}

static void list_side(const struct capture_scope *s, struct arena *arena, struct name_list *l)
{
	size_t n;
	const struct param *params = visible(s, &n);
	bool at_return = s->at == SITE_RETURN;

	if (!at_return && s->signature->has_receiver) {
		add_name(l, s->signature->params[0].name ? s->signature->params[0].name : "");
		add_name(l, "recv");
	}
	for (size_t i = 0; i < n; i++)
		add_name(l, params[i].name && *params[i].name
				    ? params[i].name
				    : arena_printf(arena, "%s%zu", at_return ? "ret" : "arg", i));
}

static void list_visible(const struct capture_scope *s, struct arena *arena, struct name_list *l)
{
	static const char *const of_calls[] = {"latency", "stack", "func", "pid", "panicked"};
	struct capture_scope side = *s;

	if (!s->traced) {
		list_side(s, arena, l);
	} else {
		side.at = SITE_ENTRY;
		list_side(&side, arena, l);
		for (size_t i = 0; i < s->ncaptured; i++)
			if (strcmp(s->captured[i].name, CAPTURE_DICTIONARY))
				add_name(l, s->captured[i].name);
		side.at = SITE_RETURN;
		list_side(&side, arena, l);
	}
	add_name(l, "goid");
	add_name(l, "caller");
	for (size_t i = 0; s->traced && i < ARRAY_SIZE(of_calls); i++)
		add_name(l, of_calls[i]);
}

static const char *joined(struct arena *arena, const struct name_list *l)
{
	struct buf b = {0};
	const char *text;

	for (size_t i = 0; i < l->n && b.len < 220; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", l->names[i]);
	text = arena_strdup(arena, b.data);
	buf_done(&b);
	return text;
}

/* The name belongs to the other side of the call. */
static int wrong_side(struct compiler *c, const struct expr *e)
{
	struct capture_scope other = *c->scope;

	other.at = other.at == SITE_RETURN ? SITE_ENTRY : SITE_RETURN;
	if (!find_param(&other, e->text))
		return 0;
	if (other.at == SITE_RETURN)
		return fail(c, e, "%s is a result of %s: it is known only where the function returns",
			    e->text, c->scope->func->name);
	return fail(c, e, "%s is a parameter of %s: where the function returns, its register holds "
			  "something else", e->text, c->scope->func->name);
}

/* Parameters that the binary tells by position only (it is stripped). */
static bool has_unnamed(const struct signature *s)
{
	for (size_t i = s->has_receiver ? 1 : 0; i < s->nparams; i++)
		if (!s->params[i].type && (!s->params[i].name || !*s->params[i].name))
			return true;
	return !s->sources;
}

static int unknown_name(struct compiler *c, const struct expr *e)
{
	struct name_list l = {0};
	const char *near;
	int r = wrong_side(c, e);

	if (r)
		return r;
	if (c->scope->at == SITE_RETURN && !c->scope->signature->results_known)
		return fail(c, e, "%s is not known here, and what %s returns cannot be seen in the "
				  "binary; declare it: %s(…) (name type)", e->text,
			    c->scope->func->name, c->scope->func->name);
	if (c->scope->traced && c->scope->signature->results_known && !strcmp(e->text, "err"))
		return fail(c, e, "err is the result of type error, and %s has none", c->scope->func->name);
	if (c->scope->traced && has_unnamed(c->scope->signature))
		return fail(c, e, "%s is not known here: the binary does not name the parameters of %s. Declare them, "
				  "as in main.F(user string, n int) (err error), or use arg0, arg1, …", e->text,
			    c->scope->func->name);
	list_visible(c->scope, c->arena, &l);
	near = nearest_name(e->text, l.names, l.n);
	if (near)
		return fail(c, e, "%s is not known here; did you mean %s?", e->text, near);
	return fail(c, e, "%s is not known here; there are %s", e->text, joined(c->arena, &l));
}

static int goid_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t g = reg_new(c);

	emit(c, IR_G)->dst = g;
	*ret = (struct value){.place = PLACE_MEMORY, .type = basic_type(KIND_UINT64), .expr = e,
			      .reg = g, .offset = c->g.goid};
	return 0;
}

const struct type code_address_type = {.name = "code address", .kind = KIND_UNSAFE_POINTER, .size = 8};
const struct type stack_type = {.name = "stack", .kind = KIND_INVALID};

static int caller_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t pc;

	if (c->scope->inlined)
		return fail(c, e, "this call was inlined, so its caller can be printed and grouped by only");
	pc = reg_new(c);
	emit(c, IR_PC_RET)->dst = pc;
	*ret = reg_value(e, pc, KIND_UNSAFE_POINTER);
	if (c->scope->traced)
		ret->type = &code_address_type;
	return 0;
}

static int latency_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const struct type *duration = binary_type(c->binary, "time.Duration");
	uint16_t ns;

	if (!duration) /* as the packs declare it */
		duration = binary_type_parse(c->binary, "", "time.Duration", NULL);
	if (c->scope->at != SITE_RETURN)
		return fail(c, e, "latency is known only where the function returns");
	ns = reg_new(c);
	emit(c, IR_LATENCY)->dst = ns;
	*ret = reg_value(e, ns, KIND_INT64);
	if (duration && duration->kind == KIND_INT64)
		ret->type = duration;
	return 0;
}

static int func_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const char *name = c->scope->func->name;

	*ret = const_value(e, EXPR_STRING, 0);
	ret->text = name;
	ret->len = strlen(name);
	return 0;
}

static int stack_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	(void)c;
	*ret = (struct value){.place = PLACE_REG, .type = &stack_type, .expr = e, .reg = IR_NO_REG};
	return 0;
}

static int pid_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	(void)ret;
	return fail(c, e, "pid can be printed and grouped by only; processes are chosen with -p and -x");
}

/* Calls that panic never come to their return, and are reported whatever is tested there: here it is false. */
static int panicked_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	if (c->scope->at != SITE_RETURN)
		return fail(c, e, "panicked is known only when the call has ended");
	*ret = const_value(e, EXPR_BOOL, 0);
	return 0;
}

/* A closure's variable: in the closure object, to which arch.context points at the entry, or behind a pointer in it. */
static int captured_value(struct compiler *c, const struct expr *e, const struct closure_var *v, struct value *ret)
{
	uint16_t reg;
	struct ir_insn *i;

	if (!v->type)
		return fail_unreadable(c, e, "%s is a variable of the closure whose type is not known", e->text);
	reg = reg_new(c);
	i = emit(c, IR_ARG_REG);
	i->dst = reg;
	i->reg = binary_arch(c->binary)->context;
	*ret = (struct value){.place = PLACE_MEMORY, .type = v->type, .expr = e, .reg = reg, .offset = v->offset,
			      .dict_word = v->dict_word};
	if (v->by_reference) { /* then it is the pointer's type that the dictionary has */
		ret->reg = ir_emit_load(c, reg, v->offset, 8, false);
		ret->offset = 0;
		ret->dict_word = 0;
	}
	return 0;
}

static const struct closure_var *find_captured(const struct capture_scope *s, const char *name)
{
	for (size_t i = 0; s->at == SITE_ENTRY && i < s->ncaptured; i++)
		if (!strcmp(s->captured[i].name, name))
			return &s->captured[i];
	return NULL;
}

/* What a traced call has besides its parameters and results. */
static const struct {
	const char *name;
	int (*value)(struct compiler *c, const struct expr *e, struct value *ret);
} of_call[] = {{"latency", latency_value}, {"stack", stack_value}, {"func", func_value}, {"pid", pid_value},
	       {"panicked", panicked_value}};

bool name_is_known(const struct compiler *c, const char *name)
{
	struct capture_scope side = *c->scope;

	side.at = SITE_ENTRY;
	if (find_param(&side, name) || find_captured(&side, name))
		return true;
	side.at = SITE_RETURN;
	if (find_param(&side, name) || !strcmp(name, "goid") || !strcmp(name, "caller"))
		return true;
	for (size_t i = 0; c->scope->traced && i < ARRAY_SIZE(of_call); i++)
		if (!strcmp(name, of_call[i].name))
			return true;
	return false;
}

int name_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const struct param *p = find_param(c->scope, e->text);
	const struct closure_var *captured = find_captured(c->scope, e->text);

	if (p)
		return param_value(c, e, p, ret);
	if (!strcmp(e->text, CAPTURE_DICTIONARY) && c->scope->signature->dictionary && c->scope->at == SITE_ENTRY) {
		*ret = (struct value){.place = PLACE_PARAM, .type = basic_type(KIND_UINTPTR), .expr = e,
				      .param = c->scope->signature->dictionary};
		return 0;
	}
	if (captured)
		return captured_value(c, e, captured, ret);
	if (!strcmp(e->text, "goid"))
		return goid_value(c, e, ret);
	if (!strcmp(e->text, "caller"))
		return caller_value(c, e, ret);
	for (size_t i = 0; c->scope->traced && i < ARRAY_SIZE(of_call); i++)
		if (!strcmp(e->text, of_call[i].name))
			return of_call[i].value(c, e, ret);
	return is_global(c, e) ? global_value(c, e, ret) : unknown_name(c, e);
}

static const struct saved_value *find_kept(const struct compiler *c, const struct expr *e)
{
	for (size_t i = 0; i < c->scope->nsaved; i++)
		if (c->scope->saved[i].expr && expr_equal(c->scope->saved[i].expr, e))
			return &c->scope->saved[i];
	return NULL;
}

bool is_kept(const struct compiler *c, const struct expr *e)
{
	return find_kept(c, e) != NULL;
}

void kept_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const struct saved_value *saved = find_kept(c, e);
	uint16_t reg = reg_new(c);
	struct ir_insn *i = emit(c, IR_SAVED);

	i->dst = reg;
	i->imm = saved->number;
	*ret = (struct value){.place = PLACE_REG, .type = saved->type, .expr = e, .reg = reg};
}

bool is_saved_name(const struct compiler *c, const struct expr *e)
{
	return e->op == EXPR_FIELD && e->a->op == EXPR_NAME && !strcmp(e->a->text, "saved") &&
	       !find_param(c->scope, "saved");
}

static bool in_filter(const struct compiler *c)
{
	for (size_t i = c->insns.len; i > 0; i--)
		if (c->insns.data[i - 1].op == IR_REGION)
			return c->insns.data[i - 1].slot == IR_SLOT_FILTER;
	return false;
}

int saved_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	const struct saved_value *saved = c->scope->saved;
	struct name_list l = {0};
	uint16_t reg;

	if (in_filter(c))
		return fail(c, e, "a saved value can be used in a capture and its `when`, not in the condition of "
				  "the whole point");
	for (size_t i = 0; i < c->scope->nsaved; i++) {
		struct ir_insn *insn;

		add_name(&l, saved[i].name);
		if (strcmp(saved[i].name, e->text))
			continue;
		reg = reg_new(c);
		insn = emit(c, IR_SAVED);
		insn->dst = reg;
		insn->imm = (int64_t)i;
		*ret = (struct value){.place = PLACE_REG, .type = saved[i].type, .expr = e, .reg = reg};
		return 0;
	}
	return fail(c, e, "no start of this span saves %s%s%s", e->text, l.n ? "; saved are " : "",
		    l.n ? joined(c->arena, &l) : "");
}
