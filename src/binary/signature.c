/*
 * Signatures. Types come from the method table of the receiver's type, from DWARF, or from a
 * declaration, in this order (DWARF leaves out parameters that are not used and, now and then, a
 * result); the calling convention (abi.c) says where values of these types lie; and that is
 * compared with what the compiler left in the binary for other purposes: ArgInfo, the argument
 * registers that the morestack block saves, the pointer bitmap. A source that does not agree is not
 * used; a declaration that does not agree is an error with the reason.
 *
 * A declared type that the binary does not describe is taken as the words that ArgInfo lists for
 * it. Results of a plain function leave no trace, so a declaration of them is believed as far as
 * their place on the stack, which moves the spill area, does not speak against it.
 *
 * All argument registers are saved or none: none also when the function uses no argument at all.
 *
 * Generic functions take a dictionary that no declaration mentions: first, or after the receiver
 * since the compiler's unified IR. Which one (or none, in wrappers) is found by trying. ArgInfo
 * leaves out the first parameter of everything with a bracket in its name.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "binary/abi.h"
#include "binary/dwarf.h"
#include "binary/internal.h"

#define SLOTS_MAX 64

struct slot { /* a parameter or a result while it is worked out */
	const char *name;
	const struct type *type; /* NULL: unknown */
	const char *text;        /* as declared, NULL */
	bool hidden;             /* the dictionary */
	bool shaped;             /* shape and place are known */
	const char *why;         /* … or why not */
	struct shape shape;
	struct place place;
};

struct slots {
	struct slot v[SLOTS_MAX];
	size_t n;
};

struct func_name {
	const char *package;  /* "net/http" */
	const char *receiver; /* "conn", NULL for none */
	const char *method;
	bool pointer;
	bool closure; /* a literal, a wrapper around one, or generated: no receiver */
	bool generic;
};

struct work {
	struct binary *b;
	const struct func *f;
	const struct declared_signature *decl;
	struct func_name name;
	struct prologue prologue;
	struct arginfo info;
	struct ptrmap map;
	bool has_info, has_map;
	struct slots params, results;
	bool results_known;
	bool spill_base_known;
	uint64_t spill_base;
	uint32_t sources;
};

/* ---- the function's name ---- */

/* pclntab escapes dots in the last element of an import path: gopkg.in/yaml%2ev3 */
static char *unescape(struct arena *a, const char *s, size_t n)
{
	char *out = arena_strndup(a, s, n), *w = out;

	for (size_t i = 0; i < n; i++) {
		char hex[3] = {0};

		if (s[i] == '%' && i + 2 < n && isxdigit((unsigned char)s[i + 1]) &&
		    isxdigit((unsigned char)s[i + 2])) {
			hex[0] = s[i + 1];
			hex[1] = s[i + 2];
			*w++ = (char)strtol(hex, NULL, 16);
			i += 2;
		} else {
			*w++ = s[i];
		}
	}
	*w = 0;
	return out;
}

/* A copy without what stands in brackets. */
static char *without_brackets(struct arena *a, const char *s, bool *ret_any)
{
	char *out = arena_strdup(a, s), *w = out;
	unsigned depth = 0;

	for (; *s; s++) {
		if (*s == '[')
			depth++;
		if (depth)
			*ret_any = true;
		else
			*w++ = *s;
		if (*s == ']' && depth)
			depth--;
	}
	*w = 0;
	return out;
}

static bool closure_part(const char *s, size_t n)
{
	static const char *const prefixes[] = {"func", "gowrap", "deferwrap", ""};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t k = strlen(prefixes[i]);

		if (n > k && !strncmp(s, prefixes[i], k) && isdigit((unsigned char)s[k]))
			return true;
	}
	return n == 0;
}

