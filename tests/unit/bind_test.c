/*
 * Binding and the printing of Go, over types that come from no binary: a few structs that the test describes itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe/bind/bind.h"
#include "probe/bind/print_go.h"

/* ---- types ---- */

#define PREDECLARED(k, text, bytes) {.name = text, .kind = k, .size = bytes}
static struct type types[] = {
    PREDECLARED(KIND_INT, "int", 8),
    PREDECLARED(KIND_INT8, "int8", 1),
    PREDECLARED(KIND_UINT64, "uint64", 8),
    PREDECLARED(KIND_STRING, "string", 0),
    PREDECLARED(KIND_BOOL, "bool", 1),
    PREDECLARED(KIND_FLOAT64, "float64", 8),
    PREDECLARED(KIND_INTERFACE, "error", 0),
    PREDECLARED(KIND_INTERFACE, "interface {}", 0),
    {.name = "shop.User", .package = "shop", .named = true, .kind = KIND_STRUCT},
    {.name = "shop.Order", .package = "shop", .named = true, .kind = KIND_STRUCT},
    {.name = "bank.account", .package = "bank", .named = true, .kind = KIND_STRUCT},
    {.name = "*shop.User", .kind = KIND_POINTER, .size = 8, .elem = &types[8]},
    {.name = "*shop.Order", .kind = KIND_POINTER, .size = 8, .elem = &types[9]},
    {.name = "*bank.account", .kind = KIND_POINTER, .size = 8, .elem = &types[10]},
    {.name = "[]shop.Order", .kind = KIND_SLICE, .elem = &types[9]},
    {.name = "map[string]int", .kind = KIND_MAP, .size = 8, .key = &types[3], .elem = &types[0]},
    {.name = "time.Duration", .package = "time", .named = true, .kind = KIND_INT64, .size = 8},
    PREDECLARED(KIND_UNSAFE_POINTER, "unsafe.Pointer", 8),
    {.name = "[0]*shop.Order", .kind = KIND_ARRAY, .elem = &types[12]},
    {.name = "sync/atomic.Pointer[shop.Order]", .package = "sync/atomic", .named = true, .kind = KIND_STRUCT},
    {.name = "shop.raw", .package = "shop", .named = true, .kind = KIND_STRUCT},
};

static const struct {
	const char *of, *name, *type;
} fields[] = {{"shop.User", "Name", "string"},         {"shop.User", "Age", "int"},
	      {"shop.User", "orders", "[]shop.Order"}, {"shop.Order", "By", "*shop.User"},
	      {"shop.Order", "Total", "int"},          {"shop.Order", "Any", "interface {}"},
	      {"shop.Order", "Pay", "*bank.account"},  {"bank.account", "balance", "int"},
	      {"shop.User", "last", "sync/atomic.Pointer[shop.Order]"},
	      {"shop.User", "raw", "shop.raw"},
	      {"sync/atomic.Pointer[shop.Order]", "_", "[0]*shop.Order"},
	      {"sync/atomic.Pointer[shop.Order]", "v", "unsafe.Pointer"},
	      {"shop.raw", "n", "int"},
	      {"shop.raw", "v", "unsafe.Pointer"}};

static const struct type *named(struct type_lookup *s, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].name, name))
			return &types[i];
	return NULL;
}

/* A name without a package is of the function's. */
static const struct type *parse(struct type_lookup *s, const char *pkg, const char *text, struct err *err)
{
	size_t stars = strspn(text, "*[]");
	char full[100];
	const struct type *t = named(s, text);

	snprintf(full, sizeof(full), "%.*s%s.%s", (int)stars, text, pkg, text + stars);
	t = t ? t : named(s, full);
	if (!t)
		err_set(err, -ENOENT, "nothing describes %s", text);
	return t;
}

static bool field(struct type_lookup *s, const struct type *t, size_t i, struct type_field *ret)
{
	for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
		if (!strcmp(fields[k].of, t->name) && !i--) {
			*ret = (struct type_field){.name = fields[k].name, .type = named(s, fields[k].type)};
			return true;
		}
	return false;
}

static size_t field_count(struct type_lookup *s, const struct type *t)
{
	struct type_field f;
	size_t n = 0;

	while (field(s, t, n, &f))
		n++;
	return n;
}

static bool find_field(struct type_lookup *s, const struct type *t, const char *name, struct field_path *ret)
{
	struct type_field f;

	for (size_t i = 0; field(s, t, i, &f); i++)
		if (!strcmp(f.name, name)) {
			*ret = (struct field_path){.steps = {f}, .n = 1};
			return true;
		}
	return false;
}

static bool holdable(struct type_lookup *s, const struct type *t)
{
	return true;
}

static int global(struct type_lookup *s, const char *name, struct global *ret, struct err *err)
{
	if (strcmp(name, "shop.limit"))
		return -ENOENT;
	*ret = (struct global){.number = 40, .type = &types[0]};
	return 0;
}

