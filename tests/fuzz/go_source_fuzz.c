/*
 * Whatever the bytes are: what is found lies within them and in order, names are what stands there, and the masked copy
 * has the same lines. With all of its functions woven, by the types that it declares, the file has its lines as well.
 */
#include "fuzz/replay.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "weave/go_mask.h"
#include "weave/go_source.h"
#include "weave/points.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_params(const struct go_source *s, const struct go_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check(p[i].at.start <= p[i].at.end && p[i].at.end <= s->len);
		check(p[i].type.start < p[i].type.end && p[i].type.end <= s->len);
		if (p[i].name)
			check(!strncmp(p[i].name, s->text + p[i].at.start, p[i].at.end - p[i].at.start));
	}
}

static void check_function(const struct go_source *s, const struct go_function *f)
{
	check(f->all.start < f->all.end && f->all.end <= s->len);
	check(f->body.start <= f->body.end && f->body.end <= f->all.end);
	if (f->broken)
		return;
	if (f->body.end > f->body.start)
		check(s->text[f->body.start] == '{' && s->text[f->body.end - 1] == '}');
	check_params(s, f->params, f->nparams);
	check_params(s, f->results, f->nresults);
}

static size_t lines_of(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

/* s becomes the package's. */
static void weave(struct go_source *s)
{
	struct weave_package p = {.path = "x", .name = s->package, .nfiles = 1};
	struct span_question questions[2];
	struct weave_wanted wanted = {.spans = questions, .nspans = 2};
	_cleanup_(buf_done) struct buf out = {0};
	struct weave_file *f;

	check(!span_question_parse("x.*", &p.arena, &questions[0], NULL));
	check(!span_question_parse("main.*", &p.arena, &questions[1], NULL));
	f = p.files = arena_array(&p.arena, struct weave_file, 1);
	*f = (struct weave_file){.path = "/nowhere/x.go", .source = s};
	buf_append(&f->text, s->text, s->len);
	if (!weave_points(&p, &wanted, NULL) && f->edits.all.len) {
		check(go_edits_apply(&f->edits, f->path, f->text.data, f->text.len, &out));
		check(lines_of(out.data, out.len) == lines_of(s->text, s->len) + 1);
		check(p.added.len == 1);
	}
	weave_package_done(&p);
}

static void check_lines(const uint8_t *data, size_t size, const char *copy)
{
	for (size_t i = 0; i < size; i++)
		check((copy[i] == '\n') == (data[i] == '\n'));
}

/* There is nothing in a gap. */
static void check_outline(const uint8_t *data, size_t size, char *copy)
{
	go_heads heads = {0};
	go_gaps gaps = {0};
	uint32_t at = 0;

	go_mask_outline((const char *)data, size, copy, &heads, &gaps);
	check_lines(data, size, copy);
	for (size_t i = 0; i < gaps.len; i++) {
		check(gaps.data[i].start >= at && gaps.data[i].start < gaps.data[i].end && gaps.data[i].end <= size);
		for (at = gaps.data[i].start; at < gaps.data[i].end; at++)
			check(isspace((unsigned char)copy[at]));
	}
	vec_done(&heads);
	vec_done(&gaps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct go_source *s = NULL;
	char *copy = malloc(size ? size : 1);

	go_mask((const char *)data, size, copy);
	check_lines(data, size, copy);
	check_outline(data, size, copy);
	free(copy);
	if (go_source_parse((const char *)data, size, &s, NULL))
		return 0;
	for (size_t i = 0; i < s->nfunctions; i++) {
		check_function(s, &s->functions[i]);
		go_function_read(s, &s->functions[i]);
		check_function(s, &s->functions[i]);
		check(!i || s->functions[i - 1].all.end <= s->functions[i].all.start);
	}
	for (size_t i = 0; i < s->ntypes; i++)
		check(s->types[i].type.end <= s->len);
	check(!s->nmissing == !s->missing);
	weave(s);
	return 0;
}