static void split_method(struct arena *a, const char *s, struct func_name *ret)
{
	const char *dot = strchr(s, '.'), *end, *m;

	if (!strncmp(s, "(*", 2)) {
		end = strchr(s, ')');
		if (!end || end[1] != '.')
			return;
		ret->receiver = arena_strndup(a, s + 2, (size_t)(end - s - 2));
		ret->pointer = true;
		m = end + 2;
	} else if (!dot) {
		ret->closure = strchr(s, '-') != NULL;
		return;
	} else if (closure_part(dot + 1, strcspn(dot + 1, ".-"))) {
		ret->closure = true;
		return;
	} else {
		ret->receiver = arena_strndup(a, s, (size_t)(dot - s));
		m = dot + 1;
	}
	ret->method = m;
	if (strpbrk(m, ".-")) {
		ret->closure = true;
		ret->receiver = NULL;
	}
}

static void split_name(struct arena *a, const char *name, struct func_name *ret)
{
	struct func_name r = {.package = ""};
	char *s = without_brackets(a, name, &r.generic);
	const char *slash = strrchr(s, '/'), *dot = strchr(slash ? slash : s, '.');

	if (dot && strncmp(s, "type:", 5) && strncmp(s, "type..", 6) && strncmp(s, "go:", 3)) {
		r.package = unescape(a, s, (size_t)(dot - s));
		split_method(a, dot + 1, &r);
	} else {
		r.closure = true;
	}
	*ret = r;
}

static const struct type *receiver_type(struct work *w)
{
	const struct func_name *n = &w->name;
	const struct type *t = NULL;
	const char *full = arena_printf(&w->b->arena, "%s.%s", n->package, n->receiver);

	if (!n->generic)
		t = binary_type(w->b, full);
	if (!n->pointer)
		return t;
	if (t)
		return binary_type_pointer_to(w->b, t);
	return type_compose(w->b, KIND_POINTER, NULL, NULL, 0,
	                    arena_printf(&w->b->arena, "*%s", full));
}

/* ---- where types come from ---- */

static struct slot *add_slot(struct slots *s, const char *name, const struct type *type)
{
	static struct slot spare; /* more parameters than anyone writes: the comparison will fail */
	struct slot *x = s->n < SLOTS_MAX ? &s->v[s->n++] : &spare;

	*x = (struct slot){.name = name ? name : "", .type = type};
	return x;
}