static const struct type_lookup_ops ops = {.parse = parse, .named = named, .field_count = field_count, .field = field,
					   .find_field = find_field, .holdable = holdable, .global = global};
static struct type_lookup lookup = {.ops = &ops};

/* ---- func (o *Order) Add(u *User, n int, small int8, attrs map[string]int, x any) (id int, err error) ---- */

static struct bind_scope scope_at(enum call_side at)
{
	static struct bound_variable params[6], results[2];

	params[0] = (struct bound_variable){.name = "o", .type = named(NULL, "*shop.Order")};
	params[1] = (struct bound_variable){.name = "u", .type = named(NULL, "*shop.User")};
	params[2] = (struct bound_variable){.name = "n", .type = named(NULL, "int")};
	params[3] = (struct bound_variable){.name = "small", .type = named(NULL, "int8")};
	params[4] = (struct bound_variable){.name = "attrs", .type = named(NULL, "map[string]int")};
	params[5] = (struct bound_variable){.name = "x", .type = named(NULL, "interface {}")};
	results[0] = (struct bound_variable){.name = "id", .type = named(NULL, "int")};
	results[1] = (struct bound_variable){.name = "err", .type = named(NULL, "error")};
	return (struct bind_scope){
	    .types = &lookup,
	    .func = "shop.(*Order).Add",
	    .symbol = "shop.(*Order).Add",
	    .at = at,
	    .variables = {.params = params, .nparams = 6, .results = results, .nresults = 2, .has_receiver = true},
	    .known = true,
	    .results_known = true,
	    .traced = true};
}

static const struct bound *bound_at(struct arena *arena, enum call_side at, const char *text)
{
	struct bind_scope scope = scope_at(at);
	struct err err = {0};
	struct expr *e;
	const struct bound *n;

	if (expr_parse(text, arena, &e, &err) || bind_expr(&scope, e, text, arena, &n, &err))
		fail_msg("%s: %s", text, err.text);
	return n;
}

static void refused_at(enum call_side at, const char *text, int code, const char *sentence)
{
	struct bind_scope scope = scope_at(at);
	struct arena arena = {0};
	struct err err = {0};
	struct expr *e;
	const struct bound *n;

	assert_int_equal(expr_parse(text, &arena, &e, &err), 0);
	assert_int_equal(bind_expr(&scope, e, text, &arena, &n, &err), code);
	if (!strstr(err.text, sentence))
		fail_msg("%s gives %s, without %s", text, err.text, sentence);
	arena_done(&arena);
}

static void test_steps(void **state)
{
	struct arena arena = {0};
	const struct bound *n = bound_at(&arena, SIDE_ENTRY, "o.By.Name");

	/* pointers are followed by steps of their own */
	assert_int_equal(n->op, BOUND_FIELD);
	assert_string_equal(n->field.name, "Name");
	assert_int_equal(n->a->op, BOUND_DEREF);
	assert_int_equal(n->a->a->op, BOUND_FIELD);
	assert_int_equal(n->a->a->a->op, BOUND_DEREF);
	assert_int_equal(n->a->a->a->a->op, BOUND_PARAM);
	assert_int_equal(n->a->a->a->a->index, 0);
	assert_string_equal(n->type->name, "string");
	n = bound_at(&arena, SIDE_ENTRY, "u.orders[n].Total");
	assert_int_equal(n->a->op, BOUND_INDEX);
	n = bound_at(&arena, SIDE_ENTRY, "attrs[u.Name]");
	assert_int_equal(n->op, BOUND_KEY);
	n = bound_at(&arena, SIDE_ENTRY, "x.(*Order).Total");
	assert_int_equal(n->a->a->op, BOUND_ASSERT);
	assert_string_equal(n->a->a->type->name, "*shop.Order");
	arena_done(&arena);
}

/* What an atomic.Pointer points to is in its type; of another unsafe.Pointer nothing is known. */
static void test_atomic_pointer(void **state)
{
	struct arena arena = {0};
	const struct bound *n = bound_at(&arena, SIDE_ENTRY, "u.last.v.Total");

	assert_string_equal(n->type->name, "int");
	assert_string_equal(n->a->type->name, "shop.Order");
	assert_string_equal(n->a->a->type->name, "*shop.Order");
	n = bound_at(&arena, SIDE_ENTRY, "(*u.last.v).Any");
	assert_string_equal(n->type->name, "interface {}");
	refused_at(SIDE_ENTRY, "u.raw.v.Total", -EINVAL, "u.raw.v is an unsafe.Pointer, which has no fields");
	arena_done(&arena);
}

