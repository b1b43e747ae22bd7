#include "probe/bind/builtin.h"

#include <ctype.h>

#include "probe/bind/binder.h"

static int bind_goid(struct binder *b, const struct expr *e, struct bound **ret)
{
	*ret = bound_new(b, BOUND_GOID, basic_type(KIND_UINT64), e);
	return 0;
}

static int bind_caller(struct binder *b, const struct expr *e, struct bound **ret)
{
	if (b->scope->inlined)
		return fail(b, e, "this call was inlined, so its caller can only be printed and grouped by");
	*ret = bound_new(b, BOUND_CALLER, &code_address_type, e);
	return 0;
}

static int bind_closure(struct binder *b, const struct expr *e, struct bound **ret)
{
	if (b->scope->at != SIDE_ENTRY)
		return fail(b, e, "closure is known only at the entry");
	*ret = bound_new(b, BOUND_CLOSURE, basic_type(KIND_UNSAFE_POINTER), e);
	return 0;
}

static int bind_latency(struct binder *b, const struct expr *e, struct bound **ret)
{
	const struct type *duration = b->types->ops->named(b->types, "time.Duration");

	if (!duration) /* as the packs declare it */
		duration = b->types->ops->parse(b->types, "", "time.Duration", NULL);
	if (b->scope->at != SIDE_RETURN)
		return fail(b, e, "latency is known only where the function returns");
	*ret = bound_new(b, BOUND_LATENCY, duration && duration->kind == KIND_INT64 ? duration : basic_type(KIND_INT64),
			 e);
	return 0;
}

static int bind_func(struct binder *b, const struct expr *e, struct bound **ret)
{
	const char *name = b->scope->func;

	*ret = bound_constant(b, e, (struct constant){.kind = EXPR_STRING, .text = name, .len = strlen(name)});
	return 0;
}

static int bind_stack(struct binder *b, const struct expr *e, struct bound **ret)
{
	*ret = bound_new(b, BOUND_STACK, &stack_type, e);
	return 0;
}

static int bind_pid(struct binder *b, const struct expr *e, struct bound **ret)
{
	(void)ret;
	return fail(b, e, "pid can only be printed and grouped by; processes are chosen with -p and -x");
}

/* Calls that panic never come to their return, and are reported whatever is tested there: here it is false. */
static int bind_panicked(struct binder *b, const struct expr *e, struct bound **ret)
{
	if (b->scope->at != SIDE_RETURN)
		return fail(b, e, "panicked is known only when the call has ended");
	*ret = bound_constant(b, e, (struct constant){.kind = EXPR_BOOL});
	return 0;
}

static int bind_tid(struct binder *b, const struct expr *e, struct bound **ret)
{
	*ret = bound_new(b, BOUND_THREAD, basic_type(KIND_INT), e);
	return 0;
}

static int bind_dictionary(struct binder *b, const struct expr *e, struct bound **ret)
{
	*ret = bound_new(b, BOUND_DICTIONARY, basic_type(KIND_UINTPTR), e);
	return 0;
}

/* In the order in which they are listed to who writes a name that is not there. */
static const struct builtin builtins[] = {
	{"goid", BUILTIN_GOID, SIDE_ENTRY, BUILTIN_SAME, bind_goid},
	{"caller", BUILTIN_CALLER, SIDE_ENTRY, BUILTIN_SAME | BUILTIN_OF_INLINED, bind_caller},
	{"closure", BUILTIN_CLOSURE, SIDE_ENTRY, 0, bind_closure},
	{"latency", BUILTIN_LATENCY, SIDE_RETURN, BUILTIN_TRACED | BUILTIN_NO_RESULT | BUILTIN_ENDS, bind_latency},
	{"stack", BUILTIN_STACK, SIDE_ENTRY, BUILTIN_TRACED, bind_stack},
	{"func", BUILTIN_FUNC, SIDE_NONE, BUILTIN_TRACED | BUILTIN_OF_RECORD | BUILTIN_SAME | BUILTIN_THREADS,
	 bind_func},
	{"pid", BUILTIN_PID, SIDE_ENTRY, BUILTIN_TRACED | BUILTIN_OF_RECORD | BUILTIN_SAME | BUILTIN_THREADS,
	 bind_pid},
	{"tid", BUILTIN_TID, SIDE_ENTRY, BUILTIN_THREADS, bind_tid},
	{"panicked", BUILTIN_PANICKED, SIDE_RETURN,
	 BUILTIN_TRACED | BUILTIN_OF_RECORD | BUILTIN_SAME | BUILTIN_NO_RESULT | BUILTIN_ENDS, bind_panicked},
	{"recv", BUILTIN_RECV, SIDE_ENTRY, BUILTIN_OF_SIGNATURE, NULL},
	{"err", BUILTIN_ERR, SIDE_RETURN, BUILTIN_OF_SIGNATURE, NULL},
	{"arg", BUILTIN_ARG, SIDE_ENTRY, BUILTIN_OF_SIGNATURE | BUILTIN_NUMBERED, NULL},
	{"ret", BUILTIN_RET, SIDE_RETURN, BUILTIN_OF_SIGNATURE | BUILTIN_NUMBERED, NULL},
	{"saved", BUILTIN_SAVED, SIDE_ENTRY, 0, NULL},
	{DICTIONARY_NAME, BUILTIN_DICTIONARY, SIDE_ENTRY, 0, bind_dictionary},
};

const struct builtin *builtin_at(unsigned i)
{
	return i < ARRAY_SIZE(builtins) ? &builtins[i] : NULL;
}

const struct builtin *builtin_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtins); i++) {
		const struct builtin *t = &builtins[i];
		size_t n = strlen(t->name);

		if (t->flags & BUILTIN_NUMBERED ? !strncmp(name, t->name, n) && isdigit((unsigned char)name[n])
						: !strcmp(name, t->name))
			return t;
	}
	return NULL;
}

bool builtin_is(const char *name, enum builtin_name id)
{
	const struct builtin *t = builtin_find(name);

	return t && t->id == id;
}
