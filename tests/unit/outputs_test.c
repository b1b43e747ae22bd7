/* The table of sinks as the verbs use it: which options they offer, what they open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cmd/outputs.h"
#include "sink/kinds.h"

static const struct option_group of_spans[] = {{.title = "out", .rows = outputs_span_rows}, {0}};
static const struct option_group of_calls[] = {{.title = "out", .rows = outputs_call_rows}, {0}};

static struct output_options given;
static struct err err;

/* The words of a command line, at most 8; the options are then in given. */
static int parse(const struct option_group *groups, const char *const *words)
{
	char *argv[10] = {"earshot"};
	int argc = 1, rest;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	given = (struct output_options){0};
	err = (struct err){0};
	return options_parse(groups, 0, &given, argc, argv, &rest, &err);
}
#define PARSE(groups, ...) parse(groups, (const char *const[]){__VA_ARGS__, NULL})

static int open_all(unsigned gives, sink_list *ret)
{
	return outputs_open(&given, &(struct sink_setup){.gives = gives}, ret, &err);
}

static void expect_error(unsigned gives, int code, const char *text)
{
	sink_list l = {0};

	assert_int_equal(open_all(gives, &l), code);
	assert_string_equal(err.text, text);
	outputs_close(&l, 0);
}

/* What is open, by name. */
static void expect_open(unsigned gives, const char *const *names)
{
	sink_list l = {0};

	assert_int_equal(open_all(gives, &l), 0);
	for (size_t i = 0; i < l.len; i++)
		assert_string_equal(l.data[i]->ops->name, names[i] ? names[i] : "(none)");
	assert_null(names[l.len]);
	outputs_close(&l, 0);
}
#define EXPECT_OPEN(gives, ...) expect_open(gives, (const char *const[]){__VA_ARGS__ NULL})

static void the_table(void **state)
{
	for (size_t i = 0; sink_kinds[i]; i++) {
		const struct sink_kind *k = sink_kinds[i];

		assert_true(k->takes && !(k->takes & ~(unsigned)(SINK_SPANS | SINK_CALLS)));
		assert_non_null(k->open);
		assert_true(!k->options == !k->options_size);
		if (k->options)
			assert_true(k->options[0].offset == 0 &&
				    (k->options[0].kind == OPT_FLAG || k->options[0].kind == OPT_STRING));
		for (size_t n = 0; n < i; n++)
			assert_string_not_equal(sink_kinds[n]->name, k->name);
	}
}

/* "-o expects line, tree, json or none, …", of the kinds that print, as the table has them. */
static const char *not_a_form(const char *name)
{
	static char text[300];
	size_t n = 0, left = 0;

	for (size_t i = 0; sink_kinds[i]; i++)
		left += sink_kinds[i]->prints;
	n = (size_t)snprintf(text, sizeof(text), "-o expects");
	for (size_t i = 0; sink_kinds[i]; i++)
		if (sink_kinds[i]->prints && left--)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s%s", left ? "" : " or",
					      sink_kinds[i]->name, left > 1 ? "," : "");
	snprintf(text + n, sizeof(text) - n, ", not \"%s\"", name);
	return text;
}

static void forms_by_name(void **state)
{
	assert_int_equal(PARSE(of_spans, "-o", "json"), 0);
	EXPECT_OPEN(SINK_SPANS, "json",);
	assert_int_equal(PARSE(of_spans, "--output=none"), 0);
	EXPECT_OPEN(SINK_SPANS, );
	assert_int_equal(PARSE(of_spans, "-o", "xml"), 0);
	expect_error(SINK_SPANS, -EINVAL, not_a_form("xml"));
	assert_int_equal(PARSE(of_spans, "-o", "otlp"), 0); /* prints nothing */
	expect_error(SINK_SPANS, -EINVAL, not_a_form("otlp"));
	assert_int_equal(PARSE(of_spans, "--json"), -EINVAL);
	assert_int_equal(PARSE(of_spans, "--folded", "/dev/null"), -EINVAL);
	assert_int_equal(PARSE(of_spans, "--perfetto", "/dev/null"), 0);
	EXPECT_OPEN(SINK_SPANS, "line", "perfetto",);
}

static void forms_by_option(void **state)
{
	assert_int_equal(PARSE(of_calls, "-o", "/dev/null"), 0);
	assert_false(outputs_ask_for(&given, "json"));
	EXPECT_OPEN(SINK_CALLS, "line",);
	assert_int_equal(PARSE(of_calls, "-o", "/dev/null", "--graph"), 0);
	assert_true(outputs_ask_for(&given, "tree"));
	assert_int_equal(outputs_needs(&given), SINK_NEEDS_RETURN);
	EXPECT_OPEN(SINK_CALLS, "tree",);
	assert_int_equal(PARSE(of_spans, "-o", "tree"), 0);
	assert_int_equal(outputs_needs(&given), SINK_NEEDS_RETURN);
	assert_int_equal(PARSE(of_calls, "-o", "/dev/null", "--graph", "--json"), 0);
	assert_int_equal(outputs_check(&given, &err), -EINVAL);
	assert_string_equal(err.text, "--json and --graph are two forms of the same output: choose one");
	assert_int_equal(PARSE(of_calls, "-o", "/nonexistent/x"), 0);
	expect_error(SINK_CALLS, -ENOENT, "cannot write to /nonexistent/x: No such file or directory");
	assert_int_equal(PARSE(of_calls, "--otlp", "http://localhost:1"), -EINVAL);
}

static void files_beside_what_prints(void **state)
{
	assert_int_equal(PARSE(of_calls, "-o", "/dev/null", "--json", "--folded", "/dev/null", "--pprof", "/dev/null"),
			 0);
	assert_int_equal(outputs_check(&given, &err), 0);
	assert_int_equal(outputs_needs(&given), SINK_NEEDS_RETURN | SINK_NEEDS_STACK);
	EXPECT_OPEN(SINK_CALLS, "json", "folded", "pprof",);
	assert_int_equal(PARSE(of_calls, "-o", "/dev/null", "--perfetto", "/nonexistent/x"), 0);
	expect_error(SINK_CALLS, -ENOENT, "/nonexistent/x cannot be written: No such file or directory");
}

static void a_collector(void **state)
{
	assert_int_equal(PARSE(of_spans, "-o", "none", "--otlp", "http://127.0.0.1:1", "--otlp-header", "a=b"), 0);
	EXPECT_OPEN(SINK_SPANS, "otlp",);
	options_done(of_spans, &given);
	assert_int_equal(PARSE(of_spans, "-o", "none", "--otlp", "http://127.0.0.1:1", "--otlp-header", "a"), 0);
	expect_error(SINK_SPANS, -EINVAL, "--otlp-header expects NAME=VALUE, not \"a\"");
	options_done(of_spans, &given);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table),		    cmocka_unit_test(forms_by_name),
		cmocka_unit_test(forms_by_option),	    cmocka_unit_test(files_beside_what_prints),
		cmocka_unit_test(a_collector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
