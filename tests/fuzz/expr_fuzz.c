/* The expression and function-reference parsers: any bytes; what parses must print and parse again. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "probe/lang/expr.h"

static void check_expr(const char *text, struct arena *a)
{
	struct err err = {0};
	struct buf printed = {0}, again = {0};
	struct expr *e;

	if (expr_parse(text, a, &e, &err) < 0) {
		if (!err.text[0])
			abort();
		return;
	}
	expr_print(e, &printed);
	/* an escaped text may grow over the limit of a source text */
	if (printed.len <= 4096) {
		if (expr_parse(printed.data, a, &e, &err) < 0)
			abort();
		expr_print(e, &again);
		if (strcmp(printed.data, again.data))
			abort();
	}
	buf_done(&printed);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct err err = {0};
	struct func_ref f;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_expr(text, &a);
	if (func_ref_parse(text, &a, &f, &err) < 0 && !err.text[0])
		abort();
	arena_done(&a);
	free(text);
	return 0;
}