/* The dictionary's place in DWARF's list is not its place among the parameters: it is tried. */
static bool from_dwarf_params(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (dwarf_function(w->b, w->f, &p, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!p[i].result && strcmp(p[i].name, ".dict"))
			add_slot(&w->params, p[i].name, p[i].type);
	w->sources |= SIG_DWARF;
	return true;
}

static bool from_dwarf(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (!from_dwarf_params(w) || dwarf_function(w->b, w->f, &p, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (p[i].result)
			add_slot(&w->results, p[i].name, p[i].type);
	w->results_known = true;
	return true;
}

/* The method's own entry, else the one of its name: tables may lead to a wrapper. */
static const struct type *method_type(struct work *w, const struct type *recv)
{
	const struct type *by_name = NULL;
	struct type_method m;

	for (size_t i = 0; recv && i < type_method_count(w->b, recv); i++) {
		if (!type_method(w->b, recv, i, &m) || !m.type || m.type->kind != KIND_FUNC)
			continue;
		if (strcmp(m.name, w->name.method))
			continue;
		if (m.tfn == w->f->entry || m.ifn == w->f->entry)
			return m.type;
		by_name = m.type;
	}
	return by_name;
}

static bool from_method(struct work *w)
{
	const struct type *recv, *t;

	if (!w->name.receiver || w->name.generic)
		return false;
	recv = receiver_type(w);
	t = method_type(w, recv);
	if (!t)
		return false;
	add_slot(&w->params, "", recv);
	for (size_t i = 0; i < type_param_count(w->b, t); i++)
		add_slot(&w->params, "", type_param(w->b, t, i));
	for (size_t i = 0; i < type_result_count(w->b, t); i++)
		add_slot(&w->results, "", type_result(w->b, t, i));
	w->results_known = true;
	w->sources |= SIG_METHOD;
	return true;
}

static const struct type *declared_type(struct work *w, const char *text, struct err *err)
{
	if (!strncmp(text, "...", 3))
		text = arena_printf(&w->b->arena, "[]%s", text + 3);
	return binary_type_parse(w->b, w->name.package, text, err);
}

static void add_declared(struct work *w, struct slots *s, const struct declared_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};
		struct slot *x = add_slot(s, p[i].name, NULL);

		x->text = p[i].type;
		if (p[i].type)
			x->type = declared_type(w, p[i].type, &e);
	}
}

static bool from_declaration(struct work *w)
{
	if (!w->decl)
		return false;
	if (w->name.receiver)
		add_slot(&w->params, "", receiver_type(w));
	add_declared(w, &w->params, w->decl->params, w->decl->nparams);
	if (w->decl->has_results)
		add_declared(w, &w->results, w->decl->results, w->decl->nresults);
	w->results_known = w->decl->has_results;
	w->sources |= SIG_DECLARED;
	return true;
}

/* Nothing but what ArgInfo lists: words without types. */
static bool from_arginfo(struct work *w)
{
	if (!w->has_info || w->name.generic)
		return false;
	for (size_t i = 0; i < w->info.nitems; i++)
		add_slot(&w->params, "", i || !w->name.receiver ? NULL : receiver_type(w));
	return true;
}

/* ---- shapes and places ---- */

static bool pieces_saved(const struct work *w, uint32_t frame_offset, uint8_t *ret_reg)
{
	for (size_t i = 0; i < w->prologue.nspills; i++)
		if (w->prologue.spills[i].stack == (int32_t)frame_offset + 8) {
			*ret_reg = w->prologue.spills[i].reg;
			return true;
		}
	return false;
}

/* The class of a word known by size only. False when an integer cannot be told from a float. */
static bool guess_class(const struct work *w, const struct arg_component *c, bool aggregate,
                        struct word *ret, bool *ret_memory)
{
	uint8_t reg;

	if (pieces_saved(w, c->offset, &reg)) {
		ret->class = reg >= REG_X0 ? WORD_FLOAT : WORD_UNKNOWN;
		return true;
	}
	ret->class = WORD_UNKNOWN;
	if (w->prologue.nspills) {
		*ret_memory = true;
		return true;
	}
	return ret->size < 4 || aggregate || (w->has_map && ptrmap_get(&w->map, c->offset));
}

static const char *shape_from_item(struct work *w, const struct arg_item *it, struct shape *ret)
{
	const struct arg_component *c = &w->info.components[it->first];
	struct shape s = {.align = 1};

	if (it->cut)
		return "its type is not in the binary and it has more parts than the binary lists";
	for (size_t i = 0; i < it->n; i++) {
		struct word *word = &s.words[s.nwords++];

		*word = (struct word){.offset = (uint32_t)(c[i].offset - c[0].offset),
		                      .size = c[i].size};
		if (c[i].offset < c[0].offset ||
		    !guess_class(w, &c[i], it->aggregate, word, &s.memory))
			return "its type is not in the binary and an integer cannot be told from a "
			       "float here";
		s.align = MAX(s.align, (uint32_t)c[i].size);
		s.size = word->offset + c[i].size;
	}
	if (s.align > 8)
		return "the binary describes it in a way that cannot be right";
	s.size = ALIGN_UP(s.size, (uint64_t)MAX(s.align, 1u));
	*ret = s;
	return NULL;
}

/* ArgInfo's item for parameter i, NULL when it is not listed. */
static const struct arg_item *slot_item(const struct work *w, size_t i)
{
	size_t skip = w->name.generic ? 1 : 0;

	if (!w->has_info || i < skip || i - skip >= w->info.nitems)
		return NULL;
	return &w->info.items[i - skip];
}

static const char *shape_param(struct work *w, size_t i)
{
	struct slot *s = &w->params.v[i];
	const struct arg_item *it = slot_item(w, i);

	if (s->hidden) {
		shape_word(&s->shape, 8, WORD_UNKNOWN);
		return NULL;
	}
	if (s->type && type_shape(w->b, s->type, &s->shape))
		return NULL;
	if (!it)
		return s->text ? "its type is not in the binary and neither is its shape"
		               : "neither its type nor its shape is in the binary";
	return shape_from_item(w, it, &s->shape);
}

static void place_params(struct work *w, struct assign *a)
{
	const char *why = NULL;

	for (size_t i = 0; i < w->params.n; i++) {
		struct slot *s = &w->params.v[i];

		if (!why) {
			why = shape_param(w, i);
			s->why = why;
		} else {
			s->why = "a parameter before it has an unknown shape";
		}
		s->shaped = !s->why;
		if (s->shaped)
			abi_assign(a, &s->shape, false, &s->place);
	}
}

static void place_results(struct work *w, struct assign *a)
{
	const char *why = NULL;

	for (size_t i = 0; i < w->results.n; i++) {
		struct slot *s = &w->results.v[i];

		if (why)
			s->why = "a result before it has an unknown shape";
		else if (!s->type || !type_shape(w->b, s->type, &s->shape))
			s->why = why = "its type is not in the binary";
		s->shaped = !s->why;
		if (s->shaped)
			abi_assign(a, &s->shape, true, &s->place);
	}
}

/* Without known results the start of the spill area is seen from the first saved register. */
static void find_spill_base(struct work *w, const struct assign *a)
{
	bool results = w->results_known;

	for (size_t i = 0; i < w->results.n; i++)
		results &= w->results.v[i].shaped;
	w->spill_base_known = results;
	w->spill_base = ALIGN_UP(a->stack, (uint64_t)8);
	for (size_t i = 0; !w->spill_base_known && i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];
		const struct arg_item *it = slot_item(w, i);
		uint64_t at;

		if (!it || !it->n || !s->shaped || !s->place.registers || !s->shape.nwords)
			continue;
		at = s->place.offset + s->shape.words[0].offset;
		if (w->info.components[it->first].offset < at)
			continue;
		w->spill_base = w->info.components[it->first].offset - at;
		w->spill_base_known = true;
	}
}

