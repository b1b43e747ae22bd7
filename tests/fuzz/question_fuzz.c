/* Questions of trace, functions as spans: any bytes. Columns stay within the text, and what was parsed prints. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "probe/lang/question.h"

static void check_expr(const struct expr *e, const char *text)
{
	struct buf printed = {0};

	if (e->column < 0 || (size_t)e->column > strlen(text))
		abort();
	expr_print(e, &printed);
	buf_done(&printed);
}

static void check(const struct question *q)
{
	if (!q->pattern[0] || (q->ref.declared && q->glob))
		abort();
	if (q->condition)
		check_expr(q->condition, q->text);
	for (size_t i = 0; i < q->nactions; i++) {
		const struct action *a = &q->actions[i];

		if (a->nby > AGG_MAX_KEYS || !strstr(q->text, a->text) || (a->aggregate == AGG_LINEAR && a->step <= 0))
			abort();
		for (size_t k = 0; k < a->nargs; k++)
			check_expr(a->args[k], q->text);
		for (size_t k = 0; k < a->nby; k++)
			check_expr(a->by[k], q->text);
	}
}

static void check_span(const struct span_question *q)
{
	check(&q->function);
	if (!q->when != !q->function.condition || (q->nattributes && !q->chosen))
		abort();
	for (size_t i = 0; i < q->nattributes; i++) {
		check_expr(q->attributes[i].expr, q->function.text);
		if (!q->attributes[i].name[0] || !strstr(q->function.text, q->attributes[i].text))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = {0};
	struct err err = {0};
	struct span_question span;
	struct question q;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (question_parse(text, &a, &q, &err) == 0)
		check(&q);
	else if (!err.text[0])
		abort();
	err = (struct err){0};
	if (span_question_parse(text, &a, &span, &err) == 0)
		check_span(&span);
	else if (!err.text[0])
		abort();
	arena_done(&a);
	free(text);
	return 0;
}