static void test_constants(void **state)
{
	struct arena arena = {0};
	const struct bound *n = bound_at(&arena, SIDE_ENTRY, "1 << 3 | limit - 2 * 4");

	assert_non_null(n->constant);
	assert_int_equal(n->constant->number, 32); /* | and - are of one level in Go */
	n = bound_at(&arena, SIDE_ENTRY, "small == 3");
	assert_int_equal(n->how, COMPARE_SCALARS);
	assert_string_equal(n->b->type->name, "int8");
	n = bound_at(&arena, SIDE_ENTRY, "x == 42");
	assert_int_equal(n->how, COMPARE_INTERFACE);
	assert_string_equal(n->b->held->name, "int");
	arena_done(&arena);
}

static void test_sides(void **state)
{
	struct arena arena = {0};
	struct expr *e;
	struct bind_scope scope = scope_at(SIDE_RETURN);
	struct carried_value carried = {.number = 2, .type = named(NULL, "int")};
	const struct bound *n = bound_at(&arena, SIDE_RETURN, "err != nil");

	assert_int_equal(n->a->op, BOUND_RESULT);
	assert_int_equal(n->a->index, 1);
	n = bound_at(&arena, SIDE_RETURN, "latency > 10ms");
	assert_string_equal(n->a->type->name, "time.Duration");
	refused_at(SIDE_RETURN, "n > 1", -EINVAL, "n is a parameter of shop.(*Order).Add");
	refused_at(SIDE_ENTRY, "id > 1", -EINVAL, "id is a result of");
	refused_at(SIDE_ENTRY, "latency > 1", -EINVAL, "known only where the function returns");
	/* what is carried stands wherever its expression does */
	assert_int_equal(expr_parse("o.Total + n", &arena, (struct expr **)&carried.expr, NULL), 0);
	assert_int_equal(expr_parse("id > o.Total + n", &arena, &e, NULL), 0);
	scope.carried = &carried;
	scope.ncarried = 1;
	assert_int_equal(bind_expr(&scope, e, "", &arena, &n, NULL), 0);
	assert_int_equal(n->b->op, BOUND_CARRIED);
	assert_int_equal(n->b->index, 2);
	arena_done(&arena);
}

static void test_refused(void **state)
{
	refused_at(SIDE_ENTRY, "u.Nam", -EINVAL,
		   "shop.User has no field Nam; did you mean Name? It has Name, Age, orders, last, raw");
	refused_at(SIDE_ENTRY, "o.By.Name.X", -EINVAL, "o.By.Name is a string, which has no fields");
	refused_at(SIDE_ENTRY, "n == \"x\"", -EINVAL, "n is an int, it cannot be compared with a text");
	refused_at(SIDE_ENTRY, "small == 300", -EINVAL, "300 does not fit into an int8");
	refused_at(SIDE_ENTRY, "x.(Nobody)", -EINVAL, "nothing describes Nobody");
	refused_at(SIDE_ENTRY, "attrs[1]", -EINVAL, "cannot be used as a string");
	refused_at(SIDE_ENTRY, "nosuch", -EINVAL,
		   "nosuch is not known here; there are o, recv, u, n, small, attrs, x, id, err, "
		   "goid, caller, latency, stack, func, pid, panicked");
}

/* What the binary says cannot be had is no mistake in the expression. */
static void test_without(void **state)
{
	struct bind_scope scope = scope_at(SIDE_ENTRY);
	struct bound_variable lost = {.name = "lost", .type = &types[0], .why = "nobody knows"};
	const char *one[] = {"o.Nothing", "o.Total", NULL};
	struct capture_item items[2] = {{.name = "total", .alternatives = one}, {.name = "lost"}};
	struct bind_request request = {.items = items, .nitems = 2, .text = "lost"};
	struct bound_program p;
	struct arena arena = {0};
	struct err err = {0};
	struct expr *e;

	scope.variables.params = &lost;
	scope.variables.nparams = 1;
	scope.variables.has_receiver = false;
	assert_int_equal(expr_parse("lost", &arena, &e, NULL), 0);
	items[1].expr = e;
	request.items = &items[1];
	request.nitems = 1;
	assert_int_equal(bind_program(&scope, &request, &arena, &p, &err), 0);
	assert_int_equal(p.captures[0].alternatives[0].why->code, -ENODATA);
	scope = scope_at(SIDE_ENTRY);
	request.items = items;
	assert_int_equal(bind_program(&scope, &request, &arena, &p, &err), 0);
	assert_non_null(p.captures[0].alternatives[0].why);
	assert_int_equal(p.captures[0].alternatives[1].form, CAPTURE_WORD);
	arena_done(&arena);
}