static void place_all(struct work *w)
{
	struct assign in = {0}, out = {0};

	place_params(w, &in);
	out.stack = ALIGN_UP(in.stack, (uint64_t)8);
	place_results(w, &out);
	find_spill_base(w, &out);
}

static uint64_t frame_offset(const struct work *w, const struct slot *s)
{
	return s->place.registers ? w->spill_base + s->place.offset : s->place.offset;
}

/* ---- comparison with the binary ---- */

static const char *slot_label(struct work *w, size_t i)
{
	const struct slot *s = &w->params.v[i];
	const char *type = s->text ? s->text : s->type ? s->type->name : "of unknown type";

	if (i == 0 && w->name.receiver)
		return arena_printf(&w->b->arena, "the receiver (%s)", type);
	return arena_printf(&w->b->arena, "parameter %zu (%s%s%s)", i + (w->name.receiver ? 0 : 1),
	                    s->name, *s->name ? " " : "", type);
}

static const char *item_text(struct work *w, const struct arginfo *a, const struct arg_item *it)
{
	struct buf s = {0};
	const char *text;

	for (size_t k = 0; k < it->n; k++)
		buf_printf(&s, "%s%u", k ? "+" : "", a->components[it->first + k].size);
	text = arena_printf(&w->b->arena, "%s%s%s%s", it->aggregate ? "{" : "",
	                    s.data ? s.data : "", it->cut ? "…" : "", it->aggregate ? "}" : "");
	buf_done(&s);
	return text;
}

