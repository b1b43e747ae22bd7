/*
 * A list lies in the record as a chunk of its elements, wherever in the value it was: so all chunks of that shape are
 * looked through. Closures likewise: their object begins with the address of its code, whose name says who made it.
 */
#include "span/lists.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "probe/shape_index.h"

struct list_rule {
	uint64_t number;
	enum list_form form;
	uint32_t offset;
};

struct list_reader {
	const struct shape_table *shapes;
	const struct type *element;
	uint32_t shape, name, type;      /* of an element: its shape; offsets of the name and the number of its type */
	struct list_rule *rules;
	size_t nrules;
	const char *const *closures;     /* pairs, interned */
	int slot;
};

struct list_capture {
	const struct list_reader *r;
	struct interner *in;
	const struct event *e;
	const struct slot_source *src;
	struct attr_list *l;
	struct losses *losses;
};

/* ---- what an element looks like ---- */

/* "Value.numeric": a field of that size. */
static bool field_at(struct binary *b, const struct type *t, const char *path, size_t size, uint32_t *ret)
{
	uint64_t offset = 0;

	for (const char *end = path; *end; path = end + 1) {
		struct field_path found;
		char name[128];

		end = path + strcspn(path, ".");
		if (!t || (size_t)(end - path) >= sizeof(name))
			return false;
		memcpy(name, path, (size_t)(end - path));
		name[end - path] = 0;
		if (!type_field_find(b, t, name, &found))
			return false;
		for (size_t i = 0; i < found.n; i++)
			offset += found.steps[i].offset;
		t = found.steps[found.n - 1].type;
		if (!*end)
			break;
	}
	*ret = (uint32_t)offset;
	return t && t->size == size && offset <= INT32_MAX;
}

static const size_t form_size[] = {[LIST_BOOL] = 8, [LIST_INT] = 8, [LIST_FLOAT] = 8, [LIST_TEXT] = 16,
				   [LIST_ITEMS] = 16};

static bool find_fields(struct interner *in, const struct pack_lists *lists, struct binary *b, struct list_reader *r)
{
	bool ok = field_at(b, r->element, lists->name, 16, &r->name) &&
		  field_at(b, r->element, lists->type, 8, &r->type);

	r->rules = arena_array(&in->arena, struct list_rule, lists->nvalues);
	for (size_t i = 0; ok && i < lists->nvalues; i++) {
		const struct pack_list_value *v = &lists->values[i];
		struct list_rule rule = {.number = strtoull(v->number, NULL, 10), .form = v->form};

		if (field_at(b, r->element, v->field, form_size[v->form], &rule.offset))
			r->rules[r->nrules++] = rule;
	}
	return ok;
}

static const char *const *intern_pairs(struct interner *in, const char *const *pairs)
{
	const char **copy;
	size_t n = 0;

	while (pairs && pairs[n])
		n++;
	copy = arena_array(&in->arena, const char *, n + 1);
	for (size_t i = 0; i < n; i++)
		copy[i] = intern(in, pairs[i]);
	return copy;
}

const struct list_reader *list_reader_new(struct interner *in, const struct pack_lists *lists,
					  const struct pack_variant *v, const int *slot_of_item,
					  const struct capture_program *p, struct binary *b)
{
	struct list_reader *r;
	int slot = -1;

	for (size_t i = 0; lists && p->shapes && i < v->ncaptures; i++)
		if (v->captures[i].use == USE_LIST)
			slot = slot_of_item[i];
	if (slot < 0)
		return NULL;
	r = arena_new(&in->arena, struct list_reader);
	*r = (struct list_reader){.shapes = p->shapes, .element = binary_type(b, lists->each), .slot = slot,
				  .closures = intern_pairs(in, lists->closures)};
	if (!r->element || !r->element->size || !find_fields(in, lists, b, r))
		return NULL;
	r->shape = shape_find(p->shapes, r->element, SHAPE_VALUE);
	return r;
}

/* ---- memory ---- */

static uint64_t word_at(const uint8_t *p, uint32_t offset)
{
	uint64_t w;

	memcpy(&w, p + offset, sizeof(w));
	return w;
}

/* What the record has of the memory at that address: the longest copy of it. */
static const struct event_chunk *chunk_of(const struct list_capture *c, uint64_t addr, uint32_t shape)
{
	const struct event_chunk *best = NULL;

	for (const struct event_chunk *k = event_chunk_next(c->e, NULL); shape && k; k = event_chunk_next(c->e, k))
		if (k->addr == addr && k->shape == shape && (!best || k->len > best->len))
			best = k;
	return best && !event_chunk_lost(best, 0, MAX(best->len, 1)) && best->len ? best : NULL;
}

