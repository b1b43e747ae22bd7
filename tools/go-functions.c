/*
 * go-functions FILE...: what the weaver finds in Go source, a line for each function, as tests/go/funclist prints them
 * with go/parser. tests/e2e/weave_source.py compares the two. What could not be understood is said on standard error.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "weave/go_source.h"

static void print_params(const struct go_source *s, const struct go_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%s%s@%u-%u%s", i ? "," : "", p[i].name ? p[i].name : "-", p[i].type.start, p[i].type.end,
		       p[i].variadic ? "..." : "");
}

static void print_function(const char *path, const struct go_source *s, const struct go_function *f)
{
	struct arena arena = {0};

	printf("%s\t%s\t%u-%u\t%u-%u\t", path, go_function_name(&arena, f), f->all.start, f->all.end, f->body.start,
	       f->body.end);
	print_params(s, f->params, f->nparams);
	printf("\t");
	print_params(s, f->results, f->nresults);
	printf("\t%s\treturns %u defers %u%s gotos %u labels %u%s%s\n", f->generic ? "generic" : "-", f->returns,
	       f->defers, f->loops_defer ? " loop" : "", f->gotos, f->labels, f->recovers ? " recovers" : "",
	       f->asks_caller ? " caller" : "");
	arena_done(&arena);
}

static int print_file(const char *path)
{
	_cleanup_(buf_done) struct buf text = {0};
	_cleanup_(cleanup_go_source) struct go_source *s = NULL;
	struct err err = {0};

	if (file_read(path, &text, 0) || go_source_parse(text.data ? text.data : "", text.len, &s, &err)) {
		fprintf(stderr, "%s: %s\n", path, err.code ? err.text : "it cannot be read");
		return 1;
	}
	for (size_t i = 0; i < s->nfunctions; i++) {
		go_function_read(s, &s->functions[i]);
		if (s->functions[i].broken)
			fprintf(stderr, "%s: broken\t%s\n", path, s->functions[i].name);
		else
			print_function(path, s, &s->functions[i]);
	}
	if (s->nmissing)
		fprintf(stderr, "%s: missing %zu\t%u: %s\n", path, s->nmissing, s->missing_line, s->missing);
	return 0;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; i < argc; i++)
		rc |= print_file(argv[i]);
	return rc;
}