static bool same_item(const struct work *w, const struct arginfo *want, const struct arg_item *a,
                      const struct arg_item *b, bool absolute)
{
	const struct arg_component *x = &want->components[a->first];
	const struct arg_component *y = &w->info.components[b->first];

	if (a->aggregate != b->aggregate || (a->n != b->n && !a->cut && !b->cut))
		return false;
	for (size_t k = 0; k < MIN(a->n, b->n); k++) {
		int dx = absolute ? 0 : x[0].offset, dy = absolute ? 0 : y[0].offset;

		if (x[k].size != y[k].size || x[k].offset - dx != y[k].offset - dy)
			return false;
	}
	return true;
}

static int check_count(struct work *w, struct err *err)
{
	size_t skip = w->name.generic ? 1 : 0, n = w->params.n;
	size_t want = n > skip ? n - skip : 0;

	if (!w->has_info) {
		if (n == skip || w->f->flags & FUNC_WRAPPER)
			return 0;
		return err_set(err, -EPROTO,
		               "%s has %zu parameter%s by its %s, but the binary shows "
		               "that it takes none",
		               w->f->name, n, n == 1 ? "" : "s",
		               w->sources & SIG_DECLARED ? "declaration" : "type");
	}
	if (w->info.nitems == want || (w->info.cut && w->info.nitems <= want))
		return 0;
	return err_set(err, -EPROTO,
	               "%s has %zu parameters%s by its %s, but the binary shows %zu%s", w->f->name,
	               want, w->name.receiver ? " (with the receiver)" : "",
	               w->sources & SIG_DECLARED ? "declaration" : "type", w->info.nitems,
	               w->info.cut ? " or more" : "");
}

static int check_items(struct work *w, struct err *err)
{
	struct arginfo want = {0};

	for (size_t i = w->name.generic ? 1 : 0; i < w->params.n; i++) {
		const struct arg_item *it = slot_item(w, i), *x;
		struct slot *s = &w->params.v[i];

		if (!it)
			return 0;
		if (!s->type || !s->shaped)
			return 0;
		arginfo_expect(w->b, s->type, frame_offset(w, s), &want);
		if (want.cut || !want.nitems)
			return 0;
		x = &want.items[want.nitems - 1];
		if (!same_item(w, &want, x, it, w->spill_base_known || !s->place.registers))
			return err_set(err, -EPROTO,
			               "%s of %s should be %s bytes at offset %" PRIu64
			               ", but the binary shows %s at %u",
			               slot_label(w, i), w->f->name, item_text(w, &want, x),
			               frame_offset(w, s), item_text(w, &w->info, it),
			               it->n ? w->info.components[it->first].offset : 0);
	}
	return 0;
}

static const char *register_name(uint8_t r)
{
	static const char *const names[] = {"RAX", "RBX", "RCX", "RDI", "RSI", "R8",  "R9",  "R10",
	                                    "R11", "RDX", "R12", "R13", "R14", "R15", "RBP", "RSP"};
	static const char *const xmm[] = {"X0", "X1", "X2",  "X3",  "X4",  "X5",  "X6",  "X7",
	                                  "X8", "X9", "X10", "X11", "X12", "X13", "X14", "X15"};

	if (r < ARRAY_SIZE(names))
		return names[r];
	return r >= REG_X0 && r < REG_X0 + ARRAY_SIZE(xmm) ? xmm[r - REG_X0] : "?";
}

static const char *spills_text(struct work *w)
{
	struct buf s = {0};
	const char *text;

	for (size_t i = 0; i < w->prologue.nspills; i++)
		buf_printf(&s, "%s%s:%u", i ? " " : "", register_name(w->prologue.spills[i].reg),
		           w->prologue.spills[i].size);
	text = arena_strdup(&w->b->arena, s.data ? s.data : "none");
	buf_done(&s);
	return text;
}

