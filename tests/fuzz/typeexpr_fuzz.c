/* Declared types, then a type in Go syntax, in a binary that describes some. What it accepts has the syntax, too. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "lib/tiny_binary.h"
#include "lib/touch.h"
#include "probe/lang/expr.h"

static struct binary *open_tiny(size_t size)
{
	static struct tiny tiny;

	tiny_build(&tiny, tiny_form(size));
	return tiny_open(&tiny, NULL);
}

static void parse(struct binary *b, const char *text, const struct declared_type *types, size_t n)
{
	const char *const params[] = {"T", "K"};
	const struct type *args[] = {binary_type_parse(b, "", "string", NULL),
				     binary_type_parse(b, "", "*Missing", NULL)};
	struct type_scope scope = {.types = types, .ntypes = n, .params = params, .args = args, .nparams = 2};
	struct err err = {0};
	const struct type *t;
	size_t at = 0;

	binary_declare_types(b, types, n / 2);
	t = binary_type_parse_in(b, "main", &scope, text, &err);
	if (!t && (!err.code || !err.text[0]))
		abort();
	if (!t)
		return;
	if (!t->kind || !t->name || (t->align && t->size % t->align) || type_syntax_check(text, &at, &err))
		abort();
	touch_type(b, t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct declared_type *types;
	struct arena a = {0};
	struct err err = {0};
	struct binary *b = open_tiny(size);
	size_t n, at = 0;
	int pos = 0;
	char *text = malloc(size + 1);

	if (!text || !b)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (declared_types_parse(text, &a, &types, &n, &pos, &err) == 0)
		parse(b, text + pos, types, n);
	else if (!err.text[0])
		abort();
	if (type_syntax_check(text, &at, &err) && at > strlen(text))
		abort();
	binary_free(b);
	arena_done(&a);
	free(text);
	return 0;
}
