/*
 * The points that a woven file has. Each is described by a text among the file's constants, which is there as long as
 * the function is that uses it, stripped or not. Lines of fields that are separated by tabs:
 *
 *	earshot.woven.1
 *	point   PACK  SPAN  POINT  VARIANT  entry|return  FUNCTION
 *	pack    HASH                          of the pack's text
 *	slot    CAPTURE|-  KIND  NAME         in the order of the record's slots
 *	need    type  TYPE                    what it has to be told: the key is of the line behind its first tab
 *	need    field  TYPE  FIELD  TYPE
 *	asked   FUNCTION …                    the source asks for it, as --span would
 *	call    0|1                           each call comes by; whether it has a receiver
 *	var     SLOT|-  NAME  FORM  TYPE      in order: all that the function is given, or returns
 *	left    CAPTURE|-  NAME  WHY          what could not be captured
 *	refused  PACK  SPAN  POINT  FUNCTION  WHY   another point of the package, which could not be woven
 *	end
 */
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "plant/woven.h"

#define MAGIC "earshot.woven.1\n"
#define TEXT_MAX 65536u
#define LINE_FIELDS 7
#define FIELDS_MAX 4096

struct text_line {                /* split at its tabs */
	const char *field[LINE_FIELDS];
	size_t len[LINE_FIELDS], n;
};

static bool is(const struct text_line *l, size_t i, const char *word)
{
	return i < l->n && l->len[i] == strlen(word) && !memcmp(l->field[i], word, l->len[i]);
}