static bool spill_matches(const struct work *w, const struct slot *s, size_t k)
{
	for (size_t i = 0; i < w->prologue.nspills; i++) {
		const struct spill *p = &w->prologue.spills[i];

		if (p->reg != s->place.regs[k])
			continue;
		return p->size == s->shape.words[k].size &&
		       (!w->spill_base_known ||
		        (uint64_t)p->stack == 8 + frame_offset(w, s) + s->shape.words[k].offset);
	}
	return false;
}

static int check_spills(struct work *w, struct err *err)
{
	size_t expected = 0;
	bool all = true;

	for (size_t i = 0; i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];

		all &= s->shaped;
		if (!s->shaped || !s->place.registers)
			continue;
		for (size_t k = 0; k < s->shape.nwords; k++, expected++)
			if (!spill_matches(w, s, k))
				return err_set(
				    err, -EPROTO,
				    "%s of %s should have %u bytes in %s, but the binary saves "
				    "these argument registers (with their bytes): %s",
				    slot_label(w, i), w->f->name, s->shape.words[k].size,
				    register_name(s->place.regs[k]), spills_text(w));
	}
	if (!all || expected == w->prologue.nspills)
		return 0;
	return err_set(err, -EPROTO,
	               "the parameters of %s fill %zu registers by its %s, but the binary "
	               "saves %zu: %s",
	               w->f->name, expected, w->sources & SIG_DECLARED ? "declaration" : "type",
	               w->prologue.nspills, spills_text(w));
}

static int check_pointers(struct work *w, struct err *err)
{
	for (size_t i = 0; i < w->params.n; i++) {
		const struct slot *s = &w->params.v[i];

		if (!s->shaped || s->hidden || (s->place.registers && !w->spill_base_known))
			continue;
		for (size_t k = 0; k < s->shape.nwords; k++) {
			const struct word *word = &s->shape.words[k];
			uint64_t at = frame_offset(w, s) + word->offset;

			if (word->class == WORD_INT && !(at % 8) && at < UINT32_MAX &&
			    ptrmap_get(&w->map, (uint32_t)at))
				return err_set(err, -EPROTO,
				               "%s of %s has no pointer at byte %u, but "
				               "the binary says that there is one",
				               slot_label(w, i), w->f->name, word->offset);
		}
	}
	return 0;
}

static int check_all(struct work *w, struct err *err)
{
	int r = check_count(w, err);

	if (!r && w->has_info)
		r = check_items(w, err);
	if (!r && w->prologue.nspills)
		r = check_spills(w, err);
	if (!r && w->has_map)
		r = check_pointers(w, err);
	if (r)
		return r;
	if (w->has_info)
		w->sources |= SIG_ARGINFO;
	if (w->prologue.nspills)
		w->sources |= SIG_SPILLS;
	if (w->has_map)
		w->sources |= SIG_PTRMAP;
	return 0;
}

/* ---- a declaration beside types that the binary has ---- */

static int check_declared_types(struct work *w, const struct slots *have, size_t first,
                                const struct declared_param *p, size_t n, const char *what,
                                struct err *err)
{
	size_t count = have->n - MIN(first, have->n);

	if (count != n)
		return err_set(err, -EPROTO,
		               "%s was declared with %zu %s%s, but the binary says that it "
		               "has %zu",
		               w->f->name, n, what, n == 1 ? "" : "s", count);
	for (size_t i = 0; i < n; i++) {
		const struct type *known = have->v[first + i].type, *t;
		struct err e = {0};

		t = p[i].type && known ? declared_type(w, p[i].type, &e) : NULL;
		if (t && t != known && strcmp(t->name, known->name))
			return err_set(err, -EPROTO,
			               "%s %zu of %s was declared as %s, but the binary "
			               "says that it is %s",
			               what, i + 1, w->f->name, p[i].type, known->name);
	}
	return 0;
}

