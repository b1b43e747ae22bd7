#include "probe/pack/pack_summary.h"

#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "probe/lang/expr.h"

struct parser {
	const char *text;          /* of the part */
	const char *at;
	struct arena *arena;
	struct err *err;
	struct summary *summary;
	VEC(struct summary_item) items;
	unsigned group, ngroups;   /* group: that is open, or 0 */
	bool whole;                /* what was read is a part of its own */
	bool error;
};

static int refuse(struct parser *p, const char *where, const char *sentence)
{
	return err_at_column(p->err, -EINVAL, p->text, (int)(where - p->text), "%s", sentence);
}

static void add_item(struct parser *p, enum summary_op op, const char *s, size_t len, bool dim)
{
	struct summary_item item = {.op = op, .text = arena_strndup(p->arena, s, len), .dim = dim, .group = p->group};

	vec_push(&p->items, item);
}

/* What stands in { } behind a colon. */
static int read_word(struct parser *p, const char *name, size_t len, const char *word, size_t word_len)
{
	static const char *const words[] = {"dim", "size", "status"};
	size_t i = 0;

	while (i < ARRAY_SIZE(words) && (strlen(words[i]) != word_len || memcmp(words[i], word, word_len)))
		i++;
	if (i == ARRAY_SIZE(words))
		return refuse(p, word, "after the colon one of dim, size and status is expected");
	if (i < 2) {
		add_item(p, i ? SUMMARY_SIZE : SUMMARY_ATTRIBUTE, name, len, true);
		return 0;
	}
	if (p->summary->status)
		return refuse(p, name, "the status column shows one attribute, and another part names one");
	p->summary->status = arena_strndup(p->arena, name, len);
	p->whole = true;
	return 0;
}

static int read_attribute(struct parser *p)
{
	const char *open = p->at, *name = open + 1, *close = name + strcspn(name, "{}[]");
	const char *colon = memchr(name, ':', (size_t)(close - name));
	size_t len = (size_t)((colon ? colon : close) - name);

	if (*close != '}')
		return refuse(p, open, "this { has no } behind its attribute");
	if (!len)
		return refuse(p, name, "the name of an attribute is expected here");
	p->at = close + 1;
	if (colon)
		return read_word(p, name, len, colon + 1, (size_t)(close - colon - 1));
	p->error = len == strlen("error") && !memcmp(name, "error", len);
	p->whole |= p->error;
	if (!p->error)
		add_item(p, SUMMARY_ATTRIBUTE, name, len, false);
	return 0;
}

static bool shows_attribute(const struct parser *p, unsigned group)
{
	for (size_t i = 0; i < p->items.len; i++)
		if (p->items.data[i].group == group && p->items.data[i].op != SUMMARY_TEXT)
			return true;
	return false;
}

static int read_bracket(struct parser *p)
{
	const char *at = p->at++;

	if (*at == '[') {
		if (p->group)
			return refuse(p, at, "a [ cannot stand within [ ]");
		if (p->ngroups == SUMMARY_GROUPS)
			return refuse(p, at, "a part has no more than four [ ]");
		p->group = ++p->ngroups;
		return 0;
	}
	if (!p->group)
		return refuse(p, at, "this ] has no [ before it");
	if (!shows_attribute(p, p->group))
		return refuse(p, at, "without an attribute in the [ ], nothing says when it is shown");
	p->group = 0;
	return 0;
}

static int read_item(struct parser *p)
{
	size_t len = strcspn(p->at, "{}[]");

	if (*p->at == '{')
		return read_attribute(p);
	if (*p->at == '[' || *p->at == ']')
		return read_bracket(p);
	if (*p->at == '}')
		return refuse(p, p->at, "this } has no { before it");
	add_item(p, SUMMARY_TEXT, p->at, len, false);
	p->at += len;
	return 0;
}

static void dim_texts(struct parser *p)
{
	struct summary_item *items = p->items.data;

	for (size_t i = p->items.len; i-- > 0;)
		if (items[i].op == SUMMARY_TEXT)
			items[i].dim = i + 1 < p->items.len ? items[i + 1].dim : i && items[i - 1].dim;
}

static int read_part(struct parser *p, struct summary_part *ret)
{
	int r = 0;

	p->at = p->text;
	p->items.len = p->group = p->ngroups = 0;
	p->whole = p->error = false;
	while (!r && *p->at) {
		r = read_item(p);
		if (!r && p->whole && (p->items.len || p->group || *p->at))
			return refuse(p, p->text, "an {error} or a status is a part of its own");
	}
	if (r)
		return r;
	if (p->group)
		return refuse(p, p->at, "the ] that closes a [ is missing");
	if (!p->whole && !shows_attribute(p, 0))
		return refuse(p, p->text, "without an attribute outside of [ ], nothing says when this part is shown");
	dim_texts(p);
	*ret = (struct summary_part){.n = p->items.len, .is_error = p->error};
	ret->items = arena_memdup(p->arena, p->items.data, p->items.len * sizeof(*p->items.data));
	return 0;
}

int summary_parse(const char *const *texts, struct arena *arena, const struct summary **ret, struct err *err)
{
	struct parser p = {.arena = arena, .err = err, .summary = arena_new(arena, struct summary)};
	struct summary_part *parts;
	bool error = false;
	size_t n = 0;
	int r = 0;

	while (texts[n])
		n++;
	p.summary->parts = parts = arena_array(arena, struct summary_part, n);
	for (size_t i = 0; !r && i < n; i++) {
		struct summary_part *part = &parts[p.summary->n];

		p.text = texts[i];
		r = read_part(&p, part);
		if (!r && error && part->is_error)
			r = refuse(&p, p.text, "another part is {error} already");
		error |= part->is_error;
		p.summary->n += part->n || part->is_error; /* the status has a column of its own */
	}
	vec_done(&p.items);
	if (!r)
		*ret = p.summary;
	return r;
}
