/* The text of a point, which whoever reads the program finds in its file. */
#include "weave/points_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"

/* Fields are separated by tabs, lines by newlines: an expression has neither in earnest. Of a sentence that points at a
 * column the first line will do. */
static void add_text(struct buf *out, const char *text)
{
	for (; *text && *text != '\n'; text++)
		buf_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
}

/* Its number in the variant's list, of which whoever reads this has the text; a function that is a span has no such. */
static const char *capture_text(struct points_weaver *w, const struct weaving_point *wp, size_t capture)
{
	const bool own = wp->pack == &w->spans.pack || wp->pack == &w->calls;

	return own ? "-" : arena_printf(&w->package->arena, "%zu", capture);
}

static void add_left(struct buf *out, const char *number, const char *name, const char *why)
{
	buf_printf(out, "left\t%s\t%s\t", number, name);
	add_text(out, why);
	buf_char(out, '\n');
}

static void add_asked(struct buf *out, const char *directive)
{
	buf_str(out, "asked\t");
	add_text(out, directive);
	buf_char(out, '\n');
}

/* The slot that has a variable's value: of an error its type. -1: none. */
static int slot_of_variable(const struct weaving_point *wp, const char *name, bool is_error)
{
	const size_t n = strlen(name);

	for (size_t i = 0; i < wp->printed.nslots; i++) {
		const char *const *texts = wp->variant->captures[wp->printed.slots[i].capture].alternatives;
		const char *text = texts && texts[0] ? texts[0] : "";

		if (is_error ? !strncmp(text, "typeof(", 7) && !strncmp(text + 7, name, n) && !strcmp(text + 7 + n, ")")
		             : !strcmp(text, name))
			return (int)i;
	}
	return -1;
}

static void add_variable(struct points_weaver *w, const struct weaving_point *wp, size_t i, struct buf *out)
{
	const bool returns = wp->variant->at_return;
	const struct bound_variable *v = returns ? &wp->variables.results[i] : &wp->variables.params[i];
	const size_t skip = !returns && wp->variables.has_receiver ? 1 : 0;
	const char *form = v->type && !v->untyped ? woven_form(v->type) : NULL;
	const bool is_error = form && !strcmp(form, "error");
	const char *number = i < skip ? "recv" : arena_printf(&w->package->arena, "%s%zu", returns ? "ret" : "arg",
	                                                      i - skip);
	int slot = form ? slot_of_variable(wp, number, is_error) : -1;

	if (form && slot < 0 && v->name && *v->name)
		slot = slot_of_variable(wp, v->name, is_error);
	if (slot < 0)
		buf_str(out, "var\t-\t");
	else
		buf_printf(out, "var\t%d\t", slot);
	add_text(out, v->name ? v->name : "");
	buf_printf(out, "\t%s\t", slot < 0 ? "" : form);
	add_text(out, v->type && !v->untyped ? v->type->name : "");
	buf_char(out, '\n');
}

/* Each call of the function comes by, so questions can be asked of this point. */
static void add_call(struct points_weaver *w, const struct weaving_point *wp, struct buf *out)
{
	const struct go_function *f = w->functions.data[wp->function].function;
	const size_t n = wp->variant->at_return ? wp->variables.nresults : wp->variables.nparams;

	if ((wp->pack != &w->spans.pack && wp->pack != &w->calls) || wp->span->points[0].variants[0].when || f->generic)
		return;
	buf_printf(out, "call\t%d\n", wp->variables.has_receiver);
	for (size_t i = 0; i < n; i++)
		add_variable(w, wp, i, out);
}

static bool has_point_of(const struct points_weaver *w, const struct refused_point *r)
{
	for (size_t i = 0; i < w->points.len; i++)
		if (w->points.data[i].pack == r->pack && !strcmp(pack_woven_span(w->points.data[i].part), r->span))
			return true;
	return false;
}

/* Any of a span's points tells what the package lacks of it, since the linker drops those that nobody reaches. */
static void add_refused(struct points_weaver *w, const struct weaving_point *wp, struct buf *out)
{
	for (size_t i = 0; i < w->refused.len; i++) {
		const struct refused_point *r = &w->refused.data[i];
		bool own = r->pack == wp->pack && !strcmp(r->span, pack_woven_span(wp->part));

		if (!own && (wp != w->points.data || has_point_of(w, r)))
			continue;
		buf_printf(out, "refused\t%s\t%s\t%s\t%s\t", r->pack->name, r->span, r->point, r->func);
		add_text(out, r->why);
		buf_char(out, '\n');
	}
}

static void describe(struct points_weaver *w, const struct weaving_point *wp, struct buf *out)
{
	const struct pack_variant *v = wp->variant;

	buf_printf(out, "earshot.woven.1\npoint\t%s\t%s\t%s\t%zu\t%s\t%s\npack\t%016" PRIx64 "\n", wp->pack->name,
	           pack_woven_span(wp->part), wp->point->name, (size_t)(v - wp->point->variants),
	           v->at_return ? "return" : "entry", wp->func, wp->pack->hash);
	for (size_t i = 0; i < wp->printed.nslots; i++) {
		const struct go_point_slot *s = &wp->printed.slots[i];

		buf_printf(out, "slot\t%s\t%s\t%s\n", capture_text(w, wp, s->capture), s->kind,
		           wp->program.captures[s->capture].name);
	}
	for (size_t i = 0; i < wp->printed.nfacts; i++)
		buf_printf(out, "need\t%s\n", wp->printed.facts[i]);
	for (size_t i = 0; i < wp->printed.nleft; i++) {
		const struct go_point_left *l = &wp->printed.left[i];

		if (strcmp(l->why, POINT_NOT_WANTED) != 0)
			add_left(out, capture_text(w, wp, l->capture), wp->program.captures[l->capture].name,
			         l->why);
	}
	if (wp->pack == &w->spans.pack && w->spans.directives[wp->span - wp->pack->spans])
		add_asked(out, w->spans.directives[wp->span - wp->pack->spans]);
	add_call(w, wp, out);
	add_refused(w, wp, out);
	buf_str(out, "end\n");
}

void point_print_variable(struct points_weaver *w, const struct weaving_point *wp, size_t number)
{
	_cleanup_(buf_done) struct buf text = {0};
	struct buf *out = &w->variables;

	describe(w, wp, &text);
	buf_printf(out, "\nvar earshot_p%zu = earshotPoint{kind: %d, key: 0x%" PRIx64 ", text: \"", number,
	           wp->variant->at_return, fnv1a(FNV1A_BASIS, text.data, text.len));
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '\n')
			buf_str(out, "\\n\" +\n\t\"");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_char(out, (char)c);
	}
	buf_str(out, "\"}\n");
}