static size_t first_param(const struct work *w)
{
	size_t first = w->name.receiver ? 1 : 0;

	for (size_t i = 0; i < w->params.n; i++)
		first += w->params.v[i].hidden;
	return first;
}

static int merge_declaration(struct work *w, struct err *err)
{
	size_t first = first_param(w);
	const struct declared_signature *d = w->decl;
	int r = check_declared_types(w, &w->params, first, d->params, d->nparams, "parameter", err);

	if (!r && d->has_results)
		r = check_declared_types(w, &w->results, 0, d->results, d->nresults, "result", err);
	if (r)
		return r;
	for (size_t i = 0; i < d->nparams; i++)
		if (d->params[i].name && *d->params[i].name)
			w->params.v[first + i].name = d->params[i].name;
	for (size_t i = 0; d->has_results && i < d->nresults; i++)
		if (d->results[i].name && *d->results[i].name)
			w->results.v[i].name = d->results[i].name;
	w->sources |= SIG_DECLARED;
	return 0;
}

/* ---- attempts ---- */

typedef bool (*source_fn)(struct work *w);

static void insert_hidden(struct slots *s, size_t at)
{
	if (s->n == SLOTS_MAX || at > s->n)
		return;
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(s->v[0]));
	s->v[at] = (struct slot){.name = ".dict", .hidden = true};
	s->n++;
}

/* -ENODATA when the source has nothing, -EPROTO when it does not agree. hidden: place of the
 * dictionary. */
static int attempt(struct work *w, source_fn source, int hidden, struct err *err)
{
	w->params.n = w->results.n = 0;
	w->results_known = false;
	w->sources = 0;
	if (!source(w))
		return -ENODATA;
	if (hidden >= 0)
		insert_hidden(&w->params, (size_t)hidden);
	place_all(w);
	return check_all(w, err);
}

/* Before the unified IR the dictionary was a uintptr and came first; since, it is a pointer and
 * second. */
static int usual_hidden(const struct work *w)
{
	if (!w->name.generic || w->name.closure || w->f->flags & FUNC_WRAPPER)
		return -1;
	if (!w->name.receiver)
		return 0;
	return w->has_map && !ptrmap_get(&w->map, 0) && ptrmap_get(&w->map, 8) ? 0 : 1;
}

static int attempt_generic(struct work *w, source_fn source, struct err *err)
{
	int usual = usual_hidden(w), r = attempt(w, source, usual, err);

	for (int hidden = -1; r == -EPROTO && w->name.generic && hidden <= 1; hidden++) {
		struct err e = {0};

		if (hidden != usual && !attempt(w, source, hidden, &e))
			return 0;
	}
	return r;
}

static void take_names(struct slots *s, const struct dwarf_param *p, size_t n, bool results)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += p[i].result == results && strcmp(p[i].name, ".dict");
	if (count != s->n)
		return;
	for (size_t i = 0, k = 0; i < n; i++)
		if (p[i].result == results && strcmp(p[i].name, ".dict"))
			s->v[k++].name = p[i].name;
}

/* A method's type has no names; DWARF may. */
static void names_from_dwarf(struct work *w)
{
	const struct dwarf_param *p;
	size_t n;

	if (dwarf_function(w->b, w->f, &p, &n))
		return;
	take_names(&w->params, p, n, false);
	take_names(&w->results, p, n, true);
	w->sources |= SIG_DWARF;
}

/* DWARF proves nothing about a result that it does not mention. */
static int resolve_declared(struct work *w, struct err *err)
{
	int r = merge_declaration(w, err);
	struct err e = {0};

	if (r == -EPROTO && !(w->sources & SIG_METHOD) && w->decl->has_results &&
	    w->results.n < w->decl->nresults && !attempt_generic(w, from_declaration, &e))
		return 0;
	return r;
}