/* Where the next one begins; NULL: this one does not end, or has too many fields or other bytes than text has. */
static const char *split(const char *p, const char *end, struct text_line *ret)
{
	*ret = (struct text_line){.field[0] = p, .n = 1};
	for (; p < end && *p != '\n'; p++) {
		if ((unsigned char)*p < ' ' && *p != '\t')
			return NULL;
		if (*p != '\t') {
			ret->len[ret->n - 1]++;
		} else {
			if (ret->n == LINE_FIELDS)
				return NULL;
			ret->field[ret->n++] = p + 1;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const char *text_of(struct arena *arena, const struct text_line *l, size_t i)
{
	return arena_strndup(arena, l->field[i], l->len[i]);
}

static bool number_of(const struct text_line *l, size_t i, unsigned *ret)
{
	unsigned n = 0;

	if (!l->len[i] || l->len[i] > 4)
		return false;
	for (size_t k = 0; k < l->len[i]; k++) {
		if (l->field[i][k] < '0' || l->field[i][k] > '9')
			return false;
		n = n * 10 + (unsigned)(l->field[i][k] - '0');
	}
	*ret = n;
	return true;
}

static bool take_point(struct arena *arena, const struct text_line *l, struct woven_point *p)
{
	if (l->n != 7 || p->func || !number_of(l, 4, &p->variant) || (!is(l, 5, "entry") && !is(l, 5, "return")))
		return false;
	p->pack = text_of(arena, l, 1);
	p->span = text_of(arena, l, 2);
	p->point = text_of(arena, l, 3);
	p->at_return = is(l, 5, "return");
	p->func = text_of(arena, l, 6);
	return l->len[6] > 0;
}

typedef VEC(struct woven_field) field_list;

/* kind, name: which fields of the line they are. */
static bool take_field(struct arena *arena, const struct text_line *l, size_t kind, size_t name, field_list *to)
{
	unsigned capture = 0;
	bool has;

	if (l->n != 4 || to->len == FIELDS_MAX)
		return false;
	has = number_of(l, 1, &capture);
	if (!has && !is(l, 1, "-"))
		return false;
	vec_push(to, ((struct woven_field){has ? (int)capture : -1, text_of(arena, l, kind), text_of(arena, l, name)}));
	return true;
}

struct parsing {
	struct arena *arena;
	struct woven_point point;
	field_list slots, left;
	VEC(struct woven_fact) facts;
	VEC(struct woven_refused) refused;
	VEC(struct woven_variable) variables;
};

static bool take_call(struct parsing *p, const struct text_line *l)
{
	if (l->n != 2 || p->point.every_call || (!is(l, 1, "0") && !is(l, 1, "1")))
		return false;
	p->point.every_call = true;
	p->point.has_receiver = is(l, 1, "1");
	return true;
}

static bool take_variable(struct parsing *p, const struct text_line *l)
{
	unsigned slot = 0;
	bool has;

	if (l->n != 5 || p->variables.len == FIELDS_MAX)
		return false;
	has = number_of(l, 1, &slot);
	if (!has && !is(l, 1, "-"))
		return false;
	vec_push(&p->variables, ((struct woven_variable){has ? (int)slot : -1, text_of(p->arena, l, 2),
							 text_of(p->arena, l, 3), text_of(p->arena, l, 4)}));
	return true;
}

/* Their slots are those of the point; a receiver is one of them. */
static bool variables_hold(const struct parsing *p)
{
	for (size_t i = 0; i < p->variables.len; i++)
		if (p->variables.data[i].slot >= (int)p->slots.len)
			return false;
	return p->point.every_call ? !p->point.has_receiver || p->point.at_return || p->variables.len
				   : !p->variables.len;
}

static bool take_fact(struct parsing *p, const struct text_line *l)
{
	const char *end = l->field[l->n - 1] + l->len[l->n - 1];
	struct woven_fact f = {0};
	bool is_type = is(l, 1, "type");

	if ((!is_type && !is(l, 1, "field")) || l->n != (is_type ? 3u : 5u) || p->facts.len == FIELDS_MAX)
		return false;
	f.key = fnv1a(FNV1A_BASIS, l->field[1], (size_t)(end - l->field[1]));
	f.type = text_of(p->arena, l, 2);
	if (!is_type) {
		f.field = text_of(p->arena, l, 3);
		f.field_type = text_of(p->arena, l, 4);
	}
	vec_push(&p->facts, f);
	return true;
}

static bool take_refused(struct parsing *p, const struct text_line *l)
{
	if (l->n != 6 || p->refused.len == FIELDS_MAX)
		return false;
	vec_push(&p->refused, ((struct woven_refused){text_of(p->arena, l, 1), text_of(p->arena, l, 2),
						      text_of(p->arena, l, 3), text_of(p->arena, l, 4),
						      text_of(p->arena, l, 5)}));
	return true;
}

static bool take_line(struct parsing *p, const struct text_line *l)
{
	if (is(l, 0, "point"))
		return take_point(p->arena, l, &p->point);
	if (is(l, 0, "slot"))
		return p->slots.len < EVENT_MAX_SLOTS && take_field(p->arena, l, 2, 3, &p->slots);
	if (is(l, 0, "left"))
		return take_field(p->arena, l, 3, 2, &p->left);
	if (is(l, 0, "need"))
		return take_fact(p, l);
	if (is(l, 0, "refused"))
		return take_refused(p, l);
	if (is(l, 0, "call"))
		return take_call(p, l);
	if (is(l, 0, "var"))
		return take_variable(p, l);
	if (is(l, 0, "asked") && l->n == 2) {
		p->point.asked = text_of(p->arena, l, 1);
		return true;
	}
	if (!is(l, 0, "pack") || l->n != 2)
		return false;
	p->point.pack_hash = text_of(p->arena, l, 1);
	return true;
}

/* Behind the `end` line; NULL where a line breaks the rules before it. */
static const char *take_lines(struct parsing *p, const char *text, const char *end)
{
	const char *at = text + strlen(MAGIC);
	struct text_line l;

	while ((at = split(at, end, &l))) {
		if (is(&l, 0, "end") && l.n == 1)
			return p->point.func && variables_hold(p) ? at : NULL;
		if (!take_line(p, &l))
			return NULL;
	}
	return NULL;
}

static const struct woven_field *keep(struct arena *arena, const field_list *l)
{
	return l->len ? arena_memdup(arena, l->data, l->len * sizeof(*l->data)) : NULL;
}

size_t woven_point_parse(const char *text, size_t size, struct arena *arena, struct woven_point *ret)
{
	struct parsing p = {.arena = arena, .point.pack_hash = ""};
	const char *end = NULL;

	if (size >= strlen(MAGIC) && !memcmp(text, MAGIC, strlen(MAGIC)))
		end = take_lines(&p, text, text + MIN(size, TEXT_MAX));
	if (end) {
		p.point.key = fnv1a(FNV1A_BASIS, text, (size_t)(end - text));
		p.point.slots = keep(arena, &p.slots);
		p.point.nslots = p.slots.len;
		p.point.left = keep(arena, &p.left);
		p.point.nleft = p.left.len;
		p.point.nfacts = p.facts.len;
		p.point.nvariables = p.variables.len;
		p.point.variables = p.variables.len ? arena_memdup(arena, p.variables.data,
								   p.variables.len * sizeof(*p.variables.data)) : NULL;
		p.point.nrefused = p.refused.len;
		p.point.refused = p.refused.len ? arena_memdup(arena, p.refused.data,
							       p.refused.len * sizeof(*p.refused.data)) : NULL;
		p.point.facts = p.facts.len ? arena_memdup(arena, p.facts.data,
							   p.facts.len * sizeof(*p.facts.data)) : NULL;
		*ret = p.point;
	}
	vec_done(&p.slots);
	vec_done(&p.left);
	vec_done(&p.facts);
	vec_done(&p.refused);
	vec_done(&p.variables);
	return end ? (size_t)(end - text) : 0;
}

struct search {
	struct arena *arena;
	struct map seen;          /* keys */
	VEC(struct woven_point) points;
	size_t broken;
};

static void search_bytes(struct search *s, const char *data, size_t size)
{
	const char *end = data + size, *at = data;

	while ((at = memmem(at, (size_t)(end - at), MAGIC, strlen(MAGIC)))) {
		struct woven_point p;
		size_t n = woven_point_parse(at, (size_t)(end - at), s->arena, &p);

		s->broken += !n;
		if (n && !map_set(&s->seen, p.key, s))
			vec_push(&s->points, p);
		at += MAX(n, strlen(MAGIC));
	}
}

void woven_points(const struct image *img, struct arena *arena, struct woven_point **ret, size_t *ret_n,
		  size_t *ret_broken)
{
	struct search s = {.arena = arena};

	for (size_t i = 0; i < img->nsegments; i++) {
		const struct image_segment *g = &img->segments[i];
		/* Of code, too: a linker may put constants there. */
		const char *data = image_at(img, g->vaddr, g->filesz);

		if (data)
			search_bytes(&s, data, g->filesz);
	}
	*ret = s.points.len ? arena_memdup(arena, s.points.data, s.points.len * sizeof(*s.points.data)) : NULL;
	*ret_n = s.points.len;
	*ret_broken = s.broken;
	vec_done(&s.points);
	map_done(&s.seen);
}