/* As much of a text as there is; false where its memory could not be read. */
static bool read_text(const struct list_capture *c, const uint8_t *p, uint32_t offset, const char **ret,
		      size_t *ret_len, uint64_t *ret_all)
{
	uint64_t addr = word_at(p, offset), all = word_at(p, offset + 8), n = 0;
	const struct event_chunk *k = chunk_of(c, addr, shape_find(c->r->shapes, NULL, SHAPE_BYTES));
	uint64_t wanted = MIN(all, (uint64_t)c->r->shapes->limits.max_string);

	*ret = "";
	*ret_len = 0;
	*ret_all = all;
	if ((int64_t)all <= 0)
		return !all;
	if (k)
		*ret = event_chunk_bytes(k);
	else
		*ret = slot_constant(c->src, addr, wanted, &n);
	*ret_len = k ? MIN(k->len, all) : n;
	return *ret && *ret_len == wanted;
}

/* ---- values ---- */

/* False where it is of no kind that an attribute has, or could not be read: then null stands in its place. */
static bool put_item(const struct list_capture *c, const struct type *t, const uint8_t *p, struct json *j)
{
	uint64_t word = 0, all;
	const char *text;
	double d;
	float f;
	size_t n;

	if (t->kind == KIND_STRING && read_text(c, p, 0, &text, &n, &all)) {
		json_strn(j, text, n);
		return true;
	}
	if (t->kind < KIND_BOOL || t->kind > KIND_FLOAT64 || t->size > sizeof(word)) {
		json_null(j);
		return false;
	}
	memcpy(&word, p, MIN(t->size, sizeof(word)));
	memcpy(&d, &word, sizeof(d));
	memcpy(&f, &word, sizeof(f));
	if (t->kind == KIND_BOOL)
		json_bool(j, word);
	else if (type_is_float(t))
		json_double(j, t->size == 4 ? (double)f : d);
	else if (type_is_signed(t))
		json_int(j, (int64_t)(word << (64 - 8 * t->size)) >> (64 - 8 * t->size));
	else
		json_uint(j, word);
	return true;
}

static const struct list_rule *rule_of(const struct list_reader *r, uint64_t number)
{
	for (size_t i = 0; i < r->nrules; i++)
		if (r->rules[i].number == number)
			return &r->rules[i];
	return NULL;
}

/* Of the attribute's value there is more: all. */
static void set_cut(const struct list_capture *c, const char *key, uint64_t all)
{
	_cleanup_(arena_done) struct arena arena = {0};
	const char *cut = intern_at_most(c->in, arena_printf(&arena, "earshot.truncated.%s", key), LISTS_MAX_NAMES);

	if (cut)
		attr_list_bring_int(c->l, key, attr_key_of(cut), (int64_t)all);
	else
		c->losses->count[LOSS_ATTRIBUTE]++;
}

static void set_text(const struct list_capture *c, const char *key, const uint8_t *p, uint32_t offset)
{
	const char *text;
	uint64_t all;
	size_t n;

	if (!read_text(c, p, offset, &text, &n, &all)) {
		c->losses->count[LOSS_VALUE_UNREADABLE]++;
		return;
	}
	attr_list_store_text(c->l, attr_list_set(c->l, key, ATTR_STRING), text, n);
	if (n < all)
		set_cut(c, key, all);
}

/* An array in an interface, as JSON. */
static void set_items(const struct list_capture *c, const char *key, const uint8_t *p, uint32_t offset)
{
	const struct type *t = binary_type_at(c->src->binary, word_at(p, offset) - c->src->bias);
	const struct shape_dynamic *d = t ? shape_dynamic_find(c->r->shapes, t->rtype) : NULL;
	const struct event_chunk *k = d ? chunk_of(c, word_at(p, offset + 8), d->shape) : NULL;
	_cleanup_(buf_done) struct buf items = {0};
	struct json j = {.out = &items};
	uint64_t n;

	if (!t || t->kind != KIND_ARRAY || !t->elem || !t->elem->size || (!k && t->size)) {
		c->losses->count[LOSS_VALUE_UNREADABLE]++;
		return;
	}
	n = k ? MIN(MIN(t->len, k->len / t->elem->size), (uint64_t)c->r->shapes->limits.max_items) : 0;
	json_open(&j, '[');
	for (uint64_t i = 0; i < n; i++)
		c->losses->count[LOSS_VALUE_UNREADABLE] +=
			!put_item(c, t->elem, (const uint8_t *)event_chunk_bytes(k) + i * t->elem->size, &j);
	json_close(&j, ']');
	attr_list_store_text(c->l, attr_list_set(c->l, key, ATTR_STRING), items.data, items.len);
	if (n < t->len)
		set_cut(c, key, t->len);
}

static void set_value(const struct list_capture *c, const char *key, const struct list_rule *rule, const uint8_t *p)
{
	struct attr_value *v;

	switch (rule->form) {
	case LIST_TEXT:
		set_text(c, key, p, rule->offset);
		return;
	case LIST_ITEMS:
		set_items(c, key, p, rule->offset);
		return;
	case LIST_BOOL:
		v = attr_list_set(c->l, key, ATTR_BOOL);
		v->b = word_at(p, rule->offset) != 0;
		return;
	case LIST_INT:
		v = attr_list_set(c->l, key, ATTR_INT);
		v->i = (int64_t)word_at(p, rule->offset);
		return;
	case LIST_FLOAT:
		v = attr_list_set(c->l, key, ATTR_DOUBLE);
		memcpy(&v->d, p + rule->offset, sizeof(v->d));
	}
}