static int resolve(struct work *w, struct err *err)
{
	struct err e = {0};
	bool found = !attempt_generic(w, from_method, &e);

	if (found)
		names_from_dwarf(w);
	if (found || !attempt_generic(w, from_dwarf, &e) ||
	    !attempt_generic(w, from_dwarf_params, &e))
		return w->decl ? resolve_declared(w, err) : 0;
	if (w->decl)
		return attempt_generic(w, from_declaration, err);
	if (attempt(w, from_arginfo, -1, &e)) {
		w->params.n = w->results.n = 0;
		w->results_known = false;
		w->sources = 0;
	}
	return 0;
}

/* ---- the answer ---- */

static void register_pieces(const struct slot *s, struct piece *ret)
{
	for (size_t k = 0; k < s->shape.nwords; k++)
		ret[k] = (struct piece){
		    .where = s->place.regs[k] >= REG_X0 ? IN_XMM : IN_REG,
		    .reg = s->place.regs[k],
		    .size = s->shape.words[k].size,
		    .bytes = s->shape.words[k].size,
		    .offset = s->shape.words[k].offset,
		};
}

static void write_param(struct work *w, const struct slot *s, struct param *ret)
{
	struct piece *pieces;

	ret->name = arena_strdup(&w->b->arena, s->name);
	ret->type = s->type;
	ret->why = s->why;
	if (s->why || !s->shape.size)
		return;
	ret->npieces = s->place.registers ? s->shape.nwords : 1;
	pieces = arena_array(&w->b->arena, struct piece, ret->npieces);
	if (s->place.registers)
		register_pieces(s, pieces);
	else
		pieces[0] = (struct piece){.where = ON_STACK,
		                           .size = (uint8_t)MIN(s->shape.size, 255u),
		                           .bytes = (uint32_t)s->shape.size,
		                           .stack = (int32_t)(8 + s->place.offset)};
	ret->pieces = pieces;
}

static const struct param *write_params(struct work *w, const struct slots *s, size_t *ret_n)
{
	struct param *p = arena_array(&w->b->arena, struct param, s->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].hidden)
			write_param(w, &s->v[i], &p[n++]);
	*ret_n = n;
	return p;
}

static void write_signature(struct work *w, struct signature *ret)
{
	struct signature s = {.results_known = w->results_known, .sources = w->sources};

	s.params = write_params(w, &w->params, &s.nparams);
	s.results = write_params(w, &w->results, &s.nresults);
	s.has_receiver = w->name.receiver && s.nparams;
	*ret = s;
}

/* Assembly and the wrappers around it take all arguments on the stack, by other rules. */
static int refuse_abi0(const struct work *w, struct signature *ret, struct err *err)
{
	if (w->decl && (w->decl->nparams || w->decl->nresults))
		return err_set(err, -ENODATA,
		               "%s %s, so its arguments are not where Go's register "
		               "convention puts them; probe a Go function instead",
		               w->f->name,
		               w->f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA)
		                   ? "is written in assembly or not in Go"
		                   : "is an ABI0 wrapper");
	*ret = (struct signature){0};
	return 0;
}

int binary_signature(struct binary *b, const struct func *f, const struct declared_signature *decl,
                     struct signature *ret, struct err *err)
{
	struct work *w = xcalloc(1, sizeof(*w));
	struct code c;
	int r = func_code(b, f, &c, err);

	if (r)
		goto out;
	*w = (struct work){.b = b, .f = f, .decl = decl};
	code_prologue(&c, &w->prologue);
	code_done(&c);
	split_name(&b->arena, f->name, &w->name);
	if (w->prologue.abi0 || f->flags & (FUNC_ASM | FUNC_NO_FUNCDATA)) {
		r = refuse_abi0(w, ret, err);
		goto out;
	}
	w->has_info = func_arginfo(b, f, &w->info);
	w->has_map = func_ptrmap(b, f, &w->map);
	r = resolve(w, err);
	if (!r)
		write_signature(w, ret);
out:
	free(w);
	return r;
}