static void test_print_go(void **state)
{
	static const char expected[] =
		"-- shop/earshot_probes.go --\n";
	const char *total[] = {"o.By.Age + n", NULL}, *attr[] = {"attrs[u.Name]", NULL},
		   *money[] = {"o.Pay.balance", NULL};
	struct capture_item items[] = {{.name = "total", .alternatives = total, .when = "o.Total > small"},
				       {.name = "attr", .alternatives = attr},
				       {.name = "money", .alternatives = money}};
	struct bind_request request = {.filter = "n > 3 && x.(*Order).Total != 0", .items = items, .nitems = 3};
	struct bind_scope scope = scope_at(SIDE_ENTRY);
	struct go_files *files = go_files_new();
	struct bound_program p;
	struct arena arena = {0};
	struct buf out = {0};
	struct err err = {0};

	if (bind_program(&scope, &request, &arena, &p, &err))
		fail_msg("%s", err.text);
	go_files_add(files, "order/add", &p);
	go_files_print(files, &out);
	assert_int_equal(strncmp(out.data, expected, strlen(expected)), 0);
	assert_non_null(strstr(out.data, "\npackage shop\n"));
	assert_non_null(strstr(out.data,
			       "func earshot_order_add(earshot earshotProbe, o *Order, u *User, n int, small int8, "
			       "attrs map[string]int, x interface {}) (passes bool) {\n"
			       "\t_1 := (n > 3)\n"
			       "\tif _1 {\n"
			       "\t\t_2, _3 := x.(*Order)\n"
			       "\t\tif !_3 {\n"
			       "\t\t\treturn\n"
			       "\t\t}\n"
			       "\t\tif _2 == nil {\n"
			       "\t\t\treturn\n"
			       "\t\t}\n"
			       "\t\t_1 = (_2.Total != 0)\n"
			       "\t}\n"
			       "\tpasses = _1\n"));
	assert_non_null(strstr(out.data, "\t\tif !(int64(o.Total) > int64(small)) {\n\t\t\treturn\n\t\t}\n"));
	assert_non_null(strstr(out.data, "\t\tearshot.Value(\"total\", (_4.Age + n))\n"));
	assert_non_null(strstr(out.data, "\t\t_5, _6 := attrs[u.Name]\n\t\tif !_6 {\n\t\t\treturn\n\t\t}\n"
					 "\t\tearshot.Value(\"attr\", _5)\n"));
	assert_non_null(strstr(out.data, "\t// without money: the field balance of bank.account is not exported\n"));
	buf_done(&out);
	go_files_free(files);
	arena_done(&arena);
}

/* Writes the Go of one filter to out. */
static void print_filter(const char *filter, struct buf *out)
{
	struct bind_request request = {.filter = filter};
	struct bind_scope scope = scope_at(SIDE_ENTRY);
	struct go_files *files = go_files_new();
	struct bound_program p;
	struct arena arena = {0};
	struct err err = {0};

	if (bind_program(&scope, &request, &arena, &p, &err))
		fail_msg("%s", err.text);
	go_files_add(files, "f", &p);
	buf_reset(out);
	go_files_print(files, out);
	go_files_free(files);
	arena_done(&arena);
}

/* A filter that Go cannot write leaves no steps behind, whose variables nobody would use; a long one is not cut. */
static void test_print_filters(void **state)
{
	struct buf out = {0}, filter = {0};

	print_filter("x.(*Order).Total != 0 && o.Pay.balance != 0", &out);
	assert_non_null(strstr(out.data, "(passes bool) {\n\treturn false // its filter: the field balance of "
					 "bank.account is not exported\n"));
	buf_str(&filter, "n");
	for (int i = 0; i < 80; i++)
		buf_printf(&filter, " + n*10000000000000000%02d", i);
	buf_str(&filter, " > 7");
	print_filter(filter.data, &out);
	assert_non_null(strstr(out.data, " (n * 1000000000000000079)) > 7)\n\tif !passes {\n"));
	buf_done(&filter);
	buf_done(&out);
}

static void test_print_atomic(void **state)
{
	struct buf out = {0};

	print_filter("u.last.v.Total > 3", &out);
	assert_non_null(strstr(out.data, " := u.last.Load()\n"));
	buf_done(&out);
}

/* Go converts no string and no slice: their first word is where they lie. */
static void test_print_addresses(void **state)
{
	struct buf out = {0};

	print_filter("uintptr(u.orders) > 4096", &out);
	assert_non_null(strstr(out.data, " := u.orders\n"));
	assert_null(strstr(out.data, "uintptr(u.orders)"));
	assert_non_null(strstr(out.data, "*(*uintptr)(unsafe_.Pointer(&"));
	print_filter("uintptr(u.Name) > 4096", &out);
	assert_non_null(strstr(out.data, " := u.Name\n"));
	assert_null(strstr(out.data, "uintptr(u.Name)"));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_atomic_pointer),
		cmocka_unit_test(test_constants),
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_print_go),
		cmocka_unit_test(test_print_filters),
		cmocka_unit_test(test_print_atomic),
		cmocka_unit_test(test_print_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