static void read_element(const struct list_capture *c, const uint8_t *p)
{
	const struct list_rule *rule = rule_of(c->r, word_at(p, c->r->type));
	_cleanup_(arena_done) struct arena arena = {0};
	const char *text, *key = NULL;
	uint64_t all;
	size_t n;

	if (!read_text(c, p, c->r->name, &text, &n, &all) || n != all) {
		c->losses->count[LOSS_VALUE_UNREADABLE]++;
		return;
	}
	if (!n)
		return;
	if (rule && (c->l->values.len < LISTS_MAX_ATTRIBUTES || attr_list_find(c->l, text, n)))
		key = intern_at_most(c->in, arena_strndup(&arena, text, n), LISTS_MAX_NAMES);
	if (key)
		set_value(c, key, rule, p);
	else
		c->losses->count[LOSS_ATTRIBUTE]++;
}

static void read_elements(const struct list_capture *c, const struct event_chunk *k)
{
	const uint8_t *p = event_chunk_bytes(k);
	uint64_t size = c->r->element->size;

	for (uint64_t at = 0; at + size <= k->len; at += size)
		if (event_chunk_lost(k, at, size))
			c->losses->count[LOSS_VALUE_UNREADABLE]++;
		else
			read_element(c, p + at);
	if (event_chunk_status(k) == SLOT_CUT)
		c->losses->count[LOSS_ATTRIBUTE]++;
	if (event_chunk_status(k) == SLOT_UNREADABLE)
		c->losses->count[LOSS_VALUE_UNREADABLE]++;
}

/* ---- closures ---- */

/*
 * Whether it is a function, as in "path.G", and no package or method's receiver: behind those a function of the
 * program's own would have the name. The path may have dots, too.
 */
static bool is_function(const char *s, size_t n)
{
	const char *slash = memrchr(s, '/', n), *last = slash ? slash : s;

	return n && s[n - 1] != ')' && memchr(last, '.', n - (size_t)(last - s));
}

/* A closure of F is F.func1, …; where F was inlined into G, it is G.F.func1, with F's last name. */
static bool is_closure_of(const char *name, const char *f)
{
	const char *last = strrchr(f, '.');
	size_t n = strlen(f);

	if (!strncmp(name, f, n) && !strncmp(name + n, ".func", 5))
		return true;
	n = last ? strlen(last) : 0;
	for (const char *at = name; n && (at = strstr(at, last)); at++)
		if (is_function(name, (size_t)(at - name)) && !strncmp(at + n, ".func", 5) &&
		    isdigit((unsigned char)at[n + 5]))
			return true;
	return false;
}

static void read_closure(const struct list_capture *c, const struct event_chunk *k)
{
	struct slot_source src = *c->src;
	const uint8_t *p = event_chunk_bytes(k);
	bool lost = k->len < 16 || event_chunk_lost(k, 0, 16);
	uint64_t n = 0, pc;
	struct func f;

	if (lost) /* as the file has it: the code's address without the bias */
		p = slot_constant(&src, k->addr, 16, &n);
	if (!p || (lost && n < 16)) {
		c->losses->count[LOSS_VALUE_UNREADABLE] += event_chunk_status(k) == SLOT_UNREADABLE;
		return;
	}
	pc = word_at(p, 0) - (lost ? 0 : src.bias);
	if (!binary_func_at(src.binary, pc, &f))
		return;
	for (const char *const *pair = c->r->closures; *pair; pair += 2)
		if (is_closure_of(f.name, pair[0])) {
			struct attr_value *v = attr_list_set(c->l, pair[1], ATTR_INT);

			v->i = (int64_t)word_at(p, 8);
			v->hidden = true;
		}
}

/* ---- a record ---- */

void lists_capture(const struct list_reader *r, struct interner *in, const struct event *e,
		   const struct slot_source *src, struct attr_list *l, struct losses *losses)
{
	const struct list_capture c = {.r = r, .in = in, .e = e, .src = src, .l = l, .losses = losses};
	bool closures = *r->closures;

	if (r->slot >= e->head->slots)
		return;
	if (slot_lost(e->slots[r->slot].status))
		losses->count[LOSS_VALUE_UNREADABLE]++;
	if (e->head->missed)
		losses->count[LOSS_VALUE_UNREADABLE] += e->head->missed;
	for (const struct event_chunk *k = event_chunk_next(e, NULL); k; k = event_chunk_next(e, k)) {
		if (r->shape && k->shape == r->shape)
			read_elements(&c, k);
		else if (closures && k->shape < r->shapes->shapes.len &&
			 r->shapes->shapes.data[k->shape].role == SHAPE_FUNC && k->addr)
			read_closure(&c, k);
	}
}
